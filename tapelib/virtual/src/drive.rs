//! One tape drive (SSC-5): what is in its bay, where it stands, and which command goes where.

mod attributes;
mod blocks;
mod motion;
mod pace;
mod pages;
mod partitioning;
mod tape;

use crate::Error;
use crate::attention::Attentions;
use crate::cartridge::{Cartridge, Home};
use crate::faults::Faults;
use crate::inquiry::Identity;
use crate::mode::Wanted;
use crate::reply::{Check, Outcome, completion, conflict, deliver, encode};
use crate::reservation::{Conflict, Nexus, Reservations};
use crate::sense::{
    BECOMING_READY, CLEANING, INCOMPATIBLE_MEDIUM, INVALID_OPERATION_CODE, LOAD_FAILED,
    MEDIUM_FORMAT_CORRUPTED, MEDIUM_MAY_HAVE_CHANGED, MEDIUM_NOT_PRESENT, NEEDS_LOAD, NO_SENSE,
    REMOVAL_PREVENTED, Sense, WRITE_PROTECTED,
};
use crate::timing::{Place, Timing};
use pace::Pace;
use partitioning::PartitionPage;
use scsi::generation::Use;
use scsi::mode::{BlockProtection, DeviceExtension};
use scsi::spc::Command as Spc;
use scsi::ssc::Command as Ssc;
use scsi::{Cdb, Command, Completion, Data, Generation, Status, opcode};
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Drive {
    index: usize,
    identity: Identity,
    bay: Bay,
    attentions: Attentions,
    /// TEST UNIT READY commands that still find the drive becoming ready.
    polls_to_ready: u32,
    /// Mode page 11h as the host last set it; FORMAT MEDIUM acts on it.
    partition_page: Option<PartitionPage>,
    /// Buffered mode 1h: a WRITE ends when the block is in the buffer (here: the page cache).
    buffered: bool,
    /// Sense data in descriptor format.
    descriptor_sense: bool,
    protection: BlockProtection,
    extension: DeviceExtension,
    /// Where ALLOW OVERWRITE lets the next write be.
    overwrite: Option<(u8, u64)>,
    /// The host keeps the cartridge in.
    prevented: bool,
    reservations: Reservations,
    /// Cartridges loaded since the drive was made.
    loads: u64,
    faults: Faults,
    pace: Pace,
}

/// What a reset brings back.
struct PowerOn {
    descriptor_sense: bool,
    protection: BlockProtection,
    extension: DeviceExtension,
    buffered: bool,
}

impl Default for PowerOn {
    fn default() -> Self {
        let extension = DeviceExtension::new(false, 0);
        Self { descriptor_sense: false, protection: BlockProtection::OFF, extension, buffered: true }
    }
}

#[derive(Debug)]
enum Bay {
    Empty,
    /// A cartridge is in, its tape is not threaded: the robot can take it.
    Seated(Home),
    /// A cartridge is in and could not be loaded.
    Failed(Home, Sense),
    /// A cleaning cartridge is in, for so many TEST UNIT READY commands more; then it is let go.
    Cleaning(Home, u32),
    Loaded(Medium),
}

/// A loaded cartridge and the place the drive stands at.
#[derive(Debug)]
struct Medium {
    cartridge: Cartridge,
    partition: usize,
    /// Logical object number the next command starts at.
    record: u64,
    /// The next change of the tape's contents must change the volume change reference first.
    reference_due: bool,
}

impl Drive {
    pub fn new(index: usize, serial: String, faults: Faults, timing: Timing) -> Self {
        Self {
            index,
            identity: Identity::drive(serial),
            bay: Bay::Empty,
            attentions: Attentions::power_on(),
            polls_to_ready: 0,
            partition_page: None,
            buffered: true,
            descriptor_sense: false,
            protection: BlockProtection::OFF,
            extension: DeviceExtension::new(false, 0),
            overwrite: None,
            prevented: false,
            reservations: Reservations::default(),
            loads: 0,
            faults,
            pace: Pace::new(timing),
        }
    }

