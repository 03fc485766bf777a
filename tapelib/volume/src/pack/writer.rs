//! Writing a pack.

use std::io::{Read, Write};

use super::compress::Pipeline;
use super::error::Error;
use super::frame::Framer;
use super::id::{Digest, MemberId, PackId};
use super::limits::{
    BUCKET_BYTES_MAX, CHUNK_BYTES, FRAMES_MAX, HUGE_FRAME_BYTES_MAX, HUGE_MEMBER_BYTES, KEY_BYTES_MAX,
    LARGE_FRAME_BYTES_MAX, LEVEL_MAX, LEVEL_MIN, LEVEL_STORED, MANIFEST_BYTES_MAX, MANIFEST_LINE_OVERHEAD,
    MEMBERS_MAX, PLAIN_BYTES_MAX, RECORD_BYTES_MAX,
};
use super::manifest::{Manifest, ManifestBuilder};
use super::name::{manifest_name, member_name};
use super::outlet::Outlet;
use super::record::{ObjectRecord, Segment};
use super::seek::{Trailer, encode_table, encode_trailer};
use super::tar;
use crate::seal::{KeyMark, SealingKey, note};

/// How a pack is compressed and sealed. The bytes of a pack depend on `level`, not on `workers`.
#[derive(Debug, Clone)]
pub struct Options {
    /// zstd level; values above 19 or below 0 are brought inside, and 0 stores the bytes as they are.
    pub level: i32,
    /// Compression threads, at least one. Each adds about 20 MiB of memory.
    pub workers: usize,
    /// Seals the pack and the manifest beside it, and makes the bytes differ every time.
    pub key: Option<SealingKey>,
}

impl Default for Options {
    /// Level 1, a thread per core, not sealed.
    fn default() -> Self {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        Options { level: LEVEL_MIN, workers, key: None }
    }
}

/// A member about to be written.
#[derive(Debug, Clone)]
pub struct Member {
    /// The archived object version; with `segment`, unique in the pack.
    pub id: MemberId,
    /// Bytes of data that will follow: the object's size, or the segment's.
    pub length: u64,
    /// Which piece of the object, if it was cut.
    pub segment: Option<Segment>,
    /// The object's S3 record. Its date becomes the member's date in the tar.
    pub record: ObjectRecord,
}

/// Where a member came to lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberPlace {
    /// The archived object version.
    pub id: MemberId,
    /// Which piece of it.
    pub segment: Option<Segment>,
    /// Byte of the pack's plaintext (the tar) at which the data begins.
    pub offset: u64,
    /// Bytes of data.
    pub length: u64,
    /// BLAKE3-256 of the data.
    pub digest: Digest,
}

/// A finished pack.
#[derive(Debug, Clone)]
pub struct PackSummary {
    /// Its identity.
    pub id: PackId,
    /// Bytes of the pack file.
    pub bytes: u64,
    /// Bytes of the tar inside.
    pub plain_bytes: u64,
    /// BLAKE3-256 of the pack file.
    pub digest: Digest,
    /// The key it is sealed with.
    pub key: Option<KeyMark>,
    /// Its members in order, the manifest not among them.
    pub members: Vec<MemberPlace>,
    /// The manifest, compressed and sealed as the pack is, to be kept beside it ([`super::ManifestReader::beside`] reads
    /// it).
    pub manifest: Vec<u8>,
    /// zstd frames that hold data.
    pub frames: u32,
}

/// Writes one pack into `W`, in one pass and bounded memory.
///
/// `begin_member`, `write` until the announced length is reached, `end_member`, again and again, then `finish`. After an
/// error other than [`Error::Refused`] and [`Error::Full`] the pack must be thrown away; every later call fails.
pub struct PackWriter<W: Write> {
    id: PackId,
    key: Option<SealingKey>,
    framer: Framer<W>,
    manifest: ManifestBuilder,
    places: Vec<MemberPlace>,
    state: State,
}

enum State {
    Between,
    Open(Box<OpenMember>),
    Broken,
}

struct OpenMember {
    member: Member,
    offset: u64,
    given: u64,
    digest: blake3::Hasher,
}

