//! What a driver could not do, who is to blame and what its caller should do next.

use std::fmt;

use crate::condition::{Action, Class, Party, Row};
use crate::limits::TRANSFER_MAX;
use crate::spc::DeviceType;
use crate::{Command, ParseError, Position, Sense, TransportError};

/// Which driver speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A tape drive.
    Drive,
    /// A medium changer.
    Changer,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unit::Drive => "drive",
            Unit::Changer => "changer",
        })
    }
}

/// A command, and the unit it was sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The unit.
    pub unit: Unit,
    /// The command.
    pub command: Command,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.unit, self.command)
    }
}

/// Why a call to a driver failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The device said no; its sense data says why. The command was not done, or only in part.
    #[error("{step}: {sense}")]
    Check {
        /// What was asked.
        step: Step,
        /// What it said.
        sense: Sense,
    },
    /// An earlier write, already answered with GOOD, has failed in the drive's buffer. The present command was not
    /// done. Read the position: blocks from there on are not on tape.
    #[error("{step} was not done, an earlier write has failed, one of the last {unsynced}: {sense}")]
    Deferred {
        /// What was asked.
        step: Step,
        /// What the device said of the earlier command.
        sense: Sense,
        /// How many blocks and filemarks had been accepted since the buffer was last known to be empty: it is one of
        /// these.
        unsynced: u64,
    },
    /// Something happened to the device (another cartridge, a reset, a hand in the library). The command was not
    /// done. Everything remembered of position and contents is void until `position`, `wait_ready` or `inventory` has
    /// been called; before that, commands that depend on it fail with this error again.
    #[error("{step} was not done: {sense}")]
    Attention {
        /// What was asked.
        step: Step,
        /// What happened.
        sense: Sense,
    },
    /// No answer. Whether the command took effect is unknown: look, assume nothing, and never repeat a WRITE or a
    /// MOVE MEDIUM before having looked.
    #[error("{step}: not answered, outcome unknown")]
    Unanswered {
        /// What was asked.
        step: Step,
        /// What the path said.
        #[source]
        source: TransportError,
    },
    /// BUSY or TASK SET FULL: not done, ask again later.
    #[error("{step}: the device is busy")]
    Busy {
        /// What was asked.
        step: Step,
    },
    /// Another host holds a reservation. Not done.
    #[error("{step}: another host holds a reservation")]
    Reserved {
        /// What was asked.
        step: Step,
    },
    /// A status byte that a tape device has no reason to send.
    #[error("{step}: status {status:#04x}")]
    Status {
        /// What was asked.
        step: Step,
        /// The byte.
        status: u8,
    },
    /// CHECK CONDITION with sense data that cannot be read.
    #[error("{step}: failed without an explanation")]
    Unexplained {
        /// What was asked.
        step: Step,
    },
    /// The reply is not what the standard says.
    #[error("{step}: reply not understood")]
    Reply {
        /// What was asked.
        step: Step,
        /// Why not.
        #[source]
        source: ParseError,
    },
    /// The reply lacks a part that must be there (a page, a length, an attribute).
    #[error("{step}: the reply has no {what}")]
    Missing {
        /// What was asked.
        step: Step,
        /// What is missing.
        what: &'static str,
    },
    /// The device and the path disagree about how many bytes moved: the data cannot be trusted.
    #[error("{step}: {transferred} bytes moved, the device counts {counted}")]
    Length {
        /// What was asked.
        step: Step,
        /// By the path.
        transferred: usize,
        /// By the device.
        counted: i64,
    },
    /// Not ready within the caller's limit.
    #[error("{unit} not ready after {seconds} s")]
    NotReady {
        /// Which unit.
        unit: Unit,
        /// The limit.
        seconds: u64,
        /// What it said last; `None` when it was busy.
        last: Option<Sense>,
    },
    /// The drive does not know where the tape stands.
    #[error("the drive does not know its position")]
    PositionUnknown,
    /// A write has failed before, and the caller writes on without having read the position. Not sent.
    #[error("{step}: refused, an earlier write has failed and the position was not read since")]
    PositionUnread {
        /// What was asked.
        step: Step,
    },
    /// A block came with a checksum that is not its own: damaged between tape and host. Not delivered.
    #[error("{step}: the block does not fit the checksum that came with it")]
    Checksum {
        /// What was asked.
        step: Step,
    },
    /// The drive stands elsewhere than it was told to go.
    #[error("the drive stands at block {} of partition {}, not at block {block} of partition {partition}",
        found.block, found.partition)]
    Misplaced {
        /// Partition wanted.
        partition: u8,
        /// Block wanted.
        block: u64,
        /// Where it stands.
        found: Position,
    },
    /// The path leads to another kind of device, or to none.
    #[error("no {unit} answers but {found:?}")]
    WrongDevice {
        /// Expected.
        unit: Unit,
        /// What answers.
        found: DeviceType,
    },
    /// The caller asked for a block that no command can carry.
    #[error("a block of {length} bytes is not between 1 and {TRANSFER_MAX}")]
    BlockLength {
        /// Asked for.
        length: usize,
    },
    /// The path to the device does not carry so much in one command. Nothing was sent.
    #[error(
        "{step}: refused, the path to the device carries at most {maximum} bytes in one command, not {length}: \
        use smaller blocks, or another host adapter"
    )]
    PathTooNarrow {
        /// What was asked.
        step: Step,
        /// Bytes to move.
        length: usize,
        /// Bytes that go.
        maximum: u32,
    },
    /// The caller asked for more filemarks at once than a command can carry.
    #[error("{count} filemarks are more than {TRANSFER_MAX}")]
    FilemarkCount {
        /// Asked for.
        count: u32,
    },
    /// The caller asked for partitions that this drive cannot make: none, too many, or more than one on a drive that
    /// makes no partitions at all.
    #[error("the drive makes up to {possible} partitions on a cartridge, not {wanted}")]
    Partitions {
        /// Asked for.
        wanted: usize,
        /// What the drive can make.
        possible: usize,
    },
}

