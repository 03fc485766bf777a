//! Sealing keys and their names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::error::Error;
use super::{NONCE_BYTES, SECRET_BYTES};

/// Longest name of a key.
pub(super) const NAME_BYTES_MAX: usize = 64;
/// Bytes of a key's check value.
pub(super) const CHECK_BYTES: usize = 8;
/// What is hashed before a key for its check value.
const CHECK_START: &[u8] = b"tapegate key check 1";

/// The text is no name of a key, or no name with a version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {kind}")]
pub struct KeyNameError {
    kind: &'static str,
    text: String,
}

impl KeyNameError {
    fn new(kind: &'static str, text: &str) -> Self {
        Self { kind, text: text.chars().take(80).collect() }
    }
}

/// Name of a key: `a-z 0-9 - _`, at most 64.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyName(String);

impl KeyName {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = KeyNameError;

    fn from_str(text: &str) -> Result<Self, KeyNameError> {
        let legal = (1..=NAME_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
        if legal {
            Ok(Self(text.to_owned()))
        } else {
            Err(KeyNameError::new("name of a key (a-z 0-9 - _, at most 64)", text))
        }
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One version of a named key, written `name:version`. Versions count from 1; the newest seals.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId {
    /// The key's name.
    pub name: KeyName,
    /// Which version of it.
    pub version: u32,
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.version)
    }
}

impl FromStr for KeyId {
    type Err = KeyNameError;

    fn from_str(text: &str) -> Result<Self, KeyNameError> {
        let wrong = || KeyNameError::new("key with a version, as name:1", text);
        let (name, digits) = text.split_once(':').ok_or_else(wrong)?;
        let version = digits.parse().ok().filter(|version: &u32| *version > 0).ok_or_else(wrong)?;
        let id = Self { name: name.parse()?, version };
        if id.to_string() == text { Ok(id) } else { Err(wrong()) }
    }
}

/// Conversions serde goes through, so that a parsed document holds only legal names.
macro_rules! string_form {
    ($($name:ident),*) => {$(
        impl TryFrom<String> for $name {
            type Error = KeyNameError;

            fn try_from(text: String) -> Result<Self, KeyNameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }
    )*};
}

string_form!(KeyName, KeyId);

/// 256 secret bits. They are wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret([u8; SECRET_BYTES]);

impl Secret {
    /// Drawn from the operating system.
    pub fn fresh() -> Result<Self, Error> {
        let mut secret = Self([0; SECRET_BYTES]);
        random(&mut secret.0)?;
        Ok(secret)
    }

    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        Some(Self(bytes.try_into().ok()?))
    }

    pub fn bytes(&self) -> &[u8; SECRET_BYTES] {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A nonce drawn from the operating system, for wrapping alone.
pub(super) fn random_nonce() -> Result<[u8; NONCE_BYTES], Error> {
    let mut nonce = [0; NONCE_BYTES];
    random(&mut nonce)?;
    Ok(nonce)
}

fn random(bytes: &mut [u8]) -> Result<(), Error> {
    aws_lc_rs::rand::fill(bytes).map_err(|_| Error::Random)
}

/// A check value as text.
pub(super) fn hexadecimal(check: &[u8]) -> String {
    check.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A key that wraps data keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealingKey {
    id: KeyId,
    secret: Secret,
}

impl SealingKey {
    /// A fresh key.
    pub fn generate(id: KeyId) -> Result<Self, Error> {
        Ok(Self { id, secret: Secret::fresh()? })
    }

    pub(super) fn new(id: KeyId, secret: Secret) -> Self {
        Self { id, secret }
    }

    /// Its name and version.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// Its check value in hexadecimal: tells two keys apart and nothing else of them.
    pub fn check_text(&self) -> String {
        hexadecimal(&self.check())
    }

    /// Name, version and check value.
    pub fn mark(&self) -> KeyMark {
        KeyMark { id: self.id.clone(), check: self.check_text() }
    }

    pub(super) fn secret(&self) -> &Secret {
        &self.secret
    }

    pub(super) fn check(&self) -> [u8; CHECK_BYTES] {
        let mut input = Zeroizing::new([0; CHECK_START.len() + SECRET_BYTES]);
        input[..CHECK_START.len()].copy_from_slice(CHECK_START);
        input[CHECK_START.len()..].copy_from_slice(self.secret.bytes());
        let mut check = [0; CHECK_BYTES];
        check.copy_from_slice(&blake3::hash(&input[..]).as_bytes()[..CHECK_BYTES]);
        check
    }
}

/// Which key: enough to find it again, and to tell it from another one of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyMark {
    /// Name and version.
    pub id: KeyId,
    /// Check value in hexadecimal.
    pub check: String,
}

/// Where sealing keys are found.
pub trait KeySource: Send + Sync {
    /// The key to seal with: the newest version of `name` that is not retired.
    fn newest(&self, name: &KeyName) -> Result<SealingKey, Error>;

    /// The key something was sealed with, retired or not.
    fn find(&self, id: &KeyId) -> Result<SealingKey, Error>;
}

/// No keys at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoKeys;

impl KeySource for NoKeys {
    fn newest(&self, name: &KeyName) -> Result<SealingKey, Error> {
        Err(Error::NoKey { key: name.to_string() })
    }

    fn find(&self, id: &KeyId) -> Result<SealingKey, Error> {
        Err(Error::NoKey { key: id.to_string() })
    }
}
