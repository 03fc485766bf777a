//! Blocks and filemarks: READ(6), WRITE(6), WRITE FILEMARKS(6), READ BLOCK LIMITS (SSC-5, 5 and 7.5).
//!
//! Only variable block mode is offered, as LTFS uses it: a CDB with FIXED=1 is refused.

use super::{Drive, Medium};
use crate::partition::{Block, Record};
use crate::reply::{Check, Outcome, be24, deliver, parameter_list};
use crate::sense::{
    EARLY_WARNING, FILEMARK_DETECTED, INCORRECT_LENGTH, INVALID_FIELD_IN_CDB, Sense, UNRECOVERED_READ_ERROR,
};
use scsi::{Cdb, Data};

/// Block lengths from 1 byte to 8 MiB.
pub(super) fn read_block_limits(cdb: &Cdb, data: &mut Data<'_>) -> Outcome {
    if cdb.as_bytes()[1] & 0x01 != 0 {
        return Err(INVALID_FIELD_IN_CDB.into());
    }
    let maximum = BLOCK_BYTES_MAX.to_be_bytes();
    deliver(data, 6, &[0, maximum[1], maximum[2], maximum[3], 0, 1])
}

impl Drive {
    pub(super) fn read(&mut self, cdb: &Cdb, data: &mut Data<'_>) -> Outcome {
        let (suppress_length, fixed) = (cdb.as_bytes()[1] & 0x02 != 0, cdb.as_bytes()[1] & 0x01 != 0);
        let length = be24(cdb.as_bytes(), 2);
        if fixed {
            return Err(INVALID_FIELD_IN_CDB.into());
        }
        let faults = self.faults.clone();
        let medium = self.medium()?;
        if length == 0 {
            return Ok(0);
        }
        let Data::In(buffer) = data else {
            return Err(INVALID_FIELD_IN_CDB.into());
        };
        let buffer = buffer.get_mut(..length).ok_or(INVALID_FIELD_IN_CDB)?;
        let block = medium.next_block(length)?;
        let barcode = &medium.cartridge.home().barcode;
        if faults.is_damaged(barcode, medium.partition_number(), medium.record - 1) {
            return Err(UNRECOVERED_READ_ERROR.with_information(signed(length)).into());
        }
        let partition = medium.partition;
        let transferred = medium
            .cartridge
            .partition(partition)
            .read(&block, buffer)
            .map_err(|sense| sense.with_information(signed(length)))?;
        let difference = signed(length) - i64::from(block.length);
        if difference != 0 && !suppress_length {
            return Err(Check { sense: INCORRECT_LENGTH.with_information(difference), transferred });
        }
        Ok(transferred)
    }

    pub(super) fn write(&mut self, cdb: &Cdb, data: &Data<'_>) -> Outcome {
        let length = be24(cdb.as_bytes(), 2);
        if cdb.as_bytes()[1] & 0x01 != 0 || length > BLOCK_BYTES_MAX as usize {
            return Err(INVALID_FIELD_IN_CDB.into());
        }
        let buffered = self.buffered;
        let medium = self.medium()?;
        let payload = parameter_list(data, length)?;
        if payload.is_empty() {
            return Ok(0);
        }
        medium.begin_change()?;
        medium.write_block(payload)?;
        if !buffered {
            medium.cartridge.sync()?;
        }
        medium.report_early_warning(length)
    }

    pub(super) fn write_filemarks(&mut self, cdb: &Cdb) -> Outcome {
        let (byte, count) = (cdb.as_bytes()[1], be24(cdb.as_bytes(), 2));
        let immediate = byte & 0x01 != 0;
        // Setmarks (bit 1) are obsolete; nothing to write with Immed=1 asks for nothing.
        if byte & 0x02 != 0 || (immediate && count == 0) {
            return Err(INVALID_FIELD_IN_CDB.into());
        }
        let medium = self.medium()?;
        if count > 0 {
            medium.begin_change()?;
        }
        for written in 0..count {
            medium.write_filemark().map_err(|sense| sense.with_information(signed(count - written)))?;
        }
        if !immediate {
            medium.cartridge.sync()?;
        }
        if count == 0 { Ok(0) } else { medium.report_early_warning(0) }
    }
}

impl Medium {
    /// Steps over the next record, which must be a block.
    fn next_block(&mut self, requested: usize) -> Result<Block, Sense> {
        let (number, record) = (self.partition, self.record);
        let partition = self.cartridge.partition(number);
        if record >= partition.records() {
            return Err(partition.end_of_data().with_information(signed(requested)));
        }
        let found = partition.record(record);
        // The drive stands behind what it met, be it a block, a filemark or a bad spot.
        self.record += 1;
        match found.map_err(|sense| sense.with_information(signed(requested)))? {
            Record::Block(block) => Ok(block),
            Record::Filemark => Err(FILEMARK_DETECTED.with_information(signed(requested))),
        }
    }

    fn write_block(&mut self, payload: &[u8]) -> Result<(), Sense> {
        let (partition, capacity) = (self.partition, self.cartridge.capacity(self.partition));
        self.cartridge
            .partition(partition)
            .write_block(self.record, payload, capacity)
            .map_err(|sense| sense.with_information(signed(payload.len())))?;
        self.record += 1;
        Ok(())
    }

    fn write_filemark(&mut self) -> Result<(), Sense> {
        let (partition, capacity) = (self.partition, self.cartridge.capacity(self.partition));
        self.cartridge.partition(partition).write_filemark(self.record, capacity)?;
        self.record += 1;
        Ok(())
    }

    /// Past early warning every write that was carried out says so.
    fn report_early_warning(&self, transferred: usize) -> Outcome {
        if self.in_early_warning() {
            return Err(Check { sense: EARLY_WARNING.with_information(0), transferred });
        }
        Ok(transferred)
    }
}

fn signed(length: usize) -> i64 {
    i64::try_from(length).expect("a transfer length of 24 bits")
}

const BLOCK_BYTES_MAX: u32 = 8 << 20;
