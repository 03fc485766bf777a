//! Cartridges in and out of the library, and into a drive by hand.
//!
//! The robot only moves between slots and mail slots; hands do the rest. Every call may be repeated: what was done
//! already is found done. While one moves a cartridge the mail slots are shut.

use crate::error::chain;
use crate::robot::Robot;
use crate::state::{Shared, Work};
use crate::{Barcode, Error, Inventory, JobNumber, Library, Seen};

impl Library {
    /// Takes a cartridge to a mail slot, after the jobs that were queued for it; gives the mail slot's element. Jobs
    /// queued later wait, and fail as [`Error::Missing`] once it is out. Blocks.
    ///
    /// After an error the cartridge is where the next inventory says; nothing of it was written but by jobs and the
    /// end of their mounts.
    pub fn export(&self, barcode: &Barcode) -> Result<u16, Error> {
        let _leaving = Leaving::begin(&self.shared, barcode)?;
        self.put_away(barcode)?;
        let mut robot = self.shared.robot();
        let inventory = self.look_for(&mut robot, barcode)?;
        if let Some(there) = inventory.mail_slot_of(barcode) {
            return Ok(there.element);
        }
        let from = inventory.slot_of(barcode).ok_or_else(|| self.nowhere(&inventory, barcode))?;
        let to = empty_mail_slot(&inventory, barcode)?;
        self.carry(&mut robot, barcode, from, to)?;
        tracing::info!(library = self.shared.config.name, %barcode, mail_slot = to, "cartridge ready to be taken out");
        Ok(to)
    }

    /// Takes a cartridge from a mail slot into a slot; gives the slot's element. Blocks.
    pub fn import(&self, barcode: &Barcode) -> Result<u16, Error> {
        let mut robot = self.shared.robot();
        let inventory = self.look_for(&mut robot, barcode)?;
        if let Some(slot) = inventory.slot_of(barcode) {
            return Ok(slot);
        }
        let from = inventory.mail_slot_of(barcode).ok_or_else(|| self.nowhere(&inventory, barcode))?;
        if !from.reachable {
            return Err(Error::MailSlotOpen { barcode: barcode.clone(), element: from.element });
        }
        let to = inventory.empty_slot(None).ok_or_else(|| Error::NoSlot { barcode: barcode.clone() })?;
        self.carry(&mut robot, barcode, from.element, to)?;
        tracing::info!(library = self.shared.config.name, %barcode, slot = to, "cartridge taken in");
        Ok(to)
    }

    /// Has a cartridge in no drive, after the jobs that were queued for it. One that is in no drive is left where it
    /// is. Blocks.
    pub fn put_away(&self, barcode: &Barcode) -> Result<(), Error> {
        self.wait_for(barcode, None, |done| Work::PutAway { done })
    }

    /// Loads a cartridge, into the drive of that serial when one is named, and tells what it is. It stays loaded like
    /// after any job. Blocks; a new cartridge may take hours to become ready, see [`crate::DriveStatus::doing`].
    pub fn load(&self, barcode: &Barcode, drive: Option<&str>) -> Result<Seen, Error> {
        if let Some(serial) = drive {
            let drives = self.drives();
            let known = drives.iter().any(|drive| drive.serial == serial);
            let library = self.shared.config.name.clone();
            let unknown = || Error::NoSuchDrive { library, drive: serial.to_owned() };
            known.then_some(()).ok_or_else(unknown)?;
            if drives.iter().any(|drive| drive.serial != serial && drive.barcode.as_ref() == Some(barcode)) {
                self.put_away(barcode)?;
            }
        }
        self.wait_for(barcode, drive.map(str::to_owned), |done| Work::Look { done })
    }

    /// Has the robot look at every element, and asks what is where. Blocks, for minutes in a large library.
    pub fn audit(&self) -> Result<Inventory, Error> {
        let mut robot = self.shared.robot();
        let inventory = robot.audit()?;
        Ok(self.ours(self.note(inventory)))
    }

    /// Asks what is where, for the sake of one cartridge of ours that is there once.
    fn look_for(&self, robot: &mut Robot, barcode: &Barcode) -> Result<Inventory, Error> {
        let barcode = barcode.clone();
        if !self.shared.config.ours.covers(&barcode) {
            return Err(Error::Missing { barcode });
        }
        let inventory = self.note(robot.inventory()?);
        let there = inventory.barcodes().into_iter().filter(|one| *one == barcode).count();
        if there > 1 { Err(Error::Repeated { barcode }) } else { Ok(inventory) }
    }

    /// Why a cartridge is in no slot.
    fn nowhere(&self, inventory: &Inventory, barcode: &Barcode) -> Error {
        let barcode = barcode.clone();
        match inventory.drives.iter().find(|drive| drive.barcode.as_ref() == Some(&barcode)) {
            Some(drive) => {
                let drive = drive.serial.clone().unwrap_or_else(|| format!("at element {}", drive.element));
                Error::Stranded { barcode, drive }
            }
            None => Error::Missing { barcode },
        }
    }

    /// Moves a cartridge and looks whether it is this one that arrived.
    fn carry(&self, robot: &mut Robot, barcode: &Barcode, from: u16, to: u16) -> Result<(), Error> {
        robot.shut_mail_slots(true);
        let moved = robot.move_cartridge(barcode, from, to);
        robot.shut_mail_slots(false);
        let inventory = match moved {
            Ok(inventory) => inventory,
            Err(error) => {
                match robot.inventory() {
                    Ok(inventory) => drop(self.note(inventory)),
                    Err(error) => tracing::warn!(error = chain(&error), "what is where is not known now"),
                }
                return Err(error);
            }
        };
        let arrived = self.note(inventory).barcode_at(to) == Some(barcode);
        // Somebody changed cartridges between the last look and the move.
        if arrived { Ok(()) } else { Err(Error::Missing { barcode: barcode.clone() }) }
    }

    fn note(&self, inventory: Inventory) -> Inventory {
        self.shared.state().inventory = inventory.clone();
        self.shared.changed.notify_all();
        inventory
    }
}

/// Keeps later jobs from a cartridge.
struct Leaving<'a> {
    shared: &'a Shared,
    barcode: &'a Barcode,
}

impl<'a> Leaving<'a> {
    fn begin(shared: &'a Shared, barcode: &'a Barcode) -> Result<Self, Error> {
        let mut state = shared.state();
        let limit = JobNumber(state.next_number);
        if state.leaving.contains_key(barcode) {
            return Err(Error::Leaving { barcode: barcode.clone() });
        }
        state.leaving.insert(barcode.clone(), limit);
        Ok(Self { shared, barcode })
    }
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.shared.state().leaving.remove(self.barcode);
        self.shared.changed.notify_all();
    }
}

fn empty_mail_slot(inventory: &Inventory, barcode: &Barcode) -> Result<u16, Error> {
    let slots = &inventory.mail_slots;
    let why = if slots.is_empty() {
        "the library has no mail slots; take it out through the door".to_owned()
    } else if let Some(slot) = slots.iter().find(|slot| !slot.full && slot.reachable) {
        return Ok(slot.element);
    } else if slots.iter().any(|slot| !slot.reachable) {
        "the mail slots are open; close them".to_owned()
    } else {
        let inside: Vec<&str> = slots
            .iter()
            .map(|slot| slot.barcode.as_ref().map_or("one without a label", Barcode::as_str))
            .collect();
        format!("every mail slot is full; take out {}", inside.join(", "))
    };
    Err(Error::NoMailSlot { barcode: barcode.clone(), why })
}
