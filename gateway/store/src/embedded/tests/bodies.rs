//! Bodies that are not what they were said to be: the exact answer, and nothing left behind.

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::Frame;
use http_body_util::StreamBody;
use model::{Body, BodyError};

use super::{Fixture, options};
use crate::conformance::client::{Answer, noise};
use crate::{EmbeddedStore, Options, S3Service, StoreFull};

type Frames = Vec<Result<Frame<Bytes>, BodyError>>;
/// The code of the answer, the headers, the body.
type Case<'a> = (&'a str, Vec<(&'a str, &'a str)>, Frames);

fn put(target: &str, headers: &[(&str, &str)], frames: Frames) -> Request<Body> {
    let body = StreamBody::new(futures_util::stream::iter(frames));
    let mut request = Request::put(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(http_body_util::BodyExt::boxed_unsync(body)).unwrap()
}

fn data(bytes: &Bytes) -> Frames {
    bytes.chunks(100_000).map(|piece| Ok(Frame::data(bytes.slice_ref(piece)))).collect()
}

fn trailer(value: &str) -> Result<Frame<Bytes>, BodyError> {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-amz-checksum-crc32", value.parse().unwrap());
    Ok(Frame::trailers(trailers))
}

fn broken(kind: std::io::ErrorKind) -> Result<Frame<Bytes>, BodyError> {
    Err(BodyError::Broken(kind.into()))
}

#[tokio::test]
async fn refusals_leave_nothing_behind() {
    let fixture = Fixture::new().await;
    for length in [100, 3_000_000] {
        let bytes = noise(length, 1);
        let announced = length.to_string();
        let more = (length + 1).to_string();
        let less = (length - 1).to_string();
        let cases: Vec<Case<'_>> = vec![
            ("BadDigest", vec![("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")], data(&bytes)),
            ("InvalidDigest", vec![("content-md5", "short")], data(&bytes)),
            ("BadDigest", vec![("x-amz-checksum-crc32", "NSRBwg==")], data(&bytes)),
            (
                "BadDigest",
                vec![("x-amz-checksum-sha256", "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=")],
                data(&bytes),
            ),
            ("InvalidRequest", vec![("x-amz-checksum-crc32", "nonsense")], data(&bytes)),
            (
                "BadDigest",
                vec![("x-amz-trailer", "x-amz-checksum-crc32")],
                [data(&bytes), vec![trailer("NSRBwg==")]].into_iter().flatten().collect(),
            ),
            ("InvalidRequest", vec![("x-amz-trailer", "x-amz-checksum-crc32")], data(&bytes)),
            ("IncompleteBody", vec![("content-length", &more)], data(&bytes)),
            ("IncompleteBody", vec![("content-length", &less)], data(&bytes)),
            (
                "IncompleteBody",
                vec![("content-length", &announced)],
                [data(&bytes), vec![broken(std::io::ErrorKind::ConnectionReset)]]
                    .into_iter()
                    .flatten()
                    .collect(),
            ),
            (
                "RequestTimeout",
                vec![],
                [data(&bytes), vec![broken(std::io::ErrorKind::TimedOut)]].into_iter().flatten().collect(),
            ),
            (
                "SignatureDoesNotMatch",
                vec![],
                [
                    data(&bytes),
                    vec![Err(BodyError::Refused {
                        code: "SignatureDoesNotMatch",
                        message: "no".into(),
                        extras: vec![],
                    })],
                ]
                .into_iter()
                .flatten()
                .collect(),
            ),
            ("EntityTooLarge", vec![("content-length", "5368709121")], data(&bytes)),
            ("InvalidStorageClass", vec![("x-amz-storage-class", "SNOW")], data(&bytes)),
        ];
        for (code, headers, frames) in cases {
            let answer = fixture.client.request(put("/bkt/k", &headers, frames)).await;
            assert_eq!(answer.element("Code"), code, "{headers:?} {}", answer.text());
            assert_eq!(fixture.client.get("/bkt/k", &[]).await.status, 404);
        }
    }
    assert_eq!(fixture.files("staging"), [""; 0]);
    assert_eq!(fixture.files("data"), [""; 0]);
}

