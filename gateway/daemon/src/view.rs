//! Rows of the book of record as JSON: what the admin API answers and `--json` prints. Names here are a contract with
//! scripts: extend, never rename. Times are ISO 8601 in UTC, sizes are bytes, states are in lower case.

mod machine;

use engine::{DrainProgress, Exposure, Health, PoolSettings, PoolView, Shortage, Usage};
use library::{DriveState, DriveStatus, Inventory};
use model::catalog::{Bucket, Counts};
use model::pack::{CopyEnd, Pack, PackCopy, PackCopyState};
use model::volume::{Volume, VolumeCheck, VolumeState};
use model::{Archive, ArchiveState, BucketName, PoolName, RestoreJob, RestoreState};
use serde_json::{Value, json};

pub use machine::{add_volume, arrived, export, history, task};

/// A volume, and how much of it lives.
pub fn volume(volume: &Volume, usage: Usage) -> Value {
    let detail = match &volume.state {
        VolumeState::Reclaiming { retire: true } => Some("it is retired afterwards".to_owned()),
        VolumeState::Pending { until } => Some(until.to_string()),
        VolumeState::Suspect { why } => Some(why.clone()),
        VolumeState::Offline { place, .. } => Some(place.clone()),
        _ => volume.leaving.as_ref().map(|leaving| format!("on its way to {}", leaving.place)),
    };
    json!({
        "id": volume.id.to_string(),
        "barcode": volume.barcode,
        "library": volume.library,
        "medium_serial": volume.medium_serial,
        "pool": volume.pool.as_ref().map(|pool| pool.as_str()),
        "state": word(volume.state.stage()),
        "detail": detail,
        "leaving_to": volume.leaving.as_ref().map(|leaving| leaving.place.as_str()),
        "generation": volume.generation,
        "capacity_bytes": volume.capacity_bytes,
        "remaining_bytes": volume.remaining_bytes,
        "live_packs": usage.live_packs,
        "live_bytes": usage.live_bytes,
        "dead_bytes": usage.dead_bytes,
        "check": volume.check.as_ref().map(check),
        "unclean": volume.unclean,
        "created": volume.created.to_string(),
    })
}

/// A full read-back.
fn check(check: &VolumeCheck) -> Value {
    json!({
        "asked": check.asked.to_string(),
        "good": check.good,
        "damaged": check.damaged,
        "finished": check.finished.map(|time| time.to_string()),
    })
}

/// What is whole on one volume alone.
pub fn exposure(exposure: &Exposure) -> Value {
    let (objects, bytes) = exposure.objects();
    let bucket = |(name, (objects, bytes)): (&BucketName, &(u64, u64))| json!({"bucket": name.as_str(), "objects": objects, "bytes": bytes});
    json!({
        "packs": exposure.packs.len(),
        "pack_bytes": exposure.pack_bytes,
        "objects": objects,
        "bytes": bytes,
        "buckets": exposure.buckets.iter().map(bucket).collect::<Vec<_>>(),
    })
}

/// A copy of a pack, with what is known of the pack.
pub fn pack_copy(copy: &PackCopy, pack: Option<&Pack>) -> Value {
    let place = copy.state.place();
    let detail = match copy.state {
        PackCopyState::Dead { why: CopyEnd::GivenUp } => Some("given up before it was relied on"),
        PackCopyState::Dead { why: CopyEnd::Unused } => Some("nothing in it lives"),
        PackCopyState::Dead { why: CopyEnd::Replaced } => Some("another copy took its place"),
        PackCopyState::Dead { why: CopyEnd::VolumeLost } => Some("its cartridge is destroyed"),
        _ => None,
    };
    json!({
        "pack": copy.pack.to_string(),
        "copy": copy.number,
        "pool": copy.pool.as_str(),
        "volume": copy.volume.map(|volume| volume.to_string()),
        "state": word(copy.state.stage()),
        "detail": detail,
        "start_block": place.map(|(start, _)| start),
        "blocks": place.map(|(_, blocks)| blocks),
        "bytes": pack.map(|pack| pack.bytes),
        "members": pack.map(|pack| pack.members),
        "key": pack.and_then(|pack| pack.seal.as_ref()).map(|seal| &seal.key),
        "digest": pack.map(|pack| hex::encode(pack.digest)),
        "created": pack.map(|pack| pack.created.to_string()),
    })
}

