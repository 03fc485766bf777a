//! Dates as HTTP and XML write them.

use model::Timestamp;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// 9999-12-31T23:59:59Z, the last second an HTTP date can say.
const SECONDS_MAX: i64 = 253_402_300_799;

/// `Fri, 21 Dec 2012 00:00:00 GMT`; moments outside the years 1970 to 9999 become the nearest one inside.
pub fn http(moment: Timestamp) -> String {
    let seconds = moment.seconds().clamp(0, SECONDS_MAX);
    httpdate::fmt_http_date(Timestamp::from_seconds(seconds).into())
}

/// Reads an HTTP date in any of its three forms.
pub fn parse_http(text: &str) -> Option<Timestamp> {
    httpdate::parse_http_date(text.trim_ascii()).ok().map(Timestamp::from)
}

/// Reads an ISO 8601 date with an offset (`2030-01-01T00:00:00Z`) or a bare day (`2030-01-01`).
pub fn parse_iso(text: &str) -> Option<Timestamp> {
    let text = text.trim_ascii();
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let moment = OffsetDateTime::parse(&whole, &Rfc3339).ok()?;
    i64::try_from(moment.unix_timestamp_nanos().div_euclid(1_000_000)).ok().map(Timestamp::from_milliseconds)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn dates_round_trip() {
        let moment = Timestamp::from_seconds(1_356_048_000);
        assert_eq!(http(moment), "Fri, 21 Dec 2012 00:00:00 GMT");
        assert_eq!(parse_http("Fri, 21 Dec 2012 00:00:00 GMT"), Some(moment));
        assert_eq!(parse_iso("2012-12-21T00:00:00Z"), Some(moment));
        assert_eq!(parse_iso("2012-12-21"), Some(moment));
        assert_eq!(parse_iso("2012-12-21T01:00:00.000+01:00"), Some(moment));
        assert_eq!(parse_iso("Fri, 21 Dec 2012 00:00:00 GMT"), None);
        assert_eq!(parse_iso("2012-13-21"), None);
        assert_eq!(parse_iso("2012-12-2é"), None);
        assert_eq!(http(Timestamp::from_milliseconds(i64::MAX)), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(http(Timestamp::from_milliseconds(i64::MIN)), "Thu, 01 Jan 1970 00:00:00 GMT");
    }
}
