//! The restore queue: accepted restores are routed to the hot bytes or to their volumes, and come to an end.

use std::ops::ControlFlow;

use model::archive::ArchiveStage;
use model::catalog::{CatalogError, Change};
use model::limits::TRANSACTION_ROWS_MAX;
use model::pack::{PackCopy, PackCopyStage};
use model::restore::RestoreStage;
use model::store::StoreError;
use model::volume::VolumeStage;
use model::{Archive, Identity, JobId, Remedy, RestoreJob, RestoreState};

use crate::error::{Error, chain};
use crate::flip::milliseconds;
use crate::house::{House, current};
use crate::schedule::Piece;

/// How often reading may fail before a restore ends as failed.
const FAILURES_MAX: u32 = 5;
const PAGE: usize = 1_000;

/// Routes accepted restores: those whose bytes are still on the store are copied from there, the others queue for
/// their volumes. Counts those that moved on.
pub async fn route(house: &House) -> Result<u64, Error> {
    let mut moved = 0;
    let mut after: Option<JobId> = None;
    loop {
        let jobs = house.catalog.restores_in(RestoreStage::Accepted, after, PAGE).await?;
        let Some(last) = jobs.last() else { return Ok(moved) };
        after = Some(last.id);
        let mut queued = Vec::new();
        for mut job in jobs {
            if is_held(house, &job) {
                continue;
            }
            match destination(house, &job).await? {
                Destination::Tape => {
                    job.advance(RestoreState::Queued);
                    queued.push(Change::Restore(job));
                }
                Destination::Hot(archive) => moved += u64::from(copy_hot(house, job, &archive).await?),
                Destination::Gone => {
                    job.advance(RestoreState::Lapsed);
                    queued.push(Change::Restore(job));
                }
                Destination::Later => {}
            }
        }
        moved += queued.len() as u64;
        if !queued.is_empty() {
            house.catalog.commit(queued).await?;
        }
    }
}

/// Tests may keep restores ongoing for a while, so that clients can be seen to wait.
fn is_held(house: &House, job: &RestoreJob) -> bool {
    house.now() < job.created.plus_milliseconds(milliseconds(house.settings.restore_hold))
}

enum Destination {
    Tape,
    Hot(Box<Archive>),
    Gone,
    Later,
}

async fn destination(house: &House, job: &RestoreJob) -> Result<Destination, Error> {
    let Some(archive) = house.catalog.archive(job.archive).await? else { return Ok(Destination::Gone) };
    Ok(match archive.state.stage() {
        ArchiveStage::Dead | ArchiveStage::Withdrawn => Destination::Gone,
        ArchiveStage::Declared | ArchiveStage::Flipping => Destination::Later,
        ArchiveStage::Archived if !archive.keeps_bytes() => Destination::Tape,
        _ => Destination::Hot(Box::new(archive)),
    })
}

