//! Removes the files of what was replaced or deleted, and reports records whose file is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use redb::{Database, ReadableDatabase as _};

use super::content::Pins;
use super::fault::{Failure, Fault};
use super::files::Files;
use super::record::ContentId;
use super::tables::{FILES, GARBAGE};
use super::writer::Writer;

/// Files removed per transaction.
const SWEEP_FILES_MAX: usize = 1000;
/// How soon a file that was being read, or could not be removed, is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// A data file that is not what its record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Name of the file.
    pub file: String,
    /// Its length by the record, in bytes.
    pub length: u64,
    /// Its length on the disk; `None` when it is missing.
    pub found: Option<u64>,
}

/// The thread that removes files. Dropping it ends the thread; what it did not get to is removed after the next start.
pub(crate) struct Sweeper {
    bell: Sender<()>,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What the sweeper works on.
pub(crate) struct Ground {
    pub(crate) database: Arc<Database>,
    pub(crate) files: Arc<Files>,
    pub(crate) pins: Arc<Pins>,
    pub(crate) writer: Arc<Writer>,
}

// === impl Sweeper ===

impl Sweeper {
    /// Starts the thread, which sweeps at once and then at each ring of the bell.
    pub(crate) fn start(ground: Ground, bell: Sender<()>, rings: Receiver<()>) -> Result<Self, Fault> {
        let ending = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&ending);
        let thread = std::thread::Builder::new()
            .name("store-sweeper".to_owned())
            .spawn(move || run(&ground, &rings, &ends))
            .map_err(Fault::file("starting the sweeper"))?;
        Ok(Self { bell, ending, thread: Some(thread) })
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::SeqCst);
        if self.bell.send(()).is_err() {
            tracing::error!("the sweeper ended before the store");
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the sweeper panicked");
        }
    }
}

fn run(ground: &Ground, rings: &Receiver<()>, ending: &AtomicBool) {
    let mut inspected = Some(0);
    while !ending.load(Ordering::SeqCst) {
        let left = sweep_logged(ground, ending);
        inspected = inspected.and_then(|first| inspect(ground, first));
        let wait = match (inspected, left) {
            (Some(_), _) => Duration::ZERO,
            (None, true) => RETRY,
            (None, false) => Duration::MAX,
        };
        match rings.recv_timeout(wait) {
            Ok(()) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Looks at the next files that records point to, once after each start, and reports damage; returns where to go on.
fn inspect(ground: &Ground, first: u128) -> Option<u128> {
    let mut damages = Vec::new();
    let next = check_from(&ground.database, &ground.files, first, &mut damages);
    for damage in damages {
        let Damage { file, length, found } = damage;
        tracing::error!(file, length, ?found, "a data file is missing or damaged: its object cannot be read");
    }
    next.unwrap_or_else(|fault| {
        tracing::error!(error = &fault as &dyn std::error::Error, "the data files could not be looked at");
        None
    })
}

fn sweep_logged(ground: &Ground, ending: &AtomicBool) -> bool {
    match sweep(ground, ending) {
        Ok(left) => left,
        Err(failure) => {
            tracing::error!(?failure, "replaced files could not be removed");
            true
        }
    }
}

/// Removes what can be removed; says whether something is left, for its readers or because it cannot be removed.
fn sweep(ground: &Ground, ending: &AtomicBool) -> Result<bool, Failure> {
    let mut after = None;
    let mut left = false;
    loop {
        let batch = garbage_after(&ground.database, after)?;
        let Some(last) = batch.last() else { return Ok(left) };
        after = Some(*last);
        let mut removed = Vec::new();
        for id in batch {
            if ending.load(Ordering::SeqCst) {
                return Ok(true);
            }
            if remove(ground, ContentId(id)) {
                removed.push(id);
            } else {
                left = true;
            }
        }
        if removed.is_empty() {
            continue;
        }
        ground.writer.commit_blocking(move |tables| {
            for id in removed {
                tables.garbage.remove(id)?;
                tables.files.remove(id)?;
            }
            Ok(())
        })?;
    }
}

/// Removes a file unless it is being read; says whether it is gone.
fn remove(ground: &Ground, id: ContentId) -> bool {
    if ground.pins.is_pinned(id) {
        return false;
    }
    let removed = ground.files.remove(id);
    if let Err(fault) = &removed {
        let file = format!("{:032x}", id.0);
        tracing::error!(
            error = fault as &dyn std::error::Error,
            file,
            "a replaced file could not be removed"
        );
    }
    removed.is_ok()
}

fn garbage_after(database: &Database, after: Option<u128>) -> Result<Vec<u128>, Fault> {
    let table = database.begin_read()?.open_table(GARBAGE)?;
    let first = after.map_or(0, |last| last.saturating_add(1));
    let rows = table.range(first..)?.take(SWEEP_FILES_MAX);
    rows.map(|row| Ok(row?.0.value())).collect()
}

/// Looks at every data file a record points to. Blocks for long on a large store.
pub(crate) fn check(database: &Database, files: &Files) -> Result<Vec<Damage>, Fault> {
    let mut damages = Vec::new();
    let mut next = Some(0);
    while let Some(first) = next {
        next = check_from(database, files, first, &mut damages)?;
    }
    Ok(damages)
}

/// Looks at some files from an id on; returns where to go on.
fn check_from(
    database: &Database,
    files: &Files,
    first: u128,
    damages: &mut Vec<Damage>,
) -> Result<Option<u128>, Fault> {
    let rows = files_from(database, first)?;
    let next = rows.last().and_then(|(last, _)| last.checked_add(1));
    for (id, length) in rows {
        let found = files.length(ContentId(id))?;
        if found != Some(length) && still_there(database, id)? {
            damages.push(Damage { file: format!("{id:032x}"), length, found });
        }
    }
    Ok(next)
}

fn files_from(database: &Database, first: u128) -> Result<Vec<(u128, u64)>, Fault> {
    let table = database.begin_read()?.open_table(FILES)?;
    let rows = table.range(first..)?.take(SWEEP_FILES_MAX);
    rows.map(|row| row.map(|(id, length)| (id.value(), length.value())).map_err(Fault::from)).collect()
}

/// Whether the file is still meant to be there: it may have been swept between the two looks.
fn still_there(database: &Database, id: u128) -> Result<bool, Fault> {
    let transaction = database.begin_read()?;
    let known = transaction.open_table(FILES)?.get(id)?.is_some();
    let garbage = transaction.open_table(GARBAGE)?.get(id)?.is_some();
    Ok(known && !garbage)
}

/// The bell and the sweeper's end of it.
pub(crate) fn bell() -> (Sender<()>, Receiver<()>) {
    mpsc::channel()
}
