//! Several drives at once, and operators who want them for themselves.

#![allow(clippy::unwrap_used)]

mod rig;

use std::collections::{BTreeMap, BTreeSet};

use engine::{Settings, Standing};
use model::archive::ArchiveStage;
use model::catalog::Change;
use model::pack::PackCopyStage;
use model::store::StoreError;
use model::volume::{VolumeStage, VolumeState};
use model::{Archive, PoolName, VolumeId};
use rig::{Rig, bytes, settings, wait_for};
use store::{EmbeddedStore, S3Service, Swap};
use tokio::sync::watch;

fn held(rig: &Rig) -> Standing {
    let held = BTreeMap::from([("main".to_owned(), rig.engine.house().now())]);
    Standing { held, ..Standing::default() }
}

async fn ready(rig: &Rig) {
    rig.make_bucket().await;
    rig.put_rule().await;
    wait_for("two scratch volumes", || async {
        let rows = rig.catalog.volumes().await.unwrap();
        let scratch = rows.iter().filter(|row| row.state.stage() == VolumeStage::Scratch);
        (scratch.count() >= 2).then_some(())
    })
    .await;
}

fn two_mounts(settings: &mut Settings) {
    let pool = settings.pools.get_mut(&PoolName::parse("glacier").unwrap()).unwrap();
    (pool.drives_max, pool.mount_bytes) = (2, 1 << 20);
}

async fn volume_of(rig: &Rig, archive: &Archive) -> VolumeId {
    let copies = rig.catalog.copies_of(archive.extents[0].pack).await.unwrap();
    copies[0].volume.unwrap()
}

/// Objects of a pack each on two volumes, written at once.
async fn on_two_volumes(rig: &Rig) -> Vec<Archive> {
    ready(rig).await;
    rig.engine.stand(held(rig));
    for n in 0..4 {
        rig.put(&format!("key-{n}"), &bytes(n, 900_000)).await.unwrap();
    }
    wait_for("four packs on the spool", || async {
        let spooled = rig.catalog.copies_in(PackCopyStage::Spooled, None, 10).await.unwrap();
        (spooled.len() == 4).then_some(())
    })
    .await;
    rig.engine.stand(Standing::default());
    let mut archives = Vec::new();
    for n in 0..4 {
        archives.push(rig.wait_archived(&format!("key-{n}")).await);
    }
    archives
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn much_that_waits_is_written_in_two_drives_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    two_mounts(&mut settings);
    let rig = Rig::start_with(folder.path(), false, settings, |service| service).await;
    let archives = on_two_volumes(&rig).await;
    let mut volumes = BTreeSet::new();
    for archive in &archives {
        volumes.insert(volume_of(&rig, archive).await);
    }
    assert_eq!(volumes.len(), 2);
    for (n, archive) in (0..).zip(&archives) {
        rig.restore(archive).await;
        assert_eq!(rig.restored(archive.id).await, bytes(n, 900_000));
    }
    rig.stop().await;
}

/// A store that keeps copies of this object waiting.
struct Waiting {
    inner: EmbeddedStore,
    object: watch::Receiver<Option<String>>,
}

