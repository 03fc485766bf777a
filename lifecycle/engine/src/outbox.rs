//! Packs on their way to tape: mounts for writing take them one by one, so that one that is slow or full holds up no
//! other. What is in memory here is lost with the process; the rows of the copies say it all.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::pack::{Pack, PackCopy};
use model::{PackId, PoolName, Timestamp};

/// A pack copy on its way to tape.
#[derive(Clone)]
pub(crate) struct Outgoing {
    pub(crate) pack: Pack,
    pub(crate) copy: PackCopy,
    /// What it takes on tape at most, in bytes.
    pub(crate) room: u64,
}

/// The packs of every pool.
#[derive(Default)]
pub(crate) struct Outbox {
    pools: Mutex<BTreeMap<PoolName, Queue>>,
}

#[derive(Default)]
struct Queue {
    /// Oldest first.
    waiting: VecDeque<Outgoing>,
    /// Taken by a mount, until that ends.
    taken: BTreeSet<PackId>,
    /// Given back since the last refill began, which may have seen them as they were before.
    given_back: BTreeSet<PackId>,
    /// Mounts that take packs.
    takers: usize,
}

/// A mount for writing, as the outbox sees it. Dropped when the rows tell what became of everything it took.
pub(crate) struct Taker {
    outbox: Arc<Outbox>,
    pool: PoolName,
    taken: Mutex<Vec<PackId>>,
}

/// What waits in a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Backlog {
    pub(crate) bytes: u64,
    /// When the oldest was built.
    pub(crate) oldest: Option<Timestamp>,
}

/// The next pack for a volume.
pub(crate) enum Next {
    Pack(Box<Outgoing>),
    /// There are some, and the volume has room for none of them.
    TooLarge,
    Nothing,
}

impl Outbox {
    /// The rows are about to be read; only one refill of a pool at a time.
    pub(crate) fn begin_refill(&self, pool: &PoolName) {
        self.lock().entry(pool.clone()).or_default().given_back.clear();
    }

    /// What the rows say waits. What a mount has is left out.
    pub(crate) fn refill(&self, pool: &PoolName, spooled: Vec<Outgoing>) {
        let mut pools = self.lock();
        let queue = pools.entry(pool.clone()).or_default();
        let free =
            |one: &Outgoing| !queue.taken.contains(&one.pack.id) && !queue.given_back.contains(&one.pack.id);
        queue.waiting = spooled.into_iter().filter(free).collect();
    }

    /// What waits in a pool.
    pub(crate) fn backlog(&self, pool: &PoolName) -> Backlog {
        let pools = self.lock();
        let Some(queue) = pools.get(pool) else { return Backlog::default() };
        let bytes = queue.waiting.iter().map(|one| one.pack.bytes).sum();
        Backlog { bytes, oldest: queue.waiting.iter().map(|one| one.pack.created).min() }
    }

    /// The sizes that have to fit, oldest pack first.
    pub(crate) fn rooms(&self, pool: &PoolName) -> Vec<u64> {
        let pools = self.lock();
        pools.get(pool).map(|queue| queue.waiting.iter().map(|one| one.room).collect()).unwrap_or_default()
    }

    /// How many mounts take packs of a pool.
    pub(crate) fn takers(&self, pool: &PoolName) -> usize {
        self.lock().get(pool).map_or(0, |queue| queue.takers)
    }

    /// One more mount.
    pub(crate) fn taker(self: &Arc<Self>, pool: &PoolName) -> Taker {
        self.lock().entry(pool.clone()).or_default().takers += 1;
        Taker { outbox: self.clone(), pool: pool.clone(), taken: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PoolName, Queue>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Taker ===

impl Taker {
    /// Takes the oldest pack that fits in `room`.
    pub(crate) fn next(&self, room: u64) -> Next {
        let mut pools = self.outbox.lock();
        let Some(queue) = pools.get_mut(&self.pool) else { return Next::Nothing };
        if queue.waiting.is_empty() {
            return Next::Nothing;
        }
        let fits = queue.waiting.iter().position(|one| one.room <= room);
        let Some(one) = fits.and_then(|at| queue.waiting.remove(at)) else { return Next::TooLarge };
        queue.taken.insert(one.pack.id);
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).push(one.pack.id);
        Next::Pack(Box::new(one))
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        let mut pools = self.outbox.lock();
        let queue = pools.entry(self.pool.clone()).or_default();
        queue.takers -= 1;
        for pack in std::mem::take(&mut *self.taken.lock().unwrap_or_else(PoisonError::into_inner)) {
            queue.taken.remove(&pack);
            queue.given_back.insert(pack);
        }
    }
}

#[cfg(test)]
pub(crate) fn outgoing(number: u128, bytes: u64) -> Outgoing {
    use model::pack::PackCopyState;
    let (id, pool) = (PackId::new(1, number), PoolName::parse("pool").expect("a legal name"));
    Outgoing {
        pack: Pack {
            id,
            revision: 1,
            pool: pool.clone(),
            bytes,
            digest: [0; 32],
            seal: None,
            members: 1,
            spooled: true,
            created: Timestamp::from_seconds(0),
        },
        copy: PackCopy {
            pack: id,
            number: 0,
            revision: 1,
            pool,
            volume: None,
            state: PackCopyState::Spooled,
        },
        room: bytes,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_pack_is_taken_once_and_found_again_after_its_mount() {
        let (outbox, pool) = (Arc::new(Outbox::default()), PoolName::parse("pool").unwrap());
        let rows = || vec![outgoing(1, 10), outgoing(2, 5), outgoing(3, 20)];
        outbox.begin_refill(&pool);
        outbox.refill(&pool, rows());
        assert_eq!(outbox.backlog(&pool).bytes, 35);
        let taker = outbox.taker(&pool);
        let Next::Pack(first) = taker.next(7) else { panic!("the second fits") };
        assert_eq!(first.pack.id, PackId::new(1, 2));
        assert!(matches!(taker.next(7), Next::TooLarge));
        outbox.begin_refill(&pool);
        outbox.refill(&pool, rows());
        assert_eq!(outbox.rooms(&pool), [10, 20], "a mount has the other");
        // Read before the mount ended, told after.
        outbox.begin_refill(&pool);
        assert_eq!(outbox.takers(&pool), 1);
        drop(taker);
        outbox.refill(&pool, rows());
        assert_eq!(outbox.rooms(&pool), [10, 20]);
        outbox.begin_refill(&pool);
        outbox.refill(&pool, rows());
        assert_eq!(outbox.rooms(&pool), [10, 5, 20]);
        outbox.refill(&pool, Vec::new());
        assert!(matches!(outbox.taker(&pool).next(7), Next::Nothing));
        assert_eq!(outbox.takers(&pool), 0);
    }
}
