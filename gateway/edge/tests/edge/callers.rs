//! Callers whose right is the store's to judge.

use dialect::sigv4::{Secret, Signer as Hand};
use edge::Upstream;
use http::Method;
use model::store::Signer;
use model::{RestoreState, TapeClass};

use crate::world::{Answer, World, caller, large};

const OWN: &str = "AKIDOWN";
const DAYS: &[u8] = b"<RestoreRequest><Days>1</Days></RestoreRequest>";

async fn world() -> World {
    let world = World::with(true, |settings| {
        settings.anonymous = true;
        settings.forwards_unknown = true;
        settings.identities.insert(OWN.to_owned(), caller("secret", Upstream::Own));
    })
    .await;
    world.store.guard().heard();
    world
}

async fn own(world: &World, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let signer = Hand::new(OWN, Secret::new("secret"), "us-east-1");
    world.send(world.request_by(&signer, method, target, headers, body)).await
}

async fn nobody(world: &World, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let (mut parts, body) = world.request(method, target, headers, body).into_parts();
    for name in ["authorization", "x-amz-date", "x-amz-content-sha256"] {
        parts.headers.remove(name);
    }
    world.send(http::Request::from_parts(parts, body)).await
}

#[tokio::test]
async fn a_request_goes_on_with_the_callers_key() {
    let world = world().await;
    assert_eq!(own(&world, "PUT", "/bkt/key", &[], &large()).await.status, 200);
    assert_eq!(nobody(&world, "GET", "/bkt/key", &[], b"").await.status, 200);
    assert_eq!(world.ask("GET", "/bkt/key", &[], b"").await.status, 200);
    let signers: Vec<Signer> = world.store.guard().heard().into_iter().map(|heard| heard.signer).collect();
    assert_eq!(signers, [Signer::Own(OWN.to_owned()), Signer::Nobody, Signer::Service]);
}

#[tokio::test]
async fn what_the_store_denies_the_gateway_does_not_tell() {
    let world = world().await;
    for key in ["key", "warm"] {
        world.put(key, &large()).await;
    }
    let etag = world.ask("HEAD", "/bkt/key", &[], b"").await.header("etag").unwrap().to_owned();
    world.archive("key", TapeClass::Glacier).await;
    let warm = world.archive("warm", TapeClass::Glacier).await;
    world.restored(&warm, &large(), 3600).await;
    world.store.guard().deny(|signer, _, target| {
        *signer != Signer::Service && (target.starts_with("/bkt/key") || target.starts_with("/bkt/warm"))
    });
    let delete = format!("<Delete><Object><Key>key</Key><ETag>{etag}</ETag></Object></Delete>");
    for (method, target, headers, body) in [
        ("GET", "/bkt/warm", &[][..], &b""[..]),
        ("GET", "/bkt/warm", &[("range", "bytes=4000-")], b""),
        ("GET", "/bkt/key?attributes", &[("x-amz-object-attributes", "ETag")], b""),
        ("POST", "/bkt/key?restore", &[], DAYS),
        ("POST", "/bkt/warm?restore", &[], DAYS),
        ("PUT", "/bkt/copy", &[("x-amz-copy-source", "/bkt/warm")], b""),
        ("PUT", "/bkt/key", &[("if-match", etag.as_str())], b"x"),
        ("PUT", "/bkt/key", &[("if-match", "\"0\"")], b"x"),
        ("DELETE", "/bkt/key", &[], b""),
    ] {
        for answer in [
            own(&world, method, target, headers, body).await,
            nobody(&world, method, target, headers, body).await,
        ] {
            assert_eq!((answer.status.as_u16(), answer.code()), (403, "AccessDenied"), "{method} {target}");
        }
    }
    assert_eq!(own(&world, "HEAD", "/bkt/key", &[], b"").await.status, 403);
    world.store.guard().deny(|_, _, _| false);
    let other = delete.replace(&etag, "\"0\"");
    let answer = own(&world, "POST", "/bkt?delete", &[], other.as_bytes()).await;
    assert!(answer.text().contains("<Code>PreconditionFailed</Code>"), "{}", answer.text());
    let answer = own(&world, "POST", "/bkt/key?restore", &[], DAYS).await;
    assert_eq!(answer.status, 202, "what may be read may be restored");
    let looks = world.store.guard().heard();
    assert!(
        looks.iter().any(|heard| heard.method == Method::HEAD && heard.signer == Signer::Own(OWN.to_owned()))
    );
}

