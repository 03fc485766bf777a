//! Multipart uploads.

use bytes::Bytes;
use dialect::checksum::{Algorithm, Checksum};
use http::Method;

use super::Fixture;
use crate::conformance::client::{Client, noise};

const MIB: usize = 1 << 20;

async fn begin(client: &Client, headers: &[(&str, &str)]) -> String {
    let begun = client.send(Method::POST, "/bkt/k?uploads", headers, "").await;
    assert_eq!(begun.status, 200, "{}", begun.text());
    begun.element("UploadId").to_owned()
}

async fn part(client: &Client, upload: &str, number: u32, headers: &[(&str, &str)], bytes: Bytes) -> String {
    let sent = client.put(&format!("/bkt/k?partNumber={number}&uploadId={upload}"), headers, bytes).await;
    assert_eq!(sent.status, 200, "{}", sent.text());
    sent.header("etag").to_owned()
}

fn list(parts: &[(u32, &str, &str)]) -> String {
    let line = |(number, etag, more): &(u32, &str, &str)| {
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag>{more}</Part>")
    };
    let lines: String = parts.iter().map(line).collect();
    format!("<CompleteMultipartUpload>{lines}</CompleteMultipartUpload>")
}

#[tokio::test]
async fn a_completion_is_checked_and_repeatable() {
    let fixture = Fixture::new().await;
    let client = &fixture.client;
    let upload = begin(client, &[("x-amz-meta-m", "1"), ("x-amz-storage-class", "STANDARD_IA")]).await;
    let complete = format!("/bkt/k?uploadId={upload}");
    let first = noise(5 * MIB, 1);
    let one = part(client, &upload, 1, &[], first.clone()).await;
    let replaced = part(client, &upload, 2, &[], noise(100_000, 8)).await;
    let two = part(client, &upload, 2, &[], noise(20_000, 2)).await;
    let three = part(client, &upload, 7, &[], noise(10, 3)).await;
    let unused = part(client, &upload, 9, &[], noise(30_000, 4)).await;
    fixture.swept_to(3).await;
    let parts = client.get(&format!("/bkt/k?uploadId={upload}&max-parts=2"), &[]).await;
    assert_eq!(parts.text().matches("<Part>").count(), 2);
    assert_eq!((parts.element("IsTruncated"), parts.element("NextPartNumberMarker")), ("true", "2"));
    let uploads = client.get("/bkt?uploads&prefix=k", &[]).await;
    assert_eq!(uploads.element("UploadId"), upload);

    for (body, code) in [
        (list(&[(1, &one, ""), (2, &two, ""), (7, &three, "")]), "EntityTooSmall"),
        (list(&[(2, &two, ""), (1, &one, "")]), "InvalidPartOrder"),
        (list(&[(1, &one, ""), (3, &two, "")]), "InvalidPart"),
        (list(&[(1, &one, ""), (2, &replaced, "")]), "InvalidPart"),
        (list(&[]), "MalformedXML"),
        ("<x".to_owned(), "MalformedXML"),
    ] {
        let answer = client.send(Method::POST, &complete, &[], body.clone()).await;
        assert_eq!(answer.element("Code"), code, "{body}");
    }
    let body = list(&[(1, &one, ""), (7, &three, "")]);
    let size = ("x-amz-mp-object-size", "3");
    assert_eq!(
        client.send(Method::POST, &complete, &[size], body.clone()).await.element("Code"),
        "InvalidRequest"
    );
    let done = client.send(Method::POST, &complete, &[], body.clone()).await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(client.send(Method::POST, &complete, &[], body.clone()).await.text(), done.text());
    let whole = client.get("/bkt/k", &[("x-amz-checksum-mode", "ENABLED")]).await;
    let bytes = [first, noise(10, 3)].concat();
    assert!(whole.body == bytes);
    assert_eq!((whole.header("x-amz-meta-m"), whole.header("x-amz-storage-class")), ("1", "STANDARD_IA"));
    let crc = Checksum::of(Algorithm::Crc64Nvme, &bytes).to_base64();
    assert_eq!(
        (whole.header("x-amz-checksum-crc64nvme"), whole.header("x-amz-checksum-type")),
        (&*crc, "FULL_OBJECT")
    );
    let last = client.get("/bkt/k?partNumber=2", &[]).await;
    assert_eq!((last.status.as_u16(), last.body.len(), last.header("x-amz-mp-parts-count")), (206, 10, "2"));
    assert!(!unused.is_empty());
    fixture.swept_to(1).await;

    client.put("/bkt/k", &[], "new").await;
    assert_eq!(client.send(Method::POST, &complete, &[], body).await.element("Code"), "NoSuchUpload");
    fixture.swept_to(0).await;
}

