//! The pages that say how a drive behaves: control, block protection, device configuration extension.

use super::page;
use crate::wire::{Fields, ParseError};

/// Subpage codes.
pub mod subpage {
    /// Of page 0Ah: control data protection (logical block protection).
    pub const DATA_PROTECTION: u8 = 0xF0;
    /// Of page 10h: device configuration extension.
    pub const EXTENSION: u8 = 0x01;
}

// === Page 0Ah: control ===

/// The control page, as far as it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control {
    /// Sense data comes in descriptor format (D_SENSE).
    pub descriptor_sense: bool,
}

impl Control {
    /// Reads page 0Ah.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let fields = Fields::new("control page", bytes);
        if fields.u8(0)? != page::CONTROL {
            return Err(fields.invalid(0));
        }
        Ok(Self { descriptor_sense: fields.u8(2)? & DESCRIPTOR_SENSE != 0 })
    }

    /// The page's 12 bytes; everything else at its default.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; 12];
        (bytes[0], bytes[1]) = (page::CONTROL, 10);
        bytes[2] = if self.descriptor_sense { DESCRIPTOR_SENSE } else { 0 };
        bytes
    }
}

const DESCRIPTOR_SENSE: u8 = 0x04;

// === Page 0Ah, subpage F0h: control data protection ===

/// The checksum that travels with every block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtectionMethod {
    /// 01h: the Reed-Solomon checksum of LTO-5 and later. Not computed by this house.
    ReedSolomon,
    /// 02h: CRC-32C, LTO-7 and later.
    Crc32c,
}

/// Logical block protection: each block carries four more bytes, checked by host and drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockProtection {
    /// The method; `None` is off.
    pub method: Option<ProtectionMethod>,
    /// Blocks written carry it.
    pub written: bool,
    /// Blocks read carry it.
    pub read: bool,
}

impl BlockProtection {
    /// Nothing is checked.
    pub const OFF: Self = Self { method: None, written: false, read: false };
    /// CRC-32C both ways.
    pub const CRC32C: Self = Self { method: Some(ProtectionMethod::Crc32c), written: true, read: true };
    /// Bytes of the checksum behind a block.
    pub const TRAILER: usize = 4;

    /// Reads subpage F0h of page 0Ah.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let fields = Fields::new("data protection page", bytes);
        if (fields.u8(0)? & 0x7F, fields.u8(1)?) != (0x40 | page::CONTROL, subpage::DATA_PROTECTION) {
            return Err(fields.invalid(0));
        }
        let method = match fields.u8(4)? {
            0 => None,
            1 => Some(ProtectionMethod::ReedSolomon),
            2 => Some(ProtectionMethod::Crc32c),
            _ => return Err(fields.invalid(4)),
        };
        let flags = fields.u8(6)?;
        Ok(Self { method, written: flags & WRITTEN != 0, read: flags & READ != 0 })
    }

    /// The subpage's 32 bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; 32];
        bytes[..4].copy_from_slice(&[0x40 | page::CONTROL, subpage::DATA_PROTECTION, 0, 28]);
        bytes[4] = match self.method {
            None => 0,
            Some(ProtectionMethod::ReedSolomon) => 1,
            Some(ProtectionMethod::Crc32c) => 2,
        };
        bytes[5] = if self.method.is_some() { 4 } else { 0 };
        bytes[6] = if self.written { WRITTEN } else { 0 } | if self.read { READ } else { 0 };
        bytes
    }
}

const WRITTEN: u8 = 0x80;
const READ: u8 = 0x40;

// === Page 10h, subpage 01h: device configuration extension ===

/// The device configuration extension page, as far as it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceExtension {
    /// Blocks before the end of data can only be written after ALLOW OVERWRITE (WRITE MODE 1).
    pub append_only: bool,
    /// Megabytes (10^6) before early warning at which the drive warns first (PEWS); 0 is never.
    pub early_warning_mb: u16,
    /// The page as it came: what is not named here goes back as it was.
    bytes: Vec<u8>,
}

impl DeviceExtension {
    /// As a drive has it by default.
    pub fn new(append_only: bool, early_warning_mb: u16) -> Self {
        let mut bytes = vec![0; 32];
        bytes[..4].copy_from_slice(&[0x40 | page::DEVICE_CONFIGURATION, subpage::EXTENSION, 0, 28]);
        Self { append_only, early_warning_mb, bytes }
    }

    /// Reads subpage 01h of page 10h.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let fields = Fields::new("device configuration extension", bytes);
        let codes = (fields.u8(0)? & 0x7F, fields.u8(1)?);
        if codes != (0x40 | page::DEVICE_CONFIGURATION, subpage::EXTENSION) {
            return Err(fields.invalid(0));
        }
        Ok(Self {
            append_only: fields.u8(5)? >> 4 == APPEND_ONLY,
            early_warning_mb: fields.u16(6)?,
            bytes: bytes.to_vec(),
        })
    }

    /// The subpage's bytes, for MODE SELECT too.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        // Reserved in MODE SELECT (PS).
        bytes[0] &= 0x7F;
        bytes[5] = bytes[5] & 0x0F | if self.append_only { APPEND_ONLY << 4 } else { 0 };
        bytes[6..8].copy_from_slice(&self.early_warning_mb.to_be_bytes());
        bytes
    }
}

const APPEND_ONLY: u8 = 1;
