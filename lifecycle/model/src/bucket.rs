//! What a bucket is to us: what the store has set it to, what the operator accepts, and whether its objects may be
//! taken over. The verdict is pure, so that what an operator is told and what the engine does are one thing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::BucketName;
use crate::catalog::Bucket;
use crate::store::{Capabilities, IfMatch};

/// Whether a bucket keeps versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Versioning {
    /// It never did.
    Off,
    /// Every write makes a version.
    Enabled,
    /// Writes replace the version `null`; older ones are still there.
    Suspended,
}

/// What the store says a bucket is set to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survey {
    /// GetBucketVersioning: Status.
    pub versioning: Versioning,
    /// GetBucketVersioning: MfaDelete.
    pub mfa_delete: bool,
    /// GetObjectLockConfiguration: enabled.
    pub object_lock: bool,
    /// GetBucketReplication: there is a rule.
    pub replication: bool,
    /// GetBucketNotificationConfiguration: there is a target.
    pub notifications: bool,
    /// GetBucketLifecycleConfiguration: the rules the store itself would carry out, as it returned them.
    pub rules: Option<String>,
}

impl Survey {
    /// A bucket with nothing set.
    pub const PLAIN: Self = Self {
        versioning: Versioning::Off,
        mfa_delete: false,
        object_lock: false,
        replication: false,
        notifications: false,
        rules: None,
    };
}

/// How far the gateway goes with a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Requests pass through; nothing is taken over.
    Unmanaged,
    /// Rules are carried out.
    Enabled,
    /// Nothing new is taken over; what is archived is served and restored.
    Paused,
    /// Everything is being brought back; nothing new is taken over.
    Draining,
}

impl Mode {
    /// Whether rules may take objects over.
    pub fn migrates(self) -> bool {
        self == Self::Enabled
    }

    /// Whether mutations of the bucket must be fenced and looked up.
    pub fn is_managed(self) -> bool {
        self != Self::Unmanaged
    }
}

/// What the operator says of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// How far the gateway goes.
    pub mode: Mode,
    /// Nobody else holds keys that can write to the bucket.
    pub exclusive: bool,
    /// Stubs may be replicated by the store.
    pub accept_replicated_stubs: bool,
    /// Stubs may fire the store's own events.
    pub accept_backend_events: bool,
}

impl Terms {
    /// Managed, with nothing promised.
    pub const MANAGED: Self = Self {
        mode: Mode::Enabled,
        exclusive: false,
        accept_replicated_stubs: false,
        accept_backend_events: false,
    };
    /// Not managed.
    pub const UNMANAGED: Self = Self { mode: Mode::Unmanaged, ..Self::MANAGED };
}

/// What the configuration says of buckets; a command's word (in the bucket's row) goes before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketSettings {
    /// Of buckets it names.
    pub named: BTreeMap<BucketName, Terms>,
    /// Of all others.
    pub otherwise: Terms,
}

impl BucketSettings {
    /// Every bucket managed: the embedded store.
    pub fn all() -> Self {
        Self { named: BTreeMap::new(), otherwise: Terms::MANAGED }
    }

    /// What holds for a bucket with this row.
    pub fn terms(&self, name: &BucketName, row: Option<&Bucket>) -> Terms {
        let configured = || self.named.get(name).copied().unwrap_or(self.otherwise);
        row.and_then(|row| row.terms).unwrap_or_else(configured)
    }
}

/// A reason why nothing of a bucket may be taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The store has no compare-and-set and others may write to the bucket.
    NotExclusive,
    /// Versions under Object Lock cannot be replaced.
    ObjectLock,
    /// Deleting a version asks for a second factor.
    MfaDelete,
    /// Stubs would be replicated.
    Replication,
    /// Stubs would fire events.
    Notifications,
    /// The store holds lifecycle rules of its own, which would race ours.
    ForeignRules,
}

impl Refusal {
    /// What is the matter and what the operator can do.
    pub fn explain(self) -> &'static str {
        match self {
            Self::NotExclusive => {
                "the store's conditional writes lose races (no proven compare-and-set): set `exclusive = true` for the \
                 bucket once nobody else holds keys that can write to it"
            }
            Self::ObjectLock => "Object Lock is enabled: versions under lock cannot be replaced by stubs",
            Self::MfaDelete => "MFA delete is enabled: replaced versions could not be deleted",
            Self::Replication => {
                "the store replicates the bucket: set `accept_replicated_stubs = true`, or remove the replication"
            }
            Self::Notifications => {
                "the store sends events for the bucket: set `accept_backend_events = true`, or remove the notification"
            }
            Self::ForeignRules => {
                "the store holds lifecycle rules of its own: `tapegate bucket enable` takes them over"
            }
        }
    }
}

