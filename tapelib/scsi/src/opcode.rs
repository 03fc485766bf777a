//! Operation codes (SPC-5, SSC-5, SMC-3), under the names the standards give them.

#![allow(missing_docs)] // each constant is named as the standard names the command

pub const TEST_UNIT_READY: u8 = 0x00;
pub const REWIND: u8 = 0x01;
pub const REQUEST_SENSE: u8 = 0x03;
pub const FORMAT_MEDIUM: u8 = 0x04;
pub const READ_BLOCK_LIMITS: u8 = 0x05;
pub const INITIALIZE_ELEMENT_STATUS: u8 = 0x07;
pub const READ_6: u8 = 0x08;
pub const WRITE_6: u8 = 0x0A;
pub const WRITE_FILEMARKS_6: u8 = 0x10;
pub const SPACE_6: u8 = 0x11;
pub const INQUIRY: u8 = 0x12;
pub const MODE_SELECT_6: u8 = 0x15;
pub const MODE_SENSE_6: u8 = 0x1A;
pub const LOAD_UNLOAD: u8 = 0x1B;
pub const PREVENT_ALLOW_MEDIUM_REMOVAL: u8 = 0x1E;
pub const READ_POSITION: u8 = 0x34;
pub const LOG_SENSE: u8 = 0x4D;
pub const MODE_SELECT_10: u8 = 0x55;
pub const MODE_SENSE_10: u8 = 0x5A;
pub const READ_ATTRIBUTE: u8 = 0x8C;
pub const WRITE_ATTRIBUTE: u8 = 0x8D;
pub const SPACE_16: u8 = 0x91;
pub const LOCATE_16: u8 = 0x92;
pub const MOVE_MEDIUM: u8 = 0xA5;
pub const READ_ELEMENT_STATUS: u8 = 0xB8;
