//! A store that is not ours, with the engine in front of it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use catalog::RedbCatalog;
use engine::Settings;
use http::Method;
use model::archive::ArchiveStage;
use model::bucket::{BucketSettings, Terms, Versioning};
use model::catalog::{Bucket, Change};
use model::fence::Work;
use model::store::Capabilities;
use model::{Archive, ArchiveState, BucketName, ObjectKey};

use super::memory_store::{MemoryStore, Shared};
use super::{Rig, bytes, settings, wait_for};

pub const BUCKET: &str = "bucket";
const OTHER: &str = "other-bucket";
/// A store whose conditional writes lose races.
pub const WEAK: Capabilities =
    Capabilities { compare_and_set: false, delete_if_match: false, ..Capabilities::FAITHFUL };
pub const EXCLUSIVE: Terms = Terms { exclusive: true, ..Terms::MANAGED };

pub struct World {
    pub rig: Rig,
    pub store: Arc<MemoryStore>,
    rounds: AtomicU64,
    _folder: tempfile::TempDir,
}

impl World {
    /// With a bucket of this versioning, and no rule yet.
    pub async fn start(
        capabilities: Capabilities,
        versioning: Versioning,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = MemoryStore::new(capabilities);
        let rig = Self::rig(folder.path(), &store, change).await;
        rig.make_bucket().await;
        store.set_versioning(BUCKET, versioning);
        Self { rig, store, rounds: AtomicU64::new(0), _folder: folder }
    }

    async fn rig(folder: &Path, store: &Arc<MemoryStore>, change: impl FnOnce(&mut Settings)) -> Rig {
        let mut settings = settings(folder);
        settings.buckets = BucketSettings { otherwise: EXCLUSIVE, ..BucketSettings::all() };
        settings.survey_interval = Duration::from_millis(100);
        change(&mut settings);
        let store = store.clone();
        Rig::start_with(folder, false, settings, |_| Shared(store)).await
    }

    /// Ends the engine and starts another one. Meanwhile nobody works, and the catalog may be changed.
    pub async fn restart(
        self,
        change: impl FnOnce(&mut Settings),
        meanwhile: impl AsyncFnOnce(&RedbCatalog),
    ) -> Self {
        let Self { rig, store, rounds, _folder: folder } = self;
        rig.stop().await;
        meanwhile(&RedbCatalog::open(folder.path().join("catalog.redb")).unwrap()).await;
        let rig = Self::rig(folder.path(), &store, change).await;
        Self { rig, store, rounds, _folder: folder }
    }

    /// Whether each version is a stub, newest first.
    pub fn stubs(&self, key: &str) -> Vec<bool> {
        self.store.versions(BUCKET, key).iter().map(|version| version.is_stub()).collect()
    }

    /// A client's PutBucketVersioning, as the edge lets it through.
    pub async fn switch(&self, versioning: Versioning) {
        let _gate = self.rig.fence.close_bucket(&self.rig.bucket).await.unwrap();
        self.store.set_versioning(BUCKET, versioning);
    }

    pub async fn row(&self, archive: &Archive) -> Archive {
        self.rig.catalog.archive(archive.id).await.unwrap().unwrap()
    }

    pub async fn become_of(&self, archive: &Archive, stage: ArchiveStage) -> Archive {
        wait_for(&format!("{} to be {stage:?}", archive.key), || async {
            Some(self.row(archive).await).filter(|row| row.state.stage() == stage && !row.touched)
        })
        .await
    }

    /// A client's request about one version, as the edge lets it through.
    pub async fn touch(&self, archive: &Archive) {
        self.rig.catalog.commit(vec![Change::Touch(archive.id)]).await.unwrap();
        self.rig.engine.wake().wake(Work::Touched);
    }

    pub async fn set_terms(&self, terms: Option<Terms>) {
        let row = self.rig.catalog.bucket(&self.rig.bucket).await.unwrap();
        let row = row.unwrap_or_else(|| Bucket::new(self.rig.bucket.clone()));
        self.rig.catalog.commit(vec![Change::Bucket(Bucket { terms, ..row })]).await.unwrap();
        self.rig.engine.wake().wake(Work::Rules);
    }

    /// Waits until a row is set aside, and gives the reason.
    pub async fn failed(&self, key: &str) -> String {
        wait_for(&format!("{key} to be set aside"), || async {
            match self.rig.archive_of(key).await?.state {
                ArchiveState::Failed { reason, .. } => Some(reason),
                _ => None,
            }
        })
        .await
    }

    pub async fn notice(&self, code: &str) -> String {
        wait_for(&format!("the notice {code}"), || async {
            self.rig.engine.notices().into_iter().find(|notice| notice.code == Some(code)).map(|n| n.text)
        })
        .await
    }

    /// Until an object of another bucket, about which there is no doubt, went all the way: what else was to come would
    /// have come with it.
    pub async fn go_round(&self) {
        let mut row = self.rig.catalog.bucket(&self.rig.bucket).await.unwrap().unwrap();
        row.name = BucketName::parse(OTHER).unwrap();
        row.revision = match self.rig.catalog.bucket(&row.name).await.unwrap() {
            Some(known) => known.revision,
            None => {
                self.rig.call(Method::PUT, &format!("/{OTHER}"), &[]).await;
                0
            }
        };
        let all = Terms { accept_replicated_stubs: true, accept_backend_events: true, ..EXCLUSIVE };
        row.terms = Some(all);
        if let Some(lifecycle) = &mut row.lifecycle {
            lifecycle.rules[0].expiration = None;
        }
        let bucket = row.name.clone();
        self.rig.catalog.commit(vec![Change::Bucket(row)]).await.unwrap();
        let key = ObjectKey::parse("sign").unwrap();
        self.store.write_directly(OTHER, "sign", &[], &bytes(self.next(), 20_000));
        self.rig.engine.migrate(None, false).await.unwrap();
        wait_for("the other bucket's object to be archived", || async {
            let stub = self.store.versions(OTHER, "sign").first()?.is_stub();
            let row = self.rig.catalog.archives_at(&bucket, &key).await.unwrap().pop()?;
            (stub && row.state.stage() == ArchiveStage::Archived).then_some(())
        })
        .await;
    }

    fn next(&self) -> u64 {
        self.rounds.fetch_add(1, Ordering::SeqCst)
    }
}
