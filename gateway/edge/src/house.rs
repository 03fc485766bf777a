//! What every hop has at hand: ports, settings, and calls to the store in S3's own form.

use std::ops::Range;

use dialect::route::Query;
use dialect::sigv4::Verifier;
use dialect::{Route, reserved};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use model::archive::ArchiveStage;
use model::body::empty;
use model::catalog::Bucket;
use model::store::{ObjectRef, StoreError};
use model::{Archive, ArchiveId, Body, BucketName, ObjectKey, Timestamp};
use tokio::sync::{Mutex, MutexGuard};

use crate::body::sized;
use crate::error::{Error, Result, catalog, store};
use crate::settings::{Ports, Settings};

/// Locks that decisions on restores are spread over.
const RESTORE_LOCKS: usize = 64;
/// The same, as an id is divided by it.
const RESTORE_LOCKS_ID: u128 = RESTORE_LOCKS as u128;

/// Ports and settings with what is made of them once.
pub(crate) struct House {
    pub(crate) ports: Ports,
    pub(crate) settings: Settings,
    pub(crate) verifier: Verifier,
    restores: [Mutex<()>; RESTORE_LOCKS],
}

/// A request past the gate. Its body goes beside it: plain bytes that are what was signed once they are read to the end.
pub(crate) struct Ask {
    pub(crate) route: Route,
    /// Method, target and headers as the store is to see them.
    pub(crate) head: Parts,
}

// === impl Ask ===

impl Ask {
    /// The object the request names.
    pub(crate) fn target(&self) -> Result<ObjectRef> {
        Ok(ObjectRef { bucket: self.route.bucket()?.clone(), key: self.route.key()?.clone(), version: None })
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }
}

// === impl House ===

impl House {
    pub(crate) fn new(ports: Ports, settings: Settings) -> Self {
        Self {
            verifier: Verifier::new(settings.region.clone()),
            ports,
            settings,
            restores: [const { Mutex::const_new(()) }; RESTORE_LOCKS],
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }

    /// Held while a restore of this archive is decided and written down, so that there is never more than one.
    pub(crate) async fn deciding(&self, archive: ArchiveId) -> MutexGuard<'_, ()> {
        let index = usize::try_from(archive.as_u128() % RESTORE_LOCKS_ID).expect("a remainder is small");
        self.restores[index].lock().await
    }

    /// Sends a request on to the store.
    pub(crate) async fn call(&self, head: &Parts, body: Body) -> Result<Response<Body>> {
        let request = Request::from_parts(head.clone(), body);
        self.ports.store.call(request).await.map_err(store("a request"))
    }

    /// Forwards an ask as it came.
    pub(crate) async fn forward(&self, ask: Ask, body: Body) -> Result<Response<Body>> {
        let request = Request::from_parts(ask.head, body);
        self.ports.store.call(request).await.map_err(store("a request"))
    }

    /// The head of the object `head` asks for, whatever else that asks: no condition, no range, no part.
    pub(crate) async fn look(&self, head: &Parts) -> Result<Response<Body>> {
        let (mut plain, ()) = Request::new(()).into_parts();
        plain.method = Method::HEAD;
        plain.uri = plain_read(&head.uri);
        for name in ["host", "x-amz-checksum-mode"] {
            if let Some(value) = head.headers.get(name) {
                plain.headers.insert(name, value.clone());
            }
        }
        self.call(&plain, empty()).await
    }

    /// Whether the store has this bucket.
    pub(crate) async fn has_bucket(&self, bucket: &BucketName) -> Result<bool> {
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = Method::HEAD;
        head.version = Version::HTTP_11;
        head.uri = Uri::try_from(format!("/{bucket}")).expect("a bucket name is a path");
        found("HeadBucket", self.call(&head, empty()).await?.status())
    }

    /// Bytes of a restored copy as a body.
    pub(crate) async fn read_copy(&self, archive: ArchiveId, range: Range<u64>) -> Result<Body> {
        let length = range.end - range.start;
        let stream = self.ports.store.read_copy(archive, range).await;
        let stream = stream.map_err(|source| Error::ReadCopy { archive, source })?;
        Ok(sized(stream, length))
    }

