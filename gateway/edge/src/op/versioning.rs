//! PutBucketVersioning: what a write comes to must not change while a flip is under way.

use std::sync::Arc;

use http::Response;
use model::Body;

use crate::error::{Error, Result};
use crate::house::{Ask, House};

pub(super) async fn put(house: Arc<House>, ask: Ask, body: Body) -> Result<Response<Body>> {
    let bucket = ask.route.bucket()?.clone();
    let closing = house.ports.fence.close_bucket(&bucket).await;
    let _gate = closing.map_err(|source| Error::CloseBucket { bucket, source })?;
    house.forward(ask, body).await
}
