//! What every device answers (SPC-5): commands, INQUIRY data and the vital product data pages.
//!
//! MODE data is in [`crate::mode`], logs in [`crate::log`], medium attributes in [`crate::mam`].

mod inquiry;

use std::fmt;

pub use inquiry::{
    Designator, DeviceType, InquiryData, parse_designators, parse_serial, vpd, vpd_body, vpd_page,
};

use crate::command::DecodeError;
use crate::condition::Class;
use crate::wire::len8;
use crate::{Cdb, opcode};

/// A primary command. Lengths are allocation lengths (what the host has room for) or parameter list lengths, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// TEST UNIT READY.
    TestUnitReady,
    /// REQUEST SENSE.
    RequestSense {
        /// Descriptor format (72h) instead of fixed format (70h).
        descriptor: bool,
        /// Allocation length.
        allocation: u8,
    },
    /// INQUIRY.
    Inquiry {
        /// A vital product data page (`vpd` constants), or `None` for the standard data.
        page: Option<u8>,
        /// Allocation length.
        allocation: u16,
    },
    /// MODE SENSE(6) or (10).
    ModeSense {
        /// Which of the two.
        form: ModeForm,
        /// Leave the block descriptor out (DBD).
        no_block_descriptor: bool,
        /// Current, changeable, default or saved values.
        values: ModeValues,
        /// Page code, 6 bits; 3Fh asks for all.
        page: u8,
        /// Subpage code.
        subpage: u8,
        /// Allocation length; at most 255 in the short form.
        allocation: u16,
    },
    /// MODE SELECT(6) or (10), with pages in the standard's format (PF).
    ModeSelect {
        /// Which of the two.
        form: ModeForm,
        /// Parameter list length; at most 255 in the short form.
        length: u16,
    },
    /// LOG SENSE of cumulative values.
    LogSense {
        /// Page code, 6 bits.
        page: u8,
        /// Subpage code.
        subpage: u8,
        /// First parameter wanted.
        parameter: u16,
        /// Allocation length.
        allocation: u16,
    },
    /// READ ATTRIBUTE (medium auxiliary memory).
    ReadAttribute {
        /// Values, or only the ids that exist.
        what: AttributeQuery,
        /// Partition number.
        partition: u8,
        /// First attribute wanted; those with larger ids follow.
        first: u16,
        /// Allocation length.
        allocation: u32,
    },
    /// WRITE ATTRIBUTE (medium auxiliary memory).
    WriteAttribute {
        /// Not before it is on the medium's memory (WTC).
        write_through: bool,
        /// Partition number.
        partition: u8,
        /// Parameter list length.
        length: u32,
    },
    /// PREVENT ALLOW MEDIUM REMOVAL.
    PreventAllow {
        /// Keep the medium in (or let it go).
        prevent: bool,
    },
    /// PERSISTENT RESERVE IN.
    ReserveIn {
        /// What is asked.
        what: ReservationQuery,
        /// Allocation length.
        allocation: u16,
    },
    /// PERSISTENT RESERVE OUT, with a parameter list of [`crate::reservation::Change`].
    ReserveOut {
        /// What is done.
        action: ReservationAction,
        /// Scope (4 bits, 0: the unit) and type.
        kind: u8,
        /// Parameter list length.
        length: u32,
    },
}

/// What PERSISTENT RESERVE IN returns (service action).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReservationQuery {
    /// 00h: every registered key.
    Keys,
    /// 01h: the reservation.
    Reservation,
}

/// What PERSISTENT RESERVE OUT does (service action).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReservationAction {
    /// 00h: registers or forgets this host's key.
    Register,
    /// 01h: reserves the unit.
    Reserve,
    /// 02h: gives the reservation back.
    Release,
    /// 03h: forgets every key and the reservation.
    Clear,
    /// 04h: takes the reservation from another key, whose registration ends.
    Preempt,
    /// 06h: registers this host's key whatever was registered before.
    RegisterAnyway,
}

impl ReservationAction {
    const ALL: [(Self, u8); 6] = [
        (Self::Register, 0x00),
        (Self::Reserve, 0x01),
        (Self::Release, 0x02),
        (Self::Clear, 0x03),
        (Self::Preempt, 0x04),
        (Self::RegisterAnyway, 0x06),
    ];

    fn code(self) -> u8 {
        Self::ALL.iter().find(|(action, _)| *action == self).map_or(0, |(_, code)| *code)
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == code).map(|(action, _)| *action)
    }
}

/// The short or the long form of MODE SENSE and MODE SELECT; their parameter headers differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModeForm {
    /// 6-byte CDB, 4-byte header.
    Six,
    /// 10-byte CDB, 8-byte header.
    Ten,
}

