//! An S3 service in memory, as other people's stores are: with versions, tags and ACL, and with the habits of some.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use dialect::checksum::Md5;
use dialect::date;
use dialect::route::{Operation as O, Route, route};
use http::request::Parts;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use model::bucket::Versioning;
use model::store::{Capabilities, StoreError};
use model::{Body, Timestamp};
use store::{S3Service, Swap};

use super::documents::{acl, document, lost, refuse, tagging};
use super::{Clock, RealClock};

/// One version, or a delete marker.
#[derive(Clone, Debug)]
pub struct Version {
    pub id: String,
    pub is_marker: bool,
    pub body: Bytes,
    pub headers: BTreeMap<String, String>,
    /// As listings tell it.
    pub modified: Timestamp,
    /// As heads tell it.
    pub dated: Timestamp,
}

impl Version {
    pub fn etag(&self) -> String {
        Md5::of(&self.body).etag()
    }
    pub fn is_stub(&self) -> bool {
        self.headers.contains_key("x-amz-meta-tapegate")
    }
}

#[derive(Clone, Debug)]
struct Bucket {
    versioning: Versioning,
    /// Newest first.
    keys: BTreeMap<String, Vec<Version>>,
}

/// What is done to the next write of a stub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mischief {
    /// It is carried out twice.
    Twice,
    /// It is carried out; there is no answer.
    LostReply,
    /// It is carried out; there is no answer, and for a while its key is not shown.
    LostAndHidden,
    /// It is not carried out yet, and after this time there is no answer.
    Stalls(Duration),
    /// Somebody writes the key right before it, by other ways.
    WriteBefore,
    /// Somebody writes the key right after it, by other ways.
    WriteAfter,
    /// Somebody suspends versioning right before it.
    Suspend,
}

pub struct MemoryStore {
    buckets: Mutex<BTreeMap<String, Bucket>>,
    numbers: AtomicU64,
    pub capabilities: Capabilities,
    /// Any condition is taken for true.
    pub is_careless: AtomicBool,
    /// Conditions of writes are refused where every write makes a version.
    pub refuses_where_versioned: bool,
    /// The store answers no question about this bucket.
    pub mute: Mutex<Option<&'static str>>,
    /// What GET of these sub-resources of buckets answers.
    pub settings: Mutex<BTreeMap<&'static str, String>>,
    /// Listings of versions do not show the newest yet.
    pub lists_late: AtomicBool,
    pub mischief: Mutex<Option<Mischief>>,
    /// Objects are not shown.
    pub hides: AtomicBool,
    /// Keys whose stubs are refused.
    pub refuses_stubs: Mutex<BTreeSet<&'static str>>,
    /// The next removal of an object is not carried out yet, and there is no answer.
    pub loses_removal: AtomicBool,
    /// Every other listing fails, and they are short.
    pub lists_badly: AtomicBool,
    lists: AtomicU64,
    /// Listings of objects are answered late: while a test holds it.
    pub listing: tokio::sync::RwLock<()>,
    /// A stub was stalled, and its time is over.
    pub has_stalled: AtomicBool,
    /// Every write of a stub, to be repeated late.
    stubs: Mutex<Vec<(Parts, Bytes)>>,
}

/// Keys of a short listing.
const SHORT: usize = 2;
/// The body that mischief writes.
pub const THEIRS: &[u8] = b"written by others";

impl MemoryStore {
    pub fn new(capabilities: Capabilities) -> Arc<Self> {
        Arc::new(Self {
            buckets: Mutex::default(),
            numbers: AtomicU64::new(0),
            capabilities,
            is_careless: AtomicBool::new(false),
            refuses_where_versioned: !capabilities.compare_and_set,
            mute: Mutex::default(),
            settings: Mutex::default(),
            lists_late: AtomicBool::new(false),
            mischief: Mutex::default(),
            hides: AtomicBool::new(false),
            refuses_stubs: Mutex::default(),
            loses_removal: AtomicBool::new(false),
            lists_badly: AtomicBool::new(false),
            lists: AtomicU64::new(0),
            listing: tokio::sync::RwLock::default(),
            has_stalled: AtomicBool::new(false),
            stubs: Mutex::default(),
        })
    }

