//! What a drain meets besides the objects: uploads, lost answers, copies nobody asked for.

#![allow(clippy::unwrap_used)]

mod rig;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use http::{Method, Request, Response};
use model::archive::ArchiveStage;
use model::bucket::Mode;
use model::catalog::Change;
use model::store::{Capabilities, ObjectRef, StoreError};
use model::{Archive, ArchiveId, ArchiveState, Body, ObjectKey, PoolName, TapeClass};
use rig::{Rig, bytes, collect, wait_for};
use store::{EmbeddedStore, S3Service, Swap};

/// A store that tells nothing of parts, is not known to heed the condition of a completion, and loses answers.
struct Vague {
    inner: EmbeddedStore,
    /// How many answers to writes of plain objects are still to be lost.
    to_lose: Arc<AtomicU64>,
    tells_parts: bool,
    losing: Arc<AtomicBool>,
}

#[async_trait]
impl S3Service for Vague {
    async fn call(&self, request: Request<Body>) -> Result<Response<Body>, StoreError> {
        let writes = request.method() == Method::PUT
            && request.uri().path().starts_with("/bucket/")
            && request.uri().query().is_none()
            && !request.headers().contains_key("x-amz-meta-tapegate");
        let mut response = self.inner.call(request).await?;
        if !self.tells_parts {
            response.headers_mut().remove("x-amz-mp-parts-count");
        }
        if writes && self.losing.load(Ordering::SeqCst) {
            let lost =
                self.to_lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            if lost.is_ok() {
                return Err(StoreError::Doubt { what: "a write".to_owned(), source: "no answer".into() });
            }
        }
        Ok(response)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { complete_if_match: false, ..self.inner.capabilities() }
    }

    async fn swap_in_place(&self, swap: Swap) -> Result<(), StoreError> {
        self.inner.swap_in_place(swap).await
    }
}

async fn stuck(rig: &Rig) -> String {
    wait_for("what is stuck", || async {
        let progress = rig.engine.drain_progress(&rig.bucket).await.unwrap();
        let all = progress.archived + progress.others;
        (progress.stuck_count == 1 && all == 1).then(|| progress.stuck[0].why.clone())
    })
    .await
}

fn settings(folder: &std::path::Path) -> engine::Settings {
    engine::Settings { store_deadline: Duration::from_millis(300), ..rig::settings(folder) }
}

fn element<'a>(document: &'a str, name: &str) -> &'a str {
    let (_, rest) = document.split_once(&format!("<{name}>")).unwrap();
    rest.split_once(&format!("</{name}>")).unwrap().0
}

/// Begins an upload past the gateway; gives its id.
async fn begin_upload(rig: &Rig, key: &str) -> String {
    let (status, answer) = rig.call(Method::POST, &format!("/bucket/{key}?uploads"), b"").await;
    assert_eq!(status, 200);
    element(&String::from_utf8(answer).unwrap(), "UploadId").to_owned()
}

async fn upload_in_parts(rig: &Rig, key: &str, parts: &[Vec<u8>]) {
    let upload = begin_upload(rig, key).await;
    let mut list = String::from("<CompleteMultipartUpload>");
    for (number, part) in (1..).zip(parts) {
        let target = format!("/bucket/{key}?partNumber={number}&uploadId={upload}");
        assert_eq!(rig.call(Method::PUT, &target, part).await.0, 200);
        let etag = dialect::checksum::Md5::of(part).etag();
        list.push_str(&format!("<Part><PartNumber>{number}</PartNumber><ETag>\"{etag}\"</ETag></Part>"));
    }
    list.push_str("</CompleteMultipartUpload>");
    let target = format!("/bucket/{key}?uploadId={upload}");
    assert_eq!(rig.call(Method::POST, &target, list.as_bytes()).await.0, 200);
}

