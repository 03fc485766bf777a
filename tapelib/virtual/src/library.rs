//! The library as a whole: its folder, its units, and the way in.
//!
//! ```text
//! DIR/library.json            which cartridge is where
//! DIR/library.lock            held locked while the library is open
//! DIR/cartridges/TG0001L9/    a cartridge; the folder's name is the barcode
//! DIR/outside/TG0001L9/       a cartridge that was taken out
//! ```

use crate::cartridge::Cartridge;
use crate::changer::Changer;
use crate::drive::Drive;
use crate::faults::Faults;
use crate::geometry::{Barcode, Geometry};
use crate::inquiry::Identity;
use crate::inventory::Inventory;
use crate::memory::Memory;
use crate::reservation::Nexus;
use crate::timing::Timing;
use crate::unit::{ChangerTransport, DriveTransport};
use crate::{Error, atomic};
use scsi::Transport;
use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A tape library in files. Clones are handles to the same library; it is closed when the last handle and the last
/// transport are gone.
#[derive(Clone, Debug)]
pub struct VirtualLibrary {
    pub(crate) dir: PathBuf,
    changer: Arc<Mutex<Changer>>,
    drives: Vec<Arc<Mutex<Drive>>>,
    faults: Faults,
    timing: Timing,
    /// Number of the next path into the library.
    next_nexus: Arc<AtomicU64>,
    lock: Arc<File>,
}

impl VirtualLibrary {
    /// Opens the library in `dir`. On first use the folder is made and five of six slots get blank cartridges; later
    /// everything is where it was, except that cartridge folders that appeared or vanished meanwhile are found or
    /// missed, as if a door had been opened. Drives come up with power-on attention and load what is in them.
    ///
    /// A geometry other than last time's adds or removes elements; cartridges whose element is gone go to empty
    /// slots. Errors: [`Error::LibraryInUse`] while another handle's library is open, [`Error::NoRoom`],
    /// [`Error::Geometry`], and what the file system says.
    ///
    /// Nothing takes any time; [`VirtualLibrary::open_timed`] is for machines that do.
    pub fn open(dir: &Path, geometry: Geometry) -> Result<Self, Error> {
        Self::open_timed(dir, geometry, Timing::instant())
    }

