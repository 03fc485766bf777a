//! A mounted volume, as the caller's work sees it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use volume::journal;
use volume::ltfs::{self, Appender, BLOCK_BYTES, FileAttributes, Index, Volume};
use volume::pack::ReadAt;

use crate::error::Place;
use crate::tape::DriveTape;
use crate::{
    AppendError, Committed, CopyLabel, Error, PackFile, PackOnTape, PackWritten, Recovered, VolumeUuid,
};

/// Directory of a volume that holds packs and their manifests.
const PACKS: &str = "packs";
const PACK_SUFFIX: &str = ".tar.zst";
/// What the name of a sealed pack ends with.
const SEALED_SUFFIX: &str = ".sealed";
const MANIFEST_SUFFIX: &str = ".manifest";
/// Extended attribute of a pack: its BLAKE3-256 in hexadecimal.
const DIGEST_ATTRIBUTE: &str = "tapegate.blake3";
/// Extended attributes of a pack: the pool of this copy, and its number among the copies.
const POOL_ATTRIBUTE: &str = "tapegate.pool";
const COPY_ATTRIBUTE: &str = "tapegate.copy";
const ID_BYTES_MAX: usize = 64;

/// A volume mounted in a drive.
#[derive(Debug)]
pub struct Mounted<Access> {
    pub(crate) tape: DriveTape,
    pub(crate) access: Access,
    pub(crate) place: Place,
    pub(crate) stopping: Arc<AtomicBool>,
    /// The first error of the drive or the medium: the job's result, whatever the work makes of it.
    pub(crate) failure: Option<Error>,
}

/// Marks a mount that passed the write fence and stands at the end of data.
#[derive(Debug)]
pub struct Appending {
    pub(crate) appender: Appender,
    pub(crate) recovered: Option<Recovered>,
    /// Packs appended since the last commit.
    pub(crate) open_packs: Vec<String>,
    pub(crate) remaining_bytes: u64,
}

/// Marks a mount for reading.
#[derive(Debug)]
pub struct Reading {
    pub(crate) volume: Volume,
}

/// What both kinds of mount have.
pub trait OnVolume: sealed::Sealed {
    /// The volume with its last committed index.
    fn volume(&self) -> &Volume;
}

impl OnVolume for Appending {
    fn volume(&self) -> &Volume {
        self.appender.volume()
    }
}

impl OnVolume for Reading {
    fn volume(&self) -> &Volume {
        &self.volume
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Appending {}
    impl Sealed for super::Reading {}
}

impl<Access: OnVolume> Mounted<Access> {
    /// The volume with its last committed index.
    pub fn volume(&self) -> &Volume {
        self.access.volume()
    }

    /// Its UUID.
    pub fn uuid(&self) -> VolumeUuid {
        self.access.volume().uuid()
    }

    /// Serial of the drive.
    pub fn drive(&self) -> &str {
        &self.place.drive
    }

    /// Every pack the last committed index lists, in tape order.
    pub fn packs(&self) -> Vec<PackOnTape> {
        let mut packs = packs_of(self.access.volume().index());
        packs.sort_by_key(|pack| pack.start_block);
        packs
    }

    /// Numbers of the journals the last committed index lists, ascending.
    pub fn journals(&self) -> Vec<u64> {
        let directory = self.access.volume().index().root.directory(journal::DIRECTORY);
        let files = directory.map_or(&[][..], |directory| &directory.files);
        let mut numbers: Vec<u64> = files.iter().filter_map(|file| journal::seq_of(&file.name)).collect();
        numbers.sort_unstable();
        numbers
    }

    /// True once the library shuts down: end soon.
    pub fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    fn note(&mut self, error: ltfs::Error) -> Error {
        let error = self.place.volume_error(error);
        let of_hardware = matches!(error, Error::Drive { .. } | Error::Damaged { .. });
        if of_hardware && self.failure.is_none() {
            self.failure = Some(error.clone());
        }
        error
    }
}

fn packs_of(index: &Index) -> Vec<PackOnTape> {
    let files = index.root.directory(PACKS).map_or(&[][..], |directory| &directory.files);
    let packs = files.iter().filter_map(|file| {
        let id = file.name.strip_suffix(PACK_SUFFIX).or_else(|| file.name.strip_suffix(SEALED_SUFFIX))?;
        let start_block = file.extents.first()?.start.block;
        let digest = file.node.attribute(DIGEST_ATTRIBUTE).and_then(|text| blake3::Hash::from_hex(text).ok());
        Some(PackOnTape {
            id: id.to_owned(),
            start_block,
            bytes: file.bytes,
            digest: digest.map(|digest| *digest.as_bytes()),
            copy: copy_label(file),
        })
    });
    packs.collect()
}

fn copy_label(file: &ltfs::File) -> Option<CopyLabel> {
    let number = file.node.attribute(COPY_ATTRIBUTE)?.parse().ok()?;
    Some(CopyLabel { pool: file.node.attribute(POOL_ATTRIBUTE)?.to_owned(), number })
}

impl Mounted<Appending> {
    /// Has the drive compress what is appended in this mount; nothing happens where it cannot.
    pub fn compress(&mut self) -> Result<(), AppendError> {
        self.tape.drive().set_compression(true).map_err(|error| {
            let error = self.place.drive_error(error);
            self.failure.get_or_insert_with(|| error.clone());
            AppendError::Tape(error)
        })
    }

