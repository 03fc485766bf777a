//! ListObjects and ListObjectsV2: pages by seek, in byte order of the keys.
//!
//! A common prefix is one step whatever it holds: the walk goes on right behind it. What comes after a key or a
//! common prefix is everything greater; a common prefix that is not greater is not told again.

use std::ops::Bound;
use std::sync::Arc;

use dialect::S3Error;
use dialect::checksum::Algorithm;
use dialect::listing::{Form, ListRequest, Object, Page, invalid_token};
use http::Response;
use model::restore::Visible;
use model::{Body, ETag, ObjectKey, StorageClass, Timestamp};
use redb::ReadOnlyTable;

use super::fault::{Fault, Outcome};
use super::record::{BucketId, Current, decode};
use super::respond::document;
use super::tables::{CURRENT, CurrentKey, Snapshot};
use super::{Ask, Inner};

/// Answers either operation, on a blocking thread: a page may read much of the database.
pub(super) async fn list(inner: &Arc<Inner>, ask: Ask) -> Outcome<Response<Body>> {
    let inner = Arc::clone(inner);
    tokio::task::spawn_blocking(move || inner.list(&ask)).await.map_err(Fault::Task)?
}

impl Inner {
    fn list(&self, ask: &Ask) -> Outcome<Response<Body>> {
        let bucket = ask.route.bucket()?;
        let snapshot = self.snapshot()?;
        let id = snapshot.bucket(bucket.as_str())?.id;
        let request = ListRequest::parse(&ask.route.query, &ask.headers)?;
        let page = walk(&snapshot, id, &request)?;
        Ok(document(request.document(bucket, &page, &self.owner)))
    }
}

fn walk(snapshot: &Snapshot, bucket: BucketId, request: &ListRequest) -> Outcome<Page> {
    let mut walk = Walk {
        table: snapshot.transaction().open_table(CURRENT)?,
        bucket,
        request,
        after: start(request)?,
        page: Page { objects: Vec::new(), common_prefixes: Vec::new(), next: None },
        last: String::new(),
    };
    walk.run()?;
    Ok(walk.page)
}

/// The key or common prefix the page begins behind; empty for the beginning.
fn start(request: &ListRequest) -> Result<String, S3Error> {
    match &request.form {
        Form::V1 { marker } => Ok(marker.clone()),
        Form::V2 { continuation: Some(token), .. } => {
            let bytes = token.strip_prefix('1').and_then(|text| hex::decode(text).ok());
            bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| invalid_token(token))
        }
        Form::V2 { continuation: None, start_after } => Ok(start_after.clone().unwrap_or_default()),
    }
}

struct Walk<'a> {
    table: ReadOnlyTable<CurrentKey, &'static [u8]>,
    bucket: BucketId,
    request: &'a ListRequest,
    after: String,
    page: Page,
    /// Last key or common prefix put on the page.
    last: String,
}

// === impl Walk ===

impl Walk<'_> {
    fn run(&mut self) -> Result<(), Fault> {
        if self.request.max_keys == 0 {
            return Ok(());
        }
        let mut from = if self.after.as_str() < self.request.prefix.as_str() {
            Bound::Included(self.request.prefix.clone().into_bytes())
        } else {
            Bound::Excluded(self.after.clone().into_bytes())
        };
        while let Some(common) = self.run_to_prefix(&from)? {
            if common.as_str() > self.after.as_str() {
                if self.is_full() {
                    return Ok(());
                }
                self.last.clone_from(&common);
                self.page.common_prefixes.push(common.clone());
            }
            match behind(common.into_bytes()) {
                Some(next) => from = Bound::Included(next),
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// Takes keys until the page is full, they end, or a common prefix is met, which is returned.
    fn run_to_prefix(&mut self, from: &Bound<Vec<u8>>) -> Result<Option<String>, Fault> {
        let lower = match from {
            Bound::Included(key) => Bound::Included((self.bucket.0, key.as_slice())),
            Bound::Excluded(key) => Bound::Excluded((self.bucket.0, key.as_slice())),
            Bound::Unbounded => Bound::Included((self.bucket.0, &[][..])),
        };
        let upper = Bound::Excluded((self.bucket.0 + 1, &[][..]));
        let rows = self.table.range::<(u64, &[u8])>((lower, upper))?;
        for row in rows {
            let (key, record) = row?;
            let key = String::from_utf8_lossy(key.value().1).into_owned();
            let Some(rest) = key.strip_prefix(&self.request.prefix) else {
                return Ok(None);
            };
            if let Some(delimiter) = &self.request.delimiter
                && let Some(at) = rest.find(delimiter.as_str())
            {
                let end = self.request.prefix.len() + at + delimiter.len();
                return Ok(Some(key[..end].to_owned()));
            }
            if self.is_full() {
                return Ok(None);
            }
            let current = decode("current", record.value())?;
            self.last.clone_from(&key);
            self.page.objects.push(object(&key, &current)?);
        }
        Ok(None)
    }

    /// Whether the page has no room for what was just found, which makes it one that goes on.
    fn is_full(&mut self) -> bool {
        if self.page.objects.len() + self.page.common_prefixes.len() < self.request.max_keys {
            return false;
        }
        self.page.next = Some(match &self.request.form {
            Form::V1 { .. } => self.last.clone(),
            Form::V2 { .. } => format!("1{}", hex::encode(&self.last)),
        });
        true
    }
}

/// The first key behind all that begin with `prefix`.
pub(super) fn behind(mut prefix: Vec<u8>) -> Option<Vec<u8>> {
    while let Some(last) = prefix.pop() {
        if last < u8::MAX {
            prefix.push(last + 1);
            return Some(prefix);
        }
    }
    None
}

fn object(key: &str, current: &Current) -> Result<Object, Fault> {
    let unreadable = || Fault::Record { table: "current", source: postcard::Error::DeserializeBadEncoding };
    let algorithm = current.checksum.as_ref().and_then(|(name, _)| Algorithm::parse(name).ok());
    Ok(Object {
        key: ObjectKey::parse(key).map_err(|_| unreadable())?,
        last_modified: Timestamp::from_seconds(Timestamp::from_milliseconds(current.last_modified).seconds()),
        etag: ETag::parse(&current.etag).map_err(|_| unreadable())?,
        checksum_algorithms: algorithm.map(Algorithm::name).into_iter().collect(),
        size: current.size,
        class: current.class.parse::<StorageClass>().map_err(|_| unreadable())?,
        restore: Visible::Archived,
    })
}
