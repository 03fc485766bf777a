//! The flip: hot bytes are replaced by a stub, under the key's gate, and only evidence says how it ended.
//!
//! 1. close the key's gate: nothing is in flight, new mutations wait
//! 2. ask what a write comes to in the bucket, which is not switched while the gate is held; look at the object;
//!    anything but the identity that was packed withdraws the archive
//! 3. write down `Flipping` with the attempt's deadline
//! 4. send the stub
//! 5. look again: our id is evidence; another identity is, once the deadline has passed, and so is nothing at all when
//!    it is seen for a while; the rest is doubt
//! 6. where the stub was written as a version of its own, put the versions in order
//!
//! Evidence alone does not end a flip by PUT whose answer was lost: the message may still be on its way a second time,
//! and a client that wrote the same bytes again meanwhile would meet its condition.
//!
//! In doubt the gate stays closed, over restarts too, until [`settle`] finds evidence. Where an attempt is known to have
//! done nothing there is no doubt: the key is open until the next attempt, which closes it again and looks first.

use model::archive::{ArchiveStage, Standing};
use model::bucket::{self, Mode, Versioning};
use model::fence::Gate;
use model::marker::{self, Marker, MarkerKind, Original};
use model::store::{Flip, FlipContent, ObjectHead, ObjectRef, StoreError};
use model::{Archive, ArchiveId, ArchiveState, BodyError, Identity, Timestamp};

use std::time::Duration;

use futures_util::TryStreamExt;

use crate::buckets::{self, Leave};
use crate::canary;
use crate::error::Error;
use crate::fit;
use crate::gates::Held;
use crate::house::{House, current, held};
use crate::seals;
use crate::set_aside::{set_aside, wait_milliseconds};
use crate::versions::{self, Place};
use crate::wait::Wait;

/// How a flip or another look at one ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flipped {
    /// The stub stands.
    Archived,
    /// A client's write won.
    Withdrawn,
    /// No evidence yet; the key's gate stays closed.
    Doubt,
    /// Nothing is in doubt; the key is open until the next attempt or look.
    Waits,
}

/// Flips an archive whose copies are all on tape.
///
/// `Err` before the stub was sent leaves the archive `Taped`, to be tried again.
pub(crate) async fn flip(house: &House, mut archive: Archive) -> Result<Flipped, Error> {
    // Hot bytes stay as long as what is on tape could not be opened.
    if let Some(error) = seals::objection_to_rely_on(house, &archive).await? {
        return Err(error);
    }
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
    let seen = head.is_some();
    if seen {
        house.gates.is_there(archive.id);
    }
    let Some(head) = head.filter(|head| is_unchanged(&archive, head)) else {
        return passed_over(house, archive, seen).await;
    };
    let objection = match fit::objection(house, &archive, leave.versioning, &head).await? {
        None if leave.versioning != Versioning::Off => versions::objection(house, &archive).await?,
        found => found,
    };
    if let Some(objection) = objection {
        set_aside(house, archive.id, &objection).await?;
        return Ok(Flipped::Waits);
    }
    attempt(house, archive, head, 1, gate, leave).await
}

