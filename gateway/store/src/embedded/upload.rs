//! Multipart uploads until they are completed: create, parts, lists, abort.

use dialect::checksum::{Algorithm, ChecksumError, Kind, UploadChecksum};
use dialect::conditions::Conditions;
use dialect::copy::CopyResult;
use dialect::listing;
use dialect::multipart::{PartLine, PartsPage, PartsRequest, initiate_document, part_number};
use dialect::xml::Writer;
use dialect::{Code, S3Error, metadata, range};
use http::{Response, StatusCode};
use model::{Body, ETag, Timestamp};

use super::copy::set_source_version;
use super::fault::{Fault, Outcome};
use super::intake::{Received, receive};
use super::put::{expected, full_checksum, tag};
use super::record::{Part, Upload, decode};
use super::respond::{bare, checksum_elements, document, set};
use super::tables::UPLOADS;
use super::{Ask, Inner, acl, now, tags};

/// Name of an upload on the wire.
pub(super) struct UploadId {
    pub(super) number: u128,
    pub(super) text: String,
}

impl Inner {
    /// CreateMultipartUpload
    pub(super) async fn create_upload(&self, ask: &Ask) -> Outcome<Response<Body>> {
        let (bucket, key) = (ask.route.bucket()?.clone(), ask.route.key()?.clone());
        self.judge_early(&bucket, key.as_str(), &Conditions::default())?;
        let checksum = UploadChecksum::from_headers(&ask.headers)?;
        let upload = Upload {
            created: now().milliseconds(),
            class: metadata::storage_class(&ask.headers)?.as_str().to_owned(),
            headers: self.stored_headers(&ask.headers)?,
            tags: tags::of_headers(&ask.headers)?,
            acl: acl::of_headers(&ask.headers, &self.owner)?,
            checksum: checksum.map(|sum| (sum.algorithm().name().to_owned(), sum.kind().name().to_owned())),
        };
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| Fault::File {
            operation: "drawing an upload id",
            source: std::io::Error::other(error.to_string()),
        })?;
        let number = u128::from_be_bytes(random);
        let document = initiate_document(&bucket, &key, &hex::encode(random));
        self.writer
            .commit(None, move |tables| {
                let id = tables.bucket(bucket.as_str())?.id;
                Ok(tables.insert_upload(id, key.as_str(), number, &upload)?)
            })
            .await?;
        let mut response = self::document(document);
        if let Some(checksum) = checksum {
            set(response.headers_mut(), "x-amz-checksum-algorithm", checksum.algorithm().name());
            set(response.headers_mut(), "x-amz-checksum-type", checksum.kind().name());
        }
        Ok(response)
    }

    /// UploadPart
    pub(super) async fn upload_part(&self, ask: &Ask, body: Body) -> Outcome<Response<Body>> {
        let upload = UploadId::of(ask)?;
        let number = part_number(&ask.route.query)?;
        let (checksum, chosen) = self.upload_checksum(ask, &upload)?;
        let mut expected = expected(&ask.headers, &body, checksum.algorithm())?;
        // An upload that chose no algorithm gets its own checksum from ours; the part's is only checked.
        expected.pinned = !chosen;
        if chosen
            && let Some(sent) = expected.demand.checksum.map(|demanded| demanded.algorithm())
            && sent != checksum.algorithm()
        {
            return Err(mismatch(checksum.algorithm(), sent).into());
        }
        let received = receive(&self.files, body, expected).await?;
        let part = self.keep_part(ask, &upload, number, received).await?;
        let mut response = bare(StatusCode::OK);
        set(response.headers_mut(), "etag", &format!("\"{}\"", hex::encode(part.md5)));
        super::respond::set_checksum(response.headers_mut(), &part.checksum);
        response.headers_mut().remove("x-amz-checksum-type");
        Ok(response)
    }

    /// UploadPartCopy
    pub(super) async fn upload_part_copy(&self, ask: &Ask) -> Outcome<Response<Body>> {
        let upload = UploadId::of(ask)?;
        let number = part_number(&ask.route.query)?;
        let (checksum, _) = self.upload_checksum(ask, &upload)?;
        let (_, found) = self.copy_source(ask)?;
        let size = found.seen.version.size;
        let told = found.seen.bucket.told(&found.seen.version);
        let range = match ask.headers.get("x-amz-copy-source-range") {
            None => 0..size,
            Some(text) => range::copy_source(text.to_str().unwrap_or_default(), size)?,
        };
        let received = self.take_in(found, range, checksum.algorithm()).await?;
        let part = self.keep_part(ask, &upload, number, received).await?;
        let mut checksums = checksum_elements(&part.checksum);
        checksums.retain(|(name, _)| *name != "ChecksumType");
        let etag = tag(&hex::encode(part.md5)).ok_or(Code::InternalError)?;
        let result = CopyResult { etag, last_modified: whole_seconds(part.last_modified), checksums };
        let mut response = document(result.part_document());
        set_source_version(response.headers_mut(), told.as_deref());
        Ok(response)
    }

    /// AbortMultipartUpload
    pub(super) async fn abort_upload(&self, ask: &Ask) -> Outcome<Response<Body>> {
        let (bucket, key) = (ask.route.bucket()?.clone(), ask.route.key()?.clone());
        let upload = UploadId::of(ask)?;
        self.writer
            .commit(None, move |tables| {
                let id = tables.bucket(bucket.as_str())?.id;
                if tables.upload(id, key.as_str(), upload.number)?.is_none() {
                    return Err(S3Error::no_such_upload(&upload.text).into());
                }
                for (_, part) in tables.take_upload(id, key.as_str(), upload.number)? {
                    if let Some(segment) = part.segment {
                        tables.discard(&segment)?;
                    }
                }
                Ok(())
            })
            .await?;
        Ok(bare(StatusCode::NO_CONTENT))
    }

    /// ListParts
    pub(super) fn list_parts(&self, ask: &Ask) -> Outcome<Response<Body>> {
        let (bucket, key) = (ask.route.bucket()?, ask.route.key()?);
        let request = PartsRequest::parse(&ask.route.query)?;
        let id = UploadId::of(ask)?;
        let snapshot = self.snapshot()?;
        let bucket_id = snapshot.bucket(bucket.as_str())?.id;
        let upload = snapshot
            .upload(bucket_id, key.as_str(), id.number)?
            .ok_or_else(|| S3Error::no_such_upload(&id.text))?;
        let mut parts = snapshot.parts(id.number, request.after)?;
        let more = parts.len() > request.max_parts;
        parts.truncate(request.max_parts);
        let page = PartsPage {
            bucket,
            key,
            upload: &id.text,
            class: upload.class.parse().map_err(|_| S3Error::new(Code::InternalError))?,
            owner: &self.owner,
            checksum: upload.checksum.as_ref().map(|(algorithm, kind)| (algorithm.as_str(), kind.as_str())),
            parts: parts.iter().map(|(number, part)| line(*number, part)).collect::<Outcome<_>>()?,
            more,
        };
        Ok(document(page.document(request)))
    }

    /// ListMultipartUploads, without delimiter.
    pub(super) fn list_uploads(&self, ask: &Ask) -> Outcome<Response<Body>> {
        let bucket = ask.route.bucket()?;
        let query = &ask.route.query;
        if query.filled("delimiter").is_some() {
            return Err(super::respond::not_offered().into());
        }
        let snapshot = self.snapshot()?;
        let id = snapshot.bucket(bucket.as_str())?.id;
        let max = listing::count(query, "max-uploads", model::limits::LIST_KEYS_MAX)?;
        let prefix = query.value("prefix").unwrap_or_default();
        let key_marker = query.value("key-marker").unwrap_or_default();
        let upload_marker = query.filled("upload-id-marker").and_then(UploadId::parse);
        let first = match upload_marker {
            Some(upload) => upload.saturating_add(1),
            None if key_marker.is_empty() => 0,
            None => u128::MAX,
        };
        let from = if key_marker < prefix { (prefix, 0) } else { (key_marker, first) };
        let table = snapshot.transaction().open_table(UPLOADS)?;
        let mut lines: Vec<UploadLine> = Vec::new();
        let mut more = false;
        for row in table.range((id.0, from.0.as_bytes(), from.1)..(id.0 + 1, &[][..], 0))? {
            let (row_key, record) = row?;
            let (_, key, upload) = row_key.value();
            let key = String::from_utf8_lossy(key).into_owned();
            if !key.starts_with(prefix) || max == 0 {
                break;
            }
            if lines.len() == max {
                more = true;
                break;
            }
            lines.push(UploadLine { key, id: upload, upload: decode("uploads", record.value())? });
        }
        Ok(document(uploads_document(ask, self, &lines, (max, more))?))
    }

    /// What the parts of an upload are checked with, and whether the client chose that. Errors: `NoSuchBucket`,
    /// `NoSuchUpload`.
    fn upload_checksum(&self, ask: &Ask, id: &UploadId) -> Outcome<(UploadChecksum, bool)> {
        let snapshot = self.snapshot()?;
        let bucket = snapshot.bucket(ask.route.bucket()?.as_str())?.id;
        let upload = snapshot.upload(bucket, ask.route.key()?.as_str(), id.number)?;
        let upload = upload.ok_or_else(|| S3Error::no_such_upload(&id.text))?;
        Ok((checksum_of(&upload)?, upload.checksum.is_some()))
    }

    /// Makes a part visible, in the place of an earlier one of its number.
    async fn keep_part(&self, ask: &Ask, id: &UploadId, number: u32, received: Received) -> Outcome<Part> {
        let (bucket, key) = (ask.route.bucket()?.clone(), ask.route.key()?.clone());
        let mut part = Part {
            md5: received.md5.0,
            size: received.size,
            last_modified: now().milliseconds(),
            checksum: full_checksum(&received.checksum),
            segment: None,
        };
        let (upload, text) = (id.number, id.text.clone());
        let (staged, deposit) = received.into_deposit();
        self.writer
            .commit(staged, move |tables| {
                let id = tables.bucket(bucket.as_str())?.id;
                if tables.upload(id, key.as_str(), upload)?.is_none() {
                    return Err(S3Error::no_such_upload(&text).into());
                }
                part.segment = deposit.keep(tables)?;
                tables.replace_part(upload, number, &part)?;
                Ok(part)
            })
            .await
    }
}

