//! RestoreObject. Checked in S3's order: bucket, object, state, body, a restore that is running.

use std::sync::Arc;

use dialect::restore_request::{BYTES_MAX, RestoreRequest};
use dialect::{Code, S3Error};
use http::{Response, StatusCode};
use model::catalog::{CatalogError, Change};
use model::clock::job_id;
use model::fence::Work;
use model::restore::{Decision, decide};
use model::{Body, RestoreJob, RestoreState};

use super::read::LOOKS;
use crate::archived::{Seen, View, mistrusted, recognise};
use crate::body::collect;
use crate::error::{Result, catalog};
use crate::house::{Ask, House, found};
use crate::respond::bare;

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

/// The archived object asked for.
async fn find(house: &House, ask: &Ask) -> Result<View> {
    let target = ask.target()?;
    let mut reason = "";
    for _ in 0..LOOKS {
        let response = house.look(&ask.head).await?;
        if !found("HeadObject", response.status())? {
            return Err(missing(house, ask).await?.into());
        }
        match recognise(house, &target, response.headers()).await? {
            Seen::Archived(view) => return Ok(*view),
            Seen::Hot => {
                let class = response.headers().get("x-amz-storage-class");
                let class = class.and_then(|class| class.to_str().ok()).unwrap_or("STANDARD");
                return Err(S3Error::not_restorable(class).into());
            }
            Seen::Mistrusted(why) => reason = why,
        }
    }
    Err(mistrusted(&target, reason))
}

/// Which of bucket, key and version is not there.
async fn missing(house: &House, ask: &Ask) -> Result<S3Error> {
    let (bucket, key) = (ask.route.bucket()?, ask.route.key()?.as_str());
    if !house.has_bucket(bucket).await? {
        return Ok(S3Error::no_such_bucket(bucket.as_str()));
    }
    let version = ask.route.query.filled("versionId").filter(|version| *version != "null");
    Ok(match version {
        Some(version) => S3Error::no_such_version(key, version),
        None => S3Error::no_such_key(key),
    })
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
