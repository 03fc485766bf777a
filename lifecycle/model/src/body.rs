//! Bytes on their way: an object is never held whole.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;

/// The body of a request or response between rooms: data frames, then trailers (checksums that come after the
/// bytes). Its size hint is exact when the length is known.
pub type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, BodyError>;

/// Plain bytes in pieces of at most [`crate::limits::CHUNK_BYTES_MAX`].
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send>>;

/// Why a body ended before its end. Whoever consumes it must undo what it did with the bytes so far.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The sender's bytes are not what it said they are: answer it with this S3 error.
    #[error("the body was refused: {code}: {message}")]
    Refused {
        /// S3 error code, such as `BadDigest`.
        code: &'static str,
        /// S3 error message.
        message: String,
        /// Further elements of the error document, in order.
        extras: Vec<(&'static str, String)>,
    },
    /// The connection or the disk behind the body failed.
    #[error("the body broke off")]
    Broken(#[source] std::io::Error),
}

/// A body of these bytes.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    use http_body_util::{BodyExt, Full};
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body of no bytes.
pub fn empty() -> Body {
    full(Bytes::new())
}
