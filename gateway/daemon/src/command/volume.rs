//! `tapegate volume`: what is on volumes, and what an operator has done with them.

use std::time::Duration;

use console::{Question, VolumeOrder};
use model::{PackId, VolumeId};
use serde_json::{Value, json};

use super::line::Line;
use super::{listing, pages, print, rows_of};
use crate::cli::{At, VolumeCommand, VolumeName};
use crate::client::Client;
use crate::error::Error;
use crate::table::{Column, Show, bytes, sheet};

/// Time between two looks at what goes on in the gateway.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// `tapegate volume`
pub fn volume(command: VolumeCommand) -> Result<(), Error> {
    match command {
        VolumeCommand::List(at) => listing(&at, &Question::Volumes, "volumes", VOLUMES),
        VolumeCommand::Show { volume, contents, at } => {
            let mut client = Client::new(&at);
            let id = volume_id(&mut client, volume)?;
            let mut answer = client.ask(&Question::Volume(id))?;
            let packs = packs_on(&mut client, id)?;
            if contents {
                let mut archives = Vec::new();
                for pack in &packs {
                    archives.extend(archives_of(&mut client, pack)?);
                }
                answer["archives"] = archives.into();
            }
            answer["packs"] = packs.into();
            print(&at, &answer, |answer| {
                let mut text = sheet(answer);
                if let Some(when) = answer["check"]["finished"].as_str() {
                    text.push_str(&format!(
                        "read back until {when}: {}",
                        told(answer, VolumeOrder::Verify {})
                    ));
                }
                text.push_str(&format!("\n{}", only_here(&answer["only_here"])));
                text.push_str(&format!("\n{}", rows_of(answer, "packs", PACKS)));
                if contents {
                    text.push_str(&format!("\n{}", rows_of(answer, "archives", ARCHIVES)));
                }
                text
            })
        }
        VolumeCommand::Reclaim { volume, at } => carry_out(&at, volume, VolumeOrder::Reclaim {}),
        VolumeCommand::Retire { volume, lost, accept_loss, at } => {
            let order = if lost { VolumeOrder::GiveUp { accept_loss } } else { VolumeOrder::Retire {} };
            carry_out(&at, volume, order)
        }
        VolumeCommand::Verify { volume: Some(volume), at, .. } => {
            carry_out(&at, volume, VolumeOrder::Verify {})
        }
        VolumeCommand::Verify { volume: None, at, .. } => verify_all(&at),
    }
}

/// Asks until it is done; the gateway goes on with it whether or not somebody asks.
fn carry_out(at: &At, volume: String, order: VolumeOrder) -> Result<(), Error> {
    let mut client = Client::new(at);
    let id = volume_id(&mut client, volume)?;
    let mut line = Line::new(at);
    let answer = follow(&mut client, id, order, &mut line)?;
    line.end();
    print(at, &answer, |answer| told(answer, order))?;
    match outcome(&answer) {
        None => Ok(()),
        Some(what) => Err(Error::Partial { what }),
    }
}

/// Has every volume that holds something read back, and waits for all of them.
fn verify_all(at: &At) -> Result<(), Error> {
    let mut client = Client::new(at);
    let volumes = client.ask(&Question::Volumes)?;
    let holds =
        |row: &&Value| matches!(row["state"].as_str(), Some("filling" | "full" | "reclaiming" | "suspect"));
    let mut ids = Vec::new();
    for row in volumes["volumes"].as_array().into_iter().flatten().filter(holds) {
        ids.push(volume_id(&mut client, row["id"].as_str().unwrap_or_default().to_owned())?);
    }
    let order = VolumeOrder::Verify {};
    for id in &ids {
        client.ask(&Question::VolumeOrder { volume: *id, order })?;
    }
    let mut line = Line::new(at);
    let mut answers = Vec::new();
    for id in ids {
        answers.push(wait(&mut client, id, &mut line)?);
    }
    line.end();
    let whole = json!({"volumes": answers});
    print(at, &whole, |whole| {
        let rows = whole["volumes"].as_array().into_iter().flatten();
        rows.map(|row| told(row, order)).collect()
    })?;
    let mut bad = whole["volumes"].as_array().into_iter().flatten().filter_map(outcome);
    bad.next().map_or(Ok(()), |what| Err(Error::Partial { what }))
}

