//! Buckets with versions on a store where a stub is a version of its own: clients go on naming versions by the ids
//! they were given.

use http_body_util::{BodyExt, StreamBody};
use model::catalog::{Catalog, Change};
use model::fence::KeyFence;
use model::store::{Flip, FlipContent, ObjectRef, ObjectStore};
use model::{Marker, TapeClass};

use crate::world::{Answer, World, bucket, large, object_key, target};

const GLACIER: TapeClass = TapeClass::Glacier;
const DAYS: &[u8] = b"<RestoreRequest><Days>1</Days></RestoreRequest>";

async fn set_versioning(world: &World, status: &str) -> Answer {
    let body = format!("<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>");
    let md5 = dialect::checksum::Md5::of(body.as_bytes()).to_base64();
    world.ask("PUT", "/bkt?versioning", &[("content-md5", &md5)], body.as_bytes()).await
}

/// A world with versions, and whether stubs are versions of their own in it.
pub async fn versioned(remote: bool) -> World {
    let world = World::with(remote, |_| {}).await;
    assert_eq!(set_versioning(&world, "Enabled").await.status, 200);
    world
}

async fn put(world: &World, body: &[u8]) -> String {
    let answer = world.ask("PUT", "/bkt/key", &[("x-amz-meta-color", "red")], body).await;
    answer.header("x-amz-version-id").unwrap().to_owned()
}

#[tokio::test]
async fn an_archived_version_keeps_its_id() {
    for remote in [false, true] {
        let world = versioned(remote).await;
        let id = put(&world, &large()).await;
        let row = world.archive("key", GLACIER).await;
        let stub = row.standing.as_ref().unwrap().version.as_ref().unwrap().as_str().to_owned();
        assert_eq!(stub != id, remote);
        let by_id = format!("/bkt/key?versionId={id}");
        for target in ["/bkt/key", by_id.as_str()] {
            assert_eq!(world.ask("GET", target, &[], b"").await.code(), "InvalidObjectState", "{target}");
            let head = world.ask("HEAD", target, &[], b"").await;
            assert_eq!(
                (head.status.as_u16(), head.header("content-length")),
                (200, Some("5000")),
                "{target}"
            );
            assert_eq!(head.header("x-amz-version-id"), Some(id.as_str()), "{target}");
        }
        for sub in ["tagging", "acl"] {
            let answer = world.ask("GET", &format!("{by_id}&{sub}"), &[], b"").await;
            assert_eq!(answer.status, 200, "{sub} {}", answer.text());
            assert!(answer.header("x-amz-version-id").is_none_or(|told| told == id), "{sub}");
        }
        let asked = [("x-amz-object-attributes", "ETag,ObjectSize")];
        let answer = world.ask("GET", &format!("{by_id}&attributes"), &asked, b"").await;
        assert!(answer.text().contains("<ObjectSize>5000</ObjectSize>"), "{}", answer.text());
        assert_eq!(answer.header("x-amz-version-id"), Some(id.as_str()));
        let set = "<Tagging><TagSet><Tag><Key>e</Key><Value>f</Value></Tag></TagSet></Tagging>";
        let md5 = dialect::checksum::Md5::of(set.as_bytes()).to_base64();
        let tagged =
            world.ask("PUT", &format!("{by_id}&tagging"), &[("content-md5", &md5)], set.as_bytes()).await;
        assert_eq!((tagged.status.as_u16(), tagged.header("x-amz-version-id")), (200, Some(id.as_str())));
        assert_eq!(world.ask("POST", &format!("{by_id}&restore"), &[], DAYS).await.status, 202);
        assert_eq!(world.ask("POST", &format!("{by_id}x&restore"), &[], DAYS).await.code(), "NoSuchVersion");
    }
}

