//! A SCSI drive as the tape that `volume` speaks to.

use std::sync::Arc;
use std::time::Duration;

use scsi::{
    Condition, Drive, ReadOutcome, SpaceOutcome, SpaceOver, Transport, Waiting, WriteOutcome, mam, mode,
};
use volume::ltfs::{
    Attribute, AttributeFormat, BlockAddress, BlockTape, Capacity, Flush, Met, Partition, Room, TapeError,
    TapeErrorKind,
};

use crate::Error;

/// A drive with a cartridge in it, as the tape that [`volume::ltfs`] reads and writes.
#[derive(Debug)]
pub struct DriveTape {
    drive: Drive,
    at: Option<BlockAddress>,
}

impl DriveTape {
    /// A drive on a table, without a library around it: waits until the cartridge in it is ready. For tools that read
    /// one cartridge; what they write passes no fence.
    pub fn ready(transport: Box<dyn Transport>, limit: Duration) -> Result<Self, Error> {
        let mut drive = Drive::new(transport);
        let identify = |source| Error::Identify { device: "drive".to_owned(), source: Arc::new(source) };
        make_ready(&mut drive, limit, &let_pass).map_err(identify)?;
        Ok(Self::new(drive))
    }

    pub(crate) fn new(drive: Drive) -> Self {
        Self { drive, at: None }
    }

    /// The drive, for what is no tape command.
    pub(crate) fn drive(&mut self) -> &mut Drive {
        self.at = None;
        &mut self.drive
    }

    fn fail(&mut self, operation: &'static str, source: scsi::Error) -> TapeError {
        let at = self.at.take();
        TapeError { operation, at, kind: kind_of(&source), source: Box::new(source) }
    }

    fn strange(&mut self, operation: &'static str, what: String) -> TapeError {
        let at = self.at.take();
        TapeError { operation, at, kind: TapeErrorKind::Failed, source: what.into() }
    }

    fn step(&mut self, blocks: u64) {
        if let Some(at) = &mut self.at {
            at.block += blocks;
        }
    }

    fn wrote(&mut self, outcome: WriteOutcome) -> Room {
        self.step(1);
        match outcome {
            WriteOutcome::Written => Room::Plenty,
            WriteOutcome::EarlyWarning => Room::Ending,
        }
    }
}

impl BlockTape for DriveTape {
    fn read_block(&mut self, buffer: &mut [u8]) -> Result<Met, TapeError> {
        match self.drive.read_block(buffer) {
            Ok(ReadOutcome::Block(bytes)) => {
                self.step(1);
                Ok(Met::Block(bytes))
            }
            Ok(ReadOutcome::Filemark) => {
                self.step(1);
                Ok(Met::Filemark)
            }
            Ok(ReadOutcome::EndOfData) => Ok(Met::EndOfData),
            Ok(ReadOutcome::TooLarge { actual }) => {
                let mut error = self.strange("read", format!("a block of {actual} bytes"));
                error.kind = TapeErrorKind::Unreadable;
                Err(error)
            }
            Err(error) => Err(self.fail("read", error)),
        }
    }

    fn write_block(&mut self, block: &[u8]) -> Result<Room, TapeError> {
        match self.drive.write_block(block) {
            Ok(outcome) => Ok(self.wrote(outcome)),
            Err(error) => Err(self.fail("write", error)),
        }
    }

    fn write_filemark(&mut self, flush: Flush) -> Result<Room, TapeError> {
        match self.drive.write_filemarks(1, flush == Flush::Buffered) {
            Ok(outcome) => Ok(self.wrote(outcome)),
            Err(error) => Err(self.fail("write filemark", error)),
        }
    }

    fn locate(&mut self, to: BlockAddress) -> Result<(), TapeError> {
        match self.drive.locate(to.partition.number(), to.block) {
            Ok(_) => {
                self.at = Some(to);
                Ok(())
            }
            Err(error) => Err(self.fail("locate", error)),
        }
    }

    fn space_to_end(&mut self, partition: Partition) -> Result<BlockAddress, TapeError> {
        let here = match self.at {
            Some(at) => at,
            None => self.position()?,
        };
        // SPACE stays inside a partition, and going to its beginning first may take a minute.
        if here.partition != partition {
            self.locate(BlockAddress { partition, block: 0 })?;
        }
        match self.drive.space(SpaceOver::EndOfData, 0) {
            Ok(SpaceOutcome::Done) => {}
            Ok(other) => return Err(self.strange("space to the end of data", format!("ended at {other:?}"))),
            Err(error) => return Err(self.fail("space to the end of data", error)),
        }
        let at = self.position()?;
        if at.partition != partition {
            return Err(self.strange("space to the end of data", format!("ended at {at}")));
        }
        Ok(at)
    }

    fn space_filemarks_back(&mut self, count: u32) -> Result<bool, TapeError> {
        match self.drive.space(SpaceOver::Filemarks, -i64::from(count)) {
            Ok(SpaceOutcome::Done) => {
                self.position()?;
                Ok(true)
            }
            Ok(SpaceOutcome::Beginning(_)) => Ok(false),
            Ok(other) => Err(self.strange("space over filemarks", format!("ended at {other:?}"))),
            Err(error) => Err(self.fail("space over filemarks", error)),
        }
    }

    fn position(&mut self) -> Result<BlockAddress, TapeError> {
        let position = match self.drive.position() {
            Ok(position) => position,
            Err(error) => return Err(self.fail("read position", error)),
        };
        let Some(partition) = Partition::BOTH.into_iter().find(|one| one.number() == position.partition)
        else {
            return Err(self.strange("read position", format!("partition {}", position.partition)));
        };
        let at = BlockAddress { partition, block: position.block };
        self.at = Some(at);
        Ok(at)
    }

