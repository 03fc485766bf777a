//! Objects on their way from tape to the store: on the spool as a whole, a file per object that is filled segment by
//! segment; or, when large, a few stretches at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::ArchiveId;

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

    /// Makes room for the object of a piece; nothing to do when it has it already. One that takes more than the whole
    /// quota is let in alone, charged with what is left: it would otherwise wait for ever beside the migration.
    pub(crate) fn begin(&self, piece: &Piece) -> Result<(), Error> {
        let mut open = self.lock();
        let bytes = piece.stretches.as_ref().map_or(piece.object_bytes, Stretched::room);
        let (reserved, bytes_max) = self.spool.usage();
        let alone = open.keys().all(|archive| *archive == piece.archive) && bytes > bytes_max;
        let reserve = || self.spool.reserve(if alone { bytes_max.saturating_sub(reserved) } else { bytes });
        match (open.get(&piece.archive), piece.stretches) {
            (Some(Assembly::Stretched(object)), _) => return object.ensure_room(reserve),
            (Some(Assembly::Whole { .. }), _) => {}
            (None, Some(cut)) => {
                let object = Arc::new(Stretched::new(piece.archive, cut, reserve()?));
                open.insert(piece.archive, Assembly::Stretched(object));
            }
            (None, None) => {
                let whole = Assembly::Whole { done: BTreeSet::new(), _room: reserve()? };
                open.insert(piece.archive, whole);
            }
        }
        Ok(())
    }

    /// Gives up what was begun for objects nobody waits for any more, or begun without a segment to show for it; but for
    /// those being `read`. Gives those whose stretches the caller is to abandon.
    pub(crate) fn retain(
        &self,
        read: impl Fn(ArchiveId) -> bool,
        wanted: impl Fn(ArchiveId) -> bool,
    ) -> Result<Vec<Arc<Stretched>>, Error> {
        let idle = |id: &ArchiveId, assembly: &Assembly| !read(*id) && (assembly.is_empty() || !wanted(*id));
        let mut abandoned = Vec::new();
        for archive in self.filtered(idle) {
            if let Some(object) = self.stretched(archive) {
                self.close(&object);
                abandoned.push(object);
            } else {
                self.forget(archive)?;
            }
        }
        Ok(abandoned)
    }

    /// Makes room for others, at the cost of all that is neither being `read` nor in reach: what is of it on the spool
    /// goes, what is on the store stays.
    pub(crate) fn make_room(
        &self,
        read: impl Fn(ArchiveId) -> bool,
        in_reach: impl Fn(ArchiveId) -> bool,
    ) -> Result<(), Error> {
        let away = self.filtered(|id, _| !read(*id) && !in_reach(*id));
        away.into_iter().try_for_each(|archive| self.give_way(archive))
    }

    fn filtered(&self, filter: impl Fn(&ArchiveId, &Assembly) -> bool) -> Vec<ArchiveId> {
        let open = self.lock();
        open.iter().filter(|(id, assembly)| filter(id, assembly)).map(|(id, _)| *id).collect()
    }

    /// Whether a segment is there already, or on its way from the spool to the store.
    pub(crate) fn has(&self, archive: ArchiveId, index: usize) -> bool {
        self.lock().get(&archive).is_some_and(|assembly| assembly.has(index))
    }

    /// Whether a piece is still to be read: its object was begun and not given up meanwhile.
    pub(crate) fn needs(&self, piece: &Piece) -> bool {
        self.lock().get(&piece.archive).is_some_and(|assembly| !assembly.has(piece.index))
    }

    /// Where a piece goes; none when it is needed no more. Blocks the thread until the store has taken earlier stretches
    /// of the object.
    pub(crate) fn place(&self, piece: &Piece) -> io::Result<Option<Place>> {
        let path = self.path(piece.archive);
        if let Some(object) = self.stretched(piece.archive) {
            let Ok(index) = u32::try_from(piece.index) else { return Ok(None) };
            let slot = object.slot(index, &path)?;
            return Ok(slot.map(|(slot, file)| Place { file, slot: Some(slot) }));
        }
        if !self.needs(piece) {
            return Ok(None);
        }
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        file.seek(SeekFrom::Start(piece.position))?;
        Ok(Some(Place { file, slot: None }))
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

    /// The object as it goes in stretches.
    pub(crate) fn stretched(&self, archive: ArchiveId) -> Option<Arc<Stretched>> {
        match self.lock().get(&archive) {
            Some(Assembly::Stretched(object)) => Some(object.clone()),
            _ => None,
        }
    }

    /// Whether these stretches are the ones that are waited for, and were not given up meanwhile.
    pub(crate) fn is_current(&self, object: &Arc<Stretched>) -> bool {
        self.stretched(object.archive()).is_some_and(|current| Arc::ptr_eq(&current, object))
    }

    /// Forgets these stretches, and none that were begun after them; false when they were forgotten before.
    pub(crate) fn close(&self, object: &Arc<Stretched>) -> bool {
        let mut open = self.lock();
        let current = matches!(
            open.get(&object.archive()),
            Some(Assembly::Stretched(current)) if Arc::ptr_eq(current, object)
        );
        if current {
            open.remove(&object.archive());
        }
        current
    }

    /// Makes room for others: what is of an object on the spool goes, what is on the store stays.
    pub(crate) fn give_way(&self, archive: ArchiveId) -> Result<(), Error> {
        match self.stretched(archive) {
            Some(object) => {
                object.give_way();
                Ok(())
            }
            None => self.forget(archive),
        }
    }

    /// Forgets an object that is assembled as a whole, and removes its file.
    pub(crate) fn forget(&self, archive: ArchiveId) -> Result<(), Error> {
        let removed = self.remove(archive);
        let mut open = self.lock();
        if matches!(open.get(&archive), Some(Assembly::Whole { .. })) {
            open.remove(&archive);
        }
        removed
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
