//! The changer driver against a scripted library.
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_possible_truncation, dead_code)]

mod script;

use crc_fast as _;
use proptest as _;
use script::{Answer, Script, Steps, attention, sense};
use scsi::mode::{ElementAddresses, ElementRange, ModeData};
use scsi::smc::{Command as Smc, ElementQuery, ElementStatus};
use scsi::spc::{Designator, DeviceType, InquiryData, ModeForm, ModeValues, vpd, vpd_page};
use scsi::{
    Action, Barcode, Blame, Changer, Command, Condition, Element, ElementAddress, ElementKind, Error,
    SenseKey, spc,
};
use thiserror as _;

fn changer(steps: Steps) -> (Changer, Script) {
    let script = Script::new(steps);
    (Changer::new(script.transport()), script)
}

fn range(first: u16, count: u16) -> ElementRange {
    ElementRange { first: ElementAddress(first), count }
}

fn addresses() -> (Command, Answer) {
    let (form, values) = (ModeForm::Six, ModeValues::Current);
    let (page, allocation) = (0x1D, 255);
    let command =
        spc::Command::ModeSense { form, no_block_descriptor: true, values, page, subpage: 0, allocation };
    let addresses = ElementAddresses {
        transport: range(1, 0),
        storage: range(1000, 2),
        import_export: range(10, 0),
        drive: range(500, 1),
    };
    let data = ModeData { pages: addresses.encode(), ..ModeData::default() };
    (command.into(), Answer::Bytes(data.encode_sense(ModeForm::Six)))
}

fn ask(kind: ElementKind, start: u16, count: u16, allocation: u32, device_ids: bool) -> Command {
    let start = ElementAddress(start);
    let (volume_tags, current_data) = (true, true);
    let kind = Some(kind);
    let query = ElementQuery { kind, volume_tags, start, count, current_data, device_ids, allocation };
    Smc::ReadElementStatus(query).into()
}

fn slots() -> Vec<Element> {
    let mut slots: Vec<Element> =
        [1000, 1001].map(|address| Element::empty(ElementAddress(address), ElementKind::Storage)).into();
    slots[1].full = true;
    slots[1].barcode = Barcode::parse("TG0001L9");
    slots
}

fn drive() -> Element {
    Element {
        device: Some(Designator::t10("IBM", "ULT3580-TD9", "0007L0001A")),
        exception: Some((0x83, 0x04)),
        access: false,
        full: true,
        source: Some(ElementAddress(1000)),
        ..Element::empty(ElementAddress(500), ElementKind::Drive)
    }
}

fn status(elements: &[Element], device_ids: bool) -> Answer {
    Answer::Bytes(ElementStatus::encode(elements, true, device_ids))
}

fn move_medium() -> Command {
    let (source, destination) = (ElementAddress(1001), ElementAddress(500));
    Smc::MoveMedium { transport: ElementAddress(0), source, destination }.into()
}

#[test]
fn the_inventory_is_read_kind_by_kind() {
    let (mut changer, script) = changer(vec![
        addresses(),
        (ask(ElementKind::Storage, 1000, 2, 336, false), status(&slots(), false)),
        (ask(ElementKind::Drive, 500, 1, 176, true), status(&[drive()], true)),
    ]);
    let elements = changer.inventory().unwrap();
    assert_eq!(elements, [slots(), vec![drive()]].concat());
    assert_eq!(elements[2].drive_serial().as_deref(), Some("0007L0001A"));
    script.done();
}

#[test]
fn a_library_without_drive_names_is_asked_without_them() {
    let refused = Answer::Check(sense(SenseKey::IllegalRequest, 0x24, 0x00));
    let (mut changer, script) = changer(vec![
        addresses(),
        (ask(ElementKind::Storage, 1000, 2, 336, false), status(&slots(), false)),
        (ask(ElementKind::Drive, 500, 1, 176, true), refused),
        (ask(ElementKind::Drive, 500, 1, 176, false), status(&[drive()], false)),
    ]);
    assert_eq!(changer.inventory().unwrap()[2].drive_serial(), None);
    script.done();
}

