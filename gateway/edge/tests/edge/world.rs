//! An edge with everything it stands on, and a client that signs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::failing::{Failing, Lossy};
use crate::guard::Guarded;
use crate::redating::Redating;
use bytes::Bytes;
use dialect::reserved::MarkerKey;
use dialect::sigv4::{PayloadToken, Secret, Signer};
use edge::{Edge, Identity as Caller, Limits, Ports, Settings, Upstream};
use engine::MemoryFence;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use model::archive::Standing;
use model::body::full;
use model::bucket::BucketSettings;
use model::catalog::{Catalog, Change};
use model::clock::{Clock, Entropy};
use model::fence::{KeyFence, Wake, Work};
use model::marker::{self, Original};
use model::store::{Flip, FlipContent, ObjectRef, ObjectStore};
use model::time::DayLength;
use model::{
    Archive, ArchiveId, ArchiveState, BucketName, Identity, JobId, Marker, MarkerKind, ObjectKey, PoolName,
    RestoreJob, RestoreState, TapeClass, Tier, Timestamp,
};
use sha2::{Digest, Sha256};
use store::{EmbeddedStore, Options, Reserved, S3Store};

pub const KEY_ID: &str = "AKIDEXAMPLE";
/// Less than a closed bucket is waited for.
pub const STORE_DEADLINE: Duration = Duration::from_secs(1);
pub const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

pub struct World {
    pub edge: Edge,
    pub store: Arc<Lossy>,
    pub catalog: Arc<Failing>,
    pub fence: Arc<MemoryFence>,
    pub clock: Arc<Hand>,
    pub bells: Arc<Bells>,
    pub signer: Signer,
    _directory: tempfile::TempDir,
}

/// A clock set by hand, in milliseconds.
pub struct Hand(AtomicI64);

#[derive(Default)]
pub struct Bells(Mutex<Vec<Work>>);

#[derive(Default)]
struct Counter(AtomicU64);

/// An answer with its body read.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_milliseconds(self.0.load(Ordering::SeqCst))
    }
}

impl Hand {
    pub fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}

impl Wake for Bells {
    fn wake(&self, work: Work) {
        self.0.lock().unwrap().push(work);
    }
}

impl Bells {
    pub fn take(&self) -> Vec<Work> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl Entropy for Counter {
    fn random(&self) -> u128 {
        let digest = Sha256::digest(self.0.fetch_add(1, Ordering::SeqCst).to_le_bytes());
        u128::from_le_bytes(digest[..16].try_into().unwrap())
    }
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The code of an error document.
    pub fn code(&self) -> &str {
        let text = self.text();
        let rest =
            text.split_once("<Code>").unwrap_or_else(|| panic!("{} {text:?} has no code", self.status)).1;
        rest.split_once("</Code>").unwrap().0
    }
}

impl World {
    pub async fn new() -> Self {
        Self::with_limits(Limits::default()).await
    }

    pub async fn with_limits(limits: Limits) -> Self {
        Self::with(false, |settings| settings.limits = limits).await
    }

    /// With flips by PUT where the store pretends to be a remote one, and other settings.
    pub async fn with(pretend_remote: bool, change: impl FnOnce(&mut Settings)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = Options { sync: false, pretend_remote, ..Options::default() };
        let embedded = EmbeddedStore::open(directory.path(), options).unwrap();
        let embedded = Guarded::new(Redating::new(embedded));
        let marker_key = MarkerKey::new([7; 32]);
        let reserved = Reserved { bucket: bucket("tapegate-reserved"), catalog: "test".to_owned() };
        let store =
            Arc::new(Lossy::new(S3Store::open(embedded, reserved, marker_key.clone()).await.unwrap()));
        let catalog = Arc::new(Failing::default());
        let fence = Arc::new(MemoryFence::default());
        let clock =
            Arc::new(Hand(AtomicI64::new(Timestamp::from(std::time::SystemTime::now()).milliseconds())));
        let bells = Arc::new(Bells::default());
        let ports = Ports {
            store: store.clone(),
            catalog: catalog.clone(),
            fence: fence.clone(),
            wake: bells.clone(),
            clock: clock.clone(),
            entropy: Arc::new(Counter::default()),
        };
        let pool = PoolName::parse("glacier").unwrap();
        let mut settings = Settings {
            region: "us-east-1".to_owned(),
            day: DayLength::Real,
            identities: BTreeMap::from([(KEY_ID.to_owned(), caller(SECRET, Upstream::Service))]),
            anonymous: false,
            forwards_unknown: false,
            buckets: BucketSettings::all(),
            classes: BTreeMap::from([(TapeClass::Glacier, pool.clone())]),
            marker_key,
            store_deadline: STORE_DEADLINE,
            limits: Limits::default(),
        };
        change(&mut settings);
        let world = Self {
            edge: Edge::new(ports, settings),
            store,
            catalog,
            fence,
            clock,
            bells,
            signer: Signer::new(KEY_ID, Secret::new(SECRET), "us-east-1"),
            _directory: directory,
        };
        assert_eq!(world.ask("PUT", "/bkt", &[], b"").await.status, 200);
        world
    }

