//! Trouble with one object, one volume or one cartridge holds up nothing else.

#![allow(clippy::unwrap_used)]

mod rig;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{Method, Request, Response};
use library::{CatalogId, Overwrite, VolumeIdentity, VolumeUuid};
use model::Body;
use model::archive::ArchiveStage;
use model::store::{Capabilities, StoreError};
use model::volume::VolumeStage;
use rig::{Rig, bytes, settings, wait_for};
use store::{EmbeddedStore, S3Service, Swap};
use virtual_library::{Effect, Fault, Sense, Unit};

/// A store that never answers for keys with a bad word in them, once told so.
struct Sick {
    store: EmbeddedStore,
    sick: Arc<AtomicBool>,
}

#[async_trait::async_trait]
impl S3Service for Sick {
    async fn call(&self, request: Request<Body>) -> Result<Response<Body>, StoreError> {
        let path = request.uri().path();
        let hit = (request.method() == Method::HEAD && path.contains("no-head"))
            || (request.method() == Method::GET && path.contains("no-read"));
        if hit && self.sick.load(Ordering::Relaxed) {
            return Err(StoreError::Doubt { what: path.to_owned(), source: "no answer".into() });
        }
        self.store.call(request).await
    }

    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    async fn swap_in_place(&self, swap: Swap) -> Result<(), StoreError> {
        self.store.swap_in_place(swap).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_that_cannot_be_read_stop_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let sick = Arc::new(AtomicBool::new(true));
    let rig = {
        let sick = sick.clone();
        Rig::start_with(folder.path(), false, settings(folder.path()), |store| Sick { store, sick }).await
    };
    rig.make_bucket().await;
    for key in ["a-no-head", "b-no-read", "c-fine", "d-fine"] {
        rig.put(key, &bytes(1, 200_000)).await.unwrap();
    }
    rig.put_rule().await;
    rig.wait_archived("c-fine").await;
    rig.wait_archived("d-fine").await;
    for key in ["a-no-head", "b-no-read"] {
        wait_for("the bad ones to be set aside", || async {
            rig.archive_of(key).await.filter(|row| row.state.stage() == ArchiveStage::Failed)
        })
        .await;
    }
    sick.store(false, Ordering::Relaxed);
    rig.wait_archived("a-no-head").await;
    rig.wait_archived("b-no-read").await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_larger_than_the_spool_is_archived() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    // Room for one segment at a time, with what a pack may take at most beside its members.
    settings.spool.bytes_max = 5 << 20;
    let rig = Rig::start_with(folder.path(), false, settings, |store| store).await;
    rig.make_bucket().await;
    let body = bytes(7, 7 << 20);
    rig.put("large", &body).await.unwrap();
    rig.put_rule().await;
    let archive = rig.wait_archived("large").await;
    assert_eq!(archive.extents.len(), 7);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_bad_volumes_do_not_stop_writing() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::start(folder.path(), false).await;
    rig.make_bucket().await;
    wait_for("scratch volumes", || async {
        let rows = rig.catalog.volumes().await.unwrap();
        (rows.iter().filter(|row| row.state.stage() == VolumeStage::Scratch).count() >= 2).then_some(())
    })
    .await;
    const WRITE: u8 = 0x0A;
    let medium_error = Effect::Fail(Sense::new(0x03, 0x0C, 0x00));
    for drive in 0..rig.machine.drive_count() {
        let fault = Fault {
            unit: Unit::Drive(drive),
            opcode: Some(WRITE),
            skip: 0,
            times: 2_u32.div_ceil(u32::try_from(rig.machine.drive_count()).unwrap()),
            effect: medium_error,
        };
        rig.machine.faults().inject(fault);
    }
    rig.put("key", &bytes(1, 200_000)).await.unwrap();
    rig.put_rule().await;
    rig.wait_archived("key").await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cartridge_that_is_not_ours_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    settings.labels_blank.clear();
    // First without the right to label: the first cartridge becomes somebody else's.
    let rig = Rig::start_with(folder.path(), false, settings, |store| store).await;
    let library = rig.library.clone();
    let foreign = tokio::task::spawn_blocking(move || {
        let barcode = library.inventory().slots.iter().find_map(|slot| slot.barcode.clone()).unwrap();
        let identity = VolumeIdentity {
            uuid: VolumeUuid::from_u128(99),
            catalog_id: CatalogId::from_u128(7),
            name: "theirs".to_owned(),
        };
        library.label(&barcode, identity, Overwrite::Never).unwrap();
        barcode
    })
    .await
    .unwrap();
    rig.stop().await;
    let rig = Rig::start(folder.path(), false).await;
    rig.make_bucket().await;
    rig.put("key", &bytes(1, 200_000)).await.unwrap();
    rig.put_rule().await;
    rig.wait_archived("key").await;
    let rows = rig.catalog.volumes().await.unwrap();
    let theirs: Vec<_> = rows.iter().filter(|row| row.barcode == foreign.as_str()).collect();
    assert!(theirs.iter().all(|row| row.state.stage() == VolumeStage::Preparing));
    rig.stop().await;
}
