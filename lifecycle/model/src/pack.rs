//! Packs and their copies.
//!
//! ```text
//!   Wanted ──> Spooled ──> Written ──> Verified <──> Damaged      Dead from anywhere
//!      ^          │ ^         │ └─────────────────────^
//!      └──────────┘ └─────────┘ the write was no good
//!       the spool lost it
//! ```
//!
//! A copy that is lost stays `Dead`: what takes its place is a row of its own, `Wanted` until another copy was read
//! into the spool.

use serde::{Deserialize, Serialize};

use crate::{PackId, PoolName, Timestamp, VolumeId};

/// A finished pack: bit-identical on every volume it is on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pack {
    /// Its id.
    pub id: PackId,
    /// Row revision, see [`crate::Archive::revision`].
    pub revision: u64,
    /// The pool of its first copy.
    pub pool: PoolName,
    /// Length of the pack file, in bytes.
    pub bytes: u64,
    /// BLAKE3-256 of the pack file.
    pub digest: [u8; 32],
    /// The key it is sealed with, if it is.
    pub seal: Option<Seal>,
    /// How many members it has, the manifest not counted.
    pub members: u32,
    /// Whether its file is still wanted on the spool (a copy is not yet verified, or a recall uses it).
    pub spooled: bool,
    /// When it was finished.
    pub created: Timestamp,
}

/// The key a pack is sealed with. Every copy of it is the same sealed file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Seal {
    /// Name and version, as `name:version`.
    pub key: String,
    /// The key's check value in hexadecimal: tells another key of the same name from the right one.
    pub check: String,
}

/// How far one copy of a pack is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PackCopyState {
    /// To be made from another copy.
    Wanted,
    /// Only on the spool so far.
    Spooled,
    /// On the volume, its commit point passed.
    Written {
        /// Where it begins: logical block number in the data partition.
        start_block: u64,
        /// How many blocks it takes.
        blocks: u64,
    },
    /// Read back and compared with its digests.
    Verified {
        /// As in `Written`.
        start_block: u64,
        /// As in `Written`.
        blocks: u64,
    },
    /// Some of it was not what was written, or could not be read. What is whole in it is read where no other copy is
    /// left; nobody relies on it.
    Damaged {
        /// As in `Written`.
        start_block: u64,
        /// As in `Written`.
        blocks: u64,
    },
    /// Never to be read again.
    Dead {
        /// Why.
        why: CopyEnd,
    },
}

/// Why a copy is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CopyEnd {
    /// The pack was given up before anything relied on it.
    GivenUp,
    /// Nothing in the pack lives.
    Unused,
    /// Another copy took its place.
    Replaced,
    /// Its cartridge is destroyed.
    VolumeLost,
}

/// One copy of a pack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackCopy {
    /// The pack.
    pub pack: PackId,
    /// Counts the copies ever begun of the pack: 0 goes to the archive's pool, the next ones to its sibling pools, later
    /// ones take the place of those that were lost or moved.
    pub number: u8,
    /// Row revision.
    pub revision: u64,
    /// The pool this copy belongs to.
    pub pool: PoolName,
    /// The volume it was written to, from `Written` on.
    pub volume: Option<VolumeId>,
    /// How far it is.
    pub state: PackCopyState,
}

/// A [`PackCopyState`] without its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
#[allow(missing_docs)] // see PackCopyState
pub enum PackCopyStage {
    Spooled = 0,
    Written = 1,
    Verified = 2,
    Dead = 3,
    Wanted = 4,
    Damaged = 5,
}

impl PackCopyStage {
    /// Every stage.
    pub const ALL: [Self; 6] =
        [Self::Wanted, Self::Spooled, Self::Written, Self::Verified, Self::Damaged, Self::Dead];

    /// Whether a copy may go from here to `next`.
    pub fn may_become(self, next: Self) -> bool {
        use PackCopyStage::{Damaged, Dead, Spooled, Verified, Wanted, Written};
        self == next
            || next == Dead
            || matches!(
                (self, next),
                (Wanted | Written, Spooled)
                    | (Spooled, Written | Wanted)
                    | (Written | Damaged, Verified)
                    | (Written | Verified, Damaged)
            )
    }
}

impl PackCopyState {
    /// The stage of this state.
    pub fn stage(self) -> PackCopyStage {
        match self {
            Self::Wanted => PackCopyStage::Wanted,
            Self::Spooled => PackCopyStage::Spooled,
            Self::Written { .. } => PackCopyStage::Written,
            Self::Verified { .. } => PackCopyStage::Verified,
            Self::Damaged { .. } => PackCopyStage::Damaged,
            Self::Dead { .. } => PackCopyStage::Dead,
        }
    }

    /// Where the copy lies on its volume: start block and number of blocks.
    pub fn place(self) -> Option<(u64, u64)> {
        match self {
            Self::Written { start_block, blocks }
            | Self::Verified { start_block, blocks }
            | Self::Damaged { start_block, blocks } => Some((start_block, blocks)),
            Self::Wanted | Self::Spooled | Self::Dead { .. } => None,
        }
    }
}

impl PackCopy {
    /// A copy yet to be made.
    pub fn new(pack: PackId, number: u8, pool: PoolName, state: PackCopyState) -> Self {
        Self { pack, number, revision: 0, pool, volume: None, state }
    }

    /// Moves the copy to `state`; panics when the table does not allow the step.
    pub fn advance(&mut self, state: PackCopyState) {
        let (from, to) = (self.state.stage(), state.stage());
        assert!(
            from.may_become(to),
            "copy {} of pack {} may not go from {from:?} to {to:?}",
            self.number,
            self.pack
        );
        self.state = state;
    }
}
