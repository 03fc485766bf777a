//! A service that lies.

use async_trait::async_trait;
use http::{Request, Response};
use model::Body;
use model::store::{Capabilities, StoreError};

use crate::service::{S3Service, Swap};

/// What is lied about.
#[derive(Clone, Debug)]
pub struct Faults {}

/// A lying service.
pub struct Faulty<S> {
    inner: S,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: S3Service> S3Service for Faulty<S> {
    async fn call(&self, request: Request<Body>) -> Result<Response<Body>, StoreError> {
        self.inner.call(request).await
    }
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
    async fn swap_in_place(&self, swap: Swap) -> Result<(), StoreError> {
        self.inner.swap_in_place(swap).await
    }
}
