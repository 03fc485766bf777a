//! The port to a tape: numbered blocks and filemarks in two partitions, and a small memory of attributes.

use std::fmt;

/// Which of the two partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Partition {
    /// SCSI partition 0: labels and the newest index. LTFS id `a`.
    Index,
    /// SCSI partition 1: labels, files, and every index. LTFS id `b`.
    Data,
}

impl Partition {
    /// Both, in SCSI order.
    pub const BOTH: [Self; 2] = [Self::Index, Self::Data];

    /// The SCSI partition number.
    pub fn number(self) -> u8 {
        match self {
            Self::Index => 0,
            Self::Data => 1,
        }
    }

    /// The letter this room gives it in labels and indexes.
    pub fn letter(self) -> char {
        match self {
            Self::Index => 'a',
            Self::Data => 'b',
        }
    }
}

/// A place on tape: blocks and filemarks are numbered together from 0 in each partition.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockAddress {
    /// The partition.
    pub partition: Partition,
    /// Number of the block or filemark that a read would meet next.
    pub block: u64,
}

impl fmt::Debug for BlockAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for BlockAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.partition.letter(), self.block)
    }
}

/// What a read met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// A block of that many bytes; the position is after it.
    Block(usize),
    /// A filemark; the position is after it.
    Filemark,
    /// The end of recorded data; the position has not changed.
    EndOfData,
}

/// Whether the tape's end is near after something was written. What was written counts in both cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Go on.
    Plenty,
    /// Early warning: finish with an index, write no further pack.
    Ending,
}

/// Whether a filemark waits for everything before it to be on tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// It may stay in the drive's buffer.
    Buffered,
    /// `Ok` means that it and all before it are on tape (WRITE FILEMARKS with Immed = 0).
    Synchronous,
}

/// One attribute of the cartridge memory (SPC-5, 7.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Identifier.
    pub id: u16,
    /// Format of the value.
    pub format: AttributeFormat,
    /// The value; at most 65 535 bytes.
    pub value: Vec<u8>,
}

/// How the value of an attribute is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributeFormat {
    /// 00b: bytes.
    Binary,
    /// 01b: ASCII, padded with blanks.
    Ascii,
    /// 10b: text in the character set that attribute 0805h names.
    Text,
}

impl AttributeFormat {
    /// The two bits as they stand in the attribute's header.
    pub fn bits(self) -> u8 {
        match self {
            Self::Binary => 0,
            Self::Ascii => 1,
            Self::Text => 2,
        }
    }
}

/// How large a partition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Native capacity in bytes, rounded down to MiB.
    pub total_bytes: u64,
    /// What is left before early warning or later, rounded down to MiB.
    pub remaining_bytes: u64,
}

/// What is known after a tape command failed. Nothing is retried by this room.
#[derive(Debug, thiserror::Error)]
#[error("{operation} at {}", at.map_or("an unknown position".to_owned(), |at| at.to_string()))]
pub struct TapeError {
    /// The operation that failed.
    pub operation: &'static str,
    /// The position before it, where it was known.
    pub at: Option<BlockAddress>,
    /// What is known.
    pub kind: TapeErrorKind,
    /// What the device or the path to it said.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// What a failed tape command leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TapeErrorKind {
    /// The tape is full: what was to be written is not on it.
    Full,
    /// The bytes there cannot be read; other places may be readable.
    Unreadable,
    /// The device answered and refused or failed; blocks buffered since the last synchronous filemark may be lost.
    Failed,
    /// The device did not answer: nothing is known, not even the position.
    Silent,
}

/// A loaded tape with one user. Every method blocks until the device has answered.
///
/// After an `Err` the position is unknown until `locate` or `space_to_end` succeeded, and every block written since
/// the last synchronous filemark may be missing.
pub trait BlockTape {
    /// Reads what comes next. A block longer than the buffer is an error of kind `Unreadable`, never cut.
    fn read_block(&mut self, buffer: &mut [u8]) -> Result<Met, TapeError>;

    /// Writes one block; everything after it in the partition is gone. `Ok` may mean that it is in a buffer only.
    fn write_block(&mut self, block: &[u8]) -> Result<Room, TapeError>;

    /// Writes one filemark.
    fn write_filemark(&mut self, flush: Flush) -> Result<Room, TapeError>;

    /// Goes to a block. Going beyond the end of data is an error.
    fn locate(&mut self, to: BlockAddress) -> Result<(), TapeError>;

    /// Goes to the end of data of a partition and returns that position.
    fn space_to_end(&mut self, partition: Partition) -> Result<BlockAddress, TapeError>;

    /// Goes back over `count` filemarks: the position is before the last one passed. `false` when the beginning of
    /// the partition came first.
    fn space_filemarks_back(&mut self, count: u32) -> Result<bool, TapeError>;

    /// The position.
    fn position(&mut self) -> Result<BlockAddress, TapeError>;

    /// An attribute of the cartridge memory; `None` when there is none of that number.
    fn read_attribute(&mut self, partition: Partition, id: u16) -> Result<Option<Attribute>, TapeError>;

    /// Sets an attribute of the cartridge memory.
    fn write_attribute(&mut self, partition: Partition, attribute: &Attribute) -> Result<(), TapeError>;

    /// How large a partition is and what is left of it.
    fn capacity(&mut self, partition: Partition) -> Result<Capacity, TapeError>;

    /// Destroys everything and makes two partitions: a small one for the index and the rest for data.
    fn make_partitions(&mut self) -> Result<(), TapeError>;
}

impl<T: BlockTape + ?Sized> BlockTape for &mut T {
    fn read_block(&mut self, buffer: &mut [u8]) -> Result<Met, TapeError> {
        (**self).read_block(buffer)
    }
    fn write_block(&mut self, block: &[u8]) -> Result<Room, TapeError> {
        (**self).write_block(block)
    }
    fn write_filemark(&mut self, flush: Flush) -> Result<Room, TapeError> {
        (**self).write_filemark(flush)
    }
    fn locate(&mut self, to: BlockAddress) -> Result<(), TapeError> {
        (**self).locate(to)
    }
    fn space_to_end(&mut self, partition: Partition) -> Result<BlockAddress, TapeError> {
        (**self).space_to_end(partition)
    }
    fn space_filemarks_back(&mut self, count: u32) -> Result<bool, TapeError> {
        (**self).space_filemarks_back(count)
    }
    fn position(&mut self) -> Result<BlockAddress, TapeError> {
        (**self).position()
    }
    fn read_attribute(&mut self, partition: Partition, id: u16) -> Result<Option<Attribute>, TapeError> {
        (**self).read_attribute(partition, id)
    }
    fn write_attribute(&mut self, partition: Partition, attribute: &Attribute) -> Result<(), TapeError> {
        (**self).write_attribute(partition, attribute)
    }
    fn capacity(&mut self, partition: Partition) -> Result<Capacity, TapeError> {
        (**self).capacity(partition)
    }
    fn make_partitions(&mut self) -> Result<(), TapeError> {
        (**self).make_partitions()
    }
}
