//! `tapegate pool`: how pools stand, and their copies.

use console::{Question, Repair};
use model::PoolName;
use serde_json::Value;

use super::line::Line;
use super::volume::LOOK;
use super::{listing, print, rows_of};
use crate::cli::{At, PoolCommand};
use crate::client::Client;
use crate::error::Error;
use crate::table::{Column, Show, bytes};

/// `tapegate pool`
pub fn pool(command: PoolCommand) -> Result<(), Error> {
    match command {
        PoolCommand::List(at) => listing(&at, &Question::Pools, "pools", POOLS),
        PoolCommand::Repair { pool, all: _, at } => repair(&at, pool),
    }
}

/// Asks until it is done; the gateway goes on with it whether or not somebody asks.
fn repair(at: &At, pool: Option<PoolName>) -> Result<(), Error> {
    let question = Question::Repair(Repair { pool });
    let mut client = Client::new(at);
    let mut line = Line::new(at);
    loop {
        let answer = client.ask(&question)?;
        let count = |name: &str| answer[name].as_u64().unwrap_or(0);
        let (left, lost) = (count("copies"), count("lost"));
        if left <= lost {
            line.end();
            print(at, &answer, draw)?;
            return match lost {
                0 => Ok(()),
                lost => Err(Error::Partial {
                    what: format!(
                        "{lost} copies cannot be made again: no whole copy of their packs is left (EN-0142); the rest is made"
                    ),
                }),
            };
        }
        let size = bytes(answer["left"]["bytes"].as_u64().unwrap_or(0));
        line.show(&format!("{left} copies left to make, {size}"));
        std::thread::park_timeout(LOOK);
    }
}

fn draw(answer: &Value) -> String {
    if answer["done"] == true {
        return "every pack has its copies\n".to_owned();
    }
    rows_of(&answer["left"], "pools", SHORTAGES)
}

/// What pools are short of.
pub const SHORTAGES: &[Column] = &[
    ("POOL", "pool", Show::Plain),
    ("SHORT OF", "packs", Show::Plain),
    ("SIZE", "bytes", Show::Bytes),
    ("COMING", "coming", Show::Plain),
    ("LOST", "lost", Show::Plain),
];

const POOLS: &[Column] = &[
    ("POOL", "name", Show::Plain),
    ("LIBRARY", "library", Show::Plain),
    ("FILLING", "volumes_filling", Show::Plain),
    ("FULL", "volumes_full", Show::Plain),
    ("OTHER", "volumes_other", Show::Plain),
    ("FREE", "free_bytes", Show::Bytes),
    ("QUEUED", "queued_bytes", Show::Bytes),
    ("SCRATCH", "scratch", Show::Plain),
    ("DAYS LEFT", "days_left", Show::Plain),
    ("COPIES", "copies_text", Show::Plain),
];
