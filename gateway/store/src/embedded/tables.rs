//! The tables of the database and the typed steps on them.
//!
//! `versions` holds what became of each key, newest first (its sequence is stored inverted); `current` points to the
//! newest where that is an object. What is replaced goes to `garbage` in the same transaction, and its file is
//! removed after. How the two change together is in `versions.rs`.

use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::fault::{Fault, Outcome};
use super::record::{Acl, Bucket, BucketId, ContentId, Part, Place, Segment, Upload, decode, encode};
use dialect::S3Error;
use model::bucket::Versioning;

pub(crate) type BucketsDefinition = TableDefinition<'static, &'static str, &'static [u8]>;
pub(crate) type CurrentKey = (u64, &'static [u8]);
pub(crate) type VersionKey = (u64, &'static [u8], u64);
pub(crate) type UploadKey = (u64, &'static [u8], u128);
pub(crate) type PartKey = (u128, u32);
pub(crate) type Record = &'static [u8];

/// Numbers: see the `NUMBER_*` names.
pub(crate) const NUMBERS: TableDefinition<'static, &'static str, u64> = TableDefinition::new("numbers");
/// Buckets by name.
pub(crate) const BUCKETS: BucketsDefinition = TableDefinition::new("buckets");
/// The current version of a key.
pub(crate) const CURRENT: TableDefinition<'static, CurrentKey, Record> = TableDefinition::new("current");
/// The sequence of the null version of a key where it is not the newest; it may have become that again.
pub(crate) const NULLS: TableDefinition<'static, CurrentKey, u64> = TableDefinition::new("nulls");
/// Entries by bucket, key and inverted sequence.
pub(crate) const VERSIONS: TableDefinition<'static, VersionKey, Record> = TableDefinition::new("versions");
/// Uploads by bucket, key and id.
pub(crate) const UPLOADS: TableDefinition<'static, UploadKey, Record> = TableDefinition::new("uploads");
/// Parts by upload and number.
pub(crate) const PARTS: TableDefinition<'static, PartKey, Record> = TableDefinition::new("parts");
/// Bytes of small segments.
pub(crate) const INLINE: TableDefinition<'static, u128, &'static [u8]> = TableDefinition::new("inline");
/// Every data file a record points to or `garbage` still names, with its length.
pub(crate) const FILES: TableDefinition<'static, u128, u64> = TableDefinition::new("files");
/// Data files no record points to any more.
pub(crate) const GARBAGE: TableDefinition<'static, u128, ()> = TableDefinition::new("garbage");

/// The layout of the tables.
pub(crate) const NUMBER_LAYOUT: &str = "layout";
/// How often the store was opened: the upper half of content ids.
pub(crate) const NUMBER_EPOCH: &str = "epoch";
/// Last sequence given.
pub(crate) const NUMBER_SEQUENCE: &str = "sequence";
/// Last bucket id given.
const NUMBER_BUCKET: &str = "bucket";

/// All tables, open for writing inside one transaction.
pub(crate) struct Tables<'t> {
    pub(crate) numbers: Table<'t, &'static str, u64>,
    pub(crate) buckets: Table<'t, &'static str, Record>,
    pub(crate) current: Table<'t, CurrentKey, Record>,
    pub(crate) versions: Table<'t, VersionKey, Record>,
    pub(crate) nulls: Table<'t, CurrentKey, u64>,
    pub(crate) uploads: Table<'t, UploadKey, Record>,
    pub(crate) parts: Table<'t, PartKey, Record>,
    inline: Table<'t, u128, &'static [u8]>,
    pub(crate) files: Table<'t, u128, u64>,
    pub(crate) garbage: Table<'t, u128, ()>,
    /// Whether something was put into `garbage`.
    pub(crate) littered: bool,
}

// === impl Tables ===

impl<'t> Tables<'t> {
    /// Opens (and on the first call makes) every table.
    pub(crate) fn open(transaction: &'t WriteTransaction) -> Result<Self, Fault> {
        Ok(Self {
            numbers: transaction.open_table(NUMBERS)?,
            buckets: transaction.open_table(BUCKETS)?,
            current: transaction.open_table(CURRENT)?,
            versions: transaction.open_table(VERSIONS)?,
            nulls: transaction.open_table(NULLS)?,
            uploads: transaction.open_table(UPLOADS)?,
            parts: transaction.open_table(PARTS)?,
            inline: transaction.open_table(INLINE)?,
            files: transaction.open_table(FILES)?,
            garbage: transaction.open_table(GARBAGE)?,
            littered: false,
        })
    }

    /// The next number of a kind.
    pub(crate) fn next_number(&mut self, name: &'static str) -> Result<u64, Fault> {
        let next = self.numbers.get(name)?.map_or(0, |number| number.value()) + 1;
        self.numbers.insert(name, next)?;
        Ok(next)
    }

    /// The bucket. Errors: `NoSuchBucket`.
    pub(crate) fn bucket(&self, name: &str) -> Outcome<Bucket> {
        found_bucket(name, bucket(&self.buckets, name)?)
    }

    /// Makes a bucket record.
    pub(crate) fn insert_bucket(&mut self, name: &str, created: i64, acl: Option<Acl>) -> Result<(), Fault> {
        let id = BucketId(self.next_number(NUMBER_BUCKET)?);
        self.write_bucket(name, &Bucket { id, created, versioning: Versioning::Off, acl })
    }

    /// Writes a bucket record.
    pub(crate) fn write_bucket(&mut self, name: &str, bucket: &Bucket) -> Result<(), Fault> {
        self.buckets.insert(name, &*encode("buckets", bucket)?)?;
        Ok(())
    }

    /// Keeps the bytes of a small segment.
    pub(crate) fn keep_inline(&mut self, id: ContentId, bytes: &[u8]) -> Result<Segment, Fault> {
        self.inline.insert(id.0, bytes)?;
        Ok(Segment { place: Place::Inline(id), length: bytes.len() as u64 })
    }

    /// Takes a data file into the books.
    pub(crate) fn keep_file(&mut self, id: ContentId, length: u64) -> Result<Segment, Fault> {
        self.files.insert(id.0, length)?;
        Ok(Segment { place: Place::File(id), length })
    }

    /// Gives up a segment nothing points to any more.
    pub(crate) fn discard(&mut self, segment: &Segment) -> Result<(), Fault> {
        match segment.place {
            Place::Inline(id) => {
                self.inline.remove(id.0)?;
            }
            Place::File(id) => {
                self.garbage.insert(id.0, ())?;
                self.littered = true;
            }
        }
        Ok(())
    }

    /// The upload, if it is there.
    pub(crate) fn upload(&self, bucket: BucketId, key: &str, id: u128) -> Result<Option<Upload>, Fault> {
        record("uploads", self.uploads.get((bucket.0, key.as_bytes(), id))?)
    }

    /// Writes an upload.
    pub(crate) fn insert_upload(
        &mut self,
        bucket: BucketId,
        key: &str,
        id: u128,
        upload: &Upload,
    ) -> Result<(), Fault> {
        let record = encode("uploads", upload)?;
        self.uploads.insert((bucket.0, key.as_bytes(), id), &*record)?;
        Ok(())
    }

    /// Writes a part, giving up the one of the same number.
    pub(crate) fn replace_part(&mut self, upload: u128, number: u32, part: &Part) -> Result<(), Fault> {
        let old: Option<Part> = record("parts", self.parts.get((upload, number))?)?;
        if let Some(segment) = old.and_then(|old| old.segment) {
            self.discard(&segment)?;
        }
        self.parts.insert((upload, number), &*encode("parts", part)?)?;
        Ok(())
    }

    /// The parts of an upload, by number.
    pub(crate) fn parts_of(&self, upload: u128) -> Result<Vec<(u32, Part)>, Fault> {
        parts(&self.parts, upload, 0)
    }

    /// Removes an upload with its parts and returns those; their segments are the caller's now.
    pub(crate) fn take_upload(
        &mut self,
        bucket: BucketId,
        key: &str,
        id: u128,
    ) -> Result<Vec<(u32, Part)>, Fault> {
        let parts = parts(&self.parts, id, 0)?;
        for (number, _) in &parts {
            self.parts.remove((id, *number))?;
        }
        self.uploads.remove((bucket.0, key.as_bytes(), id))?;
        Ok(parts)
    }
}

/// A view of the tables as of one moment.
pub(crate) struct Snapshot(ReadTransaction);

// === impl Snapshot ===

impl Snapshot {
    pub(crate) fn new(transaction: ReadTransaction) -> Self {
        Self(transaction)
    }

    /// The transaction, for tables walked in order.
    pub(crate) fn transaction(&self) -> &ReadTransaction {
        &self.0
    }

    /// The bucket. Errors: `NoSuchBucket`.
    pub(crate) fn bucket(&self, name: &str) -> Outcome<Bucket> {
        found_bucket(name, bucket(&self.0.open_table(BUCKETS)?, name)?)
    }

    /// Bytes of a small segment.
    pub(crate) fn inline(&self, id: ContentId) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.0.open_table(INLINE)?.get(id.0)?.map(|bytes| bytes.value().to_vec()))
    }

    /// The upload, if it is there.
    pub(crate) fn upload(&self, bucket: BucketId, key: &str, id: u128) -> Result<Option<Upload>, Fault> {
        record("uploads", self.0.open_table(UPLOADS)?.get((bucket.0, key.as_bytes(), id))?)
    }

    /// The parts of an upload whose number is above `after`.
    pub(crate) fn parts(&self, upload: u128, after: u32) -> Result<Vec<(u32, Part)>, Fault> {
        parts(&self.0.open_table(PARTS)?, upload, after.saturating_add(1))
    }
}

fn found_bucket(name: &str, bucket: Option<Bucket>) -> Outcome<Bucket> {
    bucket.ok_or_else(|| S3Error::no_such_bucket(name).into())
}

fn bucket(table: &impl ReadableTable<&'static str, Record>, name: &str) -> Result<Option<Bucket>, Fault> {
    record("buckets", table.get(name)?)
}

fn parts(
    table: &impl ReadableTable<PartKey, Record>,
    upload: u128,
    first: u32,
) -> Result<Vec<(u32, Part)>, Fault> {
    let mut parts = Vec::new();
    for entry in table.range((upload, first)..=(upload, u32::MAX))? {
        let (key, value) = entry?;
        parts.push((key.value().1, decode("parts", value.value())?));
    }
    Ok(parts)
}

pub(crate) fn record<T: DeserializeOwned + Serialize>(
    table: &'static str,
    found: Option<redb::AccessGuard<'_, Record>>,
) -> Result<Option<T>, Fault> {
    found.map(|bytes| decode(table, bytes.value())).transpose()
}
