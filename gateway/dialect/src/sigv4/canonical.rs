//! The canonical request: the one spelling of a request that both sides sign.
//!
//! As S3 wants it: the path encoded once and not normalised (`//` and `..` stay), the query sorted by encoded name
//! and value with `=` for empty values, header values trimmed with inner runs of spaces made one.

use std::borrow::Cow;

use super::date::AmzDate;
use super::hex_hash::HexHash;
use super::scope::Scope;
use super::{ALGORITHM, AuthError};
use http::HeaderMap;
use http::header::HOST;
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
pub(super) struct SignedHeaders<'a>(Vec<&'a str>);

// === impl SignedHeaders ===

impl<'a> SignedHeaders<'a> {
    /// Reads `host;x-amz-date`; `None` when a name is no header name, in upper case, or stands twice.
    pub fn parse(text: &'a str) -> Option<Self> {
        let names: Vec<&str> = text.split(';').collect();
        let (count, all_names) = (names.len(), names.iter().all(|name| is_name(name)));
        let names = Self::of(names);
        (all_names && names.0.len() == count).then_some(names)
    }

    pub fn of(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut names: Vec<&str> = names.into_iter().collect();
        names.sort_unstable();
        names.dedup();
        Self(names)
    }

    pub fn contains(&self, name: &str) -> bool {
        self.0.contains(&name)
    }

    pub fn text(&self) -> String {
        self.0.join(";")
    }

    /// Refuses a request with headers a signature must cover outside it: Host and every `x-amz-*`.
    pub fn cover(&self, headers: &HeaderMap) -> Result<(), AuthError> {
        let must = |name: &&str| *name == HOST.as_str() || name.starts_with("x-amz-");
        let names = headers.keys().map(|name| name.as_str());
        let mut missing: Vec<&str> = names.filter(must).filter(|name| !self.contains(name)).collect();
        if !self.contains(HOST.as_str()) && !headers.contains_key(HOST) {
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
pub(super) fn paths(raw: &str) -> (Cow<'_, str>, Option<&str>) {
    let raw = if raw.is_empty() { "/" } else { raw };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'/');
    if raw.bytes().all(plain) {
        return (Cow::Borrowed(raw), None);
    }
    let decoded: Vec<u8> = percent_decode_str(raw).collect();
    let again = percent_encode(&decoded, PATH_RESERVED).to_string();
    let reserved = raw.bytes().any(|byte| !(plain(byte) || byte == b'%'));
    let second = (reserved && raw != again).then_some(raw);
    (Cow::Owned(again), second)
}

/// Everything the canonical request is made of, each part already in its canonical spelling but the headers.
pub(super) struct Canonical<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: &'a str,
    pub headers: &'a HeaderMap,
    pub signed: &'a SignedHeaders<'a>,
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
            out.extend_from_slice(name.as_bytes());
            out.push(b':');
            for (index, value) in self.headers.get_all(*name).iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                squeeze(value.as_bytes(), &mut out);
            }
            out.push(b'\n');
        }
        out.push(b'\n');
        for (index, name) in self.signed.0.iter().enumerate() {
            if index > 0 {
                out.push(b';');
            }
            out.extend_from_slice(name.as_bytes());
        }
        out.push(b'\n');
        out.extend_from_slice(self.payload.as_bytes());
        out
    }
}

pub(super) fn string_to_sign(date: AmzDate, scope: &Scope<'_>, canonical_request: &[u8]) -> String {
    let hash = HexHash::from(<[u8; 32]>::from(Sha256::digest(canonical_request)));
    [ALGORITHM, date.spell().as_str(), scope.text, hash.as_str()].join("\n")
}

/// Whether this is the name of a header (RFC 9110 5.6.2) without upper case.
fn is_name(text: &str) -> bool {
    let of_name =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(of_name)
}

/// Encodes everything but unreserved bytes, the slash too.
pub(super) fn encode(bytes: &[u8]) -> String {
    percent_encode(bytes, RESERVED).to_string()
}

fn squeeze(value: &[u8], out: &mut Vec<u8>) {
    let value = value.trim_ascii();
    if !value.windows(2).any(|pair| pair == b"  ") {
        return out.extend_from_slice(value);
    }
    let mut spaced = false;
    for byte in value {
        if *byte != b' ' || !spaced {
            out.push(*byte);
        }
        spaced = *byte == b' ';
    }
}

const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const PATH_RESERVED: &AsciiSet = &RESERVED.remove(b'/');
