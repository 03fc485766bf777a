//! A device that follows a script: each step names the command it expects and what it answers.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use scsi::spc::{ModeForm, ModeValues};
use scsi::{
    Cdb, Command, Completion, Data, Drive, Position, Sense, SenseKey, Status, Transport, TransportError,
    Waiting, spc, ssc,
};

pub enum Answer {
    Good,
    /// GOOD with these bytes.
    Bytes(Vec<u8>),
    /// CHECK CONDITION after the whole data phase.
    Check(Sense),
    /// CHECK CONDITION after so many bytes.
    CheckAfter(Sense, usize),
    /// CHECK CONDITION after these bytes.
    BytesCheck(Vec<u8>, Sense),
    /// GOOD after so many bytes.
    GoodAfter(usize),
    RawSense(Vec<u8>),
    Status(Status),
    Timeout,
}

pub type Steps = Vec<(Command, Answer)>;

/// What is left of the script; dropped last, it must be empty.
#[derive(Clone)]
pub struct Script(Arc<Mutex<VecDeque<(Command, Answer)>>>);

impl Script {
    pub fn new(steps: Steps) -> Self {
        Self(Arc::new(Mutex::new(steps.into())))
    }

    pub fn transport(&self) -> Box<dyn Transport> {
        Box::new(self.clone())
    }

    #[track_caller]
    pub fn done(&self) {
        let left = self.0.lock().unwrap();
        assert!(left.is_empty(), "not asked for: {:?}", left.iter().map(|step| step.0).collect::<Vec<_>>());
    }
}

impl Transport for Script {
    fn execute(
        &mut self,
        cdb: &Cdb,
        data: Data<'_>,
        timeout: Duration,
    ) -> Result<Completion, TransportError> {
        let command = Command::decode(cdb).unwrap();
        let step = self.0.lock().unwrap().pop_front();
        let (expected, answer) = step.unwrap_or_else(|| panic!("beyond the script: {command:?}"));
        assert_eq!(command, expected);
        let room = match &data {
            Data::None => 0,
            Data::In(buffer) => buffer.len(),
            Data::Out(bytes) => bytes.len(),
        };
        let check =
            |sense: Vec<u8>, transferred| Completion { status: Status::CheckCondition, sense, transferred };
        Ok(match answer {
            Answer::Good => Completion::good(room),
            Answer::GoodAfter(transferred) => Completion::good(transferred),
            Answer::Bytes(bytes) => {
                let Data::In(buffer) = data else { panic!("{command:?} reads nothing") };
                let length = bytes.len().min(buffer.len());
                buffer[..length].copy_from_slice(&bytes[..length]);
                Completion::good(length)
            }
            Answer::BytesCheck(bytes, sense) => {
                let Data::In(buffer) = data else { panic!("{command:?} reads nothing") };
                buffer[..bytes.len()].copy_from_slice(&bytes);
                check(sense.encode_descriptor(), bytes.len())
            }
            Answer::Check(sense) => check(sense.encode_fixed(), room),
            Answer::CheckAfter(sense, transferred) => check(sense.encode_descriptor(), transferred),
            Answer::RawSense(bytes) => check(bytes, 0),
            Answer::Status(status) => Completion { status, sense: Vec::new(), transferred: 0 },
            Answer::Timeout => {
                return Err(TransportError::Timeout { opcode: cdb.opcode(), seconds: timeout.as_secs() });
            }
        })
    }
}

/// A waiter that only adds up.
#[derive(Default)]
pub struct Waits(RefCell<Vec<Duration>>);

impl Waits {
    pub fn wait(&self) -> impl Fn(&Waiting) {
        |waiting| self.0.borrow_mut().push(waiting.pause)
    }

    pub fn total(&self) -> Duration {
        self.0.borrow().iter().sum()
    }
}

pub fn sense(key: SenseKey, asc: u8, ascq: u8) -> Sense {
    Sense::of(key, asc, ascq)
}

pub fn attention(asc: u8, ascq: u8) -> Answer {
    Answer::Check(sense(SenseKey::UnitAttention, asc, ascq))
}

// === Short names for what the drive's tests say often ===

pub const TUR: Command = Command::Spc(spc::Command::TestUnitReady);
pub const POSITION: Command = Command::Ssc(ssc::Command::ReadPosition);

pub fn write(length: u32) -> Command {
    ssc::Command::Write { length }.into()
}

pub fn read(length: u32) -> Command {
    ssc::Command::Read { suppress_length: false, length }.into()
}

pub fn filemarks(count: u32) -> Command {
    ssc::Command::WriteFilemarks { immediate: false, count }.into()
}

pub fn mode_sense(page: u8, block_descriptor: bool) -> Command {
    let (form, values) = (ModeForm::Six, ModeValues::Current);
    let no_block_descriptor = !block_descriptor;
    spc::Command::ModeSense { form, no_block_descriptor, values, page, subpage: 0, allocation: 255 }.into()
}

pub fn mode_select(length: u16) -> Command {
    spc::Command::ModeSelect { form: ModeForm::Six, length }.into()
}

pub fn at(partition: u8, block: u64) -> Answer {
    Answer::Bytes(place(partition, block).encode().to_vec())
}

pub fn place(partition: u8, block: u64) -> Position {
    Position {
        partition,
        block,
        filemarks: Some(0),
        beginning: block == 0,
        early_warning: false,
        programmable_early_warning: false,
    }
}

pub fn marks(flags: &str, information: Option<i64>) -> Sense {
    Sense {
        filemark: flags.contains('f'),
        end_of_medium: flags.contains('e'),
        incorrect_length: flags.contains('i'),
        information,
        ..sense(SenseKey::NoSense, 0, 0)
    }
}

pub fn drive(steps: Steps) -> (Drive, Script) {
    let script = Script::new(steps);
    (Drive::new(script.transport()), script)
}
