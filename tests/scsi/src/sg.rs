//! Units of this machine, and the drivers as a tool.

use std::fs::{self, File};
use std::io::Write;
use std::time::Duration;

use scsi::conformance::{Bench, Difference, Setup};
use scsi::sg::{Sg, discover, find};
use scsi::spc::DeviceType;
use scsi::{Drive, ReadOutcome, Transport, Waiting, WriteOutcome};

use crate::library::Library;

pub struct Units(Library);

impl Units {
    pub fn of(library: Library) -> Self {
        Self(library)
    }
}

impl Bench for Units {
    fn setup(&self) -> Setup {
        self.0.setup(QEMU)
    }

    fn changer(&mut self) -> Box<dyn Transport> {
        open(DeviceType::Changer, &self.0.changer.serial)
    }

    fn drive(&mut self, serial: &str) -> Box<dyn Transport> {
        open(DeviceType::Drive, serial)
    }
}

/// The guest's disk controller, QEMU 7.2 with its iSCSI driver behind.
const QEMU: &[(Difference, &str)] =
    &[(Difference::NoResidual, "QEMU's iSCSI driver sets the residual count to 0")];

fn open(kind: DeviceType, wanted: &str) -> Box<dyn Transport> {
    let device = find(&discover().unwrap(), kind, wanted).unwrap();
    let unit = Sg::open(&device.path).unwrap();
    // One program has a unit at a time.
    assert!(Sg::open(&device.path).unwrap_err().to_string().contains("in use"));
    Box::new(unit)
}

pub fn list() {
    for device in discover().unwrap() {
        let carries = Sg::open(&device.path).unwrap().transfer_max().unwrap();
        println!("{:?} {device} carries {carries}", device.kind);
    }
}

fn ready(drive: &str) -> Drive {
    let mut drive = Drive::new(open(DeviceType::Drive, drive));
    let pause = |waiting: &Waiting| std::thread::park_timeout(waiting.pause);
    drive.wait_ready(Duration::from_secs(60), &pause).unwrap();
    drive.set_variable_blocks().unwrap();
    drive
}

pub fn read(drive: &str, file: &str, block_bytes: usize) {
    let mut drive = ready(drive);
    let mut file = File::create(file).unwrap();
    let mut buffer = vec![0; block_bytes];
    let mut blocks = 0;
    while let ReadOutcome::Block(length) = drive.read_block(&mut buffer).unwrap() {
        file.write_all(&buffer[..length]).unwrap();
        blocks += 1;
    }
    println!("{blocks} blocks read");
}

pub fn write(drive: &str, file: &str, block_bytes: usize) {
    let mut drive = ready(drive);
    let bytes = fs::read(file).unwrap();
    for block in bytes.chunks(block_bytes) {
        assert_eq!(drive.write_block(block).unwrap(), WriteOutcome::Written);
    }
    drive.write_filemarks(1, false).unwrap();
    println!("{} blocks written", bytes.len().div_ceil(block_bytes));
}
