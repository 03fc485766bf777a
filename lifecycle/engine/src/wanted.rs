//! Copies that are to be made again: each is a row, so that the work is found after any restart.

use std::collections::BTreeSet;

use model::catalog::{CatalogError, Change};
use model::pack::{PackCopy, PackCopyState};
use model::{PackId, PoolName};

use crate::error::Error;
use crate::house::House;

/// Wants a copy of a pack in each of these pools; counts them: none when somebody else changes its copies meanwhile.
pub(crate) async fn want(house: &House, pack: PackId, pools: &[PoolName]) -> Result<u64, Error> {
    let taken: BTreeSet<u8> = house.catalog.copies_of(pack).await?.iter().map(|copy| copy.number).collect();
    let after = taken.last().map_or(0, |last| last.saturating_add(1));
    // The numbers of forgotten volumes' copies come free again.
    let mut free = (after..=u8::MAX).chain(0..after).filter(|number| !taken.contains(number));
    let mut changes = Vec::with_capacity(pools.len());
    for pool in pools {
        let number = free.next().ok_or_else(|| Error::Bug { what: format!("pack {pack} had 256 copies") })?;
        changes.push(Change::PackCopy(PackCopy::new(pack, number, pool.clone(), PackCopyState::Wanted)));
    }
    let wanted = changes.len() as u64;
    match house.catalog.commit(changes).await {
        Ok(()) => Ok(wanted),
        Err(CatalogError::Conflict { .. }) => Ok(0),
        Err(error) => Err(error.into()),
    }
}
