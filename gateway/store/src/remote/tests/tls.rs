//! TLS: authorities from a file, and the gateway's own certificate.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::Request;
use model::body::empty;
use model::store::StoreError;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::settings;
use crate::{ClientCertificate, Endpoint, Error, RemoteStore, S3Service, TlsFiles};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/remote/tests/tls").join(name)
}

/// A server that answers one request on each of so many connections, and asks for a certificate when `mutual`.
fn serve(mutual: bool, connections: usize) -> SocketAddr {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = if mutual {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(file("authority.pem")).unwrap()).unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        config.with_client_cert_verifier(verifier)
    } else {
        config.with_no_client_auth()
    };
    let chain = vec![CertificateDer::from_pem_file(file("server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(file("server.key.pem")).unwrap();
    let config = Arc::new(config.with_single_cert(chain, key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for _ in 0..connections {
            let (socket, _) = listener.accept().unwrap();
            let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), socket);
            let mut heard = [0; 4096];
            // A handshake that fails is what some of the tests want.
            if stream.read(&mut heard).is_ok_and(|bytes| bytes > 0) {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
            }
        }
    });
    address
}

fn open(address: SocketAddr, tls: TlsFiles) -> Result<RemoteStore, Error> {
    let mut settings = settings(address);
    settings.endpoint = Endpoint::parse(&format!("https://localhost:{}", address.port())).unwrap();
    settings.tls = tls;
    RemoteStore::open(settings)
}

async fn list(store: &RemoteStore) -> Result<u16, StoreError> {
    let response = store.call(Request::get("/").body(empty()).unwrap()).await?;
    Ok(response.status().as_u16())
}

#[tokio::test]
async fn a_store_is_believed_by_its_authority_alone() {
    let trusted = TlsFiles { authorities: Some(file("authority.pem")), client: None };
    assert_eq!(list(&open(serve(false, 1), trusted).unwrap()).await.unwrap(), 200);

    // The client's certificate is nobody's authority.
    let other = TlsFiles { authorities: Some(file("client.pem")), client: None };
    let failed = list(&open(serve(false, 1), other).unwrap()).await.unwrap_err();
    assert!(matches!(failed, StoreError::Doubt { .. }), "{failed:?}");
}

#[tokio::test]
async fn a_store_that_asks_for_a_certificate_gets_it() {
    let shown = ClientCertificate { chain: file("client.pem"), key: file("client.key.pem") };
    let mut tls = TlsFiles { authorities: Some(file("authority.pem")), client: Some(shown) };
    assert_eq!(list(&open(serve(true, 1), tls.clone()).unwrap()).await.unwrap(), 200);
    tls.client = None;
    let failed = list(&open(serve(true, 8), tls).unwrap()).await;
    assert!(matches!(failed, Err(StoreError::Doubt { .. })), "{failed:?}");
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let address = "127.0.0.1:9".parse().unwrap();
    for bad in ["missing.pem", "server.key.pem"] {
        let tls = TlsFiles { authorities: Some(file(bad)), client: None };
        let Err(Error::OpenRemote { source, .. }) = open(address, tls) else { panic!("{bad}") };
        assert!(source.to_string().contains(bad), "{source}");
    }
    let swapped = ClientCertificate { chain: file("client.pem"), key: file("server.key.pem") };
    let tls = TlsFiles { authorities: Some(file("authority.pem")), client: Some(swapped) };
    assert!(matches!(open(address, tls), Err(Error::OpenRemote { .. })));
}
