//! The shape of the tape: densities and wraps.

use super::{Bay, Drive, Medium};
use crate::reply::{Outcome, deliver};
use crate::sense::MEDIUM_NOT_PRESENT;
use crate::timing::Place;
use scsi::ssc::{Density, EndOfWrap};
use scsi::{Data, Generation};

impl Drive {
    /// REPORT DENSITY SUPPORT: what an LTO-9 drive knows, or the cartridge in it.
    pub(super) fn report_densities(&self, of_medium: bool, allocation: u16, data: &mut Data<'_>) -> Outcome {
        let loaded = match &self.bay {
            Bay::Loaded(medium) => Some(medium.cartridge.memory().density),
            _ => None,
        };
        if of_medium && loaded.is_none() {
            return Err(MEDIUM_NOT_PRESENT.into());
        }
        let known = [(Generation::Lto8, "U-8", 12_000_000), (Generation::Lto9, "U-9", 18_000_000)];
        let densities: Vec<Density> = known
            .into_iter()
            .map(|(generation, name, capacity_mb)| Density {
                code: generation.density(),
                writable: true,
                default: loaded == Some(generation.density()),
                capacity_mb,
                name: name.to_owned(),
            })
            .filter(|density| !of_medium || density.default)
            .collect();
        deliver(data, usize::from(allocation), &Density::encode_all(&densities))
    }
}

impl Medium {
    /// READ END OF WRAP POSITION: the wraps that have been written to their end, partition after partition.
    pub(super) fn read_end_of_wraps(&mut self, allocation: u32, data: &mut Data<'_>) -> Outcome {
        let mut wraps = Vec::new();
        let mut first = 0;
        for number in 0..self.cartridge.partition_count() {
            let wrap_bytes = self.wrap_bytes();
            let of_partition = self.cartridge.capacity(number).div_ceil(wrap_bytes);
            let partition = self.cartridge.partition(number);
            for nth in 1..=partition.bytes_used() / wrap_bytes {
                let Some(block) = partition.last_before(nth * wrap_bytes) else { break };
                let wrap = u16::try_from(first + nth - 1).unwrap_or(u16::MAX);
                let partition = u16::try_from(number).expect("at most two partitions");
                wraps.push(EndOfWrap { wrap, partition, block });
            }
            first += of_partition;
        }
        let length = usize::try_from(allocation).unwrap_or(usize::MAX);
        deliver(data, length, &EndOfWrap::encode_all(&wraps))
    }

    /// Where on the tape the drive stands.
    pub(super) fn place(&mut self) -> Place {
        let wrap_bytes = self.wrap_bytes();
        let wraps_of = |partition| self.cartridge.capacity(partition).div_ceil(wrap_bytes);
        let first_wrap = (0..self.partition).map(wraps_of).sum();
        let bytes = self.cartridge.partition(self.partition).offset(self.record);
        Place::new(first_wrap, bytes, wrap_bytes)
    }

    /// Bytes of one pass along the tape: small cartridges have as many wraps as large ones, of less tape each.
    pub(super) fn wrap_bytes(&self) -> u64 {
        (self.cartridge.memory().cartridge_bytes / WRAPS).max(1)
    }
}

/// Wraps of an LTO-9 tape.
const WRAPS: u64 = 280;
