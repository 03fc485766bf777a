//! What clients see, request by request.

use http::Method;

use super::{Fixture, RESERVED};
use crate::conformance::client::noise;

#[tokio::test]
async fn conditions_and_ranges() {
    let fixture = Fixture::new().await;
    let client = &fixture.client;
    let put = client.put("/bkt/k", &[], "0123456789").await;
    let etag = put.header("etag").to_owned();
    assert_eq!(etag, "\"781e5e245d69b566979b86e28d23f2c7\"");
    let other = "\"d41d8cd98f00b204e9800998ecf8427e\"";
    for (method, headers, status, body) in [
        (Method::GET, &[("range", "bytes=2-4")][..], 206, "234"),
        (Method::GET, &[("range", "bytes=-2")], 206, "89"),
        (Method::GET, &[("range", "bytes=10-")], 416, ""),
        (Method::HEAD, &[("range", "bytes=2-4")], 206, ""),
        (Method::GET, &[("if-match", &*etag)], 200, "0123456789"),
        (Method::GET, &[("if-match", other)], 412, ""),
        (Method::GET, &[("if-none-match", &*etag)], 304, ""),
        (Method::HEAD, &[("if-none-match", &*etag)], 304, ""),
        (Method::GET, &[("if-modified-since", "Fri, 21 Dec 2012 00:00:00 GMT")], 200, "0123456789"),
        (Method::GET, &[("if-unmodified-since", "Fri, 21 Dec 2012 00:00:00 GMT")], 412, ""),
        (Method::GET, &[("if-match", other), ("range", "bytes=99-")], 412, ""),
        (Method::PUT, &[("if-match", other)], 412, ""),
        (Method::PUT, &[("if-none-match", "*")], 412, ""),
        (Method::DELETE, &[("if-match", other)], 412, ""),
    ] {
        let answer = client.send(method.clone(), "/bkt/k", headers, "").await;
        assert_eq!(answer.status.as_u16(), status, "{method} {headers:?}");
        if status < 400 {
            assert_eq!(answer.text(), body, "{method} {headers:?}");
        }
    }
    let part = client.get("/bkt/k", &[("range", "bytes=2-4")]).await;
    assert_eq!((part.header("content-range"), part.header("content-length")), ("bytes 2-4/10", "3"));
    let beyond = client.get("/bkt/k", &[("range", "bytes=10-")]).await;
    assert_eq!(beyond.element("ActualObjectSize"), "10");
    assert_eq!(client.put("/bkt/new", &[("if-match", &etag)], "x").await.element("Code"), "NoSuchKey");
    assert_eq!(client.get("/bkt/k?partNumber=1", &[]).await.status, 206);
    assert_eq!(client.get("/bkt/k?partNumber=2", &[]).await.element("Code"), "InvalidPartNumber");
    let shown = client.get("/bkt/k?response-content-type=text/x", &[]).await;
    assert_eq!((shown.header("content-type"), shown.header("accept-ranges")), ("text/x", "bytes"));
}

#[tokio::test]
async fn what_is_not_offered_is_no_other_operation() {
    let fixture = Fixture::new().await;
    let client = &fixture.client;
    client.put("/bkt/k", &[], "kept").await;
    for (method, target) in [
        (Method::PUT, "/bkt/k?retention"),
        (Method::DELETE, "/bkt?tagging"),
        (Method::DELETE, "/bkt/k?unheard"),
        (Method::DELETE, "/bkt?unheard"),
        (Method::GET, "/bkt?lifecycle"),
        (Method::POST, "/bkt/k?restore"),
        (Method::POST, "/bkt"),
    ] {
        let answer = client.send(method.clone(), target, &[], "").await;
        assert_eq!(
            (answer.status.as_u16(), answer.element("Code")),
            (501, "NotImplemented"),
            "{method} {target}"
        );
    }
    let select = client.send(Method::POST, "/bkt/k?select&select-type=2", &[], "").await;
    assert_eq!((select.status.as_u16(), select.element("Code")), (405, "MethodNotAllowed"));
    for header in ["x-amz-server-side-encryption", "x-amz-object-lock-mode"] {
        let answer = client.put("/bkt/k", &[(header, "v")], "lost").await;
        assert_eq!((answer.status.as_u16(), answer.element("Header")), (501, header));
    }
    assert_eq!(client.get("/bkt/k", &[]).await.text(), "kept");
    assert_eq!(client.get("/bkt/k?tagging", &[]).await.element("TagSet"), "");
    assert_eq!(client.get("/bkt?location", &[]).await.status, 200);
    assert_eq!(client.get("/bkt?versioning", &[]).await.status, 200);
}

