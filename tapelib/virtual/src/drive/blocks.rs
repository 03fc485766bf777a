//! Blocks and filemarks: READ(6), WRITE(6), WRITE FILEMARKS(6), READ BLOCK LIMITS (SSC-5, 5 and 7.5).
//!
//! Only variable block mode is offered, as LTFS uses it.

use super::{Drive, Medium};
use crate::partition::{Block, Record};
use crate::reply::{Check, Outcome, deliver, parameter_list};
use crate::sense::{
    APPEND_ONLY, BLOCK_GUARD_FAILED, EARLY_WARNING, FILEMARK_DETECTED, INCORRECT_LENGTH,
    INVALID_FIELD_IN_CDB, PROGRAMMABLE_EARLY_WARNING, Sense, UNRECOVERED_READ_ERROR, WORM_OVERWRITE,
};
use crc_fast::{CrcAlgorithm, checksum};
use scsi::mode::BlockProtection;
use scsi::{BlockLimits, Data};

/// Block lengths from 1 byte to 8 MiB.
pub(super) fn read_block_limits(data: &mut Data<'_>) -> Outcome {
    let limits = BlockLimits { minimum: 1, maximum: BLOCK_BYTES_MAX };
    deliver(data, BlockLimits::LENGTH, &limits.encode())
}

impl Drive {
    pub(super) fn read(&mut self, suppress_length: bool, length: usize, data: &mut Data<'_>) -> Outcome {
        let faults = self.faults.clone();
        let trailer = if self.protection.read { BlockProtection::TRAILER } else { 0 };
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
        let partition = medium.cartridge.partition(medium.partition);
        let payload = buffer.len().min(block.length as usize);
        let mut transferred = partition
            .read(&block, &mut buffer[..payload])
            .map_err(|sense| sense.with_information(signed(length)))?;
        if trailer > 0 && buffer.len() > transferred {
            let guard = guard(&buffer[..transferred]);
            let part = guard.len().min(buffer.len() - transferred);
            buffer[transferred..transferred + part].copy_from_slice(&guard[..part]);
            transferred += part;
        }
        let difference = signed(length) - i64::from(block.length) - signed(trailer);
        if difference != 0 && !suppress_length {
            return Err(Check { sense: INCORRECT_LENGTH.with_information(difference), transferred });
        }
        Ok(transferred)
    }

    pub(super) fn write(&mut self, length: usize, data: &Data<'_>) -> Outcome {
        let trailer = if self.protection.written { BlockProtection::TRAILER } else { 0 };
        if length > BLOCK_BYTES_MAX as usize + trailer {
            return Err(INVALID_FIELD_IN_CDB.into());
        }
        let (buffered, zone) = (self.buffered, u64::from(self.extension.early_warning_mb) * 1_000_000);
        self.may_write_here()?;
        let medium = self.medium()?;
        let sent = parameter_list(data, length)?;
        if sent.is_empty() {
            return Ok(0);
        }
        let Some((payload, guarded)) = sent.split_at_checked(sent.len().saturating_sub(trailer)) else {
            return Err(INVALID_FIELD_IN_CDB.into());
        };
        if trailer > 0 && guard(payload) != *guarded {
            return Err(BLOCK_GUARD_FAILED.into());
        }
        let before = medium.in_zone(zone);
        medium.begin_change()?;
        medium.write_block(payload)?;
        if !buffered {
            medium.cartridge.sync()?;
        }
        medium.report_warnings(length, !before && medium.in_zone(zone))
    }

    pub(super) fn write_filemarks(&mut self, immediate: bool, count: usize) -> Outcome {
        // Nothing to write, at once, asks for nothing.
        if immediate && count == 0 {
            return Err(INVALID_FIELD_IN_CDB.into());
        }
        if count > 0 {
            self.may_write_here()?;
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
        if count == 0 { Ok(0) } else { medium.report_warnings(0, false) }
    }

    /// Write-once cartridges, and drives in append-only mode, take blocks at the end of data only. Consumes what ALLOW
    /// OVERWRITE allowed.
    fn may_write_here(&mut self) -> Result<(), Sense> {
        let (append_only, allowed) = (self.extension.append_only, self.overwrite.take());
        let medium = self.medium()?;
        let (partition, record) = (medium.partition, medium.record);
        let at_end = record == medium.cartridge.partition(partition).records();
        if medium.cartridge.memory().write_once && !at_end {
            return Err(WORM_OVERWRITE);
        }
        let named = allowed == Some((medium.partition_number(), record));
        if append_only && !at_end && !named { Err(APPEND_ONLY) } else { Ok(()) }
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

    /// Past early warning every write that was carried out says so; the zone that the host has chosen before it is told
    /// once, by the write that enters it.
    fn report_warnings(&self, transferred: usize, entered: bool) -> Outcome {
        let sense = match (self.in_early_warning(), entered) {
            (true, _) => EARLY_WARNING,
            (false, true) => PROGRAMMABLE_EARLY_WARNING,
            (false, false) => return Ok(transferred),
        };
        Err(Check { sense: sense.with_information(0), transferred })
    }

    /// Closer to early warning than `zone` bytes.
    pub(super) fn in_zone(&self, zone: u64) -> bool {
        let left = self.cartridge.bytes_left(self.partition);
        zone > 0 && left < self.cartridge.early_warning_bytes(self.partition).saturating_add(zone)
    }
}

/// CRC-32C, lowest byte first.
fn guard(payload: &[u8]) -> [u8; BlockProtection::TRAILER] {
    u32::try_from(checksum(CrcAlgorithm::Crc32Iscsi, payload)).expect("a checksum of 32 bits").to_le_bytes()
}

fn signed(length: usize) -> i64 {
    i64::try_from(length).expect("a transfer length of 24 bits")
}

const BLOCK_BYTES_MAX: u32 = 8 << 20;
