//! TapeAlert (SSC-5 8.2.3): what a drive wants somebody to know, one flag each. Reading them clears them.

use super::{LogParameter, encode_page, page, parse_page};
use crate::condition::Party;
use crate::wire::ParseError;
use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Information,
    /// Data may be in danger soon.
    Warning,
    /// Data is in danger, or the drive does not work.
    Critical,
}

/// One alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Its number, 1 to 64.
    pub number: u8,
    /// How bad it is.
    pub severity: Severity,
    /// Who is suspect, or who must act.
    pub party: Party,
    /// What the drive says, for a reader.
    pub meaning: &'static str,
}

impl Alert {
    /// The alert with that number; one that this house has no words for is a warning about the drive.
    pub fn numbered(number: u8) -> Self {
        let unknown = row(number, Severity::Warning, Party::Device, "an alert without a known meaning");
        ALERTS.iter().find(|alert| alert.number == number).copied().unwrap_or(unknown)
    }

    /// The drive asks to be cleaned.
    pub fn wants_cleaning(&self) -> bool {
        matches!(self.number, CLEAN_NOW | CLEAN_SOON)
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (TapeAlert {})", self.meaning, self.number)
    }
}

/// The alerts that are set in a TapeAlert page, by number.
pub fn parse_alerts(bytes: &[u8]) -> Result<Vec<Alert>, ParseError> {
    let set = |parameter: &LogParameter| parameter.value.first().is_some_and(|flag| flag & 1 != 0);
    let parameters = parse_page(page::TAPE_ALERT, bytes)?;
    let numbers = parameters.iter().filter(|parameter| set(parameter)).map(|parameter| parameter.code);
    Ok(numbers.filter_map(|code| u8::try_from(code).ok()).map(Alert::numbered).collect())
}

/// A TapeAlert page with these alerts set.
pub fn encode_alerts(numbers: &[u8]) -> Vec<u8> {
    let flag = |number: u8| LogParameter {
        code: u16::from(number),
        value: vec![u8::from(numbers.contains(&number))],
    };
    encode_page(page::TAPE_ALERT, &(1..=64).map(flag).collect::<Vec<_>>())
}

const fn row(number: u8, severity: Severity, party: Party, meaning: &'static str) -> Alert {
    Alert { number, severity, party, meaning }
}

const CLEAN_NOW: u8 = 20;
const CLEAN_SOON: u8 = 21;

use Party as P;
use Severity as S;

#[rustfmt::skip] // a table is read by columns
static ALERTS: &[Alert] = &[
    row(1, S::Warning, P::Nobody, "reading is difficult"),
    row(2, S::Warning, P::Nobody, "writing is difficult"),
    row(3, S::Warning, P::Medium, "an error could not be corrected"),
    row(4, S::Critical, P::Medium, "the medium is at its end: copy what is on it elsewhere"),
    row(5, S::Critical, P::Medium, "the tape or the drive cannot be read from"),
    row(6, S::Critical, P::Medium, "the tape or the drive cannot be written to"),
    row(7, S::Warning, P::Medium, "the cartridge has reached the end of its life"),
    row(8, S::Warning, P::Medium, "the cartridge is not of data grade"),
    row(9, S::Critical, P::Operator, "a write was tried on a write-protected cartridge"),
    row(10, S::Information, P::Host, "the cartridge cannot be taken: the host keeps it in"),
    row(11, S::Information, P::Nobody, "a cleaning cartridge is in the drive"),
    row(12, S::Information, P::Medium, "the cartridge has an unsupported format"),
    row(13, S::Critical, P::Medium, "the tape has broken and can be taken out"),
    row(14, S::Critical, P::Medium, "the tape has broken in the drive"),
    row(15, S::Warning, P::Medium, "the cartridge memory has failed"),
    row(16, S::Critical, P::Operator, "the cartridge was taken out by hand while in use"),
    row(17, S::Warning, P::Operator, "the cartridge can only be read in this drive"),
    row(18, S::Warning, P::Medium, "the directory of the tape is damaged: finding data is slow"),
    row(19, S::Information, P::Medium, "the cartridge is near the end of its life"),
    row(20, S::Critical, P::Device, "the drive has to be cleaned now"),
    row(21, S::Warning, P::Device, "the drive wants to be cleaned"),
    row(22, S::Critical, P::Operator, "the cleaning cartridge is used up"),
    row(23, S::Critical, P::Operator, "the cleaning cartridge is of the wrong kind"),
    row(25, S::Warning, P::Device, "a redundant port has failed"),
    row(26, S::Warning, P::Device, "a fan of the drive has failed"),
    row(27, S::Warning, P::Device, "a redundant power supply has failed"),
    row(28, S::Warning, P::Device, "the drive draws too much power"),
    row(29, S::Warning, P::Device, "the drive is due for maintenance"),
    row(30, S::Critical, P::Device, "the drive has a fault: a reset is needed"),
    row(31, S::Critical, P::Device, "the drive has a fault and does not work"),
    row(32, S::Warning, P::Operator, "the interface between host and drive has a problem"),
    row(33, S::Critical, P::Medium, "the operation has failed: take the cartridge out"),
    row(34, S::Warning, P::Operator, "a download of firmware has failed"),
    row(35, S::Warning, P::Operator, "the temperature or humidity at the drive is out of bounds"),
    row(36, S::Warning, P::Operator, "the temperature in the drive is out of bounds"),
    row(37, S::Warning, P::Operator, "the voltage at the drive is out of bounds"),
    row(38, S::Critical, P::Device, "the drive will fail soon"),
    row(39, S::Warning, P::Device, "the drive wants its diagnostics run"),
    row(49, S::Warning, P::Medium, "the directory of the previous tape was not written"),
    row(50, S::Warning, P::Nobody, "statistics of the cartridge were lost"),
    row(51, S::Warning, P::Medium, "the directory of the tape was damaged at unload"),
    row(52, S::Critical, P::Medium, "the system area could not be written at unload"),
    row(53, S::Critical, P::Medium, "the system area could not be read at load"),
    row(54, S::Critical, P::Medium, "the beginning of the data was not found"),
    row(55, S::Critical, P::Medium, "the cartridge could not be loaded"),
    row(56, S::Critical, P::Device, "the cartridge cannot be let go"),
    row(57, S::Critical, P::Device, "the automation interface has failed"),
    row(58, S::Warning, P::Device, "the firmware has failed"),
    row(59, S::Warning, P::Medium, "a write-once cartridge fails its integrity check"),
    row(60, S::Warning, P::Host, "an overwrite of a write-once cartridge was tried"),
];
