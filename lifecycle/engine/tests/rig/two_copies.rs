//! A pool whose packs get a copy in a pool of another library, and what is done to cartridges.

use std::path::{Path, PathBuf};

use engine::{PoolSettings, Settings};
use model::pack::PackCopy;
use model::volume::{Volume, VolumeStage};
use model::{Archive, PoolName};
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
        for (archive, _) in &self.archives {
            rig.restore(archive).await;
        }
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

/// Has all copies made again that are missing.
pub async fn repaired(rig: &Rig) {
    wait_for("the copies to be made again", || async {
        let left = rig.engine.repair(None).await.unwrap();
        (left.degraded.packs == 0).then_some(())
    })
    .await;
}
