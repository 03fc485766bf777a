//! One cartridge as an LTFS 2.4 volume (ISO/IEC 20919).
//!
//! Words: *label* (the first two blocks of a partition), *index construct* (filemark, index, filemark), *commit* (an
//! index construct in the data partition whose closing filemark has returned), *tail* (what follows the last commit).
//!
//! Life of a volume: [`format()`] -> [`open_at_end`], the caller compares -> [`Appender::begin`] -> append, list, commit,
//! ... -> [`Appender::close`] before the tape is unloaded. For reading: [`open`] -> [`Volume::read`].
//!
//! - Nothing is ever overwritten but the index partition's index.
//! - What a commit returned for is found by every later open, whatever is torn after it.
//! - The position is compared with the blocks written before and after every file and index.

mod append;
mod error;
mod export;
mod format;
mod identity;
pub mod index;
pub mod label;
pub mod limits;
pub mod memory;
mod name;
mod open;
mod stream;
mod tape;
mod timestamp;
mod volume;
mod xml;

#[cfg(test)]
mod memory_tape;
#[cfg(test)]
mod tests;

pub use append::{Appender, Committed, FileAttributes, room_left};
pub use error::Error;
pub use export::export_ltfs_dir;
pub use format::{NewVolume, format};
pub use identity::{CatalogId, VolumeSerial, VolumeUuid};
pub use index::{Extent, File, Index};
pub use label::Label;
pub use open::{Found, identify};
pub use tape::{
    Attribute, AttributeFormat, BlockAddress, BlockTape, Capacity, Flush, Met, Partition, Room, TapeError,
    TapeErrorKind,
};
pub use timestamp::Timestamp;
pub use volume::{Tail, Volume, open, open_at_end};

/// Bytes of every block of a file but its last.
pub const BLOCK_BYTES: u64 = limits::BLOCK_BYTES as u64;

/// The creator in labels and indexes.
const CREATOR: &str = concat!("tapegate ", env!("CARGO_PKG_VERSION"), " - Linux - volume");
