//! The sense table: what each code of a tape device means in our words, who must act, and what the driver does.
//!
//! The rows are in `condition/table.rs`. They are tried from the top and the first that fits wins, so rows for one kind of
//! command stand above those for all, and exact rows above the catch-all of their key.

mod table;

use crate::sense::{Sense, SenseKey};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // each is described by the `meaning` of its row
pub enum Condition {
    Nothing,
    Filemark,
    EarlyWarning,
    ProgrammableEarlyWarning,
    BeginningOfMedium,
    IncorrectLength,
    EndOfData,
    CleaningWanted,
    Recovered,
    BecomingReady,
    NeedsLoad,
    NotReady,
    NoMedium,
    MemoryOnly,
    CleaningCartridge,
    WriteError,
    ReadError,
    EndOfDataLost,
    FormatUnknown,
    FormatCorrupt,
    PositionLost,
    LoadFailed,
    AppendRefused,
    MediumError,
    UnloadFailed,
    BlockProtection,
    Hardware,
    UnknownOperation,
    InvalidField,
    InvalidParameter,
    InvalidElement,
    DestinationFull,
    SourceEmpty,
    RemovalPrevented,
    MagazineMissing,
    IllegalRequest,
    MediumChanged,
    MailSlotAccessed,
    Reset,
    ParametersChanged,
    ReservationsChanged,
    ClockChanged,
    EncryptionChanged,
    CommandsCleared,
    UnitsChanged,
    OtherAttention,
    WriteProtected,
    AppendOnly,
    WormOverwrite,
    WormIntegrity,
    Encryption,
    DataProtect,
    Aborted,
    VolumeOverflow,
    Unknown,
}

/// Who must act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// Nobody: it is part of the work, or it passes.
    Nobody,
    /// We: ask correctly, or read the state again.
    Host,
    /// The drive or the changer that answered is suspect.
    Device,
    /// The cartridge is suspect.
    Medium,
    /// A person.
    Operator,
}

/// What the driver does, or asks its caller to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Part of normal work: the outcome tells it.
    Tell,
    /// Ask again until it is over, within a bound.
    Wait,
    /// Nothing was moved or changed: ask once more.
    Retry,
    /// Retry once where nothing has moved, after reading the state again; otherwise hand it up.
    Resync,
    /// Load the cartridge.
    Load,
    /// Look where things are (position, element status) before anything else; what was in the buffer may be lost.
    Look,
    /// Give up what was being written or read here; try the cartridge in another drive, or another cartridge in this
    /// one, to tell which of the two it is.
    Elsewhere,
    /// As [`Action::Elsewhere`], and the device is not used until somebody has looked at it.
    Condemn,
    /// Do not repeat: it would fail again.
    Refuse,
    /// Clean the drive when the cartridge is out.
    Clean,
    /// Close this cartridge: no more can be written.
    Close,
}

/// What a command does, as far as the meaning of its failure depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Asks; nothing moves and nothing changes.
    Question,
    /// Changes settings, the cartridge's memory or who may use the device. Doing it twice changes no more.
    Setting,
    /// Reads a block.
    Read,
    /// Changes what is on the tape.
    Write,
    /// Moves along the tape.
    Motion,
    /// Takes a cartridge onto the reels.
    Load,
    /// Lets a cartridge go.
    Unload,
    /// Moves a cartridge between elements.
    Move,
}

/// A row of the table.
#[derive(Debug)]
pub struct Row {
    key: SenseKey,
    code: Code,
    /// Only as an answer to a command of this class.
    during: Option<Class>,
    /// What happened.
    pub condition: Condition,
    /// Who must act.
    pub party: Party,
    /// What is done.
    pub action: Action,
    /// The same for a reader.
    pub meaning: &'static str,
}

/// Which additional codes a row is for.
#[derive(Clone, Copy, Debug)]
enum Code {
    /// Every code of the key.
    Any,
    /// Every qualifier of an additional sense code.
    Asc(u8),
    /// One additional sense code and qualifier.
    One(u8, u8),
    /// An additional sense code, and qualifiers from the second to the third number.
    Run(u8, u8, u8),
}

impl Row {
    /// The device that said this must not be used before somebody has looked at it.
    pub fn condemns_device(&self) -> bool {
        self.action == Action::Condemn
    }

    fn fits(&self, sense: &Sense, class: Option<Class>) -> bool {
        let code = match self.code {
            Code::Any => true,
            Code::Asc(asc) => asc == sense.asc,
            Code::One(asc, ascq) => (asc, ascq) == (sense.asc, sense.ascq),
            Code::Run(asc, low, high) => asc == sense.asc && (low..=high).contains(&sense.ascq),
        };
        code && self.key == sense.key && self.during.is_none_or(|during| class == Some(during))
    }
}

/// Every row, for those who show that each is dealt with.
pub fn rows() -> &'static [Row] {
    table::ROWS
}

/// The row for some sense data, as an answer to a command of that class. The stream flags speak first: a device may
/// set them with any code.
pub(crate) fn lookup(sense: &Sense, class: Option<Class>) -> &'static Row {
    if matches!(sense.key, SenseKey::NoSense | SenseKey::RecoveredError) {
        // At the beginning, and in a move that ran into an end, the end-of-medium flag comes with a code of its own.
        let own_code = matches!((sense.asc, sense.ascq), (0x00, 0x04 | 0x07));
        let flagged = match (sense.filemark, sense.incorrect_length, sense.end_of_medium) {
            (true, _, _) => Some(&table::FILEMARK),
            (_, true, _) => Some(&table::INCORRECT_LENGTH),
            (_, _, true) if !own_code => Some(&table::EARLY_WARNING),
            _ => None,
        };
        if let Some(row) = flagged {
            return row;
        }
    }
    table::ROWS.iter().find(|row| row.fits(sense, class)).unwrap_or(&table::UNKNOWN)
}

#[cfg(test)]
mod tests;
