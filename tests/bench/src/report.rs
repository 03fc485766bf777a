//! One line of JSON per figure as it is taken, and one table at the end.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::meter::Usage;

/// One figure.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was measured.
    pub name: String,
    /// Operations, objects or files done.
    pub count: u64,
    /// Bytes of payload moved.
    pub bytes: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// Median latency of one operation, where there is one.
    pub p50: Option<Duration>,
    /// 99th percentile of the latency.
    pub p99: Option<Duration>,
    /// What the server used.
    pub server: Option<Usage>,
    /// What this process used, in CPU seconds.
    pub client_cpu_seconds: Option<f64>,
    /// Of several rounds: the least and the most CPU of the server for one operation, in seconds.
    pub cpu_range: Option<(f64, f64)>,
}

/// The figures of a run.
#[derive(Debug)]
pub struct Report {
    lines: Option<File>,
    rows: Vec<Row>,
}

// === impl Row ===

impl Row {
    /// A figure without latencies and without a server.
    pub fn new(name: impl Into<String>, count: u64, bytes: u64, elapsed: Duration) -> Self {
        Self {
            name: name.into(),
            count,
            bytes,
            elapsed,
            p50: None,
            p99: None,
            server: None,
            client_cpu_seconds: None,
            cpu_range: None,
        }
    }

    /// Of the same figure of several rounds the one with the median CPU for an operation, with the largest peak of
    /// memory and the range of the CPU. Sorts.
    pub fn median(rounds: &mut [Self]) -> Option<Self> {
        rounds.sort_by(|one, other| one.cpu_per_operation().total_cmp(&other.cpu_per_operation()));
        let mut row = rounds.get(rounds.len() / 2)?.clone();
        row.cpu_range = Some((rounds.first()?.cpu_per_operation(), rounds.last()?.cpu_per_operation()));
        let peaks = rounds.iter().filter_map(|row| Some(row.server?.peak_mib));
        let peak = peaks.fold(0.0, f64::max);
        row.server = row.server.map(|server| Usage { peak_mib: peak, ..server });
        Some(row)
    }

    fn cpu_per_operation(&self) -> f64 {
        self.server.map_or(0.0, |server| server.cpu_seconds / (self.count.max(1)) as f64)
    }

    fn per_second(&self) -> f64 {
        self.count as f64 / self.seconds()
    }

    fn megabytes_per_second(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.seconds()
    }

    fn seconds(&self) -> f64 {
        self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    fn cpu_seconds_per_10k(&self) -> Option<f64> {
        let cpu = self.server?.cpu_seconds;
        (self.count > 0).then(|| cpu * 10_000.0 / self.count as f64)
    }

    fn cpu_seconds_per_gigabyte(&self) -> Option<f64> {
        let cpu = self.server?.cpu_seconds;
        (self.bytes > 0).then(|| cpu * 1e9 / self.bytes as f64)
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "name": self.name,
            "count": self.count,
            "bytes": self.bytes,
            "seconds": self.elapsed.as_secs_f64(),
            "per_second": self.per_second(),
            "megabytes_per_second": self.megabytes_per_second(),
            "p50_ms": self.p50.map(milliseconds),
            "p99_ms": self.p99.map(milliseconds),
            "server_cpu_seconds": self.server.map(|server| server.cpu_seconds),
            "server_cpu_seconds_per_10k": self.cpu_seconds_per_10k(),
            "server_cpu_seconds_per_gigabyte": self.cpu_seconds_per_gigabyte(),
            "server_peak_mib": self.server.map(|server| server.peak_mib),
            "client_cpu_seconds": self.client_cpu_seconds,
        })
    }

    /// A cost, with its range over the rounds; `scale` makes it of that of one operation.
    fn spread(&self, value: Option<f64>, scale: f64) -> String {
        match (value, self.cpu_range) {
            (None, _) => "-".to_owned(),
            (Some(value), None) => format!("{value:.2}"),
            (Some(value), Some((least, most))) => {
                format!("{value:.2} ({:.2}-{:.2})", least * scale, most * scale)
            }
        }
    }

    fn cells(&self) -> [String; COLUMNS.len()] {
        let text = |value: Option<f64>, digits: usize| {
            value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
        };
        let moved = (self.bytes > 0).then(|| self.megabytes_per_second());
        [
            self.name.clone(),
            self.count.to_string(),
            text(Some(self.elapsed.as_secs_f64()), 2),
            text(Some(self.per_second()), 1),
            text(moved, 1),
            text(self.p50.map(milliseconds), 2),
            text(self.p99.map(milliseconds), 2),
            self.spread(self.cpu_seconds_per_10k(), 1e4),
            self.spread(self.cpu_seconds_per_gigabyte(), self.count as f64 * 1e9 / self.bytes.max(1) as f64),
            text(self.server.map(|server| server.peak_mib), 0),
        ]
    }
}

