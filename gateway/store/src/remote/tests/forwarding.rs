//! What of a request reaches the store, and under whose name.

use std::sync::Arc;

use dialect::sigv4::{Caller, Secret};
use http::{Method, Request};
use model::Body;
use model::body::{empty, full};
use model::store::{Capabilities, Signer};

use super::front::{Front, OWN};
use super::{KEY, embedded, settings};
use crate::conformance::client::{Answer, noise};
use crate::{BucketOwner, RemoteStore, S3Service};

struct House {
    front: Front,
    store: RemoteStore,
    _directory: tempfile::TempDir,
}

impl House {
    async fn new() -> Self {
        Self::able(super::super::UNPROVEN).await
    }

    async fn able(proven: Capabilities) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let front = Front::serve(Arc::new(embedded(directory.path()))).await;
        let mut settings = settings(front.address);
        settings.own_keys.insert(OWN.0.to_owned(), Secret::new(OWN.1));
        settings.capabilities = proven;
        let house = Self { front, store: RemoteStore::open(settings).unwrap(), _directory: directory };
        let made = house.call(request(Method::PUT, "/bkt", &[]).body(empty()).unwrap()).await;
        assert_eq!(made.status, 200, "{}", made.text());
        house
    }

    async fn call(&self, request: Request<Body>) -> Answer {
        Answer::of(self.store.call(request).await.unwrap()).await.unwrap()
    }
}

fn request(method: Method, target: &str, headers: &[(&str, &str)]) -> http::request::Builder {
    let request = Request::builder().method(method).uri(target);
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
}

fn key(id: &str) -> Option<Caller> {
    Some(Caller::Key { access_key_id: id.to_owned(), presigned: false })
}

#[tokio::test]
async fn signs_as_the_request_says() {
    let house = House::new().await;
    let list = |signer: Option<Signer>| {
        let mut list = request(Method::GET, "/bkt?list-type=2&prefix=a%2Fb+c", &[]).body(empty()).unwrap();
        list.extensions_mut().extend(http::Extensions::new());
        if let Some(signer) = signer {
            list.extensions_mut().insert(signer);
        }
        list
    };
    for (signer, caller) in [
        (None, key(KEY)),
        (Some(Signer::Service), key(KEY)),
        (Some(Signer::Own(OWN.0.to_owned())), key(OWN.0)),
        (Some(Signer::Nobody), Some(Caller::Anonymous)),
    ] {
        let answer = house.call(list(signer.clone())).await;
        assert_eq!(answer.status, 200, "{signer:?} {}", answer.text());
        assert_eq!(house.front.last().caller, caller, "{signer:?}");
        assert_eq!(house.front.last().head.headers["host"], house.front.address.to_string(), "{signer:?}");
        let hashed = house.front.last().head.headers.contains_key("x-amz-content-sha256");
        assert_eq!(hashed, signer != Some(Signer::Nobody), "{signer:?}");
    }
    let unknown = house.call(list(Some(Signer::Own("AKIDWHO".to_owned())))).await;
    assert_eq!((unknown.status.as_u16(), unknown.element("Code")), (403, "InvalidAccessKeyId"));
    assert_eq!(unknown.element("AWSAccessKeyId"), "AKIDWHO");

    // Work of our own is never a caller's.
    let mut own = list(Some(Signer::Own(OWN.0.to_owned())));
    own.extensions_mut().insert(crate::OwnRequest);
    house.call(own).await;
    assert_eq!(house.front.last().caller, key(KEY));
}

#[tokio::test]
async fn an_owner_is_expected_of_every_bucket_we_name_ourselves() {
    let house = House::new().await;
    let mut settings = settings(house.front.address);
    settings.expected_owner = Some(BucketOwner::parse("123456789012").unwrap());
    let store = RemoteStore::open(settings).unwrap();
    let (bucket, copied) = ("x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner");
    for (method, target, copies, ours, told) in [
        (Method::HEAD, "/bkt", false, true, (true, false)),
        (Method::GET, "/bkt?list-type=2", false, true, (true, false)),
        (Method::PUT, "/bkt?versioning", false, true, (true, false)),
        (Method::DELETE, "/bkt/a/b", false, true, (true, false)),
        (Method::PUT, "/bkt/b", true, true, (true, true)),
        (Method::PUT, "/other", false, true, (false, false)),
        (Method::GET, "/", false, true, (false, false)),
        (Method::HEAD, "/bkt/a", false, false, (false, false)),
    ] {
        let headers: &[(&str, &str)] = if copies { &[("x-amz-copy-source", "bkt/a")] } else { &[] };
        let mut request = request(method.clone(), target, headers).body(empty()).unwrap();
        if ours {
            request.extensions_mut().insert(crate::OwnRequest);
        }
        store.call(request).await.unwrap();
        let seen = house.front.last();
        assert_eq!(seen.caller, key(KEY), "{method} {target}: the header is signed with the rest");
        let told_of = |name| seen.head.headers.get(name).is_some_and(|owner| owner == "123456789012");
        assert_eq!((told_of(bucket), told_of(copied)), told, "{method} {target}");
    }
}

