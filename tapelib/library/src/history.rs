//! What a drive has been through since the process began; bounded, and gone with it.

use std::collections::VecDeque;
use std::time::SystemTime;

use crate::Barcode;

/// Most events remembered of a drive.
const EVENTS_MAX: usize = 200;

/// Something that happened to a drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriveEvent {
    /// When.
    pub at: SystemTime,
    /// What.
    pub news: DriveNews,
}

/// What can happen to a drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DriveNews {
    /// A cartridge was loaded.
    Loaded(Barcode),
    /// Something failed that is charged to the drive, or may be.
    Failed(String),
    /// It gave a warning (TapeAlert).
    Alert(String),
    /// It was cleaned.
    Cleaned(Barcode),
    /// It was set down.
    Down(String),
    /// It was taken into use again.
    Up,
}

/// The events of a drive, oldest first, and how many there were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The last of them.
    pub events: VecDeque<DriveEvent>,
    /// Loads.
    pub loads: u64,
    /// Cleanings.
    pub cleanings: u64,
    /// Errors charged to the drive.
    pub errors: u64,
}

impl History {
    pub(crate) fn push(&mut self, news: DriveNews) {
        match news {
            DriveNews::Loaded(_) => self.loads += 1,
            DriveNews::Cleaned(_) => self.cleanings += 1,
            DriveNews::Failed(_) => self.errors += 1,
            DriveNews::Alert(_) | DriveNews::Down(_) | DriveNews::Up => {}
        }
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(DriveEvent { at: SystemTime::now(), news });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_events_are_kept_and_all_are_counted() {
        let mut history = History::default();
        for n in 0..EVENTS_MAX + 5 {
            history.push(DriveNews::Failed(n.to_string()));
        }
        assert_eq!((history.events.len(), history.errors), (EVENTS_MAX, EVENTS_MAX as u64 + 5));
        assert_eq!(history.events[0].news, DriveNews::Failed("5".to_owned()));
    }
}
