//! What the database holds. Every value is a format byte and a postcard record; fields are only ever appended
//! under a new format byte.

use model::bucket::Versioning;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::fault::Fault;

/// Format byte of every record written today.
const FORMAT: u8 = 2;

/// Name of a piece of content, given once and never again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct ContentId(pub(crate) u128);

/// Number of a bucket: a bucket made again under the same name has another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BucketId(pub(crate) u64);

/// Where a segment's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Place {
    /// In the database.
    Inline(ContentId),
    /// In a data file of exactly the segment's length.
    File(ContentId),
}

/// Bytes of an object that lie together. An object's bytes are its segments one after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Segment {
    pub(crate) place: Place,
    pub(crate) length: u64,
}

/// A checksum as it is reported: the header's name, its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredChecksum {
    /// Name of the algorithm, such as `CRC32`.
    pub(crate) algorithm: String,
    /// Base64, with `-N` for a composite one.
    pub(crate) value: String,
    /// `FULL_OBJECT` or `COMPOSITE`.
    pub(crate) kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bucket {
    pub(crate) id: BucketId,
    /// Milliseconds since 1970.
    pub(crate) created: i64,
    pub(crate) versioning: Versioning,
    pub(crate) acl: Option<Acl>,
}

/// Whom an object or a bucket is granted to, sorted, each grant once; where there is none, the owner has every right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Acl(pub(crate) Vec<Grant>);

/// One right of somebody.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Grant {
    pub(crate) grantee: Grantee,
    pub(crate) permission: Permission,
}

/// Who is granted something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Grantee {
    /// By canonical id.
    User(String),
    Group(Group),
}

/// Users S3 has a name for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Group {
    AllUsers,
    AuthenticatedUsers,
    LogDelivery,
}

/// What is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Permission {
    FullControl,
    Read,
    ReadAcp,
    Write,
    WriteAcp,
}

/// What stands in the history of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Entry {
    Object(Box<Version>),
    Marker(Marker),
}

/// A delete marker: the key was deleted, what was there before is below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Marker {
    pub(crate) sequence: u64,
    pub(crate) is_null: bool,
    /// Milliseconds since 1970.
    pub(crate) last_modified: i64,
}

/// The version a listing shows and a read without a version id finds. A key whose newest entry is a delete marker
/// has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Current {
    pub(crate) sequence: u64,
    pub(crate) etag: String,
    pub(crate) size: u64,
    /// Milliseconds since 1970.
    pub(crate) last_modified: i64,
    /// Storage class, `STANDARD` included.
    pub(crate) class: String,
    /// Algorithm and kind of the checksum.
    pub(crate) checksum: Option<(String, String)>,
}

/// One object version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Version {
    /// Ascends with every write to the store.
    pub(crate) sequence: u64,
    /// Written while its bucket kept no versions.
    pub(crate) is_null: bool,
    pub(crate) etag: String,
    pub(crate) size: u64,
    /// Milliseconds since 1970.
    pub(crate) last_modified: i64,
    pub(crate) class: String,
    /// System headers and user metadata, lower-case, sorted.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) checksum: Option<StoredChecksum>,
    pub(crate) segments: Vec<Segment>,
    /// Sizes of the parts it was uploaded in; empty for one PUT.
    pub(crate) part_bytes: Vec<u64>,
    /// Base64 checksums of those parts where the object's is a composite one; empty for any other.
    pub(crate) part_checksums: Vec<String>,
    /// The multipart upload that made it: completing that again is answered alike.
    pub(crate) upload: Option<u128>,
    /// Tags in the form of `x-amz-tagging`; empty for none.
    pub(crate) tags: String,
    pub(crate) acl: Option<Acl>,
}

/// A multipart upload in progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Upload {
    /// Milliseconds since 1970.
    pub(crate) created: i64,
    pub(crate) class: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) tags: String,
    pub(crate) acl: Option<Acl>,
    /// Algorithm and kind, `None` when the client asked for none.
    pub(crate) checksum: Option<(String, String)>,
}

/// A part of an upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    /// MD5 of the bytes.
    pub(crate) md5: [u8; 16],
    pub(crate) size: u64,
    /// Milliseconds since 1970.
    pub(crate) last_modified: i64,
    pub(crate) checksum: StoredChecksum,
    /// `None` for a part of no bytes.
    pub(crate) segment: Option<Segment>,
}

// === impl Entry ===

impl Entry {
    pub(crate) fn sequence(&self) -> u64 {
        match self {
            Self::Object(version) => version.sequence,
            Self::Marker(marker) => marker.sequence,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        match self {
            Self::Object(version) => version.is_null,
            Self::Marker(marker) => marker.is_null,
        }
    }

    pub(crate) fn last_modified(&self) -> i64 {
        match self {
            Self::Object(version) => version.last_modified,
            Self::Marker(marker) => marker.last_modified,
        }
    }

    /// Its version id.
    pub(crate) fn id(&self) -> String {
        version_id(self.sequence(), self.is_null(), self.last_modified())
    }

    /// The object, if it is one.
    pub(crate) fn object(self) -> Option<Version> {
        match self {
            Self::Object(version) => Some(*version),
            Self::Marker(_) => None,
        }
    }
}

// === impl Version ===

impl Version {
    /// Its version id.
    pub(crate) fn id(&self) -> String {
        version_id(self.sequence, self.is_null, self.last_modified)
    }

    /// What listings need of it.
    pub(crate) fn current(&self) -> Current {
        Current {
            sequence: self.sequence,
            etag: self.etag.clone(),
            size: self.size,
            last_modified: self.last_modified,
            class: self.class.clone(),
            checksum: self.checksum.as_ref().map(|sum| (sum.algorithm.clone(), sum.kind.clone())),
        }
    }
}

/// The id of a version: `null`, or 32 hexadecimal digits, of which the newest comes first in order.
fn version_id(sequence: u64, is_null: bool, last_modified: i64) -> String {
    if is_null { "null".to_owned() } else { list_position(sequence, last_modified) }
}

/// The place of an entry among those of its key, as text: a list goes on behind it even when the entry is gone.
pub(crate) fn list_position(sequence: u64, last_modified: i64) -> String {
    format!("{:016x}{:016x}", !sequence, last_modified.cast_unsigned())
}

/// The inverted sequence in an id or position; none for what never was one.
pub(crate) fn inverted_sequence(id: &str) -> Option<u64> {
    let legal = id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if legal { u64::from_str_radix(&id[..16], 16).ok() } else { None }
}

/// The bytes of a record.
pub(crate) fn encode(table: &'static str, record: &impl Serialize) -> Result<Vec<u8>, Fault> {
    postcard::to_extend(record, vec![FORMAT]).map_err(|source| Fault::Record { table, source })
}

/// The record of these bytes.
pub(crate) fn decode<T: DeserializeOwned>(table: &'static str, bytes: &[u8]) -> Result<T, Fault> {
    match bytes.split_first() {
        Some((&FORMAT, rest)) => postcard::from_bytes(rest).map_err(|source| Fault::Record { table, source }),
        _ => Err(Fault::Record { table, source: postcard::Error::DeserializeBadEncoding }),
    }
}
