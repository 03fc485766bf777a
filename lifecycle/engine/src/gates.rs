//! Gates held over keys whose flip is in doubt: mutations of these keys wait until evidence is there. Where an attempt
//! is known to be over there is no doubt, and the key is open while the next one is waited for.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::ArchiveId;
use model::fence::Gate;

/// How an archive in `Flipping` waits.
pub(crate) enum Held {
    /// In doubt: the key is closed.
    Closed(Gate),
    /// This attempt did nothing and can do nothing any more: the key is open.
    Open {
        /// Its number.
        attempt: u32,
    },
}

/// The gates, by the archive whose flip they wait for.
#[derive(Default)]
pub(crate) struct Gates {
    held: Mutex<BTreeMap<ArchiveId, Held>>,
}

impl Gates {
    /// Keeps a gate until it is taken back.
    pub(crate) fn keep(&self, archive: ArchiveId, gate: Gate) {
        self.lock().insert(archive, Held::Closed(gate));
    }

    /// Opens the key, which nothing sent by us can change any more.
    pub(crate) fn open(&self, archive: ArchiveId, attempt: u32, gate: Gate) {
        self.lock().insert(archive, Held::Open { attempt });
        drop(gate);
    }

    /// Notes again what [`Self::take`] said of a key that stayed open.
    pub(crate) fn still_open(&self, archive: ArchiveId, attempt: u32) {
        self.lock().insert(archive, Held::Open { attempt });
    }

    /// Takes back what is known.
    pub(crate) fn take(&self, archive: ArchiveId) -> Option<Held> {
        self.lock().remove(&archive)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ArchiveId, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
