//! CopyObject and UploadPartCopy.
//!
//! A hot source is copied by the store. An archived one is copied by us, out of its restored copy, or refused when it
//! has none that can be read. A copy into a tape class is a direct write.

use std::sync::Arc;

use dialect::checksum::Algorithm;
use dialect::conditions::Conditions;
use dialect::copy::{CopyResult, CopySource, Directive, copy_onto_itself};
use dialect::metadata::{CONTENT_TYPE_DEFAULT, SYSTEM, USER_PREFIX};
use dialect::{S3Error, metadata, range};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Response};
use model::catalog::Change;
use model::limits::PUT_BYTES_MAX;
use model::store::{ObjectHead, ObjectRef};
use model::{Archive, Body, ETag, TapeClass, Timestamp};

use crate::archived::{View, client_etag, mistrusted, stands};
use crate::direct::{self, Fate};
use crate::error::{Error, Result, catalog, store};
use crate::house::{Ask, House};
use crate::mutation::{Entered, enter, row_of};
use crate::respond::document;

/// A source that the store has.
struct Source {
    head: ObjectHead,
    /// The archive it is, when it is one.
    view: Option<View>,
}

/// CopyObject
pub(super) async fn object(house: Arc<House>, mut ask: Ask, body: Body) -> Result<Response<Body>> {
    let target = ask.target()?;
    let class = direct::class(&house, ask.headers())?;
    let named = CopySource::parse(ask.headers())?;
    let directive = Directive::metadata(ask.headers())?;
    let onto_itself = named.bucket == target.bucket && named.key == target.key;
    let entered = Entered::enter(&house, &target.bucket, &target.key).await?;
    let _passage = match onto_itself {
        true => None,
        false => Some(enter(&house, &named.bucket, &named.key).await?),
    };
    let source = find(&house, &named, class.is_some()).await?;
    entered.translate(&house, &target, &mut ask.head).await?;
    let view = source.as_ref().and_then(|source| Some((source.view.as_ref()?, &source.head)));
    if let Some((view, _)) = view
        && onto_itself
        && directive == Directive::Copy
        && class == Some(view.archive.class)
    {
        return Err(copy_onto_itself().into());
    }
    let bytes = match view {
        Some((view, head)) => Some(restored(&house, &mut ask.head, view, head, directive).await?),
        None => None,
    };
    let row = match class {
        Some(class) => Some(declare(&house, &mut ask, &target, class, source.as_ref(), directive).await?),
        None => None,
    };
    let id = row.as_ref().map(|row| row.id);
    entered.touch(&house, row.into_iter().map(Change::Archive).collect()).await?;
    let outcome = match bytes {
        None => house.forward(ask, body).await,
        Some(bytes) => written(&house, ask, bytes).await,
    };
    if let Some(id) = id {
        direct::settle(&house, &target, id, Fate::of(&outcome)).await;
    }
    entered.wake(&house);
    outcome
}

/// UploadPartCopy
pub(super) async fn part(house: Arc<House>, mut ask: Ask, body: Body) -> Result<Response<Body>> {
    let named = CopySource::parse(ask.headers())?;
    let _passage = enter(&house, &named.bucket, &named.key).await?;
    let source = find(&house, &named, false).await?;
    let Some(view) = source.as_ref().and_then(|source| source.view.clone()) else {
        return house.forward(ask, body).await;
    };
    check_source(ask.headers(), &view)?;
    let selected = match ask.headers().get("x-amz-copy-source-range") {
        None => 0..view.size,
        Some(text) => range::copy_source(text.to_str().unwrap_or_default(), view.size)?,
    };
    let length = selected.end - selected.start;
    check_size(length)?;
    let bytes = house.read_copy(view.archive.id, selected).await?;
    without_copy(&mut ask.head.headers);
    ask.head.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    let response = house.forward(ask, bytes).await?;
    if !response.status().is_success() {
        return Ok(response);
    }
    let result = result(response.headers(), house.now())?;
    Ok(document(result.part_document()))
}

/// Looks at the source where that is needed: its bucket has archives, or its metadata must be carried over by us.
/// Its key has been entered, so that no flip comes between.
async fn find(house: &House, named: &CopySource, needed: bool) -> Result<Option<Source>> {
    if !needed && !house.has_archives(&named.bucket).await? {
        return Ok(None);
    }
    let target =
        ObjectRef { bucket: named.bucket.clone(), key: named.key.clone(), version: named.version.clone() };
    let seen = house.ports.store.head(&target).await.map_err(store("the head of a source"))?;
    // The store tells a client what is missing better than we could.
    let Some(head) = seen else { return Ok(None) };
    let rows = house.archives_at(&named.bucket, &named.key).await?;
    let view = match (&head.marker, row_of(&rows, &head)) {
        (None, _) => None,
        (Some(_), Some(row)) if stands(row, &head.etag, head.last_modified) => {
            Some(view(house, row.clone(), &head).await?)
        }
        (Some(_), _) => return Err(mistrusted(&target, "it is not the object its archive took over")),
    };
    Ok(Some(Source { head, view }))
}

