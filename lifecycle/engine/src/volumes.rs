//! Volumes and cartridges: the only file that knows both the book's word and the machine's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use library::{Barcode, End, Expected, Generation, Library, Mount, MountReport, VolumeUuid};
use model::catalog::{CatalogError, Change};
use model::volume::{NOT_IN_LIBRARY, Volume, VolumeStage, VolumeState};
use model::{PoolName, Remedy, VolumeId};

use crate::error::Error;
use crate::house::House;

/// The library a volume or pool names.
pub(crate) fn library_named<'a>(house: &'a House, name: &str) -> Result<&'a Arc<Library>, Error> {
    house.libraries.get(name).ok_or_else(|| Error::Bug { what: format!("there is no library named {name}") })
}

/// The label of a volume's cartridge.
pub(crate) fn barcode(volume: &Volume) -> Result<Barcode, Error> {
    Barcode::parse(&volume.barcode).ok_or_else(|| Error::Bug {
        what: format!("volume {} has the barcode {:?}", volume.id, volume.barcode),
    })
}

/// The request for a volume's cartridge.
pub(crate) fn mount(house: &House, volume: &Volume) -> Result<Mount, Error> {
    let barcode = barcode(volume)?;
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

/// What a pool wants of the next volume.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Room for so many bytes.
    pub bytes: u64,
    /// How many of its volumes may be filling at a time.
    pub filling_max: usize,
    /// The only generation of cartridges it takes new ones of.
    pub generation: Option<Generation>,
}

/// The generation a volume's barcode names.
pub(crate) fn generation_of(volume: &Volume) -> Option<Generation> {
    Barcode::parse(&volume.barcode)?.generation()
}

/// Which volume that is not in use takes the next bytes of `pool`: one that is filling for it, the fullest first, so
/// that few are open; else a scratch one, those set aside for the pool first, as long as few enough are filling that
/// have the room. Pure.
pub fn choose<'a>(
    volumes: &'a [Volume],
    in_use: impl Fn(&Volume) -> bool,
    library: &str,
    pool: &PoolName,
    wanted: Wanted,
) -> Option<&'a Volume> {
    let Wanted { bytes, filling_max, generation } = wanted;
    let stays = |volume: &&Volume| volume.library == library && volume.leaving.is_none();
    let here = || volumes.iter().filter(stays).filter(|volume| volume.remaining_bytes >= bytes);
    let filling = || {
        here().filter(|volume| {
            volume.state.stage() == VolumeStage::Filling && volume.pool.as_ref() == Some(pool)
        })
    };
    let free = filling().filter(|volume| !in_use(volume)).min_by_key(|volume| volume.remaining_bytes);
    let scratch = || {
        let of_generation =
            |volume: &&Volume| generation.is_none_or(|wanted| generation_of(volume) == Some(wanted));
        here()
            .filter(|volume| volume.state.stage() == VolumeStage::Scratch && !in_use(volume))
            .filter(|volume| volume.pool.as_ref().is_none_or(|own| own == pool))
            .filter(of_generation)
            .min_by_key(|volume| volume.pool.is_none())
    };
    // A scratch volume in use is filling by now.
    free.or_else(|| if filling().count() < filling_max { scratch() } else { None })
}

/// The volumes that are in drives of a library.
pub(crate) fn loaded(house: &House, library: &str) -> BTreeSet<VolumeId> {
    let drives = house.libraries.get(library).map(|library| library.drives()).unwrap_or_default();
    drives.into_iter().filter_map(|drive| drive.mounted).map(id_of).collect()
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
            if concerns_volume(&error) {
                let retry_after = house.settings.retry_after;
                match error.remedy() {
                    // The stage pauses for it too, and shall take another volume afterwards.
                    library::Remedy::Operator(_) => rest(house, id, retry_after.max(REST_FOR_PEOPLE)),
                    _ => rest(house, id, retry_after),
                }
            }
            if volume.state.stage() == VolumeStage::Retired {
                // It stays so.
            } else if let Some(why) = condemns(&error) {
                set_aside(&mut volume, why);
            } else if matches!(error, library::Error::Missing { .. }) {
                go_offline(&mut volume);
            }
            Some(error)
        }
    };
    save(house, &mut volume).await?;
    problem.map_or(Ok(()), |error| Err(error.into()))
}

/// Why a volume must not be written again after this error, if it must not. What may be the drive's fault is tried
/// again, elsewhere, after a rest: the library says when that has shown it to be the cartridge.
fn condemns(error: &library::Error) -> Option<String> {
    use library::{Blame, Error as E};
    match error {
        E::Fence { .. }
        | E::NotWritable { .. }
        | E::Recovery { .. }
        | E::Proven { blame: Blame::Medium, .. } => Some(crate::error::chain(error)),
        _ => None,
    }
}

