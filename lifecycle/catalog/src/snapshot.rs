//! The whole book of record as one stream, to be kept elsewhere and to make a new catalog from.
//!
//! One zstd frame with a content checksum. Inside, numbers big-endian:
//!
//! ```text
//!   "tapegate catalog"  version: u32
//!   kind: u8 (1 archive, 2 pack, 3 copy, 4 volume, 5 restore, 6 bucket)
//!       length of key: u16   length of row: u32   key   row (as in the file: one byte of version, postcard)
//!   ...
//!   0: u8   number of rows: u64
//! ```
//!
//! Index entries are left out: they follow from the rows.

use std::io::{self, Read as _, Write};
use std::ops::ControlFlow;

use model::catalog::Bucket;
use model::pack::{Pack, PackCopy};
use model::volume::Volume;
use model::{Archive, RestoreJob};

use crate::Error;
use crate::kv::{Read, Table};
use crate::row::{Entries, Row, decode};

const MAGIC: &[u8; 16] = b"tapegate catalog";
const VERSION: u32 = 1;
const END: u8 = 0;
const KINDS: [(u8, Table); 6] = [
    (1, Table::Archives),
    (2, Table::Packs),
    (3, Table::Copies),
    (4, Table::Volumes),
    (5, Table::Restores),
    (6, Table::Buckets),
];
/// Longest row a snapshot may have, in bytes.
const ROW_BYTES_MAX: u32 = 16 << 20;
/// zstd's level: its default, as fast as the disk a snapshot goes to.
const LEVEL: i32 = 3;

/// Writes every row of a view; returns how many there were.
pub fn write(view: &dyn Read, writer: impl Write) -> Result<u64, Error> {
    let fault = |source: io::Error| Error::Snapshot { source: source.into() };
    let mut stream = zstd::Encoder::new(writer, LEVEL).map_err(fault)?;
    stream.include_checksum(true).map_err(fault)?;
    stream.write_all(MAGIC).map_err(fault)?;
    stream.write_all(&VERSION.to_be_bytes()).map_err(fault)?;
    let mut rows = 0_u64;
    for (kind, table) in KINDS {
        let mut written = Ok(());
        view.scan(table, &[], &mut |key, row| {
            rows += 1;
            written = write_row(&mut stream, kind, key, row);
            if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        written.map_err(fault)?;
    }
    stream.write_all(&[END]).map_err(fault)?;
    stream.write_all(&rows.to_be_bytes()).map_err(fault)?;
    stream.finish().and_then(|mut writer| writer.flush()).map_err(fault)?;
    Ok(rows)
}

fn write_row(stream: &mut impl Write, kind: u8, key: &[u8], row: &[u8]) -> io::Result<()> {
    let key_bytes = u16::try_from(key.len()).map_err(io::Error::other)?;
    let row_bytes = u32::try_from(row.len()).map_err(io::Error::other)?;
    stream.write_all(&[kind])?;
    stream.write_all(&key_bytes.to_be_bytes())?;
    stream.write_all(&row_bytes.to_be_bytes())?;
    stream.write_all(key)?;
    stream.write_all(row)
}

/// Hands every row of a snapshot to `accept`, each with its index entries; returns how many there were. Only after
/// `Ok` is the snapshot known to be whole.
pub fn read(
    reader: impl io::Read,
    accept: &mut dyn FnMut(Entries) -> Result<(), Error>,
) -> Result<u64, Error> {
    let fault = |source: io::Error| Error::Snapshot { source: source.into() };
    let mut stream = zstd::Decoder::new(reader).map_err(fault)?;
    if take::<16>(&mut stream).map_err(fault)? != *MAGIC {
        return Err(fault(invalid("not a snapshot of a catalog")));
    }
    let version = u32::from_be_bytes(take(&mut stream).map_err(fault)?);
    if version != VERSION {
        return Err(fault(invalid(&format!("a snapshot of unknown version {version}"))));
    }
    let mut rows = 0_u64;
    loop {
        let [kind] = take(&mut stream).map_err(fault)?;
        if kind == END {
            break;
        }
        let (key, row) = read_row(&mut stream).map_err(fault)?;
        let table = KINDS.iter().find(|(known, _)| *known == kind).map(|(_, table)| *table);
        accept(expand(table, &key, row)?)?;
        rows += 1;
    }
    let promised = u64::from_be_bytes(take(&mut stream).map_err(fault)?);
    // Reading on to the end is what makes zstd compare its checksum.
    let rest = io::copy(&mut stream, &mut io::sink()).map_err(fault)?;
    if promised != rows || rest != 0 {
        return Err(fault(invalid(&format!("{rows} rows where {promised} were promised"))));
    }
    Ok(rows)
}

fn read_row(stream: &mut impl io::Read) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let key_bytes = u16::from_be_bytes(take(stream)?);
    let row_bytes = u32::from_be_bytes(take(stream)?);
    if row_bytes > ROW_BYTES_MAX {
        return Err(invalid(&format!("a row of {row_bytes} bytes")));
    }
    let mut piece = |length: u64| -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = stream.by_ref().take(length).read_to_end(&mut bytes)?;
        if read as u64 == length { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    };
    Ok((piece(key_bytes.into())?, piece(row_bytes.into())?))
}

/// A row with its index entries.
fn expand(table: Option<Table>, key: &[u8], row: Vec<u8>) -> Result<Entries, Error> {
    let mut entries = match table {
        Some(Table::Archives) => entries_of::<Archive>(key, &row),
        Some(Table::Packs) => entries_of::<Pack>(key, &row),
        Some(Table::Copies) => entries_of::<PackCopy>(key, &row),
        Some(Table::Volumes) => entries_of::<Volume>(key, &row),
        Some(Table::Restores) => entries_of::<RestoreJob>(key, &row),
        Some(Table::Buckets) => entries_of::<Bucket>(key, &row),
        _ => Err(Error::Snapshot { source: "a row of an unknown kind".into() }),
    }?;
    if let Some(table) = table {
        entries.insert((table, key.to_vec()), row);
    }
    Ok(entries)
}

fn entries_of<R: Row>(key: &[u8], row: &[u8]) -> Result<Entries, Error> {
    let row: R = decode(key, row)?;
    if row.key() != key {
        return Err(Error::Snapshot { source: format!("{} under another key", row.name()).into() });
    }
    Ok(row.entries())
}

fn take<const N: usize>(stream: &mut impl io::Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}
