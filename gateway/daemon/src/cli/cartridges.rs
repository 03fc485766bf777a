//! `tapegate rebuild` and `tape`: what works from cartridges alone.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use library::CatalogId;

/// `tapegate rebuild`
#[derive(Debug, Args)]
pub struct RebuildArgs {
    /// The configuration file; the defaults without it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The data directory
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The keyring with the keys of sealed pools; the configured one without it
    #[arg(long, value_name = "FILE")]
    pub keyring: Option<PathBuf>,
    /// Which catalog, where the cartridges belong to several
    #[arg(long, value_name = "ID", value_parser = catalog)]
    pub catalog: Option<CatalogId>,
    /// What becomes of objects the store has no stub of: made anew, or taken for deleted
    #[arg(long, value_enum)]
    pub missing: Option<WhenMissing>,
    /// Go on although a cartridge or a journal cannot be read; what was deleted may come back
    #[arg(long)]
    pub incomplete: bool,
    /// Write nothing, and tell what would be
    #[arg(long)]
    pub dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What becomes of objects the store has no stub of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WhenMissing {
    /// They are made anew: the store is a new one
    Plant,
    /// They were deleted
    Dead,
}

/// `tapegate tape`: PATH is the folder of a virtual cartridge, or of a virtual library (then every cartridge in it).
#[derive(Debug, Subcommand)]
pub enum TapeCommand {
    /// List what is on cartridges
    List {
        /// A cartridge folder or a library folder
        path: PathBuf,
        /// The keys of sealed packs: a keyring's file, or what `keys export` wrote
        #[arg(long, value_name = "FILE")]
        keyring: Option<PathBuf>,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Extract objects and check them against their digests
    Read {
        /// A cartridge folder or a library folder
        path: PathBuf,
        /// The keys of sealed packs: a keyring's file, or what `keys export` wrote
        #[arg(long, value_name = "FILE")]
        keyring: Option<PathBuf>,
        /// Where to put them: `DIR/<bucket>/<key>~<archive id>`
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
        /// Only objects with this key
        #[arg(long, value_name = "KEY", conflicts_with = "archive")]
        key: Option<String>,
        /// Only the object with this archive id
        #[arg(long, value_name = "ID")]
        archive: Option<String>,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Write a cartridge as the directory of small files that other LTFS implementations read
    Export {
        /// A cartridge folder or a library folder
        path: PathBuf,
        /// An empty or new folder; a library's cartridges get a folder each in it
        #[arg(long, value_name = "DIR")]
        ltfs_dir: PathBuf,
        /// Print one JSON object a line
        #[arg(long)]
        json: bool,
    },
}

fn catalog(text: &str) -> Result<CatalogId, String> {
    CatalogId::parse(text).ok_or_else(|| "not the UUID of a catalog".to_owned())
}
