//! What each stage does on its own. CPU seconds for 10^9 bytes tell what a core can do, whatever else the machine does.

use std::fs::File;
use std::io::{Read as _, Write as _, sink};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::TryStreamExt;
use library::{
    Appending, CatalogId, Config, End, Expected, LabelledVolume, Library, Mount, Mounted, Overwrite,
    PackFile, Reading, VolumeIdentity, VolumeUuid, WorkEnd,
};
use model::store::ObjectRef;
use tokio::runtime::Runtime;
use virtual_library::{Geometry, SimulatedClock, Timing, VirtualLibrary};
use volume::pack::limits::LEVEL_STORED;
use volume::pack::{Member, MemberId, ObjectRecord, Options, PackId, PackSummary, PackWriter};
use volume::seal::{KeyId, SealWriter, SealingKey};

use super::{OBJECT_BYTES, house, metered};
use crate::data::{Contents, LARGE_BYTES, Size};
use crate::error::{Error, Result, file, part};
use crate::report::Row;

/// Longest time of one stage.
const TIME_MAX: Duration = Duration::from_millis(1500);
/// Objects in the store, and in the pack that goes through the later stages.
const OBJECTS: usize = 512;

/// Every stage.
pub fn measure(runtime: &Runtime, contents: &Contents, folder: &Path) -> Result<Vec<Row>> {
    let bytes = &contents.of(Size::Large, 0).bytes;
    let mut rows = vec![read_store(runtime, bytes, &folder.join("stages"))?];
    rows.push(repeat("stage BLAKE3", || {
        std::hint::black_box(blake3::hash(bytes));
        Ok(LARGE_BYTES as u64)
    })?);
    let name = "bench".parse().map_err(part("the key"))?;
    let key = SealingKey::generate(KeyId { name, version: 1 }).map_err(part("the key"))?;
    rows.push(repeat("stage seal", || {
        let mut sealed = SealWriter::new(sink(), PackId(1_u128.into()), &key).map_err(file("sealing"))?;
        sealed.write_all(bytes).map_err(file("sealing"))?;
        sealed.finish().map_err(file("sealing"))?;
        Ok(LARGE_BYTES as u64)
    })?);
    for (name, level, key) in [
        ("stored", LEVEL_STORED, None),
        ("stored and sealed", LEVEL_STORED, Some(&key)),
        ("zstd 1", 1, None),
        ("zstd 3", 3, None),
    ] {
        rows.push(repeat(&format!("stage pack, {name}"), || {
            pack(bytes, level, key, sink()).map(|_| (OBJECTS * OBJECT_BYTES) as u64)
        })?);
    }
    rows.extend(spool_and_tape(bytes, &folder.join("stages"))?);
    Ok(rows)
}

/// Objects read as the engine reads them.
fn read_store(runtime: &Runtime, bytes: &Bytes, folder: &Path) -> Result<Row> {
    let store = runtime.block_on(house::store(folder))?;
    runtime.block_on(house::fill(&*store, bytes, OBJECTS))?;
    repeat("stage read from the embedded store", || {
        runtime.block_on(async {
            for number in 0..OBJECTS {
                let object = ObjectRef { bucket: house::bucket(), key: house::key(number), version: None };
                let head = store.head(&object).await.map_err(part("the store"))?;
                let head = head.ok_or_else(|| Error::WrongBytes { what: "the store".into() })?;
                let read = store.read(&object, &head.etag, 0..head.size).await.map_err(part("the store"))?;
                read.try_for_each(|_| async { Ok(()) }).await.map_err(part("the store"))?;
            }
            Ok((OBJECTS * OBJECT_BYTES) as u64)
        })
    })
}

