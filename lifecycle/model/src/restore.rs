//! Restores: what a client asked for, and how far it is.
//!
//! ```text
//!   Accepted ──> Queued ──> Reading ──> Copied ──> Lapsed
//!      └───────────┴───────────┴──> Failed          (Reading returns to Queued when its worker is gone)
//! ```

use serde::{Deserialize, Serialize};

use crate::time::DayLength;
use crate::{ArchiveId, BucketName, JobId, ObjectKey, Timestamp};

/// How soon a client wants an object: a deadline to the scheduler, never a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Tier {
    /// Hours to days.
    Bulk,
    /// Hours.
    Standard,
    /// Minutes.
    Expedited,
}

impl Tier {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bulk => "Bulk",
            Self::Standard => "Standard",
            Self::Expedited => "Expedited",
        }
    }
}

/// How far a restore is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestoreState {
    /// Written down; where its bytes are is not looked up yet (the migration may still be under way).
    Accepted,
    /// Waits for its volumes.
    Queued,
    /// Being read.
    Reading,
    /// Readable.
    Copied {
        /// From this moment on the object is archived again, whether or not the copy is already gone.
        until: Timestamp,
    },
    /// The copy's time is over, or the object is gone.
    Lapsed,
    /// Ended without a copy.
    Failed {
        /// What happened and who must act, for people.
        reason: String,
    },
}

/// A [`RestoreState`] without its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
#[allow(missing_docs)] // see RestoreState
pub enum RestoreStage {
    Accepted = 0,
    Queued = 1,
    Reading = 2,
    Copied = 3,
    Lapsed = 4,
    Failed = 5,
}

impl RestoreStage {
    /// Every stage.
    pub const ALL: [Self; 6] =
        [Self::Accepted, Self::Queued, Self::Reading, Self::Copied, Self::Lapsed, Self::Failed];

    /// Whether a job may go from here to `next`.
    pub fn may_become(self, next: Self) -> bool {
        use RestoreStage::{Accepted, Copied, Failed, Lapsed, Queued, Reading};
        self == next
            || matches!(
                (self, next),
                (Accepted, Queued | Copied | Lapsed | Failed)
                    | (Queued, Reading | Copied | Lapsed | Failed)
                    | (Reading, Copied | Queued | Lapsed | Failed)
                    | (Copied, Lapsed)
            )
    }

    /// Whether the job is still on its way.
    pub fn is_running(self) -> bool {
        matches!(self, Self::Accepted | Self::Queued | Self::Reading)
    }

    /// Whether it came to its end and left nothing on the store.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Lapsed | Self::Failed)
    }
}

impl RestoreState {
    /// The stage of this state.
    pub fn stage(&self) -> RestoreStage {
        match self {
            Self::Accepted => RestoreStage::Accepted,
            Self::Queued => RestoreStage::Queued,
            Self::Reading => RestoreStage::Reading,
            Self::Copied { .. } => RestoreStage::Copied,
            Self::Lapsed => RestoreStage::Lapsed,
            Self::Failed { .. } => RestoreStage::Failed,
        }
    }
}

/// One row of the book of record: a restore. An archive has at most one that is not over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreJob {
    /// Its id; ascending in the order of acceptance.
    pub id: JobId,
    /// Row revision.
    pub revision: u64,
    /// What is restored.
    pub archive: ArchiveId,
    /// For people: the bucket.
    pub bucket: BucketName,
    /// For people: the key.
    pub key: ObjectKey,
    /// How soon.
    pub tier: Tier,
    /// How many days the copy lives.
    pub days: u32,
    /// When it was accepted; survives every return to the queue.
    pub created: Timestamp,
    /// How far it is.
    pub state: RestoreState,
    /// How often reading it failed.
    pub failures: u32,
}

impl RestoreJob {
    /// Moves the job to `state`; panics when the table does not allow the step.
    pub fn advance(&mut self, state: RestoreState) {
        let (from, to) = (self.state.stage(), state.stage());
        assert!(from.may_become(to), "restore {} may not go from {from:?} to {to:?}", self.id);
        self.state = state;
    }

    /// What clients are told at `now`.
    pub fn visible(&self, now: Timestamp) -> Visible {
        match &self.state {
            RestoreState::Accepted | RestoreState::Queued | RestoreState::Reading => Visible::Ongoing,
            RestoreState::Copied { until } if now < *until => Visible::Readable { until: *until },
            RestoreState::Copied { .. } | RestoreState::Lapsed | RestoreState::Failed { .. } => {
                Visible::Archived
            }
        }
    }
}

/// An archive's restore as a client sees it. Expiry is a moment, not a job: past it the answer changes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visible {
    /// No restore, or none that still counts.
    Archived,
    /// `ongoing-request="true"`
    Ongoing,
    /// `ongoing-request="false"` with this expiry date.
    Readable {
        /// When it ends.
        until: Timestamp,
    },
}

/// What a RestoreObject request comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// 202: a new job.
    Accept,
    /// 200: the copy lives on until this moment, counted from the request; may be earlier than before.
    Extend {
        /// The new end.
        until: Timestamp,
    },
    /// 409 RestoreAlreadyInProgress.
    AlreadyRunning,
}

/// Decides a valid RestoreObject request for `days` on an archive whose latest job is `current`.
pub fn decide(current: Option<&RestoreJob>, days: u32, now: Timestamp, day: DayLength) -> Decision {
    match current.map_or(Visible::Archived, |job| job.visible(now)) {
        Visible::Archived => Decision::Accept,
        Visible::Ongoing => Decision::AlreadyRunning,
        Visible::Readable { .. } => Decision::Extend { until: day.end(now, days) },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn job(state: RestoreState) -> RestoreJob {
        RestoreJob {
            id: JobId::new(1, 1),
            revision: 1,
            archive: ArchiveId::new(1, 1),
            bucket: BucketName::parse("bucket").unwrap(),
            key: ObjectKey::parse("key").unwrap(),
            tier: Tier::Standard,
            days: 1,
            created: Timestamp::from_seconds(0),
            state,
            failures: 0,
        }
    }

    #[test]
    fn a_request_is_decided_by_what_the_client_could_see() {
        let now = Timestamp::from_seconds(100);
        let until = |seconds| RestoreState::Copied { until: Timestamp::from_seconds(seconds) };
        let decide = |state| decide(Some(&job(state)), 2, now, DayLength::Seconds(10));
        assert_eq!(super::decide(None, 2, now, DayLength::Real), Decision::Accept);
        assert_eq!(decide(RestoreState::Queued), Decision::AlreadyRunning);
        assert_eq!(decide(RestoreState::Reading), Decision::AlreadyRunning);
        assert_eq!(decide(until(101)), Decision::Extend { until: Timestamp::from_seconds(120) });
        assert_eq!(decide(until(100)), Decision::Accept, "an expired copy counts as none, reaped or not");
        assert_eq!(decide(RestoreState::Failed { reason: String::new() }), Decision::Accept);
    }
}
