//! The library itself.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use scsi::limits::PATIENCE;
use scsi::{Changer, Drive, Transport};

use crate::charges::Charges;
use crate::error::chain;
use crate::history::History;
use crate::robot::Robot;
use crate::state::{Answer, DriveRecord, Job, Shared, State, Work};
use crate::tape::pause;
use crate::worker::Worker;
use crate::{
    AppendWork, Barcode, Config, Done, DriveState, DriveStatus, Error, Inventory, LabelledVolume, Mount,
    Overwrite, ReadWork, SurveyDone, SurveyWork, VolumeIdentity,
};

/// Number of a queued job; grows by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobNumber(pub u64);

/// The queue holds as many jobs as it may; `done` was not called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the job queue is full, or the library is shutting down")]
pub struct QueueFull;

/// The library did not stop in time: these drives (serials) are still busy. Their volumes may have an unclean end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("drives still busy: {}", .0.join(", "))]
pub struct Stuck(pub Vec<String>);

/// One tape library. All methods may be called from any thread; those that say so block for as long as the machine
/// takes. Dropping it without [`Library::shutdown`] leaves cartridges in drives and index partitions behind.
pub struct Library {
    pub(crate) shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Library {
    /// Identifies the devices by serial, reads the inventory, and starts a thread for every drive. Cartridges found
    /// in drives are taken over: used when a job asks for them, else put back once idle. A drive that does not answer, or that the changer does not know, is left out
    /// with a warning; without any drive left this fails. Blocks.
    pub fn open(
        config: Config,
        changer: Box<dyn Transport>,
        drives: Vec<Box<dyn Transport>>,
    ) -> Result<Self, Error> {
        Self::open_with(config, changer, |_| drives)
    }

    /// As [`Library::open`], where the changer says which drives there are: `drives` opens those that are wanted, and is
    /// asked once the changer is ready and reserved.
    pub fn open_with(
        config: Config,
        changer: Box<dyn Transport>,
        drives: impl FnOnce(&Inventory) -> Vec<Box<dyn Transport>>,
    ) -> Result<Self, Error> {
        let (mut robot, _serial) =
            Robot::open(Changer::new(changer).patient(PATIENCE, pause), config.reservation)?;
        let inventory = robot.inventory()?;
        let found = identify_drives(drives(&inventory), &inventory);
        if found.is_empty() {
            return Err(Error::NoDrives { library: config.name.clone() });
        }
        let records = found.iter().map(|(_, serial, element)| DriveRecord {
            serial: serial.clone(),
            element: *element,
            state: DriveState::Idle,
            holds: None,
            returning: None,
            mounted: None,
            last_error: None,
            doing: None,
            wants_cleaning: false,
            clean: None,
            out_of_use: None,
            history: History::default(),
            idle_since: Instant::now(),
            ended: false,
        });
        let state = State {
            jobs: VecDeque::new(),
            leaving: BTreeMap::new(),
            next_number: 1,
            inventory: inventory.clone(),
            ours: config.ours.clone(),
            spent: BTreeSet::new(),
            drives: records.collect(),
            charges: Charges::default(),
            stopping: false,
            held: false,
            abandoned: false,
        };
        let shared = Arc::new(Shared::new(config, robot, state));
        let mut threads = Vec::new();
        for (me, (drive, serial, element)) in found.into_iter().enumerate() {
            let mut worker = Worker::new(shared.clone(), me, drive, serial.clone(), element);
            adopt(&shared, me, &mut worker, &inventory);
            let thread = thread::Builder::new().name(format!("{}-{serial}", shared.config.name));
            let spawned = thread.spawn(move || worker.run());
            let failed =
                |source| Error::Identify { device: format!("drive {serial}"), source: Arc::new(source) };
            threads.push(spawned.map_err(failed)?);
        }
        Ok(Self { shared, threads: Mutex::new(threads) })
    }

    /// The inventory as last known; does not ask the machine. Cartridges that are not ours show no barcode.
    pub fn inventory(&self) -> Inventory {
        self.ours(self.shared.state().inventory.clone())
    }

    /// Asks the changer what is where. Blocks, also while cartridges are moved.
    pub fn rescan(&self) -> Result<Inventory, Error> {
        let mut robot = self.shared.robot();
        let inventory = robot.inventory()?;
        self.shared.state().inventory = inventory.clone();
        self.shared.changed.notify_all();
        Ok(self.ours(inventory))
    }

    /// Every drive.
    pub fn drives(&self) -> Vec<DriveStatus> {
        let state = self.shared.state();
        let status = |drive: &DriveRecord| DriveStatus {
            serial: drive.serial.clone(),
            element: drive.element,
            state: drive.state.clone(),
            barcode: drive.returning.clone().or_else(|| drive.holds.clone()),
            mounted: drive.mounted,
            last_error: drive.last_error.clone(),
            doing: drive.doing.clone(),
            wants_cleaning: drive.wants_cleaning,
        };
        state.drives.iter().map(status).collect()
    }

    /// Makes a volume of a cartridge: labels, an empty index in both partitions, cartridge memory. Blocks until done.
    pub fn label(
        &self,
        barcode: &Barcode,
        identity: VolumeIdentity,
        overwrite: Overwrite,
    ) -> Result<LabelledVolume, Error> {
        self.wait_for(barcode, None, |done| Work::Label { identity, overwrite, done })
    }

    /// Queues a job, for one drive if need be, and blocks until it is over.
    pub(crate) fn wait_for<T: Send + 'static>(
        &self,
        barcode: &Barcode,
        drive: Option<String>,
        work: impl FnOnce(Answer<T>) -> Work,
    ) -> Result<T, Error> {
        let (sender, receiver) = mpsc::sync_channel(1);
        // The receiver lives until the answer is here.
        let queued =
            self.submit(barcode.clone(), drive, work(Box::new(move |result| drop(sender.send(result)))));
        queued.map_err(
            |QueueFull| if self.shared.state().stopping { Error::Stopping } else { Error::QueueFull },
        )?;
        receiver.recv().unwrap_or(Err(Error::Stopping))
    }

