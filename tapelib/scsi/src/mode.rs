//! MODE SENSE and MODE SELECT data (SPC-5 7.5, SSC-5 8.5, SMC-3 7.3): header, block descriptor, pages.

mod device;

pub use device::{BlockProtection, Control, DeviceExtension, ProtectionMethod, subpage};

use crate::limits::PARTITIONS_MAX;
use crate::smc::{ElementAddress, ElementKind};
use crate::spc::ModeForm;
use crate::wire::{Fields, ParseError, be24, len8, len16};

/// Page codes.
pub mod page {
    /// Control; with a subpage, control data protection.
    pub const CONTROL: u8 = 0x0A;
    /// Device configuration (drive), with its extension as a subpage.
    pub const DEVICE_CONFIGURATION: u8 = 0x10;
    /// Data compression (drive).
    pub const COMPRESSION: u8 = 0x0F;
    /// Medium partition (drive).
    pub const MEDIUM_PARTITION: u8 = 0x11;
    /// Element address assignment (changer).
    pub const ELEMENT_ADDRESSES: u8 = 0x1D;
    /// Every page there is.
    pub const ALL: u8 = 0x3F;
}

/// A mode parameter list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModeData {
    /// Medium type; for LTO the generation of the cartridge.
    pub medium_type: u8,
    /// The medium cannot be written (drives; MODE SENSE only).
    pub write_protected: bool,
    /// Buffered mode, 3 bits: 1 means that GOOD for a WRITE says "in the drive's buffer".
    pub buffered: u8,
    /// The block descriptor, when there is one.
    pub block: Option<BlockDescriptor>,
    /// The pages, one after another, each with its own header.
    pub pages: Vec<u8>,
}

/// Block descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockDescriptor {
    /// Density code; 0 in MODE SELECT leaves it as it is.
    pub density: u8,
    /// Number of blocks, 24 bits; 0 means all.
    pub blocks: u32,
    /// Block length in bytes, 24 bits; 0 means variable.
    pub block_length: u32,
}

impl ModeData {
    /// Reads a MODE SENSE reply, within the length it states.
    pub fn parse_sense(form: ModeForm, bytes: &[u8]) -> Result<Self, ParseError> {
        let fields = Fields::new("mode data", bytes);
        let stated = match form {
            ModeForm::Six => 1 + usize::from(fields.u8(0)?),
            ModeForm::Ten => 2 + usize::from(fields.u16(0)?),
        };
        Self::parse_select(form, &bytes[..stated.min(bytes.len())])
    }

    /// Reads a MODE SELECT parameter list; its length field is reserved and ignored.
    pub fn parse_select(form: ModeForm, bytes: &[u8]) -> Result<Self, ParseError> {
        let fields = Fields::new("mode data", bytes);
        let (header, at, descriptors) = match form {
            ModeForm::Six => (4, 1, usize::from(fields.u8(3)?)),
            ModeForm::Ten => (8, 2, usize::from(fields.u16(6)?)),
        };
        let device_specific = fields.u8(at + 1)?;
        let descriptor = Fields::new("block descriptor", fields.slice(header, descriptors)?);
        let block = match descriptors {
            0 => None,
            _ => Some(BlockDescriptor {
                density: descriptor.u8(0)?,
                blocks: descriptor.u24(1)?,
                block_length: descriptor.u24(5)?,
            }),
        };
        Ok(Self {
            medium_type: fields.u8(at)?,
            write_protected: device_specific & WRITE_PROTECTED != 0,
            buffered: (device_specific >> 4) & 0x07,
            block,
            pages: bytes[header + descriptors..].to_vec(),
        })
    }

