//! `tapegate library`, `drive` and `task`.

use clap::{Args, Subcommand};
use model::VolumeId;

use super::{At, library};

/// `tapegate library`
#[derive(Debug, Subcommand)]
pub enum LibraryCommand {
    /// List the libraries
    List(At),
    /// Ask the changer what is where
    Inventory {
        /// One library; all without it
        #[arg(value_parser = library)]
        name: Option<String>,
        #[command(flatten)]
        at: At,
    },
    /// Mount nothing any more until released: current packs end, cartridges go back, restores wait
    Hold {
        /// The library
        #[arg(value_parser = library)]
        name: String,
        #[command(flatten)]
        at: At,
    },
    /// Go on after a hold
    Release {
        /// The library
        #[arg(value_parser = library)]
        name: String,
        #[command(flatten)]
        at: At,
    },
    /// Have the robot look at every element again
    Rescan {
        /// One library; all without it
        #[arg(value_parser = library)]
        name: Option<String>,
        #[command(flatten)]
        at: At,
    },
    /// Take cartridges out: verified, other copies looked for, then moved to the mail slots
    Export(ExportArgs),
    /// Take in what was put into the mail slots, and see what it is
    Import {
        /// One cartridge, by barcode; without it what hands put there
        barcode: Option<String>,
        /// One library; all without it
        #[arg(long, value_name = "NAME", value_parser = library)]
        library: Option<String>,
        #[command(flatten)]
        at: At,
    },
    /// Make a volume of a blank cartridge
    Label {
        /// Its barcode
        barcode: String,
        /// The only pool it is for; any without it
        #[arg(long, value_name = "POOL")]
        pool: Option<String>,
        /// The retired or unknown volume on it that may be overwritten
        #[arg(long, value_name = "UUID")]
        overwrite_volume: Option<VolumeId>,
        #[command(flatten)]
        at: At,
    },
    /// Load a cartridge and tell what it is
    Load {
        /// Its barcode
        barcode: String,
        /// Into this drive, by serial
        #[arg(long, value_name = "SERIAL")]
        drive: Option<String>,
        #[command(flatten)]
        at: At,
    },
    /// Have a cartridge put back into a slot, after what it is used for
    Unload {
        /// Its barcode, or the serial of the drive it is in
        name: String,
        #[command(flatten)]
        at: At,
    },
    /// Clean a drive with a cleaning cartridge (CLN...) from a slot
    Clean {
        /// The drive, by serial
        drive: String,
        #[command(flatten)]
        at: At,
    },
    /// Virtual libraries: what a person does at the library
    #[command(subcommand, hide = true)]
    Hands(HandsCommand),
}

/// `tapegate library export`
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Volumes by UUID or barcode, or cartridges no volume is on by barcode
    #[arg(required = true, value_name = "VOLUME|BARCODE")]
    pub names: Vec<String>,
    /// Where they are taken: a name for people
    #[arg(long, value_name = "PLACE", required_unless_present = "cancel")]
    pub to: Option<String>,
    /// Although they may hold the only good copy in reach
    #[arg(long)]
    pub only_copy: bool,
    /// Take an earlier order back, as long as the cartridge is not out
    #[arg(long, conflicts_with_all = ["to", "only_copy"])]
    pub cancel: bool,
    #[command(flatten)]
    pub at: At,
}

/// `tapegate library hands`
#[derive(Debug, Subcommand)]
pub enum HandsCommand {
    /// Take a cartridge out of its slot or mail slot
    Take {
        /// Its barcode
        barcode: String,
        #[command(flatten)]
        at: At,
    },
    /// Put a cartridge that was taken out into a mail slot
    Put {
        /// Its barcode
        barcode: String,
        /// Into a slot instead, behind the door
        #[arg(long)]
        slot: bool,
        #[command(flatten)]
        at: At,
    },
}

/// `tapegate drive`
#[derive(Debug, Subcommand)]
pub enum DriveCommand {
    /// List the drives
    List(At),
    /// Use a drive again
    Up {
        /// Its serial
        drive: String,
        #[command(flatten)]
        at: At,
    },
    /// Use a drive no more, after what it is at; also after a restart
    Down {
        /// Its serial
        drive: String,
        /// Why
        #[arg(long, value_name = "TEXT", default_value = "set down by an operator")]
        why: String,
        #[command(flatten)]
        at: At,
    },
    /// Show what a drive has been through since the gateway started
    History {
        /// Its serial
        drive: String,
        #[command(flatten)]
        at: At,
    },
}

/// `tapegate task`
#[derive(Debug, Subcommand)]
pub enum TaskCommand {
    /// List what only hands can do: cartridges to bring, and to take away
    List(At),
}
