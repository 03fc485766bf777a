//! Appending to a volume: files, then an index that makes them durable; at the end the index partition.

use std::io::Read;
use std::time::SystemTime;

use super::index::{self, Directory, Extent, File, Index, Node};
use super::limits::{BLOCK_BYTES, FILE_ENTRY_BYTES, INDEX_BYTES_MAX};
use super::memory::{Coherency, change_reference};
use super::stream::BlockWriter;
use super::{
    BlockAddress, BlockTape, CREATOR, Capacity, Error, Flush, Partition, Room, Tail, TapeErrorKind,
    Timestamp, Volume, name,
};

/// How many blocks are written between two looks at the position.
const POSITION_CHECK_BLOCKS: u64 = 1024;

/// Files and directories that may be listed between two looks at the room: a pack, its manifest, a journal, and the
/// directories of all three.
const NODES_SPARE: u64 = 8;

/// The block that keeps the next filemark from closing what an unclean end left behind, which may be a whole index.
const TORN_END: &[u8] = b"tapegate: what stands before this block was left by an unclean end\n";

/// A volume that passed every check and stands at its end of data. State about a tape, like [`Volume`].
///
/// States: clean -> (append) -> open -> (commit) -> clean; any tape error -> poisoned, for the rest of the mount.
#[derive(Debug)]
pub struct Appender {
    volume: Volume,
    /// What the next index will list.
    next_index: Index,
    committed: Committed,
    /// Where the tape stands.
    end: BlockAddress,
    /// The end of what an unclean end left behind, when it left something.
    torn_end: Option<BlockAddress>,
    changed: bool,
    ending: bool,
    poisoned: bool,
}

/// The last durable state of a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Generation of its index.
    pub generation: u64,
    /// End of data in the data partition: the block number after the index's closing filemark.
    pub end_of_data: u64,
}

/// Attributes of a file to append.
#[derive(Clone, Debug, Default)]
pub struct FileAttributes {
    /// Extended attributes, shown by LTFS under `user.`.
    pub extended: Vec<(String, String)>,
}

impl Appender {
    /// Begins appending at the end of data of a volume opened with [`super::open_at_end`]. The caller has compared
    /// `volume` and `tail` with what it expects: nothing is written before this. With a tail behind the last index
    /// (an unclean end) what is there stays, unlisted.
    pub fn begin<T: BlockTape + ?Sized>(tape: &mut T, volume: Volume, tail: Tail) -> Result<Self, Error> {
        let end = BlockAddress { partition: Partition::Data, block: tail.end_of_data };
        tape.locate(end)?;
        let mut appender = Self::new(volume, tail.index_end, end);
        appender.check_position(tape, "locate")?;
        if tail.end_of_data != tail.index_end {
            appender.torn_end = Some(end);
            appender.changed = true;
        }
        Ok(appender)
    }

    pub(super) fn new(volume: Volume, index_end: u64, end: BlockAddress) -> Self {
        let index = volume.index.clone();
        Self {
            committed: Committed { generation: index.generation, end_of_data: index_end },
            next_index: index,
            volume,
            end,
            torn_end: None,
            changed: false,
            ending: false,
            poisoned: false,
        }
    }

    /// The volume with its last committed index.
    pub fn volume(&self) -> &Volume {
        &self.volume
    }

    /// What the next commit would make durable.
    pub fn next_index(&self) -> &Index {
        &self.next_index
    }

    /// The last durable state.
    pub fn committed(&self) -> Committed {
        self.committed
    }

    /// Whether something was appended that no index on tape lists yet.
    pub fn is_open(&self) -> bool {
        self.changed
    }

    /// Bytes that can still be appended: what the drive says is left, without room for two indexes and a reserve of
    /// 1/256 of the partition (1 MiB to 2 GiB). 0 once early warning was met, or when an index lists no more files.
    /// An error may be that of a block in the drive's buffer, and ends appending like every other.
    pub fn remaining_bytes<T: BlockTape + ?Sized>(&mut self, tape: &mut T) -> Result<u64, Error> {
        if self.ending || self.poisoned {
            return Ok(0);
        }
        let capacity = tape.capacity(Partition::Data).inspect_err(|_| self.poisoned = true)?;
        Ok(room_left(&self.next_index, capacity))
    }

