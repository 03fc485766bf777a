//! RestoreObject. Checked in S3's order: bucket, object, state, body, a restore that is running.

use std::sync::Arc;

use dialect::copy::invalid_version;
use dialect::restore_request::{BYTES_MAX, RestoreRequest};
use dialect::{Code, S3Error};
use http::{HeaderValue, Response, StatusCode};
use model::catalog::{CatalogError, Change};
use model::clock::job_id;
use model::fence::Work;
use model::restore::{Decision, decide};
use model::{Body, RestoreJob, RestoreState};

use super::read::{LOOKS, stub};
use crate::archived::{Seen, View, mistrusted, recognise};
use crate::body::collect;
use crate::error::{Error, Result, catalog};
use crate::house::{Ask, House, found};
use crate::respond::bare;
use crate::versions;

/// The header that tells of one.
const DELETE_MARKER: &str = "x-amz-delete-marker";
/// How often a restore that keeps moving is decided again.
const TRIES: usize = 8;

pub(super) async fn restore(house: Arc<House>, ask: Ask, body: Body) -> Result<Response<Body>> {
    let view = find(&house, &ask).await?;
    let body = collect(body, BYTES_MAX).await?;
    let request = RestoreRequest::read(&body, view.archive.class)?;
    let _deciding = house.deciding(view.archive.id).await;
    let mut tries = 1;
    loop {
        let current = house.ports.catalog.restore_of(view.archive.id).await.map_err(catalog("a restore"))?;
        let now = house.now();
        let decision = decide(current.as_ref(), request.days, now, house.settings.day);
        let (job, status) = match (decision, current) {
            (Decision::AlreadyRunning, _) => return Err(Code::RestoreAlreadyInProgress.into()),
            (Decision::Extend { until }, Some(mut job)) => {
                job.days = request.days;
                job.advance(RestoreState::Copied { until });
                (job, StatusCode::OK)
            }
            (Decision::Accept | Decision::Extend { .. }, _) => {
                (accepted(&house, &view, request), StatusCode::ACCEPTED)
            }
        };
        match house.ports.catalog.commit(vec![Change::Restore(job)]).await {
            Ok(()) => {
                house.ports.wake.wake(Work::Restore);
                return Ok(bare(status));
            }
            Err(CatalogError::Conflict { .. }) if tries < TRIES => tries += 1,
            Err(source) => return Err(catalog("a restore")(source)),
        }
    }
}

/// The archived object asked for, looked at with the caller's key.
async fn find(house: &House, ask: &Ask) -> Result<View> {
    let target = ask.target()?;
    let mut reason = "";
    for _ in 0..LOOKS {
        let rows = house.archives_at(&target.bucket, &target.key).await?;
        let Some(headers) = stub(house, ask, &rows).await? else {
            return Err(missing(house, ask).await?);
        };
        match recognise(house, &target, &headers).await? {
            Seen::Archived(view) => return Ok(*view),
            Seen::Hot => {
                let class = headers.get("x-amz-storage-class");
                let class = class.and_then(|class| class.to_str().ok()).unwrap_or("STANDARD");
                return Err(S3Error::not_restorable(class).into());
            }
            Seen::Mistrusted(why) => reason = why,
        }
    }
    Err(mistrusted(&target, reason))
}

/// Why there is no such object: the store says it once more, in S3's own words.
async fn missing(house: &House, ask: &Ask) -> Result<Error> {
    let (bucket, key) = (ask.route.bucket()?, ask.route.key()?.as_str());
    let version = versions::named(&ask.route.query)?.filter(|version| !version.is_null());
    let response = house.look(&ask.head).await?;
    match (response.status(), &version) {
        (StatusCode::BAD_REQUEST, Some(version)) => return Ok(invalid_version(version.as_str()).into()),
        (StatusCode::METHOD_NOT_ALLOWED, Some(_)) => return Ok(delete_marker().into()),
        // It may have come between the looks: then the client asks again.
        (status, _) if found("HeadObject", status)? => return Ok(Code::SlowDown.into()),
        _ => {}
    }
    if !house.has_bucket(bucket).await? {
        return Ok(S3Error::no_such_bucket(bucket.as_str()).into());
    }
    Ok(match version {
        Some(version) => S3Error::no_such_version(key, version.as_str()).into(),
        None if response.headers().contains_key(DELETE_MARKER) => {
            S3Error::no_such_key(key).header(DELETE_MARKER, HeaderValue::from_static("true")).into()
        }
        None => S3Error::no_such_key(key).into(),
    })
}

/// A delete marker cannot be restored.
fn delete_marker() -> S3Error {
    S3Error::method_not_allowed("POST", "DeleteMarker")
        .header("allow", HeaderValue::from_static("DELETE"))
        .header(DELETE_MARKER, HeaderValue::from_static("true"))
}

fn accepted(house: &House, view: &View, request: RestoreRequest) -> RestoreJob {
    RestoreJob {
        id: job_id(&*house.ports.clock, &*house.ports.entropy),
        revision: 0,
        archive: view.archive.id,
        bucket: view.archive.bucket.clone(),
        key: view.archive.key.clone(),
        tier: request.tier,
        days: request.days,
        created: house.now(),
        state: RestoreState::Accepted,
        failures: 0,
    }
}
