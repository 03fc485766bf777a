//! PutBucketVersioning: what a write comes to must not change while a flip is under way.

use std::sync::Arc;

use dialect::S3Error;
use http::{Response, StatusCode};
use model::Body;

use crate::body::gathered;
use crate::error::{Error, Result};
use crate::house::{Ask, House};

/// Longest document, in bytes.
const BYTES_MAX: usize = 64 << 10;

pub(super) async fn put(house: Arc<House>, ask: Ask, body: Body) -> Result<Response<Body>> {
    let bucket = ask.route.bucket()?.clone();
    // Nobody's flips wait for a client.
    let body = gathered(body, BYTES_MAX).await?;
    let closing = house.ports.fence.close_bucket(&bucket).await;
    let gate = closing.map_err(|source| Error::CloseBucket { bucket, source })?;
    let outcome = house.forward(ask, body).await;
    // The adapter's own refusals say that nothing was sent.
    let is_ours = |response: &Response<Body>| response.extensions().get::<S3Error>().is_some();
    let answered = outcome.as_ref().is_ok_and(|response| is_ours(response) || is_verdict(response.status()));
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

/// Whether a store that answers so will do nothing more.
fn is_verdict(status: StatusCode) -> bool {
    let doubt = status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT;
    // There are stores without versions, and they say so.
    !doubt || status == StatusCode::NOT_IMPLEMENTED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_without_versions_leaves_no_doubt() {
        for (status, verdict) in
            [(200, true), (403, true), (408, false), (500, false), (501, true), (503, false)]
        {
            assert_eq!(StatusCode::from_u16(status).map(is_verdict).ok(), Some(verdict), "{status}");
        }
    }
}
