//! The checksums S3 carries beside an object: what a client may declare, and how to recompute it.
//!
//! Words: a *checksum* is the value of one algorithm over bytes; an *object checksum* is what the object as a
//! whole reports, either *full object* (over all its bytes) or *composite* (over the checksums of its parts,
//! written `base64-N`); a *demand* is what one request's headers ask to be checked.
//!
//! On the wire a value is the base64 of the big-endian bytes, leading zeros kept.
//!
//! Not here: which bytes are fed (the payload reader), and where checksums are kept (the store).

mod demand;
mod error;
mod md5;
mod multipart;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc_fast::{CrcAlgorithm, Digest};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use std::fmt;

pub use demand::{Demand, Demanded};
pub use error::ChecksumError;
pub use md5::{Md5, Md5Hasher};
pub use multipart::{Kind, ObjectChecksum, UploadChecksum};

/// A checksum algorithm this gateway can compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// CRC-32/ISO-HDLC, 4 bytes.
    Crc32,
    /// CRC-32/ISCSI, 4 bytes.
    Crc32c,
    /// CRC-64/NVME, 8 bytes.
    Crc64Nvme,
    /// SHA-1, 20 bytes.
    Sha1,
    /// SHA-256, 32 bytes.
    Sha256,
}

// === impl Algorithm ===

impl Algorithm {
    /// Every algorithm, in the order S3 lists them in its error texts.
    pub const ALL: [Self; 5] = [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// The name as `x-amz-checksum-algorithm` and XML write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// The name as S3 writes it inside some error texts.
    pub const fn lower_name(self) -> &'static str {
        match self {
            Self::Crc32 => "crc32",
            Self::Crc32c => "crc32c",
            Self::Crc64Nvme => "crc64nvme",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        }
    }

    /// The element that carries a value in XML (`ChecksumCRC32`).
    pub const fn element(self) -> &'static str {
        match self {
            Self::Crc32 => "ChecksumCRC32",
            Self::Crc32c => "ChecksumCRC32C",
            Self::Crc64Nvme => "ChecksumCRC64NVME",
            Self::Sha1 => "ChecksumSHA1",
            Self::Sha256 => "ChecksumSHA256",
        }
    }

    /// The header (or trailer) that carries a value.
    pub const fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// Length of a value in bytes, before base64.
    pub const fn value_bytes(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// Reads a name such as `CRC32`, in any case.
    ///
    /// # Errors
    /// [`ChecksumError::Unsupported`] for a name outside [`Algorithm::ALL`].
    pub fn parse(name: &str) -> Result<Self, ChecksumError> {
        let known = Self::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name));
        known.ok_or(ChecksumError::Unsupported)
    }

    /// The algorithm whose value the header of this name carries, if it is one of those.
    pub fn from_header(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.header().eq_ignore_ascii_case(name))
    }

    const fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Self::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Self::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Self::Sha1 | Self::Sha256 => None,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The value of one algorithm over some bytes; always of the right length.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Checksum {
    algorithm: Algorithm,
    /// Big-endian value in the first `algorithm.value_bytes()`, zero after it.
    value: [u8; VALUE_BYTES_MAX],
}

// === impl Checksum ===

impl Checksum {
    /// Takes a big-endian value; `None` when its length is not the algorithm's.
    pub fn from_bytes(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != algorithm.value_bytes() {
            return None;
        }
        let mut value = [0; VALUE_BYTES_MAX];
        value[..bytes.len()].copy_from_slice(bytes);
        Some(Self { algorithm, value })
    }

    /// Reads the base64 a header or an XML element carries.
    ///
    /// # Errors
    /// [`ChecksumError::InvalidValue`] when it is not base64 of exactly the algorithm's length.
    pub fn parse(algorithm: Algorithm, base64: &str) -> Result<Self, ChecksumError> {
        let invalid = ChecksumError::InvalidValue { algorithm };
        if base64.len() > VALUE_BASE64_MAX {
            return Err(invalid);
        }
        let bytes = STANDARD.decode(base64).ok();
        bytes.and_then(|bytes| Self::from_bytes(algorithm, &bytes)).ok_or(invalid)
    }

    /// Computes the checksum of bytes already in hand.
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    /// The algorithm this is a value of.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The big-endian value.
    pub fn as_bytes(&self) -> &[u8] {
        &self.value[..self.algorithm.value_bytes()]
    }

    /// The value as headers and XML carry it.
    pub fn to_base64(self) -> String {
        STANDARD.encode(self.as_bytes())
    }

    /// The checksum of these bytes followed by `next_bytes` more whose checksum is `next`, without reading
    /// either. `None` when the algorithms differ or the algorithm is not a CRC.
    pub fn concat(&self, next: &Self, next_bytes: u64) -> Option<Self> {
        if self.algorithm != next.algorithm {
            return None;
        }
        let crc = self.algorithm.crc()?;
        let value = crc_fast::checksum_combine(crc, self.as_u64(), next.as_u64(), next_bytes);
        Some(Self::from_crc(self.algorithm, value))
    }

    fn as_u64(&self) -> u64 {
        self.as_bytes().iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }

    /// Keeps the low bytes of a CRC register, which holds nothing above the algorithm's width.
    fn from_crc(algorithm: Algorithm, register: u64) -> Self {
        let bytes = register.to_be_bytes();
        let value = &bytes[bytes.len() - algorithm.value_bytes()..];
        Self::from_bytes(algorithm, value).expect("cut to the algorithm's length")
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.to_base64())
    }
}

/// Computes one checksum over bytes that arrive in pieces.
pub struct Hasher {
    algorithm: Algorithm,
    state: State,
}

enum State {
    Crc(Box<Digest>),
    Sha1(Sha1),
    Sha256(Sha256),
}

// === impl Hasher ===

impl Hasher {
    /// Starts at the empty string.
    pub fn new(algorithm: Algorithm) -> Self {
        let state = match (algorithm, algorithm.crc()) {
            (_, Some(crc)) => State::Crc(Box::new(Digest::new(crc))),
            (Algorithm::Sha1, None) => State::Sha1(Sha1::new()),
            (_, None) => State::Sha256(Sha256::new()),
        };
        Self { algorithm, state }
    }

    /// The algorithm being computed.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Crc(digest) => digest.update(bytes),
            State::Sha1(digest) => digest.update(bytes),
            State::Sha256(digest) => digest.update(bytes),
        }
    }

    /// The checksum of everything added.
    pub fn finish(self) -> Checksum {
        let of =
            |bytes: &[u8]| Checksum::from_bytes(self.algorithm, bytes).expect("the digest has its length");
        match self.state {
            State::Crc(digest) => Checksum::from_crc(self.algorithm, digest.finalize()),
            State::Sha1(digest) => of(&digest.finalize()),
            State::Sha256(digest) => of(&digest.finalize()),
        }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// The longest value (SHA-256).
const VALUE_BYTES_MAX: usize = 32;
/// Base64 of the longest value.
const VALUE_BASE64_MAX: usize = 44;
const _: () = assert!(VALUE_BASE64_MAX == VALUE_BYTES_MAX.div_ceil(3) * 4);

#[cfg(test)]
mod tests;
