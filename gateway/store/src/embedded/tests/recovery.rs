//! What the next start finds, and what it does about it.

use std::sync::Arc;

use http::{Request, Response};
use model::Body;
use model::store::{Capabilities, StoreError};

use super::{Fixture, open, options};
use crate::conformance::Client;
use crate::conformance::client::noise;
use crate::{EmbeddedStore, Error, Reserved, S3Service, S3Store, Swap};

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let fixture = Fixture::new().await;
    for (key, length) in [("small", 100), ("large", 300_000)] {
        fixture.client.put(&format!("/bkt/{key}"), &[("x-amz-meta-a", "1")], noise(length, 1)).await;
    }
    let fixture = fixture.reopen().await;
    for (key, length) in [("small", 100), ("large", 300_000)] {
        let got = fixture.client.get(&format!("/bkt/{key}"), &[]).await;
        assert!(got.body == noise(length, 1) && got.header("x-amz-meta-a") == "1");
    }
}

#[tokio::test]
async fn a_directory_of_another_layout_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(EmbeddedStore::open(directory.path(), options(false)).unwrap());
    let database = redb::Database::open(directory.path().join("meta.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    let numbers = redb::TableDefinition::<&str, u64>::new("numbers");
    transaction.open_table(numbers).unwrap().insert("layout", 1).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let opened = EmbeddedStore::open(directory.path(), options(false)).map(drop);
    assert!(matches!(opened, Err(Error::Layout { found: 1, .. })), "{opened:?}");
}

#[tokio::test]
async fn files_that_never_became_visible_go() {
    let fixture = Fixture::new().await;
    fixture.client.put("/bkt/k", &[], noise(30_000, 1)).await;
    let kept = fixture.files("data");
    assert_eq!(kept.len(), 1);
    // A crash between the link and the commit, one between the commit and the end of the intent, one in mid-body.
    let root = fixture.directory.path().to_owned();
    let orphan = "00000000000000010000000000000005";
    let half = "00000000000000010000000000000006";
    let place = std::fs::read_dir(root.join("data")).unwrap().next().unwrap().unwrap().path();
    let place = std::fs::read_dir(place).unwrap().next().unwrap().unwrap().path();
    for path in [
        root.join("staging").join(orphan),
        place.join(orphan),
        root.join("staging").join(half),
        root.join("staging").join(&kept[0]),
    ] {
        std::fs::write(path, "x").unwrap();
    }
    let fixture = fixture.reopen().await;
    assert_eq!(fixture.files("staging"), [""; 0]);
    assert_eq!(fixture.files("data"), kept);
    assert!(fixture.client.get("/bkt/k", &[]).await.body == noise(30_000, 1));
}

#[tokio::test]
async fn replaced_bytes_are_swept_but_not_from_under_a_reader() {
    let fixture = Fixture::new().await;
    let client = &fixture.client;
    let old = noise(2_000_000, 1);
    client.put("/bkt/k", &[], old.clone()).await;
    let request = http::Request::get("/bkt/k").body(model::body::empty()).unwrap();
    let reading = client.store.call(request).await.unwrap();
    client.put("/bkt/k", &[], noise(40_000, 2)).await;
    client.put("/bkt/other", &[], noise(40_000, 3)).await;
    client.put("/bkt/other", &[], "small").await;
    fixture.swept_to(2).await;
    let read = crate::conformance::client::Answer::of(reading).await.unwrap();
    assert!(read.body == old);
    let fixture = fixture.reopen().await;
    fixture.swept_to(1).await;
}

#[tokio::test]
async fn a_file_that_cannot_be_removed_holds_up_no_other() {
    let fixture = Fixture::new().await;
    for key in ["a", "b"] {
        fixture.client.put(&format!("/bkt/{key}"), &[], noise(20_000, 1)).await;
    }
    let place =
        std::fs::read_dir(fixture.directory.path().join("data")).unwrap().next().unwrap().unwrap().path();
    let place = std::fs::read_dir(place).unwrap().next().unwrap().unwrap().path();
    let first = place.join(&fixture.files("data")[0]);
    std::fs::remove_file(&first).unwrap();
    std::fs::create_dir(&first).unwrap();
    for key in ["a", "b"] {
        fixture.client.send(http::Method::DELETE, &format!("/bkt/{key}"), &[], "").await;
    }
    fixture.swept_to(0).await;
    // Once it can be removed, it is. Nobody is to look in between.
    let Fixture { client, directory } = fixture;
    drop(client);
    std::fs::remove_dir(&first).unwrap();
    std::fs::write(&first, "x").unwrap();
    let client = Client::new(Arc::new(open(directory.path(), options(false)).await));
    Fixture { client, directory }.swept_to(0).await;
}

#[tokio::test]
async fn missing_and_short_files_are_reported() {
    let fixture = Fixture::new().await;
    for key in ["a", "b", "c"] {
        fixture.client.put(&format!("/bkt/{key}"), &[], noise(20_000, 1)).await;
    }
    let Fixture { client, directory } = fixture;
    drop(client);
    let place = std::fs::read_dir(directory.path().join("data")).unwrap().next().unwrap().unwrap().path();
    let place = std::fs::read_dir(place).unwrap().next().unwrap().unwrap().path();
    let mut files: Vec<_> = std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    std::fs::remove_file(&files[0]).unwrap();
    std::fs::write(&files[2], "short").unwrap();
    let store = EmbeddedStore::open(directory.path(), options(false)).unwrap();
    let damages = store.check().unwrap();
    let found: Vec<_> = damages.iter().map(|damage| (damage.length, damage.found)).collect();
    assert_eq!(found, [(20_000, None), (20_000, Some(5))]);
}

#[tokio::test]
async fn the_reserved_bucket_has_one_catalog() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), options(false)).await;
    let bucket = model::BucketName::parse(super::RESERVED).unwrap();
    drop(store);
    let service = EmbeddedStore::open(directory.path(), options(false)).unwrap();
    let reserved = Reserved { bucket, catalog: "another".to_owned() };
    let opened = S3Store::open(service, reserved, dialect::reserved::MarkerKey::new([7; 32])).await;
    assert!(matches!(opened, Err(Error::ForeignReserved { .. })));
    let twice = EmbeddedStore::open(directory.path(), options(false))
        .and_then(|_first| EmbeddedStore::open(directory.path(), options(false)));
    assert!(matches!(twice, Err(Error::OpenStore { .. })), "two processes on one directory");
}

/// A store that does not know `If-None-Match`.
struct Deaf(EmbeddedStore);

#[async_trait::async_trait]
impl S3Service for Deaf {
    async fn call(&self, mut request: Request<Body>) -> Result<Response<Body>, StoreError> {
        request.headers_mut().remove("if-none-match");
        self.0.call(request).await
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn swap_in_place(&self, swap: Swap) -> Result<(), StoreError> {
        self.0.swap_in_place(swap).await
    }
}

#[tokio::test]
async fn the_reserved_bucket_is_not_taken_over_where_conditions_are_ignored() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path(), options(false)).await);
    let service = Deaf(EmbeddedStore::open(directory.path(), options(false)).unwrap());
    let bucket = model::BucketName::parse(super::RESERVED).unwrap();
    let reserved = Reserved { bucket, catalog: "another".to_owned() };
    let opened = S3Store::open(service, reserved, dialect::reserved::MarkerKey::new([7; 32])).await;
    assert!(matches!(opened, Err(Error::ForeignReserved { .. })));
}
