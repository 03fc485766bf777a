//! MD5 as S3 uses it: the ETag of an object and the Content-MD5 header. Not for security.

use super::ChecksumError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5 as Digest};

/// An MD5 value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Md5(pub [u8; 16]);

// === impl Md5 ===

impl Md5 {
    /// Computes the MD5 of bytes already in hand.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Digest::digest(bytes).into())
    }

    /// Reads a Content-MD5 header.
    ///
    /// # Errors
    /// [`ChecksumError::InvalidMd5`] when it is not base64 of 16 bytes.
    pub fn parse_header(value: &str) -> Result<Self, ChecksumError> {
        let bytes = if value.len() == 24 { STANDARD.decode(value).ok() } else { None };
        let value_bytes = bytes.and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
        value_bytes
            .map(Self)
            .ok_or_else(|| ChecksumError::InvalidMd5 { given: value.chars().take(GIVEN_CHARS_MAX).collect() })
    }

    /// The value as Content-MD5 carries it.
    pub fn to_base64(self) -> String {
        STANDARD.encode(self.0)
    }

    /// The ETag of an object written in one piece, without quotes.
    pub fn etag(self) -> String {
        hex::encode(self.0)
    }

    /// The ETag of an object made of parts, without quotes: the MD5 of the parts' MD5s and their number.
    pub fn multipart_etag(parts: impl IntoIterator<Item = Self>) -> String {
        let mut hasher = Md5Hasher::default();
        let mut count = 0_u64;
        for part in parts {
            hasher.update(&part.0);
            count += 1;
        }
        format!("{}-{count}", hasher.finish().etag())
    }
}

/// Computes an MD5 over bytes that arrive in pieces.
#[derive(Clone, Debug, Default)]
pub struct Md5Hasher(Digest);

// === impl Md5Hasher ===

impl Md5Hasher {
    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The MD5 of everything added.
    pub fn finish(self) -> Md5 {
        Md5(self.0.finalize().into())
    }
}

/// How much of a bad header is quoted back.
const GIVEN_CHARS_MAX: usize = 100;
