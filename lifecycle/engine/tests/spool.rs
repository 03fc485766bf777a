//! Packs that a power cut left damaged on the spool, which are not synced: what differs from its digest is made again.

#![allow(clippy::unwrap_used)]

mod rig;

use std::path::{Path, PathBuf};

use engine::Standing;
use model::PackId;
use model::archive::ArchiveStage;
use model::pack::{PackCopyStage, PackCopyState};
use rig::two_copies::{SECOND, spoil, start, written};
use rig::{Rig, bytes, wait_for};

/// Nothing is mounted in these libraries.
fn hold(rig: &Rig, libraries: &[&str]) {
    let now = rig.engine.house().now();
    let held = libraries.iter().map(|library| ((*library).to_owned(), now)).collect();
    rig.engine.stand(Standing { held, ..Standing::default() });
}

fn pack_file(folder: &Path, pack: PackId) -> PathBuf {
    folder.join("spool").join(format!("{pack}.tar.zst"))
}

fn zeros(file: &Path) {
    let length = std::fs::metadata(file).unwrap().len();
    std::fs::write(file, vec![0; usize::try_from(length).unwrap()]).unwrap();
}

fn halved(file: &Path) {
    let length = std::fs::metadata(file).unwrap().len();
    std::fs::OpenOptions::new().write(true).open(file).unwrap().set_len(length / 2).unwrap();
}

/// The pack of an object that waits on the spool for all its copies.
async fn spooled(rig: &Rig, key: &str) -> PackId {
    wait_for("the object to be on the spool", || async {
        let archive = rig.archive_of(key).await?;
        let pack = archive.extents.first()?.pack;
        let copies = rig.catalog.copies_of(pack).await.unwrap();
        let waits = !copies.is_empty() && copies.iter().all(|copy| copy.state == PackCopyState::Spooled);
        (archive.state.stage() == ArchiveStage::Packed && waits).then_some(pack)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_power_cut_damaged_is_packed_again() {
    for (key, damage) in [("zeros", zeros as fn(&Path)), ("halved", halved)] {
        let folder = tempfile::tempdir().unwrap();
        let rig = start(folder.path()).await;
        hold(&rig, &["main", SECOND]);
        rig.make_bucket().await;
        let body = bytes(7, 700_000);
        rig.put(key, &body).await.unwrap();
        rig.put_rule().await;
        let pack = spooled(&rig, key).await;
        rig.stop().await;
        damage(&pack_file(folder.path(), pack));

        let rig = start(folder.path()).await;
        let archive = rig.wait_archived(key).await;
        assert_ne!(archive.extents[0].pack, pack, "{key}: the damaged pack was not made again");
        for volume in written(&rig, "main").await.into_iter().chain(written(&rig, SECOND).await) {
            let here = rig::two_copies::copies_on(&rig, &volume).await;
            assert!(here.iter().all(|copy| copy.pack != pack), "{key}: {here:?}");
        }
        rig.restore(&archive).await;
        assert!(rig.restored(archive.id).await == body, "{key}: it came back as something else");
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_copy_is_made_from_the_first_when_the_spool_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let rig = start(folder.path()).await;
    hold(&rig, &["main", SECOND]);
    rig.make_bucket().await;
    let body = bytes(8, 700_000);
    rig.put("key", &body).await.unwrap();
    rig.put_rule().await;
    let pack = spooled(&rig, "key").await;
    hold(&rig, &[SECOND]);
    wait_for("the first copy", || async {
        let copies = rig.catalog.copies_of(pack).await.unwrap();
        copies.iter().any(|copy| copy.state.stage() == PackCopyStage::Verified).then_some(())
    })
    .await;
    zeros(&pack_file(folder.path(), pack));
    hold(&rig, &[]);
    let archive = rig.wait_archived("key").await;
    assert_eq!(archive.extents[0].pack, pack);
    let copies = rig.catalog.copies_of(pack).await.unwrap();
    let good = copies.iter().filter(|copy| copy.state.stage() == PackCopyStage::Verified).count();
    assert_eq!(good, 2, "{copies:?}");
    // The second is as good as the first.
    for volume in written(&rig, "main").await {
        spoil(&rig, &volume).await;
    }
    rig.restore(&archive).await;
    assert!(rig.restored(archive.id).await == body);
    rig.stop().await;
}
