//! The tape drive driver (SSC-5): cartridge and settings here, the stream of blocks in [`stream`].

mod stream;

use std::fmt;
use std::time::Duration;

pub use stream::{ReadOutcome, SpaceOutcome, WriteOutcome};

use crate::error::{Error, Unit};
use crate::limits::{
    PAGE_BYTES_MAX, PARTITIONS_MAX, TIMEOUT_FORMAT, TIMEOUT_LOAD, TIMEOUT_REWIND, TIMEOUT_SMALL,
};
use crate::log::Capacity;
use crate::mam::Attribute;
use crate::mode::{BlockDescriptor, Compression, MediumPartition, ModeData};
use crate::session::{Identity, Session};
use crate::spc::AttributeQuery;
use crate::ssc::{BlockLimits, Command, Format};
use crate::{Condition, Data, Transport, log, mam, mode, spc};

/// A tape drive.
///
/// Every call blocks until the drive has answered; some take up to an hour.
///
/// A drive buffers: GOOD for a block means "in the buffer" until `sync`, `write_filemarks` (not immediate), `rewind`,
/// `locate` or `unload` has succeeded. After any error while writing, `position` tells where the tape stands.
pub struct Drive {
    session: Session,
    /// Variable blocks were asked for, and are asked for again after a reset.
    variable: bool,
}

impl Drive {
    /// A driver that owns the path to the unit. Sends nothing.
    pub fn new(transport: Box<dyn Transport>) -> Self {
        Self { session: Session::new(transport, Unit::Drive), variable: false }
    }

    /// Who answers; fails when it is not a tape drive.
    pub fn identify(&mut self) -> Result<Identity, Error> {
        self.session.identify()
    }

    /// The drive has asked to be cleaned since this driver was made.
    pub fn cleaning_wanted(&self) -> bool {
        self.session.cleaning_wanted()
    }

    // === Cartridge ===

    /// Asks once a second until a cartridge is ready, for at most `limit` of waiting, which `wait` does.
    ///
    /// This begins a mount: what happened to the drive before is taken as known, and settings have to be made again
    /// (`set_variable_blocks`). An empty drive is [`Condition::NoMedium`]; with a limit, it is given a few seconds.
    pub fn wait_ready(&mut self, limit: Duration, wait: &dyn Fn(Duration)) -> Result<(), Error> {
        self.variable = false;
        self.session.wait_ready(limit, wait)?;
        self.session.settle();
        self.session.doubt = false;
        Ok(())
    }

    /// Loads the cartridge that is in the drive and waits as [`Drive::wait_ready`] does. A new LTO-9 cartridge takes
    /// up to two hours.
    pub fn load(&mut self, limit: Duration, wait: &dyn Fn(Duration)) -> Result<(), Error> {
        self.session.ask(Command::LoadUnload { immediate: true, load: true }, &mut [], TIMEOUT_LOAD)?;
        self.wait_ready(limit, wait)
    }

    /// Writes what is buffered, rewinds, and makes the cartridge ready to be taken. An error may be that of an
    /// earlier write.
    pub fn unload(&mut self) -> Result<(), Error> {
        self.motion(Command::LoadUnload { immediate: false, load: false }, TIMEOUT_LOAD)?;
        self.variable = false;
        Ok(())
    }

    /// Writes what is buffered and goes to block 0 of the current partition.
    pub fn rewind(&mut self) -> Result<(), Error> {
        self.motion(Command::Rewind { immediate: false }, TIMEOUT_REWIND)?;
        self.session.doubt = false;
        Ok(())
    }

    /// Keeps the cartridge in the drive, or lets it go.
    pub fn prevent_removal(&mut self, prevent: bool) -> Result<(), Error> {
        self.session.ask(spc::Command::PreventAllow { prevent }, &mut [], TIMEOUT_SMALL).map(drop)
    }

    /// The cartridge cannot be written: its switch is set, or the drive only reads its generation.
    pub fn write_protected(&mut self) -> Result<bool, Error> {
        Ok(self.session.mode_sense(HEADER_ONLY, true)?.write_protected)
    }

    // === Settings ===

