//! Cartridges written through the library as the product writes them, and the reader that judges them.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, dead_code)]

pub mod packs;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::mpsc;
use std::time::Duration;

use library::{
    Appending, Barcode, CatalogId, Config, DriveTape, End, Error, Expected, Library, Mount, MountReport,
    Mounted, Overwrite, VolumeIdentity, VolumeUuid, WorkEnd,
};
use serde_json::Value;
use virtual_library::{Geometry, VirtualLibrary};

pub const CATALOG: u128 = 0xca7a_1090_0000_4000_8000_0000_0000_0001;
pub const VOLUME: u128 = 0x1234_5678_9abc_4def_8123_4567_89ab_cdef;
const MIB: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(60);

// === The machine ===

/// A virtual library with one labelled volume, and what a catalog would remember of it.
pub struct Shelf {
    pub dir: tempfile::TempDir,
    pub machine: VirtualLibrary,
    pub barcode: Barcode,
    pub row: Expected,
}

impl Shelf {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let geometry = Geometry {
            drives: 1,
            slots: 2,
            mail_slots: 0,
            cartridge_bytes: 128 * MIB,
            index_partition_bytes: 8 * MIB,
        };
        let machine = VirtualLibrary::open(&dir.path().join("library"), geometry).unwrap();
        let library = attach(&machine);
        let barcode = library.inventory().barcodes()[0].clone();
        let identity = VolumeIdentity {
            uuid: VolumeUuid::from_u128(VOLUME),
            catalog_id: CatalogId::from_u128(CATALOG),
            name: "archive & <more> 1".to_owned(),
        };
        let labelled = library.label(&barcode, identity, Overwrite::Never).unwrap();
        library.shutdown(PATIENCE).unwrap();
        let row = Expected {
            uuid: labelled.uuid,
            mam_serial: labelled.mam_serial,
            catalog_id: CatalogId::from_u128(CATALOG),
            generation: labelled.generation,
            eod_block: labelled.eod_block,
            end: End::Clean,
        };
        Self { dir, machine, barcode, row }
    }

    /// One process: mounts for append, works, and unloads by an orderly shutdown. A mount that fails leaves the row as
    /// it was, with an unclean end.
    pub fn append(
        &mut self,
        work: impl FnOnce(&mut Mounted<Appending>) -> WorkEnd + Send + 'static,
    ) -> Result<MountReport, Error> {
        let library = attach(&self.machine);
        let (sender, receiver) = mpsc::channel();
        let done = Box::new(move |result| sender.send(result).unwrap());
        let mount = Mount { barcode: self.barcode.clone(), expect: self.row.clone() };
        library.append(mount, Box::new(work), done).unwrap();
        let result = receiver.recv_timeout(PATIENCE).unwrap();
        library.shutdown(PATIENCE).unwrap();
        match &result {
            Ok(report) => {
                self.row.generation = report.generation;
                self.row.eod_block = report.eod_block;
                self.row.end = End::Clean;
            }
            Err(_) => self.row.end = End::Unclean,
        }
        result
    }

    /// The cartridge's folder in the library.
    pub fn cartridge(&self) -> PathBuf {
        let barcode = virtual_library::Barcode::parse(self.barcode.as_str()).unwrap();
        self.machine.cartridge_dir(&barcode).unwrap()
    }

    /// The cartridge as it is now, as a directory of blocks.
    pub fn export(&self, name: &str) -> PathBuf {
        let image = tempfile::tempdir().unwrap();
        copy(&self.cartridge(), image.path());
        let target = self.dir.path().join(name);
        export(image.path(), &target);
        target
    }
}

/// Copies a cartridge's folder, loaded or not: what a machine finds that takes over after a death.
pub fn copy(cartridge: &Path, target: &Path) {
    for file in std::fs::read_dir(cartridge).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), target.join(file.file_name())).unwrap();
    }
}

/// Writes a cartridge as a directory of blocks, from its folder alone.
pub fn export(cartridge: &Path, target: &Path) {
    std::fs::create_dir(target).unwrap();
    let drive = virtual_library::open_cartridge(cartridge).unwrap();
    volume::ltfs::export_ltfs_dir(&mut DriveTape::ready(drive, PATIENCE).unwrap(), target).unwrap();
}

fn attach(machine: &VirtualLibrary) -> Library {
    let drives = (0..machine.drive_count()).map(|index| machine.drive_transport(index)).collect();
    let config = Config { ready_timeout: PATIENCE, idle: PATIENCE, ..Config::new("test") };
    Library::open(config, machine.changer_transport(), drives).unwrap()
}

// === The reader ===

/// What the reader says of a directory that it has no fault to find with.
pub fn judge<S: AsRef<std::ffi::OsStr>>(cartridge: &Path, arguments: &[S]) -> Value {
    let output = read(cartridge, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "the reader finds fault:\n{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Why the reader refuses a directory.
pub fn refusal<S: AsRef<std::ffi::OsStr>>(cartridge: &Path, arguments: &[S]) -> String {
    let output = read(cartridge, arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.lines().all(|line| line.starts_with("ltfs_reader: ")) && !said.is_empty(), "{said}");
    said
}

fn read<S: AsRef<std::ffi::OsStr>>(cartridge: &Path, arguments: &[S]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("reader/ltfs_reader.py");
    run(python().arg(script).arg(cartridge).args(arguments))
}

/// Python with its standard library alone, leaving no compiled files beside the sources. Debian's own is quicker to start
/// than the wrappers that may come before it in PATH.
pub fn python() -> Command {
    let debian = Path::new("/usr/bin/python3");
    let mut command = Command::new(if debian.exists() { debian } else { Path::new("python3") });
    command.args(["-B", "-S"]);
    command
}

/// Runs a program that these tests need.
pub fn run(command: &mut Command) -> Output {
    let output = command.output();
    output.unwrap_or_else(|error| panic!("{:?} is needed by this test: {error}", command.get_program()))
}

/// Ids of the packs in a report, in tape order.
pub fn packs_in(report: &Value) -> Vec<String> {
    let mut packs: Vec<(u64, String)> = Vec::new();
    for file in report["files"].as_array().unwrap() {
        let path = file["path"].as_str().unwrap();
        if let Some(id) = path.strip_prefix("/packs/").and_then(|name| name.strip_suffix(".tar.zst")) {
            packs.push((file["start"].as_u64().unwrap(), id.to_owned()));
        }
    }
    packs.sort();
    packs.into_iter().map(|(_, id)| id).collect()
}
