//! The restore queue: accepted restores are routed to the hot bytes or to their volumes, and come to an end.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::archive::ArchiveStage;
use model::catalog::{CatalogError, Change};
use model::limits::TRANSACTION_ROWS_MAX;
use model::restore::RestoreStage;
use model::{Archive, ArchiveId, JobId, Remedy, RestoreJob, RestoreState, Stretches};

use crate::error::{Error, chain};
use crate::flip::milliseconds;
use crate::hot;
use crate::house::House;
use crate::schedule::Piece;
use crate::sources::{Place, Places};
use crate::stretched::Stretched;

/// How often reading may fail before a restore ends as failed.
const FAILURES_MAX: u32 = 5;
const PAGE: usize = 1_000;

/// Routes accepted restores: those whose bytes are still on the store are copied from there in the background, the
/// others queue for their volumes. Counts those that moved on.
pub async fn route(house: &Arc<House>) -> Result<u64, Error> {
    let mut moved = 0;
    let mut after: Option<JobId> = None;
    loop {
        let jobs = house.catalog.restores_in(RestoreStage::Accepted, after, PAGE).await?;
        let Some(last) = jobs.last() else { return Ok(moved) };
        after = Some(last.id);
        let (mut routed, mut hot) = (Vec::new(), Vec::new());
        for mut job in jobs {
            if is_held(house, &job) || house.hot.has(house, job.id) {
                continue;
            }
            match destination(house, &job).await? {
                Destination::Tape => {
                    job.advance(RestoreState::Queued);
                    routed.push(job);
                }
                Destination::Hot(archive) => hot.push((job.id, archive.size)),
                Destination::Gone => {
                    job.advance(RestoreState::Lapsed);
                    routed.push(job);
                }
                Destination::Later => {}
            }
        }
        moved += save_each(house, routed).await?.len() as u64;
        for (job, bytes) in hot {
            hot::start(house, job, bytes);
        }
    }
}

/// Tests may keep restores ongoing for a while, so that clients can be seen to wait.
fn is_held(house: &House, job: &RestoreJob) -> bool {
    house.now() < job.created.plus_milliseconds(milliseconds(house.settings.restore_hold))
}

/// Where a restore's bytes are.
pub(crate) enum Destination {
    Tape,
    Hot(Box<Archive>),
    Gone,
    Later,
}

pub(crate) async fn destination(house: &House, job: &RestoreJob) -> Result<Destination, Error> {
    let Some(archive) = house.catalog.archive(job.archive).await? else { return Ok(Destination::Gone) };
    Ok(match archive.state.stage() {
        ArchiveStage::Dead | ArchiveStage::Withdrawn => Destination::Gone,
        ArchiveStage::Declared => Destination::Later,
        // Before a flip is begun every copy on tape is at its pool's bar, and what stands on the store may change.
        ArchiveStage::Flipping | ArchiveStage::Archived if !archive.keeps_bytes() => Destination::Tape,
        _ => Destination::Hot(Box::new(archive)),
    })
}

/// What waits to be read.
#[derive(Default)]
pub(crate) struct Waiting {
    /// What can be read now, as pieces on volumes. Progress made on cut objects is left out.
    pub(crate) pieces: Vec<Piece>,
    /// Every archive that is waited for, also those whose volumes are out of reach.
    pub(crate) archives: BTreeSet<ArchiveId>,
    /// Restores of objects the store has every stretch of, but not yet a copy.
    pub(crate) whole: Vec<(JobId, Arc<Stretched>)>,
    /// Why a pack in reach cannot be opened, when its key is missing.
    pub(crate) keyless: Option<Error>,
}

/// The queued restores. Those whose volumes are all out of reach are left for later; those without any copy end as
/// failed, those of archives that are history as lapsed.
pub(crate) async fn waiting(house: &House) -> Result<Waiting, Error> {
    let mut waiting = Waiting::default();
    let mut places = Places::begin(house);
    let mut after: Option<JobId> = None;
    loop {
        let jobs = house.catalog.restores_in(RestoreStage::Queued, after, PAGE).await?;
        let Some(last) = jobs.last() else {
            waiting.keyless = places.keyless;
            return Ok(waiting);
        };
        after = Some(last.id);
        for mut job in jobs {
            match pieces_of(house, &job, &mut places).await? {
                Found::Pieces(found) => {
                    waiting.archives.insert(job.archive);
                    waiting.pieces.extend(found);
                    let whole = house.assemblies.stretched(job.archive).filter(|object| object.is_whole());
                    waiting.whole.extend(whole.map(|object| (job.id, object)));
                }
                Found::Nowhere(error) => fail(house, job, &error).await?,
                Found::History => {
                    job.advance(RestoreState::Lapsed);
                    save_each(house, vec![job]).await?;
                }
            }
        }
    }
}

enum Found {
    /// None when a volume is out of reach.
    Pieces(Vec<Piece>),
    Nowhere(Error),
    History,
}

