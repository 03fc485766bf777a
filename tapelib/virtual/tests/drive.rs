//! A drive's behaviour, command by command, as SSC-5 and SPC-5 have it.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod host;

use host::{DRIVE, Host, MIB, SLOT, codes, geometry, loaded};
use scsi::Data;
use virtual_library::{Barcode, Effect, Fault, Sense, Unit, VirtualLibrary};

const BLANK: (u8, u8, u8) = (8, 0, 5);
const BAD_CDB: (u8, u8, u8) = (5, 0x24, 0);

fn library(dir: &tempfile::TempDir) -> VirtualLibrary {
    VirtualLibrary::open(dir.path(), geometry(16 * MIB)).unwrap()
}

#[test]
fn attentions_and_readiness() {
    let dir = tempfile::tempdir().unwrap();
    let library = library(&dir);
    let (mut robot, mut drive) = (Host(library.changer_transport()), Host(library.drive_transport(0)));
    // INQUIRY passes and leaves the attention pending.
    drive.ask(&[0x12, 0, 0, 0, 96, 0], 96).unwrap();
    assert_eq!(drive.settle().0, [(6, 0x29, 0)]);
    assert_eq!(codes(drive.ready()), (2, 0x3A, 0));
    assert_eq!(codes(drive.rewind()), (2, 0x3A, 0));
    robot.settle().1.unwrap();
    library.faults().ready_after(0, 2);
    robot.move_medium(SLOT, DRIVE).unwrap();
    assert_eq!(codes(drive.rewind()), (6, 0x28, 0));
    assert_eq!(codes(drive.rewind()), (2, 0x04, 1));
    assert_eq!(codes(drive.ready()), (2, 0x04, 1));
    assert_eq!(codes(drive.ready()), (2, 0x04, 1));
    drive.ready().unwrap();
    drive.load(false).unwrap();
    assert_eq!(codes(drive.ready()), (2, 0x04, 2));
    drive.load(true).unwrap();
    assert_eq!(drive.settle().0, [(6, 0x28, 0)]);
    // REQUEST SENSE tells the same as a CHECK CONDITION would, with GOOD.
    drive.load(false).unwrap();
    let sense = drive.ask(&[3, 0, 0, 0, 252, 0], 252).unwrap();
    assert_eq!(host::sensed(&sense).codes, (2, 0x04, 2));
}

#[test]
fn what_is_not_offered_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (_robot, mut drive) = loaded(&library(&dir));
    for opcode in [0x0B, 0x07, 0x13, 0x19, 0x16] {
        assert_eq!(codes(drive.send(&[opcode, 0, 0, 0, 0, 0], Data::None)), (5, 0x20, 0), "{opcode:#x}");
    }
    for cdb in [
        vec![0x08, 0x01, 0, 0, 1, 0],                            // fixed blocks
        vec![0x0A, 0, 0x80, 0, 1, 0],                            // over 8 MiB
        vec![0x10, 0x01, 0, 0, 0, 0],                            // nothing, at once
        vec![0x34, 0x00, 0, 0, 0, 0, 0, 0, 0, 0],                // short form
        vec![0x92, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0], // by logical file
        vec![0x34, 0x06, 0, 0, 0, 0],                            // wrong length for its group
        vec![0x91, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        vec![0x92, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], // no partition 1
        vec![0x4D, 0, 0x32, 0, 0, 0, 0, 1, 0, 0],                // another log page
        vec![0x1A, 0, 0x24, 0, 255, 0],                          // another mode page
        vec![0x8C, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0], // attributes of no partition
        vec![0x12, 1, 0xB0, 0, 255, 0],
    ] {
        assert_eq!(codes(drive.send(&cdb, Data::None)), BAD_CDB, "{cdb:x?}");
    }
}

#[test]
fn blocks_filemarks_and_lengths() {
    let dir = tempfile::tempdir().unwrap();
    let (_robot, mut drive) = loaded(&library(&dir));
    assert_eq!(drive.position().unwrap(), (0x80, 0, 0, 0));
    assert_eq!(drive.ask(&[5, 0, 0, 0, 0, 0,], 6).unwrap(), [0, 0x80, 0, 0, 0, 1]);
    drive.write(&[7; 1000]).unwrap();
    drive.filemarks(1, false).unwrap();
    drive.write(b"two").unwrap();
    assert_eq!(drive.position().unwrap(), (0, 0, 3, 1));
    assert_eq!(codes(drive.block()), BLANK);
    drive.rewind().unwrap();

    let (bytes, answer) = drive.read(1200, 0);
    let sense = answer.unwrap_err();
    assert_eq!(
        (bytes.len(), sense.codes, sense.flags, sense.information),
        (1000, (0, 0, 0), 0x20, Some(200))
    );
    let sense = drive.block().unwrap_err();
    assert_eq!((sense.codes, sense.flags, sense.information), ((0, 0, 1), 0x80, Some(1 << 16)));
    assert_eq!(drive.block().unwrap(), b"two");
    let sense = drive.block().unwrap_err();
    assert_eq!((sense.codes, sense.information), (BLANK, Some(1 << 16)));

    drive.rewind().unwrap();
    let (bytes, answer) = drive.read(400, 0);
    assert_eq!((bytes.len(), answer.unwrap_err().information), (400, Some(-600)));
    assert_eq!(drive.position().unwrap().2, 1);

    // Writing in the middle cuts everything behind.
    drive.locate(0, 1).unwrap();
    drive.write(b"over").unwrap();
    assert_eq!(codes(drive.block()), BLANK);
    assert_eq!(drive.position().unwrap(), (0, 0, 2, 0));
}

