//! What can go wrong with a volume.

use super::{BlockAddress, TapeError};

/// Why a volume could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tape failed.
    #[error("tape")]
    Tape(#[from] TapeError),
    /// The cartridge carries no LTFS labels, or not in both partitions.
    #[error("no ltfs label in partition {partition}: {what}")]
    Label {
        /// Letter of the partition.
        partition: char,
        /// What is wrong.
        what: String,
    },
    /// No committed index was found.
    #[error("no index of this volume was found")]
    NoIndex,
    /// An index cannot be understood.
    #[error("index at {at}: {what}")]
    Index {
        /// Where it begins.
        at: BlockAddress,
        /// What is wrong.
        what: String,
    },
    /// The position is not what the blocks written add up to.
    #[error("position {found} after {operation}, expected {expected}")]
    Position {
        /// The operation.
        operation: &'static str,
        /// Where the tape should be.
        expected: BlockAddress,
        /// Where it is.
        found: BlockAddress,
    },
    /// The volume has no room for this file.
    #[error("the volume is full")]
    Full,
    /// The file to append could not be read or is not as long as announced.
    #[error("read the file to append as {name}")]
    Source {
        /// Name on the volume.
        name: String,
        /// What happened.
        #[source]
        source: std::io::Error,
    },
    /// A name that may not stand on this volume, or that is taken.
    #[error("{name} cannot be a new file of this volume: {what}")]
    Name {
        /// The name.
        name: String,
        /// Why not.
        what: &'static str,
    },
    /// An earlier error of this mount: nothing may be appended any more.
    #[error("an earlier error ended appending to this mount")]
    Poisoned,
    /// Blocks on tape are not what the index says.
    #[error("data at {at}: {what}")]
    Data {
        /// Where.
        at: BlockAddress,
        /// What is wrong.
        what: &'static str,
    },
    /// A limit of this room.
    #[error("more than {limit} {what}")]
    Limit {
        /// The bound.
        limit: u64,
        /// Of what.
        what: &'static str,
    },
    /// Files of an export could not be written.
    #[error("write {path}")]
    Export {
        /// The file.
        path: String,
        /// What happened.
        #[source]
        source: std::io::Error,
    },
    /// The place to write bytes to failed.
    #[error("write the bytes read")]
    Sink(#[source] std::io::Error),
}
