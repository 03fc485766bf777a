//! Walking through a pack member by member, with or without seeking.

use std::io::{self, BufReader, Read};

use super::error::Error;
use super::id::{Digest, MemberId, PackId};
use super::limits::{MEMBERS_MAX, PAX_BYTES_MAX, PLAIN_BYTES_MAX, RECORD_BYTES_MAX, WINDOW_LOG_MAX};
use super::manifest::ManifestReader;
use super::plain::{Cursor, ReadAt};
use super::record::{ObjectRecord, Segment};
use super::tar::{self, END_BYTES};
use super::untar::{self, Header, Records};
use super::writer::{COMMENT_START, check_member};

/// A member met on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScannedMember {
    /// The archived object version.
    pub id: MemberId,
    /// Which piece of it, if it was cut.
    pub segment: Option<Segment>,
    /// Plaintext byte at which the data begins.
    pub offset: u64,
    /// Bytes of data.
    pub length: u64,
    /// The object's S3 record.
    pub record: ObjectRecord,
}

/// The plaintext of a pack, in order.
pub(super) trait Plain {
    /// Reads; 0 only at the end.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error>;
    /// Passes over bytes, which the caller knows to lie inside the pack or does not mind to miss.
    fn skip(&mut self, bytes: u64) -> Result<(), Error>;
    /// Bytes read and passed over.
    fn position(&self) -> u64;
}

/// Walks through a pack: `next_member`, then read its data from the scan itself or leave it unread.
///
/// At the end the manifest is checked against what was met: every member must be in it with its place, and with its digest
/// where its data was read whole. Until `next_member` has answered `None`, what was read has only the zstd checksums behind it.
pub struct Scan<P> {
    plain: P,
    pack: PackId,
    met: Vec<Met>,
    /// Data of the current member not yet read.
    left: u64,
    digest: blake3::Hasher,
    ended: bool,
}

/// A member passed, to be compared with the manifest.
struct Met {
    id: MemberId,
    segment: Option<Segment>,
    offset: u64,
    length: u64,
    /// Known when the data was read whole.
    digest: Option<Digest>,
}

#[allow(private_bounds, reason = "callers only ever name the two sources of this crate")]
impl<P: Plain> Scan<P> {
    pub(super) fn start(plain: P) -> Result<Self, Error> {
        let mut scan = Scan {
            plain,
            pack: PackId(ulid::Ulid(0)),
            met: Vec::new(),
            left: 0,
            digest: blake3::Hasher::new(),
            ended: false,
        };
        let header = scan.header()?;
        if header.kind != b'g' {
            return Err(Error::NotAPack { why: "no global header at the start" });
        }
        let comment = scan.records(&header)?.comment;
        let id = comment.as_deref().and_then(|comment| comment.strip_prefix(COMMENT_START)?.parse().ok());
        scan.pack = id.ok_or(Error::NotAPack { why: "no pack id and known version at the start" })?;
        Ok(scan)
    }

    /// The pack being read.
    pub fn pack(&self) -> PackId {
        self.pack
    }

    /// Goes to the next member, passing over data not read. `None` after the last, once the manifest was checked.
    pub fn next_member(&mut self) -> Result<Option<ScannedMember>, Error> {
        if self.ended {
            return Ok(None);
        }
        self.leave_member()?;
        let extended = self.header()?;
        if extended.kind != b'x' {
            return Err(self.damaged("an entry without its extended header"));
        }
        let records = self.records(&extended)?;
        let header = self.header()?;
        let size = records.size.unwrap_or(header.size);
        if header.kind != b'0' || size > PLAIN_BYTES_MAX {
            return Err(self.damaged("an entry that is no file of a possible size"));
        }
        if let Some(pack) = &records.manifest {
            if *pack != self.pack.to_string() {
                return Err(self.damaged("manifest of another pack"));
            }
            self.check_manifest(size)?;
            self.ended = true;
            return Ok(None);
        }
        self.enter_member(records, size).map(Some)
    }

