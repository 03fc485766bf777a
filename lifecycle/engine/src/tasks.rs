//! What only hands can do: cartridges that queued restores wait for, and cartridges to be carried away. Found from the
//! rows and the inventories whenever somebody asks, so a task is over the moment its reason is.

use std::collections::BTreeMap;

use model::pack::PackCopyStage;
use model::restore::RestoreStage;
use model::volume::{Volume, VolumeStage, VolumeState};
use model::{ArchiveId, JobId, PackId, Timestamp, VolumeId};

use crate::error::Error;
use crate::house::House;

const PAGE: usize = 1_000;
/// Queued restores looked at; what waits behind them waits for the same cartridges, or shows later.
const RESTORES_MAX: usize = 200_000;

/// What somebody has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// What.
    pub kind: TaskKind,
    /// The volume.
    pub volume: VolumeId,
    /// The label of its cartridge.
    pub barcode: String,
    /// The library it belongs to.
    pub library: String,
    /// Where it is, or where it goes.
    pub place: String,
    /// The mail slot it is in, when it is in one.
    pub mail_slot: Option<u16>,
    /// How many restores wait for it.
    pub restores: u64,
    /// Bytes they want from it.
    pub bytes: u64,
    /// When the first of them was asked for.
    pub since: Option<Timestamp>,
    /// Others that would do as well for some of them: barcodes and places.
    pub instead: Vec<(String, String)>,
}

/// What is to be done with a cartridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TaskKind {
    /// Restores wait: bring it back and have it taken in.
    BringIn,
    /// It stands in a mail slot: take it to its place.
    TakeOut,
}

impl TaskKind {
    /// The code of the runbook.
    pub fn code(self) -> &'static str {
        match self {
            Self::BringIn => "EN-0120",
            Self::TakeOut => "EN-0121",
        }
    }
}

/// Everything hands are needed for, what has waited longest first.
pub(crate) async fn tasks(house: &House) -> Result<Vec<Task>, Error> {
    let volumes: BTreeMap<VolumeId, Volume> =
        house.catalog.volumes().await?.into_iter().map(|row| (row.id, row)).collect();
    let mut tasks = Vec::new();
    if volumes.values().any(|row| !row.is_in_reach()) {
        let mut waits = Waits { house, volumes: &volumes, places: BTreeMap::new(), found: BTreeMap::new() };
        waits.look().await?;
        tasks = waits.found.into_values().collect();
    }
    for row in volumes.values().filter(|row| row.state.stage() == VolumeStage::Offline) {
        let slot = mail_slot(house, row);
        if let Some((element, false)) = slot
            && !tasks.iter().any(|task| task.volume == row.id)
        {
            let mail_slot = Some(element);
            tasks.push(Task { mail_slot, ..task(TaskKind::TakeOut, row) });
        }
    }
    tasks.sort_by_key(|task| (task.kind, task.since, task.barcode.clone()));
    Ok(tasks)
}

/// The cartridges a restore waits for that are out of reach, and where they are.
pub(crate) async fn waited_for(house: &House, archive: ArchiveId) -> Result<Vec<(String, String)>, Error> {
    let volumes = house.catalog.volumes().await?.into_iter().map(|row| (row.id, row)).collect();
    let mut waits = Waits { house, volumes: &volumes, places: BTreeMap::new(), found: BTreeMap::new() };
    waits.add(archive, house.now()).await?;
    Ok(waits.found.into_values().map(|task| (task.barcode, task.place)).collect())
}

/// The queued restores by the volumes they wait for.
struct Waits<'a> {
    house: &'a House,
    volumes: &'a BTreeMap<VolumeId, Volume>,
    /// Volumes any of which would do for a pack that is on none in reach.
    places: BTreeMap<PackId, Vec<VolumeId>>,
    found: BTreeMap<VolumeId, Task>,
}

