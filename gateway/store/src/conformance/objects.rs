//! Buckets, bytes, pages, parts, conditions.

use http::Method;
use model::store::StoreError;
use model::{BucketName, ETag, Identity, ObjectKey};

use super::client::{Client, noise, object, whole};

pub(super) async fn buckets(client: &Client) {
    assert_eq!(client.store.buckets().await.unwrap(), []);
    client.bucket("beta").await;
    client.bucket("alpha").await;
    let names = client.store.buckets().await.unwrap();
    assert_eq!(names.iter().map(BucketName::as_str).collect::<Vec<_>>(), ["alpha", "beta"]);
    assert_eq!(client.put("/beta", &[], "").await.element("Code"), "BucketAlreadyOwnedByYou");
    assert_eq!(client.put("/beta/k", &[], "x").await.status, 200);
    assert_eq!(client.send(Method::DELETE, "/beta", &[], "").await.element("Code"), "BucketNotEmpty");
    assert_eq!(client.send(Method::DELETE, "/beta/k", &[], "").await.status, 204);
    for name in ["alpha", "beta"] {
        assert_eq!(client.send(Method::DELETE, &format!("/{name}"), &[], "").await.status, 204);
    }
    assert_eq!(client.send(Method::HEAD, "/beta", &[], "").await.status, 404);
    assert_eq!(client.put("/beta/k", &[], "x").await.element("Code"), "NoSuchBucket");
}

pub(super) async fn bytes_come_back(client: &Client) {
    let bucket = client.bucket("bytes").await;
    for (key, length) in
        [("empty", 0), ("tiny", 10), ("inline", 16 << 10), ("file", (16 << 10) + 1), ("large", 3 << 20)]
    {
        let bytes = noise(length, length as u64);
        let headers =
            [("x-amz-meta-color", "red"), ("content-type", "text/plain"), ("cache-control", "no-cache")];
        let put = client.put(&format!("/bytes/{key}"), &headers, bytes.clone()).await;
        assert_eq!(put.status, 200, "{}", put.text());
        let target = object(&bucket, key);
        let head = client.head(&target).await;
        assert_eq!(head.etag.quoted(), put.header("etag"));
        assert_eq!((head.size, head.marker), (length as u64, None));
        let header = |name: &str| {
            head.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
        };
        assert_eq!(header("x-amz-meta-color"), Some("red"));
        assert_eq!(header("content-type"), Some("text/plain"));
        assert!(
            head.checksums.iter().any(|(name, _)| name == "x-amz-checksum-crc64nvme"),
            "{:?}",
            head.checksums
        );
        let got = client.get(&format!("/bytes/{key}"), &[]).await;
        assert_eq!((got.status.as_u16(), &got.body), (200, &bytes));

        let size = length as u64;
        for range in [0..size, 0..size.min(1), size / 2..size, size..size] {
            let read = client.store.read(&target, &head.etag, range.clone()).await.unwrap();
            let expected = bytes.slice(range.start as usize..range.end as usize);
            assert_eq!(whole(read).await.unwrap(), expected, "{key} {range:?}");
        }
        let other = ETag::parse("other").unwrap();
        let changed = client.store.read(&target, &other, 0..size).await.map(drop);
        assert!(matches!(changed, Err(StoreError::Changed { .. })), "{changed:?}");
        assert_eq!(client.store.part_bytes(&target, &head.etag).await.unwrap(), [0_u64; 0]);
    }
    let missing = object(&bucket, "missing");
    assert_eq!(client.store.head(&missing).await.unwrap(), None);
    let read = client.store.read(&missing, &ETag::parse("x").unwrap(), 0..1).await.map(drop);
    assert!(matches!(read, Err(StoreError::Missing { .. })), "{read:?}");
}

