//! What tape is told of ends and changes, so that a catalog made from tape alone knows them.

#![allow(clippy::unwrap_used)]

mod rig;

use std::sync::{Arc, Mutex};

use http::Method;
use library::{Barcode, CatalogId, End, Expected, Mount, VolumeUuid, WorkEnd};
use model::Archive;
use model::catalog::Change;
use model::fence::Work;
use volume::journal::{self, Entry};

use rig::{Rig, bytes, wait_for};

/// Everything told on the volumes, in order.
async fn told(rig: &Rig) -> Vec<Entry> {
    let mut told = Vec::new();
    for volume in rig.catalog.volumes().await.unwrap() {
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
    assert!(rig.catalog.archives_untold(10).await.unwrap().is_empty());
    rig.stop().await;
}

async fn changes_are_told(pretend_remote: bool) {
    let folder = tempfile::tempdir().unwrap();
    let (rig, archive) = archived(folder.path(), pretend_remote).await;
    let retag = async |tags: &str| {
        let document = format!("<Tagging><TagSet>{tags}</TagSet></Tagging>");
        let path = format!("/{}/key?tagging", rig.bucket);
        assert_eq!(rig.call(Method::PUT, &path, document.as_bytes()).await.0, 200);
        rig.catalog.commit(vec![Change::Touch(archive.id)]).await.unwrap();
        rig.engine.wake().wake(Work::Touched);
    };
    retag("<Tag><Key>colour</Key><Value>light blue</Value></Tag>").await;
    let records = async || -> Vec<volume::pack::ObjectRecord> {
        let told = told(&rig).await;
        let records = told.into_iter().filter_map(|entry| match entry {
            Entry::RecordChanged { archive: id, record, .. } if id == archive.id.to_string() => {
                Some(serde_json::from_str(&record).unwrap())
            }
            _ => None,
        });
        records.collect()
    };
    let record = wait_for("the tags to be told", || async { records().await.pop() }).await;
    assert_eq!(record.tags, [("colour".to_owned(), "light blue".to_owned())]);
    assert_eq!((record.size, &record.etag), (archive.size, &archive.identity.unwrap().etag.to_string()));
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
