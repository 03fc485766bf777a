//! The flip: hot bytes are replaced by a stub, under the key's gate, and only evidence says how it ended.
//!
//! 1. close the key's gate: nothing is in flight, new mutations wait
//! 2. look at the object; anything but the identity that was packed withdraws the archive
//! 3. write down `Flipping` with the attempt's deadline
//! 4. send the stub
//! 5. look again: our id is evidence; another identity is, once the deadline has passed; the rest is doubt
//!
//! In doubt the gate stays closed, over restarts too, until [`settle`] finds evidence.

use model::archive::{ArchiveStage, Standing};
use model::fence::Gate;
use model::marker::{Marker, MarkerKind, Original};
use model::store::{Flip, FlipContent, ObjectHead, StoreError};
use model::{Archive, ArchiveState, BodyError, Identity, Timestamp};

use futures_util::TryStreamExt;

use crate::error::Error;
use crate::house::{House, current};

/// How a flip or another look at one ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flipped {
    /// The stub stands.
    Archived,
    /// A client's write won.
    Withdrawn,
    /// No evidence yet; the key's gate stays closed.
    Doubt,
}

/// Flips an archive whose copies are all on tape.
///
/// `Err` before the stub was sent leaves the archive `Taped`, to be tried again.
pub async fn flip(house: &House, mut archive: Archive) -> Result<Flipped, Error> {
    let gate = house.fence.close(&archive.bucket, &archive.key).await?;
    // A mutation may have come between the reading of the row and the gate.
    archive = house.archive(archive.id).await?;
    if archive.state.stage() != ArchiveStage::Taped {
        return Ok(Flipped::Doubt);
    }
    let head = house.store.head(&current(&archive)).await?;
    let Some(head) = head.filter(|head| archive.identity.as_ref() == Some(&Identity::of(head))) else {
        house.advance(&mut archive, ArchiveState::Withdrawn).await?;
        return Ok(Flipped::Withdrawn);
    };
    attempt(house, archive, head, 1, gate).await
}

/// Looks at a flip in doubt, and sends the stub again when the last attempt can no longer arrive.
pub async fn settle(house: &House, archive: Archive) -> Result<Flipped, Error> {
    let gate = match house.gates.take(archive.id) {
        Some(gate) => gate,
        None => house.fence.close(&archive.bucket, &archive.key).await?,
    };
    match look(house, archive, false, gate).await? {
        Look::Over(flipped) => Ok(flipped),
        Look::Again(again) => {
            let Again { archive, head, attempt: number, gate } = *again;
            attempt(house, archive, head, number + 1, gate).await
        }
    }
}

/// What a look at the store says of a flip.
enum Look {
    Over(Flipped),
    /// The hot object still stands and nothing can change that any more but another attempt.
    Again(Box<Again>),
}

struct Again {
    archive: Archive,
    head: ObjectHead,
    attempt: u32,
    gate: Gate,
}

async fn attempt(
    house: &House,
    mut archive: Archive,
    head: ObjectHead,
    number: u32,
    gate: Gate,
) -> Result<Flipped, Error> {
    let deadline = house.now().plus_milliseconds(milliseconds(house.settings.store_deadline));
    let flip = prepare(house, &archive, head).await?;
    let flipping = ArchiveState::Flipping { attempt: number, deadline };
    if let Err(error) = house.advance(&mut archive, flipping).await {
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
    match look(house, archive, over, gate).await? {
        Look::Over(flipped) => Ok(flipped),
        Look::Again(again) => {
            house.gates.keep(again.archive.id, again.gate);
            Ok(Flipped::Doubt)
        }
    }
}

/// Reads the object and acts on evidence. `over` says that the last attempt cannot arrive later any more.
async fn look(house: &House, mut archive: Archive, over: bool, gate: Gate) -> Result<Look, Error> {
    let ArchiveState::Flipping { attempt, deadline } = archive.state else {
        return Ok(Look::Over(Flipped::Doubt));
    };
    let seen = house.store.head(&current(&archive)).await;
    let over = over || house.now() > deadline;
    let result = match seen {
        Err(error) => Err(error.into()),
        Ok(Some(head)) if is_ours(&archive, &head) => {
            let mut next = archive.clone();
            next.standing = Some(standing(&head));
            next.advance(ArchiveState::Archived, house.now());
            house.save(&mut archive, next).await.map(|()| Some(Flipped::Archived))
        }
        Ok(Some(head)) if archive.identity.as_ref() == Some(&Identity::of(&head)) => {
            if over {
                return Ok(Look::Again(Box::new(Again { archive, head, attempt, gate })));
            }
            Ok(None)
        }
        Ok(_) if over => {
            house.advance(&mut archive, ArchiveState::Withdrawn).await.map(|()| Some(Flipped::Withdrawn))
        }
        Ok(_) => Ok(None),
    };
    match result {
        Ok(Some(flipped)) => Ok(Look::Over(flipped)),
        Ok(None) => {
            house.gates.keep(archive.id, gate);
            Ok(Look::Over(Flipped::Doubt))
        }
        Err(error) => {
            house.gates.keep(archive.id, gate);
            Err(error)
        }
    }
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

async fn prepare(house: &House, archive: &Archive, head: ObjectHead) -> Result<Flip, Error> {
    let target = current(archive);
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
    Ok(Flip { target, head, marker, content })
}

pub(crate) fn milliseconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Whether the grace between tape and flip is over.
pub(crate) fn grace_is_over(archive: &Archive, now: Timestamp, grace: std::time::Duration) -> bool {
    now >= archive.since.plus_milliseconds(milliseconds(grace))
}
