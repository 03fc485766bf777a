//! The ports and machines the engine works with, handed to every step.

use std::collections::BTreeMap;
use std::sync::Arc;

use library::{CatalogId, Library};
use model::archive::ArchiveStage;
use model::bucket::Terms;
use model::catalog::{Catalog, CatalogError, Change};
use model::clock::{Clock, Entropy};
use model::fence::KeyFence;
use model::limits::TRANSACTION_ROWS_MAX;
use model::store::{ObjectRef, ObjectStore};
use model::{Archive, ArchiveId, ArchiveState, BucketName, PackId, Timestamp};
use volume::seal::KeySource;

use crate::assembly::Assemblies;
use crate::buckets::Buckets;
use crate::canary::Canary;
use crate::copies::Copies;
use crate::drain::Backs;
use crate::error::Error;
use crate::forget::Sweep;
use crate::gates::Gates;
use crate::health::Shortages;
use crate::hot::HotCopies;
use crate::outbox::Outbox;
use crate::pace::Pace;
use crate::pauses::{Pauses, Standing};
use crate::places::Places;
use crate::pools::LowPools;
use crate::promote::Promotion;
use crate::readings::Readings;
use crate::refusals::Refusals;
use crate::rest::Resting;
use crate::settings::Settings;
use crate::spool::Spool;
use crate::trouble::Trouble;
use crate::turns::{Purpose, Turns};
use crate::unclaimed::Unclaimed;
use crate::vault::Vault;

const PAGE: usize = 1_000;

/// Components only; what can be decided by an administrator is in [`Settings`].
pub struct House {
    /// The book of record.
    pub catalog: Arc<dyn Catalog>,
    /// The object store.
    pub store: Arc<dyn ObjectStore>,
    /// The key fence, shared with the edge.
    pub fence: Arc<dyn KeyFence>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// The libraries by name.
    pub libraries: BTreeMap<String, Arc<Library>>,
    /// The catalog's own id, written on every volume it owns.
    pub catalog_id: CatalogId,
    /// The keys of sealed pools.
    pub keys: Arc<dyn KeySource>,
    /// The spool.
    pub spool: Arc<Spool>,
    /// Settings.
    pub settings: Settings,
    /// Gates held over keys whose flip is in doubt.
    pub(crate) gates: Gates,
    /// Objects on their way from tape to the store.
    pub(crate) assemblies: Assemblies,
    /// What failed lately.
    pub(crate) trouble: Trouble,
    /// Where scans broke off.
    pub(crate) places: Places,
    /// Held while a cartridge is labelled: two labels for one cartridge would be one too many.
    pub(crate) labelling: tokio::sync::Mutex<()>,
    /// Packs finished and not yet pointed to: nothing in them lives, and they are needed all the same.
    pub(crate) unclaimed: Unclaimed,
    /// How far history was looked through for what can be forgotten.
    pub(crate) sweep: Sweep,
    /// Since when something is short of copies.
    pub(crate) shortages: Shortages,
    /// What operators halted.
    pub(crate) pauses: Pauses,
    /// Who has which drive.
    pub(crate) turns: Arc<Turns>,
    /// Packs on their way to tape.
    pub(crate) outbox: Arc<Outbox>,
    /// Pools that run out of cartridges.
    pub(crate) low_pools: LowPools,
    /// Restores being read by mounts of this process.
    pub(crate) readings: Arc<Readings>,
    /// When promotion is worth a look.
    pub(crate) promotion: Promotion,
    /// Volumes that just failed.
    pub(crate) resting: Resting,
    /// Archives whose flip was refused, or whose key is busy for long.
    pub(crate) later: Resting<ArchiveId>,
    /// Archives of which nothing could be told to tape just now.
    pub(crate) untellable: Resting<ArchiveId>,
    /// Archives whose trouble people were just told of.
    pub(crate) told: Resting<ArchiveId>,
    /// What the store refuses.
    pub(crate) refusals: Refusals,
    /// What the store says of buckets.
    pub(crate) buckets: Buckets,
    /// Whether flips may rely on the store's conditions.
    pub(crate) canary: Canary,
    /// How many flips are begun.
    pub(crate) pace: Pace,
    /// Restored copies being written and removed.
    pub(crate) copies: Copies,
    /// Restores being copied from hot bytes.
    pub(crate) hot: HotCopies,
    /// Objects on their way back under their keys.
    pub(crate) backs: Backs,
    /// Cartridges on their way out and in.
    pub(crate) vault: Vault,
}

/// What a [`House`] is made of.
#[allow(missing_docs)] // as in House
pub struct Parts {
    pub catalog: Arc<dyn Catalog>,
    pub store: Arc<dyn ObjectStore>,
    pub fence: Arc<dyn KeyFence>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub libraries: BTreeMap<String, Arc<Library>>,
    pub catalog_id: CatalogId,
    pub keys: Arc<dyn KeySource>,
    pub settings: Settings,
}