/// An archive.
pub fn archive(archive: &Archive) -> Value {
    let (detail, retry_at) = match &archive.state {
        ArchiveState::Failed { reason, retry_at } => (Some(reason.clone()), Some(retry_at.to_string())),
        _ => (None, None),
    };
    let extents = archive.extents.iter().map(|extent| {
        json!({
            "pack": extent.pack.to_string(),
            "offset": extent.offset,
            "length": extent.length,
            "digest": hex::encode(extent.digest),
        })
    });
    json!({
        "id": archive.id.to_string(),
        "bucket": archive.bucket.as_str(),
        "key": archive.key.as_str(),
        "class": archive.class.as_str(),
        "pool": archive.pool.as_str(),
        "direct": archive.direct,
        "size": archive.size,
        "last_modified": archive.last_modified.map(|time| time.to_string()),
        "state": word(archive.state.stage()),
        "since": archive.since.to_string(),
        "detail": detail,
        "retry_at": retry_at,
        "extents": extents.collect::<Vec<_>>(),
    })
}

/// A restore.
pub fn restore(job: &RestoreJob) -> Value {
    let (until, detail) = match &job.state {
        RestoreState::Copied { until } => (Some(until.to_string()), None),
        RestoreState::Failed { reason } => (None, Some(reason.clone())),
        _ => (None, None),
    };
    json!({
        "id": job.id.to_string(),
        "archive": job.archive.to_string(),
        "bucket": job.bucket.as_str(),
        "key": job.key.as_str(),
        "tier": job.tier.as_str(),
        "days": job.days,
        "created": job.created.to_string(),
        "state": word(job.state.stage()),
        "until": until,
        "detail": detail,
        "failures": job.failures,
    })
}

/// A bucket of which the book of record knows something, or nothing yet.
pub fn bucket(name: &str, known: Option<&Bucket>) -> Value {
    let rules =
        known.and_then(|bucket| bucket.lifecycle.as_ref()).map_or(&[][..], |lifecycle| &lifecycle.rules);
    json!({
        "name": name,
        "store_rules_kept": known.is_some_and(|bucket| bucket.store_rules.is_some()),
        "rules": rules.len(),
        "rules_enabled": rules.iter().filter(|rule| rule.enabled).count(),
        "has_archives": known.is_some_and(|bucket| bucket.has_archives),
    })
}

/// What is left to be brought back of a bucket.
pub fn drain(progress: &DrainProgress) -> Value {
    let stuck = progress.stuck.iter().map(
        |stuck| json!({"key": stuck.key.as_str(), "detail": stuck.why, "since": stuck.since.to_string()}),
    );
    json!({
        "archived": progress.archived,
        "bytes": progress.archived_bytes,
        "others": progress.others,
        "stuck_count": progress.stuck_count,
        "stuck": stuck.collect::<Vec<_>>(),
    })
}

/// What is short of copies, in all and pool by pool.
pub fn health(health: &Health) -> Value {
    let pool = |(name, shortage): (&PoolName, &Shortage)| {
        json!({
            "pool": name.as_str(),
            "packs": shortage.short.packs,
            "bytes": shortage.short.bytes,
            "coming": shortage.coming.packs,
            "lost": shortage.lost.packs,
        })
    };
    json!({
        "packs": health.degraded.packs,
        "bytes": health.degraded.bytes,
        "lost": health.lost.packs,
        "pools": health.pools.iter().map(pool).collect::<Vec<_>>(),
    })
}

/// How many rows there are.
pub fn counts(counts: &Counts) -> Value {
    let archives = counts
        .archives
        .iter()
        .map(|(stage, count, bytes)| json!({"state": word(stage), "count": count, "bytes": bytes}));
    let restores = counts.restores.iter().map(|(stage, count)| json!({"state": word(stage), "count": count}));
    let copies = counts.copies.iter().map(|(stage, count)| json!({"state": word(stage), "count": count}));
    json!({
        "archives": archives.collect::<Vec<_>>(),
        "restores": restores.collect::<Vec<_>>(),
        "copies": copies.collect::<Vec<_>>(),
    })
}

