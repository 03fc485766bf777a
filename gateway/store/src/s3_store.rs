//! The port [`ObjectStore`] on top of any [`S3Service`], speaking S3 alone.
//!
//! Restored copies lie in a reserved bucket of the same service, under `<2 hex>/<archive>`. Clients neither see that
//! bucket in a list nor reach it by name.

pub(crate) mod answer;
mod attributes;
mod bring_back;
mod canary;
mod copies;
mod pages;
mod plant;
mod protection;
pub(crate) mod request;
mod reserved_bucket;
mod survey;
mod versions;

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use dialect::reserved::{self, MarkerKey};
use futures_util::{StreamExt, TryStreamExt};
use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use model::bucket::Survey;
use model::limits::LIST_KEYS_MAX;
use model::marker;
use model::store::{
    BringBack, Capabilities, Flip, FlipContent, IfMatch, ListedVersion, ObjectHead, ObjectRef, ObjectStore,
    Page, Plant, StoreError,
};
use model::{
    ArchiveId, Body, BucketName, ByteStream, CopyPart, CopyUpload, ETag, Identity, Marker, ObjectKey,
    Stretches,
};

use crate::error::Error;
use crate::service::{S3Service, Swap, ToClient};
use crate::stream::pieces;
use answer::{LISTING_BYTES_MAX, accepted, document, nonsense};
use request::Ask;

/// Heads of parts asked for at a time.
const PART_HEADS: usize = 8;

/// The bucket of restored copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reserved {
    /// Its name, with a random suffix fixed at the first start.
    pub bucket: BucketName,
    /// Id of the catalog that owns it, written into a marker object: a store is never shared by two catalogs unseen.
    pub catalog: String,
}

/// A store that speaks S3.
pub struct S3Store<S> {
    service: S,
    reserved: Reserved,
    secret: MarkerKey,
    /// Held while the canary is heard.
    canary: tokio::sync::Mutex<()>,
}

// === impl S3Store ===

impl<S: S3Service> S3Store<S> {
    /// Prepares the reserved bucket: made when it is not there, refused when it is another catalog's, and rid of
    /// uploads an earlier run left behind.
    pub async fn open(service: S, reserved: Reserved, secret: MarkerKey) -> Result<Self, Error> {
        let store = Self::look(service, reserved, secret);
        store.prepare().await?;
        Ok(store)
    }

    /// Only to look at a store: nothing is prepared, and the reserved bucket may not be there.
    pub fn look(service: S, reserved: Reserved, secret: MarkerKey) -> Self {
        Self { service, reserved, secret, canary: tokio::sync::Mutex::default() }
    }

    /// The catalog that owns the reserved bucket; none when there is no such bucket, or nobody's name in it.
    pub async fn reserved_owner(&self) -> Result<Option<String>, StoreError> {
        self.find_owner().await
    }

    /// The service below.
    pub fn service(&self) -> &S {
        &self.service
    }

    async fn ask(&self, what: &str, request: Request<Body>) -> Result<Response<Body>, StoreError> {
        accepted(what, self.service.call(request).await?).await
    }

    async fn swap_stub(&self, flip: &Flip, record: String, body: Bytes) -> Result<(), StoreError> {
        let swap = Swap {
            target: flip.target.clone(),
            expected_etag: flip.head.etag.clone(),
            expected_seconds: flip.head.last_modified.seconds(),
            header: (reserved::HEADER.to_owned(), record),
            body,
        };
        self.service.swap_in_place(swap).await
    }

    async fn put_stub(&self, flip: &Flip, record: &str, body: Bytes) -> Result<(), StoreError> {
        let target = &flip.target;
        let what = format!("flip of {}/{}", target.bucket, target.key);
        let mut ask =
            Ask::object(Method::PUT, &target.bucket, target.key.as_str()).header(reserved::HEADER, record);
        if flip.conditional {
            ask = self.expecting(ask, &flip.head.etag);
        }
        let displaced = marker::displaced(&flip.head.headers);
        for (name, value) in flip.head.headers.iter().filter(|header| !displaced.contains(header)) {
            ask = ask.header(name, value);
        }
        let length = body.len() as u64;
        self.ask(&what, ask.send(model::body::full(body), length)).await.map(drop)
    }

