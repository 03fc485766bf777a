//! Restores and flips among damage, broken drives, cartridges that are away, clients that delete, and a full store.

#![allow(clippy::unwrap_used)]

mod rig;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use model::archive::ArchiveStage;
use model::catalog::Change;
use model::pack::PackCopyStage;
use model::restore::RestoreStage;
use model::store::StoreError;
use model::volume::{Volume, VolumeStage, VolumeState};
use model::{Archive, PoolName, RestoreJob, RestoreState};
use rig::{Rig, bytes, settings, wait_for};
use store::{EmbeddedStore, S3Service, Swap};
use virtual_library::{Barcode, Effect, Fault, Place, Sense, Unit, VirtualLibrary};

async fn archived(rig: &Rig, key: &str, body: &[u8]) -> Archive {
    rig.put(key, body).await.unwrap();
    rig.wait_archived(key).await
}

async fn ended(rig: &Rig, archive: &Archive) -> RestoreJob {
    wait_for(&format!("the restore of {} to end", archive.key), || async {
        let job = rig.catalog.restore_of(archive.id).await.unwrap()?;
        (!job.state.stage().is_running()).then_some(job)
    })
    .await
}

/// The volume of an archive's only copy, its first block there and their number.
async fn place(rig: &Rig, archive: &Archive) -> (Volume, u64, u64) {
    let copy = rig.catalog.copies_of(archive.extents[0].pack).await.unwrap().remove(0);
    let (start_block, blocks) = copy.state.place().unwrap();
    (rig.catalog.volume(copy.volume.unwrap()).await.unwrap().unwrap(), start_block, blocks)
}

