//! How the pools stand, for people: what they hold, what waits for them, and for how long the cartridges last.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::pack::PackCopyStage;
use model::volume::{Volume, VolumeStage};
use model::{PackId, PoolName, Timestamp};
use volume::ltfs::BLOCK_BYTES;

use crate::error::Error;
use crate::house::House;
use crate::notice::Notice;
use crate::scratch;

/// The rate at which a library fills is that of so many days.
const RATE_DAYS: u64 = 7;
const DAY_MILLISECONDS: u64 = 24 * 60 * 60 * 1_000;
const PAGE: usize = 1_000;
/// Cartridges run out.
const CODE: &str = "EN-0131";

/// A pool at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolView {
    /// Its name.
    pub name: PoolName,
    /// Its library.
    pub library: String,
    /// Its volumes by state.
    pub volumes: BTreeMap<VolumeStage, u64>,
    /// Room on those that are filling.
    pub free_bytes: u64,
    /// Bytes of the packs that wait to be written to it.
    pub queued_bytes: u64,
    /// Packs that wait.
    pub queued_packs: u64,
    /// What its library has left.
    pub forecast: Forecast,
}

/// What a library has left for a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// Scratch volumes that the pool can take.
    pub scratch: u64,
    /// Room on them, and on the volumes of all pools that are filling.
    pub free_bytes: u64,
    /// Bytes written to the library in the last seven days.
    pub written_bytes: u64,
    /// For how many days the room lasts at that rate; none while nothing is written.
    pub days: Option<u64>,
}

/// Every pool.
pub(crate) async fn view(house: &House) -> Result<Vec<PoolView>, Error> {
    let rows = house.catalog.volumes().await?;
    let queued = queued(house).await?;
    let mut views = Vec::new();
    for (name, settings) in &house.settings.pools {
        let ours = || rows.iter().filter(|row| row.pool.as_ref() == Some(name));
        let mut volumes = BTreeMap::new();
        ours().for_each(|row| *volumes.entry(row.state.stage()).or_default() += 1);
        let (queued_packs, queued_bytes) = queued.get(name).copied().unwrap_or_default();
        views.push(PoolView {
            name: name.clone(),
            library: settings.library.clone(),
            volumes,
            free_bytes: ours().filter(|row| is_filling(row)).map(|row| row.remaining_bytes).sum(),
            queued_bytes,
            queued_packs,
            forecast: forecast(house, &rows, name).await?,
        });
    }
    Ok(views)
}

/// Number and bytes of the packs that wait, by pool.
async fn queued(house: &House) -> Result<BTreeMap<PoolName, (u64, u64)>, Error> {
    let mut queued: BTreeMap<PoolName, (u64, u64)> = BTreeMap::new();
    let mut after = None;
    loop {
        let copies = house.catalog.copies_in(PackCopyStage::Spooled, after, PAGE).await?;
        let Some(last) = copies.last() else { return Ok(queued) };
        after = Some(last.pack);
        for copy in copies {
            let bytes = house.catalog.pack(copy.pack).await?.map_or(0, |pack| pack.bytes);
            let (packs, sum) = queued.entry(copy.pool).or_default();
            (*packs, *sum) = (*packs + 1, *sum + bytes);
        }
    }
}

/// What the library of a pool has left for it.
async fn forecast(house: &House, rows: &[Volume], pool: &PoolName) -> Result<Forecast, Error> {
    let Some(settings) = house.settings.pools.get(pool) else {
        return Err(Error::Bug { what: format!("there is no pool named {pool}") });
    };
    let here: Vec<&Volume> = rows.iter().filter(|row| row.library == settings.library).collect();
    let scratch: Vec<&Volume> = scratch::at_hand(rows, &settings.library, settings.generation);
    let filling = here.iter().copied().filter(|row| is_filling(row));
    let free_bytes = scratch.iter().copied().chain(filling).map(|row| row.remaining_bytes).sum();
    let since = milliseconds(house.now()).saturating_sub(RATE_DAYS * DAY_MILLISECONDS);
    let mut written_bytes = 0;
    for row in here.iter().filter(|row| row.pool.is_some()) {
        written_bytes += written_since(house, row, since).await?;
    }
    let scratch = scratch.len() as u64;
    Ok(Forecast { scratch, free_bytes, written_bytes, days: days(free_bytes, written_bytes) })
}

/// Bytes on a volume of packs that were built since then.
async fn written_since(house: &House, volume: &Volume, since: u64) -> Result<u64, Error> {
    let mut bytes = 0;
    let mut after = Some(PackId::new(since, 0));
    loop {
        let copies = house.catalog.copies_on(volume.id, after, PAGE).await?;
        let Some(last) = copies.last() else { return Ok(bytes) };
        after = Some(last.pack);
        let blocks: u64 = copies.iter().filter_map(|copy| copy.state.place()).map(|(_, blocks)| blocks).sum();
        bytes += blocks * BLOCK_BYTES;
    }
}

/// For how long the room lasts.
fn days(free_bytes: u64, written_bytes: u64) -> Option<u64> {
    free_bytes.saturating_mul(RATE_DAYS).checked_div(written_bytes)
}

fn is_filling(row: &Volume) -> bool {
    row.state.stage() == VolumeStage::Filling
}

fn milliseconds(time: Timestamp) -> u64 {
    u64::try_from(time.milliseconds()).unwrap_or(0)
}

/// The pools whose libraries run out of cartridges.
#[derive(Default)]
pub(crate) struct LowPools {
    current: Mutex<BTreeMap<PoolName, Notice>>,
}

impl LowPools {
    /// Looks at the pools again: those with fewer scratch volumes than are kept at hand, and no cartridges to make some
    /// of, are told of.
    pub(crate) async fn look(&self, house: &House, rows: &[Volume]) -> Result<(), Error> {
        let before = self.lock().clone();
        let mut current = BTreeMap::new();
        for (pool, settings) in &house.settings.pools {
            let library = &settings.library;
            let at_hand = scratch::at_hand(rows, library, settings.generation).len();
            if at_hand >= scratch::LOW_WATER || scratch::is_coming(house, library, rows, settings.generation)?
            {
                continue;
            }
            let forecast = forecast(house, rows, pool).await?;
            let lasts = match forecast.days {
                Some(days) => format!(", at the rate of the last {RATE_DAYS} days for {days} more"),
                None => String::new(),
            };
            let text = format!(
                "library {library} has {at_hand} scratch cartridges left for pool {pool}, and room for {} GB in all{lasts}",
                forecast.free_bytes / 1_000_000_000
            );
            let since = before.get(pool).map_or(house.now(), |notice| notice.since);
            current.insert(pool.clone(), Notice { stage: "prepare", code: Some(CODE), text, since });
        }
        *self.lock() = current;
        Ok(())
    }

    /// For people.
    pub(crate) fn notices(&self) -> Vec<Notice> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PoolName, Notice>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_lasts_as_long_as_the_rate_says() {
        assert_eq!(days(700, 0), None);
        assert_eq!(days(700, 700), Some(7));
        assert_eq!(days(100, 700), Some(1));
        assert_eq!(days(u64::MAX, 1), Some(u64::MAX));
    }
}
