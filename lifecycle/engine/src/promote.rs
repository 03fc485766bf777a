//! What follows from the state of a pack's copies: archives become `Taped`, spool files are freed, lost packs are
//! built again. Safe to run at any time, any number of times.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use model::archive::ArchiveStage;
use model::catalog::{CatalogError, Change};
use model::pack::{PackCopy, PackCopyStage, PackCopyState};
use model::{Archive, ArchiveId, ArchiveState, PackId};

use crate::error::{Error, chain};
use crate::house::House;

const PAGE: usize = 1_000;
/// Every so many rounds it is looked at everything, hint or not.
const ROUNDS: u32 = 10;
/// Tries at rows that others change at the same time.
const TRIES_MAX: u32 = 5;

/// When a promotion is worth a look: it goes through every packed archive.
#[derive(Default)]
pub(crate) struct Promotion {
    wanted: AtomicBool,
    rounds: AtomicU32,
}

impl Promotion {
    /// A copy changed.
    pub(crate) fn want(&self) {
        self.wanted.store(true, Ordering::Release);
    }

    /// Whether this round is to look; the first one is.
    pub(crate) fn is_due(&self) -> bool {
        let round = self.rounds.fetch_add(1, Ordering::AcqRel);
        self.wanted.swap(false, Ordering::AcqRel) || round.is_multiple_of(ROUNDS)
    }
}

/// Makes `Taped` what is on tape in every copy and due again what is in a lost pack, then frees the spool of packs
/// that are on tape. Counts the archives taped.
pub async fn promote(house: &House) -> Result<u64, Error> {
    let mut packs = Packs::default();
    let mut taped = 0;
    let mut after: Option<ArchiveId> = None;
    loop {
        let page = house.catalog.archives_in(ArchiveStage::Packed, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        let (mut safe, mut lost) = (Vec::new(), Vec::new());
        for mut archive in page {
            match packs.of(house, &archive).await? {
                Standing::Verified => {
                    archive.advance(ArchiveState::Taped, house.now());
                    safe.push(archive);
                }
                Standing::Waiting => {}
                Standing::Lost => {
                    archive.advance(ArchiveState::Due, house.now());
                    lost.push(archive);
                }
            }
        }
        taped += house.save_each(safe).await?;
        let again = house.save_each(lost).await?;
        if again > 0 {
            tracing::warn!(archives = again, "archives in lost packs are packed again");
        }
    }
    free_spool(house, &mut packs).await?;
    Ok(taped)
}

/// How far a pack is, all its copies together.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Every copy is verified.
    Verified,
    /// Some are not yet.
    Waiting,
    /// It is not there, or lacks a copy that never comes.
    Lost,
}

/// The packs looked at; remembered for one round.
#[derive(Default)]
struct Packs {
    known: BTreeMap<PackId, Standing>,
}

impl Packs {
    /// The worst of the packs an archive is in.
    async fn of(&mut self, house: &House, archive: &Archive) -> Result<Standing, Error> {
        let mut worst = Standing::Verified;
        for extent in &archive.extents {
            match self.pack(house, extent.pack).await? {
                Standing::Lost => return Ok(Standing::Lost),
                Standing::Waiting => worst = Standing::Waiting,
                Standing::Verified => {}
            }
        }
        Ok(worst)
    }

    async fn pack(&mut self, house: &House, pack: PackId) -> Result<Standing, Error> {
        if let Some(known) = self.known.get(&pack) {
            return Ok(*known);
        }
        let standing = standing(&house.catalog.copies_of(pack).await?);
        self.known.insert(pack, standing);
        Ok(standing)
    }
}

fn standing(copies: &[PackCopy]) -> Standing {
    let is = |stage: PackCopyStage| move |copy: &PackCopy| copy.state.stage() == stage;
    if copies.is_empty() || copies.iter().any(is(PackCopyStage::Dead)) {
        Standing::Lost
    } else if copies.iter().all(is(PackCopyStage::Verified)) {
        Standing::Verified
    } else {
        Standing::Waiting
    }
}

