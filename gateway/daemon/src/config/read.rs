//! The keys of the configuration, one function a table.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dialect::sigv4::Secret;
use engine::PoolSettings;
use model::{PoolName, TapeClass};
use toml::Table;
use volume::seal::KeyName;

use super::libraries::{LibraryConfig, libraries};
use super::policy;
use super::section::{Faults, Section};
use super::stores::{self, StoreConfig};
use super::testing::{self, Testing};
use super::{ADMIN_DEFAULT, Config, DATA_DEFAULT, LISTEN_DEFAULT, REGION_DEFAULT};
use super::{Identity, Upstream};

const PACK_BYTES_MIN: u64 = 1 << 20;
const PACK_BYTES_MAX: u64 = 32 << 30;
const SPOOL_BYTES_MIN: u64 = 64 << 20;
const SECRET_LENGTH_MIN: usize = 8;
const FLIPS_PER_SECOND_MAX: u64 = 1_000_000;
/// How long a reclaimed cartridge is left alone: the last snapshots of the catalog that know it are of that age.
const REUSE_AFTER_DEFAULT: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads the whole file. What it returns is only good when no fault was added.
pub fn read(table: Table, folder: &Path, faults: &Faults) -> Config {
    let mut root = Section::new("", table, faults);
    let address = "write an address and a port, as \"127.0.0.1:9000\"";
    let data = root.text("data").map_or_else(|| PathBuf::from(DATA_DEFAULT), |data| folder.join(data));
    let listen = root.parsed("listen", address, str::parse::<SocketAddr>).unwrap_or(LISTEN_DEFAULT);
    let admin_listen =
        root.parsed("admin_listen", address, str::parse::<SocketAddr>).unwrap_or(ADMIN_DEFAULT);
    let region =
        root.parsed("region", "write a name as us-east-1", region).unwrap_or(REGION_DEFAULT.to_owned());
    let store = match root.table("store") {
        Some(section) => stores::store(section, folder),
        None => Some(StoreConfig::Embedded { pretend_remote: false }),
    };
    // What is returned beside a fault is not used.
    let store = store.unwrap_or(StoreConfig::Embedded { pretend_remote: false });
    let buckets = stores::buckets(root.named("bucket"), store.is_remote());
    let identities = identities(&mut root, folder, store.is_remote());
    let libraries = libraries(&mut root, folder);
    let testing = root.table("testing").map(|section| testing::read(section, &libraries));
    let Testing { pace, quiet, probe_rounds, machines } = testing.unwrap_or_default();
    let pools = pools(&mut root, &libraries, quiet);
    let classes = classes(&mut root, &pools);
    let spool_bytes_max = root.table("spool").and_then(|mut spool| {
        let bytes = spool.number("bytes_max", SPOOL_BYTES_MIN..=u64::MAX / 2);
        spool.end();
        bytes
    });
    let keyring = root.table("keyring").and_then(|mut keyring| {
        let file = keyring.text("file").map(|file| folder.join(file));
        keyring.end();
        file
    });
    let lifecycle = root.table("lifecycle").map(|mut lifecycle| {
        let flips = lifecycle.small("flips_per_second", 1..=FLIPS_PER_SECOND_MAX).and_then(NonZeroU32::new);
        let reuse_after = lifecycle.seconds("reuse_after_seconds");
        lifecycle.end();
        (flips, reuse_after)
    });
    let (flips_per_second, reuse_after) = lifecycle.unwrap_or_default();
    if listen == admin_listen && listen.port() != 0 {
        root.fault("admin_listen", format!("{listen} is taken by listen"), "give it another port");
    }
    root.end();
    Config {
        data,
        listen,
        admin_listen,
        region,
        store,
        buckets,
        identities,
        libraries,
        pools,
        classes,
        spool_bytes_max,
        keyring,
        flips_per_second,
        reuse_after: reuse_after.unwrap_or(REUSE_AFTER_DEFAULT),
        pace,
        probe_rounds,
        machines,
    }
}

pub(super) fn region(text: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let legal = (1..=64).contains(&text.len()) && text.bytes().all(plain);
    if legal { Ok(text.to_owned()) } else { Err("is not the name of a region") }
}

