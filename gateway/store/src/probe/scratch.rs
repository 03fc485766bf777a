//! The prefix a probe plays under, and the short words for what it does there.

use std::time::Duration;

use bytes::Bytes;
use dialect::xml::{self, Element};
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{HeaderMap, Method, Request, StatusCode};
use model::{Body, BucketName};

use crate::error::Error;
use crate::s3_store::request::{Ask, unescape_key};
use crate::service::S3Service;
use crate::stream::collect;

/// Time for one request.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest answer read, in bytes: a listing of 1 000 keys.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Deletions at a time.
const DELETIONS: usize = 8;
/// Listings until the scratch must be empty: a race leaves some ten thousand versions at most.
const SWEEPS_MAX: usize = 100;

/// Where a probe writes.
pub(super) struct Scratch<'a, S> {
    pub(super) service: &'a S,
    pub(super) bucket: &'a BucketName,
    prefix: String,
}

/// A probe that cannot go on.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) step: &'static str,
    pub(super) source: Box<dyn std::error::Error + Send + Sync>,
}

/// What a probe returns.
pub(super) type Outcome<T> = Result<T, Trouble>;

/// An answer, whole.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

// === impl Scratch ===

impl<'a, S: S3Service> Scratch<'a, S> {
    pub(super) fn new(service: &'a S, bucket: &'a BucketName) -> Result<Self, Error> {
        let random = getrandom::u64().map_err(|source| Error::Probe {
            bucket: bucket.to_string(),
            step: "choosing a prefix",
            source: source.to_string().into(),
        })?;
        Ok(Self { service, bucket, prefix: format!(".tapegate-probe/{random:016x}/") })
    }

    /// A request on an object of the scratch.
    pub(super) fn ask(&self, method: Method, name: &str) -> Ask {
        Ask::object(method, self.bucket, &self.key(name))
    }

    pub(super) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The answer, an error or not.
    pub(super) async fn send(&self, step: &'static str, request: Request<Body>) -> Outcome<Answer> {
        let exchange = async {
            let response = self.service.call(request).await.map_err(|error| Trouble::new(step, error))?;
            let (parts, body) = response.into_parts();
            let body = collect(body, ANSWER_BYTES_MAX).await.map_err(|error| Trouble::new(step, error))?;
            Ok(Answer { status: parts.status, headers: parts.headers, body })
        };
        match tokio::time::timeout(PATIENCE, exchange).await {
            Ok(answered) => answered,
            Err(late) => Err(Trouble::new(step, late)),
        }
    }

    /// Sends a body with a PUT that may be refused.
    pub(super) async fn put(&self, step: &'static str, ask: Ask, body: impl Into<Bytes>) -> Outcome<Answer> {
        let body = body.into();
        let length = body.len() as u64;
        self.send(step, ask.send(model::body::full(body), length)).await
    }

    /// Writes an object; its ETag as the store gave it, in quotes.
    pub(super) async fn write(&self, step: &'static str, name: &str, body: &str) -> Outcome<String> {
        let answer = self.put(step, self.ask(Method::PUT, name), body.to_owned()).await?;
        let etag = answer.header("etag").filter(|_| answer.status.is_success());
        match etag {
            Some(etag) => Ok(format!("\"{}\"", etag.trim_matches('"'))),
            None => Err(answer.unexpected(step)),
        }
    }

    /// The bytes of an object; none when there is no such object.
    pub(super) async fn read(&self, step: &'static str, name: &str) -> Outcome<Option<Bytes>> {
        let answer = self.send(step, self.ask(Method::GET, name).bare()).await?;
        match answer.status {
            StatusCode::OK => Ok(Some(answer.body)),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(answer.unexpected(step)),
        }
    }

    /// Whether an object of the scratch can be written and read at all.
    pub(super) async fn works(&self) -> Outcome<()> {
        let step = "writing and reading an object";
        self.write(step, "first", "first").await?;
        match self.read(step, "first").await? {
            Some(body) if body == "first" => Ok(()),
            _ => Err(Trouble::new(step, "other bytes came back")),
        }
    }

    /// Deletes every object of the scratch, and every version where the store can list them.
    pub(super) async fn empty(&self) -> Outcome<()> {
        let step = "emptying the scratch";
        for _ in 0..SWEEPS_MAX {
            let left = self.left(step).await?;
            if left.is_empty() {
                return Ok(());
            }
            stream::iter(left)
                .map(|deletion| async { self.send(step, deletion).await?.expected(step).map(drop) })
                .buffer_unordered(DELETIONS)
                .try_collect::<()>()
                .await?;
        }
        Err(Trouble::new(step, "objects come back after they were deleted"))
    }

    /// The deletions of what the scratch holds, a page of it.
    async fn left(&self, step: &'static str) -> Outcome<Vec<Request<Body>>> {
        let list = |kind: &str, value: &str| {
            let ask = Ask::bucket(Method::GET, self.bucket).query(kind, value);
            ask.query("encoding-type", "url").query("prefix", &self.prefix).bare()
        };
        let versions = self.send(step, list("versions", "")).await?;
        let listing = match versions.element("ListVersionsResult") {
            Some(listing) => listing,
            None => {
                let objects = self.send(step, list("list-type", "2")).await?.expected(step)?;
                let told = objects.element("ListBucketResult");
                told.ok_or_else(|| Trouble::new(step, "the listing cannot be read"))?
            }
        };
        let mine = listing
            .children
            .iter()
            .filter(|entry| matches!(entry.name.as_str(), "Contents" | "Version" | "DeleteMarker"));
        mine.map(|entry| {
            let key = entry.child("Key").and_then(|key| unescape_key(key.exact().ok()?));
            let key = key.filter(|key| key.as_str().starts_with(&self.prefix));
            let key = key.ok_or_else(|| Trouble::new(step, "the listing shows a key not asked for"))?;
            let ask = Ask::object(Method::DELETE, self.bucket, key.as_str());
            Ok(match entry.leaf("VersionId").ok().flatten() {
                Some(version) => ask.query("versionId", version).bare(),
                None => ask.bare(),
            })
        })
        .collect()
    }
}

// === impl Trouble ===

impl Trouble {
    pub(super) fn new(
        step: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { step, source: source.into() }
    }
}

// === impl Answer ===

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The document of a success.
    pub(super) fn element(&self, root: &str) -> Option<Element> {
        if !self.status.is_success() {
            return None;
        }
        xml::read(&self.body, root, ANSWER_BYTES_MAX).ok()
    }

    /// Whether a condition was refused: what was asked for was not done.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self.status, StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT)
    }

    pub(super) fn is_done(&self) -> bool {
        self.status.is_success()
    }

    /// Status and code, for a reader.
    pub(super) fn told(&self) -> String {
        let code = xml::read(&self.body, "Error", ANSWER_BYTES_MAX).ok();
        let code = code.and_then(|error| error.leaf("Code").ok().flatten().map(str::to_owned));
        match code {
            Some(code) => format!("{} {code}", self.status.as_u16()),
            None => self.status.as_u16().to_string(),
        }
    }

    fn unexpected(&self, step: &'static str) -> Trouble {
        Trouble::new(step, format!("the store answered {}", self.told()))
    }

    fn expected(self, step: &'static str) -> Outcome<Self> {
        if self.is_done() { Ok(self) } else { Err(self.unexpected(step)) }
    }
}
