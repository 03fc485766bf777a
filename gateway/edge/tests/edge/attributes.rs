//! GetObjectAttributes, user metadata a stub has no room for, and If-Range.

use model::TapeClass;

use crate::world::{World, large};

const ALL: (&str, &str) = ("x-amz-object-attributes", "ETag,Checksum,ObjectParts,StorageClass,ObjectSize");

#[tokio::test]
async fn attributes_are_those_of_the_object() {
    for remote in [false, true] {
        let world = World::with(remote, |_| {}).await;
        let created = world.ask("POST", "/bkt/parts?uploads", &[], b"").await;
        let upload = created.text().split_once("<UploadId>").unwrap().1.split_once('<').unwrap().0.to_owned();
        let part = format!("/bkt/parts?partNumber=1&uploadId={upload}");
        let etag = world.ask("PUT", &part, &[], &large()).await.header("etag").unwrap().to_owned();
        let body = format!(
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
        );
        let done = world.ask("POST", &format!("/bkt/parts?uploadId={upload}"), &[], body.as_bytes()).await;
        assert_eq!(done.status, 200, "{}", done.text());
        world.put("key", &large()).await;
        for key in ["key", "parts"] {
            let ask = async || world.ask("GET", &format!("/bkt/{key}?attributes"), &[ALL], b"").await;
            world.put("hot", b"x").await;
            let before = ask().await;
            assert_eq!(before.status, 200, "{}", before.text());
            world.archive(key, TapeClass::Glacier).await;
            let after = ask().await;
            assert_eq!(after.status, 200, "{}", after.text());
            assert_eq!(after.header("last-modified"), before.header("last-modified"));
            let text = after.text();
            assert!(
                text.contains("<StorageClass>GLACIER</StorageClass><ObjectSize>5000</ObjectSize>"),
                "{text}"
            );
            for element in ["ETag", "Checksum", "PartsCount"] {
                let of = |text: &str| {
                    text.split_once(&format!("<{element}>"))
                        .map(|(_, rest)| rest.split_once(&format!("</{element}>")).unwrap().0.to_owned())
                };
                assert_eq!(of(text), of(before.text()), "{element} of {key}");
            }
        }
        let none = world.ask("GET", "/bkt/key?attributes", &[], b"").await;
        assert_eq!(none.code(), "InvalidRequest");
        let missing = world.ask("GET", "/bkt/none?attributes", &[ALL], b"").await;
        assert_eq!(missing.code(), "NoSuchKey");
    }
}

#[tokio::test]
async fn metadata_without_room_on_the_stub_is_still_told_and_copied() {
    let world = World::with(true, |_| {}).await;
    let long = "v".repeat(2000);
    let headers = [("x-amz-meta-long", long.as_str()), ("content-type", "text/plain")];
    assert_eq!(world.ask("PUT", "/bkt/key", &headers, &large()).await.status, 200);
    let row = world.archive("key", TapeClass::Glacier).await;
    assert_eq!(row.displaced_metadata.len(), 1);
    let head = world.ask("HEAD", "/bkt/key", &[], b"").await;
    assert_eq!(
        (head.header("x-amz-meta-long"), head.header("content-type")),
        (Some(long.as_str()), Some("text/plain"))
    );
    world.restored(&row, &large(), 3600).await;
    assert_eq!(world.ask("GET", "/bkt/key", &[], b"").await.header("x-amz-meta-long"), Some(long.as_str()));
    let copied = world.ask("PUT", "/bkt/copy", &[("x-amz-copy-source", "/bkt/key")], b"").await;
    assert_eq!(copied.status, 200, "{}", copied.text());
    let copy = world.ask("HEAD", "/bkt/copy", &[], b"").await;
    assert_eq!(copy.header("x-amz-meta-long"), Some(long.as_str()));
}

#[tokio::test]
async fn tags_are_read_written_and_copied_through_the_stub() {
    for remote in [false, true] {
        let world = World::with(remote, |_| {}).await;
        assert_eq!(world.ask("PUT", "/bkt/key", &[("x-amz-tagging", "a=b")], &large()).await.status, 200);
        let row = world.archive("key", TapeClass::Glacier).await;
        let tags = async |key: &str| world.ask("GET", &format!("/bkt/{key}?tagging"), &[], b"").await;
        assert!(tags("key").await.text().contains("<Key>a</Key><Value>b</Value>"));
        world.restored(&row, &large(), 3600).await;
        let source = ("x-amz-copy-source", "/bkt/key");
        assert_eq!(world.ask("PUT", "/bkt/copy", &[source], b"").await.status, 200);
        assert!(tags("copy").await.text().contains("<Key>a</Key><Value>b</Value>"));
        let own = [source, ("x-amz-tagging-directive", "REPLACE"), ("x-amz-tagging", "c=d")];
        assert_eq!(world.ask("PUT", "/bkt/copy", &own, b"").await.status, 200);
        assert!(tags("copy").await.text().contains("<Key>c</Key><Value>d</Value>"));
        let set = "<Tagging><TagSet><Tag><Key>e</Key><Value>f</Value></Tag></TagSet></Tagging>";
        let md5 = dialect::checksum::Md5::of(set.as_bytes()).to_base64();
        let put = world.ask("PUT", "/bkt/key?tagging", &[("content-md5", &md5)], set.as_bytes()).await;
        assert_eq!(put.status, 200, "{}", put.text());
        assert!(tags("key").await.text().contains("<Key>e</Key><Value>f</Value>"));
        assert!(world.rows("key").await[0].touched);
    }
}

#[tokio::test]
async fn if_range_is_about_the_original() {
    let world = World::new().await;
    world.put("key", &large()).await;
    let etag = world.ask("HEAD", "/bkt/key", &[], b"").await.header("etag").unwrap().to_owned();
    let row = world.archive("key", TapeClass::Glacier).await;
    world.restored(&row, &large(), 3600).await;
    let ask = async |tag: &str| {
        world.ask("GET", "/bkt/key", &[("range", "bytes=0-9"), ("if-range", tag)], b"").await
    };
    assert_eq!(ask(&etag).await.body.len(), 10);
    let whole = ask("\"0\"").await;
    assert_eq!((whole.status.as_u16(), whole.body.len()), (200, 5000));
}
