//! Who asks, and what the request looks like once the signature has been dealt with.

use dialect::copy::CopySource;
use dialect::route::Query;
use dialect::sigv4::{Caller, RequestView, Verdict};
use dialect::{S3Error, aws_chunked, hop, reserved};
use http::HeaderMap;
use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, EXPECT, HeaderName, HeaderValue, PROXY_AUTHORIZATION,
};
use http::request::Parts;
use percent_encoding::percent_decode_str;

use crate::error::{Error, Result};
use crate::house::{House, keep_query};

/// Headers that concern the signature and the body's way here, and go no further.
const SIGNED: [HeaderName; 3] = [AUTHORIZATION, EXPECT, PROXY_AUTHORIZATION];
const SIGNED_BODY: [&str; 2] = ["x-amz-content-sha256", "x-amz-decoded-content-length"];
/// The header that makes a request a copy.
pub(crate) const COPY_SOURCE: &str = "x-amz-copy-source";

/// Checks the signature.
pub(crate) fn verify(house: &House, head: &Parts) -> Result<Verdict> {
    let secret_of = |id: &str| house.secret(id);
    Ok(house.verifier.verify(&RequestView::of_parts(head), house.now(), secret_of)?)
}

/// Moves headers that a presigner put into the query back to where they belong, and takes the signature out.
pub(crate) fn unsign_query(head: &mut Parts, caller: &Caller) -> Result<()> {
    let Caller::Key { presigned: true, .. } = caller else { return Ok(()) };
    let raw = head.uri.query().unwrap_or_default().to_owned();
    for (name, value) in Query::parse(&raw)?.hoisted() {
        let invalid = || S3Error::argument("Header value cannot be represented", &name, value);
        let header = HeaderName::try_from(&name).map_err(|_| invalid())?;
        let value = HeaderValue::try_from(value).map_err(|_| invalid())?;
        if !head.headers.contains_key(&header) {
            head.headers.insert(header, value);
        }
    }
    head.uri = keep_query(&head.uri, |name| !name.to_ascii_lowercase().starts_with("x-amz-"));
    Ok(())
}

/// Refuses a request that tries to set the reserved header, by itself or in the query, where a store may look for it.
pub(crate) fn refuse_reserved(head: &Parts, query: &Query) -> Result<()> {
    if query.names().any(is_reserved) { Err(reserved_refused()) } else { refuse_reserved_in(&head.headers) }
}

/// Refuses the reserved header among these.
pub(crate) fn refuse_reserved_in(headers: &HeaderMap) -> Result<()> {
    match headers.keys().any(|name| is_reserved(name.as_str())) {
        true => Err(reserved_refused()),
        false => Ok(()),
    }
}

/// Refuses a copy whose source the gateway and the store may read as two: no right is judged, no stub known and no key
/// fenced for an object that only the store sees named. There are stores that know a bucket by further names (Ceph:
/// `tenant:bucket`), and of two headers they take the first, the last or both.
pub(crate) fn refuse_obscure_source(headers: &HeaderMap) -> Result<()> {
    let mut named = headers.get_all(COPY_SOURCE).iter();
    let Some(first) = named.next() else { return Ok(()) };
    let text = String::from_utf8_lossy(first.as_bytes());
    if named.next().is_some() {
        return Err(S3Error::argument("There must be one copy source", COPY_SOURCE, text).into());
    }
    match CopySource::parse(headers) {
        // Where there is no slash, no store sees a bucket and a key: it says what is wrong.
        Err(error) if percent_decode_str(text.trim_start_matches('/')).any(|byte| byte == b'/') => {
            Err(error.into())
        }
        _ => Ok(()),
    }
}

/// Whether a store may take this name for the reserved header: to Ceph `x-goog-meta-`, `x-rgw-meta-` and their like are
/// `x-amz-meta-`, and some servers do not tell `_` from `-`.
fn is_reserved(name: &str) -> bool {
    const BEGIN: &[u8] = b"x-";
    const END: &[u8] = b"-meta-tapegate";
    let same = |text: &[u8], known: &[u8]| {
        let plain = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
        text.iter().map(plain).eq(known.iter().copied())
    };
    let name = name.as_bytes();
    let Some(vendor) = name.len().checked_sub(END.len()).filter(|at| *at > BEGIN.len()) else { return false };
    same(&name[..BEGIN.len()], BEGIN)
        && same(&name[vendor..], END)
        && !name[BEGIN.len()..vendor].iter().any(|byte| matches!(byte, b'-' | b'_'))
}

fn reserved_refused() -> Error {
    S3Error::invalid_request(format!("The header {} is reserved.", reserved::HEADER)).into()
}

/// Makes the head say what the body will be once it is decoded: its own length and encoding.
pub(crate) fn strip(head: &mut Parts, declared_bytes: Option<u64>) {
    hop::strip(&mut head.headers);
    for name in SIGNED {
        head.headers.remove(name);
    }
    for name in SIGNED_BODY {
        head.headers.remove(name);
    }
    if let Some(bytes) = declared_bytes {
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes));
    }
    let encoding = aws_chunked::stored_content_encoding(&head.headers);
    match encoding.and_then(|encoding| HeaderValue::try_from(encoding).ok()) {
        Some(encoding) => drop(head.headers.insert(CONTENT_ENCODING, encoding)),
        None => drop(head.headers.remove(CONTENT_ENCODING)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserved_header_has_many_names() {
        for name in
            ["x-amz-meta-tapegate", "X-Amz-Meta-Tapegate", "x-goog-meta-tapegate", "x_rgw_meta_tapegate"]
        {
            assert!(is_reserved(name), "{name}");
        }
        for name in
            ["x-amz-meta-tapegates", "x-amz-meta-a-meta-tapegate", "meta-tapegate", "x--meta-tapegate", ""]
        {
            assert!(!is_reserved(name), "{name}");
        }
        assert!(is_reserved(reserved::HEADER));
    }
}
