//! Empties volumes that are reclaimed or retired: what lives on them is made again elsewhere, as any lost copy is; what
//! does not is left behind. A volume is let go of only when nothing living is only there.

use std::collections::BTreeMap;

use model::catalog::{CatalogError, Change};
use model::holding::Worth;
use model::limits::TRANSACTION_ROWS_MAX;
use model::pack::{CopyEnd, PackCopy, PackCopyStage, PackCopyState};
use model::volume::{Volume, VolumeStage, VolumeState};
use model::{PackId, VolumeId};

use crate::error::Error;
use crate::exposure;
use crate::flip::milliseconds;
use crate::forget;
use crate::house::House;
use crate::standing::{by_id, is_trusted};
use crate::volumes::save;
use crate::wanted::want;

const PAGE: usize = 1_000;

/// One round over the volumes to be emptied; counts what came a step further.
pub(crate) async fn evacuate(house: &House) -> Result<u64, Error> {
    let volumes = by_id(house.catalog.volumes().await?);
    let mut progress = 0;
    for volume in volumes.values() {
        progress += match volume.state.in_place() {
            VolumeState::Reclaiming { retire } => empty(house, volume, *retire, &volumes).await?,
            VolumeState::Retired => bury(house, volume.id).await?,
            _ => 0,
        };
    }
    Ok(progress)
}

/// What becomes of a copy.
enum Next {
    Ends(CopyEnd),
    /// Another one is to be begun in its pool.
    Begins,
    /// Another one is on its way.
    Waits,
}

async fn empty(
    house: &House,
    volume: &Volume,
    retire: bool,
    volumes: &BTreeMap<VolumeId, Volume>,
) -> Result<u64, Error> {
    let (mut progress, mut left) = (0, 0_u64);
    let mut after: Option<PackId> = None;
    loop {
        let page = house.catalog.copies_on(volume.id, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.pack);
        let mut ended = Vec::new();
        for mut copy in page.into_iter().filter(|copy| copy.state.stage() != PackCopyStage::Dead) {
            match next(house, &copy, volumes).await? {
                Next::Ends(why) => {
                    copy.advance(PackCopyState::Dead { why });
                    ended.push(copy);
                }
                Next::Begins => {
                    progress += want(house, copy.pack, std::slice::from_ref(&copy.pool)).await?;
                    left += 1;
                }
                Next::Waits => left += 1,
            }
        }
        let wanted = ended.len() as u64;
        let saved = save_each(house, ended).await?;
        progress += saved;
        left += wanted - saved;
    }
    if left == 0 {
        progress += u64::from(let_go(house, volume.id, retire).await?);
    }
    Ok(progress)
}

async fn next(house: &House, copy: &PackCopy, volumes: &BTreeMap<VolumeId, Volume>) -> Result<Next, Error> {
    if !house.is_alive(copy.pack).await? {
        return Ok(Next::Ends(CopyEnd::Unused));
    }
    let mut best = Worth::Nothing;
    for other in house.catalog.copies_of(copy.pack).await? {
        if other.pool == copy.pool && other.number != copy.number {
            let volume = other.volume.and_then(|volume| volumes.get(&volume));
            best = best.max(Worth::of(&other, volume, is_trusted(house, &other)));
        }
    }
    Ok(match best {
        Worth::Good => Next::Ends(CopyEnd::Replaced),
        Worth::Coming => Next::Waits,
        _ if house.settings.pools.contains_key(&copy.pool) => Next::Begins,
        _ => Next::Waits,
    })
}

/// A volume no copy is left on: whatever thought so, it is looked for life once more before it is let go of.
async fn let_go(house: &House, id: VolumeId, retire: bool) -> Result<bool, Error> {
    let exposed = exposure::left_behind(&*house.catalog, id).await?;
    if let Some(pack) = exposed.packs.first() {
        // A copy that was relied on was lost since.
        tracing::error!(volume = %id, %pack, "a volume that was emptied is kept: something living is only there");
        return Ok(false);
    }
    if house.turns.uses(id) {
        // A mount under way may still tell its journal things that are to be told elsewhere then.
        return Ok(false);
    }
    let Some(mut volume) = house.catalog.volume(id).await? else { return Ok(false) };
    if volume.state.stage() != VolumeStage::Reclaiming && !retire {
        // It is away; what is to be labelled anew has to be there.
        return Ok(false);
    }
    forget::journal_again(house, &volume).await?;
    if retire {
        volume.advance(VolumeState::Retired);
    } else {
        let until = house.now().plus_milliseconds(milliseconds(house.settings.reuse_after));
        volume.advance(VolumeState::Pending { until });
    }
    tracing::info!(volume = %id, barcode = volume.barcode, retire, "a volume is empty");
    match save(house, &mut volume).await {
        Ok(()) => Ok(true),
        Err(Error::Catalog(CatalogError::Conflict { .. })) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Every copy on a volume that is out of use ends; counts them.
pub(crate) async fn bury(house: &House, id: VolumeId) -> Result<u64, Error> {
    let mut ended = 0;
    let mut after: Option<PackId> = None;
    loop {
        let page = house.catalog.copies_on(id, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(ended) };
        after = Some(last.pack);
        let mut dead = Vec::new();
        for mut copy in page.into_iter().filter(|copy| copy.state.stage() != PackCopyStage::Dead) {
            copy.advance(PackCopyState::Dead { why: CopyEnd::VolumeLost });
            dead.push(copy);
        }
        ended += save_each(house, dead).await?;
        house.promotion.want();
    }
}

/// Makes changed copies durable in few commits; one by one where one moved on meanwhile. Counts those written.
async fn save_each(house: &House, copies: Vec<PackCopy>) -> Result<u64, Error> {
    let mut saved = 0;
    for copies in copies.chunks(TRANSACTION_ROWS_MAX) {
        match house.catalog.commit(copies.iter().cloned().map(Change::PackCopy).collect()).await {
            Ok(()) => saved += copies.len() as u64,
            Err(CatalogError::Conflict { .. }) => {
                for copy in copies {
                    match house.catalog.commit(vec![Change::PackCopy(copy.clone())]).await {
                        Ok(()) => saved += 1,
                        Err(CatalogError::Conflict { .. }) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(saved)
}