    fn set(&mut self, settings: PowerOn) {
        self.descriptor_sense = settings.descriptor_sense;
        self.protection = settings.protection;
        self.extension = settings.extension;
        self.buffered = settings.buffered;
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// May the robot take the cartridge, or put one in?
    pub fn is_accessible(&self) -> bool {
        matches!(self.bay, Bay::Empty | Bay::Seated(_)) && !self.prevented
    }

    /// The robot, or a hand, puts a cartridge in at a time; the drive loads it by itself.
    pub fn insert(&mut self, home: Home, now: Duration) {
        self.bay = Bay::Seated(home);
        self.pace.at_least(now);
        self.load();
    }

    /// Takes over a cartridge that was loaded outside the drive.
    pub fn accept(&mut self, cartridge: Cartridge) {
        self.bay = Bay::Loaded(Medium::new(cartridge));
        self.attentions.raise(MEDIUM_MAY_HAVE_CHANGED);
    }

    /// The robot takes out what is seated.
    pub fn take_out(&mut self) {
        assert!(self.is_accessible(), "drive {} gave up a loaded cartridge", self.index);
        self.bay = Bay::Empty;
        self.attentions.withdraw(MEDIUM_MAY_HAVE_CHANGED);
    }

    /// The power fails and comes back: buffers are lost, the cartridge loads again.
    pub fn cut_power(&mut self) -> std::io::Result<()> {
        let home = match std::mem::replace(&mut self.bay, Bay::Empty) {
            Bay::Empty => None,
            Bay::Seated(home) | Bay::Failed(home, _) | Bay::Cleaning(home, _) => Some(home),
            Bay::Loaded(medium) => {
                medium.cartridge.cut_power()?;
                Some(medium.cartridge.home().clone())
            }
        };
        self.attentions = Attentions::power_on();
        self.partition_page = None;
        self.set(PowerOn::default());
        (self.overwrite, self.prevented) = (None, false);
        self.reservations = Reservations::default();
        if let Some(home) = home {
            self.insert(home, Duration::ZERO);
        }
        Ok(())
    }

    /// Carries out a command and tells when the drive is done with it.
    pub fn execute_timed(&mut self, nexus: Nexus, cdb: &Cdb, data: Data<'_>) -> (Completion, Duration) {
        if !self.pace.takes_time() {
            return (self.execute(nexus, cdb, data), Duration::ZERO);
        }
        self.pace.begin(cdb.opcode());
        let from = self.place();
        let completion = self.execute(nexus, cdb, data);
        let to = self.place();
        if let Ok(Command::Ssc(command)) = Command::decode(cdb)
            && completion.status != Status::ReservationConflict
        {
            self.pace.spend(&command, from, to, completion.transferred);
        }
        (completion, self.pace.free_at())
    }

    /// When the drive is done with what it was asked last.
    pub fn free_at(&self) -> Duration {
        self.pace.free_at()
    }

    /// Where on the tape the drive stands.
    fn place(&mut self) -> Option<Place> {
        match &mut self.bay {
            Bay::Loaded(medium) => Some(medium.place()),
            _ => None,
        }
    }

    fn execute(&mut self, nexus: Nexus, cdb: &Cdb, mut data: Data<'_>) -> Completion {
        // INQUIRY and REQUEST SENSE answer whatever happened.
        if !matches!(cdb.opcode(), opcode::INQUIRY | opcode::REQUEST_SENSE)
            && let Some(news) = self.reservations.news(nexus)
        {
            return self.check(news, 0);
        }
        if let Err(sense) = self.attentions.admit(cdb.opcode()) {
            return self.check(sense, 0);
        }
        let command = match Command::decode(cdb) {
            Ok(command) => command,
            Err(error) => return self.check(error.sense(), 0),
        };
        if self.reservations.keeps_out(nexus, &command) {
            return conflict();
        }
        let outcome = match command {
            Command::Spc(Spc::ReserveOut { action, kind, length }) => {
                match self.reservations.reserve_out(nexus, action, kind, length, &data) {
                    Ok(outcome) => outcome,
                    Err(Conflict) => return conflict(),
                }
            }
            Command::Spc(command) => self.primary(command, &mut data),
            Command::Ssc(command) => self.stream(command, &mut data),
            Command::Smc(_) => Err(INVALID_OPERATION_CODE.into()),
        };
        completion(outcome, self.descriptor_sense)
    }

    /// CHECK CONDITION with this sense, in the format the host has chosen.
    pub fn check(&self, sense: Sense, transferred: usize) -> Completion {
        completion(Err(Check { sense, transferred }), self.descriptor_sense)
    }

    fn primary(&mut self, command: Spc, data: &mut Data<'_>) -> Outcome {
        match command {
            Spc::TestUnitReady => self.test_unit_ready(),
            Spc::RequestSense { descriptor, allocation } => {
                let sense = self.attentions.take().unwrap_or_else(|| self.medium().err().unwrap_or(NO_SENSE));
                deliver(data, usize::from(allocation), &encode(&sense, descriptor))
            }
            Spc::Inquiry { page, allocation } => self.identity.inquiry(page, allocation, data),
            Spc::ModeSense { form, no_block_descriptor, values, page, subpage, allocation } => {
                let wanted = Wanted { form, no_block_descriptor, values, page, subpage, allocation };
                self.mode_sense(&wanted, data)
            }
            Spc::ModeSelect { form, length } => self.mode_select(form, length, data),
            Spc::LogSense { page, subpage, parameter, allocation } => {
                self.log_sense((page, subpage), (parameter, allocation), data)
            }
            Spc::ReadAttribute { what, partition, first, allocation } => {
                self.medium()?.read_attribute(what, partition, (first, allocation), data)
            }
            Spc::WriteAttribute { partition, length, .. } => {
                self.medium()?.write_attribute(partition, length, data)
            }
            Spc::PreventAllow { prevent } => {
                self.prevented = prevent;
                Ok(0)
            }
            Spc::ReserveIn { what, allocation } => self.reservations.reserve_in(what, allocation, data),
            Spc::ReserveOut { .. } => unreachable!("answered before"),
        }
    }

    fn stream(&mut self, command: Ssc, data: &mut Data<'_>) -> Outcome {
        let zone = u64::from(self.extension.early_warning_mb) * 1_000_000;
        match command {
            Ssc::ReadBlockLimits => blocks::read_block_limits(data),
            Ssc::LoadUnload { load: true, .. } => self.load_command(),
            Ssc::LoadUnload { load: false, .. } => self.unload(),
            Ssc::Rewind { .. } => self.medium()?.rewind(),
            Ssc::FormatMedium { format, .. } => self.format_medium(format),
            Ssc::Read { suppress_length, length } => self.read(suppress_length, as_usize(length), data),
            Ssc::Write { length } => self.write(as_usize(length), data),
            Ssc::WriteFilemarks { immediate, count } => self.write_filemarks(immediate, as_usize(count)),
            Ssc::Space { over, count } => self.medium()?.space(over, count),
            Ssc::SpaceShort { over, count } => self.medium()?.space(over, i64::from(count)),
            Ssc::Locate { partition, block } => self.medium()?.locate(partition, block),
            Ssc::ReadPosition => self.medium()?.read_position(zone, data),
            Ssc::ReadPositionExtended => self.medium()?.read_buffer_position(data),
            Ssc::ReportDensities { medium, allocation } => self.report_densities(medium, allocation, data),
            Ssc::AllowOverwrite { partition, block } => {
                self.medium()?;
                self.overwrite = Some((partition, block));
                Ok(0)
            }
            Ssc::ReadEndOfWraps { allocation } => self.medium()?.read_end_of_wraps(allocation, data),
        }
    }

    fn test_unit_ready(&mut self) -> Outcome {
        let ready = self.medium().map(|_| 0).map_err(Check::from);
        self.polls_to_ready = self.polls_to_ready.saturating_sub(1);
        if let Bay::Cleaning(home, polls) = &mut self.bay {
            *polls = polls.saturating_sub(1);
            if *polls == 0 {
                self.bay = Bay::Seated(home.clone());
                self.faults.cleaned(self.index);
            }
        }
        ready
    }

    /// The loaded medium, or why there is none to work with.
    fn medium(&mut self) -> Result<&mut Medium, Sense> {
        match &mut self.bay {
            Bay::Empty => Err(MEDIUM_NOT_PRESENT),
            Bay::Seated(_) => Err(NEEDS_LOAD),
            Bay::Failed(_, sense) => Err(*sense),
            Bay::Cleaning(..) => Err(CLEANING),
            Bay::Loaded(_) if self.polls_to_ready > 0 || self.pace.is_loading() => Err(BECOMING_READY),
            Bay::Loaded(medium) => Ok(medium),
        }
    }

    fn load_command(&mut self) -> Outcome {
        match self.bay {
            Bay::Empty => Err(MEDIUM_NOT_PRESENT.into()),
            Bay::Cleaning(..) => Err(CLEANING.into()),
            Bay::Loaded(_) => {
                let medium = self.medium()?;
                medium.partition = 0;
                medium.rewind()
            }
            Bay::Seated(_) | Bay::Failed(..) => {
                self.load();
                match &self.bay {
                    Bay::Failed(_, sense) => Err((*sense).into()),
                    _ => Ok(0),
                }
            }
        }
    }

    /// Threads the seated cartridge. A failure is kept and told to every command that needs a medium.
    fn load(&mut self) {
        let home = match std::mem::replace(&mut self.bay, Bay::Empty) {
            Bay::Seated(home) | Bay::Failed(home, _) => home,
            other @ (Bay::Empty | Bay::Loaded(_) | Bay::Cleaning(..)) => {
                self.bay = other;
                return;
            }
        };
        self.polls_to_ready = self.faults.take_ready_after(self.index);
        self.bay = match Cartridge::load(home.clone()) {
            Ok(cartridge) if cartridge.memory().cleaning => Bay::Cleaning(home, CLEANING_POLLS),
            Ok(cartridge) => self.accept_generation(cartridge, home),
            Err(error) => Bay::Failed(home, load_sense(&error)),
        };
        self.partition_page = None;
        self.protection = BlockProtection::OFF;
        self.overwrite = None;
        self.loads += 1;
        let is_new = matches!(&self.bay, Bay::Loaded(medium) if medium.cartridge.memory().load_count == 1);
        self.pace.load(is_new);
        self.attentions.raise(MEDIUM_MAY_HAVE_CHANGED);
    }

    /// An LTO-9 drive: what is older than LTO-8, or newer, is not for it.
    fn accept_generation(&self, cartridge: Cartridge, home: Home) -> Bay {
        let generation = Generation::of_density(cartridge.memory().density);
        match generation.map(|generation| Generation::Lto9.uses(generation)) {
            Some(Use::Write) => Bay::Loaded(Medium::new(cartridge)),
            // LTO-9 drives write all that they read.
            Some(Use::Read | Use::Nothing) | None => Bay::Failed(home, INCOMPATIBLE_MEDIUM),
        }
    }

    /// Brings everything to stable storage and lets go of the tape; on a failure the tape stays.
    fn unload(&mut self) -> Outcome {
        if self.prevented && !matches!(self.bay, Bay::Empty) {
            return Err(REMOVAL_PREVENTED.into());
        }
        let home = match &mut self.bay {
            Bay::Empty | Bay::Seated(_) => return Ok(0),
            Bay::Failed(home, _) | Bay::Cleaning(home, _) => home.clone(),
            Bay::Loaded(medium) => {
                medium.cartridge.sync()?;
                medium.cartridge.home().clone()
            }
        };
        self.polls_to_ready = 0;
        self.bay = Bay::Seated(home);
        Ok(0)
    }
}

impl Drop for Drive {
    /// Closing a library in an orderly way is not a power cut: what the drive buffered goes to the tape.
    fn drop(&mut self) {
        if let Bay::Loaded(medium) = &mut self.bay {
            // Nobody is left to be told; a host that wanted to know wrote a filemark and looked at the answer.
            medium.cartridge.sync().ok();
        }
    }
}

// === impl Medium ===

impl Medium {
    fn new(cartridge: Cartridge) -> Self {
        Self { cartridge, partition: 0, record: 0, reference_due: true }
    }

