//! Whatever bytes come: no parser panics; whatever we build is read back as it was.
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_possible_truncation)]

use crc_fast as _;
use proptest::collection::vec;
use proptest::prelude::*;
use scsi::mode::{BlockDescriptor, Compression, ElementAddresses, ElementRange, MediumPartition, ModeData};
use scsi::smc::{Command as Smc, ElementQuery, ElementStatus};
use scsi::spc::{AttributeQuery, Command as Spc, Designator, InquiryData, ModeForm, ModeValues};
use scsi::ssc::{Command as Ssc, Format};
use scsi::{
    Barcode, BlockLimits, Cdb, Command, Element, ElementAddress, ElementKind, Position, Sense, SenseKey,
    SpaceOver, log, mam, spc,
};
use thiserror as _;

const FORMS: [ModeForm; 2] = [ModeForm::Six, ModeForm::Ten];

fn one_of<T: Clone + std::fmt::Debug + 'static>(choices: &[T]) -> impl Strategy<Value = T> + use<T> {
    prop::sample::select(choices.to_vec())
}

fn spc_command() -> impl Strategy<Value = Command> {
    let values =
        one_of(&[ModeValues::Current, ModeValues::Changeable, ModeValues::Default, ModeValues::Saved]);
    let sense = (one_of(&FORMS), any::<bool>(), values, 0..0x40_u8, any::<(u8, u8)>());
    let what = one_of(&[AttributeQuery::Values, AttributeQuery::List]);
    prop_oneof![
        Just(Spc::TestUnitReady),
        any::<(bool, u8)>().prop_map(|(descriptor, allocation)| Spc::RequestSense { descriptor, allocation }),
        any::<(Option<u8>, u16)>().prop_map(|(page, allocation)| Spc::Inquiry { page, allocation }),
        sense.prop_map(|(form, no_block_descriptor, values, page, (subpage, allocation))| {
            let allocation = u16::from(allocation);
            Spc::ModeSense { form, no_block_descriptor, values, page, subpage, allocation }
        }),
        (one_of(&FORMS), any::<u8>())
            .prop_map(|(form, length)| Spc::ModeSelect { form, length: u16::from(length) }),
        (0..0x40_u8, any::<(u8, u16, u16)>()).prop_map(|(page, (subpage, parameter, allocation))| {
            Spc::LogSense { page, subpage, parameter, allocation }
        }),
        (what, any::<(u8, u16, u32)>()).prop_map(|(what, (partition, first, allocation))| {
            Spc::ReadAttribute { what, partition, first, allocation }
        }),
        any::<(bool, u8, u32)>().prop_map(|(write_through, partition, length)| {
            Spc::WriteAttribute { write_through, partition, length }
        }),
        any::<bool>().prop_map(|prevent| Spc::PreventAllow { prevent }),
    ]
    .prop_map(Command::Spc)
}

fn ssc_command() -> impl Strategy<Value = Command> {
    let wide = 0..0x0100_0000_u32;
    let formats = one_of(&[Format::Default, Format::Partition, Format::DefaultThenPartition]);
    let overs = one_of(&[SpaceOver::Blocks, SpaceOver::Filemarks, SpaceOver::EndOfData]);
    prop_oneof![
        any::<bool>().prop_map(|immediate| Ssc::Rewind { immediate }),
        (any::<bool>(), formats).prop_map(|(immediate, format)| Ssc::FormatMedium { immediate, format }),
        Just(Ssc::ReadBlockLimits),
        (any::<bool>(), wide.clone())
            .prop_map(|(suppress_length, length)| Ssc::Read { suppress_length, length }),
        wide.clone().prop_map(|length| Ssc::Write { length }),
        (any::<bool>(), wide).prop_map(|(immediate, count)| Ssc::WriteFilemarks { immediate, count }),
        (overs, any::<i64>()).prop_map(|(over, count)| Ssc::Space { over, count }),
        any::<(bool, bool)>().prop_map(|(immediate, load)| Ssc::LoadUnload { immediate, load }),
        any::<(Option<u8>, u64)>().prop_map(|(partition, block)| Ssc::Locate { partition, block }),
        Just(Ssc::ReadPosition),
    ]
    .prop_map(Command::Ssc)
}

