//! Volumes and cartridges: the only file that knows both the book's word and the machine's.

use std::sync::Arc;
use std::time::Duration;

use library::{Barcode, End, Expected, Library, Mount, MountReport, Overwrite, VolumeIdentity, VolumeUuid};
use model::catalog::Change;
use model::volume::{Volume, VolumeStage, VolumeState};
use model::{PoolName, Remedy, VolumeId};

use crate::error::Error;
use crate::house::House;

/// The library a volume or pool names.
pub(crate) fn library_named<'a>(house: &'a House, name: &str) -> Result<&'a Arc<Library>, Error> {
    house.libraries.get(name).ok_or_else(|| Error::Bug { what: format!("there is no library named {name}") })
}

/// The request for a volume's cartridge.
pub(crate) fn mount(house: &House, volume: &Volume) -> Result<Mount, Error> {
    let barcode = Barcode::parse(&volume.barcode).ok_or_else(|| Error::Bug {
        what: format!("volume {} has the barcode {:?}", volume.id, volume.barcode),
    })?;
    let expect = Expected {
        uuid: uuid_of(volume.id),
        mam_serial: volume.medium_serial.clone(),
        catalog_id: house.catalog_id,
        generation: volume.generation,
        eod_block: volume.end_of_data_block,
        end: if volume.unclean { End::Unclean } else { End::Clean },
    };
    Ok(Mount { barcode, expect })
}

/// Which volume takes `bytes` for `pool`: one that is filling for it, the fullest first, so that few are open; else a
/// scratch one. Pure.
pub fn choose<'a>(volumes: &'a [Volume], library: &str, pool: &PoolName, bytes: u64) -> Option<&'a Volume> {
    let here =
        || volumes.iter().filter(|volume| volume.library == library && volume.remaining_bytes >= bytes);
    let filling = here()
        .filter(|volume| volume.state.stage() == VolumeStage::Filling && volume.pool.as_ref() == Some(pool))
        .min_by_key(|volume| volume.remaining_bytes);
    filling.or_else(|| here().find(|volume| volume.state.stage() == VolumeStage::Scratch))
}

/// Makes `volume` the pool's own and notes that a mount for writing begins.
pub(crate) async fn begin_append(house: &House, volume: &mut Volume, pool: &PoolName) -> Result<(), Error> {
    if volume.state.stage() == VolumeStage::Scratch {
        volume.advance(VolumeState::Filling);
        volume.pool = Some(pool.clone());
    }
    volume.unclean = true;
    save(house, volume).await
}

/// Writes down how a mount for writing ended.
pub(crate) async fn end_append(
    house: &House,
    id: VolumeId,
    report: Result<MountReport, library::Error>,
    full: bool,
) -> Result<(), Error> {
    let Some(mut volume) = house.catalog.volume(id).await? else {
        return Err(Error::Bug { what: format!("volume {id} is not in the catalog") });
    };
    let problem = match report {
        Ok(report) => {
            volume.generation = report.generation;
            volume.end_of_data_block = report.eod_block;
            volume.remaining_bytes = report.remaining_bytes;
            volume.unclean = false;
            if full && volume.state.stage() == VolumeStage::Filling {
                volume.advance(VolumeState::Full);
            }
            None
        }
        Err(error) => {
            if let Some(why) = condemns(&error) {
                volume.advance(VolumeState::Suspect { why });
            } else if matches!(error, library::Error::Missing { .. }) {
                volume.advance(VolumeState::Offline { place: "not in the library".to_owned() });
            }
            Some(error)
        }
    };
    save(house, &mut volume).await?;
    problem.map_or(Ok(()), |error| Err(error.into()))
}

/// Why a volume must not be written again after this error, if it must not.
fn condemns(error: &library::Error) -> Option<String> {
    use library::{Blame, Error as E};
    match error {
        E::Fence { .. } | E::NotWritable { .. } => Some(crate::error::chain(error)),
        E::Drive { blame: Blame::Medium | Blame::Unknown, .. } => Some(crate::error::chain(error)),
        _ => None,
    }
}

/// How many times longer a volume rests that is not what it should be: only a person can change that.
const REST_OF_STRANGERS: u32 = 6;

/// Notes that a mount for reading failed: the volume rests, and one whose cartridge is not there is `Offline`.
pub(crate) async fn read_failed(house: &House, id: VolumeId, error: &Error) -> Result<(), Error> {
    let code = match error.remedy() {
        Remedy::Operator(code) => code,
        _ => "-",
    };
    tracing::error!(code, volume = %id, error = crate::error::chain(error), "a volume cannot be read now");
    let rest = |rest: Duration| {
        house.resting.rest(id, house.now().plus_milliseconds(crate::flip::milliseconds(rest)));
    };
    match error {
        Error::Library(library::Error::Missing { .. }) => {
            let Some(mut volume) = house.catalog.volume(id).await? else { return Ok(()) };
            volume.advance(VolumeState::Offline { place: "not in the library".to_owned() });
            save(house, &mut volume).await
        }
        Error::Library(error @ library::Error::Fence { .. }) => {
            rest(house.settings.retry_after * REST_OF_STRANGERS);
            suspect(house, id, crate::error::chain(error)).await
        }
        _ => {
            rest(house.settings.retry_after);
            Ok(())
        }
    }
}

