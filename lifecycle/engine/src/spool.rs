//! The spool: finished packs between the store and the tapes. Disposable until a commit says otherwise; bounded.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::PackId;

use crate::error::Error;

/// The folder of finished packs.
pub struct Spool {
    folder: PathBuf,
    bytes_max: u64,
    /// Bytes reserved: by finished packs, and by packs being built at their largest.
    reserved: AtomicU64,
}

/// Bytes of the quota held until dropped; [`Reservation::keep`] leaves what a finished pack really takes.
pub struct Reservation {
    spool: Arc<Spool>,
    bytes: u64,
}

impl Spool {
    /// Opens the folder, making it if need be. `kept` names the packs whose files are still wanted; every other file
    /// is removed.
    pub fn open(folder: &Path, bytes_max: u64, kept: &[PackId]) -> Result<Arc<Self>, Error> {
        fs::create_dir_all(folder).map_err(|source| Error::Spool { operation: "make the folder", source })?;
        let mut reserved = 0;
        let wanted: BTreeSet<PathBuf> =
            kept.iter().flat_map(|pack| [path_in(folder, *pack), manifest_in(folder, *pack)]).collect();
        let entries =
            fs::read_dir(folder).map_err(|source| Error::Spool { operation: "list the folder", source })?;
        for entry in entries {
            let entry = entry.map_err(|source| Error::Spool { operation: "list the folder", source })?;
            let path = entry.path();
            if wanted.contains(&path) {
                if path.extension().is_some_and(|extension| extension == "manifest") {
                    continue;
                }
                let metadata = entry
                    .metadata()
                    .map_err(|source| Error::Spool { operation: "look at a pack", source })?;
                reserved += metadata.len();
            } else {
                fs::remove_file(path)
                    .map_err(|source| Error::Spool { operation: "remove a leftover", source })?;
            }
        }
        Ok(Arc::new(Self { folder: folder.to_owned(), bytes_max, reserved: AtomicU64::new(reserved) }))
    }

    /// Where a pack's file is.
    pub fn path(&self, pack: PackId) -> PathBuf {
        path_in(&self.folder, pack)
    }

    /// Where an object on its way from tape to the store is assembled; removed at the next start.
    pub fn recall_path(&self, archive: model::ArchiveId) -> PathBuf {
        self.folder.join(format!("{archive}.recall"))
    }

    /// Where its manifest is, as it goes beside the pack on tape. Small; not counted.
    pub fn manifest_path(&self, pack: PackId) -> PathBuf {
        manifest_in(&self.folder, pack)
    }

    /// Reserves room for a pack of at most `bytes`; [`Error::SpoolFull`] when the quota does not allow it now. A pack
    /// larger than the whole quota is let in alone, since it would otherwise wait for ever.
    pub fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Reservation, Error> {
        let taken = self.reserved.try_update(Ordering::AcqRel, Ordering::Acquire, |reserved| {
            let fits = reserved.saturating_add(bytes) <= self.bytes_max || reserved == 0;
            fits.then_some(reserved + bytes)
        });
        match taken {
            Ok(_) => Ok(Reservation { spool: self.clone(), bytes }),
            Err(reserved) => {
                Err(Error::SpoolFull { wanted: bytes, free: self.bytes_max.saturating_sub(reserved) })
            }
        }
    }

    /// Removes a pack's file and frees its room; done already is done.
    pub fn remove(&self, pack: PackId) -> Result<(), Error> {
        let path = self.path(pack);
        let bytes = match fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(Error::Spool { operation: "look at a pack", source }),
        };
        fs::remove_file(&path).map_err(|source| Error::Spool { operation: "remove a pack", source })?;
        self.reserved.fetch_sub(bytes, Ordering::AcqRel);
        remove_if_there(&self.manifest_path(pack))
    }

    /// Removes the file of a pack that was never finished (its room is still reserved elsewhere); absent is done.
    pub fn discard(&self, pack: PackId) -> Result<(), Error> {
        remove_if_there(&self.path(pack))?;
        remove_if_there(&self.manifest_path(pack))
    }

    /// Bytes in use or reserved, and the quota.
    pub fn usage(&self) -> (u64, u64) {
        (self.reserved.load(Ordering::Acquire), self.bytes_max)
    }

    /// Makes a finished file and its name durable.
    pub fn sync(&self, file: &File) -> Result<(), Error> {
        file.sync_all().map_err(|source| Error::Spool { operation: "sync a pack", source })?;
        let folder = File::open(&self.folder)
            .map_err(|source| Error::Spool { operation: "open the folder", source })?;
        folder.sync_all().map_err(|source| Error::Spool { operation: "sync the folder", source })
    }
}

impl Reservation {
    /// Turns the reservation into the room of a finished pack of `bytes`, freed by [`Spool::remove`].
    pub fn keep(mut self, bytes: u64) {
        if bytes > self.bytes {
            self.spool.reserved.fetch_add(bytes - self.bytes, Ordering::AcqRel);
        } else {
            self.spool.reserved.fetch_sub(self.bytes - bytes, Ordering::AcqRel);
        }
        self.bytes = 0;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.spool.reserved.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

fn remove_if_there(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::Spool { operation: "remove a file", source })
        }
        _ => Ok(()),
    }
}

fn manifest_in(folder: &Path, pack: PackId) -> PathBuf {
    folder.join(format!("{pack}.manifest"))
}

fn path_in(folder: &Path, pack: PackId) -> PathBuf {
    folder.join(format!("{pack}.tar.zst"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_quota_counts_reservations_and_kept_packs() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), 100, &[]).unwrap();
        let pack = PackId::new(1, 1);
        let first = spool.reserve(60).unwrap();
        assert!(matches!(spool.reserve(60), Err(Error::SpoolFull { wanted: 60, free: 40 })));
        fs::write(spool.path(pack), [0; 10]).unwrap();
        first.keep(10);
        assert_eq!(spool.usage(), (10, 100));
        drop(spool.reserve(90).unwrap());
        spool.remove(pack).unwrap();
        spool.remove(pack).unwrap();
        assert_eq!(spool.usage().0, 0);
        drop(spool.reserve(1_000).expect("a pack larger than the quota goes in alone"));
    }

    #[test]
    fn leftovers_go_and_wanted_packs_stay() {
        let folder = tempfile::tempdir().unwrap();
        let (wanted, leftover) = (PackId::new(1, 1), PackId::new(1, 2));
        for pack in [wanted, leftover] {
            fs::write(path_in(folder.path(), pack), [0; 7]).unwrap();
        }
        let spool = Spool::open(folder.path(), 100, &[wanted]).unwrap();
        assert!(spool.path(wanted).exists() && !spool.path(leftover).exists());
        assert_eq!(spool.usage().0, 7);
    }
}