    pub fn set_versioning(&self, bucket: &str, versioning: Versioning) {
        self.buckets.lock().unwrap().get_mut(bucket).unwrap().versioning = versioning;
    }

    /// The versions of a key, newest first.
    pub fn versions(&self, bucket: &str, key: &str) -> Vec<Version> {
        self.buckets.lock().unwrap()[bucket].keys.get(key).cloned().unwrap_or_default()
    }

    /// Carries the latest write of a stub out once more.
    pub fn repeat_stub(&self) {
        let (parts, body) = self.stubs.lock().unwrap().last().cloned().unwrap();
        let (bucket, key) = name(&parts);
        drop(self.write(&bucket, &key, &parts.headers, body));
    }

    /// Listings of objects that were asked for.
    pub fn lists(&self) -> u64 {
        self.lists.load(Ordering::SeqCst)
    }

    /// Writes by other ways than the gateway.
    pub fn write_directly(
        &self,
        bucket: &str,
        key: &str,
        headers: &[(&'static str, &'static str)],
        body: &[u8],
    ) {
        let map = headers.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
        });
        assert_eq!(self.write(bucket, key, &map.collect(), Bytes::copy_from_slice(body)).status(), 200);
    }

    /// Tags the current version anew, which dates its head.
    pub fn retag(&self, bucket: &str, key: &str, tags: &str) {
        let mut buckets = self.buckets.lock().unwrap();
        let current = &mut buckets.get_mut(bucket).unwrap().keys.get_mut(key).unwrap()[0];
        current.headers.insert("x-amz-tagging".to_owned(), tags.to_owned());
        current.dated = current.dated.plus_milliseconds(5_000);
    }

    fn write(&self, bucket: &str, key: &str, headers: &HeaderMap, body: Bytes) -> Response<Body> {
        let mut buckets = self.buckets.lock().unwrap();
        let Some(bucket) = buckets.get_mut(bucket) else { return refuse(404, "NoSuchBucket") };
        let versions = bucket.keys.entry(key.to_owned()).or_default();
        let current = versions.first().filter(|version| !version.is_marker);
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
        if !self.is_careless.load(Ordering::SeqCst) {
            if let Some(expected) = text("if-match") {
                let hidden = self.refuses_where_versioned && bucket.versioning == Versioning::Enabled;
                let same = current.is_some_and(|current| expected.trim_matches('"') == current.etag());
                if hidden || !same {
                    return refuse(412, "PreconditionFailed");
                }
            }
            if text("if-none-match").is_some() && current.is_some() {
                return refuse(412, "PreconditionFailed");
            }
        }
        let kept = |name: &str| {
            name.starts_with("x-amz-") && name != "x-amz-version-id" || name.starts_with("content-type")
        };
        let headers: BTreeMap<String, String> = headers
            .iter()
            .filter(|(name, _)| kept(name.as_str()))
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        let version = Version {
            id: self.id(bucket.versioning),
            is_marker: false,
            body,
            headers,
            modified: RealClock.now(),
            dated: RealClock.now(),
        };
        let (id, etag) = (version.id.clone(), version.etag());
        add(versions, version);
        let mut response = Response::builder().header("etag", format!("\"{etag}\""));
        if bucket.versioning != Versioning::Off {
            response = response.header("x-amz-version-id", id);
        }
        response.body(model::body::empty()).unwrap()
    }

    fn id(&self, versioning: Versioning) -> String {
        match versioning {
            Versioning::Enabled => format!("v{}", self.numbers.fetch_add(1, Ordering::SeqCst)),
            Versioning::Off | Versioning::Suspended => "null".to_owned(),
        }
    }

    fn put(&self, parts: &Parts, body: Bytes) -> Result<Response<Body>, StoreError> {
        let (bucket, key) = name(parts);
        let stub = parts.headers.get("x-amz-meta-tapegate");
        if stub.is_none_or(|record| !record.to_str().unwrap().starts_with("v1;stub")) {
            return Ok(self.write(&bucket, &key, &parts.headers, body));
        }
        if self.refuses_stubs.lock().unwrap().contains(key.as_str()) {
            return Ok(refuse(403, "AccessDenied"));
        }
        self.stubs.lock().unwrap().push((parts.clone(), body.clone()));
        let mischief = self.mischief.lock().unwrap().take();
        if matches!(mischief, Some(Mischief::Stalls(_))) {
            return Err(lost());
        }
        if mischief == Some(Mischief::WriteBefore) {
            self.write_directly(&bucket, &key, &[], THEIRS);
        }
        if mischief == Some(Mischief::Suspend) {
            self.set_versioning(&bucket, Versioning::Suspended);
        }
        let answer = self.write(&bucket, &key, &parts.headers, body.clone());
        match mischief {
            Some(Mischief::Twice) => Ok(self.write(&bucket, &key, &parts.headers, body)),
            Some(Mischief::WriteAfter) => {
                self.write_directly(&bucket, &key, &[], THEIRS);
                Ok(answer)
            }
            Some(Mischief::LostReply) => Err(lost()),
            Some(Mischief::LostAndHidden) => {
                self.hides.store(true, Ordering::SeqCst);
                Err(lost())
            }
            _ => Ok(answer),
        }
    }

    fn delete(&self, bucket: &str, key: &str, version: Option<&str>) -> Response<Body> {
        let mut buckets = self.buckets.lock().unwrap();
        let Some(bucket) = buckets.get_mut(bucket) else { return refuse(404, "NoSuchBucket") };
        let versions = bucket.keys.entry(key.to_owned()).or_default();
        match (version, bucket.versioning) {
            (Some(id), _) => versions.retain(|version| version.id != id),
            (None, Versioning::Off) => versions.clear(),
            (None, versioning) => {
                let marker = Version {
                    id: self.id(versioning),
                    is_marker: true,
                    body: Bytes::new(),
                    headers: BTreeMap::new(),
                    modified: RealClock.now(),
                    dated: RealClock.now(),
                };
                add(versions, marker);
            }
        }
        Response::builder().status(204).body(model::body::empty()).unwrap()
    }

    fn read(&self, ask: &Route, headers: &HeaderMap, is_head: bool) -> Response<Body> {
        let buckets = self.buckets.lock().unwrap();
        let (bucket, key) = (ask.bucket.as_ref().unwrap().as_str(), ask.key.as_ref().unwrap().as_str());
        let Some(bucket) = buckets.get(bucket) else { return refuse(404, "NoSuchBucket") };
        let versions = bucket.keys.get(key).map(Vec::as_slice).unwrap_or_default();
        let wanted = ask.query.value("versionId");
        let found = match wanted {
            Some(id) => versions.iter().find(|version| version.id == id),
            None => versions.first(),
        };
        let version = match found {
            None => return refuse(404, if wanted.is_some() { "NoSuchVersion" } else { "NoSuchKey" }),
            Some(version) if version.is_marker && wanted.is_some() => return refuse(405, "MethodNotAllowed"),
            Some(version) if version.is_marker => return refuse(404, "NoSuchKey"),
            Some(version) => version,
        };
        match ask.operation {
            O::GetObjectTagging => return document(tagging(version)),
            O::GetObjectAcl => return document(acl(version)),
            _ => {}
        }
        // Without the client's key such an object is not shown.
        if version.headers.contains_key("x-amz-server-side-encryption-customer-algorithm") {
            return refuse(400, "InvalidRequest");
        }
        let etag = format!("\"{}\"", version.etag());
        if headers.get("if-match").is_some_and(|expected| *expected != etag) {
            return refuse(412, "PreconditionFailed");
        }
        let mut response =
            Response::builder().header("etag", etag).header("last-modified", date::http(version.dated));
        let shown = |name: &str| name != "x-amz-tagging" && !name.starts_with("x-amz-grant");
        for (name, value) in version.headers.iter().filter(|(name, _)| shown(name)) {
            response = response.header(name, value);
        }
        if bucket.versioning != Versioning::Off {
            response = response.header("x-amz-version-id", &version.id);
        }
        let size = version.body.len();
        let range = headers.get("range").and_then(|range| range.to_str().unwrap().strip_prefix("bytes="));
        let body = match range.and_then(|range| range.split_once('-')) {
            Some((from, to)) => {
                response = response.status(206).header("content-range", format!("bytes {from}-{to}/{size}"));
                version.body.slice(from.parse::<usize>().unwrap()..=to.parse().unwrap())
            }
            None => version.body.clone(),
        };
        let response = response.header("content-length", body.len());
        response.body(if is_head { model::body::empty() } else { model::body::full(body) }).unwrap()
    }

    fn list(&self, ask: &Route, all: bool) -> Response<Body> {
        let buckets = self.buckets.lock().unwrap();
        let Some(bucket) = buckets.get(ask.bucket.as_ref().unwrap().as_str()) else {
            return refuse(404, "NoSuchBucket");
        };
        let prefix = ask.query.value("prefix").unwrap_or_default();
        let after = ask.query.value("start-after").unwrap_or_default();
        let root = if all { "ListVersionsResult" } else { "ListBucketResult" };
        let badly = !all && self.lists_badly.load(Ordering::SeqCst);
        if !all && self.lists.fetch_add(1, Ordering::SeqCst) % 2 == 1 && badly {
            return refuse(503, "SlowDown");
        }
        let wanted = |(key, versions): &(&String, &Vec<Version>)| {
            key.starts_with(prefix) && key.as_str() > after && !versions.is_empty()
        };
        let keys = bucket.keys.iter().filter(wanted);
        let more = badly && keys.clone().count() > SHORT;
        let mut text = format!("<{root}><IsTruncated>{more}</IsTruncated>");
        for (key, versions) in keys.take(if badly { SHORT } else { usize::MAX }) {
            let late = all && self.lists_late.load(Ordering::SeqCst);
            for (at, version) in versions.iter().enumerate().skip(usize::from(late)) {
                let element = match (all, version.is_marker) {
                    (true, true) => "DeleteMarker",
                    (true, false) => "Version",
                    (false, false) if at == 0 => "Contents",
                    _ => continue,
                };
                let moment = version.modified.to_string();
                write!(
                    text,
                    "<{element}><Key>{key}</Key><VersionId>{}</VersionId><ETag>\"{}\"</ETag><Size>{}</Size>\
                     <LastModified>{moment}</LastModified></{element}>",
                    version.id,
                    version.etag(),
                    version.body.len()
                )
                .unwrap();
            }
        }
        document(format!("{text}</{root}>"))
    }

    fn setting(&self, bucket: &str, name: &'static str) -> Response<Body> {
        if *self.mute.lock().unwrap() == Some(bucket) {
            return refuse(503, "ServiceUnavailable");
        }
        if name == "versioning" {
            let status = match self.buckets.lock().unwrap()[bucket].versioning {
                Versioning::Off => "",
                Versioning::Enabled => "<Status>Enabled</Status>",
                Versioning::Suspended => "<Status>Suspended</Status>",
            };
            return document(format!("<VersioningConfiguration>{status}</VersioningConfiguration>"));
        }
        match self.settings.lock().unwrap().get(name) {
            Some(text) => document(text.clone()),
            None => refuse(404, "NoSuchConfiguration"),
        }
    }

    fn answer(&self, parts: &Parts, body: Bytes) -> Result<Response<Body>, StoreError> {
        let query = parts.uri.query().unwrap_or_default();
        let ask = route(&parts.method, parts.uri.path(), query, &parts.headers).unwrap();
        let bucket = ask.bucket.as_ref().map(|bucket| bucket.as_str().to_owned()).unwrap_or_default();
        let key = ask.key.as_ref().map(|key| key.as_str().to_owned()).unwrap_or_default();
        Ok(match ask.operation {
            O::PutObject => return self.put(parts, body),
            O::DeleteObject if self.loses_removal.swap(false, Ordering::SeqCst) => return Err(lost()),
            O::DeleteObject => self.delete(&bucket, &key, ask.query.value("versionId")),
            O::HeadObject if self.hides.load(Ordering::SeqCst) && !key.is_empty() && bucket == "bucket" => {
                refuse(404, "NoSuchKey")
            }
            O::HeadObject => self.read(&ask, &parts.headers, true),
            O::GetObject | O::GetObjectTagging | O::GetObjectAcl => self.read(&ask, &parts.headers, false),
            O::CreateBucket => {
                let new = Bucket { versioning: Versioning::Off, keys: BTreeMap::new() };
                self.buckets.lock().unwrap().entry(bucket).or_insert(new);
                Response::new(model::body::empty())
            }
            O::HeadBucket if self.buckets.lock().unwrap().contains_key(&bucket) => {
                Response::new(model::body::empty())
            }
            O::HeadBucket => refuse(404, "NoSuchBucket"),
            O::ListBuckets => {
                let names: String =
                    self.buckets.lock().unwrap().keys().fold(String::new(), |text, name| {
                        text + "<Bucket><Name>" + name + "</Name></Bucket>"
                    });
                document(format!(
                    "<ListAllMyBucketsResult><Buckets>{names}</Buckets></ListAllMyBucketsResult>"
                ))
            }
            O::ListMultipartUploads => document("<ListMultipartUploadsResult/>".to_owned()),
            O::ListObjectsV2 => self.list(&ask, false),
            O::ListObjectVersions => self.list(&ask, true),
            O::GetBucketVersioning => self.setting(&bucket, "versioning"),
            O::GetObjectLockConfiguration => self.setting(&bucket, "object-lock"),
            O::GetBucketReplication => self.setting(&bucket, "replication"),
            O::GetBucketNotificationConfiguration => self.setting(&bucket, "notification"),
            O::GetBucketLifecycleConfiguration => self.setting(&bucket, "lifecycle"),
            other => panic!("the test store knows no {other:?}"),
        })
    }
}