/// Whether an error is about this one volume: with another one the same work may well succeed.
pub(crate) fn concerns_volume(error: &library::Error) -> bool {
    use library::Error as E;
    !matches!(
        error,
        E::Identify { .. }
            | E::NoDrives { .. }
            | E::NoDriveUp
            | E::Proven { blame: library::Blame::Drive, .. }
            | E::Inventory { .. }
            | E::NoSlot { .. }
            | E::Stopping
            | E::QueueFull
            | E::NoSuchDrive { .. }
    )
}

fn rest(house: &House, id: VolumeId, time: Duration) {
    house.resting.rest(id, house.now().plus_milliseconds(crate::flip::milliseconds(time)));
}

/// Its cartridge is not there, and nobody said where else it is.
pub(crate) fn go_offline(volume: &mut Volume) {
    if !matches!(volume.state.stage(), VolumeStage::Offline | VolumeStage::Retired) {
        let was = Box::new(volume.state.clone());
        volume.advance(VolumeState::Offline { place: NOT_IN_LIBRARY.to_owned(), was });
    }
}

/// How long a volume rests at least that only a person can make usable: longer than the stage pauses for such an error.
const REST_FOR_PEOPLE: Duration = Duration::from_secs(10);
/// How many times longer a volume rests that is not what it should be: only a person can change that.
const REST_OF_STRANGERS: u32 = 6;

/// Notes that a mount for reading failed: the volume rests, and one whose cartridge is not there is `Offline`.
pub(crate) async fn read_failed(house: &House, id: VolumeId, error: &Error) -> Result<(), Error> {
    let code = match error.remedy() {
        Remedy::Operator(code) => code,
        _ => "-",
    };
    tracing::error!(code, volume = %id, error = crate::error::chain(error), "a volume cannot be read now");
    match error {
        Error::Library(library::Error::Missing { .. }) => {
            let Some(mut volume) = house.catalog.volume(id).await? else { return Ok(()) };
            go_offline(&mut volume);
            save(house, &mut volume).await
        }
        Error::Library(error @ library::Error::Fence { .. }) => {
            rest(house, id, house.settings.retry_after * REST_OF_STRANGERS);
            suspect(house, id, crate::error::chain(error)).await
        }
        _ => {
            rest(house, id, house.settings.retry_after);
            Ok(())
        }
    }
}

