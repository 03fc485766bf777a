//! The changer's behaviour as SMC-3 has it, and what an operator's hands do to it.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod host;

use host::{DRIVE, Host, MAIL, MIB, SLOT, codes, geometry, loaded};
use scsi::Data;
use std::collections::BTreeMap;
use virtual_library::{Barcode, Error, Geometry, Place, VirtualLibrary, cartridge_dir, open_cartridge};

fn library(dir: &tempfile::TempDir) -> VirtualLibrary {
    VirtualLibrary::open(dir.path(), geometry(16 * MIB)).unwrap()
}

fn barcode(text: &str) -> Barcode {
    Barcode::parse(text).unwrap()
}

/// Barcodes by element address, of elements of one type.
fn full(robot: &mut Host, kind: u8) -> BTreeMap<u16, String> {
    let report = robot.ask(&[0xB8, 0x10 | kind, 0, 0, 0xFF, 0xFF, 0x02, 0, 0x80, 0, 0, 0], 0x8000).unwrap();
    let mut full = BTreeMap::new();
    let mut pages = &report[8..];
    while !pages.is_empty() {
        let stride = usize::from(u16::from_be_bytes([pages[2], pages[3]]));
        let length = usize::from(u16::from_be_bytes([pages[6], pages[7]]));
        for element in pages[8..8 + length].chunks(stride).filter(|element| element[2] & 1 != 0) {
            let label = String::from_utf8(element[12..44].to_vec()).unwrap();
            full.insert(u16::from_be_bytes([element[0], element[1]]), label.trim_end().to_owned());
        }
        pages = &pages[8 + length..];
    }
    full
}

#[test]
fn a_new_library_has_cartridges_and_room() {
    let dir = tempfile::tempdir().unwrap();
    let library = VirtualLibrary::open(dir.path(), Geometry::default()).unwrap();
    let mut robot = Host(library.changer_transport());
    assert_eq!(robot.settle(), (vec![(6, 0x29, 0)], Ok(0)));
    let slots = full(&mut robot, 2);
    assert_eq!(slots.len(), 20);
    assert_eq!((slots[&1000].as_str(), slots[&1019].as_str()), ("TG0001L9", "TG0020L9"));
    let page = robot.ask(&[0x1A, 0x08, 0x1D, 0, 255, 0], 255).unwrap();
    assert_eq!(page[4..], [0x1D, 18, 0, 1, 0, 1, 3, 0xE8, 0, 24, 0, 16, 0, 4, 1, 0, 0, 2, 0, 0]);
}

