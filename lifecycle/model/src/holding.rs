//! What the copies of a pack come to, pool by pool. Pure.
//!
//! A pool *has* a pack when a copy at its bar lies on a volume that can be relied on. It is *short* of the pack when it
//! has lost what it had, whether or not a new copy is on its way; a pack that was never there yet is not short.

use std::collections::BTreeMap;

use crate::pack::{PackCopy, PackCopyStage};
use crate::volume::{Volume, VolumeStage};
use crate::{PoolName, VolumeId};

/// What a copy is worth with the volume it is on; the later the better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Worth {
    /// Nothing: it is dead, or its volume is out of use.
    #[default]
    Nothing,
    /// What is whole of it may be read.
    Remains,
    /// Its volume is not in its library, and nobody said where else it is.
    Away,
    /// Its volume is set aside as suspect.
    Doubtful,
    /// On its way to its pool's bar.
    Coming,
    /// At the bar; its volume is being emptied.
    Leaving,
    /// At the bar, on a volume that can be relied on.
    Good,
}

impl Worth {
    /// Of a copy and its volume. `trusted` says that a written copy of this pool counts without being read back.
    pub fn of(copy: &PackCopy, volume: Option<&Volume>, trusted: bool) -> Self {
        let at_bar = match copy.state.stage() {
            PackCopyStage::Dead => return Self::Nothing,
            PackCopyStage::Wanted | PackCopyStage::Spooled => return Self::Coming,
            PackCopyStage::Damaged => return volume.map_or(Self::Nothing, |v| remains(v.state.stage())),
            PackCopyStage::Written => trusted,
            PackCopyStage::Verified => true,
        };
        let Some(volume) = volume else { return Self::Nothing };
        let state = if volume.state.is_missing() { None } else { Some(volume.state.in_place()) };
        match state.map(|state| state.stage()) {
            None => Self::Away,
            Some(VolumeStage::Retired) => Self::Nothing,
            Some(VolumeStage::Suspect) => Self::Doubtful,
            Some(_) if !at_bar => Self::Coming,
            Some(VolumeStage::Reclaiming) => Self::Leaving,
            Some(_) => Self::Good,
        }
    }

    /// Whether the whole pack can be read from it, as far as is known and once its volume is at hand.
    pub fn is_whole(self) -> bool {
        matches!(self, Self::Good | Self::Leaving | Self::Doubtful | Self::Away)
    }
}

fn remains(volume: VolumeStage) -> Worth {
    if volume == VolumeStage::Retired { Worth::Nothing } else { Worth::Remains }
}

/// What one pool has of a pack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// The best of its copies.
    pub best: Worth,
    /// Whether it lost a copy, or one is being made again.
    lost: bool,
    /// Whether a copy is on its way.
    pub coming: bool,
}

// === impl Holding ===

impl Holding {
    /// Whether a copy at the bar can be relied on.
    pub fn has(self) -> bool {
        self.best >= Worth::Leaving
    }

    /// Whether it lacks a copy it once had.
    pub fn is_short(self) -> bool {
        !self.has() && self.lost
    }

    fn add(&mut self, copy: &PackCopy, worth: Worth) {
        self.best = self.best.max(worth);
        self.coming |= worth == Worth::Coming;
        self.lost |= worth < Worth::Coming || copy.state.stage() == PackCopyStage::Wanted;
    }
}

