//! The transport to one unit: faults first, then the unit itself.

use crate::changer::Changer;
use crate::drive::Drive;
use crate::faults::{Effect, Faults, Unit};
use crate::reply::completion;
use crate::sense::Sense;
use scsi::{Cdb, Completion, Data, Transport, TransportError};
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub(crate) struct ChangerTransport {
    pub changer: Arc<Mutex<Changer>>,
    pub faults: Faults,
    /// The library stays closed to others while a path into it is open.
    pub _lock: Arc<File>,
}

pub(crate) struct DriveTransport {
    pub drive: Arc<Mutex<Drive>>,
    pub index: usize,
    pub faults: Faults,
    /// As above; a stand-alone drive has no library.
    pub _lock: Option<Arc<File>>,
}

impl Transport for ChangerTransport {
    fn execute(
        &mut self,
        cdb: &Cdb,
        data: Data<'_>,
        timeout: Duration,
    ) -> Result<Completion, TransportError> {
        let effect = self.faults.strike(Unit::Changer, cdb.opcode());
        answer(effect, cdb, timeout, || {
            self.changer.lock().unwrap_or_else(PoisonError::into_inner).execute(cdb, data)
        })
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
        answer(effect, cdb, timeout, || {
            self.drive.lock().unwrap_or_else(PoisonError::into_inner).execute(cdb, data)
        })
    }
}

fn answer(
    effect: Option<Effect>,
    cdb: &Cdb,
    timeout: Duration,
    work: impl FnOnce() -> Completion,
) -> Result<Completion, TransportError> {
    let silence = TransportError::Timeout { opcode: cdb.opcode(), seconds: timeout.as_secs() };
    match effect {
        None => Ok(work()),
        Some(Effect::Fail(sense)) => Ok(failed(sense, 0)),
        Some(Effect::FailAfter(sense)) => Ok(failed(sense, work().transferred)),
        Some(Effect::Silence) => Err(silence),
        Some(Effect::SilenceAfter) => {
            work();
            Err(silence)
        }
    }
}

fn failed(sense: Sense, transferred: usize) -> Completion {
    Completion { transferred, ..completion(Err(sense.into())) }
}
