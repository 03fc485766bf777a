//! Reading members of a pack by their place.

use std::io::{self, Read};
use std::ops::Range;

use super::error::Error;
use super::id::{Digest, PackId};
use super::manifest::ManifestReader;
use super::plain::{Cursor, Expander, FrameStarts, ReadAt, read_exact_at};
use super::scan::Scan;
use super::seek::{FOOTER_BYTES, TRAILER_BYTES, Trailer, decode_table, decode_trailer, table_bytes};
use crate::seal::{KeyId, KeySource, MaybeSealed, Provider};

/// A range of a pack's plaintext.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Extent {
    /// First byte.
    pub offset: u64,
    /// Number of bytes.
    pub length: u64,
}

/// A pack opened for reading at any place. One member costs the frames it lies in, nothing more, and
/// members read in the order they lie in cost each frame once.
pub struct PackReader<R> {
    source: R,
    starts: FrameStarts,
    trailer: Trailer,
    expander: Expander,
}

impl<R: ReadAt> PackReader<R> {
    /// Opens a pack of `bytes` bytes: reads and checks its tail, at most 8 MiB.
    pub fn open(mut source: R, bytes: u64) -> Result<Self, Error> {
        let not_a_pack = |why| Error::NotAPack { why };
        let mut end = bytes;
        let mut before = |length: u64| {
            end = end.checked_sub(length).ok_or(Error::NotAPack { why: "too short" })?;
            Ok::<u64, Error>(end)
        };
        let mut footer = [0; FOOTER_BYTES];
        let footer_at = before(FOOTER_BYTES as u64)?;
        read_exact_at(&mut source, footer_at, &mut footer)?;
        let table_length = table_bytes(&footer).map_err(not_a_pack)?;
        let table_at = before(table_length - FOOTER_BYTES as u64)?;
        let trailer_at = before(TRAILER_BYTES as u64)?;
        let mut table = vec![0; usize::try_from(table_length).expect("at most 2^20 entries of 8 bytes")];
        read_exact_at(&mut source, table_at, &mut table)?;
        let mut trailer = [0; TRAILER_BYTES];
        read_exact_at(&mut source, trailer_at, &mut trailer)?;
        let trailer = decode_trailer(&trailer).map_err(not_a_pack)?;
        if Digest::of(&table) != trailer.table_digest {
            return Err(not_a_pack("seek table damaged"));
        }
        let frames = decode_table(&table).map_err(not_a_pack)?;
        let starts = FrameStarts::new(&frames);
        if starts.end() != (trailer_at, trailer.plain_bytes) || frames.len() != trailer.frames as usize {
            return Err(not_a_pack("seek table, trailer and length differ"));
        }
        Ok(PackReader { source, starts, trailer, expander: Expander::new() })
    }

    /// The pack's identity.
    pub fn id(&self) -> PackId {
        self.trailer.pack
    }

    /// Number of members, the manifest not counted.
    pub fn member_count(&self) -> u32 {
        self.trailer.members
    }

    /// Bytes of the tar inside.
    pub fn plain_bytes(&self) -> u64 {
        self.trailer.plain_bytes
    }

    /// The bytes of the pack, inside its seal, that must be read to expand `extent`: whole frames.
    pub fn pack_range(&self, extent: Extent) -> Result<Range<u64>, Error> {
        let last = self.check_extent(extent)?.max(extent.offset + 1) - 1;
        let frame = |plain| self.starts.frame_at(plain).map(|(pack, _)| pack);
        match (frame(extent.offset), frame(last)) {
            (Some(first), Some(last)) => Ok(first.start..last.end),
            _ => Err(outside(extent)),
        }
    }

    /// Reads a member's data, or a part of it. With a digest, the read that would answer the end fails when the bytes do
    /// not have it; without one, only frames read to their end are checked, by zstd's checksum.
    pub fn member(&mut self, extent: Extent, digest: Option<Digest>) -> Result<MemberReader<'_, R>, Error> {
        self.check_extent(extent)?;
        let cursor = self.cursor(extent.offset);
        Ok(MemberReader {
            cursor,
            extent,
            left: extent.length,
            digest: blake3::Hasher::new(),
            expected: digest,
        })
    }

    /// Reads the manifest inside the pack, checked against the digest in the trailer.
    pub fn manifest(&mut self) -> Result<ManifestReader<MemberReader<'_, R>>, Error> {
        let Trailer { pack, manifest_offset: offset, manifest_bytes: length, manifest_digest, .. } =
            self.trailer;
        let plain = self.member(Extent { offset, length }, Some(manifest_digest))?;
        let manifest = ManifestReader::new(plain)?;
        if manifest.pack() != pack {
            return Err(Error::Damaged { offset, why: "manifest of another pack" });
        }
        Ok(manifest)
    }

    /// Walks through the tar itself, which also works when the manifest does not.
    pub fn members(&mut self) -> Result<Scan<Cursor<'_, R>>, Error> {
        Scan::start(self.cursor(0))
    }

    /// Gives the source back.
    pub fn into_inner(self) -> R {
        self.source
    }

    fn cursor(&mut self, position: u64) -> Cursor<'_, R> {
        Cursor::new(&mut self.source, &self.starts, &mut self.expander, position)
    }

    /// The end of an extent inside the pack.
    fn check_extent(&self, extent: Extent) -> Result<u64, Error> {
        let end = extent.offset.checked_add(extent.length);
        end.filter(|end| *end <= self.trailer.plain_bytes).ok_or(outside(extent))
    }
}

impl<R: ReadAt> PackReader<MaybeSealed<R>> {
    /// Opens a pack of `bytes` bytes, sealed or not, with the keys it may ask for.
    pub fn open_any(source: R, bytes: u64, keys: &dyn KeySource, provider: Provider) -> Result<Self, Error> {
        let source = MaybeSealed::open(source, bytes, keys, provider)?;
        let bytes = source.plain_bytes();
        let sealed_as = source.pack();
        let reader = Self::open(source, bytes)?;
        match sealed_as {
            Some(pack) if pack != reader.id() => Err(Error::NotAPack { why: "the seal of another pack" }),
            _ => Ok(reader),
        }
    }

    /// The key the pack is sealed with.
    pub fn key(&self) -> Option<&KeyId> {
        self.source.key()
    }
}

fn outside(extent: Extent) -> Error {
    Error::OutsidePack { offset: extent.offset, length: extent.length }
}

/// The data of one member.
pub struct MemberReader<'a, R> {
    cursor: Cursor<'a, R>,
    extent: Extent,
    left: u64,
    digest: blake3::Hasher,
    expected: Option<Digest>,
}

impl<R: ReadAt> Read for MemberReader<'_, R> {
    /// Fails with an [`io::Error`] whose source is the pack's [`Error`], unless the source of the pack itself failed.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            let wrong = self.expected.is_some_and(|expected| expected != self.digest.finalize().into());
            return if wrong {
                Err(Error::MemberDigest { offset: self.extent.offset }.into())
            } else {
                Ok(0)
            };
        }
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.cursor.read(&mut buffer[..room])?;
        if read == 0 {
            return Err(
                Error::Damaged { offset: self.cursor.position(), why: "the plaintext ends early" }.into()
            );
        }
        self.digest.update(&buffer[..read]);
        self.left -= read as u64;
        Ok(read)
    }
}
