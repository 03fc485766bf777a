//! Scratch volumes: blank cartridges are labelled before they are needed.

use std::sync::Arc;
use std::time::Duration;

use library::{Barcode, LabelledVolume, Library, Overwrite, VolumeIdentity};
use model::volume::{Volume, VolumeStage, VolumeState};
use model::{PoolName, VolumeId};

use crate::error::{Error, chain};
use crate::house::House;
use crate::vault::refused;
use crate::volumes::{self, concerns_volume, id_of, library_named, save, uuid_of};

/// How long a cartridge that is not blank is left alone: only a person can change that.
const FOREIGN_REST: Duration = Duration::from_secs(24 * 60 * 60);
/// How many times longer than an archive a cartridge rests that could not be labelled.
const BROKEN_REST: u32 = 6;

/// Labels blank cartridges that no volume row names until `wanted` scratch volumes are at hand in `library`; counts
/// them. Only libraries whose cartridges are all ours to use are prepared this way. A cartridge that cannot be
/// labelled is left alone for a while and holds up no other.
pub async fn prepare_scratch(house: &House, library: &str, wanted: usize) -> Result<usize, Error> {
    let _alone = house.labelling.lock().await;
    let machine = library_named(house, library)?.clone();
    let mut volumes = house.catalog.volumes().await?;
    volumes.retain(|volume| volume.library == library);
    let at_hand = volumes.iter().filter(|volume| volume.state.stage() == VolumeStage::Scratch).count();
    let mut prepared = 0;
    if at_hand >= wanted {
        return Ok(prepared);
    }
    for barcode in cartridges(house, &machine, &volumes, library) {
        if at_hand + prepared >= wanted {
            break;
        }
        let begun = volumes.iter().find(|volume| volume.barcode == barcode.as_str()).cloned();
        let rest = match label(house, library, &machine, &barcode, begun, None).await {
            Ok(_) => {
                prepared += 1;
                continue;
            }
            Err(Error::Library(error @ library::Error::NotBlank { .. })) => {
                tracing::warn!(code = "TL-0502", %barcode, error = chain(&error), "a cartridge that is not ours is left alone");
                FOREIGN_REST
            }
            Err(Error::Library(error)) if concerns_volume(&error) => {
                tracing::warn!(%barcode, error = chain(&error), "a cartridge that cannot be labelled is left alone");
                house.settings.retry_after * BROKEN_REST
            }
            Err(error) => return Err(error),
        };
        let until = house.now().plus_milliseconds(crate::flip::milliseconds(rest));
        house.trouble.leave_cartridge(library, barcode.as_str(), until);
    }
    Ok(prepared)
}

/// Makes a volume of one cartridge, because an operator says so, for any pool or one. `overwrite` names the volume on it
/// that may go; one the catalog still counts on may not.
pub(crate) async fn label_one(
    house: &House,
    library: &str,
    barcode: &Barcode,
    pool: Option<PoolName>,
    overwrite: Option<VolumeId>,
) -> Result<Volume, Error> {
    if let Some(pool) = pool.as_ref().filter(|pool| !house.settings.pools.contains_key(*pool)) {
        return Err(refused(format!("there is no pool {pool}")));
    }
    let _alone = house.labelling.lock().await;
    let machine = library_named(house, library)?.clone();
    let rows = house.catalog.volumes().await?;
    let counted_on =
        |row: &&Volume| !matches!(row.state.stage(), VolumeStage::Preparing | VolumeStage::Retired);
    let named = |row: &&Volume| row.library == library && row.barcode == barcode.as_str();
    if let Some(row) = rows.iter().filter(counted_on).find(named) {
        return Err(refused(format!("{barcode} is volume {} already, and not retired", row.id)));
    }
    if let Some(row) = rows.iter().filter(counted_on).find(|row| Some(row.id) == overwrite) {
        return Err(refused(format!("volume {} ({}) is in use: retire it first", row.id, row.barcode)));
    }
    let begun = rows.iter().filter(|row| row.state.stage() == VolumeStage::Preparing).find(named).cloned();
    let mut volume = label(house, library, &machine, barcode, begun, overwrite).await?;
    if pool.is_some() {
        volume.pool = pool;
        save(house, &mut volume).await?;
    }
    Ok(volume)
}

