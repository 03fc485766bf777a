//! What the drive knows: the cartridge in it and its memory, statistics, alerts, densities, wraps.

use super::{Drive, HEADER_ONLY};
use crate::error::Error;
use crate::generation::{self, Generation};
use crate::limits::{PAGE_BYTES_MAX, TIMEOUT_SMALL, WRAPS_MAX};
use crate::log::{self, Alert, Capacity, DriveHistory, LogParameter, VolumeHistory};
use crate::mam::{self, Attribute, attribute};
use crate::spc::AttributeQuery;
use crate::ssc::{Buffered, Command, Density, EndOfWrap};
use crate::{Condition, Data, spc};

/// The cartridge in the drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Medium {
    /// Its generation, when the drive names one that is known.
    pub generation: Option<Generation>,
    /// What is written stays: blocks can only be added.
    pub write_once: bool,
    /// It cleans the drive and holds no data.
    pub cleaning: bool,
    /// It cannot be written: its switch is set, or the drive only reads its generation.
    pub write_protected: bool,
}

impl Drive {
    // === Cartridge ===

    /// What kind of cartridge is loaded, from mode data and, where the drive has it, from the cartridge's memory.
    pub fn medium(&mut self) -> Result<Medium, Error> {
        let mode = self.session.mode_sense(HEADER_ONLY, true)?;
        let density = mode.block.map_or(0, |block| block.density);
        let kind = match self.attribute(0, attribute::MEDIUM_TYPE) {
            Ok(kind) => kind.and_then(|kind| kind.value.first().copied()),
            // A drive without access to the memory: mode data alone tells.
            Err(Error::Check { sense, .. }) if sense.condition() == Condition::UnknownOperation => None,
            Err(error) => return Err(error),
        };
        Ok(Medium {
            generation: Generation::of_density(density),
            write_once: kind == Some(mam::WRITE_ONCE) || generation::is_worm_type(mode.medium_type),
            cleaning: kind == Some(mam::CLEANING),
            write_protected: mode.write_protected,
        })
    }

    /// One attribute of the cartridge's memory; `None` when it has no such attribute.
    pub fn attribute(&mut self, partition: u8, id: u16) -> Result<Option<Attribute>, Error> {
        Ok(self.attributes_from(partition, id)?.into_iter().find(|attribute| attribute.id == id))
    }

    /// All attributes of one partition, by id.
    pub fn attributes(&mut self, partition: u8) -> Result<Vec<Attribute>, Error> {
        self.attributes_from(partition, 0)
    }

    /// Writes attributes onto the cartridge's memory. An attribute without a value is deleted. Sent once, and not at
    /// all when the cartridge may be another one.
    pub fn write_attributes(&mut self, partition: u8, attributes: &[Attribute]) -> Result<(), Error> {
        let bytes = mam::encode_attributes(attributes);
        let length = u32::try_from(bytes.len()).expect("attributes are a few KiB");
        let command = spc::Command::WriteAttribute { write_through: true, partition, length };
        self.session.require_settled(command)?;
        self.session.perform(command, Data::Out(&bytes), TIMEOUT_SMALL).map(drop)
    }

