//! Time, and faults as configuration writes them.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod host;

use host::{DRIVE, Host, SLOT, codes, geometry, loaded};
use scsi::Data;
use std::sync::Arc;
use std::time::Duration;
use virtual_library::{Geometry, Planned, SimulatedClock, Timing, VirtualLibrary};

const MIB: u64 = 1 << 20;

fn timed(dir: &tempfile::TempDir) -> (VirtualLibrary, SimulatedClock) {
    let clock = SimulatedClock::default();
    let timing = Timing::on(Arc::new(clock.clone()));
    let geometry = Geometry { cartridge_bytes: 280 * MIB, ..geometry(280 * MIB) };
    (VirtualLibrary::open_timed(dir.path(), geometry, timing).unwrap(), clock)
}

/// Seconds that pass while something is done, to a tenth.
fn during<T>(clock: &SimulatedClock, work: impl FnOnce() -> host::Answer<T>) -> f64 {
    let before = clock.elapsed();
    work().map(drop).unwrap();
    ((clock.elapsed() - before).as_secs_f64() * 10.0).round() / 10.0
}

#[test]
fn a_mount_takes_what_a_mount_takes() {
    let dir = host::folder_in_memory();
    let (library, clock) = timed(&dir);
    let (mut robot, mut drive) = (Host(library.changer_transport()), Host(library.drive_transport(0)));
    robot.settle().1.unwrap();
    assert_eq!(during(&clock, || robot.move_medium(SLOT, DRIVE)), 10.0);
    assert_eq!(during(&clock, || drive.settle().1), 17.0);
    // Half a wrap, in the buffer: nothing; on tape: three seconds for the mark.
    assert_eq!(during(&clock, || drive.write(&vec![0; MIB as usize / 2])), 0.0);
    assert_eq!(during(&clock, || drive.filemarks(1, false)), 3.0);
    assert_eq!(during(&clock, || drive.filemarks(0, false)), 0.0);
    // Back from the middle of the tape, and there again.
    assert_eq!(during(&clock, || drive.rewind()), 61.5);
    assert!(during(&clock, || drive.locate(0, 1)) > 50.0);
    assert_eq!(during(&clock, || drive.locate(0, 1)), 0.0);
    assert_eq!(during(&clock, || drive.load(false)), 91.5);
    assert_eq!(during(&clock, || robot.move_medium(DRIVE, SLOT)), 10.0);
}

#[test]
fn writing_runs_at_the_drives_rate() {
    let dir = host::folder_in_memory();
    let (library, clock) = timed(&dir);
    let (_robot, mut drive) = loaded(&library);
    let block = vec![7; MIB as usize];
    let seconds = during(&clock, || {
        for _ in 0..250 {
            drive.write(&block).unwrap();
        }
        drive.filemarks(1, false)
    });
    assert!((3.6..3.8).contains(&seconds), "262 MB and a mark in {seconds} s");
    drive.rewind().unwrap();
    let seconds = during(&clock, || {
        for _ in 0..250 {
            drive.read(MIB as usize, 0).1.unwrap();
        }
        Ok(())
    });
    assert!((0.6..0.8).contains(&seconds), "{seconds} s");
}

#[test]
fn scaled_time_passes_and_a_new_cartridge_is_measured() {
    let dir = host::folder_in_memory();
    // A second in a microsecond: forty minutes are over at once, but they are there.
    let timing = Timing::scaled(1e-6).with_initialisation();
    let library = VirtualLibrary::open_timed(dir.path(), geometry(16 * MIB), timing).unwrap();
    let (_robot, mut drive) = loaded(&library);
    drive.write(b"x").unwrap();
    drop((_robot, drive, library));
    // In real time it is becoming ready for longer than anybody here waits.
    let timing = Timing::scaled(1.0);
    let library = VirtualLibrary::open_timed(dir.path(), geometry(16 * MIB), timing).unwrap();
    let mut drive = Host(library.drive_transport(0));
    assert_eq!(drive.settle().1.unwrap_err().codes, (2, 0x04, 1));
    assert_eq!(codes(drive.write(b"x")), (2, 0x04, 1));
}

#[test]
fn faults_from_configuration() {
    let dir = host::folder_in_memory();
    let library = VirtualLibrary::open(dir.path(), geometry(16 * MIB)).unwrap();
    let (mut robot, mut drive) = loaded(&library);
    let plan = |text: &str| library.faults().plan(&text.parse().unwrap());
    plan("drive 0 write_6 fail 3/0C/00 after 1");
    drive.write(b"passes").unwrap();
    assert_eq!(codes(drive.write(b"fails")), (3, 0x0C, 0));
    plan("drive 0 any fail-after 4/44/00 deferred");
    let late = drive.raw(&[0x10, 0, 0, 0, 0, 0], Data::None);
    assert_eq!((late.sense[0], late.sense[2]), (0x71, 4));
    plan("changer move_medium busy times 2");
    let busy = |robot: &mut Host| {
        let cdb = [0xA5, 0, 0, 0, 3, 0xE9, 1, 1, 0, 0, 0, 0];
        robot.raw(&cdb, Data::None).status
    };
    assert_eq!([busy(&mut robot), busy(&mut robot)], [scsi::Status::Busy; 2]);
    assert_eq!(busy(&mut robot), scsi::Status::Good);
    // The power fails at a block: what was synced is there, and the block is not.
    plan("drive 0 write_6 power-cut-after");
    let write = scsi::Cdb::new(&[0x0A, 0, 0, 0, 1, 0]);
    let gone = drive.0.execute(&write, Data::Out(b"?"), Duration::from_secs(9));
    assert!(matches!(gone, Err(scsi::TransportError::Disconnected { opcode: 0x0A, .. })));
    assert_eq!(drive.settle(), (vec![(6, 0x29, 0), (6, 0x28, 0)], Ok(0)));
    drive.space(3, 0).unwrap();
    assert_eq!(drive.position().unwrap().2, 1);
    assert_eq!(robot.settle().0, [(6, 0x29, 0)]);
    for (text, drive) in [("drive 1 slow-load 5", Some(1)), ("drive 0 alert 20", Some(0))] {
        assert_eq!(text.parse::<Planned>().unwrap().drive(), drive);
    }
    plan("cartridge TG0001L9 unreadable 0/0");
    drive.locate(0, 0).unwrap();
    assert_eq!(codes(drive.block()), (3, 0x11, 0));

    for bad in [
        "",
        "robot any silence",
        "drive x any silence",
        "drive 0 write silence",
        "drive 0 any explode",
        "drive 0 any fail",
        "drive 0 any fail 3/0C",
        "drive 0 any fail 33/0C/00",
        "drive 0 any silence after",
        "drive 0 any silence deferred",
        "drive 0 alert 65",
        "drive 0 alert 20 21",
        "drive 0 slow-load",
        "cartridge TG0001L9 unreadable 2/0",
        "cartridge TG/1 unreadable 1/0",
    ] {
        assert!(bad.parse::<Planned>().is_err(), "{bad}");
    }
}
