//! The time stamp of a signature: `YYYYMMDDTHHMMSSZ`.

use model::Timestamp;
use std::fmt;
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

/// A moment in whole seconds, written as signatures write it; years 1 to 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AmzDate(OffsetDateTime);

/// A time stamp as it is written.
pub(super) struct Spelt([u8; 16]);

// === impl AmzDate ===

impl AmzDate {
    /// Reads `YYYYMMDDTHHMMSSZ`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' {
            return None;
        }
        let year = i32::try_from(digits(&bytes[..4])?).ok()?;
        let two = |at: usize| digits(&bytes[at..at + 2]).and_then(|number| u8::try_from(number).ok());
        let date = Date::from_calendar_date(year, Month::try_from(two(4)?).ok()?, two(6)?).ok()?;
        let time = Time::from_hms(two(9)?, two(11)?, two(13)?).ok()?;
        Some(Self(PrimitiveDateTime::new(date, time).assume_utc()))
    }

    /// Reads a Date header, which some clients sign instead; `None` when it is no HTTP date.
    pub fn parse_http(text: &str) -> Option<Self> {
        let time = httpdate::parse_http_date(text).ok()?;
        Some(Self::from(Timestamp::from(time)))
    }

    /// The digits.
    pub(super) fn spell(&self) -> Spelt {
        let (date, (hour, minute, second)) = (self.0.date(), self.0.to_hms());
        let year = date.year().unsigned_abs();
        let (century, year) = (year / 100, year % 100);
        let pairs = [century, year, u8::from(date.month()).into(), date.day().into()];
        let mut text = *b"........T......Z";
        let times = [hour.into(), minute.into(), second.into()];
        for (pair, place) in pairs.into_iter().zip([0, 2, 4, 6]).chain(times.into_iter().zip([9, 11, 13])) {
            text[place..place + 2].copy_from_slice(&[digit(pair / 10), digit(pair % 10)]);
        }
        Spelt(text)
    }

    /// The moment.
    pub fn timestamp(&self) -> Timestamp {
        Timestamp::from_seconds(self.0.unix_timestamp())
    }
}

impl From<Timestamp> for AmzDate {
    /// Cuts to whole seconds; a moment beyond the years 1 to 9999 becomes 1970.
    fn from(moment: Timestamp) -> Self {
        let date = OffsetDateTime::from_unix_timestamp(moment.seconds()).ok();
        let writable = date.filter(|date| (1..=9999).contains(&date.year()));
        Self(writable.unwrap_or(OffsetDateTime::UNIX_EPOCH))
    }
}

impl fmt::Display for AmzDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.spell().as_str())
    }
}

impl fmt::Debug for AmzDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// === impl Spelt ===

impl Spelt {
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("digits are ASCII")
    }

    /// The day alone, as scopes write it: `YYYYMMDD`.
    pub fn day(&self) -> &str {
        &self.as_str()[..8]
    }
}

/// A moment as error documents write it: `YYYY-MM-DDTHH:MM:SSZ`.
pub(super) fn iso8601(moment: Timestamp) -> String {
    let basic = AmzDate::from(moment);
    let (date, (hour, minute, second)) = (basic.0.date(), basic.0.to_hms());
    let month = u8::from(date.month());
    format!("{:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", date.year(), date.day())
}

fn digits(bytes: &[u8]) -> Option<u32> {
    bytes
        .iter()
        .try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0')))
}

fn digit(value: u32) -> u8 {
    b'0' + u8::try_from(value % 10).expect("a digit")
}
