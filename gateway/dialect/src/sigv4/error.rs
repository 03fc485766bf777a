//! Why a request is not authenticated, in S3's own words.

use super::date::iso8601;
use super::{PRESIGN_SECONDS_MAX, REQUEST_HEAD_BYTES_MAX, SKEW_MILLISECONDS_MAX};
use crate::error::{Code, S3Error};
use model::Timestamp;

/// A request that carries authentication and is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Another signature was calculated than sent.
    #[error("{}", Code::SignatureDoesNotMatch.message())]
    SignatureDoesNotMatch {
        /// Whose signature it claims to be.
        access_key_id: String,
        /// What was signed here.
        string_to_sign: String,
        /// What was sent.
        signature_provided: String,
        /// What the string to sign was made from; empty for a form, whose policy is signed as it is.
        canonical_request: String,
    },
    /// Nobody has this key.
    #[error("{}", Code::InvalidAccessKeyId.message())]
    InvalidAccessKeyId {
        /// The key id sent.
        access_key_id: String,
    },
    /// Signed too long ago, or in the future.
    #[error("{}", Code::RequestTimeTooSkewed.message())]
    RequestTimeTooSkewed {
        /// The time stamp as sent.
        request_time: String,
        /// Now.
        server_time: Timestamp,
    },
    /// A presigned URL past its life.
    #[error("Request has expired")]
    Expired {
        /// Its life in seconds.
        seconds: i64,
        /// When it ended.
        at: Timestamp,
        /// Now.
        server_time: Timestamp,
    },
    /// A presigned URL from the future.
    #[error("Request is not yet valid")]
    NotYetValid {
        /// The time stamp as sent.
        request_time: String,
        /// Now.
        server_time: Timestamp,
    },
    /// Headers a signature must cover are outside it.
    #[error("There were headers present in the request which were not signed")]
    HeadersNotSigned {
        /// Their names, joined by comma and space.
        names: String,
    },
    /// The Authorization header cannot be used.
    #[error("The authorization header is malformed; {reason}")]
    HeaderMalformed {
        /// The clause S3 ends its text with.
        reason: String,
        /// The right region, when the wrong one was named.
        region: Option<String>,
    },
    /// The query parameters of a presigned URL cannot be used.
    #[error("{message}")]
    QueryMalformed {
        /// S3's text.
        message: String,
        /// The right region, when the wrong one was named.
        region: Option<String>,
    },
    /// Neither `x-amz-date` nor Date holds a time.
    #[error("AWS authentication requires a valid Date or x-amz-date header")]
    NoDate,
    /// A signed request without `x-amz-content-sha256`.
    #[error("Missing required header for this request: x-amz-content-sha256")]
    NoPayloadToken,
    /// `x-amz-content-sha256` holds neither a hash nor a token that can be used with this request.
    #[error(
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value."
    )]
    PayloadTokenUnusable {
        /// What was sent.
        given: String,
    },
    /// Signature Version 2, 4A or another algorithm.
    #[error("The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")]
    MechanismNotSupported,
    /// An Authorization header of another kind than AWS's.
    #[error("Unsupported Authorization Type")]
    AuthorizationTypeNotSupported,
    /// Both header and query, or several of one.
    #[error(
        "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified"
    )]
    SeveralMechanisms,
    /// A header that must stand once stands more often, or cannot be read.
    #[error("The {name} header must be present exactly once.")]
    NotOnce {
        /// Which.
        name: &'static str,
    },
    /// A session token, which this gateway never issues.
    #[error("{}", Code::InvalidToken.message())]
    SessionToken,
    /// Path, query and headers together are longer than anything legitimate.
    #[error("{}", Code::RequestHeaderSectionTooLarge.message())]
    HeadTooLarge,
}

// === impl AuthError ===

