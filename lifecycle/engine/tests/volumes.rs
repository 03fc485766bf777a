//! The life of volumes: read back on request, emptied and labelled anew, retired, given up; and copies made again through
//! restarts and in whatever order cartridges are destroyed.

#![allow(clippy::unwrap_used)]

mod rig;

use engine::{Refusal, exposure, health, usage};
use model::VolumeId;
use model::archive::ArchiveStage;
use model::pack::PackCopyStage;
use model::volume::{Volume, VolumeStage, VolumeState};
use rig::two_copies::{Kept, SECOND, cartridge, copies_on, read_back, repaired, spoil, start, written};
use rig::{Rig, bytes, wait_for};

async fn volume(rig: &Rig, id: VolumeId) -> Option<Volume> {
    rig.catalog.volume(id).await.unwrap()
}

/// The cartridge of `old` is another volume.
async fn labelled_anew(rig: &Rig, old: &Volume) -> Volume {
    wait_for("the cartridge to be labelled anew", || async {
        let volumes = rig.catalog.volumes().await.unwrap();
        let same = |row: &&Volume| row.library == old.library && row.barcode == old.barcode;
        let mut here = volumes.iter().filter(same);
        let found = here.next().cloned().filter(|row| row.id != old.id)?;
        here.next().is_none().then_some(found)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reclaimed_cartridge_is_labelled_anew_and_what_lived_on_it_lives_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let rig = start(folder.path()).await;
    let mut kept = Kept::archive(&rig).await;
    let old = written(&rig, "main").await.remove(0);
    let (gone, _) = kept.archives.remove(2);
    rig.delete(gone.key.as_str()).await.unwrap();
    wait_for("the deleted object to be history", || async {
        let row = rig.catalog.archive(gone.id).await.unwrap().unwrap();
        (row.state.stage() == ArchiveStage::Dead).then_some(())
    })
    .await;
    let used = usage(&*rig.catalog, old.id).await.unwrap();
    assert!(used.dead_bytes > 0 && used.live_bytes > 0, "{used:?}");
    let dead: Vec<_> = gone.extents.iter().map(|extent| extent.pack).collect();

    rig.engine.reclaim(old.id).await.unwrap();
    let new = labelled_anew(&rig, &old).await;
    assert!(volume(&rig, old.id).await.is_none() && new.id != old.id);
    assert_eq!(health(&*rig.catalog).await.unwrap().degraded.packs, 0);
    for (archive, _) in &kept.archives {
        for extent in &archive.extents {
            let copies = rig.catalog.copies_of(extent.pack).await.unwrap();
            assert!(copies.iter().all(|copy| copy.volume != Some(old.id)), "{copies:?}");
            let good = copies.iter().filter(|copy| copy.state.stage() == PackCopyStage::Verified);
            assert_eq!(good.count(), 2, "{copies:?}");
        }
    }
    // Dead packs were left behind, and are forgotten once no cartridge has them.
    for pack in &dead {
        let copies = rig.catalog.copies_of(*pack).await.unwrap();
        assert!(copies.iter().all(|copy| copy.pool.as_str() == SECOND), "{copies:?}");
    }
    let other = written(&rig, SECOND).await.remove(0);
    rig.engine.reclaim(other.id).await.unwrap();
    labelled_anew(&rig, &other).await;
    // The end of the deleted object is journaled again with the next packs; only then is it forgotten.
    Kept::archive_more(&rig, 100).await.restore_all(&rig).await;
    wait_for("history to be forgotten", || async {
        let archive = rig.catalog.archive(gone.id).await.unwrap();
        let pack = rig.catalog.pack(dead[0]).await.unwrap();
        (archive.is_none() && pack.is_none()).then_some(())
    })
    .await;
    kept.restore_all(&rig).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_only_on_one_volume_keeps_it_from_being_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::start(folder.path(), false).await;
    let kept = Kept::archive(&rig).await;
    let only = written(&rig, "main").await.remove(0);
    let exposed = exposure(&*rig.catalog, only.id).await.unwrap();
    let bytes: u64 = kept.archives.iter().map(|(_, body)| body.len() as u64).sum();
    // An object in several packs is counted with each.
    assert!(exposed.objects().0 >= kept.archives.len() as u64 && exposed.objects().1 >= bytes);
    assert!(matches!(rig.engine.give_up(only.id, false).await, Err(Refusal::Unfit(_))));
    assert_eq!(volume(&rig, only.id).await.unwrap().state, only.state);
    kept.restore_all(&rig).await;

    // Retired with what lives on it moved first.
    rig.engine.retire(only.id).await.unwrap();
    wait_for("the volume to be retired", || async {
        let row = volume(&rig, only.id).await.unwrap();
        (row.state.stage() == VolumeStage::Retired).then_some(())
    })
    .await;
    assert_eq!(rig.engine.emptying(only.id).await.unwrap().left, 0);
    kept.restore_all(&rig).await;
    for next in written(&rig, "main").await {
        rig.engine.give_up(next.id, true).await.unwrap();
        assert_eq!(volume(&rig, next.id).await.unwrap().state, VolumeState::Retired);
    }
    let health = health(&*rig.catalog).await.unwrap();
    assert!(health.lost.packs > 0 && health.lost == health.degraded, "{health:?}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_is_read_back_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let rig = start(folder.path()).await;
    let kept = Kept::archive(&rig).await;
    let one = written(&rig, "main").await.remove(0);
    let packs = copies_on(&rig, &one).await.len() as u64;
    let check = read_back(&rig, one.id).await;
    assert_eq!((check.good, check.damaged), (packs, 0));
    spoil(&rig, &one).await;
    let check = read_back(&rig, one.id).await;
    assert_eq!((check.good, check.damaged), (0, packs));
    assert_eq!(volume(&rig, one.id).await.unwrap().state.stage(), VolumeStage::Suspect);
    assert_eq!(health(&*rig.catalog).await.unwrap().degraded.packs, packs);
    // What was only the drive's trouble is taken back.
    rig.machine.faults().clear();
    let check = read_back(&rig, one.id).await;
    assert_eq!((check.good, check.damaged), (packs, 0));
    let stages: Vec<_> = copies_on(&rig, &one).await.iter().map(|copy| copy.state.stage()).collect();
    assert!(stages.iter().all(|stage| *stage == PackCopyStage::Verified), "{stages:?}");
    kept.restore_all(&rig).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repair_and_reclaim_go_on_after_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let rig = start(folder.path()).await;
    let kept = Kept::archive(&rig).await;
    let (lost, emptied) = (written(&rig, "main").await.remove(0), written(&rig, SECOND).await.remove(0));
    rig.engine.give_up(lost.id, false).await.unwrap();
    rig.engine.repair(None).await.unwrap();
    rig.engine.reclaim(emptied.id).await.unwrap();
    rig.stop().await;
    std::fs::remove_dir_all(cartridge(folder.path(), &lost)).unwrap();
    // Cut off again after each step that shows in the rows.
    let mut rig = start(folder.path()).await;
    for stage in [PackCopyStage::Spooled, PackCopyStage::Written] {
        wait_for("a copy to come a step further, or to be there", || async {
            let under_way = rig.catalog.copies_in(stage, None, 10).await.unwrap();
            let over = rig.catalog.copies_in(PackCopyStage::Wanted, None, 10).await.unwrap().is_empty();
            (over || !under_way.is_empty()).then_some(())
        })
        .await;
        rig.stop().await;
        // The spool survives nothing.
        std::fs::remove_dir_all(folder.path().join("spool")).unwrap();
        rig = start(folder.path()).await;
    }
    labelled_anew(&rig, &emptied).await;
    repaired(&rig).await;
    kept.restore_all(&rig).await;
    rig.stop().await;
}

/// Numbers from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_in_whatever_order_cartridges_are_destroyed_and_copies_made_again() {
    let seed = std::process::id().into();
    let mut dice = Dice(seed);
    let folder = tempfile::tempdir().unwrap();
    let mut rig = start(folder.path()).await;
    let mut kept = Kept::archive(&rig).await;
    let mut story = vec![format!("seed {seed}")];
    for _ in 0..8 {
        let mut holding = written(&rig, "main").await;
        holding.extend(written(&rig, SECOND).await);
        if holding.is_empty() {
            repaired(&rig).await;
            continue;
        }
        let one = holding.remove(dice.below(holding.len()));
        let safe = exposure(&*rig.catalog, one.id).await.unwrap().is_empty();
        let deed = dice.below(4);
        story.push(format!("deed {deed} to {} of {}, safe {safe}", one.barcode, one.library));
        match deed {
            // Destroyed while the gateway is down, and told afterwards.
            0 if safe => {
                rig.stop().await;
                std::fs::remove_dir_all(cartridge(folder.path(), &one)).unwrap();
                rig = start(folder.path()).await;
                rig.engine.give_up(one.id, false).await.unwrap();
            }
            1 if safe => {
                // Damage that nobody met does not count against another cartridge, so it is looked for.
                spoil(&rig, &one).await;
                assert!(read_back(&rig, one.id).await.damaged > 0, "{}", story.join("; "));
                kept.restore_all(&rig).await;
            }
            2 => rig.engine.reclaim(one.id).await.unwrap(),
            _ => repaired(&rig).await,
        }
    }
    kept.restore_all(&rig).await;
    repaired(&rig).await;
    let (key, body) = ("late", bytes(77, 400_000));
    rig.put(key, &body).await.unwrap();
    kept.archives.push((rig.wait_archived(key).await, body));
    kept.restore_all(&rig).await;
    let lost = health(&*rig.catalog).await.unwrap().lost.packs;
    assert_eq!(lost, 0, "{}", story.join("; "));
    rig.stop().await;
}
