//! Requests as a client sends them.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use model::store::{ObjectHead, ObjectRef, ObjectStore};
use model::{Body, BodyError, BucketName, ObjectKey};

/// A store and the short words for what tests do with it.
pub(crate) struct Client {
    pub(crate) store: Arc<dyn ObjectStore>,
}

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) async fn of(response: Response<Body>) -> Result<Self, BodyError> {
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Self { status: parts.status, headers: parts.headers, body })
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn element(&self, name: &str) -> &str {
        let (_, rest) = self.text().split_once(&format!("<{name}>")).unwrap_or_default();
        rest.split_once(&format!("</{name}>")).unwrap_or_default().0
    }
}

impl Client {
    pub(crate) fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store }
    }

    /// Any request; `target` is the path and query as sent.
    pub(crate) async fn send(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let body = body.into();
        let mut request = Request::builder().method(method).uri(target).header("content-length", body.len());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.request(request.body(model::body::full(body)).unwrap()).await
    }

    pub(crate) async fn request(&self, request: Request<Body>) -> Answer {
        Answer::of(self.store.call(request).await.unwrap()).await.unwrap()
    }

    pub(crate) async fn get(&self, target: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(Method::GET, target, headers, "").await
    }

    pub(crate) async fn put(&self, target: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        self.send(Method::PUT, target, headers, body).await
    }

    pub(crate) async fn bucket(&self, name: &str) -> BucketName {
        let made = self.put(&format!("/{name}"), &[], "").await;
        assert_eq!(made.status, 200, "{}", made.text());
        BucketName::parse(name).unwrap()
    }

    pub(crate) async fn head(&self, target: &ObjectRef) -> ObjectHead {
        self.store.head(target).await.unwrap().unwrap()
    }

    /// Sets a bucket to keep versions (`Enabled`) or to keep no more of them (`Suspended`).
    pub(crate) async fn set_versioning(&self, bucket: &str, status: &str) {
        let body = format!("<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>");
        let set = self.put(&format!("/{bucket}?versioning"), &[], body).await;
        assert_eq!(set.status, 200, "{}", set.text());
    }

    /// Uploads the parts and completes; returns the answer to the completion.
    pub(crate) async fn multipart(&self, target: &str, headers: &[(&str, &str)], parts: &[Bytes]) -> Answer {
        let begun = self.send(Method::POST, &format!("{target}?uploads"), headers, "").await;
        assert_eq!(begun.status, 200, "{}", begun.text());
        let upload = begun.element("UploadId").to_owned();
        let mut list = String::from("<CompleteMultipartUpload>");
        for (at, part) in parts.iter().enumerate() {
            let number = at + 1;
            let sent =
                self.put(&format!("{target}?partNumber={number}&uploadId={upload}"), &[], part.clone()).await;
            assert_eq!(sent.status, 200, "{}", sent.text());
            let etag = sent.header("etag");
            list.push_str(&format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"));
        }
        list.push_str("</CompleteMultipartUpload>");
        self.send(Method::POST, &format!("{target}?uploadId={upload}"), &[], list).await
    }
}

/// A reference to a current object.
pub(crate) fn object(bucket: &BucketName, key: &str) -> ObjectRef {
    ObjectRef { bucket: bucket.clone(), key: ObjectKey::parse(key).unwrap(), version: None }
}

/// Bytes without a pattern that a misplaced piece could hide in.
pub(crate) fn noise(length: usize, seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(byte).take(length).collect()
}

/// All bytes of a stream.
pub(crate) async fn whole(mut stream: model::ByteStream) -> Result<Bytes, BodyError> {
    use futures_util::StreamExt;
    let mut whole = bytes::BytesMut::new();
    while let Some(piece) = stream.next().await {
        let piece = piece?;
        assert!(piece.len() <= model::limits::CHUNK_BYTES_MAX);
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

/// A stream of these bytes in pieces of `piece` bytes.
pub(crate) fn stream_of(bytes: Bytes, piece: usize) -> model::ByteStream {
    let pieces: Vec<_> =
        (0..bytes.len()).step_by(piece).map(|at| Ok(bytes.slice(at..bytes.len().min(at + piece)))).collect();
    Box::pin(futures_util::stream::iter(pieces))
}