/// Which values MODE SENSE reports (page control).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModeValues {
    /// In force now.
    Current,
    /// A mask of what MODE SELECT may change.
    Changeable,
    /// After power on.
    Default,
    /// As saved.
    Saved,
}

/// What READ ATTRIBUTE returns (service action).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributeQuery {
    /// 00h: ids with values.
    Values,
    /// 01h: ids only.
    List,
}

impl Command {
    /// The command descriptor block.
    ///
    /// Panics when a page code exceeds 6 bits or a length exceeds the short form: callers pass constants.
    pub fn cdb(&self) -> Cdb {
        match *self {
            Command::TestUnitReady => Cdb::new(&[opcode::TEST_UNIT_READY, 0, 0, 0, 0, 0]),
            Command::RequestSense { descriptor, allocation } => {
                Cdb::new(&[opcode::REQUEST_SENSE, u8::from(descriptor), 0, 0, allocation, 0])
            }
            Command::Inquiry { page, allocation } => {
                let (vital, [a, b]) = (u8::from(page.is_some()), allocation.to_be_bytes());
                Cdb::new(&[opcode::INQUIRY, vital, page.unwrap_or(0), a, b, 0])
            }
            Command::ModeSense { form, no_block_descriptor, values, page, subpage, allocation } => {
                assert!(page <= 0x3F, "mode page {page:#x}");
                let dbd = if no_block_descriptor { DBD } else { 0 };
                mode_cdb(form, MODE_SENSE, [dbd, values.bits() | page, subpage], allocation)
            }
            Command::ModeSelect { form, length } => mode_cdb(form, MODE_SELECT, [PF, 0, 0], length),
            Command::LogSense { page, subpage, parameter, allocation } => {
                assert!(page <= 0x3F, "log page {page:#x}");
                let ([p, q], [a, b]) = (parameter.to_be_bytes(), allocation.to_be_bytes());
                Cdb::new(&[opcode::LOG_SENSE, 0, CUMULATIVE | page, subpage, 0, p, q, a, b, 0])
            }
            Command::ReadAttribute { what, partition, first, allocation } => {
                let service = match what {
                    AttributeQuery::Values => 0,
                    AttributeQuery::List => 1,
                };
                attribute_cdb(opcode::READ_ATTRIBUTE, service, partition, first, allocation)
            }
            Command::WriteAttribute { write_through, partition, length } => {
                let service = u8::from(write_through);
                attribute_cdb(opcode::WRITE_ATTRIBUTE, service, partition, 0, length)
            }
            Command::PreventAllow { prevent } => {
                let prevent = u8::from(prevent);
                Cdb::new(&[opcode::PREVENT_ALLOW_MEDIUM_REMOVAL, 0, 0, 0, prevent, 0])
            }
            Command::ReserveIn { what, allocation } => {
                let (what, [a, b]) =
                    (u8::from(what == ReservationQuery::Reservation), allocation.to_be_bytes());
                Cdb::new(&[opcode::PERSISTENT_RESERVE_IN, what, 0, 0, 0, 0, 0, a, b, 0])
            }
            Command::ReserveOut { action, kind, length } => {
                let ([a, b, c, d], action) = (length.to_be_bytes(), action.code());
                Cdb::new(&[opcode::PERSISTENT_RESERVE_OUT, action, kind, 0, 0, a, b, c, d, 0])
            }
        }
    }

    pub(crate) fn class(&self) -> Class {
        match self {
            Command::ModeSelect { .. }
            | Command::WriteAttribute { .. }
            | Command::PreventAllow { .. }
            | Command::ReserveOut { .. } => Class::Setting,
            _ => Class::Question,
        }
    }

