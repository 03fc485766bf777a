//! Bringing one object back: its stub gives way to the object, under the key's gate, and only what stands there says
//! how it ended. The reverse of a flip:
//!
//! 1. close the key's gate and look: anything but what this archive left there is left to [`crate::resolve`]
//! 2. touch the row: from now on nobody relies on it before the store was looked at, over restarts too
//! 3. write the object, from its restored copy or from its own bytes
//! 4. look again: the object's bytes under the key are evidence, the stub is, the rest is a client's write
//! 5. in a bucket with versions delete the stub beneath; then the row is history
//!
//! While a message may still be on its way the gate stays closed, whatever was seen: it would overwrite a client's
//! write. Nothing on tape is given up before the object was seen under its key.

use bytes::Bytes;
use futures_util::StreamExt;
use model::archive::ArchiveStage;
use model::bucket::Versioning;
use model::catalog::Change;
use model::fence::Gate;
use model::limits::{KEY_VERSIONS_MAX, PUT_BYTES_MAX};
use model::marker::MarkerKind;
use model::store::{BackFrom, BringBack, ObjectHead, ObjectRef, StoreError};
use model::{Archive, ArchiveState, BodyError, ByteStream, ETag, VersionId};

use crate::error::{Error, chain};
use crate::house::{House, current, held};
use crate::wait::hold;
use crate::{canary, lapse};

/// Headers, tags and ACL as a PUT takes them.
type Headers = Vec<(String, String)>;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Brought {
    /// The object stands under its key; the row is history.
    Back,
    /// Nothing was done, or it cannot be said yet; the row waits for another look.
    Waits,
}

/// How a bucket's keys are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    /// What a write comes to.
    pub(crate) versioning: Versioning,
    /// The fence's count of the bucket's switches before the store was asked.
    pub(crate) switches: u64,
    /// Others may write past the gateway: the store's condition protects them.
    pub(crate) conditional: bool,
}

/// Brings back an archived object, or takes the reserved header from one that a client wrote straight into a class.
pub(crate) async fn bring_back(house: &House, row: &Archive, how: How) -> Result<Brought, Error> {
    let gate = house.fence.close(&row.bucket, &row.key).await?;
    // What a write comes to was switched meanwhile: the next round asks again. From here on it is not.
    if house.fence.switches(&row.bucket) != how.switches {
        return Ok(Brought::Waits);
    }
    // A mutation may have come between the reading of the row and the gate.
    let archive = house.archive(row.id).await?;
    if archive.touched || !is_wanted(&archive) {
        return Ok(Brought::Waits);
    }
    match house.store.inspect(&current(&archive)).await? {
        // The flip's own look comes first.
        Some(head)
            if archive.state.stage() == ArchiveStage::Flipping
                && is_ours(&archive, &head)
                && !is_whole(&head) =>
        {
            Ok(Brought::Waits)
        }
        Some(head) if is_ours(&archive, &head) => {
            if let Some(why) = obstacle(house, &archive, &head, how).await? {
                return Err(Error::Stuck { reason: why.to_owned() });
            }
            attempt(house, archive, head, how, gate).await
        }
        seen => beneath(house, archive, seen).await,
    }
}

/// Whether an archived object could be brought back as things are, had it its restored copy. Not under its key's gate:
/// [`bring_back`] looks again.
pub(crate) async fn can_come_back(house: &House, archive: &Archive, how: How) -> Result<bool, Error> {
    match house.store.head(&current(archive)).await? {
        Some(head) if is_ours(archive, &head) => Ok(obstacle(house, archive, &head, how).await?.is_none()),
        _ => Ok(false),
    }
}

/// Whether a row speaks for an object that clients see as archived and that is there.
pub(crate) fn is_wanted(archive: &Archive) -> bool {
    use ArchiveStage::{Archived, Due, Failed, Flipping, Packed, Taped};
    match archive.state.stage() {
        Archived => true,
        Due | Packed | Taped | Flipping | Failed => archive.direct,
        _ => false,
    }
}

/// Whether the object needs its restored copy to come back.
pub(crate) fn needs_copy(archive: &Archive) -> bool {
    archive.state.stage() == ArchiveStage::Archived && !archive.keeps_bytes()
}

fn is_ours(archive: &Archive, head: &ObjectHead) -> bool {
    head.marker.as_ref().is_some_and(|marker| marker.archive == archive.id)
}

/// Whether it is an object's own bytes under the reserved header.
fn is_whole(head: &ObjectHead) -> bool {
    head.marker.as_ref().is_some_and(|marker| marker.kind == MarkerKind::Whole)
}