#[tokio::test]
async fn checksums_are_kept_and_told() {
    let fixture = Fixture::new().await;
    let client = &fixture.client;
    let told = |answer: &Answer| {
        let pick = |name: &str| answer.header(name).to_owned();
        (pick("x-amz-checksum-crc32"), pick("x-amz-checksum-crc64nvme"), pick("x-amz-checksum-type"))
    };
    let abc = Bytes::from_static(b"abc");
    let frames: Frames = [data(&abc), vec![trailer("NSRBwg==")]].into_iter().flatten().collect();
    let crc32 = client.request(put("/bkt/t", &[("x-amz-trailer", "x-amz-checksum-crc32")], frames)).await;
    assert_eq!(told(&crc32), ("NSRBwg==".into(), "".into(), "FULL_OBJECT".into()));
    let default = client.put("/bkt/d", &[("content-md5", "kAFQmDzST7DWlj99KOF/cg==")], abc).await;
    assert_eq!(told(&default), ("".into(), "BeXKuz/B+us=".into(), "FULL_OBJECT".into()));
    let mode = ("x-amz-checksum-mode", "ENABLED");
    assert_eq!(told(&client.get("/bkt/t", &[mode]).await).0, "NSRBwg==");
    assert_eq!(told(&client.get("/bkt/t", &[]).await).0, "");
    assert_eq!(told(&client.get("/bkt/t", &[mode, ("range", "bytes=0-1")]).await).0, "");
}

#[tokio::test]
async fn metadata_is_bounded_and_the_reserved_header_does_not_count() {
    let fixture = Fixture::new().await;
    let long = "v".repeat(2048 - 1);
    let fits = [("x-amz-meta-n", &*long)];
    assert_eq!(fixture.client.put("/bkt/k", &fits, "x").await.status, 200);
    let reserved = [fits[0], ("x-amz-meta-tapegate", "v1;whole")];
    assert_eq!(fixture.client.put("/bkt/k", &reserved, "x").await.status, 200);
    let over = [fits[0], ("x-amz-meta-m", "")];
    assert_eq!(fixture.client.put("/bkt/k", &over, "x").await.element("Code"), "MetadataTooLarge");
}

#[tokio::test]
async fn a_dropped_request_leaves_nothing_behind() {
    let fixture = Fixture::new().await;
    let bytes = noise(2_500_000, 1);
    let endless = futures_util::StreamExt::chain(
        futures_util::stream::iter(data(&bytes)),
        futures_util::stream::pending(),
    );
    let body = http_body_util::BodyExt::boxed_unsync(StreamBody::new(endless));
    let request = Request::put("/bkt/k").body(body).unwrap();
    let call = fixture.client.store.call(request);
    let hung = tokio::time::timeout(std::time::Duration::from_millis(50), call).await;
    assert!(hung.is_err());
    let cleared = async {
        while !fixture.files("staging").is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), cleared).await.unwrap();
    assert_eq!(fixture.files("data"), [""; 0]);
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_loses_nothing() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.client.put("/bkt/k", &[], noise(50_000, 1)).await.status, 200);
    let Fixture { client, directory } = fixture;
    drop(client);
    let full = Options { reserve_bytes: u64::MAX, ..options(false) };
    let store = EmbeddedStore::open(directory.path(), full).unwrap();
    for length in [10, 50_000] {
        let bytes = noise(length, 2);
        let response = store.call(put("/bkt/k", &[], data(&bytes))).await.unwrap();
        assert!(response.extensions().get::<StoreFull>().is_some());
        let answer = Answer::of(response).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.element("Code")), (503, "ServiceUnavailable"));
        assert!(answer.element("Message").contains("disk is full"));
    }
    let get = Request::get("/bkt/k").body(model::body::empty()).unwrap();
    let answer = Answer::of(store.call(get).await.unwrap()).await.unwrap();
    assert!(answer.body == noise(50_000, 1));
    let delete = Request::delete("/bkt/k").body(model::body::empty()).unwrap();
    assert_eq!(store.call(delete).await.unwrap().status(), 204);
}
