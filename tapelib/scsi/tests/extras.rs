//! What not every drive has: raw bytes against builders and parsers, and the driver's way around what is missing.
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_possible_truncation, dead_code)]

#[path = "script/hex.rs"]
mod hex;
mod script;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crc_fast as _;
use hex::hex;
use proptest as _;
use script::{Answer, POSITION, at, attention, drive, filemarks, mode_sense, sense, write};
use scsi::generation::Generation;
use scsi::log::{Severity, parse_alerts};
use scsi::mode::{BlockProtection, Control, DeviceExtension, ModeData};
use scsi::reservation::{self, Change, EXCLUSIVE, Holder};
use scsi::smc::Command as Smc;
use scsi::spc::{Command as Spc, ModeForm, ModeValues, ReservationAction, ReservationQuery};
use scsi::ssc::{Command as Ssc, Density, EndOfWrap};
use scsi::{
    Buffered, Cdb, Command, Condition, ElementAddress, Error, Party, ReadOutcome, Sense, SenseKey,
    SpaceOutcome, SpaceOver, Status, WriteOutcome, log, mam, opcode,
};
use thiserror as _;

#[track_caller]
fn check(command: impl Into<Command>, bytes: &str) {
    let command = command.into();
    assert_eq!(command.cdb().as_bytes(), hex(bytes), "{command}");
    assert_eq!(Command::decode(&Cdb::new(&hex(bytes))), Ok(command));
}

#[test]
fn command_blocks() {
    check(Spc::PreventAllow { prevent: false }, "1E 00 00 00 00 00");
    check(
        Spc::ReserveIn { what: ReservationQuery::Keys, allocation: 0x0102 },
        "5E 00 00 00 00 00 00 01 02 00",
    );
    check(
        Spc::ReserveIn { what: ReservationQuery::Reservation, allocation: 64 },
        "5E 01 00 00 00 00 00 00 40 00",
    );
    let out = |action| Spc::ReserveOut { action, kind: EXCLUSIVE, length: 24 };
    check(out(ReservationAction::Register), "5F 00 03 00 00 00 00 00 18 00");
    check(out(ReservationAction::Reserve), "5F 01 03 00 00 00 00 00 18 00");
    check(out(ReservationAction::Release), "5F 02 03 00 00 00 00 00 18 00");
    check(out(ReservationAction::Clear), "5F 03 03 00 00 00 00 00 18 00");
    check(out(ReservationAction::Preempt), "5F 04 03 00 00 00 00 00 18 00");
    check(out(ReservationAction::RegisterAnyway), "5F 06 03 00 00 00 00 00 18 00");
    check(Ssc::SpaceShort { over: SpaceOver::Blocks, count: -1 }, "11 00 FF FF FF 00");
    check(Ssc::SpaceShort { over: SpaceOver::Filemarks, count: 0x01_0203 }, "11 01 01 02 03 00");
    check(Ssc::ReadPositionExtended, "34 08 00 00 00 00 00 00 20 00");
    check(Ssc::ReportDensities { medium: true, allocation: 512 }, "44 01 00 00 00 00 00 02 00 00");
    check(Ssc::AllowOverwrite { partition: 1, block: 4 }, "82 00 01 01 00 00 00 00 00 00 00 04 00 00 00 00");
    check(Ssc::ReadEndOfWraps { allocation: 0x0D24 }, "A3 1F 45 02 00 00 00 00 0D 24 00 00");
    let range = Smc::InitializeRange { start: ElementAddress(0x1000), count: 3 };
    check(range, "37 01 10 00 00 00 00 03 00 00");
    for (name, code) in [("write_6", 0x0A), ("move_medium", 0xA5), ("locate_16", 0x92), ("inquiry", 0x12)] {
        assert_eq!(opcode::by_name(name), Some(code));
    }
    assert_eq!(opcode::by_name("write"), None);
}

