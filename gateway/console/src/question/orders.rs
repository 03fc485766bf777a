//! The documents that orders are given with.

use model::{BucketName, PoolName};
use serde::{Deserialize, Serialize};

/// What to do with a bucket. What is not said of it stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BucketOrder {
    /// What.
    pub action: BucketAction,
    /// Nobody else can write to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclusive: Option<bool>,
    /// Stubs may be replicated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_replicated_stubs: Option<bool>,
    /// Stubs may fire the store's events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_backend_events: Option<bool>,
}

/// How far the gateway is to go with a bucket. Each may be asked for again until it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BucketAction {
    /// Carry out its rules; the store's own are taken over.
    Enable,
    /// Take over nothing new.
    Pause,
    /// Bring everything back.
    Drain,
    /// Bring everything back, then give the rules back and let go of it.
    Detach,
}

// === impl BucketOrder ===

impl From<BucketAction> for BucketOrder {
    fn from(action: BucketAction) -> Self {
        Self { action, exclusive: None, accept_replicated_stubs: None, accept_backend_events: None }
    }
}

/// What to migrate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Migrate {
    /// One bucket; all with rules when none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<BucketName>,
    /// Count only.
    #[serde(default)]
    pub dry_run: bool,
}

/// What to do with a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum VolumeOrder {
    /// Move what lives on it elsewhere, then label its cartridge anew.
    Reclaim {},
    /// Move what lives on it elsewhere, then never use it again.
    Retire {},
    /// Its cartridge is destroyed.
    GiveUp {
        /// Also when something living is only there.
        #[serde(default)]
        accept_loss: bool,
    },
    /// Read everything on it back.
    Verify {},
}

/// Where copies are to be made again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repair {
    /// One pool; all when none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolName>,
}