pub(super) async fn pages(client: &Client) {
    let bucket = client.bucket("pages").await;
    let keys = ["a", "a b", "a+b", "a/", "a//b", "a/b", "a%2Fb", "é", "z"];
    for key in keys {
        let path = format!("/pages/{}", crate::s3_store::request::escape_key(key));
        assert_eq!(client.put(&path, &[], key.to_owned()).await.status, 200, "{key}");
    }
    let mut sorted = keys.to_vec();
    sorted.sort_unstable();
    let mut seen = Vec::new();
    let mut after: Option<ObjectKey> = None;
    loop {
        let page = client.store.page(&bucket, "", after.as_ref(), 2).await.unwrap();
        assert!(page.entries.len() <= 2);
        for entry in &page.entries {
            let head = client.head(&object(&bucket, entry.key.as_str())).await;
            assert_eq!((&head.etag, head.size), (&entry.etag, entry.size));
            assert_eq!(head.last_modified.seconds(), entry.last_modified.seconds());
            seen.push(entry.key.as_str().to_owned());
        }
        after = page.entries.last().map(|entry| entry.key.clone());
        if !page.more {
            break;
        }
    }
    assert_eq!(seen, sorted);
    let page = client.store.page(&bucket, "a/", None, 1000).await.unwrap();
    assert_eq!(page.entries.len(), 3);
    let nowhere = BucketName::parse("nowhere").unwrap();
    let page = client.store.page(&nowhere, "", None, 10).await;
    assert!(matches!(page, Err(StoreError::Missing { .. })), "{page:?}");
}

pub(super) async fn parts(client: &Client) {
    let bucket = client.bucket("parts").await;
    let parts = [noise(5 << 20, 1), noise((5 << 20) + 3, 2), noise(7, 3)];
    let done = client.multipart("/parts/k", &[("x-amz-meta-m", "1")], &parts).await;
    assert_eq!(done.status, 200, "{}", done.text());
    let target = object(&bucket, "k");
    let head = client.head(&target).await;
    assert!(head.etag.as_str().ends_with("-3"), "{}", head.etag);
    let sizes: Vec<u64> = parts.iter().map(|part| part.len() as u64).collect();
    assert_eq!(client.store.part_bytes(&target, &head.etag).await.unwrap(), sizes);
    let bytes = parts.concat();
    assert_eq!(head.size, bytes.len() as u64);
    let read = client.store.read(&target, &head.etag, 0..head.size).await.unwrap();
    assert!(whole(read).await.unwrap() == bytes);
    let across = (5 << 20) - 2..(10 << 20) + 5;
    let read = client.store.read(&target, &head.etag, across.clone()).await.unwrap();
    assert!(whole(read).await.unwrap() == bytes[across.start as usize..across.end as usize]);
}

pub(super) async fn conditional_creates_race(client: &Client) {
    client.bucket("race").await;
    for round in 0..20 {
        let target = format!("/race/{round}");
        let attempts = (0..8).map(|number| {
            let target = target.clone();
            async move {
                let answer = client.put(&target, &[("if-none-match", "*")], format!("{number}")).await;
                answer.status.is_success().then_some(number)
            }
        });
        let winners: Vec<i32> =
            futures_util::future::join_all(attempts).await.into_iter().flatten().collect();
        assert_eq!(winners.len(), 1, "{winners:?}");
        assert_eq!(client.get(&target, &[]).await.text(), winners[0].to_string());
    }
}

pub(super) async fn removals(client: &Client) {
    let bucket = client.bucket("removals").await;
    client.put("/removals/k", &[], "one").await;
    let target = object(&bucket, "k");
    let old = Identity::of(&client.head(&target).await);
    client.put("/removals/k", &[], "two").await;
    let removed = client.store.remove(&target, &old).await;
    assert!(matches!(removed, Err(StoreError::Changed { .. })), "{removed:?}");
    let new = Identity::of(&client.head(&target).await);
    client.store.remove(&target, &new).await.unwrap();
    assert_eq!(client.store.head(&target).await.unwrap(), None);
    client.store.remove(&target, &new).await.unwrap();
}
