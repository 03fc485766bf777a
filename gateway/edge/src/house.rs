//! What every hop has at hand: ports, settings, and calls to the store in S3's own form.

use std::ops::Range;

use dialect::route::Query;
use dialect::sigv4::{Secret, Verifier};
use dialect::{Code, Route, reserved};
use http::header::{ACCEPT, ACCEPT_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use model::archive::ArchiveStage;
use model::body::empty;
use model::bucket::{Mode, Terms};
use model::catalog::Bucket;
use model::store::{ObjectRef, Signer, StoreError};
use model::{Archive, ArchiveId, Body, BucketName, ObjectKey, Timestamp, VersionId};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
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

/// A request past the gate, its signer among the extensions of its head. Its body goes beside it: plain bytes that are what was signed once they are read to the end.
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

    /// Asks for the answer in the one form that is read here: a store may have others (JSON, HTML), and it or a proxy
    /// before it may compress them.
    fn ask_plainly(&mut self) {
        self.head.headers.remove(ACCEPT);
        self.head.headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }

    /// Whose key the store hears the request with.
    pub(crate) fn signer(&self) -> Signer {
        signer(&self.head)
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

    /// The secret of an access key id.
    pub(crate) fn secret(&self, access_key_id: &str) -> Option<Secret> {
        self.settings.identities.get(access_key_id).map(|identity| identity.secret.clone())
    }

    /// Sends a request on to the store. How long its answer may be waited for is for the store's adapter to say.
    pub(crate) async fn call(&self, head: &Parts, body: Body) -> Result<Response<Body>> {
        let request = Request::from_parts(head.clone(), body);
        self.ports.store.call(request).await.map_err(store("a request"))
    }

    /// Forwards an ask as it came.
    pub(crate) async fn forward(&self, ask: Ask, body: Body) -> Result<Response<Body>> {
        let request = Request::from_parts(ask.head, body);
        self.ports.store.call(request).await.map_err(store("a request"))
    }

    /// Forwards an ask whose answer is read or edited here where its bucket is managed.
    pub(crate) async fn forward_to_read(&self, mut ask: Ask, body: Body) -> Result<Response<Body>> {
        if self.is_managed(ask.route.bucket()?).await? {
            ask.ask_plainly();
        }
        self.forward(ask, body).await
    }

    /// The head of the object `head` asks for, whatever else that asks: no condition, no range, no part. Signed by
    /// whoever signs `head`.
    pub(crate) async fn look(&self, head: &Parts) -> Result<Response<Body>> {
        self.call(&head_of(head, plain_read(&head.uri)), empty()).await
    }

    /// The headers of an object's head; none when it is not there, or the store should say itself what is wrong.
    ///
    /// Errors: `AskStore` when the store is in trouble, `AccessDenied`.
    pub(crate) async fn looked(&self, head: &Parts) -> Result<Option<HeaderMap>> {
        let response = self.look(head).await?;
        match response.status() {
            status if status.is_success() => Ok(Some(response.into_parts().0.headers)),
            StatusCode::FORBIDDEN => Err(Code::AccessDenied.into()),
            status if status.is_server_error() => Err(trouble("a head", status)),
            _ => Ok(None),
        }
    }

    /// Whether the store has this bucket.
    pub(crate) async fn has_bucket(&self, bucket: &BucketName) -> Result<bool> {
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = Method::HEAD;
        head.uri = bucket_uri(bucket);
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

    /// What holds for a bucket.
    pub(crate) async fn terms(&self, bucket: &BucketName) -> Result<Terms> {
        let row = self.bucket(bucket).await?;
        Ok(self.settings.buckets.terms(bucket, row.as_ref()))
    }

    /// Whether requests of a bucket concern us at all.
    pub(crate) async fn is_managed(&self, bucket: &BucketName) -> Result<bool> {
        Ok(self.terms(bucket).await?.mode.is_managed())
    }

    /// Whether writes into a tape class are taken over. While everything of a bucket is brought back, and where it is
    /// not managed, the class is the store's affair.
    pub(crate) async fn takes_tape(&self, bucket: &BucketName) -> Result<bool> {
        Ok(matches!(self.terms(bucket).await?.mode, Mode::Enabled | Mode::Paused))
    }

    /// Whether the bucket is managed and ever had an archive.
    pub(crate) async fn has_archives(&self, bucket: &BucketName) -> Result<bool> {
        let row = self.bucket(bucket).await?;
        let has_archives = row.as_ref().is_some_and(|row| row.has_archives);
        Ok(has_archives && self.settings.buckets.terms(bucket, row.as_ref()).mode.is_managed())
    }

    /// The live archives of a key; answered without a look-up where the bucket never had one, or is not managed.
    pub(crate) async fn archives_at(&self, bucket: &BucketName, key: &ObjectKey) -> Result<Vec<Archive>> {
        if !self.has_archives(bucket).await? {
            return Ok(Vec::new());
        }
        let rows = self.ports.catalog.archives_at(bucket, key).await;
        rows.map_err(catalog("the archives of a key"))
    }
}

/// Whether clients may see this archive as one.
pub(crate) fn may_be_archived(row: &Archive) -> bool {
    row.is_archived_for_clients() || row.state.stage() == ArchiveStage::Flipping
}

/// Who signs this head.
pub(crate) fn signer(head: &Parts) -> Signer {
    head.extensions.get::<Signer>().cloned().unwrap_or(Signer::Service)
}

/// A HEAD of `uri` that asks for nothing more, on behalf of whoever sent `head`.
pub(crate) fn head_of(head: &Parts, uri: Uri) -> Parts {
    let (mut plain, ()) = Request::new(()).into_parts();
    plain.method = Method::HEAD;
    plain.uri = uri;
    plain.extensions.insert(signer(head));
    for name in CARRIED {
        if let Some(value) = head.headers.get(name) {
            plain.headers.insert(name, value.clone());
        }
    }
    plain
}

/// What a request for the head of an object takes over from the request it is made for.
const CARRIED: [&str; 4] =
    ["host", "x-amz-checksum-mode", "x-amz-expected-bucket-owner", "x-amz-request-payer"];

/// The store answered, and not in a way that says anything.
pub(crate) fn trouble(operation: &'static str, status: StatusCode) -> Error {
    let source = format!("it answered {status}").into();
    store(operation)(StoreError::Doubt { what: operation.to_owned(), source })
}

/// Whether the store has what it was asked for the head of.
///
/// Errors: `AskStore` when it is in trouble, `AccessDenied`, `ReadAnswer` for what no head should be answered with.
pub(crate) fn found(operation: &'static str, status: StatusCode) -> Result<bool> {
    match status {
        StatusCode::NOT_FOUND => Ok(false),
        status if status.is_success() => Ok(true),
        StatusCode::FORBIDDEN => Err(Code::AccessDenied.into()),
        status if status.is_server_error() => Err(trouble(operation, status)),
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

/// The target of a bucket.
pub(crate) fn bucket_uri(bucket: &BucketName) -> Uri {
    Uri::try_from(format!("/{bucket}")).expect("a bucket name is a path")
}

/// The target of an object.
pub(crate) fn object_uri(bucket: &BucketName, key: &ObjectKey, version: Option<&VersionId>) -> Uri {
    let path = format!("/{bucket}/{}", utf8_percent_encode(key.as_str(), PATH));
    let target = match version {
        Some(version) => format!("{path}?versionId={}", escaped(version.as_str())),
        None => path,
    };
    Uri::try_from(target).expect("an escaped key is a path")
}

/// Text as a query carries it.
pub(crate) fn escaped(text: &str) -> String {
    utf8_percent_encode(text, QUERY).to_string()
}

const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const PATH: &AsciiSet = &QUERY.remove(b'/');

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
        assert!(matches!(found(403), Err(Error::Refused(_))));
        assert!(matches!(found(301), Err(Error::ReadAnswer { .. })));
    }

    #[test]
    fn queries_are_kept_by_decoded_name() {
        let uri: Uri = "/b/k?version%49d=a&partNumber=1&response-expires=%20&x=".parse().unwrap();
        assert_eq!(plain_read(&uri), "/b/k?version%49d=a&response-expires=%20");
        assert_eq!(plain_read(&"/b/k?x".parse().unwrap()), "/b/k");
    }
}
