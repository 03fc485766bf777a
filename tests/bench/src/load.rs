//! One cell of load: so many workers, each with its own connection, until the time or the count is used up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::Method;

use crate::client::{Ask, Client, Signing, Target};
use crate::data::{Contents, Size};
use crate::error::{Error, Result};
use crate::meter::{Process, quantile};
use crate::report::Row;

/// What one request of a cell does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// PutObject.
    Put(Signing),
    /// GetObject, every byte compared.
    Get,
    /// RestoreObject for a day.
    Restore,
}

/// A cell.
#[derive(Clone, Debug)]
pub struct Cell {
    /// What every request does.
    pub action: Action,
    /// Bucket of the objects.
    pub bucket: String,
    /// Which bodies.
    pub size: Size,
    /// Connections, each with one request in flight.
    pub concurrency: usize,
    /// Requests in all; no further one is sent after this many.
    pub count_max: usize,
    /// No request is sent after this long.
    pub time_max: Duration,
    /// Numbers of objects wrap around here.
    pub keys: usize,
}

/// Everything a cell needs beside itself.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The server.
    pub target: Target,
    /// Its process.
    pub server: Process,
    /// The bodies.
    pub contents: Arc<Contents>,
}

// === impl Cell ===

impl Cell {
    /// Runs the cell.
    ///
    /// # Errors
    /// The first error of any worker ends it: a figure with errors in it says nothing.
    pub async fn run(&self, setting: &Setting, name: String) -> Result<Row> {
        let mut clients = Vec::with_capacity(self.concurrency);
        for _ in 0..self.concurrency {
            clients.push(setting.target.connect().await?);
        }
        let next = Arc::new(AtomicUsize::new(0));
        let (server, own) = (setting.server.meter(), Process(std::process::id()).meter());
        let begin = Instant::now();
        let workers: Vec<_> = clients
            .into_iter()
            .map(|client| {
                let (cell, contents, next) = (self.clone(), Arc::clone(&setting.contents), Arc::clone(&next));
                tokio::spawn(cell.work(client, contents, next, begin))
            })
            .collect();
        let mut latencies = Vec::new();
        for worker in workers {
            latencies.extend(worker.await.map_err(Error::Worker)??);
        }
        let count = latencies.len() as u64;
        let bytes = match self.action {
            Action::Put(_) | Action::Get => count * self.size.bytes() as u64,
            Action::Restore => 0,
        };
        let mut row = Row::new(name, count, bytes, begin.elapsed());
        row.p50 = quantile(&mut latencies, 0.5);
        row.p99 = quantile(&mut latencies, 0.99);
        row.server = Some(server.usage());
        row.client_cpu_seconds = Some(own.usage().cpu_seconds);
        Ok(row)
    }

    async fn work(
        self,
        mut client: Client,
        contents: Arc<Contents>,
        next: Arc<AtomicUsize>,
        begin: Instant,
    ) -> Result<Vec<Duration>> {
        let mut latencies = Vec::new();
        while begin.elapsed() < self.time_max {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= self.count_max {
                break;
            }
            let sent = Instant::now();
            self.request(&mut client, &contents, number % self.keys).await?;
            latencies.push(sent.elapsed());
        }
        Ok(latencies)
    }

    async fn request(&self, client: &mut Client, contents: &Contents, number: usize) -> Result<()> {
        let content = contents.of(self.size, number);
        let path = path(&self.bucket, number);
        match self.action {
            Action::Put(signing) => {
                let mut ask = Ask::new(Method::PUT, path).with(content);
                ask.signing = signing;
                client.text(ask).await.map(drop)
            }
            Action::Get => client.compare(Ask::new(Method::GET, path), &content.bytes).await,
            Action::Restore => {
                let body = crate::data::Content::new(RESTORE_REQUEST.into());
                let ask = Ask::new(Method::POST, format!("{path}?restore")).with(&body);
                client.text(ask).await.map(drop)
            }
        }
    }
}

/// Where the object of this number lies. Numbers in a row are not neighbours of one folder only.
pub fn path(bucket: &str, number: usize) -> String {
    format!("/{bucket}/{:03}/{number:08}", number % 100)
}

const RESTORE_REQUEST: &str = "<RestoreRequest><Days>1</Days></RestoreRequest>";