#[test]
fn mode_pages() {
    let control = hex("0A 0A 04 00 00000000 00000000");
    assert!(Control::parse(&control).unwrap().descriptor_sense);
    assert_eq!(Control { descriptor_sense: true }.encode(), control);
    let protection = [hex("4A F0 00 1C 02 04 C0"), vec![0; 25]].concat();
    assert_eq!(BlockProtection::parse(&protection), Ok(BlockProtection::CRC32C));
    assert_eq!(BlockProtection::CRC32C.encode(), protection);
    assert_eq!(BlockProtection::OFF.encode()[..7], hex("4A F0 00 1C 00 00 00"));
    // What this house has no name for goes back as it came, without the bit that says that it can be saved.
    let page = [hex("D0 01 00 1C 02 13 00FA 01"), vec![0; 23]].concat();
    let mut extension = DeviceExtension::parse(&page).unwrap();
    assert_eq!((extension.append_only, extension.early_warning_mb), (true, 250));
    extension.append_only = false;
    assert_eq!(extension.encode()[..9], hex("50 01 00 1C 02 03 00FA 01"));
    let data = ModeData { pages: [protection.clone(), control.clone()].concat(), ..ModeData::default() };
    assert_eq!(data.page(0x0A).unwrap(), Some(&control[..]));
    assert_eq!(data.subpage(0x0A, 0xF0).unwrap(), Some(&protection[..]));
    assert_eq!(data.subpage(0x0A, 0x01).unwrap(), None);
}

#[test]
fn replies() {
    let bytes = hex("00 01 001C 00 000002 0000000000000009 0000000000000007 0000000000080000");
    let buffered = Buffered::parse(&bytes).unwrap().unwrap();
    assert_eq!(buffered, Buffered { partition: 1, next: 9, on_tape: 7, bytes: Some(0x80000) });
    assert_eq!(buffered.encode(), *bytes);
    assert_eq!(Buffered::parse(&[&[0x04][..], &bytes[1..]].concat()), Ok(None));

    let mut density = hex("60 60 A0 0034 0030D4 007F 0DD0 01113BE6");
    density.truncate(16);
    let text = [&b"LTO-CVE U-9     Ultrium 9/36T       "[..]].concat();
    let report = [hex("0036 0000"), density, text].concat();
    let [ref found] = Density::parse_all(&report).unwrap()[..] else { panic!() };
    assert_eq!((found.code, found.writable, found.default, &*found.name), (0x60, true, true, "U-9"));
    assert_eq!(
        Density::parse_all(&Density::encode_all(std::slice::from_ref(found))).unwrap(),
        std::slice::from_ref(found)
    );

    let wraps = hex("001A 0000  0000 0000 0000 00000000FFFF  0001 0001 0000 000100000002");
    let parsed = EndOfWrap::parse_all(&wraps).unwrap();
    assert_eq!(parsed[1], EndOfWrap { wrap: 1, partition: 1, block: 0x1_0000_0002 });
    assert_eq!(EndOfWrap::encode_all(&parsed), wraps);

    let keys = hex("00000007 00000010 0000000000000001 00000000000000FF");
    assert_eq!(reservation::parse_keys(&keys).unwrap(), [1, 0xFF]);
    assert_eq!(reservation::encode_keys(7, &[1, 0xFF]), keys);
    let holder = hex("00000007 00000010 0000000000000001 00000000 00 03 0000");
    assert_eq!(reservation::parse_holder(&holder).unwrap(), Some(Holder { key: 1, kind: EXCLUSIVE }));
    assert_eq!(reservation::encode_holder(7, Some(Holder { key: 1, kind: EXCLUSIVE })), holder);
    assert_eq!(reservation::parse_holder(&hex("00000007 00000000")).unwrap(), None);
    let change = Change { key: 1, other: 2, every_port: true };
    assert_eq!(change.encode(), *hex("0000000000000001 0000000000000002 00000000 04 000000"));
    assert_eq!(Change::parse(&change.encode()), Ok(change));
}

#[test]
fn alerts_and_histories() {
    // Flags 3 and 20 are set, 4 is not.
    let page = hex("2E 00 000F  0003 03 01 01  0004 03 01 00  0014 03 01 01");
    let alerts = parse_alerts(&page).unwrap();
    assert_eq!(alerts.iter().map(|alert| alert.number).collect::<Vec<_>>(), [3, 20]);
    assert_eq!((alerts[1].severity, alerts[1].party), (Severity::Critical, Party::Device));
    assert!(alerts[1].wants_cleaning() && !alerts[0].wants_cleaning());
    assert_eq!(alerts[1].to_string(), "the drive has to be cleaned now (TapeAlert 20)");
    assert_eq!(log::encode_alerts(&[20]).len(), 4 + 64 * 5);
    assert_eq!(
        parse_alerts(&log::encode_alerts(&[24])).unwrap()[0].meaning,
        "an alert without a known meaning"
    );
    let device = log::parse_page(0x14, &hex("14 00 000F 0000 03 04 00000102 0001 03 03 000007")).unwrap();
    let history = log::DriveHistory::of(&device);
    assert_eq!((history.loads, history.cleanings, history.power_on_hours), (Some(258), Some(7), None));
    // LTO-6: 2 620 446 MiB free of 2 620 447, and a small second partition.
    let old =
        hex("31 00 0020 0001 03 04 0027FC1E 0002 03 04 00000001 0003 03 04 0027FC1F 0004 03 04 00000008");
    let capacities = log::old_capacities(&log::parse_page(0x31, &old).unwrap());
    assert_eq!((capacities[0].remaining_mib, capacities[1].maximum_mib), (2_620_446, 8));
}

