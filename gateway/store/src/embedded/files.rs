//! Data files: `data/<2 hex>/<2 hex>/<id>`, with an intent beside them while nothing points to them yet.
//!
//! A file is written under `staging/`, synced, then linked under `data/`; the database commit that makes it visible
//! follows, and only then the name under `staging/` goes. So whatever a crash leaves behind has a name there,
//! and the start looks at what was in flight, not at the whole store.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::fault::Fault;
use super::record::ContentId;

/// Files that follow one another share a directory, so that one sync serves many.
const FILES_PER_DIRECTORY: u64 = 256;
/// Two levels of 256.
const DIRECTORIES: u64 = 65_536;

/// The directories of data files, and the source of content ids.
pub(crate) struct Files {
    data: PathBuf,
    staging: PathBuf,
    epoch: u64,
    next: AtomicU64,
    sync: bool,
    /// Bytes that stay free on the disk, so that the database can always commit.
    reserve_bytes: u64,
    /// Slots whose directories' own names are known to be durable.
    durable: Mutex<BTreeSet<u128>>,
}

/// A file nothing points to yet. Dropping it removes it, unless it was kept or left.
#[derive(Debug)]
pub(crate) struct Staged {
    files: Arc<Files>,
    id: ContentId,
    length: u64,
    linked: bool,
    drops: bool,
}

/// A staged file being written.
#[derive(Debug)]
pub(crate) struct StagedWriter {
    staged: Staged,
    file: File,
}

// === impl Files ===

impl Files {
    /// The files below `root`; `epoch` must never have been used before.
    pub(crate) fn open(root: &Path, epoch: u64, sync: bool, reserve_bytes: u64) -> Result<Self, Fault> {
        let files = Self {
            data: root.join("data"),
            staging: root.join("staging"),
            epoch,
            next: AtomicU64::new(0),
            sync,
            reserve_bytes,
            durable: Mutex::default(),
        };
        for directory in [&files.data, &files.staging] {
            std::fs::create_dir_all(directory).map_err(Fault::file("making a directory"))?;
        }
        files.sync_directory(root)?;
        Ok(files)
    }

    /// An id never given before.
    pub(crate) fn fresh_id(&self) -> ContentId {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        ContentId(u128::from(self.epoch) << 64 | u128::from(count))
    }

    /// Begins a file. Blocks.
    pub(crate) fn stage(self: &Arc<Self>) -> Result<StagedWriter, Fault> {
        self.check_reserve()?;
        let id = self.fresh_id();
        let path = self.staging.join(name(id));
        let file = File::create_new(path).map_err(Fault::file("making a data file"))?;
        let staged = Staged { files: Arc::clone(self), id, length: 0, linked: false, drops: true };
        Ok(StagedWriter { staged, file })
    }