#[test]
fn a_report_longer_than_expected_is_read_again_with_room() {
    let long = Element {
        device: Some(Designator { code_set: 2, kind: 0, association: 0, identifier: vec![b'S'; 200] }),
        ..drive()
    };
    let needed = ElementStatus::encode(std::slice::from_ref(&long), true, true).len() as u32;
    let (mut changer, script) = changer(vec![
        addresses(),
        (ask(ElementKind::Storage, 1000, 2, 336, false), status(&slots(), false)),
        (ask(ElementKind::Drive, 500, 1, 176, true), status(std::slice::from_ref(&long), true)),
        (ask(ElementKind::Drive, 500, 1, needed, true), status(std::slice::from_ref(&long), true)),
    ]);
    assert_eq!(changer.inventory().unwrap()[2].drive_serial().unwrap().len(), 200);
    script.done();
}

#[test]
fn a_hand_in_the_library_during_the_inventory_starts_it_again() {
    let (slot_query, drive_query) =
        (ask(ElementKind::Storage, 1000, 2, 336, false), ask(ElementKind::Drive, 500, 1, 176, true));
    let (mut changer, script) = changer(vec![
        addresses(),
        (slot_query, status(&slots(), false)),
        (drive_query, attention(0x28, 0x01)),
        (drive_query, status(&[drive()], true)),
        addresses(),
        (slot_query, status(&slots(), false)),
        (drive_query, status(&[drive()], true)),
        (move_medium(), Answer::Good),
    ]);
    changer.inventory().unwrap();
    changer.move_medium(ElementAddress(1001), ElementAddress(500)).unwrap();
    script.done();
}

#[test]
fn a_move_that_is_not_answered_is_unknown_and_not_repeated() {
    let (mut changer, script) = changer(vec![(move_medium(), Answer::Timeout)]);
    let error = changer.move_medium(ElementAddress(1001), ElementAddress(500)).unwrap_err();
    assert!(error.outcome_unknown());
    assert_eq!((error.blame(), error.action()), (Blame::Path, Action::Look));
    assert_eq!(error.to_string(), "changer: move from element 1001 to 500: not answered, outcome unknown");
    script.done();
}

#[test]
fn no_cartridge_moves_on_an_old_inventory() {
    let (mut changer, script) = changer(vec![
        (move_medium(), attention(0x28, 0x01)),
        addresses(),
        (ask(ElementKind::Storage, 1000, 2, 336, false), status(&slots(), false)),
        (ask(ElementKind::Drive, 500, 1, 176, true), status(&[drive()], true)),
        (move_medium(), Answer::Check(sense(SenseKey::IllegalRequest, 0x3B, 0x0D))),
    ]);
    let (source, destination) = (ElementAddress(1001), ElementAddress(500));
    for _ in 0..2 {
        let error = changer.move_medium(source, destination).unwrap_err();
        assert_eq!(error.sense().unwrap().condition(), Condition::MailSlotAccessed);
    }
    changer.inventory().unwrap();
    let error = changer.move_medium(source, destination).unwrap_err();
    assert_eq!(error.sense().unwrap().condition(), Condition::DestinationFull);
    script.done();
}

#[test]
fn identity_is_the_serial_number_of_the_right_kind_of_device() {
    let inquiry = |device_type| {
        let data = InquiryData {
            device_type,
            connected: true,
            vendor: "ACME".into(),
            product: "LIBRARY".into(),
            revision: "1.0".into(),
        };
        (Command::Spc(spc::Command::Inquiry { page: None, allocation: 96 }), Answer::Bytes(data.encode()))
    };
    let serial = |text: &str| {
        (
            Command::Spc(spc::Command::Inquiry { page: Some(vpd::SERIAL), allocation: 255 }),
            Answer::Bytes(vpd_page(DeviceType::Changer, vpd::SERIAL, text.as_bytes())),
        )
    };
    let (mut changer, script) = changer(vec![
        inquiry(DeviceType::Changer),
        serial("  LIB0001 "),
        inquiry(DeviceType::Changer),
        serial("   "),
        inquiry(DeviceType::Drive),
    ]);
    let identity = changer.identify().unwrap();
    assert_eq!((identity.serial.as_str(), identity.inquiry.product.as_str()), ("LIB0001", "LIBRARY"));
    assert!(matches!(changer.identify(), Err(Error::Missing { .. })));
    assert!(matches!(changer.identify(), Err(Error::WrongDevice { found: DeviceType::Drive, .. })));
    script.done();
}
