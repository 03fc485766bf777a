//! An object version taken over, and the states it goes through.
//!
//! ```text
//!   Declared ──> Due ──> Packed ──> Taped ──> Flipping ──> Archived ──> Dead
//!                 ^ ^      │ │        │ │      ^    │
//!                 │ └──────┘ │        │ │      └────┘ another attempt
//!                 │  spool   │        │ │
//!               Failed <─────┴────────┘ └──────────────┬─> Withdrawn
//!                  (set aside, visible, retried)       └── also from Declared, Due, Packed, Failed, Flipping
//! ```
//!
//! Invariant: before `Flipping` the hot bytes are whole; from `Flipping` on every copy on tape is checked.
//! Invariant: `Flipping` is left on evidence only: our id seen on the store, or another identity seen after the
//! last attempt's deadline. Errors and silence are doubt.

use serde::{Deserialize, Serialize};

use crate::store::{ObjectHead, ObjectRef};
use crate::{ArchiveId, BucketName, ETag, ObjectKey, PackId, PoolName, TapeClass, Timestamp, VersionId};

/// What tells one object version from every other that ever stood under its key. An ETag alone does not: a tag
/// write, a copy onto itself or a PUT of the same bytes keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// ETag.
    pub etag: ETag,
    /// Last-Modified in whole seconds: more is not to be had from every store.
    pub last_modified_seconds: i64,
    /// Version id, where the store has one.
    pub version: Option<VersionId>,
    /// BLAKE3-256 of headers, tags and ACL.
    pub attributes_digest: [u8; 32],
}

impl Identity {
    /// The identity of what `head` describes.
    pub fn of(head: &ObjectHead) -> Self {
        let marker = head.marker.as_ref().map(|marker| marker.archive);
        Self {
            etag: head.etag.clone(),
            last_modified_seconds: head.last_modified.seconds(),
            version: head.version.clone(),
            attributes_digest: Self::digest(&head.headers, marker),
        }
    }

    /// The digest of headers, tags and ACL (sorted, as an inspection returns them), and of the archive that a reserved
    /// header among them names.
    pub fn digest(headers: &[(String, String)], marker: Option<ArchiveId>) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        for (name, value) in headers {
            for text in [name, value] {
                hasher.update(&(text.len() as u64).to_le_bytes());
                hasher.update(text.as_bytes());
            }
        }
        if let Some(archive) = marker {
            hasher.update(&archive.as_u128().to_le_bytes());
        }
        *hasher.finalize().as_bytes()
    }
}

/// Where a segment of an object lies in a pack. An object's extents follow one another without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// The pack.
    pub pack: PackId,
    /// Where the segment's bytes begin in the pack's plain (uncompressed, unsealed) stream, in bytes.
    pub offset: u64,
    /// Length of the segment, in bytes.
    pub length: u64,
    /// BLAKE3-256 of the segment's bytes.
    pub digest: [u8; 32],
}

/// What the store was last seen to have under the key: the hot object before the flip, the stub (or the small object
/// kept whole) after it. A listing entry is this archive when its ETag and Last-Modified equal these. A head may tell
/// another date than a listing does: in a bucket with versions Ceph RGW dates an object anew for its head alone when
/// its tags or its ACL are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// ETag of what stands under the key now.
    pub etag: ETag,
    /// Its Last-Modified as listings tell it, in whole seconds.
    pub last_modified_seconds: i64,
    /// Its version id, where the store has one.
    pub version: Option<VersionId>,
}

/// Where an archive is on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArchiveState {
    /// A client is writing straight into a tape class; the object may or may not be there yet.
    Declared,
    /// To be read and packed.
    Due,
    /// In a pack (its extents say which); the pack is on the spool or on its way to tape.
    Packed,
    /// Every copy is at the pool's bar.
    Taped,
    /// The stub is being written.
    Flipping {
        /// Counts from 1.
        attempt: u32,
        /// After this moment no message of the attempt can still change the store.
        deadline: Timestamp,
    },
    /// The bytes are on tape only.
    Archived,
    /// The object was overwritten or deleted after it had been archived: its bytes on tape are garbage.
    Dead,
    /// The object changed or went away before it was archived: what was written for it is garbage.
    Withdrawn,
    /// Cannot go on; set aside until `retry_at`, then due again.
    Failed {
        /// What happened and what helps, for people.
        reason: String,
        /// When it becomes due again.
        retry_at: Timestamp,
    },
}

