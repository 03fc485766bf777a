//! Every command of this house, typed: the drivers turn a [`Command`] into a CDB, a device that lives in software
//! turns the CDB back into the command. One type for both sides, so that the two cannot disagree.

use std::fmt;

use crate::condition::Class;
use crate::{Cdb, Sense, SenseKey, smc, spc, ssc};

/// A command of any of the three standards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// What every device answers (SPC).
    Spc(spc::Command),
    /// What a tape drive answers (SSC).
    Ssc(ssc::Command),
    /// What a medium changer answers (SMC).
    Smc(smc::Command),
}

impl Command {
    /// The command descriptor block.
    pub fn cdb(&self) -> Cdb {
        match self {
            Command::Spc(command) => command.cdb(),
            Command::Ssc(command) => command.cdb(),
            Command::Smc(command) => command.cdb(),
        }
    }

    /// What its failure depends on.
    pub fn class(&self) -> Class {
        match self {
            Command::Spc(command) => command.class(),
            Command::Ssc(command) => command.class(),
            Command::Smc(command) => command.class(),
        }
    }

    /// The command that `cdb` carries. Strict: any bit set that this crate would not set is an invalid field.
    pub fn decode(cdb: &Cdb) -> Result<Self, DecodeError> {
        let command = spc::Command::decode(cdb)
            .map(|known| known.map(Command::Spc))
            .or_else(|| ssc::Command::decode(cdb).map(|known| known.map(Command::Ssc)))
            .or_else(|| smc::Command::decode(cdb).map(|known| known.map(Command::Smc)))
            .unwrap_or(Err(DecodeError::UnknownOperation { opcode: cdb.opcode() }))?;
        let ours = command.cdb();
        if ours.as_bytes().len() != cdb.as_bytes().len() {
            return Err(DecodeError::InvalidField { byte: 0 });
        }
        match ours.as_bytes().iter().zip(cdb.as_bytes()).position(|(a, b)| a != b) {
            None => Ok(command),
            Some(byte) => Err(DecodeError::InvalidField { byte }),
        }
    }
}

impl From<spc::Command> for Command {
    fn from(command: spc::Command) -> Self {
        Command::Spc(command)
    }
}

impl From<ssc::Command> for Command {
    fn from(command: ssc::Command) -> Self {
        Command::Ssc(command)
    }
}

impl From<smc::Command> for Command {
    fn from(command: smc::Command) -> Self {
        Command::Smc(command)
    }
}

/// What the command asks for, in a few words.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Spc(command) => command.fmt(f),
            Command::Ssc(command) => command.fmt(f),
            Command::Smc(command) => command.fmt(f),
        }
    }
}

/// Why a CDB is not a command of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No command of this house has that operation code.
    #[error("unknown operation code {opcode:#04x}")]
    UnknownOperation {
        /// Byte 0.
        opcode: u8,
    },
    /// A field asks for something this house does not know.
    #[error("invalid field at byte {byte} of the command")]
    InvalidField {
        /// Offset in the CDB.
        byte: usize,
    },
}

impl DecodeError {
    /// The sense data a device answers with: ILLEGAL REQUEST with 20h/00h or 24h/00h.
    pub fn sense(&self) -> Sense {
        match self {
            DecodeError::UnknownOperation { .. } => Sense::of(SenseKey::IllegalRequest, 0x20, 0x00),
            DecodeError::InvalidField { .. } => Sense::of(SenseKey::IllegalRequest, 0x24, 0x00),
        }
    }
}
