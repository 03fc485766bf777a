//! ListObjectVersions: the store's pages, in which a stub is the version it stands for.
//!
//! While a flip by PUT is under way the store may have both, the version and its stub above it. Then the stub's line is
//! left out and the version's has the archive's face; once the version is gone the stub is shown under its id. The flip
//! goes on while a page is edited, or is undone: of the lines that are the same archive only the first is shown, and the
//! mark of the latest version is never left out with a line.

use std::collections::{BTreeMap, BTreeSet};

use dialect::overlay::{self, Overlay, VersionEdit, VersionEntry};
use http::Response;
use model::archive::ArchiveStage;
use model::limits::STUB_BYTES;
use model::store::ObjectRef;
use model::{Archive, Body, BucketName, ObjectKey, VersionId};

use super::list::{Likeness, asks_restores, likeness, overlaid, page_of, read_page, restores, unusable};
use crate::error::{Result, catalog, store};
use crate::house::{Ask, House};
use crate::versions;

/// A version of a page.
type Line = (ObjectKey, VersionId);

/// What a line comes to, the id clients know it by, and the object it is to them.
type Face = (Shown, VersionId, Option<Overlay>);

/// What a line comes to.
#[derive(PartialEq, Eq)]
enum Shown {
    /// The archive's version, with the archive's face.
    Archived,
    /// The same, of a version its stub stands above.
    Current,
    /// A stub whose version is still there.
    Surplus,
}

pub(super) async fn list(house: &House, mut ask: Ask, body: Body) -> Result<Response<Body>> {
    let bucket = ask.route.bucket()?.clone();
    let asks_restores = asks_restores(house, &ask).await?;
    resume(house, &bucket, &mut ask).await?;
    let response = house.forward_to_read(ask, body).await?;
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
    let entries = overlay::version_entries(&page).map_err(unusable)?;
    let edits = edits(house, bucket, &entries, asks_restores).await?;
    let edit = |entry: &VersionEntry| {
        let line = (entry.key.clone(), entry.version.clone());
        edits.get(&line).cloned().unwrap_or(VersionEdit::Keep)
    };
    let page = overlay::rewrite_versions(&page, edit).map_err(unusable)?;
    Ok(page_of(parts, page.into()))
}

/// A client that goes on after a version it knows goes on after what stands for it.
pub(super) async fn resume(house: &House, bucket: &BucketName, ask: &mut Ask) -> Result<()> {
    const MARKER: &str = "version-id-marker";
    let query = &ask.route.query;
    let key = query.filled("key-marker").and_then(|key| ObjectKey::parse(key).ok());
    let version = query.filled(MARKER).and_then(|version| VersionId::parse(version).ok());
    let (Some(key), Some(version)) = (key, version) else { return Ok(()) };
    let stored = versions::stored(&house.archives_at(bucket, &key).await?, &version);
    if stored != version {
        ask.head.uri = versions::with_parameter(&ask.head.uri, MARKER, stored.as_str());
    }
    Ok(())
}

/// What becomes of the lines that are archives.
async fn edits(
    house: &House,
    bucket: &BucketName,
    entries: &[VersionEntry],
    asks_restores: bool,
) -> Result<BTreeMap<Line, VersionEdit>> {
    let mut keys: Vec<ObjectKey> = entries.iter().map(|entry| entry.key.clone()).collect();
    keys.dedup();
    let rows = house.ports.catalog.archives_at_each(bucket, &keys).await;
    let rows = rows.map_err(catalog("the archives of a page"))?;
    let rows: BTreeMap<ObjectKey, Vec<Archive>> = keys.into_iter().zip(rows).collect();
    let is_null = |entry: &&VersionEntry| entry.version.is_null();
    let nulls: BTreeMap<&ObjectKey, &VersionEntry> =
        entries.iter().filter(is_null).map(|entry| (&entry.key, entry)).collect();
    let mut found = Vec::new();
    let mut has_line = BTreeSet::new();
    for entry in entries {
        for row in rows.get(&entry.key).map(Vec::as_slice).unwrap_or_default() {
            if let Some(shown) = shown(house, entries, entry, row).await? {
                let over = nulls.get(&entry.key).is_some_and(|null| is_over(row, entry, null));
                let again = over || shown != Shown::Surplus && !has_line.insert(row.id);
                found.push((entry, row, if again { Shown::Surplus } else { shown }));
                break;
            }
        }
    }
    let restores = restores(house, found.iter().map(|(_, row, _)| *row), asks_restores).await?;
    let faces = found.into_iter().zip(restores).map(|((entry, row, shown), restore)| {
        let overlay = entry
            .content
            .as_ref()
            .and_then(|content| overlaid(row, content.etag.as_ref(), entry.last_modified, restore));
        let version = versions::to_clients(row).unwrap_or_else(|| entry.version.clone());
        ((&entry.key, &entry.version), (shown, version, overlay))
    });
    Ok(marked(entries, faces.collect()))
}

