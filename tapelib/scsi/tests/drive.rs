//! The drive driver against a scripted device: what it sends, what it makes of the answers, what it never repeats.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    dead_code
)]

mod script;

use std::time::Duration;

use proptest as _;
use script::{Answer, Script, Steps, Waits, attention, sense};
use scsi::mode::{BlockDescriptor, MediumPartition, ModeData};
use scsi::spc::{AttributeQuery, ModeForm, ModeValues};
use scsi::ssc::Format;
use scsi::{
    Action, Blame, BlockLimits, Command, Condition, Drive, Error, Position, ReadOutcome, Sense, SenseKey,
    SpaceOutcome, SpaceOver, Status, WriteOutcome, log, mam, spc, ssc,
};
use thiserror as _;

const TUR: Command = Command::Spc(spc::Command::TestUnitReady);
const POSITION: Command = Command::Ssc(ssc::Command::ReadPosition);

fn write(length: u32) -> Command {
    ssc::Command::Write { length }.into()
}

fn read(length: u32) -> Command {
    ssc::Command::Read {
        suppress_length: false,
        length,
    }
    .into()
}

fn filemarks(count: u32) -> Command {
    ssc::Command::WriteFilemarks {
        immediate: false,
        count,
    }
    .into()
}

fn mode_sense(page: u8, block_descriptor: bool) -> Command {
    let (form, values) = (ModeForm::Six, ModeValues::Current);
    let no_block_descriptor = !block_descriptor;
    spc::Command::ModeSense {
        form,
        no_block_descriptor,
        values,
        page,
        subpage: 0,
        allocation: 255,
    }
    .into()
}

fn mode_select(length: u16) -> Command {
    spc::Command::ModeSelect {
        form: ModeForm::Six,
        length,
    }
    .into()
}

fn at(partition: u8, block: u64) -> Answer {
    Answer::Bytes(place(partition, block).encode().to_vec())
}

fn place(partition: u8, block: u64) -> Position {
    Position {
        partition,
        block,
        filemarks: Some(0),
        beginning: block == 0,
        early_warning: false,
        programmable_early_warning: false,
    }
}

fn marks(flags: &str, information: Option<i64>) -> Sense {
    Sense {
        filemark: flags.contains('f'),
        end_of_medium: flags.contains('e'),
        incorrect_length: flags.contains('i'),
        information,
        ..sense(SenseKey::NoSense, 0, 0)
    }
}

fn drive(steps: Steps) -> (Drive, Script) {
    let script = Script::new(steps);
    (Drive::new(script.transport()), script)
}

#[test]
fn reading_tells_blocks_marks_and_ends_apart() {
    let blank = sense(SenseKey::BlankCheck, 0x00, 0x05);
    let cases = [
        (Answer::Good, ReadOutcome::Block(1000)),
        (
            Answer::CheckAfter(marks("i", Some(300)), 700),
            ReadOutcome::Block(700),
        ),
        (
            Answer::CheckAfter(marks("ie", Some(300)), 700),
            ReadOutcome::Block(700),
        ),
        (
            Answer::Check(marks("i", Some(-24))),
            ReadOutcome::TooLarge { actual: 1024 },
        ),
        (
            Answer::CheckAfter(marks("f", Some(1000)), 0),
            ReadOutcome::Filemark,
        ),
        (Answer::CheckAfter(marks("fe", None), 0), ReadOutcome::Filemark),
        (Answer::CheckAfter(blank, 0), ReadOutcome::EndOfData),
        (
            Answer::CheckAfter(sense(SenseKey::BlankCheck, 0, 0), 0),
            ReadOutcome::EndOfData,
        ),
        (
            Answer::Check(sense(SenseKey::RecoveredError, 0x17, 0x01)),
            ReadOutcome::Block(1000),
        ),
    ];
    for (answer, expected) in cases {
        let (mut drive, script) = drive(vec![(read(1000), answer)]);
        assert_eq!(drive.read_block(&mut [0; 1000]).unwrap(), expected);
        script.done();
    }
}

#[test]
fn a_length_told_in_two_ways_is_an_error() {
    let cases = [
        // The path lost bytes that the device says it sent.
        Answer::CheckAfter(marks("i", Some(300)), 400),
        Answer::GoodAfter(999),
        // More than asked for left over.
        Answer::CheckAfter(marks("i", Some(1001)), 0),
    ];
    for answer in cases {
        let (mut drive, _) = drive(vec![(read(1000), answer)]);
        let error = drive.read_block(&mut [0; 1000]).unwrap_err();
        assert!(matches!(error, Error::Length { .. }), "{error:?}");
        assert_eq!((error.blame(), error.action()), (Blame::Path, Action::Look));
    }
    let (mut drive, _) = drive(vec![(read(1000), Answer::CheckAfter(marks("i", None), 700))]);
    assert!(matches!(
        drive.read_block(&mut [0; 1000]),
        Err(Error::Missing { .. })
    ));
}

