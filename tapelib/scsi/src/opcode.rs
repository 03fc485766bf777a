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
pub const INITIALIZE_ELEMENT_STATUS_WITH_RANGE: u8 = 0x37;
pub const READ_POSITION: u8 = 0x34;
pub const REPORT_DENSITY_SUPPORT: u8 = 0x44;
pub const LOG_SENSE: u8 = 0x4D;
pub const MODE_SELECT_10: u8 = 0x55;
pub const MODE_SENSE_10: u8 = 0x5A;
pub const PERSISTENT_RESERVE_IN: u8 = 0x5E;
pub const PERSISTENT_RESERVE_OUT: u8 = 0x5F;
pub const ALLOW_OVERWRITE: u8 = 0x82;
pub const READ_ATTRIBUTE: u8 = 0x8C;
pub const WRITE_ATTRIBUTE: u8 = 0x8D;
pub const SPACE_16: u8 = 0x91;
pub const LOCATE_16: u8 = 0x92;
/// With service action 1Fh and qualifier 45h: READ END OF WRAP POSITION (LTO).
pub const MAINTENANCE_IN: u8 = 0xA3;
pub const MOVE_MEDIUM: u8 = 0xA5;
pub const READ_ELEMENT_STATUS: u8 = 0xB8;

/// The command with that name in lower case with underscores (`write_6`, `move_medium`), as configuration writes it.
pub fn by_name(name: &str) -> Option<u8> {
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, opcode)| *opcode)
}

const NAMES: &[(&str, u8)] = &[
    ("test_unit_ready", TEST_UNIT_READY),
    ("rewind", REWIND),
    ("request_sense", REQUEST_SENSE),
    ("format_medium", FORMAT_MEDIUM),
    ("read_block_limits", READ_BLOCK_LIMITS),
    ("initialize_element_status", INITIALIZE_ELEMENT_STATUS),
    ("read_6", READ_6),
    ("write_6", WRITE_6),
    ("write_filemarks_6", WRITE_FILEMARKS_6),
    ("space_6", SPACE_6),
    ("inquiry", INQUIRY),
    ("mode_select_6", MODE_SELECT_6),
    ("mode_sense_6", MODE_SENSE_6),
    ("load_unload", LOAD_UNLOAD),
    ("prevent_allow_medium_removal", PREVENT_ALLOW_MEDIUM_REMOVAL),
    ("initialize_element_status_with_range", INITIALIZE_ELEMENT_STATUS_WITH_RANGE),
    ("read_position", READ_POSITION),
    ("report_density_support", REPORT_DENSITY_SUPPORT),
    ("log_sense", LOG_SENSE),
    ("mode_select_10", MODE_SELECT_10),
    ("mode_sense_10", MODE_SENSE_10),
    ("persistent_reserve_in", PERSISTENT_RESERVE_IN),
    ("persistent_reserve_out", PERSISTENT_RESERVE_OUT),
    ("allow_overwrite", ALLOW_OVERWRITE),
    ("read_attribute", READ_ATTRIBUTE),
    ("write_attribute", WRITE_ATTRIBUTE),
    ("space_16", SPACE_16),
    ("locate_16", LOCATE_16),
    ("maintenance_in", MAINTENANCE_IN),
    ("move_medium", MOVE_MEDIUM),
    ("read_element_status", READ_ELEMENT_STATUS),
];
