//! A pool whose packs get a copy in a pool of another library, and what is done to cartridges.

use std::path::{Path, PathBuf};

use engine::{PoolSettings, Settings, Standing, health};
use model::pack::PackCopy;
use model::volume::{Volume, VolumeCheck, VolumeStage};
use model::{Archive, PoolName, VolumeId};
use virtual_library::{Barcode, Geometry};

use super::{Rig, bytes, geometry, settings, wait_for};

pub const SECOND: &str = "second";

pub fn pool(name: &str) -> PoolName {
    PoolName::parse(name).unwrap()
}

pub fn two_libraries(folder: &Path) -> Settings {
    let mut settings = settings(folder);
    let second = pool(SECOND);
    let first = settings.pools.get_mut(&pool("glacier")).unwrap();
    first.copies = vec![second.clone()];
    let copy = PoolSettings { library: SECOND.into(), copies: Vec::new(), ..first.clone() };
    settings.pools.insert(second, copy);
    settings.labels_blank.insert(SECOND.into());
    settings
}

pub async fn start(folder: &Path) -> Rig {
    let geometry = Geometry { slots: 16, ..geometry() };
    Rig::start_on(folder, false, two_libraries(folder), geometry, |store| store).await
}

/// Objects of several sizes, archived, and their bytes.
pub struct Kept {
    pub archives: Vec<(Archive, Vec<u8>)>,
}

impl Kept {
    pub async fn archive(rig: &Rig) -> Self {
        rig.make_bucket().await;
        Self::archive_more(rig, 1).await
    }

    /// Further objects, told apart by `first`.
    pub async fn archive_more(rig: &Rig, first: u64) -> Self {
        let mut bodies = Vec::new();
        for (seed, size) in (first..).zip([200_000, 700_000, 2_500_000, 300_000]) {
            let (key, body) = (format!("key-{seed}"), bytes(seed, size));
            rig.put(&key, &body).await.unwrap();
            bodies.push((key, body));
        }
        rig.put_rule().await;
        let mut archives = Vec::new();
        for (key, body) in bodies {
            archives.push((rig.wait_archived(&key).await, body));
        }
        Self { archives }
    }

    pub async fn restore_all(&self, rig: &Rig) {
        self.ask_for_all(rig).await;
        self.came_back(rig).await;
    }

    pub async fn ask_for_all(&self, rig: &Rig) {
        for (archive, _) in &self.archives {
            rig.restore(archive).await;
        }
    }

    /// Waits for what was asked for.
    pub async fn came_back(&self, rig: &Rig) {
        for (archive, body) in &self.archives {
            assert!(rig.restored(archive.id).await == *body, "{} came back as something else", archive.key);
        }
    }
}

/// The volumes of a library that copies of packs lie on: one whose first group failed has none.
pub async fn written(rig: &Rig, library: &str) -> Vec<Volume> {
    let mut written = Vec::new();
    for volume in rig.catalog.volumes().await.unwrap() {
        let in_use = matches!(volume.state.stage(), VolumeStage::Filling | VolumeStage::Full);
        let holds = async || copies_on(rig, &volume).await.iter().any(|copy| copy.state.place().is_some());
        if volume.library == library && in_use && holds().await {
            written.push(volume);
        }
    }
    written
}

pub async fn copies_on(rig: &Rig, volume: &Volume) -> Vec<PackCopy> {
    rig.catalog.copies_on(volume.id, None, 1_000).await.unwrap()
}

/// The folder of a volume's cartridge.
pub fn cartridge(folder: &Path, volume: &Volume) -> PathBuf {
    let library = if volume.library == "main" { "library" } else { "library-second" };
    folder.join(library).join("cartridges").join(&volume.barcode)
}

/// Every block of a volume's packs becomes unreadable.
pub async fn spoil(rig: &Rig, volume: &Volume) {
    let machine = if volume.library == "main" { &rig.machine } else { &rig.others[SECOND].0 };
    let barcode = Barcode::parse(&volume.barcode).unwrap();
    for copy in copies_on(rig, volume).await {
        if let Some((start, blocks)) = copy.state.place() {
            for block in start..start + blocks {
                machine.faults().damage_block(&barcode, 1, block);
            }
        }
    }
}

/// Has `asked` restores meet the damage of the first library: the whole copies of the second are out of reach until
/// some of it was noted.
pub async fn meet_damage(rig: &Rig, asked: impl Future<Output = ()>) {
    let now = rig.engine.house().now();
    rig.engine.stand(Standing { held: [(SECOND.to_owned(), now)].into(), ..Standing::default() });
    asked.await;
    wait_for("the damage to be noted", || async {
        (health(&*rig.catalog).await.unwrap().degraded.packs > 0).then_some(())
    })
    .await;
    rig.engine.stand(Standing::default());
}

/// Reads a volume back and tells what was found.
pub async fn read_back(rig: &Rig, id: VolumeId) -> VolumeCheck {
    rig.engine.check(id).await.unwrap();
    wait_for("the read-back", || async {
        let volume = rig.catalog.volume(id).await.unwrap().unwrap();
        volume.check.filter(|check| check.finished.is_some())
    })
    .await
}

/// Has all copies made again that are missing.
pub async fn repaired(rig: &Rig) {
    wait_for("the copies to be made again", || async {
        let left = rig.engine.repair(None).await.unwrap();
        (left.degraded.packs == 0).then_some(())
    })
    .await;
}
