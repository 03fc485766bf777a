//! Request bodies: the aws-chunked framing with its signatures and trailers, and every check a client asked for.
//!
//! Words: the *encoded* body is what the connection carries; the *decoded* body is the object. A *trailer* is a
//! header line after the last chunk.
//!
//! ```text
//! unsigned   3\r\n abc \r\n 0\r\n x-amz-checksum-crc32:NSRBwg==\r\n \r\n
//! signed     3;chunk-signature=<64 hex>\r\n abc \r\n 0;chunk-signature=<64 hex>\r\n
//!            [x-amz-checksum-crc32:NSRBwg==\r\n x-amz-trailer-signature:<64 hex>\r\n] \r\n
//! ```
//!
//! Flow: [`PayloadReader::new`] reads what was promised; [`PayloadReader::read`] is fed the encoded body and gives
//! decoded pieces; [`PayloadReader::finish`] says whether every promise held. Nothing here does I/O.
//!
//! Chunks of any size are taken. S3 itself refuses small ones before the last (InvalidChunkSizeError, below 8 KiB); other
//! stores do not, and a client that worked with one of those goes on working.
//!
//! Invariant: no byte of a signed chunk is given out before its signature was checked.
//! Invariant: what is buffered is bounded: one signed chunk, or one line.
//! Invariant: pieces given out are not yet the object: until `finish` answers Ok the caller must be able to drop them.

mod decoder;
mod encoder;
mod error;
mod reader;

pub use crate::metadata::content_encoding as stored_content_encoding;
pub use decoder::{Decoder, Framing};
pub use encoder::Encoder;
pub use error::PayloadError;
pub use reader::{PayloadReader, Received};

/// Largest signed chunk, in bytes: it is held until its signature is checked. Clients send 64 KiB to 1 MiB.
pub const SIGNED_CHUNK_BYTES_MAX: u64 = 16 << 20;
/// Longest line of the framing (chunk header or trailer), in bytes.
pub const LINE_BYTES_MAX: usize = 1024;
/// Most trailers one request may announce.
pub const TRAILERS_MAX: usize = 8;

/// The trailer that signs the others.
const TRAILER_SIGNATURE: &str = "x-amz-trailer-signature";

#[cfg(test)]
mod tests;
