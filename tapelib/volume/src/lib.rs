//! What is on a cartridge: an LTFS volume, the packs in it, sealed or not, and the journal beside them.
//!
//! Words: *volume* (a labelled cartridge), *pack* (one tar file compressed in zstd frames), *extent* (where a file's
//! bytes lie on tape), *index* (the list of all files, rewritten at the end of the data partition after every commit
//! group), *journal* (what became true on this volume: packs committed, archives dead, records changed).
//!
//! Invariant: nothing here knows a SCSI command; a tape is the [`ltfs::BlockTape`] port.
//! Invariant: nothing here knows a bucket, a pool or a policy.
//! Every byte written here is specified in `FORMAT.md`.

pub mod journal;
pub mod ltfs;
pub mod pack;
pub mod seal;
