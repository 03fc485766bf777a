//! Sense data as the devices of this library send it: fixed format, response codes 70h and 71h (SPC-5, 4.4.3).

/// Why a command did not end with GOOD: sense key, additional sense code and qualifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sense {
    key: u8,
    asc: u8,
    ascq: u8,
    filemark: bool,
    end_of_medium: bool,
    incorrect_length: bool,
    deferred: bool,
    information: Option<i64>,
}

impl Sense {
    /// Sense with the given key and codes and nothing else said.
    pub const fn new(key: u8, asc: u8, ascq: u8) -> Self {
        Self {
            key,
            asc,
            ascq,
            filemark: false,
            end_of_medium: false,
            incorrect_length: false,
            deferred: false,
            information: None,
        }
    }

    /// The FILEMARK bit: a filemark was met.
    pub const fn with_filemark(self) -> Self {
        Self { filemark: true, ..self }
    }

    /// The EOM bit: early warning, the end of the partition, or its beginning when moving backwards.
    pub const fn with_end_of_medium(self) -> Self {
        Self { end_of_medium: true, ..self }
    }

    /// The ILI bit: the block's length differs from the requested one.
    pub const fn with_incorrect_length(self) -> Self {
        Self { incorrect_length: true, ..self }
    }

    /// A deferred error (response code 71h): of an earlier command that had ended with GOOD, not of this one.
    pub const fn deferred(self) -> Self {
        Self { deferred: true, ..self }
    }

    /// The INFORMATION field: what was asked for minus what was done. A value that does not fit in 32 bits is left
    /// out and VALID stays 0.
    pub const fn with_information(self, information: i64) -> Self {
        Self { information: Some(information), ..self }
    }

    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![0u8; 18];
        bytes[0] = 0x70 | u8::from(self.deferred);
        bytes[2] = self.key
            | u8::from(self.filemark) << 7
            | u8::from(self.end_of_medium) << 6
            | u8::from(self.incorrect_length) << 5;
        bytes[7] = 10;
        bytes[12] = self.asc;
        bytes[13] = self.ascq;
        if let Some(field) = self.information.and_then(information_field) {
            bytes[0] |= 0x80;
            bytes[3..7].copy_from_slice(&field);
        }
        bytes
    }
}

/// Positive differences are unsigned, negative ones two's complement (SSC-5, 5.3).
fn information_field(value: i64) -> Option<[u8; 4]> {
    if value >= 0 {
        u32::try_from(value).ok().map(u32::to_be_bytes)
    } else {
        i32::try_from(value).ok().map(i32::to_be_bytes)
    }
}

// What the devices say, under the standards' words.

pub(crate) const NO_SENSE: Sense = Sense::new(0x0, 0x00, 0x00);
pub(crate) const FILEMARK_DETECTED: Sense = Sense::new(0x0, 0x00, 0x01).with_filemark();
pub(crate) const EARLY_WARNING: Sense = Sense::new(0x0, 0x00, 0x02).with_end_of_medium();
pub(crate) const BEGINNING_OF_PARTITION: Sense = Sense::new(0x0, 0x00, 0x04).with_end_of_medium();
pub(crate) const INCORRECT_LENGTH: Sense = Sense::new(0x0, 0x00, 0x00).with_incorrect_length();
pub(crate) const BECOMING_READY: Sense = Sense::new(0x2, 0x04, 0x01);
pub(crate) const NEEDS_LOAD: Sense = Sense::new(0x2, 0x04, 0x02);
pub(crate) const MEDIUM_NOT_PRESENT: Sense = Sense::new(0x2, 0x3A, 0x00);
pub(crate) const WRITE_ERROR: Sense = Sense::new(0x3, 0x0C, 0x00);
pub(crate) const UNRECOVERED_READ_ERROR: Sense = Sense::new(0x3, 0x11, 0x00);
pub(crate) const END_OF_DATA_NOT_FOUND: Sense = Sense::new(0x3, 0x14, 0x03);
pub(crate) const WRITE_APPEND_ERROR: Sense = Sense::new(0x3, 0x50, 0x00);
pub(crate) const MEDIUM_FORMAT_CORRUPTED: Sense = Sense::new(0x3, 0x31, 0x00);
pub(crate) const LOAD_FAILED: Sense = Sense::new(0x3, 0x53, 0x00);
pub(crate) const INTERNAL_FAILURE: Sense = Sense::new(0x4, 0x44, 0x00);
pub(crate) const INVALID_OPERATION_CODE: Sense = Sense::new(0x5, 0x20, 0x00);
pub(crate) const INVALID_ELEMENT_ADDRESS: Sense = Sense::new(0x5, 0x21, 0x01);
pub(crate) const INVALID_FIELD_IN_CDB: Sense = Sense::new(0x5, 0x24, 0x00);
pub(crate) const INVALID_FIELD_IN_PARAMETER_LIST: Sense = Sense::new(0x5, 0x26, 0x00);
pub(crate) const PARAMETER_LIST_LENGTH: Sense = Sense::new(0x5, 0x1A, 0x00);
pub(crate) const SAVING_NOT_SUPPORTED: Sense = Sense::new(0x5, 0x39, 0x00);
pub(crate) const NOT_AT_BEGINNING: Sense = Sense::new(0x5, 0x3B, 0x0C);
pub(crate) const DESTINATION_FULL: Sense = Sense::new(0x5, 0x3B, 0x0D);
pub(crate) const SOURCE_EMPTY: Sense = Sense::new(0x5, 0x3B, 0x0E);
pub(crate) const REMOVAL_PREVENTED: Sense = Sense::new(0x5, 0x53, 0x02);
pub(crate) const MEDIUM_MAY_HAVE_CHANGED: Sense = Sense::new(0x6, 0x28, 0x00);
pub(crate) const IMPORT_EXPORT_ACCESSED: Sense = Sense::new(0x6, 0x28, 0x01);
pub(crate) const POWER_ON: Sense = Sense::new(0x6, 0x29, 0x00);
pub(crate) const WRITE_PROTECTED: Sense = Sense::new(0x7, 0x27, 0x00);
pub(crate) const END_OF_DATA: Sense = Sense::new(0x8, 0x00, 0x05);
pub(crate) const VOLUME_OVERFLOW: Sense = Sense::new(0xD, 0x00, 0x02).with_end_of_medium();
