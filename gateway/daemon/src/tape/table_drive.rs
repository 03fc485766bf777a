//! A drive on a table, as the tape that `volume` reads: everything that writes is refused here already.

use scsi::{Drive, ReadOutcome, SpaceOutcome, SpaceOver, mam};
use volume::ltfs::{
    Attribute, AttributeFormat, BlockAddress, BlockTape, Capacity, Flush, Met, Partition, Room, TapeError,
    TapeErrorKind,
};

/// A loaded cartridge that is only read.
#[derive(Debug)]
pub struct TableDrive {
    drive: Drive,
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

impl TableDrive {
    /// A drive whose cartridge is ready and whose blocks have variable size.
    pub fn new(drive: Drive) -> Self {
        Self { drive }
    }
}

fn fail(operation: &'static str, kind: TapeErrorKind, source: impl Into<Cause>) -> TapeError {
    TapeError { operation, at: None, kind, source: source.into() }
}

fn scsi(operation: &'static str) -> impl Fn(scsi::Error) -> TapeError {
    use scsi::Condition as C;
    move |error| {
        let unreadable = matches!(
            error.sense().map(scsi::Sense::condition),
            Some(C::ReadError | C::MediumError | C::FormatUnknown | C::FormatCorrupt | C::EndOfDataLost)
        );
        let kind = match () {
            () if error.outcome_unknown() => TapeErrorKind::Silent,
            () if unreadable => TapeErrorKind::Unreadable,
            () => TapeErrorKind::Failed,
        };
        fail(operation, kind, error)
    }
}

fn refuse<T>(operation: &'static str) -> Result<T, TapeError> {
    Err(fail(operation, TapeErrorKind::Failed, "this cartridge is only read"))
}

impl BlockTape for TableDrive {
    fn read_block(&mut self, buffer: &mut [u8]) -> Result<Met, TapeError> {
        match self.drive.read_block(buffer).map_err(scsi("read"))? {
            ReadOutcome::Block(bytes) => Ok(Met::Block(bytes)),
            ReadOutcome::Filemark => Ok(Met::Filemark),
            ReadOutcome::EndOfData => Ok(Met::EndOfData),
            ReadOutcome::TooLarge { actual } => {
                Err(fail("read", TapeErrorKind::Unreadable, format!("a block of {actual} bytes")))
            }
        }
    }

    fn locate(&mut self, to: BlockAddress) -> Result<(), TapeError> {
        self.drive.locate(to.partition.number(), to.block).map(drop).map_err(scsi("locate"))
    }

    fn space_to_end(&mut self, partition: Partition) -> Result<BlockAddress, TapeError> {
        // SPACE stays inside a partition.
        self.locate(BlockAddress { partition, block: 0 })?;
        const OPERATION: &str = "space to the end of data";
        match self.drive.space(SpaceOver::EndOfData, 0).map_err(scsi(OPERATION))? {
            SpaceOutcome::Done => self.position(),
            other => Err(fail(OPERATION, TapeErrorKind::Failed, format!("ended at {other:?}"))),
        }
    }

    fn space_filemarks_back(&mut self, count: u32) -> Result<bool, TapeError> {
        const OPERATION: &str = "space over filemarks";
        match self.drive.space(SpaceOver::Filemarks, -i64::from(count)).map_err(scsi(OPERATION))? {
            SpaceOutcome::Done => Ok(true),
            SpaceOutcome::Beginning(_) => Ok(false),
            other => Err(fail(OPERATION, TapeErrorKind::Failed, format!("ended at {other:?}"))),
        }
    }

    fn position(&mut self) -> Result<BlockAddress, TapeError> {
        let position = self.drive.position().map_err(scsi("read position"))?;
        let partition = Partition::BOTH.into_iter().find(|one| one.number() == position.partition);
        let strange =
            || fail("read position", TapeErrorKind::Failed, format!("partition {}", position.partition));
        Ok(BlockAddress { partition: partition.ok_or_else(strange)?, block: position.block })
    }

    fn read_attribute(&mut self, partition: Partition, id: u16) -> Result<Option<Attribute>, TapeError> {
        let attribute = self.drive.attribute(partition.number(), id).map_err(scsi("read attribute"))?;
        Ok(attribute.map(|attribute| Attribute {
            id: attribute.id,
            format: match attribute.format {
                mam::AttributeFormat::Binary => AttributeFormat::Binary,
                mam::AttributeFormat::Ascii => AttributeFormat::Ascii,
                mam::AttributeFormat::Text => AttributeFormat::Text,
            },
            value: attribute.value,
        }))
    }

    fn capacity(&mut self, partition: Partition) -> Result<Capacity, TapeError> {
        let capacities = self.drive.capacities().map_err(scsi("read capacities"))?;
        let wanted = u16::from(partition.number());
        let found = capacities.iter().find(|capacity| capacity.partition == wanted);
        let missing =
            || fail("read capacities", TapeErrorKind::Failed, format!("none for partition {wanted}"));
        let found = found.ok_or_else(missing)?;
        Ok(Capacity {
            total_bytes: u64::from(found.maximum_mib) << 20,
            remaining_bytes: u64::from(found.remaining_mib) << 20,
        })
    }

    fn write_block(&mut self, _: &[u8]) -> Result<Room, TapeError> {
        refuse("write")
    }

    fn write_filemark(&mut self, _: Flush) -> Result<Room, TapeError> {
        refuse("write filemark")
    }

    fn write_attribute(&mut self, _: Partition, _: &Attribute) -> Result<(), TapeError> {
        refuse("write attribute")
    }

    fn make_partitions(&mut self) -> Result<(), TapeError> {
        refuse("make partitions")
    }
}
