//! What a drive says about itself: its mode pages and log page 17h, volume statistics.

use super::{Bay, Drive, Medium, partitioning};
use crate::mode::{self, Preamble};
use crate::reply::{Outcome, be16, deliver, field16};
use crate::sense::{INVALID_FIELD_IN_CDB, INVALID_FIELD_IN_PARAMETER_LIST};
use scsi::{Cdb, Data};

impl Drive {
    pub(super) fn mode_sense(&self, cdb: &Cdb, data: &mut Data<'_>) -> Outcome {
        let (medium_type, density, protected) = match &self.bay {
            Bay::Loaded(medium) => (MEDIUM_LTO_9, DENSITY_LTO_9, medium.cartridge.memory().write_protected),
            _ => (0, 0, false),
        };
        let preamble = Preamble {
            medium_type,
            device_specific: u8::from(protected) << 7 | u8::from(self.buffered) << 4,
            // Density, number of blocks 0 (all), block length 0 (variable).
            block_descriptor: vec![density, 0, 0, 0, 0, 0, 0, 0],
        };
        mode::sense(cdb, data, &preamble, &[compression(), partitioning::page(self.partition_bytes())])
    }

    /// Sets buffered mode and page 11h, and lets compression be off; anything else in the list is refused and nothing changes.
    pub(super) fn mode_select(&mut self, cdb: &Cdb, data: &Data<'_>) -> Outcome {
        let selection = mode::select(cdb, data)?;
        let buffered = match (selection.device_specific >> 4) & 0x07 {
            0 => false,
            1 => true,
            _ => return Err(INVALID_FIELD_IN_PARAMETER_LIST.into()),
        };
        // Fixed block lengths are not offered; the density is the cartridge's.
        if selection.block_descriptor.get(5..).is_some_and(|length| length != [0, 0, 0]) {
            return Err(INVALID_FIELD_IN_PARAMETER_LIST.into());
        }
        let mut partition_page = self.partition_page;
        for (code, body) in mode::pages(selection.pages)? {
            match code {
                partitioning::PAGE => partition_page = Some(partitioning::PartitionPage::parse(body)?),
                // Compression can be turned off, which it is.
                COMPRESSION if body.first().is_some_and(|flags| flags & 0x80 == 0) => {}
                _ => return Err(INVALID_FIELD_IN_PARAMETER_LIST.into()),
            }
        }
        self.partition_page = partition_page;
        self.buffered = buffered;
        Ok(selection_length(data))
    }

    pub(super) fn log_sense(&self, cdb: &Cdb, data: &mut Data<'_>) -> Outcome {
        let block = cdb.as_bytes();
        let (page, subpage, first) = (block[2] & 0x3F, block[3], be16(block, 5));
        if subpage != 0 || block[1] & 0x01 != 0 {
            return Err(INVALID_FIELD_IN_CDB.into());
        }
        let body = match page {
            0x00 => vec![0x00, VOLUME_STATISTICS],
            VOLUME_STATISTICS => match &self.bay {
                Bay::Loaded(medium) => medium.volume_statistics(first),
                _ => Vec::new(),
            },
            _ => return Err(INVALID_FIELD_IN_CDB.into()),
        };
        let [high, low] = field16(body.len());
        deliver(data, usize::from(be16(block, 7)), &[&[page, 0, high, low], body.as_slice()].concat())
    }
}

impl Medium {
    /// Log parameters with codes from `first` on. Capacities are in MiB, rounded down.
    fn volume_statistics(&self, first: u16) -> Vec<u8> {
        let partitions = 0..self.cartridge.partition_count();
        let records = |bytes: &dyn Fn(usize) -> u64| -> Vec<u8> {
            partitions.clone().flat_map(|partition| partition_record(partition, bytes(partition))).collect()
        };
        let loads = u32::try_from(self.cartridge.memory().load_count).unwrap_or(u32::MAX);
        let parameters = [
            (0x0000, vec![0x01]),
            (0x0001, loads.to_be_bytes().to_vec()),
            (0x0202, records(&|partition| self.cartridge.capacity(partition))),
            (
                0x0203,
                records(&|partition| {
                    self.cartridge.capacity(partition) - self.cartridge.bytes_left(partition)
                }),
            ),
            (
                0x0204,
                records(&|partition| {
                    let left = self.cartridge.bytes_left(partition);
                    left.saturating_sub(self.cartridge.early_warning_bytes(partition))
                }),
            ),
        ];
        let mut bytes = Vec::new();
        for (code, value) in parameters.into_iter().filter(|(code, _)| *code >= first) {
            bytes.extend(u16::to_be_bytes(code));
            // Binary list parameter.
            bytes.extend([0x03, u8::try_from(value.len()).expect("two partitions at most")]);
            bytes.extend(value);
        }
        bytes
    }
}

/// Volume statistics partition record: length of what follows, reserved, partition number, counter.
fn partition_record(partition: usize, bytes: u64) -> Vec<u8> {
    let [high, low] = field16(partition);
    let counter = u32::try_from(bytes >> 20).unwrap_or(u32::MAX).to_be_bytes();
    [&[7, 0, high, low], counter.as_slice()].concat()
}

/// Page 0Fh: this drive does not compress.
fn compression() -> Vec<u8> {
    let mut page = vec![0; 16];
    page[..2].copy_from_slice(&[COMPRESSION, 14]);
    page
}

fn selection_length(data: &Data<'_>) -> usize {
    match data {
        Data::Out(list) => list.len(),
        Data::None | Data::In(_) => 0,
    }
}

pub(super) const DENSITY_LTO_9: u8 = 0x60;
const COMPRESSION: u8 = 0x0F;
const MEDIUM_LTO_9: u8 = 0x98;
const VOLUME_STATISTICS: u8 = 0x17;
