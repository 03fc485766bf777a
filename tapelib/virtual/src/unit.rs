//! The transport to one unit: faults first, then the unit itself, then the time it takes.

use crate::changer::Changer;
use crate::drive::Drive;
use crate::faults::{Effect, Faults, Unit};
use crate::reservation::Nexus;
use crate::timing::Timing;
use scsi::{Cdb, Completion, Data, Sense, Status, Transport, TransportError};
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(crate) struct ChangerTransport {
    pub changer: Arc<Mutex<Changer>>,
    pub nexus: Nexus,
    pub timing: Timing,
    pub faults: Faults,
    /// The library stays closed to others while a path into it is open.
    pub _lock: Arc<File>,
}

pub(crate) struct DriveTransport {
    pub drive: Arc<Mutex<Drive>>,
    /// What has the power switch; a stand-alone drive has none.
    pub changer: Option<Arc<Mutex<Changer>>>,
    pub nexus: Nexus,
    pub index: usize,
    pub timing: Timing,
    pub faults: Faults,
    /// As above; a stand-alone drive has no library.
    pub _lock: Option<Arc<File>>,
}

/// Ways into a unit. No lock is held between two of them, nor while time passes.
trait Entry {
    /// Carries out a command; and when it is done.
    fn work(&self, cdb: &Cdb, data: Data<'_>) -> (Completion, Duration);
    /// CHECK CONDITION in the format the host has chosen.
    fn check(&self, sense: Sense, transferred: usize) -> Completion;
    /// The power fails and comes back.
    fn cut_power(&self) -> io::Result<()>;
}

impl Entry for ChangerTransport {
    fn work(&self, cdb: &Cdb, data: Data<'_>) -> (Completion, Duration) {
        lock(&self.changer).execute_timed(self.nexus, cdb, data)
    }

    fn check(&self, sense: Sense, transferred: usize) -> Completion {
        lock(&self.changer).check(sense, transferred)
    }

    fn cut_power(&self) -> io::Result<()> {
        lock(&self.changer).cut_power()
    }
}

impl Entry for DriveTransport {
    fn work(&self, cdb: &Cdb, data: Data<'_>) -> (Completion, Duration) {
        lock(&self.drive).execute_timed(self.nexus, cdb, data)
    }

    fn check(&self, sense: Sense, transferred: usize) -> Completion {
        lock(&self.drive).check(sense, transferred)
    }

    /// Of the whole library: its changer is locked first, and no drive is locked here.
    fn cut_power(&self) -> io::Result<()> {
        match &self.changer {
            Some(changer) => lock(changer).cut_power(),
            None => lock(&self.drive).cut_power(),
        }
    }
}

impl Transport for ChangerTransport {
    fn execute(
        &mut self,
        cdb: &Cdb,
        data: Data<'_>,
        timeout: Duration,
    ) -> Result<Completion, TransportError> {
        let effect = self.faults.strike(Unit::Changer, cdb.opcode());
        answer(self, &self.timing, effect, cdb, (data, timeout))
    }
}

impl Transport for DriveTransport {
    fn execute(
        &mut self,
        cdb: &Cdb,
        data: Data<'_>,
        timeout: Duration,
    ) -> Result<Completion, TransportError> {
        let effect = self.faults.strike(Unit::Drive(self.index), cdb.opcode());
        answer(self, &self.timing, effect, cdb, (data, timeout))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(
    unit: &impl Entry,
    timing: &Timing,
    effect: Option<Effect>,
    cdb: &Cdb,
    (data, timeout): (Data<'_>, Duration),
) -> Result<Completion, TransportError> {
    let silence = || TransportError::Timeout { opcode: cdb.opcode(), seconds: timeout.as_secs() };
    let no_power = |result: io::Result<()>| {
        let source = result.err().unwrap_or(io::ErrorKind::ConnectionReset.into());
        TransportError::Disconnected { opcode: cdb.opcode(), source }
    };
    let timed = |data: Data<'_>| {
        let (completion, done) = unit.work(cdb, data);
        if let Some(clock) = &timing.clock {
            clock.wait_until(done);
        }
        completion
    };
    match effect {
        None => Ok(timed(data)),
        Some(Effect::Fail(sense)) => Ok(unit.check(sense, 0)),
        Some(Effect::FailAfter(sense)) => {
            let transferred = timed(data).transferred;
            Ok(unit.check(sense, transferred))
        }
        Some(Effect::Busy) => Ok(Completion { status: Status::Busy, sense: Vec::new(), transferred: 0 }),
        Some(Effect::Silence) => Err(silence()),
        Some(Effect::SilenceAfter) => {
            timed(data);
            Err(silence())
        }
        Some(Effect::PowerCut) => Err(no_power(unit.cut_power())),
        Some(Effect::PowerCutAfter) => {
            timed(data);
            Err(no_power(unit.cut_power()))
        }
    }
}
