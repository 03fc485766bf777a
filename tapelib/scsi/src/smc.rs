//! What a medium changer answers (SMC-3): commands, elements and the element status report.

use std::fmt;

use crate::command::DecodeError;
use crate::condition::Class;
use crate::spc::Designator;
use crate::wire::{Fields, ParseError, be24, len16, padded_ascii};
use crate::{Cdb, opcode};

/// A medium changer command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// INITIALIZE ELEMENT STATUS: the robot looks everywhere, for minutes.
    InitializeElementStatus,
    /// INITIALIZE ELEMENT STATUS WITH RANGE: the robot looks at some elements only.
    InitializeRange {
        /// The first.
        start: ElementAddress,
        /// How many.
        count: u16,
    },
    /// READ ELEMENT STATUS.
    ReadElementStatus(ElementQuery),
    /// MOVE MEDIUM.
    MoveMedium {
        /// The robot's arm; address 0 lets the library choose.
        transport: ElementAddress,
        /// Where the cartridge is.
        source: ElementAddress,
        /// Where it goes.
        destination: ElementAddress,
    },
}

/// What READ ELEMENT STATUS asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ElementQuery {
    /// One kind, or `None` for all.
    pub kind: Option<ElementKind>,
    /// With barcodes (VolTag).
    pub volume_tags: bool,
    /// Elements at this address and above.
    pub start: ElementAddress,
    /// At most so many.
    pub count: u16,
    /// What the library knows, without moving the robot (CurData).
    pub current_data: bool,
    /// With the drives' identities (DVCID).
    pub device_ids: bool,
    /// Allocation length, 24 bits.
    pub allocation: u32,
}

impl Command {
    /// The command descriptor block. Panics when an allocation length exceeds 24 bits.
    pub fn cdb(&self) -> Cdb {
        match *self {
            Command::InitializeElementStatus => Cdb::new(&[opcode::INITIALIZE_ELEMENT_STATUS, 0, 0, 0, 0, 0]),
            Command::InitializeRange { start, count } => {
                let ([s, t], [n, o]) = (start.0.to_be_bytes(), count.to_be_bytes());
                Cdb::new(&[opcode::INITIALIZE_ELEMENT_STATUS_WITH_RANGE, RANGE, s, t, 0, 0, n, o, 0, 0])
            }
            Command::ReadElementStatus(query) => {
                let tags = if query.volume_tags { VOLUME_TAGS } else { 0 };
                let current = if query.current_data { CURRENT_DATA } else { 0 };
                let [s, t] = query.start.0.to_be_bytes();
                let [n, o] = query.count.to_be_bytes();
                let [a, b, c] = be24(query.allocation);
                let flags = current | u8::from(query.device_ids);
                let kind = query.kind.map_or(0, ElementKind::code);
                Cdb::new(&[opcode::READ_ELEMENT_STATUS, tags | kind, s, t, n, o, flags, a, b, c, 0, 0])
            }
            Command::MoveMedium { transport, source, destination } => {
                let ([t, u], [s, r], [d, e]) =
                    (transport.0.to_be_bytes(), source.0.to_be_bytes(), destination.0.to_be_bytes());
                Cdb::new(&[opcode::MOVE_MEDIUM, 0, t, u, s, r, d, e, 0, 0, 0, 0])
            }
        }
    }

    pub(crate) fn class(&self) -> Class {
        match self {
            Command::MoveMedium { .. } => Class::Move,
            _ => Class::Question,
        }
    }

    /// `None` when the operation code is not one of this standard's.
    pub(crate) fn decode(cdb: &Cdb) -> Option<Result<Self, DecodeError>> {
        let b = cdb.padded();
        let address = |at: usize| ElementAddress(u16::from_be_bytes([b[at], b[at + 1]]));
        Some(Ok(match b[0] {
            opcode::INITIALIZE_ELEMENT_STATUS => Command::InitializeElementStatus,
            opcode::INITIALIZE_ELEMENT_STATUS_WITH_RANGE => {
                Command::InitializeRange { start: address(2), count: address(6).0 }
            }
            opcode::READ_ELEMENT_STATUS => {
                let kind = match b[1] & 0x0F {
                    0 => None,
                    code => match ElementKind::from_code(code) {
                        Some(kind) => Some(kind),
                        None => return Some(Err(DecodeError::InvalidField { byte: 1 })),
                    },
                };
                Command::ReadElementStatus(ElementQuery {
                    kind,
                    volume_tags: b[1] & VOLUME_TAGS != 0,
                    start: address(2),
                    count: address(4).0,
                    current_data: b[6] & CURRENT_DATA != 0,
                    device_ids: b[6] & 1 != 0,
                    allocation: u32::from_be_bytes([0, b[7], b[8], b[9]]),
                })
            }
            opcode::MOVE_MEDIUM => {
                Command::MoveMedium { transport: address(2), source: address(4), destination: address(6) }
            }
            _ => return None,
        }))
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::InitializeElementStatus => write!(f, "initialize element status"),
            Command::InitializeRange { start, count } => {
                write!(f, "initialize status of {count} elements from {start}")
            }
            Command::ReadElementStatus(ElementQuery { kind: Some(kind), .. }) => {
                write!(f, "read element status of every {kind}")
            }
            Command::ReadElementStatus(_) => write!(f, "read element status"),
            Command::MoveMedium { source, destination, .. } => {
                write!(f, "move from element {source} to {destination}")
            }
        }
    }
}