    fn attributes_from(&mut self, partition: u8, first: u16) -> Result<Vec<Attribute>, Error> {
        let allocation = u32::from(PAGE_BYTES_MAX);
        let command =
            spc::Command::ReadAttribute { what: AttributeQuery::Values, partition, first, allocation };
        let mut buffer = vec![0; usize::from(PAGE_BYTES_MAX)];
        match self.session.ask(command, &mut buffer, TIMEOUT_SMALL) {
            Ok(length) => mam::parse_attributes(&buffer[..length]).map_err(self.session.reply(command)),
            // Drives say this when there is no attribute from `first` on.
            Err(Error::Check { sense, .. }) if sense.condition() == Condition::InvalidField => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    // === Logs ===

    /// How much fits and is free, by partition: native figures of the drive, and about. Drives whose volume statistics
    /// do not tell (LTO-5 and LTO-6) have a page of their own for it.
    pub fn capacities(&mut self) -> Result<Vec<Capacity>, Error> {
        let statistics = self.log_page(log::page::VOLUME_STATISTICS);
        let missing = match statistics {
            Ok(parameters) => {
                let capacities = log::capacities(&parameters)
                    .map_err(self.session.reply(log_sense(log::page::VOLUME_STATISTICS)))?;
                if !capacities.is_empty() {
                    return Ok(capacities);
                }
                Ok(capacities)
            }
            Err(error) if is_not_offered(&error) => Err(error),
            Err(error) => return Err(error),
        };
        match self.log_page(log::page::TAPE_CAPACITY) {
            Ok(parameters) => Ok(log::old_capacities(&parameters)),
            Err(error) if is_not_offered(&error) => missing,
            Err(error) => Err(error),
        }
    }

    /// What the drive wants somebody to know since it was asked last. Asking clears it: whoever asks must tell.
    pub fn alerts(&mut self) -> Result<Vec<Alert>, Error> {
        let command = log_sense(log::page::TAPE_ALERT);
        let mut buffer = vec![0; usize::from(PAGE_BYTES_MAX)];
        let length = self.session.ask(command, &mut buffer, TIMEOUT_SMALL)?;
        log::parse_alerts(&buffer[..length]).map_err(self.session.reply(command))
    }

    /// What the volume that is loaded has been through.
    pub fn volume_history(&mut self) -> Result<VolumeHistory, Error> {
        self.log_page(log::page::VOLUME_STATISTICS).map(|parameters| VolumeHistory::of(&parameters))
    }

    /// What the drive has been through.
    pub fn drive_history(&mut self) -> Result<DriveHistory, Error> {
        self.log_page(log::page::DEVICE_STATISTICS).map(|parameters| DriveHistory::of(&parameters))
    }

    fn log_page(&mut self, page: u8) -> Result<Vec<LogParameter>, Error> {
        let command = log_sense(page);
        let mut buffer = vec![0; usize::from(PAGE_BYTES_MAX)];
        let length = self.session.ask(command, &mut buffer, TIMEOUT_SMALL)?;
        log::parse_page(page, &buffer[..length]).map_err(self.session.reply(command))
    }

    // === Tape ===

    /// Which densities the drive knows, or the one of the cartridge that is loaded.
    pub fn densities(&mut self, of_medium: bool) -> Result<Vec<Density>, Error> {
        let command = Command::ReportDensities { medium: of_medium, allocation: PAGE_BYTES_MAX };
        let mut buffer = vec![0; usize::from(PAGE_BYTES_MAX)];
        let length = self.session.ask(command, &mut buffer, TIMEOUT_SMALL)?;
        Density::parse_all(&buffer[..length]).map_err(self.session.reply(command))
    }

    /// Where every wrap that has been written ends; `None` when the drive does not tell (before LTO-7). With it, the
    /// place of a block along the tape can be computed.
    pub fn wraps(&mut self) -> Result<Option<Vec<EndOfWrap>>, Error> {
        let allocation = 4 + 12 * WRAPS_MAX;
        let command = Command::ReadEndOfWraps { allocation };
        let mut buffer = vec![0; usize::try_from(allocation).expect("some KiB")];
        match self.session.ask(command, &mut buffer, TIMEOUT_SMALL) {
            Ok(length) => {
                EndOfWrap::parse_all(&buffer[..length]).map(Some).map_err(self.session.reply(command))
            }
            Err(error) if is_not_offered(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How much of what was written is not on tape yet; also after a write that failed, to learn which block was the
    /// first that is missing. `None` when the drive does not know. Does not settle anything: [`Drive::position`] does.
    pub fn buffered(&mut self) -> Result<Option<Buffered>, Error> {
        let command = Command::ReadPositionExtended;
        let mut buffer = [0; Buffered::LENGTH];
        let length = self.session.ask(command, &mut buffer, TIMEOUT_SMALL)?;
        Buffered::parse(&buffer[..length]).map_err(self.session.reply(command))
    }
}

fn log_sense(page: u8) -> spc::Command {
    spc::Command::LogSense { page, subpage: 0, parameter: 0, allocation: PAGE_BYTES_MAX }
}

/// The drive does not have what was asked for.
pub(super) fn is_not_offered(error: &Error) -> bool {
    let Error::Check { sense, .. } = error else { return matches!(error, Error::Missing { .. }) };
    matches!(
        sense.condition(),
        Condition::UnknownOperation | Condition::InvalidField | Condition::InvalidParameter
    )
}
