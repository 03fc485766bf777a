//! What keeps stages from their work, for people to see.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::Remedy;

use crate::error::{Error, chain};
use crate::stage::Stage;

/// What keeps a stage from its work, or the engine from a bucket, for those who look at the whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The stage; `bucket` where nothing of a bucket is taken over.
    pub stage: &'static str,
    /// The code of the runbook, when a person must act.
    pub code: Option<&'static str>,
    /// What happened.
    pub text: String,
    /// Since when, over all rounds that failed in a row.
    pub since: model::Timestamp,
}

/// The latest trouble of every stage; a round that goes well clears it.
#[derive(Default)]
pub(crate) struct Notices {
    current: Mutex<BTreeMap<&'static str, Notice>>,
}

impl Notices {
    /// The stage had a round that went well.
    pub(crate) fn clear(&self, stage: Stage) {
        self.lock().remove(stage.name());
    }

    /// The stage's latest trouble.
    pub(crate) fn put(&self, stage: Stage, error: &Error, now: model::Timestamp) {
        let code = match error.remedy() {
            Remedy::Operator(code) => Some(code),
            _ => None,
        };
        let mut current = self.lock();
        let since = current.get(stage.name()).map_or(now, |notice| notice.since);
        current.insert(stage.name(), Notice { stage: stage.name(), code, text: chain(error), since });
    }

    /// All of them, by stage.
    pub(crate) fn all(&self) -> Vec<Notice> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Notice>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
