//! What clients see while the catalog or the store is in trouble.

use model::TapeClass;
use model::archive::ArchiveStage;
use model::fence::Work;

use crate::world::{World, large};

#[tokio::test]
async fn without_the_catalog_hot_reads_go_on_and_nothing_else() {
    let world = World::new().await;
    world.put("hot", &large()).await;
    world.put("cold", &large()).await;
    world.archive("cold", TapeClass::Glacier).await;
    world.catalog.fail();
    assert_eq!(world.ask("GET", "/bkt/hot", &[], b"").await.body, large());
    assert_eq!(world.ask("HEAD", "/bkt/hot", &[], b"").await.status, 200);
    for (method, target, headers) in [
        ("GET", "/bkt/cold", &[][..]),
        ("PUT", "/bkt/hot", &[]),
        ("PUT", "/bkt/new", &[("x-amz-storage-class", "GLACIER")]),
        ("PUT", "/bkt/new", &[("x-amz-copy-source", "bkt/hot")]),
        ("DELETE", "/bkt/hot", &[]),
        ("GET", "/bkt", &[]),
        ("POST", "/bkt/cold?restore", &[]),
    ] {
        let answer = world.ask(method, target, headers, b"").await;
        assert_eq!((answer.status.as_u16(), answer.code()), (503, "ServiceUnavailable"), "{method} {target}");
    }
    assert_eq!(world.ask("HEAD", "/bkt/cold", &[], b"").await.status, 503);
    assert_eq!(world.ask("GET", "/bkt/hot", &[], b"").await.body, large(), "nothing was changed");
}

#[tokio::test]
async fn a_completion_in_doubt_is_looked_at() {
    let world = World::new().await;
    let class = [("x-amz-storage-class", "GLACIER")];
    let created = world.ask("POST", "/bkt/key?uploads", &class, b"").await;
    let upload = created.text().split_once("<UploadId>").unwrap().1.split_once('<').unwrap().0.to_owned();
    let part = format!("/bkt/key?partNumber=1&uploadId={upload}");
    let etag = world.ask("PUT", &part, &[], &large()).await.header("etag").unwrap().to_owned();
    let body = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    world.bells.take();
    world.store.lose();
    let answer = world.ask("POST", &format!("/bkt/key?uploadId={upload}"), &[], body.as_bytes()).await;
    assert_eq!(answer.status, 503);
    let row = &world.rows("key").await[0];
    assert_eq!((row.state.stage(), row.touched), (ArchiveStage::Declared, true), "the engine is to look");
    assert_eq!(world.bells.take(), [Work::Touched]);
}

#[tokio::test]
async fn a_search_never_reaches_the_store() {
    let world = World::new().await;
    world.store.lose();
    let answer = world.ask("POST", "/bkt/key?select&select-type=2", &[], b"").await;
    assert_eq!((answer.status.as_u16(), answer.code()), (405, "MethodNotAllowed"));
}

#[tokio::test]
async fn a_direct_write_in_doubt_stays_declared_and_archived() {
    let world = World::new().await;
    world.store.lose();
    let answer = world.ask("PUT", "/bkt/key", &[("x-amz-storage-class", "GLACIER")], &large()).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (503, "ServiceUnavailable"));
    assert_eq!(world.bells.take(), [Work::Touched], "somebody is to look");
    assert_eq!(world.rows("key").await[0].state.stage(), ArchiveStage::Declared);
    assert_eq!(world.ask("GET", "/bkt/key", &[], b"").await.code(), "InvalidObjectState");
    let head = world.ask("HEAD", "/bkt/key", &[], b"").await;
    assert_eq!((head.status.as_u16(), head.header("content-length")), (200, Some("5000")));
}

#[tokio::test]
async fn a_mutation_in_doubt_leaves_its_archive_touched() {
    let world = World::new().await;
    world.put("key", &large()).await;
    world.archive("key", TapeClass::Glacier).await;
    world.store.lose();
    assert_eq!(world.ask("DELETE", "/bkt/key", &[], b"").await.status, 503);
    assert!(world.rows("key").await[0].touched);
    assert_eq!(world.bells.take(), [Work::Touched]);
}

#[tokio::test]
async fn a_lost_copy_is_no_answer() {
    use model::store::ObjectStore;
    let world = World::new().await;
    world.put("key", &large()).await;
    let row = world.archive("key", TapeClass::Glacier).await;
    world.restored(&row, &large(), 60).await;
    world.store.delete_copy(row.id).await.unwrap();
    assert_eq!(world.ask("GET", "/bkt/key", &[], b"").await.code(), "SlowDown");
}

#[tokio::test]
async fn refusals_of_the_stores_adapter_name_the_request() {
    let world = World::new().await;
    for (method, target) in [("GET", "/tapegate-reserved/catalog"), ("DELETE", "/tapegate-reserved/x")] {
        let answer = world.ask(method, target, &[], b"").await;
        assert_eq!((answer.status.as_u16(), answer.code()), (404, "NoSuchBucket"));
        for (element, header) in [("RequestId", "x-amz-request-id"), ("HostId", "x-amz-id-2")] {
            let named = format!("<{element}>{}</{element}>", answer.header(header).unwrap());
            assert!(answer.text().contains(&named), "{target}: {}", answer.text());
        }
    }
    assert_eq!(world.ask("HEAD", "/tapegate-reserved/catalog", &[], b"").await.status, 404);
}
