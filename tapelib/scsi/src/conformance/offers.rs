//! What not every library offers: used where it is, told apart from failures where it is not.

use std::time::Duration;

use super::{Difference, Stage, is_not_offered, payload};
use crate::limits::TIMEOUT_SMALL;
use crate::mam::{Attribute, AttributeFormat};
use crate::mode::MediumPartition;
use crate::{Cdb, Condition, Data, Drive, Error, ReadOutcome, Sense, Status, opcode};

/// Sent as raw bytes: the drivers have no way to ask the wrong unit.
pub(super) fn commands_of_other_units_are_unknown(stage: &mut Stage<'_>) {
    let mut path = stage.bench.drive(&stage.setup.drives[0]);
    let cdb = Cdb::new(&[opcode::READ_ELEMENT_STATUS, 2, 0, 0, 0, 1, 0, 0, 0, 64, 0, 0]);
    // What the drive has to tell first.
    for _ in 0..4 {
        let completion = path.execute(&cdb, Data::In(&mut [0; 64]), TIMEOUT_SMALL).unwrap();
        assert_eq!(completion.status, Status::CheckCondition);
        let sense = Sense::parse(&completion.sense).unwrap();
        if sense.key != crate::SenseKey::UnitAttention {
            assert_eq!(sense.condition(), Condition::UnknownOperation);
            return;
        }
    }
    panic!("nothing but unit attentions");
}

pub(super) fn partitions_are_apart(stage: &mut Stage<'_>) {
    stage.loaded(|stage, drive| {
        let possible = drive.partitions_max().unwrap();
        assert_eq!(possible == 1, stage.has(Difference::NoPartitions), "{possible}");
        let made = drive.partition(6, &[10, MediumPartition::REST]);
        if stage.has(Difference::NoPartitions) {
            assert!(matches!(made, Err(Error::Partitions { wanted: 2, possible: 1 })), "{made:?}");
            return;
        }
        made.unwrap();
        for partition in [0, 1] {
            drive.locate(partition, 0).unwrap();
            drive.write_block(&payload(u64::from(partition), 4096)).unwrap();
            drive.write_filemarks(1, false).unwrap();
        }
        for partition in [1, 0] {
            drive.locate(partition, 0).unwrap();
            let mut buffer = [0; 4096];
            assert_eq!(drive.read_block(&mut buffer).unwrap(), ReadOutcome::Block(4096));
            assert_eq!(buffer[..], payload(u64::from(partition), 4096));
        }
        drive.partition(6, &[MediumPartition::REST]).unwrap();
    });
}

pub(super) fn the_memory_keeps_attributes(stage: &mut Stage<'_>) {
    stage.loaded(|stage, drive| {
        let label = Attribute::padded(0x0803, AttributeFormat::Text, "conformance", 160);
        let written = drive.write_attributes(0, std::slice::from_ref(&label));
        if stage.has(Difference::NoMemory) {
            is_not_offered(written);
            is_not_offered(drive.attribute(0, label.id));
            return;
        }
        written.unwrap();
        assert_eq!(drive.attribute(0, label.id).unwrap().as_ref(), Some(&label));
        assert!(drive.attributes(0).unwrap().contains(&label));
    });
}

pub(super) fn logs_and_densities_are_told(stage: &mut Stage<'_>) {
    stage.loaded(|stage, drive| {
        match stage.has(Difference::NoLogs) {
            true => {
                is_not_offered(drive.capacities());
                is_not_offered(drive.alerts());
            }
            false => {
                assert!(!drive.capacities().unwrap().is_empty());
                drive.alerts().unwrap();
            }
        }
        match stage.has(Difference::NoDensities) {
            true => is_not_offered(drive.densities(true)),
            false => assert!(!drive.densities(true).unwrap().is_empty()),
        }
        // `None` where the drive does not tell.
        drive.wraps().unwrap();
        assert!(!drive.medium().unwrap().write_once);
    });
}

pub(super) fn settings_are_taken(stage: &mut Stage<'_>) {
    stage.loaded(|stage, drive| {
        let offered = drive.set_block_protection(true).unwrap();
        assert_eq!(offered, !stage.has(Difference::NoProtection));
        drive.write_block(&payload(4, 70_000)).unwrap();
        drive.write_filemarks(1, false).unwrap();
        drive.rewind().unwrap();
        let mut buffer = vec![0; 70_000];
        assert_eq!(drive.read_block(&mut buffer).unwrap(), ReadOutcome::Block(70_000));
        assert!(buffer == payload(4, 70_000));
        drive.set_block_protection(false).unwrap();
        if stage.has(Difference::NoExtension) {
            is_not_offered(drive.set_append_only(true));
            is_not_offered(drive.set_early_warning(1));
            return;
        }
        append_only(drive);
    });
}

fn append_only(drive: &mut Drive) {
    drive.set_early_warning(1).unwrap();
    drive.set_early_warning(0).unwrap();
    drive.set_append_only(true).unwrap();
    drive.rewind().unwrap();
    let refused = drive.write_block(&payload(5, 512));
    assert_eq!(super::refusal(refused), Condition::AppendOnly);
    drive.position().unwrap();
    drive.allow_overwrite(0, 0).unwrap();
    drive.write_block(&payload(5, 512)).unwrap();
    drive.set_append_only(false).unwrap();
}

pub(super) fn a_reservation_keeps_others_out(stage: &mut Stage<'_>) {
    let mut drive = stage.drive();
    // What it has to tell does not matter here.
    drive.wait_ready(Duration::ZERO, &super::pause).err();
    let reserved = drive.reserve(2);
    if stage.has(Difference::NoReservations) {
        is_not_offered(reserved);
        return;
    }
    assert_eq!(reserved.unwrap(), None);
    let mut other = stage.drive();
    assert!(matches!(other.reserve(1), Err(Error::Reserved { .. })));
    assert_eq!(drive.reservation().unwrap().unwrap().key, 2);
    drive.release(2).unwrap();
}
