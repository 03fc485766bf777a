//! A library of virtual cartridges and a caller that knows what it wrote.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, dead_code)]

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use library::{
    AppendError, Appending, Barcode, CatalogId, Config, CopyLabel, End, Error, Expected, LabelledVolume,
    Library, Mount, MountReport, Mounted, Overwrite, PackFile, PackWritten, Reading, VolumeIdentity,
    VolumeUuid, WorkEnd,
};
use virtual_library::{Geometry, VirtualLibrary};

pub const MIB: u64 = 1 << 20;
pub const CATALOG: u128 = 0xca7a_1090_0000_4000_8000_0000_0000_0001;

pub struct Host {
    pub dir: tempfile::TempDir,
    pub machine: VirtualLibrary,
    pub library: Library,
}

/// What a catalog would remember of a volume.
pub type Row = Expected;

pub fn geometry(drives: u16) -> Geometry {
    Geometry { drives, slots: 6, mail_slots: 1, cartridge_bytes: 64 * MIB, index_partition_bytes: 4 * MIB }
}

pub fn config() -> Config {
    Config { idle: Duration::from_secs(3600), ready_timeout: Duration::from_secs(5), ..Config::new("test") }
}

impl Host {
    pub fn new(drives: u16) -> Self {
        Self::with(geometry(drives))
    }

    pub fn with(geometry: Geometry) -> Self {
        let dir = folder_in_memory();
        let machine = VirtualLibrary::open(&dir.path().join("library"), geometry).unwrap();
        let library = attach(&machine, config());
        Self { dir, machine, library }
    }

    /// The process ends without a shutdown and another one starts; the machine goes on.
    pub fn restart(&mut self) {
        self.library.quiesce(Duration::from_secs(60)).unwrap();
        self.library = attach(&self.machine, config());
    }

    pub fn barcode(&self, n: usize) -> Barcode {
        self.library.inventory().barcodes()[n].clone()
    }

    pub fn label(&self, barcode: &Barcode, n: u128) -> Row {
        let labelled = self.library.label(barcode, identity(n), Overwrite::Never).unwrap();
        row(&labelled)
    }

    /// A spooled pack whose bytes follow from `n`.
    pub fn spool(&self, n: usize) -> Spooled {
        let bytes = content(n);
        let path = self.dir.path().join(format!("pack-{n}"));
        std::fs::File::create(&path).unwrap().write_all(&bytes).unwrap();
        Spooled { n, path, digest: *blake3::hash(&bytes).as_bytes(), bytes: bytes.len() as u64 }
    }

    /// Appends packs in one commit group and remembers how it ended.
    pub fn append(&self, barcode: &Barcode, row: &mut Row, packs: &[usize]) -> Result<MountReport, Error> {
        let spooled: Vec<Spooled> = packs.iter().map(|&n| self.spool(n)).collect();
        let report = self.append_with(barcode, row, move |mounted| {
            for pack in &spooled {
                pack.append(mounted).unwrap();
            }
            mounted.commit().unwrap();
            WorkEnd::Keep
        })?;
        remember(row, &report);
        Ok(report)
    }

    pub fn append_with(
        &self,
        barcode: &Barcode,
        row: &Row,
        work: impl FnOnce(&mut Mounted<Appending>) -> WorkEnd + Send + 'static,
    ) -> Result<MountReport, Error> {
        let (sender, receiver) = mpsc::channel();
        let done = Box::new(move |result| sender.send(result).unwrap());
        self.library.append(mount(barcode, row), Box::new(work), done).unwrap();
        receiver.recv_timeout(Duration::from_secs(60)).unwrap()
    }

