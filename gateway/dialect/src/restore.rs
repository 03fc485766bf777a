//! The `x-amz-restore` header of GET and HEAD.

use model::restore::Visible;

use crate::date;

/// Name of the header.
pub const HEADER: &str = "x-amz-restore";

/// The header's text: running, readable until a date, or no header (never restored, or expired).
pub fn header(visible: Visible) -> Option<String> {
    match visible {
        Visible::Archived => None,
        Visible::Ongoing => Some("ongoing-request=\"true\"".to_owned()),
        Visible::Readable { until } => {
            Some(format!("ongoing-request=\"false\", expiry-date=\"{}\"", date::http(until)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Timestamp;

    #[test]
    fn texts_are_exact() {
        assert_eq!(header(Visible::Archived), None);
        assert_eq!(header(Visible::Ongoing).as_deref(), Some("ongoing-request=\"true\""));
        let until = Timestamp::from_seconds(1_356_048_000);
        assert_eq!(
            header(Visible::Readable { until }).as_deref(),
            Some("ongoing-request=\"false\", expiry-date=\"Fri, 21 Dec 2012 00:00:00 GMT\"")
        );
    }
}
