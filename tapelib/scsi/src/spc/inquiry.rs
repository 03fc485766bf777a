//! INQUIRY data and the vital product data pages (SPC-5 6.7, 7.7).

use crate::wire::{Fields, ParseError, len8, len16, padded_ascii, trimmed_ascii};

/// Vital product data page codes.
pub mod vpd {
    /// Which pages exist.
    pub const SUPPORTED: u8 = 0x00;
    /// The unit's serial number.
    pub const SERIAL: u8 = 0x80;
    /// Names of the unit, of its port and of its target device.
    pub const IDENTIFICATION: u8 = 0x83;
}

/// What kind of device answers (peripheral device type).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceType {
    /// 01h: a tape drive.
    Drive,
    /// 08h: a medium changer.
    Changer,
    /// Anything else, the 5-bit type as sent.
    Other(u8),
}

impl DeviceType {
    /// From the low five bits of a peripheral byte.
    pub fn from_byte(byte: u8) -> Self {
        match byte & 0x1F {
            0x01 => DeviceType::Drive,
            0x08 => DeviceType::Changer,
            other => DeviceType::Other(other),
        }
    }

    /// The five-bit type.
    pub fn byte(self) -> u8 {
        match self {
            DeviceType::Drive => 0x01,
            DeviceType::Changer => 0x08,
            DeviceType::Other(other) => other & 0x1F,
        }
    }
}

/// Standard INQUIRY data, as far as it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InquiryData {
    /// What answers. The qualifier is kept apart in `connected`.
    pub device_type: DeviceType,
    /// False when no device is behind this unit number (qualifier other than 000b).
    pub connected: bool,
    /// Up to 8 characters, trimmed.
    pub vendor: String,
    /// Up to 16 characters, trimmed.
    pub product: String,
    /// Up to 4 characters, trimmed.
    pub revision: String,
}

impl InquiryData {
    /// Reads the first 36 bytes or more of standard INQUIRY data.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let fields = Fields::new("INQUIRY data", bytes);
        let peripheral = fields.u8(0)?;
        Ok(Self {
            device_type: DeviceType::from_byte(peripheral),
            connected: peripheral & 0xE0 == 0,
            vendor: trimmed_ascii(fields.slice(8, 8)?),
            product: trimmed_ascii(fields.slice(16, 16)?),
            revision: trimmed_ascii(fields.slice(32, 4)?),
        })
    }

    /// 36 bytes: removable medium, SPC-5, response format 2.
    pub fn encode(&self) -> Vec<u8> {
        let qualifier = if self.connected { 0 } else { 0x60 };
        let mut bytes = vec![qualifier | self.device_type.byte(), 0x80, 0x07, 0x02, 31, 0, 0, 0x02];
        bytes.extend(padded_ascii(&self.vendor, 8));
        bytes.extend(padded_ascii(&self.product, 16));
        bytes.extend(padded_ascii(&self.revision, 4));
        bytes
    }
}

/// The body of a vital product data page: checks the page code and takes the bytes its length names (fewer when the
/// reply was cut by the allocation length).
pub fn vpd_body(page: u8, bytes: &[u8]) -> Result<&[u8], ParseError> {
    let fields = Fields::new("vital product data", bytes);
    if fields.u8(1)? != page {
        return Err(fields.invalid(1));
    }
    let length = usize::from(fields.u16(2)?);
    let body = fields.slice(4, 0)?.len() + 4;
    Ok(&bytes[body..bytes.len().min(body + length)])
}

/// A vital product data page with its header.
///
/// Panics on a body of 64 KiB or more.
pub fn vpd_page(device_type: DeviceType, page: u8, body: &[u8]) -> Vec<u8> {
    let [a, b] = len16(body.len()).to_be_bytes();
    let mut bytes = vec![device_type.byte(), page, a, b];
    bytes.extend_from_slice(body);
    bytes
}

/// The serial number in page 80h, trimmed.
pub fn parse_serial(bytes: &[u8]) -> Result<String, ParseError> {
    Ok(trimmed_ascii(vpd_body(vpd::SERIAL, bytes)?))
}

/// One name of page 83h, also found in READ ELEMENT STATUS as a drive's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Designator {
    /// 1 binary, 2 ASCII, 3 UTF-8.
    pub code_set: u8,
    /// 0 vendor specific, 1 T10 vendor id based, 2 EUI-64, 3 NAA, ...
    pub kind: u8,
    /// 0 the unit, 1 its port, 2 its target device.
    pub association: u8,
    /// The name's bytes, at most 255.
    pub identifier: Vec<u8>,
}

impl Designator {
    /// The T10 form: vendor (8), product (16) and serial number, in ASCII.
    pub fn t10(vendor: &str, product: &str, serial: &str) -> Self {
        let mut identifier = padded_ascii(vendor, 8);
        identifier.extend(padded_ascii(product, 16));
        identifier.extend(padded_ascii(serial, serial.chars().count().min(64)));
        Self { code_set: 2, kind: 1, association: 0, identifier }
    }

    /// The serial number inside, when the form has one: what follows vendor and product in the T10 form; in a maker's
    /// own form the last word, which is all of it, or follows vendor and product there too.
    pub fn serial(&self) -> Option<String> {
        let text = match (self.code_set, self.kind) {
            (2 | 3, 1) if self.identifier.len() > T10_HEAD => trimmed_ascii(&self.identifier[T10_HEAD..]),
            (2 | 3, 0 | 1) => trimmed_ascii(&self.identifier),
            _ => return None,
        };
        text.split_whitespace().next_back().map(str::to_owned)
    }

    /// Reads the designator at the start of `bytes` and tells how many bytes it took.
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize), ParseError> {
        let fields = Fields::new("designator", bytes);
        let length = usize::from(fields.u8(3)?);
        let designator = Self {
            code_set: fields.u8(0)? & 0x0F,
            kind: fields.u8(1)? & 0x0F,
            association: (fields.u8(1)? >> 4) & 0x03,
            identifier: fields.slice(4, length)?.to_vec(),
        };
        Ok((designator, 4 + length))
    }

    /// The designator's bytes.
    ///
    /// Panics on an identifier over 255 bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![
            self.code_set & 0x0F,
            (self.association & 0x03) << 4 | self.kind & 0x0F,
            0,
            len8(self.identifier.len()),
        ];
        bytes.extend_from_slice(&self.identifier);
        bytes
    }
}

/// Bytes of vendor and product before the serial number.
const T10_HEAD: usize = 24;

/// All names in page 83h.
pub fn parse_designators(bytes: &[u8]) -> Result<Vec<Designator>, ParseError> {
    let mut rest = vpd_body(vpd::IDENTIFICATION, bytes)?;
    let mut designators = Vec::new();
    while !rest.is_empty() {
        let (designator, used) = Designator::parse(rest)?;
        designators.push(designator);
        rest = &rest[used..];
    }
    Ok(designators)
}
