//! The remote store against a server on the loopback, and against servers that misbehave.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod exchanges;
mod forwarding;
pub(crate) mod front;
mod raw;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dialect::reserved::MarkerKey;
use dialect::sigv4::Secret;
use model::BucketName;
use model::store::Capabilities;

use super::{RemoteSettings, RemoteStore, StoreKey};
use crate::{EmbeddedStore, Endpoint, Options, Reserved, S3Service, S3Store, conformance};
use front::Front;

pub(crate) const KEY: &str = "AKIDSERVICE";
pub(crate) const SECRET: &str = "service secret";

/// Settings for a server at this address that are tired of silence soon.
pub(crate) fn settings(address: SocketAddr) -> RemoteSettings {
    let endpoint = Endpoint::parse(&format!("http://{address}")).unwrap();
    let key = StoreKey { access_key_id: KEY.to_owned(), secret: Secret::new(SECRET) };
    let mut settings = RemoteSettings::new(endpoint, "us-east-1", key);
    settings.timeouts.connect = Duration::from_secs(2);
    settings
}

pub(crate) fn embedded(directory: &std::path::Path) -> EmbeddedStore {
    let options = Options { pretend_remote: true, sync: false, reserve_bytes: 0, ..Options::default() };
    EmbeddedStore::open(directory, options).unwrap()
}

async fn conforms(trailers: bool) {
    let directory = tempfile::tempdir().unwrap();
    let behind = embedded(directory.path());
    let proven = Capabilities { trailers, ..behind.capabilities() };
    let front = Front::serve(Arc::new(behind)).await;
    let mut settings = settings(front.address);
    settings.capabilities = proven;
    let service = RemoteStore::open(settings).unwrap();
    let bucket = BucketName::parse("tapegate-copies-5f2a").unwrap();
    let reserved = Reserved { bucket, catalog: "c1".to_owned() };
    let store = S3Store::open(service, reserved, MarkerKey::new([7; 32])).await.unwrap();
    conformance::all(Arc::new(store)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms_over_the_network() {
    conforms(false).await;
    conforms(true).await;
}
