//! What can go wrong outside a CDB: opening a library or a cartridge, and the operator's hands.

use std::io;
use std::path::PathBuf;

/// A failure of this room, named by the operation that failed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the fields are named by what they identify
pub enum Error {
    /// The geometry asks for more than the address map holds, or for nothing at all.
    #[error("geometry refused: {reason}")]
    Geometry { reason: &'static str },
    /// A barcode is 1 to 32 letters, digits, `-` or `_`.
    #[error("not a barcode: {text:?}")]
    Barcode { text: String },
    /// The folder could not be made or read.
    #[error("library folder {dir} cannot be opened")]
    OpenLibrary {
        dir: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Another process has the library open.
    #[error("library folder {dir} is in use by another process")]
    LibraryInUse { dir: PathBuf },
    /// The file with the places of the cartridges is not one of ours.
    #[error("inventory {path} cannot be understood")]
    ParseInventory {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    /// The places of the cartridges could not be made durable.
    #[error("inventory {path} cannot be written")]
    SaveInventory {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// More cartridges than slots.
    #[error("no empty slot for cartridge {barcode}")]
    NoRoom { barcode: String },
    /// The folder of a blank cartridge could not be made.
    #[error("cartridge folder {dir} cannot be created")]
    CreateCartridge {
        dir: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The cartridge's files could not be read or written.
    #[error("cartridge folder {dir} cannot be opened")]
    OpenCartridge {
        dir: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The cartridge memory could not be made durable.
    #[error("cartridge memory in {dir} cannot be written")]
    SaveMemory {
        dir: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The cartridge memory is not one of ours.
    #[error("cartridge memory in {dir} cannot be understood")]
    ParseMemory {
        dir: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    /// A drive, of this or of another process, has the cartridge.
    #[error("cartridge folder {dir} is loaded elsewhere")]
    CartridgeInUse { dir: PathBuf },
    /// No cartridge with this barcode is in the library.
    #[error("no cartridge {barcode} in the library")]
    UnknownCartridge { barcode: String },
    /// Hands only reach slots: the cartridge is in a drive.
    #[error("cartridge {barcode} is in a drive")]
    CartridgeInDrive { barcode: String },
    /// A fault of the configuration cannot be understood.
    #[error("fault {text:?}: {what} is missing or unknown")]
    Fault { text: String, what: &'static str },
    /// The host has locked the mail slots.
    #[error("the mail slots are locked")]
    MailSlotsLocked,
    /// The place has a cartridge, or a cartridge with this barcode is there already.
    #[error("no place at element {element} for cartridge {barcode}")]
    PlaceTaken { element: u16, barcode: String },
    /// The folder could not be moved.
    #[error("cartridge folder {from} cannot be moved to {to}")]
    MoveFolder {
        from: PathBuf,
        to: PathBuf,
        #[source]
        source: io::Error,
    },
}
