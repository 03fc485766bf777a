//! The keyring: every version of every key, and its text form.
//!
//! The same text is the keyring's file, an export for safe keeping, and what the standalone reader takes:
//!
//! ```text
//! tapegate-key 1 glacier 1 2026-12-01T09:30:00Z retired <64 hexadecimal digits> <check>
//! tapegate-key 1 glacier 2 2027-12-01T09:30:00Z active <64 hexadecimal digits> <check>
//! end 2
//! ```
//!
//! The check is the first 16 hexadecimal digits of the BLAKE3-256 of the line before it, without the blank between: a
//! line copied from paper with a mistake is refused. `end` counts the keys: a list that was cut is refused. Lines that
//! are empty or begin with `#` are passed over.

use std::collections::BTreeMap;
use std::fmt::Write;

use zeroize::Zeroizing;

use super::SECRET_BYTES;
use super::error::Error;
use super::key::{KeyId, KeyName, KeySource, SealingKey, Secret};

/// Most keys of a keyring.
const KEYS_MAX: usize = 100_000;
const LINE_START: &str = "tapegate-key 1";
const CHECK_DIGITS: usize = 16;
const CREATED_BYTES_MAX: usize = 40;

/// Why a keyring's text or a change of it is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// A line of the text is not what it should be.
    #[error("line {line} of the keyring: {what}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// The text does not end as it should: it was cut.
    #[error("the keyring does not end with the count of its keys: it was cut, or is no keyring")]
    Cut,
    /// There is such a key already.
    #[error("there is a key {key} already")]
    Exists {
        /// The key.
        key: String,
    },
    /// There is no such key.
    #[error("there is no key {key}")]
    Unknown {
        /// The key.
        key: String,
    },
    /// The key still seals.
    #[error("the key {key} still seals: retire it first")]
    Active {
        /// The key.
        key: KeyId,
    },
    /// The key is the newest of its name.
    #[error("the key {key} is the newest of its name, and the next is numbered by it: rotate first")]
    Newest {
        /// The key.
        key: KeyId,
    },
    /// The versions of a name are used up.
    #[error("the key {key} has no version left")]
    Last {
        /// The key.
        key: String,
    },
    /// Both keyrings have this key, with different secrets.
    #[error("the key {key} is another one here: nothing was imported")]
    Differs {
        /// The key.
        key: KeyId,
    },
    /// The operating system gives no random numbers.
    #[error("no random numbers for a fresh key")]
    Random,
}

/// Keys by name and version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keyring {
    keys: BTreeMap<KeyId, Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    key: SealingKey,
    created: String,
    retired: bool,
}

/// What is told of a key. Its secret is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// Name and version.
    pub id: KeyId,
    /// When it was made, as whoever made it wrote it.
    pub created: String,
    /// Whether nothing new is sealed with it.
    pub retired: bool,
    /// Check value in hexadecimal: tells two keys apart and nothing else of them.
    pub check: String,
}

/// What an import came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Keys that were not there before.
    pub added: Vec<KeyId>,
    /// Keys that were there already, and are the same.
    pub present: Vec<KeyId>,
}

impl Keyring {
    /// Reads the text form.
    pub fn parse(text: &str) -> Result<Self, KeyringError> {
        let mut keyring = Self::default();
        let mut ended = false;
        for (index, line) in text.lines().enumerate() {
            let line_error = |what| KeyringError::Line { line: index + 1, what };
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if ended {
                return Err(line_error("it stands after the end"));
            }
            if let Some(count) = line.strip_prefix("end ") {
                if count.parse() != Ok(keyring.keys.len()) {
                    return Err(line_error("it counts other keys than there are"));
                }
                ended = true;
                continue;
            }
            let entry = parse_line(line).map_err(line_error)?;
            if keyring.keys.len() >= KEYS_MAX {
                return Err(line_error("there are more than 100 000 keys"));
            }
            if keyring.keys.insert(entry.key.id().clone(), entry).is_some() {
                return Err(line_error("its key stands there twice"));
            }
        }
        if ended { Ok(keyring) } else { Err(KeyringError::Cut) }
    }

    /// The text form of all keys, or of those of one name.
    pub fn to_text(&self, only: Option<&KeyName>) -> Zeroizing<String> {
        let chosen = self.keys.values().filter(|entry| only.is_none_or(|name| entry.key.id().name == *name));
        let chosen: Vec<&Entry> = chosen.collect();
        // With room for all, so that no copy of a secret is left behind where the text grew from.
        let mut text = Zeroizing::new(String::with_capacity(chosen.len() * 256 + 32));
        for entry in &chosen {
            let start = text.len();
            let KeyId { name, version } = entry.key.id();
            let state = if entry.retired { "retired" } else { "active" };
            let created = &entry.created;
            push(&mut text, format_args!("{LINE_START} {name} {version} {created} {state} "));
            for byte in entry.key.secret().bytes() {
                push(&mut text, format_args!("{byte:02x}"));
            }
            let check = check_of(&text[start..]);
            push(&mut text, format_args!(" {check}\n"));
        }
        push(&mut text, format_args!("end {}\n", chosen.len()));
        text
    }

