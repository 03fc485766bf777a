//! Tags, from every operation that sets them.

use http::Method;

use super::Fixture;
use crate::conformance::client::noise;

fn tagging(pairs: &[(&str, &str)]) -> String {
    let tag = |(key, value): &(&str, &str)| format!("<Tag><Key>{key}</Key><Value>{value}</Value></Tag>");
    format!("<Tagging><TagSet>{}</TagSet></Tagging>", pairs.iter().map(tag).collect::<String>())
}

#[tokio::test]
async fn tags_change_nothing_else() {
    let fixture = Fixture::new().await;
    let client = &fixture.client;
    client.put("/bkt/k", &[("x-amz-tagging", "b=2&a=1%2B1"), ("x-amz-meta-m", "v")], "x").await;
    let before = client.get("/bkt/k", &[]).await;
    assert_eq!(before.header("x-amz-tagging-count"), "2");
    let set = client.get("/bkt/k?tagging", &[]).await;
    let expected = "<Tag><Key>a</Key><Value>1+1</Value></Tag><Tag><Key>b</Key><Value>2</Value></Tag>";
    assert_eq!(set.element("TagSet"), expected);

    assert_eq!(client.put("/bkt/k?tagging", &[], tagging(&[("c", "")])).await.status, 200);
    let set = client.get("/bkt/k?tagging", &[]).await;
    assert_eq!(set.element("TagSet"), "<Tag><Key>c</Key><Value></Value></Tag>");
    let fixture = fixture.reopen().await;
    let client = &fixture.client;
    let after = client.send(Method::HEAD, "/bkt/k", &[], "").await;
    for name in ["etag", "last-modified", "x-amz-meta-m"] {
        assert_eq!(after.header(name), before.header(name));
    }
    assert_eq!(after.header("x-amz-tagging-count"), "1");
    assert_eq!(client.send(Method::DELETE, "/bkt/k?tagging", &[], "").await.status, 204);
    assert_eq!(client.get("/bkt/k?tagging", &[]).await.element("TagSet"), "");
    assert_eq!(client.get("/bkt/k", &[]).await.header("x-amz-tagging-count"), "");
}

#[tokio::test]
async fn tags_are_bounded() {
    let fixture = Fixture::new().await;
    let client = &fixture.client;
    client.put("/bkt/k", &[("x-amz-tagging", "kept=1")], "x").await;
    let (key, value) = ("k".repeat(129), "v".repeat(257));
    let names: Vec<String> = (0..11).map(|number| format!("k{number}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    for (body, code) in [
        (tagging(&many), "BadRequest"),
        (tagging(&[("a", "1"), ("a", "2")]), "InvalidTag"),
        (tagging(&[(&key, "")]), "InvalidTag"),
        (tagging(&[("a", &value)]), "InvalidTag"),
        ("<Tagging/>".to_owned(), "MalformedXML"),
        (String::new(), "MalformedXML"),
    ] {
        assert_eq!(client.put("/bkt/k?tagging", &[], body.clone()).await.element("Code"), code, "{body}");
    }
    assert_eq!(client.put("/bkt/k?tagging", &[], tagging(&many[..10])).await.status, 200);
    for (header, code) in [("a=1&a=2", "InvalidArgument"), (&format!("{key}=1"), "InvalidTag")] {
        assert_eq!(client.put("/bkt/new", &[("x-amz-tagging", header)], "x").await.element("Code"), code);
    }
    assert_eq!(client.get("/bkt/new", &[]).await.status, 404);
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(client.send(method, "/bkt/none?tagging", &[], "").await.element("Code"), "NoSuchKey");
    }
    let wrong = [("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")];
    assert_eq!(client.put("/bkt/k?tagging", &wrong, tagging(&[])).await.element("Code"), "BadDigest");
}

#[tokio::test]
async fn copies_and_uploads_have_tags() {
    let fixture = Fixture::new().await;
    let client = &fixture.client;
    client.put("/bkt/k", &[("x-amz-tagging", "of=source")], "x").await;
    let from = ("x-amz-copy-source", "/bkt/k");
    let own = ("x-amz-tagging", "of=copy");
    let directive = |value| ("x-amz-tagging-directive", value);
    let tags = |target: &'static str| async move {
        client.get(&format!("{target}?tagging"), &[]).await.element("Value").to_owned()
    };
    for (headers, expected) in [
        (&[from][..], "source"),
        (&[from, own], "source"),
        (&[from, directive("COPY")], "source"),
        (&[from, own, directive("REPLACE")], "copy"),
        (&[from, directive("REPLACE")], ""),
    ] {
        assert_eq!(client.put("/bkt/c", headers, "").await.status, 200);
        assert_eq!(tags("/bkt/c").await, expected, "{headers:?}");
    }
    let wrong = client.put("/bkt/c", &[from, directive("KEEP")], "").await;
    assert_eq!(wrong.element("Code"), "InvalidArgument");
    client.multipart("/bkt/m", &[own], &[noise(9, 2)]).await;
    assert_eq!(tags("/bkt/m").await, "copy");
}

#[tokio::test]
async fn every_version_has_its_own_tags() {
    let fixture = Fixture::new().await;
    let client = &fixture.client;
    client.set_versioning("bkt", "Enabled").await;
    let old = client.put("/bkt/k", &[("x-amz-tagging", "v=1")], "1").await;
    let old = old.header("x-amz-version-id");
    client.put("/bkt/k", &[], "2").await;
    let named = format!("/bkt/k?tagging&versionId={old}");
    assert_eq!(client.get(&named, &[]).await.element("Value"), "1");
    let set = client.put(&named, &[], tagging(&[("v", "one")])).await;
    assert_eq!((set.status.as_u16(), set.header("x-amz-version-id")), (200, old));
    assert_eq!(client.get(&named, &[]).await.element("Value"), "one");
    assert_eq!(client.get("/bkt/k?tagging", &[]).await.element("TagSet"), "");
    assert_eq!(client.get("/bkt/k", &[]).await.text(), "2", "the current version stays current");
    let marker = client.send(Method::DELETE, "/bkt/k", &[], "").await;
    let named = format!("/bkt/k?tagging&versionId={}", marker.header("x-amz-version-id"));
    assert_eq!(client.put(&named, &[], tagging(&[])).await.status, 405);
    assert_eq!(client.get("/bkt/k?tagging&versionId=other", &[]).await.element("Code"), "NoSuchVersion");
}
