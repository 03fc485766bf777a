//! Orders to the machines: what an operator has libraries and drives do.

use model::VolumeId;
use serde::{Deserialize, Serialize};

/// One order. Those that take long are given again, with the same ticket, until the answer says `done`; given with
/// another ticket they are carried out once more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineOrder {
    /// What is to be done.
    #[serde(rename = "do")]
    pub action: MachineAction,
    /// Made up by whoever asks: tells a repeated question from a new order.
    #[serde(default)]
    pub ticket: String,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum MachineAction {
    /// Take a volume's cartridge, or one no volume is on, out to a mail slot.
    Export {
        /// UUID or barcode.
        name: String,
        /// Where it is taken.
        place: String,
        /// Although it may hold the only good copy in reach.
        #[serde(default)]
        only_copy: bool,
    },
    /// Take back an order to export.
    Keep {
        /// UUID or barcode.
        name: String,
    },
    /// Take in what is in the mail slots.
    Import {
        /// One library.
        #[serde(default)]
        library: Option<String>,
        /// One cartridge.
        #[serde(default)]
        barcode: Option<String>,
    },
    /// Make a volume of a cartridge.
    Label {
        /// Its barcode.
        barcode: String,
        /// The only pool it is for.
        #[serde(default)]
        pool: Option<String>,
        /// The volume on it that may go.
        #[serde(default)]
        overwrite: Option<VolumeId>,
    },
    /// Load a cartridge and tell what it is.
    Load {
        /// Its barcode.
        barcode: String,
        /// Serial of the drive.
        #[serde(default)]
        drive: Option<String>,
    },
    /// Have a cartridge put back into a slot.
    Unload {
        /// Its barcode, or the serial of the drive it is in.
        name: String,
    },
    /// Clean a drive.
    Clean {
        /// Its serial.
        drive: String,
    },
    /// Have the robot look at every element.
    Rescan {
        /// One library.
        #[serde(default)]
        library: Option<String>,
    },
    /// Use a drive again.
    DriveUp {
        /// Its serial.
        drive: String,
    },
    /// Use a drive no more, after what it is at.
    DriveDown {
        /// Its serial.
        drive: String,
        /// Why.
        why: String,
    },
    /// Virtual libraries: what a person does at the library.
    Hands {
        /// The cartridge.
        barcode: String,
        /// What.
        hands: Hands,
    },
}

/// What a person does with a cartridge of a virtual library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hands {
    /// Take it out of its slot or mail slot, into the library's folder `outside`.
    Take,
    /// Put it from there into a mail slot.
    Mail,
    /// Put it from there into a slot, behind the door.
    Slot,
}
