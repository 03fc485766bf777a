//! Opens the store the configuration names, and finds out what a remote one can do.

use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use dialect::reserved::MarkerKey;
use library::CatalogId;
use model::store::{ObjectStore, StoreError};
use model::{BucketName, Timestamp};
use store::{EmbeddedStore, Options, RemoteSettings, RemoteStore, Reserved, S3Service, S3Store};

use crate::assemble::blocking;
use crate::clock::random_bytes;
use crate::config::{Config, StoreConfig, Upstream};
use crate::data::{DataDir, Installation};
use crate::error::Error;
use crate::evidence::Found;

/// How long a message to a store in this process can still change it after its sender is gone.
const EMBEDDED_DEADLINE: Duration = Duration::from_secs(5);
/// What a message to a remote store may take beyond the time its answer was waited for.
const REMOTE_MARGIN: Duration = Duration::from_secs(5);
/// How often the embedded store is asked whether it still takes writes.
const LOOK: Duration = Duration::from_secs(1);

/// A store ready for use.
pub struct OpenStore {
    /// The port.
    pub store: Arc<dyn ObjectStore>,
    /// How long a message can still change the store after its sender gave up.
    pub deadline: Duration,
    /// Ends once the store takes no writes any more and the process must be started again.
    pub broken: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// The same store, for those who look into it.
    pub behind: Behind,
}

/// The store as an operator looks into it.
pub struct Behind {
    kind: Kind,
    reserved: Reserved,
}

enum Kind {
    Embedded(Arc<S3Store<Arc<EmbeddedStore>>>),
    Remote(Remote),
}

struct Remote {
    store: Arc<S3Store<Arc<RemoteStore>>>,
    found: RwLock<Option<Found>>,
    rounds: u32,
    /// Held while it is probed: one race is enough.
    probing: tokio::sync::Mutex<()>,
}

/// Opens it, prepares the reserved bucket, and finds out what a remote store can do when nobody has yet.
pub async fn open(config: &Config, data: &DataDir, installation: &Installation) -> Result<OpenStore, Error> {
    match &config.store {
        StoreConfig::Embedded { pretend_remote } => {
            open_embedded(config, data, installation, *pretend_remote).await
        }
        StoreConfig::Remote(settings) => open_remote(config, data, installation, settings).await,
    }
}

async fn open_embedded(
    config: &Config,
    data: &DataDir,
    installation: &Installation,
    pretend_remote: bool,
) -> Result<OpenStore, Error> {
    let service = embedded(config, data, pretend_remote).await?;
    let store = S3Store::open(service.clone(), reserved(installation), installation.marker_key.clone()).await;
    let store = Arc::new(store.map_err(|error| Error::assemble("store", error))?);
    let broken = async move {
        let mut look = tokio::time::interval(LOOK);
        while !service.has_stopped() {
            look.tick().await;
        }
    };
    Ok(OpenStore {
        store: store.clone(),
        deadline: EMBEDDED_DEADLINE,
        broken: Box::pin(broken),
        behind: Behind { kind: Kind::Embedded(store), reserved: reserved(installation) },
    })
}

async fn embedded(
    config: &Config,
    data: &DataDir,
    pretend_remote: bool,
) -> Result<Arc<EmbeddedStore>, Error> {
    let options = Options { region: config.region.clone(), pretend_remote, ..Options::default() };
    let folder = data.store();
    Ok(Arc::new(blocking("store", move || EmbeddedStore::open(&folder, options)).await?))
}

async fn open_remote(
    config: &Config,
    data: &DataDir,
    installation: &Installation,
    settings: &RemoteSettings,
) -> Result<OpenStore, Error> {
    let failed = |error| Error::assemble("store", error);
    let known = Found::read(data, &settings.endpoint.to_string())?;
    let service = remote_service(config, settings, known.as_ref())?;
    let store = S3Store::open(service, reserved(installation), installation.marker_key.clone()).await;
    let store = Arc::new(store.map_err(failed)?);
    let remote = Remote {
        store: store.clone(),
        found: RwLock::new(known),
        rounds: config.probe_rounds,
        probing: tokio::sync::Mutex::default(),
    };
    let behind = Behind { kind: Kind::Remote(remote), reserved: reserved(installation) };
    if behind.found().is_none() {
        tracing::info!(endpoint = %settings.endpoint, "finding out what the store can do");
        behind.probe(data).await?;
    }
    if let Some(found) = behind.found() {
        tracing::info!(endpoint = found.endpoint, probed = %found.probed, found = found.summary(), "the store");
    }
    Ok(OpenStore {
        store,
        deadline: settings.timeouts.connect + settings.timeouts.head + REMOTE_MARGIN,
        broken: Box::pin(std::future::pending()),
        behind,
    })
}

/// The reserved bucket of this catalog, when the store has one: then it was this installation's all the time.
pub async fn reserved_of(
    config: &Config,
    data: &DataDir,
    catalog: CatalogId,
) -> Result<Option<BucketName>, Error> {
    let failed = |error: StoreError| Error::assemble("store", error);
    match &config.store {
        StoreConfig::Embedded { .. } if !data.store().exists() => Ok(None),
        StoreConfig::Embedded { pretend_remote } => {
            let service = embedded(config, data, *pretend_remote).await?;
            find_reserved(service, catalog).await.map_err(failed)
        }
        StoreConfig::Remote(settings) => {
            let service = remote_service(config, settings, None)?;
            find_reserved(service, catalog).await.map_err(failed)
        }
    }
}

