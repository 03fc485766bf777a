//! What operators ordered of the background work as a whole, until they say otherwise. Made durable by whoever takes the
//! order, before it is given.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::notice::Notice;

/// The orders that stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// Nothing more is packed, written, verified or flipped; restores go on. Since when.
    pub migration_paused: Option<Timestamp>,
    /// Libraries in which nothing is mounted, by name, and since when.
    pub held: BTreeMap<String, Timestamp>,
}

/// The same, as the stages see it.
#[derive(Default)]
pub(crate) struct Pauses {
    standing: Mutex<Standing>,
}

impl Pauses {
    /// All of them.
    pub(crate) fn standing(&self) -> Standing {
        self.lock().clone()
    }

    /// Replaces them.
    pub(crate) fn set(&self, standing: Standing) {
        *self.lock() = standing;
    }

    /// Whether nothing is to go to tape.
    pub(crate) fn pauses_migration(&self) -> bool {
        self.lock().migration_paused.is_some()
    }

    /// Whether nothing is to be mounted in a library.
    pub(crate) fn holds(&self, library: &str) -> bool {
        self.lock().held.contains_key(library)
    }

    /// For people, so that nobody wonders why nothing moves.
    pub(crate) fn notices(&self) -> Vec<Notice> {
        let standing = self.lock();
        let paused = standing.migration_paused.map(|since| Notice {
            stage: "migration",
            code: None,
            text: "migration is paused; `tapegate migrate resume` ends that".to_owned(),
            since,
        });
        let held = standing.held.iter().map(|(library, since)| Notice {
            stage: "library",
            code: None,
            text: format!(
                "library {library} is held: nothing is mounted in it; `tapegate library release {library}` ends that"
            ),
            since: *since,
        });
        paused.into_iter().chain(held).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
