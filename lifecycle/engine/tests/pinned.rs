//! What stays with its version or its bytes: direct writes below newer versions, stubs that arrive when all is over,
//! versioning switched in the middle.

#![allow(clippy::unwrap_used)]

mod rig;

use std::sync::atomic::Ordering;
use std::time::Duration;

use catalog::RedbCatalog;
use dialect::reserved::{MarkerKey, render};
use engine::Settings;
use http::{Method, Request};
use model::archive::ArchiveStage;
use model::bucket::{Mode, Terms, Versioning};
use model::catalog::{Bucket, Catalog, Change};
use model::clock::{Clock, archive_id};
use model::fence::Work;
use model::store::{Capabilities, ObjectRef};
use model::{Archive, ArchiveState, Marker, MarkerKind, ObjectKey, PoolName, TapeClass, Timestamp};
use rig::memory_store::Mischief;
use rig::world::{BUCKET, EXCLUSIVE, WEAK, World};
use rig::{RealClock, RealEntropy, bytes, wait_for};

fn slow(settings: &mut Settings) {
    settings.grace = Duration::from_secs(2);
    settings.store_deadline = Duration::from_millis(300);
}

/// A write straight into a class, as the edge makes it when its own process ends right after.
async fn write_direct(world: &World, key: &str, body: &[u8]) -> Archive {
    let (rig, now) = (&world.rig, RealClock.now());
    let archive = Archive {
        direct: true,
        ..Archive::new(
            archive_id(&RealClock, &RealEntropy),
            ObjectRef { bucket: rig.bucket.clone(), key: ObjectKey::parse(key).unwrap(), version: None },
            TapeClass::Glacier,
            PoolName::parse("glacier").unwrap(),
            ArchiveState::Declared,
            now,
        )
    };
    rig.catalog.commit(vec![Change::Archive(archive.clone())]).await.unwrap();
    let marker =
        Marker { kind: MarkerKind::Whole, archive: archive.id, class: archive.class, original: None };
    let record = render(&marker, &archive.bucket, &archive.key, &MarkerKey::new([7; 32]));
    let request = Request::builder()
        .method(Method::PUT)
        .uri(format!("/{BUCKET}/{key}"))
        .header("host", "localhost")
        .header("content-length", body.len())
        .header("x-amz-meta-tapegate", record)
        .header("x-amz-tagging", "a=old")
        .body(model::body::full(body.to_vec()))
        .unwrap();
    assert_eq!(rig.store.call(request).await.unwrap().status(), 200);
    rig.engine.wake().wake(Work::Touched);
    archive
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_direct_write_lives_on_below_a_newer_version() {
    let world = World::start(Capabilities::FAITHFUL, Versioning::Enabled, slow).await;
    let body = bytes(1, 200_000);
    let archive = write_direct(&world, "key", &body).await;
    world.become_of(&archive, ArchiveStage::Taped).await;
    world.rig.put("key", &bytes(2, 1_000)).await.unwrap();
    world.rig.restore(&archive).await;
    assert_eq!(world.rig.restored(archive.id).await, body, "its own bytes are still there");
    let row = world.become_of(&archive, ArchiveStage::Taped).await;
    wait_for("its grace to be over", || async {
        (RealClock.now() > row.since.plus_milliseconds(2_500)).then_some(())
    })
    .await;
    assert_eq!(world.row(&archive).await.state.stage(), ArchiveStage::Taped);
    // Current again, it is flipped.
    let newer = world.store.versions(BUCKET, "key")[0].id.clone();
    let path = format!("/{BUCKET}/key?versionId={newer}");
    assert_eq!(world.rig.call(Method::DELETE, &path, &[]).await.0, 204);
    world.become_of(&archive, ArchiveStage::Archived).await;
    assert_eq!(world.stubs("key"), [true]);
    world.rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_of_a_direct_write_change_without_another_trip_to_tape() {
    let world = World::start(Capabilities::FAITHFUL, Versioning::Off, slow).await;
    let archive = write_direct(&world, "key", &bytes(1, 200_000)).await;
    world.become_of(&archive, ArchiveStage::Taped).await;
    world.store.retag(BUCKET, "key", "a=new");
    world.touch(&archive).await;
    world.become_of(&archive, ArchiveStage::Archived).await;
    let stub = world.store.versions(BUCKET, "key").remove(0);
    assert_eq!(stub.headers.get("x-amz-tagging").map(String::as_str), Some("a=new"));
    world.rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stub_that_meets_the_same_bytes_again_is_no_dead_archives() {
    let world = World::start(Capabilities::FAITHFUL, Versioning::Off, |_| {}).await;
    let body = bytes(1, 200_000);
    world.rig.put("key", &body).await.unwrap();
    world.rig.put_rule().await;
    let archive = world.rig.wait_archived("key").await;
    world.rig.put("key", &body).await.unwrap();
    world.store.repeat_stub();
    assert!(world.store.versions(BUCKET, "key")[0].headers.contains_key("x-amz-meta-tapegate"));
    world.become_of(&archive, ArchiveStage::Archived).await;
    world.rig.restore(&archive).await;
    assert_eq!(world.rig.restored(archive.id).await, body);
    world.rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versioning_suspended_in_the_middle_of_a_flip_loses_no_version() {
    let world = World::start(WEAK, Versioning::Enabled, |settings| {
        settings.store_deadline = Duration::from_millis(300);
    })
    .await;
    let body = bytes(1, 200_000);
    world.rig.put("key", &body).await.unwrap();
    let first = world.store.versions(BUCKET, "key")[0].id.clone();
    *world.store.mischief.lock().unwrap() = Some(Mischief::Suspend);
    world.rig.put_rule().await;
    wait_for("the stub to be taken away again", || async {
        let versions = world.store.versions(BUCKET, "key");
        let tried = world.store.mischief.lock().unwrap().is_none();
        (tried && versions.len() == 1 && versions[0].id == first).then_some(())
    })
    .await;
    assert_eq!(world.store.versions(BUCKET, "key")[0].body, body);
    // Open to clients although the flip is not over.
    wait_for("the key to be open", || async { world.rig.put("key", &body).await.ok() }).await;
    world.rig.wait_archived("key").await;
    assert_eq!(world.store.versions(BUCKET, "key")[1].id, first);
    world.rig.stop().await;
}

/// Longer than any test waits.
const SELDOM: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versioning_suspended_between_look_and_flip_loses_no_version() {
    let world = World::start(WEAK, Versioning::Off, |settings| {
        (settings.grace, settings.survey_interval) = (Duration::from_secs(5), SELDOM);
    })
    .await;
    let rig = &world.rig;
    let [null, numbered, other, later] = [1, 2, 3, 4].map(|seed| bytes(seed, 200_000));
    rig.put("below", &null).await.unwrap();
    world.switch(Versioning::Enabled).await;
    rig.put("below", &numbered).await.unwrap();
    rig.put("above", &other).await.unwrap();
    rig.put_rule().await;
    for key in ["below", "above"] {
        wait_for("it to be on tape", || async {
            rig.archive_of(key).await.filter(|row| row.state.stage() == ArchiveStage::Taped)
        })
        .await;
    }
    world.switch(Versioning::Suspended).await;
    rig.put("above", &later).await.unwrap();
    let bodies = |key| world.store.versions(BUCKET, key).into_iter().map(|v| v.body).collect::<Vec<_>>();
    let reason = world.failed("below").await;
    assert!(reason.contains("suspended"), "{reason}");
    assert_eq!(bodies("below"), [numbered, null], "a stub would have been the version null");
    let archive = rig.wait_archived("above").await;
    assert_eq!(world.stubs("above"), [true, false]);
    assert_eq!(bodies("above")[1], other);
    rig.restore(&archive).await;
    assert_eq!(rig.restored(archive.id).await, later);
    world.rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_switch_of_versioning_stalls_flips() {
    for past_the_gateway in [false, true] {
        let seldom = |settings: &mut Settings| settings.survey_interval = SELDOM;
        let world = World::start(WEAK, Versioning::Off, seldom).await;
        world.rig.put("off", &bytes(1, 200_000)).await.unwrap();
        world.rig.put_rule().await;
        world.rig.wait_archived("off").await;
        // The store refuses the conditions that it honoured before.
        if past_the_gateway {
            world.store.set_versioning(BUCKET, Versioning::Enabled);
        } else {
            world.switch(Versioning::Enabled).await;
        }
        world.rig.put("on", &bytes(2, 200_000)).await.unwrap();
        world.rig.wait_archived("on").await;
        world.rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_that_lags_behind_loses_no_stub() {
    let world = World::start(Capabilities::FAITHFUL, Versioning::Enabled, |_| {}).await;
    world.store.lists_late.store(true, Ordering::SeqCst);
    let body = bytes(1, 200_000);
    world.rig.put("key", &body).await.unwrap();
    world.rig.put_rule().await;
    let archive = world.rig.wait_archived("key").await;
    assert_eq!(world.stubs("key"), [true]);
    world.rig.restore(&archive).await;
    assert_eq!(world.rig.restored(archive.id).await, body);
    world.rig.stop().await;
}

/// What a restart may find: a flip whose attempt is long over.
async fn in_doubt(catalog: &RedbCatalog, archive: &Archive) {
    let mut row = catalog.archive(archive.id).await.unwrap().unwrap();
    row.advance(ArchiveState::Flipping { attempt: 1, deadline: Timestamp::from_seconds(0) }, RealClock.now());
    catalog.commit(vec![Change::Archive(row)]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_versions_in_doubt_end_no_start() {
    let world = World::start(Capabilities::FAITHFUL, Versioning::Enabled, |settings| {
        settings.grace = SELDOM;
    })
    .await;
    let below = write_direct(&world, "key", &bytes(1, 200_000)).await;
    world.become_of(&below, ArchiveStage::Taped).await;
    let above = write_direct(&world, "key", &bytes(2, 200_000)).await;
    world.become_of(&above, ArchiveStage::Taped).await;
    let doubts = async |catalog: &RedbCatalog| {
        in_doubt(catalog, &below).await;
        in_doubt(catalog, &above).await;
    };
    let world = world.restart(|_| {}, doubts).await;
    world.become_of(&above, ArchiveStage::Archived).await;
    world.become_of(&below, ArchiveStage::Flipping).await;
    assert_eq!(
        world.stubs("key"),
        [true, true],
        "a stub above, and a direct write under the reserved header"
    );
    world.rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_versions_being_brought_back_end_no_start() {
    let world = World::start(Capabilities::FAITHFUL, Versioning::Enabled, |_| {}).await;
    world.rig.put_rule().await;
    let key = ObjectKey::parse("key").unwrap();
    let mut archives = Vec::new();
    for seed in [1, 2] {
        world.rig.put("key", &bytes(seed, 200_000)).await.unwrap();
        archives = wait_for("it to be archived", || async {
            let mut rows = world.rig.catalog.archives_at(&world.rig.bucket, &key).await.unwrap();
            rows.retain(|row| row.state.stage() == ArchiveStage::Archived && !row.touched);
            (rows.len() as u64 == seed).then_some(rows)
        })
        .await;
    }
    let draining = async |catalog: &RedbCatalog| {
        let bucket = archives[0].bucket.clone();
        let row = catalog.bucket(&bucket).await.unwrap().unwrap();
        let terms = Some(Terms { mode: Mode::Draining, ..EXCLUSIVE });
        let touches = archives.iter().map(|archive| Change::Touch(archive.id));
        let changes = touches.chain([Change::Bucket(Bucket { terms, ..row })]).collect();
        catalog.commit(changes).await.unwrap();
    };
    let world = world.restart(|_| {}, draining).await;
    world.rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_direct_write_is_restored_and_lives_on_below_a_newer_version() {
    let quick = |settings: &mut Settings| settings.store_deadline = Duration::from_millis(300);
    let world = World::start(Capabilities::FAITHFUL, Versioning::Enabled, quick).await;
    let body = bytes(1, 200_000);
    world.store.refuses_stubs.lock().unwrap().insert("key");
    let archive = write_direct(&world, "key", &body).await;
    world.become_of(&archive, ArchiveStage::Flipping).await;
    world.rig.restore(&archive).await;
    assert_eq!(world.rig.restored(archive.id).await, body);
    world.rig.put("key", &bytes(2, 1_000)).await.unwrap();
    world.become_of(&archive, ArchiveStage::Flipping).await;
    world.set_terms(Some(Terms { mode: Mode::Draining, ..EXCLUSIVE })).await;
    let text = world.notice("EN-0109").await;
    assert!(text.contains("stands above"), "{text}");
    world.set_terms(None).await;
    // Current again, it is flipped.
    world.store.refuses_stubs.lock().unwrap().clear();
    let newer = world.store.versions(BUCKET, "key")[0].id.clone();
    let path = format!("/{BUCKET}/key?versionId={newer}");
    assert_eq!(world.rig.call(Method::DELETE, &path, &[]).await.0, 204);
    world.become_of(&archive, ArchiveStage::Archived).await;
    assert_eq!(world.stubs("key"), [true]);
    world.rig.stop().await;
}
