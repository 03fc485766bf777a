//! A large object in many segments over small cartridges, some of which fail: while it is written, and while it is read.

#![allow(clippy::unwrap_used)]

mod rig;

use std::collections::BTreeSet;
use std::path::Path;

use engine::health;
use model::VolumeId;
use model::pack::PackCopyStage;
use rig::two_copies::{SECOND, meet_damage, repaired, spoil, two_libraries, written};
use rig::{Rig, bytes};
use virtual_library::{Effect, Fault, Geometry, Sense, Unit};

/// As many segments of a pack each; a cartridge takes about a third of them.
const SEGMENTS: usize = 24;

async fn start(folder: &Path) -> Rig {
    let small = Geometry {
        cartridge_bytes: 18 << 20,
        index_partition_bytes: 1 << 20,
        slots: 16,
        ..Geometry::default()
    };
    Rig::start_on(folder, false, two_libraries(folder), small, |store| store).await
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
