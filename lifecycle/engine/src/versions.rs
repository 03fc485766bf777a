//! What a flip by PUT leaves in a bucket with versions. The stub is a version of its own; the one it replaces is
//! deleted by its id, and only after the stub was seen in its place. A write that was carried out twice leaves a stub
//! too many.
//!
//! Nothing here is done while an attempt can still arrive, or without the key's gate.

use model::limits::{KEY_VERSIONS_MAX, STUB_BYTES};
use model::store::{ListedVersion, ObjectHead, ObjectRef, StoreError};
use model::{Archive, VersionId};

use crate::error::Error;
use crate::flip::is_ours;
use crate::house::{House, held, is_pinned};

/// A stub and its version.
type Stub = (VersionId, ObjectHead);

/// How the versions of a key stand after a flip.
pub(crate) enum Place {
    /// This stub stands alone where the object stood, and the object's version is gone.
    Taken(Box<ObjectHead>),
    /// There is no stub of this archive.
    Free,
    /// Stubs were taken away again: somebody wrote between the object and them. Look again.
    Undone,
}

/// Puts the versions of a key in order after a flip. `seen` is what stands under the key now.
pub(crate) async fn take_place(
    house: &House,
    archive: &Archive,
    seen: Option<&ObjectHead>,
) -> Result<Place, Error> {
    let current = seen.filter(|head| is_ours(archive, head));
    let replaced = replaced(archive);
    let in_place = current.is_some_and(|head| id(head.version.as_ref()) == replaced);
    if in_place || !keeps_versions(house) {
        return Ok(current.map_or(Place::Free, |head| Place::Taken(Box::new(head.clone()))));
    }
    let versions = list(house, archive).await?;
    let below = versions.iter().position(|version| version.version == replaced);
    let newer = &versions[..below.unwrap_or(versions.len())];
    let mut stubs = stubs_among(house, archive, newer).await?;
    let is_stub = |stubs: &[Stub], version: &VersionId| stubs.iter().any(|(stub, _)| stub == version);
    if let Some(head) = current
        && !is_stub(&stubs, &id(head.version.as_ref()))
    {
        // A listing may lag behind.
        stubs.insert(0, (id(head.version.as_ref()), head.clone()));
    }
    let Some((kept, surplus)) = stubs.split_first() else { return Ok(Place::Free) };
    let stands = original_stands(house, archive).await?;
    let others = below.is_some() && newer.iter().any(|version| !is_stub(&stubs, &version.version));
    // What the bucket writes as null replaces the null version alone: the object's own would stay for ever.
    let beside = kept.0.is_null();
    if stands && (others || beside) {
        tracing::warn!(archive = %archive.id, bucket = %archive.bucket, key = %archive.key, "a stub is taken away again");
        for (version, _) in &stubs {
            house.store.remove_version(&at(archive, version)).await?;
        }
        return Ok(Place::Undone);
    }
    for (version, _) in surplus {
        house.store.remove_version(&at(archive, version)).await?;
    }
    if stands {
        house.store.remove_version(&at(archive, &replaced)).await?;
    }
    Ok(Place::Taken(Box::new(kept.1.clone())))
}

/// Why the versions of a key could not be put in order after a flip.
pub(crate) async fn objection(house: &House, archive: &Archive) -> Result<Option<Error>, Error> {
    if !keeps_versions(house) {
        return Ok(None);
    }
    match list(house, archive).await {
        Ok(_) => Ok(None),
        Err(Error::Store(StoreError::Refused { what, status, code })) => Ok(Some(Error::Unfit {
            reason: format!("the store does not list them: {what} ({status} {code})"),
        })),
        Err(error) => Err(error),
    }
}

/// Deletes the stubs of this archive but for the version kept: a write of one may have been carried out twice. Where
/// the versions cannot be listed they stay.
pub(crate) async fn remove_surplus(
    house: &House,
    archive: &Archive,
    kept: Option<&VersionId>,
) -> Result<(), Error> {
    let versioned =
        archive.standing.as_ref().is_some_and(|standing| !id(standing.version.as_ref()).is_null());
    if !versioned || !keeps_versions(house) {
        return Ok(());
    }
    let Some(mut versions) = listable(house, archive).await? else { return Ok(()) };
    versions.retain(|version| Some(&version.version) != kept);
    for (version, _) in stubs_among(house, archive, &versions).await? {
        house.store.remove_version(&at(archive, &version)).await?;
    }
    Ok(())
}

