//! The drive driver's stream against a scripted device: what it makes of the answers, what it never repeats.
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_possible_truncation, dead_code)]

mod script;

use crc_fast as _;
use proptest as _;
use script::{
    Answer, POSITION, at, attention, drive, filemarks, marks, mode_select, mode_sense, place, read, sense,
    write,
};
use scsi::mode::{BlockDescriptor, ModeData};
use scsi::spc::ModeForm;
use scsi::{
    Action, Blame, BlockLimits, Command, Condition, Error, ReadOutcome, Sense, SenseKey, SpaceOutcome,
    SpaceOver, Status, WriteOutcome, mam, spc, ssc,
};
use thiserror as _;

#[test]
fn reading_tells_blocks_marks_and_ends_apart() {
    let blank = sense(SenseKey::BlankCheck, 0x00, 0x05);
    let cases = [
        (Answer::Good, ReadOutcome::Block(1000)),
        (Answer::CheckAfter(marks("i", Some(300)), 700), ReadOutcome::Block(700)),
        (Answer::CheckAfter(marks("ie", Some(300)), 700), ReadOutcome::Block(700)),
        (Answer::Check(marks("i", Some(-24))), ReadOutcome::TooLarge { actual: 1024 }),
        (Answer::CheckAfter(marks("f", Some(1000)), 0), ReadOutcome::Filemark),
        (Answer::CheckAfter(marks("fe", None), 0), ReadOutcome::Filemark),
        (Answer::CheckAfter(blank, 0), ReadOutcome::EndOfData),
        (Answer::CheckAfter(sense(SenseKey::BlankCheck, 0, 0), 0), ReadOutcome::EndOfData),
        (Answer::Check(sense(SenseKey::RecoveredError, 0x17, 0x01)), ReadOutcome::Block(1000)),
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
    assert!(matches!(drive.read_block(&mut [0; 1000]), Err(Error::Missing { .. })));
}

#[test]
fn early_warning_means_the_block_was_taken() {
    let (mut drive, script) = drive(vec![
        (write(3), Answer::Good),
        (write(3), Answer::Check(marks("e", Some(0)))),
        (write(3), Answer::Check(sense(SenseKey::NoSense, 0x00, 0x07))),
        (filemarks(1), Answer::Check(Sense { information: Some(0), ..marks("e", None) })),
        (
            write(3),
            Answer::CheckAfter(Sense { information: Some(3), ..sense(SenseKey::VolumeOverflow, 0, 2) }, 0),
        ),
    ]);
    assert_eq!(drive.write_block(b"abc").unwrap(), WriteOutcome::Written);
    assert_eq!(drive.write_block(b"abc").unwrap(), WriteOutcome::EarlyWarning);
    assert_eq!(drive.write_block(b"abc").unwrap(), WriteOutcome::EarlyWarning);
    assert_eq!(drive.write_filemarks(1, false).unwrap(), WriteOutcome::EarlyWarning);
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
        (|| Answer::Check(sense(SenseKey::AbortedCommand, 0x4B, 0)), Action::Look),
        (|| Answer::Check(sense(SenseKey::MediumError, 0x0C, 0)), Action::Elsewhere),
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
    let block = BlockDescriptor { density: 0x60, blocks: 0, block_length: 512 };
    let fixed = ModeData { buffered: 1, block: Some(block), ..ModeData::default() };
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
    let limits = BlockLimits { minimum: 1, maximum: 0x0080_0000 };
    let (mut drive, script) = drive(vec![
        (ssc::Command::ReadBlockLimits.into(), attention(0x28, 0x00)),
        (ssc::Command::ReadBlockLimits.into(), Answer::Bytes(limits.encode().to_vec())),
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
    let late = Sense { deferred: true, ..sense(SenseKey::MediumError, 0x0C, 0) };
    let (mut drive, script) = drive(vec![(filemarks(0), Answer::Check(late)), (POSITION, at(1, 40))]);
    let error = drive.sync().unwrap_err();
    assert!(matches!(error, Error::Deferred { .. }), "{error:?}");
    assert_eq!((error.blame(), error.action()), (Blame::Medium, Action::Look));
    assert_eq!(
        error.to_string(),
        "drive: synchronize was not done, an earlier write has failed, one of the last 0: \
         deferred: the data could not be written (3/0c/00)"
    );
    assert_eq!(drive.position().unwrap().block, 40);
    script.done();
}

#[test]
fn a_deferred_error_told_at_a_question_stops_the_stream() {
    let late = Sense { deferred: true, ..sense(SenseKey::MediumError, 0x0C, 0) };
    let limits = Command::Ssc(ssc::Command::ReadBlockLimits);
    let (mut drive, script) = drive(vec![
        (write(3), Answer::Good),
        (limits, Answer::Check(late)),
        // Nothing is written before the position shows what of the buffer is on tape.
        (POSITION, at(1, 40)),
        (write(3), Answer::Good),
    ]);
    drive.write_block(b"abc").unwrap();
    assert!(matches!(drive.block_limits(), Err(Error::Deferred { .. })));
    assert!(matches!(drive.write_block(b"abc"), Err(Error::PositionUnread { .. })));
    assert!(matches!(drive.sync(), Err(Error::PositionUnread { .. })));
    assert_eq!(drive.position().unwrap().block, 40);
    drive.write_block(b"abc").unwrap();
    script.done();
}

#[test]
fn a_busy_drive_is_nobodys_fault() {
    for status in [Status::Busy, Status::Other(0x28)] {
        let (mut drive, _) = drive(vec![(read(3), Answer::Status(status))]);
        let error = drive.read_block(&mut [0; 3]).unwrap_err();
        assert_eq!((error.blame(), error.action()), (Blame::Caller, Action::Wait));
    }
}

#[test]
fn a_position_that_the_drive_gave_up_is_asked_for_once_more() {
    let given_up = || Answer::Check(sense(SenseKey::AbortedCommand, 0x4B, 0));
    let (mut drive, script) = drive(vec![
        (POSITION, given_up()),
        (POSITION, at(1, 40)),
        (POSITION, given_up()),
        (POSITION, given_up()),
    ]);
    assert_eq!(drive.position().unwrap().block, 40);
    assert!(drive.position().is_err());
    script.done();
}

#[test]
fn missing_filemarks_are_an_error() {
    let short = Sense { information: Some(1), ..marks("e", None) };
    let (mut drive, _) = drive(vec![(filemarks(2), Answer::Check(short))]);
    assert!(matches!(drive.write_filemarks(2, false), Err(Error::Check { .. })));
}

#[test]
fn spacing_tells_where_it_ended() {
    let beginning =
        Sense { end_of_medium: true, information: Some(3), ..sense(SenseKey::NoSense, 0x00, 0x04) };
    let blank = Sense { information: Some(2), ..sense(SenseKey::BlankCheck, 0x00, 0x05) };
    let cases = [
        (SpaceOver::Blocks, 5, Answer::Good, SpaceOutcome::Done),
        (SpaceOver::Blocks, 5, Answer::Check(marks("f", Some(2))), SpaceOutcome::Filemark(Some(2))),
        (SpaceOver::Filemarks, 5, Answer::Check(blank), SpaceOutcome::EndOfData(Some(2))),
        (SpaceOver::Filemarks, -5, Answer::Check(beginning), SpaceOutcome::Beginning(Some(3))),
        (SpaceOver::Blocks, -5, Answer::Check(marks("e", None)), SpaceOutcome::Beginning(None)),
        (SpaceOver::EndOfData, 0, Answer::Good, SpaceOutcome::Done),
    ];
    for (over, count, answer, expected) in cases {
        let (mut drive, _) = drive(vec![(ssc::Command::Space { over, count }.into(), answer)]);
        assert_eq!(drive.space(over, count).unwrap(), expected);
    }
}

#[test]
fn locate_checks_where_it_arrived() {
    let locate = Command::Ssc(ssc::Command::Locate { partition: Some(1), block: 77 });
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
fn what_no_command_can_carry_is_refused_before_it_is_sent() {
    let (mut drive, _) = drive(vec![]);
    assert!(matches!(drive.write_block(&[]), Err(Error::BlockLength { length: 0 })));
    assert!(matches!(drive.read_block(&mut []), Err(Error::BlockLength { length: 0 })));
    let huge = vec![0; 0x0100_0000];
    assert_eq!(drive.write_block(&huge).unwrap_err().blame(), Blame::Caller);
    assert!(matches!(drive.write_filemarks(0x0100_0000, false), Err(Error::FilemarkCount { .. })));
}

#[test]
fn nothing_is_written_after_a_failed_write_until_the_position_was_read() {
    let unsure: [fn() -> Answer; 3] = [
        || Answer::Timeout,
        || Answer::Check(sense(SenseKey::MediumError, 0x0C, 0)),
        || Answer::GoodAfter(2),
    ];
    for answer in unsure {
        let (mut drive, script) =
            drive(vec![(write(3), answer()), (POSITION, at(0, 5)), (write(3), Answer::Good)]);
        assert!(drive.write_block(b"abc").is_err());
        let error = drive.write_block(b"abc").unwrap_err();
        assert!(matches!(error, Error::PositionUnread { .. }), "{error:?}");
        assert_eq!(drive.sync().unwrap_err().action(), Action::Look);
        assert_eq!(drive.position().unwrap().block, 5);
        assert_eq!(drive.write_block(b"abc").unwrap(), WriteOutcome::Written);
        script.done();
    }
}

#[test]
fn attributes_are_not_written_onto_a_cartridge_that_may_be_another_one() {
    let label = mam::Attribute::binary(0x0806, b"TG0001L9");
    let command = spc::Command::WriteAttribute { write_through: true, partition: 0, length: 17 };
    let (mut drive, script) = drive(vec![(command.into(), attention(0x28, 0x00))]);
    for _ in 0..2 {
        let error = drive.write_attributes(0, std::slice::from_ref(&label)).unwrap_err();
        assert!(matches!(error, Error::Attention { .. }), "{error:?}");
    }
    script.done();
}
