//! GetObject and HeadObject.
//!
//! A hot object is whatever the store answers: no look-up is made for it. An answer with the reserved header, or an
//! error that may be about a stub rather than about the object, is about an archived one: then conditions, ranges and
//! part numbers are judged here, by the object as clients know it.

mod select;

use dialect::conditions::{Conditions, Outcome};
use dialect::{S3Error, date, metadata, restore};
use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, HeaderValue, LAST_MODIFIED,
};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode};
use model::Body;
use model::body::empty;

use crate::archived::{Seen, View, mistrusted, recognise};
use crate::error::Result;
use crate::house::{Ask, House};
use select::{Selection, select};

/// How often an object that seems to be changing is looked at.
pub(super) const LOOKS: usize = 3;

/// Forwards, or answers for an archived object.
pub(super) async fn read(house: &House, ask: &Ask) -> Result<Response<Body>> {
    let target = ask.target()?;
    let mut reason = "";
    for _ in 0..LOOKS {
        let response = house.call(&ask.head, empty()).await?;
        let status = response.status();
        let about = if status.is_success() {
            Some(response.headers().clone())
        } else if may_be_a_stubs(status) {
            stub(house, ask).await?
        } else {
            None
        };
        let Some(headers) = about else { return Ok(response) };
        match recognise(house, &target, &headers).await? {
            Seen::Hot => return Ok(response),
            Seen::Archived(view) => return serve(house, ask, &view, headers).await,
            Seen::Mistrusted(why) => reason = why,
        }
    }
    Err(mistrusted(&target, reason))
}

/// Whether an answer may speak of the stub and not of the object.
fn may_be_a_stubs(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::NOT_MODIFIED
            | StatusCode::BAD_REQUEST
            | StatusCode::NOT_FOUND
            | StatusCode::PRECONDITION_FAILED
            | StatusCode::RANGE_NOT_SATISFIABLE
    )
}

/// The headers of what stands under a key that may be archived.
async fn stub(house: &House, ask: &Ask) -> Result<Option<HeaderMap>> {
    if !house.may_be_archived(ask.route.bucket()?, ask.route.key()?).await? {
        return Ok(None);
    }
    let response = house.look(&ask.head).await?;
    Ok(response.status().is_success().then(|| response.headers().clone()))
}

/// Answers for an archived object. `headers` are those of what stands in its place.
async fn serve(house: &House, ask: &Ask, view: &View, headers: HeaderMap) -> Result<Response<Body>> {
    let is_get = ask.head.method == Method::GET;
    if is_get && !view.is_readable() {
        return Err(S3Error::archived(view.class()).into());
    }
    let mut response = Response::new(empty());
    *response.headers_mut() = described(headers, view);
    match Conditions::parse(ask.headers()).read(&view.etag, view.last_modified) {
        Outcome::Proceed => {}
        Outcome::NotModified => {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Ok(response);
        }
        failed @ Outcome::Failed(_) => {
            return Err(failed.error().unwrap_or_else(|| S3Error::precondition_failed("")).into());
        }
    }
    let selection = select(&ask.route.query, ask.headers(), view.size, &view.archive.part_bytes)?;
    put_selection(&mut response, &ask.head, view, &selection);
    if is_get {
        *response.body_mut() = house.read_copy(view.archive.id, selection.range).await?;
    }
    Ok(response)
}

/// The store's headers of the stub made those of the object: what is the stub's own goes.
fn described(mut headers: HeaderMap, view: &View) -> HeaderMap {
    let own = |name: &HeaderName| {
        STUBS_OWN.contains(&name.as_str()) || name.as_str().starts_with("x-amz-checksum-")
    };
    let gone: Vec<HeaderName> = headers.keys().filter(|name| own(name)).cloned().collect();
    for name in gone {
        headers.remove(name);
    }
    headers.insert(ETAG, text(&view.etag.quoted()));
    headers.insert(LAST_MODIFIED, text(&date::http(view.last_modified)));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert("x-amz-storage-class", HeaderValue::from_static(view.class()));
    if let Some(value) = restore::header(view.restore) {
        headers.insert(restore::HEADER, text(&value));
    }
    headers
}

/// Status and headers that depend on which bytes are asked for.
fn put_selection(response: &mut Response<Body>, head: &Parts, view: &View, selection: &Selection) {
    let Selection { range, is_partial, parts } = selection;
    if *is_partial {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    if *is_partial {
        headers.insert(CONTENT_RANGE, text(&dialect::range::content_range(range, view.size)));
    }
    if let Some(parts) = parts {
        headers.insert("x-amz-mp-parts-count", HeaderValue::from(*parts));
    }
    let asked = head.headers.get("x-amz-checksum-mode").is_some_and(|mode| mode.as_bytes() == b"ENABLED");
    if asked && !is_partial {
        for (name, value) in &view.archive.checksums {
            if let Ok(name) = HeaderName::try_from(name) {
                headers.insert(name, text(value));
            }
        }
    }
}

fn text(value: &str) -> HeaderValue {
    metadata::header_value(value)
}

/// Headers that speak of the stub's bytes.
const STUBS_OWN: [&str; 8] = [
    "content-length",
    "content-range",
    "etag",
    "last-modified",
    "x-amz-mp-parts-count",
    "x-amz-storage-class",
    "x-amz-restore",
    "x-amz-expiration",
];
