//! Times as LTFS writes them.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

/// A UTC time with nanoseconds, `2026-01-01T00:00:00.000000000Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(OffsetDateTime);

impl Timestamp {
    /// The epoch, for files whose time does not matter.
    pub const EPOCH: Self = Self(OffsetDateTime::UNIX_EPOCH);

    /// Reads an LTFS time: years 0000 to 9999.
    pub fn parse(text: &str) -> Option<Self> {
        OffsetDateTime::parse(text, &Rfc3339).ok().map(|time| Self(time.to_offset(UtcOffset::UTC)))
    }
}

impl From<SystemTime> for Timestamp {
    /// Times outside the years LTFS can write become the epoch.
    fn from(time: SystemTime) -> Self {
        let nanoseconds = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i128::try_from(after.as_nanos()).unwrap_or(0),
            Err(before) => i128::try_from(before.duration().as_nanos()).map_or(0, |nanoseconds| -nanoseconds),
        };
        let time =
            OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        Self(if (0..=9999).contains(&time.year()) { time } else { OffsetDateTime::UNIX_EPOCH })
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layout =
            format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:9]Z");
        f.write_str(&self.0.format(&layout).map_err(|_| fmt::Error)?)
    }
}
