//! Who asks, and what the request looks like once the signature has been dealt with.

use dialect::route::Query;
use dialect::sigv4::{Caller, RequestView, Verdict};
use dialect::{S3Error, aws_chunked, reserved};
use http::HeaderMap;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, EXPECT, HeaderName, HeaderValue,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;

use crate::error::{Error, Result};
use crate::house::{House, keep_query};

/// Headers that concern the connection or the signature and go no further.
const HOP: [HeaderName; 8] =
    [AUTHORIZATION, CONNECTION, EXPECT, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
const SIGNED_BODY: [&str; 3] = ["x-amz-content-sha256", "x-amz-decoded-content-length", "keep-alive"];

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
    match query.names().any(|name| name.eq_ignore_ascii_case(reserved::HEADER)) {
        true => Err(reserved_refused()),
        false => refuse_reserved_in(&head.headers),
    }
}

/// Refuses the reserved header among these.
pub(crate) fn refuse_reserved_in(headers: &HeaderMap) -> Result<()> {
    if headers.contains_key(reserved::HEADER) { Err(reserved_refused()) } else { Ok(()) }
}

fn reserved_refused() -> Error {
    S3Error::invalid_request(format!("The header {} is reserved.", reserved::HEADER)).into()
}

/// Makes the head say what the body will be once it is decoded: its own length and encoding.
pub(crate) fn strip(head: &mut Parts, declared_bytes: Option<u64>) {
    for name in HOP {
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
