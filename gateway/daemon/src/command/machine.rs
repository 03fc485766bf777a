//! `tapegate library`, `drive` and `task`: the machines, and what hands do for them.

use std::time::Duration;

use console::{Hands, MachineAction, MachineOrder, Question};
use serde_json::{Value, json};

use super::line::Line;
use super::{DRIVES, LIBRARIES, listing, pauses, print, rows_of};
use crate::cli::{At, DriveCommand, ExportArgs, HandsCommand, LibraryCommand, TaskCommand};
use crate::client::Client;
use crate::error::Error;
use crate::table::{Column, Show, sheet};

/// Time between two questions after what takes long: the gateway waits a while with its answer, too.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// Time between two looks at what goes on in the gateway.
const LOOK: Duration = Duration::from_secs(1);

/// `tapegate library`
pub fn library(command: LibraryCommand) -> Result<(), Error> {
    match command {
        LibraryCommand::List(at) => listing(&at, &Question::Libraries, "libraries", LIBRARIES),
        LibraryCommand::Inventory { name, at } => {
            listing(&at, &Question::Inventory { library: name }, "elements", ELEMENTS)
        }
        LibraryCommand::Hold { name, at } => pauses::hold(&at, name, true),
        LibraryCommand::Release { name, at } => pauses::hold(&at, name, false),
        LibraryCommand::Rescan { name, at } => {
            let answer = carry_out(&at, MachineAction::Rescan { library: name })?;
            print(&at, &answer, |answer| rows_of(answer, "elements", ELEMENTS))
        }
        LibraryCommand::Export(args) => export(&args),
        LibraryCommand::Import { barcode, library, at } => import(&at, library, barcode),
        LibraryCommand::Label { barcode, pool, overwrite_volume, at } => {
            let action = MachineAction::Label { barcode, pool, overwrite: overwrite_volume };
            let answer = carry_out(&at, action)?;
            print(&at, &answer, |answer| sheet(&answer["volume"]))
        }
        LibraryCommand::Load { barcode, drive, at } => tell(&at, MachineAction::Load { barcode, drive }),
        LibraryCommand::Unload { name, at } => tell(&at, MachineAction::Unload { name }),
        LibraryCommand::Clean { drive, at } => tell(&at, MachineAction::Clean { drive }),
        LibraryCommand::Hands(HandsCommand::Take { barcode, at }) => {
            tell(&at, MachineAction::Hands { barcode, hands: Hands::Take })
        }
        LibraryCommand::Hands(HandsCommand::Put { barcode, slot, at }) => {
            let hands = if slot { Hands::Slot } else { Hands::Mail };
            tell(&at, MachineAction::Hands { barcode, hands })
        }
    }
}

/// `tapegate drive`
pub fn drive(command: DriveCommand) -> Result<(), Error> {
    match command {
        DriveCommand::List(at) => listing(&at, &Question::Drives, "drives", DRIVES),
        DriveCommand::Up { drive, at } => tell(&at, MachineAction::DriveUp { drive }),
        DriveCommand::Down { drive, why, at } => tell(&at, MachineAction::DriveDown { drive, why }),
        DriveCommand::History { drive, at } => {
            let answer = Client::new(&at).ask(&Question::DriveHistory { drive })?;
            print(&at, &answer, |answer| format!("{}\n{}", sheet(answer), rows_of(answer, "events", EVENTS)))
        }
    }
}

/// `tapegate task`
pub fn task(command: TaskCommand) -> Result<(), Error> {
    let TaskCommand::List(at) = command;
    listing(&at, &Question::Tasks, "tasks", TASKS)
}

/// Orders every cartridge out first, so that what one waits for holds up none of the others, then sees them go.
fn export(args: &ExportArgs) -> Result<(), Error> {
    let at = &args.at;
    let mut client = Client::new(at);
    let orders: Vec<MachineOrder> = args.names.iter().map(|name| order(action(args, name))).collect();
    let mut answers = Vec::new();
    for order in &orders {
        answers.push(client.ask(&Question::Machines(order.clone()))?);
    }
    let mut line = Line::new(at);
    for (order, answer) in orders.iter().zip(&mut answers) {
        while answer["done"] != true {
            line.show(&format!("{}: {}", text(answer, "barcode"), progress(answer)));
            std::thread::park_timeout(LOOK);
            *answer = client.ask(&Question::Machines(order.clone()))?;
        }
    }
    line.end();
    print(at, &json!({"pick_list": answers}), |answer| {
        let next = "take the cartridges out of the mail slots and to their places\n";
        let rows = rows_of(answer, "pick_list", PICK_LIST);
        if args.cancel { rows } else { format!("{rows}\n{next}") }
    })
}

