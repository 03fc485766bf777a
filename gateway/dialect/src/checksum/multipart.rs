//! Checksums of objects made of parts: composite or full object.

use super::{Algorithm, Checksum, ChecksumError, Hasher};
use http::HeaderMap;
use std::fmt;

/// What a checksum of a whole object is taken over (`x-amz-checksum-type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Over the checksums of the parts.
    Composite,
    /// Over all bytes.
    FullObject,
}

// === impl Kind ===

impl Kind {
    /// The name as header and XML carry it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Composite => "COMPOSITE",
            Self::FullObject => "FULL_OBJECT",
        }
    }

    /// Reads the header's or element's value.
    ///
    /// # Errors
    /// [`ChecksumError::InvalidKind`] for anything but the two names.
    pub fn parse(name: &str) -> Result<Self, ChecksumError> {
        let known = [Self::Composite, Self::FullObject].into_iter().find(|kind| kind.name() == name);
        known.ok_or(ChecksumError::InvalidKind)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a multipart upload will be checked with, fixed when it is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UploadChecksum {
    algorithm: Algorithm,
    kind: Kind,
}

// === impl UploadChecksum ===

impl UploadChecksum {
    /// Pairs an algorithm with a type: SHA is composite only, CRC64NVME full object only, the other CRCs either
    /// and composite unless asked.
    ///
    /// # Errors
    /// [`ChecksumError::KindNotAllowed`] for a pair outside that table.
    pub fn new(algorithm: Algorithm, kind: Option<Kind>) -> Result<Self, ChecksumError> {
        let default = match algorithm {
            Algorithm::Crc64Nvme => Kind::FullObject,
            _ => Kind::Composite,
        };
        let kind = kind.unwrap_or(default);
        let allowed = match algorithm {
            Algorithm::Crc32 | Algorithm::Crc32c => true,
            Algorithm::Crc64Nvme | Algorithm::Sha1 | Algorithm::Sha256 => kind == default,
        };
        if allowed {
            Ok(Self { algorithm, kind })
        } else {
            Err(ChecksumError::KindNotAllowed { kind, algorithm })
        }
    }

    /// Reads `x-amz-checksum-algorithm` and `x-amz-checksum-type` of CreateMultipartUpload; `None` without either.
    ///
    /// # Errors
    /// A [`ChecksumError`] for an unknown algorithm or type, a type alone, or a pair that is not allowed.
    pub fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, ChecksumError> {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        let kind = text("x-amz-checksum-type").map(Kind::parse).transpose()?;
        match text("x-amz-checksum-algorithm") {
            Some(name) => Self::new(Algorithm::parse(name)?, kind).map(Some),
            None if kind.is_some() => Err(ChecksumError::KindWithoutAlgorithm),
            None => Ok(None),
        }
    }

    /// The algorithm of every part.
    pub const fn algorithm(self) -> Algorithm {
        self.algorithm
    }

    /// The type of the object's checksum.
    pub const fn kind(self) -> Kind {
        self.kind
    }

    /// The checksum of the object made of these parts (checksum and length in bytes, in order); `None` when a part
    /// has another algorithm or there are none.
    pub fn of_parts<'a>(
        self,
        parts: impl IntoIterator<Item = (&'a Checksum, u64)>,
    ) -> Option<ObjectChecksum> {
        let mut parts = parts.into_iter();
        match self.kind {
            Kind::Composite => self.composite(parts),
            Kind::FullObject => {
                let (first, _) = parts.next().filter(|(first, _)| first.algorithm() == self.algorithm)?;
                let whole = parts.try_fold(*first, |whole, (part, bytes)| whole.concat(part, bytes))?;
                Some(ObjectChecksum::Full(whole))
            }
        }
    }

    fn composite<'a>(self, parts: impl Iterator<Item = (&'a Checksum, u64)>) -> Option<ObjectChecksum> {
        let mut hasher = Hasher::new(self.algorithm);
        let mut count = 0_u32;
        for (part, _) in parts {
            if part.algorithm() != self.algorithm {
                return None;
            }
            hasher.update(part.as_bytes());
            count = count.checked_add(1)?;
        }
        (count > 0).then(|| ObjectChecksum::Composite { of_parts: hasher.finish(), parts: count })
    }
}

/// The checksum an object as a whole reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectChecksum {
    /// Over all its bytes.
    Full(Checksum),
    /// Over its parts' checksums, written `base64-N`.
    Composite {
        /// Checksum of the parts' values concatenated.
        of_parts: Checksum,
        /// Number of parts, at least 1.
        parts: u32,
    },
}

// === impl ObjectChecksum ===

impl ObjectChecksum {
    /// Reads `base64` or `base64-N`.
    ///
    /// # Errors
    /// [`ChecksumError::InvalidValue`] when either half is malformed or N is 0.
    pub fn parse(algorithm: Algorithm, text: &str) -> Result<Self, ChecksumError> {
        let Some((base64, parts)) = text.split_once('-') else {
            return Checksum::parse(algorithm, text).map(Self::Full);
        };
        let of_parts = Checksum::parse(algorithm, base64)?;
        let digits = !parts.is_empty() && parts.bytes().all(|byte| byte.is_ascii_digit());
        let parts = if digits { parts.parse().ok().filter(|count| *count > 0) } else { None };
        parts
            .map(|parts| Self::Composite { of_parts, parts })
            .ok_or(ChecksumError::InvalidValue { algorithm })
    }

    /// Reads the one `x-amz-checksum-*` header of CompleteMultipartUpload; `None` without one.
    ///
    /// # Errors
    /// [`ChecksumError::InvalidValue`], or [`ChecksumError::Multiple`] when there are several.
    pub fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, ChecksumError> {
        let mut found = None;
        for algorithm in Algorithm::ALL {
            for value in headers.get_all(algorithm.header()) {
                let value = Self::parse(algorithm, value.to_str().unwrap_or_default())?;
                if found.replace(value).is_some() {
                    return Err(ChecksumError::Multiple);
                }
            }
        }
        Ok(found)
    }

    /// The algorithm of the value.
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Full(checksum) => checksum.algorithm(),
            Self::Composite { of_parts, .. } => of_parts.algorithm(),
        }
    }

    /// The type to report in `x-amz-checksum-type`.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Full(_) => Kind::FullObject,
            Self::Composite { .. } => Kind::Composite,
        }
    }
}

impl fmt::Display for ObjectChecksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(checksum) => f.write_str(&checksum.to_base64()),
            Self::Composite { of_parts, parts } => write!(f, "{}-{parts}", of_parts.to_base64()),
        }
    }
}
