//! The command line. Scripts depend on it: extend, never rename.

mod cartridges;
mod keys;
mod machine;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use console::Question;
use model::{BucketName, JobId, PoolName, VolumeId};

use crate::config::DATA_DEFAULT;

pub use cartridges::{RebuildArgs, TapeCommand, WhenMissing};
pub use keys::{KeysAt, KeysCommand};
pub use machine::{DriveCommand, ExportArgs, HandsCommand, LibraryCommand, TaskCommand};

/// An S3 gateway that gives an object store a Glacier-style tape class.
///
/// Exit codes: 0 done, 1 failed, 2 wrong use, 64 bad configuration.
#[derive(Debug, Parser)]
#[command(name = "tapegate", version, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Everything the program does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the gateway: everything in one process, with nothing configured if you like
    Serve(ServeArgs),
    /// Check a configuration and print what it comes to
    CheckConfig {
        /// The configuration file; the defaults without it
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show how everything is
    Status {
        /// Draw it again every second until interrupted
        #[arg(long)]
        watch: bool,
        #[command(flatten)]
        at: At,
    },
    /// Show what the store can do, why that is believed, and what becomes of each bucket
    Doctor(DoctorArgs),
    /// The tape libraries
    #[command(subcommand)]
    Library(LibraryCommand),
    /// The drives
    #[command(subcommand)]
    Drive(DriveCommand),
    /// What only hands can do
    #[command(subcommand)]
    Task(TaskCommand),
    /// The volumes: cartridges as the catalog knows them
    #[command(subcommand)]
    Volume(VolumeCommand),
    /// The pools of volumes: what fills which cartridges, and copies
    #[command(subcommand)]
    Pool(PoolCommand),
    /// Moving objects to tape
    #[command(subcommand)]
    Migrate(MigrateCommand),
    /// Bringing objects back
    #[command(subcommand)]
    Restore(RestoreCommand),
    /// The buckets
    #[command(subcommand)]
    Bucket(BucketCommand),
    /// The keys of sealed pools
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Make the catalog anew from the cartridges, in a data directory that has none
    Rebuild(RebuildArgs),
    /// Read cartridges with no catalog and no configuration
    #[command(subcommand)]
    Tape(TapeCommand),
}

/// Where `serve` finds and puts things. What is said here wins over the configuration.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The configuration file; the defaults without it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The data directory
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where to serve S3
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Where to serve the admin API
    #[arg(long, value_name = "ADDR")]
    pub admin_listen: Option<SocketAddr>,
}

/// Which gateway is asked, and how the answer is printed.
#[derive(Clone, Debug, Args)]
pub struct At {
    /// The data directory of the gateway
    #[arg(long, value_name = "DIR", default_value = DATA_DEFAULT)]
    pub data: PathBuf,
    /// The admin listener, where it is not the one the data directory names
    #[arg(long, value_name = "ADDR")]
    pub admin: Option<SocketAddr>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `tapegate volume`
#[derive(Debug, Subcommand)]
pub enum VolumeCommand {
    /// List the volumes
    List(At),
    /// Show one volume
    Show {
        /// Its UUID or barcode
        volume: String,
        /// List the objects on it, too
        #[arg(long)]
        contents: bool,
        #[command(flatten)]
        at: At,
    },
    /// Read everything on a volume back and compare it with its digests
    Verify {
        /// Its UUID or barcode
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        volume: Option<String>,
        /// Every volume that holds something
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        at: At,
    },
    /// Move what lives on a volume elsewhere, then label its cartridge anew
    Reclaim {
        /// Its UUID or barcode
        volume: String,
        #[command(flatten)]
        at: At,
    },
    /// Move what lives on a volume elsewhere, then never use it again
    Retire {
        /// Its UUID or barcode
        volume: String,
        /// The cartridge is destroyed: nothing can be read from it any more
        #[arg(long)]
        lost: bool,
        /// With --lost: give up what is only there
        #[arg(long, requires = "lost")]
        accept_loss: bool,
        #[command(flatten)]
        at: At,
    },
}

/// `tapegate pool`
#[derive(Debug, Subcommand)]
pub enum PoolCommand {
    /// List the pools
    List(At),
    /// Make the copies again that a pool is short of, from those that are left
    Repair {
        /// The pool
        #[arg(required_unless_present = "all", conflicts_with = "all", value_parser = PoolName::parse)]
        pool: Option<PoolName>,
        /// Every pool
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        at: At,
    },
}

/// `tapegate migrate`
#[derive(Debug, Subcommand)]
pub enum MigrateCommand {
    /// Look for what the lifecycle rules make due, now
    Run {
        /// One bucket; all with rules without it
        #[arg(long, value_name = "B", value_parser = bucket)]
        bucket: Option<BucketName>,
        /// Only count
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        at: At,
    },
    /// Move nothing more to tape until resumed; restores go on
    Pause(At),
    /// Go on after a pause
    Resume(At),
}

/// `tapegate restore`
#[derive(Debug, Subcommand)]
pub enum RestoreCommand {
    /// List restores: those under way, those readable and those that failed
    List {
        /// Those that are over, too
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        at: At,
    },
    /// Show one restore
    Show {
        /// Its id
        id: JobId,
        #[command(flatten)]
        at: At,
    },
}

/// `tapegate bucket`
#[derive(Debug, Subcommand)]
pub enum BucketCommand {
    /// List the buckets
    List(At),
    /// Carry out a bucket's rules; those the store holds are taken over
    Enable(BucketArgs),
    /// Take over nothing new; what is archived is served and restored
    Pause(BucketArgs),
    /// Bring everything archived back into the store
    Drain(BucketArgs),
    /// Bring everything back, give the rules back, and let go of the bucket
    Detach(BucketArgs),
}

/// A bucket, and what holds for it. What is not said stays.
#[derive(Debug, Args)]
pub struct BucketArgs {
    /// The bucket, as s3://name
    #[arg(value_parser = bucket)]
    pub name: BucketName,
    /// Nobody else holds keys that can write to it
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub exclusive: Option<bool>,
    /// Stubs may be replicated by the store
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub accept_replicated_stubs: Option<bool>,
    /// Stubs may fire the store's own events
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub accept_backend_events: Option<bool>,
    #[command(flatten)]
    pub at: At,
}

/// `tapegate doctor`
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Find out anew what a remote store can do
    #[arg(long)]
    pub probe: bool,
    /// With no gateway running: the configuration that names the remote store, which is then only looked at
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub at: At,
}

