//! The drivers of `scsi` against the library: what the gateway does with a real one.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use scsi::mam::{Attribute, AttributeFormat};
use scsi::{Changer, Drive, ElementAddress, ElementKind, ReadOutcome, SpaceOutcome, SpaceOver, WriteOutcome};
use std::time::Duration;
use virtual_library::{Geometry, VirtualLibrary};

/// The instant library is ready at once: nobody may have to wait for it.
fn no_wait(_: &scsi::Waiting) {
    panic!("waited for an instant library");
}

#[test]
fn a_mount_from_the_robot_to_the_last_block() {
    let dir = tempfile::tempdir().unwrap();
    let geometry = Geometry {
        drives: 2,
        slots: 6,
        mail_slots: 2,
        cartridge_bytes: 64 << 20,
        index_partition_bytes: 8 << 20,
    };
    let library = VirtualLibrary::open(dir.path(), geometry).unwrap();
    let mut changer = Changer::new(library.changer_transport());
    assert_eq!(changer.identify().unwrap().serial, library.changer_serial());
    changer.wait_ready(Duration::from_secs(1), &no_wait).unwrap();
    let elements = changer.inventory().unwrap();
    let of = |kind| elements.iter().filter(move |element| element.kind == kind);
    assert_eq!(of(ElementKind::Storage).filter(|element| element.full).count(), 5);
    let serials: Vec<_> = of(ElementKind::Drive).map(|element| element.drive_serial().unwrap()).collect();
    assert_eq!(serials, [library.drive_serial(0), library.drive_serial(1)]);
    let bay = of(ElementKind::Drive).next().unwrap().address;
    let slot = of(ElementKind::Storage).next().unwrap();
    assert_eq!(slot.barcode.as_ref().unwrap().as_str(), "TG0001L9");
    changer.move_medium(slot.address, bay).unwrap();
    assert!(changer.inventory().unwrap().iter().any(|element| {
        (element.address, element.source, element.access) == (bay, Some(slot.address), false)
    }));

    let mut drive = Drive::new(library.drive_transport(0));
    assert_eq!(drive.identify().unwrap().serial, serials[0]);
    drive.wait_ready(Duration::from_secs(1), &no_wait).unwrap();
    drive.set_variable_blocks().unwrap();
    drive.set_compression(false).unwrap();
    assert_eq!(drive.block_limits().unwrap().maximum, 8 << 20);
    drive.partition(6, &[10, scsi::mode::MediumPartition::REST]).unwrap();
    let capacities = drive.capacities().unwrap();
    assert_eq!((capacities[0].maximum_mib, capacities[1].maximum_mib), (9, 54));
    write_and_read(&mut drive);
    assert!(drive.capacities().unwrap()[1].remaining_mib < capacities[1].remaining_mib);

    let reference = drive.attribute(0, 0x0009).unwrap().unwrap();
    let label = Attribute::padded(0x0803, AttributeFormat::Text, "label", 160);
    let coherency = Attribute::binary(0x080C, &[[1; 35], [2; 35]].concat());
    drive.write_attributes(1, &[label.clone(), coherency.clone()]).unwrap();
    assert_eq!(drive.attribute(1, 0x080C).unwrap(), Some(coherency));
    assert_eq!(drive.attribute(0, 0x080C).unwrap(), None);
    assert!(drive.attributes(0).unwrap().contains(&label));
    drive.locate(1, 0).unwrap();
    drive.write_block(b"changed").unwrap();
    assert_ne!(drive.attribute(0, 0x0009).unwrap().unwrap(), reference);

    assert!(matches!(changer.move_medium(bay, slot.address), Err(scsi::Error::Check { .. })));
    drive.unload().unwrap();
    changer.move_medium(bay, ElementAddress(17)).unwrap();
}

fn write_and_read(drive: &mut Drive) {
    drive.locate(1, 0).unwrap();
    let block: Vec<u8> = (0..=255).cycle().take(512 << 10).collect();
    let mut blocks = 0;
    while drive.write_block(&block).unwrap() == WriteOutcome::Written {
        blocks += 1;
    }
    assert_eq!(drive.write_filemarks(1, false).unwrap(), WriteOutcome::EarlyWarning);
    assert_eq!(drive.sync().unwrap(), WriteOutcome::Written);
    assert_eq!(drive.position().unwrap().block, blocks + 2);
    drive.locate(1, blocks).unwrap();
    let mut buffer = vec![0; 1 << 20];
    assert_eq!(drive.read_block(&mut buffer).unwrap(), ReadOutcome::Block(512 << 10));
    assert_eq!(buffer[..512 << 10], block);
    assert_eq!(drive.read_block(&mut buffer).unwrap(), ReadOutcome::Filemark);
    assert_eq!(drive.read_block(&mut buffer).unwrap(), ReadOutcome::EndOfData);
    assert_eq!(drive.space(SpaceOver::Filemarks, -1).unwrap(), SpaceOutcome::Done);
    assert_eq!(drive.space(SpaceOver::Blocks, -1000).unwrap(), SpaceOutcome::Beginning(Some(999 - blocks)));
    assert_eq!(drive.read_block(&mut [0; 10]).unwrap(), ReadOutcome::TooLarge { actual: 512 << 10 });
    assert_eq!(drive.space(SpaceOver::EndOfData, 0).unwrap(), SpaceOutcome::Done);
}