impl AuthError {
    /// The S3 error code, which also decides the status.
    pub const fn code(&self) -> Code {
        match self {
            Self::SignatureDoesNotMatch { .. } => Code::SignatureDoesNotMatch,
            Self::InvalidAccessKeyId { .. } => Code::InvalidAccessKeyId,
            Self::RequestTimeTooSkewed { .. } => Code::RequestTimeTooSkewed,
            Self::Expired { .. }
            | Self::NotYetValid { .. }
            | Self::HeadersNotSigned { .. }
            | Self::NoDate => Code::AccessDenied,
            Self::HeaderMalformed { .. } => Code::AuthorizationHeaderMalformed,
            Self::QueryMalformed { .. } => Code::AuthorizationQueryParametersError,
            Self::NoPayloadToken | Self::MechanismNotSupported | Self::NotOnce { .. } => Code::InvalidRequest,
            Self::PayloadTokenUnusable { .. }
            | Self::AuthorizationTypeNotSupported
            | Self::SeveralMechanisms => Code::InvalidArgument,
            Self::SessionToken => Code::InvalidToken,
            Self::HeadTooLarge => Code::RequestHeaderSectionTooLarge,
        }
    }

    /// Elements beside Code and Message, in order.
    pub fn extras(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::SignatureDoesNotMatch {
                access_key_id,
                string_to_sign,
                signature_provided,
                canonical_request,
            } => {
                let mut extras = vec![
                    ("AWSAccessKeyId", access_key_id.clone()),
                    ("StringToSign", string_to_sign.clone()),
                    ("SignatureProvided", signature_provided.clone()),
                    ("StringToSignBytes", spaced_hex(string_to_sign)),
                ];
                if !canonical_request.is_empty() {
                    extras.push(("CanonicalRequest", canonical_request.clone()));
                    extras.push(("CanonicalRequestBytes", spaced_hex(canonical_request)));
                }
                extras
            }
            Self::InvalidAccessKeyId { access_key_id } => vec![("AWSAccessKeyId", access_key_id.clone())],
            Self::RequestTimeTooSkewed { request_time, server_time } => vec![
                ("RequestTime", request_time.clone()),
                ("ServerTime", iso8601(*server_time)),
                ("MaxAllowedSkewMilliseconds", SKEW_MILLISECONDS_MAX.to_string()),
            ],
            Self::Expired { seconds, at, server_time } => vec![
                ("X-Amz-Expires", seconds.to_string()),
                ("Expires", iso8601(*at)),
                ("ServerTime", iso8601(*server_time)),
            ],
            Self::NotYetValid { request_time, server_time } => {
                vec![("RequestTime", request_time.clone()), ("ServerTime", iso8601(*server_time))]
            }
            Self::HeadersNotSigned { names } => vec![("HeadersNotSigned", names.clone())],
            Self::HeaderMalformed { region, .. } | Self::QueryMalformed { region, .. } => {
                region.iter().map(|region| ("Region", region.clone())).collect()
            }
            Self::PayloadTokenUnusable { given } => {
                vec![("ArgumentName", "x-amz-content-sha256".to_owned()), ("ArgumentValue", given.clone())]
            }
            Self::AuthorizationTypeNotSupported | Self::SeveralMechanisms => {
                vec![("ArgumentName", "Authorization".to_owned())]
            }
            Self::HeadTooLarge => vec![("MaxSizeAllowed", REQUEST_HEAD_BYTES_MAX.to_string())],
            Self::NoDate
            | Self::NoPayloadToken
            | Self::MechanismNotSupported
            | Self::NotOnce { .. }
            | Self::SessionToken => Vec::new(),
        }
    }

    pub(super) fn query(message: impl Into<String>) -> Self {
        Self::QueryMalformed { message: message.into(), region: None }
    }

    pub(super) fn header(reason: impl Into<String>) -> Self {
        Self::HeaderMalformed { reason: reason.into(), region: None }
    }

    pub(super) fn query_incomplete() -> Self {
        Self::query(Code::AuthorizationQueryParametersError.message())
    }

    pub(super) fn query_too_long_lived() -> Self {
        Self::query(format!(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than {PRESIGN_SECONDS_MAX} seconds"
        ))
    }
}

impl From<AuthError> for S3Error {
    fn from(error: AuthError) -> Self {
        let refusal = Self::with_message(error.code(), error.to_string());
        error.extras().into_iter().fold(refusal, |refusal, (name, value)| refusal.extra(name, value))
    }
}

/// Bytes as S3 writes them: `41 57 53`.
fn spaced_hex(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push(char::from(HEX[usize::from(byte >> 4)]));
        out.push(char::from(HEX[usize::from(byte & 15)]));
    }
    out
}

const HEX: &[u8; 16] = b"0123456789abcdef";