    fn enter_member(&mut self, records: Records, length: u64) -> Result<ScannedMember, Error> {
        if self.met.len() >= MEMBERS_MAX as usize {
            return Err(self.damaged("too many members"));
        }
        let offset = self.plain.position();
        let member = parse_member(records, offset, length).map_err(|why| self.damaged(why))?;
        self.left = length;
        self.digest = blake3::Hasher::new();
        self.met.push(Met { id: member.id, segment: member.segment, offset, length, digest: None });
        Ok(member)
    }

    /// Passes over what is left of the current member, and takes its digest if nothing was.
    fn leave_member(&mut self) -> Result<(), Error> {
        let Some(met) = self.met.last_mut() else {
            return Ok(());
        };
        if self.left == 0 {
            met.digest = Some(self.digest.finalize().into());
        }
        let rest = self.left + tar::padding(met.length);
        self.left = 0;
        self.plain.skip(rest)
    }

    /// Compares the manifest, which comes next, with what was met, and sees the archive end after it.
    fn check_manifest(&mut self, size: u64) -> Result<(), Error> {
        let at = self.plain.position();
        let mut manifest = ManifestReader::new(Limited { plain: &mut self.plain, left: size })?;
        let damaged = |why| Error::Damaged { offset: at, why };
        if manifest.pack() != self.pack {
            return Err(damaged("manifest of another pack"));
        }
        for met in &self.met {
            let entry = manifest.next().ok_or(damaged("a member is missing in the manifest"))??;
            let same = (entry.id, entry.segment, entry.offset, entry.length)
                == (met.id, met.segment, met.offset, met.length);
            if !same {
                return Err(damaged("manifest and members differ"));
            }
            if met.digest.is_some_and(|digest| digest != entry.digest) {
                return Err(Error::MemberDigest { offset: met.offset });
            }
        }
        if manifest.next().transpose()?.is_some() {
            return Err(damaged("a member of the manifest is missing"));
        }
        self.plain.skip(tar::padding(size))?;
        let mut end = [1; END_BYTES];
        self.read_exact(&mut end)?;
        if end.iter().any(|byte| *byte != 0) || self.plain.read(&mut [0])? != 0 {
            return Err(damaged("the archive does not end after its manifest"));
        }
        Ok(())
    }

    fn header(&mut self) -> Result<Header, Error> {
        let mut block = [0; 512];
        self.read_exact(&mut block)?;
        untar::header(&block).map_err(|why| self.damaged(why))
    }

    fn records(&mut self, header: &Header) -> Result<Records, Error> {
        let size = usize::try_from(header.size).ok().filter(|size| *size <= PAX_BYTES_MAX);
        let size = size.ok_or_else(|| self.damaged("an extended header over 3 MiB"))?;
        let mut bytes = vec![0; size.next_multiple_of(512)];
        self.read_exact(&mut bytes)?;
        untar::records(&bytes[..size]).map_err(|why| self.damaged(why))
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        let mut done = 0;
        while done < buffer.len() {
            match self.plain.read(&mut buffer[done..])? {
                0 => return Err(self.damaged("the plaintext ends early")),
                read => done += read,
            }
        }
        Ok(())
    }

    fn damaged(&self, why: &'static str) -> Error {
        Error::Damaged { offset: self.plain.position(), why }
    }
}

/// Reads the data of the current member, to its end.
#[allow(private_bounds, reason = "callers only ever name the two sources of this crate")]
impl<P: Plain> Read for Scan<P> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if room == 0 {
            return Ok(0);
        }
        let read = self.plain.read(&mut buffer[..room])?;
        if read == 0 {
            return Err(self.damaged("the plaintext ends early").into());
        }
        self.digest.update(&buffer[..read]);
        self.left -= read as u64;
        Ok(read)
    }
}