    /// A MODE SENSE reply; the caller cuts it to the allocation length.
    ///
    /// Panics when the list is too long for the form.
    pub fn encode_sense(&self, form: ModeForm) -> Vec<u8> {
        let mut bytes = self.encode_select(form);
        if self.write_protected {
            bytes[match form {
                ModeForm::Six => 2,
                ModeForm::Ten => 3,
            }] |= WRITE_PROTECTED;
        }
        match form {
            ModeForm::Six => bytes[0] = len8(bytes.len() - 1),
            ModeForm::Ten => {
                let length = len16(bytes.len() - 2).to_be_bytes();
                bytes[..2].copy_from_slice(&length);
            }
        }
        bytes
    }

    /// A MODE SELECT parameter list: reserved fields are zero.
    ///
    /// Panics when a 24-bit field of the block descriptor is larger than that.
    pub fn encode_select(&self, form: ModeForm) -> Vec<u8> {
        let buffered = (self.buffered & 0x07) << 4;
        let descriptors = if self.block.is_some() { 8 } else { 0 };
        let mut bytes = match form {
            ModeForm::Six => vec![0, self.medium_type, buffered, descriptors],
            ModeForm::Ten => vec![0, 0, self.medium_type, buffered, 0, 0, 0, descriptors],
        };
        if let Some(block) = self.block {
            bytes.push(block.density);
            bytes.extend(be24(block.blocks));
            bytes.push(0);
            bytes.extend(be24(block.block_length));
        }
        bytes.extend_from_slice(&self.pages);
        bytes
    }

    /// The bytes of the page with that code (its 2-byte header included), if it is there with subpage 0.
    pub fn page(&self, code: u8) -> Result<Option<&[u8]>, ParseError> {
        self.subpage(code, 0)
    }

    /// The bytes of the subpage with that code (its 2- or 4-byte header included), if it is there.
    pub fn subpage(&self, code: u8, subcode: u8) -> Result<Option<&[u8]>, ParseError> {
        let mut rest = &self.pages[..];
        while !rest.is_empty() {
            let fields = Fields::new("mode page", rest);
            let (found, length) = match fields.u8(0)? & SUBPAGE_FORMAT != 0 {
                true => (fields.u8(1)?, 4 + usize::from(fields.u16(2)?)),
                false => (0, 2 + usize::from(fields.u8(1)?)),
            };
            if found == subcode && rest[0] & 0x3F == code {
                // A page cut by the allocation length is the reader's business: its parser knows what it needs.
                return Ok(Some(&rest[..length.min(rest.len())]));
            }
            rest = rest.get(length..).unwrap_or_default();
        }
        Ok(None)
    }
}

const WRITE_PROTECTED: u8 = 0x80;
const SUBPAGE_FORMAT: u8 = 0x40;

// === Page 1Dh: element address assignment ===

/// Where each kind of element begins and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ElementAddresses {
    /// The robot's arms.
    pub transport: ElementRange,
    /// Slots.
    pub storage: ElementRange,
    /// Mail slots.
    pub import_export: ElementRange,
    /// Drives.
    pub drive: ElementRange,
}

/// A run of element addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ElementRange {
    /// The first address.
    pub first: ElementAddress,
    /// How many there are.
    pub count: u16,
}

impl ElementAddresses {
    /// Reads page 1Dh.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let fields = Fields::new("element address page", bytes);
        if fields.u8(0)? & 0x3F != page::ELEMENT_ADDRESSES {
            return Err(fields.invalid(0));
        }
        let range = |at: usize| -> Result<ElementRange, ParseError> {
            Ok(ElementRange { first: ElementAddress(fields.u16(at)?), count: fields.u16(at + 2)? })
        };
        Ok(Self { transport: range(2)?, storage: range(6)?, import_export: range(10)?, drive: range(14)? })
    }

    /// The page's 20 bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![page::ELEMENT_ADDRESSES, 18];
        for kind in ElementKind::ALL {
            let range = self.range(kind);
            bytes.extend(range.first.0.to_be_bytes());
            bytes.extend(range.count.to_be_bytes());
        }
        bytes.extend([0, 0]);
        bytes
    }

    /// The run of one kind.
    pub fn range(&self, kind: ElementKind) -> ElementRange {
        match kind {
            ElementKind::Transport => self.transport,
            ElementKind::Storage => self.storage,
            ElementKind::ImportExport => self.import_export,
            ElementKind::Drive => self.drive,
        }
    }
}

