//! What a caller asks of a mount and what it is told: values only.

use std::ops::Range;
use std::path::PathBuf;

use volume::ltfs::Tail;

use crate::{Appending, Barcode, CatalogId, Error, Mounted, Reading, VolumeUuid};

/// What the catalog believes about a volume. Checked at every mount, before the caller's work runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// LTFS volume UUID.
    pub uuid: VolumeUuid,
    /// Serial number of the medium in cartridge memory (as [`LabelledVolume::mam_serial`] told it).
    pub mam_serial: String,
    /// The catalog that owns it.
    pub catalog_id: CatalogId,
    /// Index generation of the last commit.
    pub generation: u64,
    /// End of data of the last commit: the first block number after its closing filemark, in the data partition.
    pub eod_block: u64,
    /// How the last mount for append ended.
    pub end: End,
}

/// How the last mount for append ended, as the catalog knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A [`MountReport`] came back: generation and end of data must be equal.
    Clean,
    /// No report came back (the process died): generation and end of data may be further on, never further back.
    /// What is found is recovered: see [`Recovered`].
    Unclean,
}

/// A request for a cartridge.
#[derive(Clone, Debug)]
pub struct Mount {
    /// Where it is.
    pub barcode: Barcode,
    /// What it must be.
    pub expect: Expected,
}

/// What the caller's work wants done with the cartridge afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkEnd {
    /// Keep it mounted while nothing else needs the drive.
    Keep,
    /// Put it back now (the volume is full, or its work is over).
    Unload,
}

/// Work that appends. Runs on the drive's thread; may block.
pub type AppendWork = Box<dyn FnOnce(&mut Mounted<Appending>) -> WorkEnd + Send>;
/// Work that reads. Runs on the drive's thread; may block.
pub type ReadWork = Box<dyn FnOnce(&mut Mounted<Reading>) -> WorkEnd + Send>;
/// Work that looks at whatever volume a cartridge carries. Runs on the drive's thread; may block.
pub type SurveyWork = Box<dyn FnOnce(&mut Mounted<Reading>, &Surveyed) -> WorkEnd + Send>;

/// Called once when a survey is over, on the drive's thread; must not block for long.
pub type SurveyDone = Box<dyn FnOnce(Result<(), Error>) + Send>;

/// What a cartridge says of itself when nothing is expected of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surveyed {
    /// Serial number of the medium in cartridge memory.
    pub medium_serial: String,
    /// What stands at the end of the data partition; none when the end cannot be read, and the newest index is the one
    /// found otherwise.
    pub tail: Option<Tail>,
    /// Capacity of the data partition.
    pub capacity_bytes: u64,
    /// Bytes that can still be appended, reserve excluded.
    pub remaining_bytes: u64,
}

/// Called once when a job is over, on the drive's thread; must not block for long.
pub type Done = Box<dyn FnOnce(Result<MountReport, Error>) + Send>;

/// How a job ended: what the catalog should remember of the volume. After a read only `drive` and `generation` are
/// news; the end of data is the expected one and nothing is said about what remains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountReport {
    /// Serial of the drive used.
    pub drive: String,
    /// Index generation of the last commit.
    pub generation: u64,
    /// End of data of the last commit.
    pub eod_block: u64,
    /// Bytes that can still be appended, reserve excluded.
    pub remaining_bytes: u64,
    /// Packs appended by the work but never committed: they are dead space on tape now.
    pub abandoned: Vec<String>,
}

/// A finished pack on the spool.
#[derive(Clone, Debug)]
pub struct PackFile<'a> {
    /// Its id: becomes the file name `/packs/<id>.tar.zst`, or `/packs/<id>.sealed`; letters, digits and `-`, at most 64.
    pub id: String,
    /// The file.
    pub path: PathBuf,
    /// Its exact length.
    pub bytes: u64,
    /// BLAKE3-256 of its bytes: checked while they go to tape.
    pub digest: [u8; 32],
    /// Whether it is sealed.
    pub sealed: bool,
    /// Its manifest, written beside it as `/packs/<id>.manifest`.
    pub manifest: &'a [u8],
    /// Which copy it is, for whoever makes a catalog of the volume alone.
    pub copy: CopyLabel,
}

/// Which copy of a pack a file is; stands beside it on the volume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyLabel {
    /// The pool it belongs to.
    pub pool: String,
    /// Its number among the copies.
    pub number: u8,
}

/// Where an appended pack lies. Durable only after the next [`Mounted::commit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackWritten {
    /// First block in the data partition.
    pub start_block: u64,
    /// Blocks of 524 288 bytes; the last one may be shorter.
    pub blocks: u64,
}

/// What a commit made durable: everything appended before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Generation of the index written.
    pub generation: u64,
    /// End of data after its closing filemark.
    pub eod_block: u64,
    /// Bytes that can still be appended, reserve excluded.
    pub remaining_bytes: u64,
}

/// A pack listed by the volume's index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackOnTape {
    /// Its id.
    pub id: String,
    /// First block in the data partition.
    pub start_block: u64,
    /// Its length.
    pub bytes: u64,
    /// BLAKE3-256 of its bytes, when the index tells it.
    pub digest: Option<[u8; 32]>,
    /// Which copy it is, when the index tells it.
    pub copy: Option<CopyLabel>,
}

/// What was found after an unclean end, and made good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Generation of the last committed index found.
    pub generation: u64,
    /// Blocks of the data partition after that index that no index lists: dead space.
    pub dead_blocks: Range<u64>,
}

/// Why an append failed.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The volume is full: nothing of this pack is listed; commit what came before, write the pack elsewhere.
    #[error("the volume is full")]
    Full,
    /// The spool file is not what it should be.
    #[error("read the spooled pack {id}")]
    Spool {
        /// The pack.
        id: String,
        /// What is wrong with it.
        #[source]
        source: std::io::Error,
    },
    /// A file of that name stands on the volume already, or the name is no name. Nothing was written.
    #[error("add a file to the volume")]
    Refused(#[source] volume::ltfs::Error),
    /// The tape failed: everything since the last commit is lost. Every later append or commit of this mount fails too.
    #[error("write to tape")]
    Tape(#[source] Error),
}

/// What a new volume is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeIdentity {
    /// Its UUID: fresh, random, never used before.
    pub uuid: VolumeUuid,
    /// The catalog that will own it.
    pub catalog_id: CatalogId,
    /// Name of the root directory, shown by LTFS; the barcode will do.
    pub name: String,
}

/// Whether labelling may destroy what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    /// Only a blank cartridge is labelled.
    Never,
    /// A blank one, or this volume.
    Volume(VolumeUuid),
}

/// A cartridge that was just made a volume: the first [`Expected`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelledVolume {
    /// LTFS volume UUID.
    pub uuid: VolumeUuid,
    /// Serial number of the medium in cartridge memory.
    pub mam_serial: String,
    /// Generation of its first index: 1.
    pub generation: u64,
    /// End of data in the data partition.
    pub eod_block: u64,
    /// Capacity of the data partition.
    pub capacity_bytes: u64,
    /// Bytes that can be appended, reserve excluded.
    pub remaining_bytes: u64,
}

/// What a cartridge turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Serial of the drive it was looked at in.
    pub drive: String,
    /// Serial number of the medium in cartridge memory.
    pub mam_serial: String,
    /// What stands on it.
    pub medium: Medium,
}

/// What stands at the beginning of a cartridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// Nothing, or labels whose writing was cut short.
    Blank,
    /// An LTFS volume.
    Volume(VolumeUuid),
    /// Something else.
    Foreign,
}
