//! What a signature says about the body.

use super::SignatureChain;
use super::hex_hash::HexHash;
use http::HeaderMap;
use std::fmt;

/// The value of `x-amz-content-sha256`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadToken {
    /// SHA-256 of the body.
    Hash([u8; 32]),
    /// `UNSIGNED-PAYLOAD`.
    Unsigned,
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`: aws-chunked, with trailers, no signatures.
    StreamingUnsignedTrailer,
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD` or `...-TRAILER`: aws-chunked, every chunk signed.
    StreamingSigned {
        /// Whether signed trailers follow.
        trailer: bool,
    },
}

// === impl PayloadToken ===

impl PayloadToken {
    /// Reads a header's value; `None` for anything else, the SigV4A tokens included.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "UNSIGNED-PAYLOAD" => Some(Self::Unsigned),
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER" => Some(Self::StreamingUnsignedTrailer),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" => Some(Self::StreamingSigned { trailer: false }),
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" => Some(Self::StreamingSigned { trailer: true }),
            hash => {
                let mut sha256 = [0; 32];
                hex::decode_to_slice(hash, &mut sha256).ok()?;
                Some(Self::Hash(sha256))
            }
        }
    }

    /// The payload, with a chain where chunks are signed.
    pub(super) fn with_chain(self, chain: impl FnOnce() -> SignatureChain) -> Payload {
        match self {
            Self::Hash(sha256) => Payload::Hash(sha256),
            Self::Unsigned => Payload::Unsigned,
            Self::StreamingUnsignedTrailer => Payload::StreamingUnsignedTrailer,
            Self::StreamingSigned { trailer } => {
                Payload::StreamingSigned { chain: Box::new(chain()), trailer }
            }
        }
    }
}

impl fmt::Display for PayloadToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hash(sha256) => HexHash::from(*sha256).fmt(f),
            Self::Unsigned => f.write_str("UNSIGNED-PAYLOAD"),
            Self::StreamingUnsignedTrailer => f.write_str("STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
            Self::StreamingSigned { trailer: false } => f.write_str("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
            Self::StreamingSigned { trailer: true } => {
                f.write_str("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER")
            }
        }
    }
}

/// A payload token together with what is needed to check the body against it.
#[derive(Clone, Debug)]
pub enum Payload {
    /// The body must have this SHA-256.
    Hash([u8; 32]),
    /// The body is taken as it comes.
    Unsigned,
    /// The body is aws-chunked with trailers, unsigned.
    StreamingUnsignedTrailer,
    /// The body is aws-chunked and signed from this chain on.
    StreamingSigned {
        /// Starts at the request's signature.
        chain: Box<SignatureChain>,
        /// Whether signed trailers follow.
        trailer: bool,
    },
}

// === impl Payload ===

impl Payload {
    /// What an unauthenticated request says about its body: clients that do not sign still send trailers, with or
    /// without the token. `None` when the token is unknown or needs a signature.
    pub(super) fn of_anonymous(headers: &HeaderMap) -> Option<Self> {
        let Some(token) = headers.get("x-amz-content-sha256") else {
            let chunked = headers.get_all(http::header::CONTENT_ENCODING).iter();
            let chunked = chunked.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
            let chunked = chunked.into_iter().any(|coding| coding.trim().eq_ignore_ascii_case("aws-chunked"));
            return Some(if chunked { Self::StreamingUnsignedTrailer } else { Self::Unsigned });
        };
        match PayloadToken::parse(token.to_str().ok()?)? {
            PayloadToken::Hash(sha256) => Some(Self::Hash(sha256)),
            PayloadToken::Unsigned => Some(Self::Unsigned),
            PayloadToken::StreamingUnsignedTrailer => Some(Self::StreamingUnsignedTrailer),
            PayloadToken::StreamingSigned { .. } => None,
        }
    }
}