    /// Every key, by name and version.
    pub fn list(&self) -> Vec<KeyInfo> {
        let info = |entry: &Entry| KeyInfo {
            id: entry.key.id().clone(),
            created: entry.created.clone(),
            retired: entry.retired,
            check: entry.key.check_text(),
        };
        self.keys.values().map(info).collect()
    }

    /// Makes the first version of a new name, numbered above `used`: the highest version that anything is known to be
    /// sealed with, 0 for none. A number that was used before would be another key in the place of one that may turn up.
    pub fn create(&mut self, name: &KeyName, used: u32, created: &str) -> Result<KeyId, KeyringError> {
        if self.last_version(name).is_some() {
            return Err(KeyringError::Exists { key: name.to_string() });
        }
        self.add(name, used, created)
    }

    /// Makes the next version of a name, numbered above `used` too: what is sealed from now on uses it.
    pub fn rotate(&mut self, name: &KeyName, used: u32, created: &str) -> Result<KeyId, KeyringError> {
        let unknown = || KeyringError::Unknown { key: name.to_string() };
        let last = self.last_version(name).ok_or_else(unknown)?;
        self.add(name, last.max(used), created)
    }

    /// Lets a key seal nothing new. What it sealed stays readable.
    pub fn retire(&mut self, id: &KeyId) -> Result<(), KeyringError> {
        let entry = self.keys.get_mut(id).ok_or_else(|| KeyringError::Unknown { key: id.to_string() })?;
        entry.retired = true;
        Ok(())
    }

    /// Forgets a retired key: what it sealed is unreadable unless a copy of the key is kept elsewhere.
    pub fn remove(&mut self, id: &KeyId) -> Result<(), KeyringError> {
        match self.keys.get(id) {
            None => Err(KeyringError::Unknown { key: id.to_string() }),
            Some(entry) if !entry.retired => Err(KeyringError::Active { key: id.clone() }),
            // The next version counts from it.
            Some(_) if self.last_version(&id.name) == Some(id.version) => {
                Err(KeyringError::Newest { key: id.clone() })
            }
            Some(_) => {
                self.keys.remove(id);
                Ok(())
            }
        }
    }

    /// Takes over the keys of another keyring. When one of them is another key here, nothing is taken over.
    pub fn merge(&mut self, other: &Self) -> Result<Merged, KeyringError> {
        let mut merged = Merged::default();
        for (id, entry) in &other.keys {
            match self.keys.get(id) {
                None => merged.added.push(id.clone()),
                Some(ours) if ours.key == entry.key => merged.present.push(id.clone()),
                Some(_) => return Err(KeyringError::Differs { key: id.clone() }),
            }
        }
        for id in &merged.added {
            self.keys.insert(id.clone(), other.keys[id].clone());
        }
        Ok(merged)
    }

    fn last_version(&self, name: &KeyName) -> Option<u32> {
        self.keys.keys().filter(|id| id.name == *name).map(|id| id.version).max()
    }

    fn add(&mut self, name: &KeyName, above: u32, created: &str) -> Result<KeyId, KeyringError> {
        let version = above.checked_add(1).ok_or_else(|| KeyringError::Last { key: name.to_string() })?;
        let id = KeyId { name: name.clone(), version };
        let key = SealingKey::generate(id.clone()).map_err(|_| KeyringError::Random)?;
        let created = created.to_owned();
        assert!(is_created(&created), "a time without blanks");
        self.keys.insert(id.clone(), Entry { key, created, retired: false });
        Ok(id)
    }
}

impl KeySource for Keyring {
    fn newest(&self, name: &KeyName) -> Result<SealingKey, Error> {
        let usable = self.keys.values().filter(|entry| entry.key.id().name == *name && !entry.retired);
        let newest = usable.max_by_key(|entry| entry.key.id().version);
        newest.map(|entry| entry.key.clone()).ok_or_else(|| Error::NoKey { key: name.to_string() })
    }

    fn find(&self, id: &KeyId) -> Result<SealingKey, Error> {
        let entry = self.keys.get(id).ok_or_else(|| Error::NoKey { key: id.to_string() })?;
        Ok(entry.key.clone())
    }
}

fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a string takes everything");
}

fn check_of(line: &str) -> String {
    blake3::hash(line.as_bytes()).to_hex()[..CHECK_DIGITS].to_owned()
}

