//! Replies and parameter lists written down from the standards and from real devices, against their parsers.
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_possible_truncation)]

#[path = "script/hex.rs"]
mod hex;

use crc_fast as _;
use hex::hex;
use proptest as _;
use scsi::mode::{Compression, ElementAddresses, MediumPartition, ModeData};
use scsi::smc::ElementStatus;
use scsi::spc::{DeviceType, InquiryData, ModeForm};
use scsi::{Barcode, BlockLimits, Condition, ElementAddress, ParseError, Position, Sense, log, mam, spc};
use thiserror as _;

#[test]
fn inquiry_and_names() {
    let bytes = hex("08 80 07 02 1F 00 00 02 41434D4520202020 4C494252415259202020202020202020 30313230");
    let inquiry = InquiryData::parse(&bytes).unwrap();
    assert_eq!((inquiry.device_type, inquiry.connected), (DeviceType::Changer, true));
    assert_eq!((&*inquiry.vendor, &*inquiry.product, &*inquiry.revision), ("ACME", "LIBRARY", "0120"));
    assert_eq!(inquiry.encode(), bytes);
    // Nothing is behind this unit number.
    assert!(!InquiryData::parse(&[&[0x7F], &bytes[1..]].concat()).unwrap().connected);
    assert!(InquiryData::parse(&bytes[..35]).is_err());

    assert_eq!(spc::parse_serial(&hex("01 80 00 0A 20 20 44525630303031 00")).unwrap(), "DRV0001");
    assert!(spc::parse_serial(&hex("01 83 00 00")).is_err());
    let names = hex("01 83 00 14  02 00 00 04 44525631  01 13 00 08 5000E111 12345678");
    let designators = spc::parse_designators(&names).unwrap();
    assert_eq!(designators[0].serial().as_deref(), Some("DRV1"));
    assert_eq!((designators[1].kind, designators[1].association), (3, 1));
    assert_eq!(designators[1].serial(), None);
}

#[test]
fn positions_and_limits() {
    let bytes = hex("80 000000 00000001 0000000000000005 0000000000000002 0000000000000000");
    let position = Position::parse(&bytes).unwrap().unwrap();
    assert!(position.beginning && !position.early_warning);
    assert_eq!((position.partition, position.block, position.filemarks), (1, 5, Some(2)));
    assert_eq!(position.encode(), *bytes);
    let unknown = hex("04 000000 00000000 0000000000000005 0000000000000002 0000000000000000");
    assert_eq!(Position::parse(&unknown), Ok(None));
    assert!(Position::parse(&bytes[..31]).is_err());
    let limits = BlockLimits::parse(&hex("00 80 00 00 00 01")).unwrap();
    assert_eq!((limits.minimum, limits.maximum), (1, 0x80_0000));
    assert_eq!(BlockLimits::parse(&hex("00 00 00 00 00 00")).unwrap().maximum, 0xFF_FFFF);
}

#[test]
fn mode_data() {
    let bytes = hex("0B 78 90 08 5C 000000 00 000200");
    let data = ModeData::parse_sense(ModeForm::Six, &bytes).unwrap();
    assert!(data.write_protected);
    assert_eq!((data.medium_type, data.buffered), (0x78, 1));
    assert_eq!(data.block.unwrap().block_length, 512);
    assert_eq!(data.encode_sense(ModeForm::Six), bytes);
    let select = ModeData { write_protected: false, ..data };
    assert_eq!(select.encode_select(ModeForm::Six), hex("00 78 10 08 5C 000000 00 000200"));
    assert_eq!(select.encode_sense(ModeForm::Ten), hex("00 0E 78 10 00 00 00 08 5C 000000 00 000200"));
}

#[test]
fn mode_pages() {
    let page = hex("1D 12 0001 0001 1000 0018 0010 0004 0100 0002 0000");
    let addresses = ElementAddresses::parse(&page).unwrap();
    assert_eq!((addresses.storage.first, addresses.storage.count), (ElementAddress(0x1000), 24));
    assert_eq!((addresses.drive.first, addresses.drive.count), (ElementAddress(0x100), 2));
    assert_eq!(addresses.encode(), page);
    // Found behind other pages, one of them with a subpage.
    let pages = [hex("0A 02 00 00  50 01 0003 000000"), page.clone(), hex("1F 02 00 00")].concat();
    let data = ModeData { pages, ..ModeData::default() };
    assert_eq!(data.page(0x1D).unwrap(), Some(&page[..]));
    assert_eq!(data.page(0x10).unwrap(), None);

    let partition = hex("11 0A 03 01 3C 03 09 00 0001 FFFF");
    let page = MediumPartition::parse(&partition).unwrap();
    assert_eq!((page.additional_max, page.on_format, page.unit_exponent), (3, true, 9));
    assert_eq!(page.sizes, [1, MediumPartition::REST]);
    assert_eq!(page.encode(), partition);
    let compression = hex("0F 0E C0 80 00000000 00000000 00000000");
    assert_eq!(Compression::parse(&compression).unwrap(), Compression { enabled: true, capable: true });
    assert_eq!(Compression { enabled: true, capable: true }.encode(), compression);
}

