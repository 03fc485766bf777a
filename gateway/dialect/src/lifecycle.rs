//! Lifecycle configurations: read and validated, written as they were put.
//!
//! Order of the checks, so that a client with several faults sees the one S3 would tell: the document and the ids
//! ([`read`]), then each rule in turn (`read`: its form, `check`: what its actions mean together), then what rules
//! of the older form must not do to each other (`check`). A body is read whole or refused whole.

mod check;
mod read;
mod write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue};
use model::Timestamp;
use model::rule::{LifecycleConfiguration, TransitionMinimum};

use crate::date;
use crate::error::{Result, S3Error};
use crate::xml;

/// Longest body read, in bytes.
pub const BYTES_MAX: usize = 4 << 20;
/// Header with the size below which objects do not transition, on requests and answers.
pub const MINIMUM_HEADER: &str = "x-amz-transition-default-minimum-object-size";

/// Reads the body of PutBucketLifecycleConfiguration. `new_id` gives an id to each rule that came without one
/// (see [`rule_id`]).
///
/// Errors: `MalformedXML`, `InvalidArgument` or `InvalidRequest`, each with S3's own text.
pub fn read(
    body: &[u8],
    minimum_size: TransitionMinimum,
    new_id: impl FnMut() -> String,
) -> Result<LifecycleConfiguration> {
    let root = xml::read(body, "LifecycleConfiguration", BYTES_MAX)?;
    let rules = read::rules(&root, new_id)?;
    check::overlap(&rules)?;
    Ok(LifecycleConfiguration { rules, minimum_size })
}

/// The document of GetBucketLifecycleConfiguration: every rule in the form it was put.
pub fn document(configuration: &LifecycleConfiguration) -> Vec<u8> {
    write::document(configuration)
}

/// The [`MINIMUM_HEADER`] of a request; the default when it is missing.
///
/// Errors: `InvalidRequest`.
pub fn minimum_size(headers: &HeaderMap) -> Result<TransitionMinimum> {
    match headers.get(MINIMUM_HEADER).map(HeaderValue::as_bytes) {
        None | Some(b"all_storage_classes_128K") => Ok(TransitionMinimum::AllStorageClasses128K),
        Some(b"varies_by_storage_class") => Ok(TransitionMinimum::VariesByStorageClass),
        Some(other) => {
            let value = String::from_utf8_lossy(other);
            Err(S3Error::invalid_request(format!(
                "Invalid TransitionDefaultMinimumObjectSize found: {value}"
            )))
        }
    }
}

/// The value of [`MINIMUM_HEADER`] on an answer.
pub fn minimum_size_text(minimum: TransitionMinimum) -> &'static str {
    match minimum {
        TransitionMinimum::AllStorageClasses128K => "all_storage_classes_128K",
        TransitionMinimum::VariesByStorageClass => "varies_by_storage_class",
    }
}

/// The `x-amz-expiration` of an object that this rule will delete at `due`.
pub fn expiration_header(due: Timestamp, rule_id: &str) -> String {
    format!("expiry-date=\"{}\", rule-id=\"{rule_id}\"", date::http(due))
}

/// Refuses a configuration sent without any digest of its body (Content-MD5 or `x-amz-checksum-*`).
///
/// Errors: `InvalidRequest`.
pub fn require_digest(headers: &HeaderMap) -> Result<()> {
    let digest =
        |name: &http::HeaderName| name == "content-md5" || name.as_str().starts_with("x-amz-checksum-");
    if headers.keys().any(digest) {
        return Ok(());
    }
    Err(S3Error::invalid_request("Missing required header for this request: Content-MD5 OR x-amz-checksum-*"))
}

/// An id for a rule that came without one, from 128 random bits: 48 characters, the base64 of a version 4 UUID.
pub fn rule_id(random: u128) -> String {
    let bits = (random & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    let uuid = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-");
    STANDARD.encode(uuid)
}

#[cfg(test)]
mod tests;
