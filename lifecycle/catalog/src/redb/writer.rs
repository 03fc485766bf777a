//! The one thread that writes: takes what has queued up, makes one transaction of it, then answers each.

use std::sync::PoisonError;

use model::catalog::{Bucket, Change};
use model::limits::TRANSACTION_ROWS_MAX;
use tokio::sync::{mpsc, oneshot};

use super::Shared;
use super::tables::Transaction;
use crate::Error;
use crate::apply::{Refusal, apply};
use crate::kv::{Draft, Table, Writes};
use crate::row::decode;

/// One commit and whom to answer.
pub struct Request {
    /// What to write.
    pub changes: Vec<Change>,
    /// Where the answer goes; nobody may be listening any more.
    pub reply: oneshot::Sender<Result<(), Refusal>>,
}

/// Writes until nobody can send any more.
pub fn run(shared: &Shared, mut requests: mpsc::Receiver<Request>) {
    while let Some(first) = requests.blocking_recv() {
        let (commits, replies) = gather(first, &mut requests);
        let answers = shared.latch.check().and_then(|()| write(shared, commits));
        let answers = answers.unwrap_or_else(|error| {
            shared.latch.trip(&error);
            let stopped = || shared.latch.check().map_err(Refusal::Fault);
            replies.iter().map(|_| stopped()).collect()
        });
        for (reply, answer) in replies.into_iter().zip(answers) {
            // Whoever stopped waiting finds the rows as they are.
            drop(reply.send(answer));
        }
    }
}

type Replies = Vec<oneshot::Sender<Result<(), Refusal>>>;

/// What is queued, up to the rows one transaction may have; the first commit always, whatever its size.
fn gather(first: Request, requests: &mut mpsc::Receiver<Request>) -> (Vec<Vec<Change>>, Replies) {
    let mut rows = first.changes.len();
    let (mut commits, mut replies) = (vec![first.changes], vec![first.reply]);
    while rows < TRANSACTION_ROWS_MAX {
        let Ok(next) = requests.try_recv() else { break };
        rows += next.changes.len();
        commits.push(next.changes);
        replies.push(next.reply);
    }
    (commits, replies)
}

/// Makes each commit in order, in one durable transaction: one answer each. A refused commit leaves no trace in it.
fn write(shared: &Shared, commits: Vec<Vec<Change>>) -> Result<Vec<Result<(), Refusal>>, Error> {
    let transaction = Transaction::begin(&shared.database)?;
    let mut buckets = Writes::new();
    let mut answers = Vec::with_capacity(commits.len());
    let mut tables = transaction.tables()?;
    for commit in commits {
        let mut draft = Draft::new(&tables);
        match apply(&mut draft, commit) {
            Err(Refusal::Fault(error)) => return Err(error),
            Err(refusal) => answers.push(Err(refusal)),
            Ok(()) => {
                let writes: Vec<_> = draft.into_writes().collect();
                for (table, writes) in writes {
                    tables.write(table, &writes)?;
                    if table == Table::Buckets {
                        buckets.extend(writes);
                    }
                }
                answers.push(Ok(()));
            }
        }
    }
    drop(tables);
    if answers.iter().any(Result::is_ok) {
        transaction.commit()?;
        publish(shared, buckets)?;
    }
    Ok(answers)
}

/// Shows the buckets written by a transaction that is durable now.
fn publish(shared: &Shared, writes: Writes) -> Result<(), Error> {
    let mut buckets = shared.buckets.write().unwrap_or_else(PoisonError::into_inner);
    for (key, value) in writes {
        match value {
            Some(value) => {
                let row: Bucket = decode(&key, &value)?;
                buckets.insert(row.name.clone(), row);
            }
            None => buckets.retain(|name, _| name.as_str().as_bytes() != key),
        }
    }
    Ok(())
}
