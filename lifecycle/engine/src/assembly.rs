//! Objects on their way from tape to the store: a file on the spool per object, filled segment by segment.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::ArchiveId;

use crate::error::Error;
use crate::spool::{Reservation, Spool};

/// Objects being assembled. What is in memory here is lost with the process, and the segments are read again.
pub struct Assemblies {
    spool: Arc<Spool>,
    open: Mutex<BTreeMap<ArchiveId, Assembly>>,
}

struct Assembly {
    done: BTreeSet<usize>,
    /// Held for as long as the file may exist.
    _room: Reservation,
}

impl Assemblies {
    /// None yet, on this spool.
    pub fn new(spool: Arc<Spool>) -> Self {
        Self { spool, open: Mutex::default() }
    }

    /// Makes room for an object of `bytes`; nothing to do when it is being assembled already. One larger than the whole
    /// quota is let in alone, charged with what is left: it would otherwise wait for ever beside the migration.
    pub(crate) fn begin(&self, archive: ArchiveId, bytes: u64) -> Result<(), Error> {
        let mut open = self.lock();
        if open.contains_key(&archive) {
            return Ok(());
        }
        let (reserved, bytes_max) = self.spool.usage();
        let alone = open.is_empty() && bytes > bytes_max;
        let room = self.spool.reserve(if alone { bytes_max.saturating_sub(reserved) } else { bytes })?;
        open.insert(archive, Assembly { done: BTreeSet::new(), _room: room });
        Ok(())
    }

    /// Gives up what was begun for objects nobody waits for any more, or begun without a segment to show for it; but for
    /// those being `read`.
    pub(crate) fn retain(
        &self,
        read: impl Fn(ArchiveId) -> bool,
        wanted: impl Fn(ArchiveId) -> bool,
    ) -> Result<(), Error> {
        let given_up: Vec<ArchiveId> = {
            let open = self.lock();
            let idle = open
                .iter()
                .filter(|(id, assembly)| !read(**id) && (assembly.done.is_empty() || !wanted(**id)));
            idle.map(|(id, _)| *id).collect()
        };
        given_up.into_iter().try_for_each(|archive| self.end(archive))
    }

    /// Whether a segment is there already.
    pub(crate) fn has(&self, archive: ArchiveId, index: usize) -> bool {
        self.lock().get(&archive).is_some_and(|assembly| assembly.done.contains(&index))
    }

    /// The object's file, positioned for a segment.
    pub(crate) fn file(&self, archive: ArchiveId, position: u64) -> io::Result<File> {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(false).open(self.path(archive))?;
        file.seek(SeekFrom::Start(position))?;
        Ok(file)
    }

    /// Notes a segment; true when it was the last of `count`.
    pub(crate) fn complete(&self, archive: ArchiveId, index: usize, count: usize) -> bool {
        self.lock().get_mut(&archive).is_some_and(|assembly| {
            assembly.done.insert(index);
            assembly.done.len() == count
        })
    }

    /// Forgets an object and removes its file.
    pub(crate) fn end(&self, archive: ArchiveId) -> Result<(), Error> {
        let removed = match fs::remove_file(self.path(archive)) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(Error::Spool { operation: "remove a recalled object", source })
            }
            _ => Ok(()),
        };
        self.lock().remove(&archive);
        removed
    }

    /// Where the object's file is.
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
        let [large, small, other] = [1, 2, 3].map(|n| ArchiveId::new(1, n));
        assemblies.begin(small, 20).unwrap();
        assert!(matches!(assemblies.begin(large, 1_000), Err(Error::SpoolFull { .. })), "not beside another");
        assert!(assemblies.complete(small, 0, 1));
        assemblies.end(small).unwrap();
        assemblies.begin(large, 1_000).unwrap();
        assert!(matches!(assemblies.begin(other, 1), Err(Error::SpoolFull { .. })));
        assemblies.retain(|_| false, |_| true).unwrap();
        assert_eq!(spool.usage().0, 30, "what was begun without a segment to show for it is given up");
    }
}
