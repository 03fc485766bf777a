//! The tape drive driver (SSC-5): cartridge and settings here, the stream of blocks in [`stream`].

mod knowledge;
mod motion;
mod protection;
mod settings;
mod stream;

use std::fmt;
use std::time::Duration;

pub use knowledge::Medium;
pub use motion::SpaceOutcome;
pub use stream::{ReadOutcome, WriteOutcome};

use crate::error::{Error, Unit};
use crate::generation::Generation;
use crate::limits::{PARTITIONS_MAX, TIMEOUT_REWIND, TIMEOUT_SMALL, Timeouts};
use crate::mode::{MediumPartition, ModeData};
use crate::reservation::Holder;
use crate::session::{Identity, Patience, Session, Waiting};
use crate::ssc::{Command, Format};
use crate::{Data, Transport, mode, spc};

/// A tape drive.
///
/// Every call blocks until the drive has answered; some take up to an hour.
///
/// A drive buffers: GOOD for a block means "in the buffer" until `sync`, `write_filemarks` (not immediate), `rewind`,
/// `locate` or `unload` has succeeded. After any error while writing, `position` tells where the tape stands.
pub struct Drive {
    session: Session,
    /// By the drive's generation, once it has been identified.
    timeouts: Timeouts,
    /// Variable blocks were asked for, and are asked for again after a reset.
    variable: bool,
    /// Blocks travel with a checksum behind them, through this buffer.
    protected: Option<Vec<u8>>,
    /// Something happened, and these two have not been made again: nothing is written before they are.
    settings_due: bool,
    /// Whether the drive has SPACE(16) and LOCATE(16), once it was asked for them; else the older commands do.
    knows_space: Option<bool>,
    knows_locate: Option<bool>,
}

impl Drive {
    /// A driver that owns the path to the unit. Sends nothing.
    pub fn new(transport: Box<dyn Transport>) -> Self {
        Self {
            session: Session::new(transport, Unit::Drive),
            timeouts: Timeouts::LONGEST,
            variable: false,
            protected: None,
            settings_due: false,
            knows_space: None,
            knows_locate: None,
        }
    }

    /// The same, waiting with `wait` for at most `limit` whenever the drive is busy, or becoming ready after a reset: a
    /// command is then sent again, because it was not begun.
    pub fn patient(mut self, limit: Duration, wait: impl Fn(Duration) + Send + 'static) -> Self {
        self.session.patience = Some(Patience { limit, wait: Box::new(wait) });
        self
    }

    /// Who answers; fails when it is not a tape drive.
    pub fn identify(&mut self) -> Result<Identity, Error> {
        let identity = self.session.identify()?;
        let generation = Generation::of_product(&identity.inquiry.product);
        self.timeouts = generation.map_or(Timeouts::LONGEST, Timeouts::of);
        Ok(identity)
    }

    /// Waits until the cleaning cartridge that was put in is done, for at most `limit` of waiting, which `wait` does.
    /// Afterwards it can be taken out; [`Drive::alerts`] tell whether it is used up.
    pub fn wait_cleaned(&mut self, limit: Duration, wait: &dyn Fn(&Waiting)) -> Result<(), Error> {
        let let_go = |error: &Error| {
            let condition = error.sense().map(|sense| sense.condition());
            matches!(condition, Some(crate::Condition::NeedsLoad | crate::Condition::NoMedium))
        };
        match self.session.wait_ready(limit, wait) {
            Err(error) if let_go(&error) => {
                self.session.was_cleaned();
                Ok(())
            }
            // It took the cartridge for one with data.
            Ok(()) => Err(self.session.missing(spc::Command::TestUnitReady, "a cleaning cartridge")),
            Err(error) => Err(error),
        }
    }

    /// The drive has asked to be cleaned since this driver was made, or cleaned last.
    pub fn cleaning_wanted(&self) -> bool {
        self.session.cleaning_wanted()
    }

    // === Cartridge ===

