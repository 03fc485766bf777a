//! How a unit answers: fields out of a CDB, bytes into the host's buffer, or a CHECK CONDITION.

use crate::sense::{INVALID_FIELD_IN_CDB, INVALID_OPERATION_CODE, Sense};
use scsi::{Cdb, Completion, Data, Status};

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

pub(crate) fn completion(outcome: Outcome) -> Completion {
    match outcome {
        Ok(transferred) => Completion::good(transferred),
        Err(check) => Completion {
            status: Status::CheckCondition,
            sense: check.sense.to_bytes(),
            transferred: check.transferred,
        },
    }
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

/// Refuses a block whose length is not the one of its operation code's group (SPC-5, 4.2.5.1).
pub(crate) fn check_length(cdb: &Cdb) -> Result<(), Sense> {
    let expected = match cdb.opcode() >> 5 {
        0 => 6,
        1 | 2 => 10,
        4 => 16,
        5 => 12,
        _ => return Err(INVALID_OPERATION_CODE),
    };
    if cdb.as_bytes().len() == expected { Ok(()) } else { Err(INVALID_FIELD_IN_CDB) }
}

pub(crate) fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

pub(crate) fn be24(bytes: &[u8], at: usize) -> usize {
    usize::from(bytes[at]) << 16 | usize::from(bytes[at + 1]) << 8 | usize::from(bytes[at + 2])
}

pub(crate) fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

pub(crate) fn be64(bytes: &[u8], at: usize) -> u64 {
    u64::from(be32(bytes, at)) << 32 | u64::from(be32(bytes, at + 4))
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
