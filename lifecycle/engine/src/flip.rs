//! The flip: hot bytes are replaced by a stub, under the key's gate, and only evidence says how it ended.
//!
//! 1. close the key's gate: nothing is in flight, new mutations wait
//! 2. ask what a write comes to in the bucket, which is not switched while the gate is held; look at the object;
//!    anything but the identity that was packed withdraws the archive
//! 3. write down `Flipping` with the attempt's deadline
//! 4. send the stub
//! 5. look again: our id is evidence; another identity is, once the deadline has passed; the rest is doubt
//! 6. where the stub was written as a version of its own, put the versions in order
//!
//! Evidence alone does not end a flip by PUT whose answer was lost: the message may still be on its way a second time,
//! and a client that wrote the same bytes again meanwhile would meet its condition.
//!
//! In doubt the gate stays closed, over restarts too, until [`settle`] finds evidence. Where an attempt is known to have
//! done nothing there is no doubt: the key is open until the next attempt, which closes it again and looks first.

use model::archive::{ArchiveStage, Standing};
use model::bucket::{self, Mode};
use model::fence::Gate;
use model::marker::{self, Marker, MarkerKind, Original};
use model::store::{Flip, FlipContent, ObjectHead, ObjectRef, StoreError};
use model::{Archive, ArchiveId, ArchiveState, BodyError, Identity, Timestamp};

use futures_util::TryStreamExt;

use crate::buckets::{self, Leave};
use crate::canary;
use crate::error::Error;
use crate::fit;
use crate::gates::Held;
use crate::house::{House, current, held};
use crate::set_aside::set_aside;
use crate::versions::{self, Place};

/// How a flip or another look at one ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flipped {
    /// The stub stands.
    Archived,
    /// A client's write won.
    Withdrawn,
    /// No evidence yet; the key's gate stays closed.
    Doubt,
    /// The store refused and nothing happened; the key is open until the next attempt.
    Refused,
    /// A refused one that waits for its next attempt.
    Waits,
}

/// Flips an archive whose copies are all on tape.
///
/// `Err` before the stub was sent leaves the archive `Taped`, to be tried again.
pub(crate) async fn flip(house: &House, mut archive: Archive) -> Result<Flipped, Error> {
    let gate = house.fence.close(&archive.bucket, &archive.key).await?;
    // A mutation may have come between the reading of the row and the gate.
    archive = house.archive(archive.id).await?;
    if archive.state.stage() != ArchiveStage::Taped {
        return Ok(Flipped::Waits);
    }
    let leave = buckets::leave(house, &archive.bucket).await?;
    if !leave.migrates {
        return Ok(Flipped::Waits);
    }
    let head = house.store.inspect(&target(house, &archive)).await?;
    let Some(head) = head.filter(|head| is_unchanged(&archive, head)) else {
        return passed_over(house, archive).await;
    };
    if let Some(objection) = fit::objection(house, leave.versioning, &head) {
        set_aside(house, archive.id, &objection).await?;
        return Ok(Flipped::Waits);
    }
    attempt(house, archive, head, 1, gate, leave).await
}

/// Another object stands under the key. A direct write lives on under it as the version it is, and is flipped should
/// it become current again.
async fn passed_over(house: &House, mut archive: Archive) -> Result<Flipped, Error> {
    let ours = |head: &ObjectHead| head.marker.as_ref().is_some_and(|marker| marker.archive == archive.id);
    if archive.direct && versions::find(house, &archive, ours).await?.is_some() {
        let later = house.now().plus_milliseconds(milliseconds(house.settings.retry_after));
        house.later.rest(archive.id, later);
        return Ok(Flipped::Waits);
    }
    house.advance(&mut archive, ArchiveState::Withdrawn).await?;
    Ok(Flipped::Withdrawn)
}

/// Looks at a flip in doubt, and sends the stub again when the last attempt can no longer arrive.
pub(crate) async fn settle(house: &House, archive: Archive) -> Result<Flipped, Error> {
    // A refused flip is not repeated at once; a client's write ends it at once.
    if !archive.touched && house.later.rests(archive.id, house.now()) {
        return Ok(Flipped::Waits);
    }
    let (gate, over) = match house.gates.take(archive.id) {
        Some(Held::Closed(gate)) => (gate, None),
        Some(Held::Open { attempt }) => match house.fence.close(&archive.bucket, &archive.key).await {
            Ok(gate) => (gate, Some(attempt)),
            Err(busy) => {
                house.gates.still_open(archive.id, attempt);
                return Err(busy.into());
            }
        },
        None => (house.fence.close(&archive.bucket, &archive.key).await?, None),
    };
    match look_again(house, archive.id, over).await {
        Ok((_, Look::Over(flipped))) => Ok(flipped),
        Ok((archive, Look::Again(number, head))) => {
            let leave = buckets::leave(house, &archive.bucket).await?;
            let objection = fit::objection(house, leave.versioning, &head);
            if leave.migrates && objection.is_none() {
                return attempt(house, archive, *head, number + 1, gate, leave).await;
            }
            let drained = house.terms(&archive.bucket).await?.mode == Mode::Draining;
            if drained && !archive.direct {
                // The hot object stands, and nothing sent can change that any more.
                let mut archive = archive;
                house.advance(&mut archive, ArchiveState::Withdrawn).await?;
                return Ok(Flipped::Withdrawn);
            }
            house.gates.open(archive.id, number, gate);
            let again = house.now().plus_milliseconds(milliseconds(house.settings.retry_after));
            house.later.rest(archive.id, again);
            objection.map_or(Ok(Flipped::Waits), Err)
        }
        Ok((archive, Look::Doubt)) => {
            house.gates.keep(archive.id, gate);
            Ok(Flipped::Doubt)
        }
        Err(error) => {
            match over {
                Some(attempt) => house.gates.open(archive.id, attempt, gate),
                None => house.gates.keep(archive.id, gate),
            }
            Err(error)
        }
    }
}