#[test]
fn spacing_and_locating() {
    let dir = tempfile::tempdir().unwrap();
    let (_robot, mut drive) = loaded(&library(&dir));
    // 0 block, 1 block, 2 filemark, 3 block, 4 filemark, 5 filemark, 6 block, end at 7
    for step in b"bbfbffb" {
        if *step == b'b' {
            drive.write(b"block").unwrap()
        } else {
            drive.filemarks(1, true).unwrap()
        };
    }
    // From, code, count: position after, and the sense with INFORMATION.
    type Told = Option<((u8, u8, u8), i32)>;
    let cases: [(u64, u8, i64, u64, Told); 17] = [
        (0, 0, 2, 2, None),
        (0, 0, 3, 3, Some(((0, 0, 1), 1))),
        (3, 0, 5, 5, Some(((0, 0, 1), 4))),
        (6, 0, 3, 7, Some((BLANK, 2))),
        (2, 0, -2, 0, None),
        (2, 0, -3, 0, Some(((0, 0, 4), 1))),
        (7, 0, -3, 5, Some(((0, 0, 1), 2))),
        (4, 0, -1, 3, None),
        (0, 1, 1, 3, None),
        (0, 1, 3, 6, None),
        (0, 1, 5, 7, Some((BLANK, 2))),
        (7, 1, -1, 5, None),
        (7, 1, -3, 2, None),
        (7, 1, -4, 0, Some(((0, 0, 4), 1))),
        (3, 1, 0, 3, None),
        (1, 3, 0, 7, None),
        (5, 0, 0, 5, None),
    ];
    for (from, code, count, to, expected) in cases {
        drive.locate(0, from).unwrap();
        let answer = drive.space(code, count);
        let told = answer.err().map(|sense| (sense.codes, sense.information.unwrap()));
        assert_eq!((told, drive.position().unwrap().2), (expected, to), "{from} {code} {count}");
    }
    assert_eq!(codes(drive.locate(0, 8)), BLANK);
    assert_eq!(drive.position().unwrap().2, 7);
}

#[test]
fn the_end_of_a_partition() {
    let dir = tempfile::tempdir().unwrap();
    let library = VirtualLibrary::open(dir.path(), geometry(2 * MIB)).unwrap();
    let (_robot, mut drive) = loaded(&library);
    let block = vec![3; 60_000];
    let mut written = 0;
    let warned = loop {
        match drive.write(&block) {
            Ok(_) => written += 1,
            Err(sense) => break sense,
        }
    };
    // Early warning: the block was accepted.
    assert_eq!((warned.codes, warned.flags), ((0, 0, 2), 0x40));
    written += 1;
    assert_eq!(drive.position().unwrap(), (0x40, 0, written, 0));
    // A sync is not a write and does not warn; a filemark is one.
    drive.filemarks(0, false).unwrap();
    assert_eq!(codes(drive.filemarks(1, false)), (0, 0, 2));
    written += 1;
    let overflow = loop {
        match drive.write(&block).unwrap_err() {
            sense if sense.codes == (0, 0, 2) => written += 1,
            sense => break sense,
        }
    };
    assert_eq!((overflow.codes, overflow.flags, overflow.information), ((0xD, 0, 2), 0x40, Some(60_000)));
    assert_eq!(drive.position().unwrap().2, written);
    drive.locate(0, 0).unwrap();
    assert_eq!(drive.block().unwrap(), block);
    assert_eq!(drive.position().unwrap().0, 0);
}