    /// A PUT on the condition that the object has this ETag, in the form the store honours.
    fn expecting(&self, ask: Ask, etag: &ETag) -> Ask {
        match self.service.capabilities().if_match {
            IfMatch::Quoted => ask.header("if-match", &etag.quoted()),
            IfMatch::Unquoted => ask.header("if-match", etag.as_str()),
            // The key's fence is all there is.
            IfMatch::Ignored => ask,
        }
    }

    /// A refused condition may be the echo of an attempt that was carried out twice: then our marker stands there.
    async fn settle(&self, flip: &Flip, what: String) -> Result<(), StoreError> {
        let seen = self.head(&flip.target).await?;
        if seen.and_then(|head| head.marker).is_some_and(|marker| marker == flip.marker) {
            return Ok(());
        }
        Err(StoreError::Changed { what })
    }

    async fn part_head(
        &self,
        target: &ObjectRef,
        etag: &ETag,
        number: usize,
    ) -> Result<(u64, usize), StoreError> {
        let what = format!("part {number} of {}/{}", target.bucket, target.key);
        let ask = object(Method::HEAD, target)
            .query("partNumber", &number.to_string())
            .header("if-match", &etag.quoted());
        let response = self.ask(&what, ask.bare()).await?;
        let number = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let bytes = number("content-length").and_then(|text| text.parse().ok());
        let count = number("x-amz-mp-parts-count").and_then(|text| text.parse().ok());
        Ok((bytes.ok_or_else(|| nonsense(&what, "length"))?, count.unwrap_or(0)))
    }
}

#[async_trait]
impl<S: S3Service> ObjectStore for S3Store<S> {
    fn capabilities(&self) -> Capabilities {
        self.service.capabilities()
    }

    async fn call(&self, mut request: Request<Body>) -> Result<Response<Body>, StoreError> {
        if let Some(refusal) = self.refuse_reserved(&request) {
            return Ok(refusal);
        }
        // Whatever the method: there are stores that list their buckets for every one.
        let lists_buckets = request.uri().path() == "/";
        let told_length_only = request.method() == Method::HEAD;
        if lists_buckets {
            // What is compressed cannot be edited.
            request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        let mut response = self.service.call(request).await?;
        match response.status() {
            StatusCode::OK if lists_buckets && told_length_only => {
                response.headers_mut().remove(CONTENT_LENGTH);
                Ok(response)
            }
            StatusCode::OK if lists_buckets => self.hide_reserved(response).await,
            _ => Ok(response),
        }
    }

    async fn canary(&self) -> Result<bool, StoreError> {
        // Two at the same time would be each other's foreign writer.
        let _heard = self.canary.lock().await;
        self.hear_canary().await
    }

    async fn survey(&self, bucket: &BucketName) -> Result<Survey, StoreError> {
        self.survey_bucket(bucket).await
    }

    async fn keep_rules(&self, bucket: &BucketName, rules: Option<Bytes>) -> Result<(), StoreError> {
        self.keep_bucket_rules(bucket, rules).await
    }

    async fn buckets(&self) -> Result<Vec<BucketName>, StoreError> {
        let what = "list of buckets";
        let mut names = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let mut ask = Ask::service(Method::GET);
            if let Some(token) = &token {
                ask = ask.query("continuation-token", token);
            }
            let response = self.ask(what, ask.bare()).await?;
            let listing = document(what, response, "ListAllMyBucketsResult", LISTING_BYTES_MAX).await?;
            names.extend(answer::bucket_names(what, &listing)?);
            let next = answer::token(what, &listing, "ContinuationToken")?;
            if next.is_none() || next == token {
                break;
            }
            token = next;
        }
        names.retain(|name| *name != self.reserved.bucket);
        names.sort();
        Ok(names)
    }

    async fn page(
        &self,
        bucket: &BucketName,
        prefix: &str,
        after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        self.page_of(bucket, prefix, after, limit.clamp(1, LIST_KEYS_MAX)).await
    }

