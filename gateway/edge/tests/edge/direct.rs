//! Writes straight into a tape class.

use model::archive::ArchiveStage;
use model::bucket::{Mode, Terms};
use model::catalog::{Bucket, Catalog};
use model::fence::Work;
use model::store::{ObjectHead, ObjectStore};

use crate::world::{World, large, target};

const GLACIER: (&str, &str) = ("x-amz-storage-class", "GLACIER");

async fn seen(world: &World, key: &str) -> ObjectHead {
    world.store.head(&target(key)).await.unwrap().unwrap()
}

#[tokio::test]
async fn an_object_is_archived_from_its_first_moment() {
    let world = World::new().await;
    for bytes in [large(), Vec::new()] {
        let answer = world.ask("PUT", "/bkt/key", &[GLACIER, ("x-amz-meta-a", "b")], &bytes).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(world.bells.take().contains(&Work::Due));
        let rows = world.rows("key").await;
        let row = rows.iter().find(|row| !row.touched).unwrap();
        assert_eq!((row.state.stage(), row.direct, row.size), (ArchiveStage::Due, true, bytes.len() as u64));
        let marker = seen(&world, "key").await.marker.unwrap();
        assert_eq!(marker.archive, row.id);
        assert_eq!(world.ask("GET", "/bkt/key", &[], b"").await.code(), "InvalidObjectState");
        let head = world.ask("HEAD", "/bkt/key", &[], b"").await;
        assert_eq!(head.header("content-length"), Some(bytes.len().to_string().as_str()));
        assert_eq!(head.header("x-amz-storage-class"), Some("GLACIER"));
        assert_eq!(head.header("etag"), answer.header("etag"));
        assert_eq!(head.header("x-amz-meta-a"), Some("b"));
        let list = world.ask("GET", "/bkt", &[], b"").await;
        assert!(list.text().contains("<StorageClass>GLACIER</StorageClass>"), "{}", list.text());
    }
    let touched = world.rows("key").await.iter().filter(|row| row.touched).count();
    assert_eq!(touched, 1, "the first was overwritten");
    let restore = b"<RestoreRequest><Days>1</Days></RestoreRequest>";
    assert_eq!(world.ask("POST", "/bkt/key?restore", &[], restore).await.status, 202);
}

#[tokio::test]
async fn a_refused_write_leaves_no_archive() {
    let world = World::new().await;
    for (class, code) in [("DEEP_ARCHIVE", "InvalidStorageClass"), ("OUTPOSTS", "InvalidStorageClass")] {
        let answer = world.ask("PUT", "/bkt/key", &[("x-amz-storage-class", class)], b"x").await;
        assert_eq!(answer.code(), code);
        assert!(answer.text().contains(&format!("<StorageClassRequested>{class}</StorageClassRequested>")));
    }
    world.put("key", b"there").await;
    let answer = world.ask("PUT", "/bkt/key", &[GLACIER, ("if-none-match", "*")], b"x").await;
    assert_eq!(answer.code(), "PreconditionFailed");
    assert!(world.rows("key").await.is_empty(), "the declared row is withdrawn");
    assert_eq!(world.ask("GET", "/bkt/key", &[], b"").await.text(), "there");
    assert_eq!(world.ask("PUT", "/none/key", &[GLACIER], b"x").await.code(), "NoSuchBucket");
    let standard = world.ask("PUT", "/bkt/key", &[("x-amz-storage-class", "STANDARD")], b"x").await;
    assert_eq!(standard.status, 200);
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    text.split_once(start).unwrap().1.split_once(end).unwrap().0
}

#[tokio::test]
async fn a_multipart_upload_is_due_when_it_is_complete() {
    let world = World::new().await;
    let create = async || {
        let answer = world.ask("POST", "/bkt/key?uploads", &[GLACIER], b"").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        between(answer.text(), "<UploadId>", "</UploadId>").to_owned()
    };
    let aborted = create().await;
    let rows = world.rows("key").await;
    assert_eq!((rows.len(), rows[0].upload.as_deref()), (1, Some(aborted.as_str())));
    assert_eq!(world.ask("DELETE", &format!("/bkt/key?uploadId={aborted}"), &[], b"").await.status, 204);
    assert!(world.rows("key").await.is_empty());

    let upload = create().await;
    let part = format!("/bkt/key?partNumber=1&uploadId={upload}");
    let etag = world.ask("PUT", &part, &[], &large()).await.header("etag").unwrap().to_owned();
    let body = |etag: &str| {
        format!(
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
        )
    };
    let complete = format!("/bkt/key?uploadId={upload}");
    let other = world.ask("POST", "/bkt/hot?uploads", &[], b"").await;
    assert_eq!(other.status, 200);
    for listing in [complete.as_str(), "/bkt?uploads", "/bkt?uploads&encoding-type=url"] {
        let answer = world.ask("GET", listing, &[], b"").await;
        assert_eq!(
            answer.text().matches("<StorageClass>GLACIER</StorageClass>").count(),
            1,
            "{}",
            answer.text()
        );
    }
    let refused = world.ask("POST", &complete, &[], body("\"0\"").as_bytes()).await;
    assert_eq!(refused.code(), "InvalidPart");
    assert_eq!(world.rows("key").await[0].state.stage(), ArchiveStage::Declared, "it may be tried again");
    let answer = world.ask("POST", &complete, &[], body(&etag).as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let row = &world.rows("key").await[0];
    assert_eq!((row.state.stage(), row.size), (ArchiveStage::Due, 5000));
    assert_eq!(world.ask("GET", "/bkt/key", &[], b"").await.code(), "InvalidObjectState");
}

/// Whoever drains a bucket counts its rows right after saying so: a write let through before is counted, or refused.
#[tokio::test]
async fn a_write_that_a_drain_overtakes_leaves_no_archive() {
    for terms in [Terms { mode: Mode::Draining, ..Terms::MANAGED }, Terms::UNMANAGED] {
        for (method, path, headers) in [
            ("PUT", "/bkt/key", &[GLACIER][..]),
            ("POST", "/bkt/key?uploads", &[GLACIER]),
            ("PUT", "/bkt/key", &[GLACIER, ("x-amz-copy-source", "bkt/source")]),
        ] {
            let world = World::new().await;
            world.put("source", b"old").await;
            let row = world.catalog.bucket(&target("key").bucket).await.unwrap();
            let row = row.unwrap_or_else(|| Bucket::new(target("key").bucket));
            world.catalog.switch_before_next(Bucket { terms: Some(terms), ..row });
            let answer = world.ask(method, path, headers, b"").await;
            assert_eq!((answer.status.as_u16(), answer.code()), (503, "SlowDown"), "{method} {path}");
            assert!(world.rows("key").await.is_empty(), "{method} {path}");
            assert!(world.store.head(&target("key")).await.unwrap().is_none(), "{method} {path}");
            let uploads = world.ask("GET", "/bkt?uploads", &[], b"").await;
            assert!(!uploads.text().contains("<UploadId>"), "{}", uploads.text());
        }
    }
}
