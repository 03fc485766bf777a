//! Time and chance as ports: the lifecycle rooms may not read either on their own.

use crate::Timestamp;
use crate::id::{ArchiveId, JobId, PackId};

/// The time of day.
pub trait Clock: Send + Sync {
    /// Now, in UTC. May step backwards when an administrator sets the clock; nothing relies on it ascending.
    fn now(&self) -> Timestamp;
}

/// A source of randomness.
pub trait Entropy: Send + Sync {
    /// 128 unpredictable bits.
    fn random(&self) -> u128;
}

/// A new id of the moment.
macro_rules! fresh {
    ($(#[$doc:meta])* $name:ident -> $id:ident) => {
        $(#[$doc])*
        pub fn $name(clock: &dyn Clock, entropy: &dyn Entropy) -> $id {
            let milliseconds = u64::try_from(clock.now().milliseconds()).unwrap_or(0);
            $id::new(milliseconds, entropy.random() >> 48)
        }
    };
}

fresh! {
    /// A new [`ArchiveId`].
    archive_id -> ArchiveId
}
fresh! {
    /// A new [`PackId`].
    pack_id -> PackId
}
fresh! {
    /// A new [`JobId`].
    job_id -> JobId
}
