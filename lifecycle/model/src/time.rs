//! Moments and the midnight rounding of S3.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Milliseconds in a day.
pub const DAY_MILLISECONDS: i64 = 86_400_000;

/// A moment in UTC, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `milliseconds` after 1970; a date S3 can write (years 1 to 9999) is the caller's duty.
    pub const fn from_milliseconds(milliseconds: i64) -> Self {
        Self(milliseconds)
    }
    /// The moment `seconds` after 1970.
    pub fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }
    /// Milliseconds since 1970.
    pub fn milliseconds(self) -> i64 {
        self.0
    }
    /// Whole seconds since 1970: what HTTP dates and listings can say.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }
    /// The moment `milliseconds` later (earlier when negative), at the end of time at most.
    pub fn plus_milliseconds(self, milliseconds: i64) -> Self {
        Self(self.0.saturating_add(milliseconds))
    }
    /// Midnight UTC at the start of this moment's day.
    pub fn midnight(self) -> Self {
        Self(self.0.div_euclid(DAY_MILLISECONDS) * DAY_MILLISECONDS)
    }
}

impl From<std::time::SystemTime> for Timestamp {
    fn from(time: std::time::SystemTime) -> Self {
        match time.duration_since(std::time::UNIX_EPOCH) {
            Ok(after) => Self(i64::try_from(after.as_millis()).unwrap_or(i64::MAX)),
            Err(before) => Self(i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms)),
        }
    }
}

impl From<Timestamp> for std::time::SystemTime {
    fn from(time: Timestamp) -> Self {
        let distance = std::time::Duration::from_millis(time.0.unsigned_abs());
        if time.0 >= 0 { std::time::UNIX_EPOCH + distance } else { std::time::UNIX_EPOCH - distance }
    }
}

impl fmt::Display for Timestamp {
    /// ISO 8601 with milliseconds, as S3 listings write it: `2012-12-21T00:00:00.000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match ::time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000) {
            Ok(t) => write!(
                f,
                "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
                t.year(),
                u8::from(t.month()),
                t.day(),
                t.hour(),
                t.minute(),
                t.second(),
                t.millisecond()
            ),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How long a "day" of a rule or a restore is. Real days end at midnight UTC; a test's short days do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayLength {
    /// 24 hours, rounded up to midnight UTC as S3 does.
    Real,
    /// So many seconds, not rounded (the `day_seconds` setting of `[testing]`).
    Seconds(u32),
}

impl DayLength {
    /// The end of a span of `days` that begins at `start`: for real days the midnight *after* `start` plus so
    /// many days, a full day more when `start` is midnight (RestoreObject expiry, lifecycle due times).
    ///
    /// 2012-10-15T10:30Z and 3 days end at 2012-10-19T00:00Z.
    pub fn end(self, start: Timestamp, days: u32) -> Timestamp {
        match self {
            Self::Real => start.midnight().plus_milliseconds((i64::from(days) + 1) * DAY_MILLISECONDS),
            Self::Seconds(seconds) => start.plus_milliseconds(i64::from(days) * i64::from(seconds) * 1000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2012-10-15T10:30:00Z
    const REQUEST: Timestamp = Timestamp(1_350_297_000_000);

    #[test]
    fn spans_end_at_the_midnight_after() {
        assert_eq!(DayLength::Real.end(REQUEST, 3).to_string(), "2012-10-19T00:00:00.000Z");
        let midnight = REQUEST.midnight();
        assert_eq!(DayLength::Real.end(midnight, 1).to_string(), "2012-10-17T00:00:00.000Z");
        assert_eq!(DayLength::Seconds(20).end(REQUEST, 2), REQUEST.plus_milliseconds(40_000));
    }

    #[test]
    fn dates_before_1970_round_down() {
        assert_eq!(Timestamp::from_milliseconds(-1).midnight().to_string(), "1969-12-31T00:00:00.000Z");
        assert_eq!(Timestamp::from_milliseconds(-1).seconds(), -1);
    }
}
