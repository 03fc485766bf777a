//! The reserved header, typed. It is a hint, never an authority: act on it only when the catalog row agrees.

use serde::{Deserialize, Serialize};

use crate::limits::{MARKER_BYTES_MAX, METADATA_BYTES_MAX};
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

/// What the names of user metadata begin with.
pub const USER_PREFIX: &str = "x-amz-meta-";

/// The user metadata that finds no room on a stub beside the reserved header and stays in the catalog alone: all of
/// it or none. `headers` are those of the object, as an inspection returned them.
pub fn displaced(headers: &[(String, String)]) -> Vec<(String, String)> {
    let user = || headers.iter().filter(|(name, _)| name.starts_with(USER_PREFIX));
    let bytes: usize = user().map(|(name, value)| name.len() - USER_PREFIX.len() + value.len()).sum();
    if bytes + MARKER_BYTES_MAX <= METADATA_BYTES_MAX { Vec::new() } else { user().cloned().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_metadata_gives_way_as_a_whole() {
        let header = |name: &str, length: usize| (name.to_owned(), "v".repeat(length));
        let fitting = METADATA_BYTES_MAX - MARKER_BYTES_MAX - "ab".len();
        let mut headers = vec![
            header("content-type", 3_000),
            header("x-amz-meta-a", fitting - 10),
            header("x-amz-meta-b", 10),
        ];
        assert_eq!(displaced(&headers), []);
        headers[2].1.push('v');
        assert_eq!(displaced(&headers), headers[1..], "one byte too many displaces all of it");
        assert_eq!(displaced(&[]), []);
    }
}