    /// How large a block may be.
    pub fn block_limits(&mut self) -> Result<BlockLimits, Error> {
        let mut buffer = [0; BlockLimits::LENGTH];
        let length = self.session.ask(Command::ReadBlockLimits, &mut buffer, TIMEOUT_SMALL)?;
        BlockLimits::parse(&buffer[..length]).map_err(self.session.reply(Command::ReadBlockLimits))
    }

    /// One command, one block, of the command's length; and buffered writing. Lost by a reset or a new cartridge.
    pub fn set_variable_blocks(&mut self) -> Result<(), Error> {
        let current = self.session.mode_sense(HEADER_ONLY, true)?;
        let block = current.block.unwrap_or(BlockDescriptor { density: 0, blocks: 0, block_length: 0 });
        if block.block_length != 0 || current.buffered == 0 {
            let density = block.density;
            self.session.mode_select(&ModeData {
                buffered: 1,
                block: Some(BlockDescriptor { density, blocks: 0, block_length: 0 }),
                ..ModeData::default()
            })?;
        }
        self.variable = true;
        Ok(())
    }

    /// Switches the drive's compression, when it has one. Packs are compressed already.
    pub fn set_compression(&mut self, enabled: bool) -> Result<(), Error> {
        let page = self.session.mode_page(mode::page::COMPRESSION, Compression::parse)?;
        if page.enabled == enabled || !page.capable {
            return Ok(());
        }
        let pages = Compression { enabled, ..page }.encode();
        self.session.mode_select(&ModeData { buffered: 1, pages, ..ModeData::default() })
    }

    /// Makes new partitions. **All data on the cartridge is gone.** The tape stands at the beginning afterwards.
    ///
    /// `sizes` holds one to four sizes in units of ten to the `unit_exponent` bytes (LTO drives want 9);
    /// [`MediumPartition::REST`] takes what is left. The drive rounds each size up to what it can make.
    pub fn partition(&mut self, unit_exponent: u8, sizes: &[u16]) -> Result<(), Error> {
        let wanted = sizes.len();
        if !(1..=PARTITIONS_MAX).contains(&wanted) {
            return Err(Error::Partitions { wanted, possible: PARTITIONS_MAX });
        }
        // Only possible from here; also the check that the position is known.
        self.locate(0, 0)?;
        if wanted == 1 {
            return self.format(Format::Default);
        }
        let page = self.session.mode_page(mode::page::MEDIUM_PARTITION, MediumPartition::parse)?;
        let possible = 1 + usize::from(page.additional_max);
        if wanted > possible {
            return Err(Error::Partitions { wanted, possible });
        }
        // The drive's own fields go back as they came.
        let pages = MediumPartition { unit_exponent, sizes: sizes.to_vec(), ..page }.encode();
        self.session.mode_select(&ModeData { buffered: 1, pages, ..ModeData::default() })?;
        self.format(Format::Partition)
    }

    fn format(&mut self, format: Format) -> Result<(), Error> {
        self.motion(Command::FormatMedium { immediate: false, format }, TIMEOUT_FORMAT)
    }

    /// A command that goes to a known place: an attention is told once, then the command may be sent again.
    fn motion(&mut self, command: Command, timeout: Duration) -> Result<(), Error> {
        self.session.require_told(command)?;
        self.session.perform(command, Data::None, timeout).map(drop)
    }

    // === Memory of the cartridge, statistics ===

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

    /// How much fits and is free, by partition: native figures of the drive, and about.
    pub fn capacities(&mut self) -> Result<Vec<Capacity>, Error> {
        let page = log::page::VOLUME_STATISTICS;
        let command = spc::Command::LogSense { page, subpage: 0, parameter: 0, allocation: PAGE_BYTES_MAX };
        let mut buffer = vec![0; usize::from(PAGE_BYTES_MAX)];
        let length = self.session.ask(command, &mut buffer, TIMEOUT_SMALL)?;
        log::parse_page(page, &buffer[..length])
            .and_then(|parameters| log::capacities(&parameters))
            .map_err(self.session.reply(command))
    }
}

impl fmt::Debug for Drive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drive").field("variable", &self.variable).finish_non_exhaustive()
    }
}

/// Page 00h: every tape drive answers it with its header and block descriptor.
const HEADER_ONLY: u8 = 0x00;
