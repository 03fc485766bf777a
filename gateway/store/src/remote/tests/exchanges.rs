//! Exchanges that go wrong: early refusals, broken connections, silence, bodies that end badly.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::{Method, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use model::body::{empty, full};
use model::store::StoreError;
use model::{Body, BodyError};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::front::Front;
use super::raw::Raw;
use super::{embedded, settings};
use crate::conformance::client::{Answer, noise};
use crate::service::{OwnRequest, ToClient};
use crate::{RemoteStore, S3Service, Silence};

const MIB: usize = 1 << 20;

fn get(target: &str) -> Request<Body> {
    Request::get(target).body(empty()).unwrap()
}

fn put(target: &str, length: usize, body: Body) -> Request<Body> {
    Request::put(target).header("content-length", length).body(body).unwrap()
}

/// A body that a test feeds.
fn fed() -> (mpsc::UnboundedSender<Result<Bytes, BodyError>>, Body) {
    let (feed, fed) = mpsc::unbounded_channel();
    let frames = futures_util::stream::unfold(fed, |mut fed: mpsc::UnboundedReceiver<_>| async {
        let next: Result<Bytes, BodyError> = fed.recv().await?;
        Some((next.map(Frame::data), fed))
    });
    (feed, StreamBody::new(frames).boxed_unsync())
}

fn lie() -> BodyError {
    BodyError::Refused { code: "BadDigest", message: "not what was signed".to_owned(), extras: Vec::new() }
}

fn store(raw: &Raw) -> Arc<RemoteStore> {
    let mut settings = settings(raw.address);
    settings.timeouts.head = Duration::from_millis(300);
    settings.timeouts.idle = Duration::from_millis(300);
    Arc::new(RemoteStore::open(settings).unwrap())
}

type Called = tokio::task::JoinHandle<Result<Response<Body>, StoreError>>;

fn call(store: &Arc<RemoteStore>, request: Request<Body>) -> Called {
    let store = Arc::clone(store);
    tokio::spawn(async move { store.call(request).await })
}

async fn answer(called: Called) -> Answer {
    Answer::of(called.await.unwrap().unwrap()).await.unwrap()
}

fn silence(failed: &StoreError) -> &Silence {
    assert!(matches!(failed, StoreError::Doubt { .. }), "{failed:?}");
    failed.source().unwrap().downcast_ref().unwrap()
}

#[tokio::test]
async fn a_refusal_costs_no_body_and_ends_the_connection() {
    let raw = Raw::new().await;
    let store = store(&raw);
    let taken = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = Arc::clone(&taken);
    let frames = futures_util::stream::iter(0..8).map(move |_| {
        counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(Frame::data(noise(MIB, 1)))
    });
    let called = call(&store, put("/bkt/k", 8 * MIB, StreamBody::new(frames).boxed_unsync()));
    let mut talk = raw.accept().await;
    let head = talk.head().await;
    assert!(head.contains("expect: 100-continue\r\n"), "{head}");
    assert!(head.contains(&format!("content-length: {}\r\n", 8 * MIB)), "{head}");
    let document = "<Error><Code>AccessDenied</Code><Message></Message><X>1</X></Error>";
    let refusal = format!("HTTP/1.1 403 Forbidden\r\ncontent-length: {}\r\n\r\n{document}", document.len());
    talk.say(&refusal).await;
    let refused = answer(called).await;
    assert_eq!((refused.status.as_u16(), refused.element("Code")), (403, "AccessDenied"));
    assert_eq!((refused.element("Message"), refused.element("X")), ("Access Denied", "1"));
    assert_eq!(refused.header("content-length"), refused.body.len().to_string());
    assert_eq!(talk.rest().await, b"");
    assert_eq!(taken.load(std::sync::atomic::Ordering::Relaxed), 0);

    // The next request comes on a connection of its own.
    let called = call(&store, get("/bkt/k"));
    let mut talk = raw.accept().await;
    talk.head().await;
    talk.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(answer(called).await.status, 200);
}

