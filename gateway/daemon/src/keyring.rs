//! The keyring's file: read again whenever it changed, changed by one process at a time.
//!
//! Commands change the file, a running gateway sees it: no secret passes the admin listener.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use engine::PoolSettings;
use model::Timestamp;
use volume::seal::{self, KeyId, KeyName, KeySource, Keyring, KeyringError, SealingKey};
use zeroize::Zeroizing;

use crate::data::{beside, keep_owner, replace};
use crate::error::{Error, chain};

/// Permissions of others than owner and group.
const OTHERS: u32 = 0o007;
/// Longest keyring file read.
const BYTES_MAX: u64 = 64 << 20;

/// A keyring in a file.
#[derive(Debug)]
pub struct KeyFile {
    path: PathBuf,
    read: Mutex<Option<(Stamp, Keyring)>>,
}

/// Tells two states of the file apart: it is only ever replaced whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl KeyFile {
    /// The keyring in this file, which need not be there yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path, read: Mutex::default() }
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The keyring as it stands; empty when there is no file.
    pub fn keyring(&self) -> Result<Keyring, Error> {
        self.with(Keyring::clone)
    }

    /// Changes the keyring; it is durable when this returns. Nothing is written when `change` refuses.
    pub fn change<T>(
        &self,
        change: impl FnOnce(&mut Keyring) -> Result<T, KeyringError>,
    ) -> Result<T, Error> {
        // By whatever name a process knows it, the lock is one.
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let lock_path = beside(&path, ".lock");
        let failed = |source| Error::File { operation: "lock", path: lock_path.clone(), source };
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&lock_path);
        let lock = lock.map_err(failed)?;
        // Whoever owns the keyring takes this lock too.
        if let Ok(keyring) = fs::metadata(&self.path) {
            keep_owner(&lock, &keyring).map_err(failed)?;
        }
        lock.lock().map_err(failed)?;
        let mut keyring = self.keyring()?;
        let changed =
            change(&mut keyring).map_err(|source| Error::Keyring { path: self.path.clone(), source })?;
        replace(&self.path, &keyring.to_text(None))?;
        Ok(changed)
    }

    /// Makes the keys that sealed pools name and that never were: `used` are those that packs were sealed with. Gives
    /// the new ones.
    pub fn prepare<'a>(
        &self,
        pools: impl Iterator<Item = &'a PoolSettings>,
        used: &BTreeSet<KeyName>,
    ) -> Result<Vec<KeyId>, Error> {
        let wanted: BTreeSet<&KeyName> = pools.filter_map(|pool| pool.key.as_ref()).collect();
        let keyring = self.keyring()?;
        let there: BTreeSet<KeyName> = keyring.list().into_iter().map(|key| key.id.name).collect();
        let missing = wanted.into_iter().filter(|name| !there.contains(*name));
        let (lost, new): (Vec<&KeyName>, Vec<&KeyName>) = missing.partition(|name| used.contains(*name));
        for name in lost {
            // Another key under this name would only hide that the right one is gone.
            tracing::error!(
                code = "EN-0140",
                key = %name,
                keyring = %self.path.display(),
                "packs are sealed with a key that the keyring lacks: import it with `tapegate keys import`"
            );
        }
        if new.is_empty() {
            return Ok(Vec::new());
        }
        self.change(|keyring| new.iter().map(|name| keyring.create(name, 0, &created())).collect())
    }

    /// Does something with the keyring, read anew if its file changed.
    fn with<T>(&self, act: impl FnOnce(&Keyring) -> T) -> Result<T, Error> {
        let failed = |source| Error::File { operation: "read", path: self.path.clone(), source };
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                *read = None;
                return Ok(act(&Keyring::default()));
            }
            Err(source) => return Err(failed(source)),
        };
        let about = file.metadata().map_err(failed)?;
        let stamp = Stamp::of(&about);
        match &*read {
            Some((known, keyring)) if *known == stamp => Ok(act(keyring)),
            _ => {
                let keyring = self.parse(file, &about)?;
                let done = act(&keyring);
                *read = Some((stamp, keyring));
                Ok(done)
            }
        }
    }

    fn parse(&self, file: File, about: &fs::Metadata) -> Result<Keyring, Error> {
        let path = &self.path;
        let wrong = |problem: String| Error::DataFile { path: path.clone(), problem };
        if about.mode() & OTHERS != 0 {
            return Err(wrong("everybody may read or write it; chmod 600 it".to_owned()));
        }
        read_keyring(file).map_err(|error| match error {
            ReadError::Io(source) => Error::File { operation: "read", path: path.clone(), source },
            ReadError::Keyring(source) => Error::Keyring { path: path.clone(), source },
        })
    }
}

