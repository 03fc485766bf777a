//! GetObject and HeadObject.
//!
//! A hot object is whatever the store answers: no look-up is made for it. An answer with the reserved header, or an
//! error that may be about a stub rather than about the object, is about an archived one: then conditions, ranges and
//! part numbers are judged here, by the object as clients know it.

mod select;

use dialect::conditions::{Conditions, Outcome, range_counts};
use dialect::{S3Error, date, metadata, restore};
use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, HeaderValue, LAST_MODIFIED, RANGE,
};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use model::archive::ArchiveStage;
use model::body::empty;
use model::limits::STUB_BYTES;
use model::store::ObjectRef;
use model::{Archive, Body};

use crate::archived::{Seen, View, mistrusted, recognise, row_of};
use crate::error::Result;
use crate::house::{Ask, House, keep_query, may_be_archived, record};
use crate::versions;
use select::{Selection, select};

/// How often an object that seems to be changing is looked at.
pub(super) const LOOKS: usize = 3;

/// Forwards, or answers for an archived object.
pub(super) async fn read(house: &House, ask: &Ask) -> Result<Response<Body>> {
    let target = ask.target()?;
    let mut reason = "";
    for _ in 0..LOOKS {
        if let Some(headers) = superseded(house, ask).await? {
            match recognise(house, &target, &headers).await? {
                Seen::Archived(view) => return serve(house, ask, &view, headers).await,
                // It has gone again since.
                Seen::Hot | Seen::Mistrusted(_) => {}
            }
        }
        let response = asked(house, ask, &target).await?;
        let status = response.status();
        let about = if status.is_success() {
            let is_hot = record(response.headers()).is_none() || !house.is_managed(&target.bucket).await?;
            (!is_hot).then(|| response.headers().clone())
        } else if may_be_a_stubs(status) {
            let rows = house.archives_at(&target.bucket, &target.key).await?;
            match rows.iter().any(may_be_archived) {
                true => stub(house, ask, &rows).await?,
                false => None,
            }
        } else {
            None
        };
        let Some(headers) = about else { return Ok(response) };
        match recognise(house, &target, &headers).await? {
            Seen::Hot => return Ok(response),
            Seen::Archived(view) => {
                leave(response).await;
                return serve(house, ask, &view, headers).await;
            }
            Seen::Mistrusted(why) => reason = why,
        }
    }
    Err(mistrusted(&target, reason))
}

/// Lets go of an answer that is not the client's. A stub is read to its end, so that its connection can be used again,
/// and before another is taken for what the client gets.
async fn leave(response: Response<Body>) {
    let body = response.into_body();
    if body.size_hint().upper().is_some_and(|bytes| bytes <= STUB_BYTES) {
        // One that breaks off costs its connection and nothing else.
        let _read = body.collect().await;
    }
}

/// Forwards what does not change the object and has an answer of the store's own for a stub too: its tags, its ACL. A
/// store that knows no such question may take it for a plain read and answer with the stub itself: so do we then.
pub(super) async fn forward(house: &House, ask: Ask, body: Body) -> Result<Response<Body>> {
    let rows = house.archives_at(ask.route.bucket()?, ask.route.key()?).await?;
    let mut head = ask.head.clone();
    if let Some(uri) = versions::mapped(house, &ask, &rows).await? {
        head.uri = uri;
    }
    let mut response = house.call(&head, body).await?;
    if response.status().is_success() && record(response.headers()).is_some() {
        leave(response).await;
        return read(house, &ask).await;
    }
    versions::give_back(&rows, response.headers_mut(), versions::HEADER);
    Ok(response)
}

/// What the store answers. A version is looked up before it is asked for.
async fn asked(house: &House, ask: &Ask, target: &ObjectRef) -> Result<Response<Body>> {
    if !ask.route.query.has(versions::PARAMETER) {
        return house.call(&ask.head, empty()).await;
    }
    let rows = house.archives_at(&target.bucket, &target.key).await?;
    match versions::mapped(house, ask, &rows).await? {
        None => house.call(&ask.head, empty()).await,
        Some(uri) => {
            let mut head = ask.head.clone();
            head.uri = uri;
            house.call(&head, empty()).await
        }
    }
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

/// The headers of what stands in the place of an object that may be archived, read with the caller's key.
pub(super) async fn stub(house: &House, ask: &Ask, rows: &[Archive]) -> Result<Option<HeaderMap>> {
    if let Some(headers) = superseded(house, ask).await? {
        return Ok(Some(headers));
    }
    let mut head = ask.head.clone();
    if let Some(uri) = versions::mapped(house, ask, rows).await? {
        head.uri = uri;
    }
    let response = house.look(&head).await?;
    Ok(response.status().is_success().then(|| response.into_parts().0.headers))
}

/// The headers of a stub that stands above the version it replaces, when that version is asked for: a flip is under way,
/// and clients see the stub whether they name the version or not.
async fn superseded(house: &House, ask: &Ask) -> Result<Option<HeaderMap>> {
    if !ask.route.query.has(versions::PARAMETER) {
        return Ok(None);
    }
    let target = ask.target()?;
    let rows = house.archives_at(&target.bucket, &target.key).await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let Some(named) = versions::named(&ask.route.query)? else { return Ok(None) };
    let flipping = |row: &&Archive| {
        row.state.stage() == ArchiveStage::Flipping && versions::to_clients(row).as_ref() == Some(&named)
    };
    let Some(row) = rows.iter().find(flipping) else { return Ok(None) };
    let mut head = ask.head.clone();
    head.uri = keep_query(&head.uri, |name| name != versions::PARAMETER);
    let response = house.look(&head).await?;
    let its = row_of(house, &target, &rows, response.headers()).is_some_and(|found| found.id == row.id);
    Ok((response.status().is_success() && its).then(|| response.into_parts().0.headers))
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
    let mut asked = ask.headers().clone();
    if !range_counts(&asked, &view.etag, view.last_modified) {
        asked.remove(RANGE);
    }
    let selection = select(&ask.route.query, &asked, view.size, &view.archive.part_bytes)?;
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
    if let (true, Some(version)) =
        (headers.contains_key(versions::HEADER), versions::to_clients(&view.archive))
    {
        headers.insert(versions::HEADER, versions::value(&version));
    }
    for (name, value) in view.displaced() {
        headers.insert(name, text(value));
    }
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
