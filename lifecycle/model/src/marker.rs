//! The reserved header, typed. It is a hint, never an authority: act on it only when the catalog row agrees.

use serde::{Deserialize, Serialize};

use crate::{ArchiveId, ETag, TapeClass, Timestamp};

/// What the bytes under a marker are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MarkerKind {
    /// The object's own bytes, archived for every client all the same.
    Whole,
    /// A stub.
    Stub,
}

/// `x-amz-meta-tapegate`, without its HMAC (which the dialect adds and checks).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// Whole bytes or a stub.
    pub kind: MarkerKind,
    /// The archive that owns the key.
    pub archive: ArchiveId,
    /// The class clients see.
    pub class: TapeClass,
    /// What the object was, as far as known when the marker was written: nothing yet for a direct write.
    pub original: Option<Original>,
}

/// An object as clients go on seeing it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Original {
    /// Size in bytes.
    pub size: u64,
    /// ETag.
    pub etag: ETag,
    /// Last-Modified.
    pub last_modified: Timestamp,
}
