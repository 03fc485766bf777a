//! Moving along the tape. Drives without SPACE(16) or LOCATE(16) are moved with the older commands.

use super::Drive;
use crate::error::Error;
use crate::limits::SPACE_SHORT_MAX;
use crate::session::{Answer, is_done};
use crate::ssc::{Command, Position, SpaceOver};
use crate::{Condition, Data};

/// Where spacing ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpaceOutcome {
    /// Where it should.
    Done,
    /// Beyond a filemark (before it when spacing backwards), with so many blocks left over, when the drive tells.
    Filemark(Option<u64>),
    /// At the end of data, with so many left over, when the drive tells.
    EndOfData(Option<u64>),
    /// At the beginning of the partition, with so many left over, when the drive tells.
    Beginning(Option<u64>),
}

impl Drive {
    /// Moves over `count` blocks or filemarks (negative: towards the beginning), or to the end of data.
    pub fn space(&mut self, over: SpaceOver, count: i64) -> Result<SpaceOutcome, Error> {
        let count = if over == SpaceOver::EndOfData { 0 } else { count };
        if self.knows_space != Some(false) {
            match self.send_space(Command::Space { over, count }, count) {
                Err(error) if is_unknown(&error) && self.knows_space.is_none() => {
                    self.knows_space = Some(false);
                }
                result => {
                    self.knows_space = self.knows_space.or(result.is_ok().then_some(true));
                    return result;
                }
            }
        }
        self.space_in_steps(over, count)
    }

    /// SPACE(6), as often as its 24 bits need.
    fn space_in_steps(&mut self, over: SpaceOver, count: i64) -> Result<SpaceOutcome, Error> {
        let mut left = count;
        loop {
            let step = left.clamp(-SPACE_SHORT_MAX, SPACE_SHORT_MAX);
            let short = i32::try_from(step).expect("clamped to 24 bits");
            let outcome = self.send_space(Command::SpaceShort { over, count: short }, step)?;
            left -= step;
            let beyond = |more: Option<u64>| more.map(|more| more.saturating_add(left.unsigned_abs()));
            match outcome {
                SpaceOutcome::Done if left != 0 => {}
                SpaceOutcome::Done => return Ok(SpaceOutcome::Done),
                SpaceOutcome::Filemark(more) => return Ok(SpaceOutcome::Filemark(beyond(more))),
                SpaceOutcome::EndOfData(more) => return Ok(SpaceOutcome::EndOfData(beyond(more))),
                SpaceOutcome::Beginning(more) => return Ok(SpaceOutcome::Beginning(beyond(more))),
            }
        }
    }

    fn send_space(&mut self, command: Command, count: i64) -> Result<SpaceOutcome, Error> {
        self.session.require_settled(command)?;
        let step = self.session.step(command);
        let answer = self.session.send(command, Data::None, self.timeouts.locate)?;
        match answer {
            Answer::Good { .. } => {
                self.session.unsynced = 0;
                Ok(SpaceOutcome::Done)
            }
            Answer::Check { sense, .. } => {
                let left = sense.information.map(i64::unsigned_abs);
                match sense.condition() {
                    Condition::Filemark => Ok(SpaceOutcome::Filemark(left)),
                    Condition::EndOfData => Ok(SpaceOutcome::EndOfData(left)),
                    Condition::BeginningOfMedium => Ok(SpaceOutcome::Beginning(left)),
                    // Some drives set the end-of-medium flag at the beginning too, without a code.
                    Condition::EarlyWarning if count < 0 => Ok(SpaceOutcome::Beginning(left)),
                    _ if is_done(&sense) => Ok(SpaceOutcome::Done),
                    _ => Err(Error::Check { step, sense }),
                }
            }
        }
    }

    /// Goes to a block, in whichever partition, after writing what is buffered; then asks where the tape stands, and
    /// fails with [`Error::Misplaced`] when it is elsewhere. A block beyond the end of data is
    /// [`Condition::EndOfData`].
    pub fn locate(&mut self, partition: u8, block: u64) -> Result<Position, Error> {
        let command = Command::Locate { partition: Some(partition), block };
        self.session.require_settled(command)?;
        // Drives without LOCATE(16) have one partition.
        if self.knows_locate == Some(false) && partition == 0 {
            self.locate_by_spacing(command, block)?;
        } else {
            match self.session.perform(command, Data::None, self.timeouts.locate) {
                Err(error) if is_unknown(&error) && self.knows_locate.is_none() && partition == 0 => {
                    self.knows_locate = Some(false);
                    self.locate_by_spacing(command, block)?;
                }
                result => {
                    result?;
                    self.knows_locate = Some(true);
                }
            }
        }
        let found = self.read_position()?;
        match (found.partition, found.block) == (partition, block) {
            true => {
                self.session.doubt = false;
                self.session.unsynced = 0;
                Ok(found)
            }
            false => Err(Error::Misplaced { partition, block, found }),
        }
    }

    /// From the beginning, over blocks and filemarks.
    fn locate_by_spacing(&mut self, command: Command, block: u64) -> Result<(), Error> {
        self.rewind()?;
        let mut left = block;
        while left > 0 {
            let count = i64::try_from(left).unwrap_or(i64::MAX);
            left = match self.space(SpaceOver::Blocks, count)? {
                SpaceOutcome::Done => 0,
                // The filemark was one of the objects.
                SpaceOutcome::Filemark(Some(more)) => more.saturating_sub(1),
                _ => return Err(self.session.missing(command, "so many blocks")),
            };
        }
        Ok(())
    }
}

/// The drive does not know the command.
fn is_unknown(error: &Error) -> bool {
    matches!(error, Error::Check { sense, .. } if sense.condition() == Condition::UnknownOperation)
}
