//! The reserved bucket: prepared at the start, out of the clients' reach.

use dialect::S3Error;
use dialect::copy::CopySource;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response};
use model::body::{empty, full};
use model::store::StoreError;
use model::{Body, ObjectKey};
use percent_encoding::percent_decode_str;

use super::answer::{LISTING_BYTES_MAX, document, leaf, nonsense, token};
use super::request::{Ask, unescape_key};
use super::{Reserved, S3Store};
use crate::error::Error;
use crate::service::S3Service;
use crate::stream::collect;

/// The object that names the catalog which owns the bucket.
const OWNER_KEY: &str = "catalog";
/// What asking for it is called.
const OWNER: &str = "owner of the reserved bucket";
/// Longest catalog id read, in bytes.
const OWNER_BYTES_MAX: usize = 1024;

impl<S: S3Service> S3Store<S> {
    /// Makes the bucket ready and ours.
    pub(super) async fn prepare(&self) -> Result<(), Error> {
        let Reserved { bucket, catalog } = &self.reserved;
        let failed = |source| Error::PrepareReserved { bucket: bucket.to_string(), source };
        self.ensure_bucket().await.map_err(failed)?;
        let owner = self.ensure_owner().await.map_err(failed)?;
        if owner != *catalog {
            let (bucket, expected) = (bucket.to_string(), catalog.clone());
            return Err(Error::ForeignReserved { bucket, expected, found: owner });
        }
        self.abort_uploads().await.map_err(failed)
    }

    async fn ensure_bucket(&self) -> Result<(), StoreError> {
        let bucket = &self.reserved.bucket;
        match self.ask("head of the reserved bucket", Ask::bucket(Method::HEAD, bucket).bare()).await {
            Err(StoreError::Missing { .. }) => {}
            seen => return seen.map(drop),
        }
        let ask = Ask::bucket(Method::PUT, bucket);
        self.ask("creation of the reserved bucket", ask.bare()).await.map(drop)
    }

    /// The catalog named by the marker object, which is ours when there was none. It is looked for first: not every
    /// store heeds the condition of a write.
    async fn ensure_owner(&self) -> Result<String, StoreError> {
        match self.owner().await {
            Err(StoreError::Missing { .. }) => {}
            seen => return seen,
        }
        let catalog = self.reserved.catalog.clone();
        let length = catalog.len() as u64;
        let ask = Ask::object(Method::PUT, &self.reserved.bucket, OWNER_KEY).header("if-none-match", "*");
        match self.ask(OWNER, ask.send(full(catalog), length)).await {
            Ok(_) | Err(StoreError::Changed { .. }) => self.owner().await,
            Err(error) => Err(error),
        }
    }

    pub(super) async fn find_owner(&self) -> Result<Option<String>, StoreError> {
        match self.owner().await {
            Ok(owner) => Ok(Some(owner)),
            Err(StoreError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn owner(&self) -> Result<String, StoreError> {
        let ask = Ask::object(Method::GET, &self.reserved.bucket, OWNER_KEY);
        let response = self.ask(OWNER, ask.bare()).await?;
        let body = collect(response.into_body(), OWNER_BYTES_MAX)
            .await
            .map_err(|source| StoreError::Doubt { what: OWNER.to_owned(), source: Box::new(source) })?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    async fn abort_uploads(&self) -> Result<(), StoreError> {
        let what = "uploads of the reserved bucket";
        let mut after: Option<(ObjectKey, String)> = None;
        loop {
            let mut ask = Ask::bucket(Method::GET, &self.reserved.bucket)
                .query("uploads", "")
                .query("encoding-type", "url");
            if let Some((key, upload)) = &after {
                // Some stores go on listing uploads that are gone.
                ask = ask.query("key-marker", key.as_str()).query("upload-id-marker", upload);
            }
            let response = self.ask(what, ask.bare()).await?;
            let listing = document(what, response, "ListMultipartUploadsResult", LISTING_BYTES_MAX).await?;
            after = None;
            for upload in listing.all("Upload") {
                let key = upload.child("Key").and_then(|key| unescape_key(key.exact().ok()?));
                let (Some(key), Some(id)) = (key, token(what, upload, "UploadId")?) else {
                    return Err(nonsense(what, "upload"));
                };
                let ask =
                    Ask::object(Method::DELETE, &self.reserved.bucket, key.as_str()).query("uploadId", &id);
                super::gone(self.ask(what, ask.bare()).await)?;
                after = Some((key, id));
            }
            if after.is_none() || leaf(&listing, "IsTruncated") != Some("true") {
                return Ok(());
            }
        }
    }

    /// The answer to a client's request that names the reserved bucket, which for clients is not there.
    pub(super) fn refuse_reserved(&self, request: &Request<Body>) -> Option<Response<Body>> {
        let path = request.uri().path();
        let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        let named = percent_decode_str(first).decode_utf8_lossy() == self.reserved.bucket.as_str();
        let copied = request.headers().contains_key("x-amz-copy-source")
            && CopySource::parse(request.headers()).is_ok_and(|source| source.bucket == self.reserved.bucket);
        if !named && !copied {
            return None;
        }
        let error = S3Error::no_such_bucket(self.reserved.bucket.as_str());
        let body = if request.method() == Method::HEAD { empty() } else { full(error.document("", "")) };
        let mut response = Response::new(body);
        *response.status_mut() = error.status();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        Some(response)
    }

    /// Takes the reserved bucket out of a ListBuckets answer and leaves the rest as it is.
    pub(super) async fn hide_reserved(&self, response: Response<Body>) -> Result<Response<Body>, StoreError> {
        let (mut parts, body) = response.into_parts();
        let body = collect(body, LISTING_BYTES_MAX).await.map_err(|source| StoreError::Doubt {
            what: "list of buckets".to_owned(),
            source: Box::new(source),
        })?;
        let text = without_bucket(&String::from_utf8_lossy(&body), self.reserved.bucket.as_str());
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
        Ok(Response::from_parts(parts, full(text)))
    }
}

/// The document without the `Bucket` element of this name.
fn without_bucket(document: &str, name: &str) -> String {
    const END: &str = "</Bucket>";
    let wanted = format!("<Name>{name}</Name>");
    let Some(at) = document.find(&wanted) else {
        return document.to_owned();
    };
    let start = document[..at].rfind("<Bucket>");
    let end = document[at..].find(END).map(|end| at + end + END.len());
    match (start, end) {
        (Some(start), Some(end)) => format!("{}{}", &document[..start], &document[end..]),
        _ => document.to_owned(),
    }
}
