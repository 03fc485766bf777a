//! The key fence of one gateway process: an in-memory entry per key in use.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use model::fence::{FenceBusy, Gate, KeyFence, Passage};
use model::limits::FENCE_WAIT_MILLISECONDS;
use model::{BucketName, ObjectKey};
use tokio::sync::Notify;

type Key = (BucketName, ObjectKey);

/// Buckets share this many counters of switches, for clients may name any number of buckets: one that shares another's
/// is looked at anew too often, never too seldom.
const COUNTERS: usize = 32;

/// Readers-writer exclusion by key, with mutations as readers and flips as writers; a waiting flip holds back
/// mutations that come after it.
#[derive(Default)]
pub struct MemoryFence {
    keys: Arc<Keys>,
}

#[derive(Default)]
struct Keys {
    used: Mutex<BTreeMap<Key, Usage>>,
    /// Buckets no flip may begin in. Taken after `used` where both are.
    shut: Mutex<BTreeSet<BucketName>>,
    switches: [AtomicU64; COUNTERS],
    /// A key was opened, or a bucket.
    opened: Notify,
}

#[derive(Default)]
struct Usage {
    /// Mutations in flight.
    passages: u32,
    /// A flip holds the key or waits for it.
    closing: bool,
    /// Tasks that hold a clone of `changed` and wait.
    waiters: u32,
    changed: Arc<Notify>,
}

impl Usage {
    fn is_idle(&self) -> bool {
        self.passages == 0 && !self.closing && self.waiters == 0
    }
}

impl Keys {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Usage>> {
        // A panic cannot leave an entry half changed: every change is one assignment.
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shut(&self) -> MutexGuard<'_, BTreeSet<BucketName>> {
        self.shut.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn switches(&self, bucket: &BucketName) -> &AtomicU64 {
        let mix = |sum: usize, byte: u8| sum.wrapping_mul(31).wrapping_add(usize::from(byte));
        &self.switches[bucket.as_str().bytes().fold(0, mix) % COUNTERS]
    }

    /// Whether a flip of the bucket is under way or in doubt.
    fn is_closed_in(&self, bucket: &BucketName) -> bool {
        let used = self.lock();
        used.iter().any(|((of, _), usage)| of == bucket && usage.closing)
    }

    /// Waits for `attempt` as [`Self::wait`] does, on any key or bucket that opens.
    async fn wait_for_open<T>(&self, attempt: impl Fn() -> Option<T>) -> Result<T, FenceBusy> {
        let limit = tokio::time::sleep(Duration::from_millis(FENCE_WAIT_MILLISECONDS));
        tokio::pin!(limit);
        loop {
            let opened = self.opened.notified();
            tokio::pin!(opened);
            opened.as_mut().enable();
            if let Some(granted) = attempt() {
                return Ok(granted);
            }
            tokio::select! {
                () = &mut opened => {}
                () = &mut limit => return Err(FenceBusy),
            }
        }
    }

    /// Applies `change` to the entry of `key`, wakes its waiters and forgets the entry once nobody uses it.
    fn update<T>(&self, key: &Key, change: impl FnOnce(&mut Usage) -> T) -> T {
        let mut used = self.lock();
        let usage = used.entry(key.clone()).or_default();
        let result = change(usage);
        usage.changed.notify_waiters();
        if usage.is_idle() {
            used.remove(key);
        }
        result
    }

    /// Tries `attempt` until it succeeds, waiting for changes of the entry in between.
    async fn wait<T>(&self, key: &Key, attempt: impl Fn(&mut Usage) -> Option<T>) -> Result<T, FenceBusy> {
        let limit = tokio::time::sleep(Duration::from_millis(FENCE_WAIT_MILLISECONDS));
        tokio::pin!(limit);
        let waiter = Waiter::register(self, key);
        loop {
            let changed = waiter.changed.notified();
            tokio::pin!(changed);
            // Registered before the attempt, so that a change between the attempt and the wait is not missed.
            changed.as_mut().enable();
            if let Some(granted) = self.lock().get_mut(key).and_then(&attempt) {
                return Ok(granted);
            }
            tokio::select! {
                () = &mut changed => {}
                () = &mut limit => return Err(FenceBusy),
            }
        }
    }
}

/// Keeps an entry alive while somebody waits on it, also when the wait is cancelled.
struct Waiter<'a> {
    keys: &'a Keys,
    key: &'a Key,
    changed: Arc<Notify>,
}

impl<'a> Waiter<'a> {
    fn register(keys: &'a Keys, key: &'a Key) -> Self {
        let mut used = keys.lock();
        let usage = used.entry(key.clone()).or_default();
        usage.waiters += 1;
        let changed = usage.changed.clone();
        Self { keys, key, changed }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut used = self.keys.lock();
        if let Some(usage) = used.get_mut(self.key) {
            usage.waiters -= 1;
            if usage.is_idle() {
                used.remove(self.key);
            }
        }
    }
}

/// Undoes its part in an entry when dropped.
struct Hold {
    keys: Arc<Keys>,
    key: Key,
    release: fn(&mut Usage),
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.keys.update(&self.key, self.release);
        self.keys.opened.notify_waiters();
    }
}

/// Lets flips into a bucket again when dropped.
struct Shut {
    keys: Arc<Keys>,
    bucket: BucketName,
}

