//! Buckets that are the store's alone, and operations nobody here has heard of.

use std::sync::Mutex;

use futures_util::FutureExt;
use futures_util::future::join_all;
use model::TapeClass;
use model::bucket::{BucketSettings, Mode, Terms};
use model::catalog::{Bucket, Catalog, Change};
use model::fence::KeyFence;

use crate::world::{World, bucket, large};

const GLACIER: (&str, &str) = ("x-amz-storage-class", "GLACIER");
const RULES: &str = "<LifecycleConfiguration/>";

/// `bkt` is managed, every other bucket is not.
async fn remote() -> World {
    let world = World::with(true, |settings| {
        settings.forwards_unknown = true;
        settings.buckets = BucketSettings { otherwise: Terms::UNMANAGED, ..BucketSettings::all() };
        settings.buckets.named.insert(bucket("bkt"), Terms::MANAGED);
    })
    .await;
    assert_eq!(world.ask("PUT", "/free", &[], b"").await.status, 200);
    world.store.guard().heard();
    world
}

#[tokio::test]
async fn a_write_that_began_before_its_bucket_was_managed_holds_flips_back() {
    let world = remote().await;
    let key = (bucket("free"), crate::world::object_key("key"));
    let gate = world.fence.close(&key.0, &key.1).await.unwrap();
    let writes = [
        ("PUT", "/free/key"),
        ("POST", "/free/key?x-vendor"),
        ("PUT", "/free/key?renameObject"),
        ("POST", "/free/key?restore"),
    ];
    let asked = join_all(writes.map(|(method, target)| world.ask(method, target, &[], b"x")));
    for (answer, (_, target)) in asked.await.into_iter().zip(writes) {
        assert_eq!((answer.status.as_u16(), answer.code()), (503, "SlowDown"), "{target}");
    }
    assert_eq!(
        world.ask("GET", "/free/key?x-vendor", &[], b"").await.status,
        200,
        "a read waits for nothing"
    );
    drop(gate);
    assert_eq!(world.ask("PUT", "/free/key", &[], b"x").await.status, 200);
    assert_eq!(world.ask("POST", "/free/key?x-vendor", &[], b"x").await.text(), "x");
}

#[tokio::test]
async fn a_list_of_deletes_is_not_acknowledged_when_its_bucket_became_managed_meanwhile() {
    let world = remote().await;
    assert_eq!(world.ask("PUT", "/free/key", &[], b"x").await.status, 200);
    let delete = "<Delete><Object><Key>key</Key></Object></Delete>";
    let md5 = dialect::checksum::Md5::of(delete.as_bytes()).to_base64();
    let ask = async || world.ask("POST", "/free?delete", &[("content-md5", &md5)], delete.as_bytes()).await;
    let answer = ask().await;
    assert_eq!((answer.status.as_u16(), answer.text().matches("<Deleted>").count()), (200, 1));
    let mut row = Bucket::new(bucket("free"));
    row.terms = Some(Terms::MANAGED);
    let (catalog, enabled) = (world.catalog.clone(), Mutex::new(Some(Change::Bucket(row))));
    world.store.guard().deny(move |_, _, _| {
        let enabled = enabled.lock().unwrap().take();
        enabled.is_some_and(|row| catalog.commit(vec![row]).now_or_never().unwrap().is_err())
    });
    let answer = ask().await;
    assert_eq!((answer.status.as_u16(), answer.code()), (503, "SlowDown"));
    assert_eq!(ask().await.status, 200, "asked again it enters the keys");
}

