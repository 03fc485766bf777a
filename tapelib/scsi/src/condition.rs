//! The sense table: what each code of a tape device means in our words, who must act, and what the driver does.
//!
//! Rows are tried from the top; the first that fits wins, so exact rows stand above the catch-all of their key.

use crate::sense::{Sense, SenseKey};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // each is described by the `meaning` of its row
pub enum Condition {
    Nothing,
    Filemark,
    EarlyWarning,
    BeginningOfMedium,
    IncorrectLength,
    EndOfData,
    CleaningWanted,
    Recovered,
    BecomingReady,
    NeedsLoad,
    NotReady,
    NoMedium,
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
    /// We: read the answer, wait, or ask correctly.
    Us,
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
    /// Ask again until it is over.
    Wait,
    /// Retry once where nothing has moved, after reading the state again; otherwise hand it up.
    Resync,
    /// Load the cartridge.
    Load,
    /// Read the position; what was in the buffer may be lost. Go on only where the position is as counted.
    Look,
    /// Try the cartridge in another drive, or another cartridge in this drive.
    Elsewhere,
    /// Do not repeat: it would fail again.
    Refuse,
    /// Clean the drive when the cartridge is out.
    Clean,
    /// Close this cartridge: no more can be written.
    Close,
}

/// A row of the table.
#[derive(Debug)]
pub struct Row {
    key: SenseKey,
    asc: Option<u8>,
    ascq: Qualifier,
    /// What happened.
    pub condition: Condition,
    /// Who must act.
    pub party: Party,
    /// What is done.
    pub action: Action,
    /// The same for a reader.
    pub meaning: &'static str,
}

#[derive(Clone, Copy, Debug)]
enum Qualifier {
    Any,
    From(u8, u8),
}

impl Row {
    fn fits(&self, sense: &Sense) -> bool {
        let qualifier = match self.ascq {
            Qualifier::Any => true,
            Qualifier::From(low, high) => (low..=high).contains(&sense.ascq),
        };
        self.key == sense.key && self.asc.is_none_or(|asc| asc == sense.asc) && qualifier
    }
}

/// The row for some sense data. The stream flags speak first: a device may set them with any code.
pub(crate) fn lookup(sense: &Sense) -> &'static Row {
    if matches!(sense.key, SenseKey::NoSense | SenseKey::RecoveredError) {
        // At the beginning, and in a move that ran into an end, the end-of-medium flag comes with a code of its own.
        let flagged = match (sense.filemark, sense.incorrect_length, sense.end_of_medium) {
            (true, _, _) => Some(&FILEMARK),
            (_, true, _) => Some(&INCORRECT_LENGTH),
            (_, _, true) if (sense.asc, sense.ascq) != (0x00, 0x04) => Some(&EARLY_WARNING),
            _ => None,
        };
        if let Some(row) = flagged {
            return row;
        }
    }
    TABLE.iter().find(|row| row.fits(sense)).unwrap_or(&UNKNOWN)
}

const fn any(
    key: SenseKey,
    condition: Condition,
    party: Party,
    action: Action,
    meaning: &'static str,
) -> Row {
    Row { key, asc: None, ascq: Qualifier::Any, condition, party, action, meaning }
}

const fn asc(
    key: SenseKey,
    asc: u8,
    condition: Condition,
    party: Party,
    action: Action,
    meaning: &'static str,
) -> Row {
    Row { key, asc: Some(asc), ascq: Qualifier::Any, condition, party, action, meaning }
}

const fn one(
    key: SenseKey,
    code: (u8, u8),
    condition: Condition,
    party: Party,
    action: Action,
    meaning: &'static str,
) -> Row {
    Row { key, asc: Some(code.0), ascq: Qualifier::From(code.1, code.1), condition, party, action, meaning }
}

const fn run(
    key: SenseKey,
    code: (u8, u8, u8),
    condition: Condition,
    party: Party,
    action: Action,
    meaning: &'static str,
) -> Row {
    Row { key, asc: Some(code.0), ascq: Qualifier::From(code.1, code.2), condition, party, action, meaning }
}

use Action as A;
use Condition as C;
use Party as P;
use SenseKey as K;

static FILEMARK: Row = one(K::NoSense, (0x00, 0x01), C::Filemark, P::Us, A::Tell, "a filemark");
static EARLY_WARNING: Row =
    one(K::NoSense, (0x00, 0x02), C::EarlyWarning, P::Us, A::Close, "near the end of the partition");
static INCORRECT_LENGTH: Row =
    any(K::NoSense, C::IncorrectLength, P::Us, A::Tell, "the block is not as long as asked for");
static UNKNOWN: Row = any(K::Reserved, C::Unknown, P::Device, A::Elsewhere, "a code without a known meaning");