fn identities(root: &mut Section<'_>, folder: &Path, remote: bool) -> BTreeMap<String, Identity> {
    let mut identities: BTreeMap<String, Identity> = BTreeMap::new();
    for mut section in root.list("identity").unwrap_or_default() {
        let fix = "write 3 to 128 letters, digits, '-', '_' or '.'";
        let id = section.parsed("access_key_id", fix, access_key_id);
        if id.is_none() && !section.has("access_key_id") {
            section.fault("access_key_id", "is needed, and legal", fix);
        }
        let secret = secret(&mut section, folder);
        let upstream = section.parsed("upstream", "write \"service\" or \"own\"", |text| match text {
            "service" => Ok(Upstream::Service),
            "own" if remote => Ok(Upstream::Own),
            "own" => Err("belongs to a remote store"),
            _ => Err("is nobody's key"),
        });
        let upstream = upstream.unwrap_or(Upstream::Service);
        if let (Some(id), Some(secret)) = (id, secret)
            && identities.insert(id.clone(), Identity { secret, upstream }).is_some()
        {
            section.fault("access_key_id", format!("{id} is there twice"), "give every identity its own");
        }
        section.end();
    }
    identities
}

/// Checks an access key id.
pub(crate) fn access_key_id(text: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let legal = (3..=128).contains(&text.len()) && text.bytes().all(plain);
    if legal { Ok(text.to_owned()) } else { Err("is not an access key id") }
}

/// Checks a secret access key; the message never shows it.
pub(crate) fn secret_access_key(text: &str) -> Result<Secret, &'static str> {
    let legal =
        (SECRET_LENGTH_MIN..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if legal { Ok(Secret::new(text)) } else { Err("is not a secret access key") }
}

pub(super) fn secret(section: &mut Section<'_>, folder: &Path) -> Option<Secret> {
    let fix = "write 8 to 128 visible characters";
    let inline = section.parsed("secret_access_key", fix, secret_access_key);
    let file = section.text("secret_access_key_file");
    let Some(file) = file else {
        if inline.is_none() {
            section.fault("secret_access_key_file", "there is no secret", "name the file it is in");
        }
        return inline;
    };
    let path = folder.join(file);
    match std::fs::read_to_string(&path) {
        Err(error) => {
            section.fault(
                "secret_access_key_file",
                format!("{}: {error}", path.display()),
                "name a readable file",
            );
            None
        }
        Ok(text) => match secret_access_key(text.trim()) {
            Ok(secret) => Some(secret),
            Err(problem) => {
                section.fault("secret_access_key_file", format!("what is in the file {problem}"), fix);
                None
            }
        },
    }
}

fn pools(
    root: &mut Section<'_>,
    libraries: &[LibraryConfig],
    quiet: Duration,
) -> BTreeMap<PoolName, PoolSettings> {
    let mut pools = BTreeMap::new();
    let Some(sections) = root.list("pool") else {
        let Some(library) = libraries.first() else { return pools };
        for name in ["glacier", "deep"] {
            let name = PoolName::parse(name).expect("a legal name");
            pools.insert(name, policy::standard(library, quiet));
        }
        return pools;
    };
    let mut siblings = Vec::new();
    for section in sections {
        let (place, copies) = (section.name("name"), section.name("copies"));
        let Some((name, settings)) = pool(section, libraries, quiet) else { continue };
        siblings.extend(settings.copies.iter().map(|copy| (copies.clone(), name.clone(), copy.clone())));
        if pools.insert(name.clone(), settings).is_some() {
            root.fault(&place, format!("{name} is there twice"), "give every pool its own name");
        }
    }
    let mut named = BTreeSet::new();
    for (place, name, copy) in siblings {
        if !named.insert((name.clone(), copy.clone())) {
            root.fault(
                &place,
                format!("{copy} is there twice"),
                "two copies in one pool are one too many: name it once",
            );
        }
        if copy == name || !pools.contains_key(&copy) {
            root.fault(&place, format!("{copy} is no other pool"), "name other pools of this file");
        }
        let is_sealed = |pool: &PoolName| pools.get(pool).is_some_and(|pool| pool.key.is_some());
        if is_sealed(&copy) && !is_sealed(&name) {
            let what = format!("{copy} is sealed and {name} is not: its packs would go there in clear");
            root.fault(&place, what, "seal this pool too: a pack is sealed once, for every copy");
        }
    }
    pools
}

