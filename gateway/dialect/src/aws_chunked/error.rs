//! What can be wrong with a body.

use super::{LINE_BYTES_MAX, SIGNED_CHUNK_BYTES_MAX};
use crate::checksum::ChecksumError;
use crate::error::{Code, S3Error};
use crate::sigv4::BrokenLink;
use model::BodyError;

/// A body is not what the request promised.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// A chunk or the trailer part has another signature than calculated.
    #[error("{}", Code::SignatureDoesNotMatch.message())]
    Signature(BrokenLink),
    /// The body does not have the SHA-256 that was signed.
    #[error("{}", Code::XAmzContentSHA256Mismatch.message())]
    Sha256Mismatch {
        /// Hex of what was signed.
        client: String,
        /// Hex of what arrived.
        computed: String,
    },
    /// The body ended early.
    #[error("{}", Code::IncompleteBody.message())]
    Incomplete,
    /// The body holds more bytes than were declared.
    #[error("The body holds more bytes than the request declares")]
    TooLong,
    /// A streaming body without `x-amz-decoded-content-length`.
    #[error("{}", Code::MissingContentLength.message())]
    NoDecodedLength,
    /// A header about the body cannot be read.
    #[error("Value for {name} header is invalid.")]
    HeaderInvalid {
        /// Which.
        name: &'static str,
    },
    /// The framing is broken.
    #[error("The aws-chunked body is malformed: {reason}")]
    Malformed {
        /// In what way.
        reason: &'static str,
    },
    /// A signed chunk larger than is held.
    #[error("A signed chunk must not be larger than {SIGNED_CHUNK_BYTES_MAX} bytes")]
    ChunkTooLarge,
    /// A line of the framing longer than any that makes sense.
    #[error("A line of an aws-chunked body must not be longer than {LINE_BYTES_MAX} bytes")]
    LineTooLong,
    /// The trailers are not those announced.
    #[error(
        "The request contained trailing data that was not well-formed or did not conform to our published schema."
    )]
    TrailerMalformed,
    /// Trailers announced on a body that has none.
    #[error("The x-amz-trailer header can only be used with a streaming payload that carries trailers")]
    TrailerNotPossible,
    /// A checksum is malformed or does not match.
    #[error("{0}")]
    Checksum(ChecksumError),
}

// === impl PayloadError ===

impl PayloadError {
    /// The S3 error code, which also decides the status.
    pub const fn code(&self) -> Code {
        match self {
            Self::Signature(_) => Code::SignatureDoesNotMatch,
            Self::Sha256Mismatch { .. } => Code::XAmzContentSHA256Mismatch,
            Self::Incomplete => Code::IncompleteBody,
            Self::NoDecodedLength => Code::MissingContentLength,
            Self::TooLong
            | Self::HeaderInvalid { .. }
            | Self::Malformed { .. }
            | Self::ChunkTooLarge
            | Self::LineTooLong
            | Self::TrailerMalformed
            | Self::TrailerNotPossible => Code::InvalidRequest,
            Self::Checksum(error) => error.code(),
        }
    }

    /// Elements beside Code and Message, in order.
    pub fn extras(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Signature(BrokenLink { string_to_sign, provided }) => {
                vec![("StringToSign", string_to_sign.clone()), ("SignatureProvided", provided.clone())]
            }
            Self::Sha256Mismatch { client, computed } => vec![
                ("ClientComputedContentSHA256", client.clone()),
                ("S3ComputedContentSHA256", computed.clone()),
            ],
            Self::Checksum(error) => error.extras(),
            _ => Vec::new(),
        }
    }
}

impl From<ChecksumError> for PayloadError {
    fn from(error: ChecksumError) -> Self {
        Self::Checksum(error)
    }
}

impl From<BrokenLink> for PayloadError {
    fn from(link: BrokenLink) -> Self {
        Self::Signature(link)
    }
}

impl From<PayloadError> for BodyError {
    fn from(error: PayloadError) -> Self {
        Self::Refused { code: error.code().as_str(), message: error.to_string(), extras: error.extras() }
    }
}

impl From<PayloadError> for S3Error {
    fn from(error: PayloadError) -> Self {
        let refusal = Self::with_message(error.code(), error.to_string());
        error.extras().into_iter().fold(refusal, |refusal, (name, value)| refusal.extra(name, value))
    }
}
