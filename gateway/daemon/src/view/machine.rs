//! What happens to cartridges and drives, as JSON.

use engine::{Arrived, Export, Task};
use library::{DriveNews, History};
use model::Timestamp;
use model::volume::{Volume, VolumeStage};
use serde_json::{Value, json};

use super::word;

/// Says which volume is in an element, as far as a barcode can: what is on a cartridge shows when it is mounted.
pub fn add_volume(element: &mut Value, volumes: &[Volume]) {
    let counts = |volume: &&Volume| {
        element["barcode"] == *volume.barcode
            && element["library"] == *volume.library
            && volume.state.stage() != VolumeStage::Preparing
    };
    let mut named: Vec<&Volume> = volumes.iter().filter(counts).collect();
    // One that is history comes last.
    named.sort_by_key(|volume| volume.state.stage() == VolumeStage::Retired);
    if let Some(volume) = named.first() {
        element["volume"] = json!(volume.id.to_string());
        element["pool"] = json!(volume.pool.as_ref().map(|pool| pool.as_str()));
        element["state"] = json!(word(volume.state.stage()));
    }
}

/// How far an order to take a volume out is: a line of the pick list.
pub fn export(export: &Export) -> Value {
    json!({
        "volume": export.volume.id.to_string(),
        "barcode": export.volume.barcode,
        "library": export.volume.library,
        "pool": export.volume.pool.as_ref().map(|pool| pool.as_str()),
        "state": word(export.volume.state.stage()),
        "place": export.place,
        "element": export.element,
        "in_mail_slot": export.in_mail_slot,
        "packs": export.packs,
        "bytes": export.bytes,
        "unverified": export.unverified,
        "detail": export.waits,
        "done": export.done,
    })
}

/// A cartridge that was taken in.
pub fn arrived(arrived: &Arrived) -> Value {
    json!({
        "library": arrived.library,
        "barcode": arrived.barcode,
        "mail_slot": arrived.mail_slot,
        "outcome": word(arrived.kind),
        "volume": arrived.volume.map(|volume| volume.to_string()),
        "detail": arrived.detail,
    })
}

/// Something only hands can do.
pub fn task(task: &Task) -> Value {
    let instead = task.instead.iter().map(|(barcode, place)| json!({"barcode": barcode, "place": place}));
    json!({
        "code": task.kind.code(),
        "task": word(task.kind),
        "volume": task.volume.to_string(),
        "barcode": task.barcode,
        "library": task.library,
        "place": task.place,
        "mail_slot": task.mail_slot,
        "restores": task.restores,
        "bytes": task.bytes,
        "since": task.since.map(|since| since.to_string()),
        "instead": instead.collect::<Vec<_>>(),
    })
}

/// What a drive has been through.
pub fn history(library: &str, serial: &str, history: &History) -> Value {
    let events = history.events.iter().map(|event| {
        let (what, barcode, detail) = match &event.news {
            DriveNews::Loaded(barcode) => ("loaded", Some(barcode), None),
            DriveNews::Cleaned(barcode) => ("cleaned", Some(barcode), None),
            DriveNews::Failed(text) => ("failed", None, Some(text)),
            DriveNews::Alert(text) => ("alert", None, Some(text)),
            DriveNews::Down(text) => ("down", None, Some(text)),
            DriveNews::Up => ("up", None, None),
        };
        json!({
            "time": Timestamp::from(event.at).to_string(),
            "event": what,
            "barcode": barcode.map(library::Barcode::as_str),
            "detail": detail,
        })
    });
    json!({
        "library": library,
        "serial": serial,
        "loads": history.loads,
        "cleanings": history.cleanings,
        "errors": history.errors,
        "events": events.collect::<Vec<_>>(),
    })
}
