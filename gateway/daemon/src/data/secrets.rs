//! The secrets of an installation and of its root identity, as they stand in their files.

use dialect::reserved::MarkerKey;
use library::CatalogId;
use model::BucketName;
use serde::{Deserialize, Serialize};

use crate::clock::random_bytes;
use crate::config::{access_key_id, secret_access_key};
use crate::error::Error;

/// What makes this installation itself: made once.
#[derive(Clone, Debug)]
pub struct Installation {
    /// Written on every volume it owns.
    pub catalog_id: CatalogId,
    /// Signs the reserved header.
    pub marker_key: MarkerKey,
    /// The store's bucket of restored copies.
    pub reserved_bucket: BucketName,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct InstallationFile {
    catalog_id: String,
    marker_key: String,
    reserved_suffix: String,
}

impl Installation {
    /// The file of a new installation.
    pub fn fresh_text() -> String {
        let catalog = uuid::Builder::from_random_bytes(random_bytes()).into_uuid();
        Self::text_of(CatalogId::from_u128(catalog.as_u128()), None)
    }

    /// The file of an installation with this catalog, a new key, and this reserved bucket or a new one.
    pub fn text_of(catalog: CatalogId, reserved: Option<&BucketName>) -> String {
        let suffix = reserved.and_then(|bucket| bucket.as_str().strip_prefix(RESERVED_PREFIX));
        let file = InstallationFile {
            catalog_id: catalog.to_string(),
            marker_key: hex::encode(random_bytes::<32>()),
            reserved_suffix: suffix.map_or_else(|| hex::encode(random_bytes::<8>()), str::to_owned),
        };
        toml::to_string(&file).expect("plain data")
    }

    /// Whether a bucket may be the reserved one of some installation.
    pub fn may_be_reserved(bucket: &BucketName) -> bool {
        bucket.as_str().starts_with(RESERVED_PREFIX)
    }

    /// Reads the file; the problem told never shows a secret.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: InstallationFile = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        let mut marker_key = [0; 32];
        hex::decode_to_slice(&file.marker_key, &mut marker_key)
            .map_err(|_| "marker_key is not 64 hex digits")?;
        let reserved = format!("{RESERVED_PREFIX}{}", file.reserved_suffix);
        Ok(Self {
            catalog_id: CatalogId::parse(&file.catalog_id).ok_or("catalog_id is not a UUID")?,
            marker_key: MarkerKey::new(marker_key),
            reserved_bucket: BucketName::parse(&reserved).map_err(|error| error.to_string())?,
        })
    }
}

/// The identity that may do everything.
#[derive(Clone)]
pub struct Root {
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key: shown once, to the person at the first start.
    pub secret: String,
    /// Where it is from.
    pub origin: RootOrigin,
}

/// Where the root identity is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootOrigin {
    /// The environment.
    Environment,
    /// The data directory.
    Stored,
    /// Made just now, and stored.
    Made,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RootFile {
    access_key_id: String,
    secret_access_key: String,
}

impl Root {
    /// What the environment says, if anything.
    pub fn from_environment() -> Result<Option<Self>, Error> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let (id, secret) = (variable(ACCESS_KEY), variable(SECRET_KEY));
        let missing = |variable, other| {
            Err(Error::Environment {
                variable,
                problem: format!("is not set, but {other} is; set both or neither"),
            })
        };
        match (id, secret) {
            (None, None) => Ok(None),
            (Some(_), None) => missing(SECRET_KEY, ACCESS_KEY),
            (None, Some(_)) => missing(ACCESS_KEY, SECRET_KEY),
            (Some(id), Some(secret)) => {
                let (id, secret) = (id.to_string_lossy().into_owned(), secret.to_string_lossy().into_owned());
                Self::checked(id, secret, RootOrigin::Environment).map(Some)
            }
        }
    }

    fn checked(access_key_id_: String, secret: String, origin: RootOrigin) -> Result<Self, Error> {
        let bad = |variable, problem: &str| Error::Environment { variable, problem: problem.to_owned() };
        access_key_id(&access_key_id_)
            .map_err(|_| bad(ACCESS_KEY, "must be 3 to 128 letters, digits, '-', '_' or '.'"))?;
        secret_access_key(&secret).map_err(|_| bad(SECRET_KEY, "must be 8 to 128 visible characters"))?;
        Ok(Self { access_key_id: access_key_id_, secret, origin })
    }

    /// The file of a new pair.
    pub fn fresh_text() -> String {
        let file = RootFile {
            access_key_id: format!("TG{}", letters(18)),
            secret_access_key: hex::encode(random_bytes::<20>()),
        };
        toml::to_string(&file).expect("plain data")
    }

    /// Reads the file; the problem told never shows a secret.
    pub fn parse(text: &str, origin: RootOrigin) -> Result<Self, String> {
        let file: RootFile = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        access_key_id(&file.access_key_id).map_err(|problem| format!("access_key_id {problem}"))?;
        secret_access_key(&file.secret_access_key)
            .map_err(|problem| format!("secret_access_key {problem}"))?;
        Ok(Self { access_key_id: file.access_key_id, secret: file.secret_access_key, origin })
    }
}

impl std::fmt::Debug for Root {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Root({}, {:?})", self.access_key_id, self.origin)
    }
}

/// Random letters and digits that are not mistaken for one another.
fn letters(count: usize) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let random = random_bytes::<32>();
    random.iter().take(count).map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect()
}

const RESERVED_PREFIX: &str = "tapegate-reserved-";
const ACCESS_KEY: &str = "TAPEGATE_ACCESS_KEY";
const SECRET_KEY: &str = "TAPEGATE_SECRET_KEY";
