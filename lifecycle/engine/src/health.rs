//! Which packs are short of copies: counted from the rows each time it is asked, never kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use model::catalog::{Catalog, CatalogError};
use model::holding::{Worth, holdings};
use model::pack::{Pack, PackCopy, PackCopyStage};
use model::volume::{Volume, VolumeStage};
use model::{PackId, PoolName, Timestamp, VolumeId};

use crate::notice::Notice;
use crate::standing::by_id;

const PAGE: usize = 1_000;

/// What lives on tape with fewer copies than it should have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Packs and bytes short of a copy, each counted once.
    pub degraded: Tally,
    /// Those of them no whole copy of which is left anywhere.
    pub lost: Tally,
    /// What each pool is short of.
    pub pools: BTreeMap<PoolName, Shortage>,
}

/// What one pool is short of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shortage {
    /// What it lost and does not have again.
    pub short: Tally,
    /// Those of them a copy of which is on its way.
    pub coming: Tally,
    /// Those of them that can be made from nothing.
    pub lost: Tally,
}

/// So many packs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Packs.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Tally {
    fn add(&mut self, pack: &Pack) {
        self.packs += 1;
        self.bytes += pack.bytes;
    }
}

/// Since when something is short of copies, or lost, as far as this process has seen.
#[derive(Default)]
pub(crate) struct Shortages {
    since: Mutex<(Option<Timestamp>, Option<Timestamp>)>,
}

// === impl Shortages ===

impl Shortages {
    /// For people: what is short, and what is lost.
    pub(crate) fn notices(&self, health: &Health, now: Timestamp) -> Vec<Notice> {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let mut notices = Vec::new();
        let mut notice = |since: &mut Option<Timestamp>, code, tally: Tally, text: &str| {
            *since = (tally.packs > 0).then(|| since.unwrap_or(now));
            if let Some(since) = *since {
                let text = format!("{} packs ({} bytes) {text}", tally.packs, tally.bytes);
                notices.push(Notice { stage: "copies", code: Some(code), text, since });
            }
        };
        let degraded = "are short of a copy: `tapegate pool repair --all` makes it again";
        notice(&mut since.0, "EN-0141", health.degraded, degraded);
        let lost = "have no whole copy left: `tapegate volume show --contents` says what was on a volume";
        notice(&mut since.1, "EN-0142", health.lost, lost);
        notices
    }
}

/// A living pack that pools are short of.
pub(crate) struct ShortPack {
    pub(crate) pack: Pack,
    /// The pools, and whether a copy is on its way to them.
    pub(crate) pools: Vec<(PoolName, bool)>,
    /// Whether a whole copy is anywhere.
    pub(crate) is_whole: bool,
}

/// Counts what is short of copies.
pub async fn health(catalog: &dyn Catalog) -> Result<Health, CatalogError> {
    let mut health = Health::default();
    for ShortPack { pack, pools, is_whole } in short_packs(catalog).await? {
        health.degraded.add(&pack);
        if !is_whole {
            health.lost.add(&pack);
        }
        for (pool, coming) in pools {
            let shortage = health.pools.entry(pool).or_default();
            shortage.short.add(&pack);
            if !is_whole {
                shortage.lost.add(&pack);
            } else if coming {
                shortage.coming.add(&pack);
            }
        }
    }
    Ok(health)
}

/// Every living pack that a pool is short of.
pub(crate) async fn short_packs(catalog: &dyn Catalog) -> Result<Vec<ShortPack>, CatalogError> {
    let volumes = by_id(catalog.volumes().await?);
    let mut found = Vec::new();
    for pack in candidates(catalog, &volumes).await? {
        let Some(row) = catalog.pack(pack).await? else { continue };
        let copies = catalog.copies_of(pack).await?;
        // A spooled pack's written copies are still to be read back, those of any other need not be.
        let trusted = |_: &PackCopy| !row.spooled;
        let holdings = holdings(&copies, &volumes, trusted);
        let pools: Vec<_> = holdings
            .into_iter()
            .filter(|(_, holding)| holding.is_short())
            .map(|(pool, holding)| (pool, holding.coming))
            .collect();
        if pools.is_empty() || !catalog.is_alive(pack).await? {
            continue;
        }
        let volume = |copy: &PackCopy| copy.volume.and_then(|volume| volumes.get(&volume));
        let is_whole =
            row.spooled || copies.iter().any(|copy| Worth::of(copy, volume(copy), trusted(copy)).is_whole());
        found.push(ShortPack { pack: row, pools, is_whole });
    }
    Ok(found)
}

/// The packs that may be short: those with a copy that is lost or wanted, or on a volume that cannot be relied on.
async fn candidates(
    catalog: &dyn Catalog,
    volumes: &BTreeMap<VolumeId, Volume>,
) -> Result<BTreeSet<PackId>, CatalogError> {
    let mut found = BTreeSet::new();
    for stage in [PackCopyStage::Wanted, PackCopyStage::Damaged, PackCopyStage::Dead] {
        let mut after = None;
        loop {
            let page = catalog.copies_in(stage, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.pack);
            found.extend(page.iter().map(|copy| copy.pack));
        }
    }
    let unreliable = |volume: &&Volume| {
        let stage = volume.state.in_place().stage();
        volume.state.is_missing() || matches!(stage, VolumeStage::Suspect | VolumeStage::Retired)
    };
    for volume in volumes.values().filter(unreliable) {
        let mut after = None;
        loop {
            let page = catalog.copies_on(volume.id, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.pack);
            found.extend(page.iter().map(|copy| copy.pack));
        }
    }
    Ok(found)
}