/// Brings back volumes that were `Offline` and whose cartridge is in a slot or drive of its library again, as what they
/// were before; counts them. What the cartridge is shows at its next mount, before anything is read or written. A library that cannot be asked holds up no other.
pub async fn reconcile(house: &House) -> Result<u64, Error> {
    let mut away: BTreeMap<String, Vec<Volume>> = BTreeMap::new();
    for volume in house.catalog.volumes().await? {
        if volume.state.stage() == VolumeStage::Offline {
            away.entry(volume.library.clone()).or_default().push(volume);
        }
    }
    let mut back = 0;
    for (library, volumes) in away {
        // A library that is not configured any more is no reason to forget its volumes.
        let Some(machine) = house.libraries.get(&library).cloned() else { continue };
        let rescan = tokio::task::spawn_blocking(move || machine.rescan()).await;
        let inventory = match rescan
            .map_err(|error| Error::Bug { what: format!("the inventory panicked: {error}") })?
        {
            Ok(inventory) => inventory.shelved(),
            Err(error) => {
                tracing::warn!(library, error = crate::error::chain(&error), "the library cannot be asked");
                continue;
            }
        };
        for mut volume in volumes {
            let there = inventory.iter().any(|barcode| barcode.as_str() == volume.barcode);
            if there && !house.vault.is_arriving(&library, &volume.barcode) {
                come_back(&mut volume);
                tracing::info!(volume = %volume.id, barcode = volume.barcode, "cartridge is back");
                match save(house, &mut volume).await {
                    Ok(()) => back += 1,
                    Err(Error::Catalog(CatalogError::Conflict { .. })) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(back)
}

/// The volume is what it was before it was away.
pub(crate) fn come_back(volume: &mut Volume) {
    if let VolumeState::Offline { was, .. } = volume.state.clone() {
        volume.advance(*was);
    }
}

/// Sets a volume aside, read only, because of what was read from it.
pub(crate) async fn suspect(house: &House, id: VolumeId, why: String) -> Result<(), Error> {
    let Some(mut volume) = house.catalog.volume(id).await? else { return Ok(()) };
    if matches!(volume.state.stage(), VolumeStage::Suspect | VolumeStage::Retired) {
        return Ok(());
    }
    set_aside(&mut volume, why);
    save(house, &mut volume).await
}

/// One that is being emptied goes on with that; it is then not used again.
fn set_aside(volume: &mut Volume, why: String) {
    tracing::error!(code = "TL-0501", volume = %volume.id, barcode = volume.barcode, why, "volume set aside as suspect");
    let emptied = volume.state.stage() == VolumeStage::Reclaiming;
    volume.advance(if emptied {
        VolumeState::Reclaiming { retire: true }
    } else {
        VolumeState::Suspect { why }
    });
}

/// Makes `row` durable; on success it is the row as it now stands.
pub(crate) async fn save(house: &House, row: &mut Volume) -> Result<(), Error> {
    house.catalog.commit(vec![Change::Volume(row.clone())]).await?;
    row.revision += 1;
    Ok(())
}

pub(crate) fn uuid_of(id: VolumeId) -> VolumeUuid {
    VolumeUuid::from_u128(id.as_u128())
}

pub(crate) fn id_of(uuid: VolumeUuid) -> VolumeId {
    VolumeId::from_u128(uuid.as_u128())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use model::Timestamp;
    use model::volume::Leaving;

    fn volume(number: u128, state: VolumeState, remaining_bytes: u64) -> Volume {
        Volume {
            id: VolumeId::from_u128(number),
            revision: 1,
            library: "main".into(),
            barcode: format!("VOL{number:03}L9"),
            medium_serial: String::new(),
            pool: (state == VolumeState::Filling).then(|| PoolName::parse("pool").unwrap()),
            state,
            generation: 1,
            end_of_data_block: 1,
            remaining_bytes,
            capacity_bytes: 100,
            unclean: false,
            journal: 0,
            leaving: None,
            check: None,
            created: Timestamp::from_seconds(0),
        }
    }

    #[test]
    fn the_fullest_volume_that_has_room_is_chosen() {
        let pool = PoolName::parse("pool").unwrap();
        let all = [
            volume(1, VolumeState::Scratch, 100),
            volume(2, VolumeState::Filling, 50),
            volume(3, VolumeState::Filling, 10),
        ];
        let chosen = |bytes, used: &[u128], most| {
            let in_use = |volume: &Volume| used.contains(&volume.id.as_u128());
            let wanted = Wanted { bytes, filling_max: most, generation: None };
            choose(&all, in_use, "main", &pool, wanted).map(|volume| volume.id.as_u128())
        };
        let one = |bytes| chosen(bytes, &[], 1);
        assert_eq!([one(5), one(20), one(60), one(101)], [Some(3), Some(2), Some(1), None]);
        assert_eq!(chosen(5, &[3], 1), Some(2), "one that is in use has no room for another mount");
        assert_eq!(chosen(20, &[2], 1), None, "one volume is to be filling, and it is in use");
        assert_eq!(chosen(20, &[2], 2), Some(1));
        assert_eq!(chosen(20, &[1, 2], 2), None);
        let of = |generation| {
            let wanted = Wanted { bytes: 60, filling_max: 1, generation: Some(generation) };
            choose(&all, |_| false, "main", &pool, wanted).map(|volume| volume.id.as_u128())
        };
        assert_eq!((of(Generation::Lto9), of(Generation::Lto8)), (Some(1), None));
    }

    #[test]
    fn a_scratch_volume_set_aside_goes_to_its_pool_alone_and_one_that_leaves_to_none() {
        let [pool, other] = ["pool", "other"].map(|name| PoolName::parse(name).unwrap());
        let mut all = [1, 2, 3].map(|number| volume(number, VolumeState::Scratch, 100));
        all[0].leaving =
            Some(Leaving { place: "shelf".to_owned(), only_copy: true, since: Timestamp::from_seconds(0) });
        all[2].pool = Some(pool.clone());
        let wanted = Wanted { bytes: 1, filling_max: 1, generation: None };
        let chosen = |pool| choose(&all, |_| false, "main", pool, wanted).map(|volume| volume.id.as_u128());
        assert_eq!([chosen(&pool), chosen(&other)], [Some(3), Some(2)]);
    }

    #[test]
    fn a_volume_is_set_aside_once_trying_elsewhere_has_shown_it_to_be_at_fault() {
        use library::{Blame, Error as E};
        let (drive, barcode) = ("DRIVE1".to_owned(), Barcode::parse("VOL001L9").unwrap());
        let source: Arc<std::io::Error> = Arc::new(std::io::Error::other("3/0c/00"));
        let once = E::Drive {
            drive: drive.clone(),
            barcode: barcode.clone(),
            blame: Blame::Medium,
            source: source.clone(),
        };
        assert!(condemns(&once).is_none() && concerns_volume(&once));
        for (blame, of_volume) in [(Blame::Medium, true), (Blame::Drive, false)] {
            let (drive, barcode, source) = (drive.clone(), barcode.clone(), source.clone());
            let proven = E::Proven { blame, drive, barcode, source };
            assert_eq!((condemns(&proven).is_some(), concerns_volume(&proven)), (of_volume, of_volume));
        }
    }

    #[test]
    fn a_volume_that_was_away_comes_back_as_what_it_was() {
        let states = [
            VolumeState::Full,
            VolumeState::Suspect { why: "worn".into() },
            VolumeState::Filling,
            VolumeState::Preparing,
        ];
        for state in states {
            let mut volume = volume(1, state.clone(), 10);
            go_offline(&mut volume);
            go_offline(&mut volume);
            assert_eq!(volume.state.stage(), VolumeStage::Offline);
            come_back(&mut volume);
            assert_eq!(volume.state, state);
        }
        let mut retired = volume(1, VolumeState::Retired, 10);
        go_offline(&mut retired);
        assert_eq!(retired.state, VolumeState::Retired);
    }
}
