//! How many flips are begun in a second, where an administrator bounds it.

use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::Timestamp;

const SECOND_MILLISECONDS: i64 = 1_000;

/// The flips of the second under way.
#[derive(Default)]
pub(crate) struct Pace {
    second: Mutex<Option<(Timestamp, u32)>>,
}

impl Pace {
    /// Counts one more flip, unless the second has had all it may.
    pub(crate) fn take(&self, per_second: Option<NonZeroU32>, now: Timestamp) -> bool {
        let Some(most) = per_second else { return true };
        let mut second = self.lock();
        let (began, begun) = second.filter(|(began, _)| is_within(*began, now)).unwrap_or((now, 0));
        let free = begun < most.get();
        *second = Some((began, begun + u32::from(free)));
        free
    }

    /// Whether the second has had all it may.
    pub(crate) fn is_spent(&self, per_second: Option<NonZeroU32>, now: Timestamp) -> bool {
        let spent = |most: NonZeroU32| {
            self.lock().is_some_and(|(began, begun)| is_within(began, now) && begun >= most.get())
        };
        per_second.is_some_and(spent)
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Timestamp, u32)>> {
        self.second.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A clock set back begins a new second.
fn is_within(began: Timestamp, now: Timestamp) -> bool {
    began <= now && now < began.plus_milliseconds(SECOND_MILLISECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_so_many_flips() {
        let pace = Pace::default();
        let two = NonZeroU32::new(2);
        let at = Timestamp::from_milliseconds;
        let taken = [0, 10, 20, 999, 1_000, 1_001, 1_500, 2_000].map(|now| pace.take(two, at(now)));
        assert_eq!(taken, [true, true, false, false, true, true, false, true]);
        assert!(!pace.is_spent(two, at(2_000)));
        assert!(pace.take(two, at(2_001)) && pace.is_spent(two, at(2_001)));
        assert!(!pace.is_spent(two, at(3_000)));
        assert!(pace.take(None, at(2_001)), "no bound");
    }
}
