//! What the drive threads share: the queue, the drives, the inventory; and what a drive does next.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::charges::Charges;
use crate::history::History;
use crate::medium::Alerts;
use crate::robot::Robot;
use crate::{
    AppendWork, Barcode, Config, Done, DriveNews, DriveState, Error, Expected, Inventory, JobNumber,
    LabelledVolume, Ours, Overwrite, ReadWork, Seen, SurveyDone, SurveyWork, VolumeIdentity, VolumeUuid,
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
    /// Cartridges on their way out: jobs from this number on wait until they are out, or stay after all.
    pub leaving: BTreeMap<Barcode, JobNumber>,
    pub next_number: u64,
    pub inventory: Inventory,
    pub ours: Ours,
    /// Cleaning cartridges that are used up.
    pub spent: BTreeSet<Barcode>,
    pub drives: Vec<DriveRecord>,
    /// Failures that drive or cartridge may be at fault for.
    pub charges: Charges,
    pub stopping: bool,
    /// Nothing is mounted until somebody says so: jobs wait, cartridges go back.
    pub held: bool,
    /// Dropped without a shutdown: threads end as they are.
    pub abandoned: bool,
}

/// A drive, as everybody sees it.
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
    /// Somebody wants it cleaned.
    pub clean: Option<Answer<()>>,
    /// Somebody wants it used no more, and why.
    pub out_of_use: Option<String>,
    pub history: History,
    pub idle_since: Instant,
    /// Its thread has ended.
    pub ended: bool,
}

pub(crate) struct Job {
    pub number: JobNumber,
    pub barcode: Barcode,
    /// Serial of the only drive that will do.
    pub drive: Option<String>,
    pub work: Work,
}

pub(crate) enum Work {
    Append {
        expected: Expected,
        work: AppendWork,
        done: Done,
    },
    Read {
        expected: Expected,
        work: ReadWork,
        done: Done,
    },
    Label {
        identity: VolumeIdentity,
        overwrite: Overwrite,
        done: Answer<LabelledVolume>,
    },
    /// Load it and see what it is.
    Look {
        done: Answer<Seen>,
    },
    /// Have it in no drive.
    PutAway {
        done: Answer<()>,
    },
    /// See whatever volume it carries.
    Survey {
        work: SurveyWork,
        done: SurveyDone,
    },
}

/// Takes what became of a job.
pub(crate) type Answer<T> = Box<dyn FnOnce(Result<T, Error>) + Send>;

impl Work {
    pub(crate) fn is_put_away(&self) -> bool {
        matches!(self, Self::PutAway { .. })
    }
}

impl Job {
    pub(crate) fn fail(self, error: Error) {
        match self.work {
            Work::Append { done, .. } | Work::Read { done, .. } => done(Err(error)),
            Work::Survey { done, .. } => done(Err(error)),
            Work::Label { done, .. } => done(Err(error)),
            Work::Look { done } => done(Err(error)),
            Work::PutAway { done } => done(Err(error)),
        }
    }
}

/// What a drive does next.
pub(crate) enum Action {
    /// Run this job; the drive is claimed for its cartridge.
    Run(Job),
    /// This job can run nowhere.
    Fail(Job, Error),
    /// This is so already, or cannot be.
    Tell(Answer<()>, Result<(), Error>),
    /// Clean the drive with this cartridge, and tell whoever asked for it.
    Clean(Barcode, Option<Answer<()>>),
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
        if let Some(action) = self.away().or_else(|| self.hopeless()) {
            return action;
        }
        let drive = &self.drives[me];
        if drive.is_down() {
            return Action::Wait(None);
        }
        if drive.out_of_use.is_some() || self.held {
            return if drive.holds.is_some() { Action::Unload } else { Action::Wait(None) };
        }
        if let Some(action) = self.cleaning(me) {
            return action;
        }
        let drive = &self.drives[me];
        let here = |job: &Job| drive.holds.as_ref() == Some(&job.barcode) && self.may_run(job);
        let mine = self.jobs.iter().position(here);
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

    /// A cartridge that is to be in no drive, and is in none, nor wanted by an older job.
    fn away(&mut self) -> Option<Action> {
        let settled = |(at, job): (usize, &Job)| {
            job.work.is_put_away()
                && !self.drives.iter().any(|drive| drive.has(&job.barcode))
                && !self.jobs.iter().take(at).any(|older| older.barcode == job.barcode)
        };
        let at = self.jobs.iter().enumerate().position(settled)?;
        match self.jobs.remove(at)?.work {
            Work::PutAway { done } => Some(Action::Tell(done, Ok(()))),
            _ => None,
        }
    }

