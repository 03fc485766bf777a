//! Finds what the rules of a bucket make due: lists the bucket, evaluates, and writes down what is to be done.

use model::archive::{ArchiveStage, Standing};
use model::catalog::Change;
use model::clock::archive_id;
use model::limits::LIST_KEYS_MAX;
use model::rule::LifecycleConfiguration;
use model::store::{Listed, ObjectRef, StoreError};
use model::{
    Archive, ArchiveState, BucketName, ETag, Identity, ObjectKey, StorageClass, TapeClass, Timestamp,
};

use crate::error::Error;
use crate::house::House;
use crate::rules::{self, Action, Subject};
use crate::{buckets, listed, wait};

/// What a scan of one bucket came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    /// Objects listed.
    pub listed: u64,
    /// Objects that became due for tape.
    pub due: u64,
    /// Objects deleted.
    pub expired: u64,
    /// Objects that could not be looked at this time.
    pub skipped: u64,
}

/// Lists a bucket once and starts what its rules ask for; objects whose time is over are deleted where that is safe. It
/// ends early when the rules change, or what may be done in the bucket. With `dry_run` nothing is changed, only counted.
///
/// An object that cannot be handled is counted as skipped and never holds up those behind it. What broke off is gone on
/// with by the next scan.
pub(crate) async fn scan(house: &House, bucket: &BucketName, dry_run: bool) -> Result<Scanned, Error> {
    let mut scanned = Scanned::default();
    let row = house.catalog.bucket(bucket).await?;
    let Some(configuration) = row.and_then(|row| row.lifecycle) else { return Ok(scanned) };
    let from = if dry_run { None } else { house.places.take(bucket, &configuration) };
    let mut after = from.clone();
    loop {
        let how = How { bucket, configuration: &configuration, dry_run };
        match turn_page(house, &how, after.as_ref(), &mut scanned).await {
            Ok(Turned::More(last)) => after = Some(last),
            Ok(Turned::Over) => return Ok(scanned),
            broke_off => {
                if !dry_run {
                    house.places.keep(bucket, configuration, from.as_ref(), after);
                }
                return broke_off.map(|_| scanned);
            }
        }
    }
}

/// What is done with the pages of a listing.
struct How<'a> {
    bucket: &'a BucketName,
    configuration: &'a LifecycleConfiguration,
    dry_run: bool,
}

impl How<'_> {
    /// Whether these are still the bucket's rules: a listing takes its time.
    async fn stands(&self, house: &House) -> Result<bool, Error> {
        let row = house.catalog.bucket(self.bucket).await?;
        Ok(row.is_some_and(|row| row.lifecycle.as_ref() == Some(self.configuration)))
    }
}

/// What came after a page.
enum Turned {
    /// More, after this key.
    More(ObjectKey),
    /// No more, by these rules.
    Over,
    /// Nothing may be taken over now.
    Forbidden,
}

async fn turn_page(
    house: &House,
    how: &How<'_>,
    after: Option<&ObjectKey>,
    scanned: &mut Scanned,
) -> Result<Turned, Error> {
    if !how.stands(house).await? {
        return Ok(Turned::Over);
    }
    // A dry run only counts, whatever may be done.
    let leave = buckets::leave(house, how.bucket).await?;
    if !(leave.migrates || how.dry_run) {
        return Ok(Turned::Forbidden);
    }
    let prefix = common_prefix(how.configuration);
    let mut page = house.store.page(how.bucket, prefix, after, LIST_KEYS_MAX).await?;
    scan_page(house, how, leave.expires, &page.entries, scanned).await?;
    Ok(match page.entries.pop() {
        Some(last) if page.more => Turned::More(last.key),
        _ => Turned::Over,
    })
}

async fn scan_page(
    house: &House,
    how: &How<'_>,
    may_expire: bool,
    entries: &[Listed],
    scanned: &mut Scanned,
) -> Result<(), Error> {
    let How { bucket, configuration, dry_run } = *how;
    let keys: Vec<ObjectKey> = entries.iter().map(|entry| entry.key.clone()).collect();
    let rows = house.catalog.archives_at_each(bucket, &keys).await?;
    let (mut due, mut touches) = (Vec::new(), Vec::new());
    for (entry, rows) in entries.iter().zip(rows) {
        scanned.listed += 1;
        if let Some(row) = rows.iter().find(|row| is_written_again(row, entry)) {
            if !dry_run {
                touches.push(Change::Touch(row.id));
            }
            continue;
        }
        match decide(house, configuration, entry, &rows) {
            None => {}
            Some(_) if dry_run => scanned.due += 1,
            Some(Action::Transition(class)) => match new_archive(house, bucket, entry, class) {
                Some(archive) => {
                    scanned.due += 1;
                    due.push(archive);
                }
                None => scanned.skipped += 1,
            },
            Some(Action::Expire) if !may_expire => scanned.skipped += 1,
            Some(Action::Expire) => match expire(house, how, entry).await {
                Ok(true) => scanned.expired += 1,
                Ok(false) => scanned.skipped += 1,
                Err(error) => {
                    scanned.skipped += 1;
                    tracing::warn!(%bucket, key = %entry.key, error = crate::error::chain(&error), "expiration put off");
                }
            },
        }
    }
    if !touches.is_empty() {
        house.catalog.commit(touches).await?;
    }
    begin(house, bucket, due).await
}