#[test]
fn early_warning_means_the_block_was_taken() {
    let (mut drive, script) = drive(vec![
        (write(3), Answer::Good),
        (write(3), Answer::Check(marks("e", Some(0)))),
        (write(3), Answer::Check(sense(SenseKey::NoSense, 0x00, 0x07))),
        (
            filemarks(1),
            Answer::Check(Sense {
                information: Some(0),
                ..marks("e", None)
            }),
        ),
        (
            write(3),
            Answer::CheckAfter(
                Sense {
                    information: Some(3),
                    ..sense(SenseKey::VolumeOverflow, 0, 2)
                },
                0,
            ),
        ),
    ]);
    assert_eq!(drive.write_block(b"abc").unwrap(), WriteOutcome::Written);
    assert_eq!(drive.write_block(b"abc").unwrap(), WriteOutcome::EarlyWarning);
    assert_eq!(drive.write_block(b"abc").unwrap(), WriteOutcome::EarlyWarning);
    assert_eq!(
        drive.write_filemarks(1, false).unwrap(),
        WriteOutcome::EarlyWarning
    );
    let error = drive.write_block(b"abc").unwrap_err();
    assert_eq!(error.sense().unwrap().condition(), Condition::VolumeOverflow);
    assert_eq!(error.action(), Action::Close);
    script.done();
}

#[test]
fn a_write_is_never_sent_twice() {
    let answers: [(fn() -> Answer, Action); 6] = [
        (|| attention(0x29, 0x00), Action::Resync),
        (|| Answer::Timeout, Action::Look),
        (|| Answer::Status(Status::Busy), Action::Wait),
        (
            || Answer::Check(sense(SenseKey::AbortedCommand, 0x4B, 0)),
            Action::Look,
        ),
        (
            || Answer::Check(sense(SenseKey::MediumError, 0x0C, 0)),
            Action::Elsewhere,
        ),
        (|| Answer::RawSense(vec![1, 2, 3]), Action::Look),
    ];
    for (answer, action) in answers {
        // The script has one step: a second sending would panic.
        let (mut drive, script) = drive(vec![(write(3), answer())]);
        assert_eq!(drive.write_block(b"abc").unwrap_err().action(), action);
        script.done();
    }
}

#[test]
fn a_reset_in_the_stream_stops_it_until_the_position_was_read() {
    let block = BlockDescriptor {
        density: 0x60,
        blocks: 0,
        block_length: 512,
    };
    let fixed = ModeData {
        buffered: 1,
        block: Some(block),
        ..ModeData::default()
    };
    let header = || Answer::Bytes(fixed.encode_sense(ModeForm::Six));
    let (mut drive, script) = drive(vec![
        (mode_sense(0, true), header()),
        (mode_select(12), Answer::Good),
        (write(3), attention(0x29, 0x02)),
        // Neither write nor filemark reaches the drive before the position was read.
        (POSITION, at(0, 7)),
        (mode_sense(0, true), header()),
        (mode_select(12), Answer::Good),
        (write(3), Answer::Good),
    ]);
    drive.set_variable_blocks().unwrap();
    assert!(matches!(drive.write_block(b"abc"), Err(Error::Attention { .. })));
    assert!(matches!(drive.write_block(b"abc"), Err(Error::Attention { .. })));
    assert!(matches!(drive.sync(), Err(Error::Attention { .. })));
    assert_eq!(drive.position().unwrap().block, 7);
    assert_eq!(drive.write_block(b"abc").unwrap(), WriteOutcome::Written);
    script.done();
}

#[test]
fn an_attention_taken_by_a_question_is_not_lost() {
    let limits = BlockLimits {
        minimum: 1,
        maximum: 0x0080_0000,
    };
    let (mut drive, script) = drive(vec![
        (ssc::Command::ReadBlockLimits.into(), attention(0x28, 0x00)),
        (
            ssc::Command::ReadBlockLimits.into(),
            Answer::Bytes(limits.encode().to_vec()),
        ),
        (POSITION, at(0, 0)),
        (read(9), Answer::Good),
    ]);
    assert_eq!(drive.block_limits().unwrap(), limits);
    // The caller has not seen it yet: not even the position hides it.
    let error = drive.position().unwrap_err();
    assert_eq!(error.sense().unwrap().condition(), Condition::MediumChanged);
    assert_eq!(drive.position().unwrap().block, 0);
    assert_eq!(drive.read_block(&mut [0; 9]).unwrap(), ReadOutcome::Block(9));
    script.done();
}