#[tokio::test]
async fn a_body_stops_where_the_store_answers() {
    for (method, status) in [(Method::PUT, 301), (Method::PUT, 400), (Method::GET, 200), (Method::PUT, 200)] {
        let raw = Raw::new().await;
        let store = store(&raw);
        let (feed, body) = fed();
        let request = Request::builder().method(&method).uri("/bkt/k").header("content-length", 300);
        let called = call(&store, request.body(body).unwrap());
        let mut talk = raw.accept().await;
        assert!(!talk.head().await.contains("expect"));
        feed.send(Ok(noise(100, 1))).unwrap();
        feed.send(Ok(noise(100, 1))).unwrap();
        talk.body(100).await;
        talk.say(&format!("HTTP/1.1 {status} Early\r\ncontent-length: 4\r\n\r\ndone")).await;
        let answered = called.await.unwrap();
        feed.send(Ok(noise(100, 1))).unwrap_or_default();
        drop(feed);
        if method == Method::PUT && status == 200 {
            let failed = answered.unwrap_err();
            assert!(
                matches!(silence(&failed), Silence::Premature(_)),
                "no success without the bytes: {failed:?}"
            );
        } else {
            let early = Answer::of(answered.unwrap()).await.unwrap();
            assert_eq!((early.status.as_u16(), early.text()), (status, "done"));
        }
        assert_eq!(talk.rest().await, b"");
    }
}

#[tokio::test]
async fn a_large_body_waits_for_the_store_but_not_for_ever() {
    for told in [true, false] {
        let raw = Raw::new().await;
        let mut settings = settings(raw.address);
        settings.timeouts.head = Duration::from_secs(20);
        let store = Arc::new(RemoteStore::open(settings).unwrap());
        let begun = Instant::now();
        let called = call(&store, put("/bkt/k", 2 * MIB, full(noise(2 * MIB, 1))));
        let mut talk = raw.accept().await;
        talk.head().await;
        if told {
            talk.say("HTTP/1.1 100 Continue\r\n\r\n").await;
        }
        assert!(talk.body(2 * MIB).await == noise(2 * MIB, 1));
        assert_eq!(begun.elapsed() < Duration::from_secs(1), told);
        talk.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        assert_eq!(answer(called).await.status, 200);
        // A body sent whole leaves the connection good.
        let called = call(&store, get("/"));
        talk.head().await;
        talk.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        assert_eq!(answer(called).await.status, 200);
    }
}

#[tokio::test]
async fn a_body_that_ends_badly_is_short() {
    for (pieces, code) in [
        (vec![Ok(noise(60, 1)), Ok(noise(40, 2)), Err(lie())], "BadDigest"),
        (vec![Ok(noise(60, 1)), Ok(noise(40, 2)), Ok(Bytes::new()), Err(lie())], "BadDigest"),
        (vec![Ok(noise(60, 1))], "IncompleteBody"),
        (vec![Ok(noise(60, 1)), Ok(noise(40, 2)), Ok(noise(1, 3))], "IncompleteBody"),
        (vec![Err(BodyError::Broken(std::io::ErrorKind::TimedOut.into()))], "RequestTimeout"),
    ] {
        let raw = Raw::new().await;
        let store = store(&raw);
        let (feed, body) = fed();
        let called = call(&store, put("/bkt/k", 100, body));
        let mut talk = raw.accept().await;
        talk.head().await;
        for piece in pieces {
            feed.send(piece).unwrap();
        }
        drop(feed);
        let refused = answer(called).await;
        assert_eq!((refused.status.as_u16(), refused.element("Code")), (400, code));
        assert!(talk.rest().await.len() < 100, "{code}");
    }

    // Without bytes there is no request at all.
    let raw = Raw::new().await;
    let (feed, body) = fed();
    feed.send(Err(lie())).unwrap();
    let refused = answer(call(&store(&raw), put("/bkt/k", 0, body))).await;
    assert_eq!(refused.element("Code"), "BadDigest");
}

