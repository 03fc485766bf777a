//! One partition of a cartridge as a file: blocks and filemarks in the order they were written.
//!
//! The file is a header of 64 bytes (magic, synced length, checksum), then records: a header of 24 bytes (kind,
//! length, record number, checksum of the payload, checksum of the header), then the payload. A file of less than
//! 64 bytes, or one of zeros, is a blank partition.
//!
//! Invariant: bytes are only ever added at the end of data; writing at an earlier record cuts the file there first.
//! Invariant: everything below the synced length is on stable storage; what lies above it is checked, payload and
//! all, when the file is opened, and a torn tail is as if the drive had never written it.
//! Invariant: no payload is kept in memory; the index costs 8 bytes per filemark and per 64 records.

use crate::sense::{
    END_OF_DATA, END_OF_DATA_NOT_FOUND, Sense, UNRECOVERED_READ_ERROR, VOLUME_OVERFLOW, WRITE_APPEND_ERROR,
    WRITE_ERROR,
};
use std::fs::File;
use std::io::{self, BufReader, IoSlice, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

mod record;

use record::{FILE_HEADER_BYTES, Kind, RECORD_HEADER_BYTES, RECORD_HEADER_LENGTH, RecordHeader};
use record::{crc32c, read_file_header, stream_crc32c, write_file_header};

/// What stands at a record number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Filemark,
    Block(Block),
}

/// Where a block's payload lies in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub length: u32,
    payload_offset: u64,
    payload_checksum: u32,
}

#[derive(Debug)]
pub(crate) struct Partition {
    file: File,
    /// File offset of the end of data.
    end: u64,
    /// Record number of the end of data.
    records: u64,
    /// Length known to be on stable storage, and how many records that is.
    synced: u64,
    synced_records: u64,
    /// Something other than a torn tail ends the data: records that had been synced are gone.
    damaged: bool,
    /// The file ends at `end` and its cursor stands there.
    append_ready: bool,
    /// Offsets of every 64th record.
    checkpoints: Vec<u64>,
    /// Record numbers of the filemarks, rising.
    filemarks: Vec<u64>,
    /// A record whose offset is known, so that reading on needs no walk.
    known: (u64, u64),
}

impl Partition {
    /// Reads the index of records from the headers; the payload above the synced length is read and checked.
    /// Nothing in the file changes.
    pub fn open(file: File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let mut partition = Self {
            file,
            end: FILE_HEADER_BYTES,
            records: 0,
            synced: FILE_HEADER_BYTES,
            synced_records: 0,
            damaged: false,
            append_ready: false,
            checkpoints: Vec::new(),
            filemarks: Vec::new(),
            known: (0, FILE_HEADER_BYTES),
        };
        let mark = match length {
            ..FILE_HEADER_BYTES => None,
            _ => read_file_header(&partition.file)?,
        };
        let Some(mark) = mark else { return Ok(partition) };
        partition.synced = mark;
        partition.walk(length)?;
        if partition.end < mark {
            partition.damaged = true;
            partition.synced = partition.end;
            partition.synced_records = partition.records;
        }
        Ok(partition)
    }

    /// Record number of the end of data: blocks and filemarks count alike, from 0.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Capacity used, record headers included.
    pub fn bytes_used(&self) -> u64 {
        self.end - FILE_HEADER_BYTES
    }

    /// How many records are on stable storage.
    pub fn synced_records(&self) -> u64 {
        self.synced_records
    }

    /// Bytes written that are not on stable storage yet.
    pub fn unsynced_bytes(&self) -> u64 {
        self.end - self.synced
    }

    /// How far into the partition a record begins, in bytes; the end of data for records beyond it.
    pub fn offset(&mut self, record: u64) -> u64 {
        let offset = self.offset_of(record.min(self.records));
        offset.unwrap_or(self.end) - FILE_HEADER_BYTES
    }

    /// The last record that begins within the first `bytes` of the partition; `None` in an empty one.
    pub fn last_before(&mut self, bytes: u64) -> Option<u64> {
        let limit = FILE_HEADER_BYTES + bytes;
        let checkpoint = self.checkpoints.partition_point(|&offset| offset < limit).checked_sub(1)?;
        let mut record = checkpoint as u64 * CHECKPOINT_RECORDS;
        while record + 1 < self.records && self.offset_of(record + 1).is_ok_and(|offset| offset < limit) {
            record += 1;
        }
        Some(record)
    }

    /// Record numbers of all filemarks, rising.
    pub fn filemarks(&self) -> &[u64] {
        &self.filemarks
    }