/// Copies an object whose own bytes are still on the store; false when it changed and is routed again later.
async fn copy_hot(house: &House, job: RestoreJob, archive: &Archive) -> Result<bool, Error> {
    let target = current(archive);
    let Some(head) = house.store.head(&target).await? else { return Ok(false) };
    let same = head.marker.as_ref().is_some_and(|marker| marker.archive == archive.id)
        || archive.identity.as_ref() == Some(&Identity::of(&head));
    if !same || head.size != archive.size {
        return Ok(false);
    }
    let bytes = match house.store.read(&target, &head.etag, 0..head.size).await {
        Ok(bytes) => bytes,
        Err(StoreError::Changed { .. } | StoreError::Missing { .. }) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    house.store.put_copy(archive.id, archive.size, bytes).await?;
    copied(house, job).await?;
    Ok(true)
}

/// Ends a restore whose copy is durable on the store.
pub(crate) async fn copied(house: &House, mut job: RestoreJob) -> Result<(), Error> {
    let until = house.settings.day.end(house.now(), job.days);
    job.advance(RestoreState::Copied { until });
    match house.catalog.commit(vec![Change::Restore(job)]).await {
        // The archive's end lapsed the restore meanwhile; the reaper removes the copy.
        Err(CatalogError::Conflict { .. }) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The queued restores as pieces on volumes. Restores whose volumes are all out of reach are left for later; those
/// without any copy end as failed. Progress made on cut objects is skipped.
pub async fn pieces(house: &House) -> Result<Vec<Piece>, Error> {
    let mut pieces = Vec::new();
    let mut places = Places::default();
    let mut after: Option<JobId> = None;
    loop {
        let jobs = house.catalog.restores_in(RestoreStage::Queued, after, PAGE).await?;
        let Some(last) = jobs.last() else { return Ok(pieces) };
        after = Some(last.id);
        for job in jobs {
            match pieces_of(house, &job, &mut places).await? {
                ControlFlow::Continue(found) => pieces.extend(found),
                ControlFlow::Break(error) => fail(house, job, &error).await?,
            }
        }
    }
}

async fn pieces_of(
    house: &House,
    job: &RestoreJob,
    places: &mut Places,
) -> Result<ControlFlow<Error, Vec<Piece>>, Error> {
    let Some(archive) = house.catalog.archive(job.archive).await?.filter(|a| a.state.stage().is_live())
    else {
        return Ok(ControlFlow::Continue(Vec::new()));
    };
    let mut found = Vec::new();
    let mut position = 0;
    for (index, extent) in archive.extents.iter().enumerate() {
        let here = position;
        position += extent.length;
        if house.assemblies.has(archive.id, index) {
            continue;
        }
        match places.of(house, extent.pack).await? {
            Place::At { volume, start_block, pack_bytes } => found.push(Piece {
                job: job.id,
                archive: archive.id,
                index,
                extent: *extent,
                position: here,
                object_bytes: archive.size,
                volume,
                start_block,
                pack_bytes,
                tier: job.tier,
                created: job.created,
            }),
            Place::OutOfReach => return Ok(ControlFlow::Continue(Vec::new())),
            Place::Nowhere => {
                let detail = "every copy is dead".to_owned();
                return Ok(ControlFlow::Break(Error::NoCopy { pack: extent.pack, detail }));
            }
        }
    }
    Ok(ControlFlow::Continue(found))
}

/// Where a pack can be read.
#[derive(Clone, Copy)]
enum Place {
    At {
        volume: model::VolumeId,
        start_block: u64,
        pack_bytes: u64,
    },
    /// It exists, but no volume that has it is in a library.
    OutOfReach,
    Nowhere,
}

/// Places looked up in one round.
#[derive(Default)]
struct Places {
    known: std::collections::BTreeMap<model::PackId, Place>,
}

impl Places {
    async fn of(&mut self, house: &House, pack: model::PackId) -> Result<Place, Error> {
        if let Some(place) = self.known.get(&pack) {
            return Ok(*place);
        }
        let place = look_up(house, pack).await?;
        self.known.insert(pack, place);
        Ok(place)
    }
}

async fn look_up(house: &House, pack: model::PackId) -> Result<Place, Error> {
    let Some(row) = house.catalog.pack(pack).await? else { return Ok(Place::Nowhere) };
    let mut copies = house.catalog.copies_of(pack).await?;
    copies.retain(|copy| copy.state.place().is_some());
    // A verified copy first; among equals the first of its pools.
    copies.sort_by_key(|copy: &PackCopy| (copy.state.stage() != PackCopyStage::Verified, copy.number));
    let mut place = Place::Nowhere;
    for copy in copies {
        let (Some(volume), Some((start_block, _))) = (copy.volume, copy.state.place()) else { continue };
        let Some(volume) = house.catalog.volume(volume).await? else { continue };
        match volume.state.stage() {
            VolumeStage::Retired => {}
            VolumeStage::Offline => place = Place::OutOfReach,
            _ if house.resting.rests(volume.id, house.now()) => place = Place::OutOfReach,
            _ => return Ok(Place::At { volume: volume.id, start_block, pack_bytes: row.bytes }),
        }
    }
    Ok(place)
}

/// Marks restores as being read; gives the rows as they stand then. Those that moved on meanwhile are left out.
pub(crate) async fn begin(house: &House, jobs: &[JobId]) -> Result<Vec<RestoreJob>, Error> {
    let mut reading = Vec::new();
    for ids in jobs.chunks(TRANSACTION_ROWS_MAX) {
        let mut rows = Vec::new();
        for id in ids {
            let row = house.catalog.restore(*id).await?;
            if let Some(mut row) = row.filter(|row| row.state.stage() == RestoreStage::Queued) {
                row.advance(RestoreState::Reading);
                rows.push(row);
            }
        }
        house.catalog.commit(rows.iter().cloned().map(Change::Restore).collect()).await?;
        reading.extend(rows.into_iter().map(|mut row| {
            row.revision += 1;
            row
        }));
    }
    Ok(reading)
}

/// Returns a restore to the queue with its original date, or ends it when reading has failed too often or can never
/// succeed.
pub(crate) async fn give_back(
    house: &House,
    mut job: RestoreJob,
    error: Option<&Error>,
) -> Result<(), Error> {
    if let Some(error) = error {
        job.failures += 1;
        let waits = matches!(error.remedy(), Remedy::Wait | Remedy::Operator(_));
        if !waits && job.failures >= FAILURES_MAX {
            return fail(house, job, error).await;
        }
        tracing::warn!(restore = %job.id, bucket = %job.bucket, key = %job.key, error = chain(error), "restore put off");
    }
    job.advance(RestoreState::Queued);
    ignore_conflict(house.catalog.commit(vec![Change::Restore(job)]).await)
}

async fn fail(house: &House, mut job: RestoreJob, error: &Error) -> Result<(), Error> {
    let reason = chain(error);
    tracing::error!(code = "EN-0105", restore = %job.id, bucket = %job.bucket, key = %job.key, reason, "restore failed");
    job.advance(RestoreState::Failed { reason });
    ignore_conflict(house.catalog.commit(vec![Change::Restore(job)]).await)
}

fn ignore_conflict(result: Result<(), CatalogError>) -> Result<(), Error> {
    match result {
        Ok(()) | Err(CatalogError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// At start: restores that were being read when the process ended go back to the queue.
pub(crate) async fn requeue(house: &House) -> Result<u64, Error> {
    let mut returned = 0;
    loop {
        let jobs = house.catalog.restores_in(RestoreStage::Reading, None, PAGE).await?;
        if jobs.is_empty() {
            return Ok(returned);
        }
        returned += jobs.len() as u64;
        for job in jobs {
            give_back(house, job, None).await?;
        }
    }
}
