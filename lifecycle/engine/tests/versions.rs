//! Races between clients and migration in a bucket with versions, on a store that loses, delays and repeats what it is
//! told: every version a client was told of stays, reads as it was written, and no other is there.
//!
//! `TAPEGATE_ROUNDS` sets the rounds; `TAPEGATE_SEED` replays a failing run.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod rig;

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use model::archive::ArchiveStage;
use model::bucket::{BucketSettings, Terms, Versioning};
use model::catalog::Change;
use model::clock::Entropy;
use model::store::Capabilities;
use model::{Archive, ObjectKey};
use rig::memory_store::{MemoryStore, Shared, Version};
use rig::{RealEntropy, Rig, bytes, settings, wait_for};
use store::{Faults, Faulty};

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

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// One key: written and deleted at some moments of its migrations; in the end what was acknowledged, version by
/// version, is what is there.
async fn round(rig: &Rig, store: &MemoryStore, seed: u64, number: u64) {
    let mut dice = Dice(seed ^ (number << 20));
    let key = format!("key-{number}");
    // Newest first; none is a delete marker.
    let mut truth: Vec<Option<Vec<u8>>> = Vec::new();
    for step in 0..=dice.below(4) {
        let delete = step > 0 && dice.below(4) == 0;
        let body = bytes(dice.below(u64::MAX), 1_000 + dice.below(30_000) as usize);
        let wrote = if delete { rig.delete(&key).await } else { rig.put(&key, &body).await };
        if wrote.is_ok() {
            truth.insert(0, (!delete).then_some(body));
        }
        let wanted =
            [ArchiveStage::Packed, ArchiveStage::Taped, ArchiveStage::Flipping, ArchiveStage::Archived]
                [dice.below(4) as usize];
        if truth.first().is_some_and(Option::is_some) {
            wait_for(&format!("{key} to be {wanted:?}"), || async {
                (rig.archive_of(&key).await?.state.stage() >= wanted).then_some(())
            })
            .await;
        }
    }
    let (rows, versions) = at_rest(rig, store, &key).await;
    let mut read = Vec::new();
    for version in &versions {
        read.push(match rows.iter().find(|row| holds(row, version)) {
            _ if version.is_marker => None,
            None => Some(version.body.to_vec()),
            Some(row) => {
                rig.restore(row).await;
                Some(rig.restored(row.id).await)
            }
        });
        let stray = version.is_stub() && !rows.iter().any(|row| holds(row, version));
        assert!(!stray, "seed {seed}: {key} has a stub nobody knows");
    }
    let sizes =
        |all: &[Option<Vec<u8>>]| all.iter().map(|one| one.as_ref().map(Vec::len)).collect::<Vec<_>>();
    assert!(read == truth, "seed {seed}: {key} is {:?}, acknowledged was {:?}", sizes(&read), sizes(&truth));
}

fn holds(row: &Archive, version: &Version) -> bool {
    let standing = row.standing.as_ref().and_then(|standing| standing.version.as_ref());
    row.state.stage() == ArchiveStage::Archived && standing.is_some_and(|id| id.as_str() == version.id)
}

/// Once nothing of the key is under way. Stubs that arrived late, after all was done, are found by another look.
async fn at_rest(rig: &Rig, store: &MemoryStore, key: &str) -> (Vec<Archive>, Vec<Version>) {
    let name = ObjectKey::parse(key).unwrap();
    let settled = || async {
        let rows = rig.catalog.archives_at(&rig.bucket, &name).await.unwrap();
        let versions = store.versions(rig.bucket.as_str(), key);
        let archived = |row: &Archive| row.state.stage() == ArchiveStage::Archived && !row.touched;
        let current = versions.first().is_none_or(|version| version.is_marker || version.is_stub());
        (current && rows.iter().all(archived)).then_some((rows, versions))
    };
    let (rows, _) = wait_for(&format!("{key} to come to rest"), settled).await;
    let touches: Vec<Change> = rows.iter().map(|row| Change::Touch(row.id)).collect();
    rig.catalog.commit(touches).await.unwrap();
    wait_for(&format!("{key} to come to rest again"), settled).await
}

async fn race(capabilities: Capabilities, change: impl FnOnce(&mut Faults)) {
    let seed = number("TAPEGATE_SEED").unwrap_or_else(|| RealEntropy.random() as u64);
    println!("seed {seed}: replay with TAPEGATE_SEED={seed}");
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    let mut faults = Faults::new(seed);
    change(&mut faults);
    settings.store_deadline = faults.delay_max * 10;
    settings.buckets =
        BucketSettings { otherwise: Terms { exclusive: true, ..Terms::MANAGED }, ..BucketSettings::all() };
    let store = MemoryStore::new(capabilities);
    let liar = Arc::new(Faulty::new(Shared(store.clone()), faults));
    // Opening the store is not what is tried here.
    liar.set_lying(false);
    let rig = Rig::start_with(folder.path(), false, settings, |_| liar.clone()).await;
    rig.make_bucket().await;
    store.set_versioning(rig.bucket.as_str(), Versioning::Enabled);
    liar.set_lying(true);
    rig.put_rule().await;
    let rounds = number("TAPEGATE_ROUNDS").unwrap_or(0).max(60);
    let one = |number| round(&rig, &store, seed, number);
    stream::iter(0..rounds).for_each_concurrent(AT_A_TIME, one).await;
    assert!(liar.told().iter().sum::<u64>() > 0, "no fault ever happened");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_version_stays_under_conditions() {
    race(Capabilities::FAITHFUL, |_| {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_version_stays_without_conditions() {
    let weak = Capabilities { compare_and_set: false, delete_if_match: false, ..Capabilities::FAITHFUL };
    // What was acknowledged is not carried out once more later: without conditions nothing could tell it from a new
    // write.
    race(weak, |faults| faults.per_mille[2] = 0).await;
}
