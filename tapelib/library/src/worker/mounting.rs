//! Cartridges into the drive and back.

use std::time::Duration;

use scsi::{Condition, Drive, Waiting};
use volume::ltfs::memory;

use super::{Loaded, Open, Worker};
use crate::error::{Place, chain};
use crate::medium::{keep_in, refuse_undivided, tell_alerts};
use crate::tape::{make_ready, pause};
use crate::{Barcode, DriveNews, Error, reserve};

impl Worker {
    /// Has the cartridge loaded in this drive, which is empty or has it already; ready, with variable blocks.
    pub(super) fn mount(&mut self, barcode: &Barcode) -> Result<(), Error> {
        if self.loaded.is_none() {
            self.fetch(barcode)?;
        }
        if self.loaded_mut().mam_serial.is_some() {
            return Ok(());
        }
        let place = self.place();
        let (ready_timeout, reservation) = (self.shared.config.ready_timeout, self.shared.config.reservation);
        let (shared, me) = (self.shared.clone(), self.me);
        let wait = |waiting: &Waiting| {
            shared.state().drives[me].doing = Some(progress(waiting));
            pause(waiting.pause);
        };
        let tape = self.tape_mut();
        let ready = reserve::take(tape.drive(), reservation)
            .and_then(|()| make_ready(tape.drive(), ready_timeout, &wait))
            .and_then(|()| keep_in(tape.drive(), true))
            .map_err(|error| place.drive_error(error));
        let alerts = tell_alerts(tape.drive(), &place, "after the mount");
        let mut state = shared.state();
        state.drives[me].doing = None;
        state.drives[me].history.push(DriveNews::Loaded(place.barcode.clone()));
        state.drives[me].hear(alerts);
        drop(state);
        let serial = ready.and_then(|()| {
            memory::medium_serial(tape).map_err(|error| {
                let error = place.volume_error(error.into());
                // A drive that cannot read cartridge memory mostly makes no partitions either: that says more.
                match error.is_of_unknown_command() {
                    true => refuse_undivided(tape.drive(), &place).err().unwrap_or(error),
                    false => error,
                }
            })
        });
        self.loaded_mut().mam_serial = Some(serial?);
        Ok(())
    }

    /// Has a cartridge moved from its slot into this empty drive.
    pub(super) fn fetch(&mut self, barcode: &Barcode) -> Result<(), Error> {
        let shared = self.shared.clone();
        let mut robot = shared.robot();
        let known = shared.state().inventory.slot_of(barcode);
        let home = match known {
            Some(home) => home,
            // Somebody may have put it in since the last look.
            None => {
                let inventory = robot.inventory()?;
                let home = inventory.slot_of(barcode);
                shared.state().inventory = inventory;
                home.ok_or(Error::Missing { barcode: barcode.clone() })?
            }
        };
        let inventory = match robot.move_cartridge(barcode, home, self.element) {
            Ok(inventory) => inventory,
            Err(error) => {
                let inventory = robot.inventory()?;
                let gone = inventory.slot_of(barcode).is_none();
                let found = inventory.drive_at(self.element).cloned();
                shared.state().inventory = inventory;
                drop(robot);
                if let Some(found) = found.filter(|drive| drive.full) {
                    return Err(self.find(found.barcode, error));
                }
                return Err(if gone { Error::Missing { barcode: barcode.clone() } } else { error });
            }
        };
        let arrived = inventory.barcode_at(self.element).cloned();
        shared.state().inventory = inventory;
        drop(robot);
        let as_asked = arrived.as_ref().is_none_or(|arrived| arrived == barcode);
        let (home, mam_serial) = (Some(home), None);
        self.loaded =
            Some(Loaded { barcode: arrived.unwrap_or(barcode.clone()), home, mam_serial, open: Open::Not });
        if as_asked {
            return Ok(());
        }
        // Somebody changed cartridges between the last look and the move.
        self.dismount()?;
        Err(Error::Missing { barcode: barcode.clone() })
    }

    /// Somebody else put a cartridge into this drive. One of ours is taken over, to be put back; any other is left
    /// alone, and the drive with it.
    fn find(&mut self, barcode: Option<Barcode>, error: Error) -> Error {
        match barcode.filter(|barcode| self.shared.config.ours.covers(barcode)) {
            Some(barcode) => {
                self.adopt(barcode);
                error
            }
            None => Error::Occupied { drive: self.serial.clone() },
        }
    }