/// With the key's gate closed, since when the row may have moved on. `over` names an attempt known to be over.
async fn look_again(house: &House, id: ArchiveId, over: Option<u32>) -> Result<(Archive, Look), Error> {
    let mut archive = house.archive(id).await?;
    let over = matches!(archive.state, ArchiveState::Flipping { attempt, .. } if over == Some(attempt));
    let look = look(house, &mut archive, over).await?;
    Ok((archive, look))
}

/// What a look at the store says of a flip.
enum Look {
    Over(Flipped),
    /// After this attempt the hot object still stands, and nothing can change that any more but another attempt.
    Again(u32, Box<ObjectHead>),
    Doubt,
}

async fn attempt(
    house: &House,
    mut archive: Archive,
    head: ObjectHead,
    number: u32,
    gate: Gate,
    leave: Leave,
) -> Result<Flipped, Error> {
    let (identity, displaced) = (Identity::of(&head), displaced(house, &head));
    let flip = match prepare(house, &archive, head, leave).await {
        Ok(flip) => flip,
        Err(error) => {
            // Nothing of this attempt was sent, and the one before is over. One that was Taped is simply tried again.
            if let ArchiveState::Flipping { attempt, .. } = archive.state {
                house.gates.open(archive.id, attempt, gate);
            }
            return Err(error);
        }
    };
    let deadline = house.now().plus_milliseconds(milliseconds(house.settings.store_deadline));
    let mut next = archive.clone();
    next.identity = Some(identity);
    next.displaced_metadata = displaced;
    next.advance(ArchiveState::Flipping { attempt: number, deadline }, house.now());
    if let Err(error) = house.save(&mut archive, next).await {
        // A row already in Flipping keeps its gate; one that was Taped is simply tried again.
        if archive.state.stage() == ArchiveStage::Flipping {
            house.gates.keep(archive.id, gate);
        }
        return Err(error);
    }
    let answer = house.store.flip(flip).await;
    // Only these promise that nothing of this attempt can arrive later.
    let over = matches!(
        answer,
        Ok(()) | Err(StoreError::Changed { .. } | StoreError::Refused { .. } | StoreError::Full { .. })
    );
    if let Err(error) = &answer {
        tracing::warn!(archive = %archive.id, error = crate::error::chain(error), "flip not acknowledged");
    }
    match look(house, &mut archive, over).await {
        Ok(Look::Over(flipped)) => {
            if flipped == Flipped::Archived {
                house.refusals.taken();
            }
            Ok(flipped)
        }
        // The key is open until the next attempt; a client's write meanwhile is seen before that one.
        Ok(Look::Again(number, _)) => {
            house.gates.open(archive.id, number, gate);
            Ok(put_off(house, &archive, answer.err().as_ref()))
        }
        Ok(Look::Doubt) => {
            house.gates.keep(archive.id, gate);
            Ok(Flipped::Doubt)
        }
        Err(error) => {
            house.gates.keep(archive.id, gate);
            Err(error)
        }
    }
}

/// Notes that a flip did nothing, and lets it rest.
fn put_off(house: &House, archive: &Archive, answer: Option<&StoreError>) -> Flipped {
    let again = house.now().plus_milliseconds(milliseconds(house.settings.retry_after));
    house.later.rest(archive.id, again);
    match answer {
        Some(StoreError::Full { .. }) => house.refusals.refused(Some(again)),
        Some(StoreError::Refused { .. }) => house.refusals.refused(None),
        // It did not change. Perhaps the bucket did, by other ways than ours, and its conditions with it.
        Some(StoreError::Changed { .. }) => {
            house.buckets.forget(&archive.bucket);
            return Flipped::Doubt;
        }
        _ => return Flipped::Doubt,
    }
    Flipped::Refused
}

