//! What every tape library must do, whichever path leads to it: one suite for the virtual library in process, for a
//! library behind iSCSI, and for the nodes of the kernel's generic SCSI driver.
//!
//! Words: *bench* (a library set up for the suite), *case* (one promise, tried on it), *difference* (what this library
//! does otherwise, with the reason).
//!
//! - A case starts and ends with every cartridge in the slot it was found in, drives empty and no path to a drive open.
//! - A difference is checked as well: a library that turns out to do what it is listed not to do fails the suite.
//! - Everything on the cartridges is overwritten.
#![allow(clippy::unwrap_used)]

mod changer;
mod ends;
mod mounts;
mod offers;
mod stream;

use std::time::Duration;

use crate::limits::PATIENCE;
use crate::{Changer, Condition, Drive, Element, ElementAddress, ElementKind, Error, Transport, Waiting};

/// A library set up for the suite: at least one drive, an empty mail slot, an empty slot and two cartridges in slots.
pub trait Bench {
    /// What was set up.
    fn setup(&self) -> Setup;

    /// A path to the changer. The suite has one at a time.
    fn changer(&mut self) -> Box<dyn Transport>;

    /// A path to the drive with that serial number. The suite has one at a time, unless reservations are offered.
    fn drive(&mut self, serial: &str) -> Box<dyn Transport>;

    /// Slides the write-protect switch of a cartridge in a slot. Only called where [`Difference::NoSwitch`] is not
    /// listed.
    fn write_protect(&mut self, _barcode: &str, _protected: bool) {}
}

/// What the suite shall find.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Serial number of the changer.
    pub changer: String,
    /// Serial numbers of the drives, by element.
    pub drives: Vec<String>,
    /// How many slots there are.
    pub slots: usize,
    /// How many mail slots.
    pub mail_slots: usize,
    /// Barcodes of the cartridges, all of them in slots or mail slots.
    pub barcodes: Vec<String>,
    /// About what fits on a cartridge; the suite fills one.
    pub cartridge_bytes: u64,
    /// What this library does otherwise, and why.
    pub differences: Vec<(Difference, &'static str)>,
}

/// What a library may do otherwise than real ones do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The names of drives in element status are cut short.
    ShortNames,
    /// An element that is not there is refused as a wrong field, not as a wrong element.
    VagueElements,
    /// The mail slots cannot be locked.
    NoMailLock,
    /// A cartridge is given to the robot without having been unloaded.
    GivesLoaded,
    /// TEST UNIT READY succeeds after an unload.
    ReadyWhenUnloaded,
    /// A new cartridge is not told as a unit attention.
    SilentChange,
    /// READ POSITION says block 0 everywhere.
    NoPosition,
    /// A read with a buffer longer than the block, but less than twice as long, loses data.
    TruncatesReads,
    /// The path says that a whole buffer was filled, whatever came: a block shorter than its buffer is an error, since
    /// device and path disagree about its length.
    NoResidual,
    /// SPACE over blocks goes on over filemarks.
    SpacesOverMarks,
    /// SPACE backwards over filemarks ends behind the last of them, not before it.
    StopsBehindMarks,
    /// Writing goes on for ever behind early warning.
    NoHardEnd,
    /// Nobody slides write-protect switches here.
    NoSwitch,
    /// No LOCATE(16): the driver moves by spacing.
    NoLocate,
    /// One partition only.
    NoPartitions,
    /// No READ and WRITE ATTRIBUTE.
    NoMemory,
    /// No LOG SENSE.
    NoLogs,
    /// No REPORT DENSITY SUPPORT.
    NoDensities,
    /// No persistent reservations.
    NoReservations,
    /// No checksums with blocks.
    NoProtection,
    /// Neither append-only mode nor programmable early warning.
    NoExtension,
}