impl<W: Write> PackWriter<W> {
    /// Starts a pack and its compression threads.
    pub fn new(sink: W, id: PackId, options: &Options) -> Result<Self, Error> {
        let level = options.level.clamp(LEVEL_STORED, LEVEL_MAX);
        let manifest = ManifestBuilder::new(id).map_err(|source| Error::Write { pack: id, source })?;
        let outlet = Outlet::new(sink, id, options.key.as_ref());
        let outlet = outlet.map_err(|source| Error::Write { pack: id, source })?;
        let mut framer = Framer::new(id, outlet, Pipeline::new(level, options.workers));
        let global = tar::global_comment(&comment(id));
        framer.begin_entry(global.len() as u64, LARGE_FRAME_BYTES_MAX)?;
        framer.write(&global)?;
        Ok(PackWriter {
            id,
            key: options.key.clone(),
            framer,
            manifest,
            places: Vec::new(),
            state: State::Between,
        })
    }

    /// Bytes handed to the sink so far; up to some 8 MiB a thread are still being compressed.
    pub fn bytes(&self) -> u64 {
        self.framer.bytes()
    }

    /// Bytes of the tar so far, an upper bound (but for the tail) of what incompressible data will take.
    pub fn plain_bytes(&self) -> u64 {
        self.framer.plain_bytes()
    }

    /// Members written so far.
    pub fn members(&self) -> usize {
        self.places.len()
    }

    /// Starts a member. [`Error::Full`] asks to finish the pack and use another; [`Error::Refused`] says the member can
    /// go into no pack. Both leave the pack as it was.
    pub fn begin_member(&mut self, mut member: Member) -> Result<(), Error> {
        if !matches!(self.state, State::Between) {
            return Err(self.out_of_order("a member was begun inside another, or after a failure"));
        }
        let id = member.id;
        let refused = |why| Error::Refused { id, why };
        check_member(&member.record, member.length, member.segment).map_err(refused)?;
        // The key has a record of its own, so that both fit among the extended attributes of common file systems.
        let key = std::mem::take(&mut member.record.key);
        let record = serde_json::to_vec(&member.record).map_err(|_| refused("its record is no JSON"))?;
        member.record.key = key;
        if record.len() > RECORD_BYTES_MAX {
            return Err(refused("its record is over 2 MiB"));
        }
        let headers = member_headers(&member, &record);
        let size = headers.len() as u64 + member.length + tar::padding(member.length);
        let frame_max =
            if member.length > HUGE_MEMBER_BYTES { HUGE_FRAME_BYTES_MAX } else { LARGE_FRAME_BYTES_MAX };
        self.check_room(size, frame_max, record.len() + 6 * member.record.key.len())?;
        self.state = State::Broken;
        self.framer.begin_entry(size, frame_max)?;
        self.framer.write(&headers)?;
        let offset = self.framer.plain_bytes();
        self.state =
            State::Open(Box::new(OpenMember { member, offset, given: 0, digest: blake3::Hasher::new() }));
        Ok(())
    }

