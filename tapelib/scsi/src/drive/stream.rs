//! Blocks, filemarks and the position; moving is in [`super::motion`].
//!
//! Nothing here is ever sent twice. An attention or a deferred error stops the stream with an error of its own, so
//! that the caller reads the position before it goes on.

use super::{Drive, protection};
use crate::error::{Error, Step};
use crate::limits::{TIMEOUT_FILEMARKS, TIMEOUT_SMALL, TIMEOUT_WRITE, TRANSFER_MAX};
use crate::mode::BlockProtection;
use crate::session::{Answer, is_done};
use crate::ssc::{Command, Position};
use crate::{Action, Condition, Data, Sense};

/// A block or filemarks were accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// By the drive's buffer, or by the tape where the call says so.
    Written,
    /// As well, and the end of the partition is near: little more than an index will fit.
    EarlyWarning,
}

/// What stood at the position that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadOutcome {
    /// A block of so many bytes, now at the beginning of the buffer.
    Block(usize),
    /// A filemark; the tape stands behind it.
    Filemark,
    /// Nothing was written here or beyond.
    EndOfData,
    /// A block of `actual` bytes, which the buffer does not hold; the tape stands behind it. To have it, space one
    /// block back and read with a larger buffer.
    TooLarge {
        /// Length of the block.
        actual: usize,
    },
}

impl Drive {
    /// Writes one block at the position; what stood there and beyond is gone.
    ///
    /// 1 byte to 16 MiB - 1, within `block_limits`. On any error the block must be taken as not written until
    /// `position` has shown otherwise: nothing more is written before that ([`Error::PositionUnread`]).
    pub fn write_block(&mut self, block: &[u8]) -> Result<WriteOutcome, Error> {
        let mut protected = self.protected.take();
        let bytes = match &mut protected {
            Some(buffer) => protection::framed(block, buffer),
            None => block,
        };
        let result = self.write_bytes(bytes);
        self.protected = protected;
        result
    }

    fn write_bytes(&mut self, block: &[u8]) -> Result<WriteOutcome, Error> {
        let length = transfer_length(block.len())?;
        let command = Command::Write { length };
        self.require_certain(command)?;
        let result = self.send_block(command, length, block);
        self.session.doubt = result.is_err();
        self.session.unsynced += u64::from(result.is_ok());
        result
    }

    fn send_block(&mut self, command: Command, length: u32, block: &[u8]) -> Result<WriteOutcome, Error> {
        let step = self.session.step(command);
        match self.session.send(command, Data::Out(block), TIMEOUT_WRITE)? {
            Answer::Good { transferred } => {
                whole(step, length, transferred, None)?;
                Ok(WriteOutcome::Written)
            }
            Answer::Check { sense, transferred } => {
                let outcome = written(step, &sense)?;
                whole(step, length, transferred, sense.information)?;
                Ok(outcome)
            }
        }
    }

    /// Reads one block into the beginning of `buffer` (1 byte to 16 MiB - 1).
    pub fn read_block(&mut self, buffer: &mut [u8]) -> Result<ReadOutcome, Error> {
        let Some(mut framed) = self.protected.take() else { return self.read_bytes(buffer) };
        framed.resize(buffer.len() + BlockProtection::TRAILER, 0);
        let result = self.read_bytes(&mut framed);
        let outcome = result.and_then(|outcome| match outcome {
            ReadOutcome::Block(length) => match protection::checked(&framed[..length]) {
                Some(block) => {
                    buffer[..block.len()].copy_from_slice(block);
                    Ok(ReadOutcome::Block(block.len()))
                }
                None => {
                    let length = transfer_length(length)?;
                    let command = Command::Read { suppress_length: false, length };
                    Err(Error::Checksum { step: self.session.step(command) })
                }
            },
            ReadOutcome::TooLarge { actual } => {
                Ok(ReadOutcome::TooLarge { actual: actual.saturating_sub(BlockProtection::TRAILER) })
            }
            other => Ok(other),
        });
        self.protected = Some(framed);
        outcome
    }

    fn read_bytes(&mut self, buffer: &mut [u8]) -> Result<ReadOutcome, Error> {
        let length = transfer_length(buffer.len())?;
        let command = Command::Read { suppress_length: false, length };
        self.session.require_settled(command)?;
        let step = self.session.step(command);
        match self.session.send(command, Data::In(buffer), self.timeouts.read)? {
            Answer::Good { transferred } => {
                whole(step, length, transferred, None)?;
                Ok(ReadOutcome::Block(transferred))
            }
            Answer::Check { sense, transferred } => match sense.condition() {
                Condition::Filemark => Ok(ReadOutcome::Filemark),
                Condition::EndOfData => Ok(ReadOutcome::EndOfData),
                Condition::IncorrectLength => self.odd_length(step, length, transferred, &sense),
                // Read beyond early warning: the block is there.
                Condition::EarlyWarning => {
                    whole(step, length, transferred, sense.information)?;
                    Ok(ReadOutcome::Block(transferred))
                }
                _ if is_done(&sense) => {
                    whole(step, length, transferred, None)?;
                    Ok(ReadOutcome::Block(transferred))
                }
                _ => Err(Error::Check { step, sense }),
            },
        }
    }

