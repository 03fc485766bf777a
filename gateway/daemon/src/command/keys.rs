//! `keys`: the keyring, changed in its file; how much each key is needed is asked of the gateway.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use console::Question;
use serde_json::{Value, json};
use volume::seal::{KeyId, KeyName, Keyring, KeyringError};

use super::write;
use crate::cli::{KeysAt, KeysCommand};
use crate::client::Client;
use crate::data;
use crate::error::Error;
use crate::keyring::{KeyFile, ReadError, created, read_keyring};
use crate::table::{Column, Show, table};

/// `tapegate keys`
pub fn keys(command: KeysCommand) -> Result<(), Error> {
    match command {
        KeysCommand::List(at) => list(&at),
        KeysCommand::Create { name, at } => {
            let used = last_in_use(&at, &name);
            let id = file(&at)?.change(|keyring| keyring.create(&name, used, &created()))?;
            made(&at, &id)
        }
        KeysCommand::Rotate { name, at } => {
            let used = last_in_use(&at, &name);
            let id = file(&at)?.change(|keyring| keyring.rotate(&name, used, &created()))?;
            made(&at, &id)
        }
        KeysCommand::Export { name, to, at } => export(&at, name.as_ref(), to.as_deref()),
        KeysCommand::Import { from, at } => import(&at, &from),
        KeysCommand::Retire { key, destroy, force, at } => {
            if destroy {
                destroy_key(&at, &key, force)
            } else {
                retire(&at, &key)
            }
        }
    }
}

fn file(at: &KeysAt) -> Result<KeyFile, Error> {
    let path = match &at.keyring {
        Some(path) => path.clone(),
        None => data::keyring_of(&at.at.data)?,
    };
    Ok(KeyFile::new(path))
}

fn list(at: &KeysAt) -> Result<(), Error> {
    let used = in_use(at);
    let mut keys: BTreeMap<String, Value> = BTreeMap::new();
    let file = file(at)?;
    for key in file.keyring()?.list() {
        let row = json!({
            "key": key.id.to_string(),
            "name": key.id.name.as_str(),
            "version": key.id.version,
            "state": if key.retired { "retired" } else { "active" },
            "created": key.created,
            "check": key.check,
            "packs": used.as_ref().ok().map(|_| 0),
            "bytes": used.as_ref().ok().map(|_| 0),
        });
        keys.insert(key.id.to_string(), row);
    }
    for (key, need) in used.iter().flatten() {
        // A key that packs need and the keyring lacks is what this list is read for.
        let row = keys.entry(key.clone()).or_insert_with(|| json!({"key": key, "state": "missing"}));
        row["packs"] = need["packs"].clone();
        row["bytes"] = need["bytes"].clone();
    }
    let answer = json!({"keyring": file.path(), "keys": keys.into_values().collect::<Vec<_>>()});
    if let Err(error) = &used {
        tell(&format!("how much each key is needed is unknown: {error}"));
    }
    print(at, &answer, |answer| {
        let rows = answer["keys"].as_array().map_or(&[][..], Vec::as_slice);
        table(KEYS, rows)
    })
}

fn made(at: &KeysAt, id: &KeyId) -> Result<(), Error> {
    let keyring = file(at)?;
    print(at, &json!({"key": id.to_string(), "keyring": keyring.path()}), |_| {
        format!(
            "{id} is in {}; what is sealed from now on uses it\n\
             export it and keep it apart from the tapes: what is sealed with it is lost without it\n  \
             tapegate keys export {} --to FILE\n",
            keyring.path().display(),
            id.name
        )
    })
}

fn export(at: &KeysAt, name: Option<&KeyName>, to: Option<&Path>) -> Result<(), Error> {
    let keyring = file(at)?;
    let keys = keyring.keyring()?;
    let chosen: Vec<String> = keys
        .list()
        .into_iter()
        .filter(|key| name.is_none_or(|name| key.id.name == *name))
        .map(|key| key.id.to_string())
        .collect();
    if chosen.is_empty() {
        let key = name.map_or_else(|| "at all".to_owned(), ToString::to_string);
        return Err(Error::Keyring {
            path: keyring.path().to_owned(),
            source: KeyringError::Unknown { key },
        });
    }
    let text = keys.to_text(name);
    let Some(to) = to else { return write(text.as_bytes()) };
    let save = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    save().map_err(|source| Error::File { operation: "write", path: to.to_owned(), source })?;
    print(at, &json!({"keys": chosen, "file": to}), |_| {
        format!("{} in {}: whoever reads it can open what they sealed\n", chosen.join(", "), to.display())
    })
}

