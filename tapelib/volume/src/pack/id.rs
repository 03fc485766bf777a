//! Names of packs and members, and digests: values that cannot be wrong.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use ulid::Ulid;

/// The text is not in the canonical form of the named kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {kind}: {text:?}")]
pub struct ParseError {
    kind: &'static str,
    text: String,
}

impl ParseError {
    fn new(kind: &'static str, text: &str) -> Self {
        ParseError { kind, text: text.chars().take(80).collect() }
    }
}

/// Identity of a pack; every copy of it is bit-identical and carries the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackId(pub Ulid);

/// Identity of the archived object version a member holds (or a segment of it).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MemberId(pub Ulid);

/// A BLAKE3-256 digest, written as 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Digest(*blake3::hash(bytes).as_bytes())
    }
}

impl From<blake3::Hash> for Digest {
    fn from(hash: blake3::Hash) -> Self {
        Digest(*hash.as_bytes())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}

impl FromStr for Digest {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let digest = blake3::Hash::from_hex(text).map(Digest::from);
        digest.ok().filter(|digest| digest.to_string() == text).ok_or_else(|| ParseError::new("digest", text))
    }
}

/// Display, FromStr and the string form serde uses, for a ULID newtype. Only the canonical upper-case form parses.
macro_rules! ulid_text {
    ($name:ident, $kind:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Self, ParseError> {
                let ulid = Ulid::from_string(text).ok();
                ulid.filter(|ulid| ulid.to_string() == text)
                    .map($name)
                    .ok_or_else(|| ParseError::new($kind, text))
            }
        }
    };
}

ulid_text!(PackId, "pack id");
ulid_text!(MemberId, "member id");

/// Conversions serde goes through, so that a parsed document holds only canonical values.
macro_rules! string_form {
    ($($name:ident),*) => {$(
        impl TryFrom<String> for $name {
            type Error = ParseError;

            fn try_from(text: String) -> Result<Self, ParseError> {
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

string_form!(PackId, MemberId, Digest);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_the_canonical_text_parses() {
        let id = PackId(Ulid(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef));
        let text = id.to_string();
        assert_eq!(text.parse::<PackId>().unwrap(), id);
        for wrong in [text.to_lowercase(), format!("Z{}", &text[1..]), text[1..].into(), format!("{text}0")] {
            assert!(wrong.parse::<PackId>().is_err(), "{wrong}");
        }
        let digest = Digest::of(b"x");
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        assert!(digest.to_string().to_uppercase().parse::<Digest>().is_err());
    }
}
