//! The whole chain: objects in the embedded store, to tape and read back, with drives that take no time and with
//! drives whose time is simulated.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{Compression, Standing, Verify};
use model::pack::PackCopyStage;
use model::store::ObjectStore;
use model::volume::VolumeStage;
use tokio::runtime::Runtime;
use virtual_library::{SimulatedClock, Timing};

use super::clock::StreamingClock;
use super::house::{self, Folders, Running, Setup};
use super::{OBJECT_BYTES, metered, stages};
use crate::data::{Contents, Size};
use crate::error::{Error, Result, file};
use crate::report::Row;

/// Longest time a run may take.
const SECONDS_MAX: u64 = 1_800;
/// Between two looks at the book of record.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// Bytes put into a pack.
const PACK_BYTES: u64 = 256 << 20;
/// An LTO-9 drive.
const DRIVE_RATE: f64 = 400e6;
const LEVEL: i32 = 3;
const PAGE: usize = 10_000;

/// What runs of few and of many objects come to, in one drive and in two.
fn summary(pace: Pace, verify: Verify, one: &[Row], two: &[Row]) -> String {
    let rate = |rows: &[Row]| {
        let (few, many) = (&rows[0], &rows[1]);
        (many.bytes - few.bytes) as f64 / (many.elapsed.as_secs_f64() - few.elapsed.as_secs_f64())
    };
    let (of_one, of_two) = (rate(one), rate(two));
    format!(
        "{}{}: one more byte goes to tape at {:.0} MB/s ({:.1} % of the drive, {:.0} objects of 1 MiB a second), and a mount \
         costs {:.0} s beside its bytes; two drives are {:.2} times one\n",
        pace.told(),
        told(verify),
        of_one / 1e6,
        of_one / DRIVE_RATE * 100.0,
        of_one / OBJECT_BYTES as f64,
        one[0].elapsed.as_secs_f64() - one[0].bytes as f64 / of_one,
        of_two / of_one,
    )
}

impl Pace {
    /// Objects of the smaller and the larger of two runs: where time is waited for, more, so that its jitter matters less.
    fn objects(self, few: usize) -> [usize; 2] {
        match self {
            Self::Simulated => [few, 3 * few],
            Self::Real => [few, 5 * few],
        }
    }

    fn told(self) -> &'static str {
        match self {
            Self::Simulated => "",
            Self::Real => "in real time, ",
        }
    }
}

fn told(verify: Verify) -> &'static str {
    if verify == Verify::Never { "written" } else { "written and read back" }
}

/// Where it is measured, and with what.
pub struct Bench<'a> {
    /// Carries the engine.
    pub runtime: &'a Runtime,
    /// Bytes of objects.
    pub contents: &'a Contents,
    /// Store, spool and catalog.
    pub folder: &'a Path,
    /// Cartridges.
    pub tapes: &'a Path,
    /// The spool, when it is elsewhere.
    pub spool: Option<&'a Path>,
    /// Objects of a chain, and of the smaller of two runs.
    pub objects: usize,
}

/// Takes a figure.
pub type Add<'a> = &'a mut dyn FnMut(Row) -> Result<()>;

/// How the drives of a run take their time.
#[derive(Clone, Copy, PartialEq)]
pub enum Pace {
    /// On a clock of their own, with everything on the spool before the first mount: the host takes no time.
    Simulated,
    /// On the wall's, while the host packs: each waits for the other. Motions are left out.
    Real,
}

