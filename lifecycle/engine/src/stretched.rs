//! A large object between tape and store, stretch by stretch: few of them are on the spool at a time, so that the spool
//! may be smaller than the object.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use model::store::{ObjectStore, StoreError};
use model::{ArchiveId, ByteStream, CopyPart, CopyUpload, Stretches};
use tokio::sync::OnceCell;

use crate::error::{Error, chain};
use crate::spool::Reservation;

/// Stretches of one object that may be on the spool at a time: one comes from tape while the one before goes to the
/// store.
pub(crate) const SLOTS: usize = 2;

/// Numbers the files of stretches: one is never another's, though both are of the same archive.
static FILES: AtomicU64 = AtomicU64::new(0);

/// One object. What is known here is lost with the process, and the stretches are read again.
pub(crate) struct Stretched {
    archive: ArchiveId,
    cut: Stretches,
    /// Begun with the first stretch.
    upload: OnceCell<CopyUpload>,
    progress: Mutex<Progress>,
    came_free: Condvar,
    /// Room for the slots; none while the object makes way for others.
    room: Mutex<Option<Reservation>>,
}

#[derive(Default)]
struct Progress {
    /// What the store took, by stretch.
    stored: BTreeMap<u32, Vec<CopyPart>>,
    /// Stretches between tape and store: as many slots are in use.
    under_way: BTreeSet<u32>,
}

/// A stretch on the spool; its file goes when this is dropped.
pub(crate) struct Slot {
    object: Arc<Stretched>,
    index: u32,
    path: PathBuf,
}

// === impl Progress ===

impl Progress {
    fn has(&self, index: u32) -> bool {
        self.stored.contains_key(&index) || self.under_way.contains(&index)
    }
}

// === impl Stretched ===

impl Stretched {
    /// Nothing of it is there yet.
    pub(crate) fn new(archive: ArchiveId, cut: Stretches, room: Reservation) -> Self {
        Self {
            archive,
            cut,
            upload: OnceCell::new(),
            progress: Mutex::default(),
            came_free: Condvar::new(),
            room: Mutex::new(Some(room)),
        }
    }

    /// Whose copy it is.
    pub(crate) fn archive(&self) -> ArchiveId {
        self.archive
    }

    /// Room on the spool that an object takes at most, in bytes.
    pub(crate) fn room(cut: &Stretches) -> u64 {
        cut.object_bytes().min(SLOTS as u64 * cut.stretch_bytes())
    }

    /// Sees to it that it has its room again.
    pub(crate) fn ensure_room(
        &self,
        reserve: impl FnOnce() -> Result<Reservation, Error>,
    ) -> Result<(), Error> {
        let mut room = lock(&self.room);
        if room.is_none() {
            *room = Some(reserve()?);
        }
        Ok(())
    }

    /// Gives its room to others. What the store has of it stays.
    pub(crate) fn give_way(&self) {
        lock(&self.room).take();
    }

    /// A slot for a stretch and its file, beside `path`; none when the stretch is there or under way. Blocks the thread
    /// until a slot is free, which the store sees to.
    pub(crate) fn slot(self: &Arc<Self>, index: u32, path: &Path) -> io::Result<Option<(Slot, File)>> {
        let mut progress = lock(&self.progress);
        while !progress.has(index) && progress.under_way.len() >= SLOTS {
            progress = self.came_free.wait(progress).unwrap_or_else(PoisonError::into_inner);
        }
        if progress.has(index) {
            return Ok(None);
        }
        progress.under_way.insert(index);
        drop(progress);
        let number = FILES.fetch_add(1, Ordering::Relaxed);
        let path = path.with_extension(format!("{number}.recall"));
        let file = File::create_new(&path);
        // From here on the slot comes free by itself.
        let slot = Slot { object: self.clone(), index, path };
        Ok(Some((slot, file?)))
    }

    /// Whether a stretch is with the store, or on its way there.
    pub(crate) fn has(&self, index: u32) -> bool {
        lock(&self.progress).has(index)
    }

    /// Whether nothing of it is there, nor on its way.
    pub(crate) fn is_empty(&self) -> bool {
        let progress = lock(&self.progress);
        progress.stored.is_empty() && progress.under_way.is_empty()
    }