#[test]
fn a_question_is_repeated_once_only() {
    let (mut drive, script) = drive(vec![
        (ssc::Command::ReadBlockLimits.into(), attention(0x29, 0x00)),
        (ssc::Command::ReadBlockLimits.into(), attention(0x2A, 0x01)),
    ]);
    assert!(matches!(drive.block_limits(), Err(Error::Attention { .. })));
    script.done();
}

#[test]
fn a_deferred_error_is_that_of_an_earlier_write() {
    let late = Sense {
        deferred: true,
        ..sense(SenseKey::MediumError, 0x0C, 0)
    };
    let (mut drive, script) = drive(vec![(filemarks(0), Answer::Check(late)), (POSITION, at(1, 40))]);
    let error = drive.sync().unwrap_err();
    assert!(matches!(error, Error::Deferred { .. }), "{error:?}");
    assert_eq!((error.blame(), error.action()), (Blame::Medium, Action::Look));
    assert_eq!(
        error.to_string(),
        "drive: synchronize was not done, an earlier command has failed: \
         deferred: the data could not be written (3/0c/00)"
    );
    assert_eq!(drive.position().unwrap().block, 40);
    script.done();
}

#[test]
fn missing_filemarks_are_an_error() {
    let short = Sense {
        information: Some(1),
        ..marks("e", None)
    };
    let (mut drive, _) = drive(vec![(filemarks(2), Answer::Check(short))]);
    assert!(matches!(
        drive.write_filemarks(2, false),
        Err(Error::Check { .. })
    ));
}

#[test]
fn spacing_tells_where_it_ended() {
    let beginning = Sense {
        end_of_medium: true,
        information: Some(3),
        ..sense(SenseKey::NoSense, 0x00, 0x04)
    };
    let blank = Sense {
        information: Some(2),
        ..sense(SenseKey::BlankCheck, 0x00, 0x05)
    };
    let cases = [
        (SpaceOver::Blocks, 5, Answer::Good, SpaceOutcome::Done),
        (
            SpaceOver::Blocks,
            5,
            Answer::Check(marks("f", Some(2))),
            SpaceOutcome::Filemark(Some(2)),
        ),
        (
            SpaceOver::Filemarks,
            5,
            Answer::Check(blank),
            SpaceOutcome::EndOfData(Some(2)),
        ),
        (
            SpaceOver::Filemarks,
            -5,
            Answer::Check(beginning),
            SpaceOutcome::Beginning(Some(3)),
        ),
        (
            SpaceOver::Blocks,
            -5,
            Answer::Check(marks("e", None)),
            SpaceOutcome::Beginning(None),
        ),
        (SpaceOver::EndOfData, 0, Answer::Good, SpaceOutcome::Done),
    ];
    for (over, count, answer, expected) in cases {
        let (mut drive, _) = drive(vec![(ssc::Command::Space { over, count }.into(), answer)]);
        assert_eq!(drive.space(over, count).unwrap(), expected);
    }
}

#[test]
fn locate_checks_where_it_arrived() {
    let locate = Command::Ssc(ssc::Command::Locate {
        partition: Some(1),
        block: 77,
    });
    let (mut drive, script) = drive(vec![
        (locate, Answer::Good),
        (POSITION, at(1, 77)),
        (locate, Answer::Good),
        (POSITION, at(1, 76)),
    ]);
    assert_eq!(drive.locate(1, 77).unwrap(), place(1, 77));
    let error = drive.locate(1, 77).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the drive stands at block 76 of partition 1, not at block 77 of partition 1"
    );
    script.done();
}

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
    let error = drive
        .wait_ready(Duration::from_secs(2), &waits.wait())
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::NotReady {
                seconds: 2,
                last: Some(_),
                ..
            }
        ),
        "{error:?}"
    );
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
    let error = drive
        .wait_ready(Duration::from_secs(60), &waits.wait())
        .unwrap_err();
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
    let unload = Command::Ssc(ssc::Command::LoadUnload {
        immediate: false,
        load: false,
    });
    let (mut drive, script) = drive(vec![
        (mode_sense(0, true), attention(0x29, 0x00)),
        (
            mode_sense(0, true),
            Answer::Bytes(ModeData::default().encode_sense(ModeForm::Six)),
        ),
        (unload, Answer::Good),
    ]);
    assert!(!drive.write_protected().unwrap());
    assert!(matches!(drive.unload(), Err(Error::Attention { .. })));
    drive.unload().unwrap();
    script.done();
}

