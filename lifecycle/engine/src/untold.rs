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
use volume::seal::{KeyId, note};

use crate::error::{Error, chain, is_fatal};
use crate::flip::milliseconds;
use crate::house::{House, current, held};
use crate::record::{attributes_digest, record_now};

/// Most that one journal tells.
const ENTRIES_MAX: usize = 10_000;
/// Objects looked at together.
const LOOKS: usize = 16;
/// Journals are small: a volume with less room than this takes none.
pub(crate) const ROOM_BYTES: u64 = 4 << 20;

/// Something to tell, and the row it is about as it was read.
pub(crate) type News = (Archive, Entry);

/// What is to be told, the longest untold first. An object that cannot be looked at now is left for another journal.
pub(crate) async fn news(house: &Arc<House>) -> Result<Vec<News>, Error> {
    let rows = house.catalog.archives_untold(ENTRIES_MAX).await?;
    let mut looks = stream::iter(rows).map(|row| entry(house, row)).buffered(LOOKS);
    let mut news = Vec::new();
    while let Some(found) = looks.next().await {
        news.extend(found?);
    }
    Ok(news)
}

async fn entry(house: &House, archive: Archive) -> Result<Option<News>, Error> {
    let id = archive.id.to_string();
    let Some(changed) = archive.record_changed.filter(|_| archive.state.stage().is_live()) else {
        return Ok(Some((archive, Entry::ArchiveDead { archive: id })));
    };
    let record = match look(house, &archive).await {
        Ok(seen) => seen.and_then(|(head, hidden)| record_now(&archive, &head, hidden)),
        Err(error) if is_fatal(&error) => return Err(error),
        Err(error) => {
            tracing::debug!(archive = id, error = chain(&error), "a record is told another time");
            None
        }
    };
    let text = record.map(|record| serde_json::to_string(&record)).transpose();
    let text = text.map_err(|error| Error::Bug { what: format!("a record has no JSON form: {error}") })?;
    let record = match text {
        Some(text) => sealed(house, &archive, text).await?,
        None => None,
    };
    let at_ms = changed.milliseconds();
    Ok(record.map(|record| (archive, Entry::RecordChanged { archive: id, at_ms, record })))
}

/// A record as it goes to tape: sealed, where the object's bytes are. None while the key is not at hand.
async fn sealed(house: &House, archive: &Archive, text: String) -> Result<Option<String>, Error> {
    let Some(extent) = archive.extents.first() else { return Ok(None) };
    let Some(pack) = house.catalog.pack(extent.pack).await? else { return Ok(None) };
    let Some(Seal { key, .. }) = pack.seal else { return Ok(Some(text)) };
    let wrong = |_| Error::Bug { what: format!("pack {} is sealed with {key:?}, which is no key", pack.id) };
    let id: KeyId = key.parse().map_err(wrong)?;
    let about = format!("record {}", archive.id);
    match house.keys.newest(&id.name).and_then(|key| note::seal_text(&key, &about, &text)) {
        Ok(sealed) => Ok(Some(sealed)),
        Err(error) => {
            tracing::debug!(archive = %archive.id, error = chain(&error), "a record is told another time");
            Ok(None)
        }
    }
}

/// Whether some of it has waited as long as this at most.
pub(crate) async fn waits_for(house: &House, longest: Duration) -> Result<bool, Error> {
    let oldest = house.catalog.archives_untold(1).await?.first().and_then(Archive::untold);
    Ok(oldest.is_some_and(|since| house.now() >= since.plus_milliseconds(milliseconds(longest))))
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
