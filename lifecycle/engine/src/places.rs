//! Where scans broke off. A store that fails now and then would otherwise never be listed to the last key of a large
//! bucket. All of it may be lost.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::rule::LifecycleConfiguration;
use model::{BucketName, ObjectKey};

/// By bucket, the rules it was looked at by and the last key.
#[derive(Default)]
pub(crate) struct Places {
    keys: Mutex<BTreeMap<BucketName, (LifecycleConfiguration, ObjectKey)>>,
}

impl Places {
    /// Where the next scan by these rules begins: after this key. It is forgotten.
    pub(crate) fn take(&self, bucket: &BucketName, rules: &LifecycleConfiguration) -> Option<ObjectKey> {
        self.lock().remove(bucket).filter(|(by, _)| by == rules).map(|(_, key)| key)
    }

    /// A scan begun after `from` came as far as `reached`. Where it came nowhere the next one begins at the first key:
    /// one bad place does not keep the others from being looked at.
    pub(crate) fn keep(
        &self,
        bucket: &BucketName,
        rules: LifecycleConfiguration,
        from: Option<&ObjectKey>,
        reached: Option<ObjectKey>,
    ) {
        if let Some(reached) = reached.filter(|reached| Some(reached) != from) {
            self.lock().insert(bucket.clone(), (rules, reached));
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<BucketName, (LifecycleConfiguration, ObjectKey)>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
