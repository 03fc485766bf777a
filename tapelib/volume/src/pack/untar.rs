//! The tar side of reading: one entry's headers, from bytes that may be hostile.
//!
//! Only what the writer writes is accepted. Paths are never looked at.

use super::limits::{PAX_BYTES_MAX, PLAIN_BYTES_MAX};
use super::tar::XATTR_PREFIX;

/// What a ustar header says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub kind: u8,
    pub size: u64,
}

/// What the records of an extended header say. Unknown records are passed over; of equal ones the last counts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    pub size: Option<u64>,
    pub comment: Option<String>,
    pub id: Option<String>,
    pub key: Option<String>,
    pub record: Option<Vec<u8>>,
    pub segment: Option<String>,
    pub manifest: Option<String>,
}

/// Parses a ustar header, its checksum included.
pub(super) fn header(block: &[u8; 512]) -> Result<Header, &'static str> {
    if &block[257..263] != b"ustar\0" {
        return Err("no tar header where one must be");
    }
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    let field: u64 = block[148..156].iter().map(|byte| u64::from(*byte)).sum();
    if octal(&block[148..156])? != sum - field + 8 * u64::from(b' ') {
        return Err("tar header damaged");
    }
    Ok(Header { kind: block[156], size: octal(&block[124..136])? })
}

/// Parses the records of an extended header.
pub(super) fn records(mut bytes: &[u8]) -> Result<Records, &'static str> {
    const WRONG: &str = "extended header that cannot be read";
    debug_assert!(bytes.len() <= PAX_BYTES_MAX);
    let mut records = Records::default();
    while !bytes.is_empty() {
        let digits = bytes.iter().take(8).position(|byte| *byte == b' ').ok_or(WRONG)?;
        let length =
            decimal(&bytes[..digits]).and_then(|length| usize::try_from(length).ok()).ok_or(WRONG)?;
        if length > bytes.len() || length < digits + 3 || bytes[length - 1] != b'\n' {
            return Err(WRONG);
        }
        let (record, rest) = bytes.split_at(length);
        bytes = rest;
        let record = &record[digits + 1..length - 1];
        let equals = record.iter().position(|byte| *byte == b'=').ok_or(WRONG)?;
        set(&mut records, &record[..equals], &record[equals + 1..])?;
    }
    Ok(records)
}

fn set(records: &mut Records, keyword: &[u8], value: &[u8]) -> Result<(), &'static str> {
    let text = || String::from_utf8(value.to_vec()).map(Some).map_err(|_| "a record that is not UTF-8");
    let Ok(keyword) = std::str::from_utf8(keyword) else {
        return Ok(());
    };
    match keyword.strip_prefix(XATTR_PREFIX) {
        Some("id") => records.id = text()?,
        Some("key") => records.key = text()?,
        Some("record") => records.record = Some(value.to_vec()),
        Some("segment") => records.segment = text()?,
        Some("manifest") => records.manifest = text()?,
        Some(_) => {}
        None if keyword == "comment" => records.comment = text()?,
        None if keyword == "size" => {
            let size = decimal(value).filter(|size| *size <= PLAIN_BYTES_MAX);
            records.size = Some(size.ok_or("an impossible size")?);
        }
        None => {}
    }
    Ok(())
}

/// Digits only, no sign and no blank.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Octal digits ended by NULs or blanks.
fn octal(field: &[u8]) -> Result<u64, &'static str> {
    let end = field.iter().position(|byte| matches!(byte, 0 | b' ')).unwrap_or(field.len());
    let (digits, rest) = field.split_at(end);
    if digits.is_empty() || !rest.iter().all(|byte| matches!(byte, 0 | b' ')) {
        return Err("a tar number that cannot be read");
    }
    digits.iter().try_fold(0_u64, |value, digit| match digit {
        b'0'..=b'7' => Ok(value * 8 + u64::from(digit - b'0')),
        _ => Err("a tar number that cannot be read"),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::pack::tar;
    use proptest::prelude::*;

    #[test]
    fn what_the_writer_says_is_read_back_also_over_8_gib() {
        for size in [0, 1, 0o777_7777_7777, 0o1_0000_0000_0000, 1 << 42] {
            let attributes: &[(&str, &[u8])] = &[("key", b"a\nb=c"), ("unknown", b"x"), ("record", b"{}")];
            let entry = tar::Entry { path: "ü", short: "S", size, mtime_ms: -5, attributes };
            let bytes = tar::headers(&entry);
            let extended = header(bytes[..512].try_into().unwrap()).unwrap();
            assert_eq!(extended.kind, b'x');
            let records = records(&bytes[512..512 + usize::try_from(extended.size).unwrap()]).unwrap();
            let ustar = header(bytes[bytes.len() - 512..].try_into().unwrap()).unwrap();
            assert_eq!(records.size.unwrap_or(ustar.size), size);
            assert_eq!(records.key.as_deref(), Some("a\nb=c"));
            assert_eq!(records.record.as_deref(), Some(b"{}".as_slice()));
        }
    }

    #[test]
    fn hostile_records_are_refused() {
        for wrong in
            ["5 a=", "x", "0 ", "3 \n", "99999999 a=b\n", "6 abc\n", "-6 a=b\n", "12 size=-10\n", " 7 a=b\n"]
        {
            assert!(records(wrong.as_bytes()).is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            drop(records(&bytes));
            if let Some(block) = bytes.first_chunk() {
                drop(header(block));
            }
        }
    }
}
