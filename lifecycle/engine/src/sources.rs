//! Which copy of a pack is read: a whole one before a damaged one, and what is at hand before what is not.

use std::collections::{BTreeMap, BTreeSet};

use library::DriveState;
use model::pack::{Pack, PackCopy, PackCopyStage};
use model::volume::{Volume, VolumeStage};
use model::{PackId, VolumeId};

use crate::error::Error;
use crate::house::House;
use crate::seals;
use crate::volumes::id_of;

/// Where a pack can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    At {
        volume: VolumeId,
        start_block: u64,
        pack_bytes: u64,
    },
    /// It exists, but no volume that has it can be mounted now.
    OutOfReach,
    Nowhere,
}

/// Places looked up in one round.
pub(crate) struct Places {
    known: BTreeMap<PackId, Place>,
    reach: Reach,
    /// The first pack whose key is missing, as an error.
    pub(crate) keyless: Option<Error>,
}

/// What can be had without waiting.
#[derive(Default)]
struct Reach {
    mounted: BTreeSet<VolumeId>,
    /// Libraries with a drive that is not down.
    up: BTreeSet<String>,
}

/// A copy that has a place, and its volume.
struct Candidate {
    copy: PackCopy,
    volume: Volume,
    start_block: u64,
}

// === impl Places ===

impl Places {
    /// Begins a round.
    pub(crate) fn begin(house: &House) -> Self {
        let mut reach = Reach::default();
        for (name, library) in &house.libraries {
            for drive in library.drives() {
                reach.mounted.extend(drive.mounted.map(id_of));
                if !matches!(drive.state, DriveState::Down { .. }) {
                    reach.up.insert(name.clone());
                }
            }
        }
        Self { known: BTreeMap::new(), reach, keyless: None }
    }

    /// Where the pack is read: what is left of it where no copy is whole.
    pub(crate) async fn of(&mut self, house: &House, pack: PackId) -> Result<Place, Error> {
        if let Some(place) = self.known.get(&pack) {
            return Ok(*place);
        }
        let Some(row) = house.catalog.pack(pack).await? else { return Ok(Place::Nowhere) };
        let (whole, damaged) = candidates(house, pack).await?;
        let mut place = self.choose(house, &row, if whole.is_empty() { damaged } else { whole });
        if let Place::At { volume, .. } = place
            && let Some(error) = seals::objection(house, pack, volume).await?
        {
            self.keyless.get_or_insert(error);
            place = Place::OutOfReach;
        }
        self.known.insert(pack, place);
        Ok(place)
    }

    /// Where a whole copy of the pack is read.
    pub(crate) async fn of_whole(&self, house: &House, row: &Pack) -> Result<Place, Error> {
        Ok(self.choose(house, row, candidates(house, row.id).await?.0))
    }

    fn choose(&self, house: &House, row: &Pack, mut candidates: Vec<Candidate>) -> Place {
        candidates.sort_by_key(|candidate| self.reach.rank(candidate));
        // What is only on the spool is on its way to a volume.
        let mut place = if row.spooled { Place::OutOfReach } else { Place::Nowhere };
        for Candidate { volume, start_block, .. } in candidates {
            let away = !volume.is_in_reach()
                || house.resting.rests(volume.id, house.now())
                // A copy in another library is better than waiting.
                || house.pauses.holds(&volume.library)
                || !house.libraries.contains_key(&volume.library);
            if !away {
                return Place::At { volume: volume.id, start_block, pack_bytes: row.bytes };
            }
            place = Place::OutOfReach;
        }
        place
    }
}

// === impl Reach ===

impl Reach {
    /// The lower the better.
    fn rank(&self, candidate: &Candidate) -> (bool, bool, bool, bool, u8) {
        let Candidate { copy, volume, .. } = candidate;
        (
            volume.state.stage() == VolumeStage::Suspect,
            !self.mounted.contains(&volume.id),
            !self.up.contains(&volume.library),
            copy.state.stage() != PackCopyStage::Verified,
            copy.number,
        )
    }
}

/// The copies that can be read from a volume in use: those that are whole as far as is known, and the damaged ones.
async fn candidates(house: &House, pack: PackId) -> Result<(Vec<Candidate>, Vec<Candidate>), Error> {
    let mut found = Vec::new();
    for copy in house.catalog.copies_of(pack).await? {
        let (Some(volume), Some((start_block, _))) = (copy.volume, copy.state.place()) else { continue };
        let volume = house.catalog.volume(volume).await?;
        if let Some(volume) = volume.filter(|volume| volume.state.stage() != VolumeStage::Retired) {
            found.push(Candidate { copy, volume, start_block });
        }
    }
    Ok(found.into_iter().partition(|candidate| candidate.copy.state.stage() != PackCopyStage::Damaged))
}

/// Whether a whole copy of the pack is anywhere, out of reach or not.
pub(crate) async fn is_whole(house: &House, pack: PackId) -> Result<bool, Error> {
    Ok(!candidates(house, pack).await?.0.is_empty())
}

/// Whether a whole copy of the pack is anywhere but on `volume`, out of reach or not.
pub(crate) async fn is_elsewhere(house: &House, pack: PackId, volume: VolumeId) -> Result<bool, Error> {
    Ok(candidates(house, pack).await?.0.iter().any(|candidate| candidate.volume.id != volume))
}
