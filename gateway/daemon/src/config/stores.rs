//! The tables that say which store stands behind the gateway, and what the operator makes of its buckets.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use model::BucketName;
use model::bucket::{BucketSettings, Mode, Terms};
use store::{
    Addressing, BucketOwner, ClientCertificate, Endpoint, RemoteSettings, StoreKey, Timeouts, TlsFiles,
};

use super::REGION_DEFAULT;
use super::read::{access_key_id, region, secret};
use super::section::Section;

/// The store behind the gateway.
#[derive(Clone, Debug)]
pub enum StoreConfig {
    /// The one in this process.
    Embedded {
        /// It takes the way of a remote one (tests).
        pretend_remote: bool,
    },
    /// Any server that speaks S3.
    Remote(Box<RemoteSettings>),
}

impl StoreConfig {
    /// Whether it is a remote one.
    pub fn is_remote(&self) -> bool {
        matches!(self, Self::Remote(_))
    }
}

/// How long an answer of a remote store may be waited for. A key whose flip is in doubt stays closed that long.
const REQUEST_TIMEOUT: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(600);
const REMOTE_KEYS: [&str; 9] = [
    "endpoint",
    "access_key_id",
    "secret_access_key",
    "secret_access_key_file",
    "addressing",
    "expected_owner",
    "ca_file",
    "client_certificate_file",
    "client_key_file",
];

/// `[store]`; `None` when a fault was noted.
pub(super) fn store(mut section: Section<'_>, folder: &Path) -> Option<StoreConfig> {
    let store = match section.text("kind").as_deref() {
        Some("remote") => {
            if section.has("pretend_remote") {
                section.fault("pretend_remote", "belongs to the embedded store", "leave it out");
                section.flag("pretend_remote");
            }
            remote(&mut section, folder).map(|remote| StoreConfig::Remote(Box::new(remote)))
        }
        None | Some("embedded") => {
            for key in REMOTE_KEYS.into_iter().chain(["region"]) {
                if section.has(key) {
                    section.fault(key, "belongs to a remote store", "leave it out");
                    section.text(key);
                }
            }
            Some(StoreConfig::Embedded { pretend_remote: section.flag("pretend_remote").unwrap_or(false) })
        }
        Some(kind) => {
            let fix = "write \"embedded\" or \"remote\"";
            section.fault("kind", format!("{kind:?} is no kind of store"), fix);
            return None;
        }
    };
    section.end();
    store
}

fn remote(section: &mut Section<'_>, folder: &Path) -> Option<RemoteSettings> {
    let endpoint_fix = "write http:// or https://, a host and a port, as \"https://s3.example.org:443\"";
    if !section.has("endpoint") {
        section.fault("endpoint", "is missing", endpoint_fix);
    }
    let endpoint = section.parsed("endpoint", endpoint_fix, Endpoint::parse);
    let region = section.parsed("region", "write a name as us-east-1", region);
    let key_fix = "write the id of the service key";
    if !section.has("access_key_id") {
        section.fault("access_key_id", "is missing", key_fix);
    }
    let access_key_id = section.parsed("access_key_id", key_fix, access_key_id);
    let secret = secret(section, folder);
    let addressing = section.parsed("addressing", "write \"path\" or \"virtual\"", |text| match text {
        "path" => Ok(Addressing::Path),
        "virtual" => Ok(Addressing::Virtual),
        _ => Err("is no way of addressing"),
    });
    let owner_fix = "write the account's 12 digits, or the user's or account's id as the store names it";
    let expected_owner = section.parsed("expected_owner", owner_fix, BucketOwner::parse);
    let tls = tls(section, folder);
    let mut timeouts = Timeouts::default();
    if let Some(seconds) = section.seconds("request_timeout_seconds") {
        if !REQUEST_TIMEOUT.contains(&seconds) {
            section.fault("request_timeout_seconds", "is out of range", "write 1 to 600");
        }
        timeouts.head = seconds;
        timeouts.connect = timeouts.connect.min(seconds);
    }
    let key = StoreKey { access_key_id: access_key_id?, secret: secret? };
    let region = region.unwrap_or_else(|| REGION_DEFAULT.to_owned());
    Some(RemoteSettings {
        addressing: addressing.unwrap_or_default(),
        expected_owner,
        tls,
        timeouts,
        ..RemoteSettings::new(endpoint?, region, key)
    })
}

fn tls(section: &mut Section<'_>, folder: &Path) -> TlsFiles {
    let authorities = section.text("ca_file").map(|file| folder.join(file));
    let chain = section.text("client_certificate_file").map(|file| folder.join(file));
    let key = section.text("client_key_file").map(|file| folder.join(file));
    match (&chain, &key) {
        (Some(_), None) => {
            section.fault("client_key_file", "is missing", "name the key of the certificate");
        }
        (None, Some(_)) => {
            section.fault("client_certificate_file", "is missing", "name the certificate of the key");
        }
        _ => {}
    }
    TlsFiles { authorities, client: chain.zip(key).map(|(chain, key)| ClientCertificate { chain, key }) }
}

/// `[bucket."name"]`, all of them.
pub(super) fn buckets(sections: Vec<(String, Section<'_>)>, remote: bool) -> BucketSettings {
    let otherwise = if remote { Terms::UNMANAGED } else { Terms::MANAGED };
    let mut settings = BucketSettings { otherwise, ..BucketSettings::all() };
    for (name, mut section) in sections {
        let managed = section.flag("managed").unwrap_or(true);
        let terms = Terms {
            mode: if managed { Mode::Enabled } else { Mode::Unmanaged },
            exclusive: section.flag("exclusive").unwrap_or(false),
            accept_replicated_stubs: section.flag("accept_replicated_stubs").unwrap_or(false),
            accept_backend_events: section.flag("accept_backend_events").unwrap_or(false),
        };
        match BucketName::parse(&name) {
            Ok(name) => drop(settings.named.insert(name, terms)),
            Err(error) => section.fault("", error.to_string(), "mend the name"),
        }
        section.end();
    }
    settings
}
