//! The S3 record of an object, as it stands in a member's header and in the manifest.
//!
//! It is written as JSON. Readers ignore fields they do not know; a field left out has its empty value.

use serde::{Deserialize, Serialize};

/// Everything the object store said about an object version, enough to put it back as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRecord {
    /// Bucket name.
    pub bucket: String,
    /// Exact key. A member's header keeps it apart, as it is, and leaves it out of the JSON.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// Version id the client knows; absent in a bucket that never had versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// ETag without quotes.
    pub etag: String,
    /// Milliseconds since 1970-01-01 UTC.
    pub last_modified_ms: i64,
    /// Bytes of the whole object.
    pub size: u64,
    /// Storage class the object moves to, for instance `GLACIER`.
    pub class: String,
    /// System headers (content-type, cache-control, ...) in stored order, names in lower case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// User metadata without the `x-amz-meta-` prefix, in stored order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metadata: Vec<(String, String)>,
    /// Checksums of the whole object: algorithm (`CRC64NVME`, `SHA256`, ...; `-COMPOSITE` appended where it is one) and
    /// base64 value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checksums: Vec<(String, String)>,
    /// Parts of a multipart upload in order; empty for a single upload.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PartRecord>,
    /// Tags in stored order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<(String, String)>,
    /// The access control list, a line `name: value` for each `x-amz-grant-*` header as a PUT takes it; absent where the
    /// owner has every right and nobody else any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acl: Option<String>,
    /// Object Lock retention mode, `GOVERNANCE` or `COMPLIANCE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_mode: Option<String>,
    /// End of Object Lock retention, milliseconds since 1970-01-01 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_until_ms: Option<i64>,
    /// Object Lock legal hold.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub legal_hold: bool,
    /// A delete marker stands above this version: to who names no version the object is deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
}

/// One part of a multipart upload.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRecord {
    /// Part number, 1 to 10 000.
    pub number: u32,
    /// Bytes of the part.
    pub size: u64,
    /// ETag without quotes; empty where the store keeps none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub etag: String,
    /// Checksums of the part: algorithm and base64 value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checksums: Vec<(String, String)>,
}

/// Which piece of an object a member holds, when the object was cut because it is larger than a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Segment {
    /// 1 to `count`.
    pub index: u32,
    /// Number of segments of the object.
    pub count: u32,
}

impl Segment {
    /// Whether the numbers can be those of a segment: `1 <= index <= count <= 99 999`.
    pub fn is_valid(self) -> bool {
        1 <= self.index && self.index <= self.count && self.count <= super::limits::SEGMENTS_MAX
    }
}