async fn free_spool(house: &House, packs: &mut Packs) -> Result<(), Error> {
    let mut after: Option<PackId> = None;
    loop {
        let spooled = house.catalog.packs_spooled(after, PAGE).await?;
        let Some(last) = spooled.last() else { return Ok(()) };
        after = Some(last.id);
        for mut pack in spooled {
            if packs.pack(house, pack.id).await? == Standing::Verified {
                pack.spooled = false;
                let id = pack.id;
                // The row first: a file without a row is removed at the next start, a row without a file is a loss.
                match house.catalog.commit(vec![Change::Pack(pack)]).await {
                    Ok(()) => house.spool.remove(id)?,
                    // Somebody else was there first: the next round sees it.
                    Err(CatalogError::Conflict { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
}

/// Gives up a pack that is nowhere complete: its archives are due again, their hot bytes being where they were.
/// Refused when one of them relies on the pack already.
pub(crate) async fn pack_lost(house: &House, pack: PackId) -> Result<(), Error> {
    let mut after: Option<ArchiveId> = None;
    loop {
        let mut archives = house.catalog.archives_of_pack(pack, after, PAGE).await?;
        let Some(last) = archives.last() else { break };
        after = Some(last.id);
        let relies = |archive: &&Archive| {
            matches!(
                archive.state.stage(),
                ArchiveStage::Taped | ArchiveStage::Flipping | ArchiveStage::Archived
            )
        };
        if let Some(archive) = archives.iter().find(relies) {
            let what = format!("pack {pack} is lost while archive {} relies on it", archive.id);
            return Err(Error::Bug { what });
        }
        archives.retain(|archive| archive.state.stage() == ArchiveStage::Packed);
        for archive in &mut archives {
            archive.advance(ArchiveState::Due, house.now());
        }
        house.save_each(archives).await?;
    }
    bury(house, pack).await?;
    house.spool.remove(pack)
}

/// Makes every copy of a pack `Dead`, also when somebody changes one at the same time.
async fn bury(house: &House, pack: PackId) -> Result<(), Error> {
    let mut tries = 0;
    loop {
        let mut changes: Vec<Change> = Vec::new();
        for mut copy in house.catalog.copies_of(pack).await? {
            copy.advance(PackCopyState::Dead);
            changes.push(Change::PackCopy(copy));
        }
        if let Some(mut row) = house.catalog.pack(pack).await? {
            row.spooled = false;
            changes.push(Change::Pack(row));
        }
        tries += 1;
        match house.catalog.commit(changes).await {
            Err(CatalogError::Conflict { .. }) if tries < TRIES_MAX => {}
            other => return Ok(other?),
        }
    }
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
                match pack_lost(house, pack.id).await {
                    Ok(()) => lost += 1,
                    // The process must start all the same: what is on tape can be read.
                    Err(error @ Error::Bug { .. }) => {
                        tracing::error!(pack = %pack.id, error = chain(&error), "a lost pack is kept on the books");
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use model::PoolName;

    #[test]
    fn one_dead_copy_means_the_pack_is_lost() {
        let place = (7, 1);
        let verified = PackCopyState::Verified { start_block: place.0, blocks: place.1 };
        let written = PackCopyState::Written { start_block: place.0, blocks: place.1 };
        let copies = |states: &[PackCopyState]| -> Vec<PackCopy> {
            (0_u8..)
                .zip(states)
                .map(|(number, state)| PackCopy {
                    pack: PackId::new(1, 1),
                    number,
                    revision: 1,
                    pool: PoolName::parse("pool").unwrap(),
                    volume: None,
                    state: *state,
                })
                .collect()
        };
        assert!(standing(&copies(&[])) == Standing::Lost);
        assert!(standing(&copies(&[verified, PackCopyState::Dead])) == Standing::Lost);
        assert!(standing(&copies(&[verified, written])) == Standing::Waiting);
        assert!(standing(&copies(&[verified, verified])) == Standing::Verified);
    }

    #[test]
    fn promotion_looks_when_asked_and_every_tenth_round() {
        let promotion = Promotion::default();
        assert!(promotion.is_due() && !promotion.is_due());
        promotion.want();
        assert!(promotion.is_due() && !promotion.is_due());
        assert_eq!((4..=20).filter(|_| promotion.is_due()).count(), 2);
    }
}
