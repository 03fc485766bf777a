//! AWS Signature Version 4 as S3 uses it: who sent this request, and was it altered on the way.
//!
//! Words: a *claim* is what a request says about its own signature; a *scope* is day, region and service a signing
//! key is good for; a *payload token* is the value of `x-amz-content-sha256`; a *chain* carries the signature from
//! the request over its chunks to its trailer.
//!
//! Flow of [`Verifier::verify`]: bounds -> which mechanism -> claim -> scope and clock -> every `x-amz-*` header is
//! signed -> secret of the key -> canonical request -> compare in constant time.
//!
//! Invariant: a request is never *less* than it says: one that carries any sign of authentication is verified or
//! refused, never treated as anonymous.
//! Invariant: the path is canonicalised by decoding and encoding again; the raw path is tried only when it carries
//! reserved bytes unencoded, and nothing else is ever tried.
//! Invariant: secrets and keys have no readable Debug form and stand in no error.
//!
//! Not here: what the caller may do (the edge), the chunks of a streaming body ([`crate::aws_chunked`]), Signature
//! Version 2 and 4A (refused), and what a POST form may say under its policy ([`crate::post_form`]).

mod authorization;
mod canonical;
mod date;
mod error;
mod hex_hash;
mod key;
mod payload;
mod presigned;
mod scope;
mod sign;
mod verify;

pub use date::AmzDate;
pub use error::AuthError;
pub use key::{BrokenLink, Secret, Signature, SignatureChain};
pub use payload::{Payload, PayloadToken};
pub use sign::{SignError, Signer, host};
pub use verify::{Caller, FormClaim, RequestView, Verdict, Verifier};

/// The only algorithm spoken here.
pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// SHA-256 of nothing, in hex.
pub(crate) const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// How far the clocks of client and gateway may differ, either way (15 minutes).
pub const SKEW_MILLISECONDS_MAX: i64 = 15 * 60 * 1000;
/// Longest life of a presigned URL (7 days).
pub const PRESIGN_SECONDS_MAX: i64 = 604_800;
/// Most bytes of path, query and headers that are looked at, together.
pub const REQUEST_HEAD_BYTES_MAX: usize = 64 * 1024;
/// Longest Authorization header.
pub(crate) const AUTHORIZATION_BYTES_MAX: usize = 8 * 1024;

const _: () = assert!(AUTHORIZATION_BYTES_MAX < REQUEST_HEAD_BYTES_MAX);

#[cfg(test)]
mod tests;
