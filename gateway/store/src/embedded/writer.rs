//! The one thread that changes the database: many requests per transaction, each seen whole or not at all.
//!
//! A job looks before it writes: one that refuses has written nothing, so its neighbours in the transaction are not
//! touched by it. What it saw may be a neighbour's work, so refusals too are told after the commit. A fault before
//! the commit spoils the transaction and undoes it; a fault in the commit stops the writer, since after it nobody
//! knows what is on the disk; the next start does. So does a fault after which the database serves nobody any more.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use redb::{Database, Durability, WriteTransaction};
use tokio::sync::{mpsc, oneshot};

use super::fault::{Failure, Fault, Outcome};
use super::files::{Files, Staged};
use super::tables::Tables;

/// Most jobs in one transaction.
const BATCH_JOBS_MAX: usize = 256;
/// Jobs waiting before callers wait too.
const QUEUE_JOBS_MAX: usize = 1024;

/// Sends jobs to the writer's thread. Dropping it waits for the jobs sent so far.
pub(crate) struct Writer {
    queue: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    stopped: Arc<AtomicBool>,
}

struct Job {
    staged: Option<Staged>,
    work: Work,
}

/// Changes the tables and returns what to do once it is known how the commit went.
type Work = Box<dyn FnOnce(&mut Tables<'_>) -> Result<Verdict, Fault> + Send>;
type Reply = Box<dyn FnOnce(Result<(), Fault>) + Send>;

enum Verdict {
    /// Something was written.
    Written(Reply),
    /// Nothing was written.
    Refused(Reply),
}

/// Called after a commit that put something into `garbage`.
pub(crate) type Littered = Box<dyn Fn() + Send>;

// === impl Writer ===

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(
        database: Arc<Database>,
        files: Arc<Files>,
        sync: bool,
        littered: Littered,
    ) -> Result<Self, Fault> {
        let (queue, jobs) = mpsc::channel(QUEUE_JOBS_MAX);
        let stopped = Arc::new(AtomicBool::new(false));
        let worker = Worker { database, files, sync, littered, stopped: Arc::clone(&stopped) };
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || worker.run(jobs))
            .map_err(Fault::file("starting the writer"))?;
        Ok(Self { queue: Some(queue), thread: Some(thread), stopped })
    }

    /// Whether nothing is written any more until the store is opened again.
    pub(crate) fn has_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst) || self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Writes nothing any more if `fault` is one after which the database serves nobody.
    pub(crate) fn stop_after(&self, fault: &Fault) {
        if fault.is_lasting() {
            self.stopped.store(true, Ordering::SeqCst);
        }
    }

    /// Runs `work` in a transaction and returns once that is durable. A file that is staged for it becomes
    /// permanent with the commit and goes when the work refuses. Work sent is done even if the caller is dropped.
    pub(crate) async fn commit<T: Send + 'static>(
        &self,
        staged: Option<Staged>,
        work: impl FnOnce(&mut Tables<'_>) -> Outcome<T> + Send + 'static,
    ) -> Outcome<T> {
        let (answer, answered) = oneshot::channel();
        let job = Job { staged, work: wrap(work, answer) };
        let queue = self.queue.as_ref().ok_or(Fault::Stopped)?;
        queue.send(job).await.map_err(|_| Fault::Stopped)?;
        answered.await.map_err(|_| Fault::Stopped)?
    }

    /// As [`Self::commit`], from a thread that may block.
    pub(crate) fn commit_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tables<'_>) -> Outcome<T> + Send + 'static,
    ) -> Outcome<T> {
        let (answer, answered) = oneshot::channel();
        let job = Job { staged: None, work: wrap(work, answer) };
        let queue = self.queue.as_ref().ok_or(Fault::Stopped)?;
        queue.blocking_send(job).map_err(|_| Fault::Stopped)?;
        answered.blocking_recv().map_err(|_| Fault::Stopped)?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the metadata writer panicked");
        }
    }
}

fn wrap<T: Send + 'static>(
    work: impl FnOnce(&mut Tables<'_>) -> Outcome<T> + Send + 'static,
    answer: oneshot::Sender<Outcome<T>>,
) -> Work {
    Box::new(move |tables| match work(tables) {
        Ok(value) => Ok(Verdict::Written(Box::new(move |committed| {
            reply(answer, committed.map(|()| value).map_err(Failure::Fault));
        }))),
        Err(Failure::Refused(error)) => Ok(Verdict::Refused(Box::new(move |committed| {
            reply(answer, Err(committed.map_or_else(Failure::Fault, |()| Failure::Refused(error))));
        }))),
        Err(Failure::Fault(fault)) => {
            reply(answer, Err(Fault::Aborted { full: fault.is_full() }.into()));
            Err(fault)
        }
    })
}

