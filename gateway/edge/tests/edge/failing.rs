//! A catalog that can be made to fail, and a store whose answers can get lost.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use catalog::MemoryCatalog;
use http::{Method, Request, Response};
use model::archive::ArchiveStage;
use model::bucket::Survey;
use model::catalog::{Bucket, Catalog, CatalogError, Change, Counts};
use model::pack::{Pack, PackCopy, PackCopyStage};
use model::restore::RestoreStage;
use model::store::{
    BringBack, Capabilities, Flip, ListedVersion, ObjectHead, ObjectRef, ObjectStore, Page, Plant, StoreError,
};
use model::volume::Volume;
use model::{
    Archive, ArchiveId, Body, BucketName, ByteStream, CopyPart, CopyUpload, ETag, Identity, JobId, Marker,
    ObjectKey, PackId, RestoreJob, Stretches, VolumeId,
};
use store::S3Store;

use crate::guard::Guarded;

#[derive(Default)]
pub struct Failing {
    inner: MemoryCatalog,
    failed: AtomicBool,
    draining: Mutex<Option<Bucket>>,
}

impl Failing {
    /// The bucket's row becomes this one right before the next archive is committed.
    pub fn switch_before_next(&self, row: Bucket) {
        *self.draining.lock().unwrap() = Some(row);
    }

    /// From now on every call fails.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::SeqCst);
    }

    fn check(&self) -> Result<(), CatalogError> {
        if !self.failed.load(Ordering::SeqCst) {
            return Ok(());
        }
        Err(CatalogError::Failed { operation: "anything", source: "the disk is gone".into() })
    }
}

#[async_trait]
impl Catalog for Failing {
    async fn commit(&self, changes: Vec<Change>) -> Result<(), CatalogError> {
        self.check()?;
        if changes.iter().any(|change| matches!(change, Change::Archive(_))) {
            let row = self.draining.lock().unwrap().take();
            if let Some(row) = row {
                self.inner.commit(vec![Change::Bucket(row)]).await?;
            }
        }
        self.inner.commit(changes).await
    }

    async fn archive(&self, id: ArchiveId) -> Result<Option<Archive>, CatalogError> {
        self.check()?;
        self.inner.archive(id).await
    }

    async fn archives_at(&self, bucket: &BucketName, key: &ObjectKey) -> Result<Vec<Archive>, CatalogError> {
        self.check()?;
        self.inner.archives_at(bucket, key).await
    }

    async fn archives_at_each(
        &self,
        bucket: &BucketName,
        keys: &[ObjectKey],
    ) -> Result<Vec<Vec<Archive>>, CatalogError> {
        self.check()?;
        self.inner.archives_at_each(bucket, keys).await
    }

    async fn archives_in(
        &self,
        stage: ArchiveStage,
        after: Option<ArchiveId>,
        limit: usize,
    ) -> Result<Vec<Archive>, CatalogError> {
        self.check()?;
        self.inner.archives_in(stage, after, limit).await
    }

    async fn archives_of_pack(
        &self,
        pack: PackId,
        after: Option<ArchiveId>,
        limit: usize,
    ) -> Result<Vec<Archive>, CatalogError> {
        self.check()?;
        self.inner.archives_of_pack(pack, after, limit).await
    }

    async fn is_alive(&self, pack: PackId) -> Result<bool, CatalogError> {
        self.check()?;
        self.inner.is_alive(pack).await
    }

    async fn archives_touched(
        &self,
        after: Option<ArchiveId>,
        limit: usize,
    ) -> Result<Vec<Archive>, CatalogError> {
        self.check()?;
        self.inner.archives_touched(after, limit).await
    }

    async fn archives_untold(
        &self,
        after: Option<(model::Timestamp, ArchiveId)>,
        limit: usize,
    ) -> Result<Vec<Archive>, CatalogError> {
        self.check()?;
        self.inner.archives_untold(after, limit).await
    }