impl KeySource for KeyFile {
    fn newest(&self, name: &KeyName) -> Result<SealingKey, seal::Error> {
        self.with(|keyring| keyring.newest(name)).map_err(unreadable)?
    }

    fn find(&self, id: &KeyId) -> Result<SealingKey, seal::Error> {
        self.with(|keyring| keyring.find(id)).map_err(unreadable)?
    }
}

impl Stamp {
    fn of(file: &fs::Metadata) -> Self {
        Self {
            device: file.dev(),
            inode: file.ino(),
            bytes: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
        }
    }
}

/// Why a keyring's text could not be had.
pub enum ReadError {
    /// The source failed.
    Io(io::Error),
    /// The text is none of a keyring.
    Keyring(KeyringError),
}

/// Reads a keyring's text form; what was read is wiped.
pub fn read_keyring(source: impl io::Read) -> Result<Keyring, ReadError> {
    // A text that grows leaves copies behind that nobody wipes; thousands of keys have room in this.
    let mut text = Zeroizing::new(String::with_capacity(1 << 20));
    let mut source = source.take(BYTES_MAX);
    io::Read::read_to_string(&mut source, &mut text).map_err(ReadError::Io)?;
    Keyring::parse(&text).map_err(ReadError::Keyring)
}

/// Now, as a key is told to be made.
pub fn created() -> String {
    Timestamp::from(std::time::SystemTime::now()).to_string()
}

fn unreadable(error: Error) -> seal::Error {
    seal::Error::Keyring { what: chain(&error) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn name(text: &str) -> KeyName {
        text.parse().unwrap()
    }

    #[test]
    fn a_change_of_the_file_is_seen_and_the_file_is_its_owners() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyring");
        let (gateway, command) = (KeyFile::new(path.clone()), KeyFile::new(path.clone()));
        assert!(gateway.newest(&name("vault")).is_err());
        for version in 1..=3 {
            let id = command.change(|keyring| match version {
                1 => keyring.create(&name("vault"), 0, &created()),
                _ => keyring.rotate(&name("vault"), 0, &created()),
            });
            assert_eq!(id.unwrap().version, version);
            assert_eq!(gateway.newest(&name("vault")).unwrap().id().version, version);
        }
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let before = fs::read(&path).unwrap();
        assert!(command.change(|keyring| keyring.create(&name("vault"), 0, &created())).is_err());
        assert_eq!(fs::read(&path).unwrap(), before, "a refused change writes nothing");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
        let open = KeyFile::new(path).newest(&name("vault")).unwrap_err();
        assert!(open.wants_key() && open.to_string().contains("chmod"), "{open}");
    }

    #[test]
    fn a_change_keeps_mode_and_place_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let (safe, link) = (folder.path().join("safe.lock"), folder.path().join("keyring"));
        fs::write(&safe, "end 0\n").unwrap();
        fs::set_permissions(&safe, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&safe, &link).unwrap();
        KeyFile::new(link.clone()).change(|keyring| keyring.create(&name("vault"), 0, &created())).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&safe).unwrap().mode() & 0o777, 0o640);
        assert!(KeyFile::new(safe).newest(&name("vault")).is_ok());
    }

    #[test]
    fn keys_are_made_for_pools_that_never_had_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::new(folder.path().join("keyring"));
        let config = "[[pool]]\nname = \"glacier\"\nsealed = true\n[[pool]]\nname = \"deep\"\n\
                      [[pool]]\nname = \"old\"\nsealed = true\nkey = \"lost\"";
        let pools = crate::config::Config::parse(config, Path::new("")).unwrap().pools;
        let used = BTreeSet::from([name("lost")]);
        let made = file.prepare(pools.values(), &used).unwrap();
        assert_eq!(made, ["glacier:1".parse().unwrap()]);
        assert!(file.newest(&name("lost")).is_err(), "a lost key is not replaced by another one");
        let secret = file.newest(&name("glacier")).unwrap();
        assert_eq!(file.prepare(pools.values(), &used).unwrap(), []);
        assert_eq!(file.newest(&name("glacier")).unwrap(), secret);
    }
}
