//! Connections to the store: TCP, TLS, and the pool that keeps them.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tower_service::Service;

use super::relay::Relay;
use super::settings::{RemoteSettings, TlsFiles};

/// Most headers of an answer: user metadata may come as many short ones.
const HEADERS_MAX: usize = 1024;

/// The pool of connections.
pub(super) type Pool = legacy::Client<Connector, Relay>;

type Trouble = Box<dyn std::error::Error + Send + Sync>;

/// Makes connections, within a time.
#[derive(Clone)]
pub(super) struct Connector {
    inner: HttpsConnector<HttpConnector>,
    patience: Duration,
}

/// A pool for these settings. Reads the files of TLS.
pub(super) fn pool(settings: &RemoteSettings) -> Result<Pool, Trouble> {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(settings.timeouts.connect));
    let tls = tls(&settings.tls, settings.endpoint.is_tls())?;
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
    let connector = Connector { inner: connector.wrap_connector(tcp), patience: settings.timeouts.connect };
    Ok(legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .pool_idle_timeout(settings.timeouts.keep)
        .pool_max_idle_per_host(settings.idle_connections_max)
        .http1_max_headers(HEADERS_MAX)
        .build(connector))
}

fn tls(files: &TlsFiles, used: bool) -> Result<ClientConfig, Trouble> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = match &files.authorities {
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|source| unusable(path, source))?;
            }
            config.with_root_certificates(roots)
        }
        None if used => config.with_native_roots()?,
        None => config.with_root_certificates(RootCertStore::empty()),
    };
    let Some(client) = &files.client else { return Ok(config.with_no_client_auth()) };
    let key = PrivateKeyDer::from_pem_file(&client.key).map_err(|source| unusable(&client.key, source))?;
    config
        .with_client_auth_cert(certificates(&client.chain)?, key)
        .map_err(|source| unusable(&client.chain, source))
}

/// The certificates of a file: at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Trouble> {
    let read = CertificateDer::pem_file_iter(path).map_err(|source| unusable(path, source))?;
    let found = read.collect::<Result<Vec<_>, _>>().map_err(|source| unusable(path, source))?;
    if found.is_empty() { Err(unusable(path, "it holds no certificate")) } else { Ok(found) }
}

fn unusable(path: &Path, source: impl std::fmt::Display) -> Trouble {
    format!("{} cannot be used: {source}", path.display()).into()
}

// === impl Connector ===

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = Trouble;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Trouble>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Trouble>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        // The connector's own time is TCP's alone; a TLS handshake may hang too.
        let connecting = tokio::time::timeout(self.patience, self.inner.call(target));
        Box::pin(async {
            match connecting.await {
                Ok(connected) => connected,
                Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            }
        })
    }
}
