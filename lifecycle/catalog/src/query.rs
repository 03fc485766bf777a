//! What can be asked of the tables.

use std::ops::ControlFlow;

use model::archive::ArchiveStage;
use model::catalog::Counts;
use model::pack::{PackCopy, PackCopyStage};
use model::restore::RestoreStage;
use model::{Archive, ArchiveId, PackId, RestoreJob, Timestamp, VolumeId};

use crate::Error;
use crate::kv::{Read, Table, scan_prefix};
use crate::row::{
    LIVE, MOMENT_BYTES, Row, archive_key, decode, hex, pack_key, turned, untold_key, volume_key,
};

/// Most rows one page has.
pub const PAGE_ROWS_MAX: usize = 10_000;

/// The row of a key.
pub fn row<R: Row>(read: &dyn Read, key: &[u8]) -> Result<Option<R>, Error> {
    match read.get(R::TABLE, key)? {
        Some(bytes) => decode(key, &bytes).map(Some),
        None => Ok(None),
    }
}

/// The row an index entry names, which must be there.
pub fn indexed<R: Row>(read: &dyn Read, index: Table, key: &[u8]) -> Result<R, Error> {
    row(read, key)?.ok_or_else(|| Error::Dangling {
        table: index.name(),
        row: format!("{} {}", R::TABLE.name(), hex(key)),
    })
}

/// Up to `limit` rows named by an index whose keys are `prefix` and then the row's key, after the row key `after`.
pub fn page<R: Row>(
    read: &dyn Read,
    index: Table,
    prefix: &[u8],
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<R>, Error> {
    let limit = limit.min(PAGE_ROWS_MAX);
    let mut keys: Vec<Vec<u8>> = Vec::new();
    scan_prefix(read, index, prefix, after, &mut |key, _| {
        if keys.len() == limit {
            return ControlFlow::Break(());
        }
        keys.push(key.to_vec());
        ControlFlow::Continue(())
    })?;
    keys.iter().map(|key| indexed(read, index, key)).collect()
}

/// Up to `limit` archives with something untold, the longest first.
pub fn untold(
    read: &dyn Read,
    after: Option<(Timestamp, ArchiveId)>,
    limit: usize,
) -> Result<Vec<Archive>, Error> {
    let index = Table::ArchivesUntold;
    let after = after.map(|(since, id)| untold_key(since, id));
    let mut keys: Vec<Vec<u8>> = Vec::new();
    scan_prefix(read, index, &[], after.as_deref(), &mut |key, _| {
        if keys.len() == limit.min(PAGE_ROWS_MAX) {
            return ControlFlow::Break(());
        }
        keys.push(key[MOMENT_BYTES..].to_vec());
        ControlFlow::Continue(())
    })?;
    keys.iter().map(|key| indexed(read, index, key)).collect()
}

/// All rows of a kind, in the order of their keys.
pub fn all<R: Row>(read: &dyn Read) -> Result<Vec<R>, Error> {
    with_prefix(read, &[])
}

/// The copies of a pack, by number.
pub fn copies_of(read: &dyn Read, pack: PackId) -> Result<Vec<PackCopy>, Error> {
    with_prefix(read, &pack_key(pack))
}

/// Whether an archive that is not history has an extent in the pack. Reads the index alone.
pub fn is_alive(read: &dyn Read, pack: PackId) -> Result<bool, Error> {
    let mut alive = false;
    scan_prefix(read, Table::ArchivesByPack, &pack_key(pack), None, &mut |_, live| {
        alive = live == LIVE;
        if alive { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(alive)
}

/// Every copy on a volume.
pub fn copies_on(read: &dyn Read, volume: VolumeId) -> Result<Vec<PackCopy>, Error> {
    let mut keys: Vec<Vec<u8>> = Vec::new();
    scan_prefix(read, Table::CopiesByVolume, &volume_key(volume), None, &mut |key, _| {
        keys.push(key.to_vec());
        ControlFlow::Continue(())
    })?;
    keys.iter().map(|key| indexed(read, Table::CopiesByVolume, key)).collect()
}

fn with_prefix<R: Row>(read: &dyn Read, prefix: &[u8]) -> Result<Vec<R>, Error> {
    let mut rows = Vec::new();
    scan_prefix(read, R::TABLE, prefix, None, &mut |key, value| {
        rows.push(decode(key, value));
        ControlFlow::Continue(())
    })?;
    rows.into_iter().collect()
}

/// Copies named by an index, after the pack `after`. The next page begins after a whole pack, so this one ends with
/// one: it may exceed `limit` by the remaining copies of its last pack.
pub fn copies_page(
    read: &dyn Read,
    index: Table,
    prefix: &[u8],
    after: Option<PackId>,
    limit: usize,
) -> Result<Vec<PackCopy>, Error> {
    let limit = limit.min(PAGE_ROWS_MAX);
    // Sorts after every copy number of the pack.
    let after = after.map(|pack| [pack_key(pack), vec![0xFF]].concat());
    let mut keys: Vec<Vec<u8>> = Vec::new();
    scan_prefix(read, index, prefix, after.as_deref(), &mut |key, _| {
        let another_pack = keys.last().is_none_or(|last| !same_pack(last, key));
        if keys.len() >= limit && another_pack {
            return ControlFlow::Break(());
        }
        keys.push(key.to_vec());
        ControlFlow::Continue(())
    })?;
    keys.iter().map(|key| indexed(read, index, key)).collect()
}

fn same_pack(one: &[u8], other: &[u8]) -> bool {
    one.split_last().map(|(_, pack)| pack) == other.split_last().map(|(_, pack)| pack)
}

/// The latest restore of an archive.
pub fn restore_of(read: &dyn Read, archive: ArchiveId) -> Result<Option<RestoreJob>, Error> {
    let mut latest = None;
    let index = Table::RestoresByArchive;
    scan_prefix(read, index, &archive_key(archive), None, &mut |job, _| {
        latest = Some(turned(job));
        ControlFlow::Break(())
    })?;
    latest.map(|job| indexed(read, index, &job)).transpose()
}

/// Counts everything from the indexes by stage; every stage is listed, also those with nothing in them.
pub fn counts(read: &dyn Read) -> Result<Counts, Error> {
    let mut counts = Counts::default();
    for stage in ArchiveStage::ALL {
        let (rows, bytes) = tally(read, Table::ArchivesByStage, stage as u8)?;
        counts.archives.push((stage, rows, bytes));
    }
    for stage in RestoreStage::ALL {
        counts.restores.push((stage, tally(read, Table::RestoresByStage, stage as u8)?.0));
    }
    for stage in PackCopyStage::ALL {
        counts.copies.push((stage, tally(read, Table::CopiesByStage, stage as u8)?.0));
    }
    Ok(counts)
}

/// How many entries a stage has in its index, and the sum of the sizes written there.
fn tally(read: &dyn Read, index: Table, stage: u8) -> Result<(u64, u64), Error> {
    let (mut rows, mut bytes) = (0_u64, 0_u64);
    scan_prefix(read, index, &[stage], None, &mut |_, size| {
        rows += 1;
        let size = size.try_into().map_or(0, u64::from_be_bytes);
        bytes = bytes.saturating_add(size);
        ControlFlow::Continue(())
    })?;
    Ok((rows, bytes))
}
