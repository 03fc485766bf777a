//! What follows from the state of a pack's copies: archives become `Taped`, spool files are freed, lost packs are
//! built again. Safe to run at any time, any number of times.

use std::collections::BTreeMap;

use model::archive::ArchiveStage;
use model::catalog::Change;
use model::pack::{PackCopy, PackCopyStage, PackCopyState};
use model::{Archive, ArchiveId, ArchiveState, PackId};

use crate::error::Error;
use crate::house::House;

const PAGE: usize = 1_000;

/// Makes `Taped` what is on tape in every copy, then frees the spool of packs that are. Counts the archives.
pub async fn promote(house: &House) -> Result<u64, Error> {
    let mut verified = Verified::default();
    let mut taped = 0;
    let mut after: Option<ArchiveId> = None;
    loop {
        let page = house.catalog.archives_in(ArchiveStage::Packed, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        let mut changes = Vec::new();
        for archive in page {
            if verified.all(house, &archive).await? {
                let mut next: Archive = archive;
                next.advance(ArchiveState::Taped, house.now());
                changes.push(next);
            }
        }
        taped += house.save_each(changes).await?;
    }
    free_spool(house, &mut verified).await?;
    Ok(taped)
}

/// Which packs have every copy verified; remembered for one round.
#[derive(Default)]
struct Verified {
    packs: BTreeMap<PackId, bool>,
}

impl Verified {
    async fn all(&mut self, house: &House, archive: &Archive) -> Result<bool, Error> {
        for extent in &archive.extents {
            if !self.pack(house, extent.pack).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn pack(&mut self, house: &House, pack: PackId) -> Result<bool, Error> {
        if let Some(known) = self.packs.get(&pack) {
            return Ok(*known);
        }
        let copies = house.catalog.copies_of(pack).await?;
        let verified =
            !copies.is_empty() && copies.iter().all(|copy| copy.state.stage() == PackCopyStage::Verified);
        self.packs.insert(pack, verified);
        Ok(verified)
    }
}

async fn free_spool(house: &House, verified: &mut Verified) -> Result<(), Error> {
    let mut after: Option<PackId> = None;
    loop {
        let packs = house.catalog.packs_spooled(after, PAGE).await?;
        let Some(last) = packs.last() else { return Ok(()) };
        after = Some(last.id);
        for mut pack in packs {
            if verified.pack(house, pack.id).await? {
                pack.spooled = false;
                let id = pack.id;
                // The row first: a file without a row is removed at the next start, a row without a file is a loss.
                house.catalog.commit(vec![Change::Pack(pack)]).await?;
                house.spool.remove(id)?;
            }
        }
    }
}

/// Gives up a pack that is nowhere complete: its archives are due again, their hot bytes being where they were.
pub(crate) async fn pack_lost(house: &House, pack: PackId) -> Result<(), Error> {
    let mut after: Option<ArchiveId> = None;
    loop {
        let archives = house.catalog.archives_of_pack(pack, after, PAGE).await?;
        let Some(last) = archives.last() else { break };
        after = Some(last.id);
        for mut archive in archives {
            if archive.state.stage() == ArchiveStage::Packed {
                house.advance(&mut archive, ArchiveState::Due).await?;
            }
        }
    }
    let mut changes: Vec<Change> = Vec::new();
    for mut copy in house.catalog.copies_of(pack).await? {
        copy.advance(PackCopyState::Dead);
        changes.push(Change::PackCopy(copy));
    }
    if let Some(mut row) = house.catalog.pack(pack).await? {
        row.spooled = false;
        changes.push(Change::Pack(row));
    }
    house.catalog.commit(changes).await?;
    house.spool.remove(pack)
}

/// At start: packs whose file is wanted but gone, while a copy still needs it, are given up.
pub(crate) async fn give_up_lost_packs(house: &House) -> Result<u64, Error> {
    let mut lost = 0;
    let mut after: Option<PackId> = None;
    loop {
        let packs = house.catalog.packs_spooled(after, PAGE).await?;
        let Some(last) = packs.last() else { return Ok(lost) };
        after = Some(last.id);
        for pack in packs {
            let whole = std::fs::metadata(house.spool.path(pack.id))
                .is_ok_and(|file| file.len() == pack.bytes)
                && house.spool.manifest_path(pack.id).exists();
            let copies = house.catalog.copies_of(pack.id).await?;
            let needed = copies.iter().any(|copy: &PackCopy| copy.state.stage() == PackCopyStage::Spooled);
            if needed && !whole {
                pack_lost(house, pack.id).await?;
                lost += 1;
            }
        }
    }
}