#[test]
fn two_partitions() {
    let dir = tempfile::tempdir().unwrap();
    let (_robot, mut drive) = loaded(&library(&dir));
    drive.write(b"lost").unwrap();
    assert_eq!(codes(drive.format_two([4, 0xFFFF])), (5, 0x3B, 0x0C));
    drive.rewind().unwrap();
    assert_eq!(codes(drive.format_two([17, 1])), (5, 0x26, 0));
    assert_eq!(drive.block().unwrap(), b"lost");
    drive.rewind().unwrap();
    drive.format_two([4, 0xFFFF]).unwrap();
    assert_eq!(codes(drive.block()), BLANK);
    for partition in [1, 0] {
        drive.locate(partition, 0).unwrap();
        drive.write(&[partition]).unwrap();
        drive.filemarks(2, false).unwrap();
    }
    drive.load(false).unwrap();
    drive.load(true).unwrap();
    drive.settle().1.unwrap();
    for partition in [1, 0] {
        drive.locate(partition, 0).unwrap();
        assert_eq!(drive.block().unwrap(), [partition]);
        assert_eq!(drive.position().unwrap().1, u32::from(partition));
    }
    // REWIND stays in the partition, LOAD does not.
    for (operation, partition) in [(0x01, 1), (0x1B, 0)] {
        drive.locate(1, 1).unwrap();
        drive.send(&[operation, 0, 0, 0, u8::from(operation == 0x1B), 0], Data::None).unwrap();
        assert_eq!(drive.position().unwrap(), (0x80, partition, 0, 0));
    }
    // Mode page 11h and log page 17h tell the sizes.
    let page = drive.ask(&[0x1A, 0x08, 0x11, 0, 255, 0], 255).unwrap();
    assert_eq!(page[4..], [0x11, 10, 1, 1, 0x3C, 3, 6, 0, 0, 4, 0, 13]);
    let log = drive.ask(&[0x4D, 0, 0x57, 0, 0, 0x02, 0x02, 1, 0, 0], 256).unwrap();
    assert_eq!(log[4..24], [2, 2, 3, 16, 7, 0, 0, 0, 0, 0, 0, 3, 7, 0, 0, 1, 0, 0, 0, 12]);
    // One partition again.
    drive.rewind().unwrap();
    drive.send(&[0x04, 0, 0, 0, 0, 0], Data::None).unwrap();
    assert_eq!(codes(drive.locate(1, 0)), BAD_CDB);
}

#[test]
fn cartridge_memory() {
    let dir = tempfile::tempdir().unwrap();
    let (mut robot, mut drive) = loaded(&library(&dir));
    drive.format_two([4, 0xFFFF]).unwrap();
    assert_eq!(drive.attribute(0, 1).unwrap(), (0x80, 3u64.to_be_bytes().to_vec()));
    assert_eq!(drive.attribute(1, 1).unwrap(), (0x80, 12u64.to_be_bytes().to_vec()));
    assert_eq!(drive.attribute(0, 3).unwrap().1, 1u64.to_be_bytes());
    assert_eq!(drive.attribute(0, 0x408).unwrap(), (0x80, vec![0]));
    assert_eq!(drive.attribute(0, 0x806).unwrap().1[..9], *b"TG0001L9 ");
    assert_eq!(codes(drive.attribute(0, 0x80C)), BAD_CDB);
    drive.set_attribute(1, 0x80C, b"coherent").unwrap();
    assert_eq!(drive.attribute(1, 0x80C).unwrap(), (0, b"coherent".to_vec()));
    assert_eq!(codes(drive.attribute(0, 0x80C)), BAD_CDB, "kept by partition");
    drive.set_attribute(0, 0x1623, &[1]).unwrap();
    assert_eq!(codes(drive.set_attribute(0, 0x401, b"forged")), (5, 0x26, 0));
    // The volume change reference rises before the first change after it was looked at, and only then.
    let reference = |drive: &mut Host| drive.attribute(0, 9).unwrap().1;
    let before = reference(&mut drive);
    assert_eq!(reference(&mut drive), before);
    drive.write(b"one").unwrap();
    let after = reference(&mut drive);
    assert_ne!(after, before);
    drive.write(b"two").unwrap();
    drive.write(b"three").unwrap();
    let last = reference(&mut drive);
    assert_ne!(last, after);
    drive.load(false).unwrap();
    robot.move_medium(DRIVE, SLOT).unwrap();
    robot.move_medium(SLOT, DRIVE).unwrap();
    drive.settle().1.unwrap();
    assert_eq!(reference(&mut drive), last);
    assert_eq!(drive.attribute(0, 3).unwrap().1, 2u64.to_be_bytes());
    drive.set_attribute(1, 0x80C, b"").unwrap();
    assert_eq!(codes(drive.attribute(1, 0x80C)), BAD_CDB);
}

#[test]
fn write_protection() {
    let dir = tempfile::tempdir().unwrap();
    let library = library(&dir);
    library.write_protect(&Barcode::parse("TG0001L9").unwrap(), true).unwrap();
    let (_robot, mut drive) = loaded(&library);
    assert_eq!(codes(drive.write(b"no")), (7, 0x27, 0));
    assert_eq!(codes(drive.filemarks(1, false)), (7, 0x27, 0));
    assert_eq!(codes(drive.set_attribute(0, 0x803, b"no")), (7, 0x27, 0));
    assert_eq!(codes(drive.format_two([4, 0xFFFF])), (7, 0x27, 0));
    assert_eq!(drive.ask(&[0x1A, 0, 0, 0, 255, 0], 255).unwrap()[2], 0x90);
}