fn declared(rig: &Rig, upload: &str) -> Archive {
    let now = rig.engine.house().now();
    Archive {
        direct: true,
        upload: Some(upload.to_owned()),
        ..Archive::new(
            ArchiveId::new(1, 7),
            ObjectRef { bucket: rig.bucket.clone(), key: ObjectKey::parse("key").unwrap(), version: None },
            TapeClass::Glacier,
            PoolName::parse("glacier").unwrap(),
            ArchiveState::Declared,
            now,
        )
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_upload_into_a_class_is_named_and_holds_a_drain_up_until_it_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::start_with(folder.path(), true, settings(folder.path()), |service| service).await;
    rig.make_bucket().await;
    let upload = begin_upload(&rig, "key").await;
    let row = declared(&rig, &upload);
    rig.catalog.commit(vec![Change::Archive(row.clone())]).await.unwrap();
    rig.set_mode(Mode::Draining, false).await;
    let why = stuck(&rig).await;
    assert!(why.contains(&upload) && why.contains("abort"), "{why}");
    // Touched, as by a client's write of the key, it is still not given up.
    rig.put("key", &bytes(1, 100)).await.unwrap();
    wait_for("the row to be left alone for a while", || async {
        let row = rig.catalog.archive(row.id).await.unwrap().unwrap();
        assert_eq!(row.state.stage(), ArchiveStage::Declared);
        (rig.engine.house().now() > row.since.plus_milliseconds(1_000)).then_some(())
    })
    .await;
    // Aborted past the gateway, which nobody tells the gateway.
    let (status, _) = rig.call(Method::DELETE, &format!("/bucket/key?uploadId={upload}"), b"").await;
    assert_eq!(status, 204);
    rig.drained().await;
    let row = rig.catalog.archive(row.id).await.unwrap().unwrap();
    assert_eq!(row.state.stage(), ArchiveStage::Withdrawn);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_whose_answer_was_lost_is_known_by_its_bytes() {
    for other in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let (to_lose, losing) = (Arc::new(AtomicU64::new(1)), Arc::new(AtomicBool::new(false)));
        let rig = Rig::start_with(folder.path(), true, settings(folder.path()), |inner| Vague {
            inner,
            to_lose: to_lose.clone(),
            losing: losing.clone(),
            tells_parts: false,
        })
        .await;
        rig.make_bucket().await;
        let enabled = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
        assert_eq!(rig.call(Method::PUT, "/bucket?versioning", enabled).await.0, 200);
        let parts = [bytes(1, 5 << 20), bytes(2, 70_000)];
        upload_in_parts(&rig, "key", &parts).await;
        rig.put_rule().await;
        let archive = rig.wait_archived("key").await;
        let before = archive.identity.clone().unwrap().etag;
        losing.store(true, Ordering::SeqCst);
        if other {
            // Somebody's object of the same size and headers above it is no object of ours.
            rig.set_mode(Mode::Paused, true).await;
            rig.restore(&archive).await;
            rig.restored(archive.id).await;
            to_lose.store(0, Ordering::SeqCst);
            let mut theirs = parts.concat();
            *theirs.last_mut().unwrap() ^= 1;
            rig.put("key", &theirs).await.unwrap();
            rig.set_mode(Mode::Draining, true).await;
            assert!(stuck(&rig).await.contains("a newer version"));
            let row = rig.catalog.archive(archive.id).await.unwrap().unwrap();
            assert_eq!(row.state.stage(), ArchiveStage::Archived);
        } else {
            rig.set_mode(Mode::Draining, true).await;
            rig.drained().await;
            assert_eq!(to_lose.load(Ordering::SeqCst), 0, "an answer was lost");
            let head = rig.head("key").await.unwrap();
            assert!(head.marker.is_none() && head.etag != before);
            let target = ObjectRef {
                bucket: rig.bucket.clone(),
                key: ObjectKey::parse("key").unwrap(),
                version: None,
            };
            let read = collect(rig.store.read(&target, &head.etag, 0..head.size).await.unwrap()).await;
            assert!(read == parts.concat());
            let versions = rig.store.versions(&rig.bucket, &target.key, 10).await.unwrap();
            assert_eq!(versions.len(), 1, "{versions:?}");
        }
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_go_back_under_a_proven_condition_only() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::start_with(folder.path(), true, settings(folder.path()), |inner| Vague {
        inner,
        to_lose: Arc::default(),
        losing: Arc::default(),
        tells_parts: true,
    })
    .await;
    rig.make_bucket().await;
    upload_in_parts(&rig, "key", &[bytes(1, 5 << 20), bytes(2, 70_000)]).await;
    rig.put_rule().await;
    let archive = rig.wait_archived("key").await;
    let before = archive.identity.clone().unwrap().etag;
    rig.set_mode(Mode::Draining, false).await;
    let why = stuck(&rig).await;
    assert!(why.contains("exclusive"), "{why}");
    assert_eq!(rig.catalog.restore_of(archive.id).await.unwrap(), None, "no tape is read in vain");
    rig.set_mode(Mode::Paused, true).await;
    wait_for("nothing to be stuck", || async { rig.engine.notices().is_empty().then_some(()) }).await;
    rig.stop().await;
    let rig = Rig::start_with(folder.path(), true, settings(folder.path()), |service| service).await;
    rig.set_mode(Mode::Draining, true).await;
    rig.drained().await;
    assert_eq!(rig.head("key").await.unwrap().etag, before);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_an_earlier_process_left_behind_are_removed_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::start(folder.path(), true).await;
    rig.make_bucket().await;
    rig.put("key", &bytes(1, 30_000)).await.unwrap();
    rig.put_rule().await;
    let archive = rig.wait_archived("key").await;
    rig.restore(&archive).await;
    rig.restored(archive.id).await;
    let orphans = [1, 2, 3].map(|number| ArchiveId::new(5, number));
    rig.engine.stop().await;
    for orphan in orphans {
        let piece = futures_util::stream::once(async { Ok(bytes::Bytes::from_static(b"left")) });
        rig.store.put_copy(orphan, 4, Box::pin(piece)).await.unwrap();
    }
    let found = rig.store.copies(None).await.unwrap();
    assert_eq!(found.len(), 4);
    assert_eq!(rig.store.copies(Some(found[1])).await.unwrap(), found[2..]);
    rig.stop().await;
    let rig = Rig::start(folder.path(), true).await;
    wait_for("the orphans to go", || async {
        (rig.store.copies(None).await.unwrap() == [archive.id]).then_some(())
    })
    .await;
    assert_eq!(rig.store.copy_bytes(archive.id).await.unwrap(), Some(30_000));
    rig.stop().await;
}