/// The edits, with the mark of the latest version where it belongs: where its line is left out, the next line of the
/// key has it, whatever the store has done to the key since it made the page.
fn marked<'a>(
    entries: &'a [VersionEntry],
    mut faces: BTreeMap<(&'a ObjectKey, &'a VersionId), Face>,
) -> BTreeMap<Line, VersionEdit> {
    let mut edits = BTreeMap::new();
    let mut left_out = false;
    for (place, entry) in entries.iter().enumerate() {
        let is_first = place == 0 || entries[place - 1].key != entry.key;
        let is_latest = entry.is_latest || (left_out && !is_first);
        let edit = match faces.remove(&(&entry.key, &entry.version)) {
            Some((Shown::Surplus, ..)) => VersionEdit::Hide,
            Some((shown, version, overlay)) => {
                // Its stub may have been the last line of the page before.
                let is_latest = is_latest || (shown == Shown::Current && is_first);
                VersionEdit::Show { version, is_latest, overlay }
            }
            None if is_latest == entry.is_latest => VersionEdit::Keep,
            None => VersionEdit::Show { version: entry.version.clone(), is_latest, overlay: None },
        };
        left_out = is_latest && edit == VersionEdit::Hide;
        edits.insert((entry.key.clone(), entry.version.clone()), edit);
    }
    edits
}

/// What a line of a page is to an archive of its key, if it is anything to it.
async fn shown(
    house: &House,
    page: &[VersionEntry],
    entry: &VersionEntry,
    row: &Archive,
) -> Result<Option<Shown>> {
    let Some(content) = &entry.content else { return Ok(None) };
    let known = row.standing.as_ref().and_then(|known| known.version.as_ref());
    let likeness = match known.is_none_or(|version| *version == entry.version) {
        true => likeness(row, content.etag.as_ref(), entry.last_modified),
        false => Likeness::Other,
    };
    let stands = likeness == Likeness::Stands;
    if row.state.stage() != ArchiveStage::Flipping || (stands && row.direct) {
        let shown = row.is_archived_for_clients()
            && match likeness {
                Likeness::Unsure => is_ours(house, row, Some(&entry.version)).await? == Some(true),
                _ => stands || was_replaced(row, entry),
            };
        return Ok(shown.then_some(Shown::Archived));
    }
    let original = versions::to_clients(row);
    let bytes = if row.keeps_bytes() { row.size } else { STUB_BYTES };
    let ours = match content.size == bytes {
        true => is_ours(house, row, Some(&entry.version)).await?,
        false => Some(false),
    };
    Ok(match (original.as_ref() == Some(&entry.version), ours) {
        (true, Some(true)) => Some(Shown::Archived),
        (true, _) if is_ours(house, row, None).await? == Some(true) => Some(Shown::Current),
        (false, Some(true)) => Some(match has_line_of(house, page, row, original.as_ref()).await? {
            true => Shown::Surplus,
            false => Shown::Archived,
        }),
        // Taken away since the page was made, as a flip that is undone takes its stub away.
        (false, None) => Some(Shown::Surplus),
        _ => None,
    })
}

/// Whether the version that a stub stands above has a line of its own, in this page or the next. A store may still tell
/// of a version that it lists no more, so it is asked only about what the next page may have.
async fn has_line_of(
    house: &House,
    page: &[VersionEntry],
    row: &Archive,
    original: Option<&VersionId>,
) -> Result<bool> {
    if page.iter().any(|entry| entry.key == row.key && Some(&entry.version) == original) {
        return Ok(true);
    }
    let may_follow = page.last().is_some_and(|last| last.key == row.key);
    Ok(may_follow && is_ours(house, row, original).await? == Some(false))
}

/// Whether an archived null version, whose stub this line is, was replaced by what was written as null since.
fn is_over(row: &Archive, entry: &VersionEntry, null: &VersionEntry) -> bool {
    row.state.stage() == ArchiveStage::Archived
        && !entry.version.is_null()
        && versions::to_clients(row).is_some_and(|known| known.is_null())
        && !was_replaced(row, null)
}

/// Whether a line is of the version that the stub replaced, as it stood when the page was made. An id of a version says
/// so alone; what is written as null may be another object by now. A store may have given either a new date since, for
/// a write of its tags.
fn was_replaced(row: &Archive, entry: &VersionEntry) -> bool {
    let (Some(identity), Some(content)) = (&row.identity, &entry.content) else { return false };
    let same = versions::to_clients(row).as_ref() == Some(&entry.version) && content.size == row.size;
    let is_null_of_then = || {
        content.etag.as_ref().is_none_or(|etag| *etag == identity.etag)
            && row.last_modified.is_some_and(|date| date.seconds() == entry.last_modified.seconds())
    };
    same && (!entry.version.is_null() || is_null_of_then())
}

/// Whether a version bears this archive's marker; none when there is no such version.
async fn is_ours(house: &House, row: &Archive, version: Option<&VersionId>) -> Result<Option<bool>> {
    let target = ObjectRef { bucket: row.bucket.clone(), key: row.key.clone(), version: version.cloned() };
    let seen = house.ports.store.head(&target).await.map_err(store("a head"))?;
    Ok(seen.map(|seen| seen.marker.is_some_and(|marker| marker.archive == row.id)))
}