/// What forbids a write over what stands there.
async fn obstacle(
    house: &House,
    archive: &Archive,
    head: &ObjectHead,
    how: How,
) -> Result<Option<&'static str>, Error> {
    let whole = is_whole(head);
    if whole && head.size != archive.size || !whole && !needs_copy(archive) {
        return Ok(Some("what stands under its key is not what the catalog says: find out who wrote it"));
    }
    if let Some(why) = unprotected(house, archive.size, &archive.part_bytes, how) {
        return Ok(Some(why));
    }
    let numbered = head.version.as_ref().is_some_and(|version| !version.is_null());
    if how.versioning != Versioning::Suspended || !numbered {
        return Ok(None);
    }
    let versions = house.store.versions(&archive.bucket, &archive.key, KEY_VERSIONS_MAX).await?;
    let others = versions.iter().any(|listed| listed.version.is_null());
    Ok(others.then_some(
        "versioning is suspended, and what is written would replace the version null of its key: enable versioning, \
         or delete that version",
    ))
}

/// What goes back in parts is put there by the completion of an upload, whose condition is another one than a PUT's.
fn unprotected(house: &House, size: u64, part_bytes: &[u64], how: How) -> Option<&'static str> {
    let in_parts = !part_bytes.is_empty() || size > PUT_BYTES_MAX;
    let protected = !how.conditional || house.store.capabilities().complete_if_match;
    (in_parts && !protected).then_some(
        "it goes back in parts, and the store is not known to heed a condition when an upload is completed: stop those \
         who write past the gateway and say that the bucket is exclusive, or, if the store was upgraded or never asked \
         about this, have it probed anew (tapegate doctor --probe)",
    )
}

async fn attempt(
    house: &House,
    archive: Archive,
    stub: ObjectHead,
    how: How,
    gate: Gate,
) -> Result<Brought, Error> {
    let headers = headers(&archive, &stub);
    let whole = is_whole(&stub);
    let target = current(&archive);
    let mut part_bytes = archive.part_bytes.clone();
    if whole && archive.state.stage() != ArchiveStage::Archived && part_bytes.is_empty() {
        part_bytes = house.store.part_bytes(&target, &stub.etag).await?;
    }
    if let Some(why) = unprotected(house, archive.size, &part_bytes, how) {
        return Err(Error::Stuck { reason: why.to_owned() });
    }
    let back = BringBack {
        target,
        etag: stub.etag.clone(),
        conditional: how.conditional,
        headers: headers.clone(),
        size: archive.size,
        original: original(&archive, &stub),
        part_bytes,
        source: if whole { BackFrom::Itself } else { BackFrom::Copy(archive.id) },
    };
    if how.conditional {
        canary::hear(house).await?;
    }
    house.catalog.commit(vec![Change::Touch(archive.id)]).await?;
    let answer = house.store.bring_back(back).await;
    let in_doubt = matches!(answer, Err(StoreError::Doubt { .. }));
    if let Err(error) = &answer {
        tracing::warn!(archive = %archive.id, error = chain(error), "an object was not brought back");
    }
    if in_doubt {
        // The row stays as it is: touched, to be looked at when nothing of the attempt can arrive any more.
        hold(gate, house.settings.store_deadline);
        return Ok(Brought::Waits);
    }
    let looked = look(house, &archive, &headers, answer.as_ref().ok()).await?;
    match answer {
        Err(error @ (StoreError::Refused { .. } | StoreError::Full { .. })) if looked == Brought::Waits => {
            Err(error.into())
        }
        // Somebody took the copy away: another one is asked for.
        Err(StoreError::Missing { .. }) if looked == Brought::Waits => {
            lapse::end_of(house, archive.id).await?;
            Ok(looked)
        }
        _ => Ok(looked),
    }
}

/// Looks at what was written.
async fn look(
    house: &House,
    archive: &Archive,
    headers: &[(String, String)],
    told: Option<&ETag>,
) -> Result<Brought, Error> {
    let Some(seen) = house.store.inspect(&current(archive)).await? else { return Ok(Brought::Waits) };
    if !is_back(archive, &seen, headers, told) {
        return Ok(Brought::Waits);
    }
    if seen.headers != headers {
        tracing::warn!(
            archive = %archive.id, bucket = %archive.bucket, key = %archive.key,
            "the store did not keep every header, tag or grant of an object that was brought back"
        );
    }
    over(house, archive).await
}

/// Something else is current. A stub that stands beneath what was brought back is taken away; one beneath a client's
/// version must stay: what is written would stand above that.
async fn beneath(house: &House, archive: Archive, seen: Option<ObjectHead>) -> Result<Brought, Error> {
    let Some(target) = stub_beneath(house, &archive).await? else {
        // A client's write won: the row is looked at again, and ends.
        house.catalog.commit(vec![Change::Touch(archive.id)]).await?;
        return Ok(Brought::Waits);
    };
    if let (Some(seen), Some(stub)) = (seen, house.store.inspect(&target).await?) {
        let headers = headers(&archive, &stub);
        if is_back(&archive, &seen, &headers, None) || is_same(house, &archive, &seen, &headers).await? {
            return over(house, &archive).await;
        }
    }
    let reason = "a newer version or a delete marker stands above it, and what is brought back would stand above that: \
                  delete the archived version, or what stands above";
    Err(Error::Stuck { reason: reason.to_owned() })
}

