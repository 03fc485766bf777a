//! CompleteMultipartUpload: the object becomes the parts' files one after another, no byte is copied.

use dialect::checksum::{Algorithm, Checksum, ChecksumError, Kind, Md5, ObjectChecksum, UploadChecksum};
use dialect::conditions::Conditions;
use dialect::multipart::{COMPLETE_BYTES_MAX, CompleteResult, CompletedPart, declared_size, read_complete};
use dialect::{Code, S3Error};
use http::header::HOST;
use http::{HeaderMap, Response};
use model::limits::{OBJECT_BYTES_MAX, PART_BYTES_MIN};
use model::{Body, BucketName, ObjectKey};

use super::bucket::short_body;
use super::fault::Outcome;
use super::put::{judge, tag};
use super::record::{Bucket, Entry, Part, StoredChecksum, Upload, Version};
use super::respond::{checksum_elements, document, set_version};
use super::tables::Tables;
use super::upload::{UploadId, checksum_of};
use super::versions::Which;
use super::{Ask, Inner, now};

/// A completion understood.
struct Completion {
    bucket: BucketName,
    key: ObjectKey,
    upload: UploadId,
    parts: Vec<CompletedPart>,
    conditions: Conditions,
    declared: Declared,
}

/// What a completion made.
struct Completed {
    etag: String,
    checksum: Option<StoredChecksum>,
    /// The version id to tell.
    id: Option<String>,
}

/// What the client says of the whole.
struct Declared {
    size: Option<u64>,
    checksum: Option<ObjectChecksum>,
    kind: Option<Kind>,
}

impl Inner {
    /// CompleteMultipartUpload. Completing again what was completed is answered alike while the object stands.
    pub(super) async fn complete_upload(&self, ask: &Ask, body: Body) -> Outcome<Response<Body>> {
        let (bucket, key) = (ask.route.bucket()?.clone(), ask.route.key()?.clone());
        let conditions = Conditions::parse(&ask.headers);
        let body = short_body(body, COMPLETE_BYTES_MAX).await?;
        let completion = Completion {
            bucket: bucket.clone(),
            key: key.clone(),
            upload: UploadId::of(ask)?,
            parts: read_complete(&body)?,
            conditions,
            declared: Declared::parse(&ask.headers)?,
        };
        let Completed { etag, checksum, id } =
            self.writer.commit(None, move |tables| completion.apply(tables)).await?;
        let host = ask.headers.get(HOST).and_then(|host| host.to_str().ok());
        let path = format!("/{bucket}/{}", crate::s3_store::request::escape_key(key.as_str()));
        let result = CompleteResult {
            location: &host.map_or(path.clone(), |host| format!("http://{host}{path}")),
            bucket: &bucket,
            key: &key,
            etag: &tag(&etag).ok_or(Code::InternalError)?,
            checksums: checksum.as_ref().map(checksum_elements).unwrap_or_default(),
        };
        let mut response = document(result.document());
        set_version(response.headers_mut(), id.as_deref());
        Ok(response)
    }
}

// === impl Declared ===

impl Declared {
    fn parse(headers: &HeaderMap) -> Outcome<Self> {
        let mut checksum = None;
        for algorithm in Algorithm::ALL {
            if let Some(value) = headers.get(algorithm.header()) {
                let value = ObjectChecksum::parse(algorithm, value.to_str().unwrap_or_default())?;
                if checksum.replace(value).is_some() {
                    return Err(ChecksumError::Multiple.into());
                }
            }
        }
        let kind = headers.get("x-amz-checksum-type");
        let kind = kind.map(|kind| Kind::parse(kind.to_str().unwrap_or_default())).transpose()?;
        Ok(Self { size: declared_size(headers)?, checksum, kind })
    }
}

// === impl Completion ===

impl Completion {
    /// Checks everything, then makes the object.
    fn apply(self, tables: &mut Tables<'_>) -> Outcome<Completed> {
        let bucket = tables.bucket(self.bucket.as_str())?;
        let Some(upload) = tables.upload(bucket.id, self.key.as_str(), self.upload.number)? else {
            return self.completed_before(tables, &bucket);
        };
        judge(tables, &bucket, self.key.as_str(), &Which::Current, &self.conditions)?;
        let checksum = checksum_of(&upload)?;
        let parts = self.chosen(tables, checksum)?;
        self.check_composite(&upload, checksum)?;
        let size = self.check_sizes(&parts)?;
        let whole = self.check_whole(checksum, &parts)?;

        let mut version = Version {
            sequence: 0,
            is_null: true,
            etag: Md5::multipart_etag(parts.iter().map(|part| Md5(part.md5))),
            size,
            last_modified: now().milliseconds(),
            class: upload.class,
            headers: upload.headers,
            checksum: whole,
            segments: parts.iter().filter_map(|part| part.segment).collect(),
            part_bytes: parts.iter().map(|part| part.size).collect(),
            part_checksums: part_checksums(checksum, &parts),
            upload: Some(self.upload.number),
            tags: upload.tags,
            acl: upload.acl,
        };
        version.segments.shrink_to_fit();
        let (etag, checksum) = (version.etag.clone(), version.checksum.clone());
        let uploaded = tables.take_upload(bucket.id, self.key.as_str(), self.upload.number)?;
        let is_chosen = |number: u32| self.parts.binary_search_by_key(&number, |part| part.number).is_ok();
        for (_, part) in uploaded.iter().filter(|(number, _)| !is_chosen(*number)) {
            if let Some(segment) = &part.segment {
                tables.discard(segment)?;
            }
        }
        let id = tables.add(&bucket, self.key.as_str(), version)?;
        Ok(Completed { etag, checksum, id })
    }