fn answer(pages: Vec<u8>) -> Answer {
    Answer::Bytes(ModeData { buffered: 1, pages, ..ModeData::default() }.encode_sense(ModeForm::Six))
}

fn subpage(page: u8, subpage: u8) -> Command {
    let (form, values) = (ModeForm::Six, ModeValues::Current);
    Spc::ModeSense { form, no_block_descriptor: true, values, page, subpage, allocation: 255 }.into()
}

fn unknown() -> Answer {
    Answer::Check(sense(SenseKey::IllegalRequest, 0x20, 0x00))
}

#[test]
fn blocks_travel_with_their_checksum() {
    let framed = b"123456789\x83\x92\x06\xE3";
    let short = Sense { information: Some(3), ..script::marks("i", None) };
    let (mut drive, script) = drive(vec![
        (subpage(0x0A, 0xF0), answer(BlockProtection::OFF.encode())),
        (script::mode_select(36), Answer::Good),
        (write(13), Answer::Good),
        (script::read(16), Answer::BytesCheck(framed.to_vec(), short)),
        (script::read(16), Answer::BytesCheck([&framed[..12], &[0]].concat(), short)),
        // A reset switches it off in the drive: on again before the next block.
        (write(13), attention(0x29, 0x00)),
        (POSITION, at(0, 2)),
        (subpage(0x0A, 0xF0), Answer::Timeout),
        (POSITION, at(0, 2)),
        (subpage(0x0A, 0xF0), answer(BlockProtection::OFF.encode())),
        (script::mode_select(36), Answer::Good),
        (write(13), Answer::Good),
        (subpage(0x0A, 0xF0), Answer::Check(sense(SenseKey::IllegalRequest, 0x24, 0x00))),
        (write(9), Answer::Good),
    ]);
    assert!(drive.set_block_protection(true).unwrap());
    assert_eq!(drive.write_block(b"123456789").unwrap(), WriteOutcome::Written);
    let mut buffer = [0; 12];
    assert_eq!(drive.read_block(&mut buffer).unwrap(), ReadOutcome::Block(9));
    assert_eq!(&buffer[..9], b"123456789");
    let error = drive.read_block(&mut buffer).unwrap_err();
    assert!(matches!(error, Error::Checksum { .. }) && error.condemns_device());
    assert!(matches!(drive.write_block(b"123456789"), Err(Error::Attention { .. })));
    assert!(matches!(drive.position(), Err(Error::Unanswered { .. })));
    assert!(matches!(drive.write_block(b"123456789"), Err(Error::PositionUnread { .. })));
    drive.position().unwrap();
    drive.write_block(b"123456789").unwrap();
    assert!(!drive.set_block_protection(true).unwrap(), "another drive, that has no such thing");
    drive.write_block(b"123456789").unwrap();
    script.done();
}

#[test]
fn an_old_drive_is_moved_with_old_commands() {
    let space = |over, count| Command::from(Ssc::Space { over, count });
    let short = |over, count| Command::from(Ssc::SpaceShort { over, count });
    let left = |count| Answer::Check(script::marks("f", Some(count)));
    let locate = Command::from(Ssc::Locate { partition: Some(0), block: 7 });
    let (mut drive, script) = drive(vec![
        (space(SpaceOver::Filemarks, -1), unknown()),
        (short(SpaceOver::Filemarks, -1), Answer::Good),
        (short(SpaceOver::Blocks, 0x7F_FFFF), Answer::Good),
        (short(SpaceOver::Blocks, 1), Answer::Good),
        // Four blocks, a filemark, two blocks: block 7 is behind them.
        (locate, unknown()),
        (Ssc::Rewind { immediate: false }.into(), Answer::Good),
        (short(SpaceOver::Blocks, 7), left(3)),
        (short(SpaceOver::Blocks, 2), Answer::Good),
        (POSITION, at(0, 7)),
    ]);
    assert_eq!(drive.space(SpaceOver::Filemarks, -1).unwrap(), SpaceOutcome::Done);
    assert_eq!(drive.space(SpaceOver::Blocks, 0x80_0000).unwrap(), SpaceOutcome::Done);
    assert_eq!(drive.locate(0, 7).unwrap().block, 7);
    script.done();
}