#[tokio::test]
async fn a_version_with_others_above_it_is_still_an_archive() {
    for remote in [false, true] {
        let world = versioned(remote).await;
        let id = put(&world, &large()).await;
        let row = world.archive("key", GLACIER).await;
        let newer = put(&world, b"newer").await;
        let by_id = format!("/bkt/key?versionId={id}");
        assert!(!world.rows("key").await[0].touched, "a version below stays what it is");
        assert_eq!(world.ask("GET", "/bkt/key", &[], b"").await.text(), "newer");
        assert_eq!(world.ask("GET", &by_id, &[], b"").await.code(), "InvalidObjectState");
        world.restored(&row, &large(), 3600).await;
        let got = world.ask("GET", &by_id, &[("range", "bytes=4000-")], b"").await;
        assert_eq!((got.status.as_u16(), &got.body[..]), (206, &large()[4000..]));
        let source = format!("/bkt/key?versionId={id}");
        let copied = world.ask("PUT", "/bkt/copy", &[("x-amz-copy-source", &source)], b"").await;
        assert_eq!(copied.status, 200, "{}", copied.text());
        assert_eq!(copied.header("x-amz-copy-source-version-id"), Some(id.as_str()));
        assert!(copied.header("x-amz-version-id").is_some());
        assert_eq!(world.ask("GET", "/bkt/copy", &[], b"").await.body, large());
        let etag = world.ask("HEAD", "/bkt/key", &[], b"").await.header("etag").unwrap().to_owned();
        let put = world.ask("PUT", "/bkt/key", &[("if-match", &etag)], b"newest").await;
        assert_eq!(put.status, 200, "a condition is about what is current: {}", put.text());

        for gone in [put.header("x-amz-version-id").unwrap(), &newer] {
            world.ask("DELETE", &format!("/bkt/key?versionId={gone}"), &[], b"").await;
        }
        assert_eq!(world.ask("GET", "/bkt/key", &[], b"").await.body, large(), "current again");
        let marker = world.ask("DELETE", "/bkt/key", &[], b"").await;
        assert_eq!(marker.header("x-amz-delete-marker"), Some("true"));
        assert_eq!(world.ask("GET", "/bkt/key", &[], b"").await.code(), "NoSuchKey");
        assert_eq!(world.ask("GET", &by_id, &[], b"").await.body, large());
        let restore = world.ask("POST", "/bkt/key?restore", &[], DAYS).await;
        assert_eq!((restore.code(), restore.header("x-amz-delete-marker")), ("NoSuchKey", Some("true")));
        let marker = marker.header("x-amz-version-id").unwrap();
        let restore = world.ask("POST", &format!("/bkt/key?versionId={marker}&restore"), &[], DAYS).await;
        assert_eq!((restore.status.as_u16(), restore.code()), (405, "MethodNotAllowed"));
    }
}

#[tokio::test]
async fn deleting_by_the_id_clients_know_deletes() {
    for remote in [false, true] {
        let world = versioned(remote).await;
        let id = put(&world, &large()).await;
        world.archive("key", GLACIER).await;
        let gone = world.ask("DELETE", &format!("/bkt/key?versionId={id}"), &[], b"").await;
        assert_eq!((gone.status.as_u16(), gone.header("x-amz-version-id")), (204, Some(id.as_str())));
        let versions = world.store.versions(&bucket("bkt"), &object_key("key"), 10).await.unwrap();
        assert_eq!(versions, [], "nothing is left, stub or not");
        assert!(world.rows("key").await[0].touched);

        let id = put(&world, &large()).await;
        let row = world.archive("key", GLACIER).await;
        let body = format!("<Delete><Object><Key>key</Key><VersionId>{id}</VersionId></Object></Delete>");
        let md5 = dialect::checksum::Md5::of(body.as_bytes()).to_base64();
        let answer = world.ask("POST", "/bkt?delete", &[("content-md5", &md5)], body.as_bytes()).await;
        let told = format!("<Deleted><Key>key</Key><VersionId>{id}</VersionId>");
        assert!(answer.text().contains(&told), "{}", answer.text());
        let versions = world.store.versions(&bucket("bkt"), &object_key("key"), 10).await.unwrap();
        assert_eq!(versions, []);
        assert!(world.rows("key").await.iter().any(|known| known.id == row.id && known.touched));
    }
}

