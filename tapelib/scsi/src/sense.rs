//! Sense data (SPC-5 4.4): what a device says went wrong, in both formats, and as typed values.
//!
//! What a code means, and what to do about it, is the table in [`crate::condition`].

use std::fmt;

use crate::condition::{self, Class, Condition, Row};
use crate::limits::SENSE_BYTES_MAX;
use crate::wire::Fields;

/// Sense key: the broad kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SenseKey {
    /// 0h: nothing wrong; marks met on the way are told here.
    NoSense,
    /// 1h: done, with help.
    RecoveredError,
    /// 2h: not now.
    NotReady,
    /// 3h: the cartridge.
    MediumError,
    /// 4h: the device.
    HardwareError,
    /// 5h: the command made no sense here.
    IllegalRequest,
    /// 6h: something happened since the last command; this one was not done.
    UnitAttention,
    /// 7h: the data may not be touched that way.
    DataProtect,
    /// 8h: end of data, or nothing written yet.
    BlankCheck,
    /// 9h.
    VendorSpecific,
    /// Ah.
    CopyAborted,
    /// Bh: given up by the device; may be asked again.
    AbortedCommand,
    /// Ch.
    Reserved,
    /// Dh: the physical end of the partition.
    VolumeOverflow,
    /// Eh.
    Miscompare,
    /// Fh.
    Completed,
}

impl SenseKey {
    /// The key in the low four bits of a byte.
    pub const fn from_byte(byte: u8) -> Self {
        Self::ALL[(byte & 0x0F) as usize]
    }

    /// The four-bit code.
    pub const fn code(self) -> u8 {
        self as u8
    }

    const ALL: [Self; 16] = [
        Self::NoSense,
        Self::RecoveredError,
        Self::NotReady,
        Self::MediumError,
        Self::HardwareError,
        Self::IllegalRequest,
        Self::UnitAttention,
        Self::DataProtect,
        Self::BlankCheck,
        Self::VendorSpecific,
        Self::CopyAborted,
        Self::AbortedCommand,
        Self::Reserved,
        Self::VolumeOverflow,
        Self::Miscompare,
        Self::Completed,
    ];
}

/// Sense data, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sense {
    /// It belongs to an earlier command, whose GOOD had already been sent; the present command was not done.
    pub deferred: bool,
    /// The broad kind.
    pub key: SenseKey,
    /// Additional sense code.
    pub asc: u8,
    /// Additional sense code qualifier.
    pub ascq: u8,
    /// A filemark was met.
    pub filemark: bool,
    /// End of medium: early warning when writing, the beginning or the end when moving.
    pub end_of_medium: bool,
    /// The block was not as long as asked for.
    pub incorrect_length: bool,
    /// What the command left undone (requested minus actual, negative when the block is longer), when it is valid.
    pub information: Option<i64>,
}

impl Sense {
    /// Sense data with nothing but its three codes.
    pub const fn of(key: SenseKey, asc: u8, ascq: u8) -> Self {
        Self {
            deferred: false,
            key,
            asc,
            ascq,
            filemark: false,
            end_of_medium: false,
            incorrect_length: false,
            information: None,
        }
    }

    /// The same by the numbers, as codes are written down: 3/0C/00. Of the key the low four bits count.
    pub const fn new(key: u8, asc: u8, ascq: u8) -> Self {
        Self::of(SenseKey::from_byte(key), asc, ascq)
    }

    /// With the FILEMARK bit: a filemark was met.
    pub const fn with_filemark(self) -> Self {
        Self { filemark: true, ..self }
    }

    /// With the EOM bit: early warning, the end of the partition, or its beginning when moving backwards.
    pub const fn with_end_of_medium(self) -> Self {
        Self { end_of_medium: true, ..self }
    }

    /// With the ILI bit: the block's length differs from the requested one.
    pub const fn with_incorrect_length(self) -> Self {
        Self { incorrect_length: true, ..self }
    }

    /// Of an earlier command that had ended with GOOD, not of this one.
    pub const fn deferred(self) -> Self {
        Self { deferred: true, ..self }
    }

    /// With the INFORMATION field: what was asked for minus what was done.
    pub const fn with_information(self, information: i64) -> Self {
        Self { information: Some(information), ..self }
    }

