//! The journal: what became true on a volume and does not stand in its index.
//!
//! A journal is a file `/.tapegate/journal-<seq>.zst` of the volume: one zstd frame with a checksum, in it lines of JSON.
//! The first line is the [`Header`], every other one an [`Entry`]. Journals are never changed; a later one adds to the
//! earlier ones. Together with the manifests of the packs they list they rebuild a catalog: births and deaths.

use std::io::{self, BufRead, BufReader, Read, Write};

use serde::{Deserialize, Serialize};

use crate::ltfs::{CatalogId, VolumeUuid};
use crate::pack::limits::RECORD_BYTES_MAX;

/// Directory of the volume that holds its journals.
pub const DIRECTORY: &str = ".tapegate";

/// Longest journal, before compression.
pub const BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Longest line: a record of any member of a pack fits, each of its bytes escaped.
pub const LINE_BYTES_MAX: usize = 8 * 1024 * 1024;

const _: () = assert!(LINE_BYTES_MAX > 2 * RECORD_BYTES_MAX + 1024);

const FORMAT: &str = "tapegate-journal";
const VERSION: u32 = 1;
const LEVEL: i32 = 3;

/// The first line of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The volume it lies on.
    pub volume: VolumeUuid,
    /// The catalog that wrote it.
    pub catalog: CatalogId,
    /// Its number on this volume, from 1.
    pub seq: u64,
}

/// Why a journal cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Compressed bytes are damaged or cannot be read.
    #[error("read the journal")]
    Read(#[source] io::Error),
    /// The journal has no place to go.
    #[error("write the journal")]
    Write(#[source] io::Error),
    /// A line is not what it should be.
    #[error("line {line} of the journal: {what}")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// What is wrong.
        what: String,
    },
    /// A limit of this room.
    #[error("the journal has more than {limit} {what}")]
    Limit {
        /// The bound.
        limit: u64,
        /// Of what.
        what: &'static str,
    },
}

#[derive(Serialize, Deserialize)]
struct HeaderLine {
    format: String,
    version: u32,
    volume: String,
    catalog: String,
    seq: u64,
}

/// The file name of a journal.
pub fn file_name(seq: u64) -> String {
    format!("journal-{seq}.zst")
}

/// The number in a file name, when it is a journal's.
pub fn seq_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("journal-")?.strip_suffix(".zst")?;
    let seq = digits.parse().ok()?;
    (file_name(seq) == name).then_some(seq)
}

/// Makes the bytes of a journal.
pub fn encode(header: Header, entries: &[Entry]) -> Result<Vec<u8>, Error> {
    let line = HeaderLine {
        format: FORMAT.to_owned(),
        version: VERSION,
        volume: header.volume.to_string(),
        catalog: header.catalog.to_string(),
        seq: header.seq,
    };
    let mut encoder = zstd::Encoder::new(Vec::new(), LEVEL).map_err(Error::Write)?;
    encoder.include_checksum(true).map_err(Error::Write)?;
    let mut total = write_line(&mut encoder, &line)?;
    for entry in entries {
        total += write_line(&mut encoder, entry)?;
        if total > BYTES_MAX {
            return Err(Error::Limit { limit: BYTES_MAX, what: "bytes" });
        }
    }
    encoder.finish().map_err(Error::Write)
}

fn write_line(out: &mut impl Write, line: &impl Serialize) -> Result<u64, Error> {
    let mut bytes = serde_json::to_vec(line).map_err(|error| Error::Write(error.into()))?;
    bytes.push(b'\n');
    if bytes.len() > LINE_BYTES_MAX {
        return Err(Error::Limit { limit: LINE_BYTES_MAX as u64, what: "bytes in a line" });
    }
    out.write_all(&bytes).map_err(Error::Write)?;
    Ok(bytes.len() as u64)
}

/// Reads a journal, `each` entry in order. Entries of an event that this version does not know are refused: a rebuild
/// must not pass over a death.
pub fn decode(compressed: impl Read, each: impl FnMut(Entry) -> Result<(), Error>) -> Result<Header, Error> {
    decode_within(BYTES_MAX, compressed, each)
}

fn decode_within(
    limit: u64,
    compressed: impl Read,
    mut each: impl FnMut(Entry) -> Result<(), Error>,
) -> Result<Header, Error> {
    let mut decoder = zstd::Decoder::new(compressed).map_err(Error::Read)?;
    decoder.window_log_max(27).map_err(Error::Read)?;
    let mut lines = BufReader::new(decoder.take(limit + 1));
    let mut line = Vec::new();
    let (mut number, mut total) = (1, 0);
    let first: HeaderLine = match next_line(&mut lines, &mut line, number)? {
        Some(first) => first,
        None => {
            return Err(Error::Line { line: 1, what: "no header".to_owned() });
        }
    };
    let header = parse_header(&first)
        .ok_or(Error::Line { line: 1, what: "not a journal of this version".to_owned() })?;
    loop {
        number += 1;
        total += line.len() as u64;
        if total > limit {
            return Err(Error::Limit { limit, what: "bytes" });
        }
        match next_line(&mut lines, &mut line, number)? {
            Some(entry) => each(entry)?,
            None => return Ok(header),
        }
    }
}

fn parse_header(line: &HeaderLine) -> Option<Header> {
    if line.format != FORMAT || line.version != VERSION {
        return None;
    }
    let (volume, catalog) = (VolumeUuid::parse(&line.volume)?, CatalogId::parse(&line.catalog)?);
    Some(Header { volume, catalog, seq: line.seq })
}

