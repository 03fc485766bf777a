//! A store that knows its callers: it notes whose key a request came with, denies what it is told to deny, and has an
//! operation of its own.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use model::body::{empty, full};
use model::store::{Capabilities, Signer, StoreError};
use model::{Body, BodyError};
use store::{OwnRequest, S3Service, Swap};

use crate::redating::Redating;

/// What decides on a request: who signed it, method, target.
type Denial = Box<dyn Fn(&Signer, &Method, &str) -> bool + Send + Sync>;

pub struct Guarded {
    inner: Redating,
    denial: Mutex<Option<Denial>>,
    heard: Mutex<Vec<Heard>>,
    knows_rules: AtomicBool,
    reads: Arc<Reads>,
}

/// What becomes of the bodies of answers to clients.
#[derive(Default)]
struct Reads {
    open: AtomicUsize,
    /// Let go before their end, or still open when another was asked for.
    spoilt: AtomicUsize,
}

struct Watched {
    body: Body,
    reads: Arc<Reads>,
}

/// A client's request as the store heard it.
#[derive(Clone, Debug)]
pub struct Heard {
    pub signer: Signer,
    pub method: Method,
    pub target: String,
    pub class: Option<String>,
    /// What it copies from.
    pub source: Option<String>,
    /// The form it wants its answer in, and how that may be compressed.
    pub accept: [Option<String>; 2],
}

impl Guarded {
    pub fn new(inner: Redating) -> Self {
        Self {
            inner,
            denial: Mutex::new(None),
            heard: Mutex::new(Vec::new()),
            knows_rules: AtomicBool::new(false),
            reads: Arc::default(),
        }
    }

    /// The service below.
    pub fn inner(&self) -> &Redating {
        &self.inner
    }

    /// From now on buckets have lifecycle rules, or none, as on a store that knows such.
    pub fn know_rules(&self) {
        self.knows_rules.store(true, Ordering::SeqCst);
    }

    pub fn deny(&self, denial: impl Fn(&Signer, &Method, &str) -> bool + Send + Sync + 'static) {
        *self.denial.lock().unwrap() = Some(Box::new(denial));
    }

    /// How many answers to clients were let go unread, or were still open when a body was read for the gateway itself.
    pub fn spoilt(&self) -> usize {
        self.reads.spoilt.load(Ordering::SeqCst)
    }

    /// What was heard since the last time.
    pub fn heard(&self) -> Vec<Heard> {
        std::mem::take(&mut *self.heard.lock().unwrap())
    }
}

#[async_trait]
impl S3Service for Guarded {
    async fn call(&self, request: Request<Body>) -> Result<Response<Body>, StoreError> {
        if request.extensions().get::<OwnRequest>().is_some() {
            if request.method() == Method::GET && self.reads.open.load(Ordering::SeqCst) > 0 {
                self.reads.spoilt.fetch_add(1, Ordering::SeqCst);
            }
            return self.inner.call(request).await;
        }
        let signer = request.extensions().get::<Signer>().cloned().unwrap_or(Signer::Service);
        let (method, target) = (request.method().clone(), request.uri().to_string());
        let headers = request.headers().clone();
        let header = |name| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        let (class, source) = (header("x-amz-storage-class"), header("x-amz-copy-source"));
        let denied =
            self.denial.lock().unwrap().as_ref().is_some_and(|denial| denial(&signer, &method, &target));
        self.heard.lock().unwrap().push(Heard {
            signer,
            method: method.clone(),
            target: target.clone(),
            class,
            source,
            accept: [header("accept"), header("accept-encoding")],
        });
        if denied {
            let document = "<Error><Code>AccessDenied</Code><Message>The store says no</Message></Error>";
            let body = if method == Method::HEAD { empty() } else { full(document) };
            let mut response = Response::new(body);
            *response.status_mut() = StatusCode::FORBIDDEN;
            return Ok(response);
        }
        if target.contains("versionId=malformed") && method == Method::HEAD {
            return Ok(Response::builder().status(400).body(empty()).unwrap());
        }
        if target == "/bkt?lifecycle" && self.knows_rules.load(Ordering::SeqCst) {
            return Ok(Response::builder().status(404).body(empty()).unwrap());
        }
        if target.contains("x-vendor") {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            return Ok(Response::builder().header("x-vendor-answer", "yes").body(full(body)).unwrap());
        }
        let response = self.inner.call(without_unheard(request)).await?;
        Ok(response.map(|body| Watched::new(body, &self.reads).boxed_unsync()))
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn swap_in_place(&self, swap: Swap) -> Result<(), StoreError> {
        self.inner.swap_in_place(swap).await
    }
}

/// The request as a store takes it that looks past what it has not heard of.
fn without_unheard(request: Request<Body>) -> Request<Body> {
    let (mut parts, body) = request.into_parts();
    let target = parts.uri.to_string();
    for unheard in ["?x-unheard", "&x-unheard", "?torrent"] {
        if let Some(path) = target.strip_suffix(unheard) {
            parts.uri = path.parse().unwrap();
        }
    }
    Request::from_parts(parts, body)
}

impl Watched {
    fn new(body: Body, reads: &Arc<Reads>) -> Self {
        reads.open.fetch_add(1, Ordering::SeqCst);
        Self { body, reads: Arc::clone(reads) }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.reads.open.fetch_sub(1, Ordering::SeqCst);
        if !http_body::Body::is_end_stream(&self.body) {
            self.reads.spoilt.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
