//! A drive's time: until when it is at work, and what each command adds to that.

use crate::timing::{self, Place, Stream, Timing};
use scsi::opcode;
use scsi::ssc::Command;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Pace {
    timing: Timing,
    /// The drive is done with the last command.
    free_at: Duration,
    /// The cartridge that was put in is ready.
    ready_at: Duration,
    stream: Stream,
}

impl Pace {
    pub fn new(timing: Timing) -> Self {
        let zero = Duration::ZERO;
        Self { timing, free_at: zero, ready_at: zero, stream: Stream::stopped(zero) }
    }

    pub fn takes_time(&self) -> bool {
        self.timing.clock.is_some()
    }

    pub fn free_at(&self) -> Duration {
        self.free_at
    }

    /// The drive takes part in something that happens at `time`.
    pub fn at_least(&mut self, time: Duration) {
        self.free_at = self.free_at.max(time);
    }

    /// A command comes. TEST UNIT READY is kept waiting for a cartridge that is almost ready.
    pub fn begin(&mut self, operation: u8) {
        let Some(clock) = &self.timing.clock else { return };
        self.free_at = clock.begin(self.free_at);
        if operation == opcode::TEST_UNIT_READY && clock.is_soon(self.free_at, self.ready_at) {
            self.at_least(self.ready_at);
        }
    }

    pub fn is_loading(&self) -> bool {
        self.free_at < self.ready_at
    }

    /// A cartridge begins to load now; a new one may have to be measured.
    pub fn load(&mut self, is_new: bool) {
        if self.takes_time() {
            let measured =
                if is_new && self.timing.initialises { timing::INITIALISE } else { Duration::ZERO };
            self.ready_at = self.free_at + timing::LOAD + measured;
            self.stream = Stream::stopped(self.ready_at);
        }
    }

    /// A command has been carried out, that moved the tape from one place to another.
    pub fn spend(&mut self, command: &Command, from: Option<Place>, to: Option<Place>, transferred: usize) {
        let now = self.free_at;
        self.free_at = match (command, from, to) {
            (Command::Read { .. }, Some(_), Some(_)) => self.stream.read(now, transferred),
            (Command::Write { .. }, Some(_), Some(_)) => self.stream.write(now, transferred),
            (Command::WriteFilemarks { immediate: true, .. }, Some(_), Some(_)) => self.stream.write(now, 0),
            (Command::WriteFilemarks { count, .. }, Some(_), Some(_)) => {
                if *count > 0 {
                    self.stream.write(now, 0);
                }
                self.stream.sync(now)
            }
            (Command::LoadUnload { load: true, immediate: false }, None, Some(_)) => self.ready_at,
            (Command::LoadUnload { load: false, .. }, Some(from), None) => {
                self.stop() + timing::rewind(from) + timing::UNLOAD
            }
            (Command::Rewind { .. }, Some(from), Some(to)) if to == Place::BEGINNING && from != to => {
                self.stop() + timing::rewind(from)
            }
            (
                Command::Rewind { .. }
                | Command::Space { .. }
                | Command::SpaceShort { .. }
                | Command::Locate { .. }
                | Command::LoadUnload { .. },
                Some(from),
                Some(to),
            ) => {
                let stopped = self.stop();
                if from == to { stopped } else { stopped + timing::locate(from, to) }
            }
            (Command::FormatMedium { .. }, Some(_), Some(_)) => self.stop() + timing::FORMAT,
            _ => now,
        };
        if moves(command) {
            self.stream = Stream::stopped(self.free_at);
        }
    }

    /// What is in the buffer goes to the tape first.
    fn stop(&mut self) -> Duration {
        self.stream.sync(self.free_at)
    }
}

/// Whether a command ends reading or writing in a row.
fn moves(command: &Command) -> bool {
    matches!(
        command,
        Command::Rewind { .. }
            | Command::Space { .. }
            | Command::SpaceShort { .. }
            | Command::Locate { .. }
            | Command::LoadUnload { .. }
            | Command::FormatMedium { .. }
    )
}
