//! Copies are made again on an operator's word, and how far that is.

use model::catalog::CatalogError;
use model::pack::PackCopyStage;
use model::{PackId, PoolName};

use crate::error::Error;
use crate::health::{self, Health, ShortPack};
use crate::house::House;
use crate::wanted::want;

const PAGE: usize = 1_000;

/// Has the copies made that a pool is short of, and those of packs its siblings had before they named it; all pools
/// when none is named. Asked again it finds what is left. Counts the copies that were begun.
pub(crate) async fn repair(house: &House, only: Option<&PoolName>) -> Result<u64, Error> {
    let is_meant =
        |pool: &PoolName| only.is_none_or(|only| only == pool) && house.settings.pools.contains_key(pool);
    let mut begun = 0;
    for ShortPack { pack, pools, is_whole } in health::short_packs(&*house.catalog).await? {
        let lacking: Vec<PoolName> = pools
            .into_iter()
            .filter(|(pool, coming)| is_meant(pool) && !coming)
            .map(|(pool, _)| pool)
            .collect();
        if is_whole && !lacking.is_empty() {
            begun += want(house, pack.id, &lacking).await?;
        }
    }
    for (pool, settings) in &house.settings.pools {
        let siblings: Vec<&PoolName> = settings.copies.iter().filter(|pool| is_meant(pool)).collect();
        if !siblings.is_empty() {
            begun += catch_up(house, pool, &siblings).await?;
        }
    }
    Ok(begun)
}

/// Wants copies in `siblings` of what `pool` has and they never had.
async fn catch_up(house: &House, pool: &PoolName, siblings: &[&PoolName]) -> Result<u64, Error> {
    let mut begun = 0;
    let mut after: Option<PackId> = None;
    loop {
        let page = house.catalog.copies_in(PackCopyStage::Verified, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(begun) };
        after = Some(last.pack);
        for copy in page.iter().filter(|copy| copy.pool == *pool) {
            let of_pool = house.catalog.pack(copy.pack).await?.is_some_and(|pack| pack.pool == *pool);
            let copies = house.catalog.copies_of(copy.pack).await?;
            let never = |sibling: &&&PoolName| !copies.iter().any(|copy| copy.pool == ***sibling);
            let lacking: Vec<PoolName> = siblings.iter().filter(never).map(|pool| (*pool).clone()).collect();
            if of_pool && !lacking.is_empty() && house.catalog.is_alive(copy.pack).await? {
                begun += want(house, copy.pack, &lacking).await?;
            }
        }
    }
}

/// How far the repair of a pool is, of all when none is named: what it is still short of.
pub(crate) async fn left(house: &House, only: Option<&PoolName>) -> Result<Health, CatalogError> {
    let mut health = health::health(&*house.catalog).await?;
    health.pools.retain(|pool, _| only.is_none_or(|only| only == pool));
    Ok(health)
}
