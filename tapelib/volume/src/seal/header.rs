//! The header of a sealed pack, which fills its first block.
//!
//! | at | bytes | field |
//! | --- | --- | --- |
//! | 0 | 12 | preamble: `tgsealed`, version, kind 1 |
//! | 12 | 4 | bytes of a block on disk |
//! | 16 | 16 | pack id |
//! | 32 | 136 | key slot, bound to the bytes before it |
//! | 168 | | zeros |
//! | block - 32 | 32 | BLAKE3-256 of the bytes before |

use ulid::Ulid;

use super::error::Error;
use super::key::{KeyId, KeySource, SealingKey, Secret};
use super::slot::{self, SLOT_BYTES};
use super::{BLOCK_BYTES, Kind, NONCE_BYTES, TAG_BYTES, check_preamble, preamble};
use crate::pack::{Digest, PackId};

/// Where the key slot stands.
const SLOT_AT: usize = 32;
const DIGEST_BYTES: usize = 32;
/// Smallest and largest block a reader takes.
pub(super) const BLOCK_BYTES_RANGE: std::ops::RangeInclusive<u32> = 4_096..=8_388_608;
/// First bytes of a header, enough to know how long it is.
pub(super) const START_BYTES: usize = 16;

const _: () = assert!(BLOCK_BYTES >= *BLOCK_BYTES_RANGE.start() && BLOCK_BYTES <= *BLOCK_BYTES_RANGE.end());
const _: () = assert!(SLOT_AT + SLOT_BYTES + DIGEST_BYTES <= *BLOCK_BYTES_RANGE.start() as usize);

/// What a header says.
pub(super) struct Header {
    pub pack: PackId,
    pub block_bytes: u32,
    slot: [u8; SLOT_BYTES],
    before_slot: [u8; SLOT_AT],
    digest: Digest,
}

impl Header {
    /// Makes the header of a pack to be sealed, with a fresh data key.
    pub fn fresh(pack: PackId, block_bytes: u32, key: &SealingKey) -> Result<(Self, Vec<u8>, Secret), Error> {
        let mut before_slot = [0; SLOT_AT];
        before_slot[..12].copy_from_slice(&preamble(Kind::Pack));
        before_slot[12..16].copy_from_slice(&block_bytes.to_be_bytes());
        before_slot[16..].copy_from_slice(&pack.0.0.to_be_bytes());
        let data_key = Secret::fresh()?;
        let slot = slot::wrap(key, &data_key, &before_slot)?;
        let mut bytes = vec![0; block_bytes as usize];
        bytes[..SLOT_AT].copy_from_slice(&before_slot);
        bytes[SLOT_AT..SLOT_AT + SLOT_BYTES].copy_from_slice(&slot);
        let (rest, end) = bytes.split_last_chunk_mut::<DIGEST_BYTES>().expect("a block is longer");
        let digest = Digest::of(rest);
        *end = digest.0;
        Ok((Self { pack, block_bytes, slot, before_slot, digest }, bytes, data_key))
    }

    /// How long the header is that begins so.
    pub fn block_bytes(start: &[u8; START_BYTES]) -> Result<u32, Error> {
        check_preamble(start, Kind::Pack)?;
        let bytes = u32::from_be_bytes(start[12..16].try_into().expect("four bytes"));
        if BLOCK_BYTES_RANGE.contains(&bytes) {
            Ok(bytes)
        } else {
            Err(Error::NotSealed { why: "its blocks have an impossible size" })
        }
    }

    /// Reads a whole header.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let start = bytes.first_chunk().ok_or(Error::NotSealed { why: "its header is cut" })?;
        let block_bytes = Self::block_bytes(start)?;
        if bytes.len() != block_bytes as usize {
            return Err(Error::NotSealed { why: "its header is cut" });
        }
        let (rest, end) = bytes.split_last_chunk::<DIGEST_BYTES>().expect("a block is longer");
        let digest = Digest::of(rest);
        if digest.0 != *end {
            return Err(Error::Damaged { block: 0 });
        }
        let before_slot: [u8; SLOT_AT] = *rest.first_chunk().expect("a block is longer");
        let slot = *rest[SLOT_AT..].first_chunk().expect("a block is longer");
        let pack = u128::from_be_bytes(before_slot[16..].try_into().expect("sixteen bytes"));
        Ok(Self { pack: PackId(Ulid(pack)), block_bytes, slot, before_slot, digest })
    }

    /// The key its data key is wrapped with.
    pub fn key(&self) -> Result<KeyId, Error> {
        slot::key_of(&self.slot)
    }

    /// Unwraps the data key.
    pub fn data_key(&self, keys: &dyn KeySource) -> Result<Secret, Error> {
        slot::unwrap(keys, &self.slot, &self.before_slot).map(|(_, key)| key)
    }

    /// What a block is bound to.
    pub fn bound(&self, block: u64, last: bool) -> [u8; 57] {
        let mut bound = [0; 57];
        bound[..16].copy_from_slice(&self.pack.0.0.to_be_bytes());
        bound[16..48].copy_from_slice(&self.digest.0);
        bound[48..56].copy_from_slice(&block.to_be_bytes());
        bound[56] = u8::from(last);
        bound
    }

    /// Bytes of plaintext in a full block.
    pub fn plain_per_block(&self) -> usize {
        self.block_bytes as usize - TAG_BYTES
    }
}

/// The nonce of a block: four zero bytes and its number.
pub(super) fn nonce(block: u64) -> [u8; NONCE_BYTES] {
    let mut nonce = [0; NONCE_BYTES];
    nonce[4..].copy_from_slice(&block.to_be_bytes());
    nonce
}