    /// Appends exactly `bytes` bytes of `reader` as blocks and says where they lie; no index lists them until
    /// [`Self::list`] and a commit. [`Error::Full`] and [`Error::Source`] leave dead blocks behind and nothing else.
    pub fn append<T: BlockTape + ?Sized>(
        &mut self,
        tape: &mut T,
        name: &str,
        reader: &mut dyn Read,
        bytes: u64,
    ) -> Result<Extent, Error> {
        self.refuse_poisoned()?;
        if self.remaining_bytes(tape)? < bytes.max(1) {
            return Err(Error::Full);
        }
        self.check_position(tape, "append")?;
        let extent = Extent { file_offset: 0, start: self.end, byte_offset: 0, bytes };
        let mut block = vec![0; BLOCK_BYTES];
        let mut left = bytes;
        while left > 0 {
            let wanted = usize::try_from(left.min(BLOCK_BYTES as u64)).expect("at most a block");
            let source = |source| Error::Source { name: name.to_owned(), source };
            reader.read_exact(&mut block[..wanted]).map_err(source)?;
            self.write_block(tape, &block[..wanted])?;
            left -= wanted as u64;
            if (self.end.block - extent.start.block).is_multiple_of(POSITION_CHECK_BLOCKS) {
                self.check_position(tape, "write")?;
            }
            if self.ending && left > 0 {
                return Err(Error::Full);
            }
        }
        self.check_position(tape, "write")?;
        let source = std::io::Error::other("it is longer than announced");
        match reader.read(&mut block[..1]) {
            Ok(0) => Ok(extent),
            Ok(_) => Err(Error::Source { name: name.to_owned(), source }),
            Err(source) => Err(Error::Source { name: name.to_owned(), source }),
        }
    }

    /// Lists an appended file in the next index, at `/<directory>/<name>`. The directory is made when it is missing.
    pub fn list(
        &mut self,
        directory: &str,
        name: &str,
        extent: Extent,
        attributes: FileAttributes,
    ) -> Result<(), Error> {
        self.refuse_poisoned()?;
        self.check_name(directory, name)?;
        let now = Timestamp::from(SystemTime::now());
        let index = &mut self.next_index;
        let mut node = |read_only, attributes| {
            index.highest_file_id += 1;
            Node { file_id: index.highest_file_id, read_only, created: now, modified: now, attributes }
        };
        let children = &mut index.root.directories;
        let at = match children.iter().position(|child| child.name == directory) {
            Some(at) => at,
            None => {
                let node = node(false, Vec::new());
                children.push(Directory {
                    name: directory.to_owned(),
                    node,
                    directories: vec![],
                    files: vec![],
                });
                children.len() - 1
            }
        };
        let extents = if extent.bytes == 0 { vec![] } else { vec![extent] };
        let file = File {
            name: name.to_owned(),
            bytes: extent.bytes,
            node: node(true, attributes.extended),
            extents,
        };
        children[at].node.modified = now;
        children[at].files.push(file);
        self.changed = true;
        Ok(())
    }

    /// Appends a file and lists it.
    pub fn append_file<T: BlockTape + ?Sized>(
        &mut self,
        tape: &mut T,
        (directory, name): (&str, &str),
        reader: &mut dyn Read,
        bytes: u64,
        attributes: FileAttributes,
    ) -> Result<Extent, Error> {
        self.check_name(directory, name)?;
        let extent = self.append(tape, name, reader, bytes)?;
        self.list(directory, name, extent, attributes)?;
        Ok(extent)
    }

    /// Makes everything listed durable: filemark, index, and a closing filemark that returns once all is on tape;
    /// then the data partition's coherency in cartridge memory. Does nothing when nothing was appended. After an
    /// error nothing since the previous commit may be believed, and this mount appends no more.
    pub fn commit<T: BlockTape + ?Sized>(&mut self, tape: &mut T) -> Result<Committed, Error> {
        self.refuse_poisoned()?;
        if !self.changed {
            return Ok(self.committed);
        }
        self.poisoned = true;
        if self.torn_end == Some(self.end) {
            self.write_block(tape, TORN_END)?;
        }
        let mut index = self.next_index.clone();
        index.creator = CREATOR.to_owned();
        index.generation += 1;
        index.update_time = Timestamp::from(SystemTime::now());
        index.location = BlockAddress { partition: Partition::Data, block: self.end.block + 1 };
        index.previous = Some(match self.volume.index.location.partition {
            Partition::Data => self.volume.index.location,
            Partition::Index => self.volume.index.previous.unwrap_or(self.volume.index.location),
        });
        let (blocks, room) = write_construct(tape, &index)?;
        self.end.block += blocks;
        self.ending |= room == Room::Ending;
        self.check_position(tape, "write the index")?;
        write_coherency(tape, &index)?;
        self.committed = Committed { generation: index.generation, end_of_data: self.end.block };
        self.next_index = index.clone();
        self.volume.index = index;
        self.changed = false;
        self.poisoned = false;
        Ok(self.committed)
    }

    /// Forgets what was listed since the last commit; its blocks stay on tape as dead space.
    pub fn abandon(&mut self) {
        self.next_index = self.volume.index.clone();
    }

    /// Ends appending: commits what is open, then writes the index partition and its coherency, unless cartridge
    /// memory says that it is current. To be called before the tape is unloaded. The data partition's generation and
    /// end do not change when nothing was open.
    pub fn close<T: BlockTape + ?Sized>(mut self, tape: &mut T) -> Result<Committed, Error> {
        self.commit(tape)?;
        let data = &self.volume.index;
        let current = Coherency::current(tape, Partition::Index, data.uuid)?;
        if current.is_none_or(|current| current.generation != data.generation) {
            write_index_partition(tape, data)?;
            write_coherency(tape, data)?;
        }
        Ok(self.committed)
    }

