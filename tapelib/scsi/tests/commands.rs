//! Command blocks written down from the standards, against builders and the decoder.
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_possible_truncation)]

#[path = "script/hex.rs"]
mod hex;

use crc_fast as _;
use hex::hex;
use proptest as _;
use scsi::smc::{Command as Smc, ElementQuery};
use scsi::spc::{AttributeQuery, Command as Spc, ModeForm, ModeValues};
use scsi::ssc::{Command as Ssc, Format};
use scsi::{Cdb, Command, DecodeError, ElementAddress, ElementKind, SenseKey, SpaceOver};
use thiserror as _;

#[track_caller]
fn check(command: impl Into<Command>, bytes: &str) {
    let command = command.into();
    assert_eq!(command.cdb().as_bytes(), hex(bytes), "{command}");
    assert_eq!(Command::decode(&Cdb::new(&hex(bytes))), Ok(command));
}

#[test]
fn primary_commands() {
    let sense = |form, page, allocation| Spc::ModeSense {
        form,
        no_block_descriptor: true,
        values: ModeValues::Current,
        page,
        subpage: 0,
        allocation,
    };
    check(Spc::TestUnitReady, "00 00 00 00 00 00");
    check(Spc::RequestSense { descriptor: false, allocation: 64 }, "03 00 00 00 40 00");
    check(Spc::Inquiry { page: None, allocation: 96 }, "12 00 00 00 60 00");
    check(Spc::Inquiry { page: Some(0x80), allocation: 0x0102 }, "12 01 80 01 02 00");
    check(sense(ModeForm::Six, 0x1D, 255), "1A 08 1D 00 FF 00");
    check(sense(ModeForm::Ten, 0x11, 512), "5A 08 11 00 00 00 00 02 00 00");
    let changeable = Spc::ModeSense {
        form: ModeForm::Six,
        no_block_descriptor: false,
        values: ModeValues::Changeable,
        page: 0x10,
        subpage: 1,
        allocation: 48,
    };
    check(changeable, "1A 00 50 01 30 00");
    check(Spc::ModeSelect { form: ModeForm::Six, length: 12 }, "15 10 00 00 0C 00");
    check(Spc::ModeSelect { form: ModeForm::Ten, length: 28 }, "55 10 00 00 00 00 00 00 1C 00");
}

#[test]
fn logs_attributes_and_removal() {
    let log = Spc::LogSense { page: 0x17, subpage: 0, parameter: 0x0202, allocation: 0x4000 };
    check(log, "4D 00 57 00 00 02 02 40 00 00");
    let what = AttributeQuery::Values;
    let read = Spc::ReadAttribute { what, partition: 1, first: 0x080C, allocation: 0x1_0000 };
    check(read, "8C 00 00 00 00 00 00 01 08 0C 00 01 00 00 00 00");
    let write = Spc::WriteAttribute { write_through: true, partition: 1, length: 79 };
    check(write, "8D 01 00 00 00 00 00 01 00 00 00 00 00 4F 00 00");
    check(Spc::PreventAllow { prevent: true }, "1E 00 00 00 01 00");
}

#[test]
fn stream_commands() {
    check(Ssc::Rewind { immediate: false }, "01 00 00 00 00 00");
    check(Ssc::FormatMedium { immediate: false, format: Format::Partition }, "04 00 01 00 00 00");
    check(Ssc::ReadBlockLimits, "05 00 00 00 00 00");
    check(Ssc::Read { suppress_length: false, length: 0x08_0000 }, "08 00 08 00 00 00");
    check(Ssc::Read { suppress_length: true, length: 1 }, "08 02 00 00 01 00");
    check(Ssc::Write { length: 0x12_3456 }, "0A 00 12 34 56 00");
    check(Ssc::WriteFilemarks { immediate: false, count: 0 }, "10 00 00 00 00 00");
    check(Ssc::WriteFilemarks { immediate: true, count: 2 }, "10 01 00 00 02 00");
}

#[test]
fn motion_commands() {
    let space = Ssc::Space { over: SpaceOver::Filemarks, count: -2 };
    check(space, "91 01 00 00 FF FF FF FF FF FF FF FE 00 00 00 00");
    let end = Ssc::Space { over: SpaceOver::EndOfData, count: 0 };
    check(end, "91 03 00 00 00 00 00 00 00 00 00 00 00 00 00 00");
    check(Ssc::LoadUnload { immediate: true, load: true }, "1B 01 00 00 01 00");
    check(Ssc::LoadUnload { immediate: false, load: false }, "1B 00 00 00 00 00");
    let locate = Ssc::Locate { partition: Some(1), block: 0x0102_0304_0506 };
    check(locate, "92 02 00 01 00 00 01 02 03 04 05 06 00 00 00 00");
    check(Ssc::Locate { partition: None, block: 5 }, "92 00 00 00 00 00 00 00 00 00 00 05 00 00 00 00");
    check(Ssc::ReadPosition, "34 06 00 00 00 00 00 00 00 00");
}

#[test]
fn changer_commands() {
    check(Smc::InitializeElementStatus, "07 00 00 00 00 00");
    let query = ElementQuery {
        kind: Some(ElementKind::Drive),
        volume_tags: true,
        start: ElementAddress(0x0100),
        count: 2,
        current_data: true,
        device_ids: true,
        allocation: 0x01_0000,
    };
    check(Smc::ReadElementStatus(query), "B8 14 01 00 00 02 03 01 00 00 00 00");
    let all =
        ElementQuery { kind: None, volume_tags: false, current_data: false, device_ids: false, ..query };
    check(Smc::ReadElementStatus(all), "B8 00 01 00 00 02 00 01 00 00 00 00");
    let [transport, source, destination] = [0, 0x1001, 0x0101].map(ElementAddress);
    check(Smc::MoveMedium { transport, source, destination }, "A5 00 00 00 10 01 01 01 00 00 00 00");
}

#[test]
fn what_we_do_not_know_is_refused_with_the_right_sense() {
    let cases = [
        ("AB 00 00 00 00 00 00 00 00 00 00 00", (0x20, 0)),
        // Fixed blocks, a vendor's space code, a reserved byte, the control byte, a short form that is too long.
        ("08 01 00 00 01 00", (0x24, 0)),
        ("91 07 00 00 00 00 00 00 00 00 00 00 00 00 00 00", (0x24, 0)),
        ("00 00 00 FF 00 00", (0x24, 0)),
        ("00 00 00 00 00 04", (0x24, 0)),
        ("00 00 00 00 00 00 00 00 00 00", (0x24, 0)),
        ("B8 17 00 00 00 02 03 01 00 00 00 00", (0x24, 0)),
    ];
    for (bytes, code) in cases {
        let sense = Command::decode(&Cdb::new(&hex(bytes))).unwrap_err().sense();
        assert_eq!((sense.key, (sense.asc, sense.ascq)), (SenseKey::IllegalRequest, code), "{bytes}");
    }
    assert_eq!(
        Command::decode(&Cdb::new(&hex("00 00 00 FF 00 00"))),
        Err(DecodeError::InvalidField { byte: 3 })
    );
}
