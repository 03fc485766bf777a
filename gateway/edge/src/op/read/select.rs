//! Which bytes of an object a read asks for.

use std::ops::Range;

use dialect::S3Error;
use dialect::multipart::part_number;
use dialect::range::ByteRange;
use dialect::route::Query;
use http::HeaderMap;

/// Bytes of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selection {
    /// The bytes.
    pub(super) range: Range<u64>,
    /// Told as a part of the object: 206.
    pub(super) is_partial: bool,
    /// Number of the object's parts, when it was asked for by part and has some.
    pub(super) parts: Option<usize>,
}

/// The bytes that Range or `partNumber` select of an object of `size` bytes uploaded in parts of `part_bytes`.
///
/// Errors: `InvalidRange`, `InvalidPartNumber`, `InvalidArgument`, and `InvalidRequest` for both at once.
pub(super) fn select(
    query: &Query,
    headers: &HeaderMap,
    size: u64,
    part_bytes: &[u64],
) -> Result<Selection, S3Error> {
    let range = ByteRange::parse(headers);
    match (query.has("partNumber"), range) {
        (true, Some(_)) => {
            Err(S3Error::invalid_request("Cannot specify both Range header and partNumber query parameter"))
        }
        (true, None) => part(part_number(query)?, size, part_bytes),
        (false, None) => Ok(Selection { range: 0..size, is_partial: false, parts: None }),
        (false, Some(range)) => Ok(Selection { range: range.resolve(size)?, is_partial: true, parts: None }),
    }
}

fn part(number: u32, size: u64, part_bytes: &[u64]) -> Result<Selection, S3Error> {
    let before = usize::try_from(number - 1).unwrap_or(usize::MAX);
    let (range, parts) = match part_bytes.get(before) {
        Some(bytes) => {
            let start: u64 = part_bytes.iter().take(before).sum();
            (start..start + bytes, Some(part_bytes.len()))
        }
        None if part_bytes.is_empty() && number == 1 => (0..size, None),
        None => {
            let count = u32::try_from(part_bytes.len().max(1)).unwrap_or(u32::MAX);
            return Err(S3Error::invalid_part_number(number, count));
        }
    };
    let is_partial = !range.is_empty();
    Ok(Selection { range, is_partial, parts })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use dialect::Code;

    #[test]
    fn selections() {
        let of = |query: &str, range: Option<&str>, parts: &[u64]| {
            let mut headers = HeaderMap::new();
            if let Some(range) = range {
                headers.insert("range", range.parse().unwrap());
            }
            let selection = select(&Query::parse(query).unwrap(), &headers, 10, parts);
            selection.map(|s| (s.range, s.is_partial, s.parts)).map_err(|error| error.code)
        };
        assert_eq!(of("", None, &[]), Ok((0..10, false, None)));
        assert_eq!(of("", Some("bytes=2-3"), &[]), Ok((2..4, true, None)));
        assert_eq!(of("", Some("bytes=-3"), &[]), Ok((7..10, true, None)));
        assert_eq!(of("", Some("bytes=10-"), &[]), Err(Code::InvalidRange));
        assert_eq!(of("partNumber=1", None, &[]), Ok((0..10, true, None)));
        assert_eq!(of("partNumber=2", None, &[]), Err(Code::InvalidPartNumber));
        assert_eq!(of("partNumber=2", None, &[6, 4]), Ok((6..10, true, Some(2))));
        assert_eq!(of("partNumber=3", None, &[6, 4]), Err(Code::InvalidPartNumber));
        assert_eq!(of("partNumber=0", None, &[6, 4]), Err(Code::InvalidArgument));
        assert_eq!(of("partNumber=1", Some("bytes=0-1"), &[]), Err(Code::InvalidRequest));
    }
}