#[tokio::test]
async fn a_listing_of_versions_has_one_line_for_each() {
    for remote in [false, true] {
        let world = versioned(remote).await;
        let first = put(&world, &large()).await;
        let before = world.ask("GET", "/bkt?versions", &[], b"").await;
        world.archive("key", GLACIER).await;
        let after = world.ask("GET", "/bkt?versions", &[], b"").await;
        assert_eq!(after.text().replace("GLACIER", "STANDARD"), before.text());
        assert!(after.text().contains("GLACIER"));

        put(&world, &[&large()[..], b"more"].concat()).await;
        let before = world.ask("GET", "/bkt?versions", &[], b"").await;
        let row = world.archive("key", TapeClass::DeepArchive).await;
        world.job(&row, model::RestoreState::Queued).await;
        let after = world.ask("GET", "/bkt?versions", &[], b"").await;
        assert_eq!(after.text().replacen("DEEP_ARCHIVE", "STANDARD", 1), before.text());
        let asked = world
            .ask("GET", "/bkt?versions", &[("x-amz-optional-object-attributes", "RestoreStatus")], b"")
            .await;
        assert_eq!(asked.text().matches("<IsRestoreInProgress>true").count(), 1, "{}", asked.text());

        let page = world
            .ask("GET", &format!("/bkt?versions&key-marker=key&version-id-marker={first}"), &[], b"")
            .await;
        assert_eq!(
            (page.status.as_u16(), page.text().matches("<Version>").count()),
            (200, 0),
            "{}",
            page.text()
        );
    }
}

#[tokio::test]
async fn a_version_and_its_stub_are_shown_once() {
    let world = versioned(true).await;
    let id = put(&world, &large()).await;
    let before = world.ask("GET", "/bkt?versions", &[], b"").await;
    let row = world.archive_as("key", GLACIER, true).await;
    let both = world.ask("GET", "/bkt?versions", &[], b"").await;
    assert_eq!(both.text().replace("GLACIER", "STANDARD"), before.text(), "the stub has no line of its own");
    let by_id = format!("/bkt/key?versionId={id}");
    for target in ["/bkt/key", by_id.as_str()] {
        let answer = world.ask("GET", target, &[], b"").await;
        assert_eq!(answer.code(), "InvalidObjectState", "{target}: one answer, named or not");
    }

    let target = ObjectRef { bucket: row.bucket.clone(), key: row.key.clone(), version: None };
    let stub = world.store.head(&target).await.unwrap().unwrap();
    let original = row.identity.as_ref().unwrap().version.clone();
    world.store.remove_version(&ObjectRef { version: original, ..target }).await.unwrap();
    for target in ["/bkt/key", by_id.as_str()] {
        let head = world.ask("HEAD", target, &[], b"").await;
        assert_eq!(head.header("x-amz-version-id"), Some(id.as_str()), "{target}: before it is written down");
        assert_eq!(head.header("x-amz-storage-class"), Some("GLACIER"));
    }
    let stub_alone = world.ask("GET", "/bkt?versions", &[], b"").await;
    assert_eq!(stub_alone.text().replace("GLACIER", "STANDARD"), before.text());
    assert_ne!(stub.version.unwrap().as_str(), id);
}

#[tokio::test]
async fn a_page_made_before_a_flip_ended_shows_the_version_once() {
    let world = versioned(true).await;
    put(&world, &large()).await;
    let before = world.ask("GET", "/bkt?versions", &[], b"").await;
    let mut row = world.archive_as("key", GLACIER, true).await;
    // The store still lists both; the row says by now that the stub stands.
    let target = ObjectRef { bucket: row.bucket.clone(), key: row.key.clone(), version: None };
    let stub = world.store.head(&target).await.unwrap().unwrap();
    let standing = row.standing.as_mut().unwrap();
    (standing.etag, standing.version) = (stub.etag, stub.version);
    standing.last_modified_seconds = stub.last_modified.seconds();
    row.state = model::ArchiveState::Archived;
    world.catalog.commit(vec![Change::Archive(row)]).await.unwrap();
    let listed = world.ask("GET", "/bkt?versions", &[], b"").await;
    assert_eq!(listed.text().replace("GLACIER", "STANDARD"), before.text());
    assert!(listed.text().contains("GLACIER"));

    // Ceph gives a version another date when its tags are written, here between the look at it and its flip.
    let row = dated(world.rows("key").await.remove(0), -60_000);
    world.catalog.commit(vec![Change::Archive(row)]).await.unwrap();
    let listed = world.ask("GET", "/bkt?versions", &[], b"").await;
    assert_eq!(listed.text().matches("<VersionId>").count(), 1, "{}", listed.text());
    assert!(listed.text().contains("GLACIER"));
}