#[test]
fn partitions_are_made_from_the_drives_own_page() {
    let own = MediumPartition {
        additional_max: 3,
        on_format: true,
        recognition: 3,
        unit_exponent: 9,
        sizes: vec![MediumPartition::REST],
    };
    let page = ModeData {
        pages: own.encode(),
        ..ModeData::default()
    }
    .encode_sense(ModeForm::Six);
    let home = Command::Ssc(ssc::Command::Locate {
        partition: Some(0),
        block: 0,
    });
    let (mut drive, script) = drive(vec![
        (home, Answer::Good),
        (POSITION, at(0, 0)),
        (mode_sense(0x11, false), Answer::Bytes(page.clone())),
        (mode_select(16), Answer::Good),
        (
            ssc::Command::FormatMedium {
                immediate: false,
                format: Format::Partition,
            }
            .into(),
            Answer::Good,
        ),
        (home, Answer::Good),
        (POSITION, at(0, 0)),
        (
            ssc::Command::FormatMedium {
                immediate: false,
                format: Format::Default,
            }
            .into(),
            Answer::Good,
        ),
        (home, Answer::Good),
        (POSITION, at(0, 0)),
        (
            mode_sense(0x11, false),
            Answer::Bytes(
                ModeData {
                    pages: MediumPartition {
                        additional_max: 1,
                        ..own
                    }
                    .encode(),
                    ..ModeData::default()
                }
                .encode_sense(ModeForm::Six),
            ),
        ),
    ]);
    drive.partition(9, &[1, MediumPartition::REST]).unwrap();
    drive.partition(9, &[MediumPartition::REST]).unwrap();
    let error = drive.partition(9, &[1, 1, 1]).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Partitions {
                wanted: 3,
                possible: 2
            }
        ),
        "{error:?}"
    );
    assert!(matches!(drive.partition(9, &[]), Err(Error::Partitions { .. })));
    script.done();
}

#[test]
fn attributes_and_capacities() {
    let query = |first| {
        let what = AttributeQuery::Values;
        Command::Spc(spc::Command::ReadAttribute {
            what,
            partition: 1,
            first,
            allocation: 0xFFFF,
        })
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
        (
            query(0x080C),
            Answer::Bytes(mam::encode_attributes(std::slice::from_ref(&coherency))),
        ),
        (
            query(0x0009),
            Answer::Bytes(mam::encode_attributes(std::slice::from_ref(&coherency))),
        ),
        (
            query(0x1623),
            Answer::Check(sense(SenseKey::IllegalRequest, 0x24, 0x00)),
        ),
        (
            spc::Command::WriteAttribute {
                write_through: true,
                partition: 1,
                length: 79,
            }
            .into(),
            Answer::Good,
        ),
        (
            spc::Command::LogSense {
                page: 0x17,
                subpage: 0,
                parameter: 0,
                allocation: 0xFFFF,
            }
            .into(),
            Answer::Bytes(statistics),
        ),
    ]);
    assert_eq!(drive.attribute(1, 0x080C).unwrap(), Some(coherency.clone()));
    assert_eq!(drive.attribute(1, 0x0009).unwrap(), None);
    assert_eq!(drive.attribute(1, 0x1623).unwrap(), None);
    drive.write_attributes(1, &[coherency]).unwrap();
    let capacities = drive.capacities().unwrap();
    assert_eq!(
        capacities
            .iter()
            .map(|c| (c.partition, c.maximum_mib, c.remaining_mib))
            .collect::<Vec<_>>(),
        [(0, 5000, 4000), (1, 90_000, 80_000)]
    );
    script.done();
}

#[test]
fn what_no_command_can_carry_is_refused_before_it_is_sent() {
    let (mut drive, _) = drive(vec![]);
    assert!(matches!(
        drive.write_block(&[]),
        Err(Error::BlockLength { length: 0 })
    ));
    assert!(matches!(
        drive.read_block(&mut []),
        Err(Error::BlockLength { length: 0 })
    ));
    let huge = vec![0; 0x0100_0000];
    assert_eq!(drive.write_block(&huge).unwrap_err().blame(), Blame::Caller);
    assert!(matches!(
        drive.write_filemarks(0x0100_0000, false),
        Err(Error::FilemarkCount { .. })
    ));
}

#[test]
fn cleaning_is_remembered() {
    let (mut drive, _) = drive(vec![(
        write(3),
        Answer::Check(sense(SenseKey::RecoveredError, 0x00, 0x17)),
    )]);
    assert!(!drive.cleaning_wanted());
    assert_eq!(drive.write_block(b"abc").unwrap(), WriteOutcome::Written);
    assert!(drive.cleaning_wanted());
}
