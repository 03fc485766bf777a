//! Puts the rooms together: the only place that knows every one of them.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use catalog::RedbCatalog;
use dialect::sigv4::Secret;
use edge::{Edge, Limits, Ports};
use engine::{Engine, House, MemoryFence, Parts, Settings, SpoolSettings};
use library::{CatalogId, Library};
use model::catalog::Catalog;
use model::fence::KeyFence;
use virtual_library::VirtualLibrary;
use volume::seal::KeyId;

use crate::clock::{SystemClock, SystemEntropy};
use crate::config::{Config, Identity, Upstream};
use crate::data::{DataDir, Installation, Root};
use crate::error::Error;
use crate::keyring::KeyFile;
use crate::keys_in_use::keys_in_use;
use crate::stores::{self, Behind, OpenStore};
use crate::units;

/// Part of the free disk the spool takes when nothing is said.
const SPOOL_PART: u64 = 5;
/// Smallest spool, in bytes, however full the disk is: less than this holds no pack worth writing.
const SPOOL_BYTES_MIN: u64 = 64 << 20;
/// How many packs the spool has room for at least.
const SPOOL_PACKS_MIN: u64 = 4;
/// Part of a cartridge a pack takes at most.
const PACK_PART: u64 = 8;
/// How often the store is asked what a bucket is set to, before objects of it are taken over.
const SURVEY_INTERVAL: Duration = Duration::from_secs(60);
/// How long requests under way may go on at the end.
const DRAIN: Duration = Duration::from_secs(5);

/// The whole gateway, engine at work, not yet listening.
pub struct Gateway {
    /// The S3 side.
    pub edge: Edge,
    /// The background work, with everything it works on.
    pub engine: Engine,
    /// Ends with the reason once the catalog or the store can no longer be written: the process must end and be
    /// started again, which puts right what can be put right.
    pub broken: Pin<Box<dyn Future<Output = String> + Send>>,
    /// The store, for those who look into it.
    pub behind: Behind,
    /// The virtual libraries, for the hands of a person.
    pub hands: BTreeMap<String, VirtualLibrary>,
    /// Sealing keys made just now: nobody has a copy of them yet.
    pub keys_made: Vec<KeyId>,
}

/// Opens everything in the data directory and starts the background work.
pub async fn assemble(config: &Config, data: &DataDir, root: &Root) -> Result<Gateway, Error> {
    let installation = data.installation()?;
    let ((catalog, catalog_failed), OpenStore { store, deadline, broken, behind }, libraries) = tokio::try_join!(
        open_catalog(data),
        stores::open(config, data, &installation),
        open_libraries(config, data, Some(installation.catalog_id)),
    )?;
    let Libraries { libraries, hands } = libraries;
    let (keys, keys_made) = open_keyring(config, data, &*catalog).await?;
    let fence: Arc<dyn KeyFence> = Arc::new(MemoryFence::default());
    let settings = engine_settings(config, data, deadline)?;
    let parts = Parts {
        catalog: catalog.clone(),
        store: store.clone(),
        fence: fence.clone(),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        libraries,
        catalog_id: installation.catalog_id,
        keys,
        settings,
    };
    let house = House::open(parts).await.map_err(|error| Error::assemble("spool", error))?;
    house.stand(data.orders()?);
    let engine = Engine::start(Arc::new(house)).await.map_err(|error| Error::assemble("engine", error))?;
    let ports = Ports {
        store,
        catalog,
        fence,
        wake: engine.wake(),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
    };
    let broken = Box::pin(async move {
        tokio::select! {
            reason = catalog_failed => format!("the catalog failed: {reason}"),
            () = broken => "the metadata of the store could not be written".to_owned(),
        }
    });
    Ok(Gateway {
        edge: Edge::new(ports, edge_settings(config, &installation, root, deadline)),
        engine,
        broken,
        behind,
        hands,
        keys_made,
    })
}

/// The keyring, with a key for every sealed pool that never had one.
async fn open_keyring(
    config: &Config,
    data: &DataDir,
    catalog: &dyn Catalog,
) -> Result<(Arc<KeyFile>, Vec<KeyId>), Error> {
    let path = config.keyring.clone().unwrap_or_else(|| data.keyring());
    data.note_keyring(&path)?;
    let file = Arc::new(KeyFile::new(path));
    if config.pools.values().all(|pool| pool.key.is_none()) {
        return Ok((file, Vec::new()));
    }
    let used = keys_in_use(catalog).await.map_err(|error| Error::assemble("catalog", error))?;
    let used = used.keys().filter_map(|key| Some(key.parse::<KeyId>().ok()?.name)).collect();
    let made = file.prepare(config.pools.values(), &used)?;
    for key in &made {
        tracing::warn!(%key, keyring = %file.path().display(), "a sealing key was made: export it, or what it seals is lost with this machine");
    }
    Ok((file, made))
}

async fn open_catalog(
    data: &DataDir,
) -> Result<(Arc<dyn Catalog>, impl Future<Output = Arc<str>> + Send + 'static), Error> {
    let path = data.catalog();
    let catalog = blocking("catalog", move || RedbCatalog::open(path)).await?;
    let failed = catalog.failed();
    Ok((Arc::new(catalog), failed))
}

/// The libraries, and the machines behind the virtual ones.
pub(crate) struct Libraries {
    /// By name.
    pub(crate) libraries: BTreeMap<String, Arc<Library>>,
    hands: BTreeMap<String, VirtualLibrary>,
}

