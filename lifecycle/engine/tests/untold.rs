//! What tape is told of ends and changes, so that a catalog made from tape alone knows them.

#![allow(clippy::unwrap_used)]

mod rig;

use std::sync::{Arc, Mutex};

use http::Method;
use library::{Barcode, CatalogId, End, Expected, Mount, VolumeUuid, WorkEnd};
use model::catalog::Change;
use model::fence::Work;
use model::volume::Volume;
use model::{Archive, PoolName};
use volume::journal::{self, Entry};
use volume::seal::{KeyName, Keyring, note};

use rig::{Rig, bytes, settings, wait_for};

/// Everything told on the volumes, in order.
async fn told(rig: &Rig) -> Vec<Entry> {
    told_on(rig, |_| true).await
}

/// Everything told on these volumes.
async fn told_on(rig: &Rig, wanted: impl Fn(&Volume) -> bool) -> Vec<Entry> {
    let mut told = Vec::new();
    for volume in rig.catalog.volumes().await.unwrap().into_iter().filter(wanted) {
        let expect = Expected {
            uuid: VolumeUuid::from_u128(volume.id.as_u128()),
            mam_serial: volume.medium_serial.clone(),
            catalog_id: CatalogId::from_u128(42),
            generation: volume.generation,
            eod_block: volume.end_of_data_block,
            end: End::Unclean,
        };
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (done, ended) = std::sync::mpsc::channel();
        let mount = Mount { barcode: Barcode::parse(&volume.barcode).unwrap(), expect };
        let sink = heard.clone();
        let work = Box::new(move |mounted: &mut library::Mounted<library::Reading>| {
            for seq in mounted.journals() {
                let mut bytes = Vec::new();
                mounted.read_journal(seq, &mut bytes).unwrap();
                journal::decode(&bytes[..], |entry| {
                    sink.lock().unwrap().push(entry);
                    Ok(())
                })
                .unwrap();
            }
            WorkEnd::Keep
        });
        rig.library.read(mount, work, Box::new(move |report| done.send(report.map(drop)).unwrap())).unwrap();
        if tokio::task::block_in_place(|| ended.recv()).unwrap().is_ok() {
            told.append(&mut heard.lock().unwrap());
        }
    }
    told
}

async fn row(rig: &Rig, archive: &Archive) -> Archive {
    rig.catalog.archive(archive.id).await.unwrap().unwrap()
}