#[tokio::test]
async fn copies() {
    let fixture = Fixture::new().await;
    let client = &fixture.client;
    let headers =
        [("x-amz-meta-a", "1"), ("content-type", "text/plain"), ("x-amz-storage-class", "STANDARD_IA")];
    let bytes = noise(100_000, 3);
    client.put("/bkt/source%20key", &headers, bytes.clone()).await;
    let from = ("x-amz-copy-source", "/bkt/source%20key");
    let done = client.put("/bkt/copy", &[from], "").await;
    assert_eq!(done.status, 200, "{}", done.text());
    let copy = client.get("/bkt/copy", &[]).await;
    assert!(copy.body == bytes);
    assert_eq!(format!("&quot;{}&quot;", copy.header("etag").trim_matches('"')), done.element("ETag"));
    assert_eq!((copy.header("x-amz-meta-a"), copy.header("content-type")), ("1", "text/plain"));
    assert_eq!(copy.header("x-amz-storage-class"), "");

    let replace = ("x-amz-metadata-directive", "REPLACE");
    client.put("/bkt/copy", &[from, replace, ("x-amz-meta-b", "2")], "").await;
    let copy = client.get("/bkt/copy", &[]).await;
    assert_eq!((copy.header("x-amz-meta-a"), copy.header("x-amz-meta-b")), ("", "2"));

    let redirect = |target| ("x-amz-website-redirect-location", target);
    client.put("/bkt/moved", &[redirect("/here"), ("x-amz-meta-a", "1")], "x").await;
    let moved = ("x-amz-copy-source", "/bkt/moved");
    for (target, headers, expected) in [
        ("/bkt/copy", &[moved][..], ""),
        ("/bkt/copy", &[moved, redirect("/there")], "/there"),
        ("/bkt/moved", &[moved, redirect("/elsewhere")], "/elsewhere"),
    ] {
        assert_eq!(client.put(target, headers, "").await.status, 200);
        let copy = client.get(target, &[]).await;
        assert_eq!(
            (copy.header("x-amz-website-redirect-location"), copy.header("x-amz-meta-a")),
            (expected, "1")
        );
    }

    let itself = client.put("/bkt/source%20key", &[from], "").await;
    assert_eq!(itself.element("Code"), "InvalidRequest");
    let archived =
        client.put("/bkt/source%20key", &[from, replace, ("x-amz-storage-class", "DEEP_ARCHIVE")], "").await;
    assert_eq!(archived.status, 200);
    let head = client.send(Method::HEAD, "/bkt/source%20key", &[], "").await;
    assert_eq!(head.header("x-amz-storage-class"), "DEEP_ARCHIVE");

    let unmet = client.put("/bkt/copy", &[from, ("x-amz-copy-source-if-match", "\"x\"")], "").await;
    assert_eq!(unmet.element("Code"), "PreconditionFailed");
    let taken = client.put("/bkt/copy", &[from, ("if-none-match", "*")], "").await;
    assert_eq!(taken.element("Code"), "PreconditionFailed");
    for (source, code) in
        [("/bkt/none", "NoSuchKey"), ("/none/k", "NoSuchBucket"), ("/bkt", "InvalidArgument")]
    {
        assert_eq!(client.put("/bkt/c", &[("x-amz-copy-source", source)], "").await.element("Code"), code);
    }
}

