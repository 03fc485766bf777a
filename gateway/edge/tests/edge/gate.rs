//! Who gets in, and with which bytes.

use bytes::Bytes;
use dialect::sigv4::{PayloadToken, Secret, Signer};
use http::{HeaderMap, Method, Request};
use sha2::{Digest, Sha256};

use crate::world::{KEY_ID, World};

#[tokio::test]
async fn plain_requests_go_through() {
    let world = World::new().await;
    world.put("a//b/../c", b"hello").await;
    let answer = world.ask("GET", "/bkt/a//b/../c", &[], b"").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "hello"));
    assert_eq!(answer.header("x-amz-meta-color"), Some("red"));
    assert_eq!(answer.header("etag"), Some("\"5d41402abc4b2a76b9719d911017c592\""));
    let answer = world.ask("GET", "/bkt/a//b/../c", &[("range", "bytes=1-2")], b"").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (206, "el"));
    assert_eq!(world.ask("HEAD", "/bkt/nothing", &[], b"").await.status, 404);
    assert_eq!(world.ask("GET", "/bkt/nothing", &[], b"").await.code(), "NoSuchKey");
    assert_eq!(world.ask("DELETE", "/bkt/a//b/../c", &[], b"").await.status, 204);
    assert_eq!(world.ask("GET", "/bkt?policy", &[], b"").await.code(), "NotImplemented");
    assert_eq!(world.ask("GET", "/bkt?unheard", &[], b"").await.code(), "NotImplemented");
}

#[tokio::test]
async fn a_connection_takes_out_nothing_that_says_what_is_asked_for() {
    let world = World::new().await;
    let headers = [
        ("connection", "close, x-amz-meta-hop"),
        ("x-amz-meta-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("x-amz-meta-kept", "2"),
    ];
    assert_eq!(world.ask("PUT", "/bkt/key", &headers, b"x").await.status, 200);
    let head = world.ask("HEAD", "/bkt/key", &[], b"").await;
    assert_eq!((head.header("x-amz-meta-hop"), head.header("x-amz-meta-kept")), (Some("1"), Some("2")));
}

#[tokio::test]
async fn strangers_are_refused() {
    let world = World::new().await;
    world.put("key", b"x").await;
    let anonymous = Request::get("/bkt/key").header("host", "gateway").body(Bytes::new()).unwrap();
    assert_eq!(world.send(anonymous).await.code(), "AccessDenied");

    let forged = |id: &str| {
        let signer = Signer::new(id, Secret::new("wrong"), "us-east-1");
        let (mut parts, ()) =
            Request::get("/bkt/key").header("host", "gateway").body(()).unwrap().into_parts();
        signer.sign(&mut parts, &PayloadToken::Unsigned, edge_now(&world)).unwrap();
        Request::from_parts(parts, Bytes::new())
    };
    let answer = world.send(forged(KEY_ID)).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (403, "SignatureDoesNotMatch"));
    assert!(
        answer
            .text()
            .contains("<AWSAccessKeyId>AKIDEXAMPLE</AWSAccessKeyId><StringToSign>AWS4-HMAC-SHA256\n")
    );
    let id = answer.header("x-amz-request-id").unwrap();
    let end = format!(
        "<RequestId>{id}</RequestId><HostId>{}</HostId></Error>",
        answer.header("x-amz-id-2").unwrap()
    );
    assert!(answer.text().ends_with(&end), "{}", answer.text());
    assert_eq!(world.send(forged("NOBODY")).await.code(), "InvalidAccessKeyId");
}

fn edge_now(world: &World) -> model::Timestamp {
    use model::clock::Clock;
    world.clock.now()
}

#[tokio::test]
async fn old_requests_are_refused() {
    let world = World::new().await;
    let request = world.request("GET", "/bkt", &[], b"");
    world.clock.advance(901);
    let answer = world.send(request).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (403, "RequestTimeTooSkewed"));
}

#[tokio::test]
async fn a_body_must_be_what_was_signed() {
    let world = World::new().await;
    let with_body = |body: &'static [u8]| {
        let request = world.request("PUT", "/bkt/key", &[], b"right");
        request.map(|_| Bytes::from_static(body))
    };
    assert_eq!(world.send(with_body(b"wrong")).await.code(), "XAmzContentSHA256Mismatch");
    assert_eq!(world.send(with_body(b"righ")).await.code(), "IncompleteBody");
    assert_eq!(world.send(with_body(b"right!")).await.status, 400);
    let md5 = world.ask("PUT", "/bkt/key", &[("content-md5", "XUFAKrxLKna5cZ2REBfFkg==")], b"hullo").await;
    assert_eq!(md5.code(), "BadDigest");
    let restore =
        world.ask("POST", "/bkt?delete", &[("x-amz-checksum-crc32", "AAAAAA==")], b"<Delete/>").await;
    assert_eq!(restore.code(), "BadDigest");
    assert_eq!(world.ask("HEAD", "/bkt/key", &[], b"").await.status, 404, "nothing of it became an object");
    assert_eq!(world.send(with_body(b"right")).await.status, 200);
}

