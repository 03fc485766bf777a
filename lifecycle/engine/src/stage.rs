//! The stages of the engine and their bells.

use model::fence::{Wake, Work};
use tokio::sync::Notify;

/// The stages, in the order of the flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Scan,
    Pack,
    Write,
    Verify,
    Flip,
    Resolve,
    Route,
    Recall,
    Lapse,
    Drain,
    Vault,
    Remake,
    Check,
    Prepare,
}

impl Stage {
    /// Whether its work is mounts.
    pub(crate) fn mounts(self) -> bool {
        MOUNTING.contains(&self)
    }

    /// Its name for people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Scan => "scan",
            Self::Pack => "pack",
            Self::Write => "write",
            Self::Verify => "verify",
            Self::Flip => "flip",
            Self::Resolve => "resolve",
            Self::Route => "route",
            Self::Recall => "recall",
            Self::Lapse => "lapse",
            Self::Drain => "drain",
            Self::Vault => "vault",
            Self::Remake => "remake",
            Self::Check => "check",
            Self::Prepare => "prepare",
        }
    }
}

/// Every stage.
pub(crate) const STAGES: [Stage; 14] = [
    Stage::Scan,
    Stage::Pack,
    Stage::Write,
    Stage::Verify,
    Stage::Flip,
    Stage::Resolve,
    Stage::Route,
    Stage::Recall,
    Stage::Lapse,
    Stage::Drain,
    Stage::Vault,
    Stage::Remake,
    Stage::Check,
    Stage::Prepare,
];

/// Those whose work is mounts.
pub(crate) const MOUNTING: [Stage; 4] = [Stage::Recall, Stage::Verify, Stage::Write, Stage::Prepare];

/// One bell per stage.
#[derive(Default)]
pub(crate) struct Bells {
    bells: [Notify; STAGES.len()],
}

impl Bells {
    /// The bell of a stage.
    pub(crate) fn of(&self, stage: Stage) -> &Notify {
        &self.bells[stage as usize]
    }

    /// Starts a round of a stage soon.
    pub(crate) fn ring(&self, stage: Stage) {
        self.bells[stage as usize].notify_one();
    }
}

impl Wake for Bells {
    fn wake(&self, work: Work) {
        self.ring(match work {
            Work::Touched => Stage::Resolve,
            Work::Due => Stage::Pack,
            Work::Restore => Stage::Route,
            Work::Rules => Stage::Scan,
        });
    }
}
