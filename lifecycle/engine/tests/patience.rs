//! Stores that stall, hide, refuse and often fail, and rules that are taken back while they are carried out.

#![allow(clippy::unwrap_used)]

mod rig;

use std::sync::atomic::Ordering;
use std::time::Duration;

use engine::Settings;
use model::bucket::{Mode, Terms, Versioning};
use model::catalog::Change;
use model::rule::{Expiration, When};
use model::store::Capabilities;
use model::{ObjectKey, Timestamp};
use rig::memory_store::Mischief;
use rig::world::{BUCKET, EXCLUSIVE, WEAK, World};
use rig::{bytes, wait_for};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_stub_keeps_the_key_as_long_as_it_may_arrive() {
    const DEADLINE: Duration = Duration::from_secs(4);
    let world = World::start(WEAK, Versioning::Off, |settings| settings.store_deadline = DEADLINE).await;
    let body = bytes(1, 200_000);
    *world.store.mischief.lock().unwrap() = Some(Mischief::Stalls(DEADLINE));
    world.rig.put("key", &body).await.unwrap();
    world.rig.put_rule().await;
    wait_for("the stub to be under way", || async {
        world.store.mischief.lock().unwrap().is_none().then_some(())
    })
    .await;
    // Nothing is begun any more, so that the hot object is left as it is.
    world.set_terms(Some(Terms { mode: Mode::Paused, ..EXCLUSIVE })).await;
    wait_for("the call to end", || async { world.store.has_stalled.load(Ordering::SeqCst).then_some(()) })
        .await;
    assert!(world.rig.put("key", &body).await.is_err(), "the key opened while the stub was on its way");
    world.store.repeat_stub();
    world.rig.wait_archived("key").await;
    world.rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_is_not_shown_for_a_while_is_not_gone() {
    let world = World::start(Capabilities::FAITHFUL, Versioning::Off, |settings| {
        settings.store_deadline = Duration::from_secs(3);
    })
    .await;
    *world.store.mischief.lock().unwrap() = Some(Mischief::LostAndHidden);
    let body = bytes(1, 200_000);
    world.rig.put("key", &body).await.unwrap();
    world.rig.put_rule().await;
    wait_for("the stub", || async { (world.stubs("key") == [true]).then_some(()) }).await;
    let key = ObjectKey::parse("key").unwrap();
    wait_for("the key to open", || async { world.rig.fence.enter(&world.rig.bucket, &key).await.ok() }).await;
    world.store.hides.store(false, Ordering::SeqCst);
    let archive = world.rig.wait_archived("key").await;
    assert_eq!(world.stubs("key"), [true]);
    world.rig.restore(&archive).await;
    assert_eq!(world.rig.restored(archive.id).await, body);
    world.rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_object_holds_up_no_other_and_is_shown() {
    let world = World::start(Capabilities::FAITHFUL, Versioning::Off, |_| {}).await;
    world.store.refuses_stubs.lock().unwrap().insert("a-refused");
    world.rig.put("a-refused", &bytes(1, 200_000)).await.unwrap();
    world.rig.put_rule().await;
    let text = world.notice("EN-0110").await;
    assert!(text.contains("a-refused") && text.contains("403 AccessDenied"), "{text}");
    world.rig.put("b-good", &bytes(2, 200_000)).await.unwrap();
    world.rig.wait_archived("b-good").await;
    // Its key is open all the time.
    world.rig.put("a-refused", &bytes(3, 200_000)).await.unwrap();
    world.notice("EN-0110").await;
    world.store.refuses_stubs.lock().unwrap().clear();
    world.rig.wait_archived("a-refused").await;
    world.rig.stop().await;
}

/// A rule by which everything is to be deleted.
async fn expire_everything(world: &World) {
    world.rig.put_rule().await;
    let mut row = world.rig.catalog.bucket(&world.rig.bucket).await.unwrap().unwrap();
    row.lifecycle.as_mut().unwrap().rules[0].expiration =
        Some(Expiration::At(When::Date(Timestamp::from_seconds(0))));
    world.rig.catalog.commit(vec![Change::Bucket(row)]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_without_an_answer_keeps_the_key_as_long_as_it_may_arrive() {
    let slow = |settings: &mut Settings| settings.store_deadline = Duration::from_secs(4);
    let world = World::start(WEAK, Versioning::Off, slow).await;
    world.rig.put("key", &bytes(1, 1_000)).await.unwrap();
    world.store.loses_removal.store(true, Ordering::SeqCst);
    expire_everything(&world).await;
    wait_for("the removal", || async { (!world.store.loses_removal.load(Ordering::SeqCst)).then_some(()) })
        .await;
    assert!(world.rig.put("key", &bytes(2, 1_000)).await.is_err(), "a late removal would delete it");
    wait_for("another removal", || async { world.store.versions(BUCKET, "key").is_empty().then_some(()) })
        .await;
    world.rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_that_was_taken_back_deletes_nothing() {
    let world = World::start(Capabilities::FAITHFUL, Versioning::Off, |_| {}).await;
    world.rig.put("key", &bytes(1, 200_000)).await.unwrap();
    let key = ObjectKey::parse("key").unwrap();
    let enter = || world.rig.fence.enter(&world.rig.bucket, &key);
    let passage = enter().await.unwrap();
    expire_everything(&world).await;
    // The listing is over, the rule said what it said.
    wait_for("the removal to wait for the key", || async {
        tokio::time::timeout(Duration::from_millis(50), enter()).await.is_err().then_some(())
    })
    .await;
    world.rig.put_rule().await;
    drop(passage);
    world.rig.wait_archived("key").await;
    world.rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_becomes_due_in_a_bucket_detached_while_it_was_listed() {
    let world = World::start(Capabilities::FAITHFUL, Versioning::Off, |_| {}).await;
    world.rig.put("key", &bytes(1, 200_000)).await.unwrap();
    let listing = world.store.listing.write().await;
    world.rig.put_rule().await;
    wait_for("a listing", || async { (world.store.lists() > 0).then_some(()) }).await;
    world.set_terms(Some(Terms { mode: Mode::Unmanaged, ..EXCLUSIVE })).await;
    drop(listing);
    world.go_round().await;
    assert_eq!(world.rig.archive_of("key").await, None);
    assert_eq!(world.stubs("key"), [false]);
    world.rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_often_fails_is_listed_to_the_last_key() {
    let world = World::start(Capabilities::FAITHFUL, Versioning::Off, |_| {}).await;
    for key in 0..9 {
        world.rig.put(&format!("key-{key}"), &bytes(key, 2_000)).await.unwrap();
    }
    world.store.lists_badly.store(true, Ordering::SeqCst);
    world.rig.put_rule().await;
    for key in 0..9 {
        world.rig.wait_archived(&format!("key-{key}")).await;
    }
    world.rig.stop().await;
}
