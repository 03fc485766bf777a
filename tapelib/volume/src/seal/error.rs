//! What can go wrong with what is sealed.

use super::key::KeyId;

/// Sealing or opening failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The keyring lacks a key. Nothing is lost: with the key everything is readable again.
    #[error("the keyring has no key {key}")]
    NoKey {
        /// Name and version, or a name alone when nothing can be sealed with it.
        key: String,
    },
    /// The keyring has another key under this name and version.
    #[error("the key {key} of the keyring is not the one this was sealed with")]
    WrongKey {
        /// Name and version.
        key: KeyId,
    },
    /// The keyring itself cannot be read.
    #[error("the keyring cannot be read: {what}")]
    Keyring {
        /// Why.
        what: String,
    },
    /// The bytes are not a sealed thing this reader knows.
    #[error("not sealed as expected: {why}")]
    NotSealed {
        /// What is missing.
        why: &'static str,
    },
    /// The bytes are not what was sealed, or stand elsewhere than they were sealed for.
    #[error("block {block} is not what was sealed")]
    Damaged {
        /// The block, counted from the header, which is 0.
        block: u64,
    },
    /// More than can be sealed in one piece.
    #[error("{bytes} bytes cannot be sealed, the limit is {limit}")]
    TooLong {
        /// Bytes given.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The operating system gives no random numbers.
    #[error("no random numbers for a fresh key")]
    Random,
}

impl Error {
    /// Whether a key is missing or wrong, so that the operator can help and the bytes are not at fault.
    pub fn wants_key(&self) -> bool {
        matches!(self, Self::NoKey { .. } | Self::WrongKey { .. } | Self::Keyring { .. })
    }

    /// Whether the bytes read are at fault, so that another copy may serve.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::NotSealed { .. } | Self::Damaged { .. })
    }
}
