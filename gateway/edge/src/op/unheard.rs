//! What nobody here has heard of. It is the store's, but a store may look past the names it does not know and take the
//! request for something else: what it may do to archived objects then, or tell of them, is looked after here.

use std::sync::Arc;

use bytes::BytesMut;
use dialect::overlay::{self, BYTES_MAX, OverlayError, Root};
use dialect::reserved;
use futures_util::{StreamExt, future, stream};
use http::header::CONTENT_TYPE;
use http::{Method, Response};
use http_body::Frame;
use http_body_util::{BodyExt, BodyStream, StreamBody};
use model::Body;
use model::body::full;

use super::{list, list_versions, not_offered, read, uploads};
use crate::authenticate::COPY_SOURCE;
use crate::body::collect;
use crate::direct;
use crate::error::{Error, Result};
use crate::house::{Ask, House};
use crate::mutation::{self, carried};

/// What a document may begin with before its root can be told, in bytes.
const PROLOGUE_BYTES_MAX: usize = 4 << 10;
/// Names of what the gateway does by itself. Where something unheard of stands beside one, the store would do it.
const OURS: [&str; 6] = ["attributes", "delete", "lifecycle", "restore", "select", "versioning"];
/// The form of an answer; listings can be edited in one alone.
const FORMAT: &str = "format";

/// Whether it is a form with a file, which a store may take in unread.
pub(super) fn is_form(ask: &Ask) -> bool {
    let kind = ask.headers().get(CONTENT_TYPE).map(|kind| kind.as_bytes().trim_ascii_start());
    const FORM: &[u8] = b"multipart/";
    let has_parts =
        kind.is_some_and(|kind| kind.get(..FORM.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(FORM)));
    ask.head.method == Method::POST && ask.route.key.is_none() && has_parts
}

/// Whether a store may take it for what this method and name do to a bucket.
pub(super) fn may_be(ask: &Ask, method: Method, name: &str) -> bool {
    ask.head.method == method && ask.route.key.is_none() && ask.route.query.has(name)
}

/// Forwards it, in a managed bucket.
///
/// Errors: `NotImplemented` for what would pass by a stub, or make one.
pub(super) async fn of_managed(house: &Arc<House>, ask: Ask, body: Body) -> Result<Response<Body>> {
    let reads = matches!(ask.head.method, Method::GET | Method::HEAD);
    let is_ours = OURS.iter().any(|name| ask.route.query.has(name));
    // A copy: of a stub, perhaps. A class: the store's own, if it has one.
    if is_ours
        || ask.headers().contains_key(COPY_SOURCE)
        || (!reads && direct::class(house, &ask).await?.is_some())
    {
        return Err(not_offered().into());
    }
    match (&ask.route.key, reads) {
        (Some(_), true) => read::forward(house, ask, body).await,
        // Whatever it does, it may do it to the object.
        (Some(_), false) => carried(mutation::forward(Arc::clone(house), ask, body)).await,
        (None, true) => list(house, ask, body).await,
        (None, false) => house.forward(ask, body).await,
    }
}

/// What may be a listing after all is edited like one.
async fn list(house: &House, mut ask: Ask, body: Body) -> Result<Response<Body>> {
    if ask.route.query.has(FORMAT) {
        return Err(not_offered().into());
    }
    let bucket = ask.route.bucket()?.clone();
    let asks_restores = list::asks_restores(house, &ask).await?;
    list_versions::resume(house, &bucket, &mut ask).await?;
    let (parts, body) = house.forward_to_read(ask, body).await?.into_parts();
    if !parts.status.is_success() || !house.has_archives(&bucket).await? {
        return Ok(Response::from_parts(parts, body));
    }
    let unusable = |source| Error::EditListing { bucket: bucket.clone(), source };
    let (root, body) = rooted(body).await.map_err(unusable)?;
    let response = Response::from_parts(parts, body);
    let page = match root {
        Root::Objects => list::edited(house, &bucket, response, asks_restores).await?,
        Root::Versions => list_versions::edited(house, &bucket, response, asks_restores).await?,
        Root::Uploads => uploads::edited(house, &bucket, None, response).await?,
        Root::Other => return Ok(response),
    };
    let (parts, body) = page.into_parts();
    let page = collect(body, BYTES_MAX).await.map_err(|_| unusable(OverlayError::TooLong))?;
    // There are stores that list the metadata of objects when they are asked for it.
    match String::from_utf8_lossy(&page).to_ascii_lowercase().contains(reserved::HEADER) {
        true => Err(not_offered().into()),
        false => Ok(Response::from_parts(parts, full(page))),
    }
}

/// The root of a document, and the document. What is none, or another's, is handed on as it comes.
async fn rooted(mut body: Body) -> std::result::Result<(Root, Body), OverlayError> {
    let mut held = BytesMut::new();
    loop {
        if let Some(root) = overlay::root(&held) {
            let begin = stream::once(future::ready(Ok(Frame::data(held.freeze()))));
            return Ok((root, StreamBody::new(begin.chain(BodyStream::new(body))).boxed_unsync()));
        }
        if held.len() > PROLOGUE_BYTES_MAX {
            return Err(OverlayError::Form);
        }
        match body.frame().await {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => held.extend_from_slice(&data),
                Err(_) => return Ok((Root::Other, full(held.freeze()))),
            },
            Some(Err(_)) => return Err(OverlayError::Form),
            None => return Ok((Root::Other, full(held.freeze()))),
        }
    }
}
