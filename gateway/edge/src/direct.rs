//! Direct writes into a tape class: the row is declared before the store hears of the object, so that whatever
//! becomes of the answer, the object is found.
//!
//! The object goes to the store whole, without its class and under a `whole` marker. After a success the row is due;
//! after a refusal it is withdrawn; in doubt it stays declared, and the engine looks.

use dialect::{Code, S3Error, metadata, reserved};
use http::header::HeaderValue;
use http::{HeaderMap, Response, StatusCode};
use model::archive::{ArchiveStage, Standing};
use model::catalog::{CatalogError, Change};
use model::clock::archive_id;
use model::fence::Work;
use model::store::{ObjectHead, ObjectRef, Signer};
use model::{Archive, ArchiveId, ArchiveState, Body, BucketName, Marker, MarkerKind, TapeClass};

use crate::error::{Result, catalog, store};
use crate::house::{Ask, House};

/// Name of the class header.
pub(crate) const CLASS: &str = "x-amz-storage-class";
/// Refusals that say nothing of the write.
const UNDECIDED: [StatusCode; 3] =
    [StatusCode::REQUEST_TIMEOUT, StatusCode::CONFLICT, StatusCode::TOO_MANY_REQUESTS];
/// How often a row that keeps moving is read again.
const TRIES: usize = 8;

/// What an answer says of the write it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is done.
    Done,
    /// It is not done and will not be.
    Refused,
    /// It may or may not be done.
    Doubt,
}

// === impl Fate ===

impl Fate {
    /// The fate of the write that was answered so.
    pub(crate) fn of(outcome: &Result<Response<Body>>) -> Self {
        match outcome {
            Ok(response) if response.status().is_success() => Self::Done,
            // A conflict is not the write's own, and a store that was too busy may carry it out later.
            Ok(response) if UNDECIDED.contains(&response.status()) => Self::Doubt,
            Ok(response) if response.status().is_client_error() => Self::Refused,
            _ => Self::Doubt,
        }
    }
}

/// The tape class a write asks for; none for a class the store keeps itself, and where every class is the store's.
///
/// Errors: `InvalidStorageClass`, also for a tape class without a pool; `AccessDenied` for nobody, whose write would be
/// declared before the store has said what it thinks of it.
pub(crate) async fn class(house: &House, ask: &Ask) -> Result<Option<TapeClass>> {
    let headers = ask.headers();
    if !headers.contains_key(CLASS) || !house.takes_tape(ask.route.bucket()?).await? {
        return Ok(None);
    }
    // A store of others has classes that nobody here has heard of.
    let class = match metadata::storage_class(headers) {
        Err(_) if house.settings.forwards_unknown => return Ok(None),
        class => class?.tape(),
    };
    match class {
        Some(tape) if !house.settings.classes.contains_key(&tape) => {
            let error = S3Error::new(Code::InvalidStorageClass);
            Err(error.extra("StorageClassRequested", tape.as_str()).into())
        }
        Some(_) if ask.signer() == Signer::Nobody => Err(Code::AccessDenied.into()),
        _ => Ok(class),
    }
}

/// A row for a write that is about to be made; not committed yet.
///
/// Errors: `NoSuchBucket`: rows are not made for nothing.
pub(crate) async fn declaration(house: &House, target: &ObjectRef, class: TapeClass) -> Result<Archive> {
    if !house.has_bucket(&target.bucket).await? {
        return Err(S3Error::no_such_bucket(target.bucket.as_str()).into());
    }
    let pool = house.settings.classes.get(&class).cloned();
    let pool = pool.ok_or_else(|| S3Error::new(Code::InvalidStorageClass))?;
    let now = house.now();
    Ok(Archive {
        direct: true,
        ..Archive::new(
            archive_id(&*house.ports.clock, &*house.ports.entropy),
            ObjectRef { version: None, ..target.clone() },
            class,
            pool,
            ArchiveState::Declared,
            now,
        )
    })
}