fn is_created(text: &str) -> bool {
    (1..=CREATED_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn parse_line(line: &str) -> Result<Entry, &'static str> {
    let (checked, check) = line.rsplit_once(' ').ok_or("it is no key")?;
    let rest = checked.strip_prefix(LINE_START).and_then(|rest| rest.strip_prefix(' '));
    let rest = rest.ok_or("it is no key of a version this program knows")?;
    if check != check_of(checked) {
        return Err("its check differs: it was copied with a mistake");
    }
    let fields: Vec<&str> = rest.split(' ').collect();
    let [name, version, created, state, secret] = fields[..] else { return Err("it has other fields") };
    let id: KeyId = format!("{name}:{version}").parse().map_err(|_| "its name or version is impossible")?;
    let retired = match state {
        "active" => false,
        "retired" => true,
        _ => return Err("its state is unknown"),
    };
    if !is_created(created) {
        return Err("its time is impossible");
    }
    let secret = parse_secret(secret).ok_or("its secret is not 64 hexadecimal digits")?;
    Ok(Entry { key: SealingKey::new(id, secret), created: created.to_owned(), retired })
}

fn parse_secret(text: &str) -> Option<Secret> {
    let digits = text.as_bytes();
    if digits.len() != 2 * SECRET_BYTES {
        return None;
    }
    let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *byte = digit(0)? << 4 | digit(1)?;
    }
    Secret::from_slice(&bytes[..])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const CREATED: &str = "2026-12-01T09:30:00Z";

    fn name(text: &str) -> KeyName {
        text.parse().unwrap()
    }

    fn keyring() -> Keyring {
        let mut keyring = Keyring::default();
        keyring.create(&name("glacier"), 0, CREATED).unwrap();
        keyring.rotate(&name("glacier"), 0, CREATED).unwrap();
        keyring.create(&name("deep"), 0, CREATED).unwrap();
        keyring.retire(&"glacier:1".parse().unwrap()).unwrap();
        keyring
    }

    #[test]
    fn the_text_reads_back_and_a_mistake_in_it_is_found() {
        let keyring = keyring();
        let text = keyring.to_text(None);
        assert_eq!(Keyring::parse(&text).unwrap(), keyring);
        assert_eq!(Keyring::parse(&format!("# kept in the safe\n\n{}", *text)).unwrap(), keyring);
        let glacier = Keyring::parse(&keyring.to_text(Some(&name("glacier")))).unwrap();
        assert_eq!(glacier.list().len(), 2);
        let lines: Vec<&str> = text.lines().collect();
        for missing in 0..lines.len() {
            let mut cut = lines.clone();
            cut.remove(missing);
            assert!(Keyring::parse(&cut.join("\n")).is_err(), "without line {missing}");
        }
        for at in (0..text.len()).filter(|at| !text[*at..].starts_with('\n')) {
            let mut wrong = text.to_string();
            let other = if &text[at..=at] == "7" { "8" } else { "7" };
            wrong.replace_range(at..=at, other);
            assert!(Keyring::parse(&wrong).is_err(), "a mistake at {at}");
        }
    }

    #[test]
    fn the_newest_key_seals_and_every_key_opens() {
        let mut keyring = keyring();
        assert_eq!(keyring.newest(&name("glacier")).unwrap().id().version, 2);
        assert!(keyring.find(&"glacier:1".parse().unwrap()).is_ok());
        keyring.retire(&"glacier:2".parse().unwrap()).unwrap();
        assert!(matches!(keyring.newest(&name("glacier")), Err(Error::NoKey { .. })));
        assert_eq!(keyring.rotate(&name("glacier"), 0, CREATED).unwrap().version, 3);
        assert!(
            keyring.create(&name("deep"), 0, CREATED).is_err()
                && keyring.rotate(&name("x"), 0, CREATED).is_err()
        );
        let (first, third): (KeyId, KeyId) = ("glacier:1".parse().unwrap(), "glacier:3".parse().unwrap());
        assert_eq!(keyring.remove(&third), Err(KeyringError::Active { key: third.clone() }));
        assert_eq!(keyring.rotate(&name("glacier"), 6, CREATED).unwrap().version, 7, "4 to 6 may turn up");
        keyring.retire(&third).unwrap();
        keyring.retire(&"glacier:7".parse().unwrap()).unwrap();
        let newest: KeyId = "glacier:7".parse().unwrap();
        assert_eq!(keyring.remove(&newest), Err(KeyringError::Newest { key: newest }));
        assert_eq!(keyring.create(&name("lost"), 2, CREATED).unwrap().version, 3);
        keyring.remove(&first).unwrap();
        let error = keyring.find(&"glacier:1".parse().unwrap()).unwrap_err();
        assert!(error.wants_key() && error.to_string().contains("glacier:1"));
    }

    #[test]
    fn an_import_adds_and_never_replaces() {
        let full = keyring();
        let mut empty = Keyring::default();
        assert_eq!(empty.merge(&full).unwrap().added.len(), 3);
        assert_eq!(empty, full);
        assert_eq!(empty.merge(&full).unwrap().present.len(), 3);
        let mut other = Keyring::default();
        other.create(&name("a"), 0, CREATED).unwrap();
        other.create(&name("deep"), 0, CREATED).unwrap();
        let refused = empty.merge(&other).unwrap_err();
        assert_eq!(refused, KeyringError::Differs { key: "deep:1".parse().unwrap() });
        assert_eq!(empty, full, "nothing of a refused import stays");
    }

    #[test]
    fn no_debug_shows_a_secret() {
        let keyring = keyring();
        let text = keyring.to_text(None);
        let shown = format!("{keyring:?}");
        for line in text.lines().filter(|line| line.starts_with("tapegate-key")) {
            let secret = line.split(' ').nth(6).unwrap();
            assert!(!shown.contains(secret) && secret.len() == 64);
        }
        assert!(shown.contains("Secret(..)"));
    }
}
