//! What only tests set: how fast time goes, and what goes wrong in virtual libraries.

use std::time::Duration;

use model::time::DayLength;
use virtual_library::Planned;

use super::section::Section;
use super::{LibraryConfig, Pace, QUIET_DEFAULT};

const DAY_SECONDS_MAX: u64 = 86_400;
const PROBE_ROUNDS_MAX: u64 = 10_000;
/// Slower than any machine.
const TIME_SCALE_MAX: f64 = 1_000.0;

/// The table `[testing]`.
pub struct Testing {
    pub pace: Pace,
    /// How long a pool waits for more by default.
    pub quiet: Duration,
    pub probe_rounds: u32,
    pub machines: Machines,
}

/// How the machines of virtual libraries behave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Machines {
    /// How many times longer than with real machines everything takes; 0 is no time at all.
    pub time_scale: f64,
    /// What goes wrong, by library.
    pub faults: Vec<(String, Planned)>,
}

impl Default for Testing {
    fn default() -> Self {
        Self {
            pace: Pace::default(),
            quiet: QUIET_DEFAULT,
            probe_rounds: store::RACE_ROUNDS,
            machines: Machines::default(),
        }
    }
}

/// Reads the table.
pub fn read(mut section: Section<'_>, libraries: &[LibraryConfig]) -> Testing {
    let Testing { mut pace, mut quiet, probe_rounds, .. } = Testing::default();
    if let Some(seconds) = section.small("day_seconds", 1..=DAY_SECONDS_MAX) {
        pace.day = DayLength::Seconds(seconds);
    }
    if let Some(interval) = section.seconds("lifecycle_interval_seconds") {
        pace.scan_interval = interval.max(Duration::from_millis(50));
        pace.lapse_interval = pace.lapse_interval.min(pace.scan_interval);
        pace.retry_after = pace.retry_after.min(2 * pace.scan_interval);
        quiet = quiet.min(pace.scan_interval);
    }
    pace.grace = section.seconds("grace_seconds").unwrap_or(pace.grace);
    pace.restore_hold = section.seconds("restore_hold_seconds").unwrap_or(pace.restore_hold);
    let time_scale = section.fraction("virtual_time_scale").unwrap_or(0.0);
    if !(0.0..=TIME_SCALE_MAX).contains(&time_scale) {
        section.fault(
            "virtual_time_scale",
            format!("{time_scale} is out of range"),
            "write 0 for no time at all, 1 for real time, or what lies between",
        );
    }
    let faults = faults(&mut section, libraries);
    let probe_rounds = section.small("probe_rounds", 1..=PROBE_ROUNDS_MAX).unwrap_or(probe_rounds);
    section.end();
    Testing { pace, quiet, probe_rounds, machines: Machines { time_scale, faults } }
}

/// Lines as `main drive 0 write_6 fail 3/0C/00 after 5`: a library, and what goes wrong in it.
fn faults(section: &mut Section<'_>, libraries: &[LibraryConfig]) -> Vec<(String, Planned)> {
    const FIX: &str =
        "write \"LIBRARY UNIT COMMAND EFFECT\", as \"main drive 0 write_6 fail 3/0C/00 after 5\"";
    let mut faults = Vec::new();
    for (at, line) in section.texts("faults").unwrap_or_default().into_iter().enumerate() {
        let refuse = |problem: String| section.fault(&format!("faults[{at}]"), problem, FIX);
        let (name, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let Some(library) = libraries.iter().find(|library| library.name == name) else {
            refuse(format!("{line:?}: there is no library {name:?}"));
            continue;
        };
        let Some(geometry) = library.geometry() else {
            refuse(format!("{line:?}: {name} is a real library, where things go wrong by themselves"));
            continue;
        };
        match rest.parse::<Planned>() {
            Ok(planned) if planned.drive().is_some_and(|n| n >= usize::from(geometry.drives)) => {
                refuse(format!("{line:?}: {name} has {} drives, from 0", geometry.drives));
            }
            Ok(planned) => faults.push((name.to_owned(), planned)),
            Err(error) => refuse(error.to_string()),
        }
    }
    faults
}