/// Opens every library there is; real ones are reserved for the catalog that owns the cartridges, where it is known.
pub(crate) async fn open_libraries(
    config: &Config,
    data: &DataDir,
    owner: Option<CatalogId>,
) -> Result<Libraries, Error> {
    let down = data.drives_down()?;
    let (mut libraries, mut hands) = (BTreeMap::new(), BTreeMap::new());
    let reservation = reservation(config, data, owner)?;
    for library in &config.libraries {
        let folder = library.folder.clone().unwrap_or_else(|| data.library(&library.name));
        let (library, machines) = (library.clone(), config.machines.clone());
        let name = library.name.clone();
        let opened =
            blocking("library", move || units::open(&folder, &library, &machines, reservation)).await?;
        let (opened, machine) = opened;
        for drive in opened.drives() {
            if let Some(why) = down.get(&drive.serial) {
                opened.drive_down(&drive.serial, why).map_err(|error| Error::assemble("library", error))?;
            }
        }
        hands.extend(machine.map(|machine| (name.clone(), machine)));
        libraries.insert(name, Arc::new(opened));
    }
    Ok(Libraries { libraries, hands })
}

/// What real machines are reserved with, when there are any: a later start takes them from an earlier one, should it
/// still run somewhere, and from nobody else.
fn reservation(config: &Config, data: &DataDir, owner: Option<CatalogId>) -> Result<Option<u64>, Error> {
    let Some(owner) = owner else { return Ok(None) };
    if config.libraries.iter().all(|library| library.geometry().is_some()) {
        return Ok(None);
    }
    let owner = owner.as_u128() >> 96;
    let owner = u32::try_from(owner).expect("32 bits are left");
    Ok(Some(scsi::reservation::key(owner, data.next_epoch()?)))
}

/// Does what blocks where it may.
pub(crate) async fn blocking<T, E>(
    part: &'static str,
    open: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, Error>
where
    T: Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
{
    match tokio::task::spawn_blocking(open).await {
        Ok(opened) => opened.map_err(|error| Error::assemble(part, error)),
        Err(panic) => Err(Error::assemble(part, panic)),
    }
}

fn engine_settings(config: &Config, data: &DataDir, store_deadline: Duration) -> Result<Settings, Error> {
    let spool = SpoolSettings { folder: data.spool(), bytes_max: spool_bytes(config, data)? };
    let mut pools = config.pools.clone();
    for pool in pools.values_mut() {
        // A pack goes to its siblings' cartridges too; real ones are larger than any pack.
        let copies = pool.copies.iter().filter_map(|copy| config.pools.get(copy));
        let names: Vec<&String> =
            std::iter::once(&pool.library).chain(copies.map(|copy| &copy.library)).collect();
        let libraries = config.libraries.iter().filter(|library| names.contains(&&library.name));
        let geometries = libraries.filter_map(|library| library.geometry());
        let cartridge_bytes = geometries.map(|geometry| geometry.cartridge_bytes).min();
        let most = (cartridge_bytes.unwrap_or(u64::MAX) / PACK_PART).min(spool.bytes_max / SPOOL_PACKS_MIN);
        pool.pack_bytes_target = pool.pack_bytes_target.min(most);
    }
    Ok(Settings {
        buckets: config.buckets.clone(),
        survey_interval: SURVEY_INTERVAL,
        flips_per_second: config.flips_per_second,
        day: config.pace.day,
        scan_interval: config.pace.scan_interval,
        lapse_interval: config.pace.lapse_interval,
        labels_blank: config.labels_blank(),
        classes: config.classes.clone(),
        pools,
        spool,
        grace: config.pace.grace,
        store_deadline,
        restore_hold: config.pace.restore_hold,
        reuse_after: config.reuse_after,
        retry_after: config.pace.retry_after,
    })
}

fn spool_bytes(config: &Config, data: &DataDir) -> Result<u64, Error> {
    if let Some(bytes) = config.spool_bytes_max {
        return Ok(bytes);
    }
    let failed = |source: rustix::io::Errno| Error::File {
        operation: "look at the free space of",
        path: data.path().to_owned(),
        source: source.into(),
    };
    let disk = rustix::fs::statvfs(data.path()).map_err(failed)?;
    Ok((disk.f_bavail.saturating_mul(disk.f_frsize) / SPOOL_PART).max(SPOOL_BYTES_MIN))
}

fn edge_settings(
    config: &Config,
    installation: &Installation,
    root: &Root,
    store_deadline: Duration,
) -> edge::Settings {
    let known = |(id, identity): (&String, &Identity)| {
        let upstream = match identity.upstream {
            Upstream::Service => edge::Upstream::Service,
            Upstream::Own => edge::Upstream::Own,
        };
        (id.clone(), edge::Identity { secret: identity.secret.clone(), upstream })
    };
    let mut identities: BTreeMap<_, _> = config.identities.iter().map(known).collect();
    let secret = Secret::new(root.secret.clone());
    let root_identity = edge::Identity { secret, upstream: edge::Upstream::Service };
    identities.insert(root.access_key_id.clone(), root_identity);
    edge::Settings {
        region: config.region.clone(),
        day: config.pace.day,
        identities,
        // The embedded store asks nobody who is calling.
        anonymous: config.store.is_remote(),
        forwards_unknown: config.store.is_remote(),
        buckets: config.buckets.clone(),
        classes: config.classes.clone(),
        marker_key: installation.marker_key.clone(),
        store_deadline,
        limits: Limits { drain: DRAIN, ..Limits::default() },
    }
}
