//! Every row of the sense table, told by a drive or a changer in the middle of work: nothing that was committed is lost,
//! the right party is told, and the work goes on, elsewhere where it must, or fails visibly.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

#[path = "../host/mod.rs"]
mod host;
mod moments;
mod table;

use std::collections::BTreeSet;
use std::time::Duration;

use host::{Host, Row};
use library::{Barcode, Blame, DriveState, End, Error, Remedy};
use scsi::Sense;
use virtual_library::Geometry;

/// What becomes of the work and of the drive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// As if nothing had happened.
    GoesOn,
    /// The pack is given up where it is, to be written to another volume; what was committed before stays.
    Full,
    /// The job fails, charged to this; the drive is used again.
    Fails(Blame),
    /// The job fails, and the drive is set down.
    SetsDown(Blame),
    /// The job is over and well, and the drive is set down.
    Down,
}

/// A volume, what a catalog would know of it, and what was committed to it.
struct Volume {
    barcode: Barcode,
    row: Row,
    committed: Vec<usize>,
    next: usize,
}

impl Volume {
    /// The number of a pack that was not written yet, of several blocks.
    fn next(&mut self) -> usize {
        self.next += 4;
        self.next
    }
}

fn run(cases: &[table::Case]) {
    // Room for what every failure leaves behind.
    let host = Host::with(Geometry { cartridge_bytes: 1024 * host::MIB, ..host::geometry(2) });
    let barcode = host.barcode(0);
    let mut row = host.label(&barcode, 1);
    // Packs 0, 4, 8, ... are short; 1, 5, ... have two blocks.
    host.append(&barcode, &mut row, &[0]).unwrap();
    let mut volume = Volume { barcode, row, committed: vec![0], next: 1 };
    for &((key, asc, ascq), moment, outcome) in cases {
        let case = format!("{key:x}/{asc:02x}/{ascq:02x} {moment:?}");
        let result = moment.tell(&host, &mut volume, Sense::new(key, asc, ascq));
        assert_eq!(host.library.quiesce(Duration::from_secs(60)), Ok(()), "{case}");
        let down = host.library.drives().iter().any(|drive| matches!(drive.state, DriveState::Down { .. }));
        let found = match &result {
            Ok(true) if down => Outcome::Down,
            Ok(true) => Outcome::GoesOn,
            Ok(false) => Outcome::Full,
            Err(error) if down => Outcome::SetsDown(error.blame()),
            Err(error) => Outcome::Fails(error.blame()),
        };
        assert_eq!(found, outcome, "{case}: {result:?}");
        if let Err(error) = &result {
            is_told(error, &case);
            volume.row.end = End::Unclean;
        }
        goes_on(&host, &mut volume, &case);
    }
    // Byte for byte.
    assert_eq!(host.packs(&volume.barcode, &volume.row).unwrap(), volume.committed);
}

/// Whoever must act is told; what can be tried elsewhere is not given up.
fn is_told(error: &Error, case: &str) {
    let remedy = error.remedy();
    let fits = match error.blame() {
        Blame::Operator | Blame::Changer => matches!(remedy, Remedy::Operator(_)),
        Blame::Medium => matches!(remedy, Remedy::Retry | Remedy::Damage),
        Blame::Drive | Blame::Path | Blame::Host | Blame::Unknown => remedy == Remedy::Retry,
    };
    assert!(fits, "{case}: {remedy:?} for {error:?}");
}

/// Whatever was said: what was committed is listed and nothing else, and the volume takes more. A drive that was set
/// down may keep the cartridge; that is told, and ends when somebody brings the drive up.
fn goes_on(host: &Host, volume: &mut Volume, case: &str) {
    host.machine.faults().clear();
    let short = volume.next() + 3;
    let mut appended = host.append(&volume.barcode, &mut volume.row, &[short]);
    if let Err(Error::Stranded { drive, .. }) = &appended {
        host.library.drive_up(drive).unwrap();
        appended = host.append(&volume.barcode, &mut volume.row, &[short]);
    }
    assert!(appended.is_ok(), "{case}: {appended:?}");
    volume.committed.push(short);
    let listed = host.read_with(&volume.barcode, &volume.row, |mounted| mounted.packs()).unwrap();
    let listed: Vec<usize> = listed.iter().map(|pack| host::number(&pack.id)).collect();
    assert_eq!(listed, volume.committed, "{case}");
    for drive in host.library.drives() {
        host.library.drive_up(&drive.serial).unwrap();
    }
}

#[test]
fn in_the_middle_of_a_pack() {
    run(table::WRITING);
}

#[test]
fn passing_in_the_middle_of_a_pack() {
    run(table::PASSING);
}

#[test]
fn at_a_commit() {
    run(table::CLOSING);
}

#[test]
fn at_a_mount() {
    run(table::MOUNTING);
}

#[test]
fn in_the_middle_of_a_recall() {
    run(table::READING);
}

#[test]
fn at_an_unload() {
    run(table::UNLOADING);
}

#[test]
fn at_a_move() {
    run(table::MOVING);
}

#[test]
fn every_row_of_the_sense_table_has_a_case() {
    let rows = scsi::condition::rows();
    let told: BTreeSet<usize> = table::ALL
        .iter()
        .flat_map(|cases| cases.iter())
        .map(|&((key, asc, ascq), moment, _)| {
            let row = Sense::new(key, asc, ascq).row_for(moment.class());
            rows.iter().position(|other| std::ptr::eq(row, other)).unwrap()
        })
        .collect();
    let missed: Vec<_> = rows.iter().enumerate().filter(|(at, _)| !told.contains(at)).collect();
    assert!(missed.is_empty(), "rows that no test tells in the middle of work: {missed:#?}");
}
