//! What an administrator decides, in one TOML file: parsed into values that cannot be wrong, or refused with every
//! fault at once.
//!
//! With no file at all: the embedded store, the virtual library "main", and the pools "glacier" and "deep" on it.

mod libraries;
mod policy;
mod read;
mod section;
mod stores;
mod testing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dialect::sigv4::Secret;
use engine::PoolSettings;
use model::bucket::BucketSettings;
use model::time::DayLength;
use model::{PoolName, TapeClass};

pub use libraries::{LibraryConfig, Machine, Units};
pub(crate) use read::{access_key_id, secret_access_key};
pub use section::{Fault, Faults};
pub use stores::StoreConfig;
pub use testing::Machines;

/// Everything the configuration says.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data directory.
    pub data: PathBuf,
    /// Where S3 is served.
    pub listen: SocketAddr,
    /// Where the admin API is served.
    pub admin_listen: SocketAddr,
    /// The region requests are signed for.
    pub region: String,
    /// The store behind the gateway.
    pub store: StoreConfig,
    /// What the operator makes of its buckets.
    pub buckets: BucketSettings,
    /// Callers beside the root identity.
    pub identities: BTreeMap<String, Identity>,
    /// The libraries, in order; at least one.
    pub libraries: Vec<LibraryConfig>,
    /// The pools; at least one.
    pub pools: BTreeMap<PoolName, PoolSettings>,
    /// The pool behind each tape class; at least one.
    pub classes: BTreeMap<TapeClass, PoolName>,
    /// Most bytes on the spool; a fifth of the free disk when not said.
    pub spool_bytes_max: Option<u64>,
    /// The file of the keyring, when it is not in the data directory.
    pub keyring: Option<PathBuf>,
    /// Most flips begun in a second; as many as go when none.
    pub flips_per_second: Option<NonZeroU32>,
    /// How long a reclaimed cartridge stays as it is before it is labelled anew.
    pub reuse_after: Duration,
    /// How fast time goes.
    pub pace: Pace,
    /// Rounds of the race when a remote store is probed.
    pub probe_rounds: u32,
    /// How the machines of virtual libraries behave.
    pub machines: Machines,
}

/// A caller.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its secret access key.
    pub secret: Secret,
    /// Whose key its requests reach a remote store with.
    pub upstream: Upstream,
}

/// Whose key signs a request to a remote store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// The gateway's service key: who may do what is decided here.
    Service,
    /// The caller's own, which the store knows too: the store's policies go on deciding.
    Own,
}

/// Intervals; everything `[testing]` may change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Length of a lifecycle or restore day.
    pub day: DayLength,
    /// Between two looks at the rules.
    pub scan_interval: Duration,
    /// Between two looks for expired copies and missing scratch volumes.
    pub lapse_interval: Duration,
    /// Between `Taped` and the flip.
    pub grace: Duration,
    /// Restores stay ongoing at least that long.
    pub restore_hold: Duration,
    /// First wait before a failed archive is tried again.
    pub retry_after: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            day: DayLength::Real,
            scan_interval: Duration::from_secs(10),
            lapse_interval: Duration::from_secs(5),
            grace: Duration::from_secs(5),
            restore_hold: Duration::ZERO,
            retry_after: Duration::from_secs(10),
        }
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The file says what cannot be.
    #[error("{} in the configuration{}", count(faults.len()), list(faults))]
    Faults {
        /// All of them.
        faults: Vec<Fault>,
    },
}

fn count(faults: usize) -> String {
    if faults == 1 { "1 fault".to_owned() } else { format!("{faults} faults") }
}

fn list(faults: &[Fault]) -> String {
    faults.iter().map(|fault| format!("\n  {fault}")).collect()
}

impl Config {
    /// What `file` says; the defaults when there is none.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = file else { return Self::parse("", Path::new("")) };
        let failed = |source| ConfigError::Read { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(failed)?;
        Self::parse(&text, path.parent().unwrap_or(Path::new("")))
    }

    /// What `text` says; relative paths in it start at `folder`.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, ConfigError> {
        let faults = Faults::default();
        let config = match text.parse::<toml::Table>() {
            Ok(table) => Some(read::read(table, folder, &faults)),
            Err(error) => {
                let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
                faults.add(format!("line {line}"), error.message().to_owned(), "mend the TOML there");
                None
            }
        };
        let faults = faults.into_vec();
        config.filter(|_| faults.is_empty()).ok_or(ConfigError::Faults { faults })
    }

    /// Libraries whose blank cartridges are all ours to label: every virtual one. In a real one a cartridge is labelled
    /// when somebody says so.
    pub fn labels_blank(&self) -> BTreeSet<String> {
        let ours = self.libraries.iter().filter(|library| library.geometry().is_some());
        ours.map(|library| library.name.clone()).collect()
    }
}

/// Where the data is when nothing is said.
pub const DATA_DEFAULT: &str = "tapegate-data";
/// Where the admin API is when nothing is said.
pub const ADMIN_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9001);

const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9000);
const REGION_DEFAULT: &str = "us-east-1";
const PACK_BYTES_DEFAULT: u64 = 1 << 30;
const QUIET_DEFAULT: Duration = Duration::from_secs(5);
/// On real drives: a cartridge is mounted for more, and less often.
const PACK_BYTES_SG: u64 = 16 << 30;
const QUIET_SG: Duration = Duration::from_secs(15 * 60);
/// How long a death may be untold on tape at most, in a virtual library: mounts there cost next to nothing.
const JOURNAL_DEFAULT: Duration = Duration::from_secs(60);
/// On real drives a deletion is worth a mount once a day.
const JOURNAL_SG: Duration = Duration::from_secs(24 * 60 * 60);
