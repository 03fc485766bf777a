//! S3 errors: one table from code to status and text, and the error document to the letter.
//!
//! The document is `Code`, `Message`, the code's own elements, `RequestId`, `HostId`, in that order and without a
//! namespace. An answer to HEAD carries the status and headers only; leaving the body out is the caller's duty.

use std::borrow::Cow;
use std::fmt;

use http::{HeaderName, HeaderValue, StatusCode};
use model::BodyError;

use crate::xml;

/// Most bytes of one extra element: what a client sent is echoed, but not without end.
const EXTRA_BYTES_MAX: usize = 64 * 1024;

/// Text of every `MalformedXML`.
pub const MALFORMED_XML: &str =
    "The XML you provided was not well-formed or did not validate against our published schema";

macro_rules! codes {
    ($($name:ident $status:literal $message:literal;)*) => {
        /// An S3 error code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "the names are S3's own, their meaning is the message beside them")]
        pub enum Code { $($name,)* }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
            /// The HTTP status it is sent with.
            pub fn status(self) -> StatusCode {
                let number: u16 = match self { $(Self::$name => $status,)* };
                StatusCode::from_u16(number).expect("the table holds legal statuses")
            }
            /// The text sent unless the place that fails has a better one.
            pub fn message(self) -> &'static str {
                match self { $(Self::$name => $message,)* }
            }
            /// The code of this name, if it is one of ours.
            pub fn parse(name: &str) -> Option<Self> {
                match name { $(stringify!($name) => Some(Self::$name),)* _ => None }
            }
        }
    };
}

codes! {
    AccessDenied 403 "Access Denied";
    AuthorizationHeaderMalformed 400 "The authorization header is malformed.";
    AuthorizationQueryParametersError 400 "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.";
    BadDigest 400 "The Content-MD5 you specified did not match what we received.";
    BadRequest 400 "Bad Request";
    BucketAlreadyExists 409 "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again.";
    BucketAlreadyOwnedByYou 409 "Your previous request to create the named bucket succeeded and you already own it.";
    BucketNotEmpty 409 "The bucket you tried to delete is not empty";
    ConditionalRequestConflict 409 "The conditional request cannot succeed due to a conflicting operation against this resource.";
    EntityTooLarge 400 "Your proposed upload exceeds the maximum allowed size";
    EntityTooSmall 400 "Your proposed upload is smaller than the minimum allowed size";
    ExpiredToken 400 "The provided token has expired.";
    GlacierExpeditedRetrievalNotAvailable 503 "Glacier expedited retrievals are currently not available, please try again later";
    IllegalLocationConstraintException 400 "The specified location-constraint is not valid";
    IncompleteBody 400 "You did not provide the number of bytes specified by the Content-Length HTTP header";
    InternalError 500 "We encountered an internal error. Please try again.";
    InvalidAccessKeyId 403 "The AWS Access Key Id you provided does not exist in our records.";
    InvalidArgument 400 "Invalid Argument";
    InvalidBucketName 400 "The specified bucket is not valid.";
    InvalidBucketOwnerAWSAccountID 400 "The value of the expected bucket owner parameter must be an AWS Account ID...";
    InvalidDigest 400 "The Content-MD5 you specified was invalid.";
    InvalidLocationConstraint 400 "The specified location-constraint is not valid";
    InvalidObjectState 403 "The operation is not valid for the object's storage class";
    InvalidPart 400 "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.";
    InvalidPartNumber 416 "The requested partnumber is not satisfiable";
    InvalidPartOrder 400 "The list of parts was not in ascending order. Parts must be ordered by part number.";
    InvalidPolicyDocument 400 "The content of the form does not meet the conditions specified in the policy document.";
    InvalidRange 416 "The requested range is not satisfiable";
    InvalidRequest 400 "Invalid Request";
    InvalidStorageClass 400 "The storage class you specified is not valid";
    InvalidTag 400 "The tag provided was not a valid tag.";
    InvalidToken 400 "The provided token is malformed or otherwise invalid.";
    InvalidURI 400 "Couldn't parse the specified URI.";
    KeyTooLongError 400 "Your key is too long";
    MalformedPOSTRequest 400 "The body of your POST request is not well-formed multipart/form-data.";
    MalformedXML 400 "The XML you provided was not well-formed or did not validate against our published schema";
    MaxMessageLengthExceeded 400 "Your request was too big.";
    MaxPostPreDataLengthExceededError 400 "Your POST request fields preceding the upload file were too large.";
    MetadataTooLarge 400 "Your metadata headers exceed the maximum allowed metadata size";
    MethodNotAllowed 405 "The specified method is not allowed against this resource.";
    MissingContentLength 411 "You must provide the Content-Length HTTP header.";
    MissingRequestBodyError 400 "Request Body is empty";
    MissingSecurityHeader 400 "Your request was missing a required header";
    NoSuchBucket 404 "The specified bucket does not exist";
    NoSuchKey 404 "The specified key does not exist.";
    NoSuchLifecycleConfiguration 404 "The lifecycle configuration does not exist";
    NoSuchTagSet 404 "The TagSet does not exist";
    NoSuchUpload 404 "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.";
    NoSuchVersion 404 "The specified version does not exist.";
    NotImplemented 501 "A header you provided implies functionality that is not implemented";
    ObjectAlreadyInActiveTierError 403 "This action is not allowed against this storage tier.";
    ObjectNotInActiveTierError 403 "The source object of the COPY action is not in the active tier and is only stored in Amazon S3 Glacier.";
    OperationAborted 409 "A conflicting conditional operation is currently in progress against this resource. Please try again.";
    PreconditionFailed 412 "At least one of the pre-conditions you specified did not hold";
    RequestHeaderSectionTooLarge 400 "Your request header section exceeds the maximum allowed size.";
    RequestTimeTooSkewed 403 "The difference between the request time and the current time is too large.";
    RequestTimeout 400 "Your socket connection to the server was not read from or written to within the timeout period. Idle connections will be closed.";
    RestoreAlreadyInProgress 409 "Object restore is already in progress";
    ServiceUnavailable 503 "Service is unable to handle request.";
    SignatureDoesNotMatch 403 "The request signature we calculated does not match the signature you provided. Check your key and signing method.";
    SlowDown 503 "Please reduce your request rate.";
    TooManyBuckets 400 "You have attempted to create more buckets than allowed";
    UnexpectedContent 400 "This request contains unsupported content.";
    XAmzContentSHA256Mismatch 400 "The provided 'x-amz-content-sha256' header does not match what was computed.";
}