/// An [`ArchiveState`] without its fields: what queues and indexes go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
#[allow(missing_docs)] // see ArchiveState
pub enum ArchiveStage {
    Declared = 0,
    Due = 1,
    Packed = 2,
    Taped = 3,
    Flipping = 4,
    Archived = 5,
    Dead = 6,
    Withdrawn = 7,
    Failed = 8,
}

impl ArchiveStage {
    /// Every stage, in the order of the way.
    pub const ALL: [Self; 9] = [
        Self::Declared,
        Self::Due,
        Self::Packed,
        Self::Taped,
        Self::Flipping,
        Self::Archived,
        Self::Dead,
        Self::Withdrawn,
        Self::Failed,
    ];

    /// Whether an archive may go from here to `next` (a row rewritten within its stage counts as a step too).
    pub fn may_become(self, next: Self) -> bool {
        use ArchiveStage::{Archived, Dead, Declared, Due, Failed, Flipping, Packed, Taped, Withdrawn};
        self == next
            || matches!(
                (self, next),
                (Declared, Due | Withdrawn | Failed)
                    | (Due, Packed | Withdrawn | Failed)
                    | (Packed, Taped | Due | Withdrawn | Failed)
                    | (Taped, Flipping | Due | Withdrawn | Failed)
                    | (Flipping, Archived | Withdrawn)
                    | (Archived, Dead)
                    | (Failed, Due | Withdrawn)
            )
    }

    /// Whether the archive still speaks for its key. The others are history.
    pub fn is_live(self) -> bool {
        !matches!(self, Self::Dead | Self::Withdrawn)
    }
}

impl ArchiveState {
    /// The stage of this state.
    pub fn stage(&self) -> ArchiveStage {
        match self {
            Self::Declared => ArchiveStage::Declared,
            Self::Due => ArchiveStage::Due,
            Self::Packed => ArchiveStage::Packed,
            Self::Taped => ArchiveStage::Taped,
            Self::Flipping { .. } => ArchiveStage::Flipping,
            Self::Archived => ArchiveStage::Archived,
            Self::Dead => ArchiveStage::Dead,
            Self::Withdrawn => ArchiveStage::Withdrawn,
            Self::Failed { .. } => ArchiveStage::Failed,
        }
    }
}

/// One row of the book of record: an object version taken over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    /// Its id, for ever.
    pub id: ArchiveId,
    /// Counts the commits of this row; the catalog refuses a write that is not based on the latest. 0 = new.
    pub revision: u64,
    /// Bucket of the object.
    pub bucket: BucketName,
    /// Key of the object.
    pub key: ObjectKey,
    /// The class clients see.
    pub class: TapeClass,
    /// The pool its first copy goes to.
    pub pool: PoolName,
    /// A client wrote it straight into the class: archived for every client from the first moment, whatever the
    /// state says.
    pub direct: bool,
    /// The multipart upload that will make it, while it is `Declared` by one.
    pub upload: Option<String>,
    /// Size in bytes as clients see it; 0 while `Declared`.
    pub size: u64,
    /// Last-Modified as clients see it; unknown while `Declared`.
    pub last_modified: Option<Timestamp>,
    /// Identity of the hot object as it was read into its pack; unknown until `Packed`.
    pub identity: Option<Identity>,
    /// Sizes of the parts of a multipart upload, in order; empty for an object made by one PUT.
    pub part_bytes: Vec<u64>,
    /// Checksums as the store returned them (`x-amz-checksum-*` and their type): what a HEAD of the archived
    /// object answers, since the stub's own would be wrong.
    pub checksums: Vec<(String, String)>,
    /// User metadata the stub has no room for, as the store returned it ([`crate::marker::displaced`]): a HEAD of the
    /// archived object answers it from here. Empty where the store keeps it.
    pub displaced_metadata: Vec<(String, String)>,
    /// Where it is on its way.
    pub state: ArchiveState,
    /// When it entered its stage.
    pub since: Timestamp,
    /// What stands under its key on the store; unknown while `Declared`.
    pub standing: Option<Standing>,
    /// Where its bytes lie, from `Packed` on.
    pub extents: Vec<Extent>,
    /// Its death (or withdrawal) stands in a journal on tape, so that a rebuilt catalog does not bring it back.
    pub death_journaled: bool,
    /// Since when its tags, its ACL or what stands above it are not what its record on tape says; none when they are,
    /// or when a journal tells it.
    pub record_changed: Option<Timestamp>,
    /// Its record as it is now stands in a journal on tape alone: its pack has an older one.
    pub record_journaled: bool,
    /// A client mutation of the key was let through: look at the store before relying on the row.
    pub touched: bool,
    /// When the row was made.
    pub created: Timestamp,
}