/// Who is suspect, or who must act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The cartridge: try it in another drive before believing it.
    Medium,
    /// The drive: try another cartridge in it before believing it.
    Drive,
    /// The library.
    Changer,
    /// A person has to do something.
    Operator,
    /// The calling program: it asked wrongly or too early, or has to read the state again.
    Caller,
    /// What lies between host and device.
    Path,
}

impl Error {
    /// Who is suspect, or who must act.
    pub fn blame(&self) -> Blame {
        match self {
            Error::Check { step, .. } | Error::Deferred { step, .. } | Error::Attention { step, .. } => {
                match self.row().map_or(Party::Device, |row| row.party) {
                    Party::Nobody | Party::Host => Blame::Caller,
                    Party::Device => step.unit.blame(),
                    Party::Medium => Blame::Medium,
                    Party::Operator => Blame::Operator,
                }
            }
            Error::Unanswered { .. } | Error::Length { .. } | Error::Checksum { .. } => Blame::Path,
            Error::Status { step, .. }
            | Error::Unexplained { step }
            | Error::Reply { step, .. }
            | Error::Missing { step, .. } => step.unit.blame(),
            Error::NotReady { unit, .. } => unit.blame(),
            Error::Reserved { .. } | Error::WrongDevice { .. } | Error::PathTooNarrow { .. } => {
                Blame::Operator
            }
            Error::PositionUnknown | Error::Misplaced { .. } => Blame::Drive,
            // Nobody is: it is to be asked again.
            Error::Busy { .. }
            | Error::PositionUnread { .. }
            | Error::BlockLength { .. }
            | Error::FilemarkCount { .. }
            | Error::Partitions { .. } => Blame::Caller,
        }
    }

    /// What the caller should do next.
    pub fn action(&self) -> Action {
        match self {
            Error::Check { .. } | Error::Attention { .. } => {
                self.row().map_or(Action::Elsewhere, |row| row.action)
            }
            // Whatever the reason: first learn what is on tape.
            Error::Deferred { .. }
            | Error::Unanswered { .. }
            | Error::Length { .. }
            | Error::Checksum { .. } => Action::Look,
            Error::Unexplained { .. } | Error::PositionUnread { .. } => Action::Look,
            Error::Busy { .. } => Action::Wait,
            Error::NotReady { .. }
            | Error::Status { .. }
            | Error::Reply { .. }
            | Error::Missing { .. }
            | Error::PositionUnknown
            | Error::Misplaced { .. } => Action::Condemn,
            Error::Reserved { .. }
            | Error::WrongDevice { .. }
            | Error::PathTooNarrow { .. }
            | Error::BlockLength { .. }
            | Error::FilemarkCount { .. }
            | Error::Partitions { .. } => Action::Refuse,
        }
    }

    /// The row of the sense table for what the device said, as an answer to the command it was about.
    pub fn row(&self) -> Option<&'static Row> {
        match self {
            Error::Check { step, sense } | Error::Attention { step, sense } => {
                Some(sense.row_for(step.command.class()))
            }
            // Only writes are answered before they are done.
            Error::Deferred { sense, .. } => Some(sense.row_for(Class::Write)),
            _ => None,
        }
    }

    /// The device must not be used before somebody has looked at it: it is broken, has not answered, or answers what
    /// makes no sense.
    pub fn condemns_device(&self) -> bool {
        match self {
            Error::Deferred { .. } => self.row().is_some_and(Row::condemns_device),
            Error::Unanswered { .. }
            | Error::Length { .. }
            | Error::Checksum { .. }
            | Error::Unexplained { .. } => true,
            _ => self.action() == Action::Condemn,
        }
    }

    /// True when it is not known whether the command took effect.
    pub fn outcome_unknown(&self) -> bool {
        matches!(self, Error::Unanswered { .. } | Error::Unexplained { .. })
    }

    /// A question, or a setting, that may be sent once more: the device has given it up, or it was lost on the way.
    pub(crate) fn is_worth_repeating(&self) -> bool {
        let lost = matches!(self, Error::Unanswered { source: TransportError::Disrupted { .. }, .. });
        lost || self.action() == Action::Retry
    }

    /// What the device said, when it said something.
    pub fn sense(&self) -> Option<&Sense> {
        match self {
            Error::Check { sense, .. } | Error::Deferred { sense, .. } | Error::Attention { sense, .. } => {
                Some(sense)
            }
            Error::NotReady { last, .. } => last.as_ref(),
            _ => None,
        }
    }
}

impl Unit {
    fn blame(self) -> Blame {
        match self {
            Unit::Drive => Blame::Drive,
            Unit::Changer => Blame::Changer,
        }
    }
}
