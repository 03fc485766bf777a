//! A store that gives an object another date when its tags or its ACL are written, lists it without an ETag once its
//! tags were deleted, and tells for a while of versions that it lists no more, as there are some.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use dialect::date;
use http::header::{CONTENT_LENGTH, HeaderValue, LAST_MODIFIED};
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use model::body::full;
use model::store::{Capabilities, StoreError};
use model::{Body, Timestamp};
use store::{EmbeddedStore, S3Service, Swap};

/// How much later an object is after a write of its tags, in milliseconds.
const LATER: i64 = 60_000;

pub struct Redating {
    inner: EmbeddedStore,
    redates: AtomicBool,
    /// By path: whether it is listed without an ETag.
    moved: Mutex<BTreeMap<String, bool>>,
    /// Ids of versions that are not listed.
    unlisted: Mutex<Vec<String>>,
    freezes: AtomicBool,
    /// By path and query: the page as it was then.
    frozen: Mutex<BTreeMap<String, String>>,
}

impl Redating {
    pub fn new(inner: EmbeddedStore) -> Self {
        Self {
            inner,
            redates: AtomicBool::new(false),
            moved: Mutex::default(),
            unlisted: Mutex::default(),
            freezes: AtomicBool::new(false),
            frozen: Mutex::default(),
        }
    }

    /// From now on a page that was asked for once stays as it is.
    pub fn freeze(&self) {
        self.freezes.store(true, Ordering::SeqCst);
    }

    /// From now on the version is not listed.
    pub fn unlist(&self, version: &str) {
        self.unlisted.lock().unwrap().push(version.to_owned());
    }

    /// From now on it does so.
    pub fn redate(&self) {
        self.redates.store(true, Ordering::SeqCst);
    }

    fn note(&self, method: &Method, path: &str, query: &str) {
        let mut moved = self.moved.lock().unwrap();
        if !query.contains("tagging") && !query.contains("acl") {
            moved.remove(path);
        } else if self.redates.load(Ordering::SeqCst) {
            moved.insert(path.to_owned(), *method == Method::DELETE);
        }
    }

    /// The listing with other dates, and without some ETags.
    fn edited(&self, bucket: &str, mut document: String) -> String {
        for (path, blank) in self.moved.lock().unwrap().iter() {
            let key = path.strip_prefix(bucket).and_then(|key| key.strip_prefix('/')).unwrap_or_default();
            let Some(at) = document.find(&format!("<Key>{key}</Key>")) else { continue };
            let modified = leaf(&document, at, "LastModified");
            let later = later(date::parse_iso(&document[modified.clone()]).unwrap()).to_string();
            document.replace_range(modified, &later);
            if *blank {
                let etag = leaf(&document, at, "ETag");
                document.replace_range(etag, "&quot;&quot;");
            }
        }
        for version in self.unlisted.lock().unwrap().iter() {
            let Some(at) = document.find(&format!("<VersionId>{version}</VersionId>")) else { continue };
            let start = document[..at].rfind("<Version>").unwrap();
            let end = at + document[at..].find("</Version>").unwrap() + "</Version>".len();
            document.replace_range(start..end, "");
        }
        document
    }
}

#[async_trait]
impl S3Service for Redating {
    async fn call(&self, request: Request<Body>) -> Result<Response<Body>, StoreError> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let query = request.uri().query().unwrap_or_default().to_owned();
        let mut response = self.inner.call(request).await?;
        if !response.status().is_success() {
            return Ok(response);
        }
        if !matches!(method, Method::GET | Method::HEAD) {
            self.note(&method, &path, &query);
        } else if self.moved.lock().unwrap().contains_key(&path) {
            if let Some(told) = response.headers_mut().get_mut(LAST_MODIFIED) {
                let modified = date::parse_http(told.to_str().unwrap()).unwrap();
                *told = HeaderValue::try_from(date::http(later(modified))).unwrap();
            }
        } else if method == Method::GET && path.matches('/').count() == 1 && path != "/" {
            let (mut parts, body) = response.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let mut document = self.edited(&path, String::from_utf8(body.to_vec()).unwrap());
            if self.freezes.load(Ordering::SeqCst) {
                let mut frozen = self.frozen.lock().unwrap();
                document = frozen.entry(format!("{path}?{query}")).or_insert(document).clone();
            }
            parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(document.len()));
            return Ok(Response::from_parts(parts, full(document)));
        }
        Ok(response)
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn swap_in_place(&self, swap: Swap) -> Result<(), StoreError> {
        self.inner.swap_in_place(swap).await
    }
}

fn later(modified: Timestamp) -> Timestamp {
    modified.plus_milliseconds(LATER)
}

/// Where the text of the first such leaf behind `at` is.
fn leaf(document: &str, at: usize, name: &str) -> std::ops::Range<usize> {
    let start = at + document[at..].find(&format!("<{name}>")).unwrap() + name.len() + 2;
    start..start + document[start..].find('<').unwrap()
}
