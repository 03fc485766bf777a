//! Races between clients and migration, on an honest store and on one that loses replies, delays and repeats work and
//! answers 5xx after doing it. Whatever happens, what a client was told is written is what is read.
//!
//! `TAPEGATE_ROUNDS` sets the rounds; `TAPEGATE_SEED` replays a failing run.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod rig;

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use model::archive::ArchiveStage;
use model::clock::Entropy;
use rig::{RealEntropy, Rig, bytes, collect, settings, wait_for};
use store::{EmbeddedStore, Faults, Faulty};

/// Rounds at a time: each is a key of its own.
const AT_A_TIME: usize = 32;

/// A small generator for the choices of a round (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }
}

fn rounds(least: u64) -> u64 {
    std::env::var("TAPEGATE_ROUNDS").map_or(least, |text| text.parse::<u64>().unwrap().max(least))
}

fn seed() -> u64 {
    std::env::var("TAPEGATE_SEED").map_or_else(|_| RealEntropy.random() as u64, |text| text.parse().unwrap())
}

/// One key: written, perhaps changed at some moment of its migration, and in the end exactly what was acknowledged.
async fn round(rig: &Rig, seed: u64, number: u64) {
    let mut dice = Dice(seed ^ (number << 20));
    let key = format!("key-{number}");
    let first = bytes(number * 2 + 1, 2_000 + dice.below(60_000) as usize);
    rig.put(&key, &first).await.unwrap();
    let mut truth = Some(first);
    for _ in 0..dice.below(3) {
        reach_some_moment(rig, &key, &mut dice).await;
        let next = bytes(dice.below(u64::MAX), 1_000 + dice.below(60_000) as usize);
        let delete = dice.below(3) == 0;
        let wrote = if delete { rig.delete(&key).await } else { rig.put(&key, &next).await };
        // A client that was told to slow down was told nothing of its write: it has not happened.
        if wrote.is_ok() {
            truth = (!delete).then_some(next);
        }
    }
    let read = settle(rig, &key).await;
    assert!(read == truth, "seed {seed}: {key} is not what was acknowledged last");
}

/// Waits for a stage of the migration, chosen by the dice, or until that is past.
async fn reach_some_moment(rig: &Rig, key: &str, dice: &mut Dice) {
    let stages = [
        ArchiveStage::Due,
        ArchiveStage::Packed,
        ArchiveStage::Taped,
        ArchiveStage::Flipping,
        ArchiveStage::Archived,
    ];
    let wanted = stages[dice.below(stages.len() as u64) as usize];
    if rig.head(key).await.is_none() {
        return;
    }
    wait_for(&format!("{key} to be {wanted:?}"), || async {
        let row = rig.archive_of(key).await?;
        (row.state.stage() >= wanted).then_some(())
    })
    .await;
}

/// Waits until the key is at rest, and reads it: its own bytes, or those of a restored copy.
async fn settle(rig: &Rig, key: &str) -> Option<Vec<u8>> {
    let state = wait_for(&format!("{key} to come to rest"), || async {
        let head = rig.head(key).await;
        let row = rig.archive_of(key).await;
        match (&head, &row) {
            (None, None) => Some(None),
            (Some(_), Some(row)) if row.state.stage() == ArchiveStage::Archived && !row.touched => {
                Some(Some(row.clone()))
            }
            _ => None,
        }
    })
    .await;
    let archive = state?;
    let head = rig.head(key).await.unwrap();
    assert_eq!(
        head.marker.as_ref().map(|marker| marker.archive),
        Some(archive.id),
        "{key}: another archive's stub"
    );
    rig.restore(&archive).await;
    let copy = rig.restored(archive.id).await;
    if archive.keeps_bytes() {
        let target = model::store::ObjectRef { bucket: archive.bucket, key: archive.key, version: None };
        let stored = rig.store.read(&target, &head.etag, 0..head.size).await.unwrap();
        assert_eq!(collect(stored).await, copy, "{key}");
    }
    Some(copy)
}

async fn race(rig: &Rig, rounds: u64) {
    let seed = seed();
    println!("seed {seed}: replay with TAPEGATE_SEED={seed}");
    rig.make_bucket().await;
    rig.put_rule().await;
    stream::iter(0..rounds).for_each_concurrent(AT_A_TIME, |number| round(rig, seed, number)).await;
}

async fn race_honest(pretend_remote: bool) {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::start(folder.path(), pretend_remote).await;
    race(&rig, rounds(50)).await;
    rig.stop().await;
}

async fn race_lying(pretend_remote: bool) {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    let faults = Faults::new(seed());
    // Delays end well before the deadline: what comes later than the deadline is no longer the same request.
    settings.store_deadline = faults.delay_max * 10;
    let mut liar = None;
    let rig = Rig::start_with(folder.path(), pretend_remote, settings, |service: EmbeddedStore| {
        let faulty = Arc::new(Faulty::new(service, faults));
        // Opening the store is not what is tried here.
        faulty.set_lying(false);
        liar = Some(faulty.clone());
        Shared(faulty)
    })
    .await;
    let liar = liar.unwrap();
    liar.set_lying(true);
    race(&rig, rounds(100)).await;
    let told = liar.told();
    assert!(told.iter().all(|count| *count > 0), "a fault never happened: {told:?}");
    rig.stop().await;
}

/// The lying service, kept by the test too.
struct Shared(Arc<Faulty<EmbeddedStore>>);

#[async_trait::async_trait]
impl store::S3Service for Shared {
    async fn call(
        &self,
        request: http::Request<model::Body>,
    ) -> Result<http::Response<model::Body>, model::store::StoreError> {
        self.0.call(request).await
    }
    fn capabilities(&self) -> model::store::Capabilities {
        self.0.capabilities()
    }
    async fn swap_in_place(&self, swap: store::Swap) -> Result<(), model::store::StoreError> {
        self.0.swap_in_place(swap).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_win_in_place() {
    race_honest(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_win_by_conditional_put() {
    race_honest(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_win_on_a_lying_store_in_place() {
    race_lying(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_win_on_a_lying_store_by_conditional_put() {
    race_lying(true).await;
}
