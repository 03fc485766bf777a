//! Moving along the tape: REWIND, LOCATE(16), SPACE(16), READ POSITION long form (SSC-5, 7).

use super::Medium;
use crate::partition::Partition;
use crate::reply::{Check, Outcome, be64, deliver};
use crate::sense::{BEGINNING_OF_PARTITION, FILEMARK_DETECTED, INVALID_FIELD_IN_CDB, Sense};
use scsi::{Cdb, Data};

impl Medium {
    /// To the beginning of the current partition, with everything written brought to stable storage.
    pub(super) fn rewind(&mut self) -> Outcome {
        self.cartridge.sync()?;
        self.record = 0;
        Ok(0)
    }

    /// By logical object, logical file or to the end of data; a target past the end of data stops there with
    /// BLANK CHECK.
    pub(super) fn locate(&mut self, cdb: &Cdb) -> Outcome {
        let block = cdb.as_bytes();
        let (change_partition, kind) = (block[1] & 0x02 != 0, (block[1] >> 3) & 0x07);
        let partition = if change_partition { usize::from(block[3]) } else { self.partition };
        if partition >= self.cartridge.partition_count() || !matches!(kind, TO_OBJECT | TO_FILE | TO_END) {
            return Err(INVALID_FIELD_IN_CDB.into());
        }
        self.cartridge.sync()?;
        self.partition = partition;
        let target = self.cartridge.partition(partition);
        let (record, end) = (destination(target, kind, be64(block, 4)), target.records());
        self.record = record.unwrap_or(end);
        if record.is_none() {
            return Err(target.end_of_data().into());
        }
        Ok(0)
    }

    pub(super) fn space(&mut self, cdb: &Cdb) -> Outcome {
        let block = cdb.as_bytes();
        let count = i64::from_be_bytes(be64(block, 4).to_be_bytes());
        let (number, from) = (self.partition, self.record);
        let code = block[1] & 0x0F;
        if !matches!(code, OVER_BLOCKS | OVER_FILEMARKS | OVER_TO_END) || block[12] | block[13] != 0 {
            return Err(INVALID_FIELD_IN_CDB.into());
        }
        self.cartridge.sync()?;
        let partition = self.cartridge.partition(number);
        let (record, stopped) = match code {
            OVER_TO_END if partition.end_of_data() == crate::sense::END_OF_DATA => {
                (partition.records(), None)
            }
            OVER_TO_END => (partition.records(), Some(partition.end_of_data())),
            OVER_FILEMARKS => space_filemarks(partition, from, count),
            _ => space_blocks(partition, from, count),
        };
        self.record = record;
        stopped.map_or(Ok(0), |sense| Err(Check::from(sense)))
    }

    pub(super) fn read_position(&mut self, cdb: &Cdb, data: &mut Data<'_>) -> Outcome {
        if cdb.as_bytes()[1] & 0x1F != LONG_FORM {
            return Err(INVALID_FIELD_IN_CDB.into());
        }
        let (partition, record) = (self.partition, self.record);
        let mut bytes = [0u8; 32];
        bytes[0] = u8::from(self.at_beginning()) << 7;
        if self.in_early_warning() && record == self.cartridge.partition(partition).records() {
            bytes[0] |= 0x40;
        }
        bytes[7] = self.partition_number();
        bytes[8..16].copy_from_slice(&record.to_be_bytes());
        let filemarks = self.cartridge.partition(partition).filemarks_before(record);
        bytes[16..24].copy_from_slice(&filemarks.to_be_bytes());
        deliver(data, bytes.len(), &bytes)
    }
}

/// `None` when the target lies past the end of data.
fn destination(partition: &Partition, kind: u8, identifier: u64) -> Option<u64> {
    match kind {
        TO_END => Some(partition.records()),
        TO_FILE if identifier == 0 => Some(0),
        TO_FILE => {
            let filemark = usize::try_from(identifier - 1).ok()?;
            partition.filemarks().get(filemark).map(|record| record + 1)
        }
        _ => (identifier <= partition.records()).then_some(identifier),
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

const LONG_FORM: u8 = 0x06;
const TO_OBJECT: u8 = 0;
const TO_FILE: u8 = 1;
const TO_END: u8 = 3;
const OVER_BLOCKS: u8 = 0;
const OVER_FILEMARKS: u8 = 1;
const OVER_TO_END: u8 = 3;