#[tokio::test]
async fn attributes() {
    let fixture = Fixture::new().await;
    let client = &fixture.client;
    client.set_versioning("bkt", "Enabled").await;
    let put = client.put("/bkt/k", &[("x-amz-storage-class", "STANDARD_IA")], "x").await;
    let version = put.header("x-amz-version-id");
    let gone = client.send(Method::DELETE, "/bkt/k", &[], "").await;
    let asked = [("x-amz-object-attributes", "ETag,StorageClass,ObjectParts,ObjectSize")];
    let told = client.get(&format!("/bkt/k?attributes&versionId={version}"), &asked).await;
    assert_eq!((told.header("x-amz-version-id"), told.header("last-modified").len()), (version, 29));
    assert_eq!(
        (told.element("ETag"), told.element("StorageClass"), told.element("ObjectSize")),
        (put.header("etag").trim_matches('"'), "STANDARD_IA", "1")
    );
    assert!(!told.text().contains("ObjectParts"));
    assert_eq!(client.get("/bkt/k?attributes", &asked).await.element("Code"), "NoSuchKey");
    let marker = format!("/bkt/k?attributes&versionId={}", gone.header("x-amz-version-id"));
    assert_eq!(client.get(&marker, &asked).await.status, 405);
    assert_eq!(client.get(&marker, &[]).await.element("Code"), "InvalidRequest");
}

#[tokio::test]
async fn many_deletions_at_once() {
    let fixture = Fixture::new().await;
    let client = &fixture.client;
    for key in ["a", "b", "c"] {
        client.put(&format!("/bkt/{key}"), &[], "x").await;
    }
    let body = "<Delete><Object><Key>a</Key></Object><Object><Key>missing</Key></Object>\
                <Object><Key>b</Key><ETag>other</ETag></Object></Delete>";
    let answer = client.send(Method::POST, "/bkt?delete", &[], body).await;
    assert_eq!(answer.text().matches("<Deleted>").count(), 2, "{}", answer.text());
    assert_eq!(
        answer.element("Error"),
        "<Key>b</Key><Code>PreconditionFailed</Code><Message>At least one of the pre-conditions you specified did not hold</Message>"
    );
    assert_eq!(client.get("/bkt/a", &[]).await.status, 404);
    assert_eq!(client.get("/bkt/b", &[]).await.status, 200);
    let wrong =
        client.send(Method::POST, "/bkt?delete", &[("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")], body).await;
    assert_eq!(wrong.element("Code"), "BadDigest");
}

#[tokio::test]
async fn the_reserved_bucket_is_not_there_for_clients() {
    let fixture = Fixture::new().await;
    let client = &fixture.client;
    for (method, target) in [
        (Method::GET, format!("/{RESERVED}?list-type=2")),
        (Method::PUT, format!("/{RESERVED}/00/k")),
        (Method::PUT, format!("/{RESERVED}")),
        (Method::DELETE, format!("/{RESERVED}")),
        (Method::GET, format!("/{}/catalog", RESERVED.replace('t', "%74"))),
    ] {
        let answer = client.send(method.clone(), &target, &[], "").await;
        assert_eq!(
            (answer.status.as_u16(), answer.element("Code")),
            (404, "NoSuchBucket"),
            "{method} {target}"
        );
    }
    let source = format!("{RESERVED}/catalog");
    let copied = client.put("/bkt/k", &[("x-amz-copy-source", &source)], "").await;
    assert_eq!(copied.element("Code"), "NoSuchBucket");
    let listed = client.get("/", &[]).await;
    assert!(
        listed.text().contains("<Name>bkt</Name>") && !listed.text().contains(RESERVED),
        "{}",
        listed.text()
    );
    assert_eq!(listed.header("content-length"), listed.body.len().to_string());
}
