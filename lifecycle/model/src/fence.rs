//! The key fence: what makes "a client's write always wins" true whatever the store does.

use async_trait::async_trait;

use crate::{BucketName, ObjectKey};

/// The fence was not granted in time ([`crate::limits::FENCE_WAIT_MILLISECONDS`]). A client is told 503 SlowDown;
/// a flip is put off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key is busy")]
pub struct FenceBusy;

/// A mutation of, or copy from, a key in flight; dropping it says that the mutation is over.
pub struct Passage(#[allow(dead_code)] Box<dyn Send + Sync>);

/// The key is closed for mutations; dropping it opens the key.
pub struct Gate(#[allow(dead_code)] Box<dyn Send + Sync>);

impl Passage {
    /// A passage whose end is the drop of `inner`.
    pub fn new(inner: impl Send + Sync + 'static) -> Self {
        Self(Box::new(inner))
    }
}

impl Gate {
    /// A gate whose opening is the drop of `inner`.
    pub fn new(inner: impl Send + Sync + 'static) -> Self {
        Self(Box::new(inner))
    }
}

/// Keeps flips and mutations of one key apart.
#[async_trait]
pub trait KeyFence: Send + Sync {
    /// Registers a mutation in flight. Waits while a gate is held or being asked for, at most the fence's wait.
    async fn enter(&self, bucket: &BucketName, key: &ObjectKey) -> Result<Passage, FenceBusy>;

    /// Closes the key: granted once nothing is in flight on it; new mutations wait from the moment of asking.
    async fn close(&self, bucket: &BucketName, key: &ObjectKey) -> Result<Gate, FenceBusy>;

    /// Keeps flips out of a whole bucket while its versioning is changed: granted once no key of it is closed; while the
    /// gate is held [`Self::close`] of its keys is refused. Mutations go on.
    async fn close_bucket(&self, bucket: &BucketName) -> Result<Gate, FenceBusy>;

    /// A number that grows whenever a gate of this bucket is granted or dropped, and now and then besides. What was
    /// learned of the bucket's versioning holds while a key's gate is held and the number is the one it was before the
    /// store was asked.
    fn switches(&self, bucket: &BucketName) -> u64;
}

/// Something the background work should look at soon. Losing a hint costs a poll interval, never an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Work {
    /// An archive was touched.
    Touched,
    /// An archive became due (a direct write).
    Due,
    /// A restore was accepted.
    Restore,
    /// A bucket's rules changed.
    Rules,
}

/// Where hints go.
pub trait Wake: Send + Sync {
    /// Notes that there is work of this kind; never blocks.
    fn wake(&self, work: Work);
}
