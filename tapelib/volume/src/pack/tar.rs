//! The tar side of writing: one entry's headers.
//!
//! An entry is a pax extended header (`x`, POSIX.1-2017 "pax Interchange Format") followed by a ustar header. Exact key,
//! record and identity travel as `SCHILY.xattr.user.tapegate.*` records, which other readers take for extended
//! attributes or pass over.

/// Unit of a tar stream.
pub(super) const BLOCK: usize = 512;
/// Two zero blocks end the archive.
pub(super) const END_BYTES: usize = 2 * BLOCK;
/// What stands before the keyword of each of our records.
pub(super) const XATTR_PREFIX: &str = "SCHILY.xattr.user.tapegate.";
/// Longest size the eleven octal digits of a ustar header can say; beyond it the `size` record alone counts.
const USTAR_SIZE_MAX: u64 = 0o777_7777_7777;

/// One entry of the tar, before its headers are made.
pub(super) struct Entry<'a> {
    /// Path in the archive.
    pub path: &'a str,
    /// A short ASCII name, unique in the pack, for the header names that readers without pax would use.
    pub short: &'a str,
    /// Bytes of data.
    pub size: u64,
    /// Milliseconds since 1970-01-01 UTC.
    pub mtime_ms: i64,
    /// Keyword below [`XATTR_PREFIX`] and value.
    pub attributes: &'a [(&'a str, &'a [u8])],
}

/// Bytes with which an entry of `size` is filled up to whole blocks.
pub(super) fn padding(size: u64) -> u64 {
    size.next_multiple_of(BLOCK as u64) - size
}

/// The headers of an entry: extended header, its records, ustar header.
pub(super) fn headers(entry: &Entry<'_>) -> Vec<u8> {
    let mut records = Vec::new();
    let plain_path = entry.path.len() <= 100 && entry.path.is_ascii();
    if !plain_path {
        push_record(&mut records, "path", entry.path.as_bytes());
    }
    if entry.size > USTAR_SIZE_MAX {
        push_record(&mut records, "size", entry.size.to_string().as_bytes());
    }
    let seconds = entry.mtime_ms.div_euclid(1_000);
    let milliseconds = entry.mtime_ms.rem_euclid(1_000);
    let ustar_seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds <= USTAR_SIZE_MAX);
    // A negative time with a fraction would need borrowing; objects are not that old, whole seconds do.
    if ustar_seconds.is_none() {
        push_record(&mut records, "mtime", seconds.to_string().as_bytes());
    } else if milliseconds != 0 {
        push_record(&mut records, "mtime", format!("{seconds}.{milliseconds:03}").as_bytes());
    }
    for (keyword, value) in entry.attributes {
        push_record(&mut records, &format!("{XATTR_PREFIX}{keyword}"), value);
    }
    let seconds = ustar_seconds.unwrap_or(0);
    let mut out = extended(b'x', &format!("PaxHeaders/{}", entry.short), seconds, records);
    let name = if plain_path { entry.path } else { entry.short };
    let size = if entry.size > USTAR_SIZE_MAX { 0 } else { entry.size };
    out.extend_from_slice(&ustar(name, size, seconds, b'0'));
    out
}

/// A global extended header holding one comment, which readers pass over.
pub(super) fn global_comment(comment: &str) -> Vec<u8> {
    let mut records = Vec::new();
    push_record(&mut records, "comment", comment.as_bytes());
    extended(b'g', "pax_global_header", 0, records)
}

/// An extended header of type `kind` with its records, filled up to whole blocks.
fn extended(kind: u8, name: &str, seconds: u64, records: Vec<u8>) -> Vec<u8> {
    let size = records.len() as u64;
    let mut out = ustar(name, size, seconds, kind).to_vec();
    out.extend(records);
    out.resize(out.len().next_multiple_of(BLOCK), 0);
    out
}

/// Appends `"<length> <keyword>=<value>\n"`, the length counting its own digits.
fn push_record(records: &mut Vec<u8>, keyword: &str, value: &[u8]) {
    let rest = 1 + keyword.len() + 1 + value.len() + 1;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(format!("{length} {keyword}=").as_bytes());
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// A ustar header. `name` is ASCII of at most 100 bytes.
fn ustar(name: &str, size: u64, seconds: u64, kind: u8) -> [u8; BLOCK] {
    assert!(name.len() <= 100 && name.is_ascii(), "a ustar name is short ASCII");
    assert!(size <= USTAR_SIZE_MAX && seconds <= USTAR_SIZE_MAX, "a ustar number has eleven octal digits");
    let mut header = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, format!("{seconds:011o}\0").as_bytes());
    put(148, b"        ");
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    put(329, b"0000000\0");
    put(337, b"0000000\0");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn entry(path: &str, size: u64, mtime_ms: i64) -> String {
        let bytes = headers(&Entry { path, short: "ID", size, mtime_ms, attributes: &[("id", b"x")] });
        assert_eq!(bytes.len() % 512, 0);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_record_counts_its_own_digits() {
        for (value, start) in
            [(1, "6 k="), (4, "9 k="), (5, "11 k="), (93, "99 k="), (94, "101 k="), (95, "102 k=")]
        {
            let mut records = Vec::new();
            push_record(&mut records, "k", &vec![b'v'; value]);
            assert!(records.starts_with(start.as_bytes()), "{value}");
            assert_eq!(records.len().to_string(), start.split(' ').next().unwrap());
        }
    }

    #[test]
    fn a_size_over_8_gib_stands_in_a_record() {
        let last = entry("b/k", USTAR_SIZE_MAX, 0);
        assert!(!last.contains(" size="));
        assert!(last.contains("77777777777\0"));
        let first = entry("b/k", USTAR_SIZE_MAX + 1, 0);
        assert!(first.contains("19 size=8589934592\n"));
    }

    #[test]
    fn times_and_names_beyond_ustar_stand_in_records() {
        assert!(entry("b/k", 0, 1_500).contains("15 mtime=1.500\n"));
        assert!(!entry("b/k", 0, 1_000).contains("mtime="));
        assert!(entry("b/k", 0, -1).contains("mtime=-1\n"));
        assert!(entry("b/ä", 0, 0).contains("path=b/ä\n"));
        assert!(entry(&"p".repeat(101), 0, 0).contains("path=ppp"));
        assert!(!entry(&"p".repeat(100), 0, 0).contains("path="));
    }
}
