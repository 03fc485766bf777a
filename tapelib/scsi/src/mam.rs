//! Medium auxiliary memory: the chip in a cartridge, read and written as attributes (SPC-5 7.4).

use crate::wire::{Fields, ParseError, len16};

/// Attribute ids that are used here; the chip has more.
pub mod attribute {
    /// Remaining capacity of the partition in MiB, 8 bytes. By the drive.
    pub const REMAINING_CAPACITY: u16 = 0x0000;
    /// Capacity of the partition in MiB, 8 bytes. By the drive.
    pub const MAXIMUM_CAPACITY: u16 = 0x0001;
    /// How often the cartridge was loaded, 8 bytes. By the drive.
    pub const LOAD_COUNT: u16 = 0x0003;
    /// Volume change reference: raised by the drive whenever the volume's content may have changed, 4 bytes on LTO.
    pub const VOLUME_CHANGE_REFERENCE: u16 = 0x0009;
    /// Maker of the medium, 8 ASCII bytes.
    pub const MANUFACTURER: u16 = 0x0400;
    /// Serial number of the medium, 32 ASCII bytes: what a cartridge is known by.
    pub const SERIAL: u16 = 0x0401;
    /// Density code the medium was made for, 1 byte.
    pub const MEDIUM_DENSITY: u16 = 0x0405;
    /// Medium type, 1 byte: 00h data, 01h cleaning, 80h WORM.
    pub const MEDIUM_TYPE: u16 = 0x0408;
    /// Application vendor, 8 ASCII bytes. By the host, as all that follow.
    pub const APPLICATION_VENDOR: u16 = 0x0800;
    /// Application name, 32 ASCII bytes.
    pub const APPLICATION_NAME: u16 = 0x0801;
    /// Application version, 8 ASCII bytes.
    pub const APPLICATION_VERSION: u16 = 0x0802;
    /// User medium text label, 160 text bytes.
    pub const TEXT_LABEL: u16 = 0x0803;
    /// Text localization identifier, 1 byte: 81h is UTF-8.
    pub const LOCALIZATION: u16 = 0x0805;
    /// Barcode, 32 ASCII bytes.
    pub const BARCODE: u16 = 0x0806;
    /// Media pool, 160 text bytes.
    pub const MEDIA_POOL: u16 = 0x0808;
    /// Application format version, 16 ASCII bytes.
    pub const FORMAT_VERSION: u16 = 0x080B;
    /// Volume coherency information, per partition.
    pub const VOLUME_COHERENCY: u16 = 0x080C;
}

/// Medium type of a cleaning cartridge ([`attribute::MEDIUM_TYPE`]).
pub const CLEANING: u8 = 0x01;
/// Medium type of a write-once cartridge.
pub const WRITE_ONCE: u8 = 0x80;

/// How an attribute's bytes are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributeFormat {
    /// 0: binary.
    Binary,
    /// 1: ASCII, padded with spaces.
    Ascii,
    /// 2: text in the character set of the localization identifier.
    Text,
}

/// One attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Its id.
    pub id: u16,
    /// Only the drive writes it.
    pub read_only: bool,
    /// How the bytes are meant.
    pub format: AttributeFormat,
    /// Its bytes. No bytes in WRITE ATTRIBUTE deletes the attribute.
    pub value: Vec<u8>,
}

impl Attribute {
    /// A binary attribute of the host's.
    pub fn binary(id: u16, value: &[u8]) -> Self {
        Self { id, read_only: false, format: AttributeFormat::Binary, value: value.to_vec() }
    }

    /// An attribute of the host's that is text, padded with spaces (or cut, at a character) to `width` bytes.
    pub fn padded(id: u16, format: AttributeFormat, text: &str, width: usize) -> Self {
        let mut value = Vec::with_capacity(width);
        for character in text.chars() {
            if value.len() + character.len_utf8() > width {
                break;
            }
            value.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        value.resize(width, b' ');
        Self { id, read_only: false, format, value }
    }

    /// Reads the attribute at the start of `bytes` (5 bytes of header, then the value) and tells how many it took.
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize), ParseError> {
        let fields = Fields::new("medium attribute", bytes);
        let flags = fields.u8(2)?;
        let format = match flags & 0x03 {
            0 => AttributeFormat::Binary,
            1 => AttributeFormat::Ascii,
            2 => AttributeFormat::Text,
            _ => return Err(fields.invalid(2)),
        };
        let length = usize::from(fields.u16(3)?);
        let value = fields.slice(5, length)?.to_vec();
        Ok((Self { id: fields.u16(0)?, read_only: flags & READ_ONLY != 0, format, value }, 5 + length))
    }

    /// The attribute's bytes. Panics on a value of 64 KiB or more.
    pub fn encode(&self) -> Vec<u8> {
        let format = match self.format {
            AttributeFormat::Binary => 0,
            AttributeFormat::Ascii => 1,
            AttributeFormat::Text => 2,
        };
        let mut bytes = Vec::with_capacity(5 + self.value.len());
        bytes.extend(self.id.to_be_bytes());
        bytes.push(if self.read_only { READ_ONLY | format } else { format });
        bytes.extend(len16(self.value.len()).to_be_bytes());
        bytes.extend_from_slice(&self.value);
        bytes
    }
}

/// Attributes behind a 4-byte length: what READ ATTRIBUTE answers and WRITE ATTRIBUTE sends.
///
/// An attribute cut by the allocation length is left out; one cut inside the stated length is an error.
pub fn parse_attributes(bytes: &[u8]) -> Result<Vec<Attribute>, ParseError> {
    let (list, complete) = list(bytes)?;
    let mut rest = list;
    let mut attributes = Vec::new();
    while !rest.is_empty() {
        match Attribute::parse(rest) {
            Ok((attribute, used)) => {
                attributes.push(attribute);
                rest = &rest[used..];
            }
            Err(ParseError::Truncated { .. }) if !complete => break,
            Err(error) => return Err(error),
        }
    }
    Ok(attributes)
}

/// The bytes for [`parse_attributes`]; the caller cuts them to the allocation length.
pub fn encode_attributes(attributes: &[Attribute]) -> Vec<u8> {
    behind_length(attributes.iter().flat_map(Attribute::encode).collect())
}

/// Attribute ids behind a 4-byte length: the list form of READ ATTRIBUTE.
pub fn parse_ids(bytes: &[u8]) -> Result<Vec<u16>, ParseError> {
    let (list, _) = list(bytes)?;
    Ok(list.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect())
}

/// The bytes for [`parse_ids`].
pub fn encode_ids(ids: &[u16]) -> Vec<u8> {
    behind_length(ids.iter().flat_map(|id| id.to_be_bytes()).collect())
}

fn list(bytes: &[u8]) -> Result<(&[u8], bool), ParseError> {
    let fields = Fields::new("attribute list", bytes);
    let stated = usize::try_from(fields.u32(0)?).map_err(|_| fields.invalid(0))?;
    let rest = &bytes[4..];
    Ok((&rest[..rest.len().min(stated)], rest.len() >= stated))
}

fn behind_length(list: Vec<u8>) -> Vec<u8> {
    let length = u32::try_from(list.len()).expect("attributes are a few KiB");
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend(list);
    bytes
}

const READ_ONLY: u8 = 0x80;