#[test]
fn element_status_is_read_by_its_own_lengths() {
    let tag = |text: &str| [text.as_bytes(), &vec![b' '; 32 - text.len()], &[0; 4]].concat();
    // A mail slot filled by an operator and a drive with both labels and a name, 52 and 100 bytes apart.
    let mail = [hex("0010 3B 00 0000 000000 00 0000"), tag("TST001L8"), vec![0; 4]].concat();
    let name = hex("02 00 00 0A 44525653 4E303030 3031 0000");
    let drive = [hex("0100 0D 00 8304 000000 81 1001"), tag("TST002L8"), vec![0; 36], name].concat();
    let page = |kind: u8, flags: u8, body: &[u8]| {
        [
            &[kind, flags][..],
            &(body.len() as u16).to_be_bytes(),
            &[0, 0],
            &(body.len() as u16).to_be_bytes(),
            body,
        ]
        .concat()
    };
    let pages = [page(3, 0x80, &mail), page(4, 0xC0, &drive)].concat();
    let report = [&hex("0010 0002 00 0000")[..], &[pages.len() as u8], &pages].concat();
    let status = ElementStatus::parse(&report).unwrap();
    assert_eq!(status.bytes_needed, report.len());
    let [mail, drive] = &status.elements[..] else { panic!("{status:?}") };
    assert!(mail.full && mail.placed_by_operator && mail.access);
    assert_eq!((mail.source, mail.exception, mail.drive_serial()), (None, None, None));
    assert_eq!(mail.barcode.as_ref().unwrap().as_str(), "TST001L8");
    assert!(drive.full && drive.access && !drive.placed_by_operator);
    assert_eq!((drive.source, drive.exception), (Some(ElementAddress(0x1001)), Some((0x83, 0x04))));
    assert_eq!(drive.drive_serial().as_deref(), Some("DRVSN00001"));

    // A library that counts its report 8 bytes too short: the name is cut, and left out; the label is not.
    let mut short = report.clone();
    short[7] -= 8;
    let status = ElementStatus::parse(&short).unwrap();
    assert_eq!(status.elements[1].drive_serial(), None);
    assert_eq!(status.elements[1].barcode.as_ref().unwrap().as_str(), "TST002L8");

    // Descriptors shorter than what every element has, and a kind nobody knows.
    let bad = |at: usize, value: u8| {
        let mut bytes = report.clone();
        bytes[at] = value;
        ElementStatus::parse(&bytes)
    };
    assert!(matches!(bad(11, 11), Err(ParseError::Invalid { byte: 2, .. })));
    assert!(matches!(bad(8, 9), Err(ParseError::Invalid { byte: 0, .. })));
    assert_eq!(ElementStatus::parse(&hex("0000 0000 00 000000")).unwrap().elements, []);
    assert!(ElementStatus::parse(&hex("0000 0000")).is_err());
}

#[test]
fn barcodes() {
    assert_eq!(Barcode::parse("TG0001L9  ").unwrap().as_str(), "TG0001L9");
    for bad in ["", "   ", "a\nb", "\u{e9}", "123456789012345678901234567890123"] {
        assert_eq!(Barcode::parse(bad), None, "{bad:?}");
    }
}

#[test]
fn attributes() {
    let bytes = hex("00000014 0401 81 000A 41424331323320202020 0805 00 0001 81 0009");
    // The last one is cut by the stated length.
    assert!(mam::parse_attributes(&bytes).is_err());
    let bytes = hex("00000015 0401 81 000A 41424331323320202020 0805 00 0001 81 0009 00");
    let cut = mam::parse_attributes(&bytes);
    assert_eq!(cut.unwrap().iter().map(|attribute| attribute.id).collect::<Vec<_>>(), [0x0401, 0x0805]);
    let text = mam::Attribute::padded(0x0803, mam::AttributeFormat::Text, "aé", 2);
    assert_eq!(text.value, b"a ");
    assert_eq!(mam::parse_ids(&mam::encode_ids(&[1, 0x080C])).unwrap(), [1, 0x080C]);
}

#[test]
fn volume_statistics() {
    let bytes = hex("17 00 0018  0202 03 08 07000000 00001388  0204 03 08 07000000 00000FA0");
    let parameters = log::parse_page(0x17, &bytes).unwrap();
    let [capacity] = log::capacities(&parameters).unwrap()[..] else { panic!() };
    assert_eq!((capacity.partition, capacity.maximum_mib, capacity.remaining_mib), (0, 5000, 4000));
    assert_eq!(log::encode_page(0x17, &parameters), bytes);
    assert!(log::parse_page(0x31, &bytes).is_err());
}

#[test]
fn sense_data_in_both_formats() {
    let filemark = Sense::parse(&hex("F0 00 80 00000400 0A 00000000 00 01 00 000000")).unwrap();
    assert!(filemark.filemark && !filemark.deferred);
    assert_eq!((filemark.information, filemark.condition()), (Some(1024), Condition::Filemark));
    let long = Sense::parse(&hex("F0 00 20 FFFFFC00 0A 00000000 00 00 00 000000")).unwrap();
    assert_eq!((long.information, long.condition()), (Some(-1024), Condition::IncorrectLength));
    let late = Sense::parse(&hex("71 00 03 00000000 0A 00000000 0C 00 00 000000")).unwrap();
    assert!(late.deferred);
    assert_eq!((late.information, late.condition()), (None, Condition::WriteError));
    let wide = hex("72 00 00 01 00 00 00 10  00 0A 80 00 0000000100000000  04 02 00 80");
    let wide = Sense::parse(&wide).unwrap();
    assert!(wide.filemark);
    assert_eq!(wide.information, Some(0x1_0000_0000));
    // Sent short: the codes are 0.
    assert_eq!(Sense::parse(&hex("70 00 06")).unwrap().condition(), Condition::OtherAttention);
    for nothing in ["", "00 00 00", "7F 00 00 00", "70"] {
        assert_eq!(Sense::parse(&hex(nothing)), None);
    }
}
