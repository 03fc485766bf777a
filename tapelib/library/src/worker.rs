//! A drive's thread: takes jobs, has cartridges moved, opens volumes, runs the fence and the caller's work.

mod cleaning;
mod mounting;
mod work;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use scsi::Drive;
use volume::ltfs::{Appender, Volume};

use crate::charges::Verdict;
use crate::error::{Place, chain};
use crate::label;
use crate::state::{Action, Answer, Job, Shared, Work};
use crate::tape::DriveTape;
use crate::{
    Barcode, Blame, DriveNews, DriveState, Error, MountReport, Seen, SurveyDone, SurveyWork, WorkEnd, reserve,
};

/// One drive and what is in it. Owned by its thread.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    me: usize,
    serial: String,
    element: u16,
    /// `None` only while a mount has it.
    tape: Option<DriveTape>,
    loaded: Option<Loaded>,
    /// Bytes that could not be read in the present job, which its caller knows of.
    damage: Option<Error>,
}

/// A cartridge in the drive.
struct Loaded {
    barcode: Barcode,
    /// Slot it came from.
    home: Option<u16>,
    /// Serial of the medium; `None` until the drive was ready with it.
    mam_serial: Option<String>,
    open: Open,
}

/// How far a loaded cartridge is opened.
enum Open {
    Not,
    Reading(Box<Volume>),
    Appending(Box<Appender>),
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, me: usize, drive: Drive, serial: String, element: u16) -> Self {
        Self { shared, me, serial, element, tape: Some(DriveTape::new(drive)), loaded: None, damage: None }
    }

    /// Takes over a cartridge that was found in the drive: it is used, or put back when it has been idle.
    pub(crate) fn adopt(&mut self, barcode: Barcode) {
        self.loaded = Some(Loaded { barcode, home: None, mam_serial: None, open: Open::Not });
    }

    /// The thread.
    pub(crate) fn run(mut self) {
        loop {
            let action = self.shared.next_action(self.me);
            let unloading = matches!(action, Action::Unload);
            let result = match action {
                Action::Run(job) => contained(|| self.run_job(job)),
                Action::Fail(job, error) => {
                    self.finish(|| job.fail(error));
                    continue;
                }
                Action::Tell(done, answer) => {
                    self.finish(|| done(answer));
                    continue;
                }
                Action::Clean(cleaner, done) => {
                    let result = contained(|| self.clean(&cleaner));
                    if let Some(done) = done {
                        self.finish(|| done(result.clone()));
                    }
                    result
                }
                Action::Unload => contained(|| self.dismount()),
                Action::End => break,
                Action::Wait(_) => unreachable!("waited for in next_action"),
            };
            self.report(result.err(), unloading);
        }
        // Dropped without a shutdown nothing is given back: the next process takes it over.
        if self.loaded.is_none() {
            let reservation = self.shared.config.reservation;
            reserve::give_back(self.tape_mut().drive(), reservation);
        }
        self.shared.state().drives[self.me].ended = true;
        self.shared.changed.notify_all();
    }

    /// Tells everybody how the drive stands after an action, which may have been to unload it.
    fn report(&mut self, error: Option<Error>, unloading: bool) {
        let mut state = self.shared.state();
        let stopping = state.stopping;
        let record = &mut state.drives[self.me];
        record.holds = self.loaded.as_ref().map(|loaded| loaded.barcode.clone());
        record.returning = None;
        record.mounted = self.loaded.as_ref().and_then(|loaded| match &loaded.open {
            Open::Not => None,
            Open::Reading(volume) => Some(volume.uuid()),
            Open::Appending(appender) => Some(appender.volume().uuid()),
        });
        record.idle_since = Instant::now();
        record.state = DriveState::Idle;
        if record.out_of_use.is_some() && (unloading || record.holds.is_none()) {
            record.set_down();
        }
        if let Some(error) = error {
            let why = chain(&error);
            // What a cartridge or a caller did wrong has been told to the caller and is nothing of the drive's.
            if !matches!(error.blame(), Blame::Operator | Blame::Host) {
                tracing::warn!(drive = self.serial, error = why, "a drive's action failed");
                record.last_error = Some(why.clone());
                record.history.push(DriveNews::Failed(why.clone()));
            }
            // Tried in order to stop, and not to be tried for ever.
            let cannot_stop = stopping && unloading && self.loaded.is_some();
            if self.is_down_after(&error) || cannot_stop {
                tracing::error!(code = "TL-0411", drive = self.serial, error = why, "drive set down");
                record.history.push(DriveNews::Down(why.clone()));
                record.clean = None;
                record.state = DriveState::Down { why };
                record.mounted = None;
                // Whatever is done to the drive until it is up again: it is waited for, and the cartridge looked at anew.
                if let Some(loaded) = &mut self.loaded {
                    (loaded.mam_serial, loaded.open) = (None, Open::Not);
                }
            }
        }
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Whether the drive is of no use any more: it is broken, or the changer cannot take its cartridge out.
    fn is_down_after(&self, error: &Error) -> bool {
        error.condemns_drive() || (self.loaded.is_some() && matches!(error, Error::Move { .. }))
    }

    /// Runs a job and tells its caller. An error is returned only for the drive's sake.
    fn run_job(&mut self, job: Job) -> Result<(), Error> {
        tracing::debug!(job = job.number.0, drive = self.serial, barcode = %job.barcode, "job begins");
        if self.loaded.as_ref().is_some_and(|loaded| loaded.barcode != job.barcode)
            && let Err(error) = contained(|| self.dismount())
        {
            if self.is_down_after(&error) {
                // The job's own cartridge was not touched: another drive may run it.
                self.hand_back(job);
            } else {
                self.finish(|| job.fail(error.clone()));
            }
            return Err(error);
        }
        if let Work::PutAway { done } = job.work {
            let result = contained(|| self.dismount());
            // Seen before it is told: whoever asked for it looks where the cartridge is.
            self.shared.state().drives[self.me].holds =
                self.loaded.as_ref().map(|loaded| loaded.barcode.clone());
            self.finish(|| done(result.clone()));
            return result;
        }
        if let Err(error) = contained(|| self.mount(&job.barcode)) {
            let error = self.judged(error);
            if matches!(error, Error::Occupied { .. }) {
                self.hand_back(job);
            } else {
                self.rescue(&error);
                self.finish(|| job.fail(error.clone()));
            }
            return Err(error);
        }
        let (result, after) = match job.work {
            Work::Append { expected, work, done } => {
                let result = contained(|| self.append(&expected, work));
                let (report, end) = split(self.tried(result));
                let failed = report.as_ref().err().cloned();
                self.finish(|| done(report));
                (failed, end)
            }
            Work::Read { expected, work, done } => {
                let result = contained(|| self.read(&expected, work));
                let (report, end) = split(self.tried(result));
                let failed = report.as_ref().err().cloned();
                self.finish(|| done(report));
                (failed, end)
            }
            Work::Survey { work, done } => self.run_survey(work, done),
            Work::Label { identity, overwrite, done } => {
                let place = self.place();
                self.loaded_mut().open = Open::Not;
                let result = contained(|| label::label(self.tape_mut(), &place, &identity, overwrite));
                let result = self.tried(result);
                let failed = result.as_ref().err().cloned();
                self.finish(|| done(result));
                (failed, WorkEnd::Keep)
            }
            Work::Look { done } => self.run_look(done),
            Work::PutAway { .. } => unreachable!("done before the mount"),
        };
        if let Some(error) = result {
            self.rescue(&error);
            return Err(error);
        }
        if after == WorkEnd::Unload { self.dismount() } else { Ok(()) }
    }

    fn run_survey(&mut self, work: SurveyWork, done: SurveyDone) -> (Option<Error>, WorkEnd) {
        let result = contained(|| self.survey(work));
        let failed = result.as_ref().err().cloned();
        let end = result.as_ref().map_or(WorkEnd::Unload, |end| *end);
        self.finish(|| done(result.map(drop)));
        (failed, end)
    }

    fn run_look(&mut self, done: Answer<Seen>) -> (Option<Error>, WorkEnd) {
        let result = contained(|| self.look());
        let failed = result.as_ref().err().cloned();
        self.finish(|| done(result));
        (failed, WorkEnd::Keep)
    }

    /// What a job ended with, after what other tries have shown.
    fn tried<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        match (result, self.damage.take()) {
            (Ok(value), None) => {
                let barcode = self.place().barcode;
                self.shared.state().charges.worked(&self.serial, &barcode);
                Ok(value)
            }
            // The caller knows of the damage; what is told here is whether the drive is of use.
            (Ok(value), Some(damage)) => match self.judged(damage) {
                error if error.condemns_drive() => Err(error),
                _ => Ok(value),
            },
            (Err(error), _) => Err(self.judged(error)),
        }
    }

    /// An error that says whether drive or cartridge is at fault, once trying elsewhere has told.
    fn judged(&self, error: Error) -> Error {
        let Some(loaded) = self.loaded.as_ref().filter(|_| error.is_undecided()) else { return error };
        let (barcode, drive) = (loaded.barcode.clone(), self.serial.clone());
        let blame = match self.shared.state().charges.failed(&drive, &barcode) {
            None => return error,
            Some(Verdict::Cartridge) => Blame::Medium,
            Some(Verdict::Drive) => Blame::Drive,
        };
        Error::Proven { blame, drive, barcode, source: Arc::new(error) }
    }

    /// Puts a job back at the head of the queue.
    fn hand_back(&self, job: Job) {
        let mut state = self.shared.state();
        if state.stopping {
            drop(state);
            job.fail(Error::Stopping);
        } else {
            state.jobs.push_front(job);
        }
    }

    /// After an error: gets the cartridge out, so that it can be tried in another drive, unless the drive is mute.
    fn rescue(&mut self, error: &Error) {
        if error.is_silence() {
            return;
        }
        if let Err(error) = contained(|| self.dismount()) {
            tracing::warn!(drive = self.serial, error = chain(&error), "a cartridge stays in the drive");
        }
    }

    /// Calls the caller's `done`; a panic there must not end the drive's thread.
    fn finish(&self, done: impl FnOnce()) {
        if catch_unwind(AssertUnwindSafe(done)).is_err() {
            tracing::error!(drive = self.serial, "a job's done callback panicked");
        }
    }

    fn place(&self) -> Place {
        let barcode = self.loaded.as_ref().expect("mounted").barcode.clone();
        Place { drive: self.serial.clone(), barcode }
    }

    fn loaded_mut(&mut self) -> &mut Loaded {
        self.loaded.as_mut().expect("mounted")
    }

    fn tape_mut(&mut self) -> &mut DriveTape {
        self.tape.as_mut().expect("the tape is here between jobs")
    }
}

/// Runs a step; a panic in it is an error of that step and sets the drive down, instead of ending its thread with jobs
/// unanswered.
fn contained<T>(step: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(step)).unwrap_or(Err(Error::Fault))
}

fn split(result: Result<(MountReport, WorkEnd), Error>) -> (Result<MountReport, Error>, WorkEnd) {
    match result {
        Ok((report, end)) => (Ok(report), end),
        Err(error) => (Err(error), WorkEnd::Unload),
    }
}
