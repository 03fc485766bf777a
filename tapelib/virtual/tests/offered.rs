//! What recent drives and changers offer beyond reading and writing, byte by byte from the standards.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod host;

use host::{DRIVE, Host, MAIL, MIB, SLOT, codes, geometry, loaded};
use scsi::{Data, Status};
use virtual_library::{Barcode, Error, Place, VirtualLibrary};

fn library(dir: &tempfile::TempDir) -> VirtualLibrary {
    VirtualLibrary::open(dir.path(), geometry(16 * MIB)).unwrap()
}

fn barcode(text: &str) -> Barcode {
    Barcode::parse(text).unwrap()
}

fn select(drive: &mut Host, list: &[u8]) -> Result<usize, host::Sensed> {
    drive.send(&[0x15, 0x10, 0, 0, list.len() as u8, 0], Data::Out(list))
}

#[test]
fn sense_data_in_descriptor_format_when_the_host_wants_it() {
    let dir = tempfile::tempdir().unwrap();
    let (_robot, mut drive) = loaded(&library(&dir));
    let page = [&[0, 0, 0x10, 0, 0x0A, 10, 0x04][..], &[0; 9]].concat();
    select(&mut drive, &page).unwrap();
    drive.write(&[1; 100]).unwrap();
    drive.rewind().unwrap();
    let mut buffer = [0; 300];
    let short = drive.raw(&[0x08, 0, 0, 1, 0x2C, 0], Data::In(&mut buffer));
    // Information descriptor: 200 left; stream descriptor: ILI.
    let expected = [0x72, 0, 0, 0, 0, 0, 0, 16, 0, 10, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 200, 4, 2, 0, 0x20];
    assert_eq!(short.sense, expected);
    // REQUEST SENSE chooses by itself; the mode page tells.
    let fixed = drive.ask(&[3, 0, 0, 0, 252, 0], 252).unwrap();
    assert_eq!((fixed[0], drive.ask(&[3, 1, 0, 0, 252, 0], 252).unwrap()[0]), (0x70, 0x72));
    assert_eq!(drive.ask(&[0x1A, 0x08, 0x0A, 0, 255, 0], 255).unwrap()[4..7], [0x0A, 10, 0x04]);
}

#[test]
fn removal_is_prevented_and_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let library = library(&dir);
    let (mut robot, mut drive) = loaded(&library);
    drive.send(&[0x1E, 0, 0, 0, 1, 0], Data::None).unwrap();
    assert_eq!(codes(drive.load(false)), (5, 0x53, 0x02));
    assert_eq!(codes(robot.move_medium(DRIVE, SLOT)), (5, 0x53, 0x02));
    drive.send(&[0x1E, 0, 0, 0, 0, 0], Data::None).unwrap();
    drive.load(false).unwrap();
    robot.move_medium(DRIVE, MAIL).unwrap();
    // The changer keeps hands from its mail slots.
    robot.send(&[0x1E, 0, 0, 0, 1, 0], Data::None).unwrap();
    assert!(matches!(library.remove(&barcode("TG0001L9")), Err(Error::MailSlotsLocked)));
    assert!(matches!(
        library.insert_blank(&barcode("NEW001L9"), Place::MailSlot),
        Err(Error::MailSlotsLocked)
    ));
    robot.send(&[0x1E, 0, 0, 0, 0, 0], Data::None).unwrap();
    library.remove(&barcode("TG0001L9")).unwrap();
    robot.settle().1.unwrap();
    robot.send(&[0x07, 0, 0, 0, 0, 0], Data::None).unwrap();
    robot.send(&[0x37, 1, 3, 0xE8, 0, 0, 0, 2, 0, 0], Data::None).unwrap();
}