fn smc_command() -> impl Strategy<Value = Command> {
    let kind = prop::option::of(one_of(&ElementKind::ALL));
    let query = (kind, any::<(bool, bool, bool, u16, u16)>(), 0..0x0100_0000_u32);
    prop_oneof![
        Just(Smc::InitializeElementStatus),
        query.prop_map(|(kind, (volume_tags, current_data, device_ids, start, count), allocation)| {
            let start = ElementAddress(start);
            Smc::ReadElementStatus(ElementQuery {
                kind,
                volume_tags,
                start,
                count,
                current_data,
                device_ids,
                allocation,
            })
        }),
        any::<[u16; 3]>().prop_map(|addresses| {
            let [transport, source, destination] = addresses.map(ElementAddress);
            Smc::MoveMedium { transport, source, destination }
        }),
    ]
    .prop_map(Command::Smc)
}

fn element() -> impl Strategy<Value = Element> {
    let device = (0..16_u8, 0..16_u8, 0..4_u8, vec(any::<u8>(), 1..40)).prop_map(
        |(code_set, kind, association, identifier)| Designator { code_set, kind, association, identifier },
    );
    let barcode = prop::option::of("[A-Z0-9]{1,32}");
    let flags = any::<(bool, bool, bool)>();
    (any::<u16>(), one_of(&ElementKind::ALL), flags, barcode, any::<Option<u16>>(), prop::option::of(device))
        .prop_map(|(address, kind, (full, access, mail), barcode, source, device)| Element {
            address: ElementAddress(address),
            kind,
            full,
            barcode: barcode.map(|text| Barcode::parse(&text).unwrap()),
            source: source.map(ElementAddress),
            access: access || kind == ElementKind::Transport,
            placed_by_operator: mail && kind == ElementKind::ImportExport,
            exception: (!access).then_some((0x83, 0x04)),
            device: device.filter(|_| kind == ElementKind::Drive),
        })
}

