#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use super::{Action as A, Class, Condition as C, Party as P, lookup, table};
use crate::sense::{Sense, SenseKey};
use std::collections::BTreeSet;

type Case = ((u8, u8, u8), Option<Class>, C, P, A);

/// Code, the command it answers when that matters, and what is to be made of it: written down from the standards and
/// the makers' manuals, not from the table. A drive that speaks all of these is understood.
#[rustfmt::skip] // read by columns
const CASES: &[Case] = &[
    ((0x0, 0x00, 0x00), None, C::Nothing, P::Nobody, A::Tell),
    ((0x0, 0x00, 0x01), None, C::Filemark, P::Nobody, A::Tell),
    ((0x0, 0x00, 0x02), Some(Class::Write), C::EarlyWarning, P::Host, A::Close),
    ((0x0, 0x00, 0x04), None, C::BeginningOfMedium, P::Nobody, A::Tell),
    ((0x0, 0x00, 0x05), None, C::EndOfData, P::Nobody, A::Tell),
    ((0x0, 0x00, 0x07), Some(Class::Write), C::ProgrammableEarlyWarning, P::Host, A::Close),
    ((0x0, 0x00, 0x17), None, C::CleaningWanted, P::Device, A::Clean),
    ((0x1, 0x00, 0x17), None, C::CleaningWanted, P::Device, A::Clean),
    ((0x1, 0x5D, 0x00), None, C::Recovered, P::Nobody, A::Tell),
    ((0x2, 0x04, 0x00), None, C::BecomingReady, P::Nobody, A::Wait),
    ((0x2, 0x04, 0x01), None, C::BecomingReady, P::Nobody, A::Wait),
    ((0x2, 0x04, 0x02), None, C::NeedsLoad, P::Host, A::Load),
    ((0x2, 0x04, 0x03), None, C::NotReady, P::Operator, A::Refuse),
    ((0x2, 0x04, 0x04), None, C::BecomingReady, P::Nobody, A::Wait),
    ((0x2, 0x04, 0x07), None, C::BecomingReady, P::Nobody, A::Wait),
    ((0x2, 0x04, 0x09), None, C::BecomingReady, P::Nobody, A::Wait),
    ((0x2, 0x04, 0x12), None, C::NotReady, P::Operator, A::Refuse),
    ((0x2, 0x04, 0x83), None, C::NotReady, P::Device, A::Condemn),
    ((0x2, 0x30, 0x03), None, C::CleaningCartridge, P::Nobody, A::Wait),
    ((0x2, 0x30, 0x00), None, C::FormatUnknown, P::Medium, A::Refuse),
    ((0x2, 0x3A, 0x00), None, C::NoMedium, P::Host, A::Refuse),
    ((0x2, 0x3A, 0x04), None, C::MemoryOnly, P::Host, A::Load),
    ((0x2, 0x3B, 0x12), Some(Class::Move), C::MagazineMissing, P::Operator, A::Refuse),
    ((0x2, 0x3E, 0x00), None, C::NotReady, P::Device, A::Condemn),
    ((0x2, 0x53, 0x00), None, C::UnloadFailed, P::Device, A::Condemn),
    ((0x2, 0x5A, 0x01), None, C::NotReady, P::Operator, A::Refuse),
    ((0x3, 0x0C, 0x00), Some(Class::Write), C::WriteError, P::Medium, A::Elsewhere),
    ((0x3, 0x11, 0x00), Some(Class::Read), C::ReadError, P::Medium, A::Elsewhere),
    ((0x3, 0x11, 0x12), Some(Class::Question), C::ReadError, P::Medium, A::Elsewhere),
    ((0x3, 0x14, 0x03), Some(Class::Motion), C::EndOfDataLost, P::Medium, A::Elsewhere),
    ((0x3, 0x15, 0x02), Some(Class::Motion), C::PositionLost, P::Medium, A::Look),
    ((0x3, 0x30, 0x01), None, C::FormatUnknown, P::Medium, A::Refuse),
    ((0x3, 0x30, 0x07), None, C::MediumError, P::Device, A::Clean),
    ((0x3, 0x31, 0x00), None, C::FormatCorrupt, P::Medium, A::Elsewhere),
    ((0x3, 0x33, 0x00), None, C::FormatUnknown, P::Medium, A::Refuse),
    ((0x3, 0x3B, 0x00), Some(Class::Motion), C::PositionLost, P::Medium, A::Look),
    ((0x3, 0x50, 0x00), Some(Class::Write), C::AppendRefused, P::Medium, A::Elsewhere),
    ((0x3, 0x51, 0x00), Some(Class::Write), C::WriteError, P::Medium, A::Elsewhere),
    ((0x3, 0x52, 0x00), None, C::MediumError, P::Medium, A::Elsewhere),
    ((0x3, 0x53, 0x00), Some(Class::Load), C::LoadFailed, P::Medium, A::Elsewhere),
    ((0x3, 0x53, 0x00), Some(Class::Unload), C::UnloadFailed, P::Device, A::Condemn),
    ((0x3, 0x77, 0x77), None, C::MediumError, P::Medium, A::Elsewhere),
    ((0x4, 0x10, 0x01), Some(Class::Write), C::BlockProtection, P::Device, A::Condemn),
    ((0x4, 0x15, 0x01), Some(Class::Move), C::Hardware, P::Device, A::Look),
    ((0x4, 0x44, 0x00), Some(Class::Write), C::Hardware, P::Device, A::Condemn),
    ((0x4, 0x53, 0x01), Some(Class::Unload), C::UnloadFailed, P::Device, A::Condemn),
    ((0x5, 0x1A, 0x00), None, C::InvalidParameter, P::Host, A::Refuse),
    ((0x5, 0x20, 0x00), None, C::UnknownOperation, P::Host, A::Refuse),
    ((0x5, 0x21, 0x01), Some(Class::Move), C::InvalidElement, P::Host, A::Refuse),
    ((0x5, 0x24, 0x00), None, C::InvalidField, P::Host, A::Refuse),
    ((0x5, 0x26, 0x02), None, C::InvalidParameter, P::Host, A::Refuse),
    ((0x5, 0x2C, 0x00), None, C::IllegalRequest, P::Host, A::Refuse),
    ((0x5, 0x30, 0x05), Some(Class::Write), C::FormatUnknown, P::Medium, A::Refuse),
    ((0x5, 0x3B, 0x0D), Some(Class::Move), C::DestinationFull, P::Host, A::Resync),
    ((0x5, 0x3B, 0x0E), Some(Class::Move), C::SourceEmpty, P::Host, A::Resync),
    ((0x5, 0x3B, 0x11), Some(Class::Move), C::MagazineMissing, P::Operator, A::Refuse),
    ((0x5, 0x3B, 0x12), Some(Class::Move), C::MagazineMissing, P::Operator, A::Refuse),
    ((0x5, 0x3B, 0x16), Some(Class::Move), C::MagazineMissing, P::Operator, A::Refuse),
    ((0x5, 0x53, 0x01), Some(Class::Move), C::UnloadFailed, P::Device, A::Condemn),
    ((0x5, 0x53, 0x02), Some(Class::Move), C::RemovalPrevented, P::Host, A::Refuse),
    ((0x6, 0x28, 0x00), None, C::MediumChanged, P::Host, A::Resync),
    ((0x6, 0x28, 0x01), None, C::MailSlotAccessed, P::Host, A::Resync),
    ((0x6, 0x28, 0x03), None, C::MediumChanged, P::Host, A::Resync),
    ((0x6, 0x29, 0x00), None, C::Reset, P::Host, A::Resync),
    ((0x6, 0x29, 0x04), None, C::Reset, P::Host, A::Resync),
    ((0x6, 0x2A, 0x01), None, C::ParametersChanged, P::Host, A::Resync),
    ((0x6, 0x2A, 0x03), None, C::ReservationsChanged, P::Operator, A::Refuse),
    ((0x6, 0x2A, 0x05), None, C::ReservationsChanged, P::Operator, A::Refuse),
    ((0x6, 0x2A, 0x09), None, C::ParametersChanged, P::Host, A::Resync),
    ((0x6, 0x2A, 0x10), None, C::ClockChanged, P::Host, A::Resync),
    ((0x6, 0x2A, 0x11), None, C::EncryptionChanged, P::Host, A::Resync),
    ((0x6, 0x2F, 0x00), None, C::CommandsCleared, P::Host, A::Resync),
    ((0x6, 0x3B, 0x12), None, C::MagazineMissing, P::Operator, A::Resync),
    ((0x6, 0x3B, 0x13), None, C::MediumChanged, P::Host, A::Resync),
    ((0x6, 0x3F, 0x0E), None, C::UnitsChanged, P::Host, A::Resync),
    ((0x6, 0x3F, 0x01), None, C::OtherAttention, P::Host, A::Resync),
    ((0x6, 0x5A, 0x01), None, C::NotReady, P::Operator, A::Refuse),
    ((0x7, 0x20, 0x00), None, C::DataProtect, P::Operator, A::Refuse),
    ((0x7, 0x26, 0x10), None, C::Encryption, P::Operator, A::Refuse),
    ((0x7, 0x27, 0x00), Some(Class::Write), C::WriteProtected, P::Operator, A::Refuse),
    ((0x7, 0x27, 0x06), Some(Class::Write), C::AppendOnly, P::Host, A::Refuse),
    ((0x7, 0x2A, 0x13), Some(Class::Write), C::Encryption, P::Host, A::Look),
    ((0x7, 0x30, 0x00), None, C::WormIntegrity, P::Medium, A::Refuse),
    ((0x7, 0x30, 0x0C), Some(Class::Write), C::WormOverwrite, P::Host, A::Refuse),
    ((0x7, 0x30, 0x0D), None, C::WormIntegrity, P::Medium, A::Refuse),
    ((0x7, 0x5A, 0x02), None, C::WriteProtected, P::Operator, A::Refuse),
    ((0x7, 0x74, 0x01), Some(Class::Read), C::Encryption, P::Operator, A::Refuse),
    ((0x7, 0x74, 0x05), Some(Class::Read), C::Encryption, P::Operator, A::Refuse),
    ((0x8, 0x00, 0x05), Some(Class::Read), C::EndOfData, P::Nobody, A::Tell),
    ((0x8, 0x00, 0x00), Some(Class::Read), C::EndOfData, P::Nobody, A::Tell),
    ((0x9, 0x80, 0x00), None, C::Unknown, P::Device, A::Elsewhere),
    ((0xA, 0x00, 0x00), None, C::Aborted, P::Device, A::Look),
    ((0xB, 0x4B, 0x00), Some(Class::Question), C::Aborted, P::Nobody, A::Retry),
    ((0xB, 0x4B, 0x00), Some(Class::Setting), C::Aborted, P::Nobody, A::Retry),
    ((0xB, 0x4B, 0x00), Some(Class::Write), C::Aborted, P::Device, A::Look),
    ((0xB, 0x10, 0x01), Some(Class::Write), C::BlockProtection, P::Device, A::Condemn),
    ((0xC, 0x00, 0x00), None, C::Unknown, P::Device, A::Elsewhere),
    ((0xD, 0x00, 0x02), Some(Class::Write), C::VolumeOverflow, P::Host, A::Close),
    ((0xE, 0x1D, 0x00), None, C::Unknown, P::Device, A::Elsewhere),
    ((0xF, 0x00, 0x00), None, C::Nothing, P::Nobody, A::Tell),
];