fn import(at: &KeysAt, from: &Path) -> Result<(), Error> {
    let unreadable = |source| Error::File { operation: "read", path: from.to_owned(), source };
    let read = match from.as_os_str() == "-" {
        true => read_keyring(io::stdin().lock()),
        false => read_keyring(File::open(from).map_err(unreadable)?),
    };
    let other: Keyring = read.map_err(|error| match error {
        ReadError::Io(source) => unreadable(source),
        ReadError::Keyring(source) => Error::Keyring { path: from.to_owned(), source },
    })?;
    let merged = file(at)?.change(|keyring| keyring.merge(&other))?;
    let texts = |keys: &[KeyId]| keys.iter().map(KeyId::to_string).collect::<Vec<_>>();
    let (added, present) = (texts(&merged.added), texts(&merged.present));
    print(at, &json!({"added": added, "present": present}), |_| {
        let said = |keys: &[String]| match keys {
            [] => "none".to_owned(),
            keys => keys.join(", "),
        };
        format!("imported: {}; there already: {}\n", said(&added), said(&present))
    })
}

fn retire(at: &KeysAt, key: &KeyId) -> Result<(), Error> {
    let active = file(at)?.change(|keyring| {
        keyring.retire(key)?;
        Ok(keyring.list().iter().any(|other| other.id.name == key.name && !other.retired))
    })?;
    print(at, &json!({"key": key.to_string(), "state": "retired"}), |_| {
        let next = match active {
            true => String::new(),
            false => format!(
                "no version of {0} is left to seal with: pools that use it wait for `tapegate keys rotate {0}`\n",
                key.name
            ),
        };
        format!("{key} seals nothing new; what it sealed stays readable\n{next}")
    })
}

fn destroy_key(at: &KeysAt, key: &KeyId, force: bool) -> Result<(), Error> {
    if !force {
        let refused = |message: String| Err(Error::Refused { message });
        match in_use(at) {
            Ok(used) => {
                // What changes of an object later is sealed with a version not older than its pack's.
                let needs = |id: &KeyId| id.name == key.name && id.version <= key.version;
                let packs: u64 = used
                    .iter()
                    .filter(|(id, _)| id.parse().is_ok_and(|id| needs(&id)))
                    .filter_map(|(_, need)| need["packs"].as_u64())
                    .sum();
                if packs > 0 {
                    return refused(format!(
                        "{packs} packs are sealed with {} up to version {}: they, or what journals tell of them, would be \
                         lost for ever; --force does it all the same",
                        key.name, key.version
                    ));
                }
            }
            Err(error) => {
                return refused(format!(
                    "whether packs need {key} is unknown ({error}); --force destroys it all the same"
                ));
            }
        }
    }
    file(at)?.change(|keyring| keyring.remove(key))?;
    print(at, &json!({"key": key.to_string(), "state": "destroyed"}), |_| {
        format!("{key} is gone from the keyring\n")
    })
}

/// The highest version of a name that packs are sealed with; 0 when there is none, or nobody to ask, which is told.
fn last_in_use(at: &KeysAt, name: &KeyName) -> u32 {
    match in_use(at) {
        Ok(used) => {
            let ids = used.keys().filter_map(|id| id.parse::<KeyId>().ok());
            ids.filter(|id| id.name == *name).map(|id| id.version).max().unwrap_or(0)
        }
        Err(error) => {
            tell(&format!(
                "which versions of {name} packs need is unknown, the new one is numbered by the keyring alone: {error}"
            ));
            0
        }
    }
}

/// The keys that packs need, as the gateway answers, by name and version.
fn in_use(at: &KeysAt) -> Result<BTreeMap<String, Value>, Error> {
    let answer = Client::new(&at.at).ask(&Question::Keys)?;
    let rows = answer["keys"].as_array().map_or(&[][..], Vec::as_slice);
    Ok(rows.iter().filter_map(|row| Some((row["key"].as_str()?.to_owned(), row.clone()))).collect())
}

fn print(at: &KeysAt, answer: &Value, people: impl FnOnce(&Value) -> String) -> Result<(), Error> {
    super::print(&at.at, answer, people)
}

/// Tells a person of something that does not end the work.
fn tell(text: &str) {
    // With standard error gone there is nobody left to tell.
    drop(writeln!(io::stderr(), "tapegate: {text}"));
}

const KEYS: &[Column] = &[
    ("KEY", "key", Show::Plain),
    ("STATE", "state", Show::Plain),
    ("CREATED", "created", Show::Plain),
    ("CHECK", "check", Show::Plain),
    ("PACKS", "packs", Show::Plain),
    ("BYTES", "bytes", Show::Bytes),
];
