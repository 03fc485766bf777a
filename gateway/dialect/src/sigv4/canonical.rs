//! The canonical request: the one spelling of a request that both sides sign.
//!
//! As S3 wants it: the path encoded once and not normalised (`//` and `..` stay), the query sorted by encoded name
//! and value with `=` for empty values, header values trimmed with inner runs of spaces made one.

use super::date::AmzDate;
use super::scope::Scope;
use super::{ALGORITHM, AuthError};
use http::{HeaderMap, HeaderName};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use sha2::{Digest as _, Sha256};

/// A query string, decoded as forms are: `+` is a space.
#[derive(Debug)]
pub(super) struct Query(Vec<(Vec<u8>, Vec<u8>)>);

// === impl Query ===

impl Query {
    pub fn parse(raw: &str) -> Self {
        let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).collect::<Vec<u8>>();
        let pairs = raw.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Self(pairs.map(|(name, value)| (decode(name), decode(value))).collect())
    }

    /// Whether a parameter of this name stands here in any case: so that a misspelt claim is no absent one.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()))
    }

    /// The value of a parameter that may stand at most once; `Err` when it stands more often or is not UTF-8.
    pub fn one(&self, name: &str) -> Result<Option<&str>, ()> {
        let mut values = self.0.iter().filter(|(known, _)| known == name.as_bytes());
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some((_, value)), None) => std::str::from_utf8(value).map(Some).map_err(|_| ()),
            (Some(_), Some(_)) => Err(()),
        }
    }

    /// Encoded, sorted, joined; without `X-Amz-Signature` when `presigned`.
    pub fn canonical(&self, presigned: bool) -> String {
        let kept = self.0.iter().filter(|(name, _)| !(presigned && name == b"X-Amz-Signature"));
        let mut pairs: Vec<(String, String)> =
            kept.map(|(name, value)| (encode(name), encode(value))).collect();
        pairs.sort_unstable();
        let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("&")
    }
}

/// The names of the headers a signature covers: lower case, sorted, none twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SignedHeaders(Vec<HeaderName>);

// === impl SignedHeaders ===

impl SignedHeaders {
    /// Reads `host;x-amz-date`; `None` when a name is no header name, in upper case, or stands twice.
    pub fn parse(text: &str) -> Option<Self> {
        let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
        let names = text.split(';').map(|name| HeaderName::from_bytes(name.as_bytes()).ok());
        let names = names.collect::<Option<Vec<HeaderName>>>().filter(|_| lower)?;
        let count = names.len();
        let names = Self::of(names);
        (names.0.len() == count).then_some(names)
    }

    pub fn of(names: impl IntoIterator<Item = HeaderName>) -> Self {
        let mut names: Vec<HeaderName> = names.into_iter().collect();
        names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
        names.dedup();
        Self(names)
    }

    pub fn contains(&self, name: &HeaderName) -> bool {
        self.0.iter().any(|known| known == name)
    }

    pub fn text(&self) -> String {
        let names: Vec<&str> = self.0.iter().map(HeaderName::as_str).collect();
        names.join(";")
    }

    /// Refuses a request with headers a signature must cover outside it: Host and every `x-amz-*`.
    pub fn cover(&self, headers: &HeaderMap) -> Result<(), AuthError> {
        let must = |name: &HeaderName| *name == http::header::HOST || name.as_str().starts_with("x-amz-");
        let mut missing: Vec<&str> = headers
            .keys()
            .filter(|name| must(name) && !self.contains(name))
            .map(HeaderName::as_str)
            .collect();
        if !self.contains(&http::header::HOST) && !headers.contains_key(http::header::HOST) {
            missing.push("host");
        }
        missing.sort_unstable();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(AuthError::HeadersNotSigned { names: missing.join(", ") })
        }
    }
}

/// The spellings of a path a signature may have been made over, in the order they are tried: decoded and encoded
/// again first, as it stands second and only when it carries reserved bytes unencoded.
pub(super) fn paths(raw: &str) -> (String, Option<&str>) {
    let raw = if raw.is_empty() { "/" } else { raw };
    let decoded: Vec<u8> = percent_decode_str(raw).collect();
    let again = percent_encode(&decoded, PATH_RESERVED).to_string();
    let reserved = raw.bytes().any(|byte| {
        !(byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'/' | b'%'))
    });
    let second = (reserved && raw != again).then_some(raw);
    (again, second)
}

/// Everything the canonical request is made of, each part already in its canonical spelling but the headers.
pub(super) struct Canonical<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: &'a str,
    pub headers: &'a HeaderMap,
    pub signed: &'a SignedHeaders,
    pub payload: &'a str,
}

// === impl Canonical ===

impl Canonical<'_> {
    /// The canonical request. Bytes, since header values need not be UTF-8.
    pub fn request(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        for line in [self.method, self.path, self.query] {
            out.extend_from_slice(line.as_bytes());
            out.push(b'\n');
        }
        for name in &self.signed.0 {
            out.extend_from_slice(name.as_str().as_bytes());
            out.push(b':');
            for (index, value) in self.headers.get_all(name).iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                squeeze(value.as_bytes(), &mut out);
            }
            out.push(b'\n');
        }
        out.push(b'\n');
        out.extend_from_slice(self.signed.text().as_bytes());
        out.push(b'\n');
        out.extend_from_slice(self.payload.as_bytes());
        out
    }
}

pub(super) fn string_to_sign(date: AmzDate, scope: &Scope, canonical_request: &[u8]) -> String {
    format!("{ALGORITHM}\n{date}\n{scope}\n{}", hex::encode(Sha256::digest(canonical_request)))
}

/// Encodes everything but unreserved bytes, the slash too.
pub(super) fn encode(bytes: &[u8]) -> String {
    percent_encode(bytes, RESERVED).to_string()
}

fn squeeze(value: &[u8], out: &mut Vec<u8>) {
    let mut spaced = false;
    for byte in value.trim_ascii() {
        if *byte != b' ' || !spaced {
            out.push(*byte);
        }
        spaced = *byte == b' ';
    }
}

const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const PATH_RESERVED: &AsciiSet = &RESERVED.remove(b'/');