    /// Whether the store has all of it.
    pub(crate) fn is_whole(&self) -> bool {
        lock(&self.progress).stored.len() == self.cut.count() as usize
    }

    /// Writes a stretch to the store; true when it has all of them now.
    pub(crate) async fn store(
        &self,
        store: &dyn ObjectStore,
        slot: &Slot,
        bytes: ByteStream,
    ) -> Result<bool, StoreError> {
        let upload = self.upload.get_or_try_init(|| store.begin_copy(self.archive, self.cut)).await?;
        let parts = store.put_stretch(upload, slot.index, bytes).await?;
        let mut progress = lock(&self.progress);
        progress.stored.insert(slot.index, parts);
        Ok(progress.stored.len() == self.cut.count() as usize)
    }

    /// Makes the copy of its stretches, once all are there. Where the answer tells nothing the copy is looked for.
    pub(crate) async fn complete(&self, store: &dyn ObjectStore) -> Result<(), StoreError> {
        let nothing = || StoreError::Missing { what: format!("the upload of {}", self.archive) };
        let upload = self.upload.get().ok_or_else(nothing)?;
        let parts: Vec<CopyPart> = lock(&self.progress).stored.values().flatten().cloned().collect();
        let error = match store.complete_copy(upload, parts).await {
            Err(error @ (StoreError::Doubt { .. } | StoreError::Missing { .. })) => error,
            other => return other,
        };
        match store.copy_bytes(self.archive).await {
            // Whichever copy of the archive is as long as it has its bytes; it may be an earlier one.
            Ok(Some(bytes)) if bytes == self.cut.object_bytes() => {
                self.abandon(store).await;
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// Gives up what the store has. What fails is given up at the next start.
    pub(crate) async fn abandon(&self, store: &dyn ObjectStore) {
        if let Some(upload) = self.upload.get()
            && let Err(error) = store.abandon_copy(upload).await
        {
            tracing::warn!(archive = %self.archive, error = chain(&error), "an unfinished copy stays until the next start");
        }
    }
}

// === impl Slot ===

impl Slot {
    /// The object it is a stretch of.
    pub(crate) fn object(&self) -> &Arc<Stretched> {
        &self.object
    }

    /// Its file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        match fs::remove_file(&self.path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                let error = Error::Spool { operation: "remove a recalled stretch", source };
                tracing::warn!(error = chain(&error), "a file stays on the spool until the next start");
            }
            _ => {}
        }
        lock(&self.object.progress).under_way.remove(&self.index);
        self.object.came_free.notify_all();
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::spool::Spool;

    #[test]
    fn a_slot_is_waited_for_and_its_file_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), 100 << 20, &[]).unwrap();
        let cut = Stretches::new(50 << 20, 10 << 20).unwrap();
        assert_eq!((Stretched::room(&cut), Stretched::room(&Stretches::new(9, 9).unwrap())), (20 << 20, 9));
        let archive = ArchiveId::new(1, 1);
        let room = spool.reserve(Stretched::room(&cut)).unwrap();
        let object = Arc::new(Stretched::new(archive, cut, room));
        let path = spool.recall_path(archive);
        let slot = |index| object.slot(index, &path).unwrap().map(|(slot, _)| slot);
        let (first, second) = (slot(0).unwrap(), slot(1).unwrap());
        assert_ne!(first.path(), second.path());
        assert!(object.has(0) && slot(0).is_none(), "it is under way");
        let third = std::thread::spawn({
            let (object, path) = (object.clone(), path.clone());
            move || object.slot(2, &path).unwrap().unwrap().0
        });
        let gone = first.path().to_owned();
        drop(first);
        let third = third.join().unwrap();
        assert!(!gone.exists() && !object.has(0) && third.path() != second.path());
        drop((second, third));
        assert!(object.is_empty());
        object.give_way();
        assert_eq!(spool.usage().0, 0);
        object.ensure_room(|| spool.reserve(7)).unwrap();
        object.ensure_room(|| spool.reserve(9)).unwrap();
        assert_eq!(spool.usage().0, 7);
    }
}
