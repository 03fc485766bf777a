//! History that no cartridge holds any more is forgotten, and what stood only in the journals of a volume that goes is
//! journaled again.

use std::sync::{Mutex, PoisonError};

use model::archive::ArchiveStage;
use model::catalog::{CatalogError, Change};
use model::pack::{CopyEnd, PackCopy, PackCopyState};
use model::volume::Volume;
use model::{Archive, ArchiveId, PackId, Timestamp, VolumeId};

use crate::error::Error;
use crate::house::House;

const PAGE: usize = 1_000;
/// History looked at in one round.
const ROUND: usize = 1_000;

/// Where the sweep over history goes on. A restart begins anew.
#[derive(Default)]
pub(crate) struct Sweep {
    at: Mutex<(usize, Option<ArchiveId>)>,
}

/// The stages of history.
const HISTORY: [ArchiveStage; 2] = [ArchiveStage::Dead, ArchiveStage::Withdrawn];

/// Looks through a page of history: an archive whose end is journaled and whose packs are on no cartridge any more is
/// forgotten, and then the packs nobody names. Counts the archives.
pub(crate) async fn sweep(house: &House) -> Result<u64, Error> {
    let lock = || house.sweep.at.lock().unwrap_or_else(PoisonError::into_inner);
    let (stage, after) = *lock();
    let page = house.catalog.archives_in(HISTORY[stage], after, ROUND).await?;
    *lock() = match page.last() {
        Some(last) => (stage, Some(last.id)),
        None => ((stage + 1) % HISTORY.len(), None),
    };
    let mut forgotten = 0;
    for archive in page {
        if archive.death_journaled && !archive.extents.is_empty() && is_gone(house, &archive).await? {
            house.catalog.commit(vec![Change::ForgetArchive(archive.id)]).await?;
            forgotten += 1;
            for extent in &archive.extents {
                forget_pack(house, extent.pack).await?;
            }
        }
    }
    Ok(forgotten)
}

/// Whether no cartridge has anything of it: all were overwritten or destroyed. A cartridge that was merely retired may
/// still be read by a rebuild, which must then know of the end.
async fn is_gone(house: &House, archive: &Archive) -> Result<bool, Error> {
    for extent in &archive.extents {
        if !is_pack_gone(house, extent.pack).await? {
            return Ok(false);
        }
    }
    let restore = house.catalog.restore_of(archive.id).await?;
    Ok(restore.is_none_or(|job| job.state.stage().is_over()))
}

async fn is_pack_gone(house: &House, pack: PackId) -> Result<bool, Error> {
    let spooled = house.catalog.pack(pack).await?.is_some_and(|row| row.spooled);
    let gone = |copy: &PackCopy| copy.volume.is_none() && matches!(copy.state, PackCopyState::Dead { .. });
    let copies = house.catalog.copies_of(pack).await?;
    Ok(!spooled && copies.iter().all(|copy| is_lost(copy) || gone(copy)))
}

/// Forgets a pack that is nowhere and that nobody names.
pub(crate) async fn forget_pack(house: &House, pack: PackId) -> Result<(), Error> {
    let named = !house.catalog.archives_of_pack(pack, None, 1).await?.is_empty();
    let known = house.catalog.pack(pack).await?.is_some();
    if named || !known || house.unclaimed.has(pack) || !is_pack_gone(house, pack).await? {
        return Ok(());
    }
    Ok(house.catalog.commit(vec![Change::ForgetPack(pack)]).await?)
}

/// What may stand only in the journals of a volume that goes is to be journaled once more, elsewhere: ends, without which a
/// rebuild would bring back what was deleted, and records that changed. Of what is on no other cartridge there is nothing to
/// tell.
pub(crate) async fn journal_again(house: &House, volume: &Volume) -> Result<(), Error> {
    if volume.journal == 0 {
        return Ok(());
    }
    for stage in ArchiveStage::ALL {
        let mut after: Option<ArchiveId> = None;
        loop {
            let page = house.catalog.archives_in(stage, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            let mut again = Vec::new();
            for row in page {
                let journaled = if stage.is_live() { row.record_journaled } else { row.death_journaled };
                if journaled && is_elsewhere(house, &row, volume.id).await? {
                    again.push(untold_again(row, house.now()));
                }
            }
            let wanted = again.len() as u64;
            if house.save_each(again).await? < wanted {
                // Somebody else changed one of them: the whole is tried again.
                return Err(CatalogError::Conflict { row: "an archive that is told again".to_owned() }.into());
            }
        }
    }
    Ok(())
}

fn untold_again(row: Archive, now: Timestamp) -> Archive {
    match row.state.stage().is_live() {
        true => Archive { record_changed: row.record_changed.or(Some(now)), record_journaled: false, ..row },
        false => Archive { death_journaled: false, ..row },
    }
}

/// Whether a rebuild may find something of it on another cartridge than this volume's.
async fn is_elsewhere(house: &House, archive: &Archive, volume: VolumeId) -> Result<bool, Error> {
    for extent in &archive.extents {
        let copies = house.catalog.copies_of(extent.pack).await?;
        let there = |copy: &PackCopy| !is_lost(copy) && copy.volume.is_some_and(|on| on != volume);
        let spooled = house.catalog.pack(extent.pack).await?.is_some_and(|row| row.spooled);
        if spooled || copies.iter().any(there) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_lost(copy: &PackCopy) -> bool {
    copy.state == PackCopyState::Dead { why: CopyEnd::VolumeLost }
}

/// Whether all that ended or changed before `moment` is told on tape.
pub(crate) async fn is_told_until(house: &House, moment: Timestamp) -> Result<bool, Error> {
    let oldest = house.catalog.archives_untold(None, 1).await?.first().and_then(Archive::untold);
    Ok(oldest.is_none_or(|since| since >= moment))
}
