//! PutObject, and what every operation that makes an object shares.

use dialect::checksum::{Algorithm, Demand};
use dialect::conditions::Conditions;
use dialect::metadata::{self, USER_PREFIX};
use dialect::reserved;
use dialect::{Code, S3Error};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Response, StatusCode};
use http_body::Body as _;
use model::limits::PUT_BYTES_MAX;
use model::{Body, ETag};

use super::fault::Outcome;
use super::intake::{Expected, receive};
use super::record::{Bucket, Entry, StoredChecksum, Version};
use super::respond::{bare, set, set_checksum, set_version};
use super::tables::Tables;
use super::versions::Which;
use super::{Ask, Inner, acl, now, tags};

/// A system header beside those the dialect names.
pub(super) const REDIRECT: &str = "x-amz-website-redirect-location";

impl Inner {
    /// PutObject
    pub(super) async fn put_object(&self, ask: &Ask, body: Body) -> Outcome<Response<Body>> {
        let (bucket, key) = (ask.route.bucket()?.clone(), ask.route.key()?.clone());
        let conditions = Conditions::parse(&ask.headers);
        self.judge_early(&bucket, key.as_str(), &conditions)?;
        let class = metadata::storage_class(&ask.headers)?;
        let headers = self.stored_headers(&ask.headers)?;
        let tags = tags::of_headers(&ask.headers)?;
        let acl = acl::of_headers(&ask.headers, &self.owner)?;
        let expected = expected(&ask.headers, &body, Algorithm::Crc64Nvme)?;
        let received = receive(&self.files, body, expected).await?;

        let etag = received.md5.etag();
        let checksum = full_checksum(&received.checksum);
        let mut version = Version {
            sequence: 0,
            is_null: true,
            etag: etag.clone(),
            size: received.size,
            last_modified: now().milliseconds(),
            class: class.as_str().to_owned(),
            headers,
            checksum: Some(checksum.clone()),
            segments: Vec::new(),
            part_bytes: Vec::new(),
            part_checksums: Vec::new(),
            upload: None,
            tags,
            acl,
        };
        let (staged, deposit) = received.into_deposit();
        let id = self
            .writer
            .commit(staged, move |tables| {
                let bucket = tables.bucket(bucket.as_str())?;
                judge(tables, &bucket, key.as_str(), &Which::Current, &conditions)?;
                version.segments.extend(deposit.keep(tables)?);
                Ok(tables.add(&bucket, key.as_str(), version)?)
            })
            .await?;
        let mut response = bare(StatusCode::OK);
        set_version(response.headers_mut(), id.as_deref());
        set(response.headers_mut(), "etag", &format!("\"{etag}\""));
        set_checksum(response.headers_mut(), &checksum);
        Ok(response)
    }

    /// Refuses before the body is read what would be refused after it. Judged again in the transaction.
    pub(super) fn judge_early(
        &self,
        bucket: &model::BucketName,
        key: &str,
        conditions: &Conditions,
    ) -> Outcome<()> {
        let snapshot = self.snapshot()?;
        let bucket = snapshot.bucket(bucket.as_str())?;
        if conditions.is_empty() {
            return Ok(());
        }
        let current = snapshot.entry(&bucket, key, &Which::Current)?;
        Ok(conditions.write(key, entry_tag(current).as_ref())?)
    }

    /// The system headers and the user metadata of a request as they are stored.
    ///
    /// Errors: `MetadataTooLarge`. The reserved header does not count, but on a store that pretends to be remote.
    pub(super) fn stored_headers(&self, headers: &HeaderMap) -> Outcome<Vec<(String, String)>> {
        let mut counted = headers.clone();
        let record = counted.remove(reserved::HEADER).filter(|_| !self.options.pretend_remote);
        let counted = if record.is_some() { &counted } else { headers };
        let mut stored: Vec<(String, String)> =
            metadata::system(headers).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        for (name, value) in metadata::user(counted)? {
            stored.push((format!("{USER_PREFIX}{name}"), value));
        }
        for (name, value) in [(reserved::HEADER, record.as_ref()), (REDIRECT, headers.get(REDIRECT))] {
            if let Some(text) = value.and_then(|value| value.to_str().ok()) {
                stored.push((name.to_owned(), text.to_owned()));
            }
        }
        stored.sort();
        Ok(stored)
    }
}

/// What the headers of a request say of its body.
///
/// Errors: `EntityTooLarge` above 5 GiB, and headers that cannot be right.
pub(super) fn expected(headers: &HeaderMap, body: &Body, algorithm: Algorithm) -> Outcome<Expected> {
    let announced = match headers.get(CONTENT_LENGTH) {
        Some(value) => {
            let length = value.to_str().ok().and_then(|text| text.parse().ok());
            Some(length.ok_or_else(|| S3Error::new(Code::BadRequest))?)
        }
        None => body.size_hint().exact(),
    };
    if let Some(length) = announced.filter(|length| *length > PUT_BYTES_MAX) {
        return Err(super::intake::too_large(length, PUT_BYTES_MAX).into());
    }
    let demand = Demand::from_headers(headers)?;
    Ok(Expected { length: announced, length_max: PUT_BYTES_MAX, demand, algorithm, pinned: false })
}

/// Judges the conditions of a write in its transaction. A delete marker counts as nothing there.
pub(super) fn judge(
    tables: &Tables<'_>,
    bucket: &Bucket,
    key: &str,
    which: &Which,
    conditions: &Conditions,
) -> Outcome<()> {
    if conditions.is_empty() {
        return Ok(());
    }
    let standing = tables.entry(bucket, key, which)?;
    Ok(conditions.write(key, entry_tag(standing).as_ref())?)
}

fn entry_tag(entry: Option<Entry>) -> Option<ETag> {
    entry.and_then(Entry::object).and_then(|version| tag(&version.etag))
}

/// A stored ETag, typed.
pub(super) fn tag(etag: &str) -> Option<ETag> {
    ETag::parse(etag).ok()
}

/// A checksum over all bytes as it is stored.
pub(super) fn full_checksum(checksum: &dialect::checksum::Checksum) -> StoredChecksum {
    StoredChecksum {
        algorithm: checksum.algorithm().name().to_owned(),
        value: checksum.to_base64(),
        kind: dialect::checksum::Kind::FullObject.name().to_owned(),
    }
}
