//! CopyObject and UploadPartCopy.
//!
//! A hot source is copied by the store. An archived one is copied by us, out of its restored copy, or refused when it
//! has none that can be read. A copy into a tape class is a direct write.

use std::sync::Arc;

use dialect::checksum::Algorithm;
use dialect::conditions::Conditions;
use dialect::copy::{CopyResult, CopySource, Directive, copy_onto_itself};
use dialect::metadata::{CONTENT_TYPE_DEFAULT, SYSTEM, USER_PREFIX};
use dialect::tagging::{self, TagSet};
use dialect::{Code, S3Error, metadata, range, reserved};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode};
use model::body::empty;
use model::catalog::Change;
use model::limits::PUT_BYTES_MAX;
use model::store::ObjectRef;
use model::{Archive, Body, ETag, TapeClass, Timestamp, VersionId};

use crate::archived::{Seen, Told, View, mistrusted, recognise};
use crate::authenticate::COPY_SOURCE;
use crate::body::{collect, summed};
use crate::direct::{self, Fate};
use crate::error::{Error, Result};
use crate::house::{Ask, House, head_of, object_uri, record, trouble, with_query};
use crate::mutation::{self, Entered, enter};
use crate::respond::document;
use crate::versions;

/// Longest document of tags, in bytes.
const TAGS_BYTES_MAX: usize = 64 << 10;

/// A source that the store has.
struct Source {
    /// What the store tells of what stands under its key.
    headers: HeaderMap,
    /// The archive it is, when it is one.
    view: Option<View>,
}

/// CopyObject
pub(super) async fn object(house: Arc<House>, mut ask: Ask, body: Body) -> Result<Response<Body>> {
    let target = ask.target()?;
    let Some(named) = source_of(&house, &ask).await? else {
        return mutation::pass(house, ask, body).await;
    };
    let class = direct::class(&house, &ask).await?;
    let directive = Directive::metadata(ask.headers())?;
    let onto_itself = named.bucket == target.bucket && named.key == target.key;
    let entered = Entered::enter(&house, &target.bucket, &target.key).await?;
    let _passage = match onto_itself {
        true => None,
        false => Some(enter(&house, &named.bucket, &named.key).await?),
    };
    let rows = house.archives_at(&named.bucket, &named.key).await?;
    let source = find(&house, &mut ask, &named, &rows, true).await?;
    entered.translate(&house, &target, &mut ask.head).await?;
    let view = source.as_ref().and_then(|source| Some((source.view.as_ref()?, &source.headers)));
    if let Some((view, _)) = view
        && onto_itself
        && directive == Directive::Copy
        && class == Some(view.archive.class)
    {
        return Err(copy_onto_itself().into());
    }
    let bytes = match view {
        Some((view, headers)) => {
            let tags = tags(&house, &ask, &named, &rows).await?;
            Some(restored(&house, &mut ask.head, view, headers, directive, tags).await?)
        }
        None => None,
    };
    let row = match class {
        Some(class) => Some(declare(&house, &mut ask, &target, class, source.as_ref(), directive).await?),
        None => None,
    };
    let id = row.as_ref().map(|row| row.id);
    entered.touch(&house, &ask.route, row.into_iter().map(Change::Archive).collect()).await?;
    if let Some(id) = id {
        direct::confirm(&house, &target.bucket, id).await?;
    }
    let outcome = match bytes {
        None => house.forward(ask, body).await,
        Some(bytes) => written(&house, ask, bytes, view.and_then(source_version)).await,
    };
    if let Some(id) = id {
        direct::settle(&house, &target, id, Fate::of(&outcome)).await;
    }
    entered.wake(&house);
    let mut response = outcome?;
    versions::give_back(&rows, response.headers_mut(), versions::SOURCE_HEADER);
    Ok(response)
}

