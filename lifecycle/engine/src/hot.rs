//! Restores of objects whose own bytes are still on the store: copied from there in the background, some at a time, so
//! that neither a large object nor a bad one holds up the routing of the others.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::catalog::Change;
use model::restore::RestoreStage;
use model::store::StoreError;
use model::{Archive, Identity, JobId};
use tokio::sync::Semaphore;

use crate::error::{Error, chain};
use crate::flip::milliseconds;
use crate::house::{House, held};
use crate::queue::{self, Destination};
use crate::rest::Resting;
use crate::{copies, queue::Failure};

/// Objects up to this size do not wait for larger ones.
const SMALL_BYTES_MAX: u64 = 16 << 20;
const SMALL_AT_A_TIME: usize = 32;
const LARGE_AT_A_TIME: usize = 8;
/// Copies under way or waiting for their turn; those beyond are found again by the next round.
const STARTED_MAX: usize = 4_096;

/// What is being copied.
pub(crate) struct HotCopies {
    started: Mutex<BTreeSet<JobId>>,
    /// Restores that just failed.
    resting: Resting<JobId>,
    small: Semaphore,
    large: Semaphore,
}

impl Default for HotCopies {
    fn default() -> Self {
        Self {
            started: Mutex::default(),
            resting: Resting::default(),
            small: Semaphore::new(SMALL_AT_A_TIME),
            large: Semaphore::new(LARGE_AT_A_TIME),
        }
    }
}

impl HotCopies {
    /// Whether a restore is being copied, or just failed to be.
    pub(crate) fn has(&self, house: &House, job: JobId) -> bool {
        self.lock().contains(&job) || self.resting.rests(job, house.now())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<JobId>> {
        self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a restore off the list when its copy ends, however it ends.
struct Started {
    house: Arc<House>,
    job: JobId,
}

impl Drop for Started {
    fn drop(&mut self) {
        self.house.hot.lock().remove(&self.job);
    }
}

/// Starts the copy of an object of `bytes`; does nothing when too many are under way.
pub(crate) fn start(house: &Arc<House>, job: JobId, bytes: u64) {
    {
        let mut started = house.hot.lock();
        if started.len() >= STARTED_MAX || !started.insert(job) {
            return;
        }
    }
    let started = Started { house: house.clone(), job };
    tokio::spawn(async move {
        let house = &started.house;
        let places = if bytes <= SMALL_BYTES_MAX { &house.hot.small } else { &house.hot.large };
        let Ok(_place) = places.acquire().await else { return };
        if let Err(error) = copy(house, job).await {
            tracing::warn!(restore = %job, error = chain(&error), "restore from hot bytes put off");
        }
    });
}

async fn copy(house: &House, job: JobId) -> Result<(), Error> {
    // Time has passed since it was routed.
    let row = house.catalog.restore(job).await?.filter(|row| row.state.stage() == RestoreStage::Accepted);
    let Some(row) = row else { return Ok(()) };
    let Destination::Hot(archive) = queue::destination(house, &row).await? else { return Ok(()) };
    let Err(error) = copy_hot(house, &archive).await else { return Ok(()) };
    house.hot.resting.rest(job, house.now().plus_milliseconds(milliseconds(house.settings.retry_after)));
    if matches!(error, Error::Store(StoreError::Changed { .. } | StoreError::Missing { .. })) {
        // Not the object that was taken over: the archive is looked at again, which usually ends the restore.
        house.catalog.commit(vec![Change::Touch(archive.id)]).await?;
    }
    // What the store says for certain about this object counts; that it is busy or full does not.
    let certain = matches!(
        error,
        Error::Store(StoreError::Changed { .. } | StoreError::Missing { .. } | StoreError::Refused { .. })
    );
    let failure = if certain { Failure::Counts(&error) } else { Failure::of(&error) };
    queue::give_back(house, row, Some(failure)).await
}

async fn copy_hot(house: &House, archive: &Archive) -> Result<(), Error> {
    let target = held(archive);
    let what = || format!("{}/{}", archive.bucket, archive.key);
    let head = house.store.inspect(&target).await?;
    let head = head.ok_or_else(|| StoreError::Missing { what: what() })?;
    let same = head.marker.as_ref().is_some_and(|marker| marker.archive == archive.id)
        || archive.identity.as_ref() == Some(&Identity::of(&head));
    if !same || head.size != archive.size {
        return Err(StoreError::Changed { what: what() }.into());
    }
    let bytes = house.store.read(&target, &head.etag, 0..head.size).await?;
    copies::deliver(house, archive.id, house.store.put_copy(archive.id, archive.size, bytes)).await
}