    /// Queues work that appends to a volume; returns at once. The work runs after the write fence.
    pub fn append(&self, mount: Mount, work: AppendWork, done: Done) -> Result<JobNumber, QueueFull> {
        self.submit(mount.barcode, None, Work::Append { expected: mount.expect, work, done })
    }

    /// Queues work that reads from a volume; returns at once. Only UUID, medium serial and label are compared, so a
    /// volume that may not be written any more can still be read.
    pub fn read(&self, mount: Mount, work: ReadWork, done: Done) -> Result<JobNumber, QueueFull> {
        self.submit(mount.barcode, None, Work::Read { expected: mount.expect, work, done })
    }

    /// Queues a look at whatever volume a cartridge carries; returns at once. Nothing is expected of it and nothing is
    /// written; a cartridge without a volume ends it with [`Error::Fence`].
    pub fn survey(
        &self,
        barcode: Barcode,
        work: SurveyWork,
        done: SurveyDone,
    ) -> Result<JobNumber, QueueFull> {
        self.submit(barcode, None, Work::Survey { work, done })
    }

    /// While a library is held nothing is mounted: cartridges go back to their slots as their jobs end, and queued jobs
    /// wait. Returns at once.
    pub fn hold(&self, held: bool) {
        self.shared.state().held = held;
        self.shared.changed.notify_all();
    }

    /// How many jobs wait.
    pub fn queued(&self) -> usize {
        self.shared.state().jobs.len()
    }

    /// Blocks until no job waits and no drive is at work, at most `deadline`. Cartridges stay where they are.
    pub fn quiesce(&self, deadline: Duration) -> Result<(), Stuck> {
        let rests = |drive: &DriveRecord| !matches!(drive.state, DriveState::Busy | DriveState::Cleaning);
        self.wait_until(deadline, |state, drive| state.jobs.is_empty() && rests(drive))
    }