    /// Asks once a second until a cartridge is ready, for at most `limit` of waiting, which `wait` does.
    ///
    /// This begins a mount: what happened to the drive before is taken as known, and settings have to be made again
    /// (`set_variable_blocks`). An empty drive is [`crate::Condition::NoMedium`]; with a limit, it is given a few seconds.
    pub fn wait_ready(&mut self, limit: Duration, wait: &dyn Fn(&Waiting)) -> Result<(), Error> {
        self.variable = false;
        self.protected = None;
        self.settings_due = false;
        self.session.wait_ready(limit, wait)?;
        self.session.settle();
        self.session.doubt = false;
        self.session.unsynced = 0;
        Ok(())
    }

    /// Loads the cartridge that is in the drive and waits as [`Drive::wait_ready`] does. A new LTO-9 cartridge takes
    /// up to two hours.
    pub fn load(&mut self, limit: Duration, wait: &dyn Fn(&Waiting)) -> Result<(), Error> {
        self.session.ask(Command::LoadUnload { immediate: true, load: true }, &mut [], self.timeouts.load)?;
        self.wait_ready(limit, wait)
    }

    /// Writes what is buffered, rewinds, and makes the cartridge ready to be taken. An error may be that of an
    /// earlier write.
    pub fn unload(&mut self) -> Result<(), Error> {
        self.motion(Command::LoadUnload { immediate: false, load: false }, self.timeouts.load)?;
        self.variable = false;
        self.protected = None;
        self.session.unsynced = 0;
        Ok(())
    }

    /// Writes what is buffered and goes to block 0 of the current partition.
    pub fn rewind(&mut self) -> Result<(), Error> {
        self.motion(Command::Rewind { immediate: false }, TIMEOUT_REWIND)?;
        self.session.doubt = false;
        self.session.unsynced = 0;
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

    // === Reservation ===

    /// Makes the drive this host's alone, under a [`crate::reservation::key`], and takes it from an earlier epoch of the
    /// same owner: from then on commands of others end with a reservation conflict, those still queued for a killed
    /// process too. Returns the key it was taken from. A later epoch, or another owner, keeps the drive:
    /// [`Error::Reserved`]. Drives without persistent reservations refuse with
    /// [`crate::Condition::UnknownOperation`].
    pub fn reserve(&mut self, key: u64) -> Result<Option<u64>, Error> {
        self.session.reserve(key)
    }

    /// Gives the drive back.
    pub fn release(&mut self, key: u64) -> Result<(), Error> {
        self.session.release(key)
    }

    /// Who holds the drive.
    pub fn reservation(&mut self) -> Result<Option<Holder>, Error> {
        self.session.reservation()
    }

    // === Partitions ===

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
        let page = self.partition_page()?.ok_or(Error::Partitions { wanted, possible: 1 })?;
        let possible = 1 + usize::from(page.additional_max);
        if wanted > possible {
            return Err(Error::Partitions { wanted, possible });
        }
        // The drive's own fields go back as they came.
        let pages = MediumPartition { unit_exponent, sizes: sizes.to_vec(), ..page }.encode();
        self.session.mode_select(&ModeData { buffered: 1, pages, ..ModeData::default() })?;
        self.format(Format::Partition)
    }

    /// How many partitions the drive makes on the cartridge at most.
    pub fn partitions_max(&mut self) -> Result<usize, Error> {
        Ok(self.partition_page()?.map_or(1, |page| 1 + usize::from(page.additional_max)))
    }

    /// `None` when the drive knows one partition only.
    fn partition_page(&mut self) -> Result<Option<MediumPartition>, Error> {
        match self.session.mode_page(mode::page::MEDIUM_PARTITION, MediumPartition::parse) {
            Err(error) if knowledge::is_not_offered(&error) => Ok(None),
            page => page.map(Some),
        }
    }

    fn format(&mut self, format: Format) -> Result<(), Error> {
        self.motion(Command::FormatMedium { immediate: false, format }, self.timeouts.format)
    }

    /// A command that goes to a known place: an attention is told once, then the command may be sent again.
    fn motion(&mut self, command: Command, timeout: Duration) -> Result<(), Error> {
        self.session.require_told(command)?;
        self.session.perform(command, Data::None, timeout).map(drop)
    }
}

impl fmt::Debug for Drive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drive").field("variable", &self.variable).finish_non_exhaustive()
    }
}

/// Page 00h: every tape drive answers it with its header and block descriptor.
const HEADER_ONLY: u8 = 0x00;
