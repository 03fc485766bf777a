//! The object store behind the gateway, as a port.
//!
//! Clients' requests go through [`ObjectStore::call`] in S3's own form, so that what the gateway does not know
//! passes untouched. Background work uses the typed methods. Both speak with the service key.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use serde::{Deserialize, Serialize};

use crate::bucket::Survey;
use crate::{
    ArchiveId, Body, BucketName, ByteStream, CopyPart, CopyUpload, ETag, Identity, Marker, ObjectKey,
    Protection, Remedy, Stretches, Timestamp, VersionId,
};

/// What a store was seen to be able to do: probed, never believed from an answer alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// The body of an existing version can be swapped, keeping version id, dates and lock. Where not, a flip is a
    /// conditional PUT.
    pub in_place: bool,
    /// A conditional PUT never loses against another writer, shown in a race.
    pub compare_and_set: bool,
    /// The form of If-Match that a PUT honours.
    pub if_match: IfMatch,
    /// `If-None-Match: *` on a PUT is honoured.
    pub create_only: bool,
    /// If-Match on a DELETE is honoured.
    pub delete_if_match: bool,
    /// `x-amz-copy-source-if-match` is honoured.
    pub copy_if_match: bool,
    /// If-Match on the completion of an upload is honoured. What an earlier probe did not ask is not proven.
    #[serde(default)]
    pub complete_if_match: bool,
    /// Buckets can have versions.
    pub versions: bool,
    /// Objects can have tags.
    pub tags: bool,
    /// Objects have an ACL that can be read.
    pub acls: bool,
    /// A body may come in unsigned chunks with checksums after it.
    pub trailers: bool,
}

/// How a store takes the ETag of an If-Match on a PUT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IfMatch {
    /// In quotes, as RFC 9110 13.1.1 has it.
    Quoted,
    /// Without quotes alone (Ceph RGW 16.2).
    Unquoted,
    /// It is not looked at.
    Ignored,
}

// === impl Capabilities ===

impl Capabilities {
    /// A store that keeps all that S3 promises, but swaps nothing in place.
    pub const FAITHFUL: Self = Self {
        in_place: false,
        compare_and_set: true,
        if_match: IfMatch::Quoted,
        create_only: true,
        delete_if_match: true,
        copy_if_match: true,
        complete_if_match: true,
        versions: true,
        tags: true,
        acls: true,
        trailers: true,
    };
}

/// Whose key signs a client's request to the store: an extension of the request, the service's key when absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signer {
    /// The gateway's own key.
    Service,
    /// The caller's own key on the store, by access key id.
    Own(String),
    /// Nobody's: the request came without a signature and goes on without one.
    Nobody,
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
    /// System headers and user metadata (`x-amz-meta-*`, the reserved one left out) as the store returned them, and
    /// after an inspection tags and ACL as a PUT takes them: lower-case names, sorted.
    pub headers: Vec<(String, String)>,
    /// `x-amz-checksum-*` as the store returned them, sorted.
    pub checksums: Vec<(String, String)>,
    /// Encryption and locks.
    pub protection: Protection,
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

/// One version of a key, or a delete marker above one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedVersion {
    /// Version id; [`VersionId::null`] for what was written without one.
    pub version: VersionId,
    /// Size on the store, in bytes; none for a delete marker.
    pub size: Option<u64>,
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
    /// The object as read under the fence; its headers are kept, but for what [`crate::marker::displaced`] says of a
    /// flip that is a PUT.
    pub head: ObjectHead,
    /// The write is conditional on the object's ETag. Where not, the key's fence and the bucket's exclusiveness are
    /// all there is.
    pub conditional: bool,
    /// The reserved header to write.
    pub marker: Marker,
    /// The bytes to write.
    pub content: FlipContent,
}

/// An object to be put back under its key in place of its stub, or of the bytes under its reserved header. The caller
/// holds the key's gate and has just seen what stands there.
#[derive(Clone, Debug)]
pub struct BringBack {
    /// The key; what is written becomes its current version.
    pub target: ObjectRef,
    /// ETag of what stands there.
    pub etag: ETag,
    /// The write is conditional on that ETag. Where not, the key's gate is all there is, and the store may copy the
    /// bytes by itself.
    pub conditional: bool,
    /// Headers, user metadata, tags and ACL of the object, in the form in which a PUT takes them.
    pub headers: Vec<(String, String)>,
    /// Its size, in bytes.
    pub size: u64,
    /// The ETag it had, to come out again where that can be.
    pub original: ETag,
    /// Sizes of the parts it was uploaded in; empty for one PUT, or when they are not known.
    pub part_bytes: Vec<u64>,
    /// Where its bytes are.
    pub source: BackFrom,
}

/// An archived object to be made anew on a store that lost it: its stub, or its bytes when they are few.
#[derive(Clone, Debug)]
pub struct Plant {
    /// The key, and the version id clients know, where it had one.
    pub target: ObjectRef,
    /// Headers, user metadata, tags and ACL of the object, in the form in which a PUT takes them.
    pub headers: Vec<(String, String)>,
    /// Its Last-Modified.
    pub last_modified: Timestamp,
    /// A delete marker stood above it.
    pub hidden: bool,
    /// The reserved header to write.
    pub marker: Marker,
    /// The bytes to write.
    pub content: FlipContent,
}

