//! The bytes around the payload: the file's header and a record's.
//!
//! ```text
//! file    0 magic "TGVTAPE1"   8 synced length, u64   16 CRC-32C of bytes 0..16   20 zeros   64 first record
//! record  0 'B' block or 'F' filemark   1 zeros   4 payload length, u32   8 record number, u64
//!        16 CRC-32C of the payload   20 CRC-32C of bytes 0..20   24 payload
//! ```
//! All numbers are little-endian.

use crc_fast::{CrcAlgorithm, Digest, checksum};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Block,
    Filemark,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct RecordHeader {
    pub kind: Kind,
    pub length: u32,
    pub payload_checksum: u32,
}

impl RecordHeader {
    /// Where the next record begins when this one begins at `offset`.
    pub fn next_offset(&self, offset: u64) -> u64 {
        offset + RECORD_HEADER_BYTES + u64::from(self.length)
    }

    pub fn to_bytes(self, record: u64) -> [u8; RECORD_HEADER_LENGTH] {
        let mut bytes = [0; RECORD_HEADER_LENGTH];
        bytes[0] = match self.kind {
            Kind::Block => b'B',
            Kind::Filemark => b'F',
        };
        bytes[4..8].copy_from_slice(&self.length.to_le_bytes());
        bytes[8..16].copy_from_slice(&record.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.payload_checksum.to_le_bytes());
        let header_checksum = crc32c(&bytes[..20]);
        bytes[20..24].copy_from_slice(&header_checksum.to_le_bytes());
        bytes
    }

    /// `None` unless these bytes were written as the header of `record`.
    pub fn parse(bytes: &[u8; RECORD_HEADER_LENGTH], record: u64) -> Option<Self> {
        let kind = match bytes[0] {
            b'B' => Kind::Block,
            b'F' => Kind::Filemark,
            _ => return None,
        };
        let whole = le32(bytes, 20) == crc32c(&bytes[..20]) && bytes[8..16] == record.to_le_bytes();
        whole.then(|| Self { kind, length: le32(bytes, 4), payload_checksum: le32(bytes, 16) })
    }
}

/// The synced length; `None` for a blank partition, which a power cut may leave as zeros.
pub(super) fn read_file_header(file: &File) -> io::Result<Option<u64>> {
    let mut bytes = [0; 20];
    file.read_exact_at(&mut bytes, 0)?;
    if bytes == [0; 20] {
        return Ok(None);
    }
    if bytes[..8] != *MAGIC || le32(&bytes, 16) != crc32c(&bytes[..16]) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a partition of a virtual cartridge"));
    }
    Ok(Some(u64::from(le32(&bytes, 8)) | u64::from(le32(&bytes, 12)) << 32))
}

pub(super) fn write_file_header(file: &File, synced: u64) -> io::Result<()> {
    let mut bytes = [0; FILE_HEADER_LENGTH];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..16].copy_from_slice(&synced.to_le_bytes());
    let check = crc32c(&bytes[..16]);
    bytes[16..20].copy_from_slice(&check.to_le_bytes());
    file.write_all_at(&bytes, 0)
}

/// Reads `length` bytes and computes their checksum.
pub(super) fn stream_crc32c(reader: &mut impl Read, length: u32) -> io::Result<u32> {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    let mut buffer = vec![0; STREAM_BYTES.min(length as usize)];
    let mut left = length as usize;
    while left > 0 {
        let part = left.min(buffer.len());
        reader.read_exact(&mut buffer[..part])?;
        digest.update(&buffer[..part]);
        left -= part;
    }
    Ok(u32::try_from(digest.finalize()).expect("a checksum of 32 bits"))
}

pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    u32::try_from(checksum(CrcAlgorithm::Crc32Iscsi, bytes)).expect("a checksum of 32 bits")
}

fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

pub(super) const FILE_HEADER_BYTES: u64 = FILE_HEADER_LENGTH as u64;
pub(super) const RECORD_HEADER_BYTES: u64 = RECORD_HEADER_LENGTH as u64;
pub(super) const RECORD_HEADER_LENGTH: usize = 24;
const FILE_HEADER_LENGTH: usize = 64;
const MAGIC: &[u8; 8] = b"TGVTAPE1";
const STREAM_BYTES: usize = 64 << 10;
