//! What a tape drive answers (SSC-5): commands, block limits and the position.
//!
//! Blocks are always variable: a WRITE makes one block of its transfer length, a READ takes one block.

mod replies;

use std::fmt;

pub use replies::{BlockLimits, Buffered, Density, EndOfWrap, Position};

use crate::command::DecodeError;
use crate::condition::Class;
use crate::wire::{be24, len16};
use crate::{Cdb, opcode};

/// A stream command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// REWIND to block 0 of the current partition.
    Rewind {
        /// Status before the motion ends.
        immediate: bool,
    },
    /// FORMAT MEDIUM: (re)makes the partitions, at the beginning of partition 0 only. All data is gone.
    FormatMedium {
        /// Status before the work is done.
        immediate: bool,
        /// Which partitions result.
        format: Format,
    },
    /// READ BLOCK LIMITS.
    ReadBlockLimits,
    /// READ(6), variable block.
    Read {
        /// Do not report a block shorter than asked for (SILI).
        suppress_length: bool,
        /// Transfer length in bytes, 24 bits.
        length: u32,
    },
    /// WRITE(6), variable block.
    Write {
        /// Transfer length in bytes, 24 bits.
        length: u32,
    },
    /// WRITE FILEMARKS(6). Count 0 without `immediate` empties the drive's buffer onto the medium.
    WriteFilemarks {
        /// Status before they are on the medium: promises nothing.
        immediate: bool,
        /// How many, 24 bits.
        count: u32,
    },
    /// SPACE(16).
    Space {
        /// Over what.
        over: SpaceOver,
        /// How many; negative goes towards the beginning. Ignored for end of data.
        count: i64,
    },
    /// SPACE(6), for drives without SPACE(16).
    SpaceShort {
        /// Over what.
        over: SpaceOver,
        /// How many, 24 bits with a sign.
        count: i32,
    },
    /// LOAD UNLOAD.
    LoadUnload {
        /// Status before the motion ends.
        immediate: bool,
        /// Load, or unload.
        load: bool,
    },
    /// LOCATE(16) to a logical block.
    Locate {
        /// Change to this partition first (CP).
        partition: Option<u8>,
        /// Logical object number: blocks and filemarks counted together from 0.
        block: u64,
    },
    /// READ POSITION, long form.
    ReadPosition,
    /// READ POSITION, extended form: what is in the drive's buffer and not on the tape.
    ReadPositionExtended,
    /// REPORT DENSITY SUPPORT: which densities the drive, or the cartridge in it, can have.
    ReportDensities {
        /// Those of the cartridge that is loaded, not all of the drive.
        medium: bool,
        /// Allocation length.
        allocation: u16,
    },
    /// ALLOW OVERWRITE: the one write at a block that a drive in append-only mode shall accept before the end of data.
    AllowOverwrite {
        /// Partition number.
        partition: u8,
        /// Logical object number.
        block: u64,
    },
    /// READ END OF WRAP POSITION, of all wraps (LTO).
    ReadEndOfWraps {
        /// Allocation length.
        allocation: u32,
    },
}

/// What FORMAT MEDIUM makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// 0h: one partition.
    Default,
    /// 1h: the partitions of mode page 11h.
    Partition,
    /// 2h: as 0h and then as 1h.
    DefaultThenPartition,
}

/// What SPACE counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpaceOver {
    /// Logical blocks; stops at a filemark.
    Blocks,
    /// Filemarks.
    Filemarks,
    /// Goes to the end of data.
    EndOfData,
}