#[tokio::test]
async fn requests_of_a_bucket_that_is_not_managed_go_on_as_they_came() {
    let world = remote().await;
    let delete = "<Delete><Quiet>true</Quiet><Object><Key>other</Key></Object></Delete>";
    let md5 = dialect::checksum::Md5::of(delete.as_bytes()).to_base64();
    for (method, target, headers, body) in [
        ("PUT", "/free/key", &[GLACIER][..], "bytes"),
        ("GET", "/free/key", &[], ""),
        ("PUT", "/free/copy", &[("x-amz-copy-source", "/free/key"), GLACIER], ""),
        ("GET", "/free/key?attributes", &[("x-amz-object-attributes", "ETag")], ""),
        ("GET", "/free", &[("x-amz-optional-object-attributes", "Unheard")], ""),
        ("PUT", "/free?lifecycle", &[], RULES),
        ("GET", "/free?lifecycle", &[], ""),
        ("DELETE", "/free?lifecycle", &[], ""),
        ("POST", "/free?delete", &[("content-md5", &md5)], delete),
        ("POST", "/free/key?restore", &[], "<RestoreRequest/>"),
        ("DELETE", "/free/key", &[], ""),
        ("DELETE", "/free/copy", &[], ""),
        ("DELETE", "/free", &[], ""),
    ] {
        world.ask(method, target, headers, body.as_bytes()).await;
        let heard = world.store.guard().heard();
        let [heard] = &heard[..] else { panic!("{method} {target}: {heard:?}") };
        assert_eq!((heard.method.as_str(), heard.target.as_str()), (method, target));
        let class = headers.iter().find(|(name, _)| *name == GLACIER.0).map(|(_, class)| *class);
        assert_eq!(heard.class.as_deref(), class, "{method} {target}: the class is the store's affair");
    }
    assert!(
        world
            .catalog
            .archives_at(&bucket("free"), &crate::world::object_key("key"))
            .await
            .unwrap()
            .is_empty()
    );
    let forged = world.ask("PUT", "/free/key", &[("x-amz-meta-tapegate", "v1;whole;x")], b"x").await;
    assert_eq!(forged.code(), "InvalidRequest", "the reserved header is nobody's");
}

#[tokio::test]
async fn a_copy_out_of_a_managed_bucket_is_no_copy_of_a_stub() {
    let world = remote().await;
    world.put("key", &large()).await;
    let row = world.archive("key", TapeClass::Glacier).await;
    let source = [("x-amz-copy-source", "/bkt/key")];
    assert_eq!(world.ask("PUT", "/free/copy", &source, b"").await.code(), "InvalidObjectState");
    world.restored(&row, &large(), 3600).await;
    let answer = world.ask("PUT", "/free/copy", &source, b"").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let copy = world.ask("GET", "/free/copy", &[], b"").await;
    assert_eq!((&copy.body[..], copy.header("x-amz-meta-color")), (&large()[..], Some("red")));
}

#[tokio::test]
async fn a_command_goes_before_the_configuration() {
    let world = remote().await;
    let mut row = Bucket::new(bucket("free"));
    row.terms = Some(Terms::MANAGED);
    world.catalog.commit(vec![Change::Bucket(row.clone())]).await.unwrap();
    let put = async || world.ask("PUT", "/free/key", &[GLACIER], &large()).await;
    assert_eq!(put().await.status, 200);
    assert_eq!(world.ask("GET", "/free/key", &[], b"").await.code(), "InvalidObjectState");
    assert_eq!(world.ask("GET", "/free?lifecycle", &[], b"").await.code(), "NoSuchLifecycleConfiguration");
    let mut row = world.catalog.bucket(&bucket("free")).await.unwrap().unwrap();
    row.terms = Some(Terms { mode: Mode::Draining, ..Terms::MANAGED });
    world.catalog.commit(vec![Change::Bucket(row)]).await.unwrap();
    assert_eq!(world.ask("GET", "/free/key", &[], b"").await.code(), "InvalidObjectState", "still archived");
    assert_eq!(put().await.status, 200);
    assert_eq!(world.ask("GET", "/free/key", &[], b"").await.status, 200, "nothing new is taken over");
}

#[tokio::test]
async fn what_nobody_has_heard_of_is_the_stores() {
    let world = remote().await;
    world.put("key", &large()).await;
    world.archive("key", TapeClass::Glacier).await;
    for (method, target) in [
        ("GET", "/bkt?x-vendor"),
        ("POST", "/bkt?x-vendor=%20a"),
        ("GET", "/bkt/key?x-vendor"),
        ("GET", "/?x-vendor"),
    ] {
        let answer = world.ask(method, target, &[], b"anything").await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("x-vendor-answer")),
            (200, Some("yes")),
            "{target}"
        );
    }
    assert!(!world.rows("key").await[0].touched);
    let answer = world.ask("POST", "/bkt/key?x-vendor", &[], b"anything").await;
    assert_eq!((answer.header("x-vendor-answer"), answer.text()), (Some("yes"), "anything"));
    assert!(world.rows("key").await[0].touched, "whatever it did, it may have been to the object");
    let _gate = world.close("key").await;
    assert_eq!(world.ask("POST", "/bkt/key?x-vendor", &[], b"").await.code(), "SlowDown");
    assert_eq!(world.ask("PUT", "/bkt/key?renameObject", &[], b"").await.code(), "NotImplemented");
}
