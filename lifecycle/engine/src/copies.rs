//! Restored copies on the store: written and removed under one latch per archive, so that the end of one restore never
//! takes away the copy of the next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use model::catalog::{CatalogError, Change};
use model::restore::RestoreStage;
use model::store::StoreError;
use model::{ArchiveId, RestoreState};

use crate::error::{Error, chain};
use crate::house::House;

/// Latches nobody holds are swept out when there are more than this.
const LATCHES_SWEPT: usize = 1_024;
/// How often a restore's row may change just as it is to end.
const TRIES_MAX: usize = 8;

/// Who works on which copy, and which copies are still to be removed.
#[derive(Default)]
pub(crate) struct Copies {
    latches: Mutex<BTreeMap<ArchiveId, Weak<tokio::sync::Mutex<()>>>>,
    /// Copies whose removal failed or had to wait. Lost with the process.
    leftovers: Mutex<BTreeSet<ArchiveId>>,
    swept: Mutex<Swept>,
}

/// How far the copies that an earlier process left on the store were looked through.
#[derive(Clone, Copy, Default)]
enum Swept {
    /// Nothing was.
    #[default]
    Nothing,
    /// Up to this one.
    UpTo(ArchiveId),
    /// To the end: from now on [`Copies::leftovers`] knows them all.
    All,
}

impl Copies {
    fn latch(&self, archive: ArchiveId) -> Arc<tokio::sync::Mutex<()>> {
        let mut latches = lock(&self.latches);
        if let Some(latch) = latches.get(&archive).and_then(Weak::upgrade) {
            return latch;
        }
        if latches.len() > LATCHES_SWEPT {
            latches.retain(|_, latch| latch.strong_count() > 0);
        }
        let latch = Arc::default();
        latches.insert(archive, Arc::downgrade(&latch));
        latch
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has an archive's restored copy written and ends the restore that waits for it then; on success the copy is durable.
/// The store's error leaves the restore as it was.
pub(crate) async fn deliver(
    house: &House,
    archive: ArchiveId,
    write: impl Future<Output = Result<(), StoreError>> + Send,
) -> Result<(), Error> {
    let latch = house.copies.latch(archive);
    let _held = latch.lock().await;
    write.await?;
    for _ in 0..TRIES_MAX {
        // Whichever restore waits for it now: writing takes hours for large objects.
        let waits = house.catalog.restore_of(archive).await?.filter(|job| job.state.stage().is_running());
        let Some(mut job) = waits else { break };
        job.advance(RestoreState::Copied { until: house.settings.day.end(house.now(), job.days) });
        match house.catalog.commit(vec![Change::Restore(job)]).await {
            Ok(()) => return Ok(()),
            Err(CatalogError::Conflict { .. } | CatalogError::Missing { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // The archive's end lapsed the restore meanwhile: nobody else knows of this copy.
    remove_unwanted(house, archive).await
}

/// Removes the copy of a restore that is over, unless a later one made it its own. What fails or is being written at
/// this moment is seen to by [`retry`].
pub(crate) async fn forget(house: &House, archive: ArchiveId) -> Result<(), Error> {
    let latch = house.copies.latch(archive);
    // Not waited for: a copy under way may take hours, and the caller may hold a key's gate.
    let Ok(_held) = latch.try_lock() else {
        lock(&house.copies.leftovers).insert(archive);
        return Ok(());
    };
    remove_unwanted(house, archive).await
}

/// Tries again to remove what could not be removed.
pub(crate) async fn retry(house: &House) -> Result<(), Error> {
    let leftovers = std::mem::take(&mut *lock(&house.copies.leftovers));
    for archive in leftovers {
        forget(house, archive).await?;
    }
    Ok(())
}

/// Looks through a page of the copies on the store, until all were since the start: one that no restore speaks for is
/// what an end in between left behind.
pub(crate) async fn sweep(house: &House) -> Result<(), Error> {
    let after = match *lock(&house.copies.swept) {
        Swept::Nothing => None,
        Swept::UpTo(last) => Some(last),
        Swept::All => return Ok(()),
    };
    let found = house.store.copies(after).await?;
    let restores = house.catalog.restores_of_each(&found).await?;
    for (archive, restore) in found.iter().zip(restores) {
        let stage = restore.map(|job| job.state.stage());
        if !stage.is_some_and(|stage| stage == RestoreStage::Copied || stage.is_running()) {
            tracing::info!(%archive, "a restored copy was left behind");
            forget(house, *archive).await?;
        }
    }
    *lock(&house.copies.swept) = found.last().map_or(Swept::All, |last| Swept::UpTo(*last));
    Ok(())
}

/// With the latch held: a copy written later cannot be the one removed.
async fn remove_unwanted(house: &House, archive: ArchiveId) -> Result<(), Error> {
    let latest = house.catalog.restore_of(archive).await?;
    if latest.is_some_and(|job| job.state.stage() == RestoreStage::Copied) {
        return Ok(());
    }
    if let Err(error) = house.store.delete_copy(archive).await {
        tracing::warn!(%archive, error = chain(&error), "a restored copy that is over could not be removed yet");
        lock(&house.copies.leftovers).insert(archive);
    }
    Ok(())
}
