//! A large object in many segments over small cartridges, some of which fail: while it is written, and while it is read.

#![allow(clippy::unwrap_used)]

mod rig;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::health;
use model::VolumeId;
use model::pack::PackCopyStage;
use rig::two_copies::{SECOND, meet_damage, repaired, spoil, two_libraries, written};
use rig::{Rig, bytes, wait_for};
use store::{Faults, Faulty};
use virtual_library::{Effect, Fault, Geometry, Sense, Unit};

/// As many segments of a pack each; a cartridge takes about a third of them.
const SEGMENTS: usize = 24;

fn small() -> Geometry {
    Geometry { cartridge_bytes: 18 << 20, index_partition_bytes: 1 << 20, slots: 16, ..Geometry::default() }
}

async fn start(folder: &Path) -> Rig {
    Rig::start_on(folder, false, two_libraries(folder), small(), |store| store).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_object_over_small_cartridges_comes_back_whole_though_one_fails_mid_way() {
    let folder = tempfile::tempdir().unwrap();
    let rig = start(folder.path()).await;
    rig.make_bucket().await;
    // The third pack of the first cartridge that is written fails half way.
    const WRITE: u8 = 0x0A;
    for drive in 0..rig.machine.drive_count() {
        let medium_error = Effect::Fail(Sense::new(0x03, 0x0C, 0x00));
        let fault =
            Fault { unit: Unit::Drive(drive), opcode: Some(WRITE), skip: 40, times: 1, effect: medium_error };
        rig.machine.faults().inject(fault);
    }
    let body = bytes(40, SEGMENTS << 20);
    rig.put("large", &body).await.unwrap();
    rig.put_rule().await;
    let archive = rig.wait_archived("large").await;
    assert_eq!(archive.extents.len(), SEGMENTS);
    assert!(rig.machine.faults().pending() < rig.machine.drive_count(), "no write failed");
    let mut holding: BTreeSet<VolumeId> = BTreeSet::new();
    for extent in &archive.extents {
        let copies = rig.catalog.copies_of(extent.pack).await.unwrap();
        let good = copies.iter().filter(|copy| copy.state.stage() == PackCopyStage::Verified);
        assert_eq!(good.clone().count(), 2, "{copies:?}");
        holding.extend(good.filter_map(|copy| copy.volume));
    }
    assert!(holding.len() >= 4, "it lies on {} cartridges only", holding.len());

    // A cartridge fails while it is read; later, once its copies are made again, every one of the other library.
    rig.machine.faults().clear();
    spoil(&rig, &written(&rig, "main").await[0]).await;
    meet_damage(&rig, rig.restore(&archive)).await;
    let health = health(&*rig.catalog).await.unwrap();
    assert_eq!(health.lost.packs, 0, "{health:?}");
    assert!(rig.restored(archive.id).await == body, "it came back as something else");
    repaired(&rig).await;
    for volume in written(&rig, SECOND).await {
        spoil(&rig, &volume).await;
    }
    rig.restore(&archive).await;
    assert!(rig.restored(archive.id).await == body, "it came back as something else");
    rig.stop().await;
}

/// What is on the spool on its way from tape to the store.
fn recalled_bytes(spool: &Path) -> u64 {
    let files = std::fs::read_dir(spool).unwrap().map(Result::unwrap);
    let recalled = files.filter(|file| file.file_name().to_string_lossy().ends_with(".recall"));
    // One that is gone meanwhile takes no room.
    recalled.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_object_comes_back_in_stretches_over_a_spool_smaller_than_itself() {
    const STRETCH: u64 = 5 << 20;
    const COUNT: usize = 9;
    const SPOOL: u64 = 3 * STRETCH;
    let folder = tempfile::tempdir().unwrap();
    let mut settings = two_libraries(folder.path());
    settings.spool.bytes_max = SPOOL;
    settings.pools.values_mut().for_each(|pool| pool.pack_bytes_target = STRETCH);
    // One in five writes to the store has no answer, or one that says nothing.
    let faults = Faults { per_mille: [40; 5], ..Faults::new(7) };
    let mut liar = None;
    let rig = Rig::start_on(folder.path(), false, settings, small(), |store| {
        let faulty = Arc::new(Faulty::new(store, faults));
        faulty.set_lying(false);
        liar = Some(faulty.clone());
        faulty
    })
    .await;
    let liar = liar.unwrap();
    rig.make_bucket().await;
    let body = bytes(41, (COUNT - 1) * (5 << 20) + 1_234_567);
    rig.put("large", &body).await.unwrap();
    rig.put_rule().await;
    let archive = rig.wait_archived("large").await;
    assert_eq!(archive.extents.len(), COUNT);

    spoil(&rig, &written(&rig, "main").await[0]).await;
    liar.set_lying(true);
    meet_damage(&rig, rig.restore(&archive)).await;
    let most = AtomicU64::new(0);
    wait_for("the restore to be over", || async {
        most.fetch_max(recalled_bytes(&folder.path().join("spool")), Ordering::Relaxed);
        let job = rig.catalog.restore_of(archive.id).await.unwrap().unwrap();
        (!job.state.stage().is_running()).then_some(())
    })
    .await;
    let most = most.into_inner();
    assert!(most > 0 && most <= 2 * STRETCH, "{most} bytes of it were on the spool");
    liar.set_lying(false);
    assert!(rig.restored(archive.id).await == body, "it came back as something else");
    assert!(liar.told().iter().sum::<u64>() > 0, "the store never lied");
    assert_eq!(recalled_bytes(&folder.path().join("spool")), 0);
    rig.stop().await;
}
