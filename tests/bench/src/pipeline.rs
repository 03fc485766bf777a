//! The way of an object to tape, stage by stage and as a whole, in this process: what each stage does on its own, what
//! the chain does with a tape that takes no time, and what it does with LTO-9 drives that take theirs.
//!
//! Drives' time is simulated, where the library counts what real ones would take for everything that is asked of them
//! (loads, locates, marks on tape, verification) and the host's own time does not count; or it is waited for, drive and
//! host each for the other, as in a machine room.

mod clock;
mod house;
mod stages;
mod tape;

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::data::Contents;
use crate::error::{Result, file};
use crate::meter::Process;
use crate::report::{Report, Row};

/// One object of the pipeline's.
const OBJECT_BYTES: usize = 1 << 20;

/// What is measured, and where.
#[derive(Args)]
pub struct Arguments {
    /// A folder on the disk that is to be measured; made and removed. Holds up to three times what goes to tape
    #[arg(long)]
    folder: PathBuf,
    /// A folder for what stands for tapes: in memory, no disk does a drive's work. Made and removed
    #[arg(long)]
    tapes: PathBuf,
    /// A folder for the spool, when it is on another disk; made and removed
    #[arg(long)]
    spool: Option<PathBuf>,
    /// One part alone
    #[arg(long)]
    only: Option<Part>,
    /// Writes every figure here as a line of JSON
    #[arg(long)]
    lines: Option<PathBuf>,
    /// Objects of 1 MiB taken to tape in the smaller of two runs; the larger has three times as many
    #[arg(long, default_value_t = 1_500)]
    objects: usize,
}

/// What can be measured alone.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Each stage on its own
    Stages,
    /// The whole chain, with tapes that take no time
    Chain,
    /// Drives in simulated time
    Simulated,
    /// Drives in real time
    Real,
}

impl Arguments {
    fn wants(&self, part: Part) -> bool {
        self.only.is_none_or(|only| only == part)
    }
}

/// Measures everything, and prints the table.
///
/// # Errors
/// Whatever breaks: a run with one error fails.
pub fn run(arguments: &Arguments) -> Result<()> {
    let mut report = Report::new(arguments.lines.as_deref()).map_err(file("making the report"))?;
    let contents = Contents::new();
    let folders = [Some(&arguments.folder), Some(&arguments.tapes), arguments.spool.as_ref()];
    for folder in folders.into_iter().flatten() {
        std::fs::create_dir_all(folder).map_err(file("making a folder"))?;
    }
    let measured = measure(arguments, &contents, &mut report);
    for folder in folders.into_iter().flatten() {
        if folder.exists() {
            std::fs::remove_dir_all(folder).map_err(file("removing a folder"))?;
        }
    }
    let said = measured?;
    print!("{}\n{said}", report.table());
    Ok(())
}

fn measure(arguments: &Arguments, contents: &Contents, report: &mut Report) -> Result<String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(file("starting the runtime"))?;
    let mut add = |row: Row| report.add(row).map_err(file("writing the report"));
    if arguments.wants(Part::Stages) {
        stages::measure(&runtime, contents, &arguments.folder)?.into_iter().try_for_each(&mut add)?;
    }
    let bench = tape::Bench {
        runtime: &runtime,
        contents,
        folder: &arguments.folder,
        tapes: &arguments.tapes,
        spool: arguments.spool.as_deref(),
        objects: arguments.objects,
    };
    let mut said = String::new();
    if arguments.wants(Part::Chain) {
        bench.chains(&mut add)?;
    }
    for (part, pace) in [(Part::Simulated, tape::Pace::Simulated), (Part::Real, tape::Pace::Real)] {
        if arguments.wants(part) {
            said += &bench.drives(pace, &mut add)?;
        }
    }
    Ok(said)
}

/// A figure with what this process used for it.
fn metered<T>(name: impl Into<String>, work: impl FnOnce() -> Result<(T, u64, u64)>) -> Result<(T, Row)> {
    let meter = Process(std::process::id()).meter();
    let begin = std::time::Instant::now();
    let (value, count, bytes) = work()?;
    let mut row = Row::new(name, count, bytes, begin.elapsed());
    row.server = Some(meter.usage());
    Ok((value, row))
}
