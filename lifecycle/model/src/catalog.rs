//! The book of record, as a port.
//!
//! Rows carry a revision. A commit is all or nothing and durable when it returns; it is refused as a
//! [`CatalogError::Conflict`] when any of its rows has moved on since it was read, so that two writers never
//! overwrite one another: the loser reads again. Illegal state steps panic in the model before they get here.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::archive::ArchiveStage;
use crate::bucket::Terms;
use crate::pack::{Pack, PackCopy, PackCopyStage};
use crate::restore::RestoreStage;
use crate::rule::LifecycleConfiguration;
use crate::volume::Volume;
use crate::{Archive, ArchiveId, BucketName, JobId, ObjectKey, PackId, Remedy, RestoreJob, VolumeId};

/// What the book of record knows of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Its name.
    pub name: BucketName,
    /// Row revision.
    pub revision: u64,
    /// Its lifecycle rules.
    pub lifecycle: Option<LifecycleConfiguration>,
    /// What an operator's command made of it; none leaves it to the configuration.
    pub terms: Option<Terms>,
    /// The rules the store held itself when the bucket was enabled, in S3's XML form: given back on detaching.
    pub store_rules: Option<String>,
    /// Whether it ever had an archive: where not, requests need no look-up.
    pub has_archives: bool,
}

// === impl Bucket ===

impl Bucket {
    /// A bucket nothing is known of yet.
    pub fn new(name: BucketName) -> Self {
        Self { name, revision: 0, lifecycle: None, terms: None, store_rules: None, has_archives: false }
    }
}

/// One row of a commit. A row with revision 0 is new and must not exist; any other must be the latest.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // archives are nearly all the changes there are
pub enum Change {
    /// Writes an archive row.
    Archive(Archive),
    /// Marks an archive touched, whatever its revision; nothing happens when the row is history.
    Touch(ArchiveId),
    /// Writes a pack row.
    Pack(Pack),
    /// Writes a pack copy row.
    PackCopy(PackCopy),
    /// Writes a volume row.
    Volume(Volume),
    /// Writes a restore row.
    Restore(RestoreJob),
    /// Writes a bucket row.
    Bucket(Bucket),
    /// Forgets a bucket (its archives must be history).
    ForgetBucket(BucketName),
    /// Forgets an archive that is history and whose extents no pack holds any more, or a row no step was ever
    /// taken for.
    ForgetArchive(ArchiveId),
    /// Forgets a pack and its copies, all of which must be dead, off the spool, and named by no archive.
    ForgetPack(PackId),
    /// Forgets a volume and the copies on it, all of which must be dead.
    ForgetVolume(VolumeId),
}

/// The catalog could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// A row has moved on: read again and decide again. Nothing was written.
    #[error("{row} has changed since it was read")]
    Conflict {
        /// Which row.
        row: String,
    },
    /// A row that had to be there is not. Nothing was written.
    #[error("{row} is not in the catalog")]
    Missing {
        /// Which row.
        row: String,
    },
    /// The book of record can no longer be relied on; the process must end and be started again.
    #[error("the catalog failed on {operation}")]
    Failed {
        /// What was tried.
        operation: &'static str,
        /// What the store below said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl CatalogError {
    /// What the caller should do.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Conflict { .. } => Remedy::Retry,
            Self::Missing { .. } => Remedy::Bug,
            Self::Failed { .. } => Remedy::Operator("CT-0101"),
        }
    }
}

/// How many rows there are, counted from the rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Archives by stage: number and bytes.
    pub archives: Vec<(ArchiveStage, u64, u64)>,
    /// Restores by stage.
    pub restores: Vec<(RestoreStage, u64)>,
    /// Pack copies by stage.
    pub copies: Vec<(PackCopyStage, u64)>,
}

/// The book of record.
///
/// Listings are pages in ascending order of id, `after` exclusive, `limit` at most 10 000.
#[async_trait]
pub trait Catalog: Send + Sync {
    /// Makes all the changes durable, in order, or none of them.
    async fn commit(&self, changes: Vec<Change>) -> Result<(), CatalogError>;

