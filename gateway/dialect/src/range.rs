//! Byte ranges: `Range` of a read and `x-amz-copy-source-range`.

use std::ops::Range;

use http::HeaderMap;
use http::header::RANGE;

use crate::error::{Result, S3Error};

/// One range as asked for, before the size is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// `first-`
    From(u64),
    /// `first-last`, both included.
    Between(u64, u64),
    /// `-count`: the last bytes.
    Last(u64),
}

impl ByteRange {
    /// Reads the `Range` header. Nothing when it is missing, asks for several ranges, is not in bytes or makes no
    /// sense: the whole object is then the answer (RFC 9110 14.2).
    pub fn parse(headers: &HeaderMap) -> Option<Self> {
        Self::parse_text(headers.get(RANGE)?.to_str().ok()?)
    }

    /// Reads the text of a `Range` header; see [`Self::parse`].
    pub fn parse_text(text: &str) -> Option<Self> {
        let (unit, list) = text.trim_ascii().split_once('=')?;
        if !unit.trim_ascii().eq_ignore_ascii_case("bytes") || list.contains(',') {
            return None;
        }
        let (first, last) = list.trim_ascii().split_once('-')?;
        match (number(first), number(last)) {
            (None, Some(count)) if first.is_empty() => Some(Self::Last(count)),
            (Some(first), None) if last.is_empty() => Some(Self::From(first)),
            (Some(first), Some(last)) if first <= last => Some(Self::Between(first, last)),
            _ => None,
        }
    }

    /// The bytes meant in an object of `size` bytes, never none.
    ///
    /// Errors: `InvalidRange` when there are none.
    pub fn resolve(self, size: u64) -> Result<Range<u64>> {
        let range = match self {
            Self::From(first) => first..size,
            Self::Between(first, last) => first..size.min(last.saturating_add(1)),
            Self::Last(count) => size.saturating_sub(count)..size,
        };
        if range.is_empty() { Err(S3Error::invalid_range(&self.to_string(), size)) } else { Ok(range) }
    }
}

impl std::fmt::Display for ByteRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::From(first) => write!(f, "bytes={first}-"),
            Self::Between(first, last) => write!(f, "bytes={first}-{last}"),
            Self::Last(count) => write!(f, "bytes=-{count}"),
        }
    }
}

/// `Content-Range` of a partial answer.
pub fn content_range(range: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1))
}

/// The bytes meant by `x-amz-copy-source-range` in a source of `size` bytes.
///
/// Errors: `InvalidArgument` for any form but `bytes=first-last`, and for bytes the source does not have.
pub fn copy_source(text: &str, size: u64) -> Result<Range<u64>> {
    let name = "x-amz-copy-source-range";
    match ByteRange::parse_text(text) {
        Some(ByteRange::Between(first, last)) if last < size => Ok(first..last + 1),
        Some(ByteRange::Between(..)) => Err(S3Error::argument(
            format!("Range specified is not valid for source object of size: {size}"),
            name,
            text,
        )),
        _ => Err(S3Error::argument(COPY_RANGE_FORM, name, text)),
    }
}

const COPY_RANGE_FORM: &str = "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy";

/// Digits only; a number beyond 64 bits is as far as any.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::error::Code;
    use proptest::prelude::*;

    fn of(text: &str, size: u64) -> Option<std::result::Result<Range<u64>, Code>> {
        ByteRange::parse_text(text).map(|range| range.resolve(size).map_err(|error| error.code))
    }

    #[test]
    fn ranges() {
        for (text, expected) in [
            ("bytes=0-9", Some(Ok(0..10))),
            ("bytes=5-", Some(Ok(5..10))),
            ("bytes=-3", Some(Ok(7..10))),
            ("bytes=-99", Some(Ok(0..10))),
            ("bytes=0-99999999999999999999999", Some(Ok(0..10))),
            ("Bytes = 1-1", Some(Ok(1..2))),
            ("bytes=10-", Some(Err(Code::InvalidRange))),
            ("bytes=10-20", Some(Err(Code::InvalidRange))),
            ("bytes=-0", Some(Err(Code::InvalidRange))),
            ("bytes=5-4", None),
            ("bytes=0-1,3-4", None),
            ("bytes=", None),
            ("bytes=-", None),
            ("bytes=a-b", None),
            ("bytes=--1", None),
            ("lines=1-2", None),
            ("", None),
        ] {
            assert_eq!(of(text, 10), expected, "{text}");
        }
        assert_eq!(of("bytes=0-", 0), Some(Err(Code::InvalidRange)));
        assert_eq!(of("bytes=-5", 0), Some(Err(Code::InvalidRange)));
        assert_eq!(content_range(&(2..5), 10), "bytes 2-4/10");
    }

    #[test]
    fn copy_ranges_are_strict() {
        assert_eq!(copy_source("bytes=0-9", 10).unwrap(), 0..10);
        for text in ["bytes=0-10", "bytes=0-", "bytes=-1", "0-9", "bytes=3-2"] {
            assert_eq!(copy_source(text, 10).unwrap_err().code, Code::InvalidArgument, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn a_range_never_leaves_the_object(text in "bytes=[0-9]{0,21}-[0-9]{0,21}", size in any::<u64>()) {
            if let Some(Ok(range)) = of(&text, size) {
                prop_assert!(range.start < range.end && range.end <= size);
            }
        }
    }
}
