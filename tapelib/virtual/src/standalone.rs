//! A drive on a table, with no library around it: what reads a cartridge's folder where no configuration exists.

use crate::Error;
use crate::cartridge::{Cartridge, Home};
use crate::drive::Drive;
use crate::faults::Faults;
use crate::geometry::Barcode;
use crate::memory::Memory;
use crate::reservation::Nexus;
use crate::timing::Timing;
use crate::unit::DriveTransport;
use scsi::Transport;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// A drive with the cartridge in folder `dir` loaded, write-protected: nothing in the folder changes, so it may lie on
/// a read-only disk. Fails while a drive that may write has the cartridge.
pub fn open_cartridge(dir: &Path) -> Result<Box<dyn Transport>, Error> {
    open(dir, true)
}

/// The same, for writing too.
pub fn open_cartridge_writable(dir: &Path) -> Result<Box<dyn Transport>, Error> {
    open(dir, false)
}

/// Makes the folder of a blank cartridge outside any library; the folder's name is its barcode.
pub fn create_cartridge(
    dir: &Path,
    serial: &str,
    cartridge_bytes: u64,
    index_partition_bytes: u64,
) -> Result<(), Error> {
    let barcode = barcode_of(dir)?;
    let memory = Memory::blank(serial.to_owned(), barcode.as_str(), cartridge_bytes, index_partition_bytes);
    Cartridge::create(dir, &memory)
}

fn open(dir: &Path, read_only: bool) -> Result<Box<dyn Transport>, Error> {
    let home = Home { dir: dir.to_owned(), barcode: barcode_of(dir)?, read_only };
    // A folder that is not a cartridge is better named here than by sense data later.
    let cartridge = Cartridge::load(home)?;
    let faults = Faults::default();
    let timing = Timing::instant();
    let mut drive = Drive::new(0, "TGTABLED00".to_owned(), faults.clone(), timing.clone());
    drive.accept(cartridge);
    Ok(Box::new(DriveTransport {
        drive: Arc::new(Mutex::new(drive)),
        changer: None,
        nexus: Nexus(0),
        index: 0,
        timing,
        faults,
        _lock: None,
    }))
}

fn barcode_of(dir: &Path) -> Result<Barcode, Error> {
    // `.` and the like have no name of their own; a name that is no barcode does not make a cartridge unreadable.
    let name = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let text: String = name
        .file_name()
        .map(|name| name.to_string_lossy().chars().filter(char::is_ascii_alphanumeric).take(32).collect())
        .unwrap_or_default();
    Barcode::parse(if text.is_empty() { "UNNAMED" } else { &text })
}
