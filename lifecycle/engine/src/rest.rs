//! What just failed rests for a while, so that it holds up nothing else: volumes, restores, flips, and what people
//! were just told.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::{Timestamp, VolumeId};

/// Bounds the memory; forgetting a rest early only means another try.
const ENTRIES_MAX: usize = 100_000;

/// Until when each is left alone.
pub struct Resting<K = VolumeId> {
    until: Mutex<BTreeMap<K, Timestamp>>,
}

impl<K> Default for Resting<K> {
    fn default() -> Self {
        Self { until: Mutex::default() }
    }
}

impl<K: Ord> Resting<K> {
    /// Leaves it alone until then.
    pub(crate) fn rest(&self, what: K, until: Timestamp) {
        let mut all = self.lock();
        if all.len() >= ENTRIES_MAX {
            all.clear();
        }
        all.insert(what, until);
    }

    /// Whether it is left alone at `now`.
    pub(crate) fn rests(&self, what: K, now: Timestamp) -> bool {
        let mut all = self.lock();
        let resting = all.get(&what).is_some_and(|until| now < *until);
        if !resting {
            all.remove(&what);
        }
        resting
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<K, Timestamp>> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
