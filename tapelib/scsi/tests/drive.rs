//! The drive driver against a scripted device: cartridge, settings, memory.
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_possible_truncation, dead_code)]

mod script;

use std::time::Duration;

use crc_fast as _;
use proptest as _;
use script::{
    Answer, POSITION, TUR, Waits, at, attention, drive, mode_select, mode_sense, read, sense, write,
};
use scsi::mode::{MediumPartition, ModeData};
use scsi::spc::{AttributeQuery, ModeForm};
use scsi::ssc::Format;
use scsi::{Action, Blame, Command, Condition, Error, SenseKey, Status, WriteOutcome, log, mam, spc, ssc};
use thiserror as _;

#[test]
fn waiting_for_ready_polls_takes_attentions_and_gives_up() {
    let becoming = || Answer::Check(sense(SenseKey::NotReady, 0x04, 0x01));
    let waits = Waits::default();
    let (mut drive, script) = drive(vec![
        (TUR, attention(0x29, 0x00)),
        (TUR, attention(0x28, 0x00)),
        (TUR, becoming()),
        (TUR, Answer::Status(Status::Busy)),
        (TUR, Answer::Good),
        // A new mount: nothing stands in the way of reading.
        (read(9), Answer::Good),
        (TUR, becoming()),
        (TUR, becoming()),
        (TUR, becoming()),
    ]);
    drive.wait_ready(Duration::from_secs(60), &waits.wait()).unwrap();
    assert_eq!(waits.total(), Duration::from_secs(2));
    drive.read_block(&mut [0; 9]).unwrap();
    let error = drive.wait_ready(Duration::from_secs(2), &waits.wait()).unwrap_err();
    assert!(matches!(error, Error::NotReady { seconds: 2, last: Some(_), .. }), "{error:?}");
    assert_eq!(error.blame(), Blame::Drive);
    script.done();
}

#[test]
fn an_empty_drive_is_given_a_moment_and_a_cartridge_to_be_loaded_none() {
    let empty = || Answer::Check(sense(SenseKey::NotReady, 0x3A, 0x00));
    let waits = Waits::default();
    let (mut drive, script) = drive(vec![
        (TUR, empty()),
        (TUR, empty()),
        (TUR, Answer::Good),
        (TUR, empty()),
        (TUR, Answer::Check(sense(SenseKey::NotReady, 0x04, 0x02))),
    ]);
    drive.wait_ready(Duration::from_secs(60), &waits.wait()).unwrap();
    let error = drive.wait_ready(Duration::ZERO, &waits.wait()).unwrap_err();
    assert_eq!(error.sense().unwrap().condition(), Condition::NoMedium);
    let error = drive.wait_ready(Duration::from_secs(60), &waits.wait()).unwrap_err();
    assert_eq!(error.action(), Action::Load);
    assert_eq!(waits.total(), Duration::from_secs(2));
    script.done();
}

#[test]
fn a_device_full_of_attentions_does_not_hold_us_for_ever() {
    let storm = (0..40).map(|_| (TUR, attention(0x2A, 0x01))).collect();
    let (mut drive, _) = drive(storm);
    let error = drive.wait_ready(Duration::from_secs(60), &|_| {}).unwrap_err();
    assert!(matches!(error, Error::Attention { .. }));
}

#[test]
fn unload_tells_an_unseen_reset_once() {
    let unload = Command::Ssc(ssc::Command::LoadUnload { immediate: false, load: false });
    let (mut drive, script) = drive(vec![
        (mode_sense(0, true), attention(0x29, 0x00)),
        (mode_sense(0, true), Answer::Bytes(ModeData::default().encode_sense(ModeForm::Six))),
        (unload, Answer::Good),
    ]);
    assert!(!drive.write_protected().unwrap());
    assert!(matches!(drive.unload(), Err(Error::Attention { .. })));
    drive.unload().unwrap();
    script.done();
}

/// The steps that go to block 0 of partition 0.
fn home() -> Vec<(Command, Answer)> {
    let locate = ssc::Command::Locate { partition: Some(0), block: 0 };
    vec![(locate.into(), Answer::Good), (POSITION, at(0, 0))]
}

