//! A mounted volume: what it lists, reading from it, and its place in the life of a mount.
//!
//! A [`Volume`] is state about a tape and does not own it: every call takes the tape it was opened from.

use std::io::Write;
use std::ops::Range;

use super::index::Index;
use super::label::Label;
use super::limits::BLOCK_BYTES;
use super::memory::Coherency;
use super::open::{self, Located};
use super::{BlockAddress, BlockTape, CatalogId, Error, Met, Partition, TapeErrorKind, VolumeUuid};

/// Key of the extended attribute of the root directory that names the owning catalog.
pub const CATALOG_ATTRIBUTE: &str = "tapegate.catalog";

/// How far ahead a place may be to be reached by reading on: 64 MiB, a quarter of a second of a streaming drive.
const READ_ON_BLOCKS: u64 = (64 << 20) / BLOCK_BYTES as u64;

/// A volume opened for reading.
#[derive(Clone, Debug)]
pub struct Volume {
    pub(super) label: Label,
    pub(super) index: Index,
    /// Where the tape stands, when that is known: saves a LOCATE when reading goes on.
    cursor: Option<BlockAddress>,
}

/// What stands at the end of the data partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Generation of the last committed index.
    pub generation: u64,
    /// Block number after that index's closing filemark.
    pub index_end: u64,
    /// The end of data. Equal to `index_end` unless the last mount for append ended unclean.
    pub end_of_data: u64,
    /// Generation that cartridge memory names, when nothing was written since that was noted: a newer one than was
    /// found means that its index is there and cannot be read.
    pub noted: Option<u64>,
}

/// Opens a volume for reading: labels of both partitions, then the newest committed index, from the index partition
/// when cartridge memory vouches for it, else from the end of the data partition backwards, else (the data
/// partition's indexes being unreadable) the one in the index partition.
pub fn open<T: BlockTape + ?Sized>(tape: &mut T) -> Result<Volume, Error> {
    let label = open::read_labels(tape)?;
    let located = match open::coherent_index(tape, label.uuid)? {
        Some(located) => located,
        None => match open::last_index(tape, Partition::Data, label.uuid) {
            Ok((located, _)) => located,
            Err(Error::NoIndex) => open::last_index(tape, Partition::Index, label.uuid)?.0,
            Err(error) => return Err(error),
        },
    };
    Ok(Volume { label, index: located.index, cursor: None })
}

/// Opens a volume at its end: labels of both partitions, the end of data, and the last committed index before it.
pub fn open_at_end<T: BlockTape + ?Sized>(tape: &mut T) -> Result<(Volume, Tail), Error> {
    let label = open::read_labels(tape)?;
    let (Located { index, end }, end_of_data) = open::last_index(tape, Partition::Data, label.uuid)?;
    let noted = Coherency::current(tape, Partition::Data, label.uuid)?.map(|noted| noted.generation);
    let tail = Tail { generation: index.generation, index_end: end, end_of_data, noted };
    Ok((Volume { label, index, cursor: None }, tail))
}

impl Volume {
    pub(super) fn new(label: Label, index: Index) -> Self {
        Self { label, index, cursor: None }
    }

    /// What the labels say.
    pub fn label(&self) -> &Label {
        &self.label
    }

    /// The volume UUID.
    pub fn uuid(&self) -> VolumeUuid {
        self.label.uuid
    }

    /// The newest committed index.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Whether this program wrote the newest index.
    pub fn is_written_by_us(&self) -> bool {
        self.index.creator.starts_with("tapegate ")
    }

    /// The catalog that owns the volume, when it names one.
    pub fn catalog_id(&self) -> Option<CatalogId> {
        CatalogId::parse(self.index.root.attribute(CATALOG_ATTRIBUTE)?)
    }