#[tokio::test]
async fn silence_says_what_happened() {
    let raw = Raw::new().await;
    let store = store(&raw);
    let called = call(&store, put("/bkt/k", 3, full("abc")));
    let mut talk = raw.accept().await;
    talk.head().await;
    let failed = called.await.unwrap().unwrap_err();
    assert!(matches!(silence(&failed), Silence::Timeout(_)), "{failed:?}");
    assert_eq!(failed.to_string(), "PUT /bkt/k is in doubt");

    let called = call(&store, put("/bkt/k", 3, full("abc")));
    let mut talk = raw.accept().await;
    talk.head().await;
    drop(talk);
    let failed = called.await.unwrap().unwrap_err();
    assert!(matches!(silence(&failed), Silence::Broken(_)), "{failed:?}");

    let called = call(&store, get("/bkt/k"));
    let mut talk = raw.accept().await;
    talk.head().await;
    talk.say("SSH-2.0-OpenSSH\r\n\r\n").await;
    let failed = called.await.unwrap().unwrap_err();
    assert!(matches!(silence(&failed), Silence::Nonsense(_)), "{failed:?}");

    drop(raw);
    let failed = store.call(get("/bkt/k")).await.unwrap_err();
    assert!(matches!(silence(&failed), Silence::Connect(_)), "{failed:?}");
}

#[tokio::test]
async fn a_slow_sender_is_not_a_silent_store() {
    let raw = Raw::new().await;
    let store = store(&raw);
    let (feed, body) = fed();
    let called = call(&store, put("/bkt/k", 200, body));
    let mut talk = raw.accept().await;
    talk.head().await;
    // More than twice the patience with a store.
    tokio::time::timeout(Duration::from_millis(700), feed.closed()).await.unwrap_err();
    feed.send(Ok(noise(200, 1))).unwrap();
    drop(feed);
    talk.body(200).await;
    talk.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(answer(called).await.status, 200);
}

#[tokio::test]
async fn reads_are_sent_again_when_a_kept_connection_is_gone() {
    for (method, again) in [(Method::GET, true), (Method::HEAD, true), (Method::DELETE, false)] {
        let raw = Raw::new().await;
        let store = store(&raw);
        let request = Request::builder().method(&method).uri("/bkt/k").body(empty()).unwrap();
        let called = call(&store, request);
        let mut talk = raw.accept().await;
        talk.head().await;
        drop(talk);
        if !again {
            let failed = called.await.unwrap().unwrap_err();
            assert!(matches!(silence(&failed), Silence::Broken(_)), "{failed:?}");
            continue;
        }
        let mut talk = raw.accept().await;
        talk.head().await;
        talk.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        assert_eq!(answer(called).await.status, 200);
    }

    // A server that breaks every connection is left after some.
    let raw = Raw::new().await;
    let called = call(&store(&raw), get("/bkt/k"));
    for _ in 0..=super::super::RETRIES_MAX {
        raw.accept().await.head().await;
    }
    assert!(called.await.unwrap().is_err());
}

#[tokio::test]
async fn answers_that_stop_are_broken_bodies() {
    for closes in [true, false] {
        let raw = Raw::new().await;
        let store = store(&raw);
        let called = call(&store, get("/bkt/k"));
        let mut talk = raw.accept().await;
        talk.head().await;
        talk.say(
            "HTTP/1.1 200 OK\r\ncontent-length: 10\r\nConnection: x-hop\r\nx-hop: 1\r\nx-rgw: 2\r\n\r\nfive!",
        )
        .await;
        let response = called.await.unwrap().unwrap();
        assert_eq!(response.headers().get("x-hop"), None);
        assert_eq!(response.headers()["x-rgw"], "2");
        let held = if closes {
            drop(talk);
            None
        } else {
            Some(talk)
        };
        let mut body = response.into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "five!");
        let broken = body.frame().await.unwrap().unwrap_err();
        let BodyError::Broken(source) = broken else { panic!("{broken:?}") };
        assert_eq!(source.kind() == std::io::ErrorKind::TimedOut, !closes);
        drop(held);
    }
}

