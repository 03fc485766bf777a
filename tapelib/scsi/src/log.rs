//! LOG SENSE pages (SPC-5 7.3, SSC-5 8.3): what is used of volume statistics, device statistics, tape capacity and
//! TapeAlert.

mod alert;

pub use alert::{Alert, Severity, encode_alerts, parse_alerts};

use crate::wire::{Fields, ParseError, len16};

/// Page codes.
pub mod page {
    /// Which pages exist.
    pub const SUPPORTED: u8 = 0x00;
    /// Device statistics (SSC).
    pub const DEVICE_STATISTICS: u8 = 0x14;
    /// Volume statistics (SSC).
    pub const VOLUME_STATISTICS: u8 = 0x17;
    /// TapeAlert (SSC).
    pub const TAPE_ALERT: u8 = 0x2E;
    /// Tape capacity (LTO-5 and LTO-6, and others that keep it).
    pub const TAPE_CAPACITY: u8 = 0x31;
}

/// Parameter codes of the volume statistics page.
pub mod volume {
    /// How often the volume was loaded.
    pub const LOADS: u16 = 0x0001;
    /// Write errors that could not be corrected, over the volume's life.
    pub const WRITE_ERRORS: u16 = 0x0004;
    /// Read errors that could not be corrected, over the volume's life.
    pub const READ_ERRORS: u16 = 0x0009;
    /// Megabytes written, over the volume's life.
    pub const WRITTEN_MB: u16 = 0x0014;
    /// Megabytes read, over the volume's life.
    pub const READ_MB: u16 = 0x0015;
    /// Approximate native capacity of each partition.
    pub const CAPACITY: u16 = 0x0202;
    /// Approximate used native capacity of each partition.
    pub const USED: u16 = 0x0203;
    /// Approximate remaining native capacity of each partition, up to early warning.
    pub const REMAINING: u16 = 0x0204;
}

/// Parameter codes of the device statistics page.
pub mod device {
    /// Media loads over the drive's life.
    pub const LOADS: u16 = 0x0000;
    /// Cleanings over the drive's life.
    pub const CLEANINGS: u16 = 0x0001;
    /// Hours with power.
    pub const POWER_ON_HOURS: u16 = 0x0002;
    /// Hours with the tape in motion.
    pub const MOTION_HOURS: u16 = 0x0003;
    /// Loads since the last cleaning.
    pub const LOADS_SINCE_CLEANING: u16 = 0x0008;
}

/// Parameter codes of the tape capacity page, in MiB of the first and the second partition.
pub mod tape_capacity {
    /// Remaining, by partition number.
    pub const REMAINING: [u16; 2] = [0x0001, 0x0002];
    /// In all, by partition number.
    pub const MAXIMUM: [u16; 2] = [0x0003, 0x0004];
}

/// The unsigned number that a parameter holds, of up to 8 bytes; `None` when there is no such parameter.
pub fn counter(parameters: &[LogParameter], code: u16) -> Option<u64> {
    let value = &parameters.iter().find(|parameter| parameter.code == code)?.value;
    let fits = (1..=8).contains(&value.len());
    fits.then(|| value.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// What a volume has been through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VolumeHistory {
    /// How often it was loaded.
    pub loads: Option<u64>,
    /// Write errors that could not be corrected.
    pub write_errors: Option<u64>,
    /// Read errors that could not be corrected.
    pub read_errors: Option<u64>,
    /// Megabytes written.
    pub written_mb: Option<u64>,
    /// Megabytes read.
    pub read_mb: Option<u64>,
}

impl VolumeHistory {
    /// From the parameters of page 17h.
    pub fn of(parameters: &[LogParameter]) -> Self {
        let number = |code| counter(parameters, code);
        Self {
            loads: number(volume::LOADS),
            write_errors: number(volume::WRITE_ERRORS),
            read_errors: number(volume::READ_ERRORS),
            written_mb: number(volume::WRITTEN_MB),
            read_mb: number(volume::READ_MB),
        }
    }
}

/// What a drive has been through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DriveHistory {
    /// How often it loaded a cartridge.
    pub loads: Option<u64>,
    /// How often it was cleaned.
    pub cleanings: Option<u64>,
    /// Hours with power.
    pub power_on_hours: Option<u64>,
    /// Hours with the tape in motion.
    pub motion_hours: Option<u64>,
}

impl DriveHistory {
    /// From the parameters of page 14h.
    pub fn of(parameters: &[LogParameter]) -> Self {
        let number = |code| counter(parameters, code);
        Self {
            loads: number(device::LOADS),
            cleanings: number(device::CLEANINGS),
            power_on_hours: number(device::POWER_ON_HOURS),
            motion_hours: number(device::MOTION_HOURS),
        }
    }
}

