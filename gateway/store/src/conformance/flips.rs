//! Flips, and the restored copies they make necessary.

use bytes::Bytes;
use model::limits::STUB_BYTES;
use model::marker::Original;
use model::store::{Flip, FlipContent, ObjectHead, ObjectRef, StoreError};
use model::{ArchiveId, CopyPart, Marker, MarkerKind, Stretches, TapeClass};

use super::client::{Client, noise, object, stream_of, whole};

fn flip_of(target: &ObjectRef, head: &ObjectHead, number: u128) -> Flip {
    let original = Original { size: head.size, etag: head.etag.clone(), last_modified: head.last_modified };
    Flip {
        target: target.clone(),
        head: head.clone(),
        conditional: true,
        marker: Marker {
            kind: MarkerKind::Stub,
            archive: ArchiveId::from_u128(number),
            class: TapeClass::Glacier,
            original: Some(original),
        },
        content: FlipContent::Stub,
    }
}

pub(super) async fn stubs_replace(client: &Client) {
    let bucket = client.bucket("flips").await;
    let headers = [("x-amz-meta-color", "red"), ("content-type", "text/plain"), ("content-encoding", "gzip")];
    client.put("/flips/k", &headers, noise(200_000, 1)).await;
    client.multipart("/flips/m", &headers, &[noise(5 << 20, 1), noise(9, 2)]).await;
    for key in ["k", "m"] {
        let target = object(&bucket, key);
        let hot = client.head(&target).await;
        let flip = flip_of(&target, &hot, 7);
        client.store.flip(flip.clone()).await.unwrap();
        let stub = client.head(&target).await;
        assert_eq!(stub.marker.as_ref(), Some(&flip.marker));
        assert_eq!(stub.size, STUB_BYTES);
        assert_eq!(stub.headers, hot.headers);
        assert_ne!(stub.etag, hot.etag);
        if client.store.capabilities().in_place {
            assert_eq!(stub.last_modified, hot.last_modified);
        }
        assert_eq!(client.store.part_bytes(&target, &stub.etag).await.unwrap(), [0_u64; 0]);
        let body = client.get(&format!("/flips/{key}"), &[]).await;
        assert_eq!(body.body.len() as u64, STUB_BYTES);
        assert!(dialect::reserved::stub_record(&body.body).is_some());
    }

    // Beside full metadata the reserved header has no room in a PUT; in place it does not count.
    let long = "v".repeat(2000);
    client
        .put("/flips/crowded", &[("x-amz-meta-long", &long), ("content-type", "a/b")], noise(9000, 1))
        .await;
    let target = object(&bucket, "crowded");
    let hot = client.head(&target).await;
    client.store.flip(flip_of(&target, &hot, 9)).await.unwrap();
    let stub = client.head(&target).await;
    assert_eq!(stub.marker.map(|marker| marker.archive), Some(ArchiveId::from_u128(9)));
    let names: Vec<&str> = stub.headers.iter().map(|(name, _)| name.as_str()).collect();
    let kept = client.store.capabilities().in_place;
    assert_eq!(names, if kept { vec!["content-type", "x-amz-meta-long"] } else { vec!["content-type"] });

    client.put("/flips/small", &headers, "small").await;
    let target = object(&bucket, "small");
    let hot = client.head(&target).await;
    let mut flip = flip_of(&target, &hot, 8);
    flip.marker.kind = MarkerKind::Whole;
    flip.content = FlipContent::Whole(Bytes::from_static(b"small"));
    client.store.flip(flip.clone()).await.unwrap();
    let kept = client.head(&target).await;
    assert_eq!((kept.marker, kept.size, kept.headers), (Some(flip.marker), 5, hot.headers));
    assert_eq!(client.get("/flips/small", &[]).await.text(), "small");
}