/// Writes down what became due. A bucket may have been detached since it was listed, and then nobody looks for rows of
/// it any more; one detached after they were written is drained of them.
async fn begin(house: &House, bucket: &BucketName, mut due: Vec<Archive>) -> Result<(), Error> {
    if due.is_empty() {
        return Ok(());
    }
    house.catalog.commit(due.iter().cloned().map(Change::Archive).collect()).await?;
    if house.terms(bucket).await?.mode.is_managed() {
        return Ok(());
    }
    for archive in &mut due {
        archive.revision += 1;
        archive.advance(ArchiveState::Withdrawn, house.now());
    }
    house.save_each(due).await.map(drop)
}

/// Whether what is listed is the stub of an archive, but of another moment than the one looked at: its write was
/// carried out a second time.
fn is_written_again(row: &Archive, entry: &Listed) -> bool {
    row.state.stage() == ArchiveStage::Archived
        && !row.keeps_bytes()
        && row.standing.as_ref().is_some_and(|standing| {
            standing.etag == entry.etag && standing.last_modified_seconds != entry.last_modified.seconds()
        })
}

/// What is to be done with a listed object, given the live archives of its key.
fn decide(
    house: &House,
    configuration: &LifecycleConfiguration,
    entry: &Listed,
    rows: &[Archive],
) -> Option<Action> {
    let standing = rows.iter().find(|row| {
        row.standing.as_ref().is_some_and(|standing| {
            standing.etag == entry.etag && standing.last_modified_seconds == entry.last_modified.seconds()
        })
    });
    let unsettled = rows.iter().any(|row| row.touched || row.state.stage() == ArchiveStage::Flipping);
    // The listing may be older than the rows: what it shows is what has been replaced since.
    let replaced = rows.iter().any(|row| {
        row.identity.as_ref().is_some_and(|identity| identity.etag == entry.etag)
            && row.last_modified.is_some_and(|date| date.seconds() == entry.last_modified.seconds())
    });
    if unsettled || (replaced && standing.is_none()) {
        return None;
    }
    let mut subject = Subject {
        key: &entry.key,
        size: entry.size,
        last_modified: entry.last_modified,
        class: StorageClass::Standard,
    };
    if let Some(row) = standing {
        subject.class = StorageClass::Tape(row.class);
        subject.size = row.size;
        subject.last_modified = row.last_modified.unwrap_or(entry.last_modified);
    }
    rules::due(configuration, &subject, house.now(), house.settings.day)
}

fn new_archive(house: &House, bucket: &BucketName, entry: &Listed, class: TapeClass) -> Option<Archive> {
    let pool = house.settings.classes.get(&class)?.clone();
    let now = house.now();
    Some(Archive {
        size: entry.size,
        last_modified: Some(entry.last_modified),
        standing: Some(Standing {
            etag: entry.etag.clone(),
            last_modified_seconds: entry.last_modified.seconds(),
            version: None,
        }),
        ..Archive::new(
            archive_id(&*house.clock, &*house.entropy),
            ObjectRef { bucket: bucket.clone(), key: entry.key.clone(), version: None },
            class,
            pool,
            ArchiveState::Due,
            now,
        )
    })
}

/// Deletes an object under its key's gate, provided it is still the one listed, and still to be deleted.
async fn expire(house: &House, how: &How<'_>, entry: &Listed) -> Result<bool, Error> {
    let bucket = how.bucket;
    let target = ObjectRef { bucket: bucket.clone(), key: entry.key.clone(), version: None };
    let gate = house.fence.close(bucket, &entry.key).await?;
    if !how.stands(house).await? || !buckets::leave(house, bucket).await?.expires {
        return Ok(false);
    }
    let Some(head) = house.store.head(&target).await? else { return Ok(false) };
    let listed =
        |etag: &ETag, date: Timestamp| entry.etag == *etag && entry.last_modified.seconds() == date.seconds();
    if !listed(&head.etag, head.last_modified) {
        let line = listed::line(house, bucket, &entry.key).await?;
        if !line.is_some_and(|line| line.etag == head.etag && listed(&line.etag, line.last_modified)) {
            return Ok(false);
        }
    }
    let touches: Vec<Change> = house
        .catalog
        .archives_at(bucket, &entry.key)
        .await?
        .iter()
        .map(|archive| Change::Touch(archive.id))
        .collect();
    if !touches.is_empty() {
        house.catalog.commit(touches).await?;
    }
    let removed = house.store.remove(&target, &Identity::of(&head)).await;
    if matches!(removed, Err(StoreError::Doubt { .. })) {
        // It may still arrive, and would delete what a client writes meanwhile.
        wait::hold(gate, house.settings.store_deadline);
    }
    removed?;
    Ok(true)
}

/// The longest prefix every enabled rule shares: nothing outside it can match.
fn common_prefix(configuration: &LifecycleConfiguration) -> &str {
    let mut prefixes = configuration.rules.iter().filter(|rule| rule.enabled).map(|rule| rule.scope.prefix());
    let Some(first) = prefixes.next() else { return "" };
    prefixes.fold(first, |common, prefix| {
        let mut end = common.bytes().zip(prefix.bytes()).take_while(|(a, b)| a == b).count();
        while !common.is_char_boundary(end) {
            end -= 1;
        }
        &common[..end]
    })
}
