//! The port, once for every adapter: questions go to query.rs over a view, commits to the adapter.

use std::io::Write;
use std::sync::Arc;

use async_trait::async_trait;
use model::archive::ArchiveStage;
use model::catalog::{Bucket, Catalog, CatalogError, Change, Counts};
use model::limits::TRANSACTION_ROWS_MAX;
use model::pack::{Pack, PackCopy, PackCopyStage};
use model::restore::RestoreStage;
use model::volume::Volume;
use model::{Archive, ArchiveId, BucketName, JobId, ObjectKey, PackId, RestoreJob, VolumeId};

use crate::Error;
use crate::apply::Refusal;
use crate::kv::{Read, Table};
use crate::latch::Latch;
use crate::query;
use crate::row::{archive_key, object_prefix, pack_key, restore_key, volume_key};
use crate::snapshot;

/// What an adapter does: one commit at a time, and consistent views.
pub trait Store: Send + Sync {
    /// Makes the changes durable as [`crate::apply::apply`] decides.
    fn commit(&self, changes: Vec<Change>) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Answers a short question at once, on the caller's thread.
    fn read<T>(&self, question: impl FnOnce(&dyn Read) -> Result<T, Error>) -> Result<T, Error>;

    /// Answers a question that may take long without holding up the caller's thread.
    fn read_aside<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Read) -> Result<T, Error> + Send + 'static,
    ) -> impl Future<Output = Result<T, Error>> + Send {
        async move { self.read(question) }
    }

    /// A bucket, from memory.
    fn bucket(&self, name: &BucketName) -> Result<Option<Bucket>, Error>;

    /// All buckets, by name.
    fn buckets(&self) -> Result<Vec<Bucket>, Error>;

    /// Where failures are noted.
    fn latch(&self) -> &Latch;
}

/// A catalog over an adapter. See [`Catalog`] for what it promises; beyond that:
///
/// - After a successful commit the stored revision is the one given plus one, so that the writer goes on with
///   `row.revision += 1`. A touch in between makes its next write a conflict, as it should.
/// - A commit whose future is dropped may still be made.
/// - The first failure is the last word: every later call answers [`CatalogError::Failed`].
/// - [`Catalog::commit`] panics on a step the model forbids, naming who, from and to; nothing was written.
/// - [`Bucket::has_archives`] is set by the first archive row of a bucket, whose row is made for it if need be (with
///   revision 0: new to whoever writes it first), and no writer can take it back.
/// - Touching an archive that is history or already forgotten does nothing.
/// - A page of copies ends with a whole pack, since the next one begins after a pack: it may exceed its limit by the
///   remaining copies of that pack.
#[derive(Debug)]
pub struct Book<S> {
    pub(crate) store: S,
}

impl<S: Store> Book<S> {
    /// Ends with the reason once the catalog has failed; the process should then end. Never ends otherwise.
    pub fn failed(&self) -> impl Future<Output = Arc<str>> + Send + use<S> {
        self.store.latch().tripped()
    }

    /// Writes every row, as of one moment, to `writer` as a compressed stream with a checksum; returns how many. Blocks,
    /// and space freed meanwhile is not reused: write to a file, not to anything slow. Durable only once the caller
    /// has made it so.
    pub fn snapshot(&self, writer: impl Write) -> Result<u64, Error> {
        self.healthy()?;
        let written = self.store.read(|view| snapshot::write(view, writer));
        written.inspect_err(|error| {
            if !matches!(error, Error::Snapshot { .. }) {
                self.store.latch().trip(error);
            }
        })
    }

    fn point<T>(
        &self,
        operation: &'static str,
        question: impl FnOnce(&dyn Read) -> Result<T, Error>,
    ) -> Result<T, CatalogError> {
        let answer = self.healthy().and_then(|()| self.store.read(question));
        answer.map_err(|error| self.fail(operation, error))
    }

    async fn listing<T: Send + 'static>(
        &self,
        operation: &'static str,
        question: impl FnOnce(&dyn Read) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let answer = match self.healthy() {
            Ok(()) => self.store.read_aside(question).await,
            Err(error) => Err(error),
        };
        answer.map_err(|error| self.fail(operation, error))
    }

    fn healthy(&self) -> Result<(), Error> {
        self.store.latch().check()
    }

    fn fail(&self, operation: &'static str, error: Error) -> CatalogError {
        self.store.latch().trip(&error);
        CatalogError::Failed { operation, source: Box::new(error) }
    }
}

#[async_trait]
impl<S: Store> Catalog for Book<S> {
    async fn commit(&self, changes: Vec<Change>) -> Result<(), CatalogError> {
        const OPERATION: &str = "a commit";
        self.healthy().map_err(|error| self.fail(OPERATION, error))?;
        assert!(
            changes.len() <= 2 * TRANSACTION_ROWS_MAX,
            "a commit of {} changes is too long",
            changes.len()
        );
        match self.store.commit(changes).await {
            Ok(()) => Ok(()),
            Err(Refusal::Conflict(row)) => Err(CatalogError::Conflict { row }),
            Err(Refusal::Missing(row)) => Err(CatalogError::Missing { row }),
            Err(Refusal::Illegal(step)) => panic!("{step}"),
            Err(Refusal::Fault(error)) => Err(self.fail(OPERATION, error)),
        }
    }

    async fn archive(&self, id: ArchiveId) -> Result<Option<Archive>, CatalogError> {
        self.point("reading an archive", |read| query::row(read, &archive_key(id)))
    }

    async fn archives_at(&self, bucket: &BucketName, key: &ObjectKey) -> Result<Vec<Archive>, CatalogError> {
        let object = object_prefix(bucket, key);
        self.point("looking up a key", |read| archives_at(read, &object))
    }