pub(super) async fn tags_and_acls_survive(client: &Client) {
    let can = client.store.capabilities();
    let bucket = client.bucket("told").await;
    let tags = ("x-amz-tagging", "a%20b=1&c=");
    let acl = ("x-amz-acl", "public-read");
    let headers: Vec<_> = [(can.tags, tags), (can.acls, acl)]
        .into_iter()
        .filter(|(can, _)| *can)
        .map(|(_, header)| header)
        .collect();
    client.put("/told/k", &headers, noise(9000, 1)).await;
    let target = object(&bucket, "k");
    let hot = client.store.inspect(&target).await.unwrap().unwrap();
    let header = |name: &str| hot.headers.iter().find(|(known, _)| known == name).map(|(_, value)| &**value);
    assert_eq!(header("x-amz-tagging"), can.tags.then_some("a%20b=1&c="));
    let read = "uri=\"http://acs.amazonaws.com/groups/global/AllUsers\"";
    assert_eq!(header("x-amz-grant-read"), can.acls.then_some(read));
    client.store.flip(flip_of(&target, &hot, 12)).await.unwrap();
    let stub = client.store.inspect(&target).await.unwrap().unwrap();
    assert!(stub.marker.is_some());
    assert_eq!(stub.headers, hot.headers);
}

pub(super) async fn versions_are_replaced(client: &Client) {
    if !client.store.capabilities().versions {
        return;
    }
    let bucket = client.bucket("kept").await;
    client.set_versioning("kept", "Enabled").await;
    for (key, flipped) in [("current", 1), ("below", 0)] {
        let path = format!("/kept/{key}");
        let ids = [client.put(&path, &[], "one").await, client.put(&path, &[], noise(9000, 1)).await];
        let ids = ids.map(|put| put.header("x-amz-version-id").to_owned());
        let in_place = client.store.capabilities().in_place;
        if !in_place && flipped == 0 {
            continue;
        }
        let target = ObjectRef {
            version: Some(model::VersionId::parse(&ids[flipped]).unwrap()),
            ..object(&bucket, key)
        };
        let hot = client.head(&target).await;
        assert_eq!(hot.version, target.version);
        let mut flip = flip_of(&target, &hot, 11);
        flip.content = FlipContent::Whole(Bytes::from_static(b"kept"));
        client.store.flip(flip.clone()).await.unwrap();
        let versions = client.store.versions(&bucket, &target.key, 10).await.unwrap();
        let current = client.head(&object(&bucket, key)).await;
        if in_place {
            let kept = client.head(&target).await;
            assert_eq!((&kept.version, kept.last_modified), (&target.version, hot.last_modified));
            assert_eq!(kept.marker.as_ref(), Some(&flip.marker));
            assert_eq!(current.version == target.version, flipped == 1);
            assert_eq!(versions.len(), 2);
        } else {
            assert_eq!(current.marker.as_ref(), Some(&flip.marker));
            assert_ne!(current.version, target.version);
            assert_eq!(versions.len(), 3);
            client.store.remove_version(&target).await.unwrap();
            client.store.remove_version(&target).await.unwrap();
            assert_eq!(client.store.head(&target).await.unwrap(), None);
        }
        let other = client.get(&format!("{path}?versionId={}", ids[1 - flipped]), &[]).await;
        assert_eq!(other.status, 200, "the other version is as it was");
        assert_eq!(other.header("x-amz-meta-tapegate"), "");
    }
}

pub(super) async fn changes_win(client: &Client) {
    let bucket = client.bucket("changes").await;
    let target = object(&bucket, "k");
    client.put("/changes/k", &[], "one").await;
    let old = client.head(&target).await;
    client.put("/changes/k", &[], "two").await;
    let flipped = client.store.flip(flip_of(&target, &old, 1)).await;
    assert!(matches!(flipped, Err(StoreError::Changed { .. })), "{flipped:?}");
    assert_eq!(client.get("/changes/k", &[]).await.text(), "two");
    client.send(http::Method::DELETE, "/changes/k", &[], "").await;
    let flipped = client.store.flip(flip_of(&target, &old, 1)).await;
    assert!(matches!(flipped, Err(StoreError::Changed { .. })), "{flipped:?}");
    assert_eq!(client.store.head(&target).await.unwrap(), None);

    for round in 0..20_u128 {
        client.put("/changes/race", &[], noise(20_000, 1)).await;
        let target = object(&bucket, "race");
        let head = client.head(&target).await;
        let new = format!("new {round}");
        let (put, _) = tokio::join!(
            client.put("/changes/race", &[], new.clone()),
            client.store.flip(flip_of(&target, &head, round)),
        );
        assert_eq!(put.status, 200);
        assert_eq!(client.get("/changes/race", &[]).await.text(), new, "an acknowledged write was lost");
    }
    client.send(http::Method::DELETE, "/changes/race", &[], "").await;
    assert_eq!(client.send(http::Method::DELETE, "/changes", &[], "").await.status, 204);
    let flipped = client.store.flip(flip_of(&target, &old, 1)).await;
    assert!(matches!(flipped, Err(StoreError::Changed { .. })), "{flipped:?}");
}