/// The object stands under its key: its stub beneath goes, and its row is history.
async fn over(house: &House, archive: &Archive) -> Result<Brought, Error> {
    if let Some(target) = stub_beneath(house, archive).await? {
        house.store.remove_version(&target).await?;
    }
    let mut archive = house.archive(archive.id).await?;
    let end = match archive.state.stage() {
        ArchiveStage::Archived => ArchiveState::Dead,
        stage if stage.is_live() => ArchiveState::Withdrawn,
        _ => return Ok(Brought::Back),
    };
    let mut next = archive.clone();
    next.advance(end, house.now());
    next.touched = false;
    house.save(&mut archive, next).await?;
    lapse::end_of(house, archive.id).await?;
    Ok(Brought::Back)
}

/// This archive's stub as a version of its own. Where a bucket keeps no versions there is none once the object is back.
async fn stub_beneath(house: &House, archive: &Archive) -> Result<Option<ObjectRef>, Error> {
    if !house.store.capabilities().versions {
        return Ok(None);
    }
    let numbered = held(archive).version;
    for version in numbered.into_iter().chain([VersionId::null()]) {
        let target = ObjectRef { version: Some(version), ..current(archive) };
        if house.store.head(&target).await?.is_some_and(|head| is_ours(archive, &head)) {
            return Ok(Some(target));
        }
    }
    Ok(None)
}

/// Whether this is the object: its ETag was told for the write just made, or is the original's and everything else is
/// as well (a client that wrote all the same again lost nothing).
fn is_back(archive: &Archive, head: &ObjectHead, headers: &[(String, String)], told: Option<&ETag>) -> bool {
    let as_told = told.is_some_and(|told| *told == head.etag);
    let as_it_was = archive.identity.as_ref().is_some_and(|identity| identity.etag == head.etag);
    let same = as_told || as_it_was && head.headers == headers;
    head.marker.is_none() && head.size == archive.size && same
}

/// Whether what stands there is the object byte for byte. The ETag of what was written in other parts than the client's
/// is known from the store's answer alone, which may have been lost.
async fn is_same(
    house: &House,
    archive: &Archive,
    head: &ObjectHead,
    headers: &[(String, String)],
) -> Result<bool, Error> {
    let alike = head.marker.is_none() && head.size == archive.size && head.headers == headers;
    if !alike || house.store.copy_bytes(archive.id).await? != Some(archive.size) {
        return Ok(false);
    }
    let target = ObjectRef { version: head.version.clone(), ..current(archive) };
    let there = house.store.read(&target, &head.etag, 0..head.size).await?;
    let copy = house.store.read_copy(archive.id, 0..head.size).await?;
    same_bytes(there, copy).await.map_err(|source| {
        let what = format!("comparison of {}/{} with its restored copy", archive.bucket, archive.key);
        StoreError::Doubt { what, source: source.into() }.into()
    })
}

/// Whether both streams are of the same bytes, in whatever pieces.
async fn same_bytes(mut one: ByteStream, mut other: ByteStream) -> Result<bool, BodyError> {
    let (mut left, mut right) = (Bytes::new(), Bytes::new());
    loop {
        if left.is_empty() {
            left = piece(&mut one).await?;
        }
        if right.is_empty() {
            right = piece(&mut other).await?;
        }
        let length = left.len().min(right.len());
        if length == 0 {
            return Ok(left.is_empty() && right.is_empty());
        }
        if left.split_to(length) != right.split_to(length) {
            return Ok(false);
        }
    }
}

/// The next piece that is not empty; an empty one at the end.
async fn piece(stream: &mut ByteStream) -> Result<Bytes, BodyError> {
    while let Some(piece) = stream.next().await {
        let piece = piece?;
        if !piece.is_empty() {
            return Ok(piece);
        }
    }
    Ok(Bytes::new())
}

/// What the stub carries for the object, and what it had no room for.
fn headers(archive: &Archive, stub: &ObjectHead) -> Headers {
    let mut headers = stub.headers.clone();
    headers.extend(archive.displaced_metadata.iter().cloned());
    headers.sort();
    headers
}

fn original(archive: &Archive, stub: &ObjectHead) -> ETag {
    archive.identity.as_ref().map_or(&stub.etag, |identity| &identity.etag).clone()
}
