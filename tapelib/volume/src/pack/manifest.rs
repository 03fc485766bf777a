//! The manifest: what a pack holds, one JSON document a line.
//!
//! The first line names the pack, then comes a line per member in tar order, and the last line says how many there were.
//! Inside the pack it is the last member; beside the pack stands the same text as one zstd frame.

use std::io::{BufRead, BufReader, Cursor, Read, Write};

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::id::{Digest, MemberId, PackId};
use super::limits::{
    KEY_BYTES_MAX, MANIFEST_BYTES_MAX, MANIFEST_LINE_OVERHEAD, MEMBERS_MAX, RECORD_BYTES_MAX, WINDOW_LOG_MAX,
};
use super::record::{ObjectRecord, Segment};
use super::writer::{MemberPlace, about_manifest};
use crate::seal::{self, KeySource};

/// One member as the manifest tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestEntry {
    /// The archived object version.
    pub id: MemberId,
    /// Which piece of it, if it was cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<Segment>,
    /// Plaintext byte of the pack at which the member's data begins.
    pub offset: u64,
    /// Bytes of the member's data.
    pub length: u64,
    /// BLAKE3-256 of the member's data.
    pub digest: Digest,
    /// The object's S3 record.
    pub record: ObjectRecord,
}

#[derive(Serialize, Deserialize)]
struct FirstLine {
    tapegate_manifest: u32,
    pack: PackId,
}

#[derive(Serialize, Deserialize)]
struct LastLine {
    members: u32,
}

#[derive(Serialize)]
struct EntryLine<'a> {
    id: MemberId,
    #[serde(skip_serializing_if = "Option::is_none")]
    segment: Option<Segment>,
    offset: u64,
    length: u64,
    digest: Digest,
    record: &'a ObjectRecord,
}

const VERSION: u32 = 1;

// === writing ===

/// The manifest of these members as it stands beside their pack.
pub fn write_manifest(
    pack: PackId,
    entries: impl IntoIterator<Item = Result<ManifestEntry, Error>>,
) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Write { pack, source };
    let mut builder = ManifestBuilder::new(pack).map_err(failed)?;
    for entry in entries {
        let ManifestEntry { id, segment, offset, length, digest, record } = entry?;
        let place = MemberPlace { id, segment, offset, length, digest };
        builder.add(&place, &record).map_err(failed)?;
    }
    Ok(builder.finish().map_err(failed)?.compressed)
}

/// Gathers a manifest, held compressed.
pub(super) struct ManifestBuilder {
    encoder: zstd::stream::write::Encoder<'static, Vec<u8>>,
    /// Plaintext so far.
    pub plain_bytes: u64,
    digest: blake3::Hasher,
    members: u32,
}

/// A complete manifest.
pub(super) struct Manifest {
    /// One zstd frame.
    pub compressed: Vec<u8>,
    pub plain_bytes: u64,
    /// Of the plaintext.
    pub digest: Digest,
}

impl ManifestBuilder {
    pub fn new(pack: PackId) -> std::io::Result<Self> {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3)?;
        encoder.include_checksum(true)?;
        let mut builder =
            ManifestBuilder { encoder, plain_bytes: 0, digest: blake3::Hasher::new(), members: 0 };
        builder.line(&FirstLine { tapegate_manifest: VERSION, pack })?;
        Ok(builder)
    }

    pub fn add(&mut self, place: &MemberPlace, record: &ObjectRecord) -> std::io::Result<()> {
        self.members += 1;
        self.line(&EntryLine {
            id: place.id,
            segment: place.segment,
            offset: place.offset,
            length: place.length,
            digest: place.digest,
            record,
        })
    }

    pub fn finish(mut self) -> std::io::Result<Manifest> {
        let members = self.members;
        self.line(&LastLine { members })?;
        Ok(Manifest {
            compressed: self.encoder.finish()?,
            plain_bytes: self.plain_bytes,
            digest: self.digest.finalize().into(),
        })
    }

    fn line(&mut self, document: &impl Serialize) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(document)?;
        line.push(b'\n');
        self.digest.update(&line);
        self.plain_bytes += line.len() as u64;
        self.encoder.write_all(&line)
    }
}

// === reading ===