#[tokio::test]
async fn odd_keys_are_signed_and_stay_apart() {
    let house = House::new().await;
    let keys = ["a+b", "a%20b", "a%2Bb", "%C3%A4", "(x):'y'!*", "x//y", "./..", "~", "%7E~", "a,b;c=d@e$&"];
    for (at, name) in keys.iter().enumerate() {
        let target = format!("/bkt/{name}");
        let body = format!("body {at}");
        let put = request(Method::PUT, &target, &[("content-length", "6")]).body(full(body.clone())).unwrap();
        let put = house.call(put).await;
        assert_eq!(put.status, 200, "{name} {}", put.text());
        let got = house.call(request(Method::GET, &target, &[]).body(empty()).unwrap()).await;
        assert_eq!((got.status.as_u16(), got.text()), (200, &*body), "{name}");
    }
}

#[tokio::test]
async fn headers_pass_but_those_of_the_connection_and_the_signature() {
    let house = House::new().await;
    let headers = [
        ("authorization", "AWS4-HMAC-SHA256 theirs"),
        ("connection", "close, x-hop"),
        ("x-hop", "1"),
        ("te", "trailers"),
        ("expect", "100-continue"),
        ("host", "their.host"),
        ("date", "Fri, 01 Jan 2021 00:00:00 GMT"),
        ("x-amz-date", "20210101T000000Z"),
        ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        ("x-amz-decoded-content-length", "77"),
        ("content-encoding", "aws-chunked,gzip"),
        ("content-length", "4"),
        ("x-vendor-thing", "kept"),
        ("x-amz-meta-a", "one"),
        ("x-amz-meta-a", "two"),
        ("user-agent", "theirs"),
    ];
    let put = request(Method::PUT, "/bkt/k", &headers).body(full("body")).unwrap();
    let answer = house.call(put).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = house.front.last().head.headers;
    for name in ["connection", "x-hop", "te", "expect", "date", "x-amz-decoded-content-length"] {
        assert_eq!(seen.get(name), None, "{name}");
    }
    assert_eq!(seen["host"], house.front.address.to_string());
    assert_eq!(seen["x-amz-content-sha256"], "UNSIGNED-PAYLOAD");
    assert_eq!(seen["content-encoding"], "gzip");
    assert_eq!(seen["content-length"], "4");
    assert_eq!(
        (&seen["x-vendor-thing"], &seen["user-agent"]),
        (&"kept".parse().unwrap(), &"theirs".parse().unwrap())
    );
    assert_eq!(seen.get_all("x-amz-meta-a").iter().count(), 2);
    assert_eq!(answer.headers.get("connection"), None);

    let delete = request(Method::DELETE, "/bkt/k", &[]).body(empty()).unwrap();
    assert_eq!(house.call(delete).await.status, 204);
    let seen = house.front.last().head.headers;
    assert_eq!(seen.get("content-length"), None);
    assert!(seen["x-amz-content-sha256"].to_str().unwrap().starts_with("e3b0c442"));
}

#[tokio::test]
async fn many_short_headers_come_back() {
    let house = House::new().await;
    let mut put = request(Method::PUT, "/bkt/k", &[("content-length", "4")]).body(full("body")).unwrap();
    for number in 0..300 {
        let name = http::HeaderName::try_from(format!("x-amz-meta-{number:03}")).unwrap();
        put.headers_mut().insert(name, "1".parse().unwrap());
    }
    assert_eq!(house.call(put).await.status, 200);
    let got = house.call(request(Method::GET, "/bkt/k", &[]).body(empty()).unwrap()).await;
    assert_eq!(got.headers.iter().filter(|(name, _)| name.as_str().starts_with("x-amz-meta-")).count(), 300);
}