fn reply<T>(answer: oneshot::Sender<Outcome<T>>, outcome: Outcome<T>) {
    if answer.send(outcome).is_err() {
        tracing::trace!("a caller went away before its answer");
    }
}

struct Worker {
    database: Arc<Database>,
    files: Arc<Files>,
    sync: bool,
    littered: Littered,
    stopped: Arc<AtomicBool>,
}

/// A job whose work is done and whose commit is not.
struct Pending {
    staged: Option<Staged>,
    reply: Reply,
}

/// Why a transaction did not end well.
enum Trouble {
    /// Before the commit: nothing was done.
    Before(Fault),
    /// In the commit: nobody knows.
    Commit(Fault),
}

impl<F: Into<Fault>> From<F> for Trouble {
    fn from(fault: F) -> Self {
        Self::Before(fault.into())
    }
}

// === impl Worker ===

impl Worker {
    fn run(self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(first) = jobs.blocking_recv() {
            let mut batch = VecDeque::from([first]);
            while batch.len() < BATCH_JOBS_MAX
                && let Ok(job) = jobs.try_recv()
            {
                batch.push_back(job);
            }
            // What follows a job that spoils a transaction gets one of its own. Dropping a job tells its caller.
            while !batch.is_empty() && !self.stopped.load(Ordering::SeqCst) {
                self.serve(&mut batch);
            }
        }
    }

    fn serve(&self, batch: &mut VecDeque<Job>) {
        let mut pending = Vec::with_capacity(batch.len());
        match self.transact(batch, &mut pending) {
            Ok(littered) => {
                for Pending { staged, reply } in pending {
                    if let Some(staged) = staged {
                        staged.keep();
                    }
                    reply(Ok(()));
                }
                if littered {
                    (self.littered)();
                }
            }
            Err(Trouble::Before(fault)) => {
                tracing::error!(error = &fault as &dyn std::error::Error, "a transaction was given up");
                if fault.is_lasting() {
                    self.stopped.store(true, Ordering::SeqCst);
                }
                let full = fault.is_full();
                pending.into_iter().for_each(|Pending { reply, .. }| reply(Err(Fault::Aborted { full })));
            }
            Err(Trouble::Commit(fault)) => {
                self.stopped.store(true, Ordering::SeqCst);
                tracing::error!(
                    error = &fault as &dyn std::error::Error,
                    "a commit failed: the store stops writing"
                );
                for Pending { staged, reply } in pending {
                    if let Some(staged) = staged {
                        staged.leave();
                    }
                    reply(Err(Fault::Stopped));
                }
            }
        }
    }

    /// One transaction for as many jobs as it bears; says whether there is something to sweep.
    fn transact(&self, batch: &mut VecDeque<Job>, pending: &mut Vec<Pending>) -> Result<bool, Trouble> {
        if let Err(fault) =
            self.files.sync_names(batch.iter().filter_map(|job| job.staged.as_ref()).map(Staged::id))
        {
            batch.clear();
            return Err(fault.into());
        }
        let mut transaction = self.begin(batch)?;
        transaction.set_durability(if self.sync { Durability::Immediate } else { Durability::None })?;
        transaction.set_quick_repair(true);
        let mut tables = Tables::open(&transaction)?;
        let mut written = false;
        while let Some(Job { staged, work }) = batch.pop_front() {
            match work(&mut tables)? {
                Verdict::Written(reply) => {
                    written = true;
                    pending.push(Pending { staged, reply });
                }
                Verdict::Refused(reply) => {
                    drop(staged);
                    pending.push(Pending { staged: None, reply });
                }
            }
        }
        let littered = tables.littered;
        drop(tables);
        if written {
            transaction.commit().map_err(|error| Trouble::Commit(error.into()))?;
        } else {
            transaction.abort()?;
        }
        Ok(littered)
    }

    /// Begins a transaction; where that fails, the whole batch fails.
    fn begin(&self, batch: &mut VecDeque<Job>) -> Result<WriteTransaction, Fault> {
        self.database.begin_write().map_err(|error| {
            batch.clear();
            error.into()
        })
    }
}
