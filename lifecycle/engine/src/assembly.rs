//! Objects on their way from tape to the store: on the spool as a whole, a file per object that is filled segment by
//! segment; or, when large, a few stretches at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::ArchiveId;
use model::store::ObjectStore;

use crate::error::Error;
use crate::schedule::Piece;
use crate::spool::{Reservation, Spool};
use crate::stretched::{Slot, Stretched};

/// Objects being assembled. What is in memory here is lost with the process, and the segments are read again.
pub struct Assemblies {
    spool: Arc<Spool>,
    open: Mutex<BTreeMap<ArchiveId, Assembly>>,
}

enum Assembly {
    /// In one file.
    Whole {
        /// Segments that are there.
        done: BTreeSet<usize>,
        /// Held for as long as the file may exist.
        _room: Reservation,
    },
    Stretched(Arc<Stretched>),
}

/// Where a segment is written.
pub(crate) struct Place {
    /// Positioned for it.
    pub(crate) file: File,
    /// For a stretch: what keeps its file.
    pub(crate) slot: Option<Slot>,
}

// === impl Assembly ===

impl Assembly {
    fn has(&self, index: usize) -> bool {
        match self {
            Self::Whole { done, .. } => done.contains(&index),
            Self::Stretched(object) => u32::try_from(index).is_ok_and(|index| object.has(index)),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Whole { done, .. } => done.is_empty(),
            Self::Stretched(object) => object.is_empty(),
        }
    }
}

// === impl Assemblies ===

impl Assemblies {
    /// None yet, on this spool.
    pub fn new(spool: Arc<Spool>) -> Self {
        Self { spool, open: Mutex::default() }
    }

    /// Makes room for the object of a piece; nothing to do when it is being assembled already. One that takes more than
    /// the whole quota is let in alone, charged with what is left: it would otherwise wait for ever beside the
    /// migration.
    pub(crate) fn begin(&self, piece: &Piece) -> Result<(), Error> {
        let mut open = self.lock();
        if open.contains_key(&piece.archive) {
            return Ok(());
        }
        let bytes = piece.stretches.as_ref().map_or(piece.object_bytes, Stretched::room);
        let (reserved, bytes_max) = self.spool.usage();
        let alone = open.is_empty() && bytes > bytes_max;
        let room = self.spool.reserve(if alone { bytes_max.saturating_sub(reserved) } else { bytes })?;
        let assembly = match piece.stretches {
            Some(cut) => Assembly::Stretched(Arc::new(Stretched::new(piece.archive, cut, room))),
            None => Assembly::Whole { done: BTreeSet::new(), _room: room },
        };
        open.insert(piece.archive, assembly);
        Ok(())
    }

    /// Gives up what was begun for objects nobody waits for any more, or begun without a segment to show for it; but for
    /// those being `read`.
    pub(crate) async fn retain(
        &self,
        store: &dyn ObjectStore,
        read: impl Fn(ArchiveId) -> bool,
        wanted: impl Fn(ArchiveId) -> bool,
    ) -> Result<(), Error> {
        let given_up: Vec<ArchiveId> = {
            let open = self.lock();
            let idle =
                open.iter().filter(|(id, assembly)| !read(**id) && (assembly.is_empty() || !wanted(**id)));
            idle.map(|(id, _)| *id).collect()
        };
        for archive in given_up {
            self.end(store, archive).await?;
        }
        Ok(())
    }

    /// Whether a segment is there already.
    pub(crate) fn has(&self, archive: ArchiveId, index: usize) -> bool {
        self.lock().get(&archive).is_some_and(|assembly| assembly.has(index))
    }

    /// Where a piece goes. Blocks the thread until the store has taken earlier stretches of the object.
    pub(crate) fn place(&self, piece: &Piece) -> io::Result<Place> {
        match self.stretched(piece.archive) {
            Some(object) => {
                let slot = object.slot(&self.path(piece.archive));
                Ok(Place { file: File::create_new(slot.path())?, slot: Some(slot) })
            }
            None => {
                let path = self.path(piece.archive);
                let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
                file.seek(SeekFrom::Start(piece.position))?;
                Ok(Place { file, slot: None })
            }
        }
    }

    /// Notes a segment of an object that is assembled as a whole; true when it was the last of `count`.
    pub(crate) fn complete(&self, archive: ArchiveId, index: usize, count: usize) -> bool {
        match self.lock().get_mut(&archive) {
            Some(Assembly::Whole { done, .. }) => {
                done.insert(index);
                done.len() == count
            }
            _ => false,
        }
    }

    /// Whether these stretches are the ones that are waited for, and were not given up meanwhile.
    pub(crate) fn is_current(&self, archive: ArchiveId, object: &Arc<Stretched>) -> bool {
        self.stretched(archive).is_some_and(|current| Arc::ptr_eq(&current, object))
    }

    /// Forgets an object, and removes what is there of it.
    pub(crate) async fn end(&self, store: &dyn ObjectStore, archive: ArchiveId) -> Result<(), Error> {
        if let Some(object) = self.stretched(archive) {
            object.abandon(store).await;
        }
        self.forget(archive)
    }

    /// Makes room for others: what is of an object on the spool goes, what is on the store stays.
    pub(crate) fn give_way(&self, archive: ArchiveId) -> Result<(), Error> {
        if self.stretched(archive).is_some() { Ok(()) } else { self.forget(archive) }
    }

    /// Forgets an object whose copy is there, or of which nothing is on the store.
    pub(crate) fn forget(&self, archive: ArchiveId) -> Result<(), Error> {
        let removed = self.remove(archive);
        self.lock().remove(&archive);
        removed
    }

    fn stretched(&self, archive: ArchiveId) -> Option<Arc<Stretched>> {
        match self.lock().get(&archive) {
            Some(Assembly::Stretched(object)) => Some(object.clone()),
            _ => None,
        }
    }

    fn remove(&self, archive: ArchiveId) -> Result<(), Error> {
        match fs::remove_file(self.path(archive)) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(Error::Spool { operation: "remove a recalled object", source })
            }
            _ => Ok(()),
        }
    }

    /// Where the object's file is, when it is assembled as a whole.
    pub(crate) fn path(&self, archive: ArchiveId) -> PathBuf {
        self.spool.recall_path(archive)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ArchiveId, Assembly>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_object_larger_than_the_quota_is_assembled_alone() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), 100, &[]).unwrap();
        let _packs = spool.reserve(30).unwrap();
        let assemblies = Assemblies::new(spool.clone());
        let [large, small, other] =
            [(1, 1_000), (2, 20), (3, 1)].map(|(number, bytes)| Piece::of(number, bytes));
        assemblies.begin(&small).unwrap();
        assert!(matches!(assemblies.begin(&large), Err(Error::SpoolFull { .. })), "not beside another");
        assert!(assemblies.complete(small.archive, 0, 1));
        assemblies.forget(small.archive).unwrap();
        assemblies.begin(&large).unwrap();
        assert!(matches!(assemblies.begin(&other), Err(Error::SpoolFull { .. })));
        assemblies.forget(large.archive).unwrap();
        assert_eq!(spool.usage().0, 30);
    }
}