/// The store, kept by the test too.
pub struct Shared(pub Arc<MemoryStore>);

#[async_trait::async_trait]
impl S3Service for Shared {
    async fn call(&self, request: Request<Body>) -> Result<Response<Body>, StoreError> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let stalls = *self.0.mischief.lock().unwrap();
        if let (&http::Method::PUT, Some(Mischief::Stalls(time))) = (&parts.method, stalls)
            && parts.headers.contains_key("x-amz-meta-tapegate")
        {
            let answer = self.0.answer(&parts, body);
            tokio::time::sleep(time).await;
            self.0.has_stalled.store(true, Ordering::SeqCst);
            return answer;
        }
        let answer = self.0.answer(&parts, body);
        if parts.uri.query().is_some_and(|query| query.contains("list-type=2")) {
            let _answered = self.0.listing.read().await;
            return answer;
        }
        answer
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities
    }

    async fn swap_in_place(&self, _: Swap) -> Result<(), StoreError> {
        Err(StoreError::Refused { what: "a swap".to_owned(), status: 501, code: "NotImplemented".to_owned() })
    }
}

/// A new null version takes the place of the old one.
fn add(versions: &mut Vec<Version>, version: Version) {
    versions.retain(|old| version.id != "null" || old.id != "null");
    versions.insert(0, version);
}

fn name(parts: &Parts) -> (String, String) {
    let ask = route(&parts.method, parts.uri.path(), "", &parts.headers).unwrap();
    (ask.bucket.unwrap().to_string(), ask.key.unwrap().to_string())
}
