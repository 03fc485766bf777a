//! The engine with its real neighbours, in this process.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use catalog::RedbCatalog;
use dialect::reserved::MarkerKey;
use engine::{
    Affinity, Compression, Engine, House, MemoryFence, Parts, PoolSettings, Settings, SpoolSettings,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use library::{CatalogId, Library};
use model::bucket::BucketSettings;
use model::catalog::{Bucket, Catalog, Change};
use model::clock::{Clock, Entropy};
use model::fence::Work;
use model::rule::{LifecycleConfiguration, Rule, Scope, Transition, TransitionMinimum, When};
use model::store::ObjectStore;
use model::time::DayLength;
use model::{BucketName, ObjectKey, PoolName, StorageClass, TapeClass, Timestamp};
use store::{EmbeddedStore, Options, Reserved, S3Store};
use virtual_library::{Geometry, Timing, VirtualLibrary};

use super::OBJECT_BYTES;
use crate::data::LARGE_BYTES;
use crate::error::{Error, Result, part};

/// PUTs at a time.
const PUTS: usize = 16;

/// The bucket of the bench.
pub fn bucket() -> BucketName {
    BucketName::parse("bench").expect("a legal name")
}

/// The key of an object.
pub fn key(number: usize) -> ObjectKey {
    ObjectKey::parse(&format!("object-{number:06}")).expect("a legal key")
}

/// An embedded store in a folder.
pub async fn store(folder: &Path) -> Result<Arc<dyn ObjectStore>> {
    let options = Options { sync: false, ..Options::default() };
    let embedded = EmbeddedStore::open(&folder.join("store"), options).map_err(part("the store"))?;
    let reserved = Reserved {
        bucket: BucketName::parse("tapegate-copies-bench").expect("a legal name"),
        catalog: "bench".into(),
    };
    let store = S3Store::open(embedded, reserved, MarkerKey::new([7; 32])).await;
    Ok(Arc::new(store.map_err(part("the store"))?))
}

/// Puts so many objects, cut out of `bytes`, into the bucket, which is made.
pub async fn fill(store: &dyn ObjectStore, bytes: &Bytes, objects: usize) -> Result<()> {
    call(store, &format!("/{}", bucket()), Bytes::new()).await?;
    let puts = (0..objects).map(|number| {
        let from = (number * OBJECT_BYTES) % LARGE_BYTES;
        let body = bytes.slice(from..from + OBJECT_BYTES);
        async move { call(store, &format!("/{}/{}", bucket(), key(number)), body).await }
    });
    stream::iter(puts).buffer_unordered(PUTS).try_collect::<()>().await
}

async fn call(store: &dyn ObjectStore, path: &str, body: Bytes) -> Result<()> {
    let request = http::Request::put(path)
        .header("host", "localhost")
        .header("content-length", body.len())
        .body(model::body::full(body))
        .map_err(part("the store"))?;
    let answer = store.call(request).await.map_err(part("the store"))?;
    let status = answer.status();
    let text = String::new();
    if status.is_success() {
        return Ok(());
    }
    Err(Error::Refused { what: path.to_owned(), status: status.as_u16(), text })
}

struct WallClock;
impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }
}

/// Counts: ids need to differ, not to be secret.
#[derive(Default)]
struct Numbers(std::sync::atomic::AtomicU64);
impl Entropy for Numbers {
    fn random(&self) -> u128 {
        let number = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        u128::from(number.wrapping_mul(0x9E37_79B9_7F4A_7C15)) << 32 | u128::from(number)
    }
}

/// How a house is set up.
#[derive(Clone, Copy)]
pub struct Setup {
    /// Drives of the library, and mounts for writing at a time.
    pub drives: u16,
    /// Who compresses.
    pub compression: Compression,
    /// Bytes put into a pack.
    pub pack_bytes: u64,
    /// When what was written is read back.
    pub verify: engine::Verify,
}

/// A house at work.
pub struct Running {
    /// The engine.
    pub engine: Engine,
    /// The book of record.
    pub catalog: Arc<dyn Catalog>,
    library: Arc<Library>,
}

/// Where a house has what.
pub struct Folders<'a> {
    /// Catalog.
    pub data: &'a Path,
    /// Spool.
    pub spool: PathBuf,
    /// Cartridges.
    pub tapes: &'a Path,
}

