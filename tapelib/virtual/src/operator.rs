//! What a person can do to a library with their hands and with the power switch.
//!
//! Hands reach slots and mail slots, not drives. Each visit is told by the changer as a unit attention: 28h/01h at the
//! mail slots, 28h/00h behind the door.

use crate::Error;
use crate::atomic;
use crate::cartridge::Cartridge;
use crate::changer::Changer;
use crate::geometry::{Barcode, ElementKind};
use crate::inventory::Held;
use crate::library::VirtualLibrary;
use crate::memory::Memory;
use crate::sense::{IMPORT_EXPORT_ACCESSED, MEDIUM_MAY_HAVE_CHANGED};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Which elements a hand puts a cartridge into; the first empty one is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A storage slot, behind the door.
    Slot,
    /// An import/export slot.
    MailSlot,
}

impl VirtualLibrary {
    /// Takes a cartridge out of its slot and away. Its folder is where the answer says, under `outside`.
    pub fn remove(&self, barcode: &Barcode) -> Result<PathBuf, Error> {
        let mut changer = self.changer();
        let element = reachable(&changer, barcode)?;
        let (from, to) =
            (changer.cartridges().join(barcode.as_str()), self.dir.join(OUTSIDE).join(barcode.as_str()));
        changer.inventory.set(element, None)?;
        move_folder(&from, &to)?;
        visited(&mut changer, element);
        Ok(to)
    }

    /// Puts the cartridge whose folder is `dir` in; the folder is moved into the library, its name is the barcode.
    pub fn insert(&self, dir: &Path, place: Place) -> Result<Barcode, Error> {
        let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let barcode = Barcode::parse(name)?;
        let mut changer = self.changer();
        let element = empty(&changer, &barcode, place)?;
        move_folder(dir, &changer.cartridges().join(barcode.as_str()))?;
        changer.inventory.set(element, Some(Held { barcode: barcode.clone(), source: None }))?;
        visited(&mut changer, element);
        Ok(barcode)
    }

    /// Puts a blank cartridge of the library's size in.
    pub fn insert_blank(&self, barcode: &Barcode, place: Place) -> Result<(), Error> {
        let mut changer = self.changer();
        let element = empty(&changer, barcode, place)?;
        let geometry = changer.geometry;
        let serial = format!("{}{barcode}", changer.inventory.id());
        let memory =
            Memory::blank(serial, barcode.as_str(), geometry.cartridge_bytes, geometry.index_partition_bytes);
        Cartridge::create(&changer.cartridges().join(barcode.as_str()), &memory)?;
        changer.inventory.set(element, Some(Held { barcode: barcode.clone(), source: None }))?;
        visited(&mut changer, element);
        Ok(())
    }

    /// Moves a cartridge from its slot to another kind of slot.
    pub fn carry(&self, barcode: &Barcode, place: Place) -> Result<(), Error> {
        let mut changer = self.changer();
        let from = reachable(&changer, barcode)?;
        let to = first_empty(&changer, barcode, place)?;
        changer.inventory.change(|elements| {
            elements.remove(&from);
            elements.insert(to, Held { barcode: barcode.clone(), source: None });
        })?;
        visited(&mut changer, from);
        visited(&mut changer, to);
        Ok(())
    }

    /// Two cartridges change slots; each keeps its label.
    pub fn swap_places(&self, one: &Barcode, other: &Barcode) -> Result<(), Error> {
        let mut changer = self.changer();
        let (first, second) = (reachable(&changer, one)?, reachable(&changer, other)?);
        changer.inventory.change(|elements| {
            elements.insert(first, Held { barcode: other.clone(), source: None });
            elements.insert(second, Held { barcode: one.clone(), source: None });
        })?;
        visited(&mut changer, first);
        visited(&mut changer, second);
        Ok(())
    }

    /// Two cartridges change labels: from now on each is taken for the other.
    pub fn swap_barcodes(&self, one: &Barcode, other: &Barcode) -> Result<(), Error> {
        let mut changer = self.changer();
        let (first, second) = (reachable(&changer, one)?, reachable(&changer, other)?);
        let cartridges = changer.cartridges().to_owned();
        let (one, other) = (cartridges.join(one.as_str()), cartridges.join(other.as_str()));
        let between = self.dir.join(OUTSIDE).join("between");
        move_folder(&one, &between)?;
        move_folder(&other, &one)?;
        move_folder(&between, &other)?;
        visited(&mut changer, first);
        visited(&mut changer, second);
        Ok(())
    }

    /// Slides the write-protect switch of a cartridge that is not in a drive.
    pub fn write_protect(&self, barcode: &Barcode, protected: bool) -> Result<(), Error> {
        let changer = self.changer();
        reachable(&changer, barcode)?;
        let dir = changer.cartridges().join(barcode.as_str());
        let mut memory = Memory::load(&dir)?;
        memory.write_protected = protected;
        memory.save(&dir)
    }

    /// The power fails and comes back. Records written since the last sync of their partition are gone; every unit
    /// has a power-on attention; drives stand at the beginning of the tapes in them.
    pub fn cut_power(&self) -> Result<(), Error> {
        let failed = |source| Error::OpenLibrary { dir: self.dir.clone(), source };
        self.changer().cut_power().map_err(failed)
    }
}

fn reachable(changer: &Changer, barcode: &Barcode) -> Result<u16, Error> {
    let element = changer
        .inventory
        .find(barcode)
        .ok_or_else(|| Error::UnknownCartridge { barcode: barcode.to_string() })?;
    match changer.geometry.kind(element) {
        Some(ElementKind::Drive) => Err(Error::CartridgeInDrive { barcode: barcode.to_string() }),
        Some(ElementKind::ImportExport) if changer.mail_slots_locked => Err(Error::MailSlotsLocked),
        _ => Ok(element),
    }
}

/// An empty element for a cartridge that is not in the library yet.
fn empty(changer: &Changer, barcode: &Barcode, place: Place) -> Result<u16, Error> {
    match changer.inventory.find(barcode) {
        Some(element) => Err(Error::PlaceTaken { element, barcode: barcode.to_string() }),
        None => first_empty(changer, barcode, place),
    }
}

fn first_empty(changer: &Changer, barcode: &Barcode, place: Place) -> Result<u16, Error> {
    let kind = match place {
        Place::Slot => ElementKind::Storage,
        Place::MailSlot if changer.mail_slots_locked => return Err(Error::MailSlotsLocked),
        Place::MailSlot => ElementKind::ImportExport,
    };
    changer
        .inventory
        .first_empty(&changer.geometry, kind)
        .ok_or_else(|| Error::NoRoom { barcode: barcode.to_string() })
}

fn visited(changer: &mut Changer, element: u16) {
    changer.attentions.raise(match changer.geometry.kind(element) {
        Some(ElementKind::ImportExport) => IMPORT_EXPORT_ACCESSED,
        _ => MEDIUM_MAY_HAVE_CHANGED,
    });
}

fn move_folder(from: &Path, to: &Path) -> Result<(), Error> {
    let moved = || -> io::Result<()> {
        let parent = to.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(parent)?;
        if to.exists() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        fs::rename(from, to)?;
        atomic::sync_folder(parent)
    };
    moved().map_err(|source| Error::MoveFolder { from: from.to_owned(), to: to.to_owned(), source })
}

const OUTSIDE: &str = "outside";
