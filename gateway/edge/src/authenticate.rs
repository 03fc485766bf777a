//! Who asks, and what the request looks like once the signature has been dealt with.

use dialect::copy::CopySource;
use dialect::metadata::USER_PREFIX;
use dialect::route::Query;
use dialect::sigv4::{Caller, RequestView, Verdict};
use dialect::{S3Error, aws_chunked, hop, reserved};
use http::HeaderMap;
use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, EXPECT, HeaderName, HeaderValue, PROXY_AUTHORIZATION,
};
use http::request::Parts;
use percent_encoding::percent_decode_str;

use crate::direct::CLASS;
use crate::error::Result;
use crate::house::{House, keep_query};

/// Headers that concern the signature and the body's way here, and go no further.
static SIGNED: [HeaderName; 5] = [
    AUTHORIZATION,
    EXPECT,
    PROXY_AUTHORIZATION,
    HeaderName::from_static("x-amz-content-sha256"),
    HeaderName::from_static("x-amz-decoded-content-length"),
];
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

/// Refuses a request that sets the reserved header, or one that is looked at here by another name, by itself or in the
/// query, where a store may look for it.
pub(crate) fn refuse_names(head: &Parts, query: &Query) -> Result<()> {
    query.names().try_for_each(refuse_name)?;
    refuse_names_in(&head.headers)
}

/// Refuses such among these.
pub(crate) fn refuse_names_in(headers: &HeaderMap) -> Result<()> {
    headers.keys().map(HeaderName::as_str).try_for_each(refuse_name)
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

fn refuse_name(name: &str) -> Result<()> {
    if is_reserved(name) {
        return Err(S3Error::invalid_request(format!("The header {} is reserved.", reserved::HEADER)).into());
    }
    match is_misspelled(name) {
        true => Err(S3Error::invalid_request(format!("The header {name} has another name.")).into()),
        false => Ok(()),
    }
}

/// Whether a store may take this name for the reserved header.
fn is_reserved(name: &str) -> bool {
    is_of_some_vendor(name, b"-meta-tapegate")
}

/// Whether a store may take this name for a header of S3's that is looked at here. Names of metadata are free.
fn is_misspelled(name: &str) -> bool {
    let begins = |begin: &[u8]| {
        let begun = name.as_bytes().get(..begin.len());
        begun.is_some_and(|begun| begun.iter().map(plain).eq(begin.iter().copied()))
    };
    let is_known = [COPY_SOURCE, CLASS].iter().any(|known| known.eq_ignore_ascii_case(name));
    let folded = name.contains('_') && begins(b"x-amz-");
    let own = name.get(..USER_PREFIX.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(USER_PREFIX));
    (folded && !own)
        || (!is_known
            && [&b"-copy-source"[..], b"-storage-class"].iter().any(|end| is_of_some_vendor(name, end)))
}

/// Whether a name is `x-…` with this end: to Ceph `x-goog-meta-`, `x-rgw-meta-` and their like are `x-amz-meta-`, and
/// some servers do not tell `_` from `-`.
fn is_of_some_vendor(name: &str, end: &[u8]) -> bool {
    const BEGIN: &[u8] = b"x-";
    let same = |text: &[u8], known: &[u8]| text.iter().map(plain).eq(known.iter().copied());
    let name = name.as_bytes();
    let Some(vendor) = name.len().checked_sub(end.len()).filter(|at| *at > BEGIN.len()) else { return false };
    same(&name[..BEGIN.len()], BEGIN)
        && same(&name[vendor..], end)
        && !name[BEGIN.len()..vendor].iter().any(|byte| matches!(byte, b'-' | b'_'))
}

/// A byte of a name as those servers read it.
fn plain(byte: &u8) -> u8 {
    if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }
}

/// Makes the head say what the body will be once it is decoded: its own length and encoding.
pub(crate) fn strip(head: &mut Parts, declared_bytes: Option<u64>) {
    hop::strip(&mut head.headers);
    hop::remove(&mut head.headers, &SIGNED);
    if let Some(bytes) = declared_bytes {
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes));
    }
    if !head.headers.contains_key(CONTENT_ENCODING) {
        return;
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

    #[test]
    fn a_header_that_is_looked_at_has_one_name() {
        for name in [
            "x_amz_storage_class",
            "x-amz-storage_class",
            "X_Amz-Copy-Source",
            "x_amz_copy_source",
            "x-amz-copy-source_if-match",
            "x_amz_meta_colour",
            "x-goog-copy-source",
            "x_oss_storage_class",
        ] {
            assert!(is_misspelled(name), "{name}");
        }
        for name in [
            COPY_SOURCE,
            "X-Amz-Storage-Class",
            "x-amz-meta-my_colour",
            "X-Amz-Meta-_",
            "x-amz-acl",
            "x_vendor_thing",
            "x-goog-meta-a",
            "x_amz",
            "copy-source",
            "",
        ] {
            assert!(!is_misspelled(name), "{name}");
        }
    }
}
