//! One object store as a service that speaks S3: what an adapter must bring, and nothing more.

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use model::store::{Capabilities, ObjectRef, StoreError};
use model::{Body, ETag, Timestamp};

/// A server of S3 requests, in this process or behind a network.
#[async_trait]
pub trait S3Service: Send + Sync + 'static {
    /// Answers one request: path style, authenticated, with a plain body. An S3 error is an `Ok` response; `Err`
    /// means that there was no answer.
    async fn call(&self, request: Request<Body>) -> Result<Response<Body>, StoreError>;

    /// What the server can do.
    fn capabilities(&self) -> Capabilities;

    /// Puts another body under an existing version, all or nothing, keeping its version id and Last-Modified.
    ///
    /// Errors: `Changed` when the version is not the expected one any more, `Missing` when its bucket is gone,
    /// `Refused` when the server cannot do this at all; in all these cases nothing was done.
    async fn swap_in_place(&self, swap: Swap) -> Result<(), StoreError>;

    /// Makes a version as it once was, under its own id and date. Only a server that swaps in place does.
    ///
    /// Errors: as [`Self::swap_in_place`]; `Changed` when something stands there already.
    async fn plant_in_place(&self, planted: Planted) -> Result<(), StoreError> {
        let what = format!("{}/{} as it was", planted.target.bucket, planted.target.key);
        Err(StoreError::Refused { what, status: 501, code: "NotImplemented".to_owned() })
    }
}

macro_rules! by_pointer {
    ($($pointer:ty),*) => {$(
        #[deny(clippy::missing_trait_methods)]
        #[async_trait]
        impl<S: S3Service + ?Sized> S3Service for $pointer {
            async fn call(&self, request: Request<Body>) -> Result<Response<Body>, StoreError> {
                (**self).call(request).await
            }

            fn capabilities(&self) -> Capabilities {
                (**self).capabilities()
            }

            async fn swap_in_place(&self, swap: Swap) -> Result<(), StoreError> {
                (**self).swap_in_place(swap).await
            }

            async fn plant_in_place(&self, planted: Planted) -> Result<(), StoreError> {
                (**self).plant_in_place(planted).await
            }
        }
    )*};
}
by_pointer!(Box<S>, std::sync::Arc<S>);

/// A body to be swapped in place.
#[derive(Clone, Debug)]
pub struct Swap {
    /// The version whose body is replaced.
    pub target: ObjectRef,
    /// Its ETag before the swap.
    pub expected_etag: ETag,
    /// Its Last-Modified before (and after) the swap, in whole seconds.
    pub expected_seconds: i64,
    /// The header added to those it has, replacing one of the same name.
    pub header: (String, String),
    /// The new body, small.
    pub body: Bytes,
}

/// A version to be made as it once was.
#[derive(Clone, Debug)]
pub struct Planted {
    /// The key, and the version's own id where it had one.
    pub target: ObjectRef,
    /// Its date, where its id does not tell it.
    pub last_modified: Timestamp,
    /// A delete marker goes above it when it is the newest.
    pub hidden: bool,
    /// Its headers as a PUT takes them, the reserved one among them.
    pub headers: HeaderMap,
    /// Its body, small.
    pub body: Bytes,
}

/// Marks a request that the typed methods made, in its extensions; a client's has no such mark.
#[derive(Clone, Copy, Debug)]
pub struct OwnRequest;

/// Marks a request of the typed methods whose answer a client reads, at its own pace.
#[derive(Clone, Copy, Debug)]
pub struct ToClient;

/// Marks a response that refuses because the store has no room left: S3 has no code of its own for that.
#[derive(Clone, Copy, Debug)]
pub struct StoreFull;
