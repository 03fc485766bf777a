//! The whole chain: objects in the embedded store, to tape and read back, with drives that take no time and with
//! drives whose time is simulated.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::{Compression, Standing};
use model::pack::PackCopyStage;
use model::store::ObjectStore;
use model::volume::VolumeStage;
use tokio::runtime::Runtime;
use virtual_library::{SimulatedClock, Timing};

use super::house::{self, Running, Setup};
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
/// What the engine commits at a time.
const COMMIT_GROUP_BYTES: f64 = 32e9;
/// An LTO-9 drive.
const DRIVE_RATE: f64 = 400e6;
const LEVEL: i32 = 3;
const PAGE: usize = 10_000;

/// Measures every run; gives the rows, and what they come to.
pub fn measure(
    runtime: &Runtime,
    contents: &Contents,
    folder: &Path,
    objects: usize,
) -> Result<(Vec<Row>, String)> {
    let bench = Bench { runtime, contents, folder };
    let mut rows = Vec::new();
    for (name, compression) in [("stored", Compression::None), ("zstd 3", Compression::Zstd(LEVEL))] {
        rows.push(bench.chain(name, compression, objects)?);
    }
    let [few, many] = [bench.timed(1, objects)?, bench.timed(1, 3 * objects)?];
    let two = bench.timed(2, 3 * objects)?;
    let commit = stages::commit_cost(contents, &folder.join("commit"))?;
    let said = summary(&few, &many, &two, commit);
    rows.extend([few, many, two].into_iter().flat_map(|run| [run.row, run.verified]));
    Ok((rows, said))
}

/// What the runs come to.
fn summary(few: &Timed, many: &Timed, two: &Timed, commit: Duration) -> String {
    let seconds = |run: &Timed| run.row.elapsed.as_secs_f64();
    let rate = (many.row.bytes - few.row.bytes) as f64 / (seconds(many) - seconds(few));
    let fixed = seconds(few) - few.row.bytes as f64 / rate;
    // A mount is paid once; the marks and the index of a group are part of what is fixed here.
    let of_group = COMMIT_GROUP_BYTES / (COMMIT_GROUP_BYTES / rate + commit.as_secs_f64());
    let of_two = seconds(many) / seconds(two);
    format!(
        "one more byte goes to tape at {:.0} MB/s ({:.1} % of the drive); a mount costs {fixed:.0} s beside its bytes, of \
         which {:.1} s are the commit; commit groups of 32 GB make that {:.0} MB/s, {:.1} % of the drive and {:.0} objects \
         of 1 MiB a second; two drives are {of_two:.2} times one\n",
        rate / 1e6,
        rate / DRIVE_RATE * 100.0,
        commit.as_secs_f64(),
        of_group / 1e6,
        of_group / DRIVE_RATE * 100.0,
        of_group / OBJECT_BYTES as f64,
    )
}

struct Bench<'a> {
    runtime: &'a Runtime,
    contents: &'a Contents,
    folder: &'a Path,
}

/// A run with simulated time.
struct Timed {
    /// From the first mount until everything is on tape.
    row: Row,
    /// Until everything was read back, too.
    verified: Row,
}

impl Bench<'_> {
    /// From the rule until everything is read back from a tape that takes no time.
    fn chain(&self, name: &str, compression: Compression, objects: usize) -> Result<Row> {
        let folder = self.folder.join("chain");
        let store = self.filled(&folder, objects)?;
        let setup = Setup { drives: 2, compression, pack_bytes: PACK_BYTES };
        let running = self.runtime.block_on(house::open(&folder, store, Timing::instant(), setup))?;
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
        Ok(row)
    }

    /// Everything is on the spool before the first mount, so that nothing but the drives takes time.
    fn timed(&self, drives: u16, objects: usize) -> Result<Timed> {
        let folder = self.folder.join("timed");
        let store = self.filled(&folder, objects)?;
        let clock = SimulatedClock::default();
        let timing = Timing::on(Arc::new(clock.clone()));
        let setup = Setup { drives, compression: Compression::None, pack_bytes: PACK_BYTES };
        let running = self.runtime.block_on(house::open(&folder, store, timing, setup))?;
        let name = |what: &str| format!("LTO-9 x {drives}, {objects} x 1 MiB, {what}");
        let (times, mut row) = metered(name("written"), || {
            let times = self.runtime.block_on(async {
                scratch(&running).await?;
                running.engine.stand(held(&running));
                running.put_rule().await?;
                reach(&running, PackCopyStage::Spooled, objects).await?;
                let begin = clock.elapsed();
                running.engine.stand(Standing::default());
                reach(&running, PackCopyStage::Written, objects).await?;
                let written = clock.elapsed();
                reach(&running, PackCopyStage::Verified, objects).await?;
                Ok::<_, Error>((begin, written, clock.elapsed()))
            })?;
            Ok((times, objects as u64, (objects * OBJECT_BYTES) as u64))
        })?;
        self.runtime.block_on(running.stop())?;
        std::fs::remove_dir_all(&folder).map_err(file("removing a run"))?;
        let (begin, written, verified) = times;
        row.elapsed = written - begin;
        let mut all = row.clone();
        (all.name, all.elapsed) = (name("and verified"), verified - begin);
        Ok(Timed { row, verified: all })
    }

    fn filled(&self, folder: &Path, objects: usize) -> Result<Arc<dyn ObjectStore>> {
        let bytes = &self.contents.of(Size::Large, 0).bytes;
        self.runtime.block_on(async {
            let store = house::store(folder).await?;
            house::fill(&*store, bytes, objects).await?;
            Ok(store)
        })
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
