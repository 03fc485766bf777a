//! What a commit does: checks each change against the draft so far and writes it with its index entries.

use std::ops::ControlFlow;

use model::archive::ArchiveStage;
use model::catalog::{Bucket, Change};
use model::pack::{Pack, PackCopy, PackCopyStage};
use model::volume::Volume;
use model::{Archive, ArchiveId, BucketName, PackId, RestoreJob, VolumeId};

use crate::Error;
use crate::kv::{Draft, Table, scan_prefix};
use crate::query;
use crate::row::{Row, archive_key, bucket_prefix, encode, pack_key, turned, volume_key};

/// Why a commit is not made. Nothing of it was written.
#[derive(Debug)]
pub enum Refusal {
    /// A row has moved on.
    Conflict(String),
    /// A row is not there.
    Missing(String),
    /// The caller broke a rule of the model: who, from and to.
    Illegal(String),
    /// The store below failed.
    Fault(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Fault(error)
    }
}

/// Writes `changes` into the draft, in order. After a refusal the draft is to be dropped.
pub fn apply(draft: &mut Draft<'_>, changes: Vec<Change>) -> Result<(), Refusal> {
    for change in changes {
        match change {
            Change::Archive(row) => write_archive(draft, row)?,
            Change::Touch(id) => touch(draft, id)?,
            Change::Pack(row) => write(draft, row)?,
            Change::PackCopy(row) => write(draft, row)?,
            Change::Volume(row) => write(draft, row)?,
            Change::Restore(row) => write(draft, row)?,
            Change::Bucket(row) => write_bucket(draft, row)?,
            Change::ForgetBucket(name) => forget_bucket(draft, &name)?,
            Change::ForgetArchive(id) => forget_archive(draft, id)?,
            Change::ForgetPack(id) => forget_pack(draft, id)?,
            Change::ForgetVolume(id) => forget_volume(draft, id)?,
        }
    }
    Ok(())
}

/// Writes a row that must be based on the latest revision, which absent rows have as 0.
fn write<R: Row>(draft: &mut Draft<'_>, mut row: R) -> Result<(), Refusal> {
    let mut old: Option<R> = query::row(draft, &row.key())?;
    let latest = old.as_mut().map_or(0, |old| *old.revision());
    if *row.revision() != latest {
        return Err(Refusal::Conflict(row.name()));
    }
    if let Some(step) = old.as_ref().and_then(|old| old.illegal_step(&row)) {
        return Err(Refusal::Illegal(step));
    }
    replace(draft, old.as_ref(), row);
    Ok(())
}

/// Puts `row` with the next revision in the place of `old`, and its index entries likewise.
fn replace<R: Row>(draft: &mut Draft<'_>, old: Option<&R>, mut row: R) {
    *row.revision() += 1;
    let (before, after) = (old.map(R::entries).unwrap_or_default(), row.entries());
    for (table, key) in before.keys().filter(|entry| !after.contains_key(entry)) {
        draft.remove(*table, key.clone());
    }
    for (entry, value) in after {
        if before.get(&entry) != Some(&value) {
            draft.put(entry.0, entry.1, value);
        }
    }
    draft.put(R::TABLE, row.key(), encode(&row));
}

fn remove<R: Row>(draft: &mut Draft<'_>, row: &R) {
    for ((table, key), _) in row.entries() {
        draft.remove(table, key);
    }
    draft.remove(R::TABLE, row.key());
}

/// Writes an archive; the first of a bucket makes the bucket known as one with archives.
fn write_archive(draft: &mut Draft<'_>, row: Archive) -> Result<(), Refusal> {
    if row.revision == 0 {
        let known: Option<Bucket> = query::row(draft, row.bucket.as_str().as_bytes())?;
        if !known.as_ref().is_some_and(|bucket| bucket.has_archives) {
            // Where nobody has written it the revision stays 0: the first who does gives that.
            let known = known.unwrap_or_else(|| Bucket::new(row.bucket.clone()));
            let bucket = Bucket { has_archives: true, ..known };
            draft.put(Table::Buckets, bucket.key(), encode(&bucket));
        }
    }
    write(draft, row)
}

/// Writes a bucket. That it ever had archives is ours to know: no writer can take it back.
fn write_bucket(draft: &mut Draft<'_>, mut row: Bucket) -> Result<(), Refusal> {
    let known: Option<Bucket> = query::row(draft, &row.key())?;
    row.has_archives |= known.is_some_and(|bucket| bucket.has_archives);
    write(draft, row)
}

