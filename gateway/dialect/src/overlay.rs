//! Edits a listing on its way from the store to the client.
//!
//! Two passes over the same bytes: [`entries`] tells which objects a page lists, so that the caller can look them
//! up; [`rewrite`] then changes what `Contents` says of those that are archived. Only the elements changed are
//! written anew: every other byte, known to us or not, leaves as it came.
//!
//! Works on ListObjects and ListObjectsV2 (`ListBucketResult`), and with [`version_entries`] and [`rewrite_versions`] on
//! ListObjectVersions (`ListVersionsResult`); with keys plain or percent-encoded. [`without_bucket`] leaves a bucket out
//! of whatever tells of many; [`root`] tells what a document is.

mod hide;
mod root;
mod scan;
mod versions;

pub use hide::without_bucket;
use model::restore::Visible;
use model::{ETag, ObjectKey, StorageClass, Timestamp};
pub use root::{Root, root};
use scan::{Item, Kind, Listing};
pub use versions::{Content, VersionEdit, VersionEntry, rewrite_versions, version_entries};

/// Longest listing edited, in bytes: 1 000 keys of 1 024 bytes, escaped, in one page.
pub const BYTES_MAX: usize = 16 << 20;

/// The store's answer is not a listing that can be edited. Nothing of it must reach a client unedited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverlayError {
    /// More bytes, or more entries, than a page can have.
    #[error("the listing is longer than any page")]
    TooLong,
    /// Not well-formed, or not the listing expected, or an entry lacks a key, a date or a size, or says one of them, or
    /// its ETag, twice.
    #[error("the listing cannot be read")]
    Form,
}

/// One listed object as the store tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Key, decoded.
    pub key: ObjectKey,
    /// ETag; none where the store lists no usable one, as some do once the tags of an object were deleted.
    pub etag: Option<ETag>,
    /// Last-Modified.
    pub last_modified: Timestamp,
    /// Size of what the store holds, in bytes.
    pub size: u64,
}

/// What an entry is made to say instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlay {
    /// ETag of the object.
    pub etag: ETag,
    /// Last-Modified of the object.
    pub last_modified: Timestamp,
    /// Size of the object in bytes.
    pub size: u64,
    /// Its class.
    pub class: StorageClass,
    /// Its restore, to be told (`x-amz-optional-object-attributes` was sent); `None` when it was not asked for.
    pub restore: Option<Visible>,
}

/// The objects a listing names, in its order.
pub fn entries(document: &[u8]) -> Result<Vec<Entry>, OverlayError> {
    Listing::scan(document, &OBJECTS)?.items.iter().map(Entry::of).collect()
}

/// The listing with the overlays put in; with none, the bytes given.
pub fn rewrite(
    document: &[u8],
    mut overlay: impl FnMut(&Entry) -> Option<Overlay>,
) -> Result<Vec<u8>, OverlayError> {
    Listing::scan(document, &OBJECTS)?.edit(document, |item| {
        let overlay = overlay(&Entry::of(item)?);
        Ok(overlay.map(|overlay| item.edits(item.overlaid(&overlay))).unwrap_or_default())
    })
}

// === impl Entry ===

impl Entry {
    fn of(item: &Item) -> Result<Self, OverlayError> {
        Ok(Self {
            key: item.key()?,
            etag: item.etag(),
            last_modified: item.last_modified()?,
            size: item.size()?,
        })
    }
}

const OBJECTS: Kind = Kind { root: "ListBucketResult", items: &["Contents"] };

#[cfg(test)]
mod tests;
