//! `tapegate keys`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use volume::seal::{KeyId, KeyName};

use super::At;

/// Which keyring, and how the answer is printed.
#[derive(Clone, Debug, Args)]
pub struct KeysAt {
    /// The keyring's file; that of the gateway's data directory without it
    #[arg(long, value_name = "FILE")]
    pub keyring: Option<PathBuf>,
    #[command(flatten)]
    pub at: At,
}

/// `tapegate keys`: the keyring is changed in its file, which a running gateway sees at once.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// List the keys, and how much each is needed
    List(KeysAt),
    /// Make a key under a new name
    Create {
        /// Its name
        name: KeyName,
        #[command(flatten)]
        at: KeysAt,
    },
    /// Make the next version of a key; what is sealed from now on uses it, older versions stay readable
    Rotate {
        /// Its name
        name: KeyName,
        #[command(flatten)]
        at: KeysAt,
    },
    /// Write keys out as text, for safe keeping apart from the tapes
    Export {
        /// Every version of this key; all keys without it
        name: Option<KeyName>,
        /// A new file, for its owner alone; standard output without it
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
        #[command(flatten)]
        at: KeysAt,
    },
    /// Take over exported keys; a key that is there already is never replaced
    Import {
        /// What `export` wrote; - for standard input
        from: PathBuf,
        #[command(flatten)]
        at: KeysAt,
    },
    /// Let a key seal nothing new; what it sealed stays readable
    Retire {
        /// Name and version, as name:1
        key: KeyId,
        /// Forget it: what it sealed is lost unless it is kept elsewhere
        #[arg(long)]
        destroy: bool,
        /// Even though packs need it
        #[arg(long, requires = "destroy")]
        force: bool,
        #[command(flatten)]
        at: KeysAt,
    },
}