    /// Reads fixed (70h, 71h) or descriptor (72h, 73h) format; `None` when it is neither or lacks its codes.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = &bytes[..bytes.len().min(SENSE_BYTES_MAX)];
        match bytes.first()? & 0x7F {
            0x70 | 0x71 => Self::parse_fixed(bytes),
            0x72 | 0x73 => Self::parse_descriptor(bytes),
            _ => None,
        }
    }

    fn parse_fixed(bytes: &[u8]) -> Option<Self> {
        let flags = *bytes.get(2)?;
        let information = match bytes[0] & VALID != 0 {
            true => {
                let raw: [u8; 4] = bytes.get(3..7)?.try_into().ok()?;
                Some(i64::from(i32::from_be_bytes(raw)))
            }
            false => None,
        };
        // A device may send less than the codes' 14 bytes: they are 0 then.
        let stated = bytes.get(7).map_or(0, |&more| 8 + usize::from(more));
        let code = |at: usize| bytes.get(at).copied().filter(|_| at < stated).unwrap_or(0);
        Some(Self {
            deferred: bytes[0] & 0x7F == 0x71,
            information,
            ..Self::of(SenseKey::from_byte(flags), code(12), code(13)).with_stream_flags(flags)
        })
    }

    fn parse_descriptor(bytes: &[u8]) -> Option<Self> {
        let mut sense = Self::of(SenseKey::from_byte(*bytes.get(1)?), *bytes.get(2)?, *bytes.get(3)?);
        sense.deferred = bytes[0] & 0x7F == 0x73;
        let end = bytes.len().min(8 + usize::from(bytes.get(7).copied().unwrap_or(0)));
        let mut rest = bytes.get(8..end).unwrap_or_default();
        while let [kind, length, ..] = *rest {
            let Some(descriptor) = rest.get(..2 + usize::from(length)) else {
                break;
            };
            let fields = Fields::new("sense descriptor", descriptor);
            match kind {
                INFORMATION => {
                    let valid = fields.u8(2).is_ok_and(|byte| byte & VALID != 0);
                    sense.information = fields.u64(4).ok().filter(|_| valid).map(u64::cast_signed);
                }
                STREAM => sense = sense.with_stream_flags(fields.u8(3).unwrap_or(0)),
                _ => {}
            }
            rest = &rest[descriptor.len()..];
        }
        Some(sense)
    }

    fn with_stream_flags(mut self, flags: u8) -> Self {
        self.filemark = flags & FILEMARK != 0;
        self.end_of_medium = flags & END_OF_MEDIUM != 0;
        self.incorrect_length = flags & INCORRECT_LENGTH != 0;
        self
    }

    fn stream_flags(&self) -> u8 {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        flag(self.filemark, FILEMARK)
            | flag(self.end_of_medium, END_OF_MEDIUM)
            | flag(self.incorrect_length, INCORRECT_LENGTH)
    }

    /// Fixed format, 18 bytes. Information that does not fit 32 bits is left out: use the descriptor format for it.
    pub fn encode_fixed(&self) -> Vec<u8> {
        let mut bytes = vec![0; 18];
        bytes[0] = 0x70 | u8::from(self.deferred);
        bytes[2] = self.key.code() | self.stream_flags();
        if let Some(information) = self.information.and_then(|wide| i32::try_from(wide).ok()) {
            bytes[0] |= VALID;
            bytes[3..7].copy_from_slice(&information.to_be_bytes());
        }
        bytes[7] = 10;
        bytes[12] = self.asc;
        bytes[13] = self.ascq;
        bytes
    }

    /// Descriptor format, with an information descriptor when there is information and a stream commands descriptor.
    pub fn encode_descriptor(&self) -> Vec<u8> {
        let mut bytes =
            vec![0x72 | u8::from(self.deferred), self.key.code(), self.asc, self.ascq, 0, 0, 0, 0];
        if let Some(information) = self.information {
            bytes.extend([INFORMATION, 10, VALID, 0]);
            bytes.extend(information.to_be_bytes());
        }
        bytes.extend([STREAM, 2, 0, self.stream_flags()]);
        bytes[7] = if self.information.is_some() { 16 } else { 4 };
        bytes
    }

    /// What happened, who must act and what the driver does, whatever the command was.
    pub fn row(&self) -> &'static Row {
        condition::lookup(self, None)
    }

    /// The same, as an answer to a command of that class.
    pub fn row_for(&self, class: Class) -> &'static Row {
        condition::lookup(self, Some(class))
    }

    /// What happened.
    pub fn condition(&self) -> Condition {
        self.row().condition
    }
}

impl fmt::Display for Sense {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = if self.deferred { "deferred: " } else { "" };
        write!(f, "{when}{} ({:x}/{:02x}/{:02x})", self.row().meaning, self.key.code(), self.asc, self.ascq)
    }
}

const VALID: u8 = 0x80;
const FILEMARK: u8 = 0x80;
const END_OF_MEDIUM: u8 = 0x40;
const INCORRECT_LENGTH: u8 = 0x20;
const INFORMATION: u8 = 0x00;
const STREAM: u8 = 0x04;
