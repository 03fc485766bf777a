//! A library of two drives, what its processes remember, and the oracle: what must be on each cartridge, kept outside the
//! product.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use library::{
    Appending, Barcode, CatalogId, Config, CopyLabel, Error, Expected, Library, Mount, MountReport, Mounted,
    Overwrite, PackFile, VolumeIdentity, VolumeUuid, WorkEnd,
};
use virtual_library::{Geometry, VirtualLibrary};

use crate::images::Image;
use crate::support::{CATALOG, copy};

const MIB: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(120);
const VOLUMES: usize = 2;

pub struct World {
    pub dir: tempfile::TempDir,
    pub machine: VirtualLibrary,
    pub library: Option<Library>,
    pub volumes: Vec<Volume>,
    /// Cartridges as they were when something died.
    pub images: Vec<Image>,
    packs: u64,
}

/// A volume, as a catalog and as the oracle know it.
pub struct Volume {
    pub barcode: Barcode,
    pub row: Expected,
    /// Packs that are there for good, and where each was found to lie.
    pub committed: BTreeMap<u64, Option<u64>>,
    /// Groups that nobody was told about since: each may be there whole, or not at all.
    pub doubtful: Vec<Vec<u64>>,
    /// Somebody else wrote to it: it is read and not written.
    pub foreign: bool,
}

/// A pack on the spool: its length follows from its number.
#[derive(Clone)]
pub struct Spooled {
    pub n: u64,
    path: PathBuf,
    digest: [u8; 32],
    bytes: u64,
}

impl World {
    pub fn new(cartridge_bytes: u64) -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let geometry =
            Geometry { drives: 2, slots: 4, mail_slots: 0, cartridge_bytes, index_partition_bytes: 4 * MIB };
        let machine = VirtualLibrary::open(&dir.path().join("library"), geometry).unwrap();
        let library = attach(&machine);
        let volumes = (0..VOLUMES).map(|n| label(&library, n)).collect();
        Self { dir, machine, library: Some(library), volumes, images: Vec::new(), packs: 0 }
    }

    pub fn library(&self) -> &Library {
        self.library.as_ref().expect("a process")
    }

    /// The process ends, and another one takes over.
    pub fn restart(&mut self, orderly: bool) {
        self.settle();
        let library = self.library.take().unwrap();
        if orderly {
            library.shutdown(PATIENCE).unwrap();
        }
        drop(library);
        self.library = Some(attach(&self.machine));
    }

    /// Everybody is at rest, nothing more is planned to go wrong, and every drive is up: an operator was there.
    pub fn settle(&self) {
        self.library().quiesce(PATIENCE).unwrap();
        self.machine.faults().clear();
        for drive in self.library().drives() {
            self.library().drive_up(&drive.serial).unwrap();
        }
        self.library().quiesce(PATIENCE).unwrap();
    }

    /// A pack of that length, of content that no other has.
    pub fn spool(&mut self, bytes: u64) -> Spooled {
        self.packs += 1;
        // Its length is told by its number.
        let n = self.packs << 32 | bytes;
        let path = self.dir.path().join(format!("pack-{}", self.packs));
        let content = content(n);
        std::fs::write(&path, &content).unwrap();
        Spooled { n, path, digest: *blake3::hash(&content).as_bytes(), bytes }
    }

    pub fn append(
        &self,
        volume: usize,
        work: impl FnOnce(&mut Mounted<Appending>) -> WorkEnd + Send + 'static,
    ) -> Result<MountReport, Error> {
        let (sender, receiver) = mpsc::channel();
        let done = Box::new(move |result| sender.send(result).unwrap());
        self.library().append(self.mount(volume), Box::new(work), done).unwrap();
        receiver.recv_timeout(PATIENCE).unwrap()
    }

    /// Every pack the volume lists, read and compared with what it must hold: number and first block.
    pub fn read(&self, volume: usize) -> Result<Vec<(u64, u64)>, Error> {
        let (values, value) = mpsc::channel();
        let (sender, receiver) = mpsc::channel();
        let work = Box::new(move |mounted: &mut Mounted<library::Reading>| {
            let packs: Vec<_> = mounted.packs().into_iter().filter(|pack| pack.id != FOREIGN).collect();
            let read = packs.into_iter().map(|pack| {
                let n = number(&pack.id);
                let mut bytes = Vec::new();
                mounted.read_pack(pack.start_block, 0..pack.bytes, &mut bytes)?;
                assert!(bytes == content(n), "pack {n:x} differs");
                bytes.clear();
                mounted.read_manifest(&pack.id, &mut bytes)?;
                assert_eq!(bytes, manifest(n));
                Ok((n, pack.start_block))
            });
            values.send(read.collect::<Result<Vec<_>, Error>>()).unwrap();
            WorkEnd::Keep
        });
        let done = Box::new(move |result| sender.send(result).unwrap());
        self.library().read(self.mount(volume), work, done).unwrap();
        receiver.recv_timeout(PATIENCE).unwrap()?;
        value.recv().unwrap()
    }

    /// Keeps the cartridge as it is at this moment.
    pub fn take_image(&mut self, volume: usize) {
        let folder = self.dir.path().join(format!("image-{}", self.images.len()));
        std::fs::create_dir(&folder).unwrap();
        copy(&self.folder(volume), &folder);
        let Volume { committed, doubtful, .. } = &self.volumes[volume];
        let committed = committed.keys().copied().collect();
        self.images.push(Image { folder, committed, doubtful: doubtful.clone(), crashed: true });
    }

    /// The cartridge's folder.
    pub fn folder(&self, volume: usize) -> PathBuf {
        self.machine.cartridge_dir(&self.name(volume)).unwrap()
    }

    pub fn name(&self, volume: usize) -> virtual_library::Barcode {
        virtual_library::Barcode::parse(self.volumes[volume].barcode.as_str()).unwrap()
    }

    fn mount(&self, volume: usize) -> Mount {
        let Volume { barcode, row, .. } = &self.volumes[volume];
        Mount { barcode: barcode.clone(), expect: row.clone() }
    }
}