#[test]
fn a_drive_that_refuses_once_what_it_knows_is_asked_for_it_again() {
    let locate = |partition| Command::from(Ssc::Locate { partition: Some(partition), block: 7 });
    let space = Command::from(Ssc::Space { over: SpaceOver::Filemarks, count: 1 });
    let (mut drive, script) = drive(vec![
        // Only drives that know the command have a second partition.
        (locate(1), unknown()),
        (locate(1), Answer::Good),
        (POSITION, at(1, 7)),
        (locate(0), unknown()),
        (locate(0), Answer::Good),
        (POSITION, at(0, 7)),
        (space, Answer::Good),
        (space, unknown()),
        (space, Answer::Good),
    ]);
    assert!(drive.locate(1, 7).is_err());
    assert_eq!(drive.locate(1, 7).unwrap().block, 7);
    assert!(drive.locate(0, 7).is_err());
    assert_eq!(drive.locate(0, 7).unwrap().block, 7);
    assert_eq!(drive.space(SpaceOver::Filemarks, 1).unwrap(), SpaceOutcome::Done);
    assert!(drive.space(SpaceOver::Filemarks, 1).is_err());
    assert_eq!(drive.space(SpaceOver::Filemarks, 1).unwrap(), SpaceOutcome::Done);
    script.done();
}

#[test]
fn a_busy_device_is_asked_again_and_a_question_that_was_given_up_too() {
    let paused = Arc::new(Mutex::new(Duration::ZERO));
    let becoming = || Answer::Check(sense(SenseKey::NotReady, 0x04, 0x07));
    let (patient, script) = drive(vec![
        (write(3), Answer::Status(Status::Busy)),
        (write(3), becoming()),
        (write(3), Answer::Good),
        (write(3), Answer::Status(Status::Other(0x28))),
        (write(3), Answer::Status(Status::Busy)),
        (write(3), Answer::Status(Status::Busy)),
        (POSITION, at(0, 1)),
        (Ssc::ReadBlockLimits.into(), Answer::Check(sense(SenseKey::AbortedCommand, 0x4B, 0x00))),
        (Ssc::ReadBlockLimits.into(), Answer::Bytes(hex("00 80 00 00 00 01"))),
        (write(3), Answer::Check(sense(SenseKey::AbortedCommand, 0x4B, 0x00))),
    ]);
    let sum = paused.clone();
    let mut drive = patient.patient(Duration::from_secs(2), move |pause| *sum.lock().unwrap() += pause);
    drive.write_block(b"abc").unwrap();
    assert!(matches!(drive.write_block(b"abc"), Err(Error::Busy { .. })));
    assert_eq!(*paused.lock().unwrap(), Duration::from_secs(4));
    drive.position().unwrap();
    assert_eq!(drive.block_bytes_max().unwrap(), 0x80_0000);
    // A write is never sent again.
    assert!(matches!(drive.write_block(b"abc"), Err(Error::Check { .. })));
    script.done();
}

#[test]
fn reservations_are_taken_over() {
    let out = |action| Command::from(Spc::ReserveOut { action, kind: EXCLUSIVE, length: 24 });
    let query = Command::from(Spc::ReserveIn { what: ReservationQuery::Reservation, allocation: 64 });
    let held = || reservation::encode_holder(1, Some(Holder { key: 9, kind: EXCLUSIVE }));
    let (mut drive, script) = drive(vec![
        (out(ReservationAction::RegisterAnyway), attention(0x29, 0x00)),
        (out(ReservationAction::RegisterAnyway), Answer::Good),
        (out(ReservationAction::Reserve), Answer::Status(Status::ReservationConflict)),
        (query, Answer::Bytes(held())),
        (out(ReservationAction::Preempt), Answer::Good),
        (out(ReservationAction::Release), Answer::Good),
        (out(ReservationAction::Register), Answer::Good),
        (out(ReservationAction::RegisterAnyway), Answer::Good),
        (out(ReservationAction::Reserve), Answer::Status(Status::ReservationConflict)),
        (query, Answer::Bytes(held())),
        (out(ReservationAction::RegisterAnyway), Answer::Good),
        (out(ReservationAction::Reserve), Answer::Status(Status::ReservationConflict)),
        (query, Answer::Bytes(held())),
    ]);
    assert_eq!(drive.reserve(10).unwrap(), Some(9));
    drive.release(10).unwrap();
    // A later epoch's key is respected, and so is another owner's, however old.
    assert!(matches!(drive.reserve(8), Err(Error::Reserved { .. })));
    assert!(matches!(drive.reserve(reservation::key(1, 10)), Err(Error::Reserved { .. })));
    script.done();
}