/// Runs every case; `told` hears the name of each before it runs. Panics where a promise is broken. Returns how many
/// cases there were.
pub fn run(bench: &mut dyn Bench, told: &mut dyn FnMut(&'static str)) -> usize {
    let setup = bench.setup();
    let changer = Changer::new(bench.changer()).patient(PATIENCE, std::thread::park_timeout);
    let mut stage = Stage { bench, setup, changer };
    for (name, case) in CASES {
        told(name);
        stage.changer.wait_ready(READY, &pause).unwrap();
        let before = stage.places();
        case(&mut stage);
        assert_eq!(stage.places(), before, "{name} left cartridges elsewhere");
    }
    CASES.len()
}

type Case = fn(&mut Stage<'_>);

const CASES: &[(&str, Case)] = &[
    ("units_say_who_they_are", changer::units_say_who_they_are),
    ("the_inventory_is_complete", changer::the_inventory_is_complete),
    ("drives_are_known_by_serial_number", changer::drives_are_known_by_serial_number),
    ("cartridges_go_everywhere", changer::cartridges_go_everywhere),
    ("impossible_moves_are_told_apart", changer::impossible_moves_are_told_apart),
    ("mail_slots_are_locked", changer::mail_slots_are_locked),
    ("the_robot_looks_again", changer::the_robot_looks_again),
    ("commands_of_other_units_are_unknown", offers::commands_of_other_units_are_unknown),
    ("an_empty_drive_says_so", mounts::an_empty_drive_says_so),
    ("a_cartridge_is_loaded_and_let_go", mounts::a_cartridge_is_loaded_and_let_go),
    ("a_cartridge_is_kept_in", mounts::a_cartridge_is_kept_in),
    ("another_cartridge_stops_the_stream", mounts::another_cartridge_stops_the_stream),
    ("a_switch_forbids_writing", mounts::a_switch_forbids_writing),
    ("blocks_come_back", stream::blocks_come_back),
    ("blocks_of_other_lengths_are_told", stream::blocks_of_other_lengths_are_told),
    ("spacing_ends_where_it_should", stream::spacing_ends_where_it_should),
    ("writing_cuts_the_tape", stream::writing_cuts_the_tape),
    ("positions_are_told", stream::positions_are_told),
    ("what_the_path_does_not_carry_is_refused", stream::what_the_path_does_not_carry_is_refused),
    ("the_end_is_told_before_it_comes", ends::the_end_is_told_before_it_comes),
    ("partitions_are_apart", offers::partitions_are_apart),
    ("the_memory_keeps_attributes", offers::the_memory_keeps_attributes),
    ("logs_and_densities_are_told", offers::logs_and_densities_are_told),
    ("settings_are_taken", offers::settings_are_taken),
    ("a_reservation_keeps_others_out", offers::a_reservation_keeps_others_out),
];

/// A bench with the suite at work on it.
struct Stage<'a> {
    bench: &'a mut dyn Bench,
    setup: Setup,
    changer: Changer,
}

impl Stage<'_> {
    fn has(&self, difference: Difference) -> bool {
        self.setup.differences.iter().any(|(listed, _)| *listed == difference)
    }

    fn elements(&mut self, kind: ElementKind) -> Vec<Element> {
        self.changer.inventory().unwrap().into_iter().filter(|element| element.kind == kind).collect()
    }

    /// Which cartridge is where.
    fn places(&mut self) -> Vec<(ElementAddress, String)> {
        let elements = self.changer.inventory().unwrap();
        let held = |element: Element| element.barcode.map(|barcode| (element.address, barcode.to_string()));
        elements.into_iter().filter_map(held).collect()
    }

    fn empty(&mut self, kind: ElementKind) -> ElementAddress {
        self.elements(kind).iter().find(|element| !element.full).expect("an empty element").address
    }

    /// The slot of the nth cartridge in slots.
    fn cartridge(&mut self, number: usize) -> ElementAddress {
        let slots = self.elements(ElementKind::Storage);
        slots.iter().filter(|element| element.full).nth(number).expect("a cartridge").address
    }

    /// The first drive's element.
    fn bay(&mut self) -> ElementAddress {
        self.elements(ElementKind::Drive)[0].address
    }

    /// A driver on a path to the first drive.
    fn drive(&mut self) -> Drive {
        Drive::new(self.bench.drive(&self.setup.drives[0])).patient(PATIENCE, std::thread::park_timeout)
    }

    /// With the first cartridge in the first drive, rewound and ready for blocks.
    fn loaded(&mut self, case: impl FnOnce(&mut Self, &mut Drive)) {
        let (slot, bay) = (self.cartridge(0), self.bay());
        self.changer.move_medium(slot, bay).unwrap();
        let mut drive = self.drive();
        drive.wait_ready(READY, &pause).unwrap();
        drive.set_variable_blocks().unwrap();
        drive.rewind().unwrap();
        case(self, &mut drive);
        drive.unload().unwrap();
        drop(drive);
        self.changer.move_medium(bay, slot).unwrap();
    }

    /// Lengths of buffers, longer than it, that a block of `length` is read with.
    fn rooms(&self, length: usize) -> Vec<usize> {
        match self.has(Difference::TruncatesReads) {
            true => vec![2 * length],
            false => vec![length + 1, 2 * length],
        }
    }
}

fn pause(waiting: &Waiting) {
    std::thread::park_timeout(waiting.pause);
}

/// What a device said no with.
fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> Condition {
    match result {
        Err(error) => error.sense().unwrap_or_else(|| panic!("no sense data: {error}")).condition(),
        Ok(value) => panic!("{value:?} where a refusal was expected"),
    }
}

/// The device does not know the command, or a field or page of it.
fn is_not_offered<T: std::fmt::Debug>(result: Result<T, Error>) {
    match result {
        Err(Error::Missing { .. }) => {}
        result => {
            let said = refusal(result);
            let known = [Condition::UnknownOperation, Condition::InvalidField, Condition::InvalidParameter];
            assert!(known.contains(&said), "{said:?}");
        }
    }
}

/// Bytes that no other seed gives.
fn payload(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// New cartridges of the newest drives take longer; the suite is not for those.
const READY: Duration = Duration::from_secs(300);