    /// How many filemarks lie before `record`.
    pub fn filemarks_before(&self, record: u64) -> u64 {
        self.filemarks.partition_point(|&filemark| filemark < record) as u64
    }

    /// What a drive says when it runs into the end of data.
    pub fn end_of_data(&self) -> Sense {
        if self.damaged { END_OF_DATA_NOT_FOUND } else { END_OF_DATA }
    }

    /// The record at a number below [`Self::records`]; MEDIUM ERROR when its header cannot be read any more.
    pub fn record(&mut self, record: u64) -> Result<Record, Sense> {
        assert!(record < self.records, "record {record} of {}", self.records);
        let offset = self.offset_of(record).map_err(|_| UNRECOVERED_READ_ERROR)?;
        let header = self.header_at(offset, record).map_err(|_| UNRECOVERED_READ_ERROR)?;
        self.known = (record + 1, header.next_offset(offset));
        Ok(match header.kind {
            Kind::Filemark => Record::Filemark,
            Kind::Block => Record::Block(Block {
                length: header.length,
                payload_offset: offset + RECORD_HEADER_BYTES,
                payload_checksum: header.payload_checksum,
            }),
        })
    }

    /// Reads as much of a block as `buffer` takes; a block read whole is checked against its checksum.
    pub fn read(&self, block: &Block, buffer: &mut [u8]) -> Result<usize, Sense> {
        let length = buffer.len().min(block.length as usize);
        let buffer = &mut buffer[..length];
        self.file.read_exact_at(buffer, block.payload_offset).map_err(|_| UNRECOVERED_READ_ERROR)?;
        if length == block.length as usize && crc32c(buffer) != block.payload_checksum {
            return Err(UNRECOVERED_READ_ERROR);
        }
        Ok(length)
    }

    /// Writes a block at `record`; everything from there on is gone. VOLUME OVERFLOW, with nothing written, when the
    /// partition's `capacity` or the disk below is full.
    pub fn write_block(&mut self, record: u64, payload: &[u8], capacity: u64) -> Result<(), Sense> {
        let length = u32::try_from(payload.len()).expect("a block is at most 8 MiB");
        self.prepare(record, RECORD_HEADER_BYTES + u64::from(length), capacity)?;
        let header = RecordHeader { kind: Kind::Block, length, payload_checksum: crc32c(payload) };
        self.append(&header, payload)
    }

    /// Writes a filemark at `record`, as [`Self::write_block`] does.
    pub fn write_filemark(&mut self, record: u64, capacity: u64) -> Result<(), Sense> {
        self.prepare(record, RECORD_HEADER_BYTES, capacity)?;
        self.append(&RecordHeader { kind: Kind::Filemark, length: 0, payload_checksum: 0 }, &[])
    }

    /// Brings everything written to stable storage.
    pub fn sync(&mut self) -> Result<(), Sense> {
        if self.synced == self.end {
            return Ok(());
        }
        self.file.sync_data().map_err(|_| WRITE_ERROR)?;
        (self.synced, self.synced_records) = (self.end, self.records);
        // The mark itself becomes durable with the next sync; until then an older one costs a check at open.
        write_file_header(&self.file, self.synced).map_err(|_| WRITE_ERROR)
    }

    /// Forgets every record.
    pub fn erase(&mut self) -> io::Result<()> {
        self.cut(0, FILE_HEADER_BYTES)?;
        self.damaged = false;
        Ok(())
    }

    /// What a power cut does to the file: only what was synced is left.
    pub fn cut_power(&self) -> io::Result<()> {
        if self.file.metadata()?.len() > self.synced {
            self.file.set_len(self.synced)?;
        }
        Ok(())
    }

    fn prepare(&mut self, record: u64, bytes: u64, capacity: u64) -> Result<(), Sense> {
        assert!(record <= self.records, "write at record {record} of {}", self.records);
        if self.damaged && record == self.records {
            return Err(WRITE_APPEND_ERROR);
        }
        if record < self.records {
            let offset = self.offset_of(record).map_err(|_| WRITE_APPEND_ERROR)?;
            self.cut(record, offset).map_err(|_| WRITE_ERROR)?;
            self.damaged = false;
        }
        if self.bytes_used() + bytes > capacity {
            return Err(VOLUME_OVERFLOW);
        }
        if !self.append_ready {
            self.make_append_ready().map_err(|error| write_sense(&error))?;
        }
        Ok(())
    }

    fn make_append_ready(&mut self) -> io::Result<()> {
        if self.end == FILE_HEADER_BYTES {
            write_file_header(&self.file, FILE_HEADER_BYTES)?;
        }
        self.file.set_len(self.end)?;
        self.file.seek(SeekFrom::Start(self.end))?;
        self.append_ready = true;
        Ok(())
    }

