//! A bucket is drained: what is archived comes back as it was, and a client's write wins all the same.

#![allow(clippy::unwrap_used)]

mod rig;

use std::sync::Arc;

use engine::DrainProgress;
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt;
use model::archive::ArchiveStage;
use model::bucket::Mode;
use model::catalog::Change;
use model::store::ObjectHead;
use model::{ETag, ObjectKey};
use rig::{Rig, bytes, collect, wait_for};

/// Sends a request with headers; gives the answer's headers and body.
async fn send(
    rig: &Rig,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> (HeaderMap, String) {
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.header("content-length", body.len());
    let request = request.body(model::body::full(body.to_vec())).unwrap();
    let (parts, body) = rig.store.call(request).await.unwrap().into_parts();
    let body = String::from_utf8_lossy(&body.collect().await.unwrap().to_bytes()).into_owned();
    assert!(parts.status.is_success(), "{path}: {} {body}", parts.status);
    (parts.headers, body)
}

async fn upload_in_parts(rig: &Rig, key: &str, parts: &[Vec<u8>]) {
    let path = format!("/{}/{key}", rig.bucket);
    let (_, answer) =
        send(rig, Method::POST, &format!("{path}?uploads"), &[("x-amz-meta-a", "b")], b"").await;
    let (_, rest) = answer.split_once("<UploadId>").unwrap();
    let (upload, _) = rest.split_once("</UploadId>").unwrap();
    let mut list = String::from("<CompleteMultipartUpload>");
    for (number, part) in (1..).zip(parts) {
        let target = format!("{path}?partNumber={number}&uploadId={upload}");
        let (headers, _) = send(rig, Method::PUT, &target, &[], part).await;
        let etag = headers["etag"].to_str().unwrap();
        list.push_str(&format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"));
    }
    list.push_str("</CompleteMultipartUpload>");
    send(rig, Method::POST, &format!("{path}?uploadId={upload}"), &[], list.as_bytes()).await;
}

fn sync_off() -> store::Options {
    store::Options { pretend_remote: true, sync: false, ..store::Options::default() }
}

async fn inspect(rig: &Rig, key: &str) -> Option<ObjectHead> {
    let key = ObjectKey::parse(key).unwrap();
    let target = model::store::ObjectRef { bucket: rig.bucket.clone(), key, version: None };
    rig.store.inspect(&target).await.unwrap()
}

async fn read(rig: &Rig, key: &str, etag: &ETag, size: u64) -> Vec<u8> {
    let key = ObjectKey::parse(key).unwrap();
    let target = model::store::ObjectRef { bucket: rig.bucket.clone(), key, version: None };
    collect(rig.store.read(&target, etag, 0..size).await.unwrap()).await
}

async fn back_as_it_was(pretend_remote: bool, exclusive: bool) {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::start(folder.path(), pretend_remote).await;
    rig.make_bucket().await;
    let dress: [(&str, &str); 4] = [
        ("content-type", "text/x-odd"),
        ("cache-control", "no-store"),
        ("x-amz-meta-colour", "green"),
        ("x-amz-tagging", "kind=test&n=1"),
    ];
    let sizes = [0, 10, 1531, 1532, 300_000, 3_500_000];
    let mut objects: Vec<(String, Vec<u8>)> =
        sizes.iter().map(|size| (format!("o-{size}"), bytes(*size as u64, *size))).collect();
    for (key, body) in &objects {
        send(&rig, Method::PUT, &format!("/{}/{key}", rig.bucket), &dress, body).await;
    }
    let long = "v".repeat(2_000);
    send(&rig, Method::PUT, &format!("/{}/much", rig.bucket), &[("x-amz-meta-m", &long)], &objects[4].1)
        .await;
    objects.push(("much".to_owned(), objects[4].1.clone()));
    for (key, lengths) in
        [("parts", vec![5 << 20, 5 << 20, 70_000]), ("one-part", vec![2_000]), ("small-part", vec![9])]
    {
        let parts: Vec<Vec<u8>> = lengths.into_iter().map(|length| bytes(7, length)).collect();
        upload_in_parts(&rig, key, &parts).await;
        objects.push((key.to_owned(), parts.concat()));
    }
    let mut before = Vec::new();
    for (key, _) in &objects {
        before.push(inspect(&rig, key).await.unwrap());
    }
    rig.put_rule().await;
    let mut archives = Vec::new();
    for (key, _) in &objects {
        archives.push(rig.wait_archived(key).await);
    }
    rig.set_mode(Mode::Draining, exclusive).await;
    rig.drained().await;
    for (((key, body), before), archive) in objects.iter().zip(&before).zip(&archives) {
        let head = inspect(&rig, key).await.unwrap();
        assert_eq!(head.marker, None, "{key}");
        assert_eq!(head.headers, before.headers, "{key}");
        assert_eq!((&head.etag, head.size), (&before.etag, before.size), "{key}");
        assert_eq!(read(&rig, key, &head.etag, head.size).await, *body, "{key}");
        let row = rig.catalog.archive(archive.id).await.unwrap().unwrap();
        assert_eq!(row.state.stage(), ArchiveStage::Dead, "{key}");
        wait_for(&format!("the copy of {key} to go"), || async {
            rig.store.copy_bytes(archive.id).await.unwrap().is_none().then_some(())
        })
        .await;
    }
    assert_eq!(rig.engine.drain_progress(&rig.bucket).await.unwrap(), DrainProgress::default());
    assert!(rig.engine.notices().is_empty(), "{:?}", rig.engine.notices());
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_archived_in_place_comes_back_as_it_was() {
    back_as_it_was(false, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_archived_by_put_comes_back_by_copies() {
    back_as_it_was(true, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_archived_by_put_comes_back_under_conditions() {
    back_as_it_was(true, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_archived_yet_is_withdrawn() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = rig::settings(folder.path());
    settings.grace = std::time::Duration::from_secs(3600);
    let rig = Rig::start_with(folder.path(), true, settings, |service| service).await;
    rig.make_bucket().await;
    rig.put("key", &bytes(1, 50_000)).await.unwrap();
    let before = inspect(&rig, "key").await.unwrap();
    rig.put_rule().await;
    wait_for("the object to be on tape", || async {
        rig.archive_of("key").await.filter(|row| row.state.stage() == ArchiveStage::Taped)
    })
    .await;
    rig.set_mode(Mode::Draining, false).await;
    rig.drained().await;
    assert_eq!(inspect(&rig, "key").await.unwrap(), before);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_while_a_bucket_is_drained_win() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::start(folder.path(), true).await;
    rig.make_bucket().await;
    let keys: Vec<String> = (0..12).map(|number| format!("key-{number}")).collect();
    for (seed, key) in (0..).zip(&keys) {
        rig.put(key, &bytes(seed, 40_000)).await.unwrap();
    }
    rig.put_rule().await;
    for key in &keys {
        rig.wait_archived(key).await;
    }
    rig.set_mode(Mode::Draining, false).await;
    // Some before their copies are there, some after, some at the same time.
    for (seed, key) in (100..).zip(&keys) {
        match seed % 3 {
            0 => rig.put(key, &bytes(seed, 9_000)).await.unwrap(),
            1 => rig.delete(key).await.unwrap(),
            _ => {}
        }
    }
    rig.drained().await;
    for (seed, key) in (100..).zip(&keys) {
        let head = inspect(&rig, key).await;
        assert!(head.as_ref().is_none_or(|head| head.marker.is_none()), "{key}");
        match seed % 3 {
            0 => {
                let head = head.unwrap();
                assert_eq!(read(&rig, key, &head.etag, head.size).await, bytes(seed, 9_000), "{key}");
            }
            1 => assert_eq!(head, None, "{key} stays deleted"),
            _ => {
                let head = head.unwrap();
                assert_eq!(read(&rig, key, &head.etag, head.size).await, bytes(seed - 100, 40_000), "{key}");
            }
        }
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draining_goes_on_after_restarts_and_lost_replies() {
    let folder = tempfile::tempdir().unwrap();
    let keys: Vec<String> = (0..8).map(|number| format!("key-{number}")).collect();
    let mut settings = rig::settings(folder.path());
    settings.store_deadline = std::time::Duration::from_millis(300);
    {
        let rig = Rig::start_with(folder.path(), true, settings.clone(), |service| service).await;
        rig.make_bucket().await;
        for (seed, key) in (0..).zip(&keys) {
            rig.put(key, &bytes(seed, 40_000)).await.unwrap();
        }
        rig.put_rule().await;
        for key in &keys {
            rig.wait_archived(key).await;
        }
        rig.set_mode(Mode::Draining, false).await;
        rig.stop().await;
    }
    for seed in 0..3 {
        let mut faults = store::Faults::new(seed);
        faults.per_mille = [250, 150, 150, 150, 100];
        let mut told = None;
        let rig = Rig::start_with(folder.path(), true, settings.clone(), |service| {
            let faulty = Arc::new(store::Faulty::new(service, faults));
            faulty.set_lying(false);
            told = Some(Arc::clone(&faulty));
            faulty
        })
        .await;
        let faulty = told.unwrap();
        faulty.set_lying(true);
        wait_for("some lies", || async { (faulty.told().iter().sum::<u64>() > 5).then_some(()) }).await;
        rig.stop().await;
        drop(faulty);
        // What is delayed still happens, and holds the store until then.
        let free = || async { store::EmbeddedStore::open(&folder.path().join("store"), sync_off()).ok() };
        drop(wait_for("the store to be free", free).await);
    }
    let rig = Rig::start_with(folder.path(), true, settings, |service| service).await;
    rig.drained().await;
    for (seed, key) in (0..).zip(&keys) {
        let head = inspect(&rig, key).await.unwrap();
        assert_eq!(head.marker, None, "{key}");
        assert_eq!(read(&rig, key, &head.etag, head.size).await, bytes(seed, 40_000), "{key}");
    }
    rig.stop().await;
}

/// Versions of a key: sizes, the newest first, delete markers as none.
async fn versions(rig: &Rig, key: &str) -> Vec<Option<u64>> {
    let key = ObjectKey::parse(key).unwrap();
    let listed = rig.store.versions(&rig.bucket, &key, 100).await.unwrap();
    listed.into_iter().map(|version| version.size).collect()
}

async fn versions_come_back(pretend_remote: bool) {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::start(folder.path(), pretend_remote).await;
    rig.make_bucket().await;
    let before = bytes(1, 30_000);
    rig.put("before", &before).await.unwrap();
    let enabled = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    send(&rig, Method::PUT, &format!("/{}?versioning", rig.bucket), &[], enabled).await;
    rig.put("free", &bytes(2, 20_000)).await.unwrap();
    rig.put("covered", &bytes(3, 20_000)).await.unwrap();
    rig.put_rule().await;
    for key in ["before", "free", "covered"] {
        rig.wait_archived(key).await;
    }
    rig.set_mode(Mode::Paused, false).await;
    rig.put("covered", &bytes(4, 9_000)).await.unwrap();
    let stub = rig.archive_of("covered").await.expect("the archived version lives on");
    rig.set_mode(Mode::Draining, false).await;
    wait_for("all but one to be back", || async {
        let progress = rig.engine.drain_progress(&rig.bucket).await.unwrap();
        (progress.archived == 1 && progress.others == 0 && progress.stuck.len() == 1).then_some(())
    })
    .await;
    for (key, body) in [("before", &before), ("free", &bytes(2, 20_000)), ("covered", &bytes(4, 9_000))] {
        let head = inspect(&rig, key).await.unwrap();
        assert_eq!(head.marker, None, "{key}");
        assert_eq!(read(&rig, key, &head.etag, head.size).await, *body, "{key}");
    }
    assert_eq!(versions(&rig, "before").await, [Some(30_000)]);
    assert_eq!(versions(&rig, "free").await, [Some(20_000)], "one version, of another id");
    assert_eq!(versions(&rig, "covered").await.len(), 2, "the client's stays above");
    let restore = rig.catalog.restore_of(stub.id).await.unwrap();
    assert!(restore.is_none(), "no tape is read for what cannot come back: {restore:?}");
    let notices = rig.engine.notices();
    assert!(notices.iter().any(|notice| notice.code == Some("EN-0109")), "{notices:?}");

    // The archived version is deleted: nothing is left.
    let id = stub.standing.unwrap().version.unwrap();
    let target = model::store::ObjectRef {
        bucket: rig.bucket.clone(),
        key: ObjectKey::parse("covered").unwrap(),
        version: Some(id),
    };
    rig.store.remove_version(&target).await.unwrap();
    rig.catalog.commit(vec![Change::Touch(stub.id)]).await.unwrap();
    rig.drained().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_archived_in_place_come_back_where_nothing_stands_above() {
    versions_come_back(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_archived_by_put_come_back_where_nothing_stands_above() {
    versions_come_back(true).await;
}

/// Clients write and delete while a store that loses replies, delays and repeats work has its bucket drained.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lying_store_is_drained_and_no_write_is_lost() {
    const KEYS: u64 = 40;
    let folder = tempfile::tempdir().unwrap();
    let mut settings = rig::settings(folder.path());
    settings.store_deadline = std::time::Duration::from_millis(400);
    let mut told = None;
    let rig = Rig::start_with(folder.path(), true, settings, |service| {
        let faulty = Arc::new(store::Faulty::new(service, store::Faults::new(5)));
        faulty.set_lying(false);
        told = Some(Arc::clone(&faulty));
        faulty
    })
    .await;
    let faulty = told.unwrap();
    rig.make_bucket().await;
    let key = |number: u64| format!("key-{number}");
    for number in 0..KEYS {
        rig.put(&key(number), &bytes(number, 10_000)).await.unwrap();
    }
    rig.put_rule().await;
    for number in 0..KEYS {
        rig.wait_archived(&key(number)).await;
    }
    rig.set_mode(Mode::Draining, true).await;
    faulty.set_lying(true);
    let mut writes = Vec::new();
    for number in 0..KEYS {
        let rig = &rig;
        writes.push(async move {
            let key = key(number);
            if number % 4 < 2 {
                // Not before the key's turn has come, as near as can be told.
                wait_for("some to be back", || async {
                    let left = rig.engine.drain_progress(&rig.bucket).await.unwrap();
                    (left.archived + left.others <= KEYS - number / 2).then_some(())
                })
                .await;
            }
            match number % 4 {
                0 => rig.put(&key, &bytes(number + 1_000, 7_000)).await.ok().map(|()| Some(number + 1_000)),
                1 => rig.delete(&key).await.ok().map(|()| None),
                _ => None,
            }
        });
    }
    let written = futures_util::future::join_all(writes).await;
    rig.drained().await;
    faulty.set_lying(false);
    for (number, written) in (0..).zip(written) {
        let seen = inspect(&rig, &key(number)).await;
        assert!(seen.as_ref().is_none_or(|head| head.marker.is_none()), "key {number}");
        // A client that was told to slow down was told nothing of its write: it has not happened.
        let truth = written.unwrap_or(Some(number));
        match (truth, seen) {
            (None, seen) => assert_eq!(seen, None, "key {number} stays deleted"),
            (Some(seed), Some(head)) => {
                let length = if seed >= 1_000 { 7_000 } else { 10_000 };
                let read = read(&rig, &key(number), &head.etag, head.size).await;
                assert!(read == bytes(seed, length), "key {number} is not what was acknowledged last");
            }
            (Some(_), None) => panic!("key {number} is gone"),
        }
    }
    rig.stop().await;
}