    /// The archive of this id.
    async fn archive(&self, id: ArchiveId) -> Result<Option<Archive>, CatalogError>;
    /// Live archives of one key, oldest first. Usually none or one; two while an overwrite is being looked at.
    async fn archives_at(&self, bucket: &BucketName, key: &ObjectKey) -> Result<Vec<Archive>, CatalogError>;
    /// [`Self::archives_at`] for many keys in one go: one list per key, in the order asked.
    async fn archives_at_each(
        &self,
        bucket: &BucketName,
        keys: &[ObjectKey],
    ) -> Result<Vec<Vec<Archive>>, CatalogError>;
    /// Archives of one stage.
    async fn archives_in(
        &self,
        stage: ArchiveStage,
        after: Option<ArchiveId>,
        limit: usize,
    ) -> Result<Vec<Archive>, CatalogError>;
    /// Archives with an extent in this pack, whatever their stage.
    async fn archives_of_pack(
        &self,
        pack: PackId,
        after: Option<ArchiveId>,
        limit: usize,
    ) -> Result<Vec<Archive>, CatalogError>;
    /// Whether anything in the pack lives: an archive that is not history has an extent in it.
    async fn is_alive(&self, pack: PackId) -> Result<bool, CatalogError>;
    /// Live archives that are touched.
    async fn archives_touched(
        &self,
        after: Option<ArchiveId>,
        limit: usize,
    ) -> Result<Vec<Archive>, CatalogError>;

    /// Archives with something that no journal on tape tells yet ([`Archive::untold`]), the longest first, after the one
    /// named (since when, and which).
    async fn archives_untold(
        &self,
        after: Option<(Timestamp, ArchiveId)>,
        limit: usize,
    ) -> Result<Vec<Archive>, CatalogError>;
    /// The pack of this id.
    async fn pack(&self, id: PackId) -> Result<Option<Pack>, CatalogError>;
    /// Packs whose file is wanted on the spool.
    async fn packs_spooled(&self, after: Option<PackId>, limit: usize) -> Result<Vec<Pack>, CatalogError>;
    /// The copies of one pack, by number.
    async fn copies_of(&self, pack: PackId) -> Result<Vec<PackCopy>, CatalogError>;
    /// Pack copies of one stage, in ascending order of (pack, number), after the pack named.
    async fn copies_in(
        &self,
        stage: PackCopyStage,
        after: Option<PackId>,
        limit: usize,
    ) -> Result<Vec<PackCopy>, CatalogError>;
    /// Pack copies on one volume, after the pack named.
    async fn copies_on(
        &self,
        volume: VolumeId,
        after: Option<PackId>,
        limit: usize,
    ) -> Result<Vec<PackCopy>, CatalogError>;

    /// The volume of this id.
    async fn volume(&self, id: VolumeId) -> Result<Option<Volume>, CatalogError>;
    /// All volumes, by id.
    async fn volumes(&self) -> Result<Vec<Volume>, CatalogError>;

    /// The restore of this id.
    async fn restore(&self, id: JobId) -> Result<Option<RestoreJob>, CatalogError>;
    /// The archive's latest restore.
    async fn restore_of(&self, archive: ArchiveId) -> Result<Option<RestoreJob>, CatalogError>;
    /// [`Self::restore_of`] for many archives: one answer each, in the order asked.
    async fn restores_of_each(&self, archives: &[ArchiveId])
    -> Result<Vec<Option<RestoreJob>>, CatalogError>;
    /// Restores of one stage, oldest first.
    async fn restores_in(
        &self,
        stage: RestoreStage,
        after: Option<JobId>,
        limit: usize,
    ) -> Result<Vec<RestoreJob>, CatalogError>;

    /// What is known of a bucket; answered from memory.
    async fn bucket(&self, name: &BucketName) -> Result<Option<Bucket>, CatalogError>;
    /// All buckets known, by name.
    async fn buckets(&self) -> Result<Vec<Bucket>, CatalogError>;

    /// Counts of everything.
    async fn counts(&self) -> Result<Counts, CatalogError>;
}
