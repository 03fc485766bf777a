//! The embedded store: an S3 server in this process, on one directory.
//!
//! Words: a *version* is an object as it was written, an *entry* a version or a delete marker; a version's bytes are *segments*, each inline in the database or in a
//! *data file*; a *snapshot* is the database as of one moment.
//!
//! Flow of a write: the body is hashed into a staged file and synced ([`intake`]); one transaction of the one writer
//! thread looks at the conditions and makes the version visible, together with many others ([`writer`]); what it
//! replaced is swept after ([`sweep`]). A read takes a snapshot, pins its files and streams them ([`content`]).
//!
//! Invariant: what was answered with success is on the disk, the bytes before the record that points to them.
//! Invariant: conditions of a write are judged in the transaction that writes.
//! Invariant: an operation that is not offered answers 501, never as another operation.

mod acl;
mod attributes;
mod bucket;
mod complete;
mod content;
mod copy;
mod delete;
mod fault;
mod files;
mod intake;
mod list;
mod list_versions;
mod plant;
mod put;
mod read;
mod record;
mod respond;
mod swap;
mod sweep;
mod tables;
mod tags;
mod upload;
mod versions;
mod writer;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use async_trait::async_trait;
use dialect::listing::Owner;
use dialect::route::{Operation, Route, route};
use dialect::{Code, S3Error};
use http::{HeaderMap, Method, Request, Response};
use model::store::{Capabilities, StoreError};
use model::{Body, BucketName, ObjectKey, Timestamp};
use redb::{Database, ReadableDatabase as _, ReadableTable as _};

use crate::error::Error;
use crate::service::{Planted, S3Service, Swap};
use content::{Pinned, Pins, files_of};
use fault::{Failure, Fault, Outcome};
use files::Files;
use record::{Bucket, Version};
use sweep::{Ground, Sweeper};
use tables::{NUMBER_EPOCH, NUMBER_LAYOUT, Snapshot, Tables};
use versions::Which;
use writer::Writer;

pub use sweep::Damage;

/// The layout written today.
const LAYOUT: u64 = 2;
/// Memory the database may keep pages in, in bytes.
const CACHE_BYTES: usize = 32 << 20;

/// How the store behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Region named by GetBucketLocation and accepted by CreateBucket.
    pub region: String,
    /// Behave like a remote store: no swap in place, so that flips are conditional PUTs, and a reserved header that
    /// counts as metadata. For tests.
    pub pretend_remote: bool,
    /// Bytes that stay free on the disk: below, writes are refused, so that the database can always commit.
    pub reserve_bytes: u64,
    /// Wait for the disk before a write is acknowledged. Anything but `true` loses data at a power cut: tests only.
    pub sync: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { region: "us-east-1".to_owned(), pretend_remote: false, reserve_bytes: 256 << 20, sync: true }
    }
}

/// An S3 server in this process.
pub struct EmbeddedStore {
    inner: Arc<Inner>,
}

/// Fields end in the order written: the sweeper before the writer it uses.
struct Inner {
    _sweeper: Sweeper,
    writer: Arc<Writer>,
    database: Arc<Database>,
    files: Arc<Files>,
    pins: Arc<Pins>,
    options: Options,
    owner: Owner,
    requests: AtomicU64,
}

/// A request understood, without its body.
struct Ask {
    route: Route,
    method: Method,
    headers: HeaderMap,
}

/// Which object a request is about.
struct Target {
    bucket: BucketName,
    key: ObjectKey,
    which: Which,
}

/// An object found.
struct Seen {
    snapshot: Snapshot,
    bucket: Bucket,
    version: Version,
}

/// An object found and kept from the sweeper.
struct Found {
    seen: Seen,
    pinned: Pinned,
}

// === impl EmbeddedStore ===

impl EmbeddedStore {
    /// Opens the store in `directory`, making it when it is not there. Blocks.
    ///
    /// Leftovers of an unclean end are removed. Errors: the directory cannot be used, is in use, or was written by
    /// a newer version.
    pub fn open(directory: &Path, options: Options) -> Result<Self, Error> {
        let failed = |source| Error::OpenStore { directory: directory.to_owned(), source };
        std::fs::create_dir_all(directory).map_err(|source| failed(source.into()))?;
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create(directory.join("meta.redb"))
            .map_err(|source| failed(source.into()))?;
        let inner = Inner::start(directory, Arc::new(database), options);
        inner.map(|inner| Self { inner: Arc::new(inner) }).map_err(|error| match error {
            StartError::Layout(found) => Error::Layout { directory: directory.to_owned(), found },
            StartError::Fault(fault) => failed(Box::new(fault)),
        })
    }

