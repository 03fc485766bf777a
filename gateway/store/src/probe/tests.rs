//! Probes of stores that keep their word, and of some that do not.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderMap, Method, Request, Response};
use model::body::{empty, full};
use model::store::{Capabilities, IfMatch, StoreError};
use model::{Body, BucketName};

use super::{Evidence, Finding, Verdict, probe};
use crate::remote::tests::front::Front;
use crate::remote::tests::{embedded, settings};
use crate::{EmbeddedStore, Error, RemoteStore, S3Service, Swap};

/// What a probe finds of a store in this process that says what it can do.
fn told(store: &EmbeddedStore) -> Capabilities {
    Capabilities { trailers: true, ..store.capabilities() }
}

fn bucket() -> BucketName {
    BucketName::parse("bkt").unwrap()
}

async fn with_bucket(directory: &tempfile::TempDir) -> EmbeddedStore {
    let store = embedded(directory.path());
    let made = Request::put("/bkt").body(empty()).unwrap();
    assert_eq!(store.call(made).await.unwrap().status(), 200);
    store
}

/// Probes, and looks that nothing was left behind.
async fn probed(service: &impl S3Service) -> Evidence {
    let evidence = probe(service, &bucket(), 60).await.unwrap();
    let list = Request::get("/bkt?list-type=2").body(empty()).unwrap();
    let listing = service.call(list).await.unwrap().into_body();
    let listing = crate::stream::collect(listing, 1 << 20).await.unwrap();
    assert!(!String::from_utf8(listing.to_vec()).unwrap().contains("<Contents>"));
    evidence
}

fn found<'a>(evidence: &'a Evidence, name: &str) -> &'a Finding {
    evidence.findings.iter().find(|finding| finding.name == name).unwrap()
}

#[tokio::test]
async fn a_store_that_keeps_its_word() {
    let directory = tempfile::tempdir().unwrap();
    let store = with_bucket(&directory).await;
    let evidence = probed(&store).await;
    assert_eq!(evidence.capabilities, told(&store), "{evidence:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_keeps_its_word_over_the_network() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(with_bucket(&directory).await);
    let front = Front::serve(Arc::clone(&store) as Arc<dyn S3Service>).await;
    let evidence = probed(&RemoteStore::open(settings(front.address)).unwrap()).await;
    assert_eq!(evidence.capabilities, told(&store), "{evidence:#?}");
    assert_eq!(evidence.findings.len(), 10);

    let kept = serde_json::to_string(&evidence).unwrap();
    assert_eq!(serde_json::from_str::<Evidence>(&kept).unwrap(), evidence);
}

/// How a store breaks its word.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    /// Conditions are not looked at.
    Deaf,
    /// If-Match is taken without quotes alone, and judged before the write, not with it; DELETE and copy ignore it.
    Late,
    /// Says yes to everything, stores nothing that it has a condition for.
    Empty,
}

struct Weak(EmbeddedStore, Fault);

impl Weak {
    async fn etag(&self, target: &http::Uri) -> String {
        let head = Request::head(target.clone()).body(empty()).unwrap();
        let head = self.0.call(head).await.unwrap();
        head.headers().get("etag").map_or_else(String::new, |etag| etag.to_str().unwrap().to_owned())
    }
}

fn take(headers: &mut HeaderMap, name: &str) -> Option<String> {
    headers.remove(name).map(|value| value.to_str().unwrap().to_owned())
}

#[async_trait]
impl S3Service for Weak {
    async fn call(&self, mut request: Request<Body>) -> Result<Response<Body>, StoreError> {
        let if_match = take(request.headers_mut(), "if-match");
        take(request.headers_mut(), "x-amz-copy-source-if-match");
        if self.1 == Fault::Deaf {
            take(request.headers_mut(), "if-none-match");
        }
        let writes = request.method() == Method::PUT;
        if let Some(expected) = if_match.filter(|_| writes) {
            match self.1 {
                Fault::Deaf => {}
                Fault::Late => {
                    let stands = self.etag(request.uri()).await;
                    if format!("\"{expected}\"") != stands {
                        let mut refused =
                            Response::new(full("<Error><Code>PreconditionFailed</Code></Error>"));
                        *refused.status_mut() = http::StatusCode::PRECONDITION_FAILED;
                        return Ok(refused);
                    }
                    // Time enough for the other writer.
                    for _ in 0..200 {
                        tokio::task::yield_now().await;
                    }
                }
                Fault::Empty => return Ok(Response::new(empty())),
            }
        }
        self.0.call(request).await
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn swap_in_place(&self, _: Swap) -> Result<(), StoreError> {
        unreachable!("a probe swaps nothing")
    }
}

#[tokio::test]
async fn weak_stores_are_seen_through() {
    for fault in [Fault::Deaf, Fault::Late, Fault::Empty] {
        let directory = tempfile::tempdir().unwrap();
        let store = Weak(with_bucket(&directory).await, fault);
        let capabilities = Capabilities {
            compare_and_set: false,
            delete_if_match: false,
            copy_if_match: false,
            complete_if_match: false,
            create_only: fault != Fault::Deaf,
            if_match: if fault == Fault::Late { IfMatch::Unquoted } else { IfMatch::Ignored },
            ..told(&store.0)
        };
        let evidence = probed(&store).await;
        assert_eq!(evidence.capabilities, capabilities, "{evidence:#?}");
        let race = found(&evidence, "compare_and_set");
        assert_eq!(race.verdict, Verdict::Absent, "{race}");
        assert!(!race.seen.starts_with("60 rounds: 0 "), "{race}");
        assert_eq!(race.seen.contains("rounds"), fault == Fault::Late, "{race}");
    }
}

#[tokio::test]
async fn a_bucket_that_cannot_be_written_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let store = embedded(directory.path());
    let failed = probe(&store, &bucket(), 1).await.unwrap_err();
    let Error::Probe { step, source, .. } = &failed else { panic!("{failed:?}") };
    assert_eq!(*step, "writing and reading an object");
    assert_eq!(source.to_string(), "the store answered 404 NoSuchBucket");
}