/// Every reason why nothing of a bucket may be taken over; none means that it may.
pub fn refusals(capabilities: &Capabilities, survey: &Survey, terms: &Terms) -> Vec<Refusal> {
    if capabilities.in_place {
        return Vec::new();
    }
    let found = [
        (Refusal::NotExclusive, !capabilities.compare_and_set && !terms.exclusive),
        (Refusal::ObjectLock, survey.object_lock),
        (Refusal::MfaDelete, survey.mfa_delete),
        (Refusal::Replication, survey.replication && !terms.accept_replicated_stubs),
        (Refusal::Notifications, survey.notifications && !terms.accept_backend_events),
        (Refusal::ForeignRules, survey.rules.is_some()),
    ];
    found.into_iter().filter(|(_, holds)| *holds).map(|(refusal, _)| refusal).collect()
}

/// Whether the write of a stub is conditional on the ETag of what it replaces. A store that loses races was also seen
/// to refuse every condition where each write makes a version; there the key's fence has to do.
pub fn conditional(capabilities: &Capabilities, versioning: Versioning) -> bool {
    capabilities.if_match != IfMatch::Ignored
        && (capabilities.compare_and_set || versioning != Versioning::Enabled)
}

/// Whether an object whose time is over may be deleted: under a condition, or where nobody else writes.
pub fn may_expire(capabilities: &Capabilities, terms: &Terms) -> bool {
    capabilities.in_place || capabilities.delete_if_match || terms.exclusive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_told_and_only_the_operator_waives_it() {
        let weak = Capabilities { compare_and_set: false, ..Capabilities::FAITHFUL };
        let all = Survey {
            versioning: Versioning::Enabled,
            mfa_delete: true,
            object_lock: true,
            replication: true,
            notifications: true,
            rules: Some(String::new()),
        };
        use Refusal::{ForeignRules, MfaDelete, NotExclusive, Notifications, ObjectLock, Replication};
        let every = vec![NotExclusive, ObjectLock, MfaDelete, Replication, Notifications, ForeignRules];
        assert_eq!(refusals(&weak, &all, &Terms::MANAGED), every);
        let waived = Terms {
            exclusive: true,
            accept_replicated_stubs: true,
            accept_backend_events: true,
            ..Terms::MANAGED
        };
        assert_eq!(refusals(&weak, &all, &waived), [ObjectLock, MfaDelete, ForeignRules]);
        assert_eq!(refusals(&Capabilities::FAITHFUL, &Survey::PLAIN, &Terms::MANAGED), []);
        assert_eq!(refusals(&weak, &Survey::PLAIN, &Terms::MANAGED), [NotExclusive]);
        let swaps = Capabilities { in_place: true, ..weak };
        assert_eq!(refusals(&swaps, &all, &Terms::MANAGED), []);
    }

    #[test]
    fn conditions_are_relied_on_only_where_they_work() {
        use Versioning::{Enabled, Off, Suspended};
        let proven = Capabilities::FAITHFUL;
        let loses = Capabilities { compare_and_set: false, ..proven };
        let ignores = Capabilities { if_match: IfMatch::Ignored, ..loses };
        for versioning in [Off, Enabled, Suspended] {
            assert!(conditional(&proven, versioning));
            assert_eq!(conditional(&loses, versioning), versioning != Enabled);
            assert!(!conditional(&ignores, versioning));
        }
    }

    #[test]
    fn deletion_wants_a_condition_or_an_exclusive_bucket() {
        let weak = Capabilities { delete_if_match: false, ..Capabilities::FAITHFUL };
        let exclusive = Terms { exclusive: true, ..Terms::MANAGED };
        assert!(may_expire(&Capabilities::FAITHFUL, &Terms::MANAGED));
        assert!(!may_expire(&weak, &Terms::MANAGED));
        assert!(may_expire(&weak, &exclusive));
        assert!(may_expire(&Capabilities { in_place: true, ..weak }, &Terms::MANAGED));
    }
}
