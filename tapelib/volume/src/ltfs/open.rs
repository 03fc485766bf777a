//! From a loaded tape to a volume: labels, then the newest committed index.

use std::io::BufReader;

use super::label::{self, Label};
use super::limits::{BLOCK_BYTES, WALK_BACK_MAX};
use super::memory::Coherency;
use super::stream::BlockReader;
use super::{BlockAddress, BlockTape, Error, Index, Met, Partition, TapeErrorKind, VolumeSerial, VolumeUuid};

/// What stands at the beginning of a cartridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Blank,
    /// Labels that end too early: labelling was interrupted.
    Interrupted(VolumeSerial),
    /// An LTFS volume.
    Volume(Label),
    /// Something else.
    Foreign,
}

/// Looks at the beginning of the first partition only, so it may be asked of any cartridge.
pub fn identify<T: BlockTape + ?Sized>(tape: &mut T) -> Result<Found, Error> {
    tape.locate(BlockAddress { partition: Partition::Index, block: 0 })?;
    let mut block = vec![0; BLOCK_BYTES];
    let read = match tape.read_block(&mut block) {
        Err(error) if error.kind == TapeErrorKind::Unreadable => return Ok(Found::Foreign), // larger blocks than ours
        other => other?,
    };
    let Met::Block(bytes) = read else {
        return Ok(if read == Met::EndOfData { Found::Blank } else { Found::Foreign });
    };
    let Ok(serial) = label::parse_vol1(&block[..bytes]) else {
        return Ok(Found::Foreign);
    };
    match tape.read_block(&mut block)? {
        Met::EndOfData => return Ok(Found::Interrupted(serial)),
        Met::Block(_) => return Ok(Found::Foreign),
        Met::Filemark => {}
    }
    match tape.read_block(&mut block)? {
        Met::EndOfData => Ok(Found::Interrupted(serial)),
        Met::Filemark => Ok(Found::Foreign),
        Met::Block(bytes) => {
            let Ok(label) = label::parse_xml(&block[..bytes], serial, Partition::Index) else {
                return Ok(Found::Foreign);
            };
            let closed = tape.read_block(&mut block)? == Met::Filemark;
            Ok(if closed { Found::Volume(label) } else { Found::Interrupted(serial) })
        }
    }
}

/// The labels of both partitions, which must agree.
pub fn read_labels<T: BlockTape + ?Sized>(tape: &mut T) -> Result<Label, Error> {
    let index = read_label(tape, Partition::Index)?;
    let data = read_label(tape, Partition::Data)?;
    if index != data {
        return Err(Error::Label {
            partition: 'b',
            what: "it differs from the label of partition a".to_owned(),
        });
    }
    Ok(index)
}

fn read_label<T: BlockTape + ?Sized>(tape: &mut T, partition: Partition) -> Result<Label, Error> {
    let refuse = |what: String| Error::Label { partition: partition.letter(), what };
    tape.locate(BlockAddress { partition, block: 0 })?;
    let mut block = vec![0; BLOCK_BYTES];
    let Met::Block(bytes) = tape.read_block(&mut block)? else {
        return Err(refuse("no first block".to_owned()));
    };
    let serial = label::parse_vol1(&block[..bytes]).map_err(refuse)?;
    if tape.read_block(&mut block)? != Met::Filemark {
        return Err(refuse("no filemark after the VOL1 label".to_owned()));
    }
    let Met::Block(bytes) = tape.read_block(&mut block)? else {
        return Err(refuse("no XML label".to_owned()));
    };
    let label = label::parse_xml(&block[..bytes], serial, partition).map_err(refuse)?;
    if tape.read_block(&mut block)? != Met::Filemark {
        return Err(refuse("no filemark after the XML label".to_owned()));
    }
    Ok(label)
}

/// An index as found on tape.
#[derive(Clone, Debug)]
pub struct Located {
    /// The index.
    pub index: Index,
    /// The block number after its closing filemark.
    pub end: u64,
}

/// The newest index when cartridge memory and index partition agree that it is in the index partition: the quick
/// way, near the beginning of the tape.
pub fn coherent_index<T: BlockTape + ?Sized>(
    tape: &mut T,
    uuid: VolumeUuid,
) -> Result<Option<Located>, Error> {
    let index = Coherency::current(tape, Partition::Index, uuid)?;
    let data = Coherency::current(tape, Partition::Data, uuid)?;
    let (Some(index), Some(data)) = (index, data) else {
        return Ok(None);
    };
    if index.generation != data.generation {
        return Ok(None);
    }
    let found = index_at(tape, BlockAddress { partition: Partition::Index, block: index.block }, uuid)?;
    Ok(found.filter(|found| found.index.generation == index.generation))
}

/// The newest index of a partition that a filemark closes, from the end of data backwards, and the end of data.
pub fn last_index<T: BlockTape + ?Sized>(
    tape: &mut T,
    partition: Partition,
    uuid: VolumeUuid,
) -> Result<(Located, u64), Error> {
    let end_of_data = tape.space_to_end(partition)?.block;
    if !tape.space_filemarks_back(1)? {
        return Err(Error::NoIndex);
    }
    for _ in 0..WALK_BACK_MAX {
        if !tape.space_filemarks_back(1)? {
            return Err(Error::NoIndex);
        }
        let mark = tape.position()?;
        let at = BlockAddress { partition, block: mark.block + 1 };
        if let Some(found) = index_at(tape, at, uuid)? {
            return Ok((found, end_of_data));
        }
        tape.locate(mark)?;
    }
    Err(Error::NoIndex)
}

/// The index that begins at a block, when one of this volume does and a filemark closes it.
fn index_at<T: BlockTape + ?Sized>(
    tape: &mut T,
    at: BlockAddress,
    uuid: VolumeUuid,
) -> Result<Option<Located>, Error> {
    tape.locate(at)?;
    let mut reader = BlockReader::new(tape);
    if !reader.peek().starts_with(b"<?xml") {
        return match reader.finish_now() {
            Some(Err(error)) if error.kind != TapeErrorKind::Unreadable => Err(error.into()),
            _ => Ok(None),
        };
    }
    let mut buffered = BufReader::new(reader);
    let index = super::index::parse(&mut buffered);
    match buffered.into_inner().finish() {
        Some(Ok(Met::Filemark)) => {}
        Some(Err(error)) if error.kind != TapeErrorKind::Unreadable => return Err(error.into()),
        _ => return Ok(None), // torn, unreadable, or not an index at all
    }
    let Ok(index) = index else { return Ok(None) };
    if index.uuid != uuid || index.location != at {
        return Ok(None);
    }
    Ok(Some(Located { index, end: tape.position()?.block }))
}
