//! A job on a mounted cartridge: open the volume, fence, the caller's work, and what it left.

use std::panic::{AssertUnwindSafe, catch_unwind};

use volume::ltfs::{self, Appender, BlockTape, Committed, Found, Partition, Tail, Volume};

use super::{Open, Worker};
use crate::error::{Place, chain};
use crate::medium::refuse_unwritable;
use crate::mounted::{Appending, Mounted, Reading};
use crate::tape::DriveTape;
use crate::{
    AppendWork, End, Error, Expected, FenceMismatch, Medium, MountReport, ReadWork, Recovered, Seen,
    SurveyWork, Surveyed, WorkEnd, fence,
};

impl Worker {
    pub(super) fn append(
        &mut self,
        expected: &Expected,
        work: AppendWork,
    ) -> Result<(MountReport, WorkEnd), Error> {
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

    pub(super) fn read(
        &mut self,
        expected: &Expected,
        work: ReadWork,
    ) -> Result<(MountReport, WorkEnd), Error> {
        let place = self.place();
        let loaded = self.loaded.as_mut().expect("mounted");
        let tape = self.tape.as_mut().expect("the tape is here between jobs");
        let (volume, appender) = match std::mem::replace(&mut loaded.open, Open::Not) {
            Open::Reading(volume) => (*volume, None),
            // What is appended is committed: a reader sees the same volume.
            Open::Appending(appender) => (appender.volume().clone(), Some(appender)),
            Open::Not => (ltfs::open(tape).map_err(|error| unusable(&place, error))?, None),
        };
        let serial = loaded.mam_serial.as_deref().unwrap_or_default();
        let identical = fence::check_identity(&place.barcode, expected, &volume, serial);
        let open = |volume| match appender {
            Some(appender) => Open::Appending(appender),
            None => Open::Reading(Box::new(volume)),
        };
        if let Err(what) = identical {
            loaded.open = open(volume);
            return Err(Error::Fence { barcode: place.barcode, what });
        }
        let generation = volume.index().generation;
        let mut mounted = self.hand_over(Reading { volume });
        let end = catch_unwind(AssertUnwindSafe(|| work(&mut mounted)));
        let Mounted { tape, access, failure, .. } = mounted;
        self.tape = Some(tape);
        match failure {
            // The caller has been told, and judges what it means for the volume.
            Some(damage @ Error::Damaged { .. }) => self.damage = Some(damage),
            Some(failure) => return Err(failure),
            None => {}
        }
        self.loaded_mut().open = open(access.volume);
        let end = end.map_err(|_| Error::Panicked { barcode: place.barcode.clone() })?;
        Ok((
            MountReport {
                drive: place.drive,
                generation,
                eod_block: expected.eod_block,
                remaining_bytes: 0,
                abandoned: vec![],
            },
            end,
        ))
    }

    /// What the cartridge in the drive is; reads its beginning only.
    pub(super) fn look(&mut self) -> Result<Seen, Error> {
        let place = self.place();
        let loaded = self.loaded.as_mut().expect("mounted");
        let tape = self.tape.as_mut().expect("the tape is here between jobs");
        let medium = match &loaded.open {
            Open::Reading(volume) => Medium::Volume(volume.uuid()),
            Open::Appending(appender) => Medium::Volume(appender.volume().uuid()),
            Open::Not => match ltfs::identify(tape).map_err(|error| place.volume_error(error))? {
                Found::Blank | Found::Interrupted(_) => Medium::Blank,
                Found::Volume(label) => Medium::Volume(label.uuid),
                Found::Foreign => Medium::Foreign,
            },
        };
        let mam_serial = loaded.mam_serial.clone().unwrap_or_default();
        Ok(Seen { drive: place.drive, mam_serial, medium })
    }

    /// Looks at whatever volume is on the cartridge: by its end, where that can be read.
    pub(super) fn survey(&mut self, work: SurveyWork) -> Result<WorkEnd, Error> {
        let place = self.place();
        let loaded = self.loaded.as_mut().expect("mounted");
        let tape = self.tape.as_mut().expect("the tape is here between jobs");
        let in_our_terms = |error| place.volume_error(error);
        if let Open::Appending(appender) = std::mem::replace(&mut loaded.open, Open::Not) {
            appender.close(tape).map_err(in_our_terms)?;
        }
        let (volume, tail) = match ltfs::open_at_end(tape) {
            Ok((volume, tail)) => (volume, Some(tail)),
            Err(error) => {
                tracing::debug!(barcode = %place.barcode, error = chain(&error), "no end of data");
                (ltfs::open(tape).map_err(|error| unusable(&place, error))?, None)
            }
        };
        let capacity = tape.capacity(Partition::Data).map_err(|error| in_our_terms(error.into()))?;
        let surveyed = Surveyed {
            medium_serial: loaded.mam_serial.clone().unwrap_or_default(),
            tail,
            capacity_bytes: capacity.total_bytes,
            remaining_bytes: ltfs::room_left(volume.index(), capacity),
        };
        let mut mounted = self.hand_over(Reading { volume });
        let end = catch_unwind(AssertUnwindSafe(|| work(&mut mounted, &surveyed)));
        let Mounted { tape, access, failure, .. } = mounted;
        self.tape = Some(tape);
        if let Some(failure) = failure.filter(|failure| matches!(failure, Error::Drive { .. })) {
            return Err(failure);
        }
        self.loaded_mut().open = Open::Reading(Box::new(access.volume));
        end.map_err(|_| Error::Panicked { barcode: place.barcode.clone() })
    }

    /// The write fence, then an appender at the end of data. Nothing has been written when this returns; what was
    /// found behind the last commit is told.
    fn open_for_append(&mut self, expected: &Expected) -> Result<(Appender, Option<Recovered>), Error> {
        let place = self.place();
        let loaded = self.loaded.as_mut().expect("mounted");
        let tape = self.tape.as_mut().expect("the tape is here between jobs");
        refuse_unwritable(tape.drive(), &place)?;
        let mam_serial = loaded.mam_serial.as_deref().unwrap_or_default();
        let in_our_terms = |error| place.volume_error(error);
        let check = |volume: &Volume, tail: Tail| {
            fence::check(&place.barcode, expected, volume, mam_serial, tail)
                .map_err(|what| Error::Fence { barcode: place.barcode.clone(), what })
        };
        // Mounted for appending by an earlier job, and every attention since would have ended that.
        if let Open::Appending(appender) = &mut loaded.open {
            let Committed { generation, end_of_data } = appender.committed();
            let tail = Tail { generation, index_end: end_of_data, end_of_data, noted: None };
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
}

fn recovered(expected: &Expected, tail: Tail) -> Option<Recovered> {
    let dead_blocks = tail.index_end..tail.end_of_data;
    (expected.end == End::Unclean).then_some(Recovered { generation: tail.generation, dead_blocks })
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