fn pool(
    mut section: Section<'_>,
    libraries: &[LibraryConfig],
    quiet: Duration,
) -> Option<(PoolName, PoolSettings)> {
    let fix = "write 1 to 64 of a-z, 0-9, '-' and '_'";
    if !section.has("name") {
        section.fault("name", "is missing", fix);
    }
    let name = section.parsed("name", fix, PoolName::parse);
    let library = section.text("library").or_else(|| libraries.first().map(|library| library.name.clone()));
    let library = library.unwrap_or_default();
    let known = libraries.iter().find(|known| known.name == library);
    if known.is_none() {
        let names: Vec<&str> = libraries.iter().map(|library| library.name.as_str()).collect();
        section.fault(
            "library",
            format!("there is no library {library:?}"),
            format!("known are: {}", names.join(", ")),
        );
    }
    let mut settings = policy::standard(known.or(libraries.first())?, quiet);
    settings.key = key(&mut section, name.as_ref());
    for copy in section.texts("copies").unwrap_or_default() {
        match PoolName::parse(&copy) {
            Ok(copy) => settings.copies.push(copy),
            Err(error) => section.fault("copies", error.to_string(), fix),
        }
    }
    if let Some(bytes) = section.number("pack_bytes_target", PACK_BYTES_MIN..=PACK_BYTES_MAX) {
        settings.pack_bytes_target = bytes;
    }
    if let Some(quiet) = section.seconds("quiet_seconds") {
        // On virtual drives a mount costs nothing, and waits for no more than the pack did.
        settings.mount_age = if settings.mount_age == settings.quiet { quiet } else { settings.mount_age };
        settings.quiet = quiet;
    }
    policy::read(&mut section, &mut settings);
    section.end();
    Some((name?, settings))
}

/// The key a pool is sealed with: one of its own name when nothing else is said.
fn key(section: &mut Section<'_>, pool: Option<&PoolName>) -> Option<KeyName> {
    let fix = "write 1 to 64 of a-z, 0-9, '-' and '_'";
    let given = section.has("key");
    let named = section.parsed("key", fix, str::parse::<KeyName>);
    match section.flag("sealed") {
        Some(true) => named.or_else(|| pool?.as_str().parse().ok()),
        _ if given => {
            section.fault("key", "belongs to a sealed pool", "write sealed = true, or leave it out");
            None
        }
        _ => None,
    }
}

fn classes(
    root: &mut Section<'_>,
    pools: &BTreeMap<PoolName, PoolSettings>,
) -> BTreeMap<TapeClass, PoolName> {
    let known: Vec<&str> = pools.keys().map(PoolName::as_str).collect();
    let known = format!("known are: {}", known.join(", "));
    let mut classes = BTreeMap::new();
    for (name, mut section) in root.named("class") {
        let class = name.parse::<TapeClass>();
        if class.is_err() {
            section.fault("", "is not a tape class", "write [class.GLACIER] or [class.DEEP_ARCHIVE]");
        }
        let pool = section.parsed("pool", &known, PoolName::parse);
        match (class, pool) {
            (_, Some(pool)) if !pools.contains_key(&pool) => {
                section.fault("pool", format!("there is no pool {pool}"), known.clone());
            }
            (Ok(class), Some(pool)) => drop(classes.insert(class, pool)),
            _ => {}
        }
        section.end();
    }
    for (class, pool) in [(TapeClass::Glacier, "glacier"), (TapeClass::DeepArchive, "deep")] {
        if let Some((pool, _)) = pools.iter().find(|(name, _)| name.as_str() == pool) {
            classes.entry(class).or_insert_with(|| pool.clone());
        }
    }
    if classes.is_empty() {
        root.fault("class", "no storage class leads to a pool", "write [class.GLACIER] with pool = \"...\"");
    }
    classes
}