#[test]
fn every_code_says_what_happened_who_acts_and_what_is_done() {
    for &((key, asc, ascq), class, condition, party, action) in CASES {
        let row = lookup(&Sense::new(key, asc, ascq), class);
        let found = (row.condition, row.party, row.action);
        assert_eq!(found, (condition, party, action), "{key:x}/{asc:02x}/{ascq:02x}: {}", row.meaning);
    }
}

#[test]
fn every_row_is_reached_and_has_a_case() {
    let reached: BTreeSet<usize> = CASES
        .iter()
        .map(|&((key, asc, ascq), class, ..)| {
            let row = lookup(&Sense::new(key, asc, ascq), class);
            table::ROWS.iter().position(|other| std::ptr::eq(row, other)).unwrap()
        })
        .collect();
    let missed: Vec<_> =
        (0..table::ROWS.len()).filter(|at| !reached.contains(at)).map(|at| &table::ROWS[at]).collect();
    assert!(missed.is_empty(), "shadowed or without a case: {missed:#?}");
}

#[test]
fn no_code_is_without_a_meaning() {
    for key in 0..16 {
        for (asc, ascq) in [(0x00, 0xFE), (0x7F, 0x7F), (0xFF, 0xFF)] {
            assert!(!lookup(&Sense::new(key, asc, ascq), None).meaning.is_empty());
        }
    }
}

#[test]
fn a_flag_speaks_even_where_the_code_is_silent() {
    let quiet = Sense::of(SenseKey::NoSense, 0, 0);
    assert_eq!(quiet.with_end_of_medium().condition(), C::EarlyWarning);
    assert_eq!(quiet.with_filemark().condition(), C::Filemark);
    assert_eq!(quiet.with_incorrect_length().condition(), C::IncorrectLength);
    assert_eq!(Sense::new(0, 0, 7).with_end_of_medium().condition(), C::ProgrammableEarlyWarning);
    assert_eq!(Sense::new(0, 0, 4).with_end_of_medium().condition(), C::BeginningOfMedium);
}

#[test]
fn a_device_is_condemned_for_its_own_faults_only() {
    for &((key, asc, ascq), class, _, party, _) in CASES {
        let row = lookup(&Sense::new(key, asc, ascq), class);
        assert!(!row.condemns_device() || party == P::Device, "{}", row.meaning);
    }
}