    /// What the catalog knows of a bucket.
    pub(crate) async fn bucket(&self, bucket: &BucketName) -> Result<Option<Bucket>> {
        self.ports.catalog.bucket(bucket).await.map_err(catalog("a bucket"))
    }

    /// Whether the bucket ever had an archive.
    pub(crate) async fn has_archives(&self, bucket: &BucketName) -> Result<bool> {
        Ok(self.bucket(bucket).await?.is_some_and(|bucket| bucket.has_archives))
    }

    /// The live archives of a key; answered without a look-up where the bucket never had one.
    pub(crate) async fn archives_at(&self, bucket: &BucketName, key: &ObjectKey) -> Result<Vec<Archive>> {
        if !self.has_archives(bucket).await? {
            return Ok(Vec::new());
        }
        let rows = self.ports.catalog.archives_at(bucket, key).await;
        rows.map_err(catalog("the archives of a key"))
    }

    /// Whether the key may have an archive that clients see as one.
    pub(crate) async fn may_be_archived(&self, bucket: &BucketName, key: &ObjectKey) -> Result<bool> {
        let rows = self.archives_at(bucket, key).await?;
        Ok(rows
            .iter()
            .any(|row| row.is_archived_for_clients() || row.state.stage() == ArchiveStage::Flipping))
    }
}

/// Whether the store has what it was asked for the head of.
///
/// Errors: `AskStore` when it is in trouble, `ReadAnswer` for what no head should be answered with.
pub(crate) fn found(operation: &'static str, status: StatusCode) -> Result<bool> {
    match status {
        StatusCode::NOT_FOUND => Ok(false),
        status if status.is_success() => Ok(true),
        status if status.is_server_error() => {
            let source = format!("it answered {status}").into();
            Err(store(operation)(StoreError::Doubt { what: operation.to_owned(), source }))
        }
        _ => Err(Error::ReadAnswer { operation, missing: "verdict" }),
    }
}

/// The reserved header's text, when it is there.
pub(crate) fn record(headers: &HeaderMap) -> Option<&str> {
    // Bytes no record can have are a record all the same: one that will not be trusted.
    headers.get(reserved::HEADER).map(|value| value.to_str().unwrap_or(""))
}

/// The target of a plain read: of the query only which version, and which headers the answer is to have.
fn plain_read(uri: &Uri) -> Uri {
    keep_query(uri, |name| name == "versionId" || name.starts_with("response-"))
}

/// `uri` with those pairs of its query whose name, decoded, is wanted; the pairs stay as they are.
pub(crate) fn keep_query(uri: &Uri, wanted: impl Fn(&str) -> bool) -> Uri {
    let is_wanted = |pair: &&str| Query::parse(pair).is_ok_and(|one| one.names().any(&wanted));
    let kept: Vec<&str> = uri.query().unwrap_or_default().split('&').filter(is_wanted).collect();
    with_query(uri, &kept.join("&"))
}

/// The path of `uri` with another query.
pub(crate) fn with_query(uri: &Uri, query: &str) -> Uri {
    let path = uri.path();
    let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    Uri::try_from(target).expect("pieces of a target are a target")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_store_in_trouble_is_not_a_store_gone_wrong() {
        let found = |status| found("HeadBucket", StatusCode::from_u16(status).unwrap());
        assert!(found(200).unwrap() && !found(404).unwrap());
        assert!(matches!(found(500), Err(Error::AskStore { .. })));
        assert!(matches!(found(503), Err(Error::AskStore { .. })));
        assert!(matches!(found(403), Err(Error::ReadAnswer { .. })));
    }

    #[test]
    fn queries_are_kept_by_decoded_name() {
        let uri: Uri = "/b/k?version%49d=a&partNumber=1&response-expires=%20&x=".parse().unwrap();
        assert_eq!(plain_read(&uri), "/b/k?version%49d=a&response-expires=%20");
        assert_eq!(plain_read(&"/b/k?x".parse().unwrap()), "/b/k");
    }
}
