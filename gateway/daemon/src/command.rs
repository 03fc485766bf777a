//! The commands that ask a gateway: what each asks, and how people see the answer.

mod bucket;
mod doctor;
mod keys;
mod line;
mod machine;
mod pauses;
mod pool;
mod volume;

use std::io::{self, Write};
use std::time::Duration;

use console::{Migrate, Question};
use model::restore::RestoreStage;
use serde_json::{Value, json};

use crate::cli::{At, MigrateCommand, RestoreCommand};
use crate::client::Client;
use crate::error::Error;
use crate::table::{Column, Show, bytes, sheet, table};

pub use bucket::bucket;
pub use doctor::doctor;
pub use keys::keys;
pub use machine::{drive, library, task};
pub use pool::pool;
pub use volume::volume;

/// Time between two drawings of `status --watch`.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// `tapegate migrate`
pub fn migrate(command: MigrateCommand) -> Result<(), Error> {
    let (bucket, dry_run, at) = match command {
        MigrateCommand::Run { bucket, dry_run, at } => (bucket, dry_run, at),
        MigrateCommand::Pause(at) => return pauses::pause(&at, true),
        MigrateCommand::Resume(at) => return pauses::pause(&at, false),
    };
    let answer = Client::new(&at).ask(&Question::Migrate(Migrate { bucket, dry_run }))?;
    print(&at, &answer, |answer| {
        let count = |name: &str| answer[name].as_u64().unwrap_or(0);
        let due = if dry_run { "would be due" } else { "became due" };
        let (listed, skipped) = (count("listed"), count("skipped"));
        let numbers = format!("{listed} objects listed, {} {due} for tape", count("due"));
        let paused = if answer["paused"] == true { "migration is paused: nothing moves yet\n" } else { "" };
        format!(
            "{numbers}, {} expired, {skipped} could not be looked at this time\n{paused}",
            count("expired")
        )
    })
}

/// `tapegate restore`
pub fn restore(command: RestoreCommand) -> Result<(), Error> {
    match command {
        RestoreCommand::List { all, at } => {
            let mut client = Client::new(&at);
            let mut rows = Vec::new();
            for stage in RestoreStage::ALL {
                if all || stage != RestoreStage::Lapsed {
                    rows.extend(pages(&mut client, "restores", |after| {
                        let after = after.map(str::parse).transpose().map_err(|_| ())?;
                        Ok(Question::Restores { stage, after })
                    })?);
                }
            }
            print(&at, &json!({"restores": rows}), |answer| rows_of(answer, "restores", RESTORES))
        }
        RestoreCommand::Show { id, at } => {
            let answer = Client::new(&at).ask(&Question::Restore(id))?;
            print(&at, &answer, sheet)
        }
    }
}

/// All rows of a listing that comes in pages.
fn pages(
    client: &mut Client,
    list: &str,
    question: impl Fn(Option<&str>) -> Result<Question, ()>,
) -> Result<Vec<Value>, Error> {
    let mut rows = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let question = question(next.as_deref()).map_err(|()| Error::Refused {
            message: format!("the gateway named {} as the next page", next.clone().unwrap_or_default()),
        })?;
        let mut answer = client.ask(&question)?;
        if let Value::Array(page) = answer[list].take() {
            rows.extend(page);
        }
        match answer["next"].as_str() {
            Some(after) => next = Some(after.to_owned()),
            None => return Ok(rows),
        }
    }
}

/// `tapegate status`
pub fn status(at: &At, watch: bool) -> Result<(), Error> {
    loop {
        // Asked anew each time: a gateway that starts or ends meanwhile is found, and its directory is not kept from it.
        let answer = Client::new(at).ask(&Question::Status)?;
        if watch && !at.json {
            // Home, and clear what is below: a terminal is drawn over, a file gets one drawing after another.
            write(b"\x1b[H\x1b[J")?;
        }
        print(at, &answer, draw_status)?;
        if !watch {
            return Ok(());
        }
        std::thread::park_timeout(WATCH_INTERVAL);
    }
}