/// A PUT of one signed chunk and a signed trailer.
fn chunked(world: &World, data: &[u8], spoil: Option<&str>) -> Request<Bytes> {
    let request = Request::put("/bkt/chunked")
        .header("host", "gateway")
        .header("content-encoding", "aws-chunked,gzip")
        .header("x-amz-decoded-content-length", data.len())
        .header("x-amz-trailer", "x-amz-checksum-sha256")
        .body(())
        .unwrap();
    let (mut parts, ()) = request.into_parts();
    let token = PayloadToken::StreamingSigned { trailer: true };
    let mut chain = world.signer.sign(&mut parts, &token, edge_now(world)).unwrap();
    let checksum = dialect::checksum::Checksum::of(dialect::checksum::Algorithm::Sha256, data).to_base64();
    let first = chain.sign_chunk(Sha256::digest(data).into()).as_str().to_owned();
    let last = chain.sign_chunk(Sha256::digest(b"").into()).as_str().to_owned();
    let trailer = chain.sign_trailer(&format!("x-amz-checksum-sha256:{checksum}\n")).as_str().to_owned();
    let mut body = format!("{:x};chunk-signature={first}\r\n", data.len()).into_bytes();
    body.extend_from_slice(data);
    body.extend_from_slice(
        format!(
            "\r\n0;chunk-signature={last}\r\nx-amz-checksum-sha256:{checksum}\r\nx-amz-trailer-signature:{trailer}\r\n\r\n"
        )
        .as_bytes(),
    );
    match spoil {
        Some("cut") => body.truncate(body.len() / 2),
        Some(_) => {
            let at = body.windows(data.len()).position(|window| window == data).unwrap();
            body[at] ^= 1;
        }
        None => {}
    }
    Request::from_parts(parts, Bytes::from(body))
}

#[tokio::test]
async fn chunks_are_deframed_and_their_signatures_checked() {
    let world = World::new().await;
    let data = vec![b'x'; 100_000];
    assert_eq!(world.send(chunked(&world, &data, Some("flip"))).await.code(), "SignatureDoesNotMatch");
    assert_eq!(world.send(chunked(&world, &data, Some("cut"))).await.code(), "IncompleteBody");
    assert_eq!(world.ask("HEAD", "/bkt/chunked", &[], b"").await.status, 404);
    let answer = world.send(chunked(&world, &data, None)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.headers.contains_key("x-amz-checksum-sha256"), "the trailer reached the store");
    let answer = world.ask("GET", "/bkt/chunked", &[], b"").await;
    assert_eq!(answer.body, data);
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
}

#[tokio::test]
async fn presigned_urls_work() {
    let world = World::new().await;
    world.put("key", b"hello").await;
    let url = |method: Method, uri: &str, seconds| {
        let uri = uri.parse().unwrap();
        world.signer.presign(&method, &uri, &HeaderMap::new(), seconds, edge_now(&world)).unwrap()
    };
    let get = url(Method::GET, "http://gateway/bkt/key?response-content-type=text%2Fplain", 60);
    let target = get.strip_prefix("http://gateway").unwrap().to_owned();
    let request = || Request::get(&target).header("host", "gateway").body(Bytes::new()).unwrap();
    let answer = world.send(request()).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "hello"));
    assert_eq!(answer.header("content-type"), Some("text/plain"));
    world.clock.advance(61);
    let answer = world.send(request()).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (403, "AccessDenied"));
    assert!(answer.text().contains("<Message>Request has expired</Message>"));
}

#[tokio::test]
async fn the_reserved_header_is_not_the_clients() {
    let world = World::new().await;
    let answer = world.ask("PUT", "/bkt/key", &[("x-amz-meta-tapegate", "v1;whole;x")], b"x").await;
    assert_eq!((answer.status.as_u16(), answer.code()), (400, "InvalidRequest"));
    assert!(answer.text().contains("x-amz-meta-tapegate"));
    let answer = world.ask("PUT", "/bkt/key?X-Amz-Meta-Tape%67ate=v1", &[], b"x").await;
    assert_eq!((answer.status.as_u16(), answer.code()), (400, "InvalidRequest"), "nor in a query");
    let uri = "http://gateway/bkt/key?X-Amz-Meta-Tapegate=v1".parse().unwrap();
    let url = world.signer.presign(&Method::PUT, &uri, &HeaderMap::new(), 60, edge_now(&world)).unwrap();
    let target = url.strip_prefix("http://gateway").unwrap();
    let request = Request::put(target).header("host", "gateway").header("content-length", "1");
    let answer = world.send(request.body(Bytes::from_static(b"x")).unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (400, "InvalidRequest"));
}

#[tokio::test]
async fn bodies_have_a_length_and_a_bound() {
    let world = World::new().await;
    let mut request = Request::put("/bkt/key").header("host", "gateway").body(()).unwrap().into_parts().0;
    world.signer.sign(&mut request, &PayloadToken::Unsigned, edge_now(&world)).unwrap();
    let answer = world.send(Request::from_parts(request, Bytes::from_static(b"x"))).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (411, "MissingContentLength"));
    let huge = world.request("PUT", "/bkt/key", &[("x-note", "y")], b"");
    let (mut parts, body) = huge.into_parts();
    parts.headers.insert("content-length", (5_u64 * (1 << 30) + 1).into());
    world.signer.sign(&mut parts, &PayloadToken::Unsigned, edge_now(&world)).unwrap();
    assert_eq!(world.send(Request::from_parts(parts, body)).await.code(), "EntityTooLarge");
    assert_eq!(
        world.ask("GET", "/bkt/key", &[("x-amz-expected-bucket-owner", "me")], b"").await.code(),
        "InvalidBucketOwnerAWSAccountID"
    );
}