    pub fn read_with<T: Send + 'static>(
        &self,
        barcode: &Barcode,
        row: &Row,
        work: impl FnOnce(&mut Mounted<Reading>) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (sender, receiver) = mpsc::channel();
        let (values, value) = mpsc::channel();
        let done = Box::new(move |result| sender.send(result).unwrap());
        let work = Box::new(move |mounted: &mut Mounted<Reading>| {
            values.send(work(mounted)).unwrap();
            WorkEnd::Keep
        });
        self.library.read(mount(barcode, row), work, done).unwrap();
        receiver.recv_timeout(Duration::from_secs(60)).unwrap()?;
        Ok(value.recv().unwrap())
    }

    /// Every pack of the volume, read back and compared with what was written; their numbers in tape order.
    pub fn packs(&self, barcode: &Barcode, row: &Row) -> Result<Vec<usize>, Error> {
        self.read_with(barcode, row, |mounted| {
            let packs = mounted.packs();
            packs
                .iter()
                .map(|pack| {
                    let n = number(&pack.id);
                    let mut bytes = Vec::new();
                    mounted.read_pack(pack.start_block, 0..pack.bytes, &mut bytes).unwrap();
                    assert!(bytes == content(n), "pack {n} differs");
                    let mut manifest = Vec::new();
                    mounted.read_manifest(&pack.id, &mut manifest).unwrap();
                    assert_eq!(manifest, manifest_of(n));
                    n
                })
                .collect()
        })
    }
}

/// A folder where syncing costs nothing, where the machine has one.
pub fn folder_in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

pub fn attach(machine: &VirtualLibrary, config: Config) -> Library {
    let drives = (0..machine.drive_count()).map(|index| machine.drive_transport(index)).collect();
    Library::open(config, machine.changer_transport(), drives).unwrap()
}

pub fn identity(n: u128) -> VolumeIdentity {
    VolumeIdentity {
        uuid: VolumeUuid::from_u128(0x1234_5678_9abc_4def_8123_0000_0000_0000 + n),
        catalog_id: CatalogId::from_u128(CATALOG),
        name: format!("volume {n}"),
    }
}

pub fn row(labelled: &LabelledVolume) -> Row {
    Expected {
        uuid: labelled.uuid,
        mam_serial: labelled.mam_serial.clone(),
        catalog_id: CatalogId::from_u128(CATALOG),
        generation: labelled.generation,
        eod_block: labelled.eod_block,
        end: End::Clean,
    }
}

pub fn remember(row: &mut Row, report: &MountReport) {
    row.generation = report.generation;
    row.eod_block = report.eod_block;
    row.end = End::Clean;
}

pub fn mount(barcode: &Barcode, row: &Row) -> Mount {
    Mount { barcode: barcode.clone(), expect: row.clone() }
}

/// The number of a pack, from its id.
pub fn number(id: &str) -> usize {
    id.strip_prefix("PACK-").unwrap().parse().unwrap()
}

pub fn content(n: usize) -> Vec<u8> {
    let bytes = [1, 700_000, 524_288, 2_000_000][n % 4];
    (0..bytes).map(|at: usize| (at / 251 + n) as u8).collect()
}

pub fn manifest_of(n: usize) -> Vec<u8> {
    format!("manifest of {n}\n").into_bytes()
}

#[derive(Clone)]
pub struct Spooled {
    pub n: usize,
    pub path: PathBuf,
    pub bytes: u64,
    pub digest: [u8; 32],
}

impl Spooled {
    pub fn append(&self, mounted: &mut Mounted<Appending>) -> Result<PackWritten, AppendError> {
        mounted.append_pack(&PackFile {
            id: format!("PACK-{}", self.n),
            path: self.path.clone(),
            bytes: self.bytes,
            digest: self.digest,
            sealed: false,
            manifest: &manifest_of(self.n),
            copy: CopyLabel { pool: "pool".to_owned(), number: 1 },
        })
    }
}

/// A gate that one thread waits at and another opens.
pub fn gate() -> (Arc<mpsc::SyncSender<()>>, mpsc::Receiver<()>) {
    let (open, wait) = mpsc::sync_channel(1);
    (Arc::new(open), wait)
}