impl Spooled {
    pub fn append(&self, mounted: &mut Mounted<Appending>) -> Result<(), library::AppendError> {
        let file = PackFile {
            id: id(self.n),
            path: self.path.clone(),
            bytes: self.bytes,
            digest: self.digest,
            sealed: false,
            manifest: &manifest(self.n),
            copy: CopyLabel::default(),
        };
        mounted.append_pack(&file).map(drop)
    }
}

fn attach(machine: &VirtualLibrary) -> Library {
    let drives = (0..machine.drive_count()).map(|index| machine.drive_transport(index)).collect();
    let config = Config { ready_timeout: PATIENCE, idle: PATIENCE, ..Config::new("test") };
    Library::open(config, machine.changer_transport(), drives).unwrap()
}

fn label(library: &Library, n: usize) -> Volume {
    let barcode = library.inventory().barcodes()[n].clone();
    let catalog_id = CatalogId::from_u128(CATALOG);
    let uuid = VolumeUuid::from_u128(0x1234_5678_9abc_4def_8123_0000_0000_0000 + n as u128);
    let identity = VolumeIdentity { uuid, catalog_id, name: format!("volume {n}") };
    let labelled = library.label(&barcode, identity, Overwrite::Never).unwrap();
    let row = Expected {
        uuid,
        mam_serial: labelled.mam_serial,
        catalog_id,
        generation: labelled.generation,
        eod_block: labelled.eod_block,
        end: library::End::Clean,
    };
    Volume { barcode, row, committed: BTreeMap::new(), doubtful: Vec::new(), foreign: false }
}

/// The pack that another program puts on a volume.
pub const FOREIGN: &str = "FOREIGN";

fn id(n: u64) -> String {
    format!("PACK-{n:016x}")
}

pub fn number(id: &str) -> u64 {
    u64::from_str_radix(id.strip_prefix("PACK-").unwrap(), 16).unwrap()
}

/// What a pack holds.
pub fn content(n: u64) -> Vec<u8> {
    let mut bytes = vec![0; (n & u64::from(u32::MAX)) as usize];
    blake3::Hasher::new().update(&n.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

pub fn manifest(n: u64) -> Vec<u8> {
    format!("manifest of {n:x}\n").into_bytes()
}