#[test]
fn settings_of_recent_drives() {
    let page = DeviceExtension::new(false, 0);
    let (mut drive, script) = drive(vec![
        (subpage(0x10, 0x01), answer(page.encode())),
        (script::mode_select(36), Answer::Good),
        (subpage(0x10, 0x01), answer(page.encode())),
        (Ssc::AllowOverwrite { partition: 1, block: 4 }.into(), Answer::Good),
        (write(1), Answer::Check(sense(SenseKey::NoSense, 0x00, 0x07))),
    ]);
    drive.set_append_only(true).unwrap();
    drive.set_early_warning(0).unwrap();
    drive.allow_overwrite(1, 4).unwrap();
    assert_eq!(drive.write_block(b"x").unwrap(), WriteOutcome::EarlyWarning);
    script.done();
}

#[test]
fn a_write_once_cartridge_is_known_by_its_memory_or_its_type() {
    let attribute = Command::from(Spc::ReadAttribute {
        what: scsi::spc::AttributeQuery::Values,
        partition: 0,
        first: 0x0408,
        allocation: 0xFFFF,
    });
    let mode = |medium_type, density| {
        let block = Some(scsi::mode::BlockDescriptor { density, blocks: 0, block_length: 0 });
        let data = ModeData { medium_type, block, buffered: 1, ..ModeData::default() };
        Answer::Bytes(data.encode_sense(ModeForm::Six))
    };
    let memory = |kind| Answer::Bytes(mam::encode_attributes(&[mam::Attribute::binary(0x0408, &[kind])]));
    let (mut drive, script) = drive(vec![
        (mode_sense(0, true), mode(0x98, 0x60)),
        (attribute, memory(0x80)),
        (mode_sense(0, true), mode(0x8C, 0x5E)),
        (attribute, unknown()),
        (mode_sense(0, true), mode(0x98, 0x60)),
        (attribute, memory(0x01)),
    ]);
    let medium = drive.medium().unwrap();
    assert_eq!(
        (medium.generation, medium.write_once, medium.cleaning),
        (Some(Generation::Lto9), true, false)
    );
    let medium = drive.medium().unwrap();
    assert_eq!((medium.generation, medium.write_once), (Some(Generation::Lto8), true));
    assert!(drive.medium().unwrap().cleaning);
    script.done();
}

#[test]
fn a_deferred_error_names_how_many_blocks_it_may_be_of() {
    let late = Answer::RawSense(hex("71 00 03 00000000 0A 00000000 0C 00 00 000000"));
    let (mut drive, script) = drive(vec![
        (write(1), Answer::Good),
        (filemarks(0), Answer::Good),
        (write(1), Answer::Good),
        (write(1), Answer::Good),
        (filemarks(1), late),
        (
            Ssc::ReadPositionExtended.into(),
            Answer::Bytes(Buffered { partition: 0, next: 3, on_tape: 2, bytes: None }.encode().to_vec()),
        ),
        (POSITION, at(0, 2)),
    ]);
    drive.write_block(b"a").unwrap();
    drive.sync().unwrap();
    drive.write_block(b"b").unwrap();
    drive.write_block(b"c").unwrap();
    let error = drive.write_filemarks(1, false).unwrap_err();
    let Error::Deferred { unsynced: 2, sense, .. } = error else { panic!("{error:?}") };
    assert_eq!(sense.condition(), Condition::WriteError);
    assert_eq!(error.blame(), scsi::Blame::Medium);
    assert_eq!(drive.buffered().unwrap().unwrap().on_tape, 2);
    assert_eq!(drive.position().unwrap().block, 2);
    script.done();
}