    /// Takes the next bytes of the open member.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut open = self.take_open()?;
        open.given = open.given.saturating_add(bytes.len() as u64);
        if open.given > open.member.length {
            return Err(open.wrong_length());
        }
        open.digest.update(bytes);
        self.framer.write(bytes)?;
        self.state = State::Open(open);
        Ok(())
    }

    /// Ends the open member, whose announced length must have been reached.
    pub fn end_member(&mut self) -> Result<MemberPlace, Error> {
        let open = self.take_open()?;
        if open.given != open.member.length {
            return Err(open.wrong_length());
        }
        self.pad(open.member.length)?;
        let place = MemberPlace {
            id: open.member.id,
            segment: open.member.segment,
            offset: open.offset,
            length: open.member.length,
            digest: open.digest.finalize().into(),
        };
        let added = self.manifest.add(&place, &open.member.record);
        added.map_err(|source| Error::Write { pack: self.id, source })?;
        self.places.push(place.clone());
        self.state = State::Between;
        Ok(place)
    }

    /// Writes manifest and tail, flushes the sink and gives it back; making it durable is the caller's.
    pub fn finish(mut self) -> Result<(W, PackSummary), Error> {
        if !matches!(self.state, State::Between) {
            return Err(self.out_of_order("finished inside a member, or after a failure"));
        }
        let fresh = ManifestBuilder::new(self.id);
        let manifest = fresh.and_then(|fresh| std::mem::replace(&mut self.manifest, fresh).finish());
        let manifest = manifest.map_err(|source| Error::Write { pack: self.id, source })?;
        let manifest_offset = self.write_manifest(&manifest)?;
        let plain_bytes = self.framer.plain_bytes();
        let frames = self.framer.end_frames()?;
        let frame_count = u32::try_from(frames.len()).expect("begin_member keeps below the limit");
        let table = encode_table(frames);
        let mut tail = encode_trailer(&Trailer {
            pack: self.id,
            members: u32::try_from(self.places.len()).expect("begin_member keeps below the limit"),
            frames: frame_count,
            plain_bytes,
            manifest_offset,
            manifest_bytes: manifest.plain_bytes,
            manifest_digest: manifest.digest,
            table_digest: Digest::of(&table),
        });
        tail.extend(table);
        let written = self.framer.finish(&tail)?;
        let beside = match &self.key {
            None => manifest.compressed,
            Some(key) => note::seal(key, &about_manifest(self.id), &manifest.compressed)?,
        };
        let summary = PackSummary {
            id: self.id,
            bytes: written.bytes,
            plain_bytes,
            digest: written.digest,
            key: self.key.as_ref().map(SealingKey::mark),
            members: self.places,
            manifest: beside,
            frames: frame_count,
        };
        Ok((written.sink, summary))
    }

    /// Whether an entry of `size` still fits with everything that must follow it. In the manifest a key takes up to six
    /// bytes for one.
    fn check_room(&self, size: u64, frame_max: u64, record_bytes: usize) -> Result<(), Error> {
        let full = |limit| Err(Error::Full { pack: self.id, limit });
        if self.places.len() >= MEMBERS_MAX as usize {
            return full("100 000 members");
        }
        let line = record_bytes as u64 + MANIFEST_LINE_OVERHEAD;
        // The last line counts as an overhead of its own.
        if self.manifest.plain_bytes + line + MANIFEST_LINE_OVERHEAD > MANIFEST_BYTES_MAX {
            return full("128 MiB of manifest");
        }
        // Two: the frame of small members cut short before this one, and the one begun after it.
        let frames = self.framer.frames() as u64 + size.div_ceil(frame_max) + 2;
        if frames + MANIFEST_BYTES_MAX / LARGE_FRAME_BYTES_MAX + 1 > u64::from(FRAMES_MAX) {
            return full("2^20 frames");
        }
        if self.framer.plain_bytes() + size + 2 * MANIFEST_BYTES_MAX > PLAIN_BYTES_MAX {
            return full("1 PiB of plaintext");
        }
        Ok(())
    }

    /// The manifest as the last entry, with the end of the archive; answers where its data begins.
    fn write_manifest(&mut self, manifest: &Manifest) -> Result<u64, Error> {
        let (path, pack) = (manifest_name(self.id), self.id.to_string());
        let headers = tar::headers(&tar::Entry {
            path: &path,
            short: &pack,
            size: manifest.plain_bytes,
            mtime_ms: 0,
            attributes: &[("manifest", pack.as_bytes())],
        });
        let body = manifest.plain_bytes + tar::padding(manifest.plain_bytes);
        self.framer
            .begin_entry(headers.len() as u64 + body + tar::END_BYTES as u64, LARGE_FRAME_BYTES_MAX)?;
        self.framer.write(&headers)?;
        let offset = self.framer.plain_bytes();
        let write_error = |source| Error::Write { pack: self.id, source };
        let mut plain =
            zstd::stream::read::Decoder::new(manifest.compressed.as_slice()).map_err(write_error)?;
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            let read = plain.read(&mut buffer).map_err(write_error)?;
            if read == 0 {
                break;
            }
            self.framer.write(&buffer[..read])?;
        }
        assert_eq!(
            self.framer.plain_bytes() - offset,
            manifest.plain_bytes,
            "the manifest expands to its size"
        );
        self.pad(manifest.plain_bytes)?;
        self.framer.write(&[0; tar::END_BYTES])?;
        Ok(offset)
    }

    fn pad(&mut self, size: u64) -> Result<(), Error> {
        let zeros = [0; tar::BLOCK];
        let padding = usize::try_from(tar::padding(size)).expect("less than a block");
        self.framer.write(&zeros[..padding])
    }

    /// Takes the open member out; unless it is put back, the writer is broken.
    fn take_open(&mut self) -> Result<Box<OpenMember>, Error> {
        match std::mem::replace(&mut self.state, State::Broken) {
            State::Open(open) => Ok(open),
            other => {
                self.state = other;
                Err(self.out_of_order("no member is open"))
            }
        }
    }

    fn out_of_order(&self, why: &'static str) -> Error {
        Error::OutOfOrder { pack: self.id, why }
    }
}

