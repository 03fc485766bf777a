//! DeleteObject and DeleteObjects.

use dialect::S3Error;
use dialect::conditions::Conditions;
use dialect::delete::{BYTES_MAX, DeleteRequest, Outcome as Deletion, Target};
use http::{Response, StatusCode};
use model::Body;

use super::bucket::short_body;
use super::fault::{Failure, Outcome};
use super::put::judge;
use super::record::BucketId;
use super::respond::{bare, document};
use super::tables::Tables;
use super::{Ask, Inner, intake};

impl Inner {
    /// DeleteObject. A version id deletes nothing in a bucket without versions, unless it is `null`.
    pub(super) async fn delete_object(&self, ask: &Ask) -> Outcome<Response<Body>> {
        let (bucket, key) = (ask.route.bucket()?.clone(), ask.route.key()?.clone());
        let named = ask.route.query.filled("versionId").is_some_and(|version| version != "null");
        let conditions = Conditions::parse(&ask.headers);
        self.writer
            .commit(None, move |tables| {
                let id = tables.bucket(bucket.as_str())?.id;
                if named {
                    return Ok(());
                }
                judge(tables, id, key.as_str(), &conditions)?;
                tables.remove(id, key.as_str())?;
                Ok(())
            })
            .await?;
        Ok(bare(StatusCode::NO_CONTENT))
    }

    /// DeleteObjects, in one transaction.
    pub(super) async fn delete_objects(&self, ask: &Ask, body: Body) -> Outcome<Response<Body>> {
        let bucket = ask.route.bucket()?.clone();
        self.snapshot()?.bucket(bucket.as_str())?;
        let body = short_body(body, BYTES_MAX).await?;
        intake::check_short(&ask.headers, &body)?;
        let request = DeleteRequest::read(&body)?;
        let targets = request.targets.clone();
        let outcomes = self
            .writer
            .commit(None, move |tables| {
                let id = tables.bucket(bucket.as_str())?.id;
                targets.into_iter().map(|target| delete(tables, id, target)).collect::<Result<Vec<_>, _>>()
            })
            .await?;
        Ok(document(request.document(&outcomes)))
    }
}

fn delete(tables: &mut Tables<'_>, bucket: BucketId, target: Target) -> Result<Deletion, Failure> {
    let key = target.key.as_str();
    if target.version.as_ref().is_some_and(|version| version.as_str() != "null") {
        return Ok(Deletion::Deleted(target));
    }
    if let Some(expected) = &target.etag {
        match tables.version(bucket, key)? {
            None => {
                let error = S3Error::no_such_key(key);
                return Ok(Deletion::Failed(target, error));
            }
            Some(version) if version.etag != expected.as_str() => {
                return Ok(Deletion::Failed(target, S3Error::precondition_failed("If-Match")));
            }
            Some(_) => {}
        }
    }
    tables.remove(bucket, key)?;
    Ok(Deletion::Deleted(target))
}