#[test]
fn element_status_in_detail() {
    let dir = tempfile::tempdir().unwrap();
    let library = library(&dir);
    let (mut robot, _drive) = loaded(&library);
    let report = robot.ask(&[0xB8, 0x14, 0, 0, 0xFF, 0xFF, 0x03, 0, 1, 0, 0, 0], 256).unwrap();
    let serials = [library.drive_serial(0), library.drive_serial(1)];
    let stride = 12 + 36 + 4 + 24 + serials[0].len();
    assert_eq!(report[..8], [1, 0, 0, 2, 0, 0, 0, 8 + 2 * stride as u8]);
    assert_eq!(report[8..16], [4, 0x80, 0, stride as u8, 0, 0, 0, 2 * stride as u8]);
    let [first, second] = [&report[16..16 + stride], &report[16 + stride..]];
    // Loaded: full, out of the robot's reach, from the first slot.
    assert_eq!(first[..12], [1, 0, 0x01, 0, 0, 0, 0, 0, 0, 0x81, 3, 0xE8]);
    assert_eq!(second[..12], [1, 1, 0x08, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(&first[12..20], b"TG0001L9");
    for (element, serial) in [(first, &serials[0]), (second, &serials[1])] {
        assert_eq!(element[48..52], [2, 1, 0, 24 + serial.len() as u8]);
        assert_eq!(&element[76..], serial.as_bytes());
    }
    // Without labels and identities, cut to the allocation length, counted from an address on.
    let report = robot.ask(&[0xB8, 0, 3, 0xE9, 0, 3, 0x02, 0, 0, 40, 0, 0], 40).unwrap();
    assert_eq!((report.len(), &report[..4], report[7]), (40, &[3, 0xE9, 0, 3][..], 8 + 3 * 16));
    assert_eq!(codes(robot.ask(&[0xB8, 5, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0], 256)), (5, 0x24, 0));
    assert_eq!(codes(robot.ask(&[0xB8, 0, 0xF0, 0, 0, 1, 0, 0, 1, 0, 0, 0], 256)), (5, 0x21, 1));
}

#[test]
fn moves_and_their_refusals() {
    let dir = tempfile::tempdir().unwrap();
    let library = library(&dir);
    let (mut robot, mut drive) = loaded(&library);
    for (from, to, expected) in [
        (SLOT, SLOT + 1, (5, 0x3B, 0x0E)),
        (SLOT + 1, SLOT + 2, (5, 0x3B, 0x0D)),
        (SLOT + 1, DRIVE, (5, 0x3B, 0x0D)),
        (DRIVE, SLOT, (5, 0x53, 0x02)),
        (SLOT + 1, 999, (5, 0x21, 0x01)),
        (1, SLOT, (5, 0x21, 0x01)),
    ] {
        assert_eq!(codes(robot.move_medium(from, to)), expected, "{from} to {to}");
    }
    let unknown_arm = [0xA5, 0, 0, 9, 3, 0xE9, 0, 16, 0, 0, 0, 0];
    assert_eq!(codes(robot.send(&unknown_arm, Data::None)), (5, 0x21, 0x01));
    let turned = [0xA5, 0, 0, 0, 3, 0xE9, 0, 16, 0, 0, 1, 0];
    assert_eq!(codes(robot.send(&turned, Data::None)), (5, 0x24, 0));
    for opcode in [0x01, 0x0A, 0x1B] {
        assert_eq!(codes(robot.send(&[opcode, 0, 0, 0, 0, 0], Data::None)), (5, 0x20, 0));
    }
    drive.load(false).unwrap();
    robot.move_medium(DRIVE, MAIL).unwrap();
    assert_eq!(codes(drive.ready()), (2, 0x3A, 0));
    assert_eq!(full(&mut robot, 3), BTreeMap::from([(MAIL, "TG0001L9".to_owned())]));
}

#[test]
fn everything_is_where_it_was_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let before = {
        let library = library(&dir);
        let (mut robot, mut drive) = loaded(&library);
        robot.move_medium(SLOT + 1, MAIL).unwrap();
        drive.write(b"kept").unwrap();
        assert!(matches!(
            VirtualLibrary::open(dir.path(), geometry(16 * MIB)),
            Err(Error::LibraryInUse { .. })
        ));
        full(&mut robot, 0)
    };
    let library = library(&dir);
    let (mut robot, mut drive) = (Host(library.changer_transport()), Host(library.drive_transport(0)));
    robot.settle().1.unwrap();
    assert_eq!(full(&mut robot, 0), before);
    assert_eq!(before[&DRIVE], "TG0001L9");
    // The drive comes up as one does: attention, tape at its beginning.
    assert_eq!(drive.settle(), (vec![(6, 0x29, 0), (6, 0x28, 0)], Ok(0)));
    assert_eq!(drive.block().unwrap(), b"kept");
}

#[test]
fn a_first_use_that_was_cut_short_is_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    let half = cartridge_dir(dir.path(), &barcode("TG0002L9"));
    std::fs::create_dir_all(&half).unwrap();
    std::fs::write(half.join("partition-0.data"), []).unwrap();
    let mut robot = robot_settled(&library(&dir));
    assert_eq!(full(&mut robot, 2)[&(SLOT + 1)], "TG0002L9");
}

#[test]
fn folders_moved_while_the_library_was_closed_are_found_and_missed() {
    let dir = tempfile::tempdir().unwrap();
    drop(library(&dir));
    let at = |text: &str| cartridge_dir(dir.path(), &barcode(text));
    std::fs::rename(at("TG0003L9"), at("OTHER001")).unwrap();
    std::fs::write(dir.path().join("cartridges/stray file"), []).unwrap();
    let slots = full(&mut robot_settled(&library(&dir)), 2);
    assert_eq!((slots.len(), slots[&(SLOT + 2)].as_str()), (5, "OTHER001"));
}

