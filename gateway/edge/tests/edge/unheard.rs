//! Names nobody here has heard of, beside some that are known, before a store that looks past them or knows more.

use model::bucket::{BucketSettings, Terms};
use model::{RestoreState, TapeClass};

use crate::world::{World, bucket, large};

const GLACIER: (&str, &str) = ("x-amz-storage-class", "GLACIER");
const FORM: (&str, &str) = ("content-type", "Multipart/form-data; boundary=b");

/// `bkt` is managed and has an archived object, `free` is not.
async fn world() -> World {
    let world = World::with(true, |settings| {
        settings.forwards_unknown = true;
        settings.buckets = BucketSettings { otherwise: Terms::UNMANAGED, ..BucketSettings::all() };
        settings.buckets.named.insert(bucket("bkt"), Terms::MANAGED);
    })
    .await;
    assert_eq!(world.ask("PUT", "/free", &[], b"").await.status, 200);
    for key in ["cold", "hot"] {
        world.put(key, &large()).await;
    }
    world.archive("cold", TapeClass::Glacier).await;
    world.store.guard().heard();
    world
}

#[tokio::test]
async fn what_may_be_a_listing_is_edited_like_one() {
    let world = world().await;
    assert_eq!(world.ask("POST", "/bkt/upload?uploads", &[GLACIER], b"").await.status, 200);
    for known in ["/bkt?list-type=2", "/bkt?versions", "/bkt?uploads", "/bkt"] {
        let unheard = format!("{known}{}x-unheard", if known.contains('?') { '&' } else { '?' });
        let plain = world.ask("GET", known, &[], b"").await;
        let answer = world.ask("GET", &unheard, &[], b"").await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, plain.text()), "{unheard}");
        assert_eq!(answer.text().matches("<StorageClass>GLACIER<").count(), 1, "{unheard}");
    }
    world.job(&world.rows("cold").await[0], RestoreState::Queued).await;
    let restores = ("x-amz-optional-object-attributes", "RestoreStatus");
    let told = world.ask("GET", "/bkt?list-type=2&x-unheard", &[restores], b"").await;
    assert_eq!(told.text().matches("<RestoreStatus>").count(), 1);
    assert_eq!(world.ask("GET", "/bkt/cold?torrent", &[], b"").await.code(), "InvalidObjectState");
}

#[tokio::test]
async fn what_is_no_listing_that_can_be_edited_goes_on_or_is_refused() {
    let world = world().await;
    // The store says what it is told.
    let far = format!("<!--{}", "x".repeat(5 << 10));
    let listed = "<ListBucketResult><Contents><Key>cold</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>e</ETag><Size>1</Size><UserMetadata><X-Amz-Meta-Tapegate>v1</X-Amz-Meta-Tapegate></UserMetadata></Contents></ListBucketResult>";
    for (said, status) in [
        ("", 200),
        (" {\"ListBucketResult\":[]}", 200),
        ("<?xml version=\"1.0\"?><Search>x-amz-meta-tapegate</Search>", 200),
        ("<?xml never ends", 200),
        ("<ListBucketResult/>", 200),
        ("<ListBucketResult>", 500),
        (far.as_str(), 500),
        (listed, 501),
    ] {
        let answer = world.ask("GET", "/bkt?x-vendor", &[], said.as_bytes()).await;
        assert_eq!(answer.status, status, "{said:.80} {}", answer.text());
        assert!(status != 200 || answer.text() == said, "{said}");
    }
    assert_eq!(world.ask("GET", "/bkt?list-type=2&format=json", &[], b"").await.code(), "NotImplemented");
}

#[tokio::test]
async fn what_the_gateway_does_itself_is_not_done_by_the_store() {
    let world = world().await;
    for (method, target, headers) in [
        ("GET", "/bkt/cold?attributes&x-vendor", &[][..]),
        ("POST", "/bkt/cold?restore&x-vendor", &[]),
        ("POST", "/bkt/cold?select&x-vendor", &[]),
        ("POST", "/bkt?delete&x-vendor", &[]),
        ("PUT", "/bkt?lifecycle&x-vendor", &[]),
        ("PUT", "/bkt?versioning&x-vendor", &[]),
        ("POST", "/bkt?x-vendor", &[FORM]),
        ("POST", "/free?x-vendor", &[FORM]),
        ("PUT", "/bkt/new?x-vendor", &[GLACIER]),
        ("POST", "/bkt/new?uploads&x-vendor", &[GLACIER]),
    ] {
        let answer = world.ask(method, target, headers, b"x").await;
        assert_eq!((answer.status.as_u16(), answer.code()), (501, "NotImplemented"), "{method} {target}");
        assert_eq!(world.store.guard().heard().len(), 0, "{method} {target}");
    }
    for (method, target, headers) in [
        ("PUT", "/bkt/new?x-vendor", &[("x-amz-storage-class", "STANDARD")][..]),
        ("PUT", "/free/new?x-vendor", &[GLACIER]),
        ("PUT", "/free?versioning&x-vendor", &[]),
        ("POST", "/free?delete&x-vendor", &[]),
    ] {
        let answer = world.ask(method, target, headers, b"x").await;
        assert_eq!(answer.header("x-vendor-answer"), Some("yes"), "{method} {target}");
    }
}

#[tokio::test]
async fn a_header_that_is_looked_at_has_one_name() {
    let world = world().await;
    for header in [("x_amz_storage_class", "GLACIER"), ("x_amz_copy_source", "/bkt/cold")] {
        for target in ["/bkt/new", "/free/new", "/bkt/new?x-vendor"] {
            let answer = world.ask("PUT", target, &[header], b"x").await;
            assert_eq!(
                (answer.status.as_u16(), answer.code()),
                (400, "InvalidRequest"),
                "{target} {header:?}"
            );
        }
    }
    assert_eq!(world.store.guard().heard().len(), 0);
    assert_eq!(world.ask("PUT", "/bkt/new", &[("x-amz-meta-my_own", "1")], b"x").await.status, 200);
}

#[tokio::test]
async fn what_is_edited_is_asked_for_in_a_form_that_can_be() {
    let world = world().await;
    let wanted = [("accept", "application/json"), ("accept-encoding", "gzip")];
    let md5 = dialect::checksum::Md5::of(b"<Delete><Object><Key>a</Key></Object></Delete>").to_base64();
    for (method, target, headers, body) in [
        ("GET", "?list-type=2", &[][..], ""),
        ("GET", "?versions", &[], ""),
        ("GET", "?uploads", &[], ""),
        ("GET", "?x-vendor", &[], ""),
        ("POST", "?delete", &[("content-md5", &*md5)], "<Delete><Object><Key>a</Key></Object></Delete>"),
        ("POST", "/upload?uploads", &[GLACIER], ""),
        ("POST", "/upload?uploadId=none", &[], ""),
    ] {
        let headers = [headers, &wanted].concat();
        for (name, accept) in
            [("bkt", [None, Some("identity")]), ("free", wanted.map(|(_, value)| Some(value)))]
        {
            let target = format!("/{name}{target}");
            world.ask(method, &target, &headers, body.as_bytes()).await;
            let heard = world.store.guard().heard();
            let heard = heard.iter().find(|heard| heard.target == target).unwrap();
            assert_eq!(heard.accept.each_ref().map(Option::as_deref), accept, "{method} {target}");
        }
    }
}
