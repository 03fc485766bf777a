//! Volumes that just failed rest for a while, so that they hold up nothing queued for others.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use model::{Timestamp, VolumeId};

/// Until when each volume is left alone.
#[derive(Default)]
pub struct Resting {
    until: Mutex<BTreeMap<VolumeId, Timestamp>>,
}

impl Resting {
    /// Leaves a volume alone until then.
    pub(crate) fn rest(&self, volume: VolumeId, until: Timestamp) {
        self.until.lock().unwrap_or_else(PoisonError::into_inner).insert(volume, until);
    }

    /// Whether a volume is left alone at `now`.
    pub(crate) fn rests(&self, volume: VolumeId, now: Timestamp) -> bool {
        let mut all = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        let resting = all.get(&volume).is_some_and(|until| now < *until);
        if !resting {
            all.remove(&volume);
        }
        resting
    }
}