/// UploadPartCopy
pub(super) async fn part(house: Arc<House>, mut ask: Ask, body: Body) -> Result<Response<Body>> {
    let Some(named) = source_of(&house, &ask).await? else { return house.forward(ask, body).await };
    let _passage = enter(&house, &named.bucket, &named.key).await?;
    let rows = house.archives_at(&named.bucket, &named.key).await?;
    let source = find(&house, &mut ask, &named, &rows, false).await?;
    let Some(Source { headers, view: Some(view) }) = source else {
        let mut response = house.forward(ask, body).await?;
        versions::give_back(&rows, response.headers_mut(), versions::SOURCE_HEADER);
        return Ok(response);
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
    Ok(copied(response.headers(), result.part_document(), source_version((&view, &headers))))
}

/// What the request copies from; none where neither end of it is in a managed bucket.
async fn source_of(house: &House, ask: &Ask) -> Result<Option<CopySource>> {
    let named = CopySource::parse(ask.headers());
    let concerned = house.is_managed(ask.route.bucket()?).await?
        || match &named {
            Ok(named) => house.is_managed(&named.bucket).await?,
            Err(_) => false,
        };
    if concerned { Ok(Some(named?)) } else { Ok(None) }
}

/// Looks at the source with the caller's key where its bucket is managed or its metadata may come along, so that a stub
/// somebody else put there is not copied on. Its key has been entered, so that no flip comes between. The request is
/// made to name just what is looked at, in the version the store knows: no store is to read it in another way.
async fn find(
    house: &House,
    ask: &mut Ask,
    named: &CopySource,
    rows: &[Archive],
    takes_metadata: bool,
) -> Result<Option<Source>> {
    let managed = house.is_managed(&named.bucket).await?;
    let version = stored(house, named, rows).await?;
    let source = object_uri(&named.bucket, &named.key, version.as_ref());
    ask.head.headers.insert(COPY_SOURCE, text(&source.to_string()));
    if !takes_metadata && !managed {
        return Ok(None);
    }
    let head = source_head(ask, named, version.as_ref());
    // The store tells a client what is missing better than we could.
    let Some(headers) = house.looked(&head).await? else { return Ok(None) };
    let target = ObjectRef { bucket: named.bucket.clone(), key: named.key.clone(), version };
    if !managed && record(&headers).is_some() {
        return Err(mistrusted(&target, "it is a stub where there is no archive"));
    }
    if !managed {
        return Ok(Some(Source { headers, view: None }));
    }
    let view = match recognise(house, &target, &headers).await? {
        Seen::Hot => None,
        Seen::Archived(view) if view.is_readable() => Some(*view),
        Seen::Archived(view) => return Err(S3Error::archived_source(view.class()).into()),
        Seen::Mistrusted(_) => {
            return Err(mistrusted(&target, "it is not the object its archive took over"));
        }
    };
    Ok(Some(Source { headers, view }))
}

/// A HEAD of the source on behalf of the caller, whose bucket may have another owner than the target's.
fn source_head(ask: &Ask, named: &CopySource, version: Option<&VersionId>) -> Parts {
    const OWNER: &str = "x-amz-expected-bucket-owner";
    let mut head = head_of(&ask.head, object_uri(&named.bucket, &named.key, version));
    head.headers.remove(OWNER);
    if let Some(owner) = ask.headers().get("x-amz-source-expected-bucket-owner") {
        head.headers.insert(OWNER, owner.clone());
    }
    head
}

/// The version of the source as the store calls it.
async fn stored(house: &House, named: &CopySource, rows: &[Archive]) -> Result<Option<VersionId>> {
    let Some(version) = &named.version else { return Ok(None) };
    versions::resolved(house, &named.bucket, &named.key, rows, version).await.map(Some)
}

/// The tags a copy of an archived object takes over, asked for with the caller's key.
///
/// Errors: `AccessDenied` for one who may not read them.
async fn tags(house: &House, ask: &Ask, named: &CopySource, rows: &[Archive]) -> Result<Option<HeaderValue>> {
    if !house.ports.store.capabilities().tags || Directive::tagging(ask.headers())? == Directive::Replace {
        return Ok(None);
    }
    let version = stored(house, named, rows).await?;
    let mut head = source_head(ask, named, version.as_ref());
    head.method = Method::GET;
    let query = head.uri.query().map_or_else(|| "tagging".to_owned(), |query| format!("tagging&{query}"));
    head.uri = with_query(&head.uri, &query);
    let response = house.call(&head, empty()).await?;
    let unusable = || Error::ReadAnswer { operation: "GetObjectTagging", missing: "document" };
    match response.status() {
        StatusCode::OK => {
            let body = collect(response.into_body(), TAGS_BYTES_MAX).await.map_err(|_| unusable())?;
            let tags = TagSet::read_stored(&body).map_err(|_| unusable())?;
            Ok(tags.header().map(|tags| text(&tags)))
        }
        // Some stores say so of an object without tags.
        StatusCode::NOT_FOUND => Ok(None),
        StatusCode::FORBIDDEN => Err(Code::AccessDenied.into()),
        status if status.is_server_error() => Err(trouble("GetObjectTagging", status)),
        _ => Err(unusable()),
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
    if let (Directive::Copy, Some(Source { headers: source, view: None })) = (directive, source) {
        let missing = Error::ReadAnswer { operation: "a head", missing: "ETag, length or date" };
        let told = Told::read(source).ok_or(missing)?;
        Conditions::parse_source(headers).source(&told.etag, told.last_modified)?;
        take_over(headers, source);
        headers.insert("x-amz-metadata-directive", HeaderValue::from_static("REPLACE"));
        let pinned = "x-amz-copy-source-if-match";
        if !headers.contains_key(pinned) {
            // The metadata is of this version: the bytes must be too.
            headers.insert(pinned, text(&told.etag.quoted()));
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
    source: &HeaderMap,
    directive: Directive,
    tags: Option<HeaderValue>,
) -> Result<Body> {
    check_source(&head.headers, view)?;
    check_size(view.size)?;
    if directive == Directive::Copy {
        take_over(&mut head.headers, source);
        for (name, value) in view.displaced() {
            head.headers.insert(name, text(value));
        }
    }
    let algorithm = asked_for(&head.headers)?;
    without_copy(&mut head.headers);
    if let Some(tags) = tags {
        head.headers.insert(tagging::HEADER, tags);
    }
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(view.size));
    let bytes = house.read_copy(view.archive.id, 0..view.size).await?;
    let Some(algorithm) = algorithm else { return Ok(bytes) };
    head.headers.insert("x-amz-trailer", HeaderValue::from_static(algorithm.header()));
    Ok(summed(bytes, algorithm))
}

/// The checksum a copy is to have.
fn asked_for(headers: &HeaderMap) -> Result<Option<Algorithm>> {
    let name = headers.get("x-amz-checksum-algorithm");
    Ok(name.map(|name| Algorithm::parse(name.to_str().unwrap_or_default())).transpose()?)
}

/// Writes the bytes as a PutObject and answers as a CopyObject.
async fn written(
    house: &House,
    ask: Ask,
    bytes: Body,
    source: Option<HeaderValue>,
) -> Result<Response<Body>> {
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
    Ok(copied(response.headers(), result.object_document(), source))
}

/// The answer to a copy, with what the store said of what was written.
fn copied(written: &HeaderMap, result: Vec<u8>, source: Option<HeaderValue>) -> Response<Body> {
    let mut response = document(result);
    let headers = response.headers_mut();
    let told = |name: &HeaderName| {
        name == versions::HEADER
            || name == "x-amz-expiration"
            || name.as_str().starts_with("x-amz-server-side-encryption")
    };
    for (name, value) in written.iter().filter(|(name, _)| told(name)) {
        headers.insert(name.clone(), value.clone());
    }
    if let Some(version) = source {
        headers.insert(versions::SOURCE_HEADER, version);
    }
    response
}

/// The id that clients know an archived source by, where its bucket has versions.
fn source_version((view, headers): (&View, &HeaderMap)) -> Option<HeaderValue> {
    let version = versions::to_clients(&view.archive).filter(|_| headers.contains_key(versions::HEADER));
    version.map(|version| versions::value(&version))
}

/// The source's metadata in the place of the request's.
fn take_over(headers: &mut HeaderMap, source: &HeaderMap) {
    let described = |name: &HeaderName| {
        let name = name.as_str();
        SYSTEM.contains(&name) || (name.starts_with(USER_PREFIX) && name != reserved::HEADER)
    };
    let own: Vec<HeaderName> = headers.keys().filter(|name| described(name)).cloned().collect();
    for name in own {
        headers.remove(name);
    }
    for (name, value) in source.iter().filter(|(name, _)| described(name)) {
        headers.insert(name.clone(), value.clone());
    }
    if !headers.contains_key(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE_DEFAULT));
    }
}

/// Takes out what makes a request a copy, and what it says of its own body, which is empty. Tags stay where they are
/// the request's own.
fn without_copy(headers: &mut HeaderMap) {
    let own_tags = headers.get("x-amz-tagging-directive").is_some_and(|directive| directive == "REPLACE");
    let of_copy = |name: &str| match name {
        "x-amz-metadata-directive" | "x-amz-tagging-directive" | "content-md5" => true,
        "x-amz-sdk-checksum-algorithm" | "x-amz-trailer" => true,
        "x-amz-tagging" => !own_tags,
        _ => name.starts_with("x-amz-copy-source") || name.starts_with("x-amz-checksum-"),
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
