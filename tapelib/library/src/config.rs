//! What the caller decides about a library.

use std::time::Duration;

use crate::Barcode;

/// Which cartridges of the library are ours to move and load.
#[derive(Clone, Debug, Default)]
pub enum Ours {
    /// Every cartridge with a barcode.
    #[default]
    All,
    /// Those whose barcode starts with one of these.
    Prefixes(Vec<String>),
}

impl Ours {
    /// Whether a cartridge with this barcode may be touched.
    pub fn covers(&self, barcode: &Barcode) -> bool {
        match self {
            Self::All => true,
            Self::Prefixes(prefixes) => {
                prefixes.iter().any(|prefix| barcode.as_str().starts_with(prefix.as_str()))
            }
        }
    }
}

/// Settings of one library.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its name in messages and thread names.
    pub name: String,
    /// Cartridges outside this are never moved, loaded, or listed as ours.
    pub ours: Ours,
    /// How long a mounted cartridge without work stays in its drive.
    pub idle: Duration,
    /// How long a drive may take to become ready after a load. A new LTO-9 cartridge initialises for up to two hours.
    pub ready_timeout: Duration,
    /// Reserve changer and drives under this key, which grows whenever another process may have taken over (an epoch):
    /// what still runs of an older one is kept out, a newer one keeps us out. `None` reserves nothing.
    pub reservation: Option<u64>,
    /// Most jobs that wait in the queue.
    pub jobs_max: usize,
}

impl Config {
    /// Defaults: every cartridge, unload after 60 s without work, two hours to become ready, 1 024 jobs.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ours: Ours::All,
            idle: Duration::from_secs(60),
            ready_timeout: Duration::from_secs(2 * 60 * 60),
            reservation: None,
            jobs_max: 1024,
        }
    }
}
