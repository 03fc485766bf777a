//! The adapter for one node: one redb file, one writer thread, readers that never wait for it.
//!
//! Invariant: every transaction is durable (two phases, allocator state saved) before anyone is told of it.
//! Invariant: no read transaction outlives one question.

mod tables;
mod writer;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;

use ::redb::{Database, ReadableDatabase};
use model::BucketName;
use model::catalog::{Bucket, Change};
use tokio::sync::{mpsc, oneshot};

use self::tables::View;
use self::writer::Request;
use crate::Error;
use crate::apply::Refusal;
use crate::book::{Book, Store};
use crate::kv::Read;
use crate::latch::Latch;
use crate::query;

/// The book of record in one redb file.
pub type RedbCatalog = Book<RedbStore>;

impl RedbCatalog {
    /// Opens the catalog in the file `path`, making it when there is none, and compacts it when most of it is free.
    ///
    /// Fails when the file is in use, cannot be read, or is of another kind or version; such a file is left alone.
    /// Blocks for as long as compacting takes. Dropping the catalog waits for commits under way and closes the file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let database = tables::open(path.as_ref())?;
        let shared =
            Arc::new(Shared { buckets: RwLock::new(buckets_in(&database)?), database, latch: Latch::new() });
        let (queue, requests) = mpsc::channel(QUEUE_COMMITS_MAX);
        let writer = std::thread::Builder::new()
            .name("catalog".into())
            .spawn({
                let shared = shared.clone();
                move || writer::run(&shared, requests)
            })
            .map_err(|error| Error::Open { path: path.as_ref().to_owned(), source: error.into() })?;
        Ok(Self { store: RedbStore { shared, queue: Some(queue), writer: Some(writer) } })
    }
}

/// Makes the catalog file `path` from a snapshot; returns how many rows it has. There is either the whole catalog or no
/// file of that name; one that is there already is refused.
pub fn rebuild(path: impl AsRef<Path>, snapshot: impl std::io::Read) -> Result<u64, Error> {
    let path = path.as_ref();
    let fault = |source: std::io::Error| Error::Open { path: path.to_owned(), source: source.into() };
    if path.try_exists().map_err(fault)? {
        return Err(fault(std::io::ErrorKind::AlreadyExists.into()));
    }
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let unfinished = Path::new(&unfinished);
    if unfinished.try_exists().map_err(fault)? {
        std::fs::remove_file(unfinished).map_err(fault)?;
    }
    let rows = tables::fill(unfinished, snapshot)?;
    std::fs::rename(unfinished, path).map_err(fault)?;
    tables::settle_name(path).map_err(fault)?;
    Ok(rows)
}

/// A redb file and its writer.
pub struct RedbStore {
    shared: Arc<Shared>,
    queue: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
}

/// What the writer and the readers have in common.
struct Shared {
    database: Database,
    /// Every bucket, as of the last durable commit.
    buckets: RwLock<BTreeMap<BucketName, Bucket>>,
    latch: Latch,
}

impl Shared {
    fn ask<T>(&self, question: impl FnOnce(&dyn Read) -> Result<T, Error>) -> Result<T, Error> {
        question(&view(&self.database)?)
    }
}

fn view(database: &Database) -> Result<View, Error> {
    let transaction =
        database.begin_read().map_err(|error| Error::Read { table: "the catalog", source: error.into() })?;
    Ok(View::new(transaction))
}

fn buckets_in(database: &Database) -> Result<BTreeMap<BucketName, Bucket>, Error> {
    let rows: Vec<Bucket> = query::all(&view(database)?)?;
    Ok(rows.into_iter().map(|row| (row.name.clone(), row)).collect())
}

impl Store for RedbStore {
    async fn commit(&self, changes: Vec<Change>) -> Result<(), Refusal> {
        let (reply, answer) = oneshot::channel();
        let queue = self.queue.as_ref().expect("the queue is taken by drop only");
        let sent = queue.send(Request { changes, reply }).await;
        match (sent, answer.await) {
            (Ok(()), Ok(answer)) => answer,
            _ => Err(Refusal::Fault(Error::Write { source: "the writer has ended".into() })),
        }
    }

    fn read<T>(&self, question: impl FnOnce(&dyn Read) -> Result<T, Error>) -> Result<T, Error> {
        self.shared.ask(question)
    }

    async fn read_aside<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Read) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let shared = self.shared.clone();
        let answer = tokio::task::spawn_blocking(move || shared.ask(question)).await;
        answer.unwrap_or_else(|error| Err(Error::Read { table: "the catalog", source: error.into() }))
    }

    fn bucket(&self, name: &BucketName) -> Result<Option<Bucket>, Error> {
        let buckets = self.shared.buckets.read().unwrap_or_else(PoisonError::into_inner);
        Ok(buckets.get(name).cloned())
    }

    fn buckets(&self) -> Result<Vec<Bucket>, Error> {
        let buckets = self.shared.buckets.read().unwrap_or_else(PoisonError::into_inner);
        Ok(buckets.values().cloned().collect())
    }

    fn latch(&self) -> &Latch {
        &self.shared.latch
    }
}

impl Drop for RedbStore {
    /// Lets the writer finish what was sent, and waits for it.
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the catalog's writer panicked");
        }
    }
}

/// Most commits that wait for the writer; the next one waits for room.
const QUEUE_COMMITS_MAX: usize = 256;

#[cfg(test)]
mod tests;
