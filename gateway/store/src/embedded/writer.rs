//! The one thread that changes the database: many requests per transaction, each seen whole or not at all.
//!
//! A job looks before it writes: one that refuses has written nothing, so its neighbours in the transaction are not
//! touched by it. A fault spoils the whole transaction and stops the writer, since after it nobody knows what
//! is on the disk; the next start does.

use std::sync::Arc;
use std::thread::JoinHandle;

use redb::{Database, Durability};
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
}

struct Job {
    staged: Option<Staged>,
    work: Work,
}

/// Changes the tables and returns what to do once it is known how the commit went.
type Work = Box<dyn FnOnce(&mut Tables<'_>) -> Result<Verdict, Fault> + Send>;
type Reply = Box<dyn FnOnce(Result<(), Fault>) + Send>;

enum Verdict {
    /// Written; the reply follows the commit.
    Written(Reply),
    /// Refused and answered; nothing was written.
    Refused,
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
        let worker = Worker {
            database,
            files,
            sync,
            littered,
            stopped: false,
        };
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || worker.run(jobs))
            .map_err(Fault::file("starting the writer"))?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    /// Runs `work` in a transaction and returns once that is durable. A file that is staged for it becomes
    /// permanent with the commit and goes when the work refuses. Work sent is done even if the caller is dropped.
    pub(crate) async fn commit<T: Send + 'static>(
        &self,
        staged: Option<Staged>,
        work: impl FnOnce(&mut Tables<'_>) -> Outcome<T> + Send + 'static,
    ) -> Outcome<T> {
        let (answer, answered) = oneshot::channel();
        let job = Job {
            staged,
            work: wrap(work, answer),
        };
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
        let job = Job {
            staged: None,
            work: wrap(work, answer),
        };
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
            // A caller that went away does not want its answer.
            drop(answer.send(committed.map(|()| value).map_err(Failure::Fault)));
        }))),
        Err(Failure::Refused(error)) => {
            drop(answer.send(Err(Failure::Refused(error))));
            Ok(Verdict::Refused)
        }
        Err(Failure::Fault(fault)) => Err(fault),
    })
}

struct Worker {
    database: Arc<Database>,
    files: Arc<Files>,
    sync: bool,
    littered: Littered,
    stopped: bool,
}

/// A job whose work is done and whose commit is not.
struct Pending {
    staged: Option<Staged>,
    reply: Reply,
}

// === impl Worker ===

impl Worker {
    fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(first) = jobs.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < BATCH_JOBS_MAX
                && let Ok(job) = jobs.try_recv()
            {
                batch.push(job);
            }
            if self.stopped {
                // Dropping the jobs tells their callers.
                continue;
            }
            let mut pending = Vec::with_capacity(batch.len());
            let committed = self.transact(batch, &mut pending);
            let littered = match committed {
                Ok(littered) => littered,
                Err(fault) => {
                    self.stopped = true;
                    tracing::error!(error = ?fault, "the store stops writing: its metadata could not be committed");
                    false
                }
            };
            for Pending { staged, reply } in pending {
                match (staged, self.stopped) {
                    (Some(staged), false) => staged.keep(),
                    (Some(staged), true) => staged.leave(),
                    (None, _) => {}
                }
                reply(if self.stopped { Err(Fault::Stopped) } else { Ok(()) });
            }
            if littered {
                (self.littered)();
            }
        }
    }

    /// One transaction for a batch; says whether there is something to sweep.
    fn transact(&self, batch: Vec<Job>, pending: &mut Vec<Pending>) -> Result<bool, Fault> {
        self.files
            .sync_names(batch.iter().filter_map(|job| job.staged.as_ref()).map(Staged::id))?;
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(if self.sync {
            Durability::Immediate
        } else {
            Durability::None
        })?;
        transaction.set_quick_repair(true);
        let mut tables = Tables::open(&transaction)?;
        for Job { staged, work } in batch {
            match work(&mut tables)? {
                Verdict::Written(reply) => pending.push(Pending { staged, reply }),
                Verdict::Refused => drop(staged),
            }
        }
        let littered = tables.littered;
        drop(tables);
        if pending.is_empty() {
            transaction.abort()?;
        } else {
            transaction.commit()?;
        }
        Ok(littered)
    }
}