    /// Whether the database failed, after which nothing is written any more: the process should end and start again.
    pub fn has_stopped(&self) -> bool {
        self.inner.writer.has_stopped()
    }

    /// Looks at every data file a record points to and returns those that are missing or of another length. Blocks
    /// for long on a large store; may run beside requests.
    pub fn check(&self) -> Result<Vec<Damage>, Error> {
        let damages = sweep::check(&self.inner.database, &self.inner.files);
        let damages = damages.map_err(|fault| Error::CheckStore { source: Box::new(fault) })?;
        Ok(damages)
    }
}

#[async_trait]
impl S3Service for EmbeddedStore {
    async fn call(&self, request: Request<Body>) -> Result<Response<Body>, StoreError> {
        let (parts, body) = request.into_parts();
        let id = self.inner.requests.fetch_add(1, Ordering::Relaxed);
        let head = parts.method == Method::HEAD;
        let answer = match route(
            &parts.method,
            parts.uri.path(),
            parts.uri.query().unwrap_or_default(),
            &parts.headers,
        ) {
            Ok(route) => {
                let ask = Ask { route, method: parts.method, headers: parts.headers };
                Inner::answer(&self.inner, ask, body).await
            }
            Err(error) => Err(error.into()),
        };
        if let Err(Failure::Fault(fault)) = &answer {
            self.inner.writer.stop_after(fault);
        }
        Ok(respond::finish(answer, head, id))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            in_place: !self.inner.options.pretend_remote,
            trailers: false,
            ..Capabilities::FAITHFUL
        }
    }

    async fn swap_in_place(&self, swap: Swap) -> Result<(), StoreError> {
        if self.inner.options.pretend_remote {
            let what = format!("a swap of {}/{}", swap.target.bucket, swap.target.key);
            return Err(StoreError::Refused {
                what,
                status: 501,
                code: Code::NotImplemented.as_str().to_owned(),
            });
        }
        swap::swap(&self.inner, swap).await
    }

    async fn plant_in_place(&self, planted: Planted) -> Result<(), StoreError> {
        plant::plant(&self.inner, planted).await
    }
}

enum StartError {
    Layout(u64),
    Fault(Fault),
}

impl<F: Into<Fault>> From<F> for StartError {
    fn from(fault: F) -> Self {
        Self::Fault(fault.into())
    }
}

// === impl Inner ===

impl Inner {
    fn start(directory: &Path, database: Arc<Database>, options: Options) -> Result<Self, StartError> {
        let epoch = begin_epoch(&database)?;
        let files = Arc::new(Files::open(directory, epoch, options.sync, options.reserve_bytes)?);
        clear_leftovers(&database, &files)?;
        let pins = Arc::new(Pins::default());
        let (bell, rings) = sweep::bell();
        let littered = bell.clone();
        let littered = Box::new(move || {
            if littered.send(()).is_err() {
                tracing::debug!("replaced files are removed at the next start");
            }
        });
        let writer =
            Arc::new(Writer::start(Arc::clone(&database), Arc::clone(&files), options.sync, littered)?);
        let ground = Ground {
            database: Arc::clone(&database),
            files: Arc::clone(&files),
            pins: Arc::clone(&pins),
            writer: Arc::clone(&writer),
        };
        let sweeper = Sweeper::start(ground, bell, rings)?;
        let owner = Owner { id: "tapegate".to_owned(), display_name: "tapegate".to_owned() };
        let requests = AtomicU64::new(0);
        Ok(Self { _sweeper: sweeper, writer, database, files, pins, options, owner, requests })
    }

