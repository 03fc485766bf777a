//! Names that are given once and never again.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use ulid::Ulid;

/// The text is not an id of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {kind}")]
pub struct IdError {
    kind: &'static str,
    text: String,
}

macro_rules! ulid_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(u128);

        impl $name {
            /// A new id from the clock (milliseconds since 1970) and 80 random bits: ascending in time, so that
            /// rows keyed by it are appended.
            pub fn new(milliseconds: u64, random: u128) -> Self {
                Self(Ulid::from_parts(milliseconds, random).0)
            }
            /// When it was given, in milliseconds since 1970.
            pub fn milliseconds(self) -> u64 {
                Ulid(self.0).timestamp_ms()
            }
            /// The id as an ordered number, for keys.
            pub fn as_u128(self) -> u128 {
                self.0
            }
            /// The id of an ordered number made by [`Self::as_u128`].
            pub fn from_u128(number: u128) -> Self {
                Self(number)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&Ulid(self.0).to_string())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                // Crockford's alphabet folds case; our ids are written one way only, so that text compares as ids do.
                match Ulid::from_string(text) {
                    Ok(ulid) if ulid.to_string() == text => Ok(Self(ulid.0)),
                    _ => Err(IdError { kind: $kind, text: text.chars().take(64).collect() }),
                }
            }
        }
    };
}

ulid_id! {
    /// One object version taken over; written `01J...` (ULID, 26 characters).
    ArchiveId, "an archive id"
}
ulid_id! {
    /// One pack.
    PackId, "a pack id"
}
ulid_id! {
    /// One restore job.
    JobId, "a restore job id"
}

/// A volume: the UUID of the LTFS volume on the cartridge. The barcode only locates it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VolumeId(u128);

impl VolumeId {
    /// The volume whose LTFS UUID is `number`.
    pub fn from_u128(number: u128) -> Self {
        Self(number)
    }
    /// The UUID as a number.
    pub fn as_u128(self) -> u128 {
        self.0
    }
}

impl fmt::Display for VolumeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", uuid::Uuid::from_u128(self.0))
    }
}

impl fmt::Debug for VolumeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for VolumeId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        uuid::Uuid::try_parse(text)
            .map(|uuid| Self(uuid.as_u128()))
            .map_err(|_| IdError { kind: "a volume UUID", text: text.chars().take(64).collect() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ids_round_trip_and_ascend_with_time() {
        let early = ArchiveId::new(1_000, u128::MAX);
        let late = ArchiveId::new(1_001, 0);
        assert!(early < late);
        assert_eq!((early.milliseconds(), late.milliseconds()), (1_000, 1_001));
        assert!(early.to_string() < late.to_string());
        assert_eq!(early.to_string().parse::<ArchiveId>().unwrap(), early);
        assert!(early.to_string().to_lowercase().parse::<ArchiveId>().is_err());
        assert!("".parse::<PackId>().is_err());
    }
}
