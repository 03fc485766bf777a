//! ListObjects and ListObjectsV2: the store's pages, in which archived objects are made to look as they did.

use std::collections::BTreeMap;

use bytes::Bytes;
use dialect::listing::restore_status;
use dialect::overlay::{self, BYTES_MAX, Entry, Overlay, OverlayError};
use http::Response;
use http::header::{CONTENT_LENGTH, HeaderValue};
use http::response::Parts;
use model::archive::ArchiveStage;
use model::body::full;
use model::limits::STUB_BYTES;
use model::restore::Visible;
use model::store::ObjectRef;
use model::{Archive, Body, BucketName, ETag, ObjectKey, RestoreJob, StorageClass, Timestamp};

use crate::archived::client_etag;
use crate::body::collect;
use crate::error::{Error, Result, catalog, store};
use crate::house::{Ask, House};

pub(super) async fn list(house: &House, ask: Ask, body: Body) -> Result<Response<Body>> {
    let bucket = ask.route.bucket()?.clone();
    let asks_restores = asks_restores(house, &ask).await?;
    let response = house.forward_to_read(ask, body).await?;
    // Asked after the page was made: what was archived before it is then known.
    if !response.status().is_success() || !house.has_archives(&bucket).await? {
        return Ok(response);
    }
    edited(house, &bucket, response, asks_restores).await
}

/// A page of a bucket that has archives, as clients see it.
pub(super) async fn edited(
    house: &House,
    bucket: &BucketName,
    response: Response<Body>,
    asks_restores: bool,
) -> Result<Response<Body>> {
    let unusable = |source| unusable(bucket, source);
    let (parts, page) = read_page(bucket, response).await?;
    let entries = overlay::entries(&page).map_err(unusable)?;
    let overlays = overlays(house, bucket, &entries, asks_restores).await?;
    let page = match overlays.is_empty() {
        true => page,
        false => {
            let edited = overlay::rewrite(&page, |entry| overlays.get(&entry.key).cloned());
            edited.map_err(unusable)?.into()
        }
    };
    Ok(page_of(parts, page))
}

/// A page, whole.
///
/// Errors: `EditListing` for one that is too long.
pub(super) async fn read_page(bucket: &BucketName, response: Response<Body>) -> Result<(Parts, Bytes)> {
    let (parts, body) = response.into_parts();
    let page = collect(body, BYTES_MAX).await.map_err(|_| unusable(bucket, OverlayError::TooLong))?;
    Ok((parts, page))
}

/// The answer with another page.
pub(super) fn page_of(mut parts: Parts, page: Bytes) -> Response<Body> {
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(page.len()));
    Response::from_parts(parts, full(page))
}

pub(super) fn unusable(bucket: &BucketName, source: OverlayError) -> Error {
    Error::EditListing { bucket: bucket.clone(), source }
}

/// What is to be said of the archived objects of a page.
async fn overlays(
    house: &House,
    bucket: &BucketName,
    entries: &[Entry],
    asks_restores: bool,
) -> Result<BTreeMap<ObjectKey, Overlay>> {
    let keys: Vec<ObjectKey> = entries.iter().map(|entry| entry.key.clone()).collect();
    let rows = house.ports.catalog.archives_at_each(bucket, &keys).await;
    let rows = rows.map_err(catalog("the archives of a page"))?;
    let mut archived = Vec::new();
    for (entry, rows) in entries.iter().zip(rows) {
        if let Some(row) = shown(house, entry, rows).await? {
            archived.push((entry, row));
        }
    }
    let restores = restores(house, archived.iter().map(|(_, row)| row), asks_restores).await?;
    let overlaid = archived.into_iter().zip(restores).filter_map(|((entry, row), restore)| {
        let overlay = overlaid(&row, entry.etag.as_ref(), entry.last_modified, restore)?;
        Some((entry.key.clone(), overlay))
    });
    Ok(overlaid.collect())
}

/// Whether the state of restores is to be told.
///
/// Errors: `InvalidArgument` when something else is asked for, of a bucket that is not the store's alone.
pub(super) async fn asks_restores(house: &House, ask: &Ask) -> Result<bool> {
    match restore_status(ask.headers()) {
        Err(error) if house.is_managed(ask.route.bucket()?).await? => Err(error.into()),
        asked => Ok(asked.unwrap_or(false)),
    }
}

/// The restores of these archives, where they are to be told.
pub(super) async fn restores(
    house: &House,
    rows: impl Iterator<Item = &Archive>,
    asked: bool,
) -> Result<Vec<Option<Visible>>> {
    let ids: Vec<_> = rows.map(|row| row.id).collect();
    if !asked {
        return Ok(vec![None; ids.len()]);
    }
    let jobs = house.ports.catalog.restores_of_each(&ids).await.map_err(catalog("restores"))?;
    let now = house.now();
    let visible = |job: Option<RestoreJob>| Some(job.map_or(Visible::Archived, |job| job.visible(now)));
    Ok(jobs.into_iter().map(visible).collect())
}

/// What is to be said of an archived object in the place of what the store says; nothing while neither knows its ETag.
pub(super) fn overlaid(
    row: &Archive,
    etag: Option<&ETag>,
    last_modified: Timestamp,
    restore: Option<Visible>,
) -> Option<Overlay> {
    Some(Overlay {
        etag: client_etag(row).or(etag)?.clone(),
        last_modified: row.last_modified.unwrap_or(last_modified),
        size: row.size,
        class: StorageClass::Tape(row.class),
        restore,
    })
}

/// What a listed line is to an archive, by its ETag and date alone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Likeness {
    /// What stands for it.
    Stands,
    /// Perhaps what stands for it: only a look at the object tells.
    Unsure,
    /// Something else.
    Other,
}

/// Compares a line with what is known to stand for an archive. A write of tags or of the ACL may give the object
/// another date, also after its answer was lost, and may leave the line without an ETag until the next write.
pub(super) fn likeness(row: &Archive, etag: Option<&ETag>, last_modified: Timestamp) -> Likeness {
    let Some(known) = &row.standing else { return Likeness::Other };
    let same_second = known.last_modified_seconds == last_modified.seconds();
    match etag {
        Some(etag) if known.etag != *etag => Likeness::Other,
        Some(_) if same_second => Likeness::Stands,
        _ => Likeness::Unsure,
    }
}

/// The archive that an entry is, if clients see it as one.
async fn shown(house: &House, entry: &Entry, rows: Vec<Archive>) -> Result<Option<Archive>> {
    for row in rows {
        let likeness = likeness(&row, entry.etag.as_ref(), entry.last_modified);
        let stands = likeness == Likeness::Stands;
        let shown = match row.state.stage() {
            // The stub may be there already while the row does not say so yet.
            ArchiveStage::Flipping if !stands && entry.size <= STUB_BYTES => is_ours(house, &row).await?,
            _ if !row.is_archived_for_clients() => false,
            _ if likeness == Likeness::Unsure => is_ours(house, &row).await?,
            _ => stands,
        };
        if shown {
            return Ok(Some(row));
        }
    }
    Ok(None)
}

async fn is_ours(house: &House, row: &Archive) -> Result<bool> {
    let target = ObjectRef { bucket: row.bucket.clone(), key: row.key.clone(), version: None };
    let seen = house.ports.store.head(&target).await.map_err(store("a head"))?;
    Ok(seen.and_then(|seen| seen.marker).is_some_and(|marker| marker.archive == row.id))
}