/// How many volumes there are of each state.
pub fn volume_counts(volumes: &[Volume]) -> Value {
    let mut counts = std::collections::BTreeMap::<String, u64>::new();
    for volume in volumes {
        *counts.entry(word(volume.state.stage())).or_default() += 1;
    }
    counts.into_iter().map(|(state, count)| json!({"state": state, "count": count})).collect()
}

/// A drive.
pub fn drive(library: &str, drive: &DriveStatus) -> Value {
    let (state, why) = match &drive.state {
        DriveState::Idle => ("idle", None),
        DriveState::Busy => ("busy", None),
        DriveState::Cleaning => ("cleaning", None),
        DriveState::Down { why } => ("down", Some(why)),
    };
    json!({
        "library": library,
        "serial": drive.serial,
        "element": drive.element,
        "state": state,
        "detail": why,
        "barcode": drive.barcode.as_ref().map(|barcode| barcode.as_str()),
        "volume": drive.mounted.map(|uuid| uuid.to_string()),
        "last_error": drive.last_error,
        "doing": drive.doing,
        "wants_cleaning": drive.wants_cleaning,
    })
}

/// A pool. `days_left` is for how long the cartridges of its library last at the rate of the last seven days.
pub fn pool(pool: &PoolView, settings: &PoolSettings) -> Value {
    use model::volume::VolumeStage::{Filling, Full};
    let count = |stage| pool.volumes.get(&stage).copied().unwrap_or(0);
    let states = pool.volumes.iter().map(|(stage, count)| json!({"state": word(stage), "count": count}));
    let copies: Vec<&str> = settings.copies.iter().map(|copy| copy.as_str()).collect();
    json!({
        "name": pool.name.as_str(),
        "library": pool.library,
        "copies": copies,
        "copies_text": copies.join(", "),
        "compression": settings.compression.to_string(),
        "affinity": settings.affinity.to_string(),
        "generation": settings.generation.map(|generation| generation.to_string()),
        "drives_max": settings.drives_max,
        "volumes": states.collect::<Vec<_>>(),
        "volumes_filling": count(Filling),
        "volumes_full": count(Full),
        "volumes_other": pool.volumes.values().sum::<u64>() - count(Filling) - count(Full),
        "free_bytes": pool.free_bytes,
        "queued_bytes": pool.queued_bytes,
        "queued_packs": pool.queued_packs,
        "scratch": pool.forecast.scratch,
        "library_free_bytes": pool.forecast.free_bytes,
        "library_written_bytes_7_days": pool.forecast.written_bytes,
        "days_left": pool.forecast.days,
    })
}

/// The elements of a library.
pub fn inventory(library: &str, inventory: &Inventory) -> Vec<Value> {
    let element = |kind: &str, element: u16, full: bool, barcode: Option<&library::Barcode>| {
        json!({
            "library": library,
            "element": element,
            "kind": kind,
            "full": full,
            "barcode": barcode.map(|barcode| barcode.as_str()),
            "volume": null,
            "pool": null,
            "state": null,
        })
    };
    let slot = |kind: &str, slot: &library::Slot| {
        let mut row = element(kind, slot.element, slot.full, slot.barcode.as_ref());
        row["reachable"] = json!(slot.reachable);
        row["by_hand"] = json!(slot.by_hand);
        row
    };
    let slots = inventory.slots.iter().map(|one| slot("slot", one));
    let mail = inventory.mail_slots.iter().map(|one| slot("mail", one));
    let drives = inventory
        .drives
        .iter()
        .map(|drive| element("drive", drive.element, drive.full, drive.barcode.as_ref()));
    drives.chain(mail).chain(slots).collect()
}

/// A stage as a word.
pub(crate) fn word(stage: impl std::fmt::Debug) -> String {
    format!("{stage:?}").to_ascii_lowercase()
}
