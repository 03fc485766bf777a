//! Keeping other hosts, and what is left of our own past, from changer and drives.

use scsi::{Changer, Condition, Drive};

use crate::error::chain;

/// What can be reserved.
pub(crate) trait Reserve {
    /// Takes the unit from older keys.
    fn reserve(&mut self, key: u64) -> Result<Option<u64>, scsi::Error>;
    /// Gives it back.
    fn release(&mut self, key: u64) -> Result<(), scsi::Error>;
}

impl Reserve for Drive {
    fn reserve(&mut self, key: u64) -> Result<Option<u64>, scsi::Error> {
        Drive::reserve(self, key)
    }

    fn release(&mut self, key: u64) -> Result<(), scsi::Error> {
        Drive::release(self, key)
    }
}

impl Reserve for Changer {
    fn reserve(&mut self, key: u64) -> Result<Option<u64>, scsi::Error> {
        Changer::reserve(self, key)
    }

    fn release(&mut self, key: u64) -> Result<(), scsi::Error> {
        Changer::release(self, key)
    }
}

/// Reserves a unit, when there is a key to do it with. What a unit has to tell first does not matter yet: whoever goes
/// on reads its state. Units without reservations are used without.
pub(crate) fn take(unit: &mut impl Reserve, key: Option<u64>) -> Result<(), scsi::Error> {
    let Some(key) = key else { return Ok(()) };
    let mut result = unit.reserve(key);
    for _ in 1..ATTENTIONS_MAX {
        if !matches!(result, Err(scsi::Error::Attention { .. })) {
            break;
        }
        result = unit.reserve(key);
    }
    match result {
        Ok(None) => Ok(()),
        Ok(Some(older)) => {
            tracing::warn!(older, key, "a reservation was taken over");
            Ok(())
        }
        Err(error) if error.sense().is_some_and(|sense| sense.condition() == Condition::UnknownOperation) => {
            tracing::debug!("a unit knows no reservations");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Gives a unit back at the end. One that does not take it is taken over by the next process.
pub(crate) fn give_back(unit: &mut impl Reserve, key: Option<u64>) {
    let Some(key) = key else { return };
    if let Err(error) = unit.release(key) {
        tracing::debug!(error = chain(&error), "a reservation was not given back");
    }
}

/// A power-on, a new medium, settings, reservations.
const ATTENTIONS_MAX: usize = 4;
