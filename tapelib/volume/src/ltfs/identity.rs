//! Who a volume is: the names that must match before a byte is written.

use std::fmt;

macro_rules! uuid_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(uuid::Uuid);

        impl $name {
            /// From the number whose 16 big-endian bytes are the UUID.
            pub fn from_u128(value: u128) -> Self {
                Self(uuid::Uuid::from_u128(value))
            }

            /// The number whose 16 big-endian bytes are the UUID.
            pub fn as_u128(self) -> u128 {
                self.0.as_u128()
            }

            /// Reads the 36-character form; `None` when it is anything else.
            pub fn parse(text: &str) -> Option<Self> {
                if text.len() != 36 {
                    return None;
                }
                uuid::Uuid::try_parse(text).ok().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.as_hyphenated(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

uuid_newtype! {
    /// The LTFS volume UUID: made when a cartridge is labelled, written in both labels and in every index.
    VolumeUuid
}

uuid_newtype! {
    /// The catalog that owns a volume; a volume of another catalog is never written.
    CatalogId
}

/// The volume serial of the VOL1 label: exactly six characters `A-Z 0-9`, taken from the barcode.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VolumeSerial([u8; 6]);

impl VolumeSerial {
    /// Reads six characters `A-Z 0-9`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 6] = text.as_bytes().try_into().ok()?;
        bytes.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()).then_some(Self(bytes))
    }

    /// The first six characters of a barcode: the two that follow name the media type.
    pub fn from_barcode(barcode: &str) -> Option<Self> {
        Self::parse(barcode.get(..6)?)
    }

    /// The six characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("checked to be ASCII when parsed")
    }

    /// The six bytes as they stand in the VOL1 label.
    pub fn as_bytes(&self) -> &[u8; 6] {
        &self.0
    }
}

impl fmt::Display for VolumeSerial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for VolumeSerial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VolumeSerial({})", self.as_str())
    }
}