/// The archive, as if what it was made of had been written so much later, in milliseconds.
fn dated(row: model::Archive, later: i64) -> model::Archive {
    model::Archive { last_modified: row.last_modified.map(|date| date.plus_milliseconds(later)), ..row }
}

#[tokio::test]
async fn versioning_is_not_changed_under_a_flip() {
    let world = versioned(true).await;
    put(&world, &large()).await;
    let gate = world.close("key").await;
    let answer = set_versioning(&world, "Suspended").await;
    assert_eq!((answer.status.as_u16(), answer.code()), (503, "SlowDown"));
    drop(gate);
    assert_eq!(set_versioning(&world, "Suspended").await.status, 200);
}

#[tokio::test]
async fn a_switch_whose_document_does_not_come_holds_nothing_back() {
    let world = versioned(true).await;
    let document = b"<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>";
    let (waits, waited_for) = tokio::sync::oneshot::channel();
    let mut waits = Some(waits);
    let never = futures_util::stream::poll_fn(move |_| {
        waits.take().map(|waits| waits.send(()));
        std::task::Poll::Pending
    });
    let request = world.request("PUT", "/bkt?versioning", &[], document);
    let request = request.map(|_| BodyExt::boxed_unsync(StreamBody::new(never)));
    let edge = world.edge.clone();
    let switch = tokio::spawn(async move { edge.answer(request).await.status() });
    waited_for.await.unwrap();
    world.close("key").await;
    assert_eq!(set_versioning(&world, "Suspended").await.status, 200);
    switch.abort();
}

#[tokio::test]
async fn a_switch_without_an_answer_holds_flips_back_until_it_can_no_longer_arrive() {
    let world = versioned(true).await;
    world.store.lose();
    assert_eq!(set_versioning(&world, "Suspended").await.status, 503);
    let key = (bucket("bkt"), object_key("key"));
    assert!(world.fence.close(&key.0, &key.1).await.is_err(), "it may still be carried out");
    drop(world.fence.close_bucket(&key.0).await.expect("its time is over"));
    world.fence.close(&key.0, &key.1).await.expect("nothing holds it back");
}

#[tokio::test]
async fn a_stub_copied_over_its_own_key_is_not_its_archive() {
    let world = versioned(true).await;
    let id = put(&world, &large()).await;
    let row = world.archive("key", GLACIER).await;
    world.restored(&row, &large(), 3600).await;
    // As if somebody had written the stub once more, in the same second.
    let other = put(&world, b"x").await;
    let mut row = world.rows("key").await.remove(0);
    row.standing.as_mut().unwrap().version = Some(model::VersionId::parse(&other).unwrap());
    world.catalog.commit(vec![Change::Archive(row)]).await.unwrap();
    let stub = world.store.versions(&bucket("bkt"), &object_key("key"), 10).await.unwrap()[1].version.clone();
    world.bells.take();
    let answer = world.ask("GET", &format!("/bkt/key?versionId={stub}"), &[], b"").await;
    assert_eq!(answer.code(), "AccessDenied");
    assert!(world.rows("key").await[0].touched, "the engine is to look");
    assert_eq!(world.bells.take(), [model::fence::Work::Touched]);
    assert_ne!(stub.as_str(), id);
}

