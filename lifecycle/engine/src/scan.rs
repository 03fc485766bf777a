//! Finds what the rules of a bucket make due: lists the bucket, evaluates, and writes down what is to be done.

use model::archive::{ArchiveStage, Standing};
use model::catalog::{Bucket, Change};
use model::clock::archive_id;
use model::limits::LIST_KEYS_MAX;
use model::rule::LifecycleConfiguration;
use model::store::{Listed, ObjectRef};
use model::{
    Archive, ArchiveState, BucketName, ETag, Identity, ObjectKey, StorageClass, TapeClass, Timestamp,
};

use crate::error::Error;
use crate::house::House;
use crate::listed;
use crate::rules::{self, Action, Subject};

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

/// Lists `bucket` once and starts what its rules ask for; objects whose time is over are deleted where that is safe.
/// With `dry_run` nothing is changed, only counted.
///
/// An object that cannot be handled is counted as skipped and never holds up those behind it.
pub(crate) async fn scan(
    house: &House,
    bucket: &Bucket,
    may_expire: bool,
    dry_run: bool,
) -> Result<Scanned, Error> {
    let mut scanned = Scanned::default();
    let Some(configuration) = &bucket.lifecycle else { return Ok(scanned) };
    let prefix = common_prefix(configuration);
    let mut after: Option<ObjectKey> = None;
    loop {
        let page = house.store.page(&bucket.name, prefix, after.as_ref(), LIST_KEYS_MAX).await?;
        let Some(last) = page.entries.last() else { return Ok(scanned) };
        after = Some(last.key.clone());
        let how = How { bucket: &bucket.name, configuration, may_expire, dry_run };
        scan_page(house, &how, &page.entries, &mut scanned).await?;
        if !page.more {
            return Ok(scanned);
        }
    }
}

/// What is done with the pages of a listing.
struct How<'a> {
    bucket: &'a BucketName,
    configuration: &'a LifecycleConfiguration,
    may_expire: bool,
    dry_run: bool,
}

async fn scan_page(
    house: &House,
    how: &How<'_>,
    entries: &[Listed],
    scanned: &mut Scanned,
) -> Result<(), Error> {
    let How { bucket, configuration, may_expire, dry_run } = *how;
    let keys: Vec<ObjectKey> = entries.iter().map(|entry| entry.key.clone()).collect();
    let rows = house.catalog.archives_at_each(bucket, &keys).await?;
    let mut changes = Vec::new();
    for (entry, rows) in entries.iter().zip(rows) {
        scanned.listed += 1;
        if let Some(row) = rows.iter().find(|row| is_written_again(row, entry)) {
            if !dry_run {
                changes.push(Change::Touch(row.id));
            }
            continue;
        }
        match decide(house, configuration, entry, &rows) {
            None => {}
            Some(_) if dry_run => scanned.due += 1,
            Some(Action::Transition(class)) => match new_archive(house, bucket, entry, class) {
                Some(archive) => {
                    scanned.due += 1;
                    changes.push(Change::Archive(archive));
                }
                None => scanned.skipped += 1,
            },
            Some(Action::Expire) if !may_expire => scanned.skipped += 1,
            Some(Action::Expire) => match expire(house, bucket, entry).await {
                Ok(true) => scanned.expired += 1,
                Ok(false) => scanned.skipped += 1,
                Err(error) => {
                    scanned.skipped += 1;
                    tracing::warn!(%bucket, key = %entry.key, error = crate::error::chain(&error), "expiration put off");
                }
            },
        }
    }
    if !changes.is_empty() {
        house.catalog.commit(changes).await?;
    }
    Ok(())
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
        id: archive_id(&*house.clock, &*house.entropy),
        revision: 0,
        bucket: bucket.clone(),
        key: entry.key.clone(),
        class,
        pool,
        direct: false,
        upload: None,
        size: entry.size,
        last_modified: Some(entry.last_modified),
        identity: None,
        part_bytes: Vec::new(),
        checksums: Vec::new(),
        displaced_metadata: Vec::new(),
        state: ArchiveState::Due,
        since: now,
        standing: Some(Standing {
            etag: entry.etag.clone(),
            last_modified_seconds: entry.last_modified.seconds(),
            version: None,
        }),
        extents: Vec::new(),
        death_journaled: false,
        touched: false,
        created: now,
    })
}

/// Deletes an object under its key's gate, provided it is still the one listed.
async fn expire(house: &House, bucket: &BucketName, entry: &Listed) -> Result<bool, Error> {
    let target = ObjectRef { bucket: bucket.clone(), key: entry.key.clone(), version: None };
    let _gate = house.fence.close(bucket, &entry.key).await?;
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
    house.store.remove(&target, &Identity::of(&head)).await?;
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