    fn completed_before(&self, tables: &Tables<'_>, bucket: &Bucket) -> Outcome<Completed> {
        let standing = tables.entry(bucket, self.key.as_str(), &Which::Current)?;
        match standing.and_then(Entry::object) {
            Some(version) if version.upload == Some(self.upload.number) => {
                let id = bucket.told(&version);
                Ok(Completed { etag: version.etag, checksum: version.checksum, id })
            }
            _ => Err(S3Error::no_such_upload(&self.upload.text).into()),
        }
    }

    /// The uploaded parts that the request names, in its order.
    fn chosen(&self, tables: &Tables<'_>, checksum: UploadChecksum) -> Outcome<Vec<Part>> {
        let mut uploaded = tables.parts_of(self.upload.number)?.into_iter().peekable();
        let mut chosen = Vec::with_capacity(self.parts.len());
        for named in &self.parts {
            while uploaded.next_if(|(number, _)| *number < named.number).is_some() {}
            let part = uploaded.next_if(|(number, _)| *number == named.number).map(|(_, part)| part);
            let part = part.filter(|part| hex::encode(part.md5) == named.etag.as_str());
            let Some(part) = part else {
                return Err(S3Error::new(Code::InvalidPart)
                    .extra("UploadId", &*self.upload.text)
                    .extra("PartNumber", named.number.to_string())
                    .extra("ETag", named.etag.as_str())
                    .into());
            };
            check_part(named, &part, checksum)?;
            chosen.push(part);
        }
        Ok(chosen)
    }

    /// A composite checksum is one the client vouches for part by part.
    fn check_composite(&self, upload: &Upload, checksum: UploadChecksum) -> Result<(), ChecksumError> {
        if upload.checksum.is_none() || checksum.kind() != Kind::Composite {
            return Ok(());
        }
        match self.parts.iter().find(|part| part.checksums.is_empty()) {
            None => Ok(()),
            Some(part) => {
                Err(ChecksumError::MissingForPart { algorithm: checksum.algorithm(), part: part.number })
            }
        }
    }

    fn check_sizes(&self, parts: &[Part]) -> Outcome<u64> {
        let last = parts.len().saturating_sub(1);
        for (named, part) in self.parts.iter().zip(parts).take(last) {
            if part.size < PART_BYTES_MIN {
                return Err(S3Error::new(Code::EntityTooSmall)
                    .extra("ProposedSize", part.size.to_string())
                    .extra("MinSizeAllowed", PART_BYTES_MIN.to_string())
                    .extra("PartNumber", named.number.to_string())
                    .extra("ETag", named.etag.as_str())
                    .into());
            }
        }
        let size = parts.iter().map(|part| part.size).sum();
        if size > OBJECT_BYTES_MAX {
            return Err(super::intake::too_large(size, OBJECT_BYTES_MAX).into());
        }
        if self.declared.size.is_some_and(|declared| declared != size) {
            let message = "The provided 'x-amz-mp-object-size' header does not match what was computed.";
            return Err(S3Error::invalid_request(message).into());
        }
        Ok(size)
    }

    fn check_whole(&self, checksum: UploadChecksum, parts: &[Part]) -> Outcome<Option<StoredChecksum>> {
        let sums: Vec<(Checksum, u64)> = parts
            .iter()
            .map(|part| Ok((Checksum::parse(checksum.algorithm(), &part.checksum.value)?, part.size)))
            .collect::<Result<_, ChecksumError>>()?;
        let whole = checksum.of_parts(sums.iter().map(|(sum, size)| (sum, *size)));
        if let Some(kind) = self.declared.kind.filter(|kind| *kind != checksum.kind()) {
            return Err(ChecksumError::KindNotAllowed { kind, algorithm: checksum.algorithm() }.into());
        }
        if let Some(declared) = self.declared.checksum {
            let (expected, actual) = (Some(checksum.algorithm()), Some(declared.algorithm()));
            if expected != actual {
                return Err(ChecksumError::TypeMismatch { expected, actual }.into());
            }
            if !matches(declared, whole) {
                return Err(ChecksumError::ObjectMismatch { algorithm: checksum.algorithm() }.into());
            }
        }
        Ok(whole.map(|whole| StoredChecksum {
            algorithm: whole.algorithm().name().to_owned(),
            value: whole.to_string(),
            kind: whole.kind().name().to_owned(),
        }))
    }
}

/// A composite checksum says something of each part; any other only of the whole.
fn part_checksums(checksum: UploadChecksum, parts: &[Part]) -> Vec<String> {
    match checksum.kind() {
        Kind::Composite => parts.iter().map(|part| part.checksum.value.clone()).collect(),
        Kind::FullObject => Vec::new(),
    }
}

/// A composite checksum may be declared without its `-N`.
fn matches(declared: ObjectChecksum, whole: Option<ObjectChecksum>) -> bool {
    match (declared, whole) {
        (ObjectChecksum::Full(value), Some(ObjectChecksum::Composite { of_parts, .. })) => value == of_parts,
        (declared, whole) => Some(declared) == whole,
    }
}

fn check_part(named: &CompletedPart, part: &Part, checksum: UploadChecksum) -> Result<(), ChecksumError> {
    for (element, value) in &named.checksums {
        let algorithm = Algorithm::ALL.into_iter().find(|algorithm| algorithm.element() == element);
        let (expected, actual) = (Some(checksum.algorithm()), algorithm);
        if expected != actual {
            return Err(ChecksumError::TypeMismatch { expected, actual });
        }
        if *value != part.checksum.value {
            return Err(ChecksumError::PartMismatch { algorithm: checksum.algorithm(), part: named.number });
        }
    }
    Ok(())
}