fn sense() -> impl Strategy<Value = Sense> {
    any::<([bool; 4], [u8; 3], Option<i32>)>().prop_map(|(flags, [key, asc, ascq], information)| {
        let [deferred, filemark, end_of_medium, incorrect_length] = flags;
        let information = information.map(i64::from);
        let key = SenseKey::from_byte(key);
        Sense { deferred, key, asc, ascq, filemark, end_of_medium, incorrect_length, information }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_command_is_decoded_as_it_was_built(
        command in prop_oneof![spc_command(), ssc_command(), smc_command()],
    ) {
        prop_assert_eq!(Command::decode(&command.cdb()), Ok(command));
        prop_assert!(!command.to_string().is_empty());
    }

    #[test]
    fn a_decoded_command_is_built_as_it_came(
        mut bytes in vec(any::<u8>(), 16),
        length in one_of(&[6_usize, 10, 12, 16]),
        opcode in one_of(&[0, 1, 3, 4, 5, 7, 8, 0x0A, 0x10, 0x12, 0x1A, 0x4D, 0x8C, 0x91, 0x92, 0xA5, 0xB8, 0xFF_u8]),
        zeros in any::<u16>(),
    ) {
        // Mostly zeros, so that some of them are commands.
        bytes.iter_mut().enumerate().filter(|(at, _)| zeros & (1 << at) != 0).for_each(|(_, byte)| *byte = 0);
        bytes[0] = opcode;
        let cdb = Cdb::new(&bytes[..length]);
        if let Ok(command) = Command::decode(&cdb) {
            prop_assert_eq!(command.cdb(), cdb);
        }
    }

    #[test]
    fn no_parser_panics(bytes in vec(any::<u8>(), 0..300), tame in any::<bool>()) {
        // Small values reach deeper: lengths then mostly fit.
        let bytes: Vec<u8> = if tame { bytes.iter().map(|byte| byte % 9).collect() } else { bytes };
        let sense = Sense::parse(&bytes);
        prop_assert!(sense.is_none_or(|sense| !sense.to_string().is_empty()));
        drop(InquiryData::parse(&bytes));
        drop(spc::parse_serial(&[&[1, 0x80], &bytes[..]].concat()));
        drop(spc::parse_designators(&[&[1, 0x83], &bytes[..]].concat()));
        drop(ElementStatus::parse(&bytes));
        drop(log::parse_page(0x17, &[&[0x17, 0], &bytes[..]].concat()).map(|page| log::capacities(&page)));
        drop(log::parse_partition_records(&bytes));
        drop(mam::parse_attributes(&bytes));
        drop(mam::parse_ids(&bytes));
        drop(MediumPartition::parse(&[&[0x11], &bytes[..]].concat()));
        let _position = Position::parse(&bytes);
        let _limits = BlockLimits::parse(&bytes);
        let _addresses = ElementAddresses::parse(&[&[0x1D], &bytes[..]].concat());
        let _compression = Compression::parse(&[&[0x0F], &bytes[..]].concat());
        for form in FORMS {
            drop(ModeData::parse_select(form, &bytes));
            if let Ok(data) = ModeData::parse_sense(form, &bytes) {
                let _page = data.page(0x11);
            }
        }
    }

    #[test]
    fn sense_survives_both_formats(sense in sense()) {
        prop_assert_eq!(Sense::parse(&sense.encode_fixed()), Some(sense));
        prop_assert_eq!(Sense::parse(&sense.encode_descriptor()), Some(sense));
    }

    #[test]
    fn element_status_survives(mut elements in vec(element(), 0..20), tags in any::<bool>(), ids in any::<bool>()) {
        elements.sort_by_key(|element| (element.kind, element.address));
        let bytes = ElementStatus::encode(&elements, tags, ids);
        let status = ElementStatus::parse(&bytes).unwrap();
        prop_assert_eq!(status.bytes_needed, bytes.len());
        for element in &mut elements {
            element.barcode.take_if(|_| !tags);
            element.device.take_if(|_| !ids);
        }
        prop_assert_eq!(&status.elements, &elements);
        // Cut by an allocation length: the elements that are whole are the same.
        let cut = ElementStatus::parse(&bytes[..8 + (bytes.len() - 8) / 2]).unwrap();
        prop_assert!(cut.elements.len() <= elements.len());
        for (cut, element) in cut.elements.iter().zip(&elements) {
            prop_assert_eq!((cut.address, cut.kind, cut.full), (element.address, element.kind, element.full));
        }
    }

    #[test]
    fn parameter_data_survives(
        position in any::<(u8, u64, Option<u64>, [bool; 3])>(),
        block in prop::option::of((any::<u8>(), 0..0x0100_0000_u32, 0..0x0100_0000_u32)),
        ranges in any::<[(u16, u16); 4]>(),
        sizes in vec(any::<u16>(), 1..=4),
        mode in any::<(u8, bool, bool)>(),
    ) {
        let (partition, place, filemarks, [beginning, early_warning, programmable_early_warning]) = position;
        let position =
            Position { partition, block: place, filemarks, beginning, early_warning, programmable_early_warning };
        prop_assert_eq!(Position::parse(&position.encode()), Ok(Some(position)));

        let [transport, storage, import_export, drive] =
            ranges.map(|(first, count)| ElementRange { first: ElementAddress(first), count });
        let addresses = ElementAddresses { transport, storage, import_export, drive };
        prop_assert_eq!(ElementAddresses::parse(&addresses.encode()), Ok(addresses));

        let (medium_type, write_protected, on_format) = mode;
        let partitions =
            MediumPartition { additional_max: 3, on_format, recognition: medium_type, unit_exponent: 6, sizes };
        prop_assert_eq!(&MediumPartition::parse(&partitions.encode()).unwrap(), &partitions);

        let block = block.map(|(density, blocks, block_length)| BlockDescriptor { density, blocks, block_length });
        let data = ModeData { medium_type, write_protected, buffered: 1, block, pages: partitions.encode() };
        for form in FORMS {
            let read = ModeData::parse_sense(form, &data.encode_sense(form)).unwrap();
            prop_assert_eq!(&read, &data);
            let pages = partitions.encode();
            prop_assert_eq!(read.page(0x11), Ok(Some(&pages[..])));
        }
    }

    #[test]
    fn attributes_survive_and_a_cut_loses_only_the_last(
        values in vec((any::<u16>(), any::<bool>(), vec(any::<u8>(), 0..60)), 0..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let attributes: Vec<mam::Attribute> = values
            .into_iter()
            .map(|(id, read_only, value)| mam::Attribute { read_only, ..mam::Attribute::binary(id, &value) })
            .collect();
        let bytes = mam::encode_attributes(&attributes);
        prop_assert_eq!(&mam::parse_attributes(&bytes).unwrap(), &attributes);
        let length = 4 + cut.index(bytes.len() - 3);
        let some = mam::parse_attributes(&bytes[..length]).unwrap();
        prop_assert!(attributes.starts_with(&some));
    }
}