    async fn archives_at_each(
        &self,
        bucket: &BucketName,
        keys: &[ObjectKey],
    ) -> Result<Vec<Vec<Archive>>, CatalogError> {
        let objects: Vec<_> = keys.iter().map(|key| object_prefix(bucket, key)).collect();
        self.listing("looking up keys", move |read| {
            objects.iter().map(|object| archives_at(read, object)).collect()
        })
        .await
    }

    async fn archives_in(
        &self,
        stage: ArchiveStage,
        after: Option<ArchiveId>,
        limit: usize,
    ) -> Result<Vec<Archive>, CatalogError> {
        let after = after.map(archive_key);
        self.listing("listing archives by stage", move |read| {
            query::page(read, Table::ArchivesByStage, &[stage as u8], after.as_deref(), limit)
        })
        .await
    }

    async fn archives_of_pack(
        &self,
        pack: PackId,
        after: Option<ArchiveId>,
        limit: usize,
    ) -> Result<Vec<Archive>, CatalogError> {
        let after = after.map(archive_key);
        self.listing("listing the archives of a pack", move |read| {
            query::page(read, Table::ArchivesByPack, &pack_key(pack), after.as_deref(), limit)
        })
        .await
    }

    async fn is_alive(&self, pack: PackId) -> Result<bool, CatalogError> {
        self.point("looking for life in a pack", |read| query::is_alive(read, pack))
    }

    async fn archives_touched(
        &self,
        after: Option<ArchiveId>,
        limit: usize,
    ) -> Result<Vec<Archive>, CatalogError> {
        let after = after.map(archive_key);
        self.listing("listing touched archives", move |read| {
            query::page(read, Table::ArchivesTouched, &[], after.as_deref(), limit)
        })
        .await
    }

    async fn archives_untold(
        &self,
        after: Option<(model::Timestamp, ArchiveId)>,
        limit: usize,
    ) -> Result<Vec<Archive>, CatalogError> {
        self.listing("listing what tape is not told", move |read| query::untold(read, after, limit)).await
    }

    async fn pack(&self, id: PackId) -> Result<Option<Pack>, CatalogError> {
        self.point("reading a pack", |read| query::row(read, &pack_key(id)))
    }

    async fn packs_spooled(&self, after: Option<PackId>, limit: usize) -> Result<Vec<Pack>, CatalogError> {
        let after = after.map(pack_key);
        self.listing("listing spooled packs", move |read| {
            query::page(read, Table::PacksSpooled, &[], after.as_deref(), limit)
        })
        .await
    }

    async fn copies_of(&self, pack: PackId) -> Result<Vec<PackCopy>, CatalogError> {
        self.point("reading the copies of a pack", |read| query::copies_of(read, pack))
    }

    async fn copies_in(
        &self,
        stage: PackCopyStage,
        after: Option<PackId>,
        limit: usize,
    ) -> Result<Vec<PackCopy>, CatalogError> {
        self.listing("listing copies by stage", move |read| {
            query::copies_page(read, Table::CopiesByStage, &[stage as u8], after, limit)
        })
        .await
    }

    async fn copies_on(
        &self,
        volume: VolumeId,
        after: Option<PackId>,
        limit: usize,
    ) -> Result<Vec<PackCopy>, CatalogError> {
        self.listing("listing the copies on a volume", move |read| {
            query::copies_page(read, Table::CopiesByVolume, &volume_key(volume), after, limit)
        })
        .await
    }

    async fn volume(&self, id: VolumeId) -> Result<Option<Volume>, CatalogError> {
        self.point("reading a volume", |read| query::row(read, &volume_key(id)))
    }

    async fn volumes(&self) -> Result<Vec<Volume>, CatalogError> {
        self.listing("listing volumes", query::all).await
    }

    async fn restore(&self, id: JobId) -> Result<Option<RestoreJob>, CatalogError> {
        self.point("reading a restore", |read| query::row(read, &restore_key(id)))
    }

    async fn restore_of(&self, archive: ArchiveId) -> Result<Option<RestoreJob>, CatalogError> {
        self.point("looking up a restore", |read| query::restore_of(read, archive))
    }

    async fn restores_of_each(
        &self,
        archives: &[ArchiveId],
    ) -> Result<Vec<Option<RestoreJob>>, CatalogError> {
        let archives = archives.to_vec();
        self.listing("looking up restores", move |read| {
            let latest = |archive: &ArchiveId| query::restore_of(read, *archive);
            archives.iter().map(latest).collect()
        })
        .await
    }

    async fn restores_in(
        &self,
        stage: RestoreStage,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Vec<RestoreJob>, CatalogError> {
        let after = after.map(restore_key);
        self.listing("listing restores by stage", move |read| {
            query::page(read, Table::RestoresByStage, &[stage as u8], after.as_deref(), limit)
        })
        .await
    }

    async fn bucket(&self, name: &BucketName) -> Result<Option<Bucket>, CatalogError> {
        let answer = self.healthy().and_then(|()| self.store.bucket(name));
        answer.map_err(|error| self.fail("reading a bucket", error))
    }

    async fn buckets(&self) -> Result<Vec<Bucket>, CatalogError> {
        let answer = self.healthy().and_then(|()| self.store.buckets());
        answer.map_err(|error| self.fail("listing buckets", error))
    }

    async fn counts(&self) -> Result<Counts, CatalogError> {
        self.listing("counting", query::counts).await
    }
}

fn archives_at(read: &dyn Read, object: &[u8]) -> Result<Vec<Archive>, Error> {
    query::page(read, Table::ArchivesByKey, object, None, query::PAGE_ROWS_MAX)
}