#[test]
fn short_spaces_and_the_buffer() {
    let dir = tempfile::tempdir().unwrap();
    let (_robot, mut drive) = loaded(&library(&dir));
    drive.write(b"one").unwrap();
    drive.filemarks(1, false).unwrap();
    drive.write(b"two").unwrap();
    drive.write(b"three").unwrap();
    let bytes = drive.ask(&[0x34, 0x08, 0, 0, 0, 0, 0, 0, 32, 0], 32).unwrap();
    // Partition 0; two objects in the buffer; next is 4, and 2 and 3 are not on tape: two headers and 8 bytes.
    assert_eq!(bytes[..8], [0, 0, 0, 0x1C, 0, 0, 0, 2]);
    assert_eq!((bytes[15], bytes[23], bytes[31]), (4, 2, 2 * 24 + 8));
    drive.send(&[0x11, 0, 0xFF, 0xFF, 0xFE, 0], Data::None).unwrap();
    assert_eq!(drive.block().unwrap(), b"two");
    drive.send(&[0x11, 1, 0xFF, 0xFF, 0xFF, 0], Data::None).unwrap();
    assert_eq!(drive.position().unwrap().2, 1);
    let bytes = drive.ask(&[0x34, 0x08, 0, 0, 0, 0, 0, 0, 32, 0], 32).unwrap();
    assert_eq!((bytes[7], bytes[15], bytes[23]), (0, 1, 1));
}

#[test]
fn blocks_are_guarded_between_host_and_drive() {
    let dir = tempfile::tempdir().unwrap();
    let (_robot, mut drive) = loaded(&library(&dir));
    let page = [&[0, 0, 0x10, 0, 0x4A, 0xF0, 0, 28, 2, 4, 0xC0][..], &[0; 25]].concat();
    select(&mut drive, &page).unwrap();
    assert_eq!(drive.ask(&[0x1A, 0x08, 0x0A, 0xF0, 255, 0], 255).unwrap()[4..], page[4..]);
    assert_eq!(codes(drive.write(b"123456789\x83\x92\x06\xE4")), (4, 0x10, 0x01));
    drive.write(b"123456789\x83\x92\x06\xE3").unwrap();
    drive.rewind().unwrap();
    assert_eq!(drive.block().unwrap(), b"123456789\x83\x92\x06\xE3");
    // Off again: the tape has the block alone.
    select(&mut drive, &[&[0, 0, 0x10, 0, 0x4A, 0xF0, 0, 28][..], &[0; 28]].concat()).unwrap();
    drive.rewind().unwrap();
    assert_eq!(drive.block().unwrap(), b"123456789");
    // The checksum of old generations is not offered.
    let old = [&[0, 0, 0x10, 0, 0x4A, 0xF0, 0, 28, 1, 4, 0xC0][..], &[0; 25]].concat();
    assert_eq!(codes(select(&mut drive, &old)), (5, 0x26, 0));
}

#[test]
fn a_warning_zone_of_the_hosts_choice_and_appending_only() {
    let dir = tempfile::tempdir().unwrap();
    let library = VirtualLibrary::open(dir.path(), geometry(8 * MIB)).unwrap();
    let (_robot, mut drive) = loaded(&library);
    let extension = |mode: u8, megabytes: u8| {
        [&[0, 0, 0x10, 0, 0x50, 1, 0, 28, 0, mode << 4, 0, megabytes][..], &[0; 24]].concat()
    };
    select(&mut drive, &extension(1, 2)).unwrap();
    assert_eq!(
        drive.ask(&[0x1A, 0x08, 0x10, 1, 255, 0], 255).unwrap()[4..12],
        [0x50, 1, 0, 28, 0, 0x10, 0, 2]
    );
    let mut warnings = Vec::new();
    for _ in 0..8 {
        if let Err(sense) = drive.write(&vec![0; 1_000_000]) {
            warnings.push((sense.codes, sense.flags, drive.position().unwrap()));
        }
    }
    // Once on the way in, then early warning for every write.
    let zone = warnings.iter().filter(|(codes, ..)| *codes == (0, 0, 7)).count();
    assert_eq!((zone, warnings[0].0, warnings[0].1), (1, (0, 0, 7), 0x40));
    assert_eq!(warnings[0].2.0 & 0x01, 0x01, "told with the position too");
    assert!(warnings[1..].iter().all(|(codes, ..)| *codes == (0, 0, 2)));

    // Before the end of data: only where ALLOW OVERWRITE says, and once.
    drive.locate(0, 3).unwrap();
    assert_eq!(codes(drive.write(b"no")), (7, 0x27, 0x06));
    let allow = [0x82, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0];
    drive.send(&allow, Data::None).unwrap();
    drive.write(b"yes").unwrap();
    drive.locate(0, 3).unwrap();
    assert_eq!(codes(drive.filemarks(1, false)), (7, 0x27, 0x06));
}

