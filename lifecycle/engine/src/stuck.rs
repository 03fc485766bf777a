//! Objects that cannot be brought back as things are: every one is counted, some of each bucket are described.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::{Archive, ArchiveId, BucketName, ObjectKey, Timestamp};

use crate::notice::Notice;

/// Objects of a bucket that are described, for people.
const DESCRIBED_MAX: usize = 1_000;
const CODE: &str = "EN-0109";

/// An object that cannot be brought back as things are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// Bucket.
    pub bucket: BucketName,
    /// Key.
    pub key: ObjectKey,
    /// Why, and what helps.
    pub why: String,
    /// Since when.
    pub since: Timestamp,
}

/// All of them, by bucket. Lost with the process, and found again.
#[derive(Default)]
pub(crate) struct StuckObjects {
    of: Mutex<BTreeMap<BucketName, StuckOfBucket>>,
}

/// Those of one bucket.
#[derive(Clone, Default)]
pub(crate) struct StuckOfBucket {
    all: BTreeSet<ArchiveId>,
    described: BTreeMap<ArchiveId, Stuck>,
}

// === impl StuckObjects ===

impl StuckObjects {
    /// Takes one down.
    pub(crate) fn note(&self, archive: &Archive, why: String, now: Timestamp) {
        let mut of = self.lock();
        let there = of.entry(archive.bucket.clone()).or_default();
        there.all.insert(archive.id);
        if there.described.len() < DESCRIBED_MAX || there.described.contains_key(&archive.id) {
            let since = there.described.get(&archive.id).map_or(now, |known| known.since);
            let (bucket, key) = (archive.bucket.clone(), archive.key.clone());
            there.described.insert(archive.id, Stuck { bucket, key, why, since });
        }
    }

    /// One of them goes on.
    pub(crate) fn remove(&self, archive: &Archive) {
        if let Some(there) = self.lock().get_mut(&archive.bucket) {
            there.all.remove(&archive.id);
            there.described.remove(&archive.id);
        }
    }

    /// Forgets the buckets that are not wanted.
    pub(crate) fn retain(&self, wanted: impl Fn(&BucketName) -> bool) {
        self.lock().retain(|bucket, there| wanted(bucket) && !there.all.is_empty());
    }

    /// Those of a bucket.
    pub(crate) fn of(&self, bucket: &BucketName) -> StuckOfBucket {
        self.lock().get(bucket).cloned().unwrap_or_default()
    }

    /// For people: one notice a bucket.
    pub(crate) fn notices(&self) -> Vec<Notice> {
        let notice = |(bucket, there): (&BucketName, &StuckOfBucket)| {
            let first = there.described.values().next()?;
            let count = there.all.len();
            let text = format!("{count} of {bucket} cannot be brought back, as {}: {}", first.key, first.why);
            Some(Notice { stage: "drain", code: Some(CODE), text, since: first.since })
        };
        self.lock().iter().filter_map(notice).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<BucketName, StuckOfBucket>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl StuckOfBucket ===

impl StuckOfBucket {
    /// Whether this archive is one of them.
    pub(crate) fn has(&self, archive: ArchiveId) -> bool {
        self.all.contains(&archive)
    }

    /// What is known of it, when it is one of those described.
    pub(crate) fn described(&self, archive: ArchiveId) -> Option<&Stuck> {
        self.described.get(&archive)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use model::store::ObjectRef;
    use model::{ArchiveState, PoolName, TapeClass};

    fn archive(number: u128) -> Archive {
        Archive {
            direct: true,
            size: 1,
            ..Archive::new(
                ArchiveId::new(1, number),
                ObjectRef {
                    bucket: BucketName::parse("bucket").unwrap(),
                    key: ObjectKey::parse("key").unwrap(),
                    version: None,
                },
                TapeClass::Glacier,
                PoolName::parse("glacier").unwrap(),
                ArchiveState::Due,
                Timestamp::from_seconds(0),
            )
        }
    }

    #[test]
    fn all_are_counted_and_some_described() {
        let stuck = StuckObjects::default();
        let many = DESCRIBED_MAX as u128 + 500;
        for number in 0..many {
            stuck.note(&archive(number), "it is odd".to_owned(), Timestamp::from_seconds(1));
        }
        let there = stuck.of(&archive(0).bucket);
        assert_eq!((there.all.len(), there.described.len()), (DESCRIBED_MAX + 500, DESCRIBED_MAX));
        assert!(there.has(archive(many - 1).id) && there.described(archive(many - 1).id).is_none());
        assert!(stuck.notices()[0].text.starts_with("1500 of bucket"), "{:?}", stuck.notices());
        stuck.remove(&archive(0));
        stuck.note(&archive(1), "still".to_owned(), Timestamp::from_seconds(9));
        let there = stuck.of(&archive(0).bucket);
        let known = there.described(archive(1).id).unwrap();
        assert_eq!((known.why.as_str(), known.since), ("still", Timestamp::from_seconds(1)));
        assert_eq!(there.all.len(), DESCRIBED_MAX + 499);
        stuck.retain(|_| false);
        assert!(stuck.notices().is_empty());
    }
}
