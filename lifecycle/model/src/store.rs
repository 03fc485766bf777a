//! The object store behind the gateway, as a port.
//!
//! Clients' requests go through [`ObjectStore::call`] in S3's own form, so that what the gateway does not know
//! passes untouched. Background work uses the typed methods. Both speak with the service key.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};

use crate::{
    ArchiveId, Body, BucketName, ByteStream, ETag, Identity, Marker, ObjectKey, Remedy, Timestamp, VersionId,
};

/// What a store was seen to be able to do: probed, never believed from an answer alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The body of an existing version can be swapped, keeping version id, dates and lock. Where not, a flip is a
    /// conditional PUT.
    pub in_place: bool,
    /// A conditional PUT never loses against another writer.
    pub compare_and_set: bool,
}

/// An object version on the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectRef {
    /// Bucket.
    pub bucket: BucketName,
    /// Key.
    pub key: ObjectKey,
    /// Version; none for the current one.
    pub version: Option<VersionId>,
}

/// What the store says of an object without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectHead {
    /// ETag.
    pub etag: ETag,
    /// Size of what the store holds, in bytes.
    pub size: u64,
    /// Last-Modified.
    pub last_modified: Timestamp,
    /// Version id, where the bucket has versions.
    pub version: Option<VersionId>,
    /// System headers, user metadata (`x-amz-meta-*`, the reserved one left out), tags and ACL as the store
    /// returned them: lower-case names, sorted.
    pub headers: Vec<(String, String)>,
    /// `x-amz-checksum-*` as the store returned them, sorted.
    pub checksums: Vec<(String, String)>,
    /// The reserved header, when it is there and its HMAC is right.
    pub marker: Option<Marker>,
}

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Key.
    pub key: ObjectKey,
    /// ETag.
    pub etag: ETag,
    /// Size on the store, in bytes.
    pub size: u64,
    /// Last-Modified.
    pub last_modified: Timestamp,
}

/// A page of a listing, in the store's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The lines.
    pub entries: Vec<Listed>,
    /// Whether more follow the last one.
    pub more: bool,
}

/// What replaces the hot bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlipContent {
    /// A stub, whose text the adapter writes.
    Stub,
    /// An object too small for a stub keeps its bytes, at most [`crate::limits::STUB_BYTES`].
    Whole(Bytes),
}

/// One attempt to replace hot bytes. The caller holds the key's fence and has re-read `head` under it.
#[derive(Clone, Debug)]
pub struct Flip {
    /// What is replaced.
    pub target: ObjectRef,
    /// The object as read under the fence; its headers are kept.
    pub head: ObjectHead,
    /// The reserved header to write.
    pub marker: Marker,
    /// The bytes to write.
    pub content: FlipContent,
}

/// What the store said of a request of ours.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such bucket, object or copy.
    #[error("{what} is not on the store")]
    Missing {
        /// What was asked for.
        what: String,
    },
    /// The store refused because the object is not the one expected: nothing was done.
    #[error("{what} is no longer the object expected")]
    Changed {
        /// What was asked for.
        what: String,
    },
    /// The store refused for another reason and did nothing.
    #[error("the store refused {what}: {status} {code}")]
    Refused {
        /// The operation and the object.
        what: String,
        /// HTTP status.
        status: u16,
        /// S3 error code; empty when the store sent none.
        code: String,
    },
    /// No answer, or one that proves nothing (5xx, a broken connection): the work may or may not be done, now or
    /// later, until the request's deadline.
    #[error("{what} is in doubt")]
    Doubt {
        /// The operation and the object.
        what: String,
        /// What was seen.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no room on the store.
    #[error("the store is full: {what}")]
    Full {
        /// The operation and the object.
        what: String,
    },
}

impl StoreError {
    /// What the caller should do.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Missing { .. } | Self::Changed { .. } => Remedy::Refuse("PreconditionFailed"),
            Self::Refused { .. } => Remedy::Operator("ST-0101"),
            Self::Doubt { .. } => Remedy::Wait,
            Self::Full { .. } => Remedy::Operator("ST-0102"),
        }
    }
}

/// An object store.
///
/// Every method may be called at any time from any task. After an `Err(Doubt)` the caller looks before it acts.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// What this store can do.
    fn capabilities(&self) -> Capabilities;

    /// Answers one S3 request, path style, already authenticated and with a plain (not aws-chunked) body. Trailers
    /// of the body carry late checksums. An S3 error is an `Ok` response; `Err` means the store did not answer.
    async fn call(&self, request: Request<Body>) -> Result<Response<Body>, StoreError>;

    /// All buckets, sorted; reserved ones left out.
    async fn buckets(&self) -> Result<Vec<BucketName>, StoreError>;

    /// Up to `limit` (at most 1 000) current objects whose key sorts after `after` and begins with `prefix`.
    async fn page(
        &self,
        bucket: &BucketName,
        prefix: &str,
        after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<Page, StoreError>;

    /// The object's head; `None` when there is no such object.
    async fn head(&self, target: &ObjectRef) -> Result<Option<ObjectHead>, StoreError>;

    /// Sizes of the parts the object was uploaded in; empty when it was one PUT.
    async fn part_bytes(&self, target: &ObjectRef, etag: &ETag) -> Result<Vec<u64>, StoreError>;

    /// The object's bytes in `range`, provided its ETag is still `etag`; `Changed` otherwise.
    async fn read(
        &self,
        target: &ObjectRef,
        etag: &ETag,
        range: Range<u64>,
    ) -> Result<ByteStream, StoreError>;

    /// Replaces the hot bytes. `Ok` and every `Err` alike are to be checked with [`Self::head`]; `Changed` and
    /// `Refused` promise that nothing was done by this attempt.
    async fn flip(&self, flip: Flip) -> Result<(), StoreError>;

    /// Deletes an object whose time is over. The caller holds the key's fence and has just read `expected`.
    async fn remove(&self, target: &ObjectRef, expected: &Identity) -> Result<(), StoreError>;

    /// Writes a restored copy of exactly `length` bytes, replacing an earlier one; durable on return.
    async fn put_copy(&self, archive: ArchiveId, length: u64, bytes: ByteStream) -> Result<(), StoreError>;

    /// Bytes of a restored copy in `range`.
    async fn read_copy(&self, archive: ArchiveId, range: Range<u64>) -> Result<ByteStream, StoreError>;

    /// Size of a restored copy, `None` when there is none.
    async fn copy_bytes(&self, archive: ArchiveId) -> Result<Option<u64>, StoreError>;

    /// Removes a restored copy; done already is done.
    async fn delete_copy(&self, archive: ArchiveId) -> Result<(), StoreError>;
}
