//! Archived objects as clients go on seeing them: found by the reserved header of the store's answer, believed only
//! when the catalog agrees.

use dialect::{date, reserved};
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderName};
use model::archive::ArchiveStage;
use model::catalog::Change;
use model::fence::Work;
use model::restore::Visible;
use model::store::ObjectRef;
use model::{Archive, ETag, Marker, Timestamp, VersionId};

use crate::error::{Error, Result, catalog};
use crate::house::{House, record};
use crate::versions;

/// An archived object.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// Its row.
    pub(crate) archive: Archive,
    /// ETag as clients see it.
    pub(crate) etag: ETag,
    /// Size in bytes as clients see it.
    pub(crate) size: u64,
    /// Last-Modified as clients see it.
    pub(crate) last_modified: Timestamp,
    /// Its restore at the moment of the request.
    pub(crate) restore: Visible,
}

/// What an answer of the store is about.
pub(crate) enum Seen {
    /// An object with nothing of ours to it.
    Hot,
    /// An archived object.
    Archived(Box<View>),
    /// The reserved header says one thing and the catalog another: look again, the object may just be changing.
    Mistrusted(&'static str),
}

/// Tells what the headers of a successful answer for `target` are about.
pub(crate) async fn recognise(house: &House, target: &ObjectRef, headers: &HeaderMap) -> Result<Seen> {
    let Some(record) = record(headers) else { return Ok(Seen::Hot) };
    let (bucket, key) = (&target.bucket, &target.key);
    let Ok(marker) = reserved::parse(record, bucket, key, &house.settings.marker_key) else {
        return Ok(Seen::Mistrusted("its signature is wrong"));
    };
    let row = house.ports.catalog.archive(marker.archive).await.map_err(catalog("an archive"))?;
    let Some(archive) = row.filter(|row| row.state.stage().is_live()) else {
        return Ok(Seen::Mistrusted("its archive does not live"));
    };
    if archive.bucket != *bucket || archive.key != *key || archive.class != marker.class {
        return Ok(Seen::Mistrusted("its archive is another object"));
    }
    let Some(told) = Told::read(headers) else {
        return Err(Error::ReadAnswer { operation: "a read", missing: "ETag, length or date" });
    };
    if !stands(&archive, &told) {
        look_again(house, &archive).await?;
        return Ok(Seen::Mistrusted("the object is not the one its archive took over"));
    }
    let view = View::new(archive, told, Visible::Archived);
    let restore = house.ports.catalog.restore_of(view.archive.id).await.map_err(catalog("a restore"))?;
    let restore = restore.map_or(Visible::Archived, |job| job.visible(house.now()));
    Ok(Seen::Archived(Box::new(View { restore, ..view })))
}

/// Has an archive looked at whose marker stands where it should not: its stub may have been written twice.
async fn look_again(house: &House, archive: &Archive) -> Result<()> {
    if archive.touched {
        return Ok(());
    }
    let touched = house.ports.catalog.commit(vec![Change::Touch(archive.id)]).await;
    touched.map_err(catalog("a touch"))?;
    house.ports.wake.wake(Work::Touched);
    Ok(())
}

/// The error of a header that was still not to be trusted after another look.
pub(crate) fn mistrusted(target: &ObjectRef, reason: &'static str) -> Error {
    Error::TrustMarker { bucket: target.bucket.clone(), key: target.key.clone(), reason }
}

/// The archive of a key that an object with these headers belongs to. Never believed by itself.
pub(crate) fn row_of<'a>(
    house: &House,
    target: &ObjectRef,
    rows: &'a [Archive],
    headers: &HeaderMap,
) -> Option<&'a Archive> {
    let parse =
        |record| reserved::parse(record, &target.bucket, &target.key, &house.settings.marker_key).ok();
    let marker: Marker = record(headers).and_then(parse)?;
    rows.iter().find(|row| row.id == marker.archive)
}

/// Whether what the store told is what the row expects as its version. While a flip is under way the right signature
/// is all there is; so it is while a direct write is not yet written down. The date does not count: there are stores
/// that give an object another one when its tags or its ACL are set.
fn stands(archive: &Archive, told: &Told) -> bool {
    let unsettled = matches!(archive.state.stage(), ArchiveStage::Flipping | ArchiveStage::Declared);
    let known = archive.standing.as_ref();
    let same_version = |known: Option<&VersionId>| match (known, &told.version) {
        (Some(known), Some(told)) => known == told,
        _ => true,
    };
    unsettled || known.is_some_and(|known| known.etag == told.etag && same_version(known.version.as_ref()))
}

/// What every answer about an object says.
pub(crate) struct Told {
    pub(crate) etag: ETag,
    pub(crate) last_modified: Timestamp,
    /// Size of what the store holds.
    size: u64,
    /// Its version id there, where it has one.
    version: Option<VersionId>,
}

// === impl Told ===

impl Told {
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
        let whole = text(CONTENT_RANGE).and_then(|range| range.rsplit_once('/')).map(|(_, size)| size);
        Some(Self {
            etag: ETag::parse(text(ETAG)?).ok()?,
            last_modified: date::parse_http(text(LAST_MODIFIED)?)?,
            size: whole.or(text(CONTENT_LENGTH))?.parse().ok()?,
            version: headers.get(versions::HEADER).and_then(|id| VersionId::parse(id.to_str().ok()?).ok()),
        })
    }
}

// === impl View ===

impl View {
    fn new(archive: Archive, told: Told, restore: Visible) -> Self {
        // A direct write that is not written down yet still is what the store says.
        let declared = archive.state.stage() == ArchiveStage::Declared;
        let size = if declared { told.size } else { archive.size };
        let etag = client_etag(&archive).cloned().unwrap_or(told.etag);
        let last_modified = archive.last_modified.unwrap_or(told.last_modified);
        Self { archive, etag, size, last_modified, restore }
    }

    /// The class on the wire.
    pub(crate) fn class(&self) -> &'static str {
        self.archive.class.as_str()
    }

    /// Its user metadata that the store has no room for.
    pub(crate) fn displaced(&self) -> impl Iterator<Item = (HeaderName, &str)> {
        let headers = self.archive.displaced_metadata.iter();
        headers.filter_map(|(name, value)| Some((HeaderName::try_from(name).ok()?, value.as_str())))
    }

    /// Whether its bytes can be read.
    pub(crate) fn is_readable(&self) -> bool {
        matches!(self.restore, Visible::Readable { .. })
    }
}

/// The ETag clients know an archive by: that of the object taken over.
pub(crate) fn client_etag(archive: &Archive) -> Option<&ETag> {
    let identity = archive.identity.as_ref().map(|identity| &identity.etag);
    identity.or(archive.standing.as_ref().map(|standing| &standing.etag))
}