    /// Lets current work end, fails queued jobs with [`Error::Stopping`], writes index partitions, unloads, puts all
    /// cartridges back. Blocks at most `deadline`. Later jobs are refused.
    pub fn shutdown(&self, deadline: Duration) -> Result<(), Stuck> {
        self.stop(false);
        self.wait_until(deadline, |_, drive| drive.ended)?;
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            if thread.join().is_err() {
                tracing::error!(library = self.shared.config.name, "a drive's thread panicked");
            }
        }
        self.shared.robot().give_back(self.shared.config.reservation);
        Ok(())
    }

    fn stop(&self, abandoned: bool) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        let mut state = self.shared.state();
        state.stopping = true;
        state.abandoned |= abandoned;
        let jobs = std::mem::take(&mut state.jobs);
        let cleanings: Vec<_> = state.drives.iter_mut().filter_map(|drive| drive.clean.take()).collect();
        drop(state);
        cleanings.into_iter().for_each(|done| done(Err(Error::Stopping)));
        self.shared.changed.notify_all();
        jobs.into_iter().for_each(|job| job.fail(Error::Stopping));
    }

    /// Waits until `settled` holds for every drive; else tells for which it does not.
    fn wait_until(
        &self,
        limit: Duration,
        settled: impl Fn(&State, &DriveRecord) -> bool,
    ) -> Result<(), Stuck> {
        let end = Instant::now() + limit;
        let mut state = self.shared.state();
        loop {
            let busy = state.drives.iter().filter(|drive| !settled(&state, drive));
            let busy: Vec<String> = busy.map(|drive| drive.serial.clone()).collect();
            let left = end.saturating_duration_since(Instant::now());
            if busy.is_empty() {
                return Ok(());
            }
            if left.is_zero() {
                return Err(Stuck(busy));
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn submit(&self, barcode: Barcode, drive: Option<String>, work: Work) -> Result<JobNumber, QueueFull> {
        let mut state = self.shared.state();
        if state.stopping || state.jobs.len() >= self.shared.config.jobs_max {
            return Err(QueueFull);
        }
        let number = JobNumber(state.next_number);
        state.next_number += 1;
        let job = Job { number, barcode, drive, work };
        if let Some(error) = self.refusal(&job) {
            drop(state);
            job.fail(error);
            return Ok(number);
        }
        state.jobs.push_back(job);
        drop(state);
        self.shared.changed.notify_all();
        Ok(number)
    }

    /// Why a cartridge is never touched, if it is not.
    fn refusal(&self, job: &Job) -> Option<Error> {
        let barcode = job.barcode.clone();
        if barcode.is_cleaning() && !job.work.is_put_away() {
            return Some(Error::NotWritable { barcode, why: "a cleaning cartridge" });
        }
        (!self.shared.config.ours.covers(&barcode)).then_some(Error::Missing { barcode })
    }

    pub(crate) fn ours(&self, mut inventory: Inventory) -> Inventory {
        let hide = |barcode: &mut Option<Barcode>| {
            if barcode.as_ref().is_some_and(|barcode| !self.shared.config.ours.covers(barcode)) {
                *barcode = None;
            }
        };
        inventory.slots.iter_mut().chain(&mut inventory.mail_slots).for_each(|slot| hide(&mut slot.barcode));
        inventory.drives.iter_mut().for_each(|drive| hide(&mut drive.barcode));
        inventory
    }
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Library").field("name", &self.shared.config.name).finish_non_exhaustive()
    }
}

/// Which transport leads to which drive element: by serial number, never by order.
fn identify_drives(transports: Vec<Box<dyn Transport>>, inventory: &Inventory) -> Vec<(Drive, String, u16)> {
    let mut found: Vec<(Drive, String, u16)> = Vec::new();
    for (at, transport) in transports.into_iter().enumerate() {
        let mut drive = Drive::new(transport).patient(PATIENCE, pause);
        let serial = match drive.identify() {
            Ok(identity) => identity.serial,
            Err(error) => {
                tracing::warn!(code = "TL-0401", at, error = chain(&error), "a drive cannot be identified");
                continue;
            }
        };
        let element = inventory.drives.iter().find(|element| element.serial.as_deref() == Some(&serial));
        match element {
            Some(_) if found.iter().any(|(_, known, _)| *known == serial) => {
                tracing::warn!(serial, "two paths lead to one drive; the first is used");
            }
            Some(element) => found.push((drive, serial, element.element)),
            None => tracing::warn!(code = "TL-0401", serial, "the changer knows no drive of that serial"),
        }
    }
    found
}

/// Hands a cartridge that was found in a drive to its thread. One that is not ours is left where it is, and the drive
/// with it.
fn adopt(shared: &Shared, me: usize, worker: &mut Worker, inventory: &Inventory) {
    let mut state = shared.state();
    let record = &mut state.drives[me];
    let Some(drive) = inventory.drives.iter().find(|drive| drive.element == record.element && drive.full)
    else {
        return;
    };
    match drive.barcode.clone().filter(|barcode| shared.config.ours.covers(barcode)) {
        Some(barcode) => {
            record.holds = Some(barcode.clone());
            worker.adopt(barcode);
        }
        None => {
            let why = "a cartridge that is not ours is in it".to_owned();
            record.last_error = Some(why.clone());
            record.state = DriveState::Down { why };
        }
    }
}

impl Drop for Library {
    /// Threads end after the job they are at; nothing is unloaded.
    fn drop(&mut self) {
        self.stop(true);
    }
}
