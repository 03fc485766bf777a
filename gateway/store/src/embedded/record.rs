//! What the database holds. Every value is a format byte and a postcard record; fields are only ever appended
//! under a new format byte.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::fault::Fault;

/// Format byte of every record written today.
const FORMAT: u8 = 1;

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
}

/// The version a listing shows and a read without a version id finds.
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
    /// The multipart upload that made it: completing that again is answered alike.
    pub(crate) upload: Option<u128>,
}

/// A multipart upload in progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Upload {
    /// Milliseconds since 1970.
    pub(crate) created: i64,
    pub(crate) class: String,
    pub(crate) headers: Vec<(String, String)>,
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

impl Version {
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
