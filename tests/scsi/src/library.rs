//! What was set up, and what the counterpart is known to do otherwise.

use std::fs;

use scsi::conformance::{Difference, Setup};
use serde::Deserialize;

/// A library as its description says.
#[derive(Deserialize)]
pub struct Library {
    pub changer: Unit,
    /// By element.
    pub drives: Vec<Unit>,
    slots: usize,
    mail_slots: usize,
    barcodes: Vec<String>,
    cartridge_bytes: u64,
}

/// A unit: its serial number, and its logical unit number behind the target.
#[derive(Deserialize)]
pub struct Unit {
    pub serial: String,
    #[cfg_attr(not(feature = "iscsi"), expect(dead_code, reason = "sg finds units by serial number alone"))]
    pub unit: i32,
}

impl Library {
    pub fn load(path: &str) -> Self {
        serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
    }

    /// What the suite shall find, over a path with such differences of its own.
    pub fn setup(&self, path: &[(Difference, &'static str)]) -> Setup {
        Setup {
            changer: self.changer.serial.clone(),
            drives: self.drives.iter().map(|drive| drive.serial.clone()).collect(),
            slots: self.slots,
            mail_slots: self.mail_slots,
            barcodes: self.barcodes.clone(),
            cartridge_bytes: self.cartridge_bytes,
            differences: [TGT, path].concat(),
        }
    }
}

/// Debian's tgt 1.0.85. Where each is tested instead: the table in tapelib/scsi/README.md.
const TGT: &[(Difference, &str)] = &[
    (Difference::ShortNames, "element status is counted 8 bytes short, which cuts the last drive's name"),
    (Difference::VagueElements, "a move to an address without an element is refused with 5/24/00"),
    (Difference::NoMailLock, "its changer has no PREVENT ALLOW MEDIUM REMOVAL"),
    (Difference::GivesLoaded, "MOVE MEDIUM takes a cartridge out of a drive that has not unloaded it"),
    (Difference::ReadyWhenUnloaded, "UNLOAD changes nothing"),
    (Difference::SilentChange, "a move raises no unit attention at the drive"),
    (Difference::NoPosition, "READ POSITION answers block 0 everywhere"),
    (
        Difference::TruncatesReads,
        "a read with a larger buffer delivers buffer minus block bytes; mended in 1.0.94",
    ),
    (Difference::SpacesOverMarks, "SPACE over blocks counts on over filemarks"),
    (Difference::StopsBehindMarks, "SPACE backwards over filemarks ends on the wrong side of the last"),
    (Difference::NoHardEnd, "writing goes on behind early warning, and the file grows"),
    (Difference::NoSwitch, "its cartridges have no switch"),
    (Difference::NoLocate, "it has neither LOCATE(10) nor LOCATE(16)"),
    (Difference::NoPartitions, "no mode page 11h, no FORMAT MEDIUM"),
    (Difference::NoMemory, "no READ ATTRIBUTE"),
    (Difference::NoLogs, "no LOG SENSE"),
    (Difference::NoDensities, "no REPORT DENSITY SUPPORT"),
    (Difference::NoReservations, "its tape drives have no PERSISTENT RESERVE"),
    (Difference::NoProtection, "no mode page 0Ah/F0h"),
    (Difference::NoExtension, "no mode page 10h/01h"),
];
