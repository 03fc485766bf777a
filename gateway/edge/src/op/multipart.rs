//! Multipart uploads into a tape class: declared when they are created, due when they are completed, withdrawn when
//! they are aborted. Parts are forwarded as they come.

use std::sync::Arc;

use dialect::xml;
use http::{Response, StatusCode};
use model::archive::ArchiveStage;
use model::body::{empty, full};
use model::catalog::Change;
use model::store::ObjectRef;
use model::{Archive, ArchiveId, Body, TapeClass};

use crate::body::collect;
use crate::direct::{self, Fate};
use crate::error::{Error, Result, catalog};
use crate::house::{Ask, House, escaped, with_query};
use crate::location;
use crate::mutation::Entered;

/// Longest answer to CreateMultipartUpload, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// CreateMultipartUpload
pub(super) async fn create(house: Arc<House>, ask: Ask, body: Body) -> Result<Response<Body>> {
    match direct::class(&house, &ask).await? {
        None => house.forward(ask, body).await,
        Some(class) => declare(&house, ask, body, class).await,
    }
}

/// The row is written down before the client learns the upload's id: no part can come before it.
async fn declare(house: &House, mut ask: Ask, body: Body, class: TapeClass) -> Result<Response<Body>> {
    let target = ask.target()?;
    let mut row = direct::declaration(house, &target, class).await?;
    direct::mark(house, &mut ask.head.headers, &row);
    let uri = ask.head.uri.clone();
    let response = house.forward_to_read(ask, body).await?;
    if !response.status().is_success() {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let missing = || Error::ReadAnswer { operation: "CreateMultipartUpload", missing: "UploadId" };
    let answer = collect(body, ANSWER_BYTES_MAX).await.map_err(|_| missing())?;
    let document =
        xml::read(&answer, "InitiateMultipartUploadResult", ANSWER_BYTES_MAX).map_err(|_| missing())?;
    let upload = document.leaf("UploadId").ok().flatten().ok_or_else(missing)?.to_owned();
    row.upload = Some(upload.clone());
    let id = row.id;
    let committed = house.ports.catalog.commit(vec![Change::Archive(row)]).await;
    let declared = match committed.map_err(catalog("a declaration")) {
        Ok(()) => direct::confirm(house, &target.bucket, id).await,
        Err(error) => Err(error),
    };
    if let Err(error) = declared {
        abandon(house, with_query(&uri, &format!("uploadId={}", escaped(&upload)))).await;
        return Err(error);
    }
    Ok(Response::from_parts(parts, full(answer)))
}

/// Best effort: an upload nobody knows the id of costs nothing but its entry.
async fn abandon(house: &House, uri: http::Uri) {
    let (mut head, ()) = http::Request::new(()).into_parts();
    head.method = http::Method::DELETE;
    head.uri = uri;
    if let Err(error) = house.call(&head, empty()).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "an upload could not be abandoned");
    }
}

/// CompleteMultipartUpload
pub(super) async fn complete(house: Arc<House>, mut ask: Ask, body: Body) -> Result<Response<Body>> {
    let target = ask.target()?;
    let entered = Entered::enter(&house, &target.bucket, &target.key).await?;
    entered.translate(&house, &target, &mut ask.head).await?;
    let upload = declared_by(&entered, &ask);
    // The upload's own row too: the engine leaves uploads alone until it is told that one may have been completed.
    entered.touch(&house, &ask.route, Vec::new()).await?;
    let origin = location::origin(ask.headers());
    let outcome = house.forward_to_read(ask, body).await;
    if let Some(id) = upload {
        completed(&house, &target, id, &outcome_status(&outcome)).await;
    }
    entered.wake(&house);
    let response = outcome?;
    Ok(match origin {
        Some(origin) if response.status().is_success() => {
            location::readdress(response, origin, &target.bucket)
        }
        _ => response,
    })
}

/// AbortMultipartUpload
pub(super) async fn abort(house: Arc<House>, ask: Ask, body: Body) -> Result<Response<Body>> {
    let target = ask.target()?;
    let entered = Entered::enter(&house, &target.bucket, &target.key).await?;
    let upload = declared_by(&entered, &ask);
    let response = house.forward(ask, body).await?;
    if let Some(id) = upload
        && (response.status().is_success() || response.status() == StatusCode::NOT_FOUND)
    {
        ended(&house, &target, id).await;
    }
    Ok(response)
}

/// The declared row of the upload a request names.
fn declared_by(entered: &Entered, ask: &Ask) -> Option<ArchiveId> {
    let upload = ask.route.query.value("uploadId")?;
    let is_its =
        |row: &&Archive| row.state.stage() == ArchiveStage::Declared && row.upload.as_deref() == Some(upload);
    entered.rows.iter().find(is_its).map(|row| row.id)
}

fn outcome_status(outcome: &Result<Response<Body>>) -> (Fate, Option<StatusCode>) {
    (Fate::of(outcome), outcome.as_ref().ok().map(Response::status))
}

/// A completion that was refused may be tried again, unless there is no such upload any more.
async fn completed(
    house: &House,
    target: &ObjectRef,
    id: ArchiveId,
    (fate, status): &(Fate, Option<StatusCode>),
) {
    match fate {
        Fate::Done => direct::settle(house, target, id, Fate::Done).await,
        Fate::Refused if *status == Some(StatusCode::NOT_FOUND) => ended(house, target, id).await,
        // Its row is touched: the engine looks.
        Fate::Refused | Fate::Doubt => {}
    }
}

/// The upload is gone: its object stands, or will never be.
async fn ended(house: &House, target: &ObjectRef, id: ArchiveId) {
    if let Err(error) = direct::ended(house, target, id).await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(archive = %id, error, "an upload's end could not be written down");
    }
}
