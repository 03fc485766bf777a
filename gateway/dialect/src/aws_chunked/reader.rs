//! A body with everything its request promised about it: framing, length, signature, hash, MD5, checksum.

use super::PayloadError;
use super::decoder::{Decoder, Framing, announced, release};
use crate::checksum::{Algorithm, Checksum, ChecksumError, Demand, Demanded, Hasher, Md5, Md5Hasher};
use crate::sigv4::Payload;
use bytes::Bytes;
use http::HeaderMap;
use sha2::{Digest as _, Sha256};

/// Reads one request body and checks what the client asked to be checked, no more.
///
/// The pieces it gives are not yet the object: only [`PayloadReader::finish`] says whether they are.
#[derive(Debug)]
pub struct PayloadReader {
    decoder: Option<Decoder>,
    declared_bytes: Option<u64>,
    received_bytes: u64,
    sha256: Option<([u8; 32], Sha256)>,
    md5: Option<(Md5, Md5Hasher)>,
    checksum: Option<(Demanded, Hasher)>,
}

/// A body that kept its promises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Decoded length in bytes.
    pub bytes: u64,
    /// The checksum the client sent, in a header or trailer, now known to be right.
    pub checksum: Option<Checksum>,
    /// The trailers of a streaming body, for a reader further down that makes the checks itself.
    pub trailers: HeaderMap,
}

// === impl PayloadReader ===

impl PayloadReader {
    /// Reads the promises: Content-Length or `x-amz-decoded-content-length`, `x-amz-trailer`, Content-MD5,
    /// `x-amz-checksum-*`.
    ///
    /// # Errors
    /// [`PayloadError`] when they cannot be read, contradict each other, or a streaming body has no decoded length.
    pub fn new(payload: Payload, headers: &HeaderMap) -> Result<Self, PayloadError> {
        Self::with_demand(payload, headers, Demand::from_headers(headers)?)
    }

    /// As [`PayloadReader::new`] with other digests than the headers name: none (`Demand::default()`) when a store
    /// behind takes them anyway, or [`Demand::of_body_alone`] for CompleteMultipartUpload, whose
    /// `x-amz-checksum-*` header is about the object. Framing, length and signatures are checked all the same.
    ///
    /// # Errors
    /// As for [`PayloadReader::new`].
    pub fn with_demand(payload: Payload, headers: &HeaderMap, demand: Demand) -> Result<Self, PayloadError> {
        let trailers = announced(headers)?;
        let (framing, sha256) = match payload {
            Payload::Hash(expected) => (None, Some((expected, Sha256::new()))),
            Payload::Unsigned => (None, None),
            Payload::StreamingUnsignedTrailer => (Some(Framing::Unsigned), None),
            Payload::StreamingSigned { chain, trailer } => (Some(Framing::Signed { chain, trailer }), None),
        };
        let (decoder, declared_bytes) = match framing {
            None if !trailers.is_empty() => return Err(PayloadError::TrailerNotPossible),
            None => (None, length(headers, "content-length")?),
            Some(framing) => {
                let bytes = length(headers, "x-amz-decoded-content-length")?;
                let bytes = bytes.ok_or(PayloadError::NoDecodedLength)?;
                (Some(Decoder::new(framing, bytes, trailers)?), Some(bytes))
            }
        };
        Ok(Self {
            decoder,
            declared_bytes,
            received_bytes: 0,
            sha256,
            md5: demand.content_md5.map(|expected| (expected, Md5Hasher::default())),
            checksum: demand.checksum.map(|demanded| (demanded, Hasher::new(demanded.algorithm()))),
        })
    }

    /// The length of the object in bytes, when it is known beforehand.
    pub const fn declared_bytes(&self) -> Option<u64> {
        self.declared_bytes
    }

    /// The checksum algorithm the client chose, when it chose one.
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.checksum.as_ref().map(|(demanded, _)| demanded.algorithm())
    }

    /// Takes from the front of `input` until a decoded piece is ready (never empty, at most
    /// [`model::limits::CHUNK_BYTES_MAX`] long) or the input is used up. Call again with the rest of the same input until it answers None.
    ///
    /// # Errors
    /// [`PayloadError`] for a broken framing, a wrong chunk signature, or more bytes than declared.
    pub fn read(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, PayloadError> {
        let piece = match &mut self.decoder {
            Some(decoder) => decoder.decode(input)?,
            None => release(input),
        };
        let Some(piece) = piece else {
            return Ok(None);
        };
        self.received_bytes += piece.len() as u64;
        if self.declared_bytes.is_some_and(|declared| self.received_bytes > declared) {
            return Err(PayloadError::TooLong);
        }
        if let Some((_, hasher)) = &mut self.sha256 {
            hasher.update(&piece);
        }
        if let Some((_, hasher)) = &mut self.md5 {
            hasher.update(&piece);
        }
        if let Some((_, hasher)) = &mut self.checksum {
            hasher.update(&piece);
        }
        Ok(Some(piece))
    }

    /// Ends the body and makes every check that needs all of it.
    ///
    /// # Errors
    /// [`PayloadError`] when the body is short or any hash differs: what was read must then be dropped.
    pub fn finish(self) -> Result<Received, PayloadError> {
        let trailers = self.decoder.map_or_else(|| Ok(HeaderMap::new()), Decoder::finish)?;
        if self.declared_bytes.is_some_and(|declared| self.received_bytes < declared) {
            return Err(PayloadError::Incomplete);
        }
        if let Some((expected, hasher)) = self.sha256 {
            check_sha256(expected, hasher.finalize().into())?;
        }
        if let Some((expected, hasher)) = self.md5 {
            check_md5(expected, hasher.finish())?;
        }
        let checksum = match self.checksum {
            Some((demanded, hasher)) => Some(check_checksum(demanded, &trailers, hasher.finish())?),
            None => None,
        };
        Ok(Received { bytes: self.received_bytes, checksum, trailers })
    }
}

fn check_sha256(expected: [u8; 32], computed: [u8; 32]) -> Result<(), PayloadError> {
    if expected == computed {
        return Ok(());
    }
    Err(PayloadError::Sha256Mismatch { client: hex::encode(expected), computed: hex::encode(computed) })
}

fn check_md5(expected: Md5, calculated: Md5) -> Result<(), ChecksumError> {
    if expected == calculated {
        return Ok(());
    }
    Err(ChecksumError::Md5Mismatch { expected: expected.to_base64(), calculated: calculated.to_base64() })
}

fn check_checksum(
    demanded: Demanded,
    trailers: &HeaderMap,
    calculated: Checksum,
) -> Result<Checksum, PayloadError> {
    let algorithm = demanded.algorithm();
    let expected = match demanded {
        Demanded::Value(checksum) => checksum,
        Demanded::Trailer(_) => {
            let value = trailers.get(algorithm.header()).ok_or(PayloadError::TrailerMalformed)?;
            Checksum::parse(algorithm, value.to_str().unwrap_or_default())?
        }
    };
    if expected != calculated {
        return Err(ChecksumError::Mismatch { algorithm }.into());
    }
    Ok(calculated)
}

/// A length header that may stand once, in decimal digits alone.
fn length(headers: &HeaderMap, name: &'static str) -> Result<Option<u64>, PayloadError> {
    let mut values = headers.get_all(name).iter();
    let (first, second) = (values.next(), values.next());
    let Some(value) = first else {
        return Ok(None);
    };
    let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let bytes = digits.filter(|_| second.is_none()).and_then(|text| text.parse().ok());
    bytes.map(Some).ok_or(PayloadError::HeaderInvalid { name })
}
