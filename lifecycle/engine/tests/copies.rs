//! Two copies, in two libraries: any one cartridge may be destroyed, what is short of copies is told, and copies are made
//! again.

#![allow(clippy::unwrap_used)]

mod rig;

use engine::health;
use model::archive::ArchiveStage;
use model::catalog::Change;
use model::pack::{PackCopy, PackCopyStage};
use model::volume::VolumeState;
use rig::two_copies::{
    Kept, SECOND, cartridge, copies_on, meet_damage, pool, repaired, spoil, start, two_libraries, written,
};
use rig::{Rig, bytes, wait_for};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_one_cartridge_may_be_destroyed() {
    let folder = tempfile::tempdir().unwrap();
    let rig = start(folder.path()).await;
    let kept = Kept::archive(&rig).await;
    let (mut volumes, second) = (written(&rig, "main").await, written(&rig, SECOND).await);
    assert!(!volumes.is_empty() && !second.is_empty(), "a copy in each library");
    volumes.extend(second);
    rig.stop().await;
    for volume in volumes {
        let (at, away) = (cartridge(folder.path(), &volume), folder.path().join("away"));
        std::fs::rename(&at, &away).unwrap();
        let rig = start(folder.path()).await;
        kept.restore_all(&rig).await;
        rig.stop().await;
        std::fs::rename(&away, &at).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spoiled_copy_is_told_and_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let rig = start(folder.path()).await;
    let kept = Kept::archive(&rig).await;
    assert_eq!(health(&*rig.catalog).await.unwrap().degraded.packs, 0);
    let spoiled = written(&rig, "main").await.remove(0);
    spoil(&rig, &spoiled).await;
    meet_damage(&rig, kept.ask_for_all(&rig)).await;
    kept.came_back(&rig).await;

    let stages: Vec<_> = copies_on(&rig, &spoiled).await.iter().map(|copy| copy.state.stage()).collect();
    assert!(stages.contains(&PackCopyStage::Damaged), "{stages:?}");
    let packs = stages.len() as u64;
    let health = health(&*rig.catalog).await.unwrap();
    assert_eq!((health.degraded.packs, health.lost.packs), (packs, 0));
    assert_eq!(health.pools[&pool("glacier")].short.packs, packs);
    assert!(!health.pools.contains_key(&pool(SECOND)));
    let codes: Vec<_> = rig.engine.shortages(&health).iter().map(|notice| notice.code).collect();
    assert_eq!(codes, [Some("EN-0141")]);

    repaired(&rig).await;
    // What is left of the second library's copies is not needed any more either.
    for volume in written(&rig, SECOND).await {
        spoil(&rig, &volume).await;
    }
    kept.restore_all(&rig).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_lost_before_the_flip_is_made_again_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = two_libraries(folder.path());
    // Between tape and flip there is time to lose a copy.
    settings.grace = std::time::Duration::from_secs(3600);
    let rig = Rig::start_with(folder.path(), false, settings, |store| store).await;
    rig.make_bucket().await;
    let body = bytes(1, 700_000);
    rig.put("key", &body).await.unwrap();
    rig.put_rule().await;
    let archive = wait_for("it to be on tape", || async {
        rig.archive_of("key").await.filter(|row| row.state.stage() == ArchiveStage::Taped)
    })
    .await;
    let suspect = written(&rig, "main").await.remove(0);
    let mut row = suspect.clone();
    row.advance(VolumeState::Suspect { why: "worn".into() });
    rig.catalog.commit(vec![Change::Volume(row)]).await.unwrap();
    let pack = archive.extents[0].pack;
    wait_for("another copy", || async {
        let copies = rig.catalog.copies_of(pack).await.unwrap();
        let good = |copy: &&PackCopy| {
            copy.state.stage() == PackCopyStage::Verified && copy.volume != Some(suspect.id)
        };
        (copies.iter().filter(good).count() == 2).then_some(())
    })
    .await;
    rig.stop().await;
    std::fs::remove_dir_all(cartridge(folder.path(), &suspect)).unwrap();
    let rig = start(folder.path()).await;
    let archive = rig.wait_archived("key").await;
    rig.restore(&archive).await;
    assert!(rig.restored(archive.id).await == body);
    rig.stop().await;
}