/// A pack of objects cut out of `bytes`.
fn pack<W: std::io::Write>(
    bytes: &Bytes,
    level: i32,
    key: Option<&SealingKey>,
    to: W,
) -> Result<(W, PackSummary)> {
    let failed = part("the pack");
    let id = |number: usize| number as u128;
    let options = Options { level, key: key.cloned(), ..Options::default() };
    let mut writer = PackWriter::new(to, PackId(1_u128.into()), &options).map_err(&failed)?;
    for number in 0..OBJECTS {
        let record = ObjectRecord {
            bucket: "bench".into(),
            key: format!("object-{number:06}"),
            size: OBJECT_BYTES as u64,
            ..ObjectRecord::default()
        };
        let member =
            Member { id: MemberId(id(number).into()), length: OBJECT_BYTES as u64, segment: None, record };
        writer.begin_member(member).map_err(&failed)?;
        let from = (number * OBJECT_BYTES) % LARGE_BYTES;
        writer.write(&bytes[from..from + OBJECT_BYTES]).map_err(&failed)?;
        writer.end_member().map_err(&failed)?;
    }
    writer.finish().map_err(&failed)
}

/// A pack written to the spool, read from it, written to a virtual tape that takes no time, and read back.
fn spool_and_tape(bytes: &Bytes, folder: &Path) -> Result<Vec<Row>> {
    let (plain, summary) = pack(bytes, LEVEL_STORED, None, Vec::new())?;
    let path = folder.join("pack");
    let length = plain.len() as u64;
    let failed = file("the spool");
    let spool_write = repeat("stage spool write + fsync", || {
        let mut spooled = File::create(&path).map_err(&failed)?;
        spooled.write_all(&plain).and_then(|()| spooled.sync_all()).map_err(&failed)?;
        Ok(length)
    })?;
    let mut buffer = vec![0; OBJECT_BYTES];
    let spool_read = repeat("stage spool read, cached", || {
        let mut spooled = File::open(&path).map_err(&failed)?;
        while spooled.read(&mut buffer).map_err(&failed)? > 0 {}
        Ok(length)
    })?;
    let tape = Tape::open(&folder.join("library"), Timing::instant())?;
    let (start_block, write) = tape.write(&path, &summary)?;
    let read = tape.verify(start_block, length)?;
    Ok(vec![spool_write, spool_read, write, read])
}

/// What a commit costs beside the bytes before it, on a drive whose time is simulated.
pub fn commit_cost(contents: &Contents, folder: &Path) -> Result<Duration> {
    std::fs::create_dir_all(folder).map_err(file("making the folder"))?;
    let path = folder.join("pack");
    let spooled = File::create(&path).map_err(file("the spool"))?;
    let (_, summary) = pack(&contents.of(Size::Large, 0).bytes, LEVEL_STORED, None, spooled)?;
    let clock = SimulatedClock::default();
    let tape = Tape::open(&folder.join("library"), Timing::on(Arc::new(clock.clone())))?;
    let [one, four] = tape.append(move |mounted| {
        let mut group = |first: u32, count: u32| {
            let begin = clock.elapsed();
            for number in first..first + count {
                append(mounted, &path, &summary, number)?;
            }
            mounted.commit().map_err(|error| error.to_string())?;
            Ok::<_, String>(clock.elapsed() - begin)
        };
        // The first one begins with a tape that stands elsewhere.
        group(0, 1)?;
        Ok([group(1, 1)?, group(2, 4)?])
    })?;
    std::fs::remove_dir_all(folder).map_err(file("removing a run"))?;
    // Of a pack each time: four commits less one, but for the bytes.
    Ok((4 * one).saturating_sub(four) / 3)
}

/// A drive with a volume in it.
struct Tape {
    library: Library,
    mount: Mount,
}