    fn at_beginning(&self) -> bool {
        self.record == 0
    }

    fn in_early_warning(&self) -> bool {
        self.cartridge.bytes_left(self.partition) < self.cartridge.early_warning_bytes(self.partition)
    }

    /// To be called before the tape's contents change: refuses on a write-protected cartridge, and changes the volume
    /// change reference once per load and once after each time it was looked at.
    fn begin_change(&mut self) -> Result<(), Sense> {
        if self.cartridge.memory().write_protected {
            return Err(WRITE_PROTECTED);
        }
        if self.reference_due {
            self.cartridge.change_memory(|memory| memory.volume_change_reference += 1)?;
            self.reference_due = false;
        }
        Ok(())
    }

    /// Partition number as it goes over the wire.
    fn partition_number(&self) -> u8 {
        u8::try_from(self.partition).expect("at most two partitions")
    }
}

fn as_usize(value: u32) -> usize {
    usize::try_from(value).expect("a machine word of 32 bits or more")
}

/// How many TEST UNIT READY a cleaning takes.
const CLEANING_POLLS: u32 = 2;

fn load_sense(error: &Error) -> Sense {
    match error {
        Error::ParseMemory { .. } => MEDIUM_FORMAT_CORRUPTED,
        Error::OpenCartridge { source, .. } if source.kind() == std::io::ErrorKind::InvalidData => {
            MEDIUM_FORMAT_CORRUPTED
        }
        _ => LOAD_FAILED,
    }
}