#[async_trait::async_trait]
impl S3Service for Waiting {
    async fn call(
        &self,
        request: http::Request<model::Body>,
    ) -> Result<http::Response<model::Body>, StoreError> {
        let path = request.uri().path().to_owned();
        if request.method() == http::Method::PUT {
            let mut object = self.object.clone();
            let other = |held: &Option<String>| held.as_ref().is_none_or(|held| !path.contains(held));
            object.wait_for(other).await.unwrap();
        }
        self.inner.call(request).await
    }
    fn capabilities(&self) -> model::store::Capabilities {
        self.inner.capabilities()
    }
    async fn swap_in_place(&self, swap: Swap) -> Result<(), StoreError> {
        self.inner.swap_in_place(swap).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn volumes_are_recalled_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    two_mounts(&mut settings);
    let (hold, held) = watch::channel(None);
    let wrap = |inner| Waiting { inner, object: held };
    let rig = Rig::start_with(folder.path(), false, settings, wrap).await;
    let archives = on_two_volumes(&rig).await;
    let first = volume_of(&rig, &archives[0]).await;
    let mut other = None;
    for archive in &archives {
        if volume_of(&rig, archive).await != first {
            other = Some(archive);
        }
    }
    let other = other.expect("they are on two volumes");
    hold.send_replace(Some(archives[0].id.to_string()));
    rig.restore(&archives[0]).await;
    wait_for("the first restore to be read", || async {
        let job = rig.catalog.restore_of(archives[0].id).await.unwrap()?;
        (job.state == model::RestoreState::Reading).then_some(())
    })
    .await;
    rig.restore(other).await;
    rig.restored(other.id).await;
    let job = rig.catalog.restore_of(archives[0].id).await.unwrap().unwrap();
    assert_eq!(job.state, model::RestoreState::Reading, "known as begun all the while");
    hold.send_replace(None);
    assert_eq!(rig.restored(archives[0].id).await, bytes(0, 900_000));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_library_is_held_nothing_is_mounted_and_restores_wait() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::start(folder.path(), false).await;
    ready(&rig).await;
    rig.put("key", &bytes(1, 300_000)).await.unwrap();
    let archive = rig.wait_archived("key").await;
    rig.engine.stand(held(&rig));
    wait_for("every cartridge to be in its slot", || async {
        rig.library.drives().iter().all(|drive| drive.barcode.is_none()).then_some(())
    })
    .await;
    rig.restore(&archive).await;
    rig.put("later", &bytes(2, 300_000)).await.unwrap();
    wait_for("the pack to be on the spool", || async {
        let spooled = rig.catalog.copies_in(PackCopyStage::Spooled, None, 10).await.unwrap();
        (!spooled.is_empty()).then_some(())
    })
    .await;
    assert!(rig.library.drives().iter().all(|drive| drive.barcode.is_none()));
    let job = rig.catalog.restore_of(archive.id).await.unwrap().unwrap();
    assert!(job.state.stage().is_running() && job.failures == 0, "{job:?}");
    assert!(rig.engine.notices().iter().any(|notice| notice.text.contains("main is held")));
    rig.engine.stand(Standing::default());
    assert_eq!(rig.restored(archive.id).await, bytes(1, 300_000));
    rig.wait_archived("later").await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_migration_is_paused_restores_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::start(folder.path(), false).await;
    ready(&rig).await;
    rig.put("key", &bytes(1, 300_000)).await.unwrap();
    let archive = rig.wait_archived("key").await;
    let paused = Some(rig.engine.house().now());
    rig.engine.stand(Standing { migration_paused: paused, ..Standing::default() });
    rig.put("later", &bytes(2, 300_000)).await.unwrap();
    rig.restore(&archive).await;
    assert_eq!(rig.restored(archive.id).await, bytes(1, 300_000));
    let later = wait_for("the other object to be due", || rig.archive_of("later")).await;
    assert_eq!(later.state.stage(), ArchiveStage::Due);
    rig.engine.stand(Standing::default());
    rig.wait_archived("later").await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_of_another_generation_says_what_it_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    let pool = settings.pools.get_mut(&PoolName::parse("glacier").unwrap()).unwrap();
    pool.generation = Some(library::Generation::Lto8);
    let rig = Rig::start_with(folder.path(), false, settings, |service| service).await;
    rig.make_bucket().await;
    rig.put_rule().await;
    rig.put("key", &bytes(1, 300_000)).await.unwrap();
    let notice = wait_for("a notice", || async {
        rig.engine.notices().into_iter().find(|notice| notice.code == Some("EN-0102"))
    })
    .await;
    assert!(notice.text.contains("no scratch cartridge of LTO-8"), "{}", notice.text);
    assert!(rig.catalog.volumes().await.unwrap().is_empty(), "none of another generation is labelled for it");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_that_is_empty_again_is_used_again_when_its_time_has_come() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::start(folder.path(), false).await;
    ready(&rig).await;
    let mut row = rig.catalog.volumes().await.unwrap().remove(0);
    let until = rig.engine.house().now().plus_milliseconds(3_600_000);
    use VolumeState::{Filling, Full, Pending, Reclaiming};
    for state in [Filling, Full, Reclaiming { retire: false }, Pending { until }] {
        row.advance(state);
        rig.catalog.commit(vec![Change::Volume(row.clone())]).await.unwrap();
        row.revision += 1;
    }
    rig.clock.step(3_599_000);
    let again = || async {
        let rows = rig.catalog.volumes().await.unwrap();
        let same = rows.iter().find(|other| other.barcode == row.barcode && other.id != row.id)?;
        (same.state.stage() == VolumeStage::Scratch && rows.iter().all(|other| other.id != row.id))
            .then_some(())
    };
    assert!(again().await.is_none());
    rig.clock.step(1_000);
    wait_for("the cartridge to be another volume", again).await;
    rig.stop().await;
}