fn format(format: Format) -> (Command, Answer) {
    (ssc::Command::FormatMedium { immediate: false, format }.into(), Answer::Good)
}

/// The step that reads page 11h of a drive that can make so many partitions beyond the first.
fn partition_page(additional_max: u8) -> (Command, Answer) {
    let sizes = vec![MediumPartition::REST];
    let page = MediumPartition { additional_max, on_format: true, recognition: 3, unit_exponent: 9, sizes };
    let data = ModeData { pages: page.encode(), ..ModeData::default() };
    (mode_sense(0x11, false), Answer::Bytes(data.encode_sense(ModeForm::Six)))
}

#[test]
fn partitions_are_made_from_the_drives_own_page() {
    let mut steps = home();
    steps.extend([partition_page(3), (mode_select(16), Answer::Good), format(Format::Partition)]);
    steps.extend(home());
    steps.push(format(Format::Default));
    steps.extend(home());
    steps.push(partition_page(1));
    let (mut drive, script) = drive(steps);
    drive.partition(9, &[1, MediumPartition::REST]).unwrap();
    drive.partition(9, &[MediumPartition::REST]).unwrap();
    let error = drive.partition(9, &[1, 1, 1]).unwrap_err();
    assert!(matches!(error, Error::Partitions { wanted: 3, possible: 2 }), "{error:?}");
    assert!(matches!(drive.partition(9, &[]), Err(Error::Partitions { .. })));
    script.done();
}

#[test]
fn attributes_and_capacities() {
    let query = |first| {
        let what = AttributeQuery::Values;
        Command::Spc(spc::Command::ReadAttribute { what, partition: 1, first, allocation: 0xFFFF })
    };
    let coherency = mam::Attribute::binary(0x080C, &[9; 70]);
    let record = |partition, value| log::PartitionRecord { partition, value };
    let parameter = |code, records: &[log::PartitionRecord]| log::LogParameter {
        code,
        value: log::encode_partition_records(records),
    };
    let statistics = log::encode_page(
        0x17,
        &[
            parameter(0x0202, &[record(0, 5000), record(1, 90_000), record(2, 1)]),
            parameter(0x0204, &[record(1, 80_000), record(0, 4000), record(2, u32::MAX)]),
        ],
    );
    let (mut drive, script) = drive(vec![
        (query(0x080C), Answer::Bytes(mam::encode_attributes(std::slice::from_ref(&coherency)))),
        (query(0x0009), Answer::Bytes(mam::encode_attributes(std::slice::from_ref(&coherency)))),
        (query(0x1623), Answer::Check(sense(SenseKey::IllegalRequest, 0x24, 0x00))),
        (spc::Command::WriteAttribute { write_through: true, partition: 1, length: 79 }.into(), Answer::Good),
        (
            spc::Command::LogSense { page: 0x17, subpage: 0, parameter: 0, allocation: 0xFFFF }.into(),
            Answer::Bytes(statistics),
        ),
    ]);
    assert_eq!(drive.attribute(1, 0x080C).unwrap(), Some(coherency.clone()));
    assert_eq!(drive.attribute(1, 0x0009).unwrap(), None);
    assert_eq!(drive.attribute(1, 0x1623).unwrap(), None);
    drive.write_attributes(1, &[coherency]).unwrap();
    let capacities = drive.capacities().unwrap();
    assert_eq!(
        capacities.iter().map(|c| (c.partition, c.maximum_mib, c.remaining_mib)).collect::<Vec<_>>(),
        [(0, 5000, 4000), (1, 90_000, 80_000)]
    );
    script.done();
}

#[test]
fn cleaning_is_remembered() {
    let (mut drive, _) = drive(vec![(write(3), Answer::Check(sense(SenseKey::RecoveredError, 0x00, 0x17)))]);
    assert!(!drive.cleaning_wanted());
    assert_eq!(drive.write_block(b"abc").unwrap(), WriteOutcome::Written);
    assert!(drive.cleaning_wanted());
}
