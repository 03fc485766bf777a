//! The reserved bucket: prepared at the start, out of the clients' reach.

use dialect::S3Error;
use dialect::copy::CopySource;
use dialect::overlay::without_bucket;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use model::body::{empty, full};
use model::store::StoreError;
use model::{Body, ObjectKey};
use percent_encoding::{percent_decode, percent_decode_str};

use super::answer::{LISTING_BYTES_MAX, document, leaf, nonsense, token};
use super::request::{Ask, unescape_key};
use super::{Reserved, S3Store};
use crate::error::Error;
use crate::service::S3Service;
use crate::stream::collect;

/// The object that names the catalog which owns the bucket.
const OWNER_KEY: &str = "catalog";
/// The header that makes a request a copy.
const COPY_SOURCE: &str = "x-amz-copy-source";
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

    /// The answer to a client's request that names the reserved bucket, which for clients is not there. It carries its
    /// error, for whoever can name the request it is about.
    pub(super) fn refuse_reserved(&self, request: &Request<Body>) -> Option<Response<Body>> {
        let path = request.uri().path();
        let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        let named = percent_decode_str(first).decode_utf8_lossy() == self.reserved.bucket.as_str();
        if !named && !self.is_copied(request.headers()) {
            return None;
        }
        let error = S3Error::no_such_bucket(self.reserved.bucket.as_str());
        let body = if request.method() == Method::HEAD { empty() } else { full(error.document("", "")) };
        let mut response = Response::new(body);
        *response.status_mut() = error.status();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        response.extensions_mut().insert(error);
        Some(response)
    }

    /// Whether the reserved bucket may be what is copied from: whoever sent the request was to refuse what can be read
    /// in two ways, and where that was missed, the mere name is enough.
    fn is_copied(&self, headers: &HeaderMap) -> bool {
        let bucket = &self.reserved.bucket;
        headers.get_all(COPY_SOURCE).iter().any(|value| {
            let alone = HeaderMap::from_iter([(HeaderName::from_static(COPY_SOURCE), value.clone())]);
            match CopySource::parse(&alone) {
                Ok(source) => source.bucket == *bucket,
                Err(_) => percent_decode(value.as_bytes()).decode_utf8_lossy().contains(bucket.as_str()),
            }
        })
    }

    /// Takes the reserved bucket out of an answer about buckets and leaves the rest as it is.
    pub(super) async fn hide_reserved(&self, response: Response<Body>) -> Result<Response<Body>, StoreError> {
        let unusable = |source| StoreError::Doubt { what: "answer about all buckets".to_owned(), source };
        let (mut parts, body) = response.into_parts();
        let body = collect(body, LISTING_BYTES_MAX).await.map_err(|source| unusable(Box::new(source)))?;
        let body =
            without_bucket(&body, &self.reserved.bucket).map_err(|source| unusable(Box::new(source)))?;
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        Ok(Response::from_parts(parts, full(body)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use async_trait::async_trait;
    use dialect::reserved::MarkerKey;
    use http::StatusCode;
    use model::BucketName;
    use model::store::{Capabilities, ObjectStore};

    use super::*;
    use crate::remote::UNPROVEN;
    use crate::service::Swap;

    /// A store that says the same of everything.
    struct Says(StatusCode, &'static str);

    #[async_trait]
    impl S3Service for Says {
        async fn call(&self, request: Request<Body>) -> Result<Response<Body>, StoreError> {
            let is_plain =
                request.headers().get("accept-encoding").is_some_and(|coding| coding == "identity");
            assert_eq!(is_plain, request.uri().path() == "/", "what is edited cannot be compressed");
            let length = self.1.len();
            let response = Response::builder().status(self.0).header(CONTENT_LENGTH, length);
            Ok(response.body(full(self.1)).unwrap())
        }

        fn capabilities(&self) -> Capabilities {
            UNPROVEN
        }

        async fn swap_in_place(&self, _: Swap) -> Result<(), StoreError> {
            Err(StoreError::Missing { what: "everything".to_owned() })
        }
    }

    async fn heard(status: u16, document: &'static str, target: &str) -> Result<String, StoreError> {
        let reserved = Reserved { bucket: BucketName::parse("kept-1").unwrap(), catalog: "c".to_owned() };
        let service = Says(StatusCode::from_u16(status).unwrap(), document);
        let store = S3Store::look(service, reserved, MarkerKey::new([7; 32]));
        let request = Request::get(target).header("accept-encoding", "gzip").body(empty()).unwrap();
        let response = ObjectStore::call(&store, request).await?;
        let length = response.headers()[CONTENT_LENGTH].to_str().unwrap().to_owned();
        let body = collect(response.into_body(), 1 << 10).await.unwrap();
        assert_eq!(length, body.len().to_string());
        Ok(String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn it_is_no_source_of_a_copy_however_it_is_written() {
        let reserved = Reserved { bucket: BucketName::parse("kept-1").unwrap(), catalog: "c".to_owned() };
        let store = S3Store::look(Says(StatusCode::OK, ""), reserved, MarkerKey::new([7; 32]));
        for (sources, refused) in [
            (&["kept-1/k"][..], true),
            (&["/%6bept-1%2Fk?versionId=v"], true),
            (&[":kept-1/k"], true),
            (&["//kept-1/k"], true),
            (&["tenant%3Akept-1/k"], true),
            (&["bkt/k", "kept-1/k"], true),
            (&["bkt/kept-1"], false),
            (&["bkt"], false),
        ] {
            let request = Request::put("/bkt/copy");
            let request =
                sources.iter().fold(request, |request, source| request.header(COPY_SOURCE, *source));
            let response = ObjectStore::call(&store, request.body(empty()).unwrap()).await.unwrap();
            assert_eq!(response.status() == StatusCode::NOT_FOUND, refused, "{sources:?}");
        }
    }

    #[tokio::test]
    async fn no_answer_about_all_buckets_names_it() {
        let usage = "<Usage><B><Entry><Bucket>a</Bucket><N>1</N></Entry><Entry><Bucket>kept-1</Bucket><N>2</N></Entry></B></Usage>";
        let left = "<Usage><B><Entry><Bucket>a</Bucket><N>1</N></Entry></B></Usage>";
        assert_eq!(heard(200, usage, "/?usage").await.unwrap(), left);
        assert_eq!(heard(200, "[{\"Name\":\"kept-1\"}]", "/?format=json").await.unwrap(), "[]");
        assert_eq!(heard(200, usage, "/bkt?usage").await.unwrap(), usage, "an object may say what it likes");
        for document in ["kept-1,5", "<Usage><!-- kept-1 --></Usage>"] {
            assert!(
                heard(200, document, "/?usage").await.is_err(),
                "{document}: rather nothing than its name"
            );
        }
    }
}