    async fn answer(inner: &Arc<Self>, ask: Ask, body: Body) -> Outcome<Response<Body>> {
        use Operation as O;
        if let Some(header) = respond::header_not_offered(&ask) {
            return Err(S3Error::header_not_implemented(header).into());
        }
        match ask.route.operation {
            O::ListBuckets => inner.list_buckets(&ask),
            O::CreateBucket => inner.create_bucket(&ask, body).await,
            O::HeadBucket => inner.head_bucket(&ask),
            O::DeleteBucket => inner.delete_bucket(&ask).await,
            O::GetBucketLocation => inner.bucket_location(&ask),
            O::GetBucketVersioning => inner.bucket_versioning(&ask),
            O::PutBucketVersioning => inner.put_bucket_versioning(&ask, body).await,
            O::ListObjects | O::ListObjectsV2 => list::list(inner, ask).await,
            O::ListObjectVersions => list_versions::list(inner, ask).await,
            O::ListMultipartUploads => inner.list_uploads(&ask),
            O::DeleteObjects => inner.delete_objects(&ask, body).await,
            O::GetObject => inner.get_object(&ask),
            O::HeadObject => inner.head_object(&ask),
            O::GetObjectAttributes => inner.object_attributes(&ask),
            O::PutObject => inner.put_object(&ask, body).await,
            O::CopyObject => inner.copy_object(&ask).await,
            O::DeleteObject => inner.delete_object(&ask).await,
            O::GetObjectTagging => inner.object_tagging(&ask),
            O::PutObjectTagging => inner.put_object_tagging(&ask, body).await,
            O::DeleteObjectTagging => inner.delete_object_tagging(&ask).await,
            O::GetObjectAcl => inner.object_acl(&ask),
            O::PutObjectAcl => inner.put_object_acl(&ask, body).await,
            O::GetBucketAcl => inner.bucket_acl(&ask),
            O::PutBucketAcl => inner.put_bucket_acl(&ask, body).await,
            O::CreateMultipartUpload => inner.create_upload(&ask).await,
            O::UploadPart => inner.upload_part(&ask, body).await,
            O::UploadPartCopy => inner.upload_part_copy(&ask).await,
            O::CompleteMultipartUpload => inner.complete_upload(&ask, body).await,
            O::AbortMultipartUpload => inner.abort_upload(&ask).await,
            O::ListParts => inner.list_parts(&ask),
            O::SelectObjectContent => Err(S3Error::method_not_allowed(ask.method.as_str(), "OBJECT").into()),
            _ => Err(respond::not_offered().into()),
        }
    }

    fn snapshot(&self) -> Result<Snapshot, Fault> {
        Ok(Snapshot::new(self.database.begin_read()?))
    }

    /// The object. Errors: `NoSuchBucket`, and those of [`Which::object`].
    fn find(&self, target: &Target, method: &Method) -> Outcome<Seen> {
        let snapshot = self.snapshot()?;
        let bucket = snapshot.bucket(target.bucket.as_str())?;
        let key = target.key.as_str();
        let entry = snapshot.entry(&bucket, key, &target.which)?;
        let version = target.which.object(entry, key, method.as_str())?;
        Ok(Seen { snapshot, bucket, version })
    }

    /// The object with its files pinned. Errors as [`Self::find`].
    fn find_pinned(&self, target: &Target, method: &Method) -> Outcome<Found> {
        let mut seen = self.find(target, method)?;
        loop {
            let files = files_of(&seen.version);
            let unpinned = files.is_empty();
            let pinned = self.pins.pin(files);
            if unpinned {
                return Ok(Found { seen, pinned });
            }
            // Only a version still there after its files were pinned cannot have been swept before.
            let again = self.find(target, method)?;
            if again.version.segments == seen.version.segments {
                return Ok(Found { seen: again, pinned });
            }
            seen = again;
        }
    }
}

// === impl Target ===

impl Target {
    /// What the path and the query of a request name.
    fn of(ask: &Ask) -> Outcome<Self> {
        Ok(Self {
            bucket: ask.route.bucket()?.clone(),
            key: ask.route.key()?.clone(),
            which: Which::of(ask)?,
        })
    }
}

/// The moment a write is dated with.
fn now() -> Timestamp {
    SystemTime::now().into()
}

fn begin_epoch(database: &Database) -> Result<u64, StartError> {
    let mut transaction = database.begin_write().map_err(Fault::from)?;
    transaction.set_quick_repair(true);
    let mut tables = Tables::open(&transaction)?;
    let layout = tables.numbers.get(NUMBER_LAYOUT).map_err(Fault::from)?.map(|layout| layout.value());
    match layout {
        None => {
            tables.numbers.insert(NUMBER_LAYOUT, LAYOUT).map_err(Fault::from)?;
        }
        Some(LAYOUT) => {}
        Some(other) => return Err(StartError::Layout(other)),
    }
    let epoch = tables.next_number(NUMBER_EPOCH)?;
    drop(tables);
    transaction.commit().map_err(Fault::from)?;
    Ok(epoch)
}

/// Removes what was in flight when the store last stopped and did not become visible.
fn clear_leftovers(database: &Database, files: &Files) -> Result<(), Fault> {
    let known = database.begin_read()?.open_table(tables::FILES)?;
    for id in files.in_flight()? {
        if known.get(id.0)?.is_none() {
            files.remove(id)?;
        }
        files.remove_intent(id)?;
    }
    Ok(())
}