    async fn pack(&self, id: PackId) -> Result<Option<Pack>, CatalogError> {
        self.check()?;
        self.inner.pack(id).await
    }

    async fn packs_spooled(&self, after: Option<PackId>, limit: usize) -> Result<Vec<Pack>, CatalogError> {
        self.check()?;
        self.inner.packs_spooled(after, limit).await
    }

    async fn copies_of(&self, pack: PackId) -> Result<Vec<PackCopy>, CatalogError> {
        self.check()?;
        self.inner.copies_of(pack).await
    }

    async fn copies_in(
        &self,
        stage: PackCopyStage,
        after: Option<PackId>,
        limit: usize,
    ) -> Result<Vec<PackCopy>, CatalogError> {
        self.check()?;
        self.inner.copies_in(stage, after, limit).await
    }

    async fn copies_on(
        &self,
        volume: VolumeId,
        after: Option<PackId>,
        limit: usize,
    ) -> Result<Vec<PackCopy>, CatalogError> {
        self.check()?;
        self.inner.copies_on(volume, after, limit).await
    }

    async fn volume(&self, id: VolumeId) -> Result<Option<Volume>, CatalogError> {
        self.check()?;
        self.inner.volume(id).await
    }

    async fn volumes(&self) -> Result<Vec<Volume>, CatalogError> {
        self.check()?;
        self.inner.volumes().await
    }

    async fn restore(&self, id: JobId) -> Result<Option<RestoreJob>, CatalogError> {
        self.check()?;
        self.inner.restore(id).await
    }

    async fn restore_of(&self, archive: ArchiveId) -> Result<Option<RestoreJob>, CatalogError> {
        self.check()?;
        self.inner.restore_of(archive).await
    }

    async fn restores_of_each(
        &self,
        archives: &[ArchiveId],
    ) -> Result<Vec<Option<RestoreJob>>, CatalogError> {
        self.check()?;
        self.inner.restores_of_each(archives).await
    }

    async fn restores_in(
        &self,
        stage: RestoreStage,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Vec<RestoreJob>, CatalogError> {
        self.check()?;
        self.inner.restores_in(stage, after, limit).await
    }

    async fn bucket(&self, name: &BucketName) -> Result<Option<Bucket>, CatalogError> {
        self.check()?;
        self.inner.bucket(name).await
    }

    async fn buckets(&self) -> Result<Vec<Bucket>, CatalogError> {
        self.check()?;
        self.inner.buckets().await
    }

    async fn counts(&self) -> Result<Counts, CatalogError> {
        self.check()?;
        self.inner.counts().await
    }
}

pub struct Lossy {
    inner: S3Store<Guarded>,
    losing: AtomicBool,
}

impl Lossy {
    pub fn new(inner: S3Store<Guarded>) -> Self {
        Self { inner, losing: AtomicBool::new(false) }
    }

    /// The service below.
    pub fn guard(&self) -> &Guarded {
        self.inner.service()
    }

    /// From now on writes are carried out and their answers get lost.
    pub fn lose(&self) {
        self.losing.store(true, Ordering::SeqCst);
    }
}

#[async_trait]
impl ObjectStore for Lossy {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn call(&self, request: Request<Body>) -> Result<Response<Body>, StoreError> {
        let writes = !matches!(*request.method(), Method::GET | Method::HEAD);
        let answer = self.inner.call(request).await;
        if writes && self.losing.load(Ordering::SeqCst) {
            return Err(StoreError::Doubt { what: "a write".to_owned(), source: "no answer".into() });
        }
        answer
    }

    async fn canary(&self) -> Result<bool, StoreError> {
        self.inner.canary().await
    }

    async fn versions(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        limit: usize,
    ) -> Result<Vec<ListedVersion>, StoreError> {
        self.inner.versions(bucket, key, limit).await
    }

    async fn survey(&self, bucket: &BucketName) -> Result<Survey, StoreError> {
        self.inner.survey(bucket).await
    }