fn parse_member(records: Records, offset: u64, length: u64) -> Result<ScannedMember, &'static str> {
    let id = records.id.and_then(|id| id.parse().ok()).ok_or("a member without its id")?;
    let json =
        records.record.filter(|json| json.len() <= RECORD_BYTES_MAX).ok_or("a member without its record")?;
    let mut record: ObjectRecord =
        serde_json::from_slice(&json).map_err(|_| "a record that cannot be read")?;
    record.key = records.key.ok_or("a member without its key")?;
    let segment =
        records.segment.map(|text| parse_segment(&text).ok_or("segment numbers that cannot be read"));
    let segment = segment.transpose()?;
    check_member(&record, length, segment).map_err(|_| "a member that cannot be")?;
    Ok(ScannedMember { id, segment, offset, length, record })
}

fn parse_segment(text: &str) -> Option<Segment> {
    let (index, count) = text.split_once('/')?;
    let number =
        |digits: &str| untar::decimal(digits.as_bytes()).and_then(|number| u32::try_from(number).ok());
    Some(Segment { index: number(index)?, count: number(count)? })
}

/// At most `left` bytes of a plaintext, as a reader.
struct Limited<'a, P> {
    plain: &'a mut P,
    left: u64,
}

impl<P: Plain> Read for Limited<'_, P> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.plain.read(&mut buffer[..room])?;
        self.left -= read as u64;
        Ok(read)
    }
}

// === the two sources ===

impl<R: ReadAt> Plain for Cursor<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        Cursor::read(self, buffer)
    }

    fn skip(&mut self, bytes: u64) -> Result<(), Error> {
        Cursor::skip(self, bytes);
        Ok(())
    }

    fn position(&self) -> u64 {
        Cursor::position(self)
    }
}

/// The plaintext of a pack that can only be read from start to end.
pub struct Sequential<R: Read> {
    decoder: zstd::stream::read::Decoder<'static, BufReader<Source<R>>>,
    position: u64,
}

/// Marks failures to read, which are no fault of the bytes.
struct Source<R> {
    inner: R,
    offset: u64,
}

impl<R: Read> Scan<Sequential<R>> {
    /// Reads a pack from a source that cannot seek, as it stands on a volume. Memory stays below 80 MiB even for hostile
    /// input (a zstd window of 64 MiB); packs of ours need 8.
    pub fn sequential(source: R) -> Result<Self, Error> {
        let failed = |source| Error::Read { offset: 0, source };
        let mut decoder =
            zstd::stream::read::Decoder::new(Source { inner: source, offset: 0 }).map_err(failed)?;
        decoder.window_log_max(WINDOW_LOG_MAX).map_err(failed)?;
        Scan::start(Sequential { decoder, position: 0 })
    }
}

impl<R: Read> Plain for Sequential<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let read = self.decoder.read(buffer).map_err(|error| {
            if error.get_ref().is_some_and(|inner| inner.is::<Error>()) {
                Error::from_read(self.position, error)
            } else {
                Error::Damaged { offset: self.position, why: "zstd cannot expand a frame" }
            }
        })?;
        self.position += read as u64;
        Ok(read)
    }

    fn skip(&mut self, mut bytes: u64) -> Result<(), Error> {
        let mut discard = vec![0; 64 << 10];
        while bytes > 0 {
            let room = usize::try_from(bytes).unwrap_or(usize::MAX).min(discard.len());
            match Plain::read(self, &mut discard[..room])? {
                0 => {
                    return Err(Error::Damaged { offset: self.position, why: "the plaintext ends early" });
                }
                read => bytes -= read as u64,
            }
        }
        Ok(())
    }

    fn position(&self) -> u64 {
        self.position
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.inner.read(buffer) {
                Ok(read) => {
                    self.offset += read as u64;
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(io::Error::other(Error::Read { offset: self.offset, source }));
                }
            }
        }
    }
}
