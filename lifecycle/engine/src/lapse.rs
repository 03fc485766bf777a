//! The end of restored copies. Clients no longer see a copy from its `until` on; this only frees the space.

use model::catalog::Change;
use model::restore::RestoreStage;
use model::{ArchiveId, JobId, RestoreJob, RestoreState};

use crate::error::Error;
use crate::house::House;

const PAGE: usize = 1_000;

/// Removes the copies whose time is over; counts them.
pub async fn lapse(house: &House) -> Result<u64, Error> {
    let mut lapsed = 0;
    let mut after: Option<JobId> = None;
    loop {
        let jobs = house.catalog.restores_in(RestoreStage::Copied, after, PAGE).await?;
        let Some(last) = jobs.last() else { return Ok(lapsed) };
        after = Some(last.id);
        for job in jobs {
            let over = matches!(job.state, RestoreState::Copied { until } if until <= house.now());
            if over && end(house, job).await? {
                lapsed += 1;
            }
        }
    }
}

/// The row first: a new request made meanwhile then starts a new job, whose copy is written anew.
async fn end(house: &House, mut job: RestoreJob) -> Result<bool, Error> {
    let archive = job.archive;
    job.advance(RestoreState::Lapsed);
    match house.catalog.commit(vec![Change::Restore(job)]).await {
        Ok(()) => {}
        // Extended meanwhile.
        Err(model::catalog::CatalogError::Conflict { .. }) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    let renewed =
        house.catalog.restore_of(archive).await?.is_some_and(|job| job.state.stage() != RestoreStage::Lapsed);
    if !renewed {
        house.store.delete_copy(archive).await?;
    }
    Ok(true)
}

/// Ends the restore of an archive that is history: its copy must not outlive it.
pub(crate) async fn end_of(house: &House, archive: ArchiveId) -> Result<(), Error> {
    match house.catalog.restore_of(archive).await? {
        Some(job) if job.state.stage() == RestoreStage::Copied || job.state.stage().is_running() => {
            end(house, job).await.map(drop)
        }
        _ => Ok(()),
    }
}