/// The source as clients see it.
///
/// Errors: `InvalidObjectState` when its bytes cannot be read.
async fn view(house: &House, row: Archive, head: &ObjectHead) -> Result<View> {
    let job = house.ports.catalog.restore_of(row.id).await.map_err(catalog("a restore"))?;
    let restore = job.map_or(model::restore::Visible::Archived, |job| job.visible(house.now()));
    let view = View {
        etag: client_etag(&row).unwrap_or(&head.etag).clone(),
        size: row.size,
        last_modified: row.last_modified.unwrap_or(head.last_modified),
        archive: row,
        restore,
    };
    match view.is_readable() {
        true => Ok(view),
        false => Err(S3Error::archived_source(view.class()).into()),
    }
}

/// A declared row for a copy into a tape class. The store would take the marker from the request only where the
/// metadata comes from there too: metadata that is to be copied is put into the request.
async fn declare(
    house: &House,
    ask: &mut Ask,
    target: &ObjectRef,
    class: TapeClass,
    source: Option<&Source>,
    directive: Directive,
) -> Result<Archive> {
    let row = direct::declaration(house, target, class).await?;
    let headers = &mut ask.head.headers;
    if let (Directive::Copy, Some(Source { head, view: None, .. })) = (directive, source) {
        Conditions::parse_source(headers).source(&head.etag, head.last_modified)?;
        take_over(headers, head);
        headers.insert("x-amz-metadata-directive", HeaderValue::from_static("REPLACE"));
        let pinned = "x-amz-copy-source-if-match";
        if !headers.contains_key(pinned) {
            // The metadata is of this version: the bytes must be too.
            headers.insert(pinned, text(&head.etag.quoted()));
        }
    }
    direct::mark(house, headers, &row);
    Ok(row)
}

/// The bytes of a restored copy, and the head of the request made that of a PutObject of them.
async fn restored(
    house: &House,
    head: &mut Parts,
    view: &View,
    source: &ObjectHead,
    directive: Directive,
) -> Result<Body> {
    check_source(&head.headers, view)?;
    check_size(view.size)?;
    if directive == Directive::Copy {
        take_over(&mut head.headers, source);
    }
    without_copy(&mut head.headers);
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(view.size));
    house.read_copy(view.archive.id, 0..view.size).await
}

/// Writes the bytes as a PutObject and answers as a CopyObject.
async fn written(house: &House, ask: Ask, bytes: Body) -> Result<Response<Body>> {
    let head = ask.head.clone();
    let response = house.forward(ask, bytes).await?;
    if !response.status().is_success() {
        return Ok(response);
    }
    let mut result = result(response.headers(), house.now())?;
    let seen = house.look(&head).await?;
    let dated = seen.headers().get("last-modified").and_then(|value| value.to_str().ok());
    if let Some(moment) = dated.and_then(dialect::date::parse_http) {
        result.last_modified = moment;
    }
    Ok(document(result.object_document()))
}

/// The source's metadata in the place of the request's.
fn take_over(headers: &mut HeaderMap, source: &ObjectHead) {
    let described = |name: &str| SYSTEM.contains(&name) || name.starts_with(USER_PREFIX);
    let own: Vec<HeaderName> = headers.keys().filter(|name| described(name.as_str())).cloned().collect();
    for name in own {
        headers.remove(name);
    }
    for (name, value) in source.headers.iter().filter(|(name, _)| described(name)) {
        if let Ok(name) = HeaderName::try_from(name) {
            headers.insert(name, text(value));
        }
    }
    if !headers.contains_key(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE_DEFAULT));
    }
}

/// Takes out what makes a request a copy. Tags stay where they are the request's own.
fn without_copy(headers: &mut HeaderMap) {
    let own_tags = headers.get("x-amz-tagging-directive").is_some_and(|directive| directive == "REPLACE");
    let of_copy = |name: &str| match name {
        "x-amz-metadata-directive" | "x-amz-tagging-directive" => true,
        "x-amz-tagging" => !own_tags,
        _ => name.starts_with("x-amz-copy-source"),
    };
    let names: Vec<HeaderName> = headers.keys().filter(|name| of_copy(name.as_str())).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

fn check_source(headers: &HeaderMap, view: &View) -> Result<()> {
    Ok(Conditions::parse_source(headers).source(&view.etag, view.last_modified)?)
}

fn check_size(bytes: u64) -> Result<()> {
    if bytes <= PUT_BYTES_MAX {
        return Ok(());
    }
    let message = format!(
        "The specified copy source is larger than the maximum allowable size for a copy source: {PUT_BYTES_MAX}"
    );
    Err(S3Error::invalid_request(message).into())
}

/// What a PUT's answer comes to as the result of a copy.
fn result(headers: &HeaderMap, last_modified: Timestamp) -> Result<CopyResult> {
    let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let etag = value(ETAG.as_str()).and_then(|etag| ETag::parse(etag).ok());
    let checksums = Algorithm::ALL
        .into_iter()
        .filter_map(|algorithm| Some((algorithm.element(), value(algorithm.header())?.to_owned())));
    Ok(CopyResult {
        etag: etag.ok_or(Error::ReadAnswer { operation: "PutObject", missing: "ETag" })?,
        last_modified,
        checksums: checksums.collect(),
    })
}

fn text(value: &str) -> HeaderValue {
    metadata::header_value(value)
}
