//! The data directory: who may use it, and the secrets in it.
//!
//! ```text
//! lock               held by the process that uses the directory
//! installation.toml  catalog id, marker key, suffix of the reserved bucket: made once, never changed
//! root-key.toml      the root identity, when the environment gives none
//! admin-token        opens the admin listener
//! admin-address      where the admin listener of the running (or last) gateway is
//! epoch              how often real libraries were taken over; grows with every start
//! orders.json        what operators ordered until they say otherwise
//! store-evidence.json  what a probe found out about the remote store, and which store that is
//! drives-down.json   drives an operator set down, and why
//! catalog.redb       the book of record
//! keyring            the keys of sealed pools; without them what was sealed is lost
//! keyring-file       where the keyring of the running (or last) gateway is
//! store/             the embedded store
//! library-<name>/    a virtual library
//! spool/             packs on their way
//! rebuild/           what a rebuild has read so far, with catalog.unfinished
//! ```

mod orders;
mod secrets;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use console::Token;
use library::CatalogId;
use model::BucketName;
use serde_json::json;

use crate::error::Error;

pub use secrets::{Installation, Root, RootOrigin};

/// A data directory that belongs to this process until dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Takes the directory for this process, making it (for its owner only) when it is not there.
    pub fn create(path: &Path) -> Result<Self, Error> {
        let failed =
            |source| Error::File { operation: "make the data directory", path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        Self::open(path)
    }

    /// Takes a directory that some gateway has made.
    pub fn existing(path: &Path) -> Result<Self, Error> {
        if path.join(CATALOG).is_file() {
            Self::open(path)
        } else {
            Err(Error::NoData { path: path.to_owned() })
        }
    }

    /// A command that only reads has the directory for a moment; a gateway that starts then waits for it.
    fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::File { operation: "lock", path: path.join(LOCK), source };
        // Everything below is found again whatever the process's own directory becomes.
        let path = path.canonicalize().map_err(failed)?;
        let lock =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path.join(LOCK));
        let lock = lock.map_err(failed)?;
        let deadline = Instant::now() + LOCK_WAIT;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Self { path, _lock: lock }),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::park_timeout(LOCK_LOOK);
                }
                Err(TryLockError::WouldBlock) => return Err(Error::DataInUse { path }),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The book of record's file.
    pub fn catalog(&self) -> PathBuf {
        self.path.join(CATALOG)
    }

    /// The embedded store's folder.
    pub fn store(&self) -> PathBuf {
        self.path.join("store")
    }

    /// A virtual library's folder.
    pub fn library(&self, name: &str) -> PathBuf {
        self.path.join(format!("library-{name}"))
    }

    /// The spool's folder.
    pub fn spool(&self) -> PathBuf {
        self.path.join("spool")
    }

    /// The ids and keys of this installation, made on first use.
    pub fn installation(&self) -> Result<Installation, Error> {
        let path = self.path.join(INSTALLATION);
        let text = read_or_make(&path, Installation::fresh_text)?.0;
        Installation::parse(&text).map_err(|problem| Error::DataFile { path, problem })
    }

    /// The ids and keys of this installation, when there are any yet.
    pub fn known_installation(&self) -> Result<Option<Installation>, Error> {
        if self.path.join(INSTALLATION).exists() { self.installation().map(Some) } else { Ok(None) }
    }

    /// The ids and keys of an installation whose catalog is this one; made, with the reserved bucket that was found on
    /// its store, when there are none.
    pub fn installation_of(
        &self,
        catalog: CatalogId,
        reserved: Option<&BucketName>,
    ) -> Result<Installation, Error> {
        let path = self.path.join(INSTALLATION);
        let (text, _) = read_or_make(&path, || Installation::text_of(catalog, reserved))?;
        Installation::parse(&text).map_err(|problem| Error::DataFile { path, problem })
    }

    /// The folder a rebuild works in.
    pub fn rebuild(&self) -> PathBuf {
        self.path.join("rebuild")
    }

    /// Where a catalog is made anew; what an earlier try left there is removed.
    pub fn unfinished_catalog(&self) -> Result<PathBuf, Error> {
        let path = self.path.join(UNFINISHED);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(Error::File { operation: "remove", path, source })
            }
            _ => Ok(path),
        }
    }

    /// Ends a rebuild: puts the new catalog in its place, or throws it away.
    pub fn end_rebuild(&self, unfinished: &Path, keep: bool) -> Result<(), Error> {
        let end = || {
            match keep {
                true => fs::rename(unfinished, self.catalog())?,
                false => fs::remove_file(unfinished)?,
            }
            fs::remove_dir_all(self.rebuild())?;
            File::open(&self.path)?.sync_all()
        };
        end().map_err(|source| Error::File {
            operation: "end the rebuild in",
            path: self.path.clone(),
            source,
        })
    }

    /// The root identity: the environment's, else the stored one, else one made now.
    pub fn root(&self, environment: Option<Root>) -> Result<Root, Error> {
        if let Some(root) = environment {
            return Ok(root);
        }
        let path = self.root_key();
        let (text, made) = read_or_make(&path, Root::fresh_text)?;
        let origin = if made { RootOrigin::Made } else { RootOrigin::Stored };
        Root::parse(&text, origin).map_err(|problem| Error::DataFile { path, problem })
    }

    /// The file of the root identity.
    pub fn root_key(&self) -> PathBuf {
        self.path.join(ROOT_KEY)
    }

    /// The admin token, made on first use.
    pub fn token(&self) -> Result<Token, Error> {
        let path = self.path.join(TOKEN);
        let (text, _) =
            read_or_make(&path, || format!("{}\n", hex::encode(crate::clock::random_bytes::<32>())))?;
        token_in(path, &text)
    }

    /// A number that no earlier start of this installation had: what real libraries are reserved with.
    pub fn next_epoch(&self) -> Result<u32, Error> {
        let path = self.path.join(EPOCH);
        let text = read_or_make(&path, || "0\n".to_owned())?.0;
        let problem = "it is not a number that can grow; write one above that of every reservation of this installation";
        let next = text.trim().parse::<u32>().ok().and_then(|epoch| epoch.checked_add(1));
        let next = next.ok_or_else(|| Error::DataFile { path: path.clone(), problem: problem.to_owned() })?;
        replace(&path, &format!("{next}\n"))?;
        Ok(next)
    }

    /// The file of what was found out about the remote store.
    pub fn evidence(&self) -> PathBuf {
        self.path.join(EVIDENCE)
    }

    /// Notes what was found out about the remote store.
    pub fn note_evidence(&self, text: &str) -> Result<(), Error> {
        replace(&self.evidence(), text)
    }

    /// The drives that are not used, by serial, and why.
    pub fn drives_down(&self) -> Result<BTreeMap<String, String>, Error> {
        let path = self.path.join(DRIVES_DOWN);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(source) => return Err(Error::File { operation: "read", path, source }),
        };
        serde_json::from_str(&text).map_err(|error| Error::DataFile { path, problem: error.to_string() })
    }

    /// Notes which drives are not used, for the next start.
    pub fn note_drives_down(&self, drives: &BTreeMap<String, String>) -> Result<(), Error> {
        replace(&self.path.join(DRIVES_DOWN), &json!(drives).to_string())
    }

    /// The keyring's file, unless the configuration names another.
    pub fn keyring(&self) -> PathBuf {
        self.path.join(KEYRING)
    }

    /// Notes where the keyring is, for commands.
    pub fn note_keyring(&self, file: &Path) -> Result<(), Error> {
        let file = std::path::absolute(file).map_err(|source| Error::File {
            operation: "find",
            path: file.to_owned(),
            source,
        })?;
        replace(&self.path.join(KEYRING_FILE), &format!("{}\n", file.display()))
    }

    /// Notes where the admin listener is, for commands.
    pub fn note_admin_address(&self, address: SocketAddr) -> Result<(), Error> {
        replace(&self.path.join(ADMIN_ADDRESS), &format!("{address}\n"))
    }
}