/// Opens everything on a store that is filled already.
pub async fn open(
    folders: Folders<'_>,
    store: Arc<dyn ObjectStore>,
    timing: Timing,
    setup: Setup,
) -> Result<Running> {
    // Two cartridges of LTO-9, so that none is labelled while the others are written.
    let geometry = Geometry {
        drives: setup.drives,
        slots: 3,
        cartridge_bytes: 18_000_000_000_000,
        index_partition_bytes: 120_000_000_000,
        ..Geometry::default()
    };
    let machine = VirtualLibrary::open_timed(folders.tapes, geometry, timing).map_err(part("the library"))?;
    let drives = (0..machine.drive_count()).map(|n| machine.drive_transport(n)).collect();
    let library = Library::open(library::Config::new("main"), machine.changer_transport(), drives)
        .map_err(part("the library"))?;
    let library = Arc::new(library);
    let catalog: Arc<dyn Catalog> =
        Arc::new(RedbCatalog::open(folders.data.join("catalog.redb")).map_err(part("the catalog"))?);
    let house = House::open(Parts {
        catalog: catalog.clone(),
        store,
        fence: Arc::new(MemoryFence::default()),
        clock: Arc::new(WallClock),
        entropy: Arc::new(Numbers::default()),
        libraries: BTreeMap::from([("main".to_owned(), library.clone())]),
        catalog_id: CatalogId::from_u128(1),
        keys: Arc::new(volume::seal::NoKeys),
        settings: settings(folders.spool, setup),
    })
    .await
    .map_err(part("the engine"))?;
    let engine = Engine::start(Arc::new(house)).await.map_err(part("the engine"))?;
    Ok(Running { engine, catalog, library })
}

impl Running {
    /// A rule that takes everything to tape at once.
    pub async fn put_rule(&self) -> Result<()> {
        let rule = Rule {
            id: "bench".into(),
            enabled: true,
            scope: Scope::Everything,
            expiration: None,
            transitions: vec![Transition {
                when: When::Date(Timestamp::from_seconds(0)),
                class: StorageClass::Tape(TapeClass::Glacier),
            }],
            noncurrent_expiration: None,
            noncurrent_transitions: Vec::new(),
            abort_multipart_days: None,
        };
        let lifecycle = Some(LifecycleConfiguration {
            rules: vec![rule],
            minimum_size: TransitionMinimum::VariesByStorageClass,
        });
        let row = Bucket { lifecycle, ..Bucket::new(bucket()) };
        self.catalog.commit(vec![Change::Bucket(row)]).await.map_err(part("the catalog"))?;
        self.engine.wake().wake(Work::Rules);
        Ok(())
    }

    /// How often anything was committed on any cartridge so far.
    pub async fn commits(&self) -> Result<u64> {
        let volumes = self.catalog.volumes().await.map_err(part("the catalog"))?;
        Ok(volumes.iter().map(|volume| volume.generation).sum())
    }

    /// Ends everything; cartridges go back.
    pub async fn stop(self) -> Result<()> {
        self.engine.stop().await;
        let library = self.library;
        let stopped = tokio::task::spawn_blocking(move || library.shutdown(Duration::from_secs(60)));
        stopped.await.map_err(part("the library"))?.map_err(part("the library"))
    }
}

fn settings(spool: PathBuf, setup: Setup) -> Settings {
    let pool = PoolName::parse("bench").expect("a legal name");
    let settings = PoolSettings {
        library: "main".into(),
        copies: Vec::new(),
        pack_bytes_target: setup.pack_bytes,
        quiet: Duration::from_secs(1),
        compression: setup.compression,
        affinity: Affinity::None,
        generation: None,
        drives_max: usize::from(setup.drives),
        mount_bytes: setup.pack_bytes,
        mount_age: Duration::from_secs(1),
        journal_after: Duration::from_secs(3600),
        key: None,
        verify: setup.verify,
    };
    Settings {
        buckets: BucketSettings::all(),
        survey_interval: Duration::from_secs(60),
        flips_per_second: None,
        day: DayLength::Real,
        scan_interval: Duration::from_secs(1),
        lapse_interval: Duration::from_secs(1),
        labels_blank: BTreeSet::from(["main".into()]),
        classes: BTreeMap::from([(TapeClass::Glacier, pool.clone())]),
        pools: BTreeMap::from([(pool, settings)]),
        spool: SpoolSettings { folder: spool, bytes_max: 1 << 40 },
        // What is measured ends before anything is replaced by a stub.
        grace: Duration::from_secs(3600),
        store_deadline: Duration::from_secs(10),
        restore_hold: Duration::ZERO,
        reuse_after: Duration::ZERO,
        retry_after: Duration::from_secs(10),
    }
}