/// A refusal as S3 words it. Knows its status, its document and its headers; not the request it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Error {
    /// The code, which also decides the status.
    pub code: Code,
    /// The text of `Message`.
    pub message: Cow<'static, str>,
    /// The code's own elements, in the order written.
    pub extras: Vec<(Cow<'static, str>, String)>,
    /// Headers sent beside the usual ones, such as `Allow`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// What every function here that can refuse a request returns.
pub type Result<T> = std::result::Result<T, S3Error>;

// === impl S3Error ===

impl S3Error {
    /// The error with its default text.
    pub fn new(code: Code) -> Self {
        Self::with_message(code, code.message())
    }

    /// The error with a text of its own.
    pub fn with_message(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), extras: Vec::new(), headers: Vec::new() }
    }

    /// Adds an element after the ones there are. Values are cut at 64 KiB.
    pub fn extra(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        let mut value = value.into();
        value.truncate(value.floor_char_boundary(EXTRA_BYTES_MAX));
        self.extras.push((name.into(), value));
        self
    }

    /// Adds a header.
    pub fn header(mut self, name: &'static str, value: HeaderValue) -> Self {
        self.headers.push((HeaderName::from_static(name), value));
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.code.status()
    }

    /// The error document.
    pub fn document(&self, request_id: &str, host_id: &str) -> Vec<u8> {
        let mut out = xml::Writer::bare();
        out.open("Error");
        out.leaf("Code", self.code.as_str());
        out.leaf("Message", &self.message);
        for (name, value) in &self.extras {
            out.leaf(name, value);
        }
        out.leaf("RequestId", request_id);
        out.leaf("HostId", host_id);
        out.close("Error");
        out.finish()
    }

    // --- the errors whose extra elements belong to the code ---

    /// `MalformedXML` with the standard text.
    pub fn malformed_xml() -> Self {
        Self::new(Code::MalformedXML)
    }

    /// `InvalidArgument` naming the argument and its value.
    pub fn argument(message: impl Into<Cow<'static, str>>, name: &str, value: impl Into<String>) -> Self {
        Self::with_message(Code::InvalidArgument, message)
            .extra("ArgumentName", name)
            .extra("ArgumentValue", value)
    }

    /// `InvalidRequest` with this text.
    pub fn invalid_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::with_message(Code::InvalidRequest, message)
    }

    /// `NoSuchBucket`.
    pub fn no_such_bucket(bucket: &str) -> Self {
        Self::new(Code::NoSuchBucket).extra("BucketName", bucket)
    }

    /// `NoSuchKey`.
    pub fn no_such_key(key: &str) -> Self {
        Self::new(Code::NoSuchKey).extra("Key", key)
    }

    /// `NoSuchUpload`.
    pub fn no_such_upload(upload: &str) -> Self {
        Self::new(Code::NoSuchUpload).extra("UploadId", upload)
    }

    /// `NoSuchVersion`.
    pub fn no_such_version(key: &str, version: &str) -> Self {
        Self::new(Code::NoSuchVersion).extra("Key", key).extra("VersionId", version)
    }

    /// `NoSuchLifecycleConfiguration`.
    pub fn no_such_lifecycle(bucket: &str) -> Self {
        Self::new(Code::NoSuchLifecycleConfiguration).extra("BucketName", bucket)
    }

    /// `InvalidObjectState` of a read (GET, HEAD does not fail) of an archived object in `class`.
    pub fn archived(class: &str) -> Self {
        Self::new(Code::InvalidObjectState).extra("StorageClass", class)
    }

    /// `InvalidObjectState` of a copy whose source is archived in `class`.
    pub fn archived_source(class: &str) -> Self {
        Self::with_message(
            Code::InvalidObjectState,
            "Operation is not valid for the source object's storage class",
        )
        .extra("StorageClass", class)
    }

    /// `InvalidObjectState` of a restore of an object whose class needs none.
    pub fn not_restorable(class: &str) -> Self {
        Self::with_message(
            Code::InvalidObjectState,
            "Restore is not allowed for the object's current storage class",
        )
        .extra("StorageClass", class)
    }

    /// `MethodNotAllowed` on a resource of this kind (`BUCKET`, `OBJECT`, `LIFECYCLE`, ...).
    pub fn method_not_allowed(method: &str, resource: impl Into<String>) -> Self {
        Self::new(Code::MethodNotAllowed).extra("Method", method).extra("ResourceType", resource)
    }

    /// `NotImplemented` because of this header.
    pub fn header_not_implemented(header: &str) -> Self {
        Self::new(Code::NotImplemented).extra("Header", header)
    }

    /// `InvalidRange` of the range text asked for on an object of `size` bytes; `Content-Range` is set.
    pub fn invalid_range(asked: &str, size: u64) -> Self {
        let range = HeaderValue::try_from(format!("bytes */{size}")).expect("digits are a header value");
        Self::new(Code::InvalidRange)
            .extra("RangeRequested", asked)
            .extra("ActualObjectSize", size.to_string())
            .header("content-range", range)
    }

    /// `InvalidPartNumber` of a part asked for on an object of `parts` parts.
    pub fn invalid_part_number(asked: u32, parts: u32) -> Self {
        Self::new(Code::InvalidPartNumber)
            .extra("ActualPartCount", parts.to_string())
            .extra("PartNumberRequested", asked.to_string())
    }

    /// `PreconditionFailed` naming the condition header that did not hold.
    pub fn precondition_failed(condition: &str) -> Self {
        Self::new(Code::PreconditionFailed).extra("Condition", condition)
    }
}

impl From<&BodyError> for S3Error {
    /// What to answer when a request's body ended before its end: the refusal it carries, or `IncompleteBody` when
    /// the connection broke off (nobody may be there to read it). A code that is none of ours is `InternalError`.
    fn from(error: &BodyError) -> Self {
        match error {
            BodyError::Broken(_) => Code::IncompleteBody.into(),
            BodyError::Refused { code, message, extras } => match Code::parse(code) {
                Some(code) => {
                    extras.iter().fold(Self::with_message(code, message.clone()), |error, (name, value)| {
                        error.extra(*name, value)
                    })
                }
                None => Code::InternalError.into(),
            },
        }
    }
}

impl From<Code> for S3Error {
    fn from(code: Code) -> Self {
        Self::new(code)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for S3Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for S3Error {}

#[cfg(test)]
mod tests;
