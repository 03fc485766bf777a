//! Names clients give: buckets, keys, versions, ETags, and the pools of the configuration.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a text is not the name it should be. The edge turns each into its S3 error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A bucket name outside the S3 rules.
    #[error(
        "{0:?} is not a bucket name: 3 to 63 of a-z, 0-9, '.' and '-', starting and ending with a letter or digit"
    )]
    Bucket(String),
    /// A key of no bytes or of more than 1 024.
    #[error("a key of {0} bytes; a key has 1 to 1024")]
    KeyLength(usize),
    /// Any other name that is empty, too long or has control characters.
    #[error("{kind} is empty, too long or has control characters")]
    Text {
        /// What the text should have been.
        kind: &'static str,
    },
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }
    };
}

name! {
    /// A bucket's name: 3 to 63 characters of `a-z 0-9 . -`.
    BucketName
}
name! {
    /// An object's key: 1 to 1 024 bytes of UTF-8, opaque; `a//b`, `/a` and `../a` are keys like any other.
    ObjectKey
}
name! {
    /// The store's id of an object version.
    VersionId
}
name! {
    /// An entity tag without its quotes; `-N` at the end for a multipart upload of N parts.
    ETag
}
name! {
    /// A tape pool of the configuration: `a-z 0-9 - _`, at most 64.
    PoolName
}

impl BucketName {
    /// Parses a name by the rules of general purpose buckets.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let edge = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let inner = |byte: u8| edge(byte) || byte == b'.' || byte == b'-';
        let bytes = text.as_bytes();
        let legal = (3..=63).contains(&bytes.len())
            && bytes.iter().copied().all(inner)
            && edge(bytes[0])
            && edge(bytes[bytes.len() - 1])
            && !text.contains("..");
        if legal {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::Bucket(text.chars().take(80).collect()))
        }
    }
}

impl ObjectKey {
    /// Parses a key, already percent-decoded.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        match text.len() {
            1..=1024 => Ok(Self(text.to_owned())),
            length => Err(NameError::KeyLength(length)),
        }
    }
}

impl VersionId {
    /// Parses a version id: 1 to 1 024 visible characters.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        visible(text, 1024, "a version id").map(Self)
    }

    /// The version written while the bucket kept none.
    pub fn null() -> Self {
        Self("null".to_owned())
    }

    /// Whether it is [`Self::null`].
    pub fn is_null(&self) -> bool {
        self.0 == "null"
    }
}

impl ETag {
    /// Parses an ETag with or without its quotes: 1 to 256 visible characters.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
        visible(bare, 256, "an ETag").map(Self)
    }
    /// The tag in the quotes HTTP and XML show it in.
    pub fn quoted(&self) -> String {
        format!("\"{}\"", self.0)
    }
}

impl PoolName {
    /// Parses a pool name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let legal = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
        if legal { Ok(Self(text.to_owned())) } else { Err(NameError::Text { kind: "a pool name" }) }
    }
}

fn visible(text: &str, longest: usize, kind: &'static str) -> Result<String, NameError> {
    let legal = (1..=longest).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if legal { Ok(text.to_owned()) } else { Err(NameError::Text { kind }) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn bucket_names_follow_the_rules() {
        for good in ["abc", "a-b.c", "0a9", &"a".repeat(63)] {
            assert!(BucketName::parse(good).is_ok(), "{good}");
        }
        for bad in ["ab", "-ab", "ab-", "Abc", "a..b", "a_b", "a/b", &"a".repeat(64), ""] {
            assert!(BucketName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn etags_lose_their_quotes_once() {
        assert_eq!(ETag::parse("\"abc-2\"").unwrap().as_str(), "abc-2");
        assert_eq!(ETag::parse("abc").unwrap().quoted(), "\"abc\"");
        assert!(ETag::parse("").is_err());
        assert!(ETag::parse("a b").is_err());
    }

    #[test]
    fn keys_are_bounded_in_bytes() {
        assert!(ObjectKey::parse(&"é".repeat(512)).is_ok());
        assert_eq!(ObjectKey::parse(&"é".repeat(513)), Err(NameError::KeyLength(1026)));
        assert!(ObjectKey::parse("").is_err());
    }
}
