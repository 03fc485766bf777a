//! The rows: codes of tape drives and changers (SPC-5 annex F, SSC-5, SMC-3), and what makers add to them.

use super::{Action as A, Class, Code, Condition as C, Party as P, Row};
use crate::sense::SenseKey as K;
use Code::{Any, Asc, One, Run};

const fn row(key: K, code: Code, condition: C, party: P, action: A, meaning: &'static str) -> Row {
    Row { key, code, during: None, condition, party, action, meaning }
}

impl Row {
    /// The same, but only for commands of one class.
    const fn during(self, class: Class) -> Self {
        Self { during: Some(class), ..self }
    }
}

pub(super) static FILEMARK: Row =
    row(K::NoSense, One(0x00, 0x01), C::Filemark, P::Nobody, A::Tell, "a filemark");
pub(super) static EARLY_WARNING: Row =
    row(K::NoSense, One(0x00, 0x02), C::EarlyWarning, P::Host, A::Close, "near the end of the partition");
pub(super) static INCORRECT_LENGTH: Row =
    row(K::NoSense, Any, C::IncorrectLength, P::Nobody, A::Tell, "the block is not as long as asked for");
pub(super) static UNKNOWN: Row =
    row(K::Reserved, Any, C::Unknown, P::Device, A::Elsewhere, "a code without a known meaning");