async fn pieces_of(house: &House, job: &RestoreJob, places: &mut Places) -> Result<Found, Error> {
    let archive = house.catalog.archive(job.archive).await?;
    let Some(archive) = archive.filter(|archive| archive.state.stage().is_live()) else {
        return Ok(Found::History);
    };
    let stretches = stretches_of(&archive);
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
                stretches,
                volume,
                start_block,
                pack_bytes,
                tier: job.tier,
                created: job.created,
            }),
            Place::OutOfReach => return Ok(Found::Pieces(Vec::new())),
            Place::Nowhere => {
                let detail = "every copy is dead".to_owned();
                return Ok(Found::Nowhere(Error::NoCopy { pack: extent.pack, detail }));
            }
        }
    }
    Ok(Found::Pieces(found))
}

/// How an object in several segments goes to the store one by one; `None` where they are not all as long as the first
/// but for the last, or not what stores take.
fn stretches_of(archive: &Archive) -> Option<Stretches> {
    let [first, between @ .., last] = archive.extents.as_slice() else { return None };
    let even = between.iter().all(|extent| extent.length == first.length) && last.length <= first.length;
    let cut = Stretches::new(archive.size, first.length)?;
    (even && cut.count() as usize == archive.extents.len()).then_some(cut)
}

/// Marks restores as being read; gives the rows as they stand then. Those that moved on meanwhile are left out.
pub(crate) async fn begin(house: &House, jobs: &[JobId]) -> Result<Vec<RestoreJob>, Error> {
    let mut rows = Vec::new();
    for id in jobs {
        let row = house.catalog.restore(*id).await?;
        if let Some(mut row) = row.filter(|row| row.state.stage() == RestoreStage::Queued) {
            row.advance(RestoreState::Reading);
            rows.push(row);
        }
    }
    save_each(house, rows).await
}

/// Makes restores durable in few commits, one by one where a row moved on meanwhile; gives those written, as they
/// stand then.
async fn save_each(house: &House, rows: Vec<RestoreJob>) -> Result<Vec<RestoreJob>, Error> {
    let mut saved = Vec::with_capacity(rows.len());
    let written = |row: &RestoreJob| RestoreJob { revision: row.revision + 1, ..row.clone() };
    for rows in rows.chunks(TRANSACTION_ROWS_MAX) {
        match house.catalog.commit(rows.iter().cloned().map(Change::Restore).collect()).await {
            Ok(()) => saved.extend(rows.iter().map(written)),
            Err(CatalogError::Conflict { .. } | CatalogError::Missing { .. }) => {
                for row in rows {
                    match house.catalog.commit(vec![Change::Restore(row.clone())]).await {
                        Ok(()) => saved.push(written(row)),
                        Err(CatalogError::Conflict { .. } | CatalogError::Missing { .. }) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(saved)
}

/// Why a restore is given back.
pub(crate) enum Failure<'a> {
    /// Only time or a person can mend it; it says nothing against the restore.
    Waits(&'a Error),
    /// When this has happened too often the restore ends.
    Counts(&'a Error),
}

impl<'a> Failure<'a> {
    /// By the error's remedy.
    pub(crate) fn of(error: &'a Error) -> Self {
        match error.remedy() {
            Remedy::Wait | Remedy::Operator(_) => Self::Waits(error),
            _ => Self::Counts(error),
        }
    }
}

/// Returns a restore to its queue with its original date, or ends it when it has failed too often.
pub(crate) async fn give_back(
    house: &House,
    mut job: RestoreJob,
    failure: Option<Failure<'_>>,
) -> Result<(), Error> {
    if let Some(Failure::Waits(error) | Failure::Counts(error)) = &failure {
        tracing::warn!(restore = %job.id, bucket = %job.bucket, key = %job.key, error = chain(*error), "restore put off");
    }
    if let Some(Failure::Counts(error)) = failure {
        job.failures += 1;
        if job.failures >= FAILURES_MAX {
            return fail(house, job, error).await;
        }
    }
    return_unread(house, vec![job]).await
}

/// Returns restores to their queue that nothing is to be said against.
pub(crate) async fn return_unread(house: &House, mut jobs: Vec<RestoreJob>) -> Result<(), Error> {
    for job in jobs.iter_mut().filter(|job| job.state.stage() == RestoreStage::Reading) {
        job.advance(RestoreState::Queued);
    }
    save_each(house, jobs).await.map(drop)
}

async fn fail(house: &House, mut job: RestoreJob, error: &Error) -> Result<(), Error> {
    let reason = chain(error);
    tracing::error!(code = "EN-0105", restore = %job.id, bucket = %job.bucket, key = %job.key, reason, "restore failed");
    job.advance(RestoreState::Failed { reason });
    save_each(house, vec![job]).await.map(drop)
}

/// Restores that were being read when their reading broke off go back to the queue; counts them. Those that mounts of
/// this process have begun are left to them.
pub(crate) async fn requeue(house: &House) -> Result<u64, Error> {
    let mut returned = 0;
    let mut after: Option<JobId> = None;
    loop {
        let mut jobs = house.catalog.restores_in(RestoreStage::Reading, after, PAGE).await?;
        let Some(last) = jobs.last() else { return Ok(returned) };
        after = Some(last.id);
        // A row that was read before its mount ended is older than what the mount made of it, and is refused.
        jobs.retain(|job| !house.readings.has(job.id));
        returned += jobs.len() as u64;
        return_unread(house, jobs).await?;
    }
}
