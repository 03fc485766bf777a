//! The head of a request as the store gets it: everything the client said but what concerns this connection or the
//! signature. What is not known passes.

use dialect::hop;
use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, DATE, EXPECT, HOST, HeaderName, HeaderValue,
    PROXY_AUTHORIZATION,
};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Method, Uri, Version};
use model::BucketName;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use super::settings::{Addressing, BucketOwner, Endpoint};

/// Why a request cannot be put into words for the store.
#[derive(Debug, thiserror::Error)]
#[error("the request's target cannot be sent on")]
pub(super) struct Unspeakable;

/// The request for the store, not yet signed.
pub(super) fn forward(
    head: Parts,
    endpoint: &Endpoint,
    addressing: Addressing,
) -> Result<Parts, Unspeakable> {
    let mut parts = head;
    parts.uri = target(&parts.uri, endpoint, addressing)?;
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    hop::strip(&mut parts.headers);
    hop::remove(&mut parts.headers, &DENIED);
    // The framing of a body is never a property of the object.
    if parts.headers.contains_key(CONTENT_ENCODING) {
        let stored = dialect::aws_chunked::stored_content_encoding(&parts.headers);
        match stored.and_then(|encoding| HeaderValue::try_from(encoding).ok()) {
            Some(encoding) => drop(parts.headers.insert(CONTENT_ENCODING, encoding)),
            None => drop(parts.headers.remove(CONTENT_ENCODING)),
        }
    }
    Ok(parts)
}

/// Has a path-style request done only where every bucket it names is this owner's. A bucket about to be made has none.
pub(super) fn expect_owner(head: &mut Parts, owner: &BucketOwner) {
    let names = head.uri.path().trim_start_matches('/');
    let (bucket, key) = names.split_once('/').unwrap_or((names, ""));
    let makes_bucket = head.method == Method::PUT && key.is_empty() && head.uri.query().is_none();
    if bucket.is_empty() || makes_bucket {
        return;
    }
    let value = HeaderValue::try_from(owner.as_str()).expect("an owner is visible ASCII");
    if head.headers.contains_key(COPY_SOURCE) {
        head.headers.insert(SOURCE_OWNER, value.clone());
    }
    head.headers.insert(EXPECTED_OWNER, value);
}

/// Where the request goes: the client's own spelling of path and query, unless a signature over it could be read in
/// two ways.
fn target(asked: &Uri, endpoint: &Endpoint, addressing: Addressing) -> Result<Uri, Unspeakable> {
    let path = if asked.path().is_empty() { "/" } else { asked.path() };
    let bucket = match addressing {
        Addressing::Path => None,
        Addressing::Virtual => host_bucket(path, endpoint),
    };
    let (authority, path) = match bucket {
        Some((bucket, rest)) => {
            let host = format!("{bucket}.{}", endpoint.authority());
            (Authority::try_from(host).map_err(|_| Unspeakable)?, rest)
        }
        None => (endpoint.authority().clone(), path),
    };
    let query = asked.query().unwrap_or_default();
    let target = match asked.path_and_query() {
        // It is in that spelling already.
        Some(target) if target.path() == path && is_plain(path) && !query.contains('+') => target.clone(),
        _ => respelt(path, asked.query()).ok_or(Unspeakable)?,
    };
    assemble(endpoint.scheme().clone(), authority, target).ok_or(Unspeakable)
}

fn assemble(scheme: Scheme, authority: Authority, target: PathAndQuery) -> Option<Uri> {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(scheme);
    parts.authority = Some(authority);
    parts.path_and_query = Some(target);
    Uri::from_parts(parts).ok()
}

/// The bucket in front of a path, where it may stand in the host name, and the path behind it.
fn host_bucket<'a>(path: &'a str, endpoint: &Endpoint) -> Option<(BucketName, &'a str)> {
    let inner = path.strip_prefix('/')?;
    let at = inner.find('/').unwrap_or(inner.len());
    let (name, rest) = inner.split_at(at);
    let bucket = BucketName::parse(name).ok()?;
    if endpoint.is_tls() && name.contains('.') {
        return None;
    }
    Some((bucket, if rest.is_empty() { "/" } else { rest }))
}

/// Path and query in the spelling every store signs alike: stores differ on bytes that need no escape but may have
/// one and the other way round.
fn respelt(path: &str, query: Option<&str>) -> Option<PathAndQuery> {
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    let mut text = percent_encode(&decoded, ESCAPED).to_string();
    if let Some(query) = query {
        text.push('?');
        // A plus is a space to some stores and a plus to others.
        text.push_str(&query.replace('+', "%20"));
    }
    PathAndQuery::try_from(text).ok()
}

/// Whether nothing of a path has an escape or needs one.
fn is_plain(path: &str) -> bool {
    path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte))
}

/// Sets the length of a body.
pub(super) fn set_length(headers: &mut HeaderMap, bytes: u64) {
    headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes));
}

const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

const COPY_SOURCE: HeaderName = HeaderName::from_static("x-amz-copy-source");
const EXPECTED_OWNER: HeaderName = HeaderName::from_static("x-amz-expected-bucket-owner");
const SOURCE_OWNER: HeaderName = HeaderName::from_static("x-amz-source-expected-bucket-owner");

/// Headers that are about the client's own signature, host and body, or that the signer sets.
static DENIED: [HeaderName; 9] = [
    AUTHORIZATION,
    CONTENT_LENGTH,
    DATE,
    EXPECT,
    HOST,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("x-amz-content-sha256"),
    HeaderName::from_static("x-amz-date"),
    HeaderName::from_static("x-amz-decoded-content-length"),
];

#[cfg(test)]
mod tests;