impl Tape {
    fn open(folder: &Path, timing: Timing) -> Result<Self> {
        let geometry = Geometry { drives: 1, cartridge_bytes: 64 << 30, ..Geometry::default() };
        let machine = VirtualLibrary::open_timed(folder, geometry, timing).map_err(part("the library"))?;
        let drives = vec![machine.drive_transport(0)];
        let library = Library::open(Config::new("bench"), machine.changer_transport(), drives)
            .map_err(part("the library"))?;
        let barcode = library.inventory().barcodes().remove(0);
        let catalog_id = CatalogId::from_u128(1);
        let identity =
            VolumeIdentity { uuid: VolumeUuid::from_u128(7), catalog_id, name: barcode.to_string() };
        let labelled = library.label(&barcode, identity, Overwrite::Volume(VolumeUuid::from_u128(7)));
        let LabelledVolume { uuid, mam_serial, generation, eod_block, .. } =
            labelled.map_err(part("the library"))?;
        let expect = Expected { uuid, mam_serial, catalog_id, generation, eod_block, end: End::Unclean };
        Ok(Self { library, mount: Mount { barcode, expect } })
    }

    /// Work at the end of the volume.
    fn append<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Mounted<Appending>) -> std::result::Result<T, String> + Send + 'static,
    ) -> Result<T> {
        let (answer, answered) = mpsc::channel();
        let ended = answer.clone();
        let work = move |mounted: &mut Mounted<Appending>| {
            drop(answer.send(work(mounted)));
            WorkEnd::Keep
        };
        let done = move |report: std::result::Result<_, library::Error>| {
            if let Err(error) = report {
                drop(ended.send(Err(error.to_string())));
            }
        };
        let queued = self.library.append(self.mount.clone(), Box::new(work), Box::new(done));
        queued.map_err(part("the library"))?;
        answered.recv().map_err(part("the drive"))?.map_err(said)
    }

    /// Writes the pack a few times; gives where the last one begins.
    fn write(&self, path: &Path, summary: &PackSummary) -> Result<(u64, Row)> {
        const TIMES: u32 = 3;
        let (path, summary, bytes) = (path.to_owned(), summary.clone(), summary.bytes);
        metered("stage write to tape", || {
            let block = self.append(move |mounted| {
                let mut block = 0;
                for number in 0..TIMES {
                    block = append(mounted, &path, &summary, number)?;
                }
                mounted.commit().map_err(|error| error.to_string())?;
                Ok(block)
            })?;
            Ok((block, TIMES.into(), u64::from(TIMES) * bytes))
        })
    }

    fn verify(&self, start_block: u64, bytes: u64) -> Result<Row> {
        repeat("stage read back from tape", || {
            let (answer, answered) = mpsc::channel();
            let work = move |mounted: &mut Mounted<Reading>| {
                let mut digest = blake3::Hasher::new();
                let read = mounted.read_pack(start_block, 0..bytes, &mut digest);
                drop(answer.send(read.map_err(|error| error.to_string())));
                WorkEnd::Keep
            };
            let queued = self.library.read(self.mount.clone(), Box::new(work), Box::new(|_| {}));
            queued.map_err(part("the library"))?;
            answered.recv().map_err(part("the drive"))?.map_err(said)?;
            Ok(bytes)
        })
    }
}

fn append(
    mounted: &mut Mounted<Appending>,
    path: &Path,
    summary: &PackSummary,
    number: u32,
) -> std::result::Result<u64, String> {
    let pack = PackFile {
        id: format!("PACK{number}"),
        path: path.to_owned(),
        bytes: summary.bytes,
        digest: summary.digest.0,
        sealed: false,
        manifest: &summary.manifest,
        copy: library::CopyLabel { pool: "bench".into(), number: 0 },
    };
    mounted.append_pack(&pack).map(|written| written.start_block).map_err(|error| error.to_string())
}

fn said(text: String) -> Error {
    part("the drive")(std::io::Error::other(text))
}

/// The same work again and again until its time is over.
fn repeat(name: &str, mut work: impl FnMut() -> Result<u64>) -> Result<Row> {
    let ((), row) = metered(name, || {
        let (begin, mut times, mut bytes) = (Instant::now(), 0, 0);
        while begin.elapsed() < TIME_MAX {
            bytes += work()?;
            times += 1;
        }
        Ok(((), times, bytes))
    })?;
    Ok(row)
}
