//! PutBucketVersioning: what a write comes to must not change while a flip is under way.

use std::sync::Arc;

use http::{Response, StatusCode};
use model::Body;

use crate::error::{Error, Result};
use crate::house::{Ask, House};

pub(super) async fn put(house: Arc<House>, ask: Ask, body: Body) -> Result<Response<Body>> {
    let bucket = ask.route.bucket()?.clone();
    let closing = house.ports.fence.close_bucket(&bucket).await;
    let gate = closing.map_err(|source| Error::CloseBucket { bucket, source })?;
    let outcome = house.forward(ask, body).await;
    let answered = outcome.as_ref().is_ok_and(|response| {
        !response.status().is_server_error() && response.status() != StatusCode::REQUEST_TIMEOUT
    });
    if !answered {
        // The store may still carry it out: no flip begins before that is over.
        let deadline = house.settings.store_deadline;
        tokio::spawn(async move {
            tokio::time::sleep(deadline).await;
            drop(gate);
        });
    }
    outcome
}
