//! The dictionary of the house: the nouns, the states with their transition tables, and the ports between rooms.
//!
//! Words, fixed here and used with no other meaning:
//! - *hot copy*: an object's bytes in the object store. *stub*: the short object that replaces them.
//! - *archive*: one object version taken over by us, named by an [`ArchiveId`] that is never used again.
//! - *pack*: the unit written to tape. *extent*: where a segment of an object lies in a pack.
//! - *volume*: a cartridge as the book of record knows it (the machine's word is cartridge; the engine converts).
//! - *restore*: what a client asks for. *recall*: tape to store. *restored copy*: what a restore leaves in the
//!   store. *lapse*: the end of a restored copy.
//! - *touched*: a client mutation of the key was let through, so the archive must be looked at again.
//!
//! Invariant: nothing here does input or output, reads a clock or draws a random number.
//! Invariant: a state changes only along its table; any other step panics, naming who, from and to.
//! Invariant: queues and copies are keyed by [`ArchiveId`], never by key name.

pub mod archive;
pub mod body;
pub mod bucket;
pub mod catalog;
pub mod class;
pub mod clock;
pub mod fence;
pub mod holding;
pub mod id;
pub mod limits;
pub mod marker;
pub mod name;
pub mod pack;
pub mod protection;
pub mod remedy;
pub mod restore;
pub mod rule;
pub mod store;
pub mod stretches;
pub mod time;
pub mod volume;

pub use archive::{Archive, ArchiveState, Extent, Identity};
pub use body::{Body, BodyError, ByteStream};
pub use class::{StorageClass, TapeClass};
pub use id::{ArchiveId, JobId, PackId, VolumeId};
pub use marker::{Marker, MarkerKind};
pub use name::{BucketName, ETag, ObjectKey, PoolName, VersionId};
pub use protection::Protection;
pub use remedy::Remedy;
pub use restore::{RestoreJob, RestoreState, Tier};
pub use stretches::{CopyPart, CopyUpload, Stretches};
pub use time::Timestamp;