/// Where the bytes of an object to be put back are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackFrom {
    /// Under the key itself: only the reserved header goes.
    Itself,
    /// In the restored copy of this archive.
    Copy(ArchiveId),
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

    /// A conditional write with the right ETag was carried out and one with a wrong one was refused, just now, on an
    /// object kept for this in the reserved bucket. `false` when either was not so: no flip may rely on a condition.
    async fn canary(&self) -> Result<bool, StoreError>;

    /// What the store says a bucket is set to; `Missing` when there is no such bucket. A setting the store does not
    /// know counts as not set.
    async fn survey(&self, bucket: &BucketName) -> Result<Survey, StoreError>;

    /// Deletes the lifecycle rules the store itself holds for a bucket, or puts these back (S3's XML form).
    async fn keep_rules(&self, bucket: &BucketName, rules: Option<Bytes>) -> Result<(), StoreError>;

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

    /// The object's head with its tags (`x-amz-tagging`) and ACL (`x-amz-grant-*`) among the headers, in the form in
    /// which a PUT takes them: what an [`Identity`] is made of. `None` when there is no such object.
    async fn inspect(&self, target: &ObjectRef) -> Result<Option<ObjectHead>, StoreError>;

    /// The object's head, without tags and ACL; `None` when there is no such object.
    async fn head(&self, target: &ObjectRef) -> Result<Option<ObjectHead>, StoreError>;

    /// All versions of one key, the newest first, delete markers among them; `Refused` when they are more than `limit`.
    /// A bucket that never had versions shows its object under [`VersionId::null`].
    async fn versions(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        limit: usize,
    ) -> Result<Vec<ListedVersion>, StoreError>;

    /// Whether the store still has this multipart upload, so that it may be completed at any time.
    async fn has_upload(&self, target: &ObjectRef, upload: &str) -> Result<bool, StoreError>;

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

    /// Puts an object back; gives the ETag the store told for it. `Ok` and every `Err` alike are to be checked with
    /// [`Self::inspect`]; all but `Doubt` promise that nothing of this attempt can happen later.
    async fn bring_back(&self, back: BringBack) -> Result<ETag, StoreError>;

    /// The reserved header of an object, whoever signed it: for a rebuild alone, which compares it with the record on
    /// tape. `None` when there is no such object or it has none.
    async fn claim(&self, target: &ObjectRef) -> Result<Option<Marker>, StoreError>;

    /// Makes a bucket, unless it is there; with `versions` it keeps versions afterwards.
    async fn make_bucket(&self, bucket: &BucketName, versions: bool) -> Result<(), StoreError>;

    /// Makes an archived object anew where nothing stands. A store that swaps in place gives it its version id and
    /// dates back; any other its own, and puts it above what the key has. `Ok` and every `Err` alike are to be checked
    /// with [`Self::head`]; `Changed` and `Refused` promise that nothing was done.
    async fn plant(&self, plant: Plant) -> Result<(), StoreError>;

    /// Deletes one version for good; done already is done. The caller has seen the stub stand as the version after
    /// it, or it is a stub too many.
    async fn remove_version(&self, target: &ObjectRef) -> Result<(), StoreError>;

    /// Deletes an object whose time is over. The caller holds the key's fence and has just read `expected`.
    async fn remove(&self, target: &ObjectRef, expected: &Identity) -> Result<(), StoreError>;

    /// Writes a restored copy of exactly `length` bytes, replacing an earlier one; durable on return.
    async fn put_copy(&self, archive: ArchiveId, length: u64, bytes: ByteStream) -> Result<(), StoreError>;

    /// Begins a restored copy that comes in stretches; nothing of it shows before [`Self::complete_copy`].
    async fn begin_copy(&self, archive: ArchiveId, stretches: Stretches) -> Result<CopyUpload, StoreError>;

    /// Writes one stretch of such a copy, of exactly its length; gives its parts in their order. Stretches may come in
    /// any order, at the same time, and again.
    async fn put_stretch(
        &self,
        copy: &CopyUpload,
        index: u32,
        bytes: ByteStream,
    ) -> Result<Vec<CopyPart>, StoreError>;

    /// Makes the copy of its parts, which are all of them in the order of their numbers, replacing an earlier copy;
    /// durable on return.
    async fn complete_copy(&self, copy: &CopyUpload, parts: Vec<CopyPart>) -> Result<(), StoreError>;

    /// Gives up a copy that comes in stretches; done already is done.
    async fn abandon_copy(&self, copy: &CopyUpload) -> Result<(), StoreError>;

    /// Bytes of a restored copy in `range`.
    async fn read_copy(&self, archive: ArchiveId, range: Range<u64>) -> Result<ByteStream, StoreError>;

    /// Size of a restored copy, `None` when there is none.
    async fn copy_bytes(&self, archive: ArchiveId) -> Result<Option<u64>, StoreError>;

    /// Restored copies that are there, in the store's own order: up to 1 000 that follow this one, none at the end.
    async fn copies(&self, after: Option<ArchiveId>) -> Result<Vec<ArchiveId>, StoreError>;

    /// Removes a restored copy; done already is done.
    async fn delete_copy(&self, archive: ArchiveId) -> Result<(), StoreError>;
}
