//! What clients see of an archived object: absent, ongoing, restored, expired.

use model::store::ObjectStore;
use model::{RestoreState, TapeClass};

use crate::world::{World, large, target};

const GLACIER: TapeClass = TapeClass::Glacier;

#[tokio::test]
async fn an_archived_object_is_refused_but_looks_as_it_did() {
    let world = World::new().await;
    world.put("key", &large()).await;
    let before = world.ask("HEAD", "/bkt/key", &[("x-amz-checksum-mode", "ENABLED")], b"").await;
    world.archive("key", GLACIER).await;

    for (query, headers) in [
        ("", &[][..]),
        ("", &[("range", "bytes=4000-4001")]),
        ("", &[("range", "bytes=9000-")]),
        ("", &[("if-match", "\"0\"")]),
        ("", &[("if-none-match", "*")]),
        ("?partNumber=1", &[]),
        ("?partNumber=2", &[]),
    ] {
        let answer = world.ask("GET", &format!("/bkt/key{query}"), headers, b"").await;
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (403, "InvalidObjectState"),
            "{query} {headers:?}"
        );
        assert!(answer.text().contains(
            "<Message>The operation is not valid for the object's storage class</Message><StorageClass>GLACIER</StorageClass><RequestId>"
        ));
    }
    let after = world.ask("HEAD", "/bkt/key", &[("x-amz-checksum-mode", "ENABLED")], b"").await;
    assert_eq!(after.status, 200);
    for name in [
        "content-length",
        "etag",
        "last-modified",
        "content-type",
        "x-amz-meta-color",
        "x-amz-checksum-crc64nvme",
    ] {
        assert_eq!(after.header(name), before.header(name), "{name}");
    }
    assert_eq!(after.header("x-amz-storage-class"), Some("GLACIER"));
    assert_eq!(after.header("x-amz-restore"), None);
}

#[tokio::test]
async fn conditions_and_ranges_of_a_head_are_the_objects() {
    let world = World::new().await;
    world.put("key", &large()).await;
    let etag = world.ask("HEAD", "/bkt/key", &[], b"").await.header("etag").unwrap().to_owned();
    let row = world.archive("key", GLACIER).await;
    let stub = row.standing.unwrap().etag.quoted();
    for (header, value, status) in [
        ("if-match", etag.as_str(), 200),
        ("if-match", stub.as_str(), 412),
        ("if-none-match", etag.as_str(), 304),
        ("if-none-match", stub.as_str(), 200),
        ("if-modified-since", "Fri, 21 Dec 2012 00:00:00 GMT", 200),
        ("if-unmodified-since", "Fri, 21 Dec 2012 00:00:00 GMT", 412),
        ("range", "bytes=4000-4001", 206),
        ("range", "bytes=5000-", 416),
    ] {
        let answer = world.ask("HEAD", "/bkt/key", &[(header, value)], b"").await;
        assert_eq!(answer.status, status, "{header}: {value}");
    }
    let answer = world.ask("HEAD", "/bkt/key", &[("range", "bytes=4000-4001")], b"").await;
    assert_eq!(
        (answer.header("content-length"), answer.header("content-range")),
        (Some("2"), Some("bytes 4000-4001/5000"))
    );
}

#[tokio::test]
async fn a_read_lets_go_of_the_stub_before_it_takes_the_copy() {
    let world = World::new().await;
    world.put("key", &large()).await;
    let row = world.archive("key", GLACIER).await;
    world.restored(&row, &large(), 3600).await;
    for headers in [&[][..], &[("range", "bytes=10-19")], &[("range", "bytes=2000-2001")]] {
        let answer = world.ask("GET", "/bkt/key", headers, b"").await;
        assert!(answer.status.is_success(), "{}", answer.text());
        assert_eq!(world.store.guard().spoilt(), 0, "{headers:?}");
    }
}

