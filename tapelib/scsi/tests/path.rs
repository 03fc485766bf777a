//! What lies between host and device: how much it carries, and what it loses.
#![allow(missing_docs, clippy::unwrap_used, dead_code)]

mod script;

use std::time::Duration;

use script::{Answer, POSITION, Script, at, mode_sense, write};
use scsi::mode::{ElementAddresses, ElementRange, ModeData};
use scsi::smc::{ElementQuery, ElementStatus};
use scsi::spc::{DeviceType, InquiryData, ModeForm};
use scsi::{
    Cdb, Changer, Command, Completion, Data, Drive, Element, ElementAddress, ElementKind, Error, Transport,
    TransportError, WriteOutcome, smc, spc, ssc,
};

/// A path that carries so many bytes in one command, and loses the commands with these numbers.
struct Path {
    script: Script,
    carries: u32,
    loses: Vec<usize>,
    sent: usize,
}

impl Transport for Path {
    fn execute(
        &mut self,
        cdb: &Cdb,
        data: Data<'_>,
        timeout: Duration,
    ) -> Result<Completion, TransportError> {
        self.sent += 1;
        if self.loses.contains(&self.sent) {
            return Err(TransportError::Disrupted { opcode: cdb.opcode(), what: "a reset" });
        }
        self.script.execute(cdb, data, timeout)
    }

    fn transfer_max(&self) -> Option<u32> {
        Some(self.carries)
    }
}

fn path(script: &Script, carries: u32, loses: Vec<usize>) -> Box<dyn Transport> {
    Box::new(Path { script: script.clone(), carries, loses, sent: 0 })
}

#[test]
fn a_block_that_the_path_does_not_carry_is_not_sent() {
    let limits = Answer::Bytes(scsi::BlockLimits { minimum: 1, maximum: 0x80_0000 }.encode().to_vec());
    let script = Script::new(vec![
        (ssc::Command::ReadBlockLimits.into(), limits),
        (POSITION, at(0, 0)),
        (write(512), Answer::Good),
    ]);
    let mut drive = Drive::new(path(&script, 512, Vec::new()));
    assert_eq!(drive.block_bytes_max().unwrap(), 512);
    let refused = drive.write_block(&[1; 513]).unwrap_err();
    assert!(matches!(refused, Error::PathTooNarrow { length: 513, maximum: 512, .. }), "{refused}");
    assert!(refused.to_string().contains("carries at most 512 bytes"), "{refused}");
    assert!(matches!(drive.read_block(&mut [0; 600]), Err(Error::PathTooNarrow { .. })));
    drive.position().unwrap();
    assert_eq!(drive.write_block(&[1; 512]).unwrap(), WriteOutcome::Written);
    script.done();
}

#[test]
fn a_question_that_was_lost_is_asked_again_and_a_write_is_not() {
    let script = Script::new(vec![(POSITION, at(0, 0))]);
    let mut drive = Drive::new(path(&script, 512, vec![1, 2, 3]));
    // The second is lost too.
    assert!(matches!(drive.block_limits(), Err(Error::Unanswered { .. })));
    let lost = drive.write_block(&[1; 4]).unwrap_err();
    assert!(lost.outcome_unknown() && lost.condemns_device(), "{lost}");
    drive.position().unwrap();
    script.done();
    let limits = Answer::Bytes(scsi::BlockLimits { minimum: 1, maximum: 4096 }.encode().to_vec());
    let script = Script::new(vec![(ssc::Command::ReadBlockLimits.into(), limits)]);
    let mut drive = Drive::new(path(&script, 512, vec![1]));
    assert_eq!(drive.block_limits().unwrap().maximum, 4096);
    script.done();
}

#[test]
fn a_drive_is_waited_for_as_long_as_its_generation_takes() {
    for (product, seconds) in [("ULT3580-TD5", 1500), ("ULTRIUM-HH9", 2340), ("T10000D", 2400)] {
        let inquiry = InquiryData {
            device_type: DeviceType::Drive,
            connected: true,
            vendor: "IBM".to_owned(),
            product: product.to_owned(),
            revision: "HB82".to_owned(),
        };
        let ask = |page, allocation| Command::from(spc::Command::Inquiry { page, allocation });
        let serial = spc::vpd_page(DeviceType::Drive, spc::vpd::SERIAL, b"1");
        let script = Script::new(vec![
            (ask(None, 96), Answer::Bytes(inquiry.encode())),
            (ask(Some(spc::vpd::SERIAL), 255), Answer::Bytes(serial)),
            (script::read(9), Answer::Timeout),
        ]);
        let mut drive = Drive::new(script.transport());
        drive.identify().unwrap();
        let silent = drive.read_block(&mut [0; 9]).unwrap_err();
        let waited = matches!(silent, Error::Unanswered { source: TransportError::Timeout { seconds: s, .. }, .. } if s == seconds);
        assert!(waited, "{product}: {silent:?}");
    }
}

#[test]
fn the_inventory_is_read_in_pieces_that_the_path_carries() {
    let none = ElementRange { first: ElementAddress(0), count: 0 };
    let storage = ElementRange { first: ElementAddress(1), count: 5 };
    let page = ElementAddresses { transport: none, storage, import_export: none, drive: none }.encode();
    let addresses = ModeData { pages: page, ..ModeData::default() }.encode_sense(ModeForm::Six);
    let some = |first: u16, count: u16| -> (Command, Answer) {
        let elements: Vec<Element> = (first..first + count)
            .map(|address| Element::empty(ElementAddress(address), ElementKind::Storage))
            .collect();
        let query = ElementQuery {
            kind: Some(ElementKind::Storage),
            volume_tags: true,
            start: ElementAddress(first),
            count,
            current_data: true,
            device_ids: false,
            allocation: 16 + u32::from(count) * 160,
        };
        let report = ElementStatus::encode(&elements, true, false);
        (smc::Command::ReadElementStatus(query).into(), Answer::Bytes(report))
    };
    let script = Script::new(vec![
        (mode_sense(0x1D, false), Answer::Bytes(addresses)),
        some(1, 2),
        some(3, 2),
        some(5, 1),
    ]);
    let mut changer = Changer::new(path(&script, 400, Vec::new()));
    assert_eq!(changer.inventory().unwrap().len(), 5);
    script.done();
}
