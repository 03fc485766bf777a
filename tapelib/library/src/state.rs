//! What the drive threads share: the queue, the drives, the inventory; and what a drive does next.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::charges::Charges;
use crate::robot::Robot;
use crate::{
    AppendWork, Barcode, Config, Done, DriveState, Error, Expected, Inventory, JobNumber, LabelledVolume,
    Overwrite, ReadWork, VolumeIdentity, VolumeUuid,
};

/// Locks are taken robot first, then state.
pub(crate) struct Shared {
    pub config: Config,
    pub robot: Mutex<Robot>,
    state: Mutex<State>,
    pub changed: Condvar,
    pub stopping: Arc<AtomicBool>,
}

pub(crate) struct State {
    pub jobs: VecDeque<Job>,
    pub next_number: u64,
    pub inventory: Inventory,
    pub drives: Vec<DriveRecord>,
    /// Failures that drive or cartridge may be at fault for.
    pub charges: Charges,
    pub stopping: bool,
    /// Dropped without a shutdown: threads end as they are.
    pub abandoned: bool,
}

/// A drive, as everybody sees it.
#[derive(Clone, Debug)]
pub(crate) struct DriveRecord {
    pub serial: String,
    pub element: u16,
    pub state: DriveState,
    /// The cartridge in it or on its way into it.
    pub holds: Option<Barcode>,
    /// The cartridge that is put back before that.
    pub returning: Option<Barcode>,
    pub mounted: Option<VolumeUuid>,
    pub last_error: Option<String>,
    /// What it is waiting for, while that takes long.
    pub doing: Option<String>,
    pub wants_cleaning: bool,
    pub idle_since: Instant,
    /// Its thread has ended.
    pub ended: bool,
}

pub(crate) struct Job {
    pub number: JobNumber,
    pub barcode: Barcode,
    pub work: Work,
}

pub(crate) enum Work {
    Append { expected: Expected, work: AppendWork, done: Done },
    Read { expected: Expected, work: ReadWork, done: Done },
    Label { identity: VolumeIdentity, overwrite: Overwrite, done: LabelDone },
}

pub(crate) type LabelDone = Box<dyn FnOnce(Result<LabelledVolume, Error>) + Send>;

impl Job {
    pub(crate) fn fail(self, error: Error) {
        match self.work {
            Work::Append { done, .. } | Work::Read { done, .. } => done(Err(error)),
            Work::Label { done, .. } => done(Err(error)),
        }
    }
}

/// What a drive does next.
pub(crate) enum Action {
    /// Run this job; the drive is claimed for its cartridge.
    Run(Job),
    /// This job can run nowhere.
    Fail(Job, Error),
    /// Put the cartridge back.
    Unload,
    /// End the thread.
    End,
    /// Wait for a change, at most so long.
    Wait(Option<Duration>),
}

impl Shared {
    pub(crate) fn new(config: Config, robot: Robot, state: State) -> Self {
        Self {
            config,
            robot: Mutex::new(robot),
            state: Mutex::new(state),
            changed: Condvar::new(),
            stopping: Arc::default(),
        }
    }

    /// The state. A panic while it was held left it consistent: every change is one assignment.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn robot(&self) -> MutexGuard<'_, Robot> {
        self.robot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocks until drive `me` has something to do, and marks it busy.
    pub(crate) fn next_action(&self, me: usize) -> Action {
        let mut state = self.state();
        loop {
            match state.select(me, Instant::now(), self.config.idle) {
                Action::Wait(None) => {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                Action::Wait(Some(limit)) => {
                    state = self.changed.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner).0;
                }
                action => {
                    state.apply(me, &action);
                    return action;
                }
            }
        }
    }
}

impl State {
    /// What drive `me` does next. Takes the job out of the queue.
    fn select(&mut self, me: usize, now: Instant, idle: Duration) -> Action {
        let drive = &self.drives[me];
        if self.stopping {
            return if drive.holds.is_some() && !drive.is_down() && !self.abandoned {
                Action::Unload
            } else {
                Action::End
            };
        }
        if let Some(failure) = self.hopeless() {
            return failure;
        }
        let drive = &self.drives[me];
        if drive.is_down() {
            return Action::Wait(None);
        }
        let mine = self.jobs.iter().position(|job| drive.holds.as_ref() == Some(&job.barcode));
        if let Some(job) = mine.or_else(|| self.job_in_a_slot(me)).and_then(|at| self.jobs.remove(at)) {
            return Action::Run(job);
        }
        let drive = &self.drives[me];
        if drive.holds.is_none() {
            return Action::Wait(None);
        }
        let left = (drive.idle_since + idle).saturating_duration_since(now);
        if left.is_zero() { Action::Unload } else { Action::Wait(Some(left)) }
    }

    /// A job that no drive can run: its cartridge is in a drive that is down, or every drive is.
    fn hopeless(&mut self) -> Option<Action> {
        let stranded =
            |job: &Job| self.drives.iter().find(|drive| drive.is_down() && drive.has(&job.barcode));
        if let Some(at) = self.jobs.iter().position(|job| stranded(job).is_some()) {
            let drive = stranded(&self.jobs[at])?.serial.clone();
            let job = self.jobs.remove(at)?;
            let barcode = job.barcode.clone();
            return Some(Action::Fail(job, Error::Stranded { barcode, drive }));
        }
        if self.drives.iter().all(DriveRecord::is_down) {
            return Some(Action::Fail(self.jobs.pop_front()?, Error::NoDriveUp));
        }
        None
    }

    /// The oldest job whose cartridge no drive has, unless drive `me` would have to put a cartridge back first and
    /// another drive would not, or the cartridge has failed in drive `me` and another drive could try it.
    fn job_in_a_slot(&self, me: usize) -> Option<usize> {
        let empty =
            |drive: &DriveRecord| drive.holds.is_none() && drive.state == DriveState::Idle && !drive.ended;
        if self.drives[me].holds.is_some() && self.drives.iter().any(empty) {
            return None;
        }
        let failed = |drive: &DriveRecord, job: &Job| self.charges.stands(&drive.serial, &job.barcode);
        let for_another = |job: &Job| {
            let could = |drive: &DriveRecord| !drive.is_down() && !drive.ended && !failed(drive, job);
            failed(&self.drives[me], job) && self.drives.iter().any(could)
        };
        let taken = |job: &Job| self.drives.iter().any(|drive| drive.has(&job.barcode));
        self.jobs.iter().position(|job| !taken(job) && !for_another(job))
    }

    fn apply(&mut self, me: usize, action: &Action) {
        let drive = &mut self.drives[me];
        match action {
            Action::Run(job) => {
                drive.state = DriveState::Busy;
                let held = drive.holds.replace(job.barcode.clone());
                drive.returning = held.filter(|held| *held != job.barcode);
            }
            Action::Unload => drive.state = DriveState::Busy,
            Action::Fail(..) | Action::End | Action::Wait(_) => {}
        }
    }
}

impl DriveRecord {
    pub(crate) fn is_down(&self) -> bool {
        matches!(self.state, DriveState::Down { .. })
    }

    /// Whether the cartridge is in this drive, on its way into it, or on its way back.
    fn has(&self, barcode: &Barcode) -> bool {
        self.holds.as_ref() == Some(barcode) || self.returning.as_ref() == Some(barcode)
    }
}

#[cfg(test)]
mod tests;
