//! The flip on a store that lies, as the engine drives it: try, look, try again until the evidence is there.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::sync::Arc;
use std::time::Duration;

use dialect::reserved::MarkerKey;
use model::marker::Original;
use model::store::{Flip, FlipContent, ObjectStore, StoreError};
use model::{ArchiveId, BucketName, Marker, MarkerKind, TapeClass};

use super::{Fault, Faults, Faulty};
use crate::conformance::Client;
use crate::conformance::client::{noise, object};
use crate::{EmbeddedStore, Options, Reserved, S3Store};

async fn lying_store(
    directory: &std::path::Path,
    pretend_remote: bool,
    faults: Faults,
) -> Arc<S3Store<Arc<Faulty<EmbeddedStore>>>> {
    let options = Options { pretend_remote, sync: false, reserve_bytes: 0, ..Options::default() };
    let service = Arc::new(Faulty::new(EmbeddedStore::open(directory, options).unwrap(), faults));
    service.set_lying(false);
    let bucket = BucketName::parse("tapegate-copies-1").unwrap();
    let reserved = Reserved { bucket, catalog: "c".to_owned() };
    let store = S3Store::open(service, reserved, MarkerKey::new([1; 32])).await.unwrap();
    store.service().set_lying(true);
    Arc::new(store)
}

async fn flips_stay_right(pretend_remote: bool) {
    let directory = tempfile::tempdir().unwrap();
    let mut faults = Faults::new(42);
    faults.per_mille = [160; 5];
    faults.delay_max = Duration::from_millis(3);
    let store = lying_store(directory.path(), pretend_remote, faults).await;
    let client = Client::new(Arc::clone(&store) as Arc<dyn ObjectStore>);
    let bucket = client.bucket("lies").await;
    for round in 0..60_u128 {
        let key = format!("k{round}");
        client.put(&format!("/lies/{key}"), &[("x-amz-meta-round", "1")], noise(20_000, round as u64)).await;
        let target = object(&bucket, &key);
        let hot = client.head(&target).await;
        let original = Original { size: hot.size, etag: hot.etag.clone(), last_modified: hot.last_modified };
        let flip = Flip {
            target: target.clone(),
            head: hot.clone(),
            conditional: true,
            marker: Marker {
                kind: MarkerKind::Stub,
                archive: ArchiveId::from_u128(round),
                class: TapeClass::Glacier,
                original: Some(original),
            },
            content: FlipContent::Stub,
        };
        let mut attempts = 0;
        loop {
            attempts += 1;
            assert!(attempts < 100, "no way out of the lies");
            let told = store.flip(flip.clone()).await;
            assert!(!matches!(told, Err(StoreError::Changed { .. })), "nobody changed it: {told:?}");
            let seen = client.head(&target).await;
            match seen.marker {
                Some(marker) => {
                    assert_eq!(marker, flip.marker);
                    break;
                }
                None => assert!(told.is_err(), "success without the work: {told:?}"),
            }
            assert_eq!(seen, hot, "neither the hot object nor the stub");
        }
        // A delayed twin of the flip must not undo what a client writes afterwards.
        assert_eq!(client.put(&format!("/lies/{key}"), &[], format!("after {round}")).await.status, 200);
    }
    store.service().set_lying(false);
    tokio::time::timeout(Duration::from_secs(10), async {
        while Arc::strong_count(&store.service().inner) > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    for round in 0..60 {
        let text = format!("after {round}");
        assert_eq!(
            client.get(&format!("/lies/k{round}"), &[]).await.text(),
            text,
            "an acknowledged write was lost"
        );
    }
    assert!(store.service().told().iter().all(|count| *count > 0), "{:?}", store.service().told());
}

#[tokio::test]
async fn flips_in_place_stay_right() {
    flips_stay_right(false).await;
}

#[tokio::test]
async fn conditional_puts_stay_right() {
    flips_stay_right(true).await;
}

#[tokio::test]
async fn one_seed_tells_the_same_lies() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let directory = tempfile::tempdir().unwrap();
        let faults = Faults { clients: true, delay_max: Duration::ZERO, ..Faults::new(7) };
        let store = lying_store(directory.path(), false, faults).await;
        let mut statuses = Vec::new();
        for number in 0..50 {
            let request =
                http::Request::put(format!("/absent/{number}")).body(model::body::full("x")).unwrap();
            statuses.push(store.call(request).await.map(|answer| answer.status()).ok());
        }
        runs.push((statuses, store.service().told()));
    }
    assert_eq!(runs[0], runs[1]);
    assert_eq!(Fault::ALL.len(), runs[0].1.len());
}
