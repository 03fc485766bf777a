//! The spool: finished packs between the store and the tapes. Disposable until a commit says otherwise; bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::PackId;
use model::pack::Pack;
use tokio::sync::Notify;

use crate::error::Error;

/// How long somebody waits for room while none becomes free: hours of tape work may lie before it.
const ROOM_WAIT_MAX: Duration = Duration::from_secs(2 * 60 * 60);
/// What the names of our files end with.
const ENDINGS: [&str; 3] = [".tar.zst", ".manifest", ".recall"];

/// The folder of finished packs.
pub struct Spool {
    folder: PathBuf,
    bytes_max: u64,
    /// Bytes reserved: by finished packs, and by packs being built at their largest.
    reserved: AtomicU64,
    /// What each finished pack was counted with: its file may vanish, its room must come free all the same.
    packs: Mutex<BTreeMap<PackId, u64>>,
    /// Rings when room comes free.
    freed: Notify,
    /// Nobody waits for room any more.
    closed: AtomicBool,
}

/// Bytes of the quota held until dropped; [`Reservation::keep`] leaves what a finished pack really takes.
pub struct Reservation {
    spool: Arc<Spool>,
    bytes: u64,
}

impl Spool {
    /// Opens the folder, making it if need be. `kept` names the packs whose files are still wanted; every other file
    /// of ours is removed. What is not ours (such as a file system's own folders) is left alone.
    pub fn open(folder: &Path, bytes_max: u64, kept: &[PackId]) -> Result<Arc<Self>, Error> {
        let failed = |operation| move |source| Error::Spool { operation, source };
        fs::create_dir_all(folder).map_err(failed("make the folder"))?;
        let wanted: BTreeSet<PathBuf> =
            kept.iter().flat_map(|pack| [path_in(folder, *pack), manifest_in(folder, *pack)]).collect();
        for entry in fs::read_dir(folder).map_err(failed("list the folder"))? {
            let entry = entry.map_err(failed("list the folder"))?;
            let name = entry.file_name();
            let ours = name.to_str().is_some_and(|name| ENDINGS.iter().any(|ending| name.ends_with(ending)));
            let is_file = entry.file_type().map_err(failed("look at a file"))?.is_file();
            if ours && is_file && !wanted.contains(&entry.path()) {
                fs::remove_file(entry.path()).map_err(failed("remove a leftover"))?;
            }
        }
        let mut packs = BTreeMap::new();
        for pack in kept {
            match fs::metadata(path_in(folder, *pack)) {
                Ok(file) => drop(packs.insert(*pack, file.len())),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => return Err(Error::Spool { operation: "look at a pack", source }),
            }
        }
        Ok(Arc::new(Self {
            folder: folder.to_owned(),
            bytes_max,
            reserved: AtomicU64::new(packs.values().sum()),
            packs: Mutex::new(packs),
            freed: Notify::new(),
            closed: AtomicBool::new(false),
        }))
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

    /// Whether a finished pack is there with its manifest.
    pub fn has(&self, pack: &Pack) -> bool {
        let whole = |file: fs::Metadata| file.len() == pack.bytes;
        pack.spooled
            && fs::metadata(self.path(pack.id)).is_ok_and(whole)
            && self.manifest_path(pack.id).exists()
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

    /// [`Self::reserve`], but waits while there is no room: until none has come free for two hours, or [`Self::close`].
    pub async fn wait_for_room(self: &Arc<Self>, bytes: u64) -> Result<Reservation, Error> {
        loop {
            if self.is_closed() {
                return Err(Error::SpoolFull { wanted: bytes, free: 0 });
            }
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // Room that comes free from here on is not missed.
            freed.as_mut().enable();
            match self.reserve(bytes) {
                Err(full @ Error::SpoolFull { .. }) => {
                    let waited =
                        !self.is_closed() && tokio::time::timeout(ROOM_WAIT_MAX, freed).await.is_ok();
                    if !waited {
                        return Err(full);
                    }
                }
                reserved => return reserved,
            }
        }
    }

    /// Ends all waiting for room: the engine stops.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.freed.notify_waiters();
    }

    /// Whether the engine stops.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Removes a pack's file and frees its room; done already is done.
    pub fn remove(&self, pack: PackId) -> Result<(), Error> {
        remove_if_there(&self.path(pack))?;
        if let Some(bytes) = self.packs().remove(&pack) {
            self.free(bytes);
        }
        remove_if_there(&self.manifest_path(pack))
    }

    fn free(&self, bytes: u64) {
        self.reserved.fetch_sub(bytes, Ordering::AcqRel);
        self.freed.notify_waiters();
    }

    fn packs(&self) -> MutexGuard<'_, BTreeMap<PackId, u64>> {
        self.packs.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Makes a finished file and the names in the folder durable.
    pub fn sync(&self, file: &File) -> Result<(), Error> {
        file.sync_all().map_err(|source| Error::Spool { operation: "sync a file", source })?;
        let folder = File::open(&self.folder)
            .map_err(|source| Error::Spool { operation: "open the folder", source })?;
        folder.sync_all().map_err(|source| Error::Spool { operation: "sync the folder", source })
    }
}

impl Reservation {
    /// Turns the reservation into the room of a finished pack of `bytes`, freed by [`Spool::remove`].
    pub fn keep(mut self, pack: PackId, bytes: u64) {
        self.spool.packs().insert(pack, bytes);
        self.spool.reserved.fetch_add(bytes, Ordering::AcqRel);
        self.spool.free(std::mem::take(&mut self.bytes));
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.spool.free(self.bytes);
        }
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
        first.keep(pack, 10);
        assert_eq!(spool.usage(), (10, 100));
        drop(spool.reserve(90).unwrap());
        fs::remove_file(spool.path(pack)).expect("it vanishes");
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
        fs::create_dir(folder.path().join("lost+found")).unwrap();
        fs::write(folder.path().join("notes.txt"), "not ours").unwrap();
        let spool = Spool::open(folder.path(), 100, &[wanted]).unwrap();
        assert!(folder.path().join("notes.txt").exists());
        assert!(spool.path(wanted).exists() && !spool.path(leftover).exists());
        assert_eq!(spool.usage().0, 7);
    }

    #[tokio::test]
    async fn room_is_waited_for_until_the_spool_closes() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), 100, &[]).unwrap();
        let first = spool.reserve(60).unwrap();
        let waiting = tokio::spawn({
            let spool = spool.clone();
            async move { spool.wait_for_room(60).await }
        });
        tokio::task::yield_now().await;
        drop(first);
        let second = waiting.await.unwrap().expect("room came free");
        spool.close();
        assert!(matches!(spool.wait_for_room(60).await, Err(Error::SpoolFull { .. })));
        drop(second);
    }
}