/// Whether an archived null version, whose stub has an id of its own, was replaced by what was written as null since:
/// to the store the two are versions beside each other.
pub(crate) async fn null_was_replaced(house: &House, archive: &Archive) -> Result<bool, Error> {
    let stub = archive.standing.as_ref().and_then(|standing| standing.version.as_ref());
    if !keeps_versions(house) || !replaced(archive).is_null() || stub.is_none_or(VersionId::is_null) {
        return Ok(false);
    }
    let versions = listable(house, archive).await?.unwrap_or_default();
    match versions.iter().find(|version| version.version.is_null()) {
        None => Ok(false),
        // A delete marker.
        Some(null) if null.size.is_none() => Ok(true),
        // A listing may lag behind and show what was taken over.
        Some(_) => {
            let head = house.store.head(&at(archive, &VersionId::null())).await?;
            let original = |head: &ObjectHead| {
                archive.identity.as_ref().is_some_and(|known| {
                    known.etag == head.etag && known.last_modified_seconds == head.last_modified.seconds()
                })
            };
            Ok(head.is_some_and(|head| !original(&head)))
        }
    }
}

/// The object of an archive whose version is known, wherever it stands among the versions of its key.
pub(crate) async fn find(
    house: &House,
    archive: &Archive,
    is_it: impl Fn(&ObjectHead) -> bool,
) -> Result<Option<ObjectHead>, Error> {
    let target = held(archive);
    let head = house.store.head(&target).await?.filter(&is_it);
    let nowhere_else = target.version.is_some() || !is_pinned(archive);
    if head.is_some() || nowhere_else || !house.store.capabilities().versions {
        return Ok(head);
    }
    // It was written while the bucket kept no versions, and others may stand above it now.
    Ok(house.store.head(&at(archive, &VersionId::null())).await?.filter(&is_it))
}

/// The version that a write straight into a class became, wherever it stands among those of its key.
pub(crate) async fn find_written(house: &House, archive: &Archive) -> Result<Option<ObjectHead>, Error> {
    if !house.store.capabilities().versions {
        return Ok(None);
    }
    for listed in list(house, archive).await?.iter().filter(|listed| listed.size.is_some()) {
        let head = house.store.head(&at(archive, &listed.version)).await?;
        let written =
            |head: &ObjectHead| head.marker.as_ref().is_some_and(|marker| marker.archive == archive.id);
        if let Some(head) = head.filter(written) {
            return Ok(Some(head));
        }
    }
    Ok(None)
}

/// Whether a PUT may leave more than one version.
fn keeps_versions(house: &House) -> bool {
    let capabilities = house.store.capabilities();
    capabilities.versions && !capabilities.in_place
}

/// The version the stub replaces.
fn replaced(archive: &Archive) -> VersionId {
    id(archive.identity.as_ref().and_then(|identity| identity.version.as_ref()))
}

fn id(version: Option<&VersionId>) -> VersionId {
    version.cloned().unwrap_or_else(VersionId::null)
}

fn at(archive: &Archive, version: &VersionId) -> ObjectRef {
    ObjectRef { bucket: archive.bucket.clone(), key: archive.key.clone(), version: Some(version.clone()) }
}

async fn list(house: &House, archive: &Archive) -> Result<Vec<ListedVersion>, Error> {
    Ok(house.store.versions(&archive.bucket, &archive.key, KEY_VERSIONS_MAX).await?)
}

/// The versions of the key; none where the store does not list them all, which is told.
async fn listable(house: &House, archive: &Archive) -> Result<Option<Vec<ListedVersion>>, Error> {
    match list(house, archive).await {
        Ok(versions) => Ok(Some(versions)),
        Err(error @ Error::Store(StoreError::Refused { .. })) => {
            tracing::warn!(archive = %archive.id, error = crate::error::chain(&error), "versions are not looked through");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Those versions that are this archive's stubs, in the order given.
async fn stubs_among(
    house: &House,
    archive: &Archive,
    versions: &[ListedVersion],
) -> Result<Vec<Stub>, Error> {
    let bytes = if archive.keeps_bytes() { archive.size } else { STUB_BYTES };
    let replaced = replaced(archive);
    let mut stubs = Vec::new();
    for listed in versions.iter().filter(|listed| listed.size == Some(bytes) && listed.version != replaced) {
        let head = house.store.head(&at(archive, &listed.version)).await?;
        stubs.extend(head.filter(|head| is_ours(archive, head)).map(|head| (listed.version.clone(), head)));
    }
    Ok(stubs)
}

/// Whether the version taken over is still there with its own bytes.
async fn original_stands(house: &House, archive: &Archive) -> Result<bool, Error> {
    let Some(identity) = &archive.identity else { return Ok(false) };
    let head = house.store.head(&at(archive, &replaced(archive))).await?;
    Ok(head.is_some_and(|head| head.etag == identity.etag && head.size == archive.size))
}