async fn find_reserved<S: S3Service + Clone>(
    service: S,
    catalog: CatalogId,
) -> Result<Option<BucketName>, StoreError> {
    let look = |bucket: &BucketName| {
        let reserved = Reserved { bucket: bucket.clone(), catalog: catalog.to_string() };
        S3Store::look(service.clone(), reserved, MarkerKey::new(random_bytes()))
    };
    // No bucket is hidden by a name that none has.
    let nobody = BucketName::parse("nobody").expect("a legal name");
    for bucket in look(&nobody).buckets().await?.iter().filter(|bucket| Installation::may_be_reserved(bucket))
    {
        if look(bucket).reserved_owner().await?.as_deref() == Some(&*catalog.to_string()) {
            return Ok(Some(bucket.clone()));
        }
    }
    Ok(None)
}

/// A store that is new to this installation: nothing is prepared on it yet, and it cannot be taken for one that was
/// kept before that is done by the first start.
pub async fn open_new(
    config: &Config,
    data: &DataDir,
    installation: &Installation,
) -> Result<Arc<dyn ObjectStore>, Error> {
    let (reserved, key) = (reserved(installation), installation.marker_key.clone());
    match &config.store {
        StoreConfig::Embedded { pretend_remote } => {
            let service = embedded(config, data, *pretend_remote).await?;
            Ok(Arc::new(S3Store::look(service, reserved, key)))
        }
        StoreConfig::Remote(settings) => {
            let known = Found::read(data, &settings.endpoint.to_string())?;
            let service = remote_service(config, settings, known.as_ref())?;
            Ok(Arc::new(S3Store::look(service, reserved, key)))
        }
    }
}

/// A remote store that is only looked at: nothing is written, and nothing is found out that is not known.
pub fn look(
    config: &Config,
    settings: &RemoteSettings,
    data: &DataDir,
    installation: &Installation,
) -> Result<(Arc<dyn ObjectStore>, Behind), Error> {
    let known = Found::read(data, &settings.endpoint.to_string())?;
    let service = remote_service(config, settings, known.as_ref())?;
    let store = Arc::new(S3Store::look(service, reserved(installation), installation.marker_key.clone()));
    let remote = Remote {
        store: store.clone(),
        found: RwLock::new(known),
        rounds: config.probe_rounds,
        probing: tokio::sync::Mutex::default(),
    };
    Ok((store, Behind { kind: Kind::Remote(remote), reserved: reserved(installation) }))
}

fn remote_service(
    config: &Config,
    settings: &RemoteSettings,
    known: Option<&Found>,
) -> Result<Arc<RemoteStore>, Error> {
    let mut settings = settings.clone();
    let own = config.identities.iter().filter(|(_, identity)| identity.upstream == Upstream::Own);
    settings.own_keys = own.map(|(id, identity)| (id.clone(), identity.secret.clone())).collect();
    if let Some(known) = known {
        settings.capabilities = known.evidence.capabilities;
    }
    Ok(Arc::new(RemoteStore::open(settings).map_err(|error| Error::assemble("store", error))?))
}

fn reserved(installation: &Installation) -> Reserved {
    Reserved { bucket: installation.reserved_bucket.clone(), catalog: installation.catalog_id.to_string() }
}

// === impl Behind ===

impl Behind {
    /// Its kind, as the configuration names it.
    pub fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Embedded(_) => "embedded",
            Kind::Remote(_) => "remote",
        }
    }

    /// Where it is, when it is not in this process.
    pub fn endpoint(&self) -> Option<String> {
        match &self.kind {
            Kind::Embedded(_) => None,
            Kind::Remote(remote) => Some(remote.store.service().endpoint().to_string()),
        }
    }

    /// The reserved bucket, and the catalog that should own it.
    pub fn reserved(&self) -> &Reserved {
        &self.reserved
    }

    /// The catalog that owns the reserved bucket.
    pub async fn reserved_owner(&self) -> Result<Option<String>, StoreError> {
        match &self.kind {
            Kind::Embedded(store) => store.reserved_owner().await,
            Kind::Remote(remote) => remote.store.reserved_owner().await,
        }
    }

    /// What a probe found; none for the embedded store, of which everything is known.
    pub fn found(&self) -> Option<Found> {
        match &self.kind {
            Kind::Embedded(_) => None,
            Kind::Remote(remote) => remote.found.read().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// Probes a remote store; what was found is kept and relied on from now on. Nothing is to be found out about the
    /// embedded one.
    pub async fn probe(&self, data: &DataDir) -> Result<(), Error> {
        let Kind::Remote(remote) = &self.kind else { return Ok(()) };
        let _probing = remote.probing.lock().await;
        let service = remote.store.service();
        let probed = store::probe(service, &self.reserved.bucket, remote.rounds).await;
        let evidence = probed.map_err(|error| Error::assemble("store", error))?;
        let found = Found {
            endpoint: service.endpoint().to_string(),
            probed: Timestamp::from(SystemTime::now()),
            rounds: remote.rounds,
            evidence,
        };
        data.note_evidence(&found.text())?;
        service.set_capabilities(found.evidence.capabilities);
        *remote.found.write().unwrap_or_else(PoisonError::into_inner) = Some(found);
        Ok(())
    }
}