#[rustfmt::skip] // a table is read by columns
pub(super) static ROWS: &[Row] = &[
    row(K::NoSense, One(0x00, 0x01), C::Filemark, P::Nobody, A::Tell, "a filemark"),
    row(K::NoSense, One(0x00, 0x02), C::EarlyWarning, P::Host, A::Close, "near the end of the partition"),
    row(K::NoSense, One(0x00, 0x04), C::BeginningOfMedium, P::Nobody, A::Tell, "the beginning of the partition"),
    row(K::NoSense, One(0x00, 0x05), C::EndOfData, P::Nobody, A::Tell, "the end of data"),
    row(K::NoSense, One(0x00, 0x07), C::ProgrammableEarlyWarning, P::Host, A::Close, "in the warning zone chosen by the host"),
    row(K::NoSense, One(0x00, 0x17), C::CleaningWanted, P::Device, A::Clean, "the drive wants to be cleaned"),
    row(K::NoSense, Any, C::Nothing, P::Nobody, A::Tell, "nothing wrong"),

    row(K::RecoveredError, One(0x00, 0x17), C::CleaningWanted, P::Device, A::Clean, "the drive wants to be cleaned"),
    row(K::RecoveredError, Any, C::Recovered, P::Nobody, A::Tell, "done, after the device's own error recovery"),

    row(K::NotReady, One(0x04, 0x00), C::BecomingReady, P::Nobody, A::Wait, "not ready, cause not reported"),
    row(K::NotReady, One(0x04, 0x01), C::BecomingReady, P::Nobody, A::Wait, "becoming ready"),
    row(K::NotReady, One(0x04, 0x02), C::NeedsLoad, P::Host, A::Load, "the cartridge has to be loaded first"),
    row(K::NotReady, One(0x04, 0x03), C::NotReady, P::Operator, A::Refuse, "a person has to do something at the device"),
    row(K::NotReady, One(0x04, 0x04), C::BecomingReady, P::Nobody, A::Wait, "a format is in progress"),
    row(K::NotReady, One(0x04, 0x07), C::BecomingReady, P::Nobody, A::Wait, "an earlier operation is still going on"),
    row(K::NotReady, One(0x04, 0x09), C::BecomingReady, P::Nobody, A::Wait, "a self-test is in progress"),
    row(K::NotReady, One(0x04, 0x12), C::NotReady, P::Operator, A::Refuse, "the unit is switched off line"),
    row(K::NotReady, One(0x30, 0x03), C::CleaningCartridge, P::Nobody, A::Wait, "a cleaning cartridge is in the drive"),
    row(K::NotReady, Asc(0x30), C::FormatUnknown, P::Medium, A::Refuse, "the drive cannot use this kind or format of cartridge"),
    row(K::NotReady, One(0x3A, 0x04), C::MemoryOnly, P::Host, A::Load, "only the cartridge's memory can be read before it is loaded"),
    row(K::NotReady, Asc(0x3A), C::NoMedium, P::Host, A::Refuse, "no cartridge is in the drive"),
    row(K::NotReady, One(0x3B, 0x12), C::MagazineMissing, P::Operator, A::Refuse, "a magazine is out"),
    row(K::NotReady, Asc(0x3E), C::NotReady, P::Device, A::Condemn, "the unit has not configured itself, or has failed its test"),
    row(K::NotReady, Asc(0x53), C::UnloadFailed, P::Device, A::Condemn, "the drive did not take or give the cartridge"),
    row(K::NotReady, Asc(0x5A), C::NotReady, P::Operator, A::Refuse, "a person has asked for the cartridge at the device"),
    row(K::NotReady, Any, C::NotReady, P::Device, A::Condemn, "not ready"),

    row(K::MediumError, Asc(0x0C), C::WriteError, P::Medium, A::Elsewhere, "the data could not be written"),
    row(K::MediumError, Asc(0x11), C::ReadError, P::Medium, A::Elsewhere, "the data could not be read"),
    row(K::MediumError, Asc(0x14), C::EndOfDataLost, P::Medium, A::Elsewhere, "the end of data, or what should stand here, was not found"),
    row(K::MediumError, Asc(0x15), C::PositionLost, P::Medium, A::Look, "the place on the tape was not reached"),
    row(K::MediumError, One(0x30, 0x07), C::MediumError, P::Device, A::Clean, "the cleaning failed"),
    row(K::MediumError, Asc(0x30), C::FormatUnknown, P::Medium, A::Refuse, "the drive cannot use this kind or format of cartridge"),
    row(K::MediumError, Asc(0x31), C::FormatCorrupt, P::Medium, A::Elsewhere, "the format of the medium is damaged"),
    row(K::MediumError, Asc(0x33), C::FormatUnknown, P::Medium, A::Refuse, "the tape's length is not what the drive can use"),
    row(K::MediumError, Asc(0x3B), C::PositionLost, P::Medium, A::Look, "the place on the tape was not reached"),
    row(K::MediumError, Asc(0x50), C::AppendRefused, P::Medium, A::Elsewhere, "the drive cannot append here"),
    row(K::MediumError, Asc(0x51), C::WriteError, P::Medium, A::Elsewhere, "the tape could not be erased"),
    row(K::MediumError, Asc(0x52), C::MediumError, P::Medium, A::Elsewhere, "the cartridge has a fault"),
    row(K::MediumError, Asc(0x53), C::UnloadFailed, P::Device, A::Condemn, "the drive could not let the cartridge go").during(Class::Unload),
    row(K::MediumError, Asc(0x53), C::LoadFailed, P::Medium, A::Elsewhere, "the cartridge could not be loaded or let go"),
    row(K::MediumError, Any, C::MediumError, P::Medium, A::Elsewhere, "an error of the medium"),

    row(K::HardwareError, Any, C::Hardware, P::Device, A::Look, "a fault of the robot: the cartridge may be at either end or in its hand").during(Class::Move),
    row(K::HardwareError, Asc(0x10), C::BlockProtection, P::Device, A::Condemn, "a block's checksum was wrong between host and drive"),
    row(K::HardwareError, Asc(0x53), C::UnloadFailed, P::Device, A::Condemn, "the drive did not take or give the cartridge"),
    row(K::HardwareError, Any, C::Hardware, P::Device, A::Condemn, "a fault of the device"),

    row(K::IllegalRequest, Asc(0x20), C::UnknownOperation, P::Host, A::Refuse, "the device does not know the command"),
    row(K::IllegalRequest, One(0x21, 0x01), C::InvalidElement, P::Host, A::Refuse, "the library has no such element"),
    row(K::IllegalRequest, Asc(0x24), C::InvalidField, P::Host, A::Refuse, "a field of the command is not accepted"),
    row(K::IllegalRequest, Asc(0x26), C::InvalidParameter, P::Host, A::Refuse, "a parameter is not accepted"),
    row(K::IllegalRequest, Asc(0x1A), C::InvalidParameter, P::Host, A::Refuse, "the parameter list has the wrong length"),
    row(K::IllegalRequest, Asc(0x30), C::FormatUnknown, P::Medium, A::Refuse, "the drive cannot write this kind of cartridge"),
    row(K::IllegalRequest, One(0x3B, 0x0D), C::DestinationFull, P::Host, A::Resync, "the destination holds a cartridge"),
    row(K::IllegalRequest, One(0x3B, 0x0E), C::SourceEmpty, P::Host, A::Resync, "the source holds no cartridge"),
    row(K::IllegalRequest, Run(0x3B, 0x11, 0x14), C::MagazineMissing, P::Operator, A::Refuse, "a magazine is out or locked"),
    row(K::IllegalRequest, One(0x3B, 0x16), C::MagazineMissing, P::Operator, A::Refuse, "a magazine is locked"),
    row(K::IllegalRequest, One(0x53, 0x02), C::RemovalPrevented, P::Host, A::Refuse, "the drive keeps the cartridge: unload it first"),
    row(K::IllegalRequest, Asc(0x53), C::UnloadFailed, P::Device, A::Condemn, "the drive did not give the cartridge"),
    row(K::IllegalRequest, Any, C::IllegalRequest, P::Host, A::Refuse, "the command is not possible here"),

    row(K::UnitAttention, One(0x28, 0x00), C::MediumChanged, P::Host, A::Resync, "the cartridge may be another one"),
    row(K::UnitAttention, Run(0x28, 0x01, 0x02), C::MailSlotAccessed, P::Host, A::Resync, "the mail slot was used"),
    row(K::UnitAttention, Asc(0x28), C::MediumChanged, P::Host, A::Resync, "cartridges may have been moved by hand"),
    row(K::UnitAttention, Asc(0x29), C::Reset, P::Host, A::Resync, "the device was reset"),
    row(K::UnitAttention, One(0x2A, 0x01), C::ParametersChanged, P::Host, A::Resync, "mode settings were changed by another host"),
    row(K::UnitAttention, Run(0x2A, 0x03, 0x05), C::ReservationsChanged, P::Operator, A::Refuse, "another host took the reservation"),
    row(K::UnitAttention, One(0x2A, 0x10), C::ClockChanged, P::Host, A::Resync, "the device's clock was set"),
    row(K::UnitAttention, Run(0x2A, 0x11, 0x13), C::EncryptionChanged, P::Host, A::Resync, "encryption settings were changed by another host"),
    row(K::UnitAttention, Asc(0x2A), C::ParametersChanged, P::Host, A::Resync, "settings were changed"),
    row(K::UnitAttention, Asc(0x2F), C::CommandsCleared, P::Host, A::Resync, "another host cleared our commands"),
    row(K::UnitAttention, One(0x3B, 0x12), C::MagazineMissing, P::Operator, A::Resync, "a magazine was taken out"),
    row(K::UnitAttention, One(0x3B, 0x13), C::MediumChanged, P::Host, A::Resync, "a magazine was put in"),
    row(K::UnitAttention, One(0x3F, 0x0E), C::UnitsChanged, P::Host, A::Resync, "the units behind the device have changed"),
    row(K::UnitAttention, Asc(0x5A), C::NotReady, P::Operator, A::Refuse, "a person asks for the cartridge at the device"),
    row(K::UnitAttention, Any, C::OtherAttention, P::Host, A::Resync, "something happened to the device"),

    row(K::DataProtect, One(0x27, 0x06), C::AppendOnly, P::Host, A::Refuse, "a drive in append-only mode writes only at the end of data"),
    row(K::DataProtect, Asc(0x27), C::WriteProtected, P::Operator, A::Refuse, "the cartridge is write protected"),
    row(K::DataProtect, One(0x30, 0x0C), C::WormOverwrite, P::Host, A::Refuse, "write-once data cannot be overwritten"),
    row(K::DataProtect, One(0x30, 0x00), C::WormIntegrity, P::Medium, A::Refuse, "a write-once cartridge that may have been tampered with"),
    row(K::DataProtect, One(0x30, 0x0D), C::WormIntegrity, P::Medium, A::Refuse, "a write-once cartridge that fails its integrity check"),
    row(K::DataProtect, One(0x5A, 0x02), C::WriteProtected, P::Operator, A::Refuse, "a person has write protected the cartridge"),
    row(K::DataProtect, Asc(0x74), C::Encryption, P::Operator, A::Refuse, "the block needs another key, or none"),
    row(K::DataProtect, One(0x26, 0x10), C::Encryption, P::Operator, A::Refuse, "too many wrong keys"),
    row(K::DataProtect, One(0x2A, 0x13), C::Encryption, P::Host, A::Look, "the key was changed during the write"),
    row(K::DataProtect, Any, C::DataProtect, P::Operator, A::Refuse, "the data is protected"),

    // Some drives leave the codes at zero here.
    row(K::BlankCheck, Any, C::EndOfData, P::Nobody, A::Tell, "the end of data"),

    row(K::VendorSpecific, Any, C::Unknown, P::Device, A::Elsewhere, "a code of the maker's own"),
    row(K::CopyAborted, Any, C::Aborted, P::Device, A::Look, "a copy was given up"),
    row(K::AbortedCommand, Any, C::Aborted, P::Nobody, A::Retry, "the device gave up a question").during(Class::Question),
    row(K::AbortedCommand, Any, C::Aborted, P::Nobody, A::Retry, "the device gave up a setting").during(Class::Setting),
    row(K::AbortedCommand, Asc(0x10), C::BlockProtection, P::Device, A::Condemn, "a block's checksum was wrong between host and drive"),
    row(K::AbortedCommand, Any, C::Aborted, P::Device, A::Look, "the device gave up the command"),
    row(K::VolumeOverflow, Any, C::VolumeOverflow, P::Host, A::Close, "the physical end of the partition: not written"),
    row(K::Miscompare, Any, C::Unknown, P::Device, A::Elsewhere, "the data was not what it was compared with"),
    row(K::Completed, Any, C::Nothing, P::Nobody, A::Tell, "done"),
    row(K::Reserved, Any, C::Unknown, P::Device, A::Elsewhere, "a code without a known meaning"),
];
