//! Making a volume of a cartridge.

use std::time::SystemTime;

use super::append::{write_coherency, write_construct, write_index_partition};
use super::index::{Directory, Index, Node};
use super::label::{self, Label};
use super::limits::LABEL_BLOCK_SIZE;
use super::volume::CATALOG_ATTRIBUTE;
use super::{
    Appender, BlockAddress, BlockTape, CREATOR, CatalogId, Error, Flush, Partition, Timestamp, Volume,
    VolumeSerial, VolumeUuid, memory,
};

/// What a new volume is called.
#[derive(Clone, Debug)]
pub struct NewVolume {
    /// Serial of the VOL1 label.
    pub serial: VolumeSerial,
    /// UUID, never used before.
    pub uuid: VolumeUuid,
    /// The catalog that owns it.
    pub catalog_id: CatalogId,
    /// Name of the root directory.
    pub name: String,
    /// The barcode, for cartridge memory.
    pub barcode: String,
}

/// Destroys what is on a cartridge and makes a volume of it: two partitions, labels, generation 1 of the index in
/// both, cartridge memory. The first block of the index partition is written last but for its own labels and index,
/// so a cartridge whose labelling was interrupted looks blank or [`super::Found::Interrupted`].
pub fn format<T: BlockTape + ?Sized>(tape: &mut T, new: &NewVolume) -> Result<Appender, Error> {
    let now = Timestamp::from(SystemTime::now());
    let label = Label {
        serial: new.serial,
        uuid: new.uuid,
        creator: CREATOR.to_owned(),
        format_time: now,
        block_bytes: LABEL_BLOCK_SIZE,
    };
    let index = first_index(new, now);
    tape.make_partitions()?;
    write_labels(tape, &label, Partition::Data)?;
    let (blocks, _) = write_construct(tape, &index)?;
    let end = BlockAddress { partition: Partition::Data, block: 4 + blocks };
    check(tape, "write the first index", end)?;
    write_labels(tape, &label, Partition::Index)?;
    write_index_partition(tape, &index)?;
    for attribute in
        memory::volume_attributes(&new.name, &new.barcode, &format!("tapegate[{}]", new.catalog_id))
    {
        tape.write_attribute(Partition::Index, &attribute)?;
    }
    write_coherency(tape, &index)?;
    tape.locate(end)?;
    check(tape, "locate", end)?;
    Ok(Appender::new(Volume::new(label, index), end.block, end))
}

fn first_index(new: &NewVolume, now: Timestamp) -> Index {
    let attributes = vec![(CATALOG_ATTRIBUTE.to_owned(), new.catalog_id.to_string())];
    let node = Node { file_id: 1, read_only: false, created: now, modified: now, attributes };
    Index {
        creator: CREATOR.to_owned(),
        uuid: new.uuid,
        generation: 1,
        update_time: now,
        location: BlockAddress { partition: Partition::Data, block: 5 },
        previous: None,
        highest_file_id: 1,
        root: Directory { name: new.name.clone(), node, directories: Vec::new(), files: Vec::new() },
    }
}

/// Writes both labels, a filemark after each.
fn write_labels<T: BlockTape + ?Sized>(
    tape: &mut T,
    label: &Label,
    partition: Partition,
) -> Result<(), Error> {
    tape.locate(BlockAddress { partition, block: 0 })?;
    tape.write_block(&label::vol1(label.serial))?;
    tape.write_filemark(Flush::Buffered)?;
    tape.write_block(&label::xml(label, partition))?;
    tape.write_filemark(Flush::Synchronous)?;
    check(tape, "write the labels", BlockAddress { partition, block: 4 })
}

fn check<T: BlockTape + ?Sized>(
    tape: &mut T,
    operation: &'static str,
    expected: BlockAddress,
) -> Result<(), Error> {
    let found = tape.position()?;
    if found == expected { Ok(()) } else { Err(Error::Position { operation, expected, found }) }
}
