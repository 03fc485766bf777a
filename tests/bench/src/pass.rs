//! The same requests through several servers in front of one store, side by side.
//!
//! Within a round every cell is run against each server before the next cell begins, so that whatever else the
//! machine does meets all of them; the figure of several rounds is their median, and the CPU's smallest and largest
//! stand beside it.

use std::rc::Rc;
use std::str::FromStr;
use std::time::{Duration, Instant, SystemTime};

use dialect::sigv4::{Secret, Signer};
use model::Timestamp;
use tokio::task::LocalSet;

use crate::data::{Contents, Size};
use crate::error::{Error, Result, file};
use crate::meter::{Process, quantile};
use crate::report::{Report, Row};
use crate::wire::{Prepared, Promise, Wire};

/// Objects a cell goes round.
const KEYS: usize = 64;
/// Large requests of a cell are at least this many, and one for every connection, however long they take.
const LARGE_COUNT_MIN: usize = 32;
/// And no more than this many have to be of one connection.
const LARGE_COUNT_EACH: usize = 8;
/// Longest cell.
const CELL_TIME_MAX: Duration = Duration::from_secs(60);

/// A server that is measured: `name=host:port=pid`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    name: String,
    endpoint: String,
    pid: u32,
}

/// What one cell asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Get,
    Put(Promise),
}

/// One kind of request at one size and concurrency.
#[derive(Clone, Copy, Debug)]
struct Cell {
    deed: Deed,
    size: Size,
    concurrency: usize,
}

/// How it is measured.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How often all is measured.
    pub rounds: usize,
    /// How long one cell sends.
    pub cell_time: Duration,
    /// Small cells only, or large ones only.
    pub size: Option<Size>,
}

/// Measures all cells through all doors.
///
/// # Errors
/// The first error of any request.
pub fn measure(doors: &[Door], plan: Plan, key: (&str, &str), report: &mut Report) -> Result<()> {
    let signer = Signer::new(key.0, Secret::new(key.1), "us-east-1");
    let contents = Contents::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(file("starting the runtime"))?;
    let cells: Vec<Cell> =
        cells().into_iter().filter(|cell| plan.size.is_none_or(|size| size == cell.size)).collect();
    let mut rows: Vec<Vec<Row>> = vec![Vec::new(); cells.len() * doors.len()];
    for _ in 0..plan.rounds {
        let pairs = cells.iter().flat_map(|cell| doors.iter().map(move |door| (cell, door)));
        for ((cell, door), rows) in pairs.zip(&mut rows) {
            let requests = cell.requests(&signer, &contents, door)?;
            let row = LocalSet::new().block_on(&runtime, cell.run(door, requests, plan.cell_time))?;
            report.note(&row).map_err(file("writing the report"))?;
            rows.push(row);
        }
    }
    for mut of_rounds in rows {
        if let Some(row) = Row::median(&mut of_rounds) {
            report.keep(row);
        }
    }
    Ok(())
}

fn cells() -> Vec<Cell> {
    let cell = |deed, size, concurrency| Cell { deed, size, concurrency };
    let mut cells = Vec::new();
    for (size, concurrencies) in [(Size::Small, &[1, 16, 64][..]), (Size::Large, &[1, 16])] {
        for deed in [Deed::Get, Deed::Put(Promise::Nothing)] {
            cells.extend(concurrencies.iter().map(|concurrency| cell(deed, size, *concurrency)));
        }
        // What it costs to check what a client promises of its bytes.
        cells.extend([Promise::Sha256, Promise::Crc32].map(|promise| cell(Deed::Put(promise), size, 16)));
    }
    // Memory of many streams at once.
    cells.extend([Deed::Get, Deed::Put(Promise::Nothing)].map(|deed| cell(deed, Size::Large, 64)));
    cells
}

// === impl Door ===

