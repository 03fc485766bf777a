//! A large object between tape and store, stretch by stretch: few of them are on the spool at a time, so that the spool
//! may be smaller than the object.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use model::store::{ObjectStore, StoreError};
use model::{ArchiveId, ByteStream, CopyPart, CopyUpload, Stretches};
use tokio::sync::OnceCell;

use crate::error::{Error, chain};
use crate::spool::Reservation;

/// Stretches of one object that may be on the spool at a time: one comes from tape while the one before goes to the
/// store.
pub(crate) const SLOTS: u64 = 2;
/// How often a store is asked to make a copy of its stretches while its answers tell nothing.
const TRIES_MAX: u32 = 3;

/// One object. What is known here is lost with the process, and the stretches are read again.
pub(crate) struct Stretched {
    archive: ArchiveId,
    cut: Stretches,
    /// Begun with the first stretch.
    upload: OnceCell<CopyUpload>,
    /// What the store took, by stretch.
    stored: Mutex<BTreeMap<u32, Vec<CopyPart>>>,
    slots: Mutex<Slots>,
    came_free: Condvar,
    /// Room for the slots, held for as long as one of them may be in use.
    _room: Reservation,
}

struct Slots {
    free: u64,
    /// Numbers the files: the same stretch may be read again while it is still on its way to the store.
    next: u64,
}

/// A stretch on the spool; its file goes when this is dropped.
pub(crate) struct Slot {
    object: Arc<Stretched>,
    path: PathBuf,
}

// === impl Stretched ===

impl Stretched {
    /// Nothing of it is there yet.
    pub(crate) fn new(archive: ArchiveId, cut: Stretches, room: Reservation) -> Self {
        Self {
            archive,
            cut,
            upload: OnceCell::new(),
            stored: Mutex::default(),
            slots: Mutex::new(Slots { free: SLOTS, next: 0 }),
            came_free: Condvar::new(),
            _room: room,
        }
    }

    /// Room on the spool that an object takes at most, in bytes.
    pub(crate) fn room(cut: &Stretches) -> u64 {
        cut.object_bytes().min(SLOTS * cut.stretch_bytes())
    }

    /// Room for a stretch, in a file beside `path`. Blocks the thread until the store has taken an earlier one.
    pub(crate) fn slot(self: &Arc<Self>, path: &Path) -> Slot {
        let mut slots = lock(&self.slots);
        while slots.free == 0 {
            slots = self.came_free.wait(slots).unwrap_or_else(PoisonError::into_inner);
        }
        slots.free -= 1;
        slots.next += 1;
        Slot { object: self.clone(), path: path.with_extension(format!("{}.recall", slots.next)) }
    }

    /// Whether the store has a stretch.
    pub(crate) fn has(&self, index: u32) -> bool {
        lock(&self.stored).contains_key(&index)
    }

    /// Whether the store has none.
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.stored).is_empty()
    }

    /// Writes a stretch to the store; true when it has all of them now.
    pub(crate) async fn store(
        &self,
        store: &dyn ObjectStore,
        index: usize,
        bytes: ByteStream,
    ) -> Result<bool, StoreError> {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        let upload = self.upload.get_or_try_init(|| store.begin_copy(self.archive, self.cut)).await?;
        let parts = store.put_stretch(upload, index, bytes).await?;
        let mut stored = lock(&self.stored);
        stored.insert(index, parts);
        Ok(stored.len() == self.cut.count() as usize)
    }

    /// Makes the copy of its stretches, once all are there. An answer that was lost is not worth reading hours of tape
    /// again: it is looked for, and asked again.
    pub(crate) async fn complete(&self, store: &dyn ObjectStore) -> Result<(), StoreError> {
        let nothing = || StoreError::Missing { what: format!("the upload of {}", self.archive) };
        let upload = self.upload.get().ok_or_else(nothing)?;
        let parts: Vec<CopyPart> = lock(&self.stored).values().flatten().cloned().collect();
        let mut tries = 0;
        loop {
            tries += 1;
            let error = match store.complete_copy(upload, parts.clone()).await {
                Err(error @ (StoreError::Doubt { .. } | StoreError::Missing { .. })) => error,
                other => return other,
            };
            // Whichever copy of the archive is as long as it has its bytes.
            match store.copy_bytes(self.archive).await {
                Ok(Some(bytes)) if bytes == self.cut.object_bytes() => return Ok(()),
                _ if tries < TRIES_MAX && matches!(error, StoreError::Doubt { .. }) => {}
                _ => return Err(error),
            }
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
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                let error = Error::Spool { operation: "remove a recalled stretch", source };
                tracing::warn!(error = chain(&error), "a file stays on the spool until the next start");
            }
            _ => {}
        }
        lock(&self.object.slots).free += 1;
        self.object.came_free.notify_one();
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
        let first = object.slot(&path);
        let second = object.slot(&path);
        assert_ne!(first.path(), second.path());
        fs::write(first.path(), "bytes").unwrap();
        let third = std::thread::spawn({
            let (object, path) = (object.clone(), path.clone());
            move || object.slot(&path)
        });
        let gone = first.path().to_owned();
        drop(first);
        let third = third.join().unwrap();
        assert!(!gone.exists() && third.path() != second.path());
        drop((second, third));
        assert_eq!(lock(&object.slots).free, SLOTS);
        drop(object);
        assert_eq!(spool.usage().0, 0);
    }
}