#[tokio::test]
async fn null_is_the_version_written_as_null_last() {
    let world = World::with(true, |_| {}).await;
    world.put("key", &large()).await;
    assert_eq!(set_versioning(&world, "Enabled").await.status, 200);
    let row = world.archive("key", GLACIER).await;
    assert!(!row.standing.unwrap().version.unwrap().is_null(), "the stub has an id of its own");
    let head = world.ask("HEAD", "/bkt/key?versionId=null", &[], b"").await;
    assert_eq!((head.status.as_u16(), head.header("x-amz-version-id")), (200, Some("null")));
    assert_eq!(set_versioning(&world, "Suspended").await.status, 200);
    assert_eq!(put(&world, b"new").await, "null");
    assert_eq!(world.ask("GET", "/bkt/key?versionId=null", &[], b"").await.text(), "new");
    let listed = world.ask("GET", "/bkt?versions", &[], b"").await;
    assert_eq!(listed.text().matches("<VersionId>null</VersionId>").count(), 1, "{}", listed.text());
    assert_eq!(
        listed.text().matches("<VersionId>").count(),
        1,
        "the other was written over: {}",
        listed.text()
    );
    assert!(world.rows("key").await[0].touched, "the engine is to look");
}

/// A stub that came late hides what a client wrote meanwhile, until it is taken away.
#[tokio::test]
async fn one_version_of_a_key_is_the_latest_whatever_is_left_out() {
    let world = versioned(true).await;
    let first = put(&world, &large()).await;
    let hot = world.store.inspect(&target("key")).await.unwrap().unwrap();
    let row = world.archive_as("key", GLACIER, true).await;
    let stub = world.store.inspect(&target("key")).await.unwrap().unwrap();
    world.store.remove_version(&ObjectRef { version: stub.version, ..target("key") }).await.unwrap();
    let second = put(&world, b"meanwhile").await;
    let marker = Marker { archive: row.id, ..stub.marker.unwrap() };
    let late =
        Flip { target: target("key"), head: hot, conditional: false, marker, content: FlipContent::Stub };
    world.store.flip(late).await.unwrap();
    let listed = world.ask("GET", "/bkt?versions", &[], b"").await;
    let listed = listed.text();
    let line = |version: &str, latest: bool| {
        format!("<VersionId>{version}</VersionId><IsLatest>{latest}</IsLatest>")
    };
    assert!(listed.contains(&line(&second, true)), "{listed}");
    assert!(listed.contains(&line(&first, false)), "{listed}");
    assert_eq!(listed.matches("<VersionId>").count(), 2, "{listed}");
}

/// Ceph tells of a version for a moment after it left the listing.
#[tokio::test]
async fn a_stub_is_shown_once_its_version_is_listed_no_more() {
    let world = versioned(true).await;
    let id = put(&world, &large()).await;
    let next = world.ask("PUT", "/bkt/next", &[], b"behind it").await;
    let next = next.header("x-amz-version-id").unwrap();
    world.archive_as("key", GLACIER, true).await;
    let before = world.ask("GET", "/bkt?versions", &[], b"").await;
    world.store.guard().inner().unlist(&id);
    let listed = world.ask("GET", "/bkt?versions", &[], b"").await;
    assert_eq!(listed.text(), before.text());
    assert!(listed.text().contains(&format!("<VersionId>{id}</VersionId><IsLatest>true</IsLatest>")));
    assert!(listed.text().contains(next));
}

/// A flip is undone between a page of the store and what is asked about it.
#[tokio::test]
async fn a_stub_that_is_gone_has_no_line() {
    let world = versioned(true).await;
    put(&world, &large()).await;
    let before = world.ask("GET", "/bkt?versions", &[], b"").await;
    world.archive_as("key", GLACIER, true).await;
    world.store.guard().inner().freeze();
    world.ask("GET", "/bkt?versions", &[], b"").await;
    let stub = world.store.inspect(&target("key")).await.unwrap().unwrap();
    world.store.remove_version(&ObjectRef { version: stub.version, ..target("key") }).await.unwrap();
    let listed = world.ask("GET", "/bkt?versions", &[], b"").await;
    assert_eq!(listed.text(), before.text());
}
