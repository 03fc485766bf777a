//! One tape drive (SSC-5): what is in its bay, where it stands, and which command goes where.

mod attributes;
mod blocks;
mod motion;
mod pages;
mod partitioning;

use crate::Error;
use crate::attention::Attentions;
use crate::cartridge::{Cartridge, Home};
use crate::faults::Faults;
use crate::inquiry::Identity;
use crate::reply::{Check, Outcome, check_length, completion, deliver};
use crate::sense::{
    BECOMING_READY, INVALID_FIELD_IN_CDB, INVALID_OPERATION_CODE, LOAD_FAILED, MEDIUM_FORMAT_CORRUPTED,
    MEDIUM_MAY_HAVE_CHANGED, MEDIUM_NOT_PRESENT, NEEDS_LOAD, NO_SENSE, Sense, WRITE_PROTECTED,
};
use partitioning::PartitionPage;
use scsi::{Cdb, Completion, Data, opcode};

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
    faults: Faults,
}

#[derive(Debug)]
enum Bay {
    Empty,
    /// A cartridge is in, its tape is not threaded: the robot can take it.
    Seated(Home),
    /// A cartridge is in and could not be loaded.
    Failed(Home, Sense),
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
    pub fn new(index: usize, serial: String, faults: Faults) -> Self {
        Self {
            index,
            identity: Identity::drive(serial),
            bay: Bay::Empty,
            attentions: Attentions::power_on(),
            polls_to_ready: 0,
            partition_page: None,
            buffered: true,
            faults,
        }
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// May the robot take the cartridge, or put one in?
    pub fn is_accessible(&self) -> bool {
        matches!(self.bay, Bay::Empty | Bay::Seated(_))
    }

    /// The robot, or a hand, puts a cartridge in; the drive loads it by itself.
    pub fn insert(&mut self, home: Home) {
        self.bay = Bay::Seated(home);
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
            Bay::Seated(home) | Bay::Failed(home, _) => Some(home),
            Bay::Loaded(medium) => {
                medium.cartridge.cut_power()?;
                Some(medium.cartridge.home().clone())
            }
        };
        self.attentions = Attentions::power_on();
        self.partition_page = None;
        self.buffered = true;
        if let Some(home) = home {
            self.insert(home);
        }
        Ok(())
    }

    pub fn execute(&mut self, cdb: &Cdb, mut data: Data<'_>) -> Completion {
        completion(self.dispatch(cdb, &mut data))
    }

    fn dispatch(&mut self, cdb: &Cdb, data: &mut Data<'_>) -> Outcome {
        self.attentions.admit(cdb.opcode())?;
        check_length(cdb)?;
        match cdb.opcode() {
            opcode::TEST_UNIT_READY => self.test_unit_ready(),
            opcode::REQUEST_SENSE => self.request_sense(cdb, data),
            opcode::INQUIRY => self.identity.inquiry(cdb, data),
            opcode::MODE_SENSE_6 | opcode::MODE_SENSE_10 => self.mode_sense(cdb, data),
            opcode::MODE_SELECT_6 | opcode::MODE_SELECT_10 => self.mode_select(cdb, data),
            opcode::LOG_SENSE => self.log_sense(cdb, data),
            opcode::READ_BLOCK_LIMITS => blocks::read_block_limits(cdb, data),
            opcode::LOAD_UNLOAD => self.load_unload(cdb),
            opcode::REWIND => self.medium()?.rewind(),
            opcode::FORMAT_MEDIUM => self.format_medium(cdb),
            opcode::READ_6 => self.read(cdb, data),
            opcode::WRITE_6 => self.write(cdb, data),
            opcode::WRITE_FILEMARKS_6 => self.write_filemarks(cdb),
            opcode::SPACE_16 => self.medium()?.space(cdb),
            opcode::LOCATE_16 => self.medium()?.locate(cdb),
            opcode::READ_POSITION => self.medium()?.read_position(cdb, data),
            opcode::READ_ATTRIBUTE => self.medium()?.read_attribute(cdb, data),
            opcode::WRITE_ATTRIBUTE => self.medium()?.write_attribute(cdb, data),
            _ => Err(INVALID_OPERATION_CODE.into()),
        }
    }

    fn test_unit_ready(&mut self) -> Outcome {
        let ready = self.medium().map(|_| 0).map_err(Check::from);
        self.polls_to_ready = self.polls_to_ready.saturating_sub(1);
        ready
    }

    fn request_sense(&mut self, cdb: &Cdb, data: &mut Data<'_>) -> Outcome {
        if cdb.as_bytes()[1] & 0x01 != 0 {
            return Err(INVALID_FIELD_IN_CDB.into());
        }
        let sense = self.attentions.take().unwrap_or_else(|| self.medium().err().unwrap_or(NO_SENSE));
        deliver(data, usize::from(cdb.as_bytes()[4]), &sense.to_bytes())
    }

    /// The loaded medium, or why there is none to work with.
    fn medium(&mut self) -> Result<&mut Medium, Sense> {
        match &mut self.bay {
            Bay::Empty => Err(MEDIUM_NOT_PRESENT),
            Bay::Seated(_) => Err(NEEDS_LOAD),
            Bay::Failed(_, sense) => Err(*sense),
            Bay::Loaded(_) if self.polls_to_ready > 0 => Err(BECOMING_READY),
            Bay::Loaded(medium) => Ok(medium),
        }
    }

    fn load_unload(&mut self, cdb: &Cdb) -> Outcome {
        match cdb.as_bytes()[4] & 0x0F {
            0x01 => match self.bay {
                Bay::Empty => Err(MEDIUM_NOT_PRESENT.into()),
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
            },
            0x00 => self.unload(),
            _ => Err(INVALID_FIELD_IN_CDB.into()),
        }
    }

    /// Threads the seated cartridge. A failure is kept and told to every command that needs a medium.
    fn load(&mut self) {
        let home = match std::mem::replace(&mut self.bay, Bay::Empty) {
            Bay::Seated(home) | Bay::Failed(home, _) => home,
            other @ (Bay::Empty | Bay::Loaded(_)) => {
                self.bay = other;
                return;
            }
        };
        self.polls_to_ready = self.faults.take_ready_after(self.index);
        self.bay = match Cartridge::load(home.clone()) {
            Ok(cartridge) => Bay::Loaded(Medium::new(cartridge)),
            Err(error) => Bay::Failed(home, load_sense(&error)),
        };
        self.partition_page = None;
        self.attentions.raise(MEDIUM_MAY_HAVE_CHANGED);
    }

    /// Brings everything to stable storage and lets go of the tape; on a failure the tape stays.
    fn unload(&mut self) -> Outcome {
        let home = match &mut self.bay {
            Bay::Empty | Bay::Seated(_) => return Ok(0),
            Bay::Failed(home, _) => home.clone(),
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

fn load_sense(error: &Error) -> Sense {
    match error {
        Error::ParseMemory { .. } => MEDIUM_FORMAT_CORRUPTED,
        Error::OpenCartridge { source, .. } if source.kind() == std::io::ErrorKind::InvalidData => {
            MEDIUM_FORMAT_CORRUPTED
        }
        _ => LOAD_FAILED,
    }
}