    /// `None` when the operation code is not one of this standard's; bits that `cdb()` would not set are left to the
    /// caller's comparison.
    pub(crate) fn decode(cdb: &Cdb) -> Option<Result<Self, DecodeError>> {
        let b = cdb.padded();
        let u16_at = |at: usize| u16::from_be_bytes([b[at], b[at + 1]]);
        let u32_at = |at: usize| u32::from_be_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]);
        let sense = |form, allocation| Command::ModeSense {
            form,
            no_block_descriptor: b[1] & DBD != 0,
            values: ModeValues::from_bits(b[2]),
            page: b[2] & 0x3F,
            subpage: b[3],
            allocation,
        };
        Some(Ok(match b[0] {
            opcode::TEST_UNIT_READY => Command::TestUnitReady,
            opcode::REQUEST_SENSE => Command::RequestSense { descriptor: b[1] & 1 != 0, allocation: b[4] },
            opcode::INQUIRY => {
                Command::Inquiry { page: (b[1] & 1 != 0).then_some(b[2]), allocation: u16_at(3) }
            }
            opcode::MODE_SENSE_6 => sense(ModeForm::Six, u16::from(b[4])),
            opcode::MODE_SENSE_10 => sense(ModeForm::Ten, u16_at(7)),
            opcode::MODE_SELECT_6 => Command::ModeSelect { form: ModeForm::Six, length: u16::from(b[4]) },
            opcode::MODE_SELECT_10 => Command::ModeSelect { form: ModeForm::Ten, length: u16_at(7) },
            opcode::LOG_SENSE => Command::LogSense {
                page: b[2] & 0x3F,
                subpage: b[3],
                parameter: u16_at(5),
                allocation: u16_at(7),
            },
            opcode::READ_ATTRIBUTE => {
                let what = match b[1] {
                    0 => AttributeQuery::Values,
                    1 => AttributeQuery::List,
                    _ => return Some(Err(DecodeError::InvalidField { byte: 1 })),
                };
                let (partition, first, allocation) = (b[7], u16_at(8), u32_at(10));
                Command::ReadAttribute { what, partition, first, allocation }
            }
            opcode::WRITE_ATTRIBUTE => {
                Command::WriteAttribute { write_through: b[1] & 1 != 0, partition: b[7], length: u32_at(10) }
            }
            opcode::PREVENT_ALLOW_MEDIUM_REMOVAL => Command::PreventAllow { prevent: b[4] & 1 != 0 },
            opcode::PERSISTENT_RESERVE_IN => {
                let what = match b[1] {
                    0 => ReservationQuery::Keys,
                    1 => ReservationQuery::Reservation,
                    _ => return Some(Err(DecodeError::InvalidField { byte: 1 })),
                };
                Command::ReserveIn { what, allocation: u16_at(7) }
            }
            opcode::PERSISTENT_RESERVE_OUT => match ReservationAction::from_code(b[1]) {
                Some(action) => Command::ReserveOut { action, kind: b[2], length: u32_at(5) },
                None => return Some(Err(DecodeError::InvalidField { byte: 1 })),
            },
            _ => return None,
        }))
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::TestUnitReady => write!(f, "test unit ready"),
            Command::RequestSense { .. } => write!(f, "request sense"),
            Command::Inquiry { page: None, .. } => write!(f, "inquiry"),
            Command::Inquiry { page: Some(page), .. } => write!(f, "inquiry of page {page:02x}h"),
            Command::ModeSense { page, .. } => write!(f, "mode sense of page {page:02x}h"),
            Command::ModeSelect { .. } => write!(f, "mode select"),
            Command::LogSense { page, .. } => write!(f, "log sense of page {page:02x}h"),
            Command::ReadAttribute { partition, first, .. } => {
                write!(f, "read attribute {first:04x}h of partition {partition}")
            }
            Command::WriteAttribute { partition, .. } => {
                write!(f, "write attribute in partition {partition}")
            }
            Command::PreventAllow { prevent: true } => write!(f, "prevent removal"),
            Command::PreventAllow { prevent: false } => write!(f, "allow removal"),
            Command::ReserveIn { .. } => write!(f, "read reservations"),
            Command::ReserveOut { action, .. } => write!(f, "change reservations ({action:?})"),
        }
    }
}

impl ModeValues {
    fn bits(self) -> u8 {
        match self {
            ModeValues::Current => 0x00,
            ModeValues::Changeable => 0x40,
            ModeValues::Default => 0x80,
            ModeValues::Saved => 0xC0,
        }
    }

    fn from_bits(byte: u8) -> Self {
        match byte & 0xC0 {
            0x00 => ModeValues::Current,
            0x40 => ModeValues::Changeable,
            0x80 => ModeValues::Default,
            _ => ModeValues::Saved,
        }
    }
}

fn mode_cdb(form: ModeForm, operation: [u8; 2], [b1, b2, b3]: [u8; 3], length: u16) -> Cdb {
    let [short, long] = operation;
    let [a, b] = length.to_be_bytes();
    match form {
        ModeForm::Six => Cdb::new(&[short, b1, b2, b3, len8(usize::from(length)), 0]),
        ModeForm::Ten => Cdb::new(&[long, b1, b2, b3, 0, 0, 0, a, b, 0]),
    }
}

fn attribute_cdb(operation: u8, service: u8, partition: u8, first: u16, length: u32) -> Cdb {
    let ([f, g], [a, b, c, d]) = (first.to_be_bytes(), length.to_be_bytes());
    Cdb::new(&[operation, service, 0, 0, 0, 0, 0, partition, f, g, a, b, c, d, 0, 0])
}

const MODE_SENSE: [u8; 2] = [opcode::MODE_SENSE_6, opcode::MODE_SENSE_10];
const MODE_SELECT: [u8; 2] = [opcode::MODE_SELECT_6, opcode::MODE_SELECT_10];
const DBD: u8 = 0x08;
const PF: u8 = 0x10;
const CUMULATIVE: u8 = 0x40;