#[tokio::test]
async fn requests_beyond_the_room_are_told_to_slow_down() {
    let raw = Raw::new().await;
    let mut settings = settings(raw.address);
    settings.connections_max = 1;
    settings.timeouts.connect = Duration::from_millis(100);
    let store = Arc::new(RemoteStore::open(settings).unwrap());
    let called = call(&store, get("/bkt/k"));
    let mut talk = raw.accept().await;
    talk.head().await;
    let crowded = call(&store, get("/bkt/k")).await.unwrap().unwrap();
    let refusal = crowded.extensions().get::<dialect::S3Error>().map(|error| error.code);
    assert_eq!(refusal, Some(dialect::Code::SlowDown), "whoever names the request says it");
    let crowded = Answer::of(crowded).await.unwrap();
    assert_eq!((crowded.status.as_u16(), crowded.element("Code")), (503, "SlowDown"));
    talk.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(answer(called).await.status, 200);
    let called = call(&store, get("/bkt/k"));
    talk.head().await;
    talk.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(answer(called).await.status, 200);
}

#[tokio::test]
async fn clients_leave_room_for_the_gateways_own_work() {
    let raw = Raw::new().await;
    let mut settings = settings(raw.address);
    (settings.connections_max, settings.own_connections_max) = (1, 1);
    settings.timeouts.connect = Duration::from_millis(100);
    let store = Arc::new(RemoteStore::open(settings).unwrap());
    let slow = call(&store, get("/bkt/k"));
    let mut talk = raw.accept().await;
    talk.head().await;
    let mut copy = get("/bkt/copy");
    copy.extensions_mut().insert(OwnRequest);
    copy.extensions_mut().insert(ToClient);
    assert_eq!(answer(call(&store, copy)).await.status, 503, "a client reads it");
    let mut own = get("/bkt/own");
    own.extensions_mut().insert(OwnRequest);
    let own = call(&store, own);
    let other = tokio::time::timeout(Duration::from_secs(2), raw.accept()).await;
    let mut other = other.expect("it waits for no client");
    assert!(other.head().await.starts_with("GET /bkt/own "));
    for (talk, called) in [(&mut other, own), (&mut talk, slow)] {
        talk.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        assert_eq!(answer(called).await.status, 200);
    }
}

#[tokio::test]
async fn connections_are_kept_as_long_and_as_many_as_allowed() {
    let keep = Duration::from_secs(20);
    for (keep, kept_max, kept) in [(keep, 1, true), (Duration::ZERO, 1, false), (keep, 0, false)] {
        let raw = Raw::new().await;
        let mut settings = settings(raw.address);
        (settings.timeouts.keep, settings.idle_connections_max) = (keep, kept_max);
        let store = Arc::new(RemoteStore::open(settings).unwrap());
        let called = call(&store, get("/bkt/k"));
        let mut talk = raw.accept().await;
        talk.head().await;
        talk.say("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone").await;
        assert_eq!(answer(called).await.text(), "done");
        let called = call(&store, get("/bkt/other"));
        if !kept {
            talk = raw.accept().await;
        }
        assert!(talk.head().await.starts_with("GET /bkt/other HTTP/1.1\r\n"));
        talk.say("HTTP/1.1 204 No Content\r\n\r\n").await;
        assert_eq!(answer(called).await.status, 204);
    }
}

#[tokio::test]
async fn a_broken_upload_leaves_what_stood_there() {
    let directory = tempfile::tempdir().unwrap();
    let front = Front::serve(Arc::new(embedded(directory.path()))).await;
    let store = Arc::new(RemoteStore::open(settings(front.address)).unwrap());
    assert_eq!(answer(call(&store, put("/bkt", 0, empty()))).await.status, 200);
    assert_eq!(answer(call(&store, put("/bkt/k", 3, full("old")))).await.status, 200);
    let (feed, body) = fed();
    let called = call(&store, put("/bkt/k", 3 * MIB, body));
    for _ in 0..3 {
        feed.send(Ok(noise(MIB, 1))).unwrap();
    }
    feed.send(Err(lie())).unwrap();
    assert_eq!(answer(called).await.element("Code"), "BadDigest");
    assert_eq!(answer(call(&store, get("/bkt/k"))).await.text(), "old");
}
