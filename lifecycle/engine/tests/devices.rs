//! Devices that fail in the middle of a pack: the work goes on elsewhere, or somebody is told and it goes on by itself
//! once that person has acted. Nothing is lost.

#![allow(clippy::unwrap_used)]

mod rig;

use library::DriveState;
use rig::{Rig, bytes, wait_for};
use virtual_library::{Effect, Fault, Sense, Unit};

const WRITE: u8 = 0x0A;

/// Every write of a drive fails from now on.
fn fail_writes(rig: &Rig, drive: usize, sense: Sense) {
    let effect = Effect::Fail(sense);
    let fault = Fault { unit: Unit::Drive(drive), opcode: Some(WRITE), skip: 0, times: u32::MAX, effect };
    rig.machine.faults().inject(fault);
}

fn down(rig: &Rig) -> Vec<String> {
    let down = |drive: &library::DriveStatus| matches!(drive.state, DriveState::Down { .. });
    rig.library.drives().into_iter().filter(down).map(|drive| drive.serial).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_drive_is_set_down_and_the_pack_goes_on_in_another() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::start(folder.path(), false).await;
    rig.make_bucket().await;
    rig.put_rule().await;
    rig.put("first", &bytes(1, 200_000)).await.unwrap();
    let first = rig.wait_archived("first").await;
    // The drive that has the volume being filled.
    let drive = wait_for("a mounted volume", || async {
        rig.library.drives().iter().position(|drive| drive.mounted.is_some())
    })
    .await;
    fail_writes(&rig, drive, Sense::new(0x4, 0x44, 0x00));
    for n in 2..4 {
        let key = format!("next-{n}");
        rig.put(&key, &bytes(n, 200_000)).await.unwrap();
        let archive = rig.wait_archived(&key).await;
        rig.restore(&archive).await;
        assert!(rig.restored(archive.id).await == bytes(n, 200_000));
    }
    assert!(down(&rig).len() <= 1, "the other drive is well");
    rig.restore(&first).await;
    assert!(rig.restored(first.id).await == bytes(1, 200_000));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_no_drive_writes_somebody_is_told_and_all_goes_on_after_they_acted() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::start(folder.path(), false).await;
    rig.make_bucket().await;
    let drives = rig.machine.drive_count();
    // Whatever cartridge is tried: two of three say that it is the drives.
    (0..drives).for_each(|drive| fail_writes(&rig, drive, Sense::new(0x3, 0x0C, 0x00)));
    rig.put("key", &bytes(1, 200_000)).await.unwrap();
    rig.put_rule().await;
    wait_for("every drive to be set down", || async { (down(&rig).len() == drives).then_some(()) }).await;
    wait_for("somebody to be told", || async {
        rig.engine.notices().iter().any(|notice| notice.code == Some("TL-0402")).then_some(())
    })
    .await;
    rig.machine.faults().clear();
    for serial in down(&rig) {
        rig.library.drive_up(&serial).unwrap();
    }
    let archive = rig.wait_archived("key").await;
    rig.restore(&archive).await;
    assert!(rig.restored(archive.id).await == bytes(1, 200_000));
    rig.stop().await;
}
