//! Gates held over keys whose flip is in doubt: mutations of these keys wait until evidence is there. Where an attempt
//! is known to be over there is no doubt, and the key is open while the next one is waited for.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::ArchiveId;
use model::fence::Gate;

use crate::wait::Wait;

/// How an archive in `Flipping` waits.
pub(crate) enum Held {
    /// In doubt: the key is closed. Once the time has passed, nothing of the latest attempt can arrive any more.
    Closed(Gate, Wait),
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
    /// Archives whose object was not there when it was looked at.
    missing: Mutex<BTreeMap<ArchiveId, Wait>>,
}

impl Gates {
    /// Keeps a gate until it is taken back. After `wait` the latest attempt can no longer arrive.
    pub(crate) fn keep(&self, archive: ArchiveId, gate: Gate, wait: Wait) {
        lock(&self.held).insert(archive, Held::Closed(gate, wait));
    }

    /// Opens the key, which nothing sent by us can change any more.
    pub(crate) fn open(&self, archive: ArchiveId, attempt: u32, gate: Gate) {
        lock(&self.held).insert(archive, Held::Open { attempt });
        drop(gate);
    }

    /// Puts back what [`Self::take`] gave.
    pub(crate) fn put_back(&self, archive: ArchiveId, held: Option<Held>) {
        if let Some(held) = held {
            lock(&self.held).insert(archive, held);
        }
    }

    /// Takes back what is known.
    pub(crate) fn take(&self, archive: ArchiveId) -> Option<Held> {
        lock(&self.held).remove(&archive)
    }

    /// The archive's object is not there. A store may say so of what it has, for a while: only when nobody saw it for
    /// this long is it gone.
    pub(crate) fn is_gone(&self, archive: ArchiveId, duration: Duration) -> bool {
        let mut missing = lock(&self.missing);
        let gone = missing.entry(archive).or_insert_with(|| Wait::of(duration)).is_over();
        if gone {
            missing.remove(&archive);
        }
        gone
    }

    /// The archive's object, or another one, is there.
    pub(crate) fn is_there(&self, archive: ArchiveId) {
        lock(&self.missing).remove(&archive);
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