/// Reads the object and acts on evidence. `over` says that the last attempt cannot arrive later any more.
async fn look(house: &House, archive: &mut Archive, over: bool) -> Result<Look, Error> {
    let ArchiveState::Flipping { attempt, deadline } = archive.state else {
        return Ok(Look::Over(Flipped::Doubt));
    };
    let seen = house.store.inspect(&target(house, archive)).await?;
    let over = over || house.now() > deadline;
    match seen {
        Some(head) if is_ours(archive, &head) && house.store.capabilities().in_place => {
            archived(house, archive, &head).await
        }
        Some(head) if !is_ours(archive, &head) && is_unchanged(archive, &head) => {
            Ok(if over { Look::Again(attempt, Box::new(head)) } else { Look::Doubt })
        }
        seen if over => match versions::take_place(house, archive, seen.as_ref()).await? {
            Place::Taken(head) => archived(house, archive, &head).await,
            Place::Undone => Ok(Look::Doubt),
            Place::Free => {
                house.advance(archive, ArchiveState::Withdrawn).await?;
                Ok(Look::Over(Flipped::Withdrawn))
            }
        },
        _ => Ok(Look::Doubt),
    }
}

async fn archived(house: &House, archive: &mut Archive, stub: &ObjectHead) -> Result<Look, Error> {
    let mut next = archive.clone();
    next.standing = Some(standing(stub));
    next.advance(ArchiveState::Archived, house.now());
    house.save(archive, next).await?;
    Ok(Look::Over(Flipped::Archived))
}

/// What a flip replaces: a swap in place names its version, also below others; a PUT replaces what is current.
fn target(house: &House, archive: &Archive) -> ObjectRef {
    if !house.store.capabilities().in_place {
        return current(archive);
    }
    let begun = archive.state.stage() == ArchiveStage::Flipping;
    match archive.identity.as_ref().and_then(|identity| identity.version.clone()) {
        Some(version) if begun => ObjectRef { version: Some(version), ..current(archive) },
        _ => held(archive),
    }
}

/// Whether the object is the one that was packed. The bytes of a direct write bear their archive's id: its tags and
/// ACL may have changed since, and its date with them, and the stub takes them over as they are now.
fn is_unchanged(archive: &Archive, head: &ObjectHead) -> bool {
    let Some(packed) = &archive.identity else { return false };
    let seen = Identity::of(head);
    let direct = archive.direct && head.marker.as_ref().is_some_and(|marker| marker.archive == archive.id);
    match direct {
        true => (&packed.etag, &packed.version) == (&seen.etag, &seen.version),
        false => *packed == seen,
    }
}

/// User metadata the stub will not carry.
fn displaced(house: &House, head: &ObjectHead) -> Vec<(String, String)> {
    if house.store.capabilities().in_place { Vec::new() } else { marker::displaced(&head.headers) }
}

/// Whether what stands under the key is the end this archive's flip wants.
pub(crate) fn is_ours(archive: &Archive, head: &ObjectHead) -> bool {
    head.marker.as_ref().is_some_and(|marker| {
        marker.archive == archive.id && (marker.kind == MarkerKind::Stub || archive.keeps_bytes())
    })
}

/// What a listing will show of `head`.
pub(crate) fn standing(head: &ObjectHead) -> Standing {
    Standing {
        etag: head.etag.clone(),
        last_modified_seconds: head.last_modified.seconds(),
        version: head.version.clone(),
    }
}

async fn prepare(house: &House, archive: &Archive, head: ObjectHead, leave: Leave) -> Result<Flip, Error> {
    canary::hear(house).await?;
    let mut target = target(house, archive);
    if house.store.capabilities().in_place {
        target.version = head.version.clone();
    }
    let conditional = bucket::conditional(&house.store.capabilities(), leave.versioning);
    let (kind, content) = if archive.keeps_bytes() {
        let stream = house.store.read(&target, &head.etag, 0..head.size).await?;
        let bytes = stream
            .try_fold(Vec::new(), |mut all, piece| async move {
                all.extend_from_slice(&piece);
                Ok::<_, BodyError>(all)
            })
            .await
            .map_err(|source| StoreError::Doubt {
                what: format!("read of {}", archive.key),
                source: source.into(),
            })?;
        (MarkerKind::Whole, FlipContent::Whole(bytes.into()))
    } else {
        (MarkerKind::Stub, FlipContent::Stub)
    };
    let original = Original {
        size: archive.size,
        etag: head.etag.clone(),
        last_modified: archive.last_modified.unwrap_or(head.last_modified),
    };
    let marker = Marker { kind, archive: archive.id, class: archive.class, original: Some(original) };
    Ok(Flip { target, head, conditional, marker, content })
}

pub(crate) fn milliseconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Whether the grace between tape and flip is over.
pub(crate) fn grace_is_over(archive: &Archive, now: Timestamp, grace: std::time::Duration) -> bool {
    now >= archive.since.plus_milliseconds(milliseconds(grace))
}
