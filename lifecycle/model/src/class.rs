//! Storage classes: their wire names never change, because clients keep closed lists of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A class whose objects live on tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TapeClass {
    /// `GLACIER`
    Glacier,
    /// `DEEP_ARCHIVE`
    DeepArchive,
}

/// A storage class a client may write with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum StorageClass {
    /// `STANDARD`
    Standard,
    /// `REDUCED_REDUNDANCY`
    ReducedRedundancy,
    /// `STANDARD_IA`
    StandardIa,
    /// `ONEZONE_IA`
    OneZoneIa,
    /// `INTELLIGENT_TIERING`
    IntelligentTiering,
    /// `GLACIER_IR`: readable at once, never archived.
    GlacierIr,
    /// One of the tape classes.
    Tape(TapeClass),
}

/// The text is no storage class that can be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a storage class")]
pub struct UnknownClass(pub String);

impl TapeClass {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Glacier => "GLACIER",
            Self::DeepArchive => "DEEP_ARCHIVE",
        }
    }
}

impl StorageClass {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "STANDARD",
            Self::ReducedRedundancy => "REDUCED_REDUNDANCY",
            Self::StandardIa => "STANDARD_IA",
            Self::OneZoneIa => "ONEZONE_IA",
            Self::IntelligentTiering => "INTELLIGENT_TIERING",
            Self::GlacierIr => "GLACIER_IR",
            Self::Tape(class) => class.as_str(),
        }
    }

    /// The tape class, if it is one.
    pub fn tape(self) -> Option<TapeClass> {
        match self {
            Self::Tape(class) => Some(class),
            _ => None,
        }
    }
}

impl FromStr for StorageClass {
    type Err = UnknownClass;
    fn from_str(text: &str) -> Result<Self, UnknownClass> {
        Ok(match text {
            "STANDARD" => Self::Standard,
            "REDUCED_REDUNDANCY" => Self::ReducedRedundancy,
            "STANDARD_IA" => Self::StandardIa,
            "ONEZONE_IA" => Self::OneZoneIa,
            "INTELLIGENT_TIERING" => Self::IntelligentTiering,
            "GLACIER_IR" => Self::GlacierIr,
            "GLACIER" => Self::Tape(TapeClass::Glacier),
            "DEEP_ARCHIVE" => Self::Tape(TapeClass::DeepArchive),
            other => return Err(UnknownClass(other.chars().take(64).collect())),
        })
    }
}

impl FromStr for TapeClass {
    type Err = UnknownClass;
    fn from_str(text: &str) -> Result<Self, UnknownClass> {
        match text.parse()? {
            StorageClass::Tape(class) => Ok(class),
            other => Err(UnknownClass(other.as_str().to_owned())),
        }
    }
}

impl fmt::Display for TapeClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for StorageClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