fn next_line<T: for<'a> Deserialize<'a>>(
    lines: &mut impl BufRead,
    line: &mut Vec<u8>,
    number: u64,
) -> Result<Option<T>, Error> {
    line.clear();
    lines.take(LINE_BYTES_MAX as u64).read_until(b'\n', line).map_err(Error::Read)?;
    match line.last() {
        None => Ok(None),
        Some(b'\n') => serde_json::from_slice(line)
            .map(Some)
            .map_err(|error| Error::Line { line: number, what: error.to_string() }),
        Some(_) => Err(Error::Line { line: number, what: "it does not end, or is too long".to_owned() }),
    }
}

/// One line of a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Entry {
    /// A pack is committed on this volume.
    PackCommitted {
        /// Its id.
        pack: String,
        /// First block in the data partition.
        start_block: u64,
        /// Length in bytes.
        bytes: u64,
        /// BLAKE3-256 of its bytes, in hexadecimal.
        digest: String,
    },
    /// An archive is dead: its bytes must not come back when the catalog is rebuilt.
    ArchiveDead {
        /// Its id.
        archive: String,
    },
    /// The record of an archive changed after its pack was written.
    RecordChanged {
        /// Its id.
        archive: String,
        /// When it changed, in milliseconds since 1970: of several, on whatever volumes, the latest counts.
        at_ms: i64,
        /// The whole new record, as text.
        record: String,
    },
    /// How a bucket is kept: its rules and terms, which are no object's. Of several moments, on whatever volumes, the
    /// latest counts, with every bucket that was told of then.
    BucketKept {
        /// When it was told, in milliseconds since 1970.
        at_ms: i64,
        /// The bucket's name and all that is kept of it, as text.
        settings: String,
    },
    /// Blocks of the data partition that no index lists.
    DeadBlocks {
        /// First block.
        first: u64,
        /// First block after.
        end: u64,
    },
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use proptest::prelude::*;

    use super::*;

    fn header() -> Header {
        Header { volume: VolumeUuid::from_u128(7), catalog: CatalogId::from_u128(8), seq: 3 }
    }

    fn decode_all(bytes: &[u8]) -> Result<(Header, Vec<Entry>), Error> {
        let mut entries = Vec::new();
        let header = decode(bytes, |entry| {
            entries.push(entry);
            Ok(())
        })?;
        Ok((header, entries))
    }

    fn entry() -> impl Strategy<Value = Entry> {
        prop_oneof![
            ("[A-Z0-9]{26}", any::<u64>(), any::<u64>()).prop_map(|(pack, start_block, bytes)| {
                Entry::PackCommitted { pack, start_block, bytes, digest: "00".repeat(32) }
            }),
            "[A-Z0-9]{26}".prop_map(|archive| Entry::ArchiveDead { archive }),
            (any::<String>(), any::<i64>(), any::<String>())
                .prop_map(|(archive, at_ms, record)| Entry::RecordChanged { archive, at_ms, record }),
            (any::<i64>(), any::<String>())
                .prop_map(|(at_ms, settings)| Entry::BucketKept { at_ms, settings }),
            (any::<u64>(), any::<u64>()).prop_map(|(first, end)| Entry::DeadBlocks { first, end }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_journal_reads_back_as_it_was_written(entries in prop::collection::vec(entry(), 0..20)) {
            let bytes = encode(header(), &entries).unwrap();
            prop_assert_eq!(decode_all(&bytes).unwrap(), (header(), entries));
        }

        #[test]
        fn a_damaged_journal_is_refused(entries in prop::collection::vec(entry(), 1..5), at in any::<usize>()) {
            let mut bytes = encode(header(), &entries).unwrap();
            let at = at % bytes.len();
            bytes[at] ^= 0x10;
            if let Ok(decoded) = decode_all(&bytes) {
                prop_assert_eq!(decoded, (header(), entries), "a bit of the frame header that means nothing");
            }
            bytes.truncate(at);
            prop_assert!(decode_all(&bytes).is_err());
        }
    }

    #[test]
    fn a_journal_is_never_cut_at_its_limit() {
        let entries = ["A", "B"].map(|archive| Entry::ArchiveDead { archive: archive.to_owned() });
        let bytes = encode(header(), &entries).unwrap();
        let length = zstd::decode_all(&bytes[..]).unwrap().len() as u64;
        assert_eq!(decode_within(length, &bytes[..], |_| Ok(())).unwrap(), header());
        for limit in 0..length {
            // Also where a line ends: the deaths behind it must not be passed over.
            assert!(decode_within(limit, &bytes[..], |_| Ok(())).is_err(), "{limit} of {length}");
        }
    }

    #[test]
    fn the_largest_record_of_a_pack_can_change() {
        let record = "\"".repeat(RECORD_BYTES_MAX);
        let entries = [Entry::RecordChanged { archive: "0".repeat(26), at_ms: 0, record }];
        let bytes = encode(header(), &entries).unwrap();
        assert_eq!(decode_all(&bytes).unwrap().1, entries);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let plain = |text: &str| zstd::encode_all(text.as_bytes(), 1).unwrap();
        let header = "{\"format\":\"tapegate-journal\",\"version\":1,\"volume\":\"00000000-0000-0000-0000-000000000007\",\
                      \"catalog\":\"00000000-0000-0000-0000-000000000008\",\"seq\":3}\n";
        assert!(decode_all(&plain(header)).is_ok());
        for bad in [
            String::new(),
            header.replace("\"version\":1", "\"version\":2"),
            format!("{header}{{\"event\":\"resurrected\"}}\n"),
            format!("{header}{{\"event\":\"archive_dead\",\"archive\":\"x\"}}"),
        ] {
            assert!(decode_all(&plain(&bad)).is_err(), "{bad}");
        }
        assert_eq!(seq_of("journal-12.zst"), Some(12));
        assert_eq!(seq_of("journal-012.zst"), None);
    }
}