    async fn keep_rules(&self, bucket: &BucketName, rules: Option<Bytes>) -> Result<(), StoreError> {
        self.inner.keep_rules(bucket, rules).await
    }

    async fn claim(&self, target: &ObjectRef) -> Result<Option<Marker>, StoreError> {
        self.inner.claim(target).await
    }

    async fn make_bucket(&self, bucket: &BucketName, versions: bool) -> Result<(), StoreError> {
        self.inner.make_bucket(bucket, versions).await
    }

    async fn plant(&self, plant: Plant) -> Result<(), StoreError> {
        self.inner.plant(plant).await
    }

    async fn remove_version(&self, target: &ObjectRef) -> Result<(), StoreError> {
        self.inner.remove_version(target).await
    }

    async fn inspect(&self, target: &ObjectRef) -> Result<Option<ObjectHead>, StoreError> {
        self.inner.inspect(target).await
    }

    async fn buckets(&self) -> Result<Vec<BucketName>, StoreError> {
        self.inner.buckets().await
    }

    async fn page(
        &self,
        bucket: &BucketName,
        prefix: &str,
        after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        self.inner.page(bucket, prefix, after, limit).await
    }

    async fn head(&self, target: &ObjectRef) -> Result<Option<ObjectHead>, StoreError> {
        self.inner.head(target).await
    }

    async fn has_upload(&self, target: &ObjectRef, upload: &str) -> Result<bool, StoreError> {
        self.inner.has_upload(target, upload).await
    }

    async fn part_bytes(&self, target: &ObjectRef, etag: &ETag) -> Result<Vec<u64>, StoreError> {
        self.inner.part_bytes(target, etag).await
    }

    async fn read(
        &self,
        target: &ObjectRef,
        etag: &ETag,
        range: Range<u64>,
    ) -> Result<ByteStream, StoreError> {
        self.inner.read(target, etag, range).await
    }

    async fn flip(&self, flip: Flip) -> Result<(), StoreError> {
        self.inner.flip(flip).await
    }

    async fn bring_back(&self, back: BringBack) -> Result<ETag, StoreError> {
        self.inner.bring_back(back).await
    }

    async fn remove(&self, target: &ObjectRef, expected: &Identity) -> Result<(), StoreError> {
        self.inner.remove(target, expected).await
    }

    async fn put_copy(&self, archive: ArchiveId, length: u64, bytes: ByteStream) -> Result<(), StoreError> {
        self.inner.put_copy(archive, length, bytes).await
    }

    async fn begin_copy(&self, archive: ArchiveId, stretches: Stretches) -> Result<CopyUpload, StoreError> {
        self.inner.begin_copy(archive, stretches).await
    }

    async fn put_stretch(
        &self,
        copy: &CopyUpload,
        index: u32,
        bytes: ByteStream,
    ) -> Result<Vec<CopyPart>, StoreError> {
        self.inner.put_stretch(copy, index, bytes).await
    }

    async fn complete_copy(&self, copy: &CopyUpload, parts: Vec<CopyPart>) -> Result<(), StoreError> {
        self.inner.complete_copy(copy, parts).await
    }

    async fn abandon_copy(&self, copy: &CopyUpload) -> Result<(), StoreError> {
        self.inner.abandon_copy(copy).await
    }

    async fn read_copy(&self, archive: ArchiveId, range: Range<u64>) -> Result<ByteStream, StoreError> {
        self.inner.read_copy(archive, range).await
    }

    async fn copy_bytes(&self, archive: ArchiveId) -> Result<Option<u64>, StoreError> {
        self.inner.copy_bytes(archive).await
    }

    async fn copies(&self, after: Option<ArchiveId>) -> Result<Vec<ArchiveId>, StoreError> {
        self.inner.copies(after).await
    }

    async fn delete_copy(&self, archive: ArchiveId) -> Result<(), StoreError> {
        self.inner.delete_copy(archive).await
    }
}
