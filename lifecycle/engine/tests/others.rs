//! Stores that are not ours: flips by PUT, with versions, without conditions, refused by settings, and in the middle
//! of mischief.

#![allow(clippy::unwrap_used)]

mod rig;

use std::num::NonZeroU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use engine::Settings;
use http::Method;
use model::Timestamp;
use model::archive::ArchiveStage;
use model::bucket::{Mode, Refusal, Terms, Versioning};
use model::catalog::{Bucket, Change};
use model::rule::{Expiration, When};
use model::store::{Capabilities, IfMatch};
use rig::memory_store::{Mischief, THEIRS};
use rig::world::{BUCKET, EXCLUSIVE, WEAK, World};
use rig::{bytes, wait_for};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_stay_what_they_were() {
    for capabilities in [Capabilities::FAITHFUL, WEAK] {
        let world = World::start(capabilities, Versioning::Enabled, |_| {}).await;
        let (rig, body) = (&world.rig, bytes(2, 200_000));
        rig.put("key", &bytes(1, 200_000)).await.unwrap();
        let headers =
            [("x-amz-tagging", "a=1&b=2"), ("x-amz-grant-read", "id=\"friend\""), ("x-amz-meta-c", "red")];
        world.store.write_directly(BUCKET, "key", &headers, &body);
        let hot = world.store.versions(BUCKET, "key");
        rig.put_rule().await;
        let archive = rig.wait_archived("key").await;
        let versions = world.store.versions(BUCKET, "key");
        assert_eq!(world.stubs("key"), [true, false], "the version below stays; the one replaced is gone");
        assert_eq!(versions[1].id, hot[1].id);
        for (name, value) in headers {
            assert_eq!(versions[0].headers.get(name).map(String::as_str), Some(value), "{name}");
        }
        let id = |version: &Option<model::VersionId>| version.as_ref().unwrap().as_str().to_owned();
        assert_eq!(id(&archive.identity.as_ref().unwrap().version), hot[0].id, "what clients go on seeing");
        assert_eq!(id(&archive.standing.as_ref().unwrap().version), versions[0].id);

        // Another version above, then a delete marker: the archive lives on below them.
        rig.put("key", &bytes(3, 100_000)).await.unwrap();
        world.become_of(&archive, ArchiveStage::Archived).await;
        wait_for("the new version to be archived", || async {
            (world.stubs("key") == [true, true, false]).then_some(())
        })
        .await;
        rig.delete("key").await.unwrap();
        world.become_of(&archive, ArchiveStage::Archived).await;
        rig.restore(&archive).await;
        assert_eq!(rig.restored(archive.id).await, body);
        // Its version gone, it is history; the other one is not.
        let path = format!("/{BUCKET}/key?versionId={}", versions[0].id);
        assert_eq!(rig.call(Method::DELETE, &path, &[]).await.0, 204);
        world.touch(&archive).await;
        world.become_of(&archive, ArchiveStage::Dead).await;
        assert_eq!(rig.archive_of("key").await.unwrap().state.stage(), ArchiveStage::Archived);
        world.rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stub_written_twice_stands_once() {
    let world = World::start(WEAK, Versioning::Enabled, |_| {}).await;
    let body = bytes(1, 200_000);
    *world.store.mischief.lock().unwrap() = Some(Mischief::Twice);
    world.rig.put("key", &body).await.unwrap();
    world.rig.put_rule().await;
    let archive = world.rig.wait_archived("key").await;
    assert_eq!(world.stubs("key"), [true]);
    // Late, when the flip is long over: found when the key is looked at again.
    world.store.repeat_stub();
    assert_eq!(world.stubs("key"), [true, true]);
    world.touch(&archive).await;
    world.become_of(&archive, ArchiveStage::Archived).await;
    assert_eq!(world.stubs("key"), [true]);
    // Of a deleted version no stub stays.
    world.store.repeat_stub();
    let standing = world.row(&archive).await.standing.unwrap().version.unwrap();
    let path = format!("/{BUCKET}/key?versionId={}", standing.as_str());
    assert_eq!(world.rig.call(Method::DELETE, &path, &[]).await.0, 204);
    world.touch(&archive).await;
    world.become_of(&archive, ArchiveStage::Dead).await;
    assert_eq!(world.stubs("key"), [false; 0]);
    world.rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_write_beside_a_flip_is_never_hidden() {
    for (capabilities, mischief) in [
        (WEAK, Mischief::WriteBefore),
        (WEAK, Mischief::WriteAfter),
        (Capabilities::FAITHFUL, Mischief::WriteBefore),
        (Capabilities::FAITHFUL, Mischief::WriteAfter),
    ] {
        let quick = |settings: &mut Settings| settings.store_deadline = Duration::from_millis(300);
        let world = World::start(capabilities, Versioning::Enabled, quick).await;
        let body = bytes(1, 200_000);
        *world.store.mischief.lock().unwrap() = Some(mischief);
        world.rig.put("key", &body).await.unwrap();
        let first = world.store.versions(BUCKET, "key")[0].id.clone();
        world.rig.put_rule().await;
        let archive =
            wait_for("what others wrote to be archived", || async {
                world.rig.archive_of("key").await.filter(|row| {
                    row.size == THEIRS.len() as u64 && row.state.stage() == ArchiveStage::Archived
                })
            })
            .await;
        world.rig.restore(&archive).await;
        assert_eq!(world.rig.restored(archive.id).await, THEIRS, "{capabilities:?} {mischief:?}");
        let versions = world.store.versions(BUCKET, "key");
        assert_eq!(versions.len(), 2, "{versions:?}");
        assert_eq!(
            (versions[1].id.clone(), versions[1].body.to_vec()),
            (first, body),
            "the first is hot again"
        );
        world.rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_reply_keeps_the_key_until_nothing_can_arrive() {
    const HOUR: i64 = 3_600_000;
    for (versioning, clock_set) in [
        (Versioning::Off, 0),
        (Versioning::Enabled, 0),
        // Neither sooner nor later when somebody sets the clock.
        (Versioning::Off, HOUR),
        (Versioning::Off, -HOUR),
    ] {
        let world = World::start(Capabilities::FAITHFUL, versioning, |settings| {
            settings.store_deadline = Duration::from_secs(4);
        })
        .await;
        let body = bytes(1, 200_000);
        *world.store.mischief.lock().unwrap() = Some(Mischief::LostReply);
        world.rig.put("key", &body).await.unwrap();
        world.rig.put_rule().await;
        wait_for("the stub", || async { (world.stubs("key").first() == Some(&true)).then_some(()) }).await;
        world.rig.clock.step(clock_set);
        // The same bytes would meet the condition of a stub that arrives once more.
        assert!(world.rig.put("key", &body).await.is_err(), "the key opened while the stub was on its way");
        world.store.repeat_stub();
        world.rig.wait_archived("key").await;
        assert_eq!(world.stubs("key"), [true]);
        world.rig.put("key", &body).await.unwrap();
        world.rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_written_during_migration_is_on_the_stub() {
    // Grace gives the time to write it between tape and flip.
    let world =
        World::start(Capabilities::FAITHFUL, Versioning::Off, |s| s.grace = Duration::from_secs(2)).await;
    let body = bytes(1, 200_000);
    world.store.write_directly(BUCKET, "key", &[("x-amz-tagging", "a=old")], &body);
    world.rig.put_rule().await;
    let first = wait_for("it to be on tape", || async {
        world.rig.archive_of("key").await.filter(|row| row.state.stage() == ArchiveStage::Taped)
    })
    .await;
    world.store.retag(BUCKET, "key", "a=new");
    let archive = world.rig.wait_archived("key").await;
    assert_ne!(archive.id, first.id, "it is another object than the one on tape");
    let stub = world.store.versions(BUCKET, "key").remove(0);
    assert_eq!(stub.headers.get("x-amz-tagging").map(String::as_str), Some("a=new"));
    world.rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_whose_head_tells_the_date_of_its_tags_is_archived_once() {
    let world = World::start(Capabilities::FAITHFUL, Versioning::Enabled, |_| {}).await;
    world.store.write_directly(BUCKET, "key", &[("x-amz-tagging", "a=old")], &bytes(1, 200_000));
    world.store.retag(BUCKET, "key", "a=new");
    let hot = world.store.versions(BUCKET, "key").remove(0);
    assert_ne!(hot.dated.seconds(), hot.modified.seconds());
    world.rig.put_rule().await;
    let archive = world.rig.wait_archived("key").await;
    assert_eq!(archive.last_modified.map(Timestamp::seconds), Some(hot.modified.seconds()));

    world.store.retag(BUCKET, "key", "a=newer");
    world.touch(&archive).await;
    wait_for("a look", || async { (!world.row(&archive).await.touched).then_some(()) }).await;
    world.go_round().await;
    let row = world.row(&archive).await;
    let stub = world.store.versions(BUCKET, "key").remove(0);
    let standing = row.standing.clone().unwrap();
    assert_eq!(standing.last_modified_seconds, stub.modified.seconds(), "as it is listed");
    assert_eq!((row.state.stage(), row.touched), (ArchiveStage::Archived, false));
    assert_eq!(world.rig.archive_of("key").await.unwrap().id, archive.id);
    world.rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_buckets_are_left_alone_and_shown() {
    let not_exclusive = |settings: &mut Settings| settings.buckets.otherwise = Terms::MANAGED;
    let world = World::start(WEAK, Versioning::Off, not_exclusive).await;
    let replicates = "<ReplicationConfiguration><Rule/></ReplicationConfiguration>";
    world.store.settings.lock().unwrap().insert("replication", replicates.to_owned());
    world.rig.put("key", &bytes(1, 200_000)).await.unwrap();
    world.rig.put_rule().await;
    let text = world.notice("EN-0107").await;
    assert!(text.contains("exclusive = true") && text.contains("replicates"), "{text}");
    let views = world.rig.engine.buckets().await.unwrap();
    let view = views.iter().find(|view| view.name == world.rig.bucket).unwrap();
    assert_eq!(view.refusals, [Refusal::NotExclusive, Refusal::Replication]);
    assert!(!view.migrates());
    world.go_round().await;
    assert_eq!(world.rig.archive_of("key").await, None, "a scan of a refused bucket found something");

    // Rows that are there already stay where they are.
    world.set_terms(Some(Terms { accept_replicated_stubs: true, ..EXCLUSIVE })).await;
    world.rig.wait_archived("key").await;
    assert_eq!(world.rig.engine.notices(), []);
    world.rig.put("other", &bytes(2, 200_000)).await.unwrap();
    *world.store.mute.lock().unwrap() = Some(BUCKET);
    let trouble = world.notice("EN-0107").await;
    assert!(trouble.contains("in doubt"), "{trouble}");
    world.go_round().await;
    let stage = world.rig.archive_of("other").await.map(|row| row.state.stage());
    assert_ne!(stage, Some(ArchiveStage::Failed));
    assert_ne!(stage, Some(ArchiveStage::Archived));
    *world.store.mute.lock().unwrap() = None;
    world.rig.wait_archived("other").await;
    world.rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_bucket_restores_and_takes_nothing_new() {
    let world = World::start(Capabilities::FAITHFUL, Versioning::Off, |_| {}).await;
    let body = bytes(1, 200_000);
    world.rig.put("key", &body).await.unwrap();
    world.rig.put_rule().await;
    let archive = world.rig.wait_archived("key").await;
    for mode in [Mode::Paused, Mode::Draining, Mode::Unmanaged] {
        world.set_terms(Some(Terms { mode, ..EXCLUSIVE })).await;
        world.rig.put("late", &bytes(2, 200_000)).await.unwrap();
        world.go_round().await;
        assert_eq!(world.stubs("late"), [false], "{mode:?}");
        assert_eq!(world.rig.engine.migrate(None, true).await.unwrap().due, 1, "a dry run counts");
    }
    world.rig.restore(&archive).await;
    assert_eq!(world.rig.restored(archive.id).await, body);
    world.set_terms(None).await;
    world.rig.wait_archived("late").await;
    world.rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_canary_holds_all_flips() {
    let world = World::start(Capabilities::FAITHFUL, Versioning::Off, |_| {}).await;
    world.store.is_careless.store(true, Ordering::SeqCst);
    world.rig.put("key", &bytes(1, 200_000)).await.unwrap();
    world.rig.put_rule().await;
    world.notice("EN-0106").await;
    assert_eq!(world.rig.archive_of("key").await.unwrap().state.stage(), ArchiveStage::Taped);
    assert_eq!(world.stubs("key"), [false]);
    world.store.is_careless.store(false, Ordering::SeqCst);
    world.rig.wait_archived("key").await;
    world.rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_knows_no_conditions_serves_an_exclusive_bucket() {
    let careless =
        Capabilities { if_match: IfMatch::Ignored, versions: false, tags: false, acls: false, ..WEAK };
    let world = World::start(careless, Versioning::Off, |_| {}).await;
    world.store.is_careless.store(true, Ordering::SeqCst);
    let body = bytes(1, 200_000);
    world.rig.put("key", &body).await.unwrap();
    world.rig.put_rule().await;
    let archive = world.rig.wait_archived("key").await;
    // Written once more, the stub is a newer one than the catalog knows: the next scan sees to it.
    let before = archive.standing.clone().unwrap();
    let later = before.last_modified_seconds + 1;
    wait_for("the next second", || async { (seconds_now() > later).then_some(()) }).await;
    world.store.repeat_stub();
    wait_for("the catalog to know the newer stub", || async {
        let standing = world.row(&archive).await.standing.unwrap();
        (standing.last_modified_seconds > before.last_modified_seconds).then_some(())
    })
    .await;
    world.rig.restore(&archive).await;
    assert_eq!(world.rig.restored(archive.id).await, body);
    world.rig.stop().await;
}

fn seconds_now() -> i64 {
    Timestamp::from(std::time::SystemTime::now()).seconds()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_bucket_gives_its_null_versions_only() {
    let world = World::start(WEAK, Versioning::Enabled, |_| {}).await;
    world.rig.put("numbered", &bytes(1, 200_000)).await.unwrap();
    world.rig.put("both", &bytes(2, 200_000)).await.unwrap();
    world.store.set_versioning(BUCKET, Versioning::Suspended);
    world.rig.put("both", &bytes(3, 200_000)).await.unwrap();
    world.rig.put_rule().await;
    world.rig.wait_archived("both").await;
    assert_eq!(world.stubs("both"), [true, false]);
    let reason = world.failed("numbered").await;
    assert!(reason.contains("suspended"), "{reason}");
    world.store.set_versioning(BUCKET, Versioning::Enabled);
    world.rig.wait_archived("numbered").await;
    assert_eq!(world.stubs("numbered"), [true]);
    // Written before there were versions, and now below one.
    let old = world.rig.archive_of("both").await.unwrap();
    world.rig.put("both", &bytes(4, 200_000)).await.unwrap();
    world.become_of(&old, ArchiveStage::Archived).await;
    world.rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_as_null_replaces_an_archived_null_version() {
    let world = World::start(WEAK, Versioning::Off, |_| {}).await;
    for key in ["put", "deleted", "kept"] {
        world.rig.put(key, &bytes(1, 200_000)).await.unwrap();
    }
    world.store.set_versioning(BUCKET, Versioning::Enabled);
    world.rig.put_rule().await;
    let mut rows = Vec::new();
    for key in ["put", "deleted", "kept"] {
        rows.push(world.rig.wait_archived(key).await);
        assert!(world.store.versions(BUCKET, key)[0].id != "null", "the stub has an id of its own");
    }
    world.switch(Versioning::Suspended).await;
    world.rig.put("put", THEIRS).await.unwrap();
    world.rig.delete("deleted").await.unwrap();
    for row in &rows {
        world.touch(row).await;
    }
    world.become_of(&rows[0], ArchiveStage::Dead).await;
    world.become_of(&rows[1], ArchiveStage::Dead).await;
    wait_for("a look", || async { (!world.row(&rows[2]).await.touched).then_some(()) }).await;
    assert_eq!(world.row(&rows[2]).await.state.stage(), ArchiveStage::Archived);
    for key in ["put", "deleted"] {
        let left = world.store.versions(BUCKET, key);
        assert_eq!(left.iter().map(|version| version.id.as_str()).collect::<Vec<_>>(), ["null"]);
    }
    world.rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encrypted_and_locked_objects_are_set_aside_with_a_reason() {
    let world = World::start(Capabilities::FAITHFUL, Versioning::Off, |_| {}).await;
    let cases = [
        ("customer", "x-amz-server-side-encryption-customer-algorithm", "AES256", "SSE-C"),
        ("kms", "x-amz-server-side-encryption", "aws:kms", "sealed"),
        ("held", "x-amz-object-lock-legal-hold", "ON", "legal hold"),
        ("retained", "x-amz-object-lock-mode", "GOVERNANCE", "retention"),
    ];
    for (key, header, value, _) in cases {
        world.store.write_directly(BUCKET, key, &[(header, value)], &bytes(1, 200_000));
    }
    world.rig.put("plain", &bytes(1, 200_000)).await.unwrap();
    world.rig.put_rule().await;
    world.rig.wait_archived("plain").await;
    for (key, _, _, word) in cases {
        let reason = world.failed(key).await;
        assert!(reason.contains(word), "{key}: {reason}");
        assert_eq!(world.stubs(key), [false], "{key}");
    }
    world.rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_without_room_on_the_stub_is_kept_in_the_catalog() {
    let world = World::start(Capabilities::FAITHFUL, Versioning::Off, |_| {}).await;
    let long: &'static str = "v".repeat(1_900).leak();
    let headers = [("x-amz-meta-long", long), ("x-amz-meta-short", "s"), ("content-type", "a/b")];
    world.store.write_directly(BUCKET, "crowded", &headers, &bytes(1, 200_000));
    world.store.write_directly(BUCKET, "roomy", &headers[1..], &bytes(1, 200_000));
    world.rig.put_rule().await;
    let crowded = world.rig.wait_archived("crowded").await;
    let kept = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(crowded.displaced_metadata, [kept("x-amz-meta-long", long), kept("x-amz-meta-short", "s")]);
    let stub = world.store.versions(BUCKET, "crowded").remove(0);
    assert_eq!(stub.headers.get("content-type").map(String::as_str), Some("a/b"));
    assert!(!stub.headers.contains_key("x-amz-meta-short"), "all or none");
    assert_eq!(world.rig.wait_archived("roomy").await.displaced_metadata, []);
    world.rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_expire_only_where_nobody_elses_write_can_be_lost() {
    let refuses_deletes = Capabilities { delete_if_match: false, ..Capabilities::FAITHFUL };
    let world =
        World::start(refuses_deletes, Versioning::Off, |s| s.buckets.otherwise = Terms::MANAGED).await;
    world.rig.put("key", &bytes(1, 200_000)).await.unwrap();
    world.rig.put_rule().await;
    world.rig.wait_archived("key").await;
    let row = world.rig.catalog.bucket(&world.rig.bucket).await.unwrap().unwrap();
    let mut lifecycle = row.lifecycle.clone().unwrap();
    lifecycle.rules[0].expiration = Some(Expiration::At(When::Date(Timestamp::from_seconds(0))));
    world
        .rig
        .catalog
        .commit(vec![Change::Bucket(Bucket { lifecycle: Some(lifecycle), ..row })])
        .await
        .unwrap();
    world.go_round().await;
    assert_eq!(world.stubs("key"), [true]);
    world.set_terms(Some(EXCLUSIVE)).await;
    wait_for("it to expire", || async { world.stubs("key").is_empty().then_some(()) }).await;
    wait_for("its archive to die", || async { world.rig.archive_of("key").await.is_none().then_some(()) })
        .await;
    world.rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flips_keep_to_their_pace() {
    let world = World::start(Capabilities::FAITHFUL, Versioning::Off, |settings| {
        settings.flips_per_second = NonZeroU32::new(2);
    })
    .await;
    for key in 0..6 {
        world.rig.put(&format!("key-{key}"), &bytes(key, 50_000)).await.unwrap();
    }
    world.rig.put_rule().await;
    let mut flipped = Vec::new();
    for key in 0..6 {
        flipped.push(world.rig.wait_archived(&format!("key-{key}")).await.since.milliseconds());
    }
    flipped.sort_unstable();
    assert!(flipped[5] - flipped[0] >= 1_500, "{flipped:?}");
    world.rig.stop().await;
}
