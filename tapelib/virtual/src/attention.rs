//! Unit attentions (SAM-6, 5.14): what a unit must say before it does the next thing.

use crate::sense::{POWER_ON, Sense};
use scsi::opcode;
use std::collections::VecDeque;

/// Conditions waiting to be told, oldest first, each once.
#[derive(Debug)]
pub(crate) struct Attentions(VecDeque<Sense>);

impl Attentions {
    /// A unit that was just switched on.
    pub fn power_on() -> Self {
        Self(VecDeque::from([POWER_ON]))
    }

    pub fn raise(&mut self, sense: Sense) {
        if !self.0.contains(&sense) {
            self.0.push_back(sense);
        }
    }

    /// Forgets a condition that no longer holds.
    pub fn withdraw(&mut self, sense: Sense) {
        self.0.retain(|waiting| *waiting != sense);
    }

    pub fn take(&mut self) -> Option<Sense> {
        self.0.pop_front()
    }

    /// Tells the oldest condition instead of carrying out a command; INQUIRY and REQUEST SENSE pass.
    pub fn admit(&mut self, operation: u8) -> Result<(), Sense> {
        if matches!(operation, opcode::INQUIRY | opcode::REQUEST_SENSE) {
            return Ok(());
        }
        self.take().map_or(Ok(()), Err)
    }
}
