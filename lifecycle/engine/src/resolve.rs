//! Looks again at archives whose key a client may have changed, and at direct writes of unknown outcome.

use model::archive::{ArchiveStage, Standing};
use model::store::ObjectHead;
use model::{Archive, ArchiveState, Timestamp};

use crate::error::Error;
use crate::flip::{is_gone, milliseconds, standing};
use crate::house::{House, current, is_pinned};
use crate::listed;
use crate::untold;
use crate::versions;

/// What another look came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// The archive still speaks for its key.
    Holds,
    /// It is history now.
    History,
    /// Nothing can be said yet.
    Later,
}

/// Settles a touched archive, or a `Declared` one, by looking at the store with the key's gate closed.
///
/// Flips in doubt have their own way: [`crate::flip::settle`].
pub async fn resolve(house: &House, archive: Archive) -> Result<Resolved, Error> {
    if is_early(house, &archive) {
        return Ok(Resolved::Later);
    }
    let _gate = match house.fence.close(&archive.bucket, &archive.key).await {
        Ok(gate) => gate,
        // A long write straight into a class is under way: it is not to be disturbed every second.
        Err(_) if archive.state.stage() == ArchiveStage::Declared => {
            return Ok(put_off(house, &archive));
        }
        Err(busy) => return Err(busy.into()),
    };
    let archive = house.archive(archive.id).await?;
    let stage = archive.state.stage();
    if !stage.is_live() {
        return Ok(Resolved::History);
    }
    if stage == ArchiveStage::Flipping || !(archive.touched || stage == ArchiveStage::Declared) {
        return Ok(Resolved::Later);
    }
    let over = archive.since.plus_milliseconds(milliseconds(house.settings.store_deadline));
    // Asked before the object is looked for: an upload completed in between is then an object.
    if let (ArchiveStage::Declared, Some(upload)) = (stage, &archive.upload)
        && house.store.has_upload(&current(&archive), upload).await?
    {
        // It may be completed at any time; the edge ends the row when it is completed or aborted.
        return Ok(put_off(house, &archive));
    }
    let seen = versions::find(house, &archive, |head| stands(&archive, head)).await?;
    if seen.is_some() {
        house.gates.is_there(archive.id);
    }
    match (stage, seen) {
        (ArchiveStage::Declared, Some(head)) => declared_is_due(house, archive, &head).await,
        // The write may still arrive.
        (ArchiveStage::Declared, _) if house.now() <= over => Ok(Resolved::Later),
        (ArchiveStage::Archived, Some(_)) if versions::null_was_replaced(house, &archive).await? => {
            versions::remove_surplus(house, &archive, None).await?;
            end(house, archive, ArchiveState::Dead).await
        }
        (_, Some(head)) => holds(house, archive, &head).await,
        (ArchiveStage::Archived, None) if may_meet_stub(house, &archive, over).await? => Ok(Resolved::Later),
        (ArchiveStage::Archived, None) => {
            versions::remove_surplus(house, &archive, None).await?;
            end(house, archive, ArchiveState::Dead).await
        }
        (ArchiveStage::Declared, None) => match versions::find_written(house, &archive).await? {
            Some(head) => declared_is_due(house, archive, &head).await,
            None => end(house, archive, ArchiveState::Withdrawn).await,
        },
        (_, None) if archive.direct && !is_gone(house, &archive) => Ok(Resolved::Later),
        (_, None) => end(house, archive, ArchiveState::Withdrawn).await,
    }
}

/// Leaves an archive alone for as long as a message to the store can take.
fn put_off(house: &House, archive: &Archive) -> Resolved {
    let later = milliseconds(house.settings.store_deadline);
    house.later.rest(archive.id, house.now().plus_milliseconds(later));
    Resolved::Later
}

/// The archive still speaks for its object, which may have other tags or another date.
async fn holds(house: &House, mut archive: Archive, head: &ObjectHead) -> Result<Resolved, Error> {
    let mut next = archive.clone();
    next.touched = false;
    if is_pinned(&archive) {
        versions::remove_surplus(house, &archive, head.version.as_ref()).await?;
        // A stub written twice is newer than it was.
        if let Some(known) = archive.standing.as_ref().filter(|known| known.etag == head.etag) {
            let seconds = listed::seconds(house, &archive, head, known.last_modified_seconds).await?;
            next.standing = Some(Standing { last_modified_seconds: seconds, ..standing(head) });
        }
    }
    if archive.state.stage() == ArchiveStage::Archived {
        untold::note_change(house, &mut next).await?;
    }
    house.save(&mut archive, next).await?;
    Ok(Resolved::Holds)
}

/// Whether the same bytes were written again so soon that the stub, should its message arrive a second time, would
/// meet its condition: it would be an archive's that is dead.
async fn may_meet_stub(house: &House, archive: &Archive, over: Timestamp) -> Result<bool, Error> {
    if house.store.capabilities().in_place || house.now() > over {
        return Ok(false);
    }
    let head = house.store.head(&current(archive)).await?;
    Ok(head.is_some_and(|head| archive.identity.as_ref().is_some_and(|packed| packed.etag == head.etag)))
}

/// Whether nothing can be said yet of a direct write, so that its key need not be closed: it may still arrive, or it
/// is an upload, whose row the edge ends when it is completed or aborted.
fn is_early(house: &House, archive: &Archive) -> bool {
    let since = archive.since.plus_milliseconds(milliseconds(house.settings.store_deadline));
    archive.state.stage() == ArchiveStage::Declared
        && (house.now() <= since
            || (archive.upload.is_some() && !archive.touched)
            || house.later.rests(archive.id, house.now()))
}

async fn end(house: &House, mut archive: Archive, state: ArchiveState) -> Result<Resolved, Error> {
    let mut next = archive.clone();
    next.advance(state, house.now());
    next.touched = false;
    house.save(&mut archive, next).await?;
    crate::lapse::end_of(house, archive.id).await?;
    Ok(Resolved::History)
}

/// Whether the object under the key is still the one this archive took over.
fn stands(archive: &Archive, head: &ObjectHead) -> bool {
    if let Some(marker) = &head.marker {
        return marker.archive == archive.id;
    }
    !archive.direct
        && archive.state.stage() != ArchiveStage::Archived
        && archive.standing.as_ref().is_some_and(|known| {
            // What a `Due` row knows is from a listing, which names no version.
            let identity = archive.identity.as_ref();
            let seconds = identity.map_or(known.last_modified_seconds, |seen| seen.last_modified_seconds);
            known.etag == head.etag && seconds == head.last_modified.seconds()
        })
}

/// The direct write arrived although its answer was lost on the way to us.
async fn declared_is_due(house: &House, mut archive: Archive, head: &ObjectHead) -> Result<Resolved, Error> {
    let mut next = archive.clone();
    next.size = head.size;
    next.last_modified = Some(head.last_modified);
    next.checksums = head.checksums.clone();
    next.standing = Some(standing(head));
    next.touched = false;
    next.advance(ArchiveState::Due, house.now());
    house.save(&mut archive, next).await?;
    Ok(Resolved::Holds)
}