    /// Copies `range` of the bytes that begin at `start_block` of the data partition into `sink`, in order. The bytes
    /// lie in blocks of the label's size; only the last block of a file is shorter. Reading on from where the last
    /// call stopped does not move the tape, and what begins soon after it is reached by reading.
    pub fn read<T: BlockTape + ?Sized>(
        &mut self,
        tape: &mut T,
        start_block: u64,
        range: Range<u64>,
        sink: &mut dyn Write,
    ) -> Result<(), Error> {
        if range.is_empty() {
            return Ok(());
        }
        let block_bytes = u64::from(self.label.block_bytes);
        let mut at = BlockAddress {
            partition: Partition::Data,
            block: start_block.saturating_add(range.start / block_bytes),
        };
        let mut offset = range.start / block_bytes * block_bytes;
        let mut block = vec![0; BLOCK_BYTES];
        self.approach(tape, at, &mut block)?;
        while offset < range.end {
            let Met::Block(bytes) = tape.read_block(&mut block)? else {
                return Err(Error::Data { at, what: "a filemark or the end of data where a file goes on" });
            };
            let bytes = bytes as u64;
            let first = range.start.saturating_sub(offset);
            let end = (range.end - offset).min(bytes);
            if bytes > block_bytes || (bytes < block_bytes && offset + bytes < range.end) || first > end {
                return Err(Error::Data {
                    at,
                    what: "a block of another size than its place in the file asks for",
                });
            }
            sink.write_all(&block[to_index(first)..to_index(end)]).map_err(Error::Sink)?;
            offset += bytes;
            at.block += 1;
        }
        self.cursor = Some(at);
        Ok(())
    }

    /// Goes to a block. What lies a little ahead is reached by reading over what is between, of no matter what kind: the
    /// tape keeps running, while a LOCATE would stop it.
    fn approach<T: BlockTape + ?Sized>(
        &mut self,
        tape: &mut T,
        to: BlockAddress,
        block: &mut [u8],
    ) -> Result<(), Error> {
        let stood = self.cursor.take().filter(|stood| stood.partition == to.partition);
        let between = stood.and_then(|stood| to.block.checked_sub(stood.block));
        let Some(between) = between.filter(|between| *between <= READ_ON_BLOCKS) else {
            return Ok(tape.locate(to)?);
        };
        for _ in 0..between {
            match tape.read_block(block) {
                Ok(Met::Block(_) | Met::Filemark) => {}
                // What cannot be read is none of this reader's files, and may still be gone over.
                Ok(Met::EndOfData) => return Ok(tape.locate(to)?),
                Err(error) if error.kind == TapeErrorKind::Unreadable => return Ok(tape.locate(to)?),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Copies a whole file of the index into `sink`. One with holes is refused: nothing here writes them, and a few
    /// bytes of an index would become any number of zeros.
    pub fn read_file<T: BlockTape + ?Sized>(
        &mut self,
        tape: &mut T,
        path: &str,
        sink: &mut dyn Write,
    ) -> Result<(), Error> {
        let what = "no such file";
        let file = self.index.file(path).ok_or(Error::Name { name: path.to_owned(), what })?.clone();
        let mut written = 0_u64;
        for extent in &file.extents {
            let at = extent.start;
            let damaged = |what| Error::Data { at, what };
            if extent.start.partition != Partition::Data || extent.file_offset != written {
                return Err(damaged("an extent in the index partition, or not where the one before it ends"));
            }
            let first = u64::from(extent.byte_offset);
            let end = first.checked_add(extent.bytes).ok_or(damaged("an extent too long"))?;
            self.read(tape, extent.start.block, first..end, sink)?;
            written = written.checked_add(extent.bytes).ok_or(damaged("extents too long"))?;
        }
        match written == file.bytes {
            true => Ok(()),
            false => Err(Error::Data {
                at: self.index.location,
                what: "a file of another length than its extents together",
            }),
        }
    }
}

/// An offset inside a block.
fn to_index(offset: u64) -> usize {
    usize::try_from(offset).expect("an offset inside a block fits")
}