    async fn inspect(&self, target: &ObjectRef) -> Result<Option<ObjectHead>, StoreError> {
        let Some(mut head) = self.head(target).await? else { return Ok(None) };
        match self.add_attributes(target, &mut head).await {
            Ok(()) => Ok(Some(head)),
            // It went away between the questions.
            Err(StoreError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn head(&self, target: &ObjectRef) -> Result<Option<ObjectHead>, StoreError> {
        let what = format!("head of {}/{}", target.bucket, target.key);
        let ask = object(Method::HEAD, target).header("x-amz-checksum-mode", "ENABLED");
        match self.ask(&what, ask.bare()).await {
            Ok(response) => answer::head(&what, target, response.headers(), &self.secret).map(Some),
            Err(StoreError::Missing { .. }) => Ok(None),
            // A delete marker asked for by its version.
            Err(StoreError::Refused { status: 405, .. }) if target.version.is_some() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn versions(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        limit: usize,
    ) -> Result<Vec<ListedVersion>, StoreError> {
        self.versions_of(bucket, key, limit).await
    }

    async fn has_upload(&self, target: &ObjectRef, upload: &str) -> Result<bool, StoreError> {
        let what = format!("parts of an upload of {}/{}", target.bucket, target.key);
        let ask = Ask::object(Method::GET, &target.bucket, target.key.as_str())
            .query("uploadId", upload)
            .query("max-parts", "1");
        match self.ask(&what, ask.bare()).await {
            Ok(_) => Ok(true),
            Err(StoreError::Missing { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn part_bytes(&self, target: &ObjectRef, etag: &ETag) -> Result<Vec<u64>, StoreError> {
        let (first, count) = self.part_head(target, etag, 1).await?;
        if count == 0 {
            return Ok(Vec::new());
        }
        let rest: Vec<(u64, usize)> = futures_util::stream::iter(2..=count)
            .map(|number| self.part_head(target, etag, number))
            .buffered(PART_HEADS)
            .try_collect()
            .await?;
        Ok(std::iter::once(first).chain(rest.into_iter().map(|(bytes, _)| bytes)).collect())
    }

    async fn read(
        &self,
        target: &ObjectRef,
        etag: &ETag,
        range: Range<u64>,
    ) -> Result<ByteStream, StoreError> {
        let what = format!("read of {}/{}", target.bucket, target.key);
        let condition = |ask: Ask| ask.header("if-match", &etag.quoted());
        if range.is_empty() {
            self.ask(&what, condition(object(Method::HEAD, target)).bare()).await?;
            return Ok(Box::pin(futures_util::stream::empty()));
        }
        let ask = condition(object(Method::GET, target)).header("range", &range_header(&range));
        let response = self.ask(&what, ask.bare()).await?;
        ranged(&what, response, range)
    }

    async fn flip(&self, flip: Flip) -> Result<(), StoreError> {
        let target = &flip.target;
        let record = reserved::render(&flip.marker, &target.bucket, &target.key, &self.secret);
        let body = match &flip.content {
            FlipContent::Stub => Bytes::from(reserved::stub_body(&record)),
            FlipContent::Whole(bytes) => bytes.clone(),
        };
        let done = if self.service.capabilities().in_place {
            self.swap_stub(&flip, record, body).await
        } else {
            self.put_stub(&flip, &record, body).await
        };
        match done {
            Err(StoreError::Changed { what } | StoreError::Missing { what }) => {
                self.settle(&flip, what).await
            }
            done => done,
        }
    }

    async fn bring_back(&self, back: BringBack) -> Result<ETag, StoreError> {
        self.put_back(&back).await
    }

    async fn claim(&self, target: &ObjectRef) -> Result<Option<Marker>, StoreError> {
        self.claimed(target).await
    }

    async fn make_bucket(&self, bucket: &BucketName, versions: bool) -> Result<(), StoreError> {
        self.plant_bucket(bucket, versions).await
    }

    async fn plant(&self, plant: Plant) -> Result<(), StoreError> {
        self.plant_object(plant).await
    }

    async fn remove_version(&self, target: &ObjectRef) -> Result<(), StoreError> {
        let what = format!("removal of a replaced version of {}/{}", target.bucket, target.key);
        gone(self.ask(&what, object(Method::DELETE, target).bare()).await)
    }

    async fn remove(&self, target: &ObjectRef, expected: &Identity) -> Result<(), StoreError> {
        let what = format!("removal of {}/{}", target.bucket, target.key);
        let ask = object(Method::DELETE, target).header("if-match", &expected.etag.quoted());
        gone(self.ask(&what, ask.bare()).await)
    }

    async fn put_copy(&self, archive: ArchiveId, length: u64, bytes: ByteStream) -> Result<(), StoreError> {
        self.write_copy(archive, length, bytes).await
    }

    async fn begin_copy(&self, archive: ArchiveId, stretches: Stretches) -> Result<CopyUpload, StoreError> {
        self.begin_stretches(archive, stretches).await
    }

    async fn put_stretch(
        &self,
        copy: &CopyUpload,
        index: u32,
        bytes: ByteStream,
    ) -> Result<Vec<CopyPart>, StoreError> {
        self.write_stretch(copy, index, bytes).await
    }

    async fn complete_copy(&self, copy: &CopyUpload, parts: Vec<CopyPart>) -> Result<(), StoreError> {
        self.complete_stretches(copy, parts).await
    }

    async fn abandon_copy(&self, copy: &CopyUpload) -> Result<(), StoreError> {
        self.abandon_stretches(copy).await
    }

    async fn read_copy(&self, archive: ArchiveId, range: Range<u64>) -> Result<ByteStream, StoreError> {
        let what = format!("read of the restored copy of {archive}");
        let bucket = &self.reserved.bucket;
        if range.is_empty() {
            self.ask(&what, Ask::object(Method::HEAD, bucket, &copies::key(archive)).bare()).await?;
            return Ok(Box::pin(futures_util::stream::empty()));
        }
        let ask =
            Ask::object(Method::GET, bucket, &copies::key(archive)).header("range", &range_header(&range));
        let mut request = ask.bare();
        request.extensions_mut().insert(ToClient);
        let response = self.ask(&what, request).await?;
        ranged(&what, response, range)
    }

    async fn copy_bytes(&self, archive: ArchiveId) -> Result<Option<u64>, StoreError> {
        let what = format!("head of the restored copy of {archive}");
        let ask = Ask::object(Method::HEAD, &self.reserved.bucket, &copies::key(archive));
        match self.ask(&what, ask.bare()).await {
            Ok(response) => {
                let length = response.headers().get("content-length").and_then(|value| value.to_str().ok());
                let length =
                    length.and_then(|text| text.parse().ok()).ok_or_else(|| nonsense(&what, "length"))?;
                Ok(Some(length))
            }
            Err(StoreError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn copies(&self, after: Option<ArchiveId>) -> Result<Vec<ArchiveId>, StoreError> {
        self.copies_after(after).await
    }

    async fn delete_copy(&self, archive: ArchiveId) -> Result<(), StoreError> {
        let what = format!("removal of the restored copy of {archive}");
        let ask = Ask::object(Method::DELETE, &self.reserved.bucket, &copies::key(archive));
        gone(self.ask(&what, ask.bare()).await)
    }
}

fn object(method: Method, target: &ObjectRef) -> Ask {
    let ask = Ask::object(method, &target.bucket, target.key.as_str());
    match &target.version {
        Some(version) => ask.query("versionId", version.as_str()),
        None => ask,
    }
}

fn range_header(range: &Range<u64>) -> String {
    format!("bytes={}-{}", range.start, range.end - 1)
}

/// The bytes of an answer to a range; anything but exactly that range is not believed.
fn ranged(what: &str, response: Response<Body>, range: Range<u64>) -> Result<ByteStream, StoreError> {
    let expected = format!("bytes {}-{}/", range.start, range.end - 1);
    let told = response.headers().get("content-range").and_then(|value| value.to_str().ok());
    let exact = response.status() == StatusCode::PARTIAL_CONTENT
        && told.is_some_and(|told| told.starts_with(&expected));
    if !exact {
        return Err(nonsense(what, "Content-Range"));
    }
    Ok(pieces(response.into_body(), range.end - range.start))
}

fn gone(answer: Result<Response<Body>, StoreError>) -> Result<(), StoreError> {
    match answer {
        Ok(_) | Err(StoreError::Missing { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
