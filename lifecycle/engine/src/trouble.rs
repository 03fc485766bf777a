//! What is remembered of trouble between rounds, so that stubborn cases are tried less and less often. A restart
//! forgets it all.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::{ArchiveId, Timestamp, VolumeId};

/// Archives and cartridges remembered at most; beyond it the memory starts afresh.
const REMEMBERED_MAX: usize = 100_000;

/// The memory.
#[derive(Default)]
pub(crate) struct Trouble {
    archives: Mutex<BTreeMap<ArchiveId, u32>>,
    volumes: Mutex<BTreeMap<VolumeId, u32>>,
    cartridges: Mutex<BTreeMap<(String, String), Timestamp>>,
}

impl Trouble {
    /// An archive failed once more; gives how often it has by now.
    pub(crate) fn archive_failed(&self, archive: ArchiveId) -> u32 {
        count(&self.archives, archive)
    }

    /// A volume could not be read once more; gives how often in a row by now.
    pub(crate) fn volume_failed(&self, volume: VolumeId) -> u32 {
        count(&self.volumes, volume)
    }

    /// A volume was read.
    pub(crate) fn volume_was_read(&self, volume: VolumeId) {
        lock(&self.volumes).remove(&volume);
    }

    /// Leaves a cartridge of a library alone until then.
    pub(crate) fn leave_cartridge(&self, library: &str, barcode: &str, until: Timestamp) {
        let mut all = lock(&self.cartridges);
        if all.len() >= REMEMBERED_MAX {
            all.clear();
        }
        all.insert((library.to_owned(), barcode.to_owned()), until);
    }

    /// Whether a cartridge is to be left alone at `now`.
    pub(crate) fn leaves_cartridge(&self, library: &str, barcode: &str, now: Timestamp) -> bool {
        lock(&self.cartridges)
            .get(&(library.to_owned(), barcode.to_owned()))
            .is_some_and(|until| now < *until)
    }
}

fn count<K: Ord>(counts: &Mutex<BTreeMap<K, u32>>, key: K) -> u32 {
    let mut all = lock(counts);
    if all.len() >= REMEMBERED_MAX {
        all.clear();
    }
    let failures = all.entry(key).or_default();
    *failures = failures.saturating_add(1);
    *failures
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