/// Another object stands under the key, or none. A direct write lives on under it as the version it is, and is flipped
/// should it become current again.
async fn passed_over(house: &House, mut archive: Archive, seen: bool) -> Result<Flipped, Error> {
    let waits = lives_on(house, &archive).await? || archive.direct && !seen && !is_gone(house, &archive);
    if waits {
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
    let (gate, end) = match house.gates.take(archive.id) {
        Some(Held::Closed(gate, wait)) => (gate, End::After(wait)),
        open => match (house.fence.close(&archive.bucket, &archive.key).await, open) {
            (Ok(gate), Some(Held::Open { attempt })) => (gate, End::Of(attempt)),
            (Ok(gate), _) => (gate, End::After(Wait::of(remaining(house, &archive)))),
            (Err(busy), open) => {
                house.gates.put_back(archive.id, open);
                return Err(busy.into());
            }
        },
    };
    match (look_again(house, archive.id, &end).await, end) {
        (Ok((_, Look::Over(flipped))), _) => Ok(flipped),
        (Ok((archive, Look::Again(number, head))), _) => again(house, archive, *head, number, gate).await,
        (Ok((archive, Look::Waits(number))), _) => Ok(rest_open(house, &archive, number, gate)),
        (Ok((archive, Look::Doubt)), end) => {
            let wait = match end {
                End::After(wait) => wait,
                End::Of(_) => Wait::of(remaining(house, &archive)),
            };
            house.gates.keep(archive.id, gate, wait);
            Ok(Flipped::Doubt)
        }
        (Err(error), End::Of(attempt)) => {
            house.gates.open(archive.id, attempt, gate);
            Err(error)
        }
        (Err(error), End::After(wait)) => {
            house.gates.keep(archive.id, gate, wait);
            Err(error)
        }
    }
}

/// When a flip's latest attempt can no longer arrive.
enum End {
    /// This attempt cannot any more.
    Of(u32),
    /// Once the time has passed.
    After(Wait),
}

/// How long a message of the latest attempt may still arrive, by a clock that may have been set since.
pub(crate) fn remaining(house: &House, archive: &Archive) -> Duration {
    let ArchiveState::Flipping { deadline, .. } = archive.state else { return Duration::ZERO };
    let left = deadline.milliseconds().saturating_sub(house.now().milliseconds());
    Duration::from_millis(u64::try_from(left).unwrap_or(0)).min(at_most(house))
}

/// How long a message may arrive that is about to be sent: its answer is waited for, and from then on it may still be
/// on its way as long.
fn at_most(house: &House) -> Duration {
    house.settings.store_deadline * 2
}

/// With the key's gate closed, since when the row may have moved on.
async fn look_again(house: &House, id: ArchiveId, end: &End) -> Result<(Archive, Look), Error> {
    let mut archive = house.archive(id).await?;
    let over = match end {
        End::Of(number) => {
            matches!(archive.state, ArchiveState::Flipping { attempt, .. } if attempt == *number)
        }
        End::After(wait) => wait.is_over(),
    };
    let look = look(house, &mut archive, over).await?;
    Ok((archive, look))
}

/// The hot object stands, and nothing sent can change that any more.
async fn again(
    house: &House,
    mut archive: Archive,
    head: ObjectHead,
    number: u32,
    gate: Gate,
) -> Result<Flipped, Error> {
    let leave = buckets::leave(house, &archive.bucket).await?;
    let objection = fit::objection(house, &archive, leave.versioning, &head).await?;
    if leave.migrates && objection.is_none() {
        return attempt(house, archive, head, number + 1, gate, leave).await;
    }
    let drained = house.terms(&archive.bucket).await?.mode == Mode::Draining;
    if drained && !archive.direct {
        house.advance(&mut archive, ArchiveState::Withdrawn).await?;
        return Ok(Flipped::Withdrawn);
    }
    let waits = rest_open(house, &archive, number, gate);
    objection.map_or(Ok(waits), Err)
}

/// Opens the key until the next look, a while later.
fn rest_open(house: &House, archive: &Archive, number: u32, gate: Gate) -> Flipped {
    house.gates.open(archive.id, number, gate);
    let later = house.now().plus_milliseconds(milliseconds(house.settings.retry_after));
    house.later.rest(archive.id, later);
    Flipped::Waits
}

/// What a look at the store says of a flip.
enum Look {
    Over(Flipped),
    /// After this attempt the hot object still stands, and nothing can change that any more but another attempt.
    Again(u32, Box<ObjectHead>),
    /// This attempt left no stub and can leave none any more, but the archive may still speak for an object.
    Waits(u32),
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
    let deadline = house.now().plus_milliseconds(milliseconds(at_most(house)));
    let mut next = archive.clone();
    next.identity = Some(identity);
    next.displaced_metadata = displaced;
    next.advance(ArchiveState::Flipping { attempt: number, deadline }, house.now());
    if let Err(error) = house.save(&mut archive, next).await {
        // Nothing was sent. A row already in Flipping keeps its gate until it is read again; one that was Taped is
        // simply tried again.
        if archive.state.stage() == ArchiveStage::Flipping {
            house.gates.keep(archive.id, gate, Wait::of(Duration::ZERO));
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
    let looked = look(house, &mut archive, over).await;
    match looked {
        Ok(Look::Over(flipped)) => {
            if flipped == Flipped::Archived {
                house.refusals.taken(&archive.bucket, archive.id);
            }
            Ok(flipped)
        }
        // The key is open until the next attempt; a client's write meanwhile is seen before that one.
        Ok(Look::Again(number, _) | Look::Waits(number)) => {
            house.gates.open(archive.id, number, gate);
            Ok(put_off(house, &archive, answer.err().as_ref()))
        }
        Ok(Look::Doubt) => {
            house.gates.keep(archive.id, gate, Wait::of(house.settings.store_deadline));
            Ok(Flipped::Doubt)
        }
        Err(error) => {
            house.gates.keep(archive.id, gate, Wait::of(house.settings.store_deadline));
            Err(error)
        }
    }
}

/// Notes that a flip did nothing, and lets it rest: longer each time the store refuses this one.
fn put_off(house: &House, archive: &Archive, answer: Option<&StoreError>) -> Flipped {
    let (now, pause) = (house.now(), milliseconds(house.settings.retry_after));
    let refused = matches!(answer, Some(StoreError::Refused { .. }));
    let failures = if refused { house.trouble.archive_failed(archive.id) } else { 1 };
    let again = now.plus_milliseconds(wait_milliseconds(pause, failures));
    house.later.rest(archive.id, again);
    match answer {
        Some(StoreError::Full { .. }) => house.refusals.full(&archive.bucket, again),
        Some(error @ StoreError::Refused { .. }) => {
            house.refusals.refused(archive, crate::error::chain(error), now, again);
        }
        // It did not change. Perhaps the bucket did, by other ways than ours, and its conditions with it.
        Some(StoreError::Changed { .. }) => {
            house.buckets.forget(&archive.bucket);
            return Flipped::Doubt;
        }
        _ => return Flipped::Doubt,
    }
    Flipped::Waits
}

/// Reads the object and acts on evidence. `over` says that the last attempt cannot arrive later any more.
async fn look(house: &House, archive: &mut Archive, over: bool) -> Result<Look, Error> {
    let ArchiveState::Flipping { attempt, .. } = archive.state else {
        return Ok(Look::Over(Flipped::Doubt));
    };
    let seen = house.store.inspect(&target(house, archive)).await?;
    if seen.is_some() {
        house.gates.is_there(archive.id);
    }
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
            Place::Free if lives_on(house, archive).await? => {
                untouched(house, archive).await?;
                Ok(Look::Waits(attempt))
            }
            Place::Free if seen.is_none() && !is_gone(house, archive) => Ok(Look::Waits(attempt)),
            Place::Free => {
                house.advance(archive, ArchiveState::Withdrawn).await?;
                Ok(Look::Over(Flipped::Withdrawn))
            }
        },
        _ => Ok(Look::Doubt),
    }
}

/// Whether a direct write is there although another object stands under its key.
async fn lives_on(house: &House, archive: &Archive) -> Result<bool, Error> {
    let ours = |head: &ObjectHead| head.marker.as_ref().is_some_and(|marker| marker.archive == archive.id);
    let lives = archive.direct && versions::find(house, archive, ours).await?.is_some();
    if lives {
        house.gates.is_there(archive.id);
    }
    Ok(lives)
}

/// Whether an object that was not seen is gone: a store that is not ours may not show for a while what it has, and
/// without its row what stands there would be nobody's.
pub(crate) fn is_gone(house: &House, archive: &Archive) -> bool {
    house.store.capabilities().in_place || house.gates.is_gone(archive.id, house.settings.store_deadline)
}

/// What a client changed was seen.
async fn untouched(house: &House, archive: &mut Archive) -> Result<(), Error> {
    if !archive.touched {
        return Ok(());
    }
    let next = Archive { touched: false, ..archive.clone() };
    house.save(archive, next).await
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