pub(super) async fn forgeries_are_no_markers(client: &Client) {
    let bucket = client.bucket("forged").await;
    client.put("/forged/real", &[], noise(5000, 1)).await;
    let target = object(&bucket, "real");
    let head = client.head(&target).await;
    client.store.flip(flip_of(&target, &head, 1)).await.unwrap();
    let record = client.get("/forged/real", &[]).await.header("x-amz-meta-tapegate").to_owned();
    assert!(record.starts_with("v1;stub;"), "{record}");
    client.put("/forged/copy", &[("x-amz-meta-tapegate", &record)], "x").await;
    let forged = client.head(&object(&bucket, "copy")).await;
    assert_eq!(forged.marker, None);
    assert!(forged.headers.iter().all(|(name, _)| name != "x-amz-meta-tapegate"));
}

pub(super) async fn copies(client: &Client) {
    let archive = ArchiveId::from_u128(0x1234_5678);
    let store = &client.store;
    assert_eq!(store.copy_bytes(archive).await.unwrap(), None);
    store.delete_copy(archive).await.unwrap();
    for length in [0, 10, 100_000, (64 << 20) + 5] {
        let bytes = noise(length, 9);
        store.put_copy(archive, length as u64, stream_of(bytes.clone(), 700_000)).await.unwrap();
        assert_eq!(store.copy_bytes(archive).await.unwrap(), Some(length as u64));
        let read = store.read_copy(archive, 0..length as u64).await.unwrap();
        assert!(whole(read).await.unwrap() == bytes);
        let tail = length as u64 / 3..length as u64;
        let read = store.read_copy(archive, tail.clone()).await.unwrap();
        assert!(whole(read).await.unwrap() == bytes[tail.start as usize..]);
    }
    for wrong in [9, 11] {
        let other = ArchiveId::from_u128(1);
        assert!(store.put_copy(other, wrong, stream_of(noise(10, 1), 3)).await.is_err(), "{wrong}");
        assert_eq!(store.copy_bytes(other).await.unwrap(), None);
    }
    copies_come_in_stretches(client, archive).await;
    store.delete_copy(archive).await.unwrap();
    assert_eq!(store.copy_bytes(archive).await.unwrap(), None);
}

/// In any order and more than once; nothing shows before the end, and nothing is left of what was given up.
async fn copies_come_in_stretches(client: &Client, archive: ArchiveId) {
    let store = &client.store;
    store.delete_copy(archive).await.unwrap();
    let bytes = noise((12 << 20) + 7, 11);
    let cut = Stretches::new(bytes.len() as u64, 5 << 20).expect("every store takes it");
    let copy = store.begin_copy(archive, cut).await.unwrap();
    let mut stretches: Vec<Vec<CopyPart>> = vec![Vec::new(); 3];
    for index in [2, 0, 1, 0] {
        let range = cut.range(index);
        let stretch = bytes.slice(usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap());
        let told = store.put_stretch(&copy, index, stream_of(stretch, 700_000)).await.unwrap();
        stretches[index as usize] = told;
    }
    assert!(store.put_stretch(&copy, 1, stream_of(noise(10, 1), 3)).await.is_err(), "too short");
    assert_eq!(store.copy_bytes(archive).await.unwrap(), None);
    store.complete_copy(&copy, stretches.concat()).await.unwrap();
    let read = store.read_copy(archive, 0..bytes.len() as u64).await.unwrap();
    assert!(whole(read).await.unwrap() == bytes);

    let other = ArchiveId::from_u128(1);
    let copy = store.begin_copy(other, cut).await.unwrap();
    let told = store.put_stretch(&copy, 0, stream_of(bytes.slice(..5 << 20), 700_000)).await.unwrap();
    store.abandon_copy(&copy).await.unwrap();
    store.abandon_copy(&copy).await.unwrap();
    assert!(store.complete_copy(&copy, told).await.is_err());
    assert_eq!(store.copy_bytes(other).await.unwrap(), None);
}
