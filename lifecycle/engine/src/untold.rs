//! What tape does not know yet: ends of archives, and records that changed since their packs were written. The journal
//! of every mount for writing tells it; what waited for long is worth a mount by itself.
//!
//! A rebuilt catalog knows no more than tape: until its end is told, what was deleted would come back.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use model::catalog::Change;
use model::pack::Seal;
use model::store::ObjectHead;
use model::{Archive, Identity, VolumeId};
use volume::journal::Entry;
use volume::seal::{KeyId, SealingKey, note};

use crate::error::{Error, chain, is_fatal};
use crate::flip::milliseconds;
use crate::house::{House, current, held};
use crate::record::{attributes_digest, record_now};
use crate::seals;
use crate::settings::PoolSettings;

/// Most that one journal tells.
const ENTRIES_MAX: usize = 10_000;
const PAGE: usize = 1_000;
/// Objects looked at together.
const LOOKS: usize = 16;
/// Journals are small: a volume with less room than this takes none.
pub(crate) const ROOM_BYTES: u64 = 4 << 20;

/// Something to tell, and the row it is about as it was read.
pub(crate) type News = (Archive, Entry);

/// What can be told now.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) news: Vec<News>,
    /// The first key that is missing for telling more, as an error.
    pub(crate) keyless: Option<Error>,
}

/// What is to be told on a volume of a pool, the longest untold first. What cannot be told now rests, and holds up nothing
/// behind it.
pub(crate) async fn news(house: &Arc<House>, pool: &PoolSettings) -> Result<Found, Error> {
    let mut found = Found::default();
    let mut after = None;
    while found.news.len() < ENTRIES_MAX {
        let rows = house.catalog.archives_untold(after, PAGE).await?;
        let Some(last) = rows.last() else { break };
        after = last.untold().map(|since| (since, last.id));
        let rows = rows.into_iter().filter(|row| !house.untellable.rests(row.id, house.now()));
        let mut looks = stream::iter(rows).map(|row| entry(house, pool, row)).buffered(LOOKS);
        while let Some(looked) = looks.next().await {
            match looked {
                Ok(entry) => found.news.extend(entry),
                Err(error @ Error::Key { .. }) => drop(found.keyless.get_or_insert(error)),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(found)
}

async fn entry(house: &House, pool: &PoolSettings, archive: Archive) -> Result<Option<News>, Error> {
    let id = archive.id.to_string();
    let Some(changed) = archive.record_changed.filter(|_| archive.state.stage().is_live()) else {
        return Ok(Some((archive, Entry::ArchiveDead { archive: id })));
    };
    let at_ms = changed.milliseconds();
    match record_text(house, pool, &archive).await {
        Ok(Some(record)) => Ok(Some((archive, Entry::RecordChanged { archive: id, at_ms, record }))),
        Err(error) if is_fatal(&error) => Err(error),
        untellable => {
            let later = house.now().plus_milliseconds(milliseconds(house.settings.retry_after));
            house.untellable.rest(archive.id, later);
            match untellable {
                Err(error @ Error::Key { .. }) => Err(error),
                Err(error) => {
                    tracing::debug!(archive = id, error = chain(&error), "a record is told another time");
                    Ok(None)
                }
                Ok(_) => Ok(None),
            }
        }
    }
}

/// The record of an object as it goes to tape; none when there is nothing to be seen of the object.
async fn record_text(house: &House, pool: &PoolSettings, archive: &Archive) -> Result<Option<String>, Error> {
    let seen = look(house, archive).await?;
    let Some(record) = seen.and_then(|(head, hidden)| record_now(archive, &head, hidden)) else {
        return Ok(None);
    };
    let text = serde_json::to_string(&record);
    let text = text.map_err(|error| Error::Bug { what: format!("a record has no JSON form: {error}") })?;
    let Some(key) = key_of(house, pool, archive).await? else { return Ok(Some(text)) };
    let about = format!("record {}", archive.id);
    let sealed = note::seal_text(&key, &about, &text);
    sealed.map(Some).map_err(|source| Error::Key { what: about, source })
}

/// What a record is sealed with: the key of the object's bytes, retired or not, so that whoever reads those reads it too; in a
/// sealed pool always some key, so that its cartridges show nobody else's names.
async fn key_of(house: &House, pool: &PoolSettings, archive: &Archive) -> Result<Option<SealingKey>, Error> {
    let pack = match archive.extents.first() {
        Some(extent) => house.catalog.pack(extent.pack).await?,
        None => None,
    };
    let Some(Seal { key, .. }) = pack.and_then(|pack| pack.seal) else { return seals::key_for(house, pool) };
    let wrong = |_| Error::Bug { what: format!("{} is sealed with {key:?}, which is no key", archive.id) };
    let id: KeyId = key.parse().map_err(wrong)?;
    let found = house.keys.find(&id);
    found
        .map(Some)
        .map_err(|source| Error::Key { what: format!("the record of archive {}", archive.id), source })
}

/// Whether some of it that can be told has waited as long as this at most.
pub(crate) async fn waits_for(house: &House, longest: Duration) -> Result<bool, Error> {
    let now = house.now();
    let mut after = None;
    loop {
        let rows = house.catalog.archives_untold(after, PAGE).await?;
        let Some(last) = rows.last() else { return Ok(false) };
        after = last.untold().map(|since| (since, last.id));
        let oldest = rows.iter().find(|row| !house.untellable.rests(row.id, now)).and_then(Archive::untold);
        if let Some(since) = oldest {
            return Ok(now >= since.plus_milliseconds(milliseconds(longest)));
        }
    }
}

/// Writes down that these were told. A row that changed since it was read is told again.
pub(crate) async fn told(
    house: &House,
    volume: VolumeId,
    rows: Vec<Archive>,
    journal: u64,
) -> Result<(), Error> {
    let missing = || Error::Bug { what: format!("volume {volume} is not in the catalog") };
    let mut row = house.catalog.volume(volume).await?.ok_or_else(missing)?;
    row.journal = journal;
    house.catalog.commit(vec![Change::Volume(row)]).await?;
    let told = rows.into_iter().map(|row| match row.state.stage().is_live() {
        true => Archive { record_changed: None, record_journaled: true, ..row },
        false => Archive { death_journaled: true, ..row },
    });
    house.save_each(told.collect()).await?;
    Ok(())
}

/// Notes on a row that is about to be saved what changed of its record, `stub` being what stands for it now.
pub(crate) async fn note_change(house: &House, archive: &mut Archive) -> Result<(), Error> {
    let Some((stub, hidden)) = look(house, archive).await? else { return Ok(()) };
    let Some(identity) = &mut archive.identity else { return Ok(()) };
    let mut headers = stub.headers;
    headers.extend(archive.displaced_metadata.iter().cloned());
    headers.sort();
    let digest = attributes_digest(&headers, hidden);
    // Of what was written straight into a class the marker is in the digest.
    let as_packed = [digest, Identity::digest(&headers, Some(archive.id))];
    if !as_packed.contains(&identity.attributes_digest) {
        identity.attributes_digest = digest;
        archive.record_changed = Some(house.now());
    }
    Ok(())
}

/// The object with its tags and ACL, and whether a delete marker stands above it.
async fn look(house: &House, archive: &Archive) -> Result<Option<(ObjectHead, bool)>, Error> {
    let Some(head) = house.store.inspect(&held(archive)).await? else { return Ok(None) };
    let versioned = archive.identity.as_ref().is_some_and(|identity| identity.version.is_some());
    let hidden = versioned && house.store.head(&current(archive)).await?.is_none();
    Ok(Some((head, hidden)))
}
