//! The engine with its real neighbours: the embedded store, a catalog, a virtual library.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, dead_code, unreachable_pub)]

pub mod documents;
pub mod memory_store;
pub mod two_copies;
pub mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use catalog::RedbCatalog;
use dialect::reserved::MarkerKey;
use engine::{
    Affinity, Compression, Engine, House, MemoryFence, Parts, PoolSettings, Settings, SpoolSettings, Verify,
};
use futures_util::TryStreamExt;
use http::{Method, Request};
use http_body_util::BodyExt;
use library::{CatalogId, Library};
use model::archive::ArchiveStage;
use model::bucket::{BucketSettings, Mode, Terms};
use model::catalog::{Bucket, Catalog, Change};
use model::clock::{Clock, Entropy, job_id};
use model::fence::{KeyFence, Work};
use model::rule::{LifecycleConfiguration, Rule, Scope, Transition, TransitionMinimum, When};
use model::store::{ObjectRef, ObjectStore};
use model::time::DayLength;
use model::{
    Archive, ArchiveId, BucketName, ObjectKey, PoolName, RestoreJob, RestoreState, StorageClass, TapeClass,
    Tier, Timestamp,
};
use store::{EmbeddedStore, Options, Reserved, S3Service, S3Store};
use virtual_library::{Geometry, VirtualLibrary};
use volume::seal::{KeyId, KeyName, KeySource, Keyring, SealingKey};

pub struct RealClock;
impl Clock for RealClock {
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }
}

/// A clock that a test sets.
#[derive(Default)]
pub struct Stepped(AtomicI64);
impl Stepped {
    pub fn step(&self, milliseconds: i64) {
        self.0.fetch_add(milliseconds, Ordering::SeqCst);
    }
}
impl Clock for Stepped {
    fn now(&self) -> Timestamp {
        RealClock.now().plus_milliseconds(self.0.load(Ordering::SeqCst))
    }
}

pub struct RealEntropy;
impl Entropy for RealEntropy {
    fn random(&self) -> u128 {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).unwrap();
        u128::from_le_bytes(bytes)
    }
}

/// A keyring that a test changes.
#[derive(Default)]
pub struct Keys(pub std::sync::RwLock<Keyring>);
impl KeySource for Keys {
    fn newest(&self, name: &KeyName) -> Result<SealingKey, volume::seal::Error> {
        self.0.read().unwrap().newest(name)
    }
    fn find(&self, id: &KeyId) -> Result<SealingKey, volume::seal::Error> {
        self.0.read().unwrap().find(id)
    }
}

/// Everything that is running.
pub struct Rig {
    pub store: Arc<dyn ObjectStore>,
    pub catalog: Arc<dyn Catalog>,
    pub fence: Arc<dyn KeyFence>,
    pub clock: Arc<Stepped>,
    pub engine: Engine,
    pub machine: VirtualLibrary,
    pub library: Arc<Library>,
    pub keys: Arc<Keys>,
    /// Further libraries that pools name.
    pub others: BTreeMap<String, (VirtualLibrary, Arc<Library>)>,
    pub bucket: BucketName,
}

pub fn settings(folder: &std::path::Path) -> Settings {
    let pool = PoolName::parse("glacier").unwrap();
    let settings = PoolSettings {
        library: "main".into(),
        copies: Vec::new(),
        pack_bytes_target: 1 << 20,
        quiet: Duration::from_millis(50),
        journal_after: Duration::from_millis(200),
        key: None,
        compression: Compression::Zstd(1),
        affinity: Affinity::None,
        generation: None,
        drives_max: 1,
        mount_bytes: 4 << 30,
        mount_age: Duration::from_millis(50),
        verify: Verify::Deferred,
    };
    Settings {
        buckets: BucketSettings::all(),
        survey_interval: Duration::from_secs(1),
        flips_per_second: None,
        day: DayLength::Seconds(3600),
        scan_interval: Duration::from_millis(200),
        lapse_interval: Duration::from_millis(200),
        labels_blank: BTreeSet::from(["main".into()]),
        classes: BTreeMap::from([(TapeClass::Glacier, pool.clone())]),
        pools: BTreeMap::from([(pool, settings)]),
        spool: SpoolSettings { folder: folder.join("spool"), bytes_max: 1 << 30 },
        grace: Duration::ZERO,
        store_deadline: Duration::from_secs(2),
        restore_hold: Duration::ZERO,
        reuse_after: Duration::ZERO,
        retry_after: Duration::from_millis(300),
    }
}

/// The virtual library of every rig.
pub fn geometry() -> Geometry {
    Geometry { cartridge_bytes: 1 << 30, index_partition_bytes: 64 << 20, slots: 6, ..Geometry::default() }
}