#[test]
fn planned_faults() {
    let dir = tempfile::tempdir().unwrap();
    let library = library(&dir);
    let (_robot, mut drive) = loaded(&library);
    let faults = library.faults();
    faults.fail(Unit::Drive(0), 0x0A, 1, Sense::new(3, 0x0C, 0));
    drive.write(b"passes").unwrap();
    assert_eq!(codes(drive.write(b"fails")), (3, 0x0C, 0));
    drive.write(b"passes again").unwrap();
    assert_eq!((drive.position().unwrap().2, faults.pending()), (2, 0));

    for (effect, records) in [(Effect::Silence, 2), (Effect::SilenceAfter, 3)] {
        faults.inject(Fault { unit: Unit::Drive(0), opcode: None, skip: 0, times: 1, effect });
        let write = scsi::Cdb::new(&[0x0A, 0, 0, 0, 1, 0]);
        let silent = drive.0.execute(&write, Data::Out(b"?"), std::time::Duration::from_secs(9));
        assert!(matches!(silent, Err(scsi::TransportError::Timeout { opcode: 0x0A, seconds: 9 })));
        assert_eq!(drive.position().unwrap().2, records);
    }
    // A deferred error: the buffer is accepted, and the flush tells of an earlier block.
    let deferred = Effect::FailAfter(Sense::new(3, 0x0C, 0).deferred());
    faults.inject(Fault { unit: Unit::Drive(0), opcode: Some(0x10), skip: 0, times: 1, effect: deferred });
    let flush = drive.raw(&[0x10, 0, 0, 0, 1, 0], Data::None);
    assert_eq!((flush.sense[0], drive.position().unwrap().2), (0x71, 4));
    faults.damage_block(&Barcode::parse("TG0001L9").unwrap(), 0, 1);
    drive.rewind().unwrap();
    assert_eq!(drive.block().unwrap(), b"passes");
    assert_eq!(codes(drive.block()), (3, 0x11, 0));
    faults.clear();
    drive.locate(0, 1).unwrap();
    assert_eq!(drive.block().unwrap(), b"passes again");
}

#[test]
fn unbuffered_mode_leaves_nothing_to_lose() {
    let dir = tempfile::tempdir().unwrap();
    let library = library(&dir);
    let (_robot, mut drive) = loaded(&library);
    for (device_specific, left) in [(0x10, 0), (0x00, 1)] {
        drive.send(&[0x15, 0x10, 0, 0, 4, 0], Data::Out(&[0, 0, device_specific, 0])).unwrap();
        drive.write(b"block").unwrap();
        library.cut_power().unwrap();
        drive.settle().1.unwrap();
        drive.space(3, 0).unwrap();
        assert_eq!(drive.position().unwrap().2, left);
        drive.rewind().unwrap();
    }
    // Fixed blocks, compression and unknown pages are refused as a whole.
    for list in [
        &[0, 0, 0x10, 8, 0, 0, 0, 0, 0, 0, 2, 0][..],
        &[0, 0, 0x10, 0, 0x0F, 14, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0, 0, 0x10, 0, 0x24, 2, 0, 0],
    ] {
        let select = [0x15, 0x10, 0, 0, list.len() as u8, 0];
        assert_eq!(codes(drive.send(&select, Data::Out(list))), (5, 0x26, 0));
    }
    assert_eq!(codes(drive.send(&[0x15, 0x10, 0, 0, 5, 0], Data::Out(&[0, 0, 0x10, 0, 0x11]))), (5, 0x1A, 0));
}

#[test]
fn identity() {
    let dir = tempfile::tempdir().unwrap();
    let first = library(&dir);
    let serials = [first.drive_serial(0), first.drive_serial(1), first.changer_serial()];
    let mut drive = Host(first.drive_transport(0));
    let standard = drive.ask(&[0x12, 0, 0, 0, 96, 0], 96).unwrap();
    assert_eq!((standard[0], standard[1] & 0x80, standard.len()), (1, 0x80, 36));
    let page = drive.ask(&[0x12, 1, 0x80, 0, 96, 0], 96).unwrap();
    assert_eq!(page[4..], *serials[0].as_bytes());
    drop((drive, first));
    let again = library(&dir);
    assert_eq!([again.drive_serial(0), again.drive_serial(1), again.changer_serial()], serials);
    let elsewhere = tempfile::tempdir().unwrap();
    assert_ne!(library(&elsewhere).drive_serial(0), serials[0]);
}