impl Command {
    /// The command descriptor block.
    ///
    /// Panics when a 24-bit length or count is larger than that: the drivers refuse those before.
    pub fn cdb(&self) -> Cdb {
        match *self {
            Command::Rewind { immediate } => Cdb::new(&[opcode::REWIND, u8::from(immediate), 0, 0, 0, 0]),
            Command::FormatMedium { immediate, format } => {
                Cdb::new(&[opcode::FORMAT_MEDIUM, u8::from(immediate), format.code(), 0, 0, 0])
            }
            Command::ReadBlockLimits => Cdb::new(&[opcode::READ_BLOCK_LIMITS, 0, 0, 0, 0, 0]),
            Command::Read { suppress_length, length } => {
                let [a, b, c] = be24(length);
                Cdb::new(&[opcode::READ_6, if suppress_length { SILI } else { 0 }, a, b, c, 0])
            }
            Command::Write { length } => {
                let [a, b, c] = be24(length);
                Cdb::new(&[opcode::WRITE_6, 0, a, b, c, 0])
            }
            Command::WriteFilemarks { immediate, count } => {
                let [a, b, c] = be24(count);
                Cdb::new(&[opcode::WRITE_FILEMARKS_6, u8::from(immediate), a, b, c, 0])
            }
            Command::Space { over, count } => {
                let mut bytes = [0; 16];
                bytes[0] = opcode::SPACE_16;
                bytes[1] = over.code();
                bytes[4..12].copy_from_slice(&count.to_be_bytes());
                Cdb::new(&bytes)
            }
            Command::LoadUnload { immediate, load } => {
                Cdb::new(&[opcode::LOAD_UNLOAD, u8::from(immediate), 0, 0, u8::from(load), 0])
            }
            Command::Locate { partition, block } => {
                let mut bytes = [0; 16];
                bytes[0] = opcode::LOCATE_16;
                bytes[1] = if partition.is_some() { CHANGE_PARTITION } else { 0 };
                bytes[3] = partition.unwrap_or(0);
                bytes[4..12].copy_from_slice(&block.to_be_bytes());
                Cdb::new(&bytes)
            }
            Command::ReadPosition => Cdb::new(&[opcode::READ_POSITION, LONG_FORM, 0, 0, 0, 0, 0, 0, 0, 0]),
            other => other.cdb_of_recent_drives(),
        }
    }

    /// The commands that not every drive has.
    fn cdb_of_recent_drives(&self) -> Cdb {
        match *self {
            Command::SpaceShort { over, count } => {
                let [_, a, b, c] = count.to_be_bytes();
                Cdb::new(&[opcode::SPACE_6, over.code(), a, b, c, 0])
            }
            Command::ReadPositionExtended => {
                let [a, b] = len16(Buffered::LENGTH).to_be_bytes();
                Cdb::new(&[opcode::READ_POSITION, EXTENDED_FORM, 0, 0, 0, 0, 0, a, b, 0])
            }
            Command::ReportDensities { medium, allocation } => {
                let ([a, b], medium) = (allocation.to_be_bytes(), u8::from(medium));
                Cdb::new(&[opcode::REPORT_DENSITY_SUPPORT, medium, 0, 0, 0, 0, 0, a, b, 0])
            }
            Command::AllowOverwrite { partition, block } => {
                let mut bytes = [0; 16];
                (bytes[0], bytes[2], bytes[3]) = (opcode::ALLOW_OVERWRITE, AT_BLOCK, partition);
                bytes[4..12].copy_from_slice(&block.to_be_bytes());
                Cdb::new(&bytes)
            }
            Command::ReadEndOfWraps { allocation } => {
                let [a, b, c, d] = allocation.to_be_bytes();
                let [service, qualifier] = END_OF_WRAPS;
                Cdb::new(&[opcode::MAINTENANCE_IN, service, qualifier, ALL_WRAPS, 0, 0, a, b, c, d, 0, 0])
            }
            _ => unreachable!("built by cdb()"),
        }
    }

    pub(crate) fn class(&self) -> Class {
        match self {
            Command::ReadBlockLimits
            | Command::ReadPosition
            | Command::ReadPositionExtended
            | Command::ReportDensities { .. }
            | Command::ReadEndOfWraps { .. } => Class::Question,
            Command::AllowOverwrite { .. } => Class::Setting,
            Command::Read { .. } => Class::Read,
            Command::Write { .. } | Command::WriteFilemarks { .. } | Command::FormatMedium { .. } => {
                Class::Write
            }
            Command::Rewind { .. }
            | Command::Space { .. }
            | Command::SpaceShort { .. }
            | Command::Locate { .. } => Class::Motion,
            Command::LoadUnload { load: true, .. } => Class::Load,
            Command::LoadUnload { load: false, .. } => Class::Unload,
        }
    }

