//! How big a library is, and where its elements are.

use crate::Error;
use std::fmt;
use std::ops::Range;

/// Size of a virtual library. [`Geometry::default`] is the product's: 2 drives, 24 slots, 4 mail slots, 100 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Data transfer elements, 1 to 64.
    pub drives: u16,
    /// Storage elements, 1 to 10 000.
    pub slots: u16,
    /// Import/export elements, 0 to 240.
    pub mail_slots: u16,
    /// Capacity of a cartridge made for this library, record headers included. Existing cartridges keep theirs.
    pub cartridge_bytes: u64,
    /// Size of partition 0 when FORMAT MEDIUM makes two partitions of the drive's choice.
    pub index_partition_bytes: u64,
}

impl Default for Geometry {
    fn default() -> Self {
        Self {
            drives: 2,
            slots: 24,
            mail_slots: 4,
            cartridge_bytes: 100 << 30,
            index_partition_bytes: 5 << 30,
        }
    }
}

impl Geometry {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let refuse = |reason| Err(Error::Geometry { reason });
        match self {
            Self { drives: 0 | 65.., .. } => refuse("1 to 64 drives"),
            Self { slots: 0 | 10_001.., .. } => refuse("1 to 10000 slots"),
            Self { mail_slots: 241.., .. } => refuse("at most 240 mail slots"),
            Self { cartridge_bytes: ..CARTRIDGE_BYTES_MIN, .. } => refuse("cartridges of at least 1 MiB"),
            Self { index_partition_bytes: 0, .. } => refuse("an index partition of at least 1 byte"),
            Self { index_partition_bytes, cartridge_bytes, .. }
                if index_partition_bytes >= cartridge_bytes =>
            {
                refuse("an index partition smaller than the cartridge")
            }
            _ => Ok(()),
        }
    }

    /// Addresses of all elements of a kind.
    pub(crate) fn addresses(&self, kind: ElementKind) -> Range<u16> {
        match kind {
            ElementKind::Transport => TRANSPORT..TRANSPORT + 1,
            ElementKind::Storage => STORAGE_FIRST..STORAGE_FIRST + self.slots,
            ElementKind::ImportExport => IMPORT_EXPORT_FIRST..IMPORT_EXPORT_FIRST + self.mail_slots,
            ElementKind::Drive => DRIVE_FIRST..DRIVE_FIRST + self.drives,
        }
    }

    pub(crate) fn kind(&self, element: u16) -> Option<ElementKind> {
        ElementKind::ALL.into_iter().find(|&kind| self.addresses(kind).contains(&element))
    }

    /// Index of the drive at an element address.
    pub(crate) fn drive_index(&self, element: u16) -> Option<usize> {
        (self.kind(element) == Some(ElementKind::Drive)).then(|| usize::from(element - DRIVE_FIRST))
    }

    /// How many slots the first use fills with blank cartridges: five of six, so that transfers find room.
    pub(crate) fn cartridges_at_first(&self) -> u16 {
        self.slots - self.slots.div_ceil(6).min(self.slots - 1)
    }
}

/// Element type codes (SMC-3, 6.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ElementKind {
    Transport = 1,
    Storage = 2,
    ImportExport = 3,
    Drive = 4,
}

impl ElementKind {
    pub(crate) const ALL: [Self; 4] = [Self::Transport, Self::Storage, Self::ImportExport, Self::Drive];

    pub(crate) const fn code(self) -> u8 {
        self as u8
    }
}

/// The label a library reads from the outside of a cartridge; also the name of the cartridge's folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Barcode(String);

impl Barcode {
    /// 1 to 32 ASCII letters, digits, `-` or `_`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let fits = (1..=32).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if fits { Ok(Self(text.to_owned())) } else { Err(Error::Barcode { text: text.to_owned() }) }
    }

    /// The text on the label.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Barcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for Barcode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Barcode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <String as serde::Deserialize>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

const CARTRIDGE_BYTES_MIN: u64 = 1 << 20;
const TRANSPORT: u16 = 1;
const IMPORT_EXPORT_FIRST: u16 = 16;
const DRIVE_FIRST: u16 = 256;
const STORAGE_FIRST: u16 = 1000;

const _: () = assert!(IMPORT_EXPORT_FIRST + 240 <= DRIVE_FIRST && DRIVE_FIRST + 64 <= STORAGE_FIRST);
