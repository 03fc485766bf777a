//! A drive is cleaned: its own cartridge goes back, a cleaning cartridge comes, and goes back too.

use std::time::Duration;

use scsi::Waiting;

use super::Worker;
use crate::medium::tell_alerts;
use crate::tape::pause;
use crate::{Barcode, DriveNews, Error};

/// How long a cleaning may take; minutes are usual.
const CLEANING_LIMIT: Duration = Duration::from_secs(20 * 60);

impl Worker {
    /// Cleans the drive. A cleaning cartridge that does not do it is not used again before the process ends.
    pub(super) fn clean(&mut self, cleaner: &Barcode) -> Result<(), Error> {
        // Tried once: asked for again only by what comes after.
        self.shared.state().drives[self.me].wants_cleaning = false;
        self.dismount()?;
        self.fetch(cleaner)?;
        let place = self.place();
        let (shared, me) = (self.shared.clone(), self.me);
        let wait = |waiting: &Waiting| {
            let text = format!("being cleaned, for {} s", waiting.waited.as_secs());
            shared.state().drives[me].doing = Some(text);
            pause(waiting.pause);
        };
        let drive = self.tape_mut().drive();
        let cleaned = drive.wait_cleaned(CLEANING_LIMIT, &wait).map_err(|error| place.drive_error(error));
        let alerts = tell_alerts(drive, &place, "after the cleaning");
        let spent = alerts.cleaner_spent || cleaned.is_err();
        let mut state = shared.state();
        let record = &mut state.drives[me];
        record.doing = None;
        record.hear(alerts);
        record.wants_cleaning = false;
        if !spent {
            record.history.push(DriveNews::Cleaned(cleaner.clone()));
        } else {
            tracing::error!(code = "TL-0418", drive = self.serial, %cleaner, "the cleaning cartridge did not clean");
            state.spent.insert(cleaner.clone());
        }
        drop(state);
        let home = self.loaded.as_ref().and_then(|loaded| loaded.home);
        self.put_back(cleaner, home)?;
        self.loaded = None;
        cleaned?;
        if spent { Err(Error::NotCleaned { drive: place.drive, barcode: cleaner.clone() }) } else { Ok(()) }
    }
}
