//! What one request's headers ask to be checked about its body.

use super::{Algorithm, Checksum, ChecksumError, Md5};
use http::HeaderMap;

/// The checks a client asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// From Content-MD5.
    pub content_md5: Option<Md5>,
    /// From an `x-amz-checksum-*` header, or a trailer announced in `x-amz-trailer`.
    pub checksum: Option<Demanded>,
}

/// A checksum, or where it will come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demanded {
    /// The value stood in a header.
    Value(Checksum),
    /// The value follows the body.
    Trailer(Algorithm),
}

// === impl Demanded ===

impl Demanded {
    /// The algorithm to compute.
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Value(checksum) => checksum.algorithm(),
            Self::Trailer(algorithm) => *algorithm,
        }
    }
}

// === impl Demand ===

impl Demand {
    /// Reads Content-MD5, `x-amz-checksum-*`, `x-amz-trailer` and `x-amz-sdk-checksum-algorithm`.
    ///
    /// # Errors
    /// A [`ChecksumError`] for values that cannot be right, more than one value, an unknown algorithm, or an
    /// announcement without its value.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, ChecksumError> {
        let demand = Self::of_body_alone(headers)?;
        let checksum = demanded(headers)?;
        announced(headers, checksum)?;
        Ok(Self { checksum, ..demand })
    }

    /// Reads Content-MD5 alone: for requests whose checksum header is about something else than their body.
    ///
    /// # Errors
    /// [`ChecksumError::InvalidMd5`].
    pub fn of_body_alone(headers: &HeaderMap) -> Result<Self, ChecksumError> {
        let content_md5 = headers.get("content-md5");
        let content_md5 = content_md5.map(|value| Md5::parse_header(value.to_str().unwrap_or_default()));
        Ok(Self { content_md5: content_md5.transpose()?, checksum: None })
    }
}

fn demanded(headers: &HeaderMap) -> Result<Option<Demanded>, ChecksumError> {
    let mut found = None;
    for (name, value) in headers {
        let next = match name.as_str() {
            "x-amz-trailer" => {
                let names = value.to_str().unwrap_or_default().split(',').map(str::trim);
                for name in names {
                    keep(&mut found, trailer(name)?)?;
                }
                continue;
            }
            name if UNSUPPORTED_HEADERS.contains(&name) => return Err(ChecksumError::Unsupported),
            name => Algorithm::from_header(name),
        };
        if let Some(algorithm) = next {
            let value = Checksum::parse(algorithm, value.to_str().unwrap_or_default())?;
            keep(&mut found, Some(Demanded::Value(value)))?;
        }
    }
    Ok(found)
}

fn trailer(name: &str) -> Result<Option<Demanded>, ChecksumError> {
    if UNSUPPORTED_HEADERS.iter().any(|unsupported| unsupported.eq_ignore_ascii_case(name)) {
        return Err(ChecksumError::Unsupported);
    }
    Ok(Algorithm::from_header(name).map(Demanded::Trailer))
}

fn keep(found: &mut Option<Demanded>, next: Option<Demanded>) -> Result<(), ChecksumError> {
    match (&found, next) {
        (Some(_), Some(_)) => Err(ChecksumError::Multiple),
        (None, Some(next)) => {
            *found = Some(next);
            Ok(())
        }
        (_, None) => Ok(()),
    }
}

fn announced(headers: &HeaderMap, checksum: Option<Demanded>) -> Result<(), ChecksumError> {
    let Some(value) = headers.get("x-amz-sdk-checksum-algorithm") else {
        return Ok(());
    };
    let algorithm = Algorithm::parse(value.to_str().unwrap_or_default())?;
    match checksum {
        None => Err(ChecksumError::AnnouncedButAbsent),
        Some(checksum) if checksum.algorithm() != algorithm => Err(ChecksumError::AnnouncedOther),
        Some(_) => Ok(()),
    }
}

/// Newer algorithms that clients may name and this gateway cannot compute.
const UNSUPPORTED_HEADERS: [&str; 5] = [
    "x-amz-checksum-sha512",
    "x-amz-checksum-md5",
    "x-amz-checksum-xxhash64",
    "x-amz-checksum-xxhash3",
    "x-amz-checksum-xxhash128",
];