    /// Cleans a drive that asks for it, or for which somebody does, when a cleaning cartridge is at hand.
    fn cleaning(&mut self, me: usize) -> Option<Action> {
        let cleaner = self.cleaner();
        let drive = &mut self.drives[me];
        match (cleaner, drive.clean.take()) {
            (Some(cleaner), Some(done)) => Some(Action::Clean(cleaner, Some(done))),
            (Some(cleaner), None) if drive.wants_cleaning => Some(Action::Clean(cleaner, None)),
            (None, Some(done)) => {
                let drive = drive.serial.clone();
                Some(Action::Tell(done, Err(Error::NoCleaner { drive })))
            }
            _ => None,
        }
    }

    /// A cleaning cartridge of ours in a slot that is of use, as far as known.
    pub(crate) fn cleaner(&self) -> Option<Barcode> {
        let there = self.inventory.slots.iter().filter_map(|slot| slot.barcode.as_ref());
        let mut of_use = there.filter(|barcode| {
            barcode.is_cleaning()
                && self.ours.covers(barcode)
                && !self.spent.contains(barcode)
                && !self.leaving.contains_key(barcode)
                && !self.drives.iter().any(|drive| drive.has(barcode))
        });
        of_use.next().cloned()
    }

    /// A cartridge that is on its way out is used by jobs from before that was said.
    fn may_run(&self, job: &Job) -> bool {
        job.work.is_put_away() || self.leaving.get(&job.barcode).is_none_or(|limit| job.number < *limit)
    }

    /// A job that no drive can run: its cartridge is in a drive that is down, or every drive is.
    fn hopeless(&mut self) -> Option<Action> {
        let wanted = |job: &Job| {
            self.drives.iter().find(|drive| drive.is_down() && job.drive.as_ref() == Some(&drive.serial))
        };
        if let Some(at) = self.jobs.iter().position(|job| wanted(job).is_some()) {
            let drive = wanted(&self.jobs[at])?.serial.clone();
            return Some(Action::Fail(self.jobs.remove(at)?, Error::DriveDown { drive }));
        }
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
        let drive = &self.drives[me];
        let leaves_it = drive.holds.is_some() && self.drives.iter().any(empty);
        let failed = |drive: &DriveRecord, job: &Job| self.charges.stands(&drive.serial, &job.barcode);
        let for_another = |job: &Job| {
            let could = |drive: &DriveRecord| !drive.is_down() && !drive.ended && !failed(drive, job);
            leaves_it || failed(drive, job) && self.drives.iter().any(could)
        };
        let taken = |job: &Job| self.drives.iter().any(|drive| drive.has(&job.barcode));
        self.jobs.iter().position(|job| {
            let for_me = job.drive.as_ref().map_or(!for_another(job), |wanted| *wanted == drive.serial);
            for_me && self.may_run(job) && !job.work.is_put_away() && !taken(job)
        })
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
            Action::Clean(cleaner, _) => {
                drive.state = DriveState::Cleaning;
                drive.returning = drive.holds.replace(cleaner.clone());
            }
            Action::Fail(..) | Action::Tell(..) | Action::End | Action::Wait(_) => {}
        }
    }
}

impl DriveRecord {
    pub(crate) fn is_down(&self) -> bool {
        matches!(self.state, DriveState::Down { .. })
    }

    /// Takes note of what the drive says.
    pub(crate) fn hear(&mut self, alerts: Alerts) {
        self.wants_cleaning |= alerts.wants_cleaning;
        alerts.told.into_iter().for_each(|text| self.history.push(DriveNews::Alert(text)));
    }

    /// Sets a drive down that is not to be used any more.
    pub(crate) fn set_down(&mut self) {
        if let Some(why) = self.out_of_use.take() {
            self.history.push(DriveNews::Down(why.clone()));
            self.state = DriveState::Down { why };
        }
    }

    /// Whether the cartridge is in this drive, on its way into it, or on its way back.
    fn has(&self, barcode: &Barcode) -> bool {
        self.holds.as_ref() == Some(barcode) || self.returning.as_ref() == Some(barcode)
    }
}

#[cfg(test)]
mod tests;