impl FromStr for Door {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let wrong = || format!("{text:?} is not name=host:port=pid");
        let mut words = text.split('=');
        let (name, endpoint, pid) = (words.next(), words.next(), words.next());
        let (Some(name), Some(endpoint), Some(pid), None) = (name, endpoint, pid, words.next()) else {
            return Err(wrong());
        };
        let pid = pid.parse().map_err(|_| wrong())?;
        Ok(Self { name: name.to_owned(), endpoint: endpoint.to_owned(), pid })
    }
}

// === impl Cell ===

impl Cell {
    fn name(&self, door: &Door) -> String {
        let deed = match self.deed {
            Deed::Get => "GET",
            Deed::Put(Promise::Nothing) => "PUT",
            Deed::Put(Promise::Sha256) => "PUT sha256",
            Deed::Put(Promise::Crc32) => "PUT crc32",
        };
        format!("{deed} {} c{} {}", self.size.name(), self.concurrency, door.name)
    }

    /// All requests, signed before the clock runs.
    fn requests(&self, signer: &Signer, contents: &Contents, door: &Door) -> Result<Rc<[Prepared]>> {
        let now = Timestamp::from(SystemTime::now());
        let suffix = match self.size {
            Size::Small => "4k",
            Size::Large => "64m",
        };
        let count = if self.size == Size::Small { KEYS } else { 1 };
        let prepared = (0..count).map(|number| {
            let path = format!("/bench/{number:03}/object-{suffix}");
            let made = match self.deed {
                Deed::Get => Prepared::get(signer, &door.endpoint, &path, self.size.bytes(), now),
                Deed::Put(promise) => {
                    let content = contents.of(self.size, number);
                    Prepared::put(signer, &door.endpoint, &path, (content, promise), now)
                }
            };
            made.map_err(|source| Error::Build { what: path, source })
        });
        prepared.collect()
    }

    async fn run(&self, door: &Door, requests: Rc<[Prepared]>, time: Duration) -> Result<Row> {
        let failed = |source| Error::Pass { what: self.name(door), source };
        let mut wires = Vec::with_capacity(self.concurrency);
        for _ in 0..self.concurrency {
            wires.push(Wire::connect(&door.endpoint).await.map_err(failed)?);
        }
        let count_min = match self.size {
            Size::Small => 1,
            Size::Large => LARGE_COUNT_MIN.div_ceil(self.concurrency).min(LARGE_COUNT_EACH),
        };
        let server = Process(door.pid).meter();
        let begin = Instant::now();
        let workers: Vec<_> = wires
            .into_iter()
            .enumerate()
            .map(|(number, wire)| {
                let requests = requests.clone();
                tokio::task::spawn_local(work(wire, requests, number, (begin, time, count_min)))
            })
            .collect();
        let mut latencies = Vec::new();
        for worker in workers {
            latencies.extend(worker.await.map_err(Error::Worker)?.map_err(failed)?);
        }
        let elapsed = begin.elapsed();
        let usage = server.usage();
        let count = latencies.len() as u64;
        let mut row = Row::new(self.name(door), count, count * self.size.bytes() as u64, elapsed);
        row.p50 = quantile(&mut latencies, 0.5);
        row.p99 = quantile(&mut latencies, 0.99);
        row.server = Some(usage);
        Ok(row)
    }
}

/// One connection's share of a cell.
async fn work(
    mut wire: Wire,
    requests: Rc<[Prepared]>,
    number: usize,
    (begin, time, count_min): (Instant, Duration, usize),
) -> std::io::Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    while (begin.elapsed() < time || latencies.len() < count_min) && begin.elapsed() < CELL_TIME_MAX {
        let request = &requests[(number + latencies.len()) % requests.len()];
        let sent = Instant::now();
        wire.exchange(request).await?;
        latencies.push(sent.elapsed());
    }
    Ok(latencies)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn doors_are_told_on_the_command_line() {
        let door: Door = "nginx=127.0.0.1:80=12".parse().unwrap();
        assert_eq!((door.name.as_str(), door.endpoint.as_str(), door.pid), ("nginx", "127.0.0.1:80", 12));
        assert!("nginx=127.0.0.1:80".parse::<Door>().is_err());
        assert!("nginx=127.0.0.1:80=x".parse::<Door>().is_err());
    }
}
