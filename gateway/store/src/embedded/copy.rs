//! CopyObject and UploadPartCopy: the source is read as a GET reads it and taken in as a PUT takes it in.

use std::ops::Range;
use std::sync::Arc;

use dialect::checksum::{Algorithm, ChecksumError, Demand};
use dialect::conditions::Conditions;
use dialect::copy::{CopyResult, CopySource, Directive, copy_onto_itself, invalid_version};
use dialect::{Code, S3Error, metadata, reserved};
use http::Response;
use model::limits::PUT_BYTES_MAX;
use model::{Body, Timestamp};

use super::fault::Outcome;
use super::intake::{Expected, Received, receive};
use super::put::{REDIRECT, full_checksum, judge, tag};
use super::record::Version;
use super::respond::{checksum_elements, document};
use super::{Ask, Found, Inner, content, now};
use crate::stream::sized_body;

impl Inner {
    /// CopyObject
    pub(super) async fn copy_object(&self, ask: &Ask) -> Outcome<Response<Body>> {
        let (bucket, key) = (ask.route.bucket()?.clone(), ask.route.key()?.clone());
        let conditions = Conditions::parse(&ask.headers);
        self.judge_early(&bucket, key.as_str(), &conditions)?;
        let directive = Directive::metadata(&ask.headers)?;
        let (source, found) = self.copy_source(ask)?;
        let class = metadata::storage_class(&ask.headers)?;
        let changes_nothing = directive == Directive::Copy
            && (!ask.headers.contains_key("x-amz-storage-class") || class.as_str() == found.version.class)
            && !ask.headers.contains_key(REDIRECT);
        if changes_nothing && source.bucket == bucket && source.key == key {
            return Err(copy_onto_itself().into());
        }
        let headers = match directive {
            Directive::Replace => self.stored_headers(&ask.headers)?,
            Directive::Copy => copied_headers(&found.version, ask),
        };
        let algorithm = copy_algorithm(ask, &found.version)?;
        let whole = 0..found.version.size;
        let received = self.take_in(found, whole, algorithm).await?;
        let mut version = Version {
            sequence: 0,
            etag: received.md5.etag(),
            size: received.size,
            last_modified: now().milliseconds(),
            class: class.as_str().to_owned(),
            headers,
            checksum: Some(full_checksum(&received.checksum)),
            segments: Vec::new(),
            part_bytes: Vec::new(),
            upload: None,
        };
        let result = CopyResult {
            etag: tag(&version.etag).ok_or(Code::InternalError)?,
            last_modified: Timestamp::from_seconds(
                Timestamp::from_milliseconds(version.last_modified).seconds(),
            ),
            checksums: version.checksum.as_ref().map(checksum_elements).unwrap_or_default(),
        };
        let (staged, deposit) = received.into_deposit();
        self.writer
            .commit(staged, move |tables| {
                let id = tables.bucket(bucket.as_str())?.id;
                judge(tables, id, key.as_str(), &conditions)?;
                version.segments.extend(deposit.keep(tables)?);
                Ok(tables.replace(id, key.as_str(), version)?)
            })
            .await?;
        Ok(document(result.object_document()))
    }

    /// The source of a copy, its conditions judged.
    pub(super) fn copy_source(&self, ask: &Ask) -> Outcome<(CopySource, Found)> {
        let source = CopySource::parse(&ask.headers)?;
        if let Some(version) = source.version.as_ref().filter(|version| version.as_str() != "null") {
            return Err(invalid_version(version.as_str()).into());
        }
        let found = self.find_pinned(&source.bucket, &source.key)?;
        let etag = tag(&found.version.etag).ok_or(Code::InternalError)?;
        let modified = Timestamp::from_milliseconds(found.version.last_modified);
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
        let stream = content::stream(&found.snapshot, files, &found.version, range, found.pinned)?;
        let expected = Expected {
            length: Some(length),
            length_max: PUT_BYTES_MAX,
            demand: Demand::default(),
            algorithm,
            pinned: false,
        };
        drop(found.snapshot);
        receive(&self.files, sized_body(stream, length), expected).await
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
