//! Whose turn it is at the drives. Every mount of the engine holds one drive's turn and one volume's, from before it is
//! queued at the library until the library has reported its end; nobody holds one while waiting for another.
//!
//! - Restores come first: they take any free drive, and where none is free, verification, then writing, then (for
//!   Expedited) other restores are asked to end at the next pack.
//! - Verification, writing and the preparation of cartridges share what is left in turn; with three drives or more they
//!   leave one to restores.
//! - A library that is held gets no new mounts, and those under way are asked to end at the next pack.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::{Timestamp, VolumeId};

/// With so many drives up, one is left to restores.
const DRIVES_FOR_ONE_FREE: usize = 3;

/// What a drive is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    /// Reading for restores.
    Recall,
    /// Reading back what was written.
    Verify,
    /// Writing packs.
    Write,
    /// Labelling a cartridge.
    Prepare,
}

/// A wish for a drive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    /// The library.
    pub library: &'a str,
    /// Its drives that can be used.
    pub drives_up: usize,
    /// The volume that is to be mounted; none while a cartridge is not a volume yet.
    pub volume: Option<VolumeId>,
    /// What for.
    pub purpose: Purpose,
    /// Of a recall: when its most urgent restore is due, and whether that is an Expedited one.
    pub urgency: Option<(Timestamp, bool)>,
}

/// The turns of all libraries. Lost with the process, as the mounts are.
#[derive(Default)]
pub(crate) struct Turns {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held: BTreeMap<u64, Held>,
    granted: u64,
    /// When each purpose got its last turn in a library, counted in turns.
    last: BTreeMap<(String, Purpose), u64>,
    /// Wishes that found no drive, in the latest round of their stage.
    waiting: BTreeMap<(String, Purpose), Waiting>,
    closed_libraries: BTreeSet<String>,
    closed: bool,
}

/// What waits for a drive.
#[derive(Clone, Copy, Default)]
struct Waiting {
    wishes: usize,
    /// The earliest time that a restore among them is due.
    due: Option<Timestamp>,
}

struct Held {
    library: String,
    volume: Option<VolumeId>,
    purpose: Purpose,
    expedited: bool,
    yields: Arc<AtomicBool>,
}

/// A drive's and a volume's turn, until dropped.
pub(crate) struct Turn {
    turns: Arc<Turns>,
    number: u64,
    yields: Arc<AtomicBool>,
}

// === impl Turns ===

impl Turns {
    /// A stage begins to look for work: what it wanted before is forgotten.
    pub(crate) fn begin_round(&self, purpose: Purpose) {
        self.lock().waiting.retain(|(_, wanted), _| *wanted != purpose);
    }

    /// The turn, when it can be had at once. When not, those who should make room for it are told to.
    pub(crate) fn take(self: &Arc<Self>, request: Request<'_>) -> Option<Turn> {
        let mut state = self.lock();
        if state.closed || state.closed_libraries.contains(request.library) {
            return None;
        }
        let granted = state.has_room(&request);
        if !granted {
            state.wait(&request);
            return None;
        }
        let number = state.granted;
        state.granted += 1;
        state.last.insert((request.library.to_owned(), request.purpose), number);
        let yields = Arc::new(AtomicBool::new(false));
        let held = Held {
            library: request.library.to_owned(),
            volume: request.volume,
            purpose: request.purpose,
            expedited: request.urgency.is_some_and(|(_, expedited)| expedited),
            yields: yields.clone(),
        };
        state.held.insert(number, held);
        Some(Turn { turns: self.clone(), number, yields })
    }

    /// Whether a mount of this volume is under way.
    pub(crate) fn uses(&self, volume: VolumeId) -> bool {
        self.lock().held.values().any(|held| held.volume == Some(volume))
    }

    /// How many turns of this purpose are held in a library.
    pub(crate) fn count(&self, library: &str, purpose: Purpose) -> usize {
        let of = |held: &&Held| held.library == library && held.purpose == purpose;
        self.lock().held.values().filter(of).count()
    }

    /// When the most urgent restore is due that found no drive in this library.
    pub(crate) fn restore_waits(&self, library: &str) -> Option<Timestamp> {
        self.lock().waiting.get(&(library.to_owned(), Purpose::Recall)).and_then(|waiting| waiting.due)
    }