#[tokio::test]
async fn a_proof_is_asked_for_where_the_gateway_answers() {
    let world = world().await;
    world.put("key", &large()).await;
    let row = world.archive("key", TapeClass::Glacier).await;
    let rules = "<LifecycleConfiguration><Rule><Status>Enabled</Status><Filter/><Transition><Days>1</Days>\
        <StorageClass>GLACIER</StorageClass></Transition></Rule></LifecycleConfiguration>";
    let md5 = dialect::checksum::Md5::of(rules.as_bytes()).to_base64();
    let put = [("content-md5", md5.as_str())];
    assert_eq!(own(&world, "PUT", "/bkt?lifecycle", &put, rules.as_bytes()).await.code(), "AccessDenied");
    assert_eq!(own(&world, "DELETE", "/bkt?lifecycle", &[], b"").await.code(), "AccessDenied");
    assert_eq!(world.ask("PUT", "/bkt?lifecycle", &put, rules.as_bytes()).await.status, 200);
    // The embedded store has no rules of its own and says 501, which proves nothing.
    assert_eq!(own(&world, "GET", "/bkt?lifecycle", &[], b"").await.code(), "AccessDenied");
    assert_eq!(world.ask("GET", "/bkt?lifecycle", &[], b"").await.status, 200);
    world.store.guard().know_rules();
    let shown = own(&world, "GET", "/bkt?lifecycle", &[], b"").await;
    assert!(shown.status == 200 && shown.text().contains("<StorageClass>GLACIER</StorageClass>"));
    world.store.guard().deny(|_, _, target| target == "/bkt?lifecycle");
    assert_eq!(own(&world, "GET", "/bkt?lifecycle", &[], b"").await.code(), "AccessDenied");
    assert_eq!(
        nobody(&world, "POST", "/bkt/key?restore", &[], DAYS).await.code(),
        "AccessDenied",
        "not by nobody"
    );
    assert_eq!(nobody(&world, "GET", "/bkt/key", &[], b"").await.code(), "InvalidObjectState");
    world.job(&row, RestoreState::Queued).await;
    let head = nobody(&world, "HEAD", "/bkt/key", &[], b"").await;
    assert_eq!(head.header("x-amz-restore"), Some("ongoing-request=\"true\""));
    let listed = nobody(&world, "GET", "/bkt", &[], b"").await;
    assert!(listed.text().contains("<StorageClass>GLACIER</StorageClass>"));
    world.store.guard().heard();
    let class = [("x-amz-storage-class", "GLACIER")];
    assert_eq!(own(&world, "PUT", "/bkt/new", &class, &large()).await.status, 200);
    let heard = world.store.guard().heard();
    let put = heard.iter().find(|heard| heard.method == Method::PUT).unwrap();
    assert_eq!((&put.signer, &put.class), (&Signer::Own(OWN.to_owned()), &None));
    assert_eq!(world.rows("new").await.len(), 1);
}

#[tokio::test]
async fn nobody_moves_the_catalog_before_the_store_has_judged() {
    let world = world().await;
    world.put("key", &large()).await;
    world.archive("key", TapeClass::Glacier).await;
    world.store.guard().deny(|signer, method, _| *signer == Signer::Nobody && *method == Method::POST);
    world.store.guard().heard();
    let delete = b"<Delete><Object><Key>key</Key></Object></Delete>";
    let answer = nobody(&world, "POST", "/bkt?delete", &[], delete).await;
    assert!(answer.text().contains("<Key>key</Key><Code>AccessDenied</Code>"), "{}", answer.text());
    assert!(!world.rows("key").await[0].touched);
    let class = [("x-amz-storage-class", "GLACIER")];
    let source = [("x-amz-copy-source", "/bkt/key"), class[0]];
    for (method, target, headers) in
        [("PUT", "/bkt/new", &class[..]), ("PUT", "/bkt/new", &source), ("POST", "/bkt/new?uploads", &class)]
    {
        let answer = nobody(&world, method, target, headers, b"").await;
        assert_eq!((answer.status.as_u16(), answer.code()), (403, "AccessDenied"), "{method} {target}");
    }
    assert!(world.rows("new").await.is_empty());
    assert!(world.store.guard().heard().is_empty(), "the store was not troubled");
    assert_eq!(
        nobody(&world, "PUT", "/bkt/new", &[], &large()).await.status,
        200,
        "a class of the store's own"
    );
}

#[tokio::test]
async fn nobody_borrows_the_gateways_key_to_administrate() {
    let world = world().await;
    for (method, target, code) in [
        ("GET", "/admin", "AccessDenied"),
        ("PUT", "/admin/user?uid=me", "AccessDenied"),
        ("GET", "/%61dmin/metadata/user", "AccessDenied"),
        ("POST", "/minio/admin/v3/service?action=stop", "AccessDenied"),
        ("GET", "/swift/v1", "AccessDenied"),
        ("GET", "/auth/v1.0", "AccessDenied"),
        ("POST", "/", "MethodNotAllowed"),
        ("POST", "/?Action=CreateUser", "MethodNotAllowed"),
        ("PUT", "/?x-vendor", "MethodNotAllowed"),
    ] {
        assert_eq!(world.ask(method, target, &[], b"x").await.code(), code, "{method} {target}");
        assert_eq!(world.store.guard().heard().len(), 0, "{method} {target}");
        own(&world, method, target, &[], b"x").await;
        let heard = world.store.guard().heard();
        assert_eq!(heard[0].signer, Signer::Own(OWN.to_owned()), "{target}: by its own key, as it may");
    }
    assert_eq!(world.ask("GET", "/", &[], b"").await.status, 200);
    assert_eq!(world.ask("PUT", "/administration", &[], b"").await.status, 200);
}

#[tokio::test]
async fn nobody_gets_in_where_the_store_asks_nobody() {
    let world = World::new().await;
    let answer = nobody(&world, "GET", "/bkt", &[], b"").await;
    assert_eq!((answer.status.as_u16(), answer.code()), (403, "AccessDenied"));
}
