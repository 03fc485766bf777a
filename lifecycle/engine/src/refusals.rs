//! Whether the store takes flips. After a refusal flips are tried one by one until one goes well, and none anew for a
//! while when the store is full: a key whose flip is refused is one more row that has to be looked after.

use std::sync::{Mutex, MutexGuard, PoisonError};

use model::Timestamp;

/// What the store's latest answers to flips were.
#[derive(Default)]
pub(crate) struct Refusals {
    latest: Mutex<Latest>,
}

#[derive(Clone, Copy, Default)]
struct Latest {
    refused: bool,
    full_until: Option<Timestamp>,
}

impl Refusals {
    /// The store refused a flip; when it is full, new ones wait until then.
    pub(crate) fn refused(&self, full_until: Option<Timestamp>) {
        let mut latest = self.lock();
        latest.refused = true;
        latest.full_until = full_until.or(latest.full_until);
    }

    /// A flip went well.
    pub(crate) fn taken(&self) {
        *self.lock() = Latest::default();
    }

    /// Whether the latest flip was refused.
    pub(crate) fn careful(&self) -> bool {
        self.lock().refused
    }

    /// Whether new flips wait because the store is full.
    pub(crate) fn full(&self, now: Timestamp) -> bool {
        self.lock().full_until.is_some_and(|until| now < until)
    }

    fn lock(&self) -> MutexGuard<'_, Latest> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
