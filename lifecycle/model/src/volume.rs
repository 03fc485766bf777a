//! Volumes: cartridges as the book of record knows them.
//!
//! ```text
//!   New ──> Preparing ──> Scratch ──> Filling ──> Full ──> Reclaiming ──> Pending ──> (labelled anew)
//!   Suspect, Offline, Retired from anywhere; back only by an operator's word or a passed fence
//!   Reclaiming also from Filling and Suspect; Retired after it when that was asked for
//! ```

use serde::{Deserialize, Serialize};

use crate::{PoolName, Timestamp, VolumeId};

/// What may be done with a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VolumeState {
    /// Seen, not yet labelled by us.
    New,
    /// Being labelled.
    Preparing,
    /// Labelled and empty.
    Scratch,
    /// Takes packs.
    Filling,
    /// Takes no more.
    Full,
    /// Its living packs are being moved elsewhere.
    Reclaiming {
        /// It is not to be used again afterwards.
        retire: bool,
    },
    /// Nothing in it lives, but it is not to be overwritten before this moment. Its cartridge then becomes another
    /// volume, and this one is forgotten.
    Pending {
        /// When it may be labelled anew.
        until: Timestamp,
    },
    /// Not what the book of record expects, or failing: read only.
    Suspect {
        /// What was seen.
        why: String,
    },
    /// Not in the library.
    Offline {
        /// Where it is, as far as known.
        place: String,
        /// What it was before, and is again when it is back.
        was: Box<VolumeState>,
    },
    /// Never to be used again.
    Retired,
}

/// The place of an [`VolumeState::Offline`] volume that nobody took out: it is just not there.
pub const NOT_IN_LIBRARY: &str = "not in the library";

/// A [`VolumeState`] without its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs)] // see VolumeState
pub enum VolumeStage {
    New,
    Preparing,
    Scratch,
    Filling,
    Full,
    Reclaiming,
    Pending,
    Suspect,
    Offline,
    Retired,
}

impl VolumeStage {
    /// Whether a volume may go from here to `next`.
    pub fn may_become(self, next: Self) -> bool {
        use VolumeStage::{
            Filling, Full, New, Offline, Pending, Preparing, Reclaiming, Retired, Scratch, Suspect,
        };
        self == next
            || matches!(next, Suspect | Offline | Retired) && self != Retired
            || self == Offline
            || matches!(
                (self, next),
                (New, Preparing)
                    | (Preparing, Scratch)
                    | (Scratch, Filling)
                    | (Filling, Full)
                    | (Filling | Full | Suspect, Reclaiming)
                    | (Reclaiming, Pending)
                    | (Suspect, Scratch | Filling | Full)
            )
    }
}

impl VolumeState {
    /// The stage of this state.
    pub fn stage(&self) -> VolumeStage {
        match self {
            Self::New => VolumeStage::New,
            Self::Preparing => VolumeStage::Preparing,
            Self::Scratch => VolumeStage::Scratch,
            Self::Filling => VolumeStage::Filling,
            Self::Full => VolumeStage::Full,
            Self::Reclaiming { .. } => VolumeStage::Reclaiming,
            Self::Pending { .. } => VolumeStage::Pending,
            Self::Suspect { .. } => VolumeStage::Suspect,
            Self::Offline { .. } => VolumeStage::Offline,
            Self::Retired => VolumeStage::Retired,
        }
    }

    /// What it is, were its cartridge in its library.
    pub fn in_place(&self) -> &Self {
        match self {
            Self::Offline { was, .. } => was.in_place(),
            here => here,
        }
    }

    /// Whether its cartridge is not where it should be, and nobody said where else it is.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Offline { place, .. } if place == NOT_IN_LIBRARY)
    }
}

/// A full read-back of a volume: under way, or what it came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeCheck {
    /// When it was asked for.
    pub asked: Timestamp,
    /// Copies that begin before this block have been compared.
    pub next_block: u64,
    /// Copies that were what was written.
    pub good: u64,
    /// Copies that were not.
    pub damaged: u64,
    /// When the last one was compared.
    pub finished: Option<Timestamp>,
}

/// One row of the book of record: a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// UUID of the LTFS volume.
    pub id: VolumeId,
    /// Row revision.
    pub revision: u64,
    /// The library it belongs to.
    pub library: String,
    /// Its barcode: where to find it, not who it is.
    pub barcode: String,
    /// Serial number in the cartridge's memory (MAM 0401h).
    pub medium_serial: String,
    /// The pool it is filling for, or set aside for while scratch.
    pub pool: Option<PoolName>,
    /// What may be done with it.
    pub state: VolumeState,
    /// Generation of the newest committed index.
    pub generation: u64,
    /// Logical block number of the end of data in the data partition at the last commit.
    pub end_of_data_block: u64,
    /// Bytes the data partition can still take, as far as known.
    pub remaining_bytes: u64,
    /// Bytes the data partition takes in all.
    pub capacity_bytes: u64,
    /// Set before a mount for writing, cleared when its report is written down: a process that died in between left
    /// an unclean end, and more may be on the tape than this row knows.
    pub unclean: bool,
    /// Number of the newest journal on it.
    pub journal: u64,
    /// An operator wants it out of the library: nothing new is begun on it, and what is known of it is seen through
    /// until its cartridge is in a mail slot or gone; then it is `Offline`.
    pub leaving: Option<Leaving>,
    /// The last full read-back that an operator asked for.
    pub check: Option<VolumeCheck>,
    /// When it was labelled.
    pub created: Timestamp,
}

/// An order to take a volume's cartridge out of its library.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaving {
    /// Where it is taken.
    pub place: String,
    /// It goes although it holds the only good copy in reach of something.
    pub only_copy: bool,
    /// When that was ordered.
    pub since: Timestamp,
}

impl Volume {
    /// Whether its cartridge may be mounted for something new: it is in its library and stays there.
    pub fn is_in_reach(&self) -> bool {
        let away = matches!(self.state.stage(), VolumeStage::Offline | VolumeStage::Retired);
        !away && self.leaving.is_none()
    }

    /// Moves the volume to `state`; panics when the table does not allow the step.
    pub fn advance(&mut self, state: VolumeState) {
        let (from, to) = (self.state.stage(), state.stage());
        assert!(from.may_become(to), "volume {} may not go from {from:?} to {to:?}", self.id);
        self.state = state;
    }
}