/// What an upload is checked with: what was asked for, CRC64NVME over the whole when nothing was.
pub(super) fn checksum_of(upload: &Upload) -> Outcome<UploadChecksum> {
    let checksum = match &upload.checksum {
        Some((algorithm, kind)) => {
            UploadChecksum::new(Algorithm::parse(algorithm)?, Some(Kind::parse(kind)?))
        }
        None => UploadChecksum::new(Algorithm::Crc64Nvme, None),
    };
    Ok(checksum?)
}

// === impl UploadId ===

impl UploadId {
    /// The upload a request names. Errors: `NoSuchUpload` for a text that never was one.
    pub(super) fn of(ask: &Ask) -> Outcome<Self> {
        let text = ask.route.query.value("uploadId").unwrap_or_default().to_owned();
        match Self::parse(&text) {
            Some(number) => Ok(Self { number, text }),
            None => Err(S3Error::no_such_upload(&text).into()),
        }
    }

    fn parse(text: &str) -> Option<u128> {
        let legal = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if legal { u128::from_str_radix(text, 16).ok() } else { None }
    }
}

struct UploadLine {
    key: String,
    id: u128,
    upload: Upload,
}

fn uploads_document(
    ask: &Ask,
    inner: &Inner,
    lines: &[UploadLine],
    (max, more): (usize, bool),
) -> Outcome<Vec<u8>> {
    let query = &ask.route.query;
    let encode = listing::url_encoded(query)?;
    let text = |text: &str| {
        if encode { crate::s3_store::request::escape_key(text) } else { text.to_owned() }
    };
    let mut out = Writer::root("ListMultipartUploadsResult");
    out.leaf("Bucket", ask.route.bucket()?.as_str());
    out.leaf("KeyMarker", &text(query.value("key-marker").unwrap_or_default()));
    out.leaf("UploadIdMarker", query.value("upload-id-marker").unwrap_or_default());
    if let Some(last) = lines.last().filter(|_| more) {
        out.leaf("NextKeyMarker", &text(&last.key));
        out.leaf("NextUploadIdMarker", &format!("{:032x}", last.id));
    }
    out.leaf("Prefix", &text(query.value("prefix").unwrap_or_default()));
    if encode {
        out.leaf("EncodingType", "url");
    }
    out.leaf("MaxUploads", &max.to_string());
    out.leaf("IsTruncated", if more { "true" } else { "false" });
    for line in lines {
        out.open("Upload");
        out.leaf("Key", &text(&line.key));
        out.leaf("UploadId", &format!("{:032x}", line.id));
        for role in ["Initiator", "Owner"] {
            out.open(role);
            out.leaf("ID", &inner.owner.id);
            out.leaf("DisplayName", &inner.owner.display_name);
            out.close(role);
        }
        out.leaf("StorageClass", &line.upload.class);
        out.leaf("Initiated", &whole_seconds(line.upload.created).to_string());
        if let Some((algorithm, kind)) = &line.upload.checksum {
            out.leaf("ChecksumAlgorithm", algorithm);
            out.leaf("ChecksumType", kind);
        }
        out.close("Upload");
    }
    Ok(out.finish())
}

fn line(number: u32, part: &Part) -> Outcome<PartLine> {
    let mut checksums = checksum_elements(&part.checksum);
    checksums.retain(|(name, _)| *name != "ChecksumType");
    let etag: ETag = tag(&hex::encode(part.md5)).ok_or(Code::InternalError)?;
    Ok(PartLine {
        number,
        last_modified: whole_seconds(part.last_modified),
        etag,
        size: part.size,
        checksums,
    })
}

pub(super) fn whole_seconds(milliseconds: i64) -> Timestamp {
    Timestamp::from_seconds(Timestamp::from_milliseconds(milliseconds).seconds())
}

fn mismatch(expected: Algorithm, sent: Algorithm) -> ChecksumError {
    ChecksumError::TypeMismatch { expected: Some(expected), actual: Some(sent) }
}
