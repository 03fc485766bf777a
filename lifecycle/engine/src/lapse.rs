//! The end of restored copies. Clients no longer see a copy from its `until` on; this only frees the space.

use model::catalog::{CatalogError, Change};
use model::restore::RestoreStage;
use model::{ArchiveId, JobId, RestoreJob, RestoreState};

use crate::copies;
use crate::error::{Error, chain, is_fatal};
use crate::house::House;

const PAGE: usize = 1_000;
/// How often the end of an archive's restore is tried while its row keeps moving: a restore has few steps.
const STEPS_MAX: usize = 8;

/// Removes the copies whose time is over, and those that could not be removed before; counts the restores that ended.
/// One restore's trouble holds up no other.
pub async fn lapse(house: &House) -> Result<u64, Error> {
    copies::retry(house).await?;
    let mut lapsed = 0;
    let mut after: Option<JobId> = None;
    loop {
        let jobs = house.catalog.restores_in(RestoreStage::Copied, after, PAGE).await?;
        let Some(last) = jobs.last() else { return Ok(lapsed) };
        after = Some(last.id);
        for job in jobs {
            let id = job.id;
            let over = matches!(job.state, RestoreState::Copied { until } if until <= house.now());
            if !over {
                continue;
            }
            match end(house, job).await {
                Ok(ended) => lapsed += u64::from(ended),
                Err(error) if is_fatal(&error) => return Err(error),
                Err(error) => tracing::warn!(restore = %id, error = chain(&error), "restore not lapsed yet"),
            }
        }
    }
}

/// The row first: a new request made meanwhile then starts a new job, whose copy is written anew. False when the row
/// had moved on.
async fn end(house: &House, mut job: RestoreJob) -> Result<bool, Error> {
    let archive = job.archive;
    job.advance(RestoreState::Lapsed);
    match house.catalog.commit(vec![Change::Restore(job)]).await {
        Ok(()) => {}
        // Extended meanwhile.
        Err(CatalogError::Conflict { .. }) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    copies::forget(house, archive).await?;
    Ok(true)
}

/// Ends the restore of an archive that is history: its copy must not outlive it.
pub(crate) async fn end_of(house: &House, archive: ArchiveId) -> Result<(), Error> {
    for _ in 0..STEPS_MAX {
        match house.catalog.restore_of(archive).await? {
            Some(job) if job.state.stage() == RestoreStage::Copied || job.state.stage().is_running() => {
                if end(house, job).await? {
                    return Ok(());
                }
            }
            _ => return Ok(()),
        }
    }
    // Whatever is left lapses by its own time.
    Ok(())
}