fn open_library(folder: &std::path::Path, name: &str, geometry: Geometry) -> (VirtualLibrary, Arc<Library>) {
    let machine = VirtualLibrary::open(folder, geometry).unwrap();
    let drives = (0..machine.drive_count()).map(|n| machine.drive_transport(n)).collect();
    let library = Library::open(library::Config::new(name), machine.changer_transport(), drives).unwrap();
    (machine, Arc::new(library))
}

impl Rig {
    pub async fn start(folder: &std::path::Path, pretend_remote: bool) -> Self {
        Self::start_with(folder, pretend_remote, settings(folder), |service| service).await
    }

    pub async fn start_with<S: S3Service + 'static>(
        folder: &std::path::Path,
        pretend_remote: bool,
        settings: Settings,
        wrap: impl FnOnce(EmbeddedStore) -> S,
    ) -> Self {
        Self::start_on(folder, pretend_remote, settings, geometry(), wrap).await
    }

    /// [`Self::start_with`] libraries of this geometry.
    pub async fn start_on<S: S3Service + 'static>(
        folder: &std::path::Path,
        pretend_remote: bool,
        settings: Settings,
        geometry: Geometry,
        wrap: impl FnOnce(EmbeddedStore) -> S,
    ) -> Self {
        let options = Options { pretend_remote, sync: false, ..Options::default() };
        let embedded = EmbeddedStore::open(&folder.join("store"), options).unwrap();
        let reserved =
            Reserved { bucket: BucketName::parse("tapegate-copies-test").unwrap(), catalog: "test".into() };
        let secret = MarkerKey::new([7; 32]);
        let store: Arc<dyn ObjectStore> =
            Arc::new(S3Store::open(wrap(embedded), reserved, secret).await.unwrap());
        let catalog: Arc<dyn Catalog> = Arc::new(RedbCatalog::open(folder.join("catalog.redb")).unwrap());
        let (machine, library) = open_library(&folder.join("library"), "main", geometry);
        let names = settings.pools.values().map(|pool| pool.library.as_str());
        let others: BTreeMap<String, _> = names
            .filter(|name| *name != "main")
            .map(|name| {
                (name.to_owned(), open_library(&folder.join(format!("library-{name}")), name, geometry))
            })
            .collect();
        let mut libraries = BTreeMap::from([("main".to_owned(), library.clone())]);
        libraries.extend(others.iter().map(|(name, (_, library))| (name.clone(), library.clone())));
        let fence: Arc<dyn KeyFence> = Arc::new(MemoryFence::default());
        let clock = Arc::new(Stepped::default());
        let keys = Arc::new(Keys::default());
        let house = House::open(Parts {
            catalog: catalog.clone(),
            store: store.clone(),
            fence: fence.clone(),
            clock: clock.clone(),
            entropy: Arc::new(RealEntropy),
            libraries,
            catalog_id: CatalogId::from_u128(42),
            keys: keys.clone(),
            settings,
        })
        .await
        .unwrap();
        let engine = Engine::start(Arc::new(house)).await.unwrap();
        let bucket = BucketName::parse("bucket").unwrap();
        Self { store, catalog, fence, clock, engine, machine, library, others, keys, bucket }
    }

    pub async fn stop(self) {
        self.engine.stop().await;
        let others = self.others.values().map(|(_, library)| library.clone());
        for library in std::iter::once(self.library.clone()).chain(others) {
            tokio::task::spawn_blocking(move || library.shutdown(Duration::from_secs(30)).unwrap())
                .await
                .unwrap();
        }
    }

    /// What the keyring holds from now on.
    pub fn set_keys(&self, keyring: &Keyring) {
        *self.keys.0.write().unwrap() = keyring.clone();
    }

    /// Sends a plain request; gives status and body.
    pub async fn call(&self, method: Method, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("content-length", body.len())
            .body(model::body::full(body.to_vec()))
            .unwrap();
        let response = self.store.call(request).await.unwrap();
        let status = response.status().as_u16();
        (status, response.into_body().collect().await.unwrap().to_bytes().to_vec())
    }

    /// A client's write as the edge does it: in the fence, touching what lives under the key.
    pub async fn put(&self, key: &str, body: &[u8]) -> Result<(), String> {
        self.mutate(Method::PUT, key, body).await
    }

    pub async fn delete(&self, key: &str) -> Result<(), String> {
        self.mutate(Method::DELETE, key, &[]).await
    }

    async fn mutate(&self, method: Method, key: &str, body: &[u8]) -> Result<(), String> {
        let name = ObjectKey::parse(key).unwrap();
        let _passage = self.fence.enter(&self.bucket, &name).await.map_err(|busy| busy.to_string())?;
        let rows = self.catalog.archives_at(&self.bucket, &name).await.unwrap();
        let touches: Vec<Change> = rows.iter().map(|row| Change::Touch(row.id)).collect();
        if !touches.is_empty() {
            self.catalog.commit(touches).await.unwrap();
        }
        let (status, answer) = self.call(method, &format!("/{}/{key}", self.bucket), body).await;
        self.engine.wake().wake(Work::Touched);
        if status / 100 == 2 { Ok(()) } else { Err(String::from_utf8_lossy(&answer).into_owned()) }
    }

    pub async fn make_bucket(&self) {
        assert_eq!(self.call(Method::PUT, &format!("/{}", self.bucket), &[]).await.0, 200);
    }

    /// Says how far the gateway goes with the bucket.
    pub async fn set_mode(&self, mode: Mode, exclusive: bool) {
        let row = self.catalog.bucket(&self.bucket).await.unwrap();
        let mut row = row.unwrap_or_else(|| Bucket::new(self.bucket.clone()));
        row.terms = Some(Terms { mode, exclusive, ..Terms::MANAGED });
        self.catalog.commit(vec![Change::Bucket(row)]).await.unwrap();
        self.engine.look_again(&self.bucket);
    }

    pub async fn drained(&self) {
        wait_for("the bucket to be drained", || async {
            self.engine.drain_progress(&self.bucket).await.unwrap().is_over().then_some(())
        })
        .await;
    }

    /// A rule that moves everything at once.
    pub async fn put_rule(&self) {
        let rule = Rule {
            id: "all".into(),
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
        let known = self.catalog.bucket(&self.bucket).await.unwrap();
        let (revision, has_archives) = known.map_or((0, false), |row| (row.revision, row.has_archives));
        let row = Bucket { revision, lifecycle, has_archives, ..Bucket::new(self.bucket.clone()) };
        self.catalog.commit(vec![Change::Bucket(row)]).await.unwrap();
        self.engine.wake().wake(Work::Rules);
    }

    pub async fn archive_of(&self, key: &str) -> Option<Archive> {
        let name = ObjectKey::parse(key).unwrap();
        self.catalog.archives_at(&self.bucket, &name).await.unwrap().pop()
    }

    pub async fn wait_archived(&self, key: &str) -> Archive {
        wait_for(&format!("{key} to be archived"), || async {
            self.archive_of(key)
                .await
                .filter(|row| row.state.stage() == ArchiveStage::Archived && !row.touched)
        })
        .await
    }

    pub async fn restore(&self, archive: &Archive) {
        let job = RestoreJob {
            id: job_id(&RealClock, &RealEntropy),
            revision: 0,
            archive: archive.id,
            bucket: archive.bucket.clone(),
            key: archive.key.clone(),
            tier: Tier::Standard,
            days: 1,
            created: RealClock.now(),
            state: RestoreState::Accepted,
            failures: 0,
        };
        self.catalog.commit(vec![Change::Restore(job)]).await.unwrap();
        self.engine.wake().wake(Work::Restore);
    }

    /// The restored copy, once it is there.
    pub async fn restored(&self, archive: ArchiveId) -> Vec<u8> {
        let job = wait_for(&format!("{archive} to be restored"), || async {
            let job = self.catalog.restore_of(archive).await.unwrap()?;
            (!job.state.stage().is_running()).then_some(job)
        })
        .await;
        assert!(matches!(job.state, RestoreState::Copied { .. }), "the restore ended as {:?}", job.state);
        let size = self.store.copy_bytes(archive).await.unwrap().expect("a copy");
        collect(self.store.read_copy(archive, 0..size).await.unwrap()).await
    }

    pub async fn head(&self, key: &str) -> Option<model::store::ObjectHead> {
        let key = ObjectKey::parse(key).unwrap();
        self.store.head(&ObjectRef { bucket: self.bucket.clone(), key, version: None }).await.unwrap()
    }
}

pub async fn collect(stream: model::ByteStream) -> Vec<u8> {
    let pieces: Vec<_> = stream.try_collect().await.unwrap();
    pieces.concat()
}

/// Asks again until there is an answer; a condition that never comes fails the test with its name.
pub async fn wait_for<T, F: Future<Output = Option<T>>>(what: &str, condition: impl Fn() -> F) -> T {
    let asking = async {
        let mut pause = tokio::time::interval(Duration::from_millis(10));
        loop {
            pause.tick().await;
            if let Some(answer) = condition().await {
                return answer;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(40), asking)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Bytes that differ for every seed and do not compress to nothing.
pub fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}
