//! The bytes that are sent: the same in every run, half words and half noise, so that neither a compressor nor a disk
//! is flattered.

use std::ops::Range;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

/// Size of a small object.
pub const SMALL_BYTES: usize = 4 << 10;
/// Size of a large object.
pub const LARGE_BYTES: usize = 64 << 20;
/// Different small objects that are cut out of a large one.
pub const SMALL_KINDS: usize = LARGE_BYTES / SMALL_BYTES;

/// A body and its SHA-256, ready to be signed.
#[derive(Clone, Debug)]
pub struct Content {
    /// The bytes.
    pub bytes: Bytes,
    /// Their SHA-256.
    pub sha256: [u8; 32],
}

/// All bodies of a run. No two small ones among [`SMALL_KINDS`] are the same.
#[derive(Debug)]
pub struct Contents {
    large: Content,
    small: Vec<Content>,
}

/// Which bodies a cell sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Size {
    /// [`SMALL_BYTES`].
    Small,
    /// [`LARGE_BYTES`].
    Large,
}

// === impl Content ===

impl Content {
    /// Hashes the bytes.
    pub fn new(bytes: Bytes) -> Self {
        let sha256 = Sha256::digest(&bytes).into();
        Self { bytes, sha256 }
    }
}

// === impl Contents ===

impl Contents {
    /// Makes the bodies; takes about half a second.
    pub fn new() -> Self {
        let bytes = Bytes::from(noise_and_words());
        let cut = |n: usize| -> Range<usize> { n * SMALL_BYTES..(n + 1) * SMALL_BYTES };
        let small = (0..SMALL_KINDS).map(|n| Content::new(bytes.slice(cut(n)))).collect();
        Self { large: Content::new(bytes), small }
    }

    /// The body of the object of this number.
    pub fn of(&self, size: Size, number: usize) -> &Content {
        match size {
            Size::Large => &self.large,
            Size::Small => &self.small[number % SMALL_KINDS],
        }
    }
}

// === impl Size ===

impl Size {
    /// Bytes of one object.
    pub fn bytes(self) -> usize {
        match self {
            Self::Small => SMALL_BYTES,
            Self::Large => LARGE_BYTES,
        }
    }

    /// As it stands in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Small => "4 KiB",
            Self::Large => "64 MiB",
        }
    }
}

/// In every small object, one half is words and the other noise.
fn noise_and_words() -> Vec<u8> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut bytes = Vec::with_capacity(LARGE_BYTES);
    while bytes.len() < LARGE_BYTES {
        let half = bytes.len() + SMALL_BYTES / 2;
        while bytes.len() < half {
            let word = WORDS[usize::from(random.next().to_le_bytes()[0]) % WORDS.len()];
            bytes.extend_from_slice(word.as_bytes());
        }
        bytes.truncate(half);
        let whole = half + SMALL_BYTES / 2;
        while bytes.len() < whole {
            bytes.extend_from_slice(&random.next().to_le_bytes());
        }
    }
    bytes
}

/// xorshift64: no dependency, the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

const WORDS: [&str; 16] = [
    "bucket ",
    "object ",
    "version ",
    "storage class ",
    "restore ",
    "lifecycle ",
    "transition ",
    "cartridge ",
    "volume ",
    "drive ",
    "filemark ",
    "block ",
    "partition ",
    "pool ",
    "mount ",
    "recall ",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_of_their_size_differ_and_are_the_same_in_every_run() {
        let contents = Contents::new();
        assert_eq!(contents.of(Size::Large, 7).bytes.len(), LARGE_BYTES);
        assert_eq!(contents.of(Size::Small, 1).bytes.len(), SMALL_BYTES);
        assert_ne!(contents.of(Size::Small, 1).sha256, contents.of(Size::Small, 2).sha256);
        assert_eq!(contents.of(Size::Small, 0).sha256, contents.of(Size::Small, SMALL_KINDS).sha256);
        assert_eq!(noise_and_words(), contents.of(Size::Large, 0).bytes);
    }
}