/// Marks a live archive touched. Its revision moves even when it is touched already, so that whoever looked at the
/// object before this mutation cannot clear the mark.
fn touch(draft: &mut Draft<'_>, id: ArchiveId) -> Result<(), Refusal> {
    let old: Option<Archive> = query::row(draft, &archive_key(id))?;
    if let Some(old) = old.filter(|row| row.state.stage().is_live()) {
        let row = Archive { touched: true, ..old.clone() };
        replace(draft, Some(&old), row);
    }
    Ok(())
}

fn forget_bucket(draft: &mut Draft<'_>, name: &BucketName) -> Result<(), Refusal> {
    let key = name.as_str().as_bytes();
    let known: Option<Bucket> = query::row(draft, key)?;
    let bucket = known.ok_or_else(|| Refusal::Missing(format!("bucket {name}")))?;
    let mut live = false;
    scan_prefix(draft, Table::ArchivesByKey, &bucket_prefix(name), None, &mut |_, _| {
        live = true;
        ControlFlow::Break(())
    })?;
    if live {
        return Err(Refusal::Illegal(format!("bucket {name} may not be forgotten: it has live archives")));
    }
    remove(draft, &bucket);
    Ok(())
}

/// Forgets an archive and those of its restores that are over.
fn forget_archive(draft: &mut Draft<'_>, id: ArchiveId) -> Result<(), Refusal> {
    let old: Option<Archive> = query::row(draft, &archive_key(id))?;
    let row = old.ok_or_else(|| Refusal::Missing(format!("archive {id}")))?;
    let stage = row.state.stage();
    let untaken = matches!(stage, ArchiveStage::Declared | ArchiveStage::Due) && row.extents.is_empty();
    if stage.is_live() && !untaken {
        return Err(Refusal::Illegal(format!("archive {id} may not go from {stage:?} to forgotten")));
    }
    for extent in &row.extents {
        let pack: Option<Pack> = query::row(draft, &pack_key(extent.pack))?;
        let copies: Vec<PackCopy> = query::copies_of(draft, extent.pack)?;
        if pack.is_some_and(|pack| pack.spooled) || !copies.iter().all(is_dead) {
            return Err(Refusal::Illegal(format!(
                "archive {id} may not be forgotten: pack {} still holds it",
                extent.pack
            )));
        }
    }
    let mut jobs = Vec::new();
    scan_prefix(draft, Table::RestoresByArchive, &archive_key(id), None, &mut |job, _| {
        jobs.push(turned(job));
        ControlFlow::Continue(())
    })?;
    for job in jobs {
        let job: RestoreJob = query::indexed(draft, Table::RestoresByArchive, &job)?;
        if job.state.stage().is_over() {
            remove(draft, &job);
        }
    }
    remove(draft, &row);
    Ok(())
}

/// Forgets a pack that is nowhere and that nobody names, with its copies.
fn forget_pack(draft: &mut Draft<'_>, id: PackId) -> Result<(), Refusal> {
    let old: Option<Pack> = query::row(draft, &pack_key(id))?;
    let row = old.ok_or_else(|| Refusal::Missing(format!("pack {id}")))?;
    let mut named = false;
    scan_prefix(draft, Table::ArchivesByPack, &pack_key(id), None, &mut |_, _| {
        named = true;
        ControlFlow::Break(())
    })?;
    let copies = query::copies_of(draft, id)?;
    if named || row.spooled || !copies.iter().all(is_dead) {
        return Err(Refusal::Illegal(format!("pack {id} may not be forgotten: it is still needed")));
    }
    copies.iter().for_each(|copy| remove(draft, copy));
    remove(draft, &row);
    Ok(())
}

/// Forgets a volume no copy on which counts, with these copies.
fn forget_volume(draft: &mut Draft<'_>, id: VolumeId) -> Result<(), Refusal> {
    let old: Option<Volume> = query::row(draft, &volume_key(id))?;
    let row = old.ok_or_else(|| Refusal::Missing(format!("volume {id}")))?;
    let copies = query::copies_on(draft, id)?;
    if !copies.iter().all(is_dead) {
        return Err(Refusal::Illegal(format!("volume {id} may not be forgotten: copies on it count")));
    }
    copies.iter().for_each(|copy| remove(draft, copy));
    remove(draft, &row);
    Ok(())
}

fn is_dead(copy: &PackCopy) -> bool {
    copy.state.stage() == PackCopyStage::Dead
}