    /// The volume, to be read while it stands mounted for appending; [`Self::resume`] before the next append.
    pub fn volume_mut(&mut self) -> &mut Volume {
        &mut self.volume
    }

    /// Goes back to the end of data after something was read.
    pub fn resume<T: BlockTape + ?Sized>(&mut self, tape: &mut T) -> Result<(), Error> {
        self.refuse_poisoned()?;
        tape.locate(self.end)?;
        self.check_position(tape, "locate")
    }

    fn write_block<T: BlockTape + ?Sized>(&mut self, tape: &mut T, block: &[u8]) -> Result<(), Error> {
        self.changed = true;
        match tape.write_block(block) {
            Ok(room) => {
                self.end.block += 1;
                self.ending |= room == Room::Ending;
                Ok(())
            }
            Err(error) => {
                self.poisoned = true;
                self.ending |= error.kind == TapeErrorKind::Full;
                Err(error.into())
            }
        }
    }

    fn check_position<T: BlockTape + ?Sized>(
        &mut self,
        tape: &mut T,
        operation: &'static str,
    ) -> Result<(), Error> {
        let found = tape.position().inspect_err(|_| self.poisoned = true)?;
        if found != self.end {
            self.poisoned = true;
            return Err(Error::Position { operation, expected: self.end, found });
        }
        Ok(())
    }

    /// Whether [`Self::list`] would take a file of this name now.
    pub fn check_name(&self, directory: &str, name: &str) -> Result<(), Error> {
        let refuse = |what| Err(Error::Name { name: format!("/{directory}/{name}"), what });
        if !name::is_valid(directory) || !name::is_valid(name) {
            return refuse("it has an empty, too long or reserved part");
        }
        let taken = self.next_index.root.directory(directory).is_some_and(|child| child.file(name).is_some());
        if taken || self.next_index.root.file(directory).is_some() {
            return refuse("it is taken");
        }
        Ok(())
    }

    fn refuse_poisoned(&self) -> Result<(), Error> {
        if self.poisoned { Err(Error::Poisoned) } else { Ok(()) }
    }
}

/// Bytes that can be appended to a data partition of this capacity after this index: without room for two indexes and a
/// reserve of 1/256 of the partition (1 MiB to 2 GiB); 0 when an index lists no more files.
pub fn room_left(index: &Index, capacity: Capacity) -> u64 {
    let index = (index.root.node_count() as u64 + NODES_SPARE) * FILE_ENTRY_BYTES;
    if index > INDEX_BYTES_MAX {
        return 0;
    }
    let reserve = (capacity.total_bytes / 256).clamp(1 << 20, 2 << 30);
    let indexes = 2 * index.next_multiple_of(BLOCK_BYTES as u64);
    capacity.remaining_bytes.saturating_sub(reserve + indexes)
}

/// Writes filemark, index, filemark, and returns how many blocks and filemarks that were, and what room they left. All
/// is on tape when it returns.
pub(super) fn write_construct<T: BlockTape + ?Sized>(
    tape: &mut T,
    index: &Index,
) -> Result<(u64, Room), Error> {
    tape.write_filemark(Flush::Buffered)?;
    let mut writer = BlockWriter::new(tape);
    let written = index::write(index, &mut writer).map(|_| ());
    let blocks = writer.finish(written)?;
    // Once met, early warning is told by every later write.
    let room = tape.write_filemark(Flush::Synchronous)?;
    Ok((blocks + 2, room))
}

/// Replaces the index partition's only index by a copy of the data partition's newest one.
pub(super) fn write_index_partition<T: BlockTape + ?Sized>(tape: &mut T, data: &Index) -> Result<(), Error> {
    let mut index = data.clone();
    index.previous = Some(data.location);
    index.location = BlockAddress { partition: Partition::Index, block: 5 };
    tape.locate(BlockAddress { partition: Partition::Index, block: 4 })?;
    let (blocks, _) = write_construct(tape, &index)?;
    let expected = BlockAddress { partition: Partition::Index, block: 4 + blocks };
    let found = tape.position()?;
    if found != expected {
        return Err(Error::Position { operation: "write the index partition", expected, found });
    }
    let Some(change_reference) = change_reference(tape, Partition::Index)? else {
        return Ok(());
    };
    let coherency = Coherency { change_reference, generation: index.generation, block: 5, uuid: index.uuid };
    tape.write_attribute(Partition::Index, &coherency.to_attribute())?;
    Ok(())
}

/// Tells cartridge memory where the data partition's newest index is.
pub(super) fn write_coherency<T: BlockTape + ?Sized>(tape: &mut T, index: &Index) -> Result<(), Error> {
    let Some(change_reference) = change_reference(tape, Partition::Data)? else {
        return Ok(());
    };
    let block = index.location.block;
    let coherency = Coherency { change_reference, generation: index.generation, block, uuid: index.uuid };
    tape.write_attribute(Partition::Data, &coherency.to_attribute())?;
    Ok(())
}