/// What each pool that ever was to have the pack has of it. `trusted` as for [`Worth::of`].
pub fn holdings(
    copies: &[PackCopy],
    volumes: &BTreeMap<VolumeId, Volume>,
    trusted: impl Fn(&PackCopy) -> bool,
) -> BTreeMap<PoolName, Holding> {
    let mut holdings: BTreeMap<PoolName, Holding> = BTreeMap::new();
    for copy in copies {
        let volume = copy.volume.and_then(|volume| volumes.get(&volume));
        let worth = Worth::of(copy, volume, trusted(copy));
        holdings.entry(copy.pool.clone()).or_default().add(copy, worth);
    }
    holdings
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::pack::{CopyEnd, PackCopyState};
    use crate::volume::{NOT_IN_LIBRARY, VolumeState};
    use crate::{PackId, Timestamp};

    const PLACE: (u64, u64) = (7, 1);

    fn volume(state: VolumeState) -> Volume {
        Volume {
            id: VolumeId::from_u128(1),
            revision: 1,
            library: "main".into(),
            barcode: "TG0001L9".into(),
            medium_serial: String::new(),
            pool: None,
            state,
            generation: 1,
            end_of_data_block: 1,
            remaining_bytes: 1,
            capacity_bytes: 1,
            unclean: false,
            journal: 0,
            leaving: None,
            check: None,
            created: Timestamp::from_seconds(0),
        }
    }

    fn copy(state: PackCopyState) -> PackCopy {
        let pool = PoolName::parse("pool").unwrap();
        let copy = PackCopy::new(PackId::new(1, 1), 0, pool, state);
        PackCopy { volume: state.place().map(|_| VolumeId::from_u128(1)), ..copy }
    }

    fn offline(place: &str, was: VolumeState) -> VolumeState {
        VolumeState::Offline { place: place.to_owned(), was: Box::new(was) }
    }

    #[test]
    fn a_copy_is_worth_what_it_and_its_volume_are() {
        let (start_block, blocks) = PLACE;
        let verified = PackCopyState::Verified { start_block, blocks };
        let written = PackCopyState::Written { start_block, blocks };
        let damaged = PackCopyState::Damaged { start_block, blocks };
        let suspect = || VolumeState::Suspect { why: "worn".to_owned() };
        for (state, on, trusted, worth) in [
            (verified, VolumeState::Full, false, Worth::Good),
            (written, VolumeState::Filling, false, Worth::Coming),
            (written, VolumeState::Filling, true, Worth::Good),
            (verified, VolumeState::Reclaiming { retire: false }, false, Worth::Leaving),
            (verified, suspect(), false, Worth::Doubtful),
            (written, suspect(), true, Worth::Doubtful),
            (verified, offline(NOT_IN_LIBRARY, VolumeState::Full), false, Worth::Away),
            (verified, offline("the vault", VolumeState::Full), false, Worth::Good),
            (verified, offline("the vault", suspect()), false, Worth::Doubtful),
            (verified, VolumeState::Retired, false, Worth::Nothing),
            (damaged, VolumeState::Full, false, Worth::Remains),
            (PackCopyState::Spooled, VolumeState::Full, false, Worth::Coming),
            (PackCopyState::Dead { why: CopyEnd::VolumeLost }, VolumeState::Full, false, Worth::Nothing),
        ] {
            assert_eq!(
                Worth::of(&copy(state), Some(&volume(on.clone())), trusted),
                worth,
                "{state:?} {on:?}"
            );
        }
        assert_eq!(Worth::of(&copy(verified), None, false), Worth::Nothing);
    }

    #[test]
    fn a_pool_is_short_of_what_it_lost_and_not_of_what_never_was() {
        let (start_block, blocks) = PLACE;
        let verified = PackCopyState::Verified { start_block, blocks };
        let dead = PackCopyState::Dead { why: CopyEnd::VolumeLost };
        let volumes = BTreeMap::from([(VolumeId::from_u128(1), volume(VolumeState::Full))]);
        let of = |states: &[PackCopyState]| {
            let copies: Vec<PackCopy> = states.iter().map(|state| copy(*state)).collect();
            let holding = *holdings(&copies, &volumes, |_| false).values().next().unwrap();
            (holding.has(), holding.is_short(), holding.coming)
        };
        assert_eq!(of(&[PackCopyState::Spooled]), (false, false, true));
        assert_eq!(of(&[dead]), (false, true, false));
        assert_eq!(of(&[dead, PackCopyState::Wanted]), (false, true, true));
        assert_eq!(of(&[dead, verified]), (true, false, false));
        assert_eq!(of(&[PackCopyState::Wanted]), (false, true, true));
    }
}