/// One log parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogParameter {
    /// Parameter code.
    pub code: u16,
    /// Its value, at most 255 bytes.
    pub value: Vec<u8>,
}

/// Reads a log page into its parameters. A page cut by the allocation length gives those that are complete.
pub fn parse_page(page: u8, bytes: &[u8]) -> Result<Vec<LogParameter>, ParseError> {
    let fields = Fields::new("log page", bytes);
    if fields.u8(0)? & 0x3F != page {
        return Err(fields.invalid(0));
    }
    let end = bytes.len().min(4 + usize::from(fields.u16(2)?));
    let mut rest = bytes.get(4..end).unwrap_or_default();
    let mut parameters = Vec::new();
    while let [a, b, _, length, tail @ ..] = rest {
        let Some(value) = tail.get(..usize::from(*length)) else {
            break;
        };
        parameters.push(LogParameter { code: u16::from_be_bytes([*a, *b]), value: value.to_vec() });
        rest = &tail[value.len()..];
    }
    Ok(parameters)
}

/// A log page's bytes; the caller cuts it to the allocation length.
///
/// Panics when a value exceeds 255 bytes or the page 64 KiB.
pub fn encode_page(page: u8, parameters: &[LogParameter]) -> Vec<u8> {
    let mut body = Vec::new();
    for parameter in parameters {
        body.extend(parameter.code.to_be_bytes());
        // Binary list parameter (format and linking 11b).
        body.push(0x03);
        body.push(crate::wire::len8(parameter.value.len()));
        body.extend_from_slice(&parameter.value);
    }
    let [a, b] = len16(body.len()).to_be_bytes();
    let mut bytes = vec![page & 0x3F, 0, a, b];
    bytes.extend(body);
    bytes
}

/// The value of one partition in a volume statistics parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionRecord {
    /// Partition number.
    pub partition: u16,
    /// Capacities are in MiB; all ones means "not known".
    pub value: u32,
}

/// Reads a parameter that is a list of partition records.
pub fn parse_partition_records(value: &[u8]) -> Result<Vec<PartitionRecord>, ParseError> {
    let mut records = Vec::new();
    let mut rest = value;
    while !rest.is_empty() {
        let fields = Fields::new("partition record", rest);
        let length = 1 + usize::from(fields.u8(0)?);
        if length < 8 {
            return Err(fields.invalid(0));
        }
        fields.slice(0, length)?;
        records.push(PartitionRecord { partition: fields.u16(2)?, value: fields.u32(4)? });
        rest = &rest[length..];
    }
    Ok(records)
}

/// The bytes of a parameter that is a list of partition records.
pub fn encode_partition_records(records: &[PartitionRecord]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records {
        bytes.extend([7, 0]);
        bytes.extend(record.partition.to_be_bytes());
        bytes.extend(record.value.to_be_bytes());
    }
    bytes
}

/// How much fits a partition, natively (before compression) and about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Partition number.
    pub partition: u16,
    /// In all, in MiB.
    pub maximum_mib: u32,
    /// Still free, up to early warning, in MiB.
    pub remaining_mib: u32,
}

/// The capacities in a volume statistics page, by partition number; partitions without both figures are left out.
pub fn capacities(parameters: &[LogParameter]) -> Result<Vec<Capacity>, ParseError> {
    let records = |code: u16| -> Result<Vec<PartitionRecord>, ParseError> {
        match parameters.iter().find(|parameter| parameter.code == code) {
            Some(parameter) => parse_partition_records(&parameter.value),
            None => Ok(Vec::new()),
        }
    };
    let (maximum, remaining) = (records(volume::CAPACITY)?, records(volume::REMAINING)?);
    let known = |record: &&PartitionRecord| record.value != u32::MAX;
    let mut capacities = Vec::new();
    for record in maximum.iter().filter(known) {
        if let Some(free) = remaining.iter().filter(known).find(|free| free.partition == record.partition) {
            capacities.push(Capacity {
                partition: record.partition,
                maximum_mib: record.value,
                remaining_mib: free.value,
            });
        }
    }
    capacities.sort_by_key(|capacity| capacity.partition);
    Ok(capacities)
}

/// The capacities in a tape capacity page, which knows two partitions; those of size 0 are left out.
pub fn old_capacities(parameters: &[LogParameter]) -> Vec<Capacity> {
    let mib = |code| counter(parameters, code).and_then(|number| u32::try_from(number).ok());
    let partition = |partition: u16| {
        let at = usize::from(partition);
        let maximum_mib = mib(tape_capacity::MAXIMUM[at]).filter(|size| *size > 0)?;
        Some(Capacity { partition, maximum_mib, remaining_mib: mib(tape_capacity::REMAINING[at])? })
    };
    [0, 1].into_iter().filter_map(partition).collect()
}
