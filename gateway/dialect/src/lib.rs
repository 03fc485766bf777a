//! S3 on the wire to typed values and back: routing, signatures, XML, error codes, the restore header and the
//! reserved header.
//!
//! Words: *document* is an XML body; *marker* is the reserved header in its typed form ([`model::Marker`]);
//! *overlay* is what a listing entry of an archived object is made to say.
//!
//! Flow of a request: [`route::route`] names the operation and its parameters; readers ([`lifecycle`],
//! [`restore_request`], [`multipart`], [`delete`], ...) turn its body into values that cannot be wrong; writers in
//! the same files turn answers into bytes; every refusal is an [`S3Error`].
//!
//! Invariant: nothing here does input or output, reads a clock or draws a random number.
//! Invariant: no request maps to an operation it did not name: what the router does not know is
//! [`route::Operation::Unknown`].

pub mod attributes;
pub mod aws_chunked;
pub mod bucket;
pub mod checksum;
pub mod conditions;
pub mod copy;
pub mod date;
pub mod delete;
pub mod error;
pub mod hop;
pub mod lifecycle;
pub mod listing;
pub mod metadata;
pub mod multipart;
pub mod overlay;
pub mod post_form;
pub mod range;
pub mod reserved;
pub mod restore;
pub mod restore_request;
pub mod route;
pub mod sigv4;
pub mod tagging;
pub mod xml;

pub use error::{Code, S3Error};
pub use route::{Operation, Route};
