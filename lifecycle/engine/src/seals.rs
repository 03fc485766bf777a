//! The keys of sealed pools: which one seals, and whether that of a pack is at hand.

use model::archive::ArchiveStage;
use model::pack::Seal;
use model::{Archive, PackId, VolumeId};
use volume::seal::{self, KeyId, KeyMark, SealingKey};

use crate::error::Error;
use crate::house::House;
use crate::settings::PoolSettings;

/// The key the next pack of a pool is sealed with; none in a pool that is not sealed.
pub(crate) fn key_for(house: &House, settings: &PoolSettings) -> Result<Option<SealingKey>, Error> {
    let Some(name) = &settings.key else { return Ok(None) };
    let newest = house.keys.newest(name);
    newest.map(Some).map_err(|source| Error::Key { what: format!("sealing with {name}"), source })
}

/// Bytes that sealing adds to a pack of at most `bytes`.
pub(crate) fn overhead(settings: &PoolSettings, bytes: u64) -> u64 {
    if settings.key.is_some() { seal::overhead(bytes) } else { 0 }
}

/// How the catalog remembers the key a pack was sealed with.
pub(crate) fn noted(key: &KeyMark) -> Seal {
    Seal { key: key.id.to_string(), check: key.check.clone() }
}

/// Why a pack on this volume cannot be opened, if it cannot.
pub(crate) async fn objection(house: &House, pack: PackId, volume: VolumeId) -> Result<Option<Error>, Error> {
    let Some(source) = unopenable(house, pack).await? else { return Ok(None) };
    let barcode = house.catalog.volume(volume).await?.map_or_else(|| volume.to_string(), |row| row.barcode);
    Ok(Some(Error::Key { what: format!("pack {pack} on cartridge {barcode}"), source }))
}

/// Why an archive could not be read back, if a pack of it cannot be opened.
pub(crate) async fn objection_to_rely_on(house: &House, archive: &Archive) -> Result<Option<Error>, Error> {
    for extent in &archive.extents {
        if let Some(source) = unopenable(house, extent.pack).await? {
            return Ok(Some(Error::Key { what: format!("pack {}", extent.pack), source }));
        }
    }
    Ok(None)
}

/// Why a pack's seal cannot be opened, if it cannot: its key is missing, or another one has its name.
async fn unopenable(house: &House, pack: PackId) -> Result<Option<seal::Error>, Error> {
    let Some(Seal { key, check }) = house.catalog.pack(pack).await?.and_then(|row| row.seal) else {
        return Ok(None);
    };
    let wrong = |_| Error::Bug { what: format!("pack {pack} is sealed with {key:?}, which is no key") };
    let id: KeyId = key.parse().map_err(wrong)?;
    Ok(match house.keys.find(&id) {
        Ok(found) if found.check_text() == check => None,
        Ok(_) => Some(seal::Error::WrongKey { key: id }),
        Err(error) => Some(error),
    })
}

/// Whether what goes to tape of an archive is encrypted there: as its packs are, or as its pool says while it has none.
pub(crate) async fn covers(house: &House, archive: &Archive) -> Result<bool, Error> {
    if archive.state.stage() == ArchiveStage::Due {
        let pool = house.settings.pools.get(&archive.pool);
        return Ok(pool.is_some_and(|pool| pool.key.is_some()));
    }
    for extent in &archive.extents {
        let pack = house.catalog.pack(extent.pack).await?;
        if pack.is_none_or(|pack| pack.seal.is_none()) {
            return Ok(false);
        }
    }
    Ok(!archive.extents.is_empty())
}
