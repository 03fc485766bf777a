//! Where scans broke off. A store that fails now and then would otherwise never be listed to the last key of a large
//! bucket. All of it may be lost.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::{BucketName, ObjectKey};

/// The last key looked at, by bucket.
#[derive(Default)]
pub(crate) struct Places {
    keys: Mutex<BTreeMap<BucketName, ObjectKey>>,
}

impl Places {
    /// Where the next scan begins: after this key. It is forgotten.
    pub(crate) fn take(&self, bucket: &BucketName) -> Option<ObjectKey> {
        self.lock().remove(bucket)
    }

    /// A scan begun after `from` came as far as `reached`. Where it came nowhere the next one begins at the first key:
    /// one bad place does not keep the others from being looked at.
    pub(crate) fn keep(&self, bucket: &BucketName, from: Option<&ObjectKey>, reached: Option<ObjectKey>) {
        if let Some(reached) = reached.filter(|reached| Some(reached) != from) {
            self.lock().insert(bucket.clone(), reached);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<BucketName, ObjectKey>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
