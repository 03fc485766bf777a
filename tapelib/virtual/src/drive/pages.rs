//! What a drive says about itself and can be told: mode pages and log pages.

use super::{Bay, Drive, Medium, PowerOn, partitioning};
use crate::mode::{self, Wanted};
use crate::reply::{Outcome, deliver, field16};
use crate::sense::{INVALID_FIELD_IN_CDB, INVALID_FIELD_IN_PARAMETER_LIST, Sense};
use scsi::log::{LogParameter, device, encode_alerts, encode_page, page as log_page, tape_capacity};
use scsi::mode::{
    BlockDescriptor, BlockProtection, Compression, Control, DeviceExtension, ModeData, page, subpage,
};
use scsi::spc::ModeForm;
use scsi::{Data, Generation, ParseError};

impl Drive {
    pub(super) fn mode_sense(&self, wanted: &Wanted, data: &mut Data<'_>) -> Outcome {
        let (medium_type, density, write_protected) = match &self.bay {
            Bay::Loaded(medium) => {
                let memory = medium.cartridge.memory();
                let generation = Generation::of_density(memory.density);
                let medium_type =
                    generation.map_or(0, |generation| generation.medium_type(memory.write_once));
                (medium_type, memory.density, memory.write_protected)
            }
            _ => (0, 0, false),
        };
        // Number of blocks 0 (all), block length 0 (variable).
        let block = Some(BlockDescriptor { density, blocks: 0, block_length: 0 });
        let buffered = u8::from(self.buffered);
        let head = ModeData { medium_type, write_protected, buffered, block, pages: Vec::new() };
        let pages = [
            Control { descriptor_sense: self.descriptor_sense }.encode(),
            self.protection.encode(),
            // It does not compress.
            Compression { enabled: false, capable: false }.encode(),
            self.extension.encode(),
            partitioning::page(self.partition_bytes()),
        ];
        mode::sense(wanted, data, head, &pages)
    }

    /// Sets buffered mode and the pages there are; compression can only be off. Anything else in the list is refused
    /// and nothing changes.
    pub(super) fn mode_select(&mut self, form: ModeForm, length: u16, data: &Data<'_>) -> Outcome {
        let selection = mode::select(form, length, data)?;
        // Fixed block lengths are not offered; the density is the cartridge's.
        if selection.buffered > 1 || selection.block.is_some_and(|block| block.block_length != 0) {
            return Err(INVALID_FIELD_IN_PARAMETER_LIST.into());
        }
        let (mut settings, mut partition_page) = (self.settings(), self.partition_page);
        for chosen in mode::pages(&selection.pages)? {
            match (chosen.code, chosen.subpage) {
                (page::CONTROL, 0) => {
                    settings.descriptor_sense = accepted(Control::parse(chosen.bytes))?.descriptor_sense;
                }
                (page::CONTROL, subpage::DATA_PROTECTION) => {
                    let wanted = accepted(BlockProtection::parse(chosen.bytes))?;
                    // The checksum of old generations is not offered.
                    if wanted.method != BlockProtection::CRC32C.method && wanted != BlockProtection::OFF {
                        return Err(INVALID_FIELD_IN_PARAMETER_LIST.into());
                    }
                    settings.protection = wanted;
                }
                (page::DEVICE_CONFIGURATION, subpage::EXTENSION) => {
                    settings.extension = accepted(DeviceExtension::parse(chosen.bytes))?;
                }
                (page::MEDIUM_PARTITION, 0) => {
                    partition_page = Some(partitioning::PartitionPage::parse(&chosen.bytes[2..])?);
                }
                (page::COMPRESSION, 0) if !accepted(Compression::parse(chosen.bytes))?.enabled => {}
                _ => return Err(INVALID_FIELD_IN_PARAMETER_LIST.into()),
            }
        }
        settings.buffered = selection.buffered == 1;
        self.set(settings);
        self.partition_page = partition_page;
        Ok(usize::from(length))
    }

    fn settings(&self) -> PowerOn {
        PowerOn {
            descriptor_sense: self.descriptor_sense,
            protection: self.protection,
            extension: self.extension.clone(),
            buffered: self.buffered,
        }
    }