/// A body of `bytes` with a CRC32 after it.
fn late(bytes: bytes::Bytes, crc32: &str) -> Body {
    use http_body_util::{BodyExt, StreamBody};
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-amz-checksum-crc32", crc32.parse().unwrap());
    let frames: Vec<_> = bytes
        .chunks(100_000)
        .map(|piece| http_body::Frame::data(bytes::Bytes::copy_from_slice(piece)))
        .chain([http_body::Frame::trailers(trailers)])
        .map(Ok)
        .collect();
    StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync()
}

#[tokio::test]
async fn late_checksums_are_passed_on_or_checked() {
    use dialect::checksum::{Algorithm, Checksum};
    let crc = |bytes: &[u8]| Checksum::of(Algorithm::Crc32, bytes).to_base64();
    for trailers in [false, true] {
        let house = House::able(Capabilities { trailers, ..super::super::UNPROVEN }).await;
        for length in [0, 1, 9, 262_143, 262_144, 262_145, 524_288, 1_500_000] {
            let bytes = noise(length, 3);
            for right in [true, false] {
                let sum = if right { crc(&bytes) } else { crc(b"another body") };
                let headers = [
                    ("content-length", &*length.to_string()),
                    ("x-amz-trailer", "x-amz-checksum-crc32"),
                    ("x-amz-sdk-checksum-algorithm", "CRC32"),
                    ("content-encoding", "gzip"),
                ];
                let target = format!("/bkt/{length}-{right}");
                let put = request(Method::PUT, &target, &headers).body(late(bytes.clone(), &sum)).unwrap();
                let put = house.call(put).await;
                let got = house.call(request(Method::GET, &target, &[]).body(empty()).unwrap()).await;
                if right {
                    assert_eq!(put.status, 200, "{length} {}", put.text());
                    assert!(got.body == bytes);
                    assert_eq!(got.header("content-encoding"), "gzip");
                } else {
                    assert_eq!(put.element("Code"), "BadDigest", "{length} {trailers}");
                    assert_eq!(got.status, 404);
                }
            }
        }
    }
}

#[tokio::test]
async fn late_checksums_that_cannot_be_passed_on_are_not_dropped() {
    use dialect::checksum::{Algorithm, Checksum};
    let house = House::able(Capabilities { trailers: true, ..super::super::UNPROVEN }).await;
    let bytes = noise(9, 3);
    let right = Checksum::of(Algorithm::Crc32, &bytes).to_base64();
    for (announced, crc32, code) in [
        ("x-amz-checksum-crc32,x-other", &*right, ""),
        ("x-amz-checksum-crc32,x-other", "AAAAAA==", "BadDigest"),
        ("x-amz-checksum-sha512", &right, "InvalidRequest"),
        ("x-amz-checksum-xxhash64", &right, "InvalidRequest"),
        ("x-amz-checksum-crc32,x-amz-checksum-sha256", &right, "InvalidRequest"),
    ] {
        let headers = [("content-length", "9"), ("x-amz-trailer", announced)];
        let put = request(Method::PUT, "/bkt/k", &headers).body(late(bytes.clone(), crc32)).unwrap();
        let put = house.call(put).await;
        let delete = request(Method::DELETE, "/bkt/k", &[]).body(empty()).unwrap();
        let got = house.call(request(Method::GET, "/bkt/k", &[]).body(empty()).unwrap()).await;
        assert_eq!((put.element("Code"), got.status == 200), (code, code.is_empty()), "{announced}");
        house.call(delete).await;
    }
}

#[tokio::test]
async fn checksums_in_headers_are_checked_for_a_store_that_may_not() {
    let house = House::new().await;
    let headers = [("content-length", "4"), ("x-amz-checksum-crc32", "AAAAAA==")];
    let before = house.front.last();
    let put = request(Method::PUT, "/bkt/k", &headers).body(full("body")).unwrap();
    let put = house.call(put).await;
    assert_eq!((put.status.as_u16(), put.element("Code")), (400, "BadDigest"));
    assert_eq!(house.front.last().head.uri, before.head.uri, "the store has taken it");
}