/// Once the row is committed: it stands only if its bucket still takes tape classes. Whoever drains a bucket says so
/// before counting its rows, so a write that was let through before has its row counted, or is refused here.
///
/// Errors: `SlowDown`, with nothing left of the row: by the next try the class is the store's own affair.
pub(crate) async fn confirm(house: &House, bucket: &BucketName, id: ArchiveId) -> Result<()> {
    if house.takes_tape(bucket).await? {
        return Ok(());
    }
    withdraw(house, id).await?;
    Err(S3Error::new(Code::SlowDown).into())
}

/// Puts the marker of a declared row into the headers of its write, in the place of the class.
pub(crate) fn mark(house: &House, headers: &mut HeaderMap, archive: &Archive) {
    let marker =
        Marker { kind: MarkerKind::Whole, archive: archive.id, class: archive.class, original: None };
    let record = reserved::render(&marker, &archive.bucket, &archive.key, &house.settings.marker_key);
    headers.remove(CLASS);
    headers.insert(reserved::HEADER, HeaderValue::try_from(record).expect("a record is visible ASCII"));
}

/// Writes down what became of a declared row's write. What cannot be told now is left to the engine.
pub(crate) async fn settle(house: &House, target: &ObjectRef, id: ArchiveId, fate: Fate) {
    let settled = match fate {
        Fate::Done => arrived(house, target, id).await,
        Fate::Refused => ended(house, target, id).await.map(|()| true),
        Fate::Doubt => Ok(false),
    };
    match settled {
        Ok(true) => {}
        Ok(false) => house.ports.wake.wake(Work::Touched),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(archive = %id, error, "a direct write is left to be looked at");
            house.ports.wake.wake(Work::Touched);
        }
    }
}

/// The row is due if its object stands under its key; false when it does not.
async fn arrived(house: &House, target: &ObjectRef, id: ArchiveId) -> Result<bool> {
    let seen = house.ports.store.head(target).await.map_err(store("a head"))?;
    let ours = |seen: &ObjectHead| seen.marker.as_ref().is_some_and(|marker| marker.archive == id);
    let Some(seen) = seen.filter(ours) else { return Ok(false) };
    let now = house.now();
    update(house, id, |row| {
        row.size = seen.size;
        row.last_modified = Some(seen.last_modified);
        row.checksums = seen.checksums.clone();
        row.standing = Some(Standing {
            etag: seen.etag.clone(),
            last_modified_seconds: seen.last_modified.seconds(),
            version: seen.version.clone(),
        });
        row.advance(ArchiveState::Due, now);
    })
    .await?;
    house.ports.wake.wake(Work::Due);
    Ok(true)
}

/// No write of the row's object is under way any more: it stands, or will never be. A refusal is no evidence by
/// itself: it may be the echo of a write that was carried out twice.
pub(crate) async fn ended(house: &House, target: &ObjectRef, id: ArchiveId) -> Result<()> {
    match arrived(house, target, id).await? {
        true => Ok(()),
        false => withdraw(house, id).await,
    }
}

async fn withdraw(house: &House, id: ArchiveId) -> Result<()> {
    let now = house.now();
    update(house, id, |row| row.advance(ArchiveState::Withdrawn, now)).await
}

/// Changes a row as long as it is declared.
async fn update(house: &House, id: ArchiveId, change: impl Fn(&mut Archive)) -> Result<()> {
    let mut tries = 1;
    loop {
        let row = house.ports.catalog.archive(id).await.map_err(catalog("an archive"))?;
        let Some(mut row) = row.filter(|row| row.state.stage() == ArchiveStage::Declared) else {
            return Ok(());
        };
        change(&mut row);
        match house.ports.catalog.commit(vec![Change::Archive(row)]).await {
            Err(CatalogError::Conflict { .. }) if tries < TRIES => tries += 1,
            done => return done.map_err(catalog("an archive's next state")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_for_good_ends_a_write() {
        for (status, fate) in [
            (200, Fate::Done),
            (400, Fate::Refused),
            (412, Fate::Refused),
            (408, Fate::Doubt),
            (409, Fate::Doubt),
            (429, Fate::Doubt),
            (503, Fate::Doubt),
        ] {
            let mut response = Response::new(model::body::empty());
            *response.status_mut() = StatusCode::from_u16(status).expect("a status");
            assert_eq!(Fate::of(&Ok(response)), fate, "{status}");
        }
    }
}
