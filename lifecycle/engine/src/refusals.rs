//! What the store refuses. One object holds up no other: it rests, and people are told. In a bucket where nothing else
//! goes well, few flips are begun anew: a key whose flip was refused is one more row that has to be looked after.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::{Archive, ArchiveId, BucketName, ObjectKey, Timestamp};

use crate::notice::Notice;

/// Refusals in a row, in one bucket, after which its flips are begun one by one.
const IN_A_ROW_MAX: u32 = 32;
/// Objects remembered, for people.
const OBJECTS_MAX: usize = 1_000;
/// How long after its next attempt was due an object is remembered that nothing was heard of.
const FORGOTTEN_MILLISECONDS: i64 = 60_000;
/// What a refused object is called in the runbook.
const CODE: &str = "EN-0110";

/// What the store's latest answers to flips were.
#[derive(Default)]
pub(crate) struct Refusals {
    buckets: Mutex<BTreeMap<BucketName, Answers>>,
    objects: Mutex<BTreeMap<ArchiveId, Refused>>,
}

/// Of one bucket, since its latest flip that went well.
#[derive(Default)]
struct Answers {
    in_a_row: u32,
    /// No flip is begun before this moment.
    until: Option<Timestamp>,
}

struct Refused {
    bucket: BucketName,
    key: ObjectKey,
    why: String,
    since: Timestamp,
    again: Timestamp,
}

impl Refusals {
    /// There is no room for a stub: flips of the bucket are begun from then on.
    pub(crate) fn full(&self, bucket: &BucketName, until: Timestamp) {
        lock(&self.buckets).entry(bucket.clone()).or_default().until = Some(until);
    }

    /// The store refused the stub of an archive, which is tried again then.
    pub(crate) fn refused(&self, archive: &Archive, why: String, now: Timestamp, again: Timestamp) {
        self.count(&archive.bucket);
        let mut objects = lock(&self.objects);
        let since = objects.get(&archive.id).map_or(now, |known| known.since);
        if objects.len() < OBJECTS_MAX || objects.contains_key(&archive.id) {
            let (bucket, key) = (archive.bucket.clone(), archive.key.clone());
            objects.insert(archive.id, Refused { bucket, key, why, since, again });
        }
    }

    fn count(&self, bucket: &BucketName) {
        let mut buckets = lock(&self.buckets);
        let answers = buckets.entry(bucket.clone()).or_default();
        answers.in_a_row = answers.in_a_row.saturating_add(1);
    }

    /// The stub of an archive stands.
    pub(crate) fn taken(&self, bucket: &BucketName, archive: ArchiveId) {
        lock(&self.buckets).remove(bucket);
        lock(&self.objects).remove(&archive);
    }

    /// Whether a flip of the bucket may be begun; after too many refusals one in every `pause`, in milliseconds.
    pub(crate) fn may_begin(&self, bucket: &BucketName, now: Timestamp, pause: i64) -> bool {
        let mut buckets = lock(&self.buckets);
        let Some(answers) = buckets.get_mut(bucket) else { return true };
        if answers.until.is_some_and(|until| now < until) {
            return false;
        }
        if answers.in_a_row >= IN_A_ROW_MAX {
            answers.until = Some(now.plus_milliseconds(pause));
        }
        true
    }

    /// What is refused, for people: one notice a bucket.
    pub(crate) fn notices(&self, now: Timestamp) -> Vec<Notice> {
        let mut objects = lock(&self.objects);
        objects.retain(|_, refused| now < refused.again.plus_milliseconds(FORGOTTEN_MILLISECONDS));
        let mut notices: BTreeMap<&BucketName, (usize, &Refused)> = BTreeMap::new();
        for refused in objects.values() {
            notices.entry(&refused.bucket).or_insert((0, refused)).0 += 1;
        }
        let notice = |(bucket, (count, first)): (&BucketName, (usize, &Refused))| {
            let text =
                format!("the store takes no stub of {count} of {bucket}, as {}: {}", first.key, first.why);
            Notice { stage: "flip", code: Some(CODE), text, since: first.since }
        };
        notices.into_iter().map(notice).collect()
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn where_nothing_goes_well_flips_are_begun_one_by_one() {
        let [refusing, other] = ["refusing", "other"].map(|name| BucketName::parse(name).unwrap());
        let refusals = Refusals::default();
        let begins = |bucket, now| refusals.may_begin(bucket, Timestamp::from_milliseconds(now), 100);
        for _ in 1..IN_A_ROW_MAX {
            refusals.count(&refusing);
        }
        assert!(begins(&refusing, 0) && begins(&refusing, 0), "a few refused objects hold up no other");
        refusals.count(&refusing);
        assert_eq!([0, 0, 99, 100, 101].map(|now| begins(&refusing, now)), [true, false, false, true, false]);
        assert!(begins(&other, 101) && begins(&other, 101));
        refusals.taken(&refusing, ArchiveId::new(0, 1));
        assert!(begins(&refusing, 101) && begins(&refusing, 101));
        refusals.full(&other, Timestamp::from_milliseconds(200));
        assert_eq!([101, 199, 200, 200].map(|now| begins(&other, now)), [false, false, true, true]);
    }
}
