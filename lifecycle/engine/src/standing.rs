//! How far a pack is, all its copies together.

use std::collections::BTreeMap;

use model::holding::{Worth, holdings};
use model::pack::{Pack, PackCopy, PackCopyStage};
use model::volume::Volume;
use model::{Archive, PackId, PoolName, VolumeId};

use crate::error::Error;
use crate::house::House;
use crate::settings::Verify;

/// How far a pack is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Every pool that is to have it has a copy at its bar.
    Whole,
    /// Some copies are not that far yet.
    Waiting,
    /// These pools lost theirs, and no other is on its way; it can be made from what is left.
    Short(Vec<PoolName>),
    /// It is not there, or nothing whole is left of it.
    Lost,
}

/// Packs looked at with the volumes as they were when the round began; what was found is remembered for the round.
pub(crate) struct Packs {
    volumes: BTreeMap<VolumeId, Volume>,
    known: BTreeMap<PackId, Standing>,
}

// === impl Packs ===

impl Packs {
    /// Begins a round.
    pub(crate) async fn begin(house: &House) -> Result<Self, Error> {
        Ok(Self { volumes: by_id(house.catalog.volumes().await?), known: BTreeMap::new() })
    }

    /// The worst of the packs an archive is in. Those that are short are named in `short`.
    pub(crate) async fn of(
        &mut self,
        house: &House,
        archive: &Archive,
        short: &mut BTreeMap<PackId, Vec<PoolName>>,
    ) -> Result<Standing, Error> {
        let mut worst = Standing::Whole;
        for extent in &archive.extents {
            match self.pack(house, extent.pack).await? {
                Standing::Lost => return Ok(Standing::Lost),
                Standing::Whole => {}
                Standing::Waiting => worst = Standing::Waiting,
                Standing::Short(pools) => {
                    short.insert(extent.pack, pools);
                    worst = Standing::Waiting;
                }
            }
        }
        Ok(worst)
    }

    async fn pack(&mut self, house: &House, pack: PackId) -> Result<Standing, Error> {
        if let Some(known) = self.known.get(&pack) {
            return Ok(known.clone());
        }
        let standing = match house.catalog.pack(pack).await? {
            Some(row) => standing(house, &row, &house.catalog.copies_of(pack).await?, &self.volumes),
            None => Standing::Lost,
        };
        self.known.insert(pack, standing.clone());
        Ok(standing)
    }
}

/// Volumes by id.
pub(crate) fn by_id(volumes: Vec<Volume>) -> BTreeMap<VolumeId, Volume> {
    volumes.into_iter().map(|volume| (volume.id, volume)).collect()
}

/// Whether a written copy counts in its pool without being read back.
pub(crate) fn is_trusted(house: &House, copy: &PackCopy) -> bool {
    house.settings.pools.get(&copy.pool).is_some_and(|pool| pool.verify == Verify::Never)
}

fn standing(
    house: &House,
    row: &Pack,
    copies: &[PackCopy],
    volumes: &BTreeMap<VolumeId, Volume>,
) -> Standing {
    let trusted = |copy: &PackCopy| is_trusted(house, copy);
    let (mut whole, mut short) = (!copies.is_empty(), Vec::new());
    for (pool, holding) in holdings(copies, volumes, trusted) {
        if holding.has() || !house.settings.pools.contains_key(&pool) {
            continue;
        }
        whole = false;
        if !holding.coming {
            short.push(pool);
        }
    }
    if whole {
        return Standing::Whole;
    }
    // A cartridge that is away is not waited for while the hot bytes are there.
    let readable = |copy: &PackCopy| {
        let worth = Worth::of(copy, copy.volume.and_then(|volume| volumes.get(&volume)), trusted(copy));
        let written = copy.state.stage() == PackCopyStage::Written && worth == Worth::Coming;
        written || worth.is_whole() && worth != Worth::Away
    };
    if !copies.iter().any(readable) && !house.spool.has(row) {
        Standing::Lost
    } else if short.is_empty() {
        Standing::Waiting
    } else {
        Standing::Short(short)
    }
}

/// Whether every copy an archive is to have on tape is at its bar at this moment: looked up anew, for whoever is about
/// to rely on it.
pub(crate) async fn is_on_tape(house: &House, archive: &Archive) -> Result<bool, Error> {
    for extent in &archive.extents {
        let copies = house.catalog.copies_of(extent.pack).await?;
        let mut good = BTreeMap::<&PoolName, bool>::new();
        for copy in &copies {
            let volume = match copy.volume {
                Some(volume) => house.catalog.volume(volume).await?,
                None => None,
            };
            let worth = Worth::of(copy, volume.as_ref(), is_trusted(house, copy));
            *good.entry(&copy.pool).or_default() |= worth >= Worth::Leaving;
        }
        let wanted = |pool: &PoolName| house.settings.pools.contains_key(pool);
        let lacking = good.iter().any(|(pool, good)| !good && wanted(pool));
        if lacking || !good.values().any(|good| *good) {
            return Ok(false);
        }
    }
    Ok(true)
}
