//! What can be wrong with a checksum, in S3's own words.

use super::Algorithm;
use crate::error::{Code, S3Error};

/// A checksum was declared wrongly or does not match.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChecksumError {
    /// A value is not base64 of its algorithm's length.
    #[error("Value for {} header is invalid.", algorithm.header())]
    InvalidValue {
        /// Whose value.
        algorithm: Algorithm,
    },
    /// More than one checksum value in one request.
    #[error("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")]
    Multiple,
    /// An algorithm this gateway does not know.
    #[error(
        "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]"
    )]
    Unsupported,
    /// `x-amz-sdk-checksum-algorithm` announces a value that is not there.
    #[error(
        "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found."
    )]
    AnnouncedButAbsent,
    /// `x-amz-sdk-checksum-algorithm` announces another algorithm than the value's.
    #[error("Value for x-amz-sdk-checksum-algorithm header is invalid.")]
    AnnouncedOther,
    /// `x-amz-checksum-type` without an algorithm.
    #[error("The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")]
    KindWithoutAlgorithm,
    /// `x-amz-checksum-type` is neither COMPOSITE nor FULL_OBJECT.
    #[error("Value for x-amz-checksum-type header is invalid.")]
    InvalidKind,
    /// The algorithm cannot be of that type (CRC64NVME is never composite, SHA never full object).
    #[error("The {kind} checksum type cannot be used with the {} checksum algorithm.", algorithm.lower_name())]
    KindNotAllowed {
        /// What was asked for.
        kind: super::Kind,
        /// With which algorithm.
        algorithm: Algorithm,
    },
    /// A part or a completion uses another algorithm than its upload.
    #[error(
        "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
        expected.map_or("null", Algorithm::lower_name),
        actual.map_or("null", Algorithm::lower_name)
    )]
    TypeMismatch {
        /// The upload's.
        expected: Option<Algorithm>,
        /// The request's.
        actual: Option<Algorithm>,
    },
    /// A completion leaves out the checksum of a part of a composite upload.
    #[error(
        "The upload was created using a {} checksum. The complete request must include the checksum for each part. It was missing for part {part} in the request.",
        algorithm.lower_name()
    )]
    MissingForPart {
        /// The upload's algorithm.
        algorithm: Algorithm,
        /// Which part.
        part: u32,
    },
    /// The bytes of a body do not have the declared checksum.
    #[error("The {algorithm} you specified did not match the calculated checksum.")]
    Mismatch {
        /// Whose value.
        algorithm: Algorithm,
    },
    /// The whole of a multipart upload does not have the declared checksum.
    #[error("The {} you specified did not match the calculated checksum.", algorithm.lower_name())]
    ObjectMismatch {
        /// Whose value.
        algorithm: Algorithm,
    },
    /// A completion declares another checksum for a part than the part has.
    #[error("The {} you specified for part {part} did not match what we received.", algorithm.lower_name())]
    PartMismatch {
        /// Whose value.
        algorithm: Algorithm,
        /// Which part.
        part: u32,
    },
    /// The Content-MD5 header is not base64 of 16 bytes.
    #[error("The Content-MD5 you specified was invalid.")]
    InvalidMd5 {
        /// The header as sent, cut to a sane length.
        given: String,
    },
    /// The bytes of a body do not have the declared MD5.
    #[error("The Content-MD5 you specified did not match what we received.")]
    Md5Mismatch {
        /// Base64 of what the client declared.
        expected: String,
        /// Base64 of what arrived.
        calculated: String,
    },
}

// === impl ChecksumError ===

impl ChecksumError {
    /// The S3 error code, which also decides the status.
    pub const fn code(&self) -> Code {
        match self {
            Self::InvalidMd5 { .. } => Code::InvalidDigest,
            Self::Mismatch { .. }
            | Self::ObjectMismatch { .. }
            | Self::PartMismatch { .. }
            | Self::Md5Mismatch { .. } => Code::BadDigest,
            _ => Code::InvalidRequest,
        }
    }

    /// Elements beside Code and Message, in order.
    pub fn extras(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::InvalidMd5 { given } => vec![("Content-MD5", given.clone())],
            Self::Md5Mismatch { expected, calculated } => {
                vec![("ExpectedDigest", expected.clone()), ("CalculatedDigest", calculated.clone())]
            }
            _ => Vec::new(),
        }
    }
}

impl From<ChecksumError> for S3Error {
    fn from(error: ChecksumError) -> Self {
        let refusal = Self::with_message(error.code(), error.to_string());
        error.extras().into_iter().fold(refusal, |refusal, (name, value)| refusal.extra(name, value))
    }
}
