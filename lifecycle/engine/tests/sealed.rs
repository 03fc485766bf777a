//! Sealed pools: objects go to tape encrypted and come back; a key that is not there makes work wait and loses nothing.

#![allow(clippy::unwrap_used)]

mod rig;

use std::path::Path;
use std::time::Duration;

use model::archive::ArchiveStage;
use model::bucket::Versioning;
use model::restore::RestoreStage;
use model::store::Capabilities;
use model::volume::VolumeStage;
use model::{Archive, PoolName};
use rig::world::{BUCKET, World};
use rig::{Rig, bytes, settings, wait_for};
use volume::seal::{KeyName, Keyring};

const CREATED: &str = "2026-12-01T00:00:00Z";

fn key() -> KeyName {
    "vault".parse().unwrap()
}

fn keyring() -> Keyring {
    let mut keyring = Keyring::default();
    keyring.create(&key(), 0, CREATED).unwrap();
    keyring
}

fn sealed(settings: &mut engine::Settings) {
    let pool = PoolName::parse("glacier").unwrap();
    settings.pools.get_mut(&pool).unwrap().key = Some(key());
}

async fn start(folder: &Path, keyring: &Keyring) -> Rig {
    let mut settings = settings(folder);
    sealed(&mut settings);
    let rig = Rig::start_with(folder, false, settings, |service| service).await;
    rig.set_keys(keyring);
    rig.make_bucket().await;
    rig.put_rule().await;
    rig
}

async fn archived(rig: &Rig, name: &str, body: &[u8]) -> Archive {
    rig.put(name, body).await.unwrap();
    rig.wait_archived(name).await
}

async fn sealed_with(rig: &Rig, archive: &Archive) -> String {
    rig.catalog.pack(archive.extents[0].pack).await.unwrap().unwrap().seal.unwrap().key
}

