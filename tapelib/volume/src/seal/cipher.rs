//! AES-256-GCM by two implementations that share no code.

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::key::Secret;
use super::{NONCE_BYTES, TAG_BYTES};

/// Which implementation of AES-256-GCM works on blocks. Both read what either wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// aws-lc-rs: several times as fast.
    Bulk,
    /// `aes-gcm`: pure Rust, readable from source alone.
    Portable,
}

/// The bytes are not what was sealed under this key and nonce, bound to this.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Forged;

/// AES-256-GCM under one key.
pub(super) trait Cipher: Send {
    /// Encrypts `bytes` where they are and gives the tag over them and `bound`.
    fn seal(&self, nonce: [u8; NONCE_BYTES], bound: &[u8], bytes: &mut [u8]) -> [u8; TAG_BYTES];

    /// Decrypts `bytes`, ciphertext with the tag behind it, where they are; on an error they are of no use.
    fn open<'a>(
        &self,
        nonce: [u8; NONCE_BYTES],
        bound: &[u8],
        bytes: &'a mut [u8],
    ) -> Result<&'a mut [u8], Forged>;
}

impl Provider {
    pub(super) fn cipher(self, key: &Secret) -> Box<dyn Cipher> {
        match self {
            Self::Bulk => {
                let key = UnboundKey::new(&AES_256_GCM, key.bytes()).expect("a key of 32 bytes");
                Box::new(Bulk(LessSafeKey::new(key)))
            }
            Self::Portable => Box::new(Portable(Box::new(Aes256Gcm::new(key.bytes().into())))),
        }
    }
}

struct Bulk(LessSafeKey);

impl Cipher for Bulk {
    fn seal(&self, nonce: [u8; NONCE_BYTES], bound: &[u8], bytes: &mut [u8]) -> [u8; TAG_BYTES] {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealed = self.0.seal_in_place_separate_tag(nonce, Aad::from(bound), bytes);
        let tag = sealed.expect("a block is far below what one nonce may encrypt");
        tag.as_ref().try_into().expect("a tag of 16 bytes")
    }

    fn open<'a>(
        &self,
        nonce: [u8; NONCE_BYTES],
        bound: &[u8],
        bytes: &'a mut [u8],
    ) -> Result<&'a mut [u8], Forged> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.0.open_in_place(nonce, Aad::from(bound), bytes).map_err(|_| Forged)
    }
}

struct Portable(Box<Aes256Gcm>);

impl Cipher for Portable {
    fn seal(&self, nonce: [u8; NONCE_BYTES], bound: &[u8], bytes: &mut [u8]) -> [u8; TAG_BYTES] {
        let sealed = self.0.encrypt_inout_detached(&nonce.into(), bound, bytes.into());
        sealed.expect("a block is far below what one nonce may encrypt").into()
    }

    fn open<'a>(
        &self,
        nonce: [u8; NONCE_BYTES],
        bound: &[u8],
        bytes: &'a mut [u8],
    ) -> Result<&'a mut [u8], Forged> {
        let (bytes, tag) = bytes.split_last_chunk_mut::<TAG_BYTES>().ok_or(Forged)?;
        let opened =
            self.0.decrypt_inout_detached(&nonce.into(), bound, (&mut *bytes).into(), &(*tag).into());
        opened.map_err(|_| Forged)?;
        Ok(bytes)
    }
}
