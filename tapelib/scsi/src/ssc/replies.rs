//! Replies of a tape drive: block limits, positions, densities, wraps.

use crate::limits::TRANSFER_MAX;
use crate::wire::{Fields, ParseError, be24, len16, padded_ascii, trimmed_ascii};

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

// === READ POSITION, extended form ===

/// How much of what was written is still in the drive's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffered {
    /// Partition number.
    pub partition: u8,
    /// Logical object number that the next command reads or writes.
    pub next: u64,
    /// Logical object number of the first that is not on the tape yet: everything before it is.
    pub on_tape: u64,
    /// Bytes in the buffer, when the drive counts them.
    pub bytes: Option<u64>,
}

impl Buffered {
    /// Bytes of the extended form.
    pub const LENGTH: usize = 32;

    /// Reads the extended form; `None` when the drive does not know its block numbers.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, ParseError> {
        let fields = Fields::new("buffer position data", bytes);
        fields.slice(0, Self::LENGTH)?;
        let flags = fields.u8(0)?;
        if flags & BLOCK_UNKNOWN != 0 {
            return Ok(None);
        }
        let (next, on_tape) = (fields.u64(8)?, fields.u64(16)?);
        let counted = flags & BYTES_UNKNOWN == 0;
        let bytes = if counted { Some(fields.u64(24)?) } else { None };
        Ok(Some(Self { partition: fields.u8(1)?, next, on_tape, bytes }))
    }

    /// The extended form's bytes.
    pub fn encode(&self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[0] = if self.bytes.is_none() { BYTES_UNKNOWN } else { 0 };
        bytes[1] = self.partition;
        bytes[3] = 0x1C;
        let objects = u32::try_from(self.next.saturating_sub(self.on_tape)).unwrap_or(TRANSFER_MAX);
        bytes[5..8].copy_from_slice(&be24(objects.min(TRANSFER_MAX)));
        bytes[8..16].copy_from_slice(&self.next.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.on_tape.to_be_bytes());
        bytes[24..32].copy_from_slice(&self.bytes.unwrap_or(0).to_be_bytes());
        bytes
    }
}

const BYTES_UNKNOWN: u8 = 0x10;

// === REPORT DENSITY SUPPORT ===

/// A density that a drive knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Density {
    /// Density code.
    pub code: u8,
    /// The drive writes it; else it only reads it.
    pub writable: bool,
    /// The drive's own choice for the cartridge.
    pub default: bool,
    /// Approximate capacity in MB (10^6).
    pub capacity_mb: u32,
    /// Name, up to 8 characters, trimmed.
    pub name: String,
}

impl Density {
    const LENGTH: usize = 52;

    /// Reads a density report; one cut by the allocation length gives the densities that are complete.
    pub fn parse_all(bytes: &[u8]) -> Result<Vec<Self>, ParseError> {
        let fields = Fields::new("density report", bytes);
        let end = bytes.len().min(2 + usize::from(fields.u16(0)?));
        let list = bytes.get(4..end).unwrap_or_default();
        list.chunks_exact(Self::LENGTH).map(Self::parse).collect()
    }

    fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let fields = Fields::new("density", bytes);
        Ok(Self {
            code: fields.u8(0)?,
            writable: fields.u8(2)? & WRITABLE != 0,
            default: fields.u8(2)? & DEFAULT != 0,
            capacity_mb: fields.u32(12)?,
            name: trimmed_ascii(fields.slice(24, 8)?),
        })
    }

    /// A density report's bytes; the caller cuts them to the allocation length.
    pub fn encode_all(densities: &[Self]) -> Vec<u8> {
        let mut bytes = len16(2 + densities.len() * Self::LENGTH).to_be_bytes().to_vec();
        bytes.extend([0, 0]);
        for density in densities {
            let flag = |set: bool, bit: u8| if set { bit } else { 0 };
            let mut one = vec![0; Self::LENGTH];
            (one[0], one[1]) = (density.code, density.code);
            one[2] = flag(density.writable, WRITABLE) | flag(density.default, DEFAULT);
            one[12..16].copy_from_slice(&density.capacity_mb.to_be_bytes());
            one[16..24].copy_from_slice(&padded_ascii("LTO-CVE", 8));
            one[24..32].copy_from_slice(&padded_ascii(&density.name, 8));
            one[32..52].copy_from_slice(&padded_ascii("", 20));
            bytes.extend(one);
        }
        bytes
    }
}

const WRITABLE: u8 = 0x80;
const DEFAULT: u8 = 0x20;

// === READ END OF WRAP POSITION ===

/// Where a wrap (one pass along the tape) ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndOfWrap {
    /// Number of the wrap, from 0; even ones run away from the beginning of the tape.
    pub wrap: u16,
    /// The partition it belongs to.
    pub partition: u16,
    /// The last logical object on it, 48 bits.
    pub block: u64,
}

impl EndOfWrap {
    const LENGTH: usize = 12;

    /// Reads the report of all wraps; one cut by the allocation length gives the wraps that are complete.
    pub fn parse_all(bytes: &[u8]) -> Result<Vec<Self>, ParseError> {
        let fields = Fields::new("end of wrap report", bytes);
        let end = bytes.len().min(2 + usize::from(fields.u16(0)?));
        let list = bytes.get(4..end).unwrap_or_default();
        let wrap = |bytes| {
            let fields = Fields::new("end of wrap", bytes);
            let block = u64::from(fields.u16(6)?) << 32 | u64::from(fields.u32(8)?);
            Ok(Self { wrap: fields.u16(0)?, partition: fields.u16(2)?, block })
        };
        list.chunks_exact(Self::LENGTH).map(wrap).collect()
    }

    /// The report's bytes; the caller cuts them to the allocation length. Panics above 5 460 wraps.
    pub fn encode_all(wraps: &[Self]) -> Vec<u8> {
        let mut bytes = len16(2 + wraps.len() * Self::LENGTH).to_be_bytes().to_vec();
        bytes.extend([0, 0]);
        for wrap in wraps {
            bytes.extend(wrap.wrap.to_be_bytes());
            bytes.extend(wrap.partition.to_be_bytes());
            bytes.extend([0, 0]);
            bytes.extend_from_slice(&wrap.block.to_be_bytes()[2..]);
        }
        bytes
    }
}