    /// Appends a spooled pack and its manifest; its digest is checked on the way.
    pub fn append_pack(&mut self, pack: &PackFile<'_>) -> Result<PackWritten, AppendError> {
        let name = format!("{}{}", pack.id, if pack.sealed { SEALED_SUFFIX } else { PACK_SUFFIX });
        let manifest_name = format!("{}{MANIFEST_SUFFIX}", pack.id);
        self.check_id(&pack.id)?;
        for name in [&name, &manifest_name] {
            self.access.appender.check_name(PACKS, name).map_err(AppendError::Refused)?;
        }
        let spool = |source| AppendError::Spool { id: pack.id.clone(), source };
        let file = File::open(&pack.path).map_err(spool)?;
        let manifest_bytes = pack.manifest.len() as u64;
        if self.access.remaining_bytes < pack.bytes.saturating_add(manifest_bytes) {
            return Err(AppendError::Full);
        }
        let mut source = Digesting { source: file, digest: blake3::Hasher::new() };
        let extent = self.append(&name, &pack.id, &mut source, pack.bytes)?;
        if *source.digest.finalize().as_bytes() != pack.digest {
            return Err(spool(io::Error::new(
                io::ErrorKind::InvalidData,
                "its digest is not the one it was built with",
            )));
        }
        let manifest = self.append(&manifest_name, &pack.id, &mut &*pack.manifest, manifest_bytes)?;
        let digest = blake3::Hash::from_bytes(pack.digest).to_hex().to_string();
        let extended = [
            (DIGEST_ATTRIBUTE, digest),
            (POOL_ATTRIBUTE, pack.copy.pool.clone()),
            (COPY_ATTRIBUTE, pack.copy.number.to_string()),
        ];
        let extended = extended.map(|(key, value)| (key.to_owned(), value)).to_vec();
        let attributes = FileAttributes { extended };
        let appender = &mut self.access.appender;
        let listed = appender
            .list(PACKS, &name, extent, attributes)
            .and_then(|()| appender.list(PACKS, &manifest_name, manifest, FileAttributes::default()));
        listed.map_err(AppendError::Refused)?;
        self.access.open_packs.push(pack.id.clone());
        Ok(PackWritten { start_block: extent.start.block, blocks: pack.bytes.div_ceil(BLOCK_BYTES) })
    }

    /// Appends a journal; its number is the next one of this volume and is returned.
    pub fn append_journal(&mut self, entries: &[journal::Entry]) -> Result<u64, AppendError> {
        let refused =
            |what: &'static str| AppendError::Refused(ltfs::Error::Name { name: "journal".to_owned(), what });
        let appender = &self.access.appender;
        let journals = appender.next_index().root.directory(journal::DIRECTORY);
        let numbers = journals
            .iter()
            .flat_map(|directory| &directory.files)
            .filter_map(|file| journal::seq_of(&file.name));
        let seq = numbers.max().unwrap_or(0) + 1;
        let catalog = appender.volume().catalog_id().ok_or_else(|| refused("the volume names no catalog"))?;
        let header = journal::Header { volume: self.uuid(), catalog, seq };
        let bytes = journal::encode(header, entries)
            .map_err(|_| refused("the journal is larger than a journal may be"))?;
        let name = journal::file_name(seq);
        let extent = self.append(&name, &name, &mut &bytes[..], bytes.len() as u64)?;
        let listed = self.access.appender.list(journal::DIRECTORY, &name, extent, FileAttributes::default());
        listed.map_err(AppendError::Refused)?;
        Ok(seq)
    }

    /// Writes an index and waits for its closing filemark: everything appended before is durable when this returns.
    /// After an error nothing appended since the previous commit may be believed.
    pub fn commit(&mut self) -> Result<Committed, AppendError> {
        let committed = match self.access.appender.commit(&mut self.tape) {
            Ok(committed) => committed,
            Err(error) => return Err(AppendError::Tape(self.note(error))),
        };
        self.access.open_packs.clear();
        self.look_at_room()?;
        Ok(Committed {
            generation: committed.generation,
            eod_block: committed.end_of_data,
            remaining_bytes: self.access.remaining_bytes,
        })
    }

