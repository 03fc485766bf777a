//! Gates held over keys whose flip is in doubt: mutations of these keys wait until evidence is there.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use model::ArchiveId;
use model::fence::Gate;

/// The gates, by the archive whose flip they wait for.
#[derive(Default)]
pub(crate) struct Gates {
    held: Mutex<BTreeMap<ArchiveId, Gate>>,
}

impl Gates {
    /// Keeps a gate until it is taken back.
    pub(crate) fn keep(&self, archive: ArchiveId, gate: Gate) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).insert(archive, gate);
    }

    /// Takes a gate back, if one is held.
    pub(crate) fn take(&self, archive: ArchiveId) -> Option<Gate> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&archive)
    }
}