/// The token of the gateway whose data directory is `path`, whether or not it runs.
pub fn token_of(path: &Path) -> Result<Token, Error> {
    let file = path.join(TOKEN);
    match fs::read_to_string(&file) {
        Ok(text) => token_in(file, &text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::NoData { path: path.to_owned() }),
        Err(source) => Err(Error::File { operation: "read", path: file, source }),
    }
}

/// Where the gateway of this data directory listens, or last did, as far as known.
pub fn admin_address_of(path: &Path) -> Option<SocketAddr> {
    fs::read_to_string(path.join(ADMIN_ADDRESS)).ok()?.trim().parse().ok()
}

/// The keyring of this data directory's gateway: the one it noted, or the directory's own when it noted none.
///
/// A note that cannot be read is an error: keys made in another file than the gateway's would be missed later.
pub fn keyring_of(path: &Path) -> Result<PathBuf, Error> {
    let note = path.join(KEYRING_FILE);
    match fs::read_to_string(&note) {
        Ok(noted) => Ok(PathBuf::from(noted.trim_end_matches('\n'))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(path.join(KEYRING)),
        Err(source) => Err(Error::File { operation: "read", path: note, source }),
    }
}

fn token_in(path: PathBuf, text: &str) -> Result<Token, Error> {
    let problem = "it is not an admin token; delete it and a new one is made at the next start";
    Token::parse(text).ok_or_else(|| Error::DataFile { path, problem: problem.to_owned() })
}

/// The text of a file, and whether it was made now because it was not there.
fn read_or_make(path: &Path, make: impl FnOnce() -> String) -> Result<(String, bool), Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok((text, false)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = make();
            replace(path, &text)?;
            Ok((text, true))
        }
        Err(source) => Err(Error::File { operation: "read", path: path.to_owned(), source }),
    }
}