/// Gives an order until it is done, or until nothing that is left of it can be done.
fn follow(client: &mut Client, id: VolumeId, order: VolumeOrder, line: &mut Line) -> Result<Value, Error> {
    if order == (VolumeOrder::Verify {}) {
        client.ask(&Question::VolumeOrder { volume: id, order })?;
        return wait(client, id, line);
    }
    let mut begun = false;
    loop {
        let answer = match client.ask(&Question::VolumeOrder { volume: id, order }) {
            // Labelled anew since it was last asked.
            Err(Error::Refused { .. }) if begun && !is_listed(client, id)? => {
                return Ok(json!({"id": id.to_string(), "done": true}));
            }
            other => other?,
        };
        begun = true;
        let count = |name: &str| answer["left"][name].as_u64().unwrap_or(0);
        let (left, stuck) = (count("copies"), count("stuck"));
        if answer["done"] == true || stuck > 0 && stuck == left {
            return Ok(answer);
        }
        line.show(&format!("{id}: {left} packs left to move, {}", bytes(count("bytes"))));
        std::thread::park_timeout(LOOK);
    }
}

fn is_listed(client: &mut Client, id: VolumeId) -> Result<bool, Error> {
    let volumes = client.ask(&Question::Volumes)?;
    let id = id.to_string();
    Ok(volumes["volumes"].as_array().into_iter().flatten().any(|volume| volume["id"] == *id))
}

/// Waits for the read-back of a volume to come to its end.
fn wait(client: &mut Client, id: VolumeId, line: &mut Line) -> Result<Value, Error> {
    loop {
        let answer = client.ask(&Question::Volume(id))?;
        let check = &answer["check"];
        let away = matches!(answer["state"].as_str(), Some("offline" | "retired"));
        if away || !check["finished"].is_null() {
            return Ok(answer);
        }
        let count = |name: &str| check[name].as_u64().unwrap_or(0);
        let of = answer["live_packs"].as_u64().unwrap_or(0);
        line.show(&format!("{id}: {} packs read back, of {of} that live", count("good") + count("damaged")));
        std::thread::park_timeout(LOOK);
    }
}

/// What of an order could not be done; nothing when all was.
fn outcome(answer: &Value) -> Option<String> {
    let name = answer["barcode"].as_str().or(answer["id"].as_str()).unwrap_or_default();
    let damaged = answer["check"]["damaged"].as_u64().unwrap_or(0);
    let stuck = answer["left"]["stuck"].as_u64().unwrap_or(0);
    if stuck > 0 {
        let help = "no whole copy of them is left: bring back cartridges that are away, or give them up with `volume retire --lost`";
        return Some(format!("{stuck} packs cannot be moved off {name}: {help}"));
    }
    if answer["left"].is_null() && answer["done"].is_null() {
        if answer["check"]["finished"].is_null() {
            let state = answer["state"].as_str().unwrap_or_default();
            return Some(format!("{name} could not be read back to its end: it is {state}"));
        }
        return (damaged > 0).then(|| {
            format!(
                "{damaged} packs on {name} are damaged: `tapegate pool repair --all` makes their copies again"
            )
        });
    }
    None
}

fn told(answer: &Value, order: VolumeOrder) -> String {
    let name = answer["barcode"].as_str().or(answer["id"].as_str()).unwrap_or_default();
    match order {
        VolumeOrder::Verify {} => {
            let count = |what: &str| answer["check"][what].as_u64().unwrap_or(0);
            format!("{name}: {} packs are what was written, {} are not\n", count("good"), count("damaged"))
        }
        VolumeOrder::Reclaim {} => match answer["detail"].as_str() {
            Some(until) if answer["done"] == true => {
                format!("{name} is empty; its cartridge is labelled anew after {until}\n")
            }
            _ if answer["done"] == true => format!("{name} is empty; its cartridge was labelled anew\n"),
            _ => format!("{name} is not empty\n"),
        },
        VolumeOrder::Retire {} | VolumeOrder::GiveUp { .. } if answer["done"] == true => {
            format!("{name} is retired\n")
        }
        VolumeOrder::Retire {} | VolumeOrder::GiveUp { .. } => format!("{name} is not empty\n"),
    }
}

