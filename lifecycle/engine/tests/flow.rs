//! The main job without a gateway: objects go to tape and come back.

#![allow(clippy::unwrap_used)]

mod rig;

use http::Method;
use model::ObjectKey;
use model::archive::ArchiveStage;
use model::catalog::Change;
use model::limits::STUB_BYTES;
use model::store::ObjectRef;
use rig::{Rig, bytes, wait_for};

async fn there_and_back(pretend_remote: bool) {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::start(folder.path(), pretend_remote).await;
    rig.make_bucket().await;
    let sizes = [0, 10, 1530, 1531, 1532, 100_000, 300_000, 3_500_000];
    let objects: Vec<(String, Vec<u8>)> =
        sizes.iter().map(|size| (format!("object-{size}"), bytes(*size as u64, *size))).collect();
    for (key, body) in &objects {
        rig.put(key, body).await.unwrap();
    }
    let before: Vec<_> = {
        let mut heads = Vec::new();
        for (key, _) in &objects {
            heads.push(rig.head(key).await.unwrap());
        }
        heads
    };
    rig.put_rule().await;
    for ((key, body), before) in objects.iter().zip(&before) {
        let archive = rig.wait_archived(key).await;
        assert_eq!(archive.size, body.len() as u64, "{key}");
        assert_eq!(archive.last_modified, Some(before.last_modified), "{key}");
        assert_eq!(archive.identity.as_ref().unwrap().etag, before.etag, "{key}");
        let head = rig.head(key).await.unwrap();
        assert_eq!(head.marker.as_ref().unwrap().archive, archive.id, "{key}");
        assert_eq!(head.size, (body.len() as u64).min(STUB_BYTES), "{key}");
        assert_eq!(head.headers, before.headers, "{key}");
        if !pretend_remote {
            assert_eq!(head.last_modified, before.last_modified, "{key}: a swap in place keeps the date");
        }
    }
    for (key, body) in &objects {
        let archive = rig.archive_of(key).await.unwrap();
        rig.restore(&archive).await;
        assert_eq!(rig.restored(archive.id).await, *body, "{key}");
    }
    wait_for("the spool to be empty", || async { (rig.engine.house().spool.usage().0 == 0).then_some(()) })
        .await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_go_to_tape_and_come_back_in_place() {
    there_and_back(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_go_to_tape_and_come_back_by_conditional_put() {
    there_and_back(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_found_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let body = bytes(1, 200_000);
    let archive = {
        let rig = Rig::start(folder.path(), false).await;
        rig.make_bucket().await;
        rig.put("key", &body).await.unwrap();
        rig.put_rule().await;
        let archive = rig.wait_archived("key").await;
        rig.stop().await;
        archive
    };
    let rig = Rig::start(folder.path(), false).await;
    rig.restore(&archive).await;
    assert_eq!(rig.restored(archive.id).await, body);
    // The volume goes on where it ended.
    rig.put("another", &body).await.unwrap();
    let another = rig.wait_archived("another").await;
    rig.restore(&another).await;
    assert_eq!(rig.restored(another.id).await, body);
    let filling =
        rig.catalog.volumes().await.unwrap().into_iter().filter(|volume| volume.pool.is_some()).count();
    assert_eq!(filling, 1);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overwritten_archive_dies_and_takes_its_copy_along() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::start(folder.path(), false).await;
    rig.make_bucket().await;
    rig.put("key", &bytes(1, 200_000)).await.unwrap();
    rig.put_rule().await;
    let archive = rig.wait_archived("key").await;
    rig.restore(&archive).await;
    rig.restored(archive.id).await;
    rig.put("key", &bytes(2, 300_000)).await.unwrap();
    wait_for("the old archive to die", || async {
        let row = rig.catalog.archive(archive.id).await.unwrap().unwrap();
        (row.state.stage() == ArchiveStage::Dead).then_some(())
    })
    .await;
    wait_for("its copy to go", || async {
        rig.store.copy_bytes(archive.id).await.unwrap().is_none().then_some(())
    })
    .await;
    let again = wait_for("the new object to be archived", || async {
        rig.archive_of("key")
            .await
            .filter(|row| row.id != archive.id && row.state.stage() == ArchiveStage::Archived)
    })
    .await;
    assert_eq!(again.size, 300_000);
    rig.delete("key").await.unwrap();
    wait_for("the deleted object's archive to die", || async {
        rig.archive_of("key").await.is_none().then_some(())
    })
    .await;
    rig.stop().await;
}

/// Versions of a key as the store lists them, newest first: whether each is a stub.
async fn stubs(rig: &Rig, key: &str) -> Vec<bool> {
    let name = ObjectKey::parse(key).unwrap();
    let mut stubs = Vec::new();
    for listed in rig.store.versions(&rig.bucket, &name, 10).await.unwrap() {
        let version = Some(listed.version);
        let target = ObjectRef { bucket: rig.bucket.clone(), key: name.clone(), version };
        stubs.push(rig.store.head(&target).await.unwrap().is_some_and(|head| head.marker.is_some()));
    }
    stubs
}

async fn versions_stay(pretend_remote: bool) {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::start(folder.path(), pretend_remote).await;
    rig.make_bucket().await;
    let enabled = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    assert_eq!(rig.call(Method::PUT, &format!("/{}?versioning", rig.bucket), enabled).await.0, 200);
    let body = bytes(2, 200_000);
    rig.put("key", &bytes(1, 200_000)).await.unwrap();
    rig.put("key", &body).await.unwrap();
    let hot = rig.head("key").await.unwrap();
    rig.put_rule().await;
    let archive = rig.wait_archived("key").await;
    assert_eq!(archive.identity.as_ref().unwrap().version, hot.version);
    assert_eq!(stubs(&rig, "key").await, [true, false], "one stub in the place of one version");
    rig.put("key", &bytes(3, 200_000)).await.unwrap();
    wait_for("the newer version to be archived", || async {
        (stubs(&rig, "key").await == [true, true, false]).then_some(())
    })
    .await;
    rig.delete("key").await.unwrap();
    wait_for("all looks to be over", || async {
        let row = rig.catalog.archive(archive.id).await.unwrap().unwrap();
        (!row.touched).then_some(())
    })
    .await;
    rig.restore(&archive).await;
    assert_eq!(rig.restored(archive.id).await, body, "below a delete marker");
    let standing = archive.standing.as_ref().and_then(|standing| standing.version.clone()).unwrap();
    let path = format!("/{}/key?versionId={}", rig.bucket, standing.as_str());
    assert_eq!(rig.call(Method::DELETE, &path, &[]).await.0, 204);
    rig.catalog.commit(vec![Change::Touch(archive.id)]).await.unwrap();
    wait_for("the archive to die with its version", || async {
        let row = rig.catalog.archive(archive.id).await.unwrap().unwrap();
        (row.state.stage() == ArchiveStage::Dead).then_some(())
    })
    .await;
    assert_eq!(rig.archive_of("key").await.unwrap().state.stage(), ArchiveStage::Archived);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_stay_what_they_were_in_place() {
    versions_stay(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_stay_what_they_were_by_conditional_put() {
    versions_stay(true).await;
}
