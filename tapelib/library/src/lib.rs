//! One tape library as a machine: its inventory, its mounts, the write fence, a thread for every drive.
//!
//! Words: *cartridge* (the machine's word for a volume), *slot*, *drive* and *mail slot* (elements that hold one),
//! *mount* (a cartridge loaded in a drive, opened as a volume), *job* (work queued for a cartridge), *fence* (the
//! comparison that must hold before the first byte is written).
//!
//! Flow of a job: [`Library::append`] or [`Library::read`] queues it under a number -> a drive thread picks it (the
//! drive that already holds the cartridge first, else a free one) -> the changer moves -> load, wait ready -> the
//! volume is opened -> fence -> the caller's work runs on the drive's thread -> `done` is called with the report.
//! The cartridge stays mounted until another job needs the drive, it has been idle, or the library shuts down.
//! [`Library::export`] waits for the jobs queued before it, has the cartridge put back, and moves it to a mail slot.
//!
//! - Nothing is written to a cartridge whose labels, identity, generation or end of data differ from the expectation.
//! - A volume appended to is durable up to the last [`Mounted::commit`] that returned, and never beyond.
//! - Only cartridges that [`Config::ours`] accepts are moved or loaded; identity is the drive's serial, the barcode
//!   only locates.
//! - A drive that stops answering is `Down`; the others go on.
//!
//! Not here: which volume to write to, what is queued for later, retries: the caller schedules.

mod barcode;
mod care;
mod charges;
mod config;
mod error;
mod fence;
mod history;
mod inventory;
mod label;
mod machine;
mod mail;
mod medium;
mod mount;
mod mounted;
mod reserve;
mod robot;
mod state;
mod tape;
mod worker;

pub use barcode::Barcode;
pub use config::{Config, Ours};
pub use error::{Blame, Error, Remedy};
pub use fence::FenceMismatch;
pub use history::{DriveEvent, DriveNews, History};
pub use inventory::{DriveSlot, DriveState, DriveStatus, Inventory, Slot};
pub use machine::{JobNumber, Library, QueueFull, Stuck};
pub use mount::{
    AppendError, AppendWork, Committed, CopyLabel, Done, End, Expected, LabelledVolume, Medium, Mount,
    MountReport, Overwrite, PackFile, PackOnTape, PackWritten, ReadWork, Recovered, Seen, SurveyDone,
    SurveyWork, Surveyed, VolumeIdentity, WorkEnd,
};
pub use mounted::{Appending, Mounted, OnVolume, PackSource, Reading};
pub use scsi::Generation;
pub use tape::DriveTape;
pub use volume::ltfs::{CatalogId, Tail, VolumeUuid};
