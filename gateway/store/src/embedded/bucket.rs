//! Operations on buckets.

use dialect::bucket::{self, BucketLine};
use dialect::xml::{self, Writer};
use dialect::{Code, S3Error, listing};
use http::{Response, StatusCode};
use model::bucket::Versioning;
use model::{Body, BucketName, Timestamp};
use redb::ReadableTable as _;

use super::fault::{Fault, Outcome};
use super::record::{Bucket, decode};
use super::respond::{bare, document, set};
use super::tables::{BUCKETS, Tables};
use super::{Ask, Inner, acl, intake, now};
use crate::stream::{CollectError, collect};

/// Most buckets of one ListBuckets page.
const BUCKETS_MAX: usize = 10_000;
/// Longest body of PutBucketVersioning read, in bytes.
const VERSIONING_BYTES_MAX: usize = 64 << 10;

impl Inner {
    /// ListBuckets
    pub(super) fn list_buckets(&self, ask: &Ask) -> Outcome<Response<Body>> {
        let query = &ask.route.query;
        let max = listing::count(query, "max-buckets", BUCKETS_MAX)?;
        let prefix = query.value("prefix").unwrap_or_default();
        let after = query.filled("continuation-token").unwrap_or_default();
        let snapshot = self.snapshot()?;
        let mut lines: Vec<BucketLine> = Vec::new();
        let mut next = None;
        for entry in snapshot.transaction().open_table(BUCKETS)?.range::<&str>(after.max(prefix)..)? {
            let (name, record) = entry?;
            let name = name.value();
            if name == after {
                continue;
            }
            if !name.starts_with(prefix) {
                break;
            }
            if lines.len() == max {
                next = lines.last().map(|line| line.name.to_string());
                break;
            }
            let bucket: Bucket = decode("buckets", record.value())?;
            let name = BucketName::parse(name).map_err(|_| S3Error::new(Code::InternalError))?;
            lines.push(BucketLine { name, created: Timestamp::from_milliseconds(bucket.created) });
        }
        Ok(document(bucket::list_document(&self.owner, &lines, next.as_deref())))
    }

    /// CreateBucket
    pub(super) async fn create_bucket(&self, ask: &Ask, body: Body) -> Outcome<Response<Body>> {
        let name = ask.route.bucket()?.as_str().to_owned();
        let acl = acl::of_headers(&ask.headers, &self.owner)?;
        let body = short_body(body, bucket::CREATE_BYTES_MAX).await?;
        if let Some(region) = bucket::read_create(&body)?
            && region != self.options.region
        {
            return Err(S3Error::new(Code::InvalidLocationConstraint)
                .extra("LocationConstraint", region)
                .into());
        }
        let location = format!("/{name}");
        self.writer
            .commit(None, move |tables| {
                if tables.buckets.get(&*name)?.is_some() {
                    return Err(S3Error::new(Code::BucketAlreadyOwnedByYou).extra("BucketName", name).into());
                }
                Ok(tables.insert_bucket(&name, now().milliseconds(), acl)?)
            })
            .await?;
        let mut response = bare(StatusCode::OK);
        set(response.headers_mut(), "location", &location);
        Ok(response)
    }

    /// HeadBucket
    pub(super) fn head_bucket(&self, ask: &Ask) -> Outcome<Response<Body>> {
        self.snapshot()?.bucket(ask.route.bucket()?.as_str())?;
        let mut response = bare(StatusCode::OK);
        set(response.headers_mut(), "x-amz-bucket-region", &self.options.region);
        Ok(response)
    }

    /// DeleteBucket; uploads in progress go with it.
    pub(super) async fn delete_bucket(&self, ask: &Ask) -> Outcome<Response<Body>> {
        let name = ask.route.bucket()?.as_str().to_owned();
        self.writer.commit(None, move |tables| delete(tables, &name)).await?;
        Ok(bare(StatusCode::NO_CONTENT))
    }