#[tokio::test]
async fn checksums_of_parts_make_the_whole() {
    let fixture = Fixture::new().await;
    let client = &fixture.client;
    let (first, second) = (noise(5 * MIB, 1), noise(77, 2));
    for (kind, vouched) in [("COMPOSITE", true), ("FULL_OBJECT", false)] {
        let upload =
            begin(client, &[("x-amz-checksum-algorithm", "CRC32"), ("x-amz-checksum-type", kind)]).await;
        let complete = format!("/bkt/k?uploadId={upload}");
        let sum = |bytes: &Bytes| Checksum::of(Algorithm::Crc32, bytes);
        let one =
            part(client, &upload, 1, &[("x-amz-checksum-crc32", &sum(&first).to_base64())], first.clone())
                .await;
        let two = part(client, &upload, 2, &[], second.clone()).await;
        let wrong = client
            .put(
                &format!("/bkt/k?partNumber=3&uploadId={upload}"),
                &[("x-amz-checksum-sha1", "qZk+NkcGgWq6PiVxeFDCbJzQ2J0=")],
                "abc",
            )
            .await;
        assert_eq!(
            wrong.element("Message"),
            "Checksum Type mismatch occurred, expected checksum Type: crc32, actual checksum Type: sha1"
        );
        let element = |bytes: &Bytes| format!("<ChecksumCRC32>{}</ChecksumCRC32>", sum(bytes).to_base64());
        let bare = list(&[(1, &one, ""), (2, &two, "")]);
        if vouched {
            let refused = client.send(Method::POST, &complete, &[], bare.clone()).await;
            assert!(refused.element("Message").ends_with("It was missing for part 1 in the request."));
        }
        let swapped = list(&[(1, &one, &element(&second)), (2, &two, &element(&first))]);
        assert_eq!(client.send(Method::POST, &complete, &[], swapped).await.element("Code"), "BadDigest");
        let body =
            if vouched { list(&[(1, &one, &element(&first)), (2, &two, &element(&second))]) } else { bare };
        let done = client.send(Method::POST, &complete, &[], body).await;
        let expected = if vouched {
            let values = [sum(&first).as_bytes(), sum(&second).as_bytes()].concat();
            format!("{}-2", Checksum::of(Algorithm::Crc32, &values).to_base64())
        } else {
            sum(&[first.clone(), second.clone()].concat().into()).to_base64()
        };
        assert_eq!(
            (done.element("ChecksumCRC32"), done.element("ChecksumType")),
            (&*expected, kind),
            "{}",
            done.text()
        );
        let asked =
            [("x-amz-object-attributes", "Checksum,ObjectParts,ObjectSize"), ("x-amz-max-parts", "1")];
        let told = client.get("/bkt/k?attributes", &asked).await;
        let crc = format!("<ChecksumCRC32>{}</ChecksumCRC32>", expected.trim_end_matches("-2"));
        let checksum = format!("{crc}<ChecksumType>{kind}</ChecksumType>");
        assert_eq!((told.element("Checksum"), told.element("PartsCount")), (&*checksum, "2"));
        let part = format!("<PartNumber>1</PartNumber><Size>{}</Size>{}", 5 * MIB, element(&first));
        assert_eq!(told.element("Part"), if vouched { &part } else { "" });
        assert_eq!(told.element("ObjectSize"), (5 * MIB + 77).to_string());
    }
}

#[tokio::test]
async fn an_aborted_upload_leaves_nothing() {
    let fixture = Fixture::new().await;
    let client = &fixture.client;
    let upload = begin(client, &[]).await;
    part(client, &upload, 1, &[], noise(50_000, 1)).await;
    client.put("/bkt/source", &[], noise(60_000, 2)).await;
    let copy = [("x-amz-copy-source", "bkt/source"), ("x-amz-copy-source-range", "bytes=10-40009")];
    let copied = client.put(&format!("/bkt/k?partNumber=2&uploadId={upload}"), &copy, "").await;
    assert!(copied.text().contains("<CopyPartResult"), "{}", copied.text());
    let target = format!("/bkt/k?uploadId={upload}");
    assert_eq!(client.send(Method::DELETE, &target, &[], "").await.status, 204);
    assert_eq!(client.send(Method::DELETE, &target, &[], "").await.element("Code"), "NoSuchUpload");
    assert_eq!(client.get(&target, &[]).await.element("Code"), "NoSuchUpload");
    assert_eq!(client.put(&format!("{target}&partNumber=1"), &[], "x").await.element("Code"), "NoSuchUpload");
    assert_eq!(client.send(Method::DELETE, "/bkt/source", &[], "").await.status, 204);
    begin(client, &[]).await;
    assert_eq!(client.send(Method::DELETE, "/bkt", &[], "").await.status, 204);
    fixture.swept_to(0).await;
}