// === Page 11h: medium partition ===

/// The partitions FORMAT MEDIUM shall make, or those that are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediumPartition {
    /// How many partitions beyond the first the drive can make. The drive's own value, as the next two.
    pub additional_max: u8,
    /// The partitions are made by FORMAT MEDIUM and not already by MODE SELECT (POFM).
    pub on_format: bool,
    /// Which media the drive recognises by itself (medium format recognition).
    pub recognition: u8,
    /// Sizes are counted in units of ten to this power, in bytes.
    pub unit_exponent: u8,
    /// One size for each partition; [`MediumPartition::REST`] takes what is left. One to four partitions.
    pub sizes: Vec<u16>,
}

impl MediumPartition {
    /// The size that takes what is left of the medium.
    pub const REST: u16 = 0xFFFF;

    /// Reads page 11h with sizes chosen by the host (IDP) or none.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let fields = Fields::new("medium partition page", bytes);
        if fields.u8(0)? & 0x3F != page::MEDIUM_PARTITION {
            return Err(fields.invalid(0));
        }
        let count = 1 + usize::from(fields.u8(3)?);
        if count > PARTITIONS_MAX {
            return Err(fields.invalid(3));
        }
        let unit_exponent = match fields.u8(4)? & UNITS_MASK {
            0x00 => 0,
            0x08 => 3,
            0x10 => 6,
            _ => fields.u8(6)? & 0x0F,
        };
        let sizes = (0..count).map(|index| fields.u16(8 + 2 * index)).collect::<Result<_, _>>()?;
        Ok(Self {
            additional_max: fields.u8(2)?,
            on_format: fields.u8(4)? & ON_FORMAT != 0,
            recognition: fields.u8(5)?,
            unit_exponent,
            sizes,
        })
    }

    /// The page's bytes, with the host choosing the sizes (IDP) and sizes in powers of ten.
    ///
    /// Panics when there is no partition, or more than four.
    pub fn encode(&self) -> Vec<u8> {
        let count = self.sizes.len();
        assert!((1..=PARTITIONS_MAX).contains(&count), "{count} partitions");
        let additional = len8(count - 1);
        let flags = CHOSEN_BY_HOST | UNITS_MASK | if self.on_format { ON_FORMAT } else { 0 };
        let mut bytes = vec![page::MEDIUM_PARTITION, 6 + 2 * len8(count), self.additional_max, additional];
        bytes.extend([flags, self.recognition, self.unit_exponent & 0x0F, 0]);
        bytes.extend(self.sizes.iter().flat_map(|size| size.to_be_bytes()));
        bytes
    }
}

const CHOSEN_BY_HOST: u8 = 0x20;
const UNITS_MASK: u8 = 0x18;
const ON_FORMAT: u8 = 0x04;

// === Page 0Fh: data compression ===

/// The data compression page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression {
    /// The drive compresses what it writes (DCE).
    pub enabled: bool,
    /// It could (DCC).
    pub capable: bool,
}

impl Compression {
    /// Reads page 0Fh.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let fields = Fields::new("compression page", bytes);
        if fields.u8(0)? & 0x3F != page::COMPRESSION {
            return Err(fields.invalid(0));
        }
        let flags = fields.u8(2)?;
        Ok(Self { enabled: flags & 0x80 != 0, capable: flags & 0x40 != 0 })
    }

    /// The page's 16 bytes; decompression stays on, the algorithm is the drive's default.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; 16];
        bytes[..2].copy_from_slice(&[page::COMPRESSION, 14]);
        bytes[2] = u8::from(self.enabled) << 7 | u8::from(self.capable) << 6;
        bytes[3] = 0x80;
        bytes
    }
}
