//! What a process used, from `/proc`, and quantiles of latencies.

use std::fs;
use std::time::Duration;

/// Clock ticks per second of `/proc/<pid>/stat`: 100 on every Linux this runs on.
const TICKS_PER_SECOND: f64 = 100.0;
/// Written to `clear_refs`, it resets the peak of resident memory.
const RESET_PEAK: &str = "5";

/// A process that is measured.
#[derive(Clone, Copy, Debug)]
pub struct Process(pub u32);

/// CPU time and memory of a process over one cell.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// User and system time, all threads, in seconds.
    pub cpu_seconds: f64,
    /// Peak resident memory since the cell began, in MiB.
    pub peak_mib: f64,
}

/// A measurement under way.
#[derive(Debug)]
pub struct Meter {
    process: Process,
    cpu_before: f64,
}

// === impl Process ===

impl Process {
    /// Begins measuring. The peak of memory is reset where the kernel allows it.
    pub fn meter(self) -> Meter {
        let reset = fs::write(format!("/proc/{}/clear_refs", self.0), RESET_PEAK);
        if let Err(error) = reset {
            eprintln!("peak memory counts from the start of process {}: {error}", self.0);
        }
        Meter { process: self, cpu_before: self.cpu_seconds() }
    }

    /// User and system time so far; 0 when the process is gone.
    fn cpu_seconds(self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap_or_default();
        // The name in parentheses may hold spaces; utime and stime are the 12th and 13th words after it.
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let ticks = after_name.split_whitespace().skip(11).take(2);
        ticks.filter_map(|word| word.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND
    }

    fn peak_mib(self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
        kib.unwrap_or_default() / 1024.0
    }
}

// === impl Meter ===

impl Meter {
    /// Ends measuring.
    pub fn usage(self) -> Usage {
        Usage { cpu_seconds: self.process.cpu_seconds() - self.cpu_before, peak_mib: self.process.peak_mib() }
    }
}

/// The latency below which `share` (0 to 1) of all lie; `None` of none. Sorts.
pub fn quantile(latencies: &mut [Duration], share: f64) -> Option<Duration> {
    latencies.sort_unstable();
    let last = latencies.len().checked_sub(1)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
    let at = (latencies.len() as f64 * share) as usize;
    latencies.get(at.min(last)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_come_from_the_sorted_list() {
        let mut latencies: Vec<Duration> = (1..=100).rev().map(Duration::from_millis).collect();
        let mut at = |share| quantile(&mut latencies, share).map(|latency| latency.as_millis());
        assert_eq!(at(0.0), Some(1));
        assert_eq!(at(0.5), Some(51));
        assert_eq!(at(0.99), Some(100));
        assert_eq!(at(1.0), Some(100));
        assert_eq!(quantile(&mut [], 0.5), None);
    }

    #[test]
    fn this_process_uses_memory_and_then_cpu() {
        let meter = Process(std::process::id()).meter();
        let mut sum = 0_u64;
        let begin = std::time::Instant::now();
        while begin.elapsed() < Duration::from_millis(60) {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(7));
        }
        let usage = meter.usage();
        assert!(usage.cpu_seconds > 0.0 && usage.peak_mib > 0.0, "{usage:?}");
    }
}
