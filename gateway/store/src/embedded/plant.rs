//! A version made as it once was: under its own id and date, among the others of its key where it stood.

use std::sync::Arc;

use dialect::Code;
use dialect::checksum::{Algorithm, Checksum, Md5};
use dialect::metadata;
use model::bucket::Versioning;
use model::store::StoreError;

use redb::ReadableTable as _;

use super::fault::{Fault, Outcome};
use super::put::full_checksum;
use super::record::{Bucket, Entry, Version, inverted_sequence};
use super::tables::{NUMBER_SEQUENCE, Tables};
use super::versions::Which;
use super::{Inner, acl, now, swap, tags};
use crate::service::Planted;

/// Plants; what is refused was not done. `Changed` when something stands there already.
pub(super) async fn plant(inner: &Arc<Inner>, planted: Planted) -> Result<(), StoreError> {
    let target = planted.target.clone();
    swap::outcome(make(inner, planted).await, &target)
}

async fn make(inner: &Arc<Inner>, planted: Planted) -> Outcome<bool> {
    let id = planted.target.version.as_ref().map(|id| id.as_str().to_owned());
    let mut version = Version {
        sequence: 0,
        is_null: id.is_none(),
        etag: Md5::of(&planted.body).etag(),
        size: planted.body.len() as u64,
        last_modified: planted.last_modified.milliseconds(),
        class: metadata::storage_class(&planted.headers)?.as_str().to_owned(),
        headers: inner.stored_headers(&planted.headers)?,
        checksum: Some(full_checksum(&Checksum::of(Algorithm::Crc64Nvme, &planted.body))),
        segments: Vec::new(),
        part_bytes: Vec::new(),
        part_checksums: Vec::new(),
        upload: None,
        tags: tags::of_headers(&planted.headers)?,
        acl: acl::of_headers(&planted.headers, &inner.owner)?,
    };
    let content = inner.files.fresh_id();
    let work = move |tables: &mut Tables<'_>| {
        let bucket = tables.bucket(planted.target.bucket.as_str())?;
        let key = planted.target.key.as_str();
        if !tables.place(&bucket, key, &mut version, id.as_deref())? {
            return Ok(false);
        }
        if !planted.body.is_empty() {
            version.segments.push(tables.keep_inline(content, &planted.body)?);
        }
        tables.insert(&bucket, key, version.clone())?;
        let newest = tables.entry(&bucket, key, &Which::Current)?;
        if planted.hidden && newest.is_some_and(|newest| newest.sequence() == version.sequence) {
            tables.add_marker(&bucket, key, now().milliseconds())?;
        }
        Ok(true)
    };
    inner.writer.commit(None, work).await
}

// === impl Tables ===

impl Tables<'_> {
    /// Gives a version its place in the history of its key: that of its id, else that of its date. Says whether the
    /// place is free.
    ///
    /// Errors: `InvalidRequest` for a version with an id in a bucket that never kept versions.
    fn place(
        &mut self,
        bucket: &Bucket,
        key: &str,
        version: &mut Version,
        id: Option<&str>,
    ) -> Outcome<bool> {
        if bucket.versioning == Versioning::Off {
            if id.is_some() {
                return Err(Code::InvalidRequest.into());
            }
            version.sequence = self.next_number(NUMBER_SEQUENCE)?;
            return Ok(self.entry(bucket, key, &Which::Current)?.is_none());
        }
        if version.is_null && self.entry(bucket, key, &Which::Named("null".to_owned()))?.is_some() {
            return Ok(false);
        }
        version.sequence = match id.and_then(own_place) {
            Some((sequence, date)) => {
                version.last_modified = date;
                sequence
            }
            None => match self.between(bucket, key, version.last_modified)? {
                Some(sequence) => sequence,
                None => self.next_number(NUMBER_SEQUENCE)?,
            },
        };
        let last = self.numbers.get(NUMBER_SEQUENCE).map_err(Fault::from)?.map_or(0, |number| number.value());
        if version.sequence > last {
            self.numbers.insert(NUMBER_SEQUENCE, version.sequence).map_err(Fault::from)?;
        }
        Ok(!self.taken(bucket, key, version.sequence)?)
    }

    /// A free place before the first entry of a key that is newer than a date; none when none is newer.
    fn between(&self, bucket: &Bucket, key: &str, date: i64) -> Result<Option<u64>, Fault> {
        let newer = self.history(bucket, key)?.into_iter().filter(|entry| entry.last_modified() > date);
        let Some(mut place) = newer.map(|entry| entry.sequence()).min() else { return Ok(None) };
        while place > 1 {
            place -= 1;
            if !self.taken(bucket, key, place)? {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    fn taken(&self, bucket: &Bucket, key: &str, sequence: u64) -> Result<bool, Fault> {
        Ok(self.versions.get((bucket.id.0, key.as_bytes(), !sequence))?.is_some())
    }

    /// Writes a version in its place and says anew what is newest.
    fn insert(&mut self, bucket: &Bucket, key: &str, version: Version) -> Result<(), Fault> {
        let null = match version.is_null {
            true => Some(version.sequence),
            false => self.entry(bucket, key, &Which::Named("null".to_owned()))?.map(|null| null.sequence()),
        };
        self.write_entry(bucket, key, &Entry::Object(Box::new(version)))?;
        let newest = self.history(bucket, key)?.into_iter().next();
        let sequence = newest.as_ref().map(Entry::sequence);
        match newest.and_then(Entry::object) {
            Some(newest) => self.point_to(bucket, key, &newest)?,
            None => drop(self.current.remove((bucket.id.0, key.as_bytes()))?),
        }
        if let Some(null) = null.filter(|null| sequence != Some(*null)) {
            self.nulls.insert((bucket.id.0, key.as_bytes()), null)?;
        }
        Ok(())
    }
}

/// The sequence and the date in a version id of this store; none for another store's.
fn own_place(id: &str) -> Option<(u64, i64)> {
    let sequence = !inverted_sequence(id)?;
    let date = u64::from_str_radix(&id[16..], 16).ok()?.cast_signed();
    (sequence > 0).then_some((sequence, date))
}
