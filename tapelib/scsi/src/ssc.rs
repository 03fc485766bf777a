//! What a tape drive answers (SSC-5): commands, block limits and the position.
//!
//! Blocks are always variable: a WRITE makes one block of its transfer length, a READ takes one block.

use std::fmt;

use crate::command::DecodeError;
use crate::limits::TRANSFER_MAX;
use crate::wire::{Fields, ParseError, be24};
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
            opcode::READ_POSITION => Command::ReadPosition,
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

// === READ BLOCK LIMITS ===

/// How large a block may be, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockLimits {
    /// Smallest.
    pub minimum: u32,
    /// Largest; never above what a 24-bit length can say.
    pub maximum: u32,
}

impl BlockLimits {
    /// Bytes of the reply.
    pub const LENGTH: usize = 6;

    /// Reads the reply. A maximum of 0 means "no limit" and becomes the largest length a command can carry.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let fields = Fields::new("block limits", bytes);
        let maximum = match fields.u24(1)? {
            0 => TRANSFER_MAX,
            stated => stated,
        };
        Ok(Self { minimum: u32::from(fields.u16(4)?), maximum })
    }

    /// The reply's bytes. Panics on limits that do not fit 24 and 16 bits.
    pub fn encode(&self) -> [u8; Self::LENGTH] {
        let [a, b, c] = be24(self.maximum);
        let [d, e] = u16::try_from(self.minimum).expect("a smallest block under 64 KiB").to_be_bytes();
        [0, a, b, c, d, e]
    }
}

// === READ POSITION ===

/// Where the tape stands: the next command reads or writes here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Partition number.
    pub partition: u8,
    /// Logical object number: blocks and filemarks counted together from 0 at the partition's beginning.
    pub block: u64,
    /// Filemarks before this place, when the drive knows.
    pub filemarks: Option<u64>,
    /// At the beginning of the partition.
    pub beginning: bool,
    /// Between early warning and the end of the partition.
    pub early_warning: bool,
    /// Beyond the programmable early warning.
    pub programmable_early_warning: bool,
}

impl Position {
    /// Bytes of the long form.
    pub const LENGTH: usize = 32;

    /// Reads the long form; `None` when the drive does not know its block number.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, ParseError> {
        let fields = Fields::new("position data", bytes);
        fields.slice(0, Self::LENGTH)?;
        let flags = fields.u8(0)?;
        if flags & BLOCK_UNKNOWN != 0 {
            return Ok(None);
        }
        let partition = u8::try_from(fields.u32(4)?).map_err(|_| fields.invalid(4))?;
        let filemarks = fields.u64(16)?;
        Ok(Some(Self {
            partition,
            block: fields.u64(8)?,
            filemarks: (flags & FILEMARKS_UNKNOWN == 0).then_some(filemarks),
            beginning: flags & BEGINNING != 0,
            early_warning: flags & EARLY_WARNING != 0,
            programmable_early_warning: flags & PROGRAMMABLE_WARNING != 0,
        }))
    }

    /// The long form's bytes.
    pub fn encode(&self) -> [u8; Self::LENGTH] {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let mut bytes = [0; Self::LENGTH];
        bytes[0] = flag(self.beginning, BEGINNING)
            | flag(self.early_warning, EARLY_WARNING)
            | flag(self.filemarks.is_none(), FILEMARKS_UNKNOWN)
            | flag(self.programmable_early_warning, PROGRAMMABLE_WARNING);
        bytes[7] = self.partition;
        bytes[8..16].copy_from_slice(&self.block.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.filemarks.unwrap_or(0).to_be_bytes());
        bytes
    }
}

const BEGINNING: u8 = 0x80;
const EARLY_WARNING: u8 = 0x40;
const FILEMARKS_UNKNOWN: u8 = 0x08;
const BLOCK_UNKNOWN: u8 = 0x04;
const PROGRAMMABLE_WARNING: u8 = 0x01;
