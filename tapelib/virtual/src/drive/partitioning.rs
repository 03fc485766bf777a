//! Mode page 11h, medium partition (SSC-5, 8.5.5), and FORMAT MEDIUM (SSC-5, 7.1), which acts on it.

use super::{Bay, Drive, Medium};
use crate::reply::{Outcome, be16};
use crate::sense::{INVALID_FIELD_IN_PARAMETER_LIST, NOT_AT_BEGINNING, Sense, WORM_OVERWRITE};
use scsi::ssc::Format;

/// How the host wants the next FORMAT MEDIUM to divide the tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PartitionPage {
    /// One partition.
    Single,
    /// Two, with a size for partition 0 of the drive's choice (FDP or SDP).
    DriveChoice,
    /// Two, with sizes in bytes (IDP); `None` is all that is left.
    Sizes([Option<u64>; 2]),
}

impl PartitionPage {
    /// Parses the page's body, without its header of two bytes.
    pub fn parse(body: &[u8]) -> Result<Self, Sense> {
        if body.len() < 6 || body[1] > 1 {
            return Err(INVALID_FIELD_IN_PARAMETER_LIST);
        }
        let (additional, flags) = (body[1], body[2]);
        match (additional, flags & (FDP | SDP | IDP)) {
            (0, _) => Ok(Self::Single),
            (_, FDP | SDP) => Ok(Self::DriveChoice),
            (_, IDP) if body.len() >= 10 => {
                let unit = unit_bytes(flags, body[4] & 0x0F)?;
                let size = |at| match be16(body, at) {
                    REST => None,
                    units => Some(u64::from(units) * unit),
                };
                Ok(Self::Sizes([size(6), size(8)]))
            }
            _ => Err(INVALID_FIELD_IN_PARAMETER_LIST),
        }
    }

    /// Sizes of the partitions of a cartridge of `capacity` bytes.
    fn divide(self, capacity: u64, index_partition_bytes: u64) -> Result<Vec<u64>, Sense> {
        let sizes = match self {
            Self::Single => return Ok(vec![capacity]),
            Self::DriveChoice => [Some(index_partition_bytes.min(capacity / 2)), None],
            Self::Sizes(sizes) => sizes,
        };
        let sizes = match sizes {
            [Some(first), Some(second)] => [first, second],
            [Some(first), None] => [first, capacity.saturating_sub(first)],
            [None, Some(second)] => [capacity.saturating_sub(second), second],
            [None, None] => return Err(INVALID_FIELD_IN_PARAMETER_LIST),
        };
        let fits = sizes[0].checked_add(sizes[1]).is_some_and(|sum| sum <= capacity);
        if fits && sizes.iter().all(|&size| size > 0) {
            Ok(sizes.to_vec())
        } else {
            Err(INVALID_FIELD_IN_PARAMETER_LIST)
        }
    }
}

/// The page as MODE SENSE shows it: the partitions there are, with sizes in megabytes or, when those do not fit,
/// gigabytes (decimal).
pub(super) fn page(partition_bytes: &[u64]) -> Vec<u8> {
    let exponent =
        if partition_bytes.iter().all(|bytes| bytes / 1_000_000 < u64::from(REST)) { 6 } else { 9 };
    let unit = 10u64.pow(u32::from(exponent));
    let additional = u8::from(partition_bytes.len() == 2);
    let mut page = vec![PAGE, 10, 1, additional, IDP | PSUM_EXPONENT | POFM, 0x03, exponent, 0];
    for at in 0..2 {
        let units = partition_bytes.get(at).map_or(0, |bytes| bytes.div_ceil(unit));
        page.extend(u16::try_from(units).unwrap_or(u16::MAX).to_be_bytes());
    }
    page
}

impl Drive {
    /// Only at the beginning of partition 0. Everything on the tape is lost.
    pub(super) fn format_medium(&mut self, format: Format) -> Outcome {
        let wanted = self.partition_page;
        let medium = self.medium()?;
        if medium.partition != 0 || !medium.at_beginning() {
            return Err(NOT_AT_BEGINNING.into());
        }
        if medium.cartridge.memory().write_once {
            return Err(WORM_OVERWRITE.into());
        }
        let page = if format == Format::Default {
            PartitionPage::Single
        } else {
            wanted.unwrap_or(medium.present())
        };
        medium.format(page)
    }

    pub(super) fn partition_bytes(&self) -> &[u64] {
        match &self.bay {
            Bay::Loaded(medium) => &medium.cartridge.memory().partition_bytes,
            _ => &[],
        }
    }
}

impl Medium {
    /// The division there is.
    fn present(&self) -> PartitionPage {
        match self.cartridge.memory().partition_bytes[..] {
            [first, second] => PartitionPage::Sizes([Some(first), Some(second)]),
            _ => PartitionPage::Single,
        }
    }

    fn format(&mut self, page: PartitionPage) -> Outcome {
        let memory = self.cartridge.memory();
        let sizes = page.divide(memory.cartridge_bytes, memory.index_partition_bytes)?;
        self.reference_due = true;
        self.begin_change()?;
        self.cartridge.format(sizes)?;
        Ok(0)
    }
}

fn unit_bytes(flags: u8, exponent: u8) -> Result<u64, Sense> {
    match flags & 0x18 {
        0x00 => Ok(1),
        0x08 => Ok(1_000),
        0x10 => Ok(1_000_000),
        _ if exponent <= 12 => Ok(10u64.pow(u32::from(exponent))),
        _ => Err(INVALID_FIELD_IN_PARAMETER_LIST),
    }
}

const PAGE: u8 = scsi::mode::page::MEDIUM_PARTITION;
const FDP: u8 = 0x80;
const SDP: u8 = 0x40;
const IDP: u8 = 0x20;
const PSUM_EXPONENT: u8 = 0x18;
const POFM: u8 = 0x04;
const REST: u16 = 0xFFFF;
