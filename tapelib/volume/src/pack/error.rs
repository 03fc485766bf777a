//! What can go wrong with a pack.

use std::io;

use super::id::{MemberId, PackId};
use crate::seal;

/// An operation on a pack failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The sink of a pack refused bytes. The pack is unfinished and must be thrown away.
    #[error("write pack {pack}")]
    Write {
        /// The pack being written.
        pack: PackId,
        /// What the sink said.
        #[source]
        source: io::Error,
    },
    /// zstd refused to compress, or a compression thread is gone. The pack must be thrown away.
    #[error("compress pack {pack}: {reason}")]
    Compress {
        /// The pack being written.
        pack: PackId,
        /// What zstd said.
        reason: &'static str,
    },
    /// The pack has no room for this member: finish it and put the member into the next one.
    #[error("pack {pack} is full, {limit} reached")]
    Full {
        /// The pack being written.
        pack: PackId,
        /// The limit that was met.
        limit: &'static str,
    },
    /// The member cannot be packed as described; nothing was written.
    #[error("member {id} refused: {why}")]
    Refused {
        /// The member.
        id: MemberId,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The data given for a member is not as long as announced. The pack must be thrown away.
    #[error("member {id} has {given} bytes, {announced} were announced")]
    MemberLength {
        /// The member.
        id: MemberId,
        /// Bytes announced by `begin_member`.
        announced: u64,
        /// Bytes given.
        given: u64,
    },
    /// Calls came out of order: no member is open, or one still is, or an earlier call failed.
    #[error("pack {pack} used out of order: {why}")]
    OutOfOrder {
        /// The pack being written.
        pack: PackId,
        /// What was expected.
        why: &'static str,
    },
    /// The source of a pack could not be read.
    #[error("read pack at byte {offset}")]
    Read {
        /// Byte of the pack, or of its plaintext when it is read in sequence.
        offset: u64,
        /// What the source said.
        #[source]
        source: io::Error,
    },
    /// The bytes are not a pack this reader knows.
    #[error("not a pack: {why}")]
    NotAPack {
        /// What is missing.
        why: &'static str,
    },
    /// The bytes are not what was written.
    #[error("pack damaged near plaintext byte {offset}: {why}")]
    Damaged {
        /// Byte of the plaintext near which it was seen.
        offset: u64,
        /// What does not hold.
        why: &'static str,
    },
    /// A member's bytes do not have the digest taken when it was packed.
    #[error("digest mismatch of the member at plaintext byte {offset}")]
    MemberDigest {
        /// Plaintext byte at which the member's data begins.
        offset: u64,
    },
    /// A member was asked for that lies outside the pack.
    #[error("extent at plaintext byte {offset} of {length} bytes lies outside the pack")]
    OutsidePack {
        /// Plaintext byte asked for.
        offset: u64,
        /// Bytes asked for.
        length: u64,
    },
    /// The pack is sealed, and its seal does not open or is damaged.
    #[error("the seal of the pack")]
    Seal(#[from] seal::Error),
}

impl Error {
    /// Whether the bytes read are at fault, so that another copy of the pack may serve.
    pub fn is_damage(&self) -> bool {
        match self {
            Error::NotAPack { .. } | Error::Damaged { .. } | Error::MemberDigest { .. } => true,
            Error::Seal(error) => error.is_damage(),
            _ => false,
        }
    }
}

/// For the `Read` side of the readers: the pack error travels as the source of the I/O error.
impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        match error {
            Error::Read { source, .. } => source,
            other if other.is_damage() => io::Error::new(io::ErrorKind::InvalidData, other),
            other => io::Error::other(other),
        }
    }
}

impl Error {
    /// The way back from [`io::Error`]: a pack error that travelled through `Read`, or a failure to read at `offset`.
    pub(super) fn from_read(offset: u64, error: io::Error) -> Error {
        if error.get_ref().is_some_and(|inner| inner.is::<Error>()) {
            let inner = error.into_inner().expect("an error with a reference has an inner");
            return *inner.downcast::<Error>().expect("the inner error was just seen to be ours");
        }
        Error::Read { offset, source: error }
    }
}
