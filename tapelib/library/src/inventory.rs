//! What is where in the library.

use crate::{Barcode, VolumeUuid};

/// The library's elements as the changer last reported them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Storage slots, by element address.
    pub slots: Vec<Slot>,
    /// Mail (import/export) slots, by element address.
    pub mail_slots: Vec<Slot>,
    /// Drives, by element address.
    pub drives: Vec<DriveSlot>,
}

impl Inventory {
    /// Every cartridge with a barcode, wherever it is, in barcode order. (A repeated barcode is listed repeatedly.)
    pub fn barcodes(&self) -> Vec<Barcode> {
        let slots = self.slots.iter().chain(&self.mail_slots).filter_map(|slot| slot.barcode.clone());
        let drives = self.drives.iter().filter_map(|drive| drive.barcode.clone());
        let mut all: Vec<Barcode> = slots.chain(drives).collect();
        all.sort();
        all
    }

    /// Every barcode in a slot or a drive: what a job can have mounted, mail slots left out.
    pub fn shelved(&self) -> Vec<Barcode> {
        let slots = self.slots.iter().filter_map(|slot| slot.barcode.clone());
        slots.chain(self.drives.iter().filter_map(|drive| drive.barcode.clone())).collect()
    }

    /// The element a cartridge is in.
    pub fn element_of(&self, barcode: &Barcode) -> Option<u16> {
        let slots = self.slots.iter().chain(&self.mail_slots).map(|slot| (slot.element, &slot.barcode));
        let drives = self.drives.iter().map(|drive| (drive.element, &drive.barcode));
        slots.chain(drives).find(|(_, there)| there.as_ref() == Some(barcode)).map(|(element, _)| element)
    }
}

/// A storage or mail slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Element address.
    pub element: u16,
    /// Whether a cartridge is in it.
    pub full: bool,
    /// The cartridge's barcode, when it has a readable one.
    pub barcode: Option<Barcode>,
    /// The robot can reach it: a mail slot that is open says no.
    pub reachable: bool,
    /// A person put the cartridge there, not the robot; known of mail slots alone, and not in every library.
    pub by_hand: bool,
}

/// A drive as the changer sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriveSlot {
    /// Element address.
    pub element: u16,
    /// Serial number the changer reports for the drive, when it does.
    pub serial: Option<String>,
    /// Whether a cartridge is in it.
    pub full: bool,
    /// The cartridge's barcode, when it has a readable one.
    pub barcode: Option<Barcode>,
}

/// Whether a drive works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DriveState {
    /// Nothing to do.
    Idle,
    /// Moving, loading, or running a job.
    Busy,
    /// Being cleaned.
    Cleaning,
    /// Not used until the process starts again or [`crate::Library::drive_up`] is called.
    Down {
        /// What was seen.
        why: String,
    },
}

/// One drive, as this room knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriveStatus {
    /// Serial number: the drive's identity.
    pub serial: String,
    /// Element address in the changer.
    pub element: u16,
    /// Whether it works.
    pub state: DriveState,
    /// The cartridge in it.
    pub barcode: Option<Barcode>,
    /// The volume mounted from it.
    pub mounted: Option<VolumeUuid>,
    /// The last error charged to this drive.
    pub last_error: Option<String>,
    /// What it is waiting for and since when, while a cartridge is becoming ready.
    pub doing: Option<String>,
    /// It has asked to be cleaned.
    pub wants_cleaning: bool,
}
