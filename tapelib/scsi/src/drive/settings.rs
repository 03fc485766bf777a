//! How the drive shall work: block lengths, compression, warnings, protection.

use super::knowledge::is_not_offered;
use super::{Drive, HEADER_ONLY};
use crate::error::Error;
use crate::limits::TIMEOUT_SMALL;
use crate::mode::{BlockDescriptor, BlockProtection, Compression, DeviceExtension, ModeData, page, subpage};
use crate::ssc::{BlockLimits, Command};

impl Drive {
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

    /// Switches the drive's compression, when it has one. Packs are compressed already, unless that is left to
    /// the drive.
    pub fn set_compression(&mut self, enabled: bool) -> Result<(), Error> {
        let page = self.session.mode_page(page::COMPRESSION, Compression::parse)?;
        if page.enabled == enabled || !page.capable {
            return Ok(());
        }
        let pages = Compression { enabled, ..page }.encode();
        self.session.mode_select(&ModeData { buffered: 1, pages, ..ModeData::default() })
    }

    /// The largest block that both the drive and the path to it carry, in bytes.
    pub fn block_bytes_max(&mut self) -> Result<u32, Error> {
        let drive = self.block_limits()?.maximum;
        Ok(self.session.transfer_max().map_or(drive, |path| path.min(drive)))
    }

    /// Has the drive warn so many megabytes (10^6) before its own early warning; 0 is never.
    pub fn set_early_warning(&mut self, megabytes: u16) -> Result<(), Error> {
        self.change_extension(|page| page.early_warning_mb = megabytes)
    }

    /// Has the drive refuse writes before the end of data, but for those that [`Drive::allow_overwrite`] names.
    pub fn set_append_only(&mut self, enabled: bool) -> Result<(), Error> {
        self.change_extension(|page| page.append_only = enabled)
    }

    /// Lets the next write be at this block although it lies before the end of data: a drive in append-only mode
    /// refuses it otherwise.
    pub fn allow_overwrite(&mut self, partition: u8, block: u64) -> Result<(), Error> {
        self.session.require_settled(Command::AllowOverwrite { partition, block })?;
        self.session.ask(Command::AllowOverwrite { partition, block }, &mut [], TIMEOUT_SMALL).map(drop)
    }

    /// Has every block travel with a CRC-32C that the drive checks before it writes, keeps on tape, and that is
    /// checked here after reading; or not. Lost by a new cartridge. False when the drive does not offer it (before LTO-7),
    /// and nothing is checked.
    pub fn set_block_protection(&mut self, enabled: bool) -> Result<bool, Error> {
        let (page, subpage) = (page::CONTROL, subpage::DATA_PROTECTION);
        let current = match self.session.mode_subpage(page, subpage, BlockProtection::parse) {
            Ok(current) => current,
            Err(error) if is_not_offered(&error) => {
                self.protected = None;
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let wanted = if enabled { BlockProtection::CRC32C } else { BlockProtection::OFF };
        if current != wanted {
            let pages = wanted.encode();
            self.session.mode_select(&ModeData { buffered: 1, pages, ..ModeData::default() })?;
        }
        self.protected = enabled.then(Vec::new);
        Ok(enabled)
    }

    fn change_extension(&mut self, change: impl FnOnce(&mut DeviceExtension)) -> Result<(), Error> {
        let (page, subpage) = (page::DEVICE_CONFIGURATION, subpage::EXTENSION);
        let current = self.session.mode_subpage(page, subpage, DeviceExtension::parse)?;
        let mut wanted = current.clone();
        change(&mut wanted);
        if wanted == current {
            return Ok(());
        }
        self.session.mode_select(&ModeData { buffered: 1, pages: wanted.encode(), ..ModeData::default() })
    }
}
