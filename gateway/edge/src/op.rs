//! The operations that tape changes, a file each; all others are forwarded as they came.

mod attributes;
mod copy;
mod delete;
mod lifecycle;
mod list;
mod list_versions;
mod multipart;
mod post;
mod put;
mod read;
mod restore;
mod unheard;
mod uploads;
mod versioning;

use std::sync::Arc;

use dialect::copy::CopySource;
use dialect::{Code, Operation, S3Error};
use http::{Method, Response};
use model::Body;

use crate::error::Result;
use crate::house::{Ask, House};
use crate::mutation::{self, carried};
use crate::proof;

/// Does what is asked. What concerns nothing of ours asks no catalog, and a bucket that is not managed is the store's
/// alone: its requests go on as they came.
pub(crate) async fn perform(house: &Arc<House>, ask: Ask, body: Body) -> Result<Response<Body>> {
    use Operation as O;
    let own = || Arc::clone(house);
    match ask.route.operation {
        O::GetObject | O::HeadObject => read::read(house, &ask).await,
        O::GetObjectAttributes => attributes::attributes(house, ask, body).await,
        O::GetObjectAcl
        | O::GetObjectTagging
        | O::GetObjectLegalHold
        | O::GetObjectRetention
        | O::GetObjectTorrent => read::forward(house, ask, body).await,
        O::ListObjects | O::ListObjectsV2 => list::list(house, ask, body).await,
        O::ListObjectVersions => list_versions::list(house, ask, body).await,
        O::ListParts | O::ListMultipartUploads => uploads::list(house, ask, body).await,
        O::PutObject => carried(put::put(own(), ask, body)).await,
        O::PostObject => post::post(own(), ask, body).await,
        O::Unknown if unheard::is_form(&ask) => Err(not_offered().into()),
        O::CopyObject => carried(copy::object(own(), ask, body)).await,
        O::UploadPartCopy => carried(copy::part(own(), ask, body)).await,
        O::CreateMultipartUpload => carried(multipart::create(own(), ask, body)).await,
        O::CompleteMultipartUpload => carried(multipart::complete(own(), ask, body)).await,
        O::AbortMultipartUpload => carried(multipart::abort(own(), ask, body)).await,
        O::DeleteObject
        | O::PutObjectTagging
        | O::DeleteObjectTagging
        | O::PutObjectAcl
        | O::PutObjectLegalHold
        | O::PutObjectRetention => carried(mutation::forward(own(), ask, body)).await,
        O::DeleteObjects
        | O::RestoreObject
        | O::PutBucketLifecycleConfiguration
        | O::GetBucketLifecycleConfiguration
        | O::DeleteBucketLifecycle
        | O::PutBucketVersioning
        | O::CreateBucket
        | O::DeleteBucket
        | O::SelectObjectContent
        | O::RenameObject
        | O::UpdateObjectEncryption
        | O::Unknown => match managed(house, &ask).await? {
            true => of_managed(house, ask, body).await,
            false if is_unheard(ask.route.operation) && !house.settings.forwards_unknown => {
                Err(not_offered().into())
            }
            false => of_unmanaged(house, ask, body).await,
        },
        _ => house.forward(ask, body).await,
    }
}

/// What a managed bucket changes whether or not anything of it is archived.
async fn of_managed(house: &Arc<House>, ask: Ask, body: Body) -> Result<Response<Body>> {
    use Operation as O;
    let own = || Arc::clone(house);
    proof::check(house, &ask).await?;
    match ask.route.operation {
        O::DeleteObjects => carried(delete::objects(own(), ask, body)).await,
        O::RestoreObject => carried(restore::restore(own(), ask, body)).await,
        O::PutBucketLifecycleConfiguration => carried(lifecycle::put(own(), ask, body)).await,
        O::GetBucketLifecycleConfiguration => lifecycle::get(house, &ask).await,
        O::DeleteBucketLifecycle => carried(lifecycle::delete(own(), ask)).await,
        O::PutBucketVersioning => carried(versioning::put(own(), ask, body)).await,
        O::CreateBucket => carried(lifecycle::create_bucket(own(), ask, body)).await,
        O::DeleteBucket => carried(lifecycle::delete_bucket(own(), ask, body)).await,
        // A store would search the stub.
        O::SelectObjectContent => Err(S3Error::method_not_allowed(ask.head.method.as_str(), "OBJECT").into()),
        // A stub speaks for its own key alone.
        O::RenameObject => Err(not_offered().into()),
        _ if !house.settings.forwards_unknown => Err(not_offered().into()),
        _ => unheard::of_managed(house, ask, body).await,
    }
}

/// A bucket that is not managed now may be when the store carries a request out: what must not meet a flip does not.
async fn of_unmanaged(house: &Arc<House>, ask: Ask, body: Body) -> Result<Response<Body>> {
    use Operation as O;
    let own = || Arc::clone(house);
    match ask.route.operation {
        O::DeleteObjects => delete::pass(house, ask, body).await,
        O::PutBucketVersioning => carried(versioning::put(own(), ask, body)).await,
        // The same to a store that looks past the names it does not know.
        O::Unknown if unheard::may_be(&ask, Method::POST, "delete") => delete::pass(house, ask, body).await,
        O::Unknown if unheard::may_be(&ask, Method::PUT, "versioning") => {
            carried(versioning::put(own(), ask, body)).await
        }
        _ if ask.route.key.is_some() && !matches!(ask.head.method, Method::GET | Method::HEAD) => {
            carried(mutation::pass(own(), ask, body)).await
        }
        _ => house.forward(ask, body).await,
    }
}

/// Whether the request is about a managed bucket: its own, or that of a source it names, whatever it does with that.
async fn managed(house: &House, ask: &Ask) -> Result<bool> {
    let named = CopySource::parse(ask.headers()).ok().filter(|_| ask.route.operation == Operation::Unknown);
    if let Some(named) = named
        && house.is_managed(&named.bucket).await?
    {
        return Ok(true);
    }
    match &ask.route.bucket {
        Some(bucket) => house.is_managed(bucket).await,
        None => Ok(false),
    }
}

/// Whether a store that answers as we expect it to may take this for something else.
fn is_unheard(operation: Operation) -> bool {
    matches!(operation, Operation::RenameObject | Operation::UpdateObjectEncryption | Operation::Unknown)
}

/// An operation that is not offered.
fn not_offered() -> S3Error {
    S3Error::with_message(Code::NotImplemented, "The operation is not implemented")
}