    pub(super) fn log_sense(
        &mut self,
        (page, subpage): (u8, u8),
        (first, allocation): (u16, u16),
        data: &mut Data<'_>,
    ) -> Outcome {
        if subpage != 0 {
            return Err(INVALID_FIELD_IN_CDB.into());
        }
        let bytes = match page {
            log_page::SUPPORTED => supported(&[
                log_page::SUPPORTED,
                log_page::DEVICE_STATISTICS,
                log_page::VOLUME_STATISTICS,
                log_page::TAPE_ALERT,
                log_page::TAPE_CAPACITY,
            ]),
            log_page::TAPE_ALERT => {
                encode_alerts(&self.faults.take_alerts(self.index).into_iter().collect::<Vec<_>>())
            }
            log_page::DEVICE_STATISTICS => encode_page(page, &[counter(device::LOADS, self.loads)]),
            log_page::VOLUME_STATISTICS => {
                encode_page(page, &self.of_medium(first, Medium::volume_statistics))
            }
            log_page::TAPE_CAPACITY => encode_page(page, &self.of_medium(first, Medium::capacities)),
            _ => return Err(INVALID_FIELD_IN_CDB.into()),
        };
        deliver(data, usize::from(allocation), &bytes)
    }

    /// Log parameters of the medium with codes from `first` on.
    fn of_medium(&self, first: u16, tell: impl Fn(&Medium) -> Vec<LogParameter>) -> Vec<LogParameter> {
        let Bay::Loaded(medium) = &self.bay else { return Vec::new() };
        tell(medium).into_iter().filter(|parameter| parameter.code >= first).collect()
    }
}

impl Medium {
    /// Capacities are in MiB, rounded down.
    fn volume_statistics(&self) -> Vec<LogParameter> {
        let partitions = 0..self.cartridge.partition_count();
        let records = |code, bytes: &dyn Fn(usize) -> u64| LogParameter {
            code,
            value: partitions
                .clone()
                .flat_map(|partition| partition_record(partition, bytes(partition)))
                .collect(),
        };
        let (capacity, left) = (
            |partition| self.cartridge.capacity(partition),
            |partition| self.cartridge.bytes_left(partition),
        );
        vec![
            LogParameter { code: 0x0000, value: vec![0x01] },
            counter(0x0001, self.cartridge.memory().load_count),
            records(0x0202, &capacity),
            records(0x0203, &|partition| capacity(partition) - left(partition)),
            records(0x0204, &|partition| {
                left(partition).saturating_sub(self.cartridge.early_warning_bytes(partition))
            }),
        ]
    }

    fn capacities(&self) -> Vec<LogParameter> {
        let mebibytes = |code, bytes: u64| counter(code, bytes >> 20);
        (0..self.cartridge.partition_count())
            .flat_map(|partition| {
                [
                    mebibytes(tape_capacity::REMAINING[partition], self.cartridge.bytes_left(partition)),
                    mebibytes(tape_capacity::MAXIMUM[partition], self.cartridge.capacity(partition)),
                ]
            })
            .collect()
    }
}

fn accepted<T>(parsed: Result<T, ParseError>) -> Result<T, Sense> {
    parsed.map_err(|_| INVALID_FIELD_IN_PARAMETER_LIST)
}

/// A counter of four bytes.
fn counter(code: u16, value: u64) -> LogParameter {
    LogParameter { code, value: u32::try_from(value).unwrap_or(u32::MAX).to_be_bytes().to_vec() }
}

/// Page 00h is a list without parameter headers.
fn supported(pages: &[u8]) -> Vec<u8> {
    let [high, low] = field16(pages.len());
    [&[0, 0, high, low], pages].concat()
}

/// Volume statistics partition record: length of what follows, reserved, partition number, counter.
fn partition_record(partition: usize, bytes: u64) -> Vec<u8> {
    let [high, low] = field16(partition);
    let counter = u32::try_from(bytes >> 20).unwrap_or(u32::MAX).to_be_bytes();
    [&[7, 0, high, low], counter.as_slice()].concat()
}