impl Drop for Shut {
    fn drop(&mut self) {
        // Before any key can be closed: what was learned until now holds no longer.
        self.keys.switches(&self.bucket).fetch_add(1, Ordering::SeqCst);
        self.keys.shut().remove(&self.bucket);
        self.keys.opened.notify_waiters();
    }
}

#[async_trait]
impl KeyFence for MemoryFence {
    async fn enter(&self, bucket: &BucketName, key: &ObjectKey) -> Result<Passage, FenceBusy> {
        let key = (bucket.clone(), key.clone());
        self.keys.wait(&key, |usage| (!usage.closing).then(|| usage.passages += 1)).await?;
        let release = |usage: &mut Usage| usage.passages -= 1;
        Ok(Passage::new(Hold { keys: self.keys.clone(), key, release }))
    }

    async fn close(&self, bucket: &BucketName, key: &ObjectKey) -> Result<Gate, FenceBusy> {
        let key = (bucket.clone(), key.clone());
        if self.keys.shut().contains(bucket) {
            return Err(FenceBusy);
        }
        let open = |usage: &Usage| !usage.closing && !self.keys.shut().contains(bucket);
        self.keys.wait(&key, |usage| open(usage).then(|| usage.closing = true)).await?;
        // From here on new mutations wait; dropping `hold`, also on the way out of a time-out, lets them go.
        let hold = Hold { keys: self.keys.clone(), key: key.clone(), release: |usage| usage.closing = false };
        self.keys.wait(&key, |usage| (usage.passages == 0).then_some(())).await?;
        Ok(Gate::new(hold))
    }

    async fn close_bucket(&self, bucket: &BucketName) -> Result<Gate, FenceBusy> {
        self.keys.wait_for_open(|| self.keys.shut().insert(bucket.clone()).then_some(())).await?;
        // From here on no flip begins.
        let shut = Shut { keys: self.keys.clone(), bucket: bucket.clone() };
        self.keys.wait_for_open(|| (!self.keys.is_closed_in(bucket)).then_some(())).await?;
        self.keys.switches(bucket).fetch_add(1, Ordering::SeqCst);
        Ok(Gate::new(shut))
    }

    fn switches(&self, bucket: &BucketName) -> u64 {
        self.keys.switches(bucket).load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn key() -> (BucketName, ObjectKey) {
        (BucketName::parse("bucket").unwrap(), ObjectKey::parse("key").unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_flip_waits_for_mutations_and_holds_back_new_ones() {
        let fence = Arc::new(MemoryFence::default());
        let (bucket, key) = key();
        let first = fence.enter(&bucket, &key).await.unwrap();
        let second = fence.enter(&bucket, &key).await.unwrap();
        let closing = tokio::spawn({
            let (fence, bucket, key) = (fence.clone(), bucket.clone(), key.clone());
            async move { fence.close(&bucket, &key).await }
        });
        tokio::task::yield_now().await;
        let late = tokio::spawn({
            let (fence, bucket, key) = (fence.clone(), bucket.clone(), key.clone());
            async move { fence.enter(&bucket, &key).await.map(|_| ()) }
        });
        tokio::task::yield_now().await;
        assert!(!closing.is_finished() && !late.is_finished());
        drop((first, second));
        let gate = closing.await.unwrap().unwrap();
        tokio::task::yield_now().await;
        assert!(!late.is_finished(), "a mutation passed a closed gate");
        drop(gate);
        late.await.unwrap().unwrap();
        assert!(fence.keys.lock().is_empty(), "an idle key keeps no entry");
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_waits_for_its_flips_and_keeps_new_ones_out() {
        let fence = Arc::new(MemoryFence::default());
        let (bucket, key) = key();
        let flip = fence.close(&bucket, &key).await.unwrap();
        assert!(fence.close_bucket(&bucket).await.is_err(), "a flip is under way");
        let closing = tokio::spawn({
            let (fence, bucket) = (fence.clone(), bucket.clone());
            async move { fence.close_bucket(&bucket).await }
        });
        tokio::task::yield_now().await;
        assert!(!closing.is_finished());
        let before = fence.switches(&bucket);
        drop(flip);
        let gate = closing.await.unwrap().unwrap();
        let during = fence.switches(&bucket);
        assert!(before < during);
        assert!(fence.close(&bucket, &key).await.is_err());
        drop(fence.enter(&bucket, &key).await.unwrap());
        let other = BucketName::parse("other").unwrap();
        drop(fence.close(&other, &key).await.unwrap());
        drop(gate);
        assert!(during < fence.switches(&bucket));
        drop(fence.close(&bucket, &key).await.unwrap());
        assert!(fence.keys.lock().is_empty() && fence.keys.shut().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends() {
        let fence = MemoryFence::default();
        let (bucket, key) = key();
        let passage = fence.enter(&bucket, &key).await.unwrap();
        assert!(fence.close(&bucket, &key).await.is_err());
        fence.enter(&bucket, &key).await.expect("a flip that gave up no longer holds mutations back");
        drop(passage);
        let _gate = fence.close(&bucket, &key).await.unwrap();
        assert!(fence.enter(&bucket, &key).await.is_err());
        assert!(fence.close(&bucket, &key).await.is_err(), "one flip at a time");
    }
}
