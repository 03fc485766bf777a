//! How to reach a remote store.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use dialect::sigv4::Secret;
use http::Uri;
use http::uri::{Authority, Scheme};
use model::store::{Capabilities, IfMatch};

use crate::error::Error;

/// Longest id of an owner, in bytes.
pub const OWNER_BYTES_MAX: usize = 128;
/// Length of an account's number.
const ACCOUNT_DIGITS: usize = 12;

/// A store about which nothing is proven: no promise beyond plain S3 is relied on.
pub const UNPROVEN: Capabilities = Capabilities {
    in_place: false,
    compare_and_set: false,
    if_match: IfMatch::Ignored,
    create_only: false,
    delete_if_match: false,
    copy_if_match: false,
    complete_if_match: false,
    versions: false,
    tags: false,
    acls: false,
    trailers: false,
};

/// Everything that must be known to speak to a remote store.
#[derive(Clone, Debug)]
pub struct RemoteSettings {
    /// Where it is.
    pub endpoint: Endpoint,
    /// Region that requests are signed for.
    pub region: String,
    /// The service's key.
    pub key: StoreKey,
    /// Where a bucket's name stands in a request.
    pub addressing: Addressing,
    /// Who must own each bucket a request of our own names, for a store that knows owners; anybody when none.
    pub expected_owner: Option<BucketOwner>,
    /// Secrets of callers whose requests go out under their own key, by access key id.
    pub own_keys: BTreeMap<String, Secret>,
    /// Files of TLS, for an `https` endpoint.
    pub tls: TlsFiles,
    /// How long silence is borne.
    pub timeouts: Timeouts,
    /// What probes have proven of the store.
    pub capabilities: Capabilities,
    /// Requests of clients at a time, each on a connection of its own; further ones wait for [`Timeouts::connect`] at
    /// most.
    pub connections_max: usize,
    /// The same for the gateway's own requests, which slow clients are not to hold up.
    pub own_connections_max: usize,
    /// Connections kept open without a request.
    pub idle_connections_max: usize,
}

/// A key of the store.
#[derive(Clone, Debug)]
pub struct StoreKey {
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret: Secret,
}

/// The owner of a bucket, as a store names it: an account of 12 digits, or an id of a user or an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketOwner(String);

/// Scheme, host and port of a store; no path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    scheme: Scheme,
    authority: Authority,
}

/// Where a bucket's name stands in a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Addressing {
    /// First in the path.
    #[default]
    Path,
    /// First in the host name. A bucket whose name cannot stand there (one with dots over TLS, where no certificate
    /// fits) is still put into the path.
    Virtual,
}

/// PEM files of TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Authorities believed instead of the system's.
    pub authorities: Option<PathBuf>,
    /// The gateway's own certificate chain and its key, shown to a store that asks for them.
    pub client: Option<ClientCertificate>,
}

/// A certificate chain and its key, in PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The chain, the gateway's certificate first.
    pub chain: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// How long silence is borne.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To connect, TLS included, and to get one of the connections allowed.
    pub connect: Duration,
    /// Without an answer and without a piece of the request's body taken. The time a body's own sender is slow does
    /// not count.
    pub head: Duration,
    /// Between two pieces of an answer's body, while somebody waits for them.
    pub idle: Duration,
    /// A kept connection is dropped when it was not used for so long: below what stores and their balancers allow.
    pub keep: Duration,
}

// === impl RemoteSettings ===

impl RemoteSettings {
    /// Settings for a store of which nothing but this is known.
    pub fn new(endpoint: Endpoint, region: impl Into<String>, key: StoreKey) -> Self {
        Self {
            endpoint,
            region: region.into(),
            key,
            addressing: Addressing::default(),
            expected_owner: None,
            own_keys: BTreeMap::new(),
            tls: TlsFiles::default(),
            timeouts: Timeouts::default(),
            capabilities: UNPROVEN,
            connections_max: 512,
            own_connections_max: 128,
            idle_connections_max: 128,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            head: Duration::from_secs(60),
            idle: Duration::from_secs(60),
            keep: Duration::from_secs(20),
        }
    }
}

// === impl BucketOwner ===

impl BucketOwner {
    /// Reads 12 digits, or up to [`OWNER_BYTES_MAX`] letters, digits and `-_.@$:` that are not digits alone: a number of
    /// another length is an account mistyped.
    ///
    /// # Errors
    /// [`Error::ParseOwner`] for anything else.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let number = text.bytes().all(|byte| byte.is_ascii_digit());
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@$:".contains(&byte);
        let legal = (1..=OWNER_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain);
        if legal && (!number || text.len() == ACCOUNT_DIGITS) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::ParseOwner { owner: text.to_owned() })
        }
    }

    /// As the store names it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// === impl Endpoint ===

impl Endpoint {
    /// Reads `http://host[:port]` or `https://host[:port]`, with or without a slash at the end.
    ///
    /// # Errors
    /// [`Error::ParseEndpoint`] for anything else: a path, a query, a user.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refused = || Error::ParseEndpoint { endpoint: text.to_owned() };
        let parts = text.parse::<Uri>().map_err(|_| refused())?.into_parts();
        let (scheme, authority) = parts.scheme.zip(parts.authority).ok_or_else(refused)?;
        let bare = parts.path_and_query.is_none_or(|path| path.as_str() == "/");
        let spoken = scheme == Scheme::HTTP || scheme == Scheme::HTTPS;
        let named = !authority.host().is_empty() && !authority.as_str().contains('@');
        if bare && spoken && named { Ok(Self { scheme, authority }) } else { Err(refused()) }
    }

    /// Whether requests go through TLS.
    pub fn is_tls(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    pub(super) fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    pub(super) fn authority(&self) -> &Authority {
        &self.authority
    }
}

impl FromStr for Endpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}
