//! What stands on the store for an archive that tape tells of, and what is made of it. The store is the truth about the
//! namespace: nothing is ever put over what stands there.
//!
//! A stub whose signature is right is believed. One signed with a key that was lost is believed when it says of the
//! object what the record on tape says, and is signed anew.

use bytes::Bytes;
use futures_util::TryStreamExt;
use model::archive::Standing;
use model::limits::KEY_VERSIONS_MAX;
use model::store::{Flip, FlipContent, ObjectHead, ObjectRef, ObjectStore, Plant, StoreError};
use model::{Archive, BodyError, Marker, MarkerKind};

use super::rows;
use crate::flip::standing;
use crate::house::current;

/// What was seen of an archive on the store.
#[derive(Debug)]
pub(crate) enum Seen {
    /// Its stub, or its bytes under its marker.
    Stub(ObjectHead),
    /// The same, signed with another key.
    Claimed(ObjectHead),
    /// A direct write that was not replaced by its stub yet.
    Unflipped(ObjectHead),
    /// The object as it was taken over.
    Hot,
    /// Another object.
    Other,
    /// What stands for another archive.
    Sibling,
    /// Nothing.
    Nothing,
}

/// Looks for an archive on the store.
pub(crate) async fn look(store: &dyn ObjectStore, row: &Archive) -> Result<Seen, StoreError> {
    let version = row.identity.as_ref().and_then(|identity| identity.version.clone());
    if store.capabilities().in_place || version.is_none() {
        return look_at(store, row, &ObjectRef { version, ..current(row) }).await;
    }
    // Its stub is a version of its own, with an id that no tape knows; what stands for others takes nothing from it.
    let newest = match look_at(store, row, &current(row)).await? {
        Seen::Sibling => Seen::Nothing,
        seen => seen,
    };
    if !matches!(newest, Seen::Other | Seen::Nothing) {
        return Ok(newest);
    }
    let versions = match store.versions(&row.bucket, &row.key, KEY_VERSIONS_MAX).await {
        Err(StoreError::Missing { .. }) => Vec::new(),
        listed => listed?,
    };
    for version in versions.into_iter().filter(|version| version.size.is_some()) {
        let target = ObjectRef { version: Some(version.version), ..current(row) };
        match look_at(store, row, &target).await? {
            Seen::Nothing | Seen::Other | Seen::Sibling => {}
            found => return Ok(found),
        }
    }
    Ok(newest)
}

async fn look_at(store: &dyn ObjectStore, row: &Archive, target: &ObjectRef) -> Result<Seen, StoreError> {
    let Some(head) = store.inspect(target).await? else { return Ok(Seen::Nothing) };
    let verified = head.marker.clone();
    let marker = match verified.clone() {
        Some(marker) => Some(marker),
        None => store.claim(target).await?,
    };
    let Some(marker) = marker else {
        let identity = row.identity.as_ref();
        let same = identity.is_some_and(|identity| identity.etag == head.etag) && head.size == row.size;
        return Ok(if same { Seen::Hot } else { Seen::Other });
    };
    if marker.archive != row.id {
        return Ok(Seen::Sibling);
    }
    if marker.kind == MarkerKind::Whole && !row.keeps_bytes() {
        return Ok(Seen::Unflipped(head));
    }
    Ok(match verified {
        Some(_) => Seen::Stub(head),
        None if agrees(&marker, row) => Seen::Claimed(head),
        None => Seen::Other,
    })
}

/// Whether a marker nobody vouches for says what the record on tape says.
fn agrees(marker: &Marker, row: &Archive) -> bool {
    let original = marker.original.as_ref();
    let same = original.is_some_and(|original| {
        original.size == row.size && row.identity.as_ref().is_some_and(|known| known.etag == original.etag)
    });
    marker.class == row.class && same
}

/// Signs a stub anew; gives what stands then.
pub(crate) async fn sign(
    store: &dyn ObjectStore,
    row: &Archive,
    head: ObjectHead,
) -> Result<Standing, StoreError> {
    let what = || format!("stub of {}/{}", row.bucket, row.key);
    let marker = rows::marker(row).ok_or_else(|| StoreError::Missing { what: what() })?;
    let target = ObjectRef { version: head.version.clone(), ..current(row) };
    let content = match row.keeps_bytes() {
        false => FlipContent::Stub,
        true => FlipContent::Whole(whole(store, &target, &head).await?),
    };
    let old = head.version.clone();
    let swaps = store.capabilities().in_place;
    let flip = Flip { target, head, conditional: store.capabilities().compare_and_set, marker, content };
    store.flip(flip).await?;
    let at = ObjectRef { version: old.clone().filter(|_| swaps), ..current(row) };
    let seen = store.head(&at).await?.filter(|head| is_of(head, row));
    let seen = seen.ok_or_else(|| StoreError::Changed { what: what() })?;
    if let Some(old) = old.filter(|old| !old.is_null() && seen.version.as_ref() != Some(old)) {
        store.remove_version(&ObjectRef { version: Some(old), ..current(row) }).await?;
    }
    Ok(standing(&seen))
}

async fn whole(store: &dyn ObjectStore, target: &ObjectRef, head: &ObjectHead) -> Result<Bytes, StoreError> {
    let broken = |source: BodyError| StoreError::Doubt {
        what: format!("read of {}/{}", target.bucket, target.key),
        source: source.into(),
    };
    let pieces: Vec<Bytes> =
        store.read(target, &head.etag, 0..head.size).await?.try_collect().await.map_err(broken)?;
    Ok(pieces.concat().into())
}

/// Makes an archived object anew; `bytes` are those of one too small for a stub. Gives what stands then.
pub(crate) async fn plant(
    store: &dyn ObjectStore,
    row: &Archive,
    headers: Vec<(String, String)>,
    hidden: bool,
    bytes: Option<Bytes>,
) -> Result<Standing, StoreError> {
    let what = || format!("stub of {}/{}", row.bucket, row.key);
    let missing = || StoreError::Missing { what: what() };
    let identity = row.identity.as_ref().ok_or_else(missing)?;
    let target = ObjectRef { version: identity.version.clone(), ..current(row) };
    let content = match row.keeps_bytes() {
        false => FlipContent::Stub,
        true => FlipContent::Whole(bytes.ok_or_else(missing)?),
    };
    let plant = Plant {
        target: target.clone(),
        headers,
        last_modified: row.last_modified.ok_or_else(missing)?,
        hidden,
        marker: rows::marker(row).ok_or_else(missing)?,
        content,
    };
    let planted = store.plant(plant).await;
    match look(store, row).await? {
        Seen::Stub(head) => Ok(standing(&head)),
        _ => planted.and(Err(StoreError::Changed { what: what() })),
    }
}

fn is_of(head: &ObjectHead, row: &Archive) -> bool {
    head.marker.as_ref().is_some_and(|marker| marker.archive == row.id)
}