    /// In these libraries, and no others, there are no more turns; those under way end at the next pack.
    pub(crate) fn hold(&self, libraries: BTreeSet<String>) {
        let mut state = self.lock();
        state.held.values().filter(|held| libraries.contains(&held.library)).for_each(Held::ask_to_yield);
        state.closed_libraries = libraries;
    }

    /// Mounts for these purposes end at the next pack.
    pub(crate) fn end(&self, purposes: &[Purpose]) {
        let state = self.lock();
        state.held.values().filter(|held| purposes.contains(&held.purpose)).for_each(Held::ask_to_yield);
    }

    /// No more turns, and those under way end at the next pack: the engine stops.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.held.values().for_each(Held::ask_to_yield);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    fn of<'a>(&'a self, library: &'a str) -> impl Iterator<Item = &'a Held> {
        self.held.values().filter(move |held| held.library == library)
    }

    /// Whether the wish can be granted now.
    fn has_room(&self, request: &Request<'_>) -> bool {
        let volume_is_used = |held: &Held| held.volume.is_some() && held.volume == request.volume;
        if self.held.values().any(volume_is_used) {
            return false;
        }
        // Without any drive that works the library says so itself.
        let up = request.drives_up.max(1);
        let free = up.saturating_sub(self.of(request.library).count());
        if request.purpose == Purpose::Recall {
            return free > 0;
        }
        let waits = |purpose| self.waiting.contains_key(&(request.library.to_owned(), purpose));
        if waits(Purpose::Recall) {
            return false;
        }
        let kept = usize::from(up >= DRIVES_FOR_ONE_FREE);
        let recalls = self.of(request.library).filter(|held| held.purpose == Purpose::Recall).count();
        let free = free.saturating_sub(kept.saturating_sub(recalls));
        let last = |purpose| self.last.get(&(request.library.to_owned(), purpose));
        let others = [Purpose::Verify, Purpose::Write, Purpose::Prepare].into_iter();
        let mut before_us = others.filter(|other| waits(*other) && last(*other) < last(request.purpose));
        free > 1 || (free == 1 && before_us.next().is_none())
    }

    /// Notes the wish; a restore's makes others end.
    fn wait(&mut self, request: &Request<'_>) {
        let key = (request.library.to_owned(), request.purpose);
        let waiting = self.waiting.entry(key).or_default();
        waiting.wishes += 1;
        let wishes = waiting.wishes;
        let Some((due, expedited)) = request.urgency else { return };
        waiting.due = Some(waiting.due.map_or(due, |earlier| earlier.min(due)));
        let of_volume = |held: &&Held| held.volume.is_some() && held.volume == request.volume;
        if let Some(held) = self.held.values().find(of_volume) {
            if held.purpose != Purpose::Recall {
                held.ask_to_yield();
            }
            return;
        }
        // One for every wish of this round, and none twice.
        let yielding = self.of(request.library).filter(|held| held.is_yielding()).count();
        if yielding >= wishes {
            return;
        }
        let may_yield = |held: &&Held| {
            !held.is_yielding()
                && match held.purpose {
                    Purpose::Verify | Purpose::Write => true,
                    Purpose::Recall => expedited && !held.expedited,
                    Purpose::Prepare => false,
                }
        };
        let rank = |held: &&Held| match held.purpose {
            Purpose::Verify => 0,
            Purpose::Write => 1,
            Purpose::Recall | Purpose::Prepare => 2,
        };
        if let Some(held) = self.of(request.library).filter(may_yield).min_by_key(rank) {
            held.ask_to_yield();
        }
    }
}

// === impl Held ===

impl Held {
    fn ask_to_yield(&self) {
        self.yields.store(true, Ordering::Relaxed);
    }

    fn is_yielding(&self) -> bool {
        self.yields.load(Ordering::Relaxed)
    }
}

// === impl Turn ===

impl Turn {
    /// Whether the mount is to end at the next pack: somebody more urgent waits, or the engine stops.
    pub(crate) fn yields(&self) -> bool {
        self.yields.load(Ordering::Relaxed)
    }

    /// [`Self::yields`], for the drive's thread.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        self.yields.clone()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.lock().held.remove(&self.number);
    }
}

#[cfg(test)]
mod tests;