/// Puts a file of this text in place: there is the old file or the whole new one, also after a power cut. A new file is for
/// its owner only; one that was there keeps its owner, group and mode, and its place behind a symbolic link.
pub(crate) fn replace(path: &Path, text: &str) -> Result<(), Error> {
    let write = || {
        let (path, old) = match fs::canonicalize(path) {
            Ok(path) => (path.clone(), Some(fs::metadata(path)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (path.to_owned(), None),
            Err(error) => return Err(error),
        };
        let unfinished = beside(&path, ".unfinished");
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
        if let Some(old) = old {
            keep_owner(&file, &old)?;
            file.set_permissions(old.permissions())?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(|source| Error::File { operation: "write", path: path.to_owned(), source })
}

/// A file beside another, named after all of its name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Gives a file the owner and the group of another, where they differ.
pub(crate) fn keep_owner(file: &File, of: &fs::Metadata) -> io::Result<()> {
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (of.uid(), of.gid()) {
        std::os::unix::fs::fchown(file, Some(of.uid()), Some(of.gid()))?;
    }
    Ok(())
}

/// How long a directory in use is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(1);
/// Between two looks at a directory in use.
const LOCK_LOOK: Duration = Duration::from_millis(20);
const LOCK: &str = "lock";
const CATALOG: &str = "catalog.redb";
const UNFINISHED: &str = "catalog.unfinished";
const INSTALLATION: &str = "installation.toml";
const ROOT_KEY: &str = "root-key.toml";
const TOKEN: &str = "admin-token";
const DRIVES_DOWN: &str = "drives-down.json";
const EPOCH: &str = "epoch";
const ORDERS: &str = "orders.json";
const EVIDENCE: &str = "store-evidence.json";
const KEYRING: &str = "keyring";
const KEYRING_FILE: &str = "keyring-file";
const ADMIN_ADDRESS: &str = "admin-address";