fn draw_status(status: &Value) -> String {
    let running = if status["running"] == true { "running" } else { "not running" };
    let mut text = format!("tapegate {} {running}\n", status["version"].as_str().unwrap_or_default());
    if let Some(used) = status["spool"]["bytes"].as_u64() {
        let most = status["spool"]["bytes_max"].as_u64().unwrap_or_default();
        text.push_str(&format!("spool    {} of {}\n", bytes(used), bytes(most)));
    }
    if let Some(since) = status["untold_since"].as_str() {
        text.push_str(&format!(
            "untold   {} ends and changes are on no tape yet, since {since}\n",
            status["untold"]
        ));
    }
    if let Some(touched) = status["touched"].as_u64().filter(|touched| *touched > 0) {
        text.push_str(&format!(
            "touched  {touched} archives whose objects clients changed are to be looked at\n"
        ));
    }
    for trouble in status["trouble"].as_array().into_iter().flatten() {
        let part = |name: &str| trouble[name].as_str().unwrap_or("-").to_owned();
        let (code, stage, since) = (part("code"), part("stage"), part("since"));
        text.push_str(&format!("trouble  {code} {stage} since {since}: {}\n", part("text")));
    }
    if status["degraded"]["pools"].as_array().is_some_and(|pools| !pools.is_empty()) {
        let title = "short of copies (tapegate pool repair)";
        text.push_str(&format!("\n{title}\n{}", rows_of(&status["degraded"], "pools", pool::SHORTAGES)));
    }
    for (title, list, columns) in [
        ("to be done by hand", "tasks", machine::TASKS),
        ("archives", "archives", ARCHIVE_COUNTS),
        ("restores", "restores", COUNTS),
        ("copies of packs", "copies", COUNTS),
        ("volumes", "volumes", COUNTS),
        ("libraries", "libraries", LIBRARIES),
    ] {
        if status[list].as_array().is_some_and(|rows| !rows.is_empty()) {
            text.push_str(&format!("\n{title}\n{}", rows_of(status, list, columns)));
        }
    }
    text
}

/// Asks for a listing of one answer and prints it.
fn listing(at: &At, question: &Question, list: &str, columns: &[Column]) -> Result<(), Error> {
    let answer = Client::new(at).ask(question)?;
    print(at, &answer, |answer| rows_of(answer, list, columns))
}

fn rows_of(answer: &Value, list: &str, columns: &[Column]) -> String {
    table(columns, answer[list].as_array().map_or(&[][..], Vec::as_slice))
}

fn print(at: &At, answer: &Value, draw: impl FnOnce(&Value) -> String) -> Result<(), Error> {
    let text = if at.json { format!("{answer:#}\n") } else { draw(answer) };
    write(text.as_bytes())
}

/// Writes to standard output. A reader that has seen enough (`| head`) is no error.
pub fn write(text: &[u8]) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        result => result.map_err(Error::Output),
    }
}

const LIBRARIES: &[Column] = &[
    ("NAME", "name", Show::Plain),
    ("KIND", "kind", Show::Plain),
    ("DRIVES", "drives", Show::Plain),
    ("BUSY", "drives_busy", Show::Plain),
    ("DOWN", "drives_down", Show::Plain),
    ("SLOTS", "slots", Show::Plain),
    ("CARTRIDGES", "cartridges", Show::Plain),
    ("QUEUED", "jobs_queued", Show::Plain),
];
const DRIVES: &[Column] = &[
    ("LIBRARY", "library", Show::Plain),
    ("SERIAL", "serial", Show::Plain),
    ("ELEMENT", "element", Show::Plain),
    ("STATE", "state", Show::Plain),
    ("BARCODE", "barcode", Show::Plain),
    ("VOLUME", "volume", Show::Plain),
    ("DETAIL", "detail", Show::Plain),
    ("DOING", "doing", Show::Plain),
    ("CLEAN ME", "wants_cleaning", Show::Flag),
    ("LAST ERROR", "last_error", Show::Plain),
];
const RESTORES: &[Column] = &[
    ("RESTORE", "id", Show::Plain),
    ("STATE", "state", Show::Plain),
    ("TIER", "tier", Show::Plain),
    ("CREATED", "created", Show::Plain),
    ("UNTIL", "until", Show::Plain),
    ("BUCKET", "bucket", Show::Plain),
    ("KEY", "key", Show::Plain),
    ("DETAIL", "detail", Show::Plain),
];
const COUNTS: &[Column] = &[("STATE", "state", Show::Plain), ("COUNT", "count", Show::Plain)];
const ARCHIVE_COUNTS: &[Column] =
    &[("STATE", "state", Show::Plain), ("COUNT", "count", Show::Plain), ("SIZE", "bytes", Show::Bytes)];