#[test]
fn drives_work_side_by_side() {
    let dir = tempfile::tempdir().unwrap();
    let library = library(&dir);
    let mut robot = robot_settled(&library);
    let threads: Vec<_> = (0..2u8)
        .map(|index| {
            robot.move_medium(SLOT + u16::from(index), DRIVE + u16::from(index)).unwrap();
            let mut drive = Host(library.drive_transport(usize::from(index)));
            std::thread::spawn(move || {
                drive.settle().1.unwrap();
                for _ in 0..100 {
                    drive.write(&[index; 1000]).unwrap();
                }
                drive.locate(0, 99).unwrap();
                assert_eq!(drive.block().unwrap(), [index; 1000]);
            })
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(full(&mut robot, 4).len(), 2);
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_smaller_library_finds_room_or_says_that_there_is_none() {
    let dir = tempfile::tempdir().unwrap();
    {
        let library = library(&dir);
        let (mut robot, _) = loaded(&library);
        robot.move_medium(SLOT + 1, MAIL).unwrap();
    }
    let smaller = Geometry { mail_slots: 0, ..geometry(16 * MIB) };
    let library = VirtualLibrary::open(dir.path(), smaller).unwrap();
    let mut robot = Host(library.changer_transport());
    robot.settle().1.unwrap();
    assert_eq!(full(&mut robot, 2)[&SLOT], "TG0002L9");
    drop((library, robot));
    let tiny = Geometry { slots: 1, ..geometry(16 * MIB) };
    assert!(matches!(VirtualLibrary::open(dir.path(), tiny), Err(Error::NoRoom { .. })));
    let none = Geometry { drives: 0, ..geometry(16 * MIB) };
    assert!(matches!(VirtualLibrary::open(dir.path(), none), Err(Error::Geometry { .. })));
}

#[test]
fn hands_in_the_library() {
    let dir = tempfile::tempdir().unwrap();
    let library = library(&dir);
    let (mut robot, mut drive) = loaded(&library);
    drive.write(b"of TG0001L9").unwrap();
    assert!(matches!(library.remove(&barcode("TG0001L9")), Err(Error::CartridgeInDrive { .. })));
    drive.load(false).unwrap();
    robot.move_medium(DRIVE, SLOT).unwrap();

    library.swap_barcodes(&barcode("TG0001L9"), &barcode("TG0002L9")).unwrap();
    assert_eq!(robot.settle().0, [(6, 0x28, 0)]);
    robot.move_medium(SLOT + 1, DRIVE).unwrap();
    drive.settle().1.unwrap();
    assert_eq!(drive.block().unwrap(), b"of TG0001L9");
    drive.load(false).unwrap();
    robot.move_medium(DRIVE, SLOT + 1).unwrap();

    library.swap_places(&barcode("TG0002L9"), &barcode("TG0003L9")).unwrap();
    library.insert_blank(&barcode("FOREIGN1"), Place::MailSlot).unwrap();
    assert_eq!(robot.settle().0, [(6, 0x28, 0), (6, 0x28, 1)]);
    let away = library.remove(&barcode("TG0004L9")).unwrap();
    assert!(library.cartridge_dir(&barcode("TG0004L9")).is_err());
    assert_eq!(robot.settle().0, [(6, 0x28, 0)]);
    let all = full(&mut robot, 0);
    assert_eq!((all[&(SLOT + 1)].as_str(), all[&(SLOT + 2)].as_str()), ("TG0003L9", "TG0002L9"));
    assert_eq!((all.get(&(SLOT + 3)), all[&MAIL].as_str()), (None, "FOREIGN1"));
    library.insert(&away, Place::MailSlot).unwrap();
    library.carry(&barcode("TG0004L9"), Place::Slot).unwrap();
    assert_eq!(full(&mut robot_settled(&library), 0)[&(SLOT + 3)], "TG0004L9");
}

fn robot_settled(library: &VirtualLibrary) -> Host {
    let mut robot = Host(library.changer_transport());
    robot.settle().1.unwrap();
    robot
}

#[test]
fn a_cartridge_alone_is_read_and_never_changed() {
    let dir = tempfile::tempdir().unwrap();
    let library = library(&dir);
    let (_robot, mut drive) = loaded(&library);
    drive.write(b"alone").unwrap();
    let folder = library.cartridge_dir(&barcode("TG0001L9")).unwrap();
    assert!(matches!(open_cartridge(&folder), Err(Error::CartridgeInUse { .. })));
    drive.load(false).unwrap();
    let bytes = || -> Vec<_> {
        let mut names: Vec<_> =
            std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        names.into_iter().map(|name| (std::fs::read(&name).unwrap(), name)).collect()
    };
    let before = bytes();
    assert_eq!(folder, cartridge_dir(dir.path(), &barcode("TG0001L9")));
    let mut table = Host(open_cartridge(&folder).unwrap());
    table.settle().1.unwrap();
    assert_eq!(table.block().unwrap(), b"alone");
    assert_eq!(codes(table.write(b"no")), (7, 0x27, 0));
    drop(table);
    assert_eq!(bytes(), before);
    assert!(open_cartridge(dir.path()).is_err());
}

#[test]
fn a_power_cut_takes_what_was_not_synced() {
    let dir = tempfile::tempdir().unwrap();
    let library = library(&dir);
    let (mut robot, mut drive) = loaded(&library);
    drive.write(b"synced").unwrap();
    drive.filemarks(1, false).unwrap();
    drive.write(b"buffered").unwrap();
    drive.filemarks(1, true).unwrap();
    library.cut_power().unwrap();
    assert_eq!(drive.settle(), (vec![(6, 0x29, 0), (6, 0x28, 0)], Ok(0)));
    assert_eq!(robot.settle().0, [(6, 0x29, 0)]);
    assert_eq!(drive.position().unwrap().2, 0);
    assert_eq!(drive.space(3, 0), Ok(0));
    assert_eq!(drive.position().unwrap(), (0, 0, 2, 1));
}

#[test]
fn a_cartridge_that_cannot_be_read_fails_its_load_and_comes_out_again() {
    let dir = tempfile::tempdir().unwrap();
    let library = library(&dir);
    let folder = library.cartridge_dir(&barcode("TG0001L9")).unwrap();
    std::fs::write(folder.join("partition-0.data"), [b'x'; 100]).unwrap();
    let (mut robot, mut drive) = (Host(library.changer_transport()), Host(library.drive_transport(0)));
    robot.settle().1.unwrap();
    robot.move_medium(SLOT, DRIVE).unwrap();
    assert_eq!(drive.settle().1.unwrap_err().codes, (3, 0x31, 0));
    assert_eq!(codes(robot.move_medium(DRIVE, SLOT)), (5, 0x53, 0x02));
    drive.load(false).unwrap();
    robot.move_medium(DRIVE, SLOT).unwrap();
}
