//! Opens the store the configuration names.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use model::store::ObjectStore;
use store::{EmbeddedStore, Options, RemoteSettings, RemoteStore, Reserved, S3Store};

use crate::assemble::blocking;
use crate::config::{Config, StoreConfig, Upstream};
use crate::data::{DataDir, Installation};
use crate::error::Error;

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
}

/// Opens it, prepares the reserved bucket, and finds out what a remote store can do when nobody has yet.
pub async fn open(config: &Config, data: &DataDir, installation: &Installation) -> Result<OpenStore, Error> {
    match &config.store {
        StoreConfig::Embedded { pretend_remote } => {
            open_embedded(config, data, installation, *pretend_remote).await
        }
        StoreConfig::Remote(settings) => open_remote(config, installation, settings).await,
    }
}

async fn open_embedded(
    config: &Config,
    data: &DataDir,
    installation: &Installation,
    pretend_remote: bool,
) -> Result<OpenStore, Error> {
    let options = Options { region: config.region.clone(), pretend_remote, ..Options::default() };
    let folder = data.store();
    let service = Arc::new(blocking("store", move || EmbeddedStore::open(&folder, options)).await?);
    let store = S3Store::open(service.clone(), reserved(installation), installation.marker_key.clone()).await;
    let broken = async move {
        let mut look = tokio::time::interval(LOOK);
        while !service.has_stopped() {
            look.tick().await;
        }
    };
    Ok(OpenStore {
        store: Arc::new(store.map_err(|error| Error::assemble("store", error))?),
        deadline: EMBEDDED_DEADLINE,
        broken: Box::pin(broken),
    })
}

async fn open_remote(
    config: &Config,
    installation: &Installation,
    settings: &RemoteSettings,
) -> Result<OpenStore, Error> {
    let failed = |error| Error::assemble("store", error);
    let mut settings = settings.clone();
    let own = config.identities.iter().filter(|(_, identity)| identity.upstream == Upstream::Own);
    settings.own_keys = own.map(|(id, identity)| (id.clone(), identity.secret.clone())).collect();
    let deadline = settings.timeouts.connect + settings.timeouts.head + REMOTE_MARGIN;
    let service = Arc::new(RemoteStore::open(settings).map_err(failed)?);
    let store = S3Store::open(service, reserved(installation), installation.marker_key.clone()).await;
    Ok(OpenStore {
        store: Arc::new(store.map_err(failed)?),
        deadline,
        broken: Box::pin(std::future::pending()),
    })
}

fn reserved(installation: &Installation) -> Reserved {
    Reserved { bucket: installation.reserved_bucket.clone(), catalog: installation.catalog_id.to_string() }
}