/// Brings back volumes that were `Offline` and whose cartridge is in its library again; counts them.
pub async fn reconcile(house: &House) -> Result<u64, Error> {
    let mut back = 0;
    for mut volume in house.catalog.volumes().await? {
        if volume.state.stage() != VolumeStage::Offline {
            continue;
        }
        let machine = library_named(house, &volume.library)?.clone();
        let rescan = tokio::task::spawn_blocking(move || machine.rescan()).await;
        let inventory =
            rescan.map_err(|error| Error::Bug { what: format!("the inventory panicked: {error}") })??;
        if inventory.barcodes().iter().any(|barcode| barcode.as_str() == volume.barcode) {
            tracing::info!(volume = %volume.id, barcode = volume.barcode, "cartridge is back");
            volume.advance(if volume.pool.is_some() { VolumeState::Filling } else { VolumeState::Scratch });
            save(house, &mut volume).await?;
            back += 1;
        }
    }
    Ok(back)
}

/// Sets a volume aside, read only, because of what was read from it.
pub(crate) async fn suspect(house: &House, id: VolumeId, why: String) -> Result<(), Error> {
    let Some(mut volume) = house.catalog.volume(id).await? else { return Ok(()) };
    if matches!(volume.state.stage(), VolumeStage::Suspect | VolumeStage::Retired) {
        return Ok(());
    }
    tracing::error!(code = "TL-0501", volume = %id, barcode = volume.barcode, why, "volume set aside as suspect");
    volume.advance(VolumeState::Suspect { why });
    save(house, &mut volume).await
}

/// Makes `row` durable; on success it is the row as it now stands.
pub(crate) async fn save(house: &House, row: &mut Volume) -> Result<(), Error> {
    house.catalog.commit(vec![Change::Volume(row.clone())]).await?;
    row.revision += 1;
    Ok(())
}

/// Labels blank cartridges that no volume row names until `wanted` scratch volumes are at hand in `library`. Only
/// libraries whose cartridges are all ours to use are prepared this way.
pub async fn prepare_scratch(house: &House, library: &str, wanted: usize) -> Result<usize, Error> {
    let machine = library_named(house, library)?.clone();
    let volumes = house.catalog.volumes().await?;
    let at_hand =
        volumes.iter().filter(|v| v.library == library && v.state.stage() == VolumeStage::Scratch).count();
    let mut prepared = 0;
    for barcode in unknown_barcodes(&machine, &volumes, library) {
        if at_hand + prepared >= wanted {
            break;
        }
        match label(house, library, &machine, barcode.clone()).await {
            Ok(()) => prepared += 1,
            Err(Error::Library(library::Error::NotBlank { .. })) => {
                tracing::warn!(code = "TL-0502", %barcode, "a cartridge that is not ours is left alone");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(prepared)
}

fn unknown_barcodes(machine: &Library, volumes: &[Volume], library: &str) -> Vec<Barcode> {
    let known: Vec<&str> =
        volumes.iter().filter(|v| v.library == library).map(|volume| volume.barcode.as_str()).collect();
    let inventory = machine.inventory();
    let barcodes = inventory.slots.iter().filter_map(|slot| slot.barcode.clone());
    barcodes.filter(|barcode| !barcode.is_cleaning() && !known.contains(&barcode.as_str())).collect()
}

async fn label(house: &House, library: &str, machine: &Arc<Library>, barcode: Barcode) -> Result<(), Error> {
    let identity = VolumeIdentity {
        uuid: uuid_of(VolumeId::from_u128(random_uuid(house.entropy.random()))),
        catalog_id: house.catalog_id,
        name: barcode.to_string(),
    };
    let (worker, at) = (machine.clone(), barcode.clone());
    let labelled = tokio::task::spawn_blocking(move || worker.label(&at, identity, Overwrite::Never))
        .await
        .map_err(|error| Error::Bug { what: format!("labelling {barcode} panicked: {error}") })??;
    let mut volume = Volume {
        id: id_of(labelled.uuid),
        revision: 0,
        library: library.to_owned(),
        barcode: barcode.to_string(),
        medium_serial: labelled.mam_serial,
        pool: None,
        state: VolumeState::Scratch,
        generation: labelled.generation,
        end_of_data_block: labelled.eod_block,
        remaining_bytes: labelled.remaining_bytes,
        capacity_bytes: labelled.capacity_bytes,
        unclean: false,
        journal: 0,
        created: house.now(),
    };
    save(house, &mut volume).await?;
    tracing::info!(volume = %volume.id, %barcode, "cartridge labelled");
    Ok(())
}

/// A version 4 UUID of 128 random bits (RFC 9562, 5.4).
fn random_uuid(random: u128) -> u128 {
    (random & !(0xF000 << 64) & !(0xC000 << 48)) | (0x4000 << 64) | (0x8000 << 48)
}

pub(crate) fn uuid_of(id: VolumeId) -> VolumeUuid {
    VolumeUuid::from_u128(id.as_u128())
}

pub(crate) fn id_of(uuid: VolumeUuid) -> VolumeId {
    VolumeId::from_u128(uuid.as_u128())
}