// === impl Report ===

impl Report {
    /// A report that writes its lines to this file too.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn new(lines: Option<&Path>) -> io::Result<Self> {
        let lines = lines.map(File::create).transpose()?;
        let rows = Vec::new();
        Ok(Self { lines, rows })
    }

    /// Takes a figure and writes its line.
    ///
    /// # Errors
    /// The line cannot be written.
    pub fn add(&mut self, row: Row) -> io::Result<()> {
        self.note(&row)?;
        self.rows.push(row);
        Ok(())
    }

    /// Writes the line of a figure that stays out of the table.
    ///
    /// # Errors
    /// The line cannot be written.
    pub fn note(&mut self, row: &Row) -> io::Result<()> {
        eprintln!("{:<44} {:>10.1}/s {:>9.1} MB/s", row.name, row.per_second(), row.megabytes_per_second());
        if let Some(lines) = &mut self.lines {
            writeln!(lines, "{}", row.json())?;
        }
        Ok(())
    }

    /// Takes a figure into the table without a line.
    pub fn keep(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// The table, in Markdown with aligned columns.
    pub fn table(&self) -> String {
        let mut table = vec![COLUMNS.map(str::to_owned)];
        table.extend(self.rows.iter().map(Row::cells));
        let width = |column: usize| {
            let widths = table.iter().map(|cells| cells[column].len());
            widths.max().unwrap_or_default()
        };
        let widths: [usize; COLUMNS.len()] = std::array::from_fn(width);
        let rule = widths.map(|width| "-".repeat(width));
        table.insert(1, rule);
        table.iter().map(|cells| line(cells, &widths)).collect()
    }
}

fn line(cells: &[String; COLUMNS.len()], widths: &[usize; COLUMNS.len()]) -> String {
    let padded = cells.iter().zip(widths).enumerate();
    let padded = padded.map(|(column, (cell, width))| match column {
        0 => format!("| {cell:<width$} "),
        _ => format!("| {cell:>width$} "),
    });
    padded.collect::<String>() + "|\n"
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

const COLUMNS: [&str; 10] =
    ["what", "count", "s", "per s", "MB/s", "p50 ms", "p99 ms", "CPU s/10k", "CPU s/GB", "RSS MiB"];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn rates_and_costs_are_per_unit() {
        let mut row = Row::new("PUT", 200, 4_000_000, Duration::from_secs(2));
        row.server = Some(Usage { cpu_seconds: 1.0, peak_mib: 10.0 });
        let json = row.json();
        assert_eq!(json["per_second"], 100.0);
        assert_eq!(json["megabytes_per_second"], 2.0);
        assert_eq!(json["server_cpu_seconds_per_10k"], 50.0);
        assert_eq!(json["server_cpu_seconds_per_gigabyte"], 250.0);
        assert!(json["p50_ms"].is_null());
    }

    #[test]
    fn every_line_of_the_table_is_as_long_as_the_first() {
        let mut report = Report::new(None).unwrap();
        report.add(Row::new("a rather long name of a figure", 1, 0, Duration::from_millis(3))).unwrap();
        let table = report.table();
        let lengths: Vec<usize> = table.lines().map(str::len).collect();
        assert_eq!(lengths.len(), 3);
        assert!(lengths.iter().all(|length| *length == lengths[0]), "{table}");
    }
}
