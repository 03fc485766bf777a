//! DeleteObject and DeleteObjects.

use dialect::S3Error;
use dialect::conditions::Conditions;
use dialect::delete::{BYTES_MAX, DeleteRequest, Target};
use dialect::xml::Writer;
use http::{Response, StatusCode};
use model::Body;
use model::bucket::Versioning;

use super::bucket::short_body;
use super::fault::{Failure, Fault, Outcome};
use super::put::judge;
use super::record::{Bucket, Entry};
use super::respond::{bare, document, set, set_version};
use super::tables::Tables;
use super::versions::Which;
use super::{Ask, Inner, intake, now};

/// What a delete did in a bucket with versions; nothing of it in one without.
#[derive(Clone, Debug, Default)]
struct Deleted {
    /// The version id to tell: that of the delete marker written, or of what was removed.
    id: Option<String>,
    /// That is a delete marker.
    marker: bool,
}

impl Inner {
    /// DeleteObject. A version that is not there is as good as deleted.
    pub(super) async fn delete_object(&self, ask: &Ask) -> Outcome<Response<Body>> {
        let (bucket, key) = (ask.route.bucket()?.clone(), ask.route.key()?.clone());
        let which = Which::of(ask)?;
        let conditions = Conditions::parse(&ask.headers);
        let deleted = self
            .writer
            .commit(None, move |tables| {
                let bucket = tables.bucket(bucket.as_str())?;
                judge(tables, &bucket, key.as_str(), &which, &conditions)?;
                Ok(delete(tables, &bucket, key.as_str(), &which)?)
            })
            .await?;
        let mut response = bare(StatusCode::NO_CONTENT);
        set_version(response.headers_mut(), deleted.id.as_deref());
        if deleted.marker {
            set(response.headers_mut(), "x-amz-delete-marker", "true");
        }
        Ok(response)
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
                let bucket = tables.bucket(bucket.as_str())?;
                targets
                    .iter()
                    .map(|target| delete_one(tables, &bucket, target))
                    .collect::<Result<Vec<_>, _>>()
            })
            .await?;
        Ok(document(outcomes_document(&request, &outcomes)))
    }
}

/// Deletes, each target on its own: a refusal of one is no failure of the request.
fn delete_one(
    tables: &mut Tables<'_>,
    bucket: &Bucket,
    target: &Target,
) -> Result<Result<Deleted, S3Error>, Failure> {
    let key = target.key.as_str();
    let which = match &target.version {
        Some(id) => Which::Named(id.as_str().to_owned()),
        None => Which::Current,
    };
    if let Some(expected) = &target.etag {
        match tables.entry(bucket, key, &which)?.and_then(Entry::object) {
            None => return Ok(Err(S3Error::no_such_key(key))),
            Some(version) if version.etag != expected.as_str() => {
                return Ok(Err(S3Error::precondition_failed("If-Match")));
            }
            Some(_) => {}
        }
    }
    Ok(Ok(delete(tables, bucket, key, &which)?))
}

fn delete(tables: &mut Tables<'_>, bucket: &Bucket, key: &str, which: &Which) -> Result<Deleted, Fault> {
    let versioned = bucket.versioning != Versioning::Off;
    if versioned && *which == Which::Current {
        let marker = tables.add_marker(bucket, key, now().milliseconds())?;
        return Ok(Deleted { id: Some(marker.id()), marker: true });
    }
    let entry = tables.entry(bucket, key, which)?;
    if let Some(entry) = &entry {
        tables.remove_entry(bucket, key, entry)?;
    }
    let id = match which {
        Which::Named(id) if versioned => Some(id.clone()),
        _ => None,
    };
    Ok(Deleted { id, marker: matches!(entry, Some(Entry::Marker(_))) })
}

/// The document of DeleteObjects, with what it says of delete markers.
fn outcomes_document(request: &DeleteRequest, outcomes: &[Result<Deleted, S3Error>]) -> Vec<u8> {
    let mut out = Writer::root("DeleteResult");
    for (target, outcome) in request.targets.iter().zip(outcomes) {
        let element = match outcome {
            Ok(_) if request.quiet => continue,
            Ok(_) => "Deleted",
            Err(_) => "Error",
        };
        out.open(element);
        out.leaf("Key", target.key.as_str());
        out.optional("VersionId", target.version.as_ref().map(|id| id.as_str()));
        match outcome {
            Ok(deleted) if deleted.marker => {
                out.leaf("DeleteMarker", "true");
                out.optional("DeleteMarkerVersionId", deleted.id.as_deref());
            }
            Ok(_) => {}
            Err(error) => {
                out.leaf("Code", error.code.as_str());
                out.leaf("Message", &error.message);
            }
        }
        out.close(element);
    }
    out.finish()
}
