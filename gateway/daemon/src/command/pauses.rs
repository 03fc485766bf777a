//! The orders to the background work as a whole: `tapegate library hold` and `release`, `tapegate migrate pause` and `resume`.

use console::Question;
use serde_json::Value;

use super::print;
use crate::cli::At;
use crate::client::Client;
use crate::error::Error;

/// `tapegate library hold` and `release`
pub fn hold(at: &At, library: String, hold: bool) -> Result<(), Error> {
    let answer = Client::new(at).ask(&Question::Hold { library, hold })?;
    print(at, &answer, |answer| {
        let name = answer["library"].as_str().unwrap_or_default();
        match (hold, answer["cartridges_in_drives"].as_u64().unwrap_or(0)) {
            (false, _) => format!("{name} goes on\n"),
            (true, 0) => format!("{name} is held: nothing is mounted\n"),
            (true, full) => format!(
                "{name} is held: {full} cartridges are in drives, and go back when their current pack is done \
                 (`tapegate drive list`)\n"
            ),
        }
    })
}

/// `tapegate migrate pause` and `resume`
pub fn pause(at: &At, pause: bool) -> Result<(), Error> {
    let answer = Client::new(at).ask(&Question::PauseMigration(pause))?;
    print(at, &answer, |answer: &Value| match answer["paused"] == true {
        true => "migration is paused; restores go on\n".to_owned(),
        false => "migration goes on\n".to_owned(),
    })
}