impl Waits<'_> {
    async fn look(&mut self) -> Result<(), Error> {
        let (mut after, mut seen): (Option<JobId>, usize) = (None, 0);
        while seen < RESTORES_MAX {
            let page = self.house.catalog.restores_in(RestoreStage::Queued, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            seen += page.len();
            for job in page {
                self.add(job.archive, job.created).await?;
            }
        }
        Ok(())
    }

    /// Counts a restore where it waits.
    async fn add(&mut self, archive: ArchiveId, created: Timestamp) -> Result<(), Error> {
        let Some(archive) = self.house.catalog.archive(archive).await? else { return Ok(()) };
        let mut wanted: BTreeMap<VolumeId, u64> = BTreeMap::new();
        for extent in &archive.extents {
            let Some((chosen, others)) = self.choose(extent.pack).await? else { continue };
            *wanted.entry(chosen).or_default() += extent.length;
            let row = &self.volumes[&chosen];
            let house = self.house;
            let task = self.found.entry(chosen).or_insert_with(|| Task {
                mail_slot: mail_slot(house, row).map(|(element, _)| element),
                ..task(TaskKind::BringIn, row)
            });
            for other in others {
                let row = &self.volumes[&other];
                let instead = (row.barcode.clone(), place(row));
                if !task.instead.contains(&instead) {
                    task.instead.push(instead);
                }
            }
        }
        for (volume, bytes) in wanted {
            if let Some(task) = self.found.get_mut(&volume) {
                task.restores += 1;
                task.bytes += bytes;
                task.since = task.since.map_or(Some(created), |since| Some(since.min(created)));
            }
        }
        Ok(())
    }

    /// Which volume a pack waits for, and which would do as well; `None` when it is in reach, or nowhere. One that is
    /// waited for anyway is chosen first.
    async fn choose(&mut self, pack: PackId) -> Result<Option<(VolumeId, Vec<VolumeId>)>, Error> {
        if !self.places.contains_key(&pack) {
            let mut copies = self.house.catalog.copies_of(pack).await?;
            copies.retain(|copy| copy.state.place().is_some());
            copies.sort_by_key(|copy| (copy.state.stage() != PackCopyStage::Verified, copy.number));
            let rows: Vec<&Volume> =
                copies.iter().filter_map(|copy| self.volumes.get(&copy.volume?)).collect();
            let in_reach = rows.iter().any(|row| row.is_in_reach());
            let away = rows.into_iter().filter(|row| row.state.stage() != VolumeStage::Retired);
            let away = if in_reach { Vec::new() } else { away.map(|row| row.id).collect() };
            self.places.insert(pack, away);
        }
        let away = &self.places[&pack];
        let known = away.iter().find(|id| self.found.contains_key(id));
        let Some(chosen) = known.or(away.first()).copied() else { return Ok(None) };
        Ok(Some((chosen, away.iter().copied().filter(|id| *id != chosen).collect())))
    }
}

fn task(kind: TaskKind, row: &Volume) -> Task {
    Task {
        kind,
        volume: row.id,
        barcode: row.barcode.clone(),
        library: row.library.clone(),
        place: place(row),
        mail_slot: None,
        restores: 0,
        bytes: 0,
        since: None,
        instead: Vec::new(),
    }
}

fn place(row: &Volume) -> String {
    match (&row.state, &row.leaving) {
        (VolumeState::Offline { place, .. }, _) => place.clone(),
        (_, Some(leaving)) => format!("on its way to {}", leaving.place),
        _ => row.library.clone(),
    }
}

/// The mail slot a volume's cartridge is in, as last known, and whether hands put it there.
fn mail_slot(house: &House, row: &Volume) -> Option<(u16, bool)> {
    let inventory = house.libraries.get(&row.library)?.inventory();
    let slots = inventory.mail_slots.into_iter();
    let mut here = slots.filter(|slot| slot.barcode.as_ref().is_some_and(|one| one.as_str() == row.barcode));
    here.next().map(|slot| (slot.element, slot.by_hand))
}
