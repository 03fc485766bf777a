//! The query of a request, decoded.

use std::collections::BTreeSet;

use crate::error::Result;

/// Names and values in the order sent, percent-decoded, `+` read as a space. Of a name sent twice the first counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Parses the part of a target after `?` (nothing when there is none).
    ///
    /// Errors: `InvalidURI` when an escape or the UTF-8 is broken.
    pub fn parse(raw: &str) -> Result<Self> {
        let decode =
            |text: &str| super::decode(&text.replace('+', " ")).ok_or_else(|| super::invalid_uri(raw));
        let pairs = raw.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        });
        pairs.collect::<Result<_>>().map(Self)
    }

    /// True when the name is there, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// The value; empty for a name without one.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The value unless it is empty.
    pub fn filled(&self, name: &str) -> Option<&str> {
        self.value(name).filter(|value| !value.is_empty())
    }

    /// The names, in the order sent.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Names and values, in the order sent.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A name that stands more than once, if there is one.
    pub(super) fn repeated(&self) -> Option<&str> {
        let mut seen = BTreeSet::new();
        self.names().find(|name| !seen.insert(*name))
    }

    /// Request headers that a presigner moved into the query (`x-amz-storage-class=GLACIER`, ...), names in lower
    /// case. Whoever checked the signature adds them to the headers; those of the signature itself are left out.
    pub fn hoisted(&self) -> impl Iterator<Item = (String, &str)> {
        let lower = self.pairs().map(|(name, value)| (name.to_ascii_lowercase(), value));
        lower.filter(|(name, _)| name.starts_with("x-amz-") && !Self::is_of_signature(name))
    }

    /// Whether this name, in any case, is of the signature itself.
    pub(super) fn is_of_signature(name: &str) -> bool {
        SIGNATURE.iter().any(|known| known.eq_ignore_ascii_case(name))
    }

    /// Whether this name asks for another header on the answer.
    pub(super) fn is_override(name: &str) -> bool {
        OVERRIDES.iter().any(|(known, _)| *known == name)
    }

    /// Headers of the answer that the request asks to be different: header name and value. Signed requests only.
    pub fn overrides(&self) -> impl Iterator<Item = (&'static str, &str)> {
        OVERRIDES.iter().filter_map(|(name, header)| Some((*header, self.filled(name)?)))
    }
}

const SIGNATURE: [&str; 9] = [
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-signedheaders",
    "x-amz-signature",
    "x-amz-security-token",
    "x-amz-content-sha256",
    "x-amz-user-agent",
];

const OVERRIDES: [(&str, &str); 6] = [
    ("response-cache-control", "cache-control"),
    ("response-content-disposition", "content-disposition"),
    ("response-content-encoding", "content-encoding"),
    ("response-content-language", "content-language"),
    ("response-content-type", "content-type"),
    ("response-expires", "expires"),
];
