//! How a connection to the store comes about: TCP and TLS.

use std::future::poll_fn;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tower_service::Service;

use super::settings::{RemoteSettings, TlsFiles};
use super::silence::Silence;

/// A connection, TLS or not.
pub(super) type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

type Trouble = Box<dyn std::error::Error + Send + Sync>;

/// Makes connections, within a time.
pub(super) struct Connector {
    inner: HttpsConnector<HttpConnector>,
    patience: Duration,
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

impl Connector {
    /// Reads the files of TLS.
    pub(super) fn new(settings: &RemoteSettings) -> Result<Self, Trouble> {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(settings.timeouts.connect));
        let tls = tls(&settings.tls, settings.endpoint.is_tls())?;
        let inner = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        Ok(Self { inner: inner.wrap_connector(tcp), patience: settings.timeouts.connect })
    }

    /// Connects to the scheme, host and port of a target.
    ///
    /// # Errors
    /// [`Silence::Connect`], [`Silence::ConnectTimeout`].
    pub(super) async fn connect(&self, target: Uri) -> Result<Stream, Silence> {
        let mut inner = self.inner.clone();
        let connecting = async {
            poll_fn(|context| inner.poll_ready(context)).await?;
            inner.call(target).await
        };
        // The connector's own time is TCP's alone; a TLS handshake may hang too.
        match tokio::time::timeout(self.patience, connecting).await {
            Ok(connected) => connected.map_err(|error| Silence::unconnected(error, self.patience)),
            Err(_) => Err(Silence::ConnectTimeout(self.patience)),
        }
    }
}
