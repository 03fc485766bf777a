//! `tapegate bucket`: how far the gateway goes with a bucket.

use std::time::Duration;

use console::{BucketAction, BucketOrder, Question};
use serde_json::Value;

use super::line::Line;
use super::{listing, print};
use crate::cli::{BucketArgs, BucketCommand};
use crate::client::Client;
use crate::error::Error;
use crate::table::{Column, Show, bytes, printable};

/// Time between two looks at what goes on in the gateway.
const LOOK: Duration = Duration::from_secs(1);

/// `tapegate bucket`
pub fn bucket(command: BucketCommand) -> Result<(), Error> {
    match command {
        BucketCommand::List(at) => listing(&at, &Question::Buckets, "buckets", BUCKETS),
        BucketCommand::Enable(args) => carry_out(&args, BucketAction::Enable),
        BucketCommand::Pause(args) => carry_out(&args, BucketAction::Pause),
        BucketCommand::Drain(args) => carry_out(&args, BucketAction::Drain),
        BucketCommand::Detach(args) => carry_out(&args, BucketAction::Detach),
    }
}

/// Asks until it is done; the gateway goes on with it whether or not somebody asks.
fn carry_out(args: &BucketArgs, action: BucketAction) -> Result<(), Error> {
    let order = BucketOrder {
        action,
        exclusive: args.exclusive,
        accept_replicated_stubs: args.accept_replicated_stubs,
        accept_backend_events: args.accept_backend_events,
    };
    let question = Question::Bucket { name: args.name.clone(), order };
    let mut client = Client::new(&args.at);
    let mut line = Line::new(&args.at);
    loop {
        let answer = client.ask(&question)?;
        let stuck = answer["left"]["stuck_count"].as_u64().unwrap_or(0);
        let over = answer["done"] == true || stuck > 0 && stuck >= left(&answer);
        if over {
            line.end();
            print(&args.at, &answer, draw)?;
            return match answer["done"] == true {
                true => Ok(()),
                false => Err(Error::Partial {
                    what: format!(
                        "{stuck} objects of {} cannot be brought back as things are; the rest is back",
                        args.name
                    ),
                }),
            };
        }
        line.show(&format!(
            "{}: {} objects left, {}",
            args.name,
            left(&answer),
            bytes(answer["left"]["bytes"].as_u64().unwrap_or(0))
        ));
        std::thread::park_timeout(LOOK);
    }
}

/// Rows that still speak for keys.
fn left(answer: &Value) -> u64 {
    let count = |name: &str| answer["left"][name].as_u64().unwrap_or(0);
    count("archived") + count("others")
}

fn draw(answer: &Value) -> String {
    let (name, mode) = (answer["name"].as_str().unwrap_or_default(), answer["mode"].as_str().unwrap_or("-"));
    let mut text = format!("{name} is {mode}\n");
    if let Some(rules) = answer["rules_taken_over"].as_u64().filter(|rules| *rules > 0) {
        text.push_str(&format!("{rules} rules of the store are the gateway's now\n"));
    }
    match answer["rules"]["given_back"].as_str() {
        Some("original") => text.push_str("the store has its rules back as they were\n"),
        Some("rendered") => text.push_str("the store has the rules as they are now\n"),
        _ => {}
    }
    for rule in answer["rules"]["left_out"].as_array().into_iter().flatten() {
        let rule = printable(rule.as_str().unwrap_or_default());
        text.push_str(&format!("rule {rule} leads to tape only and ends here\n"));
    }
    let described = answer["left"]["stuck"].as_array().map_or(&[][..], Vec::as_slice);
    for stuck in described {
        let part = |name: &str| printable(stuck[name].as_str().unwrap_or_default());
        text.push_str(&format!("not back: {}: {}\n", part("key"), part("detail")));
    }
    let others = answer["left"]["stuck_count"].as_u64().unwrap_or(0).saturating_sub(described.len() as u64);
    if others > 0 {
        text.push_str(&format!("not back: {others} others\n"));
    }
    text
}

const BUCKETS: &[Column] = &[
    ("BUCKET", "name", Show::Plain),
    ("MODE", "mode", Show::Plain),
    ("MIGRATES", "migrates", Show::Flag),
    ("EXCLUSIVE", "exclusive", Show::Flag),
    ("RULES", "rules", Show::Plain),
    ("ENABLED", "rules_enabled", Show::Plain),
    ("ON TAPE", "has_archives", Show::Flag),
];