    /// Bytes that can still be appended, two indexes and the reserve excluded.
    pub fn remaining_bytes(&self) -> u64 {
        self.access.remaining_bytes
    }

    /// What was made good at this mount, when [`crate::End::Unclean`] was expected.
    pub fn recovered(&self) -> Option<&Recovered> {
        self.access.recovered.as_ref()
    }

    pub(crate) fn look_at_room(&mut self) -> Result<(), AppendError> {
        match self.access.appender.remaining_bytes(&mut self.tape) {
            Ok(bytes) => self.access.remaining_bytes = bytes,
            Err(error) => return Err(AppendError::Tape(self.note(error))),
        }
        Ok(())
    }

    fn append(
        &mut self,
        name: &str,
        id: &str,
        source: &mut dyn Read,
        bytes: u64,
    ) -> Result<ltfs::Extent, AppendError> {
        let appended = self.access.appender.append(&mut self.tape, name, source, bytes);
        let result = appended.map_err(|error| match error {
            ltfs::Error::Full => AppendError::Full,
            ltfs::Error::Source { source, .. } => AppendError::Spool { id: id.to_owned(), source },
            error => AppendError::Tape(self.note(error)),
        });
        if !matches!(result, Err(AppendError::Tape(_))) {
            self.look_at_room()?;
        }
        result
    }

    fn check_id(&self, id: &str) -> Result<(), AppendError> {
        let fits = (1..=ID_BYTES_MAX).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let what = "a pack's id is letters, digits and hyphens";
        if fits { Ok(()) } else { Err(AppendError::Refused(ltfs::Error::Name { name: id.to_owned(), what })) }
    }
}

struct Digesting<R> {
    source: R,
    digest: blake3::Hasher,
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.source.read(buffer)?;
        self.digest.update(&buffer[..bytes]);
        Ok(bytes)
    }
}

impl Mounted<Reading> {
    /// Copies `range` of the bytes of the pack that starts at `start_block` into `sink`, in order. Reading on from
    /// where the last call stopped does not move the tape.
    pub fn read_pack(
        &mut self,
        start_block: u64,
        range: Range<u64>,
        sink: &mut dyn Write,
    ) -> Result<(), Error> {
        let read = self.access.volume.read(&mut self.tape, start_block, range, sink);
        read.map_err(|error| self.note(error))
    }

    /// The manifest beside a pack.
    pub fn read_manifest(&mut self, id: &str, sink: &mut dyn Write) -> Result<(), Error> {
        let path = format!("/{PACKS}/{id}{MANIFEST_SUFFIX}");
        let read = self.access.volume.read_file(&mut self.tape, &path, sink);
        read.map_err(|error| self.note(error))
    }

    /// The bytes of a journal, to be read with [`volume::journal`].
    pub fn read_journal(&mut self, seq: u64, sink: &mut dyn Write) -> Result<(), Error> {
        let path = format!("/{}/{}", journal::DIRECTORY, journal::file_name(seq));
        let read = self.access.volume.read_file(&mut self.tape, &path, sink);
        read.map_err(|error| self.note(error))
    }

    /// The pack that starts at `start_block` and is `bytes` long, to be read with [`volume::pack`]'s reader.
    pub fn pack_source(&mut self, start_block: u64, bytes: u64) -> PackSource<'_> {
        PackSource { mounted: self, start_block, bytes, block: Vec::new(), block_number: None }
    }
}

/// The bytes of one pack on tape, at any offset; quick while offsets go forward.
#[derive(Debug)]
pub struct PackSource<'a> {
    mounted: &'a mut Mounted<Reading>,
    start_block: u64,
    bytes: u64,
    /// The block read last.
    block: Vec<u8>,
    block_number: Option<u64>,
}

impl ReadAt for PackSource<'_> {
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if offset >= self.bytes || buffer.is_empty() {
            return Ok(0);
        }
        let number = offset / BLOCK_BYTES;
        if self.block_number != Some(number) {
            self.block.clear();
            self.block_number = None;
            let range = number * BLOCK_BYTES..(number + 1).saturating_mul(BLOCK_BYTES).min(self.bytes);
            self.mounted.read_pack(self.start_block, range, &mut self.block).map_err(io::Error::other)?;
            self.block_number = Some(number);
        }
        let first = usize::try_from(offset % BLOCK_BYTES).expect("an offset inside a block fits");
        let part = &self.block[first..];
        let taken = part.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&part[..taken]);
        Ok(taken)
    }
}