    /// `None` when the operation code is not one of this standard's.
    pub(crate) fn decode(cdb: &Cdb) -> Option<Result<Self, DecodeError>> {
        let b = cdb.padded();
        let immediate = b[1] & 1 != 0;
        let length = u32::from_be_bytes([0, b[2], b[3], b[4]]);
        let [_, _, _, _, wide @ .., _, _, _, _] = *b;
        Some(Ok(match b[0] {
            opcode::REWIND => Command::Rewind { immediate },
            opcode::FORMAT_MEDIUM => match Format::from_code(b[2]) {
                Some(format) => Command::FormatMedium { immediate, format },
                None => return Some(Err(DecodeError::InvalidField { byte: 2 })),
            },
            opcode::READ_BLOCK_LIMITS => Command::ReadBlockLimits,
            opcode::READ_6 => Command::Read { suppress_length: b[1] & SILI != 0, length },
            opcode::WRITE_6 => Command::Write { length },
            opcode::WRITE_FILEMARKS_6 => Command::WriteFilemarks { immediate, count: length },
            opcode::SPACE_16 => match SpaceOver::from_code(b[1]) {
                Some(over) => Command::Space { over, count: i64::from_be_bytes(wide) },
                None => return Some(Err(DecodeError::InvalidField { byte: 1 })),
            },
            opcode::LOAD_UNLOAD => Command::LoadUnload { immediate, load: b[4] & 1 != 0 },
            opcode::LOCATE_16 => Command::Locate {
                partition: (b[1] & CHANGE_PARTITION != 0).then_some(b[3]),
                block: u64::from_be_bytes(wide),
            },
            opcode::READ_POSITION if b[1] == EXTENDED_FORM => Command::ReadPositionExtended,
            opcode::READ_POSITION => Command::ReadPosition,
            opcode::SPACE_6 => match SpaceOver::from_code(b[1]) {
                // The sign is the highest of 24 bits.
                Some(over) => {
                    Command::SpaceShort { over, count: i32::from_be_bytes([b[2], b[3], b[4], 0]) >> 8 }
                }
                None => return Some(Err(DecodeError::InvalidField { byte: 1 })),
            },
            opcode::REPORT_DENSITY_SUPPORT => {
                let allocation = u16::from_be_bytes([b[7], b[8]]);
                Command::ReportDensities { medium: b[1] & 1 != 0, allocation }
            }
            opcode::ALLOW_OVERWRITE => {
                Command::AllowOverwrite { partition: b[3], block: u64::from_be_bytes(wide) }
            }
            // Other service actions are other commands, which this house does not know.
            opcode::MAINTENANCE_IN if [b[1], b[2]] == END_OF_WRAPS => {
                Command::ReadEndOfWraps { allocation: u32::from_be_bytes([b[6], b[7], b[8], b[9]]) }
            }
            _ => return None,
        }))
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Rewind { .. } => write!(f, "rewind"),
            Command::FormatMedium { .. } => write!(f, "format medium"),
            Command::ReadBlockLimits => write!(f, "read block limits"),
            Command::Read { length, .. } => write!(f, "read of up to {length} bytes"),
            Command::Write { length } => write!(f, "write of {length} bytes"),
            Command::WriteFilemarks { count: 0, immediate: false } => write!(f, "synchronize"),
            Command::WriteFilemarks { count, .. } => write!(f, "write of {count} filemarks"),
            Command::Space { over: SpaceOver::Blocks, count } => write!(f, "space over {count} blocks"),
            Command::Space { over: SpaceOver::Filemarks, count } => write!(f, "space over {count} filemarks"),
            Command::Space { over: SpaceOver::EndOfData, .. } => write!(f, "space to the end of data"),
            Command::LoadUnload { load: true, .. } => write!(f, "load"),
            Command::LoadUnload { load: false, .. } => write!(f, "unload"),
            Command::Locate { partition: Some(partition), block } => {
                write!(f, "locate of block {block} in partition {partition}")
            }
            Command::Locate { partition: None, block } => write!(f, "locate of block {block}"),
            Command::ReadPosition => write!(f, "read position"),
            Command::SpaceShort { over, count } => {
                Command::Space { over: *over, count: i64::from(*count) }.fmt(f)
            }
            Command::ReadPositionExtended => write!(f, "read position of the buffer"),
            Command::ReportDensities { .. } => write!(f, "report density support"),
            Command::AllowOverwrite { partition, block } => {
                write!(f, "allow overwrite of block {block} in partition {partition}")
            }
            Command::ReadEndOfWraps { .. } => write!(f, "read end of wrap position"),
        }
    }
}

impl Format {
    fn code(self) -> u8 {
        match self {
            Format::Default => 0,
            Format::Partition => 1,
            Format::DefaultThenPartition => 2,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [Format::Default, Format::Partition, Format::DefaultThenPartition]
            .into_iter()
            .find(|f| f.code() == code)
    }
}

impl SpaceOver {
    fn code(self) -> u8 {
        match self {
            SpaceOver::Blocks => 0,
            SpaceOver::Filemarks => 1,
            SpaceOver::EndOfData => 3,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [SpaceOver::Blocks, SpaceOver::Filemarks, SpaceOver::EndOfData].into_iter().find(|s| s.code() == code)
    }
}

const SILI: u8 = 0x02;
const CHANGE_PARTITION: u8 = 0x02;
const LONG_FORM: u8 = 0x06;
const EXTENDED_FORM: u8 = 0x08;
const AT_BLOCK: u8 = 0x01;
const END_OF_WRAPS: [u8; 2] = [0x1F, 0x45];
const ALL_WRAPS: u8 = 0x02;