async fn archived(folder: &std::path::Path, pretend_remote: bool) -> (Rig, Archive) {
    let rig = Rig::start(folder, pretend_remote).await;
    rig.make_bucket().await;
    rig.put("key", &bytes(1, 200_000)).await.unwrap();
    rig.put_rule().await;
    let archive = rig.wait_archived("key").await;
    (rig, archive)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_reaches_tape_without_anything_else_to_write() {
    let folder = tempfile::tempdir().unwrap();
    let (rig, archive) = archived(folder.path(), false).await;
    rig.delete("key").await.unwrap();
    wait_for("the death to be told", || async { row(&rig, &archive).await.death_journaled.then_some(()) })
        .await;
    let dead = Entry::ArchiveDead { archive: archive.id.to_string() };
    assert_eq!(told(&rig).await.iter().filter(|entry| **entry == dead).count(), 1);
    assert!(rig.catalog.archives_untold(None, 10).await.unwrap().is_empty());
    rig.stop().await;
}

/// A client's write of a tag, as the edge lets it through.
async fn retag(rig: &Rig, archive: &Archive, colour: &str) {
    let tags = format!("<Tag><Key>colour</Key><Value>{colour}</Value></Tag>");
    let document = format!("<Tagging><TagSet>{tags}</TagSet></Tagging>");
    let path = format!("/{}/{}?tagging", rig.bucket, archive.key);
    assert_eq!(rig.call(Method::PUT, &path, document.as_bytes()).await.0, 200);
    rig.catalog.commit(vec![Change::Touch(archive.id)]).await.unwrap();
    rig.engine.wake().wake(Work::Touched);
}

/// The records of an archive among what was told, as they stand there.
fn records_of(archive: &Archive, told: Vec<Entry>) -> Vec<String> {
    let record = |entry| match entry {
        Entry::RecordChanged { archive: id, record, .. } if id == archive.id.to_string() => Some(record),
        _ => None,
    };
    told.into_iter().filter_map(record).collect()
}

async fn changes_are_told(pretend_remote: bool) {
    let folder = tempfile::tempdir().unwrap();
    let (rig, archive) = archived(folder.path(), pretend_remote).await;
    retag(&rig, &archive, "light blue").await;
    let records = async || -> Vec<volume::pack::ObjectRecord> {
        let told = records_of(&archive, told(&rig).await);
        told.iter().map(|record| serde_json::from_str(record).unwrap()).collect()
    };
    let record = wait_for("the tags to be told", || async { records().await.pop() }).await;
    assert_eq!(record.tags, [("colour".to_owned(), "light blue".to_owned())]);
    assert_eq!(
        (record.size, &record.etag),
        (archive.size, &archive.identity.as_ref().unwrap().etag.to_string())
    );
    // A look that finds nothing new tells nothing.
    rig.catalog.commit(vec![Change::Touch(archive.id)]).await.unwrap();
    rig.engine.wake().wake(Work::Touched);
    wait_for("the look", || async {
        let row = rig.catalog.archive(archive.id).await.unwrap().unwrap();
        (!row.touched && row.record_changed.is_none()).then_some(())
    })
    .await;
    assert_eq!(records().await.len(), 1);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_tags_reach_tape_in_place() {
    changes_are_told(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_tags_reach_tape_by_conditional_put() {
    changes_are_told(true).await;
}

fn vault() -> (KeyName, Keyring) {
    let (name, mut keyring) = ("vault".parse().unwrap(), Keyring::default());
    keyring.create(&name, 0, "2026-12-01T00:00:00Z").unwrap();
    (name, keyring)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sealed_record_is_told_under_its_packs_key_and_a_missing_one_holds_up_no_death() {
    let folder = tempfile::tempdir().unwrap();
    let (name, mut keyring) = vault();
    let mut settings = settings(folder.path());
    settings.pools.values_mut().for_each(|pool| pool.key = Some(name.clone()));
    let rig = Rig::start_with(folder.path(), false, settings, |service| service).await;
    rig.set_keys(&keyring);
    rig.make_bucket().await;
    rig.put_rule().await;
    for key in ["key", "other"] {
        rig.put(key, &bytes(1, 200_000)).await.unwrap();
    }
    let (archive, other) = (rig.wait_archived("key").await, rig.wait_archived("other").await);
    keyring.retire(&"vault:1".parse().unwrap()).unwrap();
    rig.set_keys(&keyring);
    retag(&rig, &archive, "light blue").await;
    let record =
        wait_for("the tags to be told", || async { records_of(&archive, told(&rig).await).pop() }).await;
    assert!(!record.contains("light blue"), "{record}");
    let opened = note::open_text(&keyring, &format!("record {}", archive.id), &record).unwrap();
    assert!(opened.contains("light blue"), "{opened}");

    rig.set_keys(&Keyring::default());
    retag(&rig, &archive, "red").await;
    wait_for("the notice of a missing key", || async {
        rig.engine.notices().into_iter().find(|notice| notice.code == Some("EN-0140"))
    })
    .await;
    rig.delete("other").await.unwrap();
    wait_for("the death to be told", || async { row(&rig, &other).await.death_journaled.then_some(()) })
        .await;
    assert!(row(&rig, &archive).await.record_changed.is_some(), "it is told when the key is back");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sealed_cartridge_shows_nobody_elses_names() {
    let folder = tempfile::tempdir().unwrap();
    let (name, keyring) = vault();
    let mut settings = settings(folder.path());
    let (open, sealed) = (PoolName::parse("glacier").unwrap(), PoolName::parse("a-sealed-one").unwrap());
    let pool = engine::PoolSettings { key: Some(name), ..settings.pools[&open].clone() };
    settings.pools.insert(sealed.clone(), pool);
    let rig = Rig::start_with(folder.path(), false, settings, |service| service).await;
    rig.set_keys(&keyring);
    rig.make_bucket().await;
    rig.put_rule().await;
    rig.put("key", &bytes(1, 200_000)).await.unwrap();
    let archive = rig.wait_archived("key").await;
    retag(&rig, &archive, "light blue").await;
    let there = |volume: &Volume| volume.pool.as_ref() == Some(&sealed);
    let record = wait_for("a record on the sealed volume", || async {
        records_of(&archive, told_on(&rig, there).await).pop()
    })
    .await;
    assert!(!record.contains("light blue"), "{record}");
    let opened = note::open_text(&keyring, &format!("record {}", archive.id), &record).unwrap();
    assert!(opened.contains("light blue"), "{opened}");
    rig.stop().await;
}