impl Archive {
    /// A row of which no more is known than this, of an object taken over by a rule; never committed yet. Which version
    /// it is stands in its identity, not here.
    pub fn new(
        id: ArchiveId,
        object: ObjectRef,
        class: TapeClass,
        pool: PoolName,
        state: ArchiveState,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            revision: 0,
            bucket: object.bucket,
            key: object.key,
            class,
            pool,
            direct: false,
            upload: None,
            size: 0,
            last_modified: None,
            identity: None,
            part_bytes: Vec::new(),
            checksums: Vec::new(),
            displaced_metadata: Vec::new(),
            state,
            since: now,
            standing: None,
            extents: Vec::new(),
            death_journaled: false,
            record_changed: None,
            record_journaled: false,
            touched: false,
            created: now,
        }
    }

    /// Moves the archive to `state`.
    ///
    /// Panics when the table does not allow the step: a caller that tries has lost track of the object.
    pub fn advance(&mut self, state: ArchiveState, now: Timestamp) {
        let (from, to) = (self.state.stage(), state.stage());
        assert!(from.may_become(to), "archive {} may not go from {from:?} to {to:?}", self.id);
        if from != to {
            self.since = now;
        }
        self.state = state;
    }

    /// Since when there is something of it that tape does not know and a journal is to tell: its end, or another
    /// record. Of what was never packed tape knows nothing.
    pub fn untold(&self) -> Option<Timestamp> {
        if self.extents.is_empty() {
            return None;
        }
        match self.state.stage() {
            ArchiveStage::Dead | ArchiveStage::Withdrawn => (!self.death_journaled).then_some(self.since),
            _ => self.record_changed,
        }
    }

    /// Whether clients see the object as archived: refused on GET until restored.
    pub fn is_archived_for_clients(&self) -> bool {
        self.direct || self.state.stage() == ArchiveStage::Archived
    }

    /// Whether the object is too small for a stub and keeps its bytes on the store.
    pub fn keeps_bytes(&self) -> bool {
        self.size <= crate::limits::STUB_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flipping_is_left_on_evidence_only() {
        for next in ArchiveStage::ALL {
            let legal =
                matches!(next, ArchiveStage::Flipping | ArchiveStage::Archived | ArchiveStage::Withdrawn);
            assert_eq!(ArchiveStage::Flipping.may_become(next), legal, "{next:?}");
        }
    }

    #[test]
    fn history_never_lives_again() {
        for past in [ArchiveStage::Dead, ArchiveStage::Withdrawn] {
            for next in ArchiveStage::ALL {
                assert_eq!(past.may_become(next), past == next);
            }
        }
    }

    #[test]
    fn bytes_are_freed_only_through_flipping() {
        for from in ArchiveStage::ALL {
            let legal = matches!(from, ArchiveStage::Flipping | ArchiveStage::Archived);
            assert_eq!(from.may_become(ArchiveStage::Archived), legal, "{from:?}");
            let legal = matches!(from, ArchiveStage::Flipping | ArchiveStage::Taped);
            assert_eq!(from.may_become(ArchiveStage::Flipping), legal, "{from:?}");
        }
    }
}