async fn notice(rig: &Rig) -> String {
    wait_for("the notice of a missing key", || async {
        rig.engine.notices().into_iter().find(|notice| notice.code == Some("EN-0140")).map(|n| n.text)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_come_back_through_the_seal_also_of_a_retired_key() {
    let folder = tempfile::tempdir().unwrap();
    let mut keyring = keyring();
    let rig = start(folder.path(), &keyring).await;
    // The last one is cut into segments.
    let sizes = [2_000, 300_000, 3_500_000];
    let mut objects = Vec::new();
    for (seed, size) in (1..).zip(sizes) {
        let body = bytes(seed, size);
        objects.push((archived(&rig, &format!("object-{size}"), &body).await, body));
    }
    keyring.rotate(&key(), 0, CREATED).unwrap();
    keyring.retire(&"vault:1".parse().unwrap()).unwrap();
    rig.set_keys(&keyring);
    let body = bytes(9, 200_000);
    let newer = archived(&rig, "newer", &body).await;
    assert_eq!(sealed_with(&rig, &newer).await, "vault:2");
    for (archive, _) in &objects {
        assert_eq!(sealed_with(&rig, archive).await, "vault:1");
    }
    objects.push((newer, body));
    for (archive, body) in &objects {
        rig.restore(archive).await;
        assert!(rig.restored(archive.id).await == *body, "{}", archive.key);
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_waits_for_its_key_and_goes_on_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let right = keyring();
    let rig = start(folder.path(), &right).await;
    let body = bytes(1, 300_000);
    let archives = [archived(&rig, "first", &body).await, archived(&rig, "second", &body).await];
    let volumes = rig.catalog.volumes().await.unwrap();
    let volume = volumes.iter().find(|volume| volume.pool.is_some()).unwrap();
    // Missing, then another one of its name.
    let wrong = [(Keyring::default(), "no key vault:1"), (keyring(), "not the one")];
    for (archive, (wrong, word)) in archives.iter().zip(wrong) {
        rig.set_keys(&wrong);
        rig.restore(archive).await;
        let text = notice(&rig).await;
        assert!(text.contains(word) && text.contains(&volume.barcode), "{text}");
        let job = rig.catalog.restore_of(archive.id).await.unwrap().unwrap();
        assert_eq!((job.state.stage(), job.failures), (RestoreStage::Queued, 0));
        let volume = rig.catalog.volume(volume.id).await.unwrap().unwrap();
        assert_ne!(volume.state.stage(), VolumeStage::Suspect, "the tape is well");
        rig.set_keys(&right);
        assert!(rig.restored(archive.id).await == body);
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_goes_to_tape_while_there_is_no_key_to_seal_it() {
    let folder = tempfile::tempdir().unwrap();
    let rig = start(folder.path(), &Keyring::default()).await;
    let body = bytes(1, 300_000);
    rig.put("key", &body).await.unwrap();
    let text = notice(&rig).await;
    assert!(text.contains("no key vault"), "{text}");
    assert_eq!(rig.archive_of("key").await.unwrap().state.stage(), ArchiveStage::Due);
    assert!(rig.head("key").await.unwrap().marker.is_none());
    rig.set_keys(&keyring());
    let archive = rig.wait_archived("key").await;
    rig.restore(&archive).await;
    assert!(rig.restored(archive.id).await == body);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hot_bytes_stay_while_what_is_on_tape_could_not_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    sealed(&mut settings);
    settings.grace = Duration::from_secs(3_600);
    let rig = Rig::start_with(folder.path(), false, settings, |service| service).await;
    let keys = keyring();
    rig.set_keys(&keys);
    rig.make_bucket().await;
    rig.put_rule().await;
    rig.put("key", &bytes(1, 300_000)).await.unwrap();
    wait_for("the object to be on tape", || async {
        (rig.archive_of("key").await?.state.stage() == ArchiveStage::Taped).then_some(())
    })
    .await;
    rig.set_keys(&Keyring::default());
    rig.clock.step(7_200_000);
    let text = notice(&rig).await;
    assert!(text.contains("vault:1"), "{text}");
    assert_eq!(rig.archive_of("key").await.unwrap().state.stage(), ArchiveStage::Taped);
    assert!(rig.head("key").await.unwrap().marker.is_none());
    rig.set_keys(&keys);
    rig.wait_archived("key").await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_store_keeps_encrypted_goes_into_a_sealed_pool() {
    let world = World::start(Capabilities::FAITHFUL, Versioning::Off, sealed).await;
    world.rig.set_keys(&keyring());
    let body = bytes(1, 200_000);
    let encrypted = [("x-amz-server-side-encryption", "aws:kms")];
    world.store.write_directly(BUCKET, "kms", &encrypted, &body);
    let customer = [("x-amz-server-side-encryption-customer-algorithm", "AES256")];
    world.store.write_directly(BUCKET, "customer", &customer, &body);
    world.rig.put_rule().await;
    let archive = world.rig.wait_archived("kms").await;
    assert_eq!(world.stubs("kms"), [true]);
    assert_eq!(sealed_with(&world.rig, &archive).await, "vault:1");
    let reason = world.failed("customer").await;
    assert!(reason.contains("SSE-C"), "{reason}");
    world.rig.restore(&archive).await;
    assert!(world.rig.restored(archive.id).await == body);
    world.rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stolen_library_shows_no_name_size_or_byte_of_what_was_archived() {
    const NAME: &str = "board/minutes-of-the-secret-meeting.pdf";
    const SENTENCE: &str = "nobody else has this sentence in an object";
    const SIZE: usize = 1_234_567;
    let folder = tempfile::tempdir().unwrap();
    let rig = start(folder.path(), &keyring()).await;
    let mut body = SENTENCE.as_bytes().to_vec();
    body.extend(bytes(1, SIZE - body.len()));
    let archive = archived(&rig, NAME, &body).await;
    let other = archived(&rig, "another", &bytes(2, 200_000)).await;
    // Its death is written into a journal with the next pack.
    rig.delete("another").await.unwrap();
    wait_for("the other archive to die", || async {
        let row = rig.catalog.archive(other.id).await.unwrap().unwrap();
        (row.state.stage() == ArchiveStage::Dead).then_some(())
    })
    .await;
    archived(&rig, "third", &bytes(3, 200_000)).await;
    let pack = archive.extents[0].pack.to_string();
    rig.stop().await;
    let mut texts = Vec::new();
    read_below(&folder.path().join("library"), &mut texts);
    let holds = |needle: &str| texts.iter().any(|text| text.contains(needle));
    assert!(holds(&pack), "the id of a pack stands in clear: the search finds what is there");
    for secret in
        [NAME, "minutes-of", SENTENCE, &SIZE.to_string(), &archive.id.to_string(), BUCKET, "GLACIER"]
    {
        assert!(!holds(secret), "{secret} stands in clear");
    }
}

fn read_below(folder: &Path, texts: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_below(&path, texts);
        } else {
            texts.push(String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned());
        }
    }
}
