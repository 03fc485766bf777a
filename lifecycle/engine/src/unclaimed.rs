//! Packs that are finished and that no archive points to yet: an object cut into many takes hours, and only then points to
//! them all. Lost with the process, and so are they: the object is packed again.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::PackId;

/// The packs.
#[derive(Default)]
pub(crate) struct Unclaimed {
    packs: Mutex<BTreeSet<PackId>>,
}

// === impl Unclaimed ===

impl Unclaimed {
    /// A pack is finished.
    pub(crate) fn add(&self, pack: PackId) {
        self.lock().insert(pack);
    }

    /// Archives point to a pack, or it was given up.
    pub(crate) fn remove(&self, pack: PackId) {
        self.lock().remove(&pack);
    }

    /// Whether a pack is one of them.
    pub(crate) fn has(&self, pack: PackId) -> bool {
        self.lock().contains(&pack)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<PackId>> {
        self.packs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