fn action(args: &ExportArgs, name: &str) -> MachineAction {
    let name = name.to_owned();
    match &args.to {
        Some(place) => MachineAction::Export { name, place: place.clone(), only_copy: args.only_copy },
        None => MachineAction::Keep { name },
    }
}

/// What a cartridge on its way out waits for.
fn progress(answer: &Value) -> String {
    match answer["unverified"].as_u64().unwrap_or(0) {
        _ if answer["detail"].is_string() => text(answer, "detail").to_owned(),
        0 => "on its way to a mail slot".to_owned(),
        packs => format!("{packs} packs are still to be verified"),
    }
}

fn import(at: &At, library: Option<String>, barcode: Option<String>) -> Result<(), Error> {
    let answer = carry_out(at, MachineAction::Import { library, barcode })?;
    print(at, &answer, |answer| {
        if answer["arrived"].as_array().is_some_and(Vec::is_empty) {
            return "nothing was put into the mail slots; a cartridge named by barcode is taken in anyway\n"
                .to_owned();
        }
        rows_of(answer, "arrived", ARRIVED)
    })?;
    let arrived = answer["arrived"].as_array().map_or(&[][..], Vec::as_slice);
    let failed = |row: &&Value| row["outcome"] == "mismatch" || row["outcome"] == "failed";
    match arrived.iter().filter(failed).count() {
        0 => Ok(()),
        count => Err(Error::Partial {
            what: format!(
                "{count} cartridges are not what they should be or could not be looked at (see DETAIL)"
            ),
        }),
    }
}

/// Has something done and tells what came of it.
fn tell(at: &At, action: MachineAction) -> Result<(), Error> {
    let answer = carry_out(at, action)?;
    print(at, &answer, sheet)
}

/// Asks until it is done; the gateway goes on with it whether or not somebody asks.
fn carry_out(at: &At, action: MachineAction) -> Result<Value, Error> {
    let question = Question::Machines(order(action));
    let mut client = Client::new(at);
    let mut line = Line::new(at);
    loop {
        let answer = client.ask(&question)?;
        if answer["done"] == true {
            line.end();
            return Ok(answer);
        }
        let drives = answer["drives"].as_array().map_or(&[][..], Vec::as_slice);
        let at_work = drives.iter().filter(|drive| drive["doing"].is_string());
        let doing: Vec<String> = at_work
            .map(|drive| format!("drive {} {}", text(drive, "serial"), text(drive, "doing")))
            .collect();
        line.show(&if doing.is_empty() { "the library is at it".to_owned() } else { doing.join("; ") });
        std::thread::park_timeout(ASK_AGAIN);
    }
}

/// An order with a ticket of its own.
fn order(action: MachineAction) -> MachineOrder {
    let ticket = hex::encode(crate::clock::random_bytes::<8>());
    MachineOrder { action, ticket }
}

fn text<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().unwrap_or_default()
}

const ELEMENTS: &[Column] = &[
    ("LIBRARY", "library", Show::Plain),
    ("ELEMENT", "element", Show::Plain),
    ("KIND", "kind", Show::Plain),
    ("FULL", "full", Show::Flag),
    ("BARCODE", "barcode", Show::Plain),
    ("POOL", "pool", Show::Plain),
    ("STATE", "state", Show::Plain),
    ("VOLUME", "volume", Show::Plain),
];
const PICK_LIST: &[Column] = &[
    ("BARCODE", "barcode", Show::Plain),
    ("ELEMENT", "element", Show::Plain),
    ("MAIL SLOT", "in_mail_slot", Show::Flag),
    ("PLACE", "place", Show::Plain),
    ("POOL", "pool", Show::Plain),
    ("PACKS", "packs", Show::Plain),
    ("SIZE", "bytes", Show::Bytes),
    ("VOLUME", "volume", Show::Plain),
];
const ARRIVED: &[Column] = &[
    ("LIBRARY", "library", Show::Plain),
    ("BARCODE", "barcode", Show::Plain),
    ("OUTCOME", "outcome", Show::Plain),
    ("VOLUME", "volume", Show::Plain),
    ("DETAIL", "detail", Show::Plain),
];
const EVENTS: &[Column] = &[
    ("TIME", "time", Show::Plain),
    ("EVENT", "event", Show::Plain),
    ("BARCODE", "barcode", Show::Plain),
    ("DETAIL", "detail", Show::Plain),
];
pub(super) const TASKS: &[Column] = &[
    ("CODE", "code", Show::Plain),
    ("TASK", "task", Show::Plain),
    ("BARCODE", "barcode", Show::Plain),
    ("PLACE", "place", Show::Plain),
    ("MAIL SLOT", "mail_slot", Show::Plain),
    ("RESTORES", "restores", Show::Plain),
    ("SIZE", "bytes", Show::Bytes),
    ("SINCE", "since", Show::Plain),
    ("LIBRARY", "library", Show::Plain),
];
