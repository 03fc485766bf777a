//! Moving along the tape: REWIND, LOCATE(16), SPACE(16) and (6), READ POSITION long and extended form (SSC-5, 7).

use super::Medium;
use crate::partition::Partition;
use crate::reply::{Check, Outcome, deliver};
use crate::sense::{BEGINNING_OF_PARTITION, END_OF_DATA, FILEMARK_DETECTED, INVALID_FIELD_IN_CDB, Sense};
use scsi::{Buffered, Data, Position, SpaceOver};

impl Medium {
    /// To the beginning of the current partition, with everything written brought to stable storage.
    pub(super) fn rewind(&mut self) -> Outcome {
        self.cartridge.sync()?;
        self.record = 0;
        Ok(0)
    }

    /// To a logical object; a target past the end of data stops there with BLANK CHECK.
    pub(super) fn locate(&mut self, partition: Option<u8>, block: u64) -> Outcome {
        let partition = partition.map_or(self.partition, usize::from);
        if partition >= self.cartridge.partition_count() {
            return Err(INVALID_FIELD_IN_CDB.into());
        }
        self.cartridge.sync()?;
        self.partition = partition;
        let target = self.cartridge.partition(partition);
        let end = target.records();
        self.record = block.min(end);
        if block > end {
            return Err(target.end_of_data().into());
        }
        Ok(0)
    }

    pub(super) fn space(&mut self, over: SpaceOver, count: i64) -> Outcome {
        let (number, from) = (self.partition, self.record);
        self.cartridge.sync()?;
        let partition = self.cartridge.partition(number);
        let (record, stopped) = match over {
            SpaceOver::EndOfData if partition.end_of_data() == END_OF_DATA => (partition.records(), None),
            SpaceOver::EndOfData => (partition.records(), Some(partition.end_of_data())),
            SpaceOver::Filemarks => space_filemarks(partition, from, count),
            SpaceOver::Blocks => space_blocks(partition, from, count),
        };
        self.record = record;
        stopped.map_or(Ok(0), |sense| Err(Check::from(sense)))
    }

    /// Long form. `zone` is how many bytes before early warning the drive warns first.
    pub(super) fn read_position(&mut self, zone: u64, data: &mut Data<'_>) -> Outcome {
        let (number, record) = (self.partition, self.record);
        let at_end = record == self.cartridge.partition(number).records();
        let position = Position {
            partition: self.partition_number(),
            block: record,
            filemarks: Some(self.cartridge.partition(number).filemarks_before(record)),
            beginning: self.at_beginning(),
            early_warning: at_end && self.in_early_warning(),
            programmable_early_warning: at_end && self.in_zone(zone),
        };
        deliver(data, Position::LENGTH, &position.encode())
    }

    /// Extended form: what a power cut would take.
    pub(super) fn read_buffer_position(&mut self, data: &mut Data<'_>) -> Outcome {
        let (number, next) = (self.partition, self.record);
        let (partition, of) = (self.partition_number(), self.cartridge.partition(number));
        let on_tape = of.synced_records().min(next);
        let bytes = Some(of.unsynced_bytes());
        let buffered = Buffered { partition, next, on_tape, bytes };
        deliver(data, Buffered::LENGTH, &buffered.encode())
    }
}

/// Where spacing over `count` blocks from `from` ends, and what stopped it early. A filemark is stopped at behind it
/// when moving forward and before it when moving backward.
fn space_blocks(partition: &mut Partition, from: u64, count: i64) -> (u64, Option<Sense>) {
    let wanted = count.unsigned_abs();
    if count >= 0 {
        let end = partition.records();
        let barrier = partition.filemarks()[index(partition.filemarks_before(from))..].first().copied();
        let reach = barrier.unwrap_or(end);
        if wanted <= reach - from {
            return (from + wanted, None);
        }
        let missing = left(wanted - (reach - from));
        return match barrier {
            Some(filemark) => (filemark + 1, Some(FILEMARK_DETECTED.with_information(missing))),
            None => (end, Some(partition.end_of_data().with_information(missing))),
        };
    }
    let before = index(partition.filemarks_before(from));
    let barrier = before.checked_sub(1).map(|at| partition.filemarks()[at]);
    let reach = barrier.map_or(0, |filemark| filemark + 1);
    if wanted <= from - reach {
        return (from - wanted, None);
    }
    let missing = left(wanted - (from - reach));
    match barrier {
        Some(filemark) => (filemark, Some(FILEMARK_DETECTED.with_information(missing))),
        None => (0, Some(BEGINNING_OF_PARTITION.with_information(missing))),
    }
}

fn space_filemarks(partition: &Partition, from: u64, count: i64) -> (u64, Option<Sense>) {
    let (wanted, before) = (count.unsigned_abs(), partition.filemarks_before(from));
    let filemarks = partition.filemarks();
    if count >= 0 {
        let ahead = filemarks.len() as u64 - before;
        return match wanted {
            0 => (from, None),
            _ if wanted <= ahead => (filemarks[index(before + wanted - 1)] + 1, None),
            _ => (partition.records(), Some(partition.end_of_data().with_information(left(wanted - ahead)))),
        };
    }
    if wanted <= before {
        (filemarks[index(before - wanted)], None)
    } else {
        (0, Some(BEGINNING_OF_PARTITION.with_information(left(wanted - before))))
    }
}

fn index(value: u64) -> usize {
    usize::try_from(value).expect("an index held in memory")
}

/// What is left of a count, as sense data carries it.
fn left(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