/// The cartridges that may be blank: those in the slots that no row names, or whose labelling was begun.
fn cartridges(house: &House, machine: &Library, volumes: &[Volume], library: &str) -> Vec<Barcode> {
    let known = |barcode: &Barcode| {
        let mut rows = volumes.iter().filter(|volume| volume.barcode == barcode.as_str());
        rows.any(|volume| volume.state.stage() != VolumeStage::Preparing)
    };
    let now = house.now();
    let mut barcodes: Vec<Barcode> =
        machine.inventory().slots.into_iter().filter_map(|slot| slot.barcode).collect();
    barcodes.retain(|barcode| {
        !barcode.is_cleaning()
            && !known(barcode)
            && !house.trouble.leaves_cartridge(library, barcode.as_str(), now)
    });
    barcodes
}

/// Labels a cartridge. Its row comes first: a label that was written when the process ended is known as ours then.
async fn label(
    house: &House,
    library: &str,
    machine: &Arc<Library>,
    barcode: &Barcode,
    begun: Option<Volume>,
    overwrite: Option<VolumeId>,
) -> Result<Volume, Error> {
    let mut volume = match begun {
        Some(volume) => volume,
        None => {
            let mut volume = new_volume(house, library, barcode.as_str());
            save(house, &mut volume).await?;
            volume
        }
    };
    let overwrite = Overwrite::Volume(uuid_of(overwrite.unwrap_or(volume.id)));
    let labelled = write_label(house, machine, &volume, overwrite).await?;
    take_down(&mut volume, labelled)?;
    save(house, &mut volume).await?;
    tracing::info!(volume = %volume.id, %barcode, "cartridge labelled");
    Ok(volume)
}

/// Writes the label of a volume on the cartridge of its barcode.
pub(crate) async fn write_label(
    house: &House,
    machine: &Arc<Library>,
    volume: &Volume,
    overwrite: Overwrite,
) -> Result<LabelledVolume, Error> {
    let barcode = volumes::barcode(volume)?;
    let identity =
        VolumeIdentity { uuid: uuid_of(volume.id), catalog_id: house.catalog_id, name: barcode.to_string() };
    let machine = machine.clone();
    let labelled = tokio::task::spawn_blocking(move || machine.label(&barcode, identity, overwrite)).await;
    Ok(labelled.map_err(|error| Error::Bug { what: format!("labelling panicked: {error}") })??)
}

/// The volume is labelled: it is scratch from now on.
pub(crate) fn take_down(volume: &mut Volume, labelled: LabelledVolume) -> Result<(), Error> {
    let LabelledVolume { uuid, mam_serial, generation, eod_block, capacity_bytes, remaining_bytes } =
        labelled;
    if id_of(uuid) != volume.id {
        return Err(Error::Bug { what: format!("{} was labelled as {uuid}", volume.barcode) });
    }
    volume.medium_serial = mam_serial;
    volume.generation = generation;
    volume.end_of_data_block = eod_block;
    volume.capacity_bytes = capacity_bytes;
    volume.remaining_bytes = remaining_bytes;
    volume.advance(VolumeState::Scratch);
    Ok(())
}

/// A volume yet to be labelled.
pub(crate) fn new_volume(house: &House, library: &str, barcode: &str) -> Volume {
    Volume {
        id: VolumeId::from_u128(random_uuid(house.entropy.random())),
        revision: 0,
        library: library.to_owned(),
        barcode: barcode.to_owned(),
        medium_serial: String::new(),
        pool: None,
        state: VolumeState::Preparing,
        generation: 0,
        end_of_data_block: 0,
        remaining_bytes: 0,
        capacity_bytes: 0,
        unclean: false,
        journal: 0,
        leaving: None,
        check: None,
        created: house.now(),
    }
}

/// A version 4 UUID of 128 random bits (RFC 9562, 5.4).
fn random_uuid(random: u128) -> u128 {
    (random & !(0xF000 << 64) & !(0xC000 << 48)) | (0x4000 << 64) | (0x8000 << 48)
}