impl Bench<'_> {
    /// The whole chain with tapes that take no time.
    pub fn chains(&self, add: Add<'_>) -> Result<()> {
        for (name, compression) in [("stored", Compression::None), ("zstd 3", Compression::Zstd(LEVEL))] {
            add(self.chain(name, compression, self.objects)?)?;
        }
        Ok(())
    }

    /// Runs of few and of many objects, with one drive and with two; what they come to.
    pub fn drives(&self, pace: Pace, add: Add<'_>) -> Result<String> {
        let mut said = String::new();
        for verify in [Verify::Never, Verify::Deferred] {
            let mut runs = [1, 2].map(|_| Vec::new());
            for (drives, rows) in (1..).zip(&mut runs) {
                for count in pace.objects(self.objects) {
                    let row = self.timed(pace, drives, verify, count)?;
                    add(row.clone())?;
                    rows.push(row);
                }
            }
            said += &summary(pace, verify, &runs[0], &runs[1]);
        }
        let commit = stages::commit_cost(self.contents, &self.folder.join("commit"))?;
        Ok(format!(
            "{said}a commit takes {:.1} s: once in 32 GB, or at the end of a mount\n",
            commit.as_secs_f64()
        ))
    }

    /// From the rule until everything is read back from a tape that takes no time.
    fn chain(&self, name: &str, compression: Compression, objects: usize) -> Result<Row> {
        let folder = self.folder.join("chain");
        let store = self.filled(&folder, objects)?;
        let setup = Setup { drives: 2, compression, pack_bytes: PACK_BYTES, verify: Verify::Deferred };
        let running =
            self.runtime.block_on(house::open(self.folders(&folder), store, Timing::instant(), setup))?;
        self.runtime.block_on(scratch(&running))?;
        let ((), row) = metered(format!("chain {name}, {objects} x 1 MiB, store to verified"), || {
            self.runtime.block_on(async {
                running.put_rule().await?;
                reach(&running, PackCopyStage::Verified, objects).await
            })?;
            Ok(((), objects as u64, (objects * OBJECT_BYTES) as u64))
        })?;
        self.runtime.block_on(running.stop())?;
        std::fs::remove_dir_all(&folder).map_err(file("removing a run"))?;
        self.empty_tapes()?;
        Ok(row)
    }

    fn folders<'b>(&'b self, folder: &'b Path) -> Folders<'b> {
        Folders { data: folder, spool: self.spool.unwrap_or(folder).join("spool"), tapes: self.tapes }
    }

    fn empty_tapes(&self) -> Result<()> {
        std::fs::remove_dir_all(self.tapes).map_err(file("removing a run's tapes"))
    }

    /// Until all is on tape, read back where that is asked for.
    fn timed(&self, pace: Pace, drives: u16, verify: Verify, objects: usize) -> Result<Row> {
        let folder = self.folder.join("timed");
        let store = self.filled(&folder, objects)?;
        let (clock, streaming) = (SimulatedClock::default(), StreamingClock::default());
        let setup = Setup { drives, compression: Compression::None, pack_bytes: PACK_BYTES, verify };
        let timing = match pace {
            Pace::Simulated => Timing::on(Arc::new(clock.clone())),
            Pace::Real => Timing::on(Arc::new(streaming)),
        };
        let running = self.runtime.block_on(house::open(self.folders(&folder), store, timing, setup))?;
        let end = if verify == Verify::Never { PackCopyStage::Written } else { PackCopyStage::Verified };
        let name = format!("LTO-9 x {drives}, {}{objects} x 1 MiB, {}", pace.told(), told(verify));
        let ((elapsed, commits), mut row) = metered(name, || {
            let told = self.runtime.block_on(async {
                scratch(&running).await?;
                running.engine.stand(held(&running));
                running.put_rule().await?;
                if pace == Pace::Simulated {
                    reach(&running, PackCopyStage::Spooled, objects).await?;
                }
                let before = running.commits().await?;
                let (wall, simulated) = (Instant::now(), clock.elapsed());
                running.engine.stand(Standing::default());
                reach(&running, end, objects).await?;
                let elapsed = match pace {
                    Pace::Simulated => clock.elapsed() - simulated,
                    Pace::Real => wall.elapsed(),
                };
                Ok::<_, Error>((elapsed, running.commits().await? - before))
            })?;
            Ok((told, objects as u64, (objects * OBJECT_BYTES) as u64))
        })?;
        self.runtime.block_on(running.stop())?;
        std::fs::remove_dir_all(&folder).map_err(file("removing a run"))?;
        self.empty_tapes()?;
        row.elapsed = elapsed;
        row.name += &format!(" ({commits} commits)");
        Ok(row)
    }

    fn filled(&self, folder: &Path, objects: usize) -> Result<Arc<dyn ObjectStore>> {
        let bytes = &self.contents.of(Size::Large, 0).bytes;
        self.runtime.block_on(async {
            let store = house::store(folder).await?;
            house::fill(&*store, bytes, objects).await?;
            // What users have was on the disk long ago: its writing is not to meet the spool's.
            settled()?;
            Ok(store)
        })
    }
}

/// Returns when nothing waits to be written to any disk.
fn settled() -> Result<()> {
    let ended = std::process::Command::new("sync").status().map_err(file("sync"))?;
    if ended.success() {
        Ok(())
    } else {
        Err(Error::Refused { what: "sync".to_owned(), status: 0, text: ended.to_string() })
    }
}

/// Nothing is mounted.
fn held(running: &Running) -> Standing {
    let now = running.engine.house().now();
    Standing { held: [("main".to_owned(), now)].into(), ..Standing::default() }
}

/// Cartridges are labelled before anything is measured.
async fn scratch(running: &Running) -> Result<()> {
    look("scratch cartridges", async || {
        let rows = running.catalog.volumes().await.ok()?;
        let scratch = rows.iter().filter(|row| row.state.stage() == VolumeStage::Scratch).count();
        (scratch >= 2).then_some(())
    })
    .await
}

/// Waits until packs with so many objects are at least that far.
async fn reach(running: &Running, stage: PackCopyStage, objects: usize) -> Result<()> {
    look("packs to get further", async || {
        let mut members = 0;
        for further in PackCopyStage::ALL {
            if further < stage || further == PackCopyStage::Dead {
                continue;
            }
            for copy in running.catalog.copies_in(further, None, PAGE).await.ok()? {
                members += running.catalog.pack(copy.pack).await.ok()??.members as usize;
            }
        }
        (members >= objects).then_some(())
    })
    .await
}

async fn look(what: &str, condition: impl AsyncFn() -> Option<()>) -> Result<()> {
    let begin = Instant::now();
    let mut ticks = tokio::time::interval(LOOK_INTERVAL);
    loop {
        ticks.tick().await;
        if condition().await.is_some() {
            return Ok(());
        }
        if begin.elapsed().as_secs() >= SECONDS_MAX {
            return Err(Error::Overdue { what: what.to_owned(), seconds: SECONDS_MAX });
        }
    }
}