impl House {
    /// Puts a house together: opens the spool and clears it of what nobody wants any more.
    pub async fn open(parts: Parts) -> Result<Self, Error> {
        let Parts { catalog, store, fence, clock, entropy, libraries, catalog_id, keys, settings } = parts;
        let mut kept = Vec::new();
        loop {
            let page = catalog.packs_spooled(kept.last().copied(), PAGE).await?;
            if page.is_empty() {
                break;
            }
            kept.extend(page.iter().map(|pack| pack.id));
        }
        let spool = Spool::open(&settings.spool.folder, settings.spool.bytes_max, &kept)?;
        let assemblies = Assemblies::new(spool.clone());
        Ok(Self {
            catalog,
            store,
            fence,
            clock,
            entropy,
            libraries,
            catalog_id,
            keys,
            spool,
            settings,
            gates: Gates::default(),
            assemblies,
            trouble: Trouble::default(),
            places: Places::default(),
            labelling: tokio::sync::Mutex::default(),
            unclaimed: Unclaimed::default(),
            sweep: Sweep::default(),
            shortages: Shortages::default(),
            pauses: Pauses::default(),
            turns: Arc::default(),
            outbox: Arc::default(),
            low_pools: LowPools::default(),
            readings: Arc::default(),
            promotion: Promotion::default(),
            resting: Resting::default(),
            later: Resting::default(),
            untellable: Resting::default(),
            told: Resting::default(),
            refusals: Refusals::default(),
            buckets: Buckets::default(),
            canary: Canary::default(),
            pace: Pace::default(),
            copies: Copies::default(),
            hot: HotCopies::default(),
            backs: Backs::default(),
            vault: Vault::default(),
        })
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Has these orders stand, instead of those before. Mounts under way that they forbid end at the next pack.
    pub fn stand(&self, standing: Standing) {
        let held = standing.held.keys().cloned().collect();
        let paused = standing.migration_paused.is_some();
        self.pauses.set(standing);
        self.turns.hold(held);
        if paused {
            self.turns.end(&[Purpose::Write, Purpose::Verify]);
        }
        for (name, library) in &self.libraries {
            library.hold(self.pauses.holds(name));
        }
    }

    /// The orders that stand.
    pub fn standing(&self) -> Standing {
        self.pauses.standing()
    }

    /// What holds for a bucket.
    pub async fn terms(&self, bucket: &BucketName) -> Result<Terms, CatalogError> {
        Ok(self.settings.buckets.terms(bucket, self.catalog.bucket(bucket).await?.as_ref()))
    }

    /// Moves an archive to `state` and makes it durable; on success `archive` is the row as it now stands.
    pub(crate) async fn advance(&self, archive: &mut Archive, state: ArchiveState) -> Result<(), Error> {
        let mut next = archive.clone();
        next.advance(state, self.now());
        self.save(archive, next).await
    }

    /// Makes `next`, a changed `archive`, durable.
    pub(crate) async fn save(&self, archive: &mut Archive, mut next: Archive) -> Result<(), Error> {
        self.catalog.commit(vec![Change::Archive(next.clone())]).await?;
        next.revision += 1;
        *archive = next;
        Ok(())
    }

    /// Makes changed rows durable in few commits; one by one where a row was touched meanwhile, so that it holds up
    /// none of the others. Counts those written.
    pub(crate) async fn save_each(&self, rows: Vec<Archive>) -> Result<u64, Error> {
        let mut saved = 0;
        for rows in rows.chunks(TRANSACTION_ROWS_MAX) {
            let all = rows.iter().cloned().map(Change::Archive).collect();
            match self.catalog.commit(all).await {
                Ok(()) => saved += rows.len() as u64,
                Err(CatalogError::Conflict { .. }) => {
                    for row in rows {
                        match self.catalog.commit(vec![Change::Archive(row.clone())]).await {
                            Ok(()) => saved += 1,
                            Err(CatalogError::Conflict { .. }) => {}
                            Err(error) => return Err(error.into()),
                        }
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(saved)
    }

    /// Whether anything in a pack lives, or is about to.
    pub(crate) async fn is_alive(&self, pack: PackId) -> Result<bool, CatalogError> {
        Ok(self.unclaimed.has(pack) || self.catalog.is_alive(pack).await?)
    }

    /// The row as it stands now.
    pub(crate) async fn archive(&self, id: ArchiveId) -> Result<Archive, Error> {
        let missing = || Error::Bug { what: format!("archive {id} is not in the catalog") };
        self.catalog.archive(id).await?.ok_or_else(missing)
    }
}

/// The current object under an archive's key.
pub(crate) fn current(archive: &Archive) -> ObjectRef {
    ObjectRef { bucket: archive.bucket.clone(), key: archive.key.clone(), version: None }
}

/// The version an archive speaks for: whatever is current until its bytes are on tape alone; from then on, and for a
/// direct write from the beginning, the version it was seen to be, which others may stand above.
pub(crate) fn held(archive: &Archive) -> ObjectRef {
    let version = archive.standing.as_ref().and_then(|standing| standing.version.clone());
    let version = version.filter(|version| is_pinned(archive) && !version.is_null());
    ObjectRef { version, ..current(archive) }
}

/// Whether an archive stays with its version when another one is written above it.
pub(crate) fn is_pinned(archive: &Archive) -> bool {
    archive.direct || archive.state.stage() == ArchiveStage::Archived
}