const RANGE: u8 = 0x01;
const VOLUME_TAGS: u8 = 0x10;
const CURRENT_DATA: u8 = 0x02;

// === Elements ===

/// The number a library gives to a place a cartridge can be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ElementAddress(pub u16);

impl fmt::Display for ElementAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What kind of place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ElementKind {
    /// 1: the robot's arm.
    Transport,
    /// 2: a slot.
    Storage,
    /// 3: a mail slot, where an operator puts in and takes out.
    ImportExport,
    /// 4: a drive.
    Drive,
}

impl ElementKind {
    /// All kinds, in the order of their codes.
    pub const ALL: [Self; 4] = [Self::Transport, Self::Storage, Self::ImportExport, Self::Drive];

    /// The element type code.
    pub fn code(self) -> u8 {
        match self {
            ElementKind::Transport => 1,
            ElementKind::Storage => 2,
            ElementKind::ImportExport => 3,
            ElementKind::Drive => 4,
        }
    }

    /// The kind with that element type code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

impl fmt::Display for ElementKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ElementKind::Transport => "arm",
            ElementKind::Storage => "slot",
            ElementKind::ImportExport => "mail slot",
            ElementKind::Drive => "drive",
        })
    }
}

/// The label of a cartridge as the library's scanner reads it: 1 to 32 printable ASCII characters, no space around.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Barcode(String);

impl Barcode {
    /// `None` for an empty, overlong or unprintable label.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_matches([' ', '\0']);
        let printable = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        (printable && (1..=Self::LENGTH_MAX).contains(&text.len())).then(|| Self(text.to_owned()))
    }

    /// The label's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    const LENGTH_MAX: usize = 32;
}

impl fmt::Display for Barcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One place in a library and what is in it, as the library says now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// Its number.
    pub address: ElementAddress,
    /// What kind of place.
    pub kind: ElementKind,
    /// A cartridge is in it.
    pub full: bool,
    /// The cartridge's label, when there is one that can be read.
    pub barcode: Option<Barcode>,
    /// Where the cartridge was taken from, when the library remembers.
    pub source: Option<ElementAddress>,
    /// The robot can reach it now. (A loaded drive may say no until it has unloaded.)
    pub access: bool,
    /// Mail slots: an operator put the cartridge there, not the robot.
    pub placed_by_operator: bool,
    /// Something is wrong with the place: additional sense code and qualifier.
    pub exception: Option<(u8, u8)>,
    /// Drives: the name of the drive that sits there.
    pub device: Option<Designator>,
}

impl Element {
    /// An empty, accessible place.
    pub fn empty(address: ElementAddress, kind: ElementKind) -> Self {
        Self {
            address,
            kind,
            full: false,
            barcode: None,
            source: None,
            access: true,
            placed_by_operator: false,
            exception: None,
            device: None,
        }
    }

    /// The serial number of the drive that sits there. Map drives to elements by this, never by order.
    pub fn drive_serial(&self) -> Option<String> {
        self.device.as_ref().and_then(Designator::serial)
    }
}

// === Element status report ===

/// An element status report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElementStatus {
    /// The elements that fit the reply, in its order.
    pub elements: Vec<Element>,
    /// Bytes the whole report needs, its 8-byte header included; more than was read means: ask again with more room.
    pub bytes_needed: usize,
}

impl ElementStatus {
    /// Reads a report by its own lengths. A last descriptor that was cut short counts when its first 12 bytes are
    /// there (a label or a name that was cut is left out): some libraries count their report 8 bytes too short.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let report = Fields::new("element status", bytes);
        let bytes_needed = 8 + as_usize(report.u24(5)?);
        let end = bytes_needed.min(bytes.len());
        let mut elements = Vec::new();
        let mut at = 8;
        while at + PAGE_HEADER <= end {
            let page = Fields::new("element status page", &bytes[at..end]);
            let kind = ElementKind::from_code(page.u8(0)?).ok_or(page.invalid(0))?;
            let (flags, stride) = (page.u8(1)?, usize::from(page.u16(2)?));
            if stride < DESCRIPTOR_MIN {
                return Err(page.invalid(2));
            }
            let length = as_usize(page.u24(5)?);
            let body = &page.bytes[PAGE_HEADER..page.bytes.len().min(PAGE_HEADER + length)];
            for descriptor in body.chunks(stride).filter(|cut| cut.len() >= DESCRIPTOR_MIN) {
                elements.push(parse_descriptor(kind, flags, descriptor)?);
            }
            at += PAGE_HEADER + length;
        }
        Ok(Self { elements, bytes_needed })
    }

    /// The report's bytes for `elements` (sorted by kind first), with or without labels and identities; the caller
    /// cuts it to the allocation length.
    ///
    /// Panics when the report exceeds 24 bits, or when a drive's name exceeds 255 bytes.
    pub fn encode(elements: &[Element], volume_tags: bool, device_ids: bool) -> Vec<u8> {
        let first = elements.iter().map(|element| element.address.0).min().unwrap_or(0);
        let mut pages = Vec::new();
        for page in elements.chunk_by(|a, b| a.kind == b.kind) {
            let mut descriptors: Vec<Vec<u8>> =
                page.iter().map(|element| descriptor(element, volume_tags, device_ids)).collect();
            let stride = descriptors.iter().map(Vec::len).max().unwrap_or(DESCRIPTOR_MIN);
            descriptors.iter_mut().for_each(|bytes| bytes.resize(stride, 0));
            pages.extend([page[0].kind.code(), if volume_tags { PRIMARY_TAG } else { 0 }]);
            pages.extend(len16(stride).to_be_bytes());
            pages.push(0);
            pages.extend(be24(as_u32(stride * page.len())));
            pages.extend(descriptors.concat());
        }
        let mut bytes = Vec::with_capacity(8 + pages.len());
        bytes.extend(first.to_be_bytes());
        bytes.extend(len16(elements.len()).to_be_bytes());
        bytes.push(0);
        bytes.extend(be24(as_u32(pages.len())));
        bytes.extend(pages);
        bytes
    }
}

