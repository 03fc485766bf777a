//! A drive's thread: takes jobs, has cartridges moved, opens volumes, runs the fence and the caller's work.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use scsi::Drive;
use volume::ltfs::{self, Appender, Committed, Tail, Volume, memory};

use crate::error::{Place, chain};
use crate::label;
use crate::mounted::{Appending, Mounted, Reading};
use crate::state::{Action, Job, Shared, Work};
use crate::tape::{DriveTape, make_ready};
use crate::{
    AppendWork, Barcode, Blame, DriveState, End, Error, Expected, FenceMismatch, MountReport, ReadWork,
    Recovered, WorkEnd, fence,
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
        Self { shared, me, serial, element, tape: Some(DriveTape::new(drive)), loaded: None }
    }

    /// Takes over a cartridge that was found in the drive: it is used, or put back when it has been idle.
    pub(crate) fn adopt(&mut self, barcode: Barcode) {
        self.loaded = Some(Loaded { barcode, home: None, mam_serial: None, open: Open::Not });
    }

    /// The thread.
    pub(crate) fn run(mut self) {
        loop {
            let result = match self.shared.next_action(self.me) {
                Action::Run(job) => self.run_job(job),
                Action::Fail(job, error) => {
                    job.fail(error);
                    continue;
                }
                Action::Unload => self.dismount(),
                Action::End => break,
                Action::Wait(_) => unreachable!("waited for in next_action"),
            };
            self.report(result.err());
        }
        self.shared.state().drives[self.me].ended = true;
        self.shared.changed.notify_all();
    }

    /// Tells everybody how the drive stands after an action.
    fn report(&self, error: Option<Error>) {
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
        if let Some(error) = error {
            let why = chain(&error);
            // What a cartridge or a caller did wrong has been told to the caller and is nothing of the drive's.
            if !matches!(error.blame(), Blame::Operator | Blame::Host) {
                tracing::warn!(drive = self.serial, error = why, "a drive's action failed");
                record.last_error = Some(why.clone());
            }
            let cannot_stop = stopping && self.loaded.is_some();
            if self.is_down_after(&error) || cannot_stop {
                tracing::error!(code = "TL-0411", drive = self.serial, error = why, "drive set down");
                record.state = DriveState::Down { why };
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
            && let Err(error) = self.dismount()
        {
            if self.is_down_after(&error) {
                // The job's own cartridge was not touched: another drive may run it.
                self.hand_back(job);
            } else {
                job.fail(error.clone());
            }
            return Err(error);
        }
        if let Err(error) = self.mount(&job.barcode) {
            self.rescue(&error);
            job.fail(error.clone());
            return Err(error);
        }
        let (result, after) = match job.work {
            Work::Append { expected, work, done } => {
                let result = self.append(&expected, work);
                let (report, end) = split(result);
                let failed = report.as_ref().err().cloned();
                self.finish(|| done(report));
                (failed, end)
            }
            Work::Read { expected, work, done } => {
                let result = self.read(&expected, work);
                let (report, end) = split(result);
                let failed = report.as_ref().err().cloned();
                self.finish(|| done(report));
                (failed, end)
            }
            Work::Label { identity, overwrite, done } => {
                let place = self.place();
                self.loaded_mut().open = Open::Not;
                let result = label::label(self.tape_mut(), &place, &identity, overwrite);
                let failed = result.as_ref().err().cloned();
                self.finish(|| done(result));
                (failed, WorkEnd::Keep)
            }
        };
        if let Some(error) = result {
            self.rescue(&error);
            return Err(error);
        }
        if after == WorkEnd::Unload { self.dismount() } else { Ok(()) }
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
        if let Err(error) = self.dismount() {
            tracing::warn!(drive = self.serial, error = chain(&error), "a cartridge stays in the drive");
        }
    }

    /// Calls the caller's `done`; a panic there must not end the drive's thread.
    fn finish(&self, done: impl FnOnce()) {
        if catch_unwind(AssertUnwindSafe(done)).is_err() {
            tracing::error!(drive = self.serial, "a job's done callback panicked");
        }
    }

    // === Mounting ===

    /// Has the cartridge loaded in this drive, which is empty or has it already; ready, with variable blocks.
    fn mount(&mut self, barcode: &Barcode) -> Result<(), Error> {
        if self.loaded.is_none() {
            self.fetch(barcode)?;
        }
        if self.loaded_mut().mam_serial.is_some() {
            return Ok(());
        }
        let place = self.place();
        let ready_timeout = self.shared.config.ready_timeout;
        let tape = self.tape_mut();
        let ready = make_ready(tape.drive(), ready_timeout).map_err(|error| place.drive_error(error));
        let serial = ready
            .and_then(|()| memory::medium_serial(tape).map_err(|error| place.volume_error(error.into())));
        self.loaded_mut().mam_serial = Some(serial?);
        Ok(())
    }

    /// Has a cartridge moved from its slot into this empty drive.
    fn fetch(&mut self, barcode: &Barcode) -> Result<(), Error> {
        let shared = self.shared.clone();
        let mut robot = shared.robot();
        let known = shared.state().inventory.slot_of(barcode);
        let home = match known {
            Some(home) => home,
            // Somebody may have put it in since the last look.
            None => {
                let inventory = robot.inventory()?;
                let home = inventory.slot_of(barcode);
                shared.state().inventory = inventory;
                home.ok_or(Error::Missing { barcode: barcode.clone() })?
            }
        };
        let inventory = match robot.move_cartridge(barcode, home, self.element) {
            Ok(inventory) => inventory,
            Err(error) => {
                let inventory = robot.inventory()?;
                let gone = inventory.slot_of(barcode).is_none();
                shared.state().inventory = inventory;
                return Err(if gone { Error::Missing { barcode: barcode.clone() } } else { error });
            }
        };
        let arrived = inventory.barcode_at(self.element).cloned();
        shared.state().inventory = inventory;
        drop(robot);
        let as_asked = arrived.as_ref().is_none_or(|arrived| arrived == barcode);
        let (home, mam_serial) = (Some(home), None);
        self.loaded =
            Some(Loaded { barcode: arrived.unwrap_or(barcode.clone()), home, mam_serial, open: Open::Not });
        if as_asked {
            return Ok(());
        }
        // Somebody changed cartridges between the last look and the move.
        self.dismount()?;
        Err(Error::Missing { barcode: barcode.clone() })
    }

    /// Closes the volume, unloads, and has the cartridge put back where it came from, or into any empty slot.
    fn dismount(&mut self) -> Result<(), Error> {
        let Some(loaded) = &mut self.loaded else { return Ok(()) };
        let place = Place { drive: self.serial.clone(), barcode: loaded.barcode.clone() };
        let tape = self.tape.as_mut().expect("the tape is here between jobs");
        if let Open::Appending(appender) = std::mem::replace(&mut loaded.open, Open::Not)
            && let Err(error) = appender.close(tape).map_err(|error| place.volume_error(error))
        {
            // Everything was committed by the job: only the copy of the index in the index partition is older.
            tracing::warn!(drive = self.serial, error = chain(&error), "the index partition was not written");
            if error.condemns_drive() {
                return Err(error);
            }
        }
        unload(tape.drive()).map_err(|error| place.drive_error(error))?;
        let (barcode, home) = (loaded.barcode.clone(), loaded.home);
        self.put_back(&barcode, home)?;
        self.loaded = None;
        Ok(())
    }

    /// Has the cartridge moved into a slot; into another one when the slot chosen first turned out to be taken.
    fn put_back(&self, barcode: &Barcode, home: Option<u16>) -> Result<(), Error> {
        let mut robot = self.shared.robot();
        let no_slot = || Error::NoSlot { barcode: barcode.clone() };
        let slot = self.shared.state().inventory.empty_slot(home).ok_or_else(no_slot)?;
        let moved = robot.move_cartridge(barcode, self.element, slot);
        let inventory = match moved {
            Ok(inventory) => inventory,
            Err(error) => {
                let seen = robot.inventory()?;
                let other = seen.empty_slot(home).ok_or_else(no_slot)?;
                self.shared.state().inventory = seen;
                if other == slot {
                    return Err(error);
                }
                robot.move_cartridge(barcode, self.element, other)?
            }
        };
        self.shared.state().inventory = inventory;
        Ok(())
    }

    // === Work ===

    fn append(&mut self, expected: &Expected, work: AppendWork) -> Result<(MountReport, WorkEnd), Error> {
        let place = self.place();
        let (appender, recovered) = self.open_for_append(expected)?;
        let access = Appending { appender, recovered: None, open_packs: Vec::new(), remaining_bytes: 0 };
        let mut mounted = self.hand_over(access);
        let end = match prepare(&mut mounted, recovered) {
            Ok(()) => catch_unwind(AssertUnwindSafe(|| work(&mut mounted))),
            Err(error) => {
                self.tape = Some(mounted.tape);
                return Err(error);
            }
        };
        let Mounted { mut tape, mut access, failure, .. } = mounted;
        let result = match (end, failure) {
            (_, Some(failure)) => Err(failure),
            (Err(_), None) => Err(Error::Panicked { barcode: place.barcode.clone() }),
            (Ok(end), None) => settle(&mut tape, &mut access, &place).map(|report| (report, end)),
        };
        self.tape = Some(tape);
        if result.is_ok() {
            self.loaded_mut().open = Open::Appending(Box::new(access.appender));
        }
        result
    }

    fn read(&mut self, expected: &Expected, work: ReadWork) -> Result<(MountReport, WorkEnd), Error> {
        let place = self.place();
        let loaded = self.loaded.as_mut().expect("mounted");
        let tape = self.tape.as_mut().expect("the tape is here between jobs");
        let (volume, appender) = match std::mem::replace(&mut loaded.open, Open::Not) {
            Open::Reading(volume) => (*volume, None),
            // What is appended is committed: a reader sees the same volume.
            Open::Appending(appender) => (appender.volume().clone(), Some(appender)),
            Open::Not => (ltfs::open(tape).map_err(|error| unusable(&place, error))?, None),
        };
        let identical = fence::check_identity(
            &place.barcode,
            expected,
            &volume,
            loaded.mam_serial.as_deref().unwrap_or_default(),
        );
        identical.map_err(|what| Error::Fence { barcode: place.barcode.clone(), what })?;
        let generation = volume.index().generation;
        let mut mounted = self.hand_over(Reading { volume });
        let end = catch_unwind(AssertUnwindSafe(|| work(&mut mounted)));
        let Mounted { tape, access, failure, .. } = mounted;
        self.tape = Some(tape);
        let end = end.map_err(|_| Error::Panicked { barcode: place.barcode.clone() })?;
        // Damage is the caller's to judge: it has been told, and the drive is well.
        if let Some(failure) = failure.filter(|failure| matches!(failure, Error::Drive { .. })) {
            return Err(failure);
        }
        self.loaded_mut().open = match appender {
            Some(appender) => Open::Appending(appender),
            None => Open::Reading(Box::new(access.volume)),
        };
        let drive = place.drive;
        Ok((
            MountReport {
                drive,
                generation,
                eod_block: expected.eod_block,
                remaining_bytes: 0,
                abandoned: vec![],
            },
            end,
        ))
    }

    /// The write fence, then an appender at the end of data. Nothing has been written when this returns; what was
    /// found behind the last commit is told.
    fn open_for_append(&mut self, expected: &Expected) -> Result<(Appender, Option<Recovered>), Error> {
        let place = self.place();
        let loaded = self.loaded.as_mut().expect("mounted");
        let tape = self.tape.as_mut().expect("the tape is here between jobs");
        if tape.drive().write_protected().map_err(|error| place.drive_error(error))? {
            return Err(Error::NotWritable { barcode: place.barcode.clone(), why: "write-protected" });
        }
        let mam_serial = loaded.mam_serial.as_deref().unwrap_or_default();
        let in_our_terms = |error| place.volume_error(error);
        let check = |volume: &Volume, tail: Tail| {
            fence::check(&place.barcode, expected, volume, mam_serial, tail)
                .map_err(|what| Error::Fence { barcode: place.barcode.clone(), what })
        };
        // Mounted for appending by an earlier job, and every attention since would have ended that.
        if let Open::Appending(appender) = &mut loaded.open {
            let Committed { generation, end_of_data } = appender.committed();
            let tail = Tail { generation, index_end: end_of_data, end_of_data };
            check(appender.volume(), tail)?;
            appender.resume(tape).map_err(in_our_terms)?;
            if let Open::Appending(appender) = std::mem::replace(&mut loaded.open, Open::Not) {
                return Ok((*appender, recovered(expected, tail)));
            }
        }
        loaded.open = Open::Not;
        let (volume, tail) = ltfs::open_at_end(tape).map_err(|error| unusable(&place, error))?;
        check(&volume, tail)?;
        let appender = Appender::begin(tape, volume, tail).map_err(in_our_terms)?;
        Ok((appender, recovered(expected, tail)))
    }

    /// Gives the tape to a mount.
    fn hand_over<Access>(&mut self, access: Access) -> Mounted<Access> {
        Mounted {
            tape: self.tape.take().expect("the tape is here between jobs"),
            access,
            place: self.place(),
            stopping: self.shared.stopping.clone(),
            failure: None,
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

fn recovered(expected: &Expected, tail: Tail) -> Option<Recovered> {
    let dead_blocks = tail.index_end..tail.end_of_data;
    (expected.end == End::Unclean).then_some(Recovered { generation: tail.generation, dead_blocks })
}

/// Unloads. A drive tells once what happened to it before (a reset, an earlier write that failed); by then the
/// volume is closed or given up.
fn unload(drive: &mut Drive) -> Result<(), scsi::Error> {
    match drive.unload() {
        Err(scsi::Error::Attention { .. } | scsi::Error::Deferred { .. }) => drive.unload(),
        result => result,
    }
}

/// Room, and what an unclean end left behind: journaled as dead and closed with an index.
fn prepare(mounted: &mut Mounted<Appending>, recovered: Option<Recovered>) -> Result<(), Error> {
    let in_our_terms = |error| match error {
        crate::AppendError::Tape(error) => error,
        other => Error::Recovery { what: chain(&other) },
    };
    mounted.look_at_room().map_err(in_our_terms)?;
    if let Some(recovered) = recovered {
        let dead = recovered.dead_blocks.clone();
        mounted.access.recovered = Some(recovered);
        if !dead.is_empty() {
            let entry = volume::journal::Entry::DeadBlocks { first: dead.start, end: dead.end };
            match mounted.append_journal(&[entry]) {
                // A full volume still takes the index that closes it.
                Ok(_) | Err(crate::AppendError::Full) => {}
                Err(error) => return Err(in_our_terms(error)),
            }
            mounted.commit().map_err(in_our_terms)?;
        }
    }
    Ok(())
}

/// After the work: what it appended without a commit is dropped, and the volume ends with an index again.
fn settle(tape: &mut DriveTape, access: &mut Appending, place: &Place) -> Result<MountReport, Error> {
    let abandoned = std::mem::take(&mut access.open_packs);
    if access.appender.is_open() {
        access.appender.abandon();
    }
    let committed = access.appender.commit(tape).map_err(|error| place.volume_error(error))?;
    let remaining_bytes = access.appender.remaining_bytes(tape).map_err(|error| place.volume_error(error))?;
    Ok(MountReport {
        drive: place.drive.clone(),
        generation: committed.generation,
        eod_block: committed.end_of_data,
        remaining_bytes,
        abandoned,
    })
}

/// A cartridge without the labels or index it should have is not the one that was expected.
fn unusable(place: &Place, error: ltfs::Error) -> Error {
    let fence = |what| Error::Fence { barcode: place.barcode.clone(), what };
    match error {
        ltfs::Error::Label { .. } => fence(FenceMismatch::NotLabelled),
        ltfs::Error::NoIndex => fence(FenceMismatch::NoIndex),
        // A cartridge that was never divided has no second partition to go to.
        ltfs::Error::Tape(error) if is_missing_partition(&error) => fence(FenceMismatch::NotLabelled),
        error => place.volume_error(error),
    }
}

fn is_missing_partition(error: &ltfs::TapeError) -> bool {
    let error = error.source.downcast_ref::<scsi::Error>().and_then(scsi::Error::sense);
    error.is_some_and(|sense| {
        matches!(sense.condition(), scsi::Condition::InvalidField | scsi::Condition::InvalidParameter)
    })
}

fn split(result: Result<(MountReport, WorkEnd), Error>) -> (Result<MountReport, Error>, WorkEnd) {
    match result {
        Ok((report, end)) => (Ok(report), end),
        Err(error) => (Err(error), WorkEnd::Unload),
    }
}