    /// Closes the volume, unloads, and has the cartridge put back where it came from, or into any empty slot. A drive that
    /// broke while it closed the volume is asked all the same to let the cartridge go: another one can go on with it.
    pub(super) fn dismount(&mut self) -> Result<(), Error> {
        let Some(loaded) = &mut self.loaded else { return Ok(()) };
        let place = Place { drive: self.serial.clone(), barcode: loaded.barcode.clone() };
        let tape = self.tape.as_mut().expect("the tape is here between jobs");
        let mut broken = None;
        if let Open::Appending(appender) = std::mem::replace(&mut loaded.open, Open::Not)
            && let Err(error) = appender.close(tape).map_err(|error| place.volume_error(error))
        {
            // Everything was committed by the job: only the copy of the index in the index partition is older.
            tracing::warn!(drive = self.serial, error = chain(&error), "the index partition was not written");
            if error.is_silence() {
                return Err(error);
            }
            broken = Some(error).filter(Error::condemns_drive);
        }
        let out = self.let_go(&place);
        broken.map_or(out, Err)
    }

    fn let_go(&mut self, place: &Place) -> Result<(), Error> {
        let Some(loaded) = &self.loaded else { return Ok(()) };
        let (barcode, home) = (loaded.barcode.clone(), loaded.home);
        let tape = self.tape_mut();
        let alerts = tell_alerts(tape.drive(), place, "before the unload");
        let unloaded = unload(tape.drive());
        self.shared.state().drives[self.me].hear(alerts);
        unloaded.map_err(|error| place.drive_error(error))?;
        self.put_back(&barcode, home)?;
        self.loaded = None;
        Ok(())
    }

    /// Has the cartridge moved into a slot; into another one when the slot chosen first turned out to be taken.
    pub(super) fn put_back(&self, barcode: &Barcode, home: Option<u16>) -> Result<(), Error> {
        let mut robot = self.shared.robot();
        let no_slot = || Error::NoSlot { barcode: barcode.clone() };
        let slot = self.shared.state().inventory.empty_slot(home).ok_or_else(no_slot)?;
        let moved = robot.move_cartridge(barcode, self.element, slot);
        let inventory = match moved {
            Ok(inventory) => inventory,
            Err(error) => {
                let seen = robot.inventory()?;
                let other = seen.empty_slot(home).ok_or_else(no_slot)?;
                self.shared.state().inventory = seen;
                if other == slot {
                    return Err(error);
                }
                robot.move_cartridge(barcode, self.element, other)?
            }
        };
        self.shared.state().inventory = inventory;
        Ok(())
    }
}

/// What a drive says while a cartridge is becoming ready; and why it may go on for so long.
fn progress(waiting: &Waiting) -> String {
    if waiting.waited < LONG_LOAD {
        waiting.to_string()
    } else {
        format!("{waiting}; a new LTO-9 cartridge is measured at its first load, which takes up to two hours")
    }
}

/// What no load takes but that of a new cartridge.
const LONG_LOAD: Duration = Duration::from_secs(120);

/// Most attentions a drive may have to tell of before it unloads: a power-on, a new medium, changed settings, a write
/// that failed.
const ATTENTIONS_MAX: usize = 4;

/// Unloads. A drive tells once of everything that happened to it before (a cartridge found in it at the start may have
/// seen a reset and a load); by now the volume is closed or given up, so none of it matters any more.
fn unload(drive: &mut Drive) -> Result<(), scsi::Error> {
    if let Err(error) = keep_in(drive, false) {
        tracing::debug!(error = chain(&error), "told before unloading");
    }
    for _ in 0..ATTENTIONS_MAX {
        match drive.unload() {
            Err(error @ (scsi::Error::Attention { .. } | scsi::Error::Deferred { .. })) => {
                tracing::debug!(error = chain(&error), "told before unloading");
                if let Err(error) = drive.wait_ready(Duration::ZERO, &|_| {}) {
                    tracing::debug!(error = chain(&error), "not ready before unloading");
                }
            }
            // Taken out by hand, or let go already: what the changer finds will show.
            Err(error) if error.sense().is_some_and(|sense| sense.condition() == Condition::NoMedium) => {
                return Ok(());
            }
            result => return result,
        }
    }
    drive.unload()
}

#[cfg(test)]
mod tests {
    use super::*;
    use scsi::Sense;

    #[test]
    fn a_long_load_says_why() {
        let waiting = |seconds| Waiting {
            pause: Duration::from_secs(1),
            waited: Duration::from_secs(seconds),
            last: Some(Sense::new(2, 0x04, 0x01)),
        };
        assert_eq!(progress(&waiting(9)), "becoming ready, for 9 s");
        assert!(progress(&waiting(600)).starts_with("becoming ready, for 600 s; a new LTO-9 cartridge"));
    }
}
