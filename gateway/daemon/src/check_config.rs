//! `check-config`: whether a configuration is good, and what it comes to.

use std::path::Path;

use engine::Verify;
use library::Ours;
use serde_json::{Value, json};
use store::{Addressing, BucketOwner};

use crate::command::write;
use crate::config::{Config, LibraryConfig, Machine, StoreConfig};
use crate::data::Root;
use crate::error::Error;
use crate::units;

/// Checks the configuration (and the credentials in the environment) and prints it with its defaults filled in.
pub fn check_config(file: Option<&Path>, as_json: bool) -> Result<(), Error> {
    let config = Config::load(file)?;
    Root::from_environment()?;
    let mut all = describe(&config);
    let survey = units::survey(&config.libraries);
    if as_json {
        all["machines"] = survey;
        return write(format!("{all:#}\n").as_bytes());
    }
    let mut text = String::from("the configuration is good\n\n");
    lines("", &all, &mut text);
    let missing: Vec<String> = survey.as_array().into_iter().flatten().flat_map(units::matters).collect();
    if !missing.is_empty() {
        text.push_str(&format!("\nbut not on this machine, now:\n{}\n", missing.join("\n")));
    }
    write(text.as_bytes())
}

fn describe(config: &Config) -> Value {
    let library = |library: &LibraryConfig| match &library.machine {
        Machine::Virtual(geometry) => json!({
            "name": library.name,
            "kind": "virtual",
            "drives": geometry.drives,
            "slots": geometry.slots,
            "mail_slots": geometry.mail_slots,
            "cartridge_bytes": geometry.cartridge_bytes,
        }),
        Machine::Sg(units) => json!({
            "name": library.name,
            "kind": "sg",
            "changer": units.changer,
            "drives": units.drives,
            "barcodes": match &units.ours {
                Ours::All => None,
                Ours::Prefixes(prefixes) => Some(prefixes),
            },
        }),
    };
    let pool = |(name, pool): (&model::PoolName, &engine::PoolSettings)| {
        json!({
            "name": name.as_str(),
            "library": pool.library,
            "sealed": pool.key.is_some(),
            "key": pool.key.as_ref().map(volume::seal::KeyName::as_str),
            "copies": pool.copies.iter().map(|copy| copy.as_str()).collect::<Vec<_>>(),
            "pack_bytes_target": pool.pack_bytes_target,
            "quiet_seconds": pool.quiet.as_secs_f64(),
            "compression": pool.compression.to_string(),
            "compression_level": match pool.compression {
                engine::Compression::Zstd(level) => Some(level),
                _ => None,
            },
            "affinity": pool.affinity.to_string(),
            "generation": pool.generation.map(|generation| generation.to_string()),
            "drives_max": pool.drives_max,
            "mount_bytes": pool.mount_bytes,
            "mount_age_seconds": pool.mount_age.as_secs_f64(),
            "verify": match pool.verify {
                Verify::Deferred => "deferred",
                Verify::Inline => "inline",
                Verify::Never => "none",
            },
        })
    };
    let classes =
        config.classes.iter().map(|(class, pool)| (class.to_string(), json!({"pool": pool.as_str()})));
    json!({
        "data": config.data,
        "listen": config.listen.to_string(),
        "admin_listen": config.admin_listen.to_string(),
        "region": config.region,
        "store": store(&config.store),
        "bucket": config.buckets.named.iter().map(|(name, terms)| (name.to_string(), json!(terms)))
            .collect::<serde_json::Map<_, _>>(),
        "identity": config.identities.keys().collect::<Vec<_>>(),
        "library": config.libraries.iter().map(library).collect::<Vec<_>>(),
        "pool": config.pools.iter().map(pool).collect::<Vec<_>>(),
        "class": classes.collect::<serde_json::Map<_, _>>(),
        "spool": {"bytes_max": config.spool_bytes_max},
        "keyring": {"file": config.keyring},
        "lifecycle": {
            "flips_per_second": config.flips_per_second,
            "reuse_after_seconds": config.reuse_after.as_secs_f64(),
        },
    })
}

fn store(store: &StoreConfig) -> Value {
    match store {
        StoreConfig::Embedded { pretend_remote } => {
            json!({"kind": "embedded", "pretend_remote": pretend_remote})
        }
        StoreConfig::Remote(remote) => json!({
            "kind": "remote",
            "endpoint": remote.endpoint.to_string(),
            "region": remote.region,
            "access_key_id": remote.key.access_key_id,
            "expected_owner": remote.expected_owner.as_ref().map(BucketOwner::as_str),
            "addressing": match remote.addressing {
                Addressing::Path => "path",
                Addressing::Virtual => "virtual",
            },
            "ca_file": remote.tls.authorities,
            "client_certificate_file": remote.tls.client.as_ref().map(|client| &client.chain),
        }),
    }
}

/// One line for every setting: its key and its value.
fn lines(key: &str, value: &Value, text: &mut String) {
    let below = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| lines(&below(name), value, text)),
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.iter().enumerate().for_each(|(at, item)| lines(&format!("{key}[{at}]"), item, text));
        }
        Value::Null => {}
        value => text.push_str(&format!("{key} = {value}\n")),
    }
}