    fn append(&mut self, header: &RecordHeader, payload: &[u8]) -> Result<(), Sense> {
        let bytes = header.to_bytes(self.records);
        if let Err(error) = write_both(&mut self.file, &bytes, payload) {
            // A part may have been written: the next write cuts it off, and so does the next open.
            self.append_ready = false;
            return Err(write_sense(&error));
        }
        let next = header.next_offset(self.end);
        self.index(header.kind, next);
        Ok(())
    }

    /// Takes the record at the end of data, which ends at file offset `next`, into the index.
    fn index(&mut self, kind: Kind, next: u64) {
        if self.records.is_multiple_of(CHECKPOINT_RECORDS) {
            self.checkpoints.push(self.end);
        }
        if kind == Kind::Filemark {
            self.filemarks.push(self.records);
        }
        self.records += 1;
        self.end = next;
    }

    /// Drops `record`, at `offset`, and everything after it. The cut is durable before anything new is written, so
    /// that old bytes can never follow new ones.
    fn cut(&mut self, record: u64, offset: u64) -> io::Result<()> {
        if offset < self.synced {
            write_file_header(&self.file, offset)?;
            (self.synced, self.synced_records) = (offset, record);
        }
        self.append_ready = false;
        self.file.set_len(if record == 0 { 0 } else { offset })?;
        self.file.sync_data()?;
        self.end = offset;
        self.records = record;
        self.checkpoints.truncate(count(record.div_ceil(CHECKPOINT_RECORDS)));
        self.filemarks.truncate(count(self.filemarks_before(record)));
        self.known = (0, FILE_HEADER_BYTES);
        Ok(())
    }

    fn offset_of(&mut self, record: u64) -> io::Result<u64> {
        if record == self.records {
            return Ok(self.end);
        }
        let checkpoint = record / CHECKPOINT_RECORDS;
        let (mut at, mut offset) = (checkpoint * CHECKPOINT_RECORDS, self.checkpoints[count(checkpoint)]);
        if (at..=record).contains(&self.known.0) {
            (at, offset) = self.known;
        }
        while at < record {
            offset = self.header_at(offset, at)?.next_offset(offset);
            at += 1;
        }
        Ok(offset)
    }

    fn header_at(&self, offset: u64, record: u64) -> io::Result<RecordHeader> {
        let mut bytes = [0; RECORD_HEADER_LENGTH];
        self.file.read_exact_at(&mut bytes, offset)?;
        RecordHeader::parse(&bytes, record).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    }

    /// Builds the index from the headers of a file of `length` bytes, up to the first record that is not whole.
    fn walk(&mut self, length: u64) -> io::Result<()> {
        let file = self.file.try_clone()?;
        let mut reader = BufReader::with_capacity(WALK_BUFFER_BYTES, file);
        reader.seek(SeekFrom::Start(FILE_HEADER_BYTES))?;
        while self.end + RECORD_HEADER_BYTES <= length {
            let mut bytes = [0; RECORD_HEADER_LENGTH];
            reader.read_exact(&mut bytes)?;
            let Some(header) = RecordHeader::parse(&bytes, self.records) else {
                break;
            };
            let next = header.next_offset(self.end);
            if next > length {
                break;
            }
            if next <= self.synced {
                reader.seek_relative(i64::from(header.length))?;
            } else if stream_crc32c(&mut reader, header.length)? != header.payload_checksum {
                break;
            }
            self.index(header.kind, next);
            if next <= self.synced {
                self.synced_records = self.records;
            }
        }
        Ok(())
    }
}

/// One system call in the usual case.
fn write_both(file: &mut File, header: &[u8], payload: &[u8]) -> io::Result<()> {
    let written = file.write_vectored(&[IoSlice::new(header), IoSlice::new(payload)])?;
    if written < header.len() {
        file.write_all(&header[written..])?;
    }
    file.write_all(&payload[written.saturating_sub(header.len())..])
}

/// A full disk is a full tape to the host: nothing was written and no drive or medium is to blame.
fn write_sense(error: &io::Error) -> Sense {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            VOLUME_OVERFLOW
        }
        _ => WRITE_ERROR,
    }
}

fn count(value: u64) -> usize {
    usize::try_from(value).expect("an index held in memory")
}

/// A record is found by walking at most this many headers.
const CHECKPOINT_RECORDS: u64 = 64;
const WALK_BUFFER_BYTES: usize = 4096;

#[cfg(test)]
mod tests;
