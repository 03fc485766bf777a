//! CopyObject and UploadPartCopy: the source is read as a GET reads it and taken in as a PUT takes it in.

use std::ops::Range;
use std::sync::Arc;

use dialect::checksum::{Algorithm, ChecksumError, Demand};
use dialect::conditions::Conditions;
use dialect::copy::{CopyResult, CopySource, Directive, copy_onto_itself};
use dialect::{Code, S3Error, metadata, reserved};
use http::{HeaderMap, Response};
use model::bucket::Versioning;
use model::limits::PUT_BYTES_MAX;
use model::{Body, Timestamp};

use super::fault::{Failure, Outcome};
use super::intake::{Expected, Received, receive};
use super::put::{REDIRECT, full_checksum, judge, tag};
use super::record::Version;
use super::respond::{checksum_elements, document, set, set_version};
use super::versions::Which;
use super::{Ask, Found, Inner, Seen, Target, acl, content, now, tags};
use crate::stream::sized_body;

impl Inner {
    /// CopyObject
    pub(super) async fn copy_object(&self, ask: &Ask) -> Outcome<Response<Body>> {
        let (bucket, key) = (ask.route.bucket()?.clone(), ask.route.key()?.clone());
        let conditions = Conditions::parse(&ask.headers);
        self.judge_early(&bucket, key.as_str(), &conditions)?;
        let directive = Directive::metadata(&ask.headers)?;
        let (source, found) = self.copy_source(ask)?;
        let original = &found.seen.version;
        let told = found.seen.bucket.told(original);
        let class = metadata::storage_class(&ask.headers)?;
        let changes_nothing = directive == Directive::Copy
            && (!ask.headers.contains_key("x-amz-storage-class") || class.as_str() == original.class)
            && !ask.headers.contains_key(REDIRECT);
        // An older version copied onto its key becomes the newest.
        let may_differ = source.which != Which::Current && found.seen.bucket.versioning != Versioning::Off;
        if changes_nothing && !may_differ && source.bucket == bucket && source.key == key {
            return Err(copy_onto_itself().into());
        }
        let headers = match directive {
            Directive::Replace => self.stored_headers(&ask.headers)?,
            Directive::Copy => copied_headers(original, ask),
        };
        let tags = match Directive::tagging(&ask.headers)? {
            Directive::Replace => tags::of_headers(&ask.headers)?,
            Directive::Copy => original.tags.clone(),
        };
        // An ACL is never copied.
        let acl = acl::of_headers(&ask.headers, &self.owner)?;
        let algorithm = copy_algorithm(ask, original)?;
        let whole = 0..original.size;
        let received = self.take_in(found, whole, algorithm).await?;
        let mut version = Version {
            sequence: 0,
            is_null: true,
            etag: received.md5.etag(),
            size: received.size,
            last_modified: now().milliseconds(),
            class: class.as_str().to_owned(),
            headers,
            checksum: Some(full_checksum(&received.checksum)),
            segments: Vec::new(),
            part_bytes: Vec::new(),
            part_checksums: Vec::new(),
            upload: None,
            tags,
            acl,
        };
        let result = CopyResult {
            etag: tag(&version.etag).ok_or(Code::InternalError)?,
            last_modified: Timestamp::from_seconds(
                Timestamp::from_milliseconds(version.last_modified).seconds(),
            ),
            checksums: version.checksum.as_ref().map(checksum_elements).unwrap_or_default(),
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
        let mut response = document(result.object_document());
        set_version(response.headers_mut(), id.as_deref());
        set_source_version(response.headers_mut(), told.as_deref());
        Ok(response)
    }

    /// The source of a copy, its conditions judged.
    pub(super) fn copy_source(&self, ask: &Ask) -> Outcome<(Target, Found)> {
        let CopySource { bucket, key, version } = CopySource::parse(&ask.headers)?;
        let which = version.map_or(Which::Current, |version| Which::Named(version.as_str().to_owned()));
        let source = Target { bucket, key, which };
        let found = self.find_pinned(&source, &ask.method).map_err(|failure| match failure {
            Failure::Refused(error) if error.code == Code::MethodNotAllowed => {
                S3Error::invalid_request(MARKER_SOURCE).into()
            }
            failure => failure,
        })?;
        let version = &found.seen.version;
        let etag = tag(&version.etag).ok_or(Code::InternalError)?;
        let modified = Timestamp::from_milliseconds(version.last_modified);
        Conditions::parse_source(&ask.headers).source(&etag, modified)?;
        Ok((source, found))
    }

    /// Reads bytes of an object and takes them in as new ones.
    pub(super) async fn take_in(
        &self,
        found: Found,
        range: Range<u64>,
        algorithm: Algorithm,
    ) -> Outcome<Received> {
        let length = range.end - range.start;
        if length > PUT_BYTES_MAX {
            let message = format!(
                "The specified copy source is larger than the maximum allowable size for a copy source: {PUT_BYTES_MAX}"
            );
            return Err(S3Error::invalid_request(message).into());
        }
        let files = Arc::clone(&self.files);
        let Found { seen: Seen { snapshot, version, .. }, pinned } = found;
        let stream = content::stream(&snapshot, files, &version, range, pinned)?;
        let expected = Expected {
            length: Some(length),
            length_max: PUT_BYTES_MAX,
            demand: Demand::default(),
            algorithm,
            pinned: false,
        };
        drop(snapshot);
        receive(&self.files, sized_body(stream, length), expected).await
    }
}

/// The version id of what was copied, where there is one to tell.
pub(super) fn set_source_version(headers: &mut HeaderMap, id: Option<&str>) {
    if let Some(id) = id {
        set(headers, "x-amz-copy-source-version-id", id);
    }
}

/// The headers of the source. The reserved header and the redirect belong to one object: those of the source stay
/// behind, those of the request count.
fn copied_headers(source: &Version, ask: &Ask) -> Vec<(String, String)> {
    const OWN: [&str; 2] = [reserved::HEADER, REDIRECT];
    let mut headers = source.headers.clone();
    headers.retain(|(name, _)| !OWN.contains(&name.as_str()));
    for name in OWN {
        if let Some(value) = ask.headers.get(name).and_then(|value| value.to_str().ok()) {
            headers.push((name.to_owned(), value.to_owned()));
        }
    }
    headers.sort();
    headers
}

/// The checksum of a copy: the one asked for, or that of the source.
fn copy_algorithm(ask: &Ask, source: &Version) -> Result<Algorithm, ChecksumError> {
    if let Some(name) = ask.headers.get("x-amz-checksum-algorithm") {
        return Algorithm::parse(name.to_str().unwrap_or_default());
    }
    let kept = source.checksum.as_ref().and_then(|checksum| Algorithm::parse(&checksum.algorithm).ok());
    Ok(kept.unwrap_or(Algorithm::Crc64Nvme))
}

const MARKER_SOURCE: &str =
    "The source of a copy request may not specifically refer to a delete marker by version id.";
