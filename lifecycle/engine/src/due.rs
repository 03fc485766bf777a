//! Opens the objects that are due: looks whether each is still the one that became due, and reads it.

use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use model::archive::{ArchiveStage, Standing};
use model::catalog::CatalogError;
use model::store::{ObjectHead, StoreError};
use model::{Archive, ArchiveId, ArchiveState, ByteStream, Identity};
use volume::pack::{Member, MemberId, Segment};

use crate::buckets;
use crate::error::{Error, is_fatal};
use crate::fit;
use crate::flip::{is_gone, standing};
use crate::house::{House, held};
use crate::listed;
use crate::record::record;
use crate::set_aside::set_aside;

/// Objects up to this size are read ahead of their turn, whole; larger ones are streamed.
const READ_AHEAD_BYTES_MAX: u64 = 1 << 20;

/// An object about to be packed.
pub(crate) struct Object {
    /// Its archive, as it will be when packed but for the extents.
    pub archive: Archive,
    /// The object as it was seen.
    pub head: ObjectHead,
}

/// What looking at a due archive came to.
pub(crate) enum Opened<T> {
    /// It can be packed.
    Ready(Box<T>),
    /// It is no longer due, or changes at this very moment.
    Gone,
    /// It could not be read, and was set aside because of this.
    Aside(Error),
}

impl Object {
    /// The object, or a segment of it, as a member of a pack.
    pub(crate) fn member(&self, segment: Option<Segment>) -> Member {
        Member {
            id: MemberId(self.archive.id.as_u128().into()),
            length: self.archive.size,
            segment,
            record: record(&self.archive, &self.head),
        }
    }
}

/// Looks at a due archive's object, without its bytes.
pub(crate) async fn look(house: &House, id: ArchiveId) -> Result<Opened<Object>, Error> {
    let found = find(house, id).await;
    sort(house, id, found).await
}

/// Looks at a due archive's object and opens it.
pub(crate) async fn open(house: &House, id: ArchiveId) -> Result<Opened<(Object, ByteStream)>, Error> {
    let opened = match find(house, id).await {
        Ok(Some(object)) => read(house, &object).await.map(|bytes| Some((object, bytes))),
        Ok(None) => Ok(None),
        Err(error) => Err(error),
    };
    sort(house, id, opened).await
}

/// Whether the object just changed under its reader: no fault of anyone's, and the next look tells.
pub(crate) fn is_change(error: &Error) -> bool {
    matches!(error, Error::Store(StoreError::Changed { .. } | StoreError::Missing { .. }))
}

async fn sort<T>(house: &House, id: ArchiveId, found: Result<Option<T>, Error>) -> Result<Opened<T>, Error> {
    match found {
        Ok(Some(object)) => Ok(Opened::Ready(Box::new(object))),
        Ok(None) | Err(Error::Catalog(CatalogError::Conflict { .. })) => Ok(Opened::Gone),
        Err(error) if is_change(&error) => Ok(Opened::Gone),
        Err(error) if is_fatal(&error) => Err(error),
        Err(error) => {
            set_aside(house, id, &error).await?;
            Ok(Opened::Aside(error))
        }
    }
}

/// A due archive's object, provided it is still the one that became due; withdraws the archive otherwise.
async fn find(house: &House, id: ArchiveId) -> Result<Option<Object>, Error> {
    let Some(mut archive) = house.catalog.archive(id).await? else { return Ok(None) };
    if archive.state.stage() != ArchiveStage::Due || archive.touched {
        return Ok(None);
    }
    let leave = buckets::leave(house, &archive.bucket).await?;
    if !leave.migrates {
        return Ok(None);
    }
    let target = held(&archive);
    let head = house.store.inspect(&target).await.map_err(|error| fit::explained(error.into()))?;
    let same = |head: &ObjectHead| {
        archive.standing.as_ref().is_some_and(|known| known.etag == head.etag)
            && head.marker.as_ref().is_none_or(|marker| marker.archive == archive.id)
    };
    match head.is_some() {
        true => house.gates.is_there(archive.id),
        false if archive.direct && !is_gone(house, &archive) => return Ok(None),
        false => {}
    }
    let known = archive.standing.as_ref().map(|known| known.last_modified_seconds);
    let (Some(head), Some(known)) = (head.filter(same), known) else {
        house.advance(&mut archive, ArchiveState::Withdrawn).await?;
        return Ok(None);
    };
    if listed::seconds(house, &archive, &head, known).await? != known {
        house.advance(&mut archive, ArchiveState::Withdrawn).await?;
        return Ok(None);
    }
    if let Some(objection) = fit::objection(house, &archive, leave.versioning, &head).await? {
        return Err(objection);
    }
    archive.extents.clear();
    archive.identity = Some(Identity::of(&head));
    archive.standing = Some(Standing { last_modified_seconds: known, ..standing(&head) });
    archive.size = head.size;
    // A listing may tell a date finer than a head does, or the date of the write where a head tells that of its tags;
    // clients go on seeing it.
    archive.last_modified.get_or_insert(head.last_modified);
    archive.checksums = head.checksums.clone();
    if head.etag.as_str().contains('-') {
        archive.part_bytes = house.store.part_bytes(&target, &head.etag).await?;
    }
    Ok(Some(Object { archive, head }))
}

async fn read(house: &House, object: &Object) -> Result<ByteStream, Error> {
    let Object { archive, head } = object;
    if head.size == 0 {
        return Ok(Box::pin(stream::empty()));
    }
    let bytes = house.store.read(&held(archive), &head.etag, 0..head.size).await?;
    if head.size > READ_AHEAD_BYTES_MAX {
        return Ok(bytes);
    }
    let broken = |source: model::BodyError| StoreError::Doubt {
        what: format!("read of {}/{}", archive.bucket, archive.key),
        source: source.into(),
    };
    let pieces: Vec<Bytes> = bytes.try_collect().await.map_err(broken)?;
    Ok(Box::pin(stream::iter(pieces.into_iter().map(Ok))))
}