fn parse_descriptor(kind: ElementKind, page: u8, bytes: &[u8]) -> Result<Element, ParseError> {
    let fields = Fields::new("element descriptor", bytes);
    let flags = fields.u8(2)?;
    let mut at = DESCRIPTOR_MIN;
    let mut barcode = None;
    if page & PRIMARY_TAG != 0 {
        barcode = fields
            .slice(at, TAG_TEXT)
            .ok()
            .and_then(|tag| std::str::from_utf8(tag).ok())
            .and_then(Barcode::parse);
        at += TAG;
    }
    if page & ALTERNATE_TAG != 0 {
        at += TAG;
    }
    let device = bytes
        .get(at..)
        .and_then(|rest| Designator::parse(rest).ok())
        .map(|(designator, _)| designator)
        .filter(|designator| kind == ElementKind::Drive && !designator.identifier.is_empty());
    Ok(Element {
        address: ElementAddress(fields.u16(0)?),
        kind,
        full: flags & FULL != 0,
        barcode,
        source: (fields.u8(9)? & SOURCE_VALID != 0).then_some(ElementAddress(fields.u16(10)?)),
        // The arm has no such flag: it reaches itself.
        access: kind == ElementKind::Transport || flags & ACCESS != 0,
        placed_by_operator: kind == ElementKind::ImportExport && flags & PLACED_BY_OPERATOR != 0,
        exception: (flags & EXCEPTION != 0).then_some((fields.u8(4)?, fields.u8(5)?)),
        device,
    })
}

fn descriptor(element: &Element, volume_tags: bool, device_ids: bool) -> Vec<u8> {
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    let mail = element.kind == ElementKind::ImportExport;
    let [a, b] = element.address.0.to_be_bytes();
    let (asc, ascq) = element.exception.unwrap_or((0, 0));
    let [s, t] = element.source.map_or(0, |source| source.0).to_be_bytes();
    let state = flag(element.full, FULL)
        | flag(element.placed_by_operator && mail, PLACED_BY_OPERATOR)
        | flag(element.exception.is_some(), EXCEPTION)
        | flag(element.access && element.kind != ElementKind::Transport, ACCESS)
        | flag(mail, EXPORT_ENABLED | IMPORT_ENABLED);
    let valid = flag(element.source.is_some(), SOURCE_VALID);
    let mut bytes = vec![a, b, state, 0, asc, ascq, 0, 0, 0, valid, s, t];
    if volume_tags {
        match &element.barcode {
            Some(barcode) => bytes.extend(padded_ascii(barcode.as_str(), TAG_TEXT)),
            None => bytes.extend([0; TAG_TEXT]),
        }
        bytes.extend([0; TAG - TAG_TEXT]);
    }
    match &element.device {
        Some(device) if device_ids => bytes.extend(device.encode()),
        _ => bytes.extend([0; 4]),
    }
    bytes
}

fn as_usize(value: u32) -> usize {
    usize::try_from(value).expect("a 24-bit length fits a machine word")
}

fn as_u32(length: usize) -> u32 {
    u32::try_from(length).expect("a report of at most 65535 elements fits 32 bits")
}

const PAGE_HEADER: usize = 8;
const DESCRIPTOR_MIN: usize = 12;
const TAG: usize = 36;
const TAG_TEXT: usize = 32;
const PRIMARY_TAG: u8 = 0x80;
const ALTERNATE_TAG: u8 = 0x40;
const FULL: u8 = 0x01;
const PLACED_BY_OPERATOR: u8 = 0x02;
const EXCEPTION: u8 = 0x04;
const ACCESS: u8 = 0x08;
const EXPORT_ENABLED: u8 = 0x10;
const IMPORT_ENABLED: u8 = 0x20;
const SOURCE_VALID: u8 = 0x80;