/// A volume as a person names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeName {
    /// By UUID.
    Id(VolumeId),
    /// By barcode.
    Barcode(String),
}

impl From<String> for VolumeName {
    fn from(text: String) -> Self {
        text.parse().map_or(Self::Barcode(text), Self::Id)
    }
}

fn bucket(text: &str) -> Result<BucketName, model::name::NameError> {
    BucketName::parse(text.strip_prefix("s3://").unwrap_or(text).trim_end_matches('/'))
}

/// A name that can be asked for.
fn library(text: &str) -> Result<String, console::BadQuestion> {
    Question::parse("GET", "/v1/inventory", &format!("library={text}"), b"").map(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_contract_parses() {
        Cli::command().debug_assert();
        for line in [
            "serve",
            "serve --config f --data d --listen 127.0.0.1:0 --admin-listen [::1]:9",
            "check-config --config f --json",
            "status --watch",
            "status --json --data d --admin 127.0.0.1:9001",
            "library list --json",
            "library inventory",
            "library inventory main --json",
            "library hold main",
            "library release main --json",
            "pool list --json",
            "migrate pause",
            "migrate resume --data d",
            "drive list",
            "drive up S1",
            "drive down S1 --why noisy --json",
            "drive history S1",
            "library rescan main",
            "library export TG0001L9 TG0002L9 --to shelf --only-copy --json",
            "library export TG0001L9 --cancel",
            "library import",
            "library import TG0001L9 --library main",
            "library label TG0001L9 --pool glacier --overwrite-volume 00000000-0000-4000-8000-000000000001",
            "library load TG0001L9 --drive S1",
            "library unload S1",
            "library clean S1",
            "library hands put TG0001L9 --slot",
            "task list --json",
            "volume list",
            "volume show TG0001L9 --contents",
            "volume verify TG0001L9",
            "volume verify --all --json",
            "volume reclaim TG0001L9",
            "volume retire TG0001L9 --lost --accept-loss",
            "pool repair glacier --json",
            "pool repair --all",
            "migrate run --bucket s3://archive/ --dry-run",
            "restore list --all",
            "restore show 01J00000000000000000000000 --json",
            "bucket list",
            "bucket enable s3://archive --exclusive --accept-backend-events=false",
            "bucket pause s3://archive --json",
            "bucket drain archive",
            "bucket detach s3://archive/ --data d",
            "doctor",
            "doctor --json --probe",
            "doctor --config f",
            "keys list --json",
            "keys create vault --keyring f",
            "keys rotate vault --data d",
            "keys export",
            "keys export vault --to f --json",
            "keys import -",
            "keys retire vault:1",
            "keys retire vault:1 --destroy --force",
            "tape list x --json --keyring f",
            "rebuild",
            "rebuild --config f --data d --dry-run --json --incomplete --missing plant --keyring k",
            "rebuild --catalog 00000000-0000-0000-0000-00000000002a --missing dead",
            "tape read x --to y --key a/b",
            "tape read x --to y --archive 01J00000000000000000000000",
            "tape export x --ltfs-dir y",
        ] {
            let words = std::iter::once("tapegate").chain(line.split(' '));
            assert!(Cli::try_parse_from(words).is_ok(), "{line}");
        }
    }

    #[test]
    fn wrong_use_is_told() {
        for line in [
            "",
            "sevre",
            "serve --listen x",
            "migrate run --bucket A_B",
            "tape read x",
            "tape export x",
            "restore show 1",
            "library inventory a/b",
            "library export TG0001L9",
            "library export --to shelf",
            "library export TG0001L9 --to shelf --cancel",
            "library label TG0001L9 --overwrite-volume x",
            "volume verify",
            "volume retire TG0001L9 --accept-loss",
            "pool repair",
            "pool repair glacier --all",
            "pool repair A/B",
            "bucket enable",
            "keys create A",
            "keys retire vault",
            "keys retire vault:1 --force",
            "bucket enable s3://archive --exclusive=perhaps",
        ] {
            let words = std::iter::once("tapegate").chain(line.split(' ').filter(|word| !word.is_empty()));
            assert_eq!(Cli::try_parse_from(words).unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn volumes_are_named_by_either_name() {
        let id = VolumeId::from_u128(1 << 100);
        assert_eq!(VolumeName::from(id.to_string()), VolumeName::Id(id));
        assert_eq!(VolumeName::from("TG0001L9".to_owned()), VolumeName::Barcode("TG0001L9".to_owned()));
    }
}