impl OpenMember {
    fn wrong_length(&self) -> Error {
        Error::MemberLength { id: self.member.id, announced: self.member.length, given: self.given }
    }
}

/// What the sealed manifest beside a pack is bound to.
pub(super) fn about_manifest(pack: PackId) -> String {
    format!("manifest {pack}")
}

/// The comment of the global header with which every pack begins.
pub(super) fn comment(id: PackId) -> String {
    format!("{COMMENT_START}{id}")
}

/// Names the format and its version.
pub(super) const COMMENT_START: &str = "tapegate pack 1 ";

/// What must hold of every member; the readers ask the same.
pub(super) fn check_member(
    record: &ObjectRecord,
    length: u64,
    segment: Option<Segment>,
) -> Result<(), &'static str> {
    if !(1..=BUCKET_BYTES_MAX).contains(&record.bucket.len()) || record.bucket.contains('/') {
        return Err("its bucket name is empty, over 255 bytes or has a slash");
    }
    if !(1..=KEY_BYTES_MAX).contains(&record.key.len()) {
        return Err("its key is empty or over 1 024 bytes");
    }
    if record.size > PLAIN_BYTES_MAX || length > record.size {
        return Err("its length is over the object's size or 1 PiB");
    }
    match segment {
        None if length != record.size => Err("its length is not the object's size"),
        Some(segment) if !segment.is_valid() => Err("its segment numbers are impossible"),
        _ => Ok(()),
    }
}

fn member_headers(member: &Member, record: &[u8]) -> Vec<u8> {
    let path = member_name(&member.record.bucket, &member.record.key, member.id, member.segment);
    let id = member.id.to_string();
    let segment = member.segment.map(|segment| format!("{}/{}", segment.index, segment.count));
    let mut attributes: Vec<(&str, &[u8])> =
        vec![("id", id.as_bytes()), ("key", member.record.key.as_bytes()), ("record", record)];
    attributes.extend(segment.as_ref().map(|segment| ("segment", segment.as_bytes())));
    tar::headers(&tar::Entry {
        path: &path,
        short: &id,
        size: member.length,
        mtime_ms: member.record.last_modified_ms,
        attributes: &attributes,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ulid::Ulid;

    fn writer() -> PackWriter<Vec<u8>> {
        PackWriter::new(Vec::new(), PackId(Ulid(1)), &Options { level: 1, workers: 1, key: None }).unwrap()
    }

    fn member(length: u64) -> Member {
        let record =
            ObjectRecord { bucket: "b".into(), key: "k".into(), size: length, ..ObjectRecord::default() };
        Member { id: MemberId(Ulid(2)), length, segment: None, record }
    }

    fn is_full(writer: &mut PackWriter<Vec<u8>>, length: u64) -> bool {
        match writer.begin_member(member(length)) {
            Ok(()) => false,
            Err(Error::Full { .. }) => {
                writer.manifest.plain_bytes = 0;
                writer.places.clear();
                assert!(writer.begin_member(member(0)).is_ok(), "a full pack is not broken");
                true
            }
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_pack_is_full_at_its_limits() {
        let mut by_members = writer();
        by_members.begin_member(member(0)).unwrap();
        let place = by_members.end_member().unwrap();
        by_members.places = vec![place; MEMBERS_MAX as usize];
        assert!(is_full(&mut by_members, 0));
        let mut by_manifest = writer();
        by_manifest.manifest.plain_bytes = MANIFEST_BYTES_MAX - 500;
        assert!(is_full(&mut by_manifest, 0));
        assert!(is_full(&mut writer(), PLAIN_BYTES_MAX - 1));
        assert!(!is_full(&mut writer(), 1 << 43));
    }
}