#[tokio::test]
async fn a_restore_goes_through_its_states() {
    let world = World::new().await;
    world.put("key", &large()).await;
    let etag = world.ask("HEAD", "/bkt/key", &[], b"").await.header("etag").unwrap().to_owned();
    let row = world.archive("key", GLACIER).await;

    world.job(&row, RestoreState::Queued).await;
    let head = world.ask("HEAD", "/bkt/key", &[], b"").await;
    assert_eq!(head.header("x-amz-restore"), Some("ongoing-request=\"true\""));
    assert_eq!(world.ask("GET", "/bkt/key", &[], b"").await.code(), "InvalidObjectState");

    world.clock.advance(1);
    world.restored(&row, &large(), 3600).await;
    let answer = world.ask("GET", "/bkt/key", &[], b"").await;
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &large()[..]));
    let restore = answer.header("x-amz-restore").unwrap();
    assert!(restore.starts_with("ongoing-request=\"false\", expiry-date=\""), "{restore}");
    assert_eq!(answer.header("x-amz-storage-class"), Some("GLACIER"));
    assert_eq!(answer.header("etag"), Some(etag.as_str()));
    let answer = world.ask("GET", "/bkt/key", &[("range", "bytes=-10")], b"").await;
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (206, &large()[4990..]));
    assert_eq!(world.ask("GET", "/bkt/key", &[("if-match", &etag)], b"").await.status, 200);
    assert_eq!(
        world.ask("GET", "/bkt/key", &[("if-match", "\"0\"")], b"").await.code(),
        "PreconditionFailed"
    );
    assert_eq!(world.ask("GET", "/bkt/key", &[("if-none-match", &etag)], b"").await.status, 304);
    assert_eq!(world.ask("GET", "/bkt/key", &[("range", "bytes=5000-")], b"").await.code(), "InvalidRange");
    assert_eq!(world.ask("GET", "/bkt/key?partNumber=1", &[], b"").await.status, 206);
    for spelled in ["versionId", "version%49d"] {
        let answer = world.ask("GET", &format!("/bkt/key?{spelled}=v1"), &[], b"").await;
        assert_eq!((answer.status.as_u16(), answer.code()), (404, "NoSuchVersion"), "{spelled}");
    }

    world.clock.advance(3600);
    assert_eq!(
        world.ask("GET", "/bkt/key", &[], b"").await.code(),
        "InvalidObjectState",
        "expiry is a moment"
    );
    assert_eq!(world.ask("HEAD", "/bkt/key", &[], b"").await.header("x-amz-restore"), None);
}

#[tokio::test]
async fn a_stub_the_catalog_does_not_know_is_refused() {
    let world = World::new().await;
    for key in ["lost", "moved"] {
        world.put(key, &large()).await;
    }
    let row = world.archive("lost", GLACIER).await;
    let mut dead = row.clone();
    dead.advance(model::ArchiveState::Dead, row.created);
    use model::catalog::{Catalog, Change};
    world.catalog.commit(vec![Change::Archive(dead)]).await.unwrap();
    let answer = world.ask("GET", "/bkt/lost", &[], b"").await;
    assert_eq!((answer.status.as_u16(), answer.code()), (403, "AccessDenied"));
    assert_eq!(world.ask("HEAD", "/bkt/lost", &[], b"").await.status, 403);

    let mut row = world.archive("moved", GLACIER).await;
    row.standing.as_mut().unwrap().etag = model::ETag::parse("other").unwrap();
    world.catalog.commit(vec![Change::Archive(row)]).await.unwrap();
    let moved = world.ask("GET", "/bkt/moved", &[], b"").await;
    assert_eq!(moved.code(), "AccessDenied", "another object stands there");
}

#[tokio::test]
async fn metadata_can_be_read_and_the_object_deleted() {
    let world = World::new().await;
    world.put("key", &large()).await;
    world.archive("key", GLACIER).await;
    assert_eq!(world.ask("GET", "/bkt/key?tagging", &[], b"").await.status, 200);
    assert_eq!(world.ask("POST", "/bkt/key?select&select-type=2", &[], b"").await.status, 405);
    assert_eq!(world.ask("DELETE", "/bkt/key", &[], b"").await.status, 204);
    assert!(world.rows("key").await[0].touched, "the archive is to be looked at");
    assert_eq!(world.bells.take(), [model::fence::Work::Touched]);
    assert!(world.store.head(&target("key")).await.unwrap().is_none());
    assert_eq!(world.ask("GET", "/bkt/key", &[], b"").await.code(), "NoSuchKey");
}

#[tokio::test]
async fn a_stub_is_believed_while_its_flip_is_not_settled() {
    let world = World::new().await;
    world.put("key", &large()).await;
    let listed = world.ask("GET", "/bkt", &[], b"").await;
    let row = world.archive_as("key", GLACIER, true).await;
    assert_eq!(row.state.stage(), model::archive::ArchiveStage::Flipping);
    assert_eq!(world.ask("GET", "/bkt/key", &[], b"").await.code(), "InvalidObjectState");
    let head = world.ask("HEAD", "/bkt/key", &[], b"").await;
    assert_eq!((head.status.as_u16(), head.header("content-length")), (200, Some("5000")));
    let answer = world.ask("GET", "/bkt", &[], b"").await;
    assert_eq!(answer.text(), listed.text().replace("STANDARD", "GLACIER"));
}