    /// Opens a data file for reading; `None` when it is not there. Blocks.
    pub(crate) fn read(&self, id: ContentId) -> Result<Option<File>, Fault> {
        match File::open(self.path(id)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Fault::File { operation: "opening a data file", source: error }),
        }
    }

    /// The length of a data file; `None` when it is not there. Blocks.
    pub(crate) fn length(&self, id: ContentId) -> Result<Option<u64>, Fault> {
        match std::fs::metadata(self.path(id)) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Fault::File { operation: "looking at a data file", source: error }),
        }
    }

    /// Removes a data file; gone already is gone. Blocks.
    pub(crate) fn remove(&self, id: ContentId) -> Result<(), Fault> {
        remove(&self.path(id))
    }

    /// Makes the names of these files durable, each directory once. Blocks.
    pub(crate) fn sync_names(&self, ids: impl Iterator<Item = ContentId>) -> Result<(), Fault> {
        let mut directories: Vec<PathBuf> = ids.map(|id| self.directory(id)).collect();
        directories.sort_unstable();
        directories.dedup();
        directories.iter().try_for_each(|directory| self.sync_directory(directory))
    }

    /// The ids of what was in flight when the store last stopped. Blocks.
    pub(crate) fn in_flight(&self) -> Result<Vec<ContentId>, Fault> {
        let mut ids = Vec::new();
        let entries =
            std::fs::read_dir(&self.staging).map_err(Fault::file("listing the staging directory"))?;
        for entry in entries {
            let entry = entry.map_err(Fault::file("listing the staging directory"))?;
            match entry.file_name().to_str().and_then(parse_name) {
                Some(id) => ids.push(id),
                None => {
                    tracing::warn!(name = ?entry.file_name(), "a file in the staging directory is not ours")
                }
            }
        }
        Ok(ids)
    }

    /// Removes the intent of a file. Blocks.
    pub(crate) fn remove_intent(&self, id: ContentId) -> Result<(), Fault> {
        remove(&self.staging.join(name(id)))
    }

    /// Fails when the disk is so full that the database might not be able to commit. Blocks.
    pub(crate) fn check_reserve(&self) -> Result<(), Fault> {
        let status = rustix::fs::statvfs(&self.data)
            .map_err(|error| Fault::File { operation: "asking for free space", source: error.into() })?;
        let free = status.f_bavail.saturating_mul(status.f_frsize);
        if free < self.reserve_bytes { Err(Fault::Reserve { bytes_min: self.reserve_bytes }) } else { Ok(()) }
    }

    fn directory(&self, id: ContentId) -> PathBuf {
        let slot = slot(id);
        self.data.join(format!("{:02x}", slot >> 8)).join(format!("{:02x}", slot & 0xff))
    }

    fn path(&self, id: ContentId) -> PathBuf {
        self.directory(id).join(name(id))
    }

    fn link(&self, id: ContentId) -> Result<(), Fault> {
        self.make_directory(id)?;
        std::fs::hard_link(self.staging.join(name(id)), self.path(id))
            .map_err(Fault::file("naming a data file"))
    }

    /// Makes the directory of a file with a durable name, once per start: that it is there does not say that it
    /// stays. Others wait, so that none of them is acknowledged before.
    fn make_directory(&self, id: ContentId) -> Result<(), Fault> {
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        if durable.contains(&slot(id)) {
            return Ok(());
        }
        let directory = self.directory(id);
        std::fs::create_dir_all(&directory).map_err(Fault::file("making a directory"))?;
        if let Some(parent) = directory.parent() {
            self.sync_directory(parent)?;
        }
        self.sync_directory(&self.data)?;
        durable.insert(slot(id));
        Ok(())
    }

    fn sync_directory(&self, directory: &Path) -> Result<(), Fault> {
        if !self.sync {
            return Ok(());
        }
        let synced = File::open(directory).and_then(|directory| directory.sync_all());
        synced.map_err(Fault::file("syncing a directory"))
    }
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files").field("data", &self.data).finish_non_exhaustive()
    }
}

// === impl StagedWriter ===

impl StagedWriter {
    /// Appends. Blocks.
    pub(crate) fn append(&mut self, pieces: &[Bytes]) -> Result<(), Fault> {
        for piece in pieces {
            self.file.write_all(piece).map_err(Fault::file("writing a data file"))?;
            self.staged.length += piece.len() as u64;
        }
        self.staged.files.check_reserve()
    }

    /// Makes the bytes durable and gives them their place. Blocks.
    pub(crate) fn finish(mut self) -> Result<Staged, Fault> {
        if self.staged.files.sync {
            self.file.sync_data().map_err(Fault::file("syncing a data file"))?;
        }
        self.staged.files.link(self.staged.id)?;
        self.staged.linked = true;
        Ok(self.staged)
    }
}

// === impl Staged ===

impl Staged {
    pub(crate) fn id(&self) -> ContentId {
        self.id
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// A commit points to the file: only its intent goes.
    pub(crate) fn keep(mut self) {
        self.drops = false;
        if let Err(fault) = self.files.remove_intent(self.id) {
            tracing::warn!(error = ?fault, "an intent stays until the next start");
        }
    }

    /// Nobody knows whether a record points to the file: the next start finds out.
    pub(crate) fn leave(mut self) {
        self.drops = false;
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.drops {
            return;
        }
        let linked = if self.linked { self.files.remove(self.id) } else { Ok(()) };
        if let Err(fault) = linked.and_then(|()| self.files.remove_intent(self.id)) {
            tracing::warn!(error = ?fault, "a staged file stays until the next start");
        }
    }
}

fn remove(path: &Path) -> Result<(), Fault> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Fault::File { operation: "removing a file", source: error })
        }
        _ => Ok(()),
    }
}

/// The number of the directory of a file.
fn slot(id: ContentId) -> u128 {
    let epoch = (id.0 >> 64) & u128::from(u64::MAX);
    let count = id.0 & u128::from(u64::MAX);
    // A step of its own per epoch: frequent restarts do not fill the first directories.
    (count / u128::from(FILES_PER_DIRECTORY) + epoch * 7_919) % u128::from(DIRECTORIES)
}

fn name(id: ContentId) -> String {
    format!("{:032x}", id.0)
}

fn parse_name(text: &str) -> Option<ContentId> {
    let legal = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if legal { u128::from_str_radix(text, 16).ok().map(ContentId) } else { None }
}
