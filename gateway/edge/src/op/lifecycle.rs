//! Lifecycle configurations, which are the gateway's own: they are kept in the catalog and the store never sees them.
//! They end with their bucket.

use std::sync::Arc;

use dialect::{S3Error, lifecycle};
use http::header::HeaderValue;
use http::{Response, StatusCode};
use model::body::empty;
use model::catalog::{Bucket, CatalogError, Change};
use model::fence::Work;
use model::rule::LifecycleConfiguration;
use model::{Body, BucketName};

use crate::body::collect;
use crate::error::{Result, catalog};
use crate::house::{Ask, House, bucket_uri, found, head_of};
use crate::respond::{bare, document};

/// How often a bucket's row that keeps moving is read again.
const TRIES: usize = 8;

/// PutBucketLifecycleConfiguration
pub(super) async fn put(house: Arc<House>, ask: Ask, body: Body) -> Result<Response<Body>> {
    let bucket = existing(&house, &ask).await?;
    lifecycle::require_digest(ask.headers())?;
    let minimum = lifecycle::minimum_size(ask.headers())?;
    let body = collect(body, lifecycle::BYTES_MAX).await?;
    let new_id = || lifecycle::rule_id(house.ports.entropy.random());
    let configuration = lifecycle::read(&body, minimum, new_id)?;
    keep(&house, &bucket, Some(configuration)).await?;
    let mut response = bare(StatusCode::OK);
    let minimum = HeaderValue::from_static(lifecycle::minimum_size_text(minimum));
    response.headers_mut().insert(lifecycle::MINIMUM_HEADER, minimum);
    Ok(response)
}

/// GetBucketLifecycleConfiguration
pub(super) async fn get(house: &House, ask: &Ask) -> Result<Response<Body>> {
    let bucket = existing(house, ask).await?;
    let row = house.bucket(&bucket).await?;
    let configuration = row.and_then(|row| row.lifecycle);
    let configuration = configuration.ok_or_else(|| S3Error::no_such_lifecycle(bucket.as_str()))?;
    let mut response = document(lifecycle::document(&configuration));
    let minimum = HeaderValue::from_static(lifecycle::minimum_size_text(configuration.minimum_size));
    response.headers_mut().insert(lifecycle::MINIMUM_HEADER, minimum);
    Ok(response)
}

/// DeleteBucketLifecycle
pub(super) async fn delete(house: Arc<House>, ask: Ask) -> Result<Response<Body>> {
    let bucket = existing(&house, &ask).await?;
    keep(&house, &bucket, None).await?;
    Ok(bare(StatusCode::NO_CONTENT))
}

/// CreateBucket. Rules that a deletion cut off in the middle left behind are not those of the new bucket.
pub(super) async fn create_bucket(house: Arc<House>, ask: Ask, body: Body) -> Result<Response<Body>> {
    let bucket = ask.route.bucket()?;
    if house.bucket(bucket).await?.is_some_and(|row| row.lifecycle.is_some())
        && !house.has_bucket(bucket).await?
    {
        keep(&house, bucket, None).await?;
    }
    house.forward(ask, body).await
}

/// DeleteBucket. What the catalog knows of the bucket goes with it, but for its archives, whose deaths are still to
/// be written down.
pub(super) async fn delete_bucket(house: Arc<House>, ask: Ask, body: Body) -> Result<Response<Body>> {
    let bucket = ask.route.bucket()?.clone();
    let row = house.bucket(&bucket).await?;
    let response = house.forward(ask, body).await?;
    if response.status().is_success() {
        match row {
            None => {}
            Some(row) if row.has_archives => keep(&house, &bucket, None).await?,
            Some(_) => {
                let forgotten = house.ports.catalog.commit(vec![Change::ForgetBucket(bucket)]).await;
                match forgotten {
                    Err(CatalogError::Missing { .. }) | Ok(()) => {}
                    Err(error) => return Err(catalog("the end of a bucket")(error)),
                }
            }
        }
    }
    Ok(response)
}

async fn existing(house: &House, ask: &Ask) -> Result<BucketName> {
    let bucket = ask.route.bucket()?;
    let mut head = head_of(&ask.head, bucket_uri(bucket));
    // What the caller may see was asked for before.
    head.extensions.clear();
    match found("HeadBucket", house.call(&head, empty()).await?.status())? {
        true => Ok(bucket.clone()),
        false => Err(S3Error::no_such_bucket(bucket.as_str()).into()),
    }
}

/// Puts the rules into the bucket's row; without rules no row is made.
async fn keep(house: &House, name: &BucketName, rules: Option<LifecycleConfiguration>) -> Result<()> {
    let mut tries = 1;
    loop {
        let row = house.bucket(name).await?;
        if rules.is_none() && row.as_ref().is_none_or(|row| row.lifecycle.is_none()) {
            return Ok(());
        }
        let mut row = row.unwrap_or_else(|| Bucket::new(name.clone()));
        row.lifecycle = rules.clone();
        match house.ports.catalog.commit(vec![Change::Bucket(row)]).await {
            Err(CatalogError::Conflict { .. }) if tries < TRIES => tries += 1,
            Err(error) => return Err(catalog("a bucket's rules")(error)),
            Ok(()) => {
                house.ports.wake.wake(Work::Rules);
                return Ok(());
            }
        }
    }
}
