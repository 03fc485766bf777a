//! Sealing: packs, manifests and records encrypted so that a cartridge alone tells nothing of an object.
//!
//! A **sealing key** has a name and a version; the **keyring** holds them. Every sealed thing has a **data key** of its
//! own, drawn when it is sealed and used for nothing else; it travels with it, **wrapped** by a sealing key.
//!
//! - A pack is sealed in **blocks**, so that it is written in one pass and read at any place: [`SealWriter`],
//!   [`Unsealed`]. [`MaybeSealed`] tells by the first bytes which kind of pack it reads.
//! - A **note** is a byte string sealed in one piece: the manifest beside a pack, the record in a journal: [`note`].
//!
//! Invariants:
//! - No data key is used twice, and no nonce twice under one data key: both are drawn and counted here, never given.
//! - What is sealed is bound to what it is, where it stands and whether it is the last: nothing can be swapped,
//!   repeated, reordered or cut unnoticed.
//! - A wrong key is told from damage before any byte is read.
//! - Secrets are wiped when dropped, and no `Debug`, error or log shows them.
//!
//! Blocks are sealed and read on aws-lc-rs; keys are wrapped, and everything can be read, on the pure-Rust `aes-gcm`
//! ([`Provider`]). The format is specified byte by byte in `FORMAT.md`.

mod cipher;
mod error;
mod header;
mod key;
mod keyring;
pub mod note;
mod reader;
mod slot;
#[cfg(test)]
mod tests;
mod writer;

pub use cipher::Provider;
pub use error::Error;
pub use key::{KeyId, KeyMark, KeyName, KeyNameError, KeySource, NoKeys, SealingKey};
pub use keyring::{KeyInfo, Keyring, KeyringError, Merged};
pub use reader::{MaybeSealed, Unsealed};
pub use writer::SealWriter;

/// Bytes of a sealed block on disk and tape, its tag included: one block of the volume.
pub const BLOCK_BYTES: u32 = 524_288;

/// Bytes by which sealing makes a file of `plain` bytes longer, at most.
pub const fn overhead(plain: u64) -> u64 {
    let block = BLOCK_BYTES as u64;
    block + (plain / (block - TAG_BYTES as u64) + 1) * TAG_BYTES as u64
}

/// With these eight bytes everything sealed begins.
const MAGIC: [u8; 8] = *b"tgsealed";
/// Version of the format of everything sealed.
const VERSION: u16 = 1;
const TAG_BYTES: usize = 16;
const NONCE_BYTES: usize = 12;
const SECRET_BYTES: usize = 32;

/// Whether something begins as everything sealed does.
pub fn is_sealed(first_bytes: &[u8]) -> bool {
    first_bytes.starts_with(&MAGIC)
}

/// What is sealed: the word that follows magic and version.
#[derive(Clone, Copy)]
enum Kind {
    Pack = 1,
    Note = 2,
}

/// The first twelve bytes of a sealed thing.
fn preamble(kind: Kind) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..10].copy_from_slice(&VERSION.to_be_bytes());
    bytes[10..].copy_from_slice(&(kind as u16).to_be_bytes());
    bytes
}

/// Checks the first twelve bytes of what should be a sealed thing of this kind.
fn check_preamble(bytes: &[u8], kind: Kind) -> Result<(), Error> {
    let not = |why| Err(Error::NotSealed { why });
    if bytes.len() < 12 || !is_sealed(bytes) {
        return not("its first bytes are another's");
    }
    if bytes[8..10] != VERSION.to_be_bytes() {
        return not("it has a version this program does not know");
    }
    if bytes[10..12] == (kind as u16).to_be_bytes() { Ok(()) } else { not("it is sealed in another way") }
}
