//! How a unit answers: bytes into the host's buffer, or a CHECK CONDITION.

use crate::sense::{INVALID_FIELD_IN_CDB, Sense};
use scsi::{Completion, Data, Status};

/// A command that ended with CHECK CONDITION.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    pub sense: Sense,
    /// Bytes moved all the same: a block met with ILI or early warning is delivered or accepted.
    pub transferred: usize,
}

impl From<Sense> for Check {
    fn from(sense: Sense) -> Self {
        Self { sense, transferred: 0 }
    }
}

/// Bytes moved, or why not.
pub(crate) type Outcome = Result<usize, Check>;

/// A command's end as it goes to the host; sense data in the format the host has chosen for the unit.
pub(crate) fn completion(outcome: Outcome, descriptor_sense: bool) -> Completion {
    match outcome {
        Ok(transferred) => Completion::good(transferred),
        Err(check) => Completion {
            status: Status::CheckCondition,
            sense: encode(&check.sense, descriptor_sense),
            transferred: check.transferred,
        },
    }
}

/// RESERVATION CONFLICT: another host has the unit.
pub(crate) fn conflict() -> Completion {
    Completion { status: Status::ReservationConflict, sense: Vec::new(), transferred: 0 }
}

/// Sense data, in one of the two formats.
pub(crate) fn encode(sense: &Sense, descriptor: bool) -> Vec<u8> {
    if descriptor { sense.encode_descriptor() } else { sense.encode_fixed() }
}

/// Delivers `bytes`, cut to the allocation length and to the host's buffer. Not an error: SPC-5, 4.2.5.6.
pub(crate) fn deliver(data: &mut Data<'_>, allocation_length: usize, bytes: &[u8]) -> Outcome {
    let length = bytes.len().min(allocation_length);
    match data {
        Data::In(buffer) => {
            let length = length.min(buffer.len());
            buffer[..length].copy_from_slice(&bytes[..length]);
            Ok(length)
        }
        Data::None if length == 0 => Ok(0),
        Data::None | Data::Out(_) => Err(INVALID_FIELD_IN_CDB.into()),
    }
}

/// The parameter list the host sends; it must have the length the CDB says.
pub(crate) fn parameter_list<'a>(data: &Data<'a>, length: usize) -> Result<&'a [u8], Sense> {
    match data {
        Data::Out(bytes) if bytes.len() == length => Ok(bytes),
        Data::None if length == 0 => Ok(&[]),
        Data::Out(_) | Data::None | Data::In(_) => Err(INVALID_FIELD_IN_CDB),
    }
}

pub(crate) fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

pub(crate) fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// A length in a field of 16 bits; every list this library sends is far below the limit or is cut by the caller.
pub(crate) fn field16(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()
}

/// A length in a field of 32 bits.
pub(crate) fn field32(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

/// ASCII, left-aligned and padded with spaces to `width`.
pub(crate) fn padded(text: &str, width: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = text.bytes().take(width).collect();
    bytes.resize(width, b' ');
    bytes
}