    /// The same with machines that take their time.
    pub fn open_timed(dir: &Path, geometry: Geometry, timing: Timing) -> Result<Self, Error> {
        geometry.check()?;
        let failed = |source| Error::OpenLibrary { dir: dir.to_owned(), source };
        let cartridges = dir.join(CARTRIDGES);
        fs::create_dir_all(&cartridges).map_err(failed)?;
        let lock = File::create(dir.join("library.lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::LibraryInUse { dir: dir.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let path = dir.join("library.json");
        let mut inventory = match Inventory::load(&path)? {
            Some(inventory) => inventory,
            None => fill(path, &cartridges, &geometry)?,
        };
        inventory.reconcile(&geometry, &present(&cartridges).map_err(failed)?)?;
        let faults = Faults::default();
        let id = inventory.id().to_owned();
        let drives: Vec<_> = (0..usize::from(geometry.drives))
            .map(|index| {
                let serial = format!("TG{id}D{index:02}");
                Arc::new(Mutex::new(Drive::new(index, serial, faults.clone(), timing.clone())))
            })
            .collect();
        let identity = Identity::changer(format!("TG{id}LIB"));
        let changer = Changer::new(geometry, inventory, identity, timing.clone(), cartridges, drives.clone());
        changer.load_drives();
        Ok(Self {
            dir: dir.to_owned(),
            changer: Arc::new(Mutex::new(changer)),
            drives,
            faults,
            timing,
            next_nexus: Arc::default(),
            lock: Arc::new(lock),
        })
    }

    fn nexus(&self) -> Nexus {
        Nexus(self.next_nexus.fetch_add(1, Ordering::Relaxed))
    }

    /// A path to the medium changer.
    pub fn changer_transport(&self) -> Box<dyn Transport> {
        Box::new(ChangerTransport {
            changer: self.changer.clone(),
            nexus: self.nexus(),
            timing: self.timing.clone(),
            faults: self.faults.clone(),
            _lock: self.lock.clone(),
        })
    }

    /// A path to the drive with this index, from 0. Drives work side by side; several transports to one drive share
    /// its state.
    ///
    /// Panics when the geometry has no such drive.
    pub fn drive_transport(&self, index: usize) -> Box<dyn Transport> {
        Box::new(DriveTransport {
            drive: self.drives[index].clone(),
            changer: Some(self.changer.clone()),
            nexus: self.nexus(),
            index,
            timing: self.timing.clone(),
            faults: self.faults.clone(),
            _lock: Some(self.lock.clone()),
        })
    }

    /// How many drives there are.
    pub fn drive_count(&self) -> usize {
        self.drives.len()
    }

    /// Serial number of the changer (VPD page 80h), the same for ever, differing from other libraries'.
    pub fn changer_serial(&self) -> String {
        self.changer().identity().serial.clone()
    }

    /// Serial number of a drive (VPD page 80h, DVCID), the same for ever, differing from other libraries'.
    ///
    /// Panics when the geometry has no such drive.
    pub fn drive_serial(&self, index: usize) -> String {
        self.drives[index].lock().unwrap_or_else(PoisonError::into_inner).identity().serial.clone()
    }

    /// Where things are made to go wrong.
    pub fn faults(&self) -> Faults {
        self.faults.clone()
    }

    /// The folder of a cartridge in the library: what [`crate::open_cartridge`] takes.
    pub fn cartridge_dir(&self, barcode: &Barcode) -> Result<PathBuf, Error> {
        let changer = self.changer();
        match changer.inventory.find(barcode) {
            Some(_) => Ok(changer.cartridges().join(barcode.as_str())),
            None => Err(Error::UnknownCartridge { barcode: barcode.to_string() }),
        }
    }

    pub(crate) fn changer(&self) -> MutexGuard<'_, Changer> {
        self.changer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a library in `dir` keeps the folder of a cartridge, whether or not the library is open or the cartridge
/// exists.
pub fn cartridge_dir(dir: &Path, barcode: &Barcode) -> PathBuf {
    dir.join(CARTRIDGES).join(barcode.as_str())
}

/// Makes the cartridges of a new library. A first use that was cut short is begun again: whole cartridges stay.
fn fill(path: PathBuf, cartridges: &Path, geometry: &Geometry) -> Result<Inventory, Error> {
    let mut random = [0; 3];
    getrandom::fill(&mut random)
        .map_err(|error| Error::OpenLibrary { dir: path.clone(), source: io::Error::other(error) })?;
    let id = hex::encode_upper(random);
    for number in 1..=geometry.cartridges_at_first() {
        let barcode = format!("TG{number:04}L9");
        let dir = cartridges.join(&barcode);
        if is_cartridge(&dir) {
            continue;
        }
        if dir.exists() {
            fs::remove_dir_all(&dir).map_err(|source| Error::CreateCartridge { dir: dir.clone(), source })?;
        }
        let serial = format!("TG{id}{number:04}");
        let memory =
            Memory::blank(serial, &barcode, geometry.cartridge_bytes, geometry.index_partition_bytes);
        Cartridge::create(&dir, &memory)?;
    }
    atomic::sync_folder(cartridges)
        .map_err(|source| Error::CreateCartridge { dir: cartridges.to_owned(), source })?;
    Ok(Inventory::create(path, id))
}

fn present(cartridges: &Path) -> io::Result<BTreeSet<Barcode>> {
    let mut present = BTreeSet::new();
    for entry in fs::read_dir(cartridges)? {
        let entry = entry?;
        let barcode = entry.file_name().to_str().and_then(|name| Barcode::parse(name).ok());
        present.extend(barcode.filter(|_| is_cartridge(&entry.path())));
    }
    Ok(present)
}

fn is_cartridge(dir: &Path) -> bool {
    dir.join("cartridge.json").is_file()
}

const CARTRIDGES: &str = "cartridges";