async fn start(folder: &std::path::Path) -> Rig {
    let rig = Rig::start(folder, false).await;
    rig.make_bucket().await;
    rig.put_rule().await;
    rig
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_only_copy_fails_and_the_others_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let rig = start(folder.path()).await;
    let (bad, good) = (bytes(1, 300_000), bytes(2, 400_000));
    let bad = archived(&rig, "bad", &bad).await;
    let other = archived(&rig, "good", &good).await;
    let (volume, start_block, blocks) = place(&rig, &bad).await;
    let barcode = Barcode::parse(&volume.barcode).unwrap();
    for block in start_block..start_block + blocks {
        rig.machine.faults().damage_block(&barcode, 1, block);
    }
    rig.restore(&bad).await;
    rig.restore(&other).await;
    assert_eq!(rig.restored(other.id).await, good);
    let RestoreState::Failed { reason } = ended(&rig, &bad).await.state else { panic!("it cannot be read") };
    assert!(reason.contains("damaged"), "{reason}");
    let volume = rig.catalog.volume(volume.id).await.unwrap().unwrap();
    assert_eq!(volume.state.stage(), VolumeStage::Suspect);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_copy_gives_way_to_the_good_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    let [first, second] = ["glacier", "sibling"].map(|name| PoolName::parse(name).unwrap());
    let sibling = settings.pools[&first].clone();
    settings.pools.get_mut(&first).unwrap().copies.push(second.clone());
    settings.pools.insert(second, sibling);
    let rig = Rig::start_with(folder.path(), false, settings, |service| service).await;
    rig.make_bucket().await;
    rig.put_rule().await;
    let body = bytes(1, 300_000);
    let archive = archived(&rig, "key", &body).await;
    let pack = archive.extents[0].pack;
    let copies = wait_for("both copies to be read back", || async {
        let copies = rig.catalog.copies_of(pack).await.unwrap();
        let verified = copies.iter().filter(|copy| copy.state.stage() == PackCopyStage::Verified).count();
        (verified == 2).then_some(copies)
    })
    .await;
    // What is in a drive would be read first; else it is the first copy.
    for copy in &copies {
        let row = rig.catalog.volume(copy.volume.unwrap()).await.unwrap().unwrap();
        let (library, barcode) = (rig.library.clone(), library::Barcode::parse(&row.barcode).unwrap());
        tokio::task::spawn_blocking(move || library.put_away(&barcode).unwrap()).await.unwrap();
    }
    let (volume, start_block, blocks) = place(&rig, &archive).await;
    let barcode = Barcode::parse(&volume.barcode).unwrap();
    for block in start_block..start_block + blocks {
        rig.machine.faults().damage_block(&barcode, 1, block);
    }
    rig.restore(&archive).await;
    assert_eq!(rig.restored(archive.id).await, body);
    assert_eq!(ended(&rig, &archive).await.failures, 0, "the other copy answers for it");
    let volume = rig.catalog.volume(volume.id).await.unwrap().unwrap();
    assert_eq!(volume.state.stage(), VolumeStage::Suspect, "nothing of it could be read");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_drive_is_charged_to_no_restore() {
    let folder = tempfile::tempdir().unwrap();
    let rig = start(folder.path()).await;
    let bodies: Vec<_> = (0..4).map(|n| bytes(n, 300_000)).collect();
    let mut archives = Vec::new();
    for (n, body) in bodies.iter().enumerate() {
        archives.push(archived(&rig, &format!("key-{n}"), body).await);
    }
    let (volume, ..) = place(&rig, &archives[0]).await;
    let drives = rig.library.drives();
    let holds = |drive: &library::DriveStatus| {
        drive.barcode.as_ref().is_some_and(|barcode| barcode.as_str() == volume.barcode)
    };
    let drive = drives.iter().position(holds).expect("the volume was just verified");
    rig.machine.faults().inject(Fault {
        unit: Unit::Drive(drive),
        opcode: Some(0x08),
        skip: 1,
        times: u32::MAX,
        effect: Effect::Fail(Sense::new(0x4, 0x44, 0x00)),
    });
    for archive in &archives {
        rig.restore(archive).await;
    }
    for (archive, body) in archives.iter().zip(&bodies) {
        assert_eq!(rig.restored(archive.id).await, *body);
        assert_eq!(ended(&rig, archive).await.failures, 0);
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_while_being_read_leaves_nothing_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let rig = start(folder.path()).await;
    let mut archives = Vec::new();
    for n in 0..60 {
        rig.put(&format!("key-{n}"), &bytes(n, 20_000)).await.unwrap();
    }
    for n in 0..60 {
        archives.push(rig.wait_archived(&format!("key-{n}")).await);
    }
    for archive in &archives {
        rig.restore(archive).await;
    }
    for archive in archives.iter().step_by(2) {
        rig.delete(archive.key.as_str()).await.unwrap();
    }
    for (n, archive) in archives.iter().enumerate() {
        let stage = ended(&rig, archive).await.state.stage();
        assert!(n % 2 == 0 || stage == RestoreStage::Copied, "{}: {stage:?}", archive.key);
    }
    wait_for("the copies of the deleted to go", || async {
        for archive in archives.iter().step_by(2) {
            if rig.store.copy_bytes(archive.id).await.unwrap().is_some() {
                return None;
            }
        }
        Some(())
    })
    .await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cartridge_that_is_away_holds_up_only_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let rig = start(folder.path()).await;
    let (first, second) = (bytes(1, 300_000), bytes(2, 300_000));
    let away = archived(&rig, "away", &first).await;
    let (mut volume, ..) = place(&rig, &away).await;
    volume.advance(VolumeState::Full);
    let barcode = Barcode::parse(&volume.barcode).unwrap();
    let id = volume.id;
    rig.catalog.commit(vec![Change::Volume(volume)]).await.unwrap();
    let here = archived(&rig, "here", &second).await;
    assert_ne!(place(&rig, &here).await.0.id, id);
    // Stopped, so that every cartridge is back in its slot.
    rig.stop().await;
    let machine = VirtualLibrary::open(&folder.path().join("library"), rig::geometry()).unwrap();
    let outside = machine.remove(&barcode).unwrap();
    drop(machine);
    let rig = Rig::start(folder.path(), false).await;
    rig.restore(&away).await;
    rig.restore(&here).await;
    assert_eq!(rig.restored(here.id).await, second);
    let job = rig.catalog.restore_of(away.id).await.unwrap().unwrap();
    assert!(job.state.stage().is_running() && job.failures == 0, "{job:?}");
    rig.machine.insert(&outside, Place::Slot).unwrap();
    assert_eq!(rig.restored(away.id).await, first);
    rig.stop().await;
}

/// A store that refuses flips while it is told to.
struct Refusing {
    inner: EmbeddedStore,
    full: Arc<AtomicBool>,
    asked: Arc<AtomicBool>,
}

#[async_trait::async_trait]
impl S3Service for Refusing {
    async fn call(
        &self,
        request: http::Request<model::Body>,
    ) -> Result<http::Response<model::Body>, StoreError> {
        self.inner.call(request).await
    }
    fn capabilities(&self) -> model::store::Capabilities {
        self.inner.capabilities()
    }
    async fn swap_in_place(&self, swap: Swap) -> Result<(), StoreError> {
        if !self.full.load(Ordering::Relaxed) {
            return self.inner.swap_in_place(swap).await;
        }
        self.asked.store(true, Ordering::Relaxed);
        Err(StoreError::Full { what: "a swap".into() })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_store_leaves_every_key_writable() {
    let folder = tempfile::tempdir().unwrap();
    let (full, asked) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
    let mut settings = settings(folder.path());
    settings.store_deadline = Duration::from_secs(600);
    let (shared, told) = (full.clone(), asked.clone());
    let wrap = |inner| Refusing { inner, full: shared, asked: told };
    let rig = Rig::start_with(folder.path(), false, settings, wrap).await;
    rig.make_bucket().await;
    rig.put_rule().await;
    for n in 0..3 {
        rig.put(&format!("key-{n}"), &bytes(n, 50_000)).await.unwrap();
    }
    wait_for("a flip to be refused", || async { asked.load(Ordering::Relaxed).then_some(()) }).await;
    let flipping = wait_for("a key to be Flipping", || async {
        let rows = rig.catalog.archives_in(ArchiveStage::Flipping, None, 10).await.unwrap();
        rows.into_iter().next()
    })
    .await;
    // The deadline is far away: only the store's own word opens the keys.
    rig.delete(flipping.key.as_str()).await.unwrap();
    wait_for("the deleted object's archive to end", || async {
        let row = rig.catalog.archive(flipping.id).await.unwrap().unwrap();
        (row.state.stage() == ArchiveStage::Withdrawn).then_some(())
    })
    .await;
    let keys: Vec<String> = (0..3).map(|n| format!("key-{n}")).collect();
    for key in keys.iter().filter(|key| key.as_str() != flipping.key.as_str()) {
        rig.put(key, &bytes(9, 60_000)).await.unwrap();
    }
    full.store(false, Ordering::Relaxed);
    for key in keys.iter().filter(|key| key.as_str() != flipping.key.as_str()) {
        let archive = rig.wait_archived(key).await;
        assert_eq!(archive.size, 60_000);
    }
    rig.stop().await;
}