/// Reads a manifest entry by entry. Entries are only trustworthy once the iteration has ended without an error:
/// the count, and the digest where one is known, stand at the end.
pub struct ManifestReader<R> {
    plain: BufReader<R>,
    pack: PackId,
    entries: u32,
    line: Vec<u8>,
    read: u64,
    ended: bool,
}

impl<R: Read> ManifestReader<zstd::stream::read::Decoder<'static, BufReader<R>>> {
    /// Reads the compressed form that stands beside a pack that is not sealed.
    pub fn compressed(file: R) -> Result<Self, Error> {
        let mut decoder =
            zstd::stream::read::Decoder::new(file).map_err(|source| Error::Read { offset: 0, source })?;
        decoder.window_log_max(WINDOW_LOG_MAX).map_err(|source| Error::Read { offset: 0, source })?;
        Self::new(decoder)
    }
}

/// What [`ManifestReader::beside`] reads from.
pub type Beside = zstd::stream::read::Decoder<'static, BufReader<Cursor<Vec<u8>>>>;

impl ManifestReader<Beside> {
    /// Reads the manifest that stands beside `pack`, sealed or not.
    pub fn beside(file: Vec<u8>, pack: PackId, keys: &dyn KeySource) -> Result<Self, Error> {
        let compressed = match seal::is_sealed(&file) {
            false => file,
            true => seal::note::open(keys, &about_manifest(pack), &file)?,
        };
        let reader = Self::compressed(Cursor::new(compressed))?;
        if reader.pack() == pack { Ok(reader) } else { Err(reader.damaged("manifest of another pack")) }
    }
}

impl<R: Read> ManifestReader<R> {
    /// Reads the plain form.
    pub fn new(plain: R) -> Result<Self, Error> {
        let mut reader = ManifestReader {
            plain: BufReader::new(plain),
            pack: PackId(ulid::Ulid(0)),
            entries: 0,
            line: Vec::new(),
            read: 0,
            ended: false,
        };
        reader.next_line()?;
        let first: FirstLine = reader.parse("manifest without its first line")?;
        if first.tapegate_manifest != VERSION {
            return Err(Error::NotAPack { why: "manifest of an unknown version" });
        }
        reader.pack = first.pack;
        Ok(reader)
    }

    /// The pack this manifest describes.
    pub fn pack(&self) -> PackId {
        self.pack
    }

    fn step(&mut self) -> Result<Option<ManifestEntry>, Error> {
        self.next_line()?;
        if let Ok(last) = serde_json::from_slice::<LastLine>(&self.line) {
            return self.end(last);
        }
        let entry: ManifestEntry = self.parse("manifest line that cannot be read")?;
        self.entries += 1;
        if self.entries > MEMBERS_MAX {
            return Err(self.damaged("manifest of too many members"));
        }
        Ok(Some(entry))
    }

    fn end(&mut self, last: LastLine) -> Result<Option<ManifestEntry>, Error> {
        if last.members != self.entries {
            return Err(self.damaged("manifest lacks members"));
        }
        // Reading on to the end lets the source check its digest.
        let rest = self.plain.fill_buf().map_err(|error| Error::from_read(self.read, error))?;
        if !rest.is_empty() {
            return Err(self.damaged("manifest goes on after its last line"));
        }
        Ok(None)
    }

    fn next_line(&mut self) -> Result<(), Error> {
        self.line.clear();
        let limit = RECORD_BYTES_MAX as u64 + 6 * KEY_BYTES_MAX as u64 + MANIFEST_LINE_OVERHEAD;
        let read = self.plain.by_ref().take(limit).read_until(b'\n', &mut self.line);
        self.read += read.map_err(|error| Error::from_read(self.read, error))? as u64;
        if self.read > MANIFEST_BYTES_MAX {
            return Err(self.damaged("manifest over 128 MiB"));
        }
        if self.line.last() == Some(&b'\n') { Ok(()) } else { Err(self.damaged("manifest ends early")) }
    }

    fn parse<'a, T: Deserialize<'a>>(&'a self, why: &'static str) -> Result<T, Error> {
        serde_json::from_slice(&self.line).map_err(|_| self.damaged(why))
    }

    fn damaged(&self, why: &'static str) -> Error {
        Error::Damaged { offset: self.read, why }
    }
}

impl<R: Read> Iterator for ManifestReader<R> {
    type Item = Result<ManifestEntry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let step = self.step().transpose();
        self.ended = !matches!(step, Some(Ok(_)));
        step
    }
}
