//! What follows from the state of a pack's copies: archives become `Taped`, spool files are freed, lost packs are
//! built again. Safe to run at any time, any number of times.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use model::archive::ArchiveStage;
use model::catalog::{CatalogError, Change};
use model::pack::{CopyEnd, PackCopy, PackCopyStage, PackCopyState};
use model::{Archive, ArchiveId, ArchiveState, PackId, PoolName};

use crate::error::{Error, chain};
use crate::house::House;
use crate::standing::{Packs, Standing, is_trusted};
use crate::wanted::want;

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

/// Makes `Taped` what is on tape in every copy and due again what is in a lost pack; has copies that were lost made
/// again while the hot bytes are still there; then frees the spool of packs that are on tape. Counts the archives taped.
pub async fn promote(house: &House) -> Result<u64, Error> {
    let mut packs = Packs::begin(house).await?;
    let mut short = BTreeMap::new();
    let mut taped = 0;
    for stage in [ArchiveStage::Packed, ArchiveStage::Taped] {
        taped += promote_stage(house, stage, &mut packs, &mut short).await?;
    }
    for (pack, pools) in short {
        let again = want(house, pack, &pools).await?;
        tracing::warn!(%pack, copies = again, "copies that were lost are made again");
    }
    free_spool(house).await?;
    Ok(taped)
}

async fn promote_stage(
    house: &House,
    stage: ArchiveStage,
    packs: &mut Packs,
    short: &mut BTreeMap<PackId, Vec<PoolName>>,
) -> Result<u64, Error> {
    let mut taped = 0;
    let mut after: Option<ArchiveId> = None;
    loop {
        let page = house.catalog.archives_in(stage, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(taped) };
        after = Some(last.id);
        let (mut safe, mut lost) = (Vec::new(), Vec::new());
        for mut archive in page {
            match packs.of(house, &archive, short).await? {
                Standing::Whole if stage == ArchiveStage::Packed => {
                    archive.advance(ArchiveState::Taped, house.now());
                    safe.push(archive);
                }
                Standing::Whole | Standing::Waiting | Standing::Short(_) => {}
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
}

/// Frees the spool of packs no copy of which is still to be made, written or read back.
async fn free_spool(house: &House) -> Result<(), Error> {
    let mut after: Option<PackId> = None;
    loop {
        let spooled = house.catalog.packs_spooled(after, PAGE).await?;
        let Some(last) = spooled.last() else { return Ok(()) };
        after = Some(last.id);
        for mut pack in spooled {
            let copies = house.catalog.copies_of(pack.id).await?;
            if copies.is_empty() || copies.iter().any(|copy| needs_spool(house, copy)) {
                continue;
            }
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

fn needs_spool(house: &House, copy: &PackCopy) -> bool {
    match copy.state.stage() {
        PackCopyStage::Wanted | PackCopyStage::Spooled => true,
        PackCopyStage::Written => !is_trusted(house, copy),
        PackCopyStage::Verified | PackCopyStage::Damaged | PackCopyStage::Dead => false,
    }
}

/// The spool lost a pack or holds it damaged. Where a copy is on tape the others are made from it; else the pack is
/// given up.
pub(crate) async fn spool_lost(house: &House, pack: PackId) -> Result<(), Error> {
    let copies = house.catalog.copies_of(pack).await?;
    let on_tape =
        |copy: &PackCopy| matches!(copy.state.stage(), PackCopyStage::Written | PackCopyStage::Verified);
    if !copies.iter().any(on_tape) {
        return pack_lost(house, pack).await;
    }
    let mut changes = Vec::new();
    for mut copy in copies {
        if copy.state.stage() == PackCopyStage::Spooled {
            copy.advance(PackCopyState::Wanted);
            changes.push(Change::PackCopy(copy));
        }
    }
    match house.catalog.commit(changes).await {
        // Found again by whoever writes the pack next.
        Err(CatalogError::Conflict { .. }) => return Ok(()),
        other => other?,
    }
    house.spool.remove(pack)
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
    house.unclaimed.remove(pack);
    house.spool.remove(pack)
}

/// Makes every copy of a pack `Dead`, also when somebody changes one at the same time.
async fn bury(house: &House, pack: PackId) -> Result<(), Error> {
    let mut tries = 0;
    loop {
        let mut changes: Vec<Change> = Vec::new();
        for mut copy in house.catalog.copies_of(pack).await? {
            if copy.state.stage() != PackCopyStage::Dead {
                copy.advance(PackCopyState::Dead { why: CopyEnd::GivenUp });
                changes.push(Change::PackCopy(copy));
            }
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

/// At start: packs whose file is wanted but gone, while a copy still needs it, are given up or read from tape again.
pub(crate) async fn give_up_lost_packs(house: &House) -> Result<u64, Error> {
    let mut lost = 0;
    let mut after: Option<PackId> = None;
    loop {
        let packs = house.catalog.packs_spooled(after, PAGE).await?;
        let Some(last) = packs.last() else { return Ok(lost) };
        after = Some(last.id);
        for pack in packs {
            let copies = house.catalog.copies_of(pack.id).await?;
            let needed = copies.iter().any(|copy: &PackCopy| copy.state.stage() == PackCopyStage::Spooled);
            if needed && !house.spool.has(&pack) {
                match spool_lost(house, pack.id).await {
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
    use super::*;

    #[test]
    fn promotion_looks_when_asked_and_every_tenth_round() {
        let promotion = Promotion::default();
        assert!(promotion.is_due() && !promotion.is_due());
        promotion.want();
        assert!(promotion.is_due() && !promotion.is_due());
        assert_eq!((4..=20).filter(|_| promotion.is_due()).count(), 2);
    }
}