    /// GetBucketLocation
    pub(super) fn bucket_location(&self, ask: &Ask) -> Outcome<Response<Body>> {
        self.snapshot()?.bucket(ask.route.bucket()?.as_str())?;
        Ok(document(bucket::location_document(&self.options.region)))
    }

    /// GetBucketVersioning
    pub(super) fn bucket_versioning(&self, ask: &Ask) -> Outcome<Response<Body>> {
        let versioning = self.snapshot()?.bucket(ask.route.bucket()?.as_str())?.versioning;
        let mut out = Writer::root("VersioningConfiguration");
        match versioning {
            Versioning::Off => {}
            Versioning::Enabled => out.leaf("Status", "Enabled"),
            Versioning::Suspended => out.leaf("Status", "Suspended"),
        }
        Ok(document(out.finish()))
    }

    /// PutBucketVersioning. Errors: `MalformedXML`; `NotImplemented` for MFA delete.
    pub(super) async fn put_bucket_versioning(&self, ask: &Ask, body: Body) -> Outcome<Response<Body>> {
        let name = ask.route.bucket()?.as_str().to_owned();
        self.snapshot()?.bucket(&name)?;
        let body = short_body(body, VERSIONING_BYTES_MAX).await?;
        intake::check_short(&ask.headers, &body)?;
        let versioning = read_versioning(&body)?;
        self.writer
            .commit(None, move |tables| {
                let bucket = tables.bucket(&name)?;
                Ok(tables.write_bucket(&name, &Bucket { versioning, ..bucket })?)
            })
            .await?;
        Ok(bare(StatusCode::OK))
    }
}

/// The whole of a request's short body. Errors: `MaxMessageLengthExceeded`, and what the body's sender refuses.
pub(super) async fn short_body(body: Body, bytes_max: usize) -> Outcome<bytes::Bytes> {
    collect(body, bytes_max).await.map_err(|error| {
        match error {
            CollectError::TooLong => S3Error::new(Code::MaxMessageLengthExceeded)
                .extra("MaxMessageLengthBytes", bytes_max.to_string()),
            CollectError::Body(error) => intake::body_refusal(error),
        }
        .into()
    })
}

/// What a bucket is to be set to.
fn read_versioning(body: &[u8]) -> Result<Versioning, S3Error> {
    let root = xml::read(body, "VersioningConfiguration", VERSIONING_BYTES_MAX)?;
    root.only(&["Status", "MfaDelete"])?;
    if root.leaf("MfaDelete")?.is_some_and(|state| state != "Disabled") {
        return Err(super::respond::not_offered());
    }
    match root.leaf("Status")? {
        Some("Enabled") => Ok(Versioning::Enabled),
        Some("Suspended") => Ok(Versioning::Suspended),
        _ => Err(S3Error::malformed_xml()),
    }
}

fn delete(tables: &mut Tables<'_>, name: &str) -> Outcome<()> {
    let id = tables.bucket(name)?.id;
    let used =
        tables.versions.range((id.0, &[][..], 0)..(id.0 + 1, &[][..], 0))?.next().transpose()?.is_some();
    if used {
        return Err(S3Error::new(Code::BucketNotEmpty).extra("BucketName", name).into());
    }
    for (key, upload) in uploads(tables, id.0)? {
        for (_, part) in tables.take_upload(id, &key, upload)? {
            if let Some(segment) = part.segment {
                tables.discard(&segment)?;
            }
        }
    }
    tables.buckets.remove(name)?;
    Ok(())
}

fn uploads(tables: &Tables<'_>, bucket: u64) -> Result<Vec<(String, u128)>, Fault> {
    let rows = tables.uploads.range((bucket, &[][..], 0)..(bucket + 1, &[][..], 0))?;
    rows.map(|row| {
        let (key, _) = row?;
        let (_, name, upload) = key.value();
        Ok((String::from_utf8_lossy(name).into_owned(), upload))
    })
    .collect()
}