/// Sense codes of tape drives and changers.
#[rustfmt::skip] // a table is read by columns
static TABLE: [Row; 74] = [
    one(K::NoSense, (0x00, 0x01), C::Filemark, P::Us, A::Tell, "a filemark"),
    one(K::NoSense, (0x00, 0x02), C::EarlyWarning, P::Us, A::Close, "near the end of the partition"),
    one(K::NoSense, (0x00, 0x04), C::BeginningOfMedium, P::Us, A::Tell, "the beginning of the partition"),
    one(K::NoSense, (0x00, 0x05), C::EndOfData, P::Us, A::Tell, "the end of data"),
    one(K::NoSense, (0x00, 0x07), C::EarlyWarning, P::Us, A::Close, "in the warning zone chosen by the host"),
    one(K::NoSense, (0x00, 0x17), C::CleaningWanted, P::Device, A::Clean, "the drive wants to be cleaned"),
    any(K::NoSense, C::Nothing, P::Us, A::Tell, "nothing wrong"),

    one(K::RecoveredError, (0x00, 0x17), C::CleaningWanted, P::Device, A::Clean, "the drive wants to be cleaned"),
    any(K::RecoveredError, C::Recovered, P::Us, A::Tell, "done, after the device's own error recovery"),

    one(K::NotReady, (0x04, 0x00), C::BecomingReady, P::Us, A::Wait, "not ready, cause not reported"),
    one(K::NotReady, (0x04, 0x01), C::BecomingReady, P::Us, A::Wait, "becoming ready"),
    one(K::NotReady, (0x04, 0x02), C::NeedsLoad, P::Us, A::Load, "the cartridge has to be loaded first"),
    one(K::NotReady, (0x04, 0x03), C::NotReady, P::Operator, A::Refuse, "a person has to do something at the device"),
    one(K::NotReady, (0x04, 0x07), C::BecomingReady, P::Us, A::Wait, "an earlier operation is still going on"),
    one(K::NotReady, (0x04, 0x12), C::NotReady, P::Operator, A::Refuse, "the unit is switched off line"),
    one(K::NotReady, (0x30, 0x03), C::CleaningCartridge, P::Us, A::Wait, "a cleaning cartridge is in the drive"),
    asc(K::NotReady, 0x3A, C::NoMedium, P::Us, A::Refuse, "no cartridge is in the drive"),
    any(K::NotReady, C::NotReady, P::Device, A::Elsewhere, "not ready"),

    asc(K::MediumError, 0x0C, C::WriteError, P::Medium, A::Elsewhere, "the data could not be written"),
    asc(K::MediumError, 0x11, C::ReadError, P::Medium, A::Elsewhere, "the data could not be read"),
    one(K::MediumError, (0x14, 0x03), C::EndOfDataLost, P::Medium, A::Elsewhere, "the end of data was not found"),
    asc(K::MediumError, 0x30, C::FormatUnknown, P::Medium, A::Refuse, "the drive cannot use this kind or format of cartridge"),
    asc(K::MediumError, 0x31, C::FormatCorrupt, P::Medium, A::Elsewhere, "the format of the medium is damaged"),
    asc(K::MediumError, 0x3B, C::PositionLost, P::Medium, A::Look, "the place on the tape was not reached"),
    asc(K::MediumError, 0x50, C::AppendRefused, P::Medium, A::Elsewhere, "the drive cannot append here"),
    asc(K::MediumError, 0x53, C::LoadFailed, P::Medium, A::Elsewhere, "the cartridge could not be loaded or let go"),
    any(K::MediumError, C::MediumError, P::Medium, A::Elsewhere, "an error of the medium"),

    asc(K::HardwareError, 0x10, C::BlockProtection, P::Device, A::Elsewhere, "a block's checksum was wrong between host and drive"),
    asc(K::HardwareError, 0x53, C::UnloadFailed, P::Device, A::Elsewhere, "the drive did not take or give the cartridge"),
    any(K::HardwareError, C::Hardware, P::Device, A::Elsewhere, "a fault of the device"),

    asc(K::IllegalRequest, 0x20, C::UnknownOperation, P::Us, A::Refuse, "the device does not know the command"),
    one(K::IllegalRequest, (0x21, 0x01), C::InvalidElement, P::Us, A::Refuse, "the library has no such element"),
    asc(K::IllegalRequest, 0x24, C::InvalidField, P::Us, A::Refuse, "a field of the command is not accepted"),
    asc(K::IllegalRequest, 0x26, C::InvalidParameter, P::Us, A::Refuse, "a parameter is not accepted"),
    asc(K::IllegalRequest, 0x1A, C::InvalidParameter, P::Us, A::Refuse, "the parameter list has the wrong length"),
    one(K::IllegalRequest, (0x30, 0x05), C::FormatUnknown, P::Medium, A::Refuse, "the drive cannot write this kind of cartridge"),
    one(K::IllegalRequest, (0x3B, 0x0D), C::DestinationFull, P::Us, A::Resync, "the destination holds a cartridge"),
    one(K::IllegalRequest, (0x3B, 0x0E), C::SourceEmpty, P::Us, A::Resync, "the source holds no cartridge"),
    run(K::IllegalRequest, (0x3B, 0x11, 0x12), C::MagazineMissing, P::Operator, A::Refuse, "a magazine is out or locked"),
    one(K::IllegalRequest, (0x3B, 0x16), C::MagazineMissing, P::Operator, A::Refuse, "a magazine is locked"),
    one(K::IllegalRequest, (0x53, 0x02), C::RemovalPrevented, P::Us, A::Refuse, "the drive keeps the cartridge: unload it first"),
    one(K::IllegalRequest, (0x53, 0x01), C::UnloadFailed, P::Device, A::Elsewhere, "the drive did not give the cartridge"),
    any(K::IllegalRequest, C::IllegalRequest, P::Us, A::Refuse, "the command is not possible here"),

    one(K::UnitAttention, (0x28, 0x00), C::MediumChanged, P::Us, A::Resync, "the cartridge may be another one"),
    run(K::UnitAttention, (0x28, 0x01, 0x02), C::MailSlotAccessed, P::Us, A::Resync, "the mail slot was used"),
    asc(K::UnitAttention, 0x28, C::MediumChanged, P::Us, A::Resync, "cartridges may have been moved by hand"),
    asc(K::UnitAttention, 0x29, C::Reset, P::Us, A::Resync, "the device was reset"),
    one(K::UnitAttention, (0x2A, 0x01), C::ParametersChanged, P::Us, A::Resync, "mode settings were changed by another host"),
    run(K::UnitAttention, (0x2A, 0x03, 0x05), C::ReservationsChanged, P::Operator, A::Refuse, "another host took the reservation"),
    one(K::UnitAttention, (0x2A, 0x10), C::ClockChanged, P::Us, A::Resync, "the device's clock was set"),
    run(K::UnitAttention, (0x2A, 0x11, 0x13), C::EncryptionChanged, P::Us, A::Resync, "encryption settings were changed by another host"),
    asc(K::UnitAttention, 0x2A, C::ParametersChanged, P::Us, A::Resync, "settings were changed"),
    asc(K::UnitAttention, 0x2F, C::CommandsCleared, P::Us, A::Resync, "another host cleared our commands"),
    one(K::UnitAttention, (0x3F, 0x0E), C::UnitsChanged, P::Us, A::Resync, "the units behind the device have changed"),
    asc(K::UnitAttention, 0x5A, C::NotReady, P::Operator, A::Refuse, "a person asks for the cartridge at the device"),
    any(K::UnitAttention, C::OtherAttention, P::Us, A::Resync, "something happened to the device"),

    asc(K::DataProtect, 0x27, C::WriteProtected, P::Operator, A::Refuse, "the cartridge is write protected"),
    one(K::DataProtect, (0x30, 0x0C), C::WormOverwrite, P::Us, A::Refuse, "write-once data cannot be overwritten"),
    one(K::DataProtect, (0x30, 0x00), C::WormIntegrity, P::Medium, A::Refuse, "a write-once cartridge that may have been tampered with"),
    one(K::DataProtect, (0x30, 0x0D), C::WormIntegrity, P::Medium, A::Refuse, "a write-once cartridge that fails its integrity check"),
    one(K::DataProtect, (0x5A, 0x02), C::WriteProtected, P::Operator, A::Refuse, "a person has write protected the cartridge"),
    asc(K::DataProtect, 0x74, C::Encryption, P::Us, A::Refuse, "the block needs another key, or none"),
    one(K::DataProtect, (0x26, 0x10), C::Encryption, P::Us, A::Refuse, "too many wrong keys"),
    one(K::DataProtect, (0x2A, 0x13), C::Encryption, P::Us, A::Resync, "the key was changed during the write"),
    any(K::DataProtect, C::DataProtect, P::Operator, A::Refuse, "the data is protected"),

    // Some drives leave the codes at zero here.
    any(K::BlankCheck, C::EndOfData, P::Us, A::Tell, "the end of data"),

    any(K::VendorSpecific, C::Unknown, P::Device, A::Elsewhere, "a code of the maker's own"),
    any(K::CopyAborted, C::Aborted, P::Device, A::Look, "a copy was given up"),
    asc(K::AbortedCommand, 0x10, C::BlockProtection, P::Device, A::Elsewhere, "a block's checksum was wrong between host and drive"),
    any(K::AbortedCommand, C::Aborted, P::Device, A::Look, "the device gave up the command"),
    any(K::VolumeOverflow, C::VolumeOverflow, P::Us, A::Close, "the physical end of the partition: not written"),
    any(K::Miscompare, C::Unknown, P::Device, A::Elsewhere, "the data was not what it was compared with"),
    any(K::Completed, C::Nothing, P::Us, A::Tell, "done"),
    any(K::Reserved, C::Unknown, P::Device, A::Elsewhere, "a code without a known meaning"),
];