    /// A signed request.
    pub fn request(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Request<Bytes> {
        self.request_by(&self.signer, method, target, headers, body)
    }

    /// A request signed by somebody.
    pub fn request_by(
        &self,
        signer: &Signer,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Request<Bytes> {
        let mut builder = Request::builder().method(method).uri(target).header("host", "gateway");
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        if !matches!(method, "GET" | "HEAD" | "DELETE") {
            builder = builder.header("content-length", body.len());
        }
        let request = builder.body(Bytes::copy_from_slice(body)).unwrap();
        let (mut parts, body) = request.into_parts();
        let hash = PayloadToken::Hash(Sha256::digest(&body).into());
        signer.sign(&mut parts, &hash, self.clock.now()).unwrap();
        Request::from_parts(parts, body)
    }

    pub async fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.send(self.request(method, target, headers, body)).await
    }

    pub async fn send(&self, request: Request<Bytes>) -> Answer {
        let is_head = request.method() == Method::HEAD;
        let (parts, body) = self.edge.answer(request.map(full)).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        if let Some(length) = parts.headers.get("content-length").filter(|_| !is_head) {
            assert_eq!(length.to_str().unwrap(), body.len().to_string(), "Content-Length is the body's");
        }
        for name in ["x-amz-request-id", "x-amz-id-2", "date", "server"] {
            assert!(parts.headers.contains_key(name), "{name} is on every answer");
        }
        assert!(!parts.headers.contains_key("x-amz-meta-tapegate"), "clients never see the reserved header");
        assert!(!is_head || body.is_empty());
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub async fn put(&self, key: &str, body: &[u8]) {
        let answer = self.ask("PUT", &format!("/bkt/{key}"), &[("x-amz-meta-color", "red")], body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    pub async fn rows(&self, key: &str) -> Vec<Archive> {
        self.catalog.archives_at(&bucket("bkt"), &object_key(key)).await.unwrap()
    }

    /// The archive of a key, with its bytes replaced by a stub as a flip does it.
    pub async fn archive(&self, key: &str, class: TapeClass) -> Archive {
        self.archive_as(key, class, false).await
    }

    /// The same; with `flipping` the catalog does not know yet that the stub stands.
    pub async fn archive_as(&self, key: &str, class: TapeClass, flipping: bool) -> Archive {
        let target = target(key);
        let head = self.store.inspect(&target).await.unwrap().unwrap();
        let part_bytes = self.store.part_bytes(&target, &head.etag).await.unwrap();
        let sum = u128::from(key.bytes().map(u64::from).sum::<u64>());
        let id = ArchiveId::new(1_700_000_000_000, sum * 1000 + self.rows(key).await.len() as u128);
        let in_place = self.store.capabilities().in_place;
        let displaced = marker::displaced(&head.headers);
        let now = self.clock.now();
        let mut row = Archive {
            size: head.size,
            last_modified: Some(head.last_modified),
            identity: Some(Identity::of(&head)),
            part_bytes,
            checksums: head.checksums.clone(),
            displaced_metadata: if in_place { Vec::new() } else { displaced },
            ..Archive::new(
                id,
                ObjectRef { version: None, ..target.clone() },
                class,
                PoolName::parse("glacier").unwrap(),
                ArchiveState::Archived,
                now,
            )
        };
        let original =
            Original { size: head.size, etag: head.etag.clone(), last_modified: head.last_modified };
        let marker = Marker { kind: MarkerKind::Stub, archive: id, class, original: Some(original) };
        let flip =
            Flip { target: target.clone(), head, conditional: true, marker, content: FlipContent::Stub };
        let hot = flip.head.clone();
        self.store.flip(flip).await.unwrap();
        let stub = self.store.head(&target).await.unwrap().unwrap();
        assert_eq!(stub.marker.as_ref().unwrap().archive, id);
        if !flipping && stub.version != hot.version {
            self.store.remove_version(&ObjectRef { version: hot.version.clone(), ..target }).await.unwrap();
        }
        let stub = if flipping { hot } else { stub };
        if flipping {
            row.state = ArchiveState::Flipping { attempt: 1, deadline: now };
        }
        row.standing = Some(Standing {
            etag: stub.etag,
            last_modified_seconds: stub.last_modified.seconds(),
            version: stub.version,
        });
        self.catalog.commit(vec![Change::Archive(row.clone())]).await.unwrap();
        row.revision = 1;
        row
    }

    /// A restored copy of these bytes that lives for so many seconds.
    pub async fn restored(&self, archive: &Archive, bytes: &[u8], seconds: i64) {
        let pieces = futures_util::stream::iter([Ok(Bytes::copy_from_slice(bytes))]);
        self.store.put_copy(archive.id, bytes.len() as u64, Box::pin(pieces)).await.unwrap();
        let until = self.clock.now().plus_milliseconds(seconds * 1000);
        self.job(archive, RestoreState::Copied { until }).await;
    }

    pub async fn job(&self, archive: &Archive, state: RestoreState) {
        let job = RestoreJob {
            id: JobId::new(self.clock.now().milliseconds() as u64, archive.id.as_u128() & 0xffff),
            revision: 0,
            archive: archive.id,
            bucket: archive.bucket.clone(),
            key: archive.key.clone(),
            tier: Tier::Standard,
            days: 1,
            created: self.clock.now(),
            state,
            failures: 0,
        };
        self.catalog.commit(vec![Change::Restore(job)]).await.unwrap();
    }

    /// Closes a key as a flip does.
    pub async fn close(&self, key: &str) -> model::fence::Gate {
        self.fence.close(&bucket("bkt"), &object_key(key)).await.unwrap()
    }
}

pub fn caller(secret: &str, upstream: Upstream) -> Caller {
    Caller { secret: Secret::new(secret), upstream }
}

pub fn bucket(name: &str) -> BucketName {
    BucketName::parse(name).unwrap()
}

pub fn object_key(key: &str) -> ObjectKey {
    ObjectKey::parse(key).unwrap()
}

pub fn target(key: &str) -> ObjectRef {
    ObjectRef { bucket: bucket("bkt"), key: object_key(key), version: None }
}

/// Bytes longer than a stub.
pub fn large() -> Vec<u8> {
    (0..5000_u32).map(|n| (n % 251) as u8).collect()
}