    /// The block is shorter or longer than the buffer. Its length is requested minus information; the path must have
    /// moved as much.
    fn odd_length(
        &self,
        step: Step,
        length: u32,
        transferred: usize,
        sense: &Sense,
    ) -> Result<ReadOutcome, Error> {
        let information =
            sense.information.ok_or(Error::Missing { step, what: "length of the block read" })?;
        let counted = i64::from(length).saturating_sub(information);
        let disagreement = Error::Length { step, transferred, counted };
        match usize::try_from(counted) {
            Ok(actual) if information < 0 => Ok(ReadOutcome::TooLarge { actual }),
            Ok(actual) if actual > 0 && actual == transferred => Ok(ReadOutcome::Block(actual)),
            _ => Err(disagreement),
        }
    }

    /// Writes filemarks. Unless `immediate`, success means that they and everything before them are on tape.
    /// 0 and not immediate only empties the buffer. Errors are as for [`Drive::write_block`], and may be those of
    /// blocks written before.
    pub fn write_filemarks(&mut self, count: u32, immediate: bool) -> Result<WriteOutcome, Error> {
        if count > TRANSFER_MAX {
            return Err(Error::FilemarkCount { count });
        }
        let command = Command::WriteFilemarks { immediate, count };
        self.require_certain(command)?;
        let result = self.send_filemarks(command);
        self.session.doubt = result.is_err();
        match (&result, immediate) {
            (Ok(_), true) => self.session.unsynced += u64::from(count),
            (Ok(_), false) => self.session.unsynced = 0,
            (Err(_), _) => {}
        }
        result
    }

    fn send_filemarks(&mut self, command: Command) -> Result<WriteOutcome, Error> {
        let step = self.session.step(command);
        match self.session.send(command, Data::None, TIMEOUT_FILEMARKS)? {
            Answer::Good { .. } => Ok(WriteOutcome::Written),
            Answer::Check { sense, .. } => match (written(step, &sense)?, sense.information) {
                (outcome, None | Some(0)) => Ok(outcome),
                // Some marks are missing.
                _ => Err(Error::Check { step, sense }),
            },
        }
    }

    /// Nothing happened to the drive, and no write has failed, since the position was last known.
    fn require_certain(&mut self, command: Command) -> Result<(), Error> {
        self.session.require_settled(command)?;
        match self.session.doubt || self.settings_due {
            false => Ok(()),
            true => Err(Error::PositionUnread { step: self.session.step(command) }),
        }
    }

    /// Everything written so far is on tape when this succeeds.
    pub fn sync(&mut self) -> Result<WriteOutcome, Error> {
        self.write_filemarks(0, false)
    }

    /// Where the tape stands, counting what is only buffered yet.
    ///
    /// Also the way on after [`Error::Attention`] and after a write that failed: once the caller has seen the error and
    /// this call has succeeded, the stream may go on if the position is the expected one. Variable blocks and block
    /// protection are set again by it.
    pub fn position(&mut self) -> Result<Position, Error> {
        self.session.require_told(Command::ReadPosition)?;
        let position = self.read_position()?;
        self.settings_due |= self.session.settle();
        if self.settings_due {
            if self.variable {
                self.set_variable_blocks()?;
            }
            // A reset has switched it off in the drive: blocks must not go out with a checksum as their last bytes.
            if self.protected.is_some() {
                self.set_block_protection(true)?;
            }
            self.settings_due = false;
        }
        self.session.doubt = false;
        Ok(position)
    }

    pub(super) fn read_position(&mut self) -> Result<Position, Error> {
        let command = Command::ReadPosition;
        let mut buffer = [0; Position::LENGTH];
        let length = match self.session.perform(command, Data::In(&mut buffer), TIMEOUT_SMALL) {
            // An attention is not asked over: it has to be seen.
            Err(error) if error.action() == Action::Retry => {
                self.session.perform(command, Data::In(&mut buffer), TIMEOUT_SMALL)?
            }
            result => result?,
        };
        let position = Position::parse(&buffer[..length]).map_err(self.session.reply(command))?;
        position.ok_or(Error::PositionUnknown)
    }
}

fn transfer_length(length: usize) -> Result<u32, Error> {
    u32::try_from(length)
        .ok()
        .filter(|length| (1..=TRANSFER_MAX).contains(length))
        .ok_or(Error::BlockLength { length })
}

/// What sense data says of a write that was done; an error when it was not.
fn written(step: Step, sense: &Sense) -> Result<WriteOutcome, Error> {
    match sense.condition() {
        Condition::EarlyWarning | Condition::ProgrammableEarlyWarning => Ok(WriteOutcome::EarlyWarning),
        _ if is_done(sense) => Ok(WriteOutcome::Written),
        _ => Err(Error::Check { step, sense: *sense }),
    }
}

/// Everything moved, as the path counts and, where it says so, as the device counts.
fn whole(step: Step, length: u32, transferred: usize, left: Option<i64>) -> Result<(), Error> {
    let counted = i64::from(length).saturating_sub(left.unwrap_or(0));
    match u32::try_from(transferred) == Ok(length) && counted == i64::from(length) {
        true => Ok(()),
        false => Err(Error::Length { step, transferred, counted }),
    }
}
