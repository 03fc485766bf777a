//! The operations that tape changes, a file each; all others are forwarded as they came.

mod attributes;
mod copy;
mod delete;
mod lifecycle;
mod list;
mod multipart;
mod put;
mod read;
mod restore;
mod uploads;

use std::sync::Arc;

use dialect::{Code, Operation, S3Error};
use http::Response;
use model::Body;

use crate::error::Result;
use crate::house::{Ask, House};
use crate::mutation::{self, carried};

/// Does what is asked.
pub(crate) async fn perform(house: &Arc<House>, ask: Ask, body: Body) -> Result<Response<Body>> {
    use Operation as O;
    let own = || Arc::clone(house);
    match ask.route.operation {
        O::GetObject | O::HeadObject => read::read(house, &ask).await,
        O::GetObjectAttributes => attributes::attributes(house, ask, body).await,
        O::ListObjects | O::ListObjectsV2 => list::list(house, ask, body).await,
        O::ListParts | O::ListMultipartUploads => uploads::list(house, ask, body).await,
        O::PutObject => carried(put::put(own(), ask, body)).await,
        O::CopyObject => carried(copy::object(own(), ask, body)).await,
        O::UploadPartCopy => carried(copy::part(own(), ask, body)).await,
        O::CreateMultipartUpload => carried(multipart::create(own(), ask, body)).await,
        O::CompleteMultipartUpload => carried(multipart::complete(own(), ask, body)).await,
        O::AbortMultipartUpload => carried(multipart::abort(own(), ask, body)).await,
        O::DeleteObjects => carried(delete::objects(own(), ask, body)).await,
        O::DeleteObject
        | O::PutObjectTagging
        | O::DeleteObjectTagging
        | O::PutObjectAcl
        | O::PutObjectLegalHold
        | O::PutObjectRetention => carried(mutation::forward(own(), ask, body)).await,
        O::RestoreObject => carried(restore::restore(own(), ask, body)).await,
        O::PutBucketLifecycleConfiguration => carried(lifecycle::put(own(), ask, body)).await,
        O::GetBucketLifecycleConfiguration => lifecycle::get(house, &ask).await,
        O::DeleteBucketLifecycle => carried(lifecycle::delete(own(), ask)).await,
        O::CreateBucket => carried(lifecycle::create_bucket(own(), ask, body)).await,
        O::DeleteBucket => carried(lifecycle::delete_bucket(own(), ask, body)).await,
        // A store would search the stub.
        O::SelectObjectContent => Err(S3Error::method_not_allowed(ask.head.method.as_str(), "OBJECT").into()),
        // Mutations whose meaning for archives is not known must not reach the store.
        O::PostObject | O::RenameObject | O::UpdateObjectEncryption | O::Unknown => Err(not_offered().into()),
        _ => house.forward(ask, body).await,
    }
}

/// An operation that is not offered.
fn not_offered() -> S3Error {
    S3Error::with_message(Code::NotImplemented, "The operation is not implemented")
}