    fn read_attribute(&mut self, partition: Partition, id: u16) -> Result<Option<Attribute>, TapeError> {
        match self.drive.attribute(partition.number(), id) {
            Ok(attribute) => Ok(attribute.map(from_mam)),
            Err(error) => Err(self.fail("read attribute", error)),
        }
    }

    fn write_attribute(&mut self, partition: Partition, attribute: &Attribute) -> Result<(), TapeError> {
        match self.drive.write_attributes(partition.number(), &[to_mam(attribute)]) {
            Ok(()) => Ok(()),
            Err(error) => Err(self.fail("write attribute", error)),
        }
    }

    fn capacity(&mut self, partition: Partition) -> Result<Capacity, TapeError> {
        let capacities = match self.drive.capacities() {
            Ok(capacities) => capacities,
            Err(error) => return Err(self.fail("read capacities", error)),
        };
        let wanted = u16::from(partition.number());
        match capacities.iter().find(|capacity| capacity.partition == wanted) {
            Some(found) => Ok(Capacity {
                total_bytes: u64::from(found.maximum_mib) << 20,
                remaining_bytes: u64::from(found.remaining_mib) << 20,
            }),
            None => Err(self.strange("read capacities", format!("none for partition {wanted}"))),
        }
    }

    fn make_partitions(&mut self) -> Result<(), TapeError> {
        let capacities = match self.drive.capacities() {
            Ok(capacities) => capacities,
            Err(error) => return Err(self.fail("read capacities", error)),
        };
        let total: u64 = capacities.iter().map(|capacity| u64::from(capacity.maximum_mib) << 20).sum();
        let (unit_exponent, index) = index_partition(total);
        match self.drive.partition(unit_exponent, &[index, mode::MediumPartition::REST]) {
            Ok(()) => {
                self.at = None;
                Ok(())
            }
            Err(error) => Err(self.fail("make partitions", error)),
        }
    }
}

/// Waits until the cartridge is ready (most drives load by themselves), and makes the settings that a new one loses.
/// `wait` lets time pass, and is told what the drive says.
pub(crate) fn make_ready(
    drive: &mut Drive,
    limit: Duration,
    wait: &dyn Fn(&Waiting),
) -> Result<(), scsi::Error> {
    let mut ready = drive.wait_ready(limit, wait);
    for _ in 0..STEPS_TO_READY_MAX {
        ready = match &ready {
            Err(error) if error.action() == scsi::Action::Load => drive.load(limit, wait),
            // Something that happened before is told only now: it is waited for anew.
            Err(scsi::Error::Attention { .. }) => drive.wait_ready(limit, wait),
            _ => break,
        };
    }
    ready?;
    drive.set_variable_blocks()?;
    drive.set_compression(false)?;
    if !drive.set_block_protection(true)? {
        tracing::debug!("the drive checks no blocks");
    }
    Ok(())
}

/// Waits and loads of a cartridge before it is given up: one load, one attention, and both once more.
const STEPS_TO_READY_MAX: usize = 4;

/// Lets time pass between two questions to a device; waking early only asks sooner.
pub(crate) fn pause(duration: Duration) {
    std::thread::park_timeout(duration);
}

fn let_pass(waiting: &Waiting) {
    pause(waiting.pause);
}

/// Size of the index partition, in units of ten to an exponent. Drives round 1 GB up to what they can make; small
/// virtual cartridges get a twentieth.
fn index_partition(total_bytes: u64) -> (u8, u16) {
    const GB: u64 = 1_000_000_000;
    if total_bytes >= 20 * GB {
        return (9, 1);
    }
    let megabytes = (total_bytes / 20_000_000).max(1);
    (6, u16::try_from(megabytes).expect("under 1 000 below 20 GB"))
}

fn kind_of(error: &scsi::Error) -> TapeErrorKind {
    if error.outcome_unknown() {
        return TapeErrorKind::Silent;
    }
    match error.sense().map(scsi::Sense::condition) {
        Some(Condition::VolumeOverflow) => TapeErrorKind::Full,
        Some(
            Condition::ReadError
            | Condition::MediumError
            | Condition::FormatUnknown
            | Condition::FormatCorrupt
            | Condition::EndOfDataLost,
        ) => TapeErrorKind::Unreadable,
        _ => TapeErrorKind::Failed,
    }
}

fn from_mam(attribute: mam::Attribute) -> Attribute {
    let format = match attribute.format {
        mam::AttributeFormat::Binary => AttributeFormat::Binary,
        mam::AttributeFormat::Ascii => AttributeFormat::Ascii,
        mam::AttributeFormat::Text => AttributeFormat::Text,
    };
    Attribute { id: attribute.id, format, value: attribute.value }
}

fn to_mam(attribute: &Attribute) -> mam::Attribute {
    let format = match attribute.format {
        AttributeFormat::Binary => mam::AttributeFormat::Binary,
        AttributeFormat::Ascii => mam::AttributeFormat::Ascii,
        AttributeFormat::Text => mam::AttributeFormat::Text,
    };
    mam::Attribute { id: attribute.id, read_only: false, format, value: attribute.value.clone() }
}

/// An error's source that may be told twice: to the work and to whoever waits for the job.
pub(crate) type Cause = Arc<dyn std::error::Error + Send + Sync>;
