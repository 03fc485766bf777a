//! Scratch volumes: blank cartridges are labelled before they are needed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use library::{Barcode, Generation, LabelledVolume, Library, Overwrite, VolumeIdentity};
use model::volume::{Volume, VolumeStage, VolumeState};
use model::{PoolName, Timestamp, VolumeId};

use crate::error::{Error, chain};
use crate::house::House;
use crate::mounts::{Begun, drives_up};
use crate::stage::{Bells, Stage};
use crate::turns::{Purpose, Request};
use crate::vault::refused;
use crate::volumes::{self, concerns_volume, generation_of, id_of, library_named, save, uuid_of};

/// How long a cartridge that is not blank is left alone: only a person can change that.
const FOREIGN_REST: Duration = Duration::from_secs(24 * 60 * 60);
/// How many times longer than an archive a cartridge rests that could not be labelled.
const BROKEN_REST: u32 = 6;

/// Scratch volumes kept at hand in each library.
pub(crate) const LOW_WATER: usize = 2;

/// The cartridges to be labelled now, one at a time in each library: blank ones, while there are fewer scratch volumes than
/// there should be, and only where all cartridges are ours to use. Those that were emptied are labelled anew by `renew.rs`.
pub(crate) async fn begin(house: &Arc<House>, bells: &Arc<Bells>) -> Result<Begun, Error> {
    house.turns.begin_round(Purpose::Prepare);
    let rows = house.catalog.volumes().await?;
    house.low_pools.look(house, &rows).await?;
    let mut begun = Begun::default();
    for (library, machine) in &house.libraries {
        if house.pauses.holds(library) || house.turns.count(library, Purpose::Prepare) > 0 {
            continue;
        }
        if !house.settings.labels_blank.contains(library) {
            continue;
        }
        let Some(Next { barcode, row }) = blank(house, machine, &rows, library) else { continue };
        let turn = house.turns.take(Request {
            library,
            drives_up: drives_up(house, library),
            volume: row.as_ref().map(|row| row.id),
            purpose: Purpose::Prepare,
            urgency: None,
        });
        if let Some(turn) = turn {
            let (house, bells, library) = (house.clone(), bells.clone(), library.clone());
            begun.mounts.push(
                async move {
                    let prepared = prepare(&house, &library, &barcode, row).await;
                    drop(turn);
                    bells.ring(Stage::Write);
                    prepared
                }
                .boxed(),
            );
        }
    }
    Ok(begun)
}

/// A cartridge to be labelled, and its row when it has one.
struct Next {
    barcode: Barcode,
    row: Option<Volume>,
}

/// A blank cartridge, when there are fewer scratch volumes than there should be.
fn blank(house: &House, machine: &Library, rows: &[Volume], library: &str) -> Option<Next> {
    let barcode = generations(house, library).into_iter().find_map(|generation| {
        let missing = at_hand(rows, library, generation).len() < LOW_WATER;
        missing.then(|| cartridges(house, machine, rows, library, generation).into_iter().next())?
    })?;
    let row = rows.iter().find(|row| row.library == *library && row.barcode == barcode.as_str());
    Some(Next { row: row.cloned(), barcode })
}

/// Whether a scratch volume for a pool that takes this generation is being made, or could be.
pub(crate) fn is_coming(
    house: &House,
    library: &str,
    rows: &[Volume],
    generation: Option<Generation>,
) -> Result<bool, Error> {
    let machine = library_named(house, library)?;
    Ok(house.settings.labels_blank.contains(library)
        && (house.turns.count(library, Purpose::Prepare) > 0
            || !cartridges(house, machine, rows, library, generation).is_empty()))
}

/// What the pools of a library ask of new cartridges.
fn generations(house: &House, library: &str) -> BTreeSet<Option<Generation>> {
    let pools = house.settings.pools.values().filter(|pool| pool.library == library);
    let asked: BTreeSet<_> = pools.map(|pool| pool.generation).collect();
    if asked.is_empty() { BTreeSet::from([None]) } else { asked }
}

/// The scratch volumes set aside for no pool that one could take that asks for this generation.
pub(crate) fn at_hand<'a>(
    rows: &'a [Volume],
    library: &str,
    generation: Option<Generation>,
) -> Vec<&'a Volume> {
    let scratch = |row: &&Volume| {
        row.library == library && row.state.stage() == VolumeStage::Scratch && row.pool.is_none()
    };
    let fits = |row: &&Volume| generation.is_none_or(|wanted| generation_of(row) == Some(wanted));
    rows.iter().filter(scratch).filter(fits).collect()
}

/// Labels a cartridge; counts one step done. One that cannot be labelled is left alone for a while and
/// holds up no other.
async fn prepare(
    house: &House,
    library: &str,
    barcode: &Barcode,
    begun_before: Option<Volume>,
) -> Result<u64, Error> {
    let _alone = house.labelling.lock().await;
    let rows = house.catalog.volumes().await?;
    let same = |row: &&Volume| row.library == library && row.barcode == barcode.as_str();
    if rows.iter().find(same) != begun_before.as_ref() {
        // An operator was first.
        return Ok(0);
    }
    let machine = library_named(house, library)?.clone();
    let rest = match label(house, library, &machine, barcode, begun_before, None).await {
        Ok(_) => return Ok(1),
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
    house.trouble.leave_cartridge(library, barcode.as_str(), after(house, rest));
    // The next one is tried at once.
    Ok(1)
}

fn after(house: &House, rest: Duration) -> Timestamp {
    house.now().plus_milliseconds(crate::flip::milliseconds(rest))
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
fn cartridges(
    house: &House,
    machine: &Library,
    volumes: &[Volume],
    library: &str,
    generation: Option<Generation>,
) -> Vec<Barcode> {
    let known = |barcode: &Barcode| {
        let here = |row: &&Volume| row.library == library && row.barcode == barcode.as_str();
        let mut rows = volumes.iter().filter(here);
        rows.any(|volume| volume.state.stage() != VolumeStage::Preparing)
    };
    let now = house.now();
    let mut barcodes: Vec<Barcode> =
        machine.inventory().slots.into_iter().filter_map(|slot| slot.barcode).collect();
    barcodes.retain(|barcode| {
        !barcode.is_cleaning()
            && generation.is_none_or(|wanted| barcode.generation() == Some(wanted))
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
    (volume.pool, volume.unclean, volume.journal) = (None, false, 0);
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
