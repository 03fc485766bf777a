//! Packs and their copies.
//!
//! ```text
//!   PackCopy:  Spooled ──> Written ──> Verified ──> Dead      (Dead from anywhere; Spooled again when a write failed)
//! ```

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
    /// Unreadable, or its volume is gone, or nothing in it lives.
    Dead,
}

/// One copy of a pack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackCopy {
    /// The pack.
    pub pack: PackId,
    /// Which copy: 0 goes to the archive's pool, 1.. to its sibling pools.
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
}

impl PackCopyStage {
    /// Every stage.
    pub const ALL: [Self; 4] = [Self::Spooled, Self::Written, Self::Verified, Self::Dead];

    /// Whether a copy may go from here to `next`.
    pub fn may_become(self, next: Self) -> bool {
        use PackCopyStage::{Dead, Spooled, Verified, Written};
        self == next
            || matches!(
                (self, next),
                (Spooled, Written | Dead) | (Written, Verified | Spooled | Dead) | (Verified, Dead)
            )
    }
}

impl PackCopyState {
    /// The stage of this state.
    pub fn stage(self) -> PackCopyStage {
        match self {
            Self::Spooled => PackCopyStage::Spooled,
            Self::Written { .. } => PackCopyStage::Written,
            Self::Verified { .. } => PackCopyStage::Verified,
            Self::Dead => PackCopyStage::Dead,
        }
    }

    /// Where the copy lies on its volume: start block and number of blocks.
    pub fn place(self) -> Option<(u64, u64)> {
        match self {
            Self::Written { start_block, blocks } | Self::Verified { start_block, blocks } => {
                Some((start_block, blocks))
            }
            Self::Spooled | Self::Dead => None,
        }
    }
}

impl PackCopy {
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
