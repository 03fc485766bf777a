//! Lifecycle configurations.

use model::catalog::Catalog;
use model::fence::Work;
use model::store::ObjectStore;

use crate::world::{World, bucket};

const RULES: &str = "<LifecycleConfiguration><Rule><Status>Enabled</Status><Filter><Prefix>a/</Prefix></Filter>\
    <Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition></Rule></LifecycleConfiguration>";

fn md5(body: &str) -> String {
    dialect::checksum::Md5::of(body.as_bytes()).to_base64()
}

#[tokio::test]
async fn rules_are_kept_and_given_back() {
    let world = World::new().await;
    let target = "/bkt?lifecycle";
    let none = world.ask("GET", target, &[], b"").await;
    assert_eq!((none.status.as_u16(), none.code()), (404, "NoSuchLifecycleConfiguration"));
    assert_eq!(world.ask("PUT", target, &[], RULES.as_bytes()).await.code(), "InvalidRequest", "no digest");
    let digest = md5(RULES);
    assert_eq!(
        world
            .ask("PUT", target, &[("content-md5", "AAAAAAAAAAAAAAAAAAAAAA==")], RULES.as_bytes())
            .await
            .code(),
        "BadDigest"
    );
    let minimum = "x-amz-transition-default-minimum-object-size";
    let put = world
        .ask(
            "PUT",
            target,
            &[("content-md5", &digest), (minimum, "varies_by_storage_class")],
            RULES.as_bytes(),
        )
        .await;
    assert_eq!(
        (put.status.as_u16(), put.header(minimum)),
        (200, Some("varies_by_storage_class")),
        "{}",
        put.text()
    );
    assert_eq!(world.bells.take(), [Work::Rules]);
    let got = world.ask("GET", target, &[], b"").await;
    assert_eq!(got.header(minimum), Some("varies_by_storage_class"));
    assert!(
        got.text().contains("<Prefix>a/</Prefix>")
            && got.text().contains("<StorageClass>GLACIER</StorageClass>")
    );
    let id = got.text().split_once("<ID>").unwrap().1.split_once("</ID>").unwrap().0;
    assert_eq!(id.len(), 48);
    assert_eq!(world.ask("DELETE", target, &[], b"").await.status, 204);
    assert_eq!(world.ask("DELETE", target, &[], b"").await.status, 204);
    assert_eq!(world.ask("GET", target, &[], b"").await.status, 404);
    assert_eq!(world.ask("GET", "/none?lifecycle", &[], b"").await.code(), "NoSuchBucket");
}

#[tokio::test]
async fn rules_end_with_their_bucket() {
    let world = World::new().await;
    let digest = md5(RULES);
    assert_eq!(
        world.ask("PUT", "/bkt?lifecycle", &[("content-md5", &digest)], RULES.as_bytes()).await.status,
        200
    );
    assert_eq!(world.ask("DELETE", "/bkt", &[], b"").await.status, 204);
    assert!(world.catalog.bucket(&bucket("bkt")).await.unwrap().is_none());
    assert_eq!(world.ask("PUT", "/bkt", &[], b"").await.status, 200);
    assert_eq!(world.ask("GET", "/bkt?lifecycle", &[], b"").await.code(), "NoSuchLifecycleConfiguration");
}

/// As after a crash between the store's answer and ours.
#[tokio::test]
async fn a_new_bucket_has_no_rules_of_an_old_one() {
    let world = World::new().await;
    let digest = md5(RULES);
    assert_eq!(
        world.ask("PUT", "/bkt?lifecycle", &[("content-md5", &digest)], RULES.as_bytes()).await.status,
        200
    );
    let delete = http::Request::delete("/bkt").body(model::body::empty()).unwrap();
    assert_eq!(world.store.call(delete).await.unwrap().status(), 204);
    assert_eq!(world.ask("PUT", "/bkt", &[], b"").await.status, 200);
    assert_eq!(world.ask("GET", "/bkt?lifecycle", &[], b"").await.code(), "NoSuchLifecycleConfiguration");
    assert_eq!(
        world.ask("PUT", "/bkt?lifecycle", &[("content-md5", &digest)], RULES.as_bytes()).await.status,
        200
    );
    world.ask("PUT", "/bkt", &[], b"").await;
    assert_eq!(
        world.ask("GET", "/bkt?lifecycle", &[], b"").await.status,
        200,
        "a bucket that is keeps its rules"
    );
}
