//! The reserved header `x-amz-meta-tapegate` and the body of a stub.
//!
//! `v1;<whole|stub>;<archive>;<class>;<size>;<etag>;<mtime>;<hmac>`: the size in bytes, the ETag without quotes and
//! with `%`, `;` percent-encoded, Last-Modified in milliseconds since 1970; these three are `-` when the object was
//! not known yet (a direct write). The HMAC-SHA256, in hex, is over everything before it and the bucket and key, so
//! that a record copied to another key is no record. The header is a hint, never an authority: whoever reads it acts
//! only when the catalog agrees.

use aws_sigv4::sign::v4::calculate_signature;
use model::limits::STUB_BYTES;
use model::marker::Original;
use model::{BucketName, ETag, Marker, MarkerKind, ObjectKey, TapeClass, Timestamp};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use subtle::ConstantTimeEq;

/// Name of the reserved header. Clients can neither set nor see it.
pub const HEADER: &str = "x-amz-meta-tapegate";

/// Why a reserved header is not one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MarkerError {
    /// The text does not have the form of a record of this version.
    #[error("the reserved header is not a record")]
    Form,
    /// The record was not made by this gateway for this key.
    #[error("the reserved header does not carry our signature for this key")]
    Signature,
}

/// The key that records are signed with. Never printed.
#[derive(Clone)]
pub struct MarkerKey([u8; 32]);

/// The record of a marker on an object.
pub fn render(marker: &Marker, bucket: &BucketName, key: &ObjectKey, secret: &MarkerKey) -> String {
    let kind = match marker.kind {
        MarkerKind::Whole => "whole",
        MarkerKind::Stub => "stub",
    };
    let original = match &marker.original {
        None => "-;-;-".to_owned(),
        Some(Original { size, etag, last_modified }) => {
            let etag = utf8_percent_encode(etag.as_str(), ETAG_ESCAPED);
            format!("{size};{etag};{}", last_modified.milliseconds())
        }
    };
    let fields = format!("{VERSION};{kind};{};{};{original}", marker.archive, marker.class);
    let signature = sign(&fields, bucket, key, secret);
    format!("{fields};{signature}")
}

/// Reads a record found on this key and checks its signature in constant time.
pub fn parse(
    record: &str,
    bucket: &BucketName,
    key: &ObjectKey,
    secret: &MarkerKey,
) -> Result<Marker, MarkerError> {
    let (fields, signature) = record.rsplit_once(';').ok_or(MarkerError::Form)?;
    let marker = unverified(record)?;
    let expected = sign(fields, bucket, key, secret);
    if bool::from(expected.as_bytes().ct_eq(signature.as_bytes())) {
        Ok(marker)
    } else {
        Err(MarkerError::Signature)
    }
}

/// Reads a record without its key: for people and for reports only.
pub fn unverified(record: &str) -> Result<Marker, MarkerError> {
    let fields: Vec<&str> = record.split(';').collect();
    let [VERSION, kind, archive, class, size, etag, mtime, _signature] = fields[..] else {
        return Err(MarkerError::Form);
    };
    let kind = match kind {
        "whole" => MarkerKind::Whole,
        "stub" => MarkerKind::Stub,
        _ => return Err(MarkerError::Form),
    };
    let archive = archive.parse().map_err(|_| MarkerError::Form)?;
    let class: TapeClass = class.parse().map_err(|_| MarkerError::Form)?;
    let original = match (size, etag, mtime) {
        ("-", "-", "-") => None,
        _ => Some(original(size, etag, mtime).ok_or(MarkerError::Form)?),
    };
    Ok(Marker { kind, archive, class, original })
}

/// The body of a stub: text for a person who reads the store without the gateway, the record, and spaces up to
/// exactly [`STUB_BYTES`].
pub fn stub_body(record: &str) -> Vec<u8> {
    let mut body = format!("{STUB_TEXT}\n{record}\n");
    let length = usize::try_from(STUB_BYTES).expect("a stub is small");
    assert!(body.len() < length, "a record of {} bytes does not fit a stub", record.len());
    body.extend(std::iter::repeat_n(' ', length - body.len() - 1));
    body.push('\n');
    body.into_bytes()
}

/// The record in the body of a stub; nothing when the bytes are no stub.
pub fn stub_record(body: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(body).ok().filter(|text| text.len() as u64 == STUB_BYTES)?;
    text.strip_prefix(STUB_TEXT)?.strip_prefix('\n')?.lines().next()
}

// === impl MarkerKey ===

impl MarkerKey {
    /// The key made of these random bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl std::fmt::Debug for MarkerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MarkerKey(..)")
    }
}

fn original(size: &str, etag: &str, mtime: &str) -> Option<Original> {
    let etag = percent_decode_str(etag).decode_utf8().ok()?;
    Some(Original {
        size: size.parse().ok()?,
        etag: ETag::parse(&etag).ok()?,
        last_modified: Timestamp::from_milliseconds(mtime.parse().ok()?),
    })
}

fn sign(fields: &str, bucket: &BucketName, key: &ObjectKey, secret: &MarkerKey) -> String {
    // Neither the fields nor a bucket name can hold a line end, and the key comes last: no two inputs read alike.
    calculate_signature(secret.0, format!("tapegate-marker\n{fields}\n{bucket}\n{key}").as_bytes())
}

const VERSION: &str = "v1";
const ETAG_ESCAPED: &AsciiSet = &CONTROLS.add(b'%').add(b';').add(b'-');
const STUB_TEXT: &str = "\
This object was moved to tape by tapegate. Its bytes are not here: this is a stub that keeps its name and its
metadata. To read the object, ask the gateway in front of this store: request a restore (S3 RestoreObject), wait
until it is done, then read it through the gateway. Do not copy, edit or delete the stub behind the gateway's back;
deleting the object through the gateway is fine. Without a gateway, the bytes can be read from the cartridges with
`tapegate tape read`, LTFS, tar and zstd. The record:";

#[cfg(test)]
mod tests;
