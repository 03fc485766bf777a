//! Volumes whose time of waiting is over: the cartridge is labelled as another volume, and the old one is forgotten. The
//! row of the new one comes first, so that the work goes on wherever it broke off; nothing ever takes the new volume for the
//! old one, since its UUID is another.

use library::Overwrite;
use model::catalog::Change;
use model::volume::{Volume, VolumeStage, VolumeState};
use model::{PackId, VolumeId};

use crate::error::{Error, chain};
use crate::exposure;
use crate::forget;
use crate::house::House;
use crate::scratch::{self, new_volume};
use crate::volumes::{concerns_volume, library_named, save, uuid_of};

const PAGE: usize = 1_000;

/// Labels anew what has waited long enough; counts the cartridges. One that cannot be labelled now rests and holds up no
/// other.
pub(crate) async fn renew(house: &House) -> Result<u64, Error> {
    let now = house.now();
    let mut renewed = 0;
    for volume in house.catalog.volumes().await? {
        let VolumeState::Pending { until } = volume.state else { continue };
        let there = house.libraries.contains_key(&volume.library) && !house.pauses.holds(&volume.library);
        if until > now || !there || house.resting.rests(volume.id, now) {
            continue;
        }
        // What stood in its journals stands in others first.
        if !forget::is_told_until(house, until).await? {
            tracing::debug!(volume = %volume.id, barcode = volume.barcode, "a cartridge waits until what its journals tell is told elsewhere");
            continue;
        }
        match renew_one(house, &volume).await {
            Ok(done) => renewed += u64::from(done),
            Err(Error::Library(error)) if concerns_volume(&error) => {
                tracing::warn!(volume = %volume.id, barcode = volume.barcode, error = chain(&error), "a cartridge cannot be labelled anew now");
                let until = now.plus_milliseconds(crate::flip::milliseconds(house.settings.retry_after));
                house.resting.rest(volume.id, until);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(renewed)
}

async fn renew_one(house: &House, old: &Volume) -> Result<bool, Error> {
    let _alone = house.labelling.lock().await;
    let exposed = exposure::left_behind(&*house.catalog, old.id).await?;
    if let Some(pack) = exposed.packs.first() {
        tracing::error!(volume = %old.id, %pack, "a cartridge is not overwritten: something living is only there");
        return Ok(false);
    }
    let begun = house.catalog.volumes().await?.into_iter().find(|volume| {
        let same = volume.library == old.library && volume.barcode == old.barcode;
        same && volume.state.stage() == VolumeStage::Preparing
    });
    let mut new = match begun {
        Some(begun) => begun,
        None => {
            let mut row = new_volume(house, &old.library, &old.barcode);
            save(house, &mut row).await?;
            row
        }
    };
    let machine = library_named(house, &old.library)?.clone();
    let labelled = match scratch::write_label(house, &machine, &new, Overwrite::Volume(uuid_of(old.id))).await
    {
        // It was labelled when the process ended.
        Err(Error::Library(library::Error::NotBlank { found: Some(found), .. }))
            if found == uuid_of(new.id) =>
        {
            scratch::write_label(house, &machine, &new, Overwrite::Volume(found)).await
        }
        other => other,
    }?;
    let packs = packs_on(house, old.id).await?;
    scratch::take_down(&mut new, labelled)?;
    house.catalog.commit(vec![Change::Volume(new.clone()), Change::ForgetVolume(old.id)]).await?;
    tracing::info!(volume = %new.id, was = %old.id, barcode = new.barcode, "cartridge labelled anew");
    for pack in packs {
        forget::forget_pack(house, pack).await?;
    }
    Ok(true)
}

async fn packs_on(house: &House, volume: VolumeId) -> Result<Vec<PackId>, Error> {
    let mut packs: Vec<PackId> = Vec::new();
    loop {
        let page = house.catalog.copies_on(volume, packs.last().copied(), PAGE).await?;
        if page.is_empty() {
            return Ok(packs);
        }
        packs.extend(page.iter().map(|copy| copy.pack));
    }
}