/// What else dies if the volume breaks.
fn only_here(exposure: &Value) -> String {
    let count = |name: &str| exposure[name].as_u64().unwrap_or(0);
    if count("packs") == 0 {
        return "nothing living is on this volume alone\n".to_owned();
    }
    let (objects, size) = (count("objects"), bytes(count("bytes")));
    let packs = count("packs");
    format!(
        "on this volume alone: {objects} objects, {size}, in {packs} packs\n{}",
        rows_of(exposure, "buckets", BUCKETS)
    )
}

fn volume_id(client: &mut Client, name: String) -> Result<VolumeId, Error> {
    let barcode = match VolumeName::from(name) {
        VolumeName::Id(id) => return Ok(id),
        VolumeName::Barcode(barcode) => barcode,
    };
    let volumes = client.ask(&Question::Volumes)?;
    let volumes = volumes["volumes"].as_array().map_or(&[][..], Vec::as_slice);
    let named: Vec<&str> = volumes
        .iter()
        .filter(|volume| volume["barcode"] == *barcode)
        .filter_map(|volume| volume["id"].as_str())
        .collect();
    match named[..] {
        [id] => id.parse().map_err(|_| Error::Refused { message: format!("{id} is not a volume UUID") }),
        [] => Err(Error::Refused {
            message: format!("there is no volume {barcode}; `tapegate volume list` shows those there are"),
        }),
        _ => Err(Error::Refused {
            message: format!(
                "barcode {barcode} is on several volumes; name one by UUID: {}",
                named.join(", ")
            ),
        }),
    }
}

fn packs_on(client: &mut Client, volume: VolumeId) -> Result<Vec<Value>, Error> {
    pages(client, "packs", |after| {
        let after = after.map(str::parse).transpose().map_err(|_| ())?;
        Ok(Question::PacksOn { volume, after })
    })
}

fn archives_of(client: &mut Client, pack: &Value) -> Result<Vec<Value>, Error> {
    let id = pack["pack"].as_str().unwrap_or_default();
    let pack: PackId =
        id.parse().map_err(|_| Error::Refused { message: format!("{id:?} is not a pack id") })?;
    pages(client, "archives", |after| {
        let after = after.map(str::parse).transpose().map_err(|_| ())?;
        Ok(Question::ArchivesOf { pack, after })
    })
}

const VOLUMES: &[Column] = &[
    ("VOLUME", "id", Show::Plain),
    ("BARCODE", "barcode", Show::Plain),
    ("LIBRARY", "library", Show::Plain),
    ("POOL", "pool", Show::Plain),
    ("STATE", "state", Show::Plain),
    ("CAPACITY", "capacity_bytes", Show::Bytes),
    ("LEFT", "remaining_bytes", Show::Bytes),
    ("LIVE", "live_bytes", Show::Bytes),
    ("DEAD", "dead_bytes", Show::Bytes),
    ("DETAIL", "detail", Show::Plain),
];
const PACKS: &[Column] = &[
    ("PACK", "pack", Show::Plain),
    ("COPY", "copy", Show::Plain),
    ("POOL", "pool", Show::Plain),
    ("STATE", "state", Show::Plain),
    ("BLOCK", "start_block", Show::Plain),
    ("SIZE", "bytes", Show::Bytes),
    ("MEMBERS", "members", Show::Plain),
    ("DETAIL", "detail", Show::Plain),
];
const ARCHIVES: &[Column] = &[
    ("ARCHIVE", "id", Show::Plain),
    ("STATE", "state", Show::Plain),
    ("SIZE", "size", Show::Bytes),
    ("BUCKET", "bucket", Show::Plain),
    ("KEY", "key", Show::Plain),
];
const BUCKETS: &[Column] =
    &[("BUCKET", "bucket", Show::Plain), ("OBJECTS", "objects", Show::Plain), ("SIZE", "bytes", Show::Bytes)];