#[test]
fn what_the_barcode_says_a_cartridge_is() {
    let dir = tempfile::tempdir().unwrap();
    let library = library(&dir);
    for (text, slot) in [("WORM01LZ", 5), ("OLD001L6", 6), ("CLN001L9", 7)] {
        // One free slot: make room by taking another out.
        library
            .insert_blank(&barcode(text), Place::MailSlot)
            .unwrap_or_else(|error| panic!("{slot}: {error}"));
        let (mut robot, mut drive) = (Host(library.changer_transport()), Host(library.drive_transport(0)));
        robot.settle().1.unwrap();
        robot.move_medium(MAIL, DRIVE).unwrap();
        match text {
            "WORM01LZ" => {
                drive.settle().1.unwrap();
                assert_eq!(drive.ask(&[0x1A, 0, 0, 0, 255, 0], 255).unwrap()[1], 0x9C);
                assert_eq!(drive.attribute(0, 0x408).unwrap().1, [0x80]);
                drive.write(b"once").unwrap();
                drive.rewind().unwrap();
                assert_eq!(codes(drive.write(b"twice")), (7, 0x30, 0x0C));
                assert_eq!(codes(drive.format_two([4, 0xFFFF])), (7, 0x30, 0x0C));
                assert_eq!(drive.block().unwrap(), b"once");
            }
            "OLD001L6" => assert_eq!(drive.settle().1.unwrap_err().codes, (3, 0x30, 0x01)),
            _ => {
                library.faults().alert(0, 20);
                let said = drive.settle().1.unwrap_err().codes;
                assert_eq!((said, codes(drive.ready())), ((2, 0x30, 3), (2, 0x30, 3)));
                // Let go by itself, and clean.
                assert_eq!(codes(drive.ready()), (2, 0x04, 2));
                assert!(
                    drive.ask(&[0x4D, 0, 0x6E, 0, 0, 0, 0, 2, 0, 0], 512).unwrap()[4..]
                        .chunks(5)
                        .all(|one| one[4] == 0)
                );
            }
        }
        if text != "CLN001L9" {
            drive.load(false).unwrap();
        }
        robot.move_medium(DRIVE, MAIL).unwrap();
        library.remove(&barcode(text)).unwrap();
    }
}

#[test]
fn logs_densities_and_wraps() {
    let dir = tempfile::tempdir().unwrap();
    let library = library(&dir);
    let (_robot, mut drive) = loaded(&library);
    let log =
        |drive: &mut Host, page: u8| drive.ask(&[0x4D, 0, 0x40 | page, 0, 0, 0, 0, 2, 0, 0], 512).unwrap();
    assert_eq!(log(&mut drive, 0)[4..], [0x00, 0x14, 0x17, 0x2E, 0x31]);
    assert_eq!(log(&mut drive, 0x14)[4..], [0, 0, 3, 4, 0, 0, 0, 1]);
    assert_eq!(log(&mut drive, 0x31), [0x31, 0, 0, 16, 0, 1, 3, 4, 0, 0, 0, 16, 0, 3, 3, 4, 0, 0, 0, 16]);
    // An alert is told once.
    library.faults().alert(0, 3);
    let set =
        |page: Vec<u8>| page[4..].chunks(5).filter(|one| one[4] == 1).map(|one| one[1]).collect::<Vec<_>>();
    assert_eq!((set(log(&mut drive, 0x2E)), set(log(&mut drive, 0x2E))), (vec![3], vec![]));

    let densities = drive.ask(&[0x44, 0, 0, 0, 0, 0, 0, 1, 0, 0], 256).unwrap();
    assert_eq!(
        (densities.len(), &densities[..4], densities[4], densities[56]),
        (108, &[0, 106, 0, 0][..], 0x5E, 0x60)
    );
    let of_medium = drive.ask(&[0x44, 1, 0, 0, 0, 0, 0, 1, 0, 0], 256).unwrap();
    assert_eq!((of_medium.len(), of_medium[4], of_medium[6] & 0xA0), (56, 0x60, 0xA0));

    // 280 wraps of 59 918 bytes each: blocks 0 to 2 end within the first, block 6 begins in the third.
    for _ in 0..8 {
        drive.write(&[0; 20_000]).unwrap();
    }
    let wraps = drive.ask(&[0xA3, 0x1F, 0x45, 0x02, 0, 0, 0, 0, 2, 0, 0, 0], 512).unwrap();
    assert_eq!(wraps[..4], [0, 26, 0, 0]);
    assert_eq!(wraps[4..16], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    assert_eq!(wraps[16..28], [0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5]);
    assert_eq!(codes(drive.ask(&[0xA3, 0x0C, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0], 512)), (5, 0x20, 0));
}

#[test]
fn a_reservation_keeps_others_out_until_it_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let library = library(&dir);
    let (_robot, mut first) = loaded(&library);
    let mut second = Host(library.drive_transport(0));
    let out = |host: &mut Host, action: u8, kind: u8, key: u64, other: u64| {
        let list = [&key.to_be_bytes()[..], &other.to_be_bytes(), &[0; 8]].concat();
        host.raw(&[0x5F, action, kind, 0, 0, 0, 0, 0, 24, 0], Data::Out(&list)).status
    };
    assert_eq!(out(&mut first, 1, 3, 7, 0), Status::ReservationConflict, "not registered");
    assert_eq!(out(&mut first, 6, 0, 0, 7), Status::Good);
    assert_eq!(out(&mut first, 1, 3, 7, 0), Status::Good);
    first.write(b"mine").unwrap();
    assert_eq!(second.raw(&[0x0A, 0, 0, 0, 1, 0], Data::Out(b"x")).status, Status::ReservationConflict);
    assert_eq!(second.raw(&[0; 6], Data::None).status, Status::ReservationConflict);
    second.ask(&[0x12, 0, 0, 0, 96, 0], 96).unwrap();
    let held = second.ask(&[0x5E, 1, 0, 0, 0, 0, 0, 0, 64, 0], 64).unwrap();
    assert_eq!((held[7], held[15], held[21]), (16, 7, 3));
    assert_eq!(out(&mut second, 6, 0, 0, 9), Status::Good);
    assert_eq!(out(&mut second, 1, 3, 9, 0), Status::ReservationConflict);
    assert_eq!(out(&mut second, 4, 3, 9, 7), Status::Good);
    second.write(b"mine now").unwrap();
    assert_eq!(codes(first.ready()), (6, 0x2A, 0x05));
    assert_eq!(first.raw(&[0; 6], Data::None).status, Status::ReservationConflict);
    assert_eq!(second.ask(&[0x5E, 0, 0, 0, 0, 0, 0, 0, 64, 0], 64).unwrap()[8..], 9u64.to_be_bytes());
    assert_eq!(out(&mut second, 2, 3, 9, 0), Status::Good);
    first.ready().unwrap();
    library.cut_power().unwrap();
    assert_eq!(first.ask(&[0x5E, 0, 0, 0, 0, 0, 0, 0, 64, 0], 64).unwrap_err().codes, (6, 0x29, 0));
    assert_eq!(first.settle(), (vec![(6, 0x28, 0)], Ok(0)));
    assert_eq!(first.ask(&[0x5E, 0, 0, 0, 0, 0, 0, 0, 64, 0], 64).unwrap()[7], 0);
}
