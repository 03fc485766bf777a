//! Restored copies on their way into the store: one PUT when short, otherwise the parts of an upload.

use dialect::xml::Writer;
use http::Method;
use model::limits::LIST_KEYS_MAX;
use model::store::StoreError;
use model::{ArchiveId, ByteStream, CopyPart, CopyUpload, ETag, ObjectKey, Stretches};

use super::answer::{document, nonsense, token};
use super::request::Ask;
use super::{S3Store, gone};
use crate::service::S3Service;
use crate::stream::{Slices, sized_body};

/// Longest copy written by one PUT, in bytes.
const PUT_BYTES: u64 = 64 << 20;
/// Longest answer to a step of an upload, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// The key of a copy in the reserved bucket: two digits of the archive's random part spread the keys.
pub(super) fn key(archive: ArchiveId) -> String {
    format!("{:02x}/{archive}", archive.as_u128() & 0xff)
}

/// The archive whose copy has this key.
fn archive_of(key: &str) -> Option<ArchiveId> {
    let (_, id) = key.split_once('/')?;
    id.parse().ok().filter(|archive| self::key(*archive) == key)
}

impl<S: S3Service> S3Store<S> {
    /// The next copies in the order of their keys; other objects of ours stand between them.
    pub(super) async fn copies_after(&self, after: Option<ArchiveId>) -> Result<Vec<ArchiveId>, StoreError> {
        let bucket = &self.reserved.bucket;
        let mut after =
            after.map(|archive| ObjectKey::parse(&key(archive)).expect("the key of a copy is one"));
        loop {
            let page = self.page_of(bucket, "", after.as_ref(), LIST_KEYS_MAX).await?;
            let copies: Vec<ArchiveId> =
                page.entries.iter().filter_map(|entry| archive_of(entry.key.as_str())).collect();
            let last = page.entries.into_iter().next_back();
            match last {
                Some(last) if copies.is_empty() && page.more => after = Some(last.key),
                _ => return Ok(copies),
            }
        }
    }

    /// Writes a copy of exactly `length` bytes.
    pub(super) async fn write_copy(
        &self,
        archive: ArchiveId,
        length: u64,
        bytes: ByteStream,
    ) -> Result<(), StoreError> {
        if length <= PUT_BYTES {
            let ask = Ask::object(Method::PUT, &self.reserved.bucket, &key(archive));
            self.ask(&what(archive), ask.send(sized_body(bytes, length), length)).await?;
            return Ok(());
        }
        let too_long = || StoreError::Refused {
            what: format!("{} of {length} bytes", what(archive)),
            status: 400,
            code: "EntityTooLarge".to_owned(),
        };
        let whole = Stretches::new(length, length).ok_or_else(too_long)?;
        let copy = self.begin_stretches(archive, whole).await?;
        let written = match self.write_stretch(&copy, 0, bytes).await {
            Ok(parts) => self.complete_stretches(&copy, parts).await,
            Err(error) => Err(error),
        };
        if written.is_err()
            && let Err(stays) = self.abandon_stretches(&copy).await
        {
            tracing::warn!(error = &stays as &dyn std::error::Error, "an upload stays until the next start");
        }
        written
    }

    pub(super) async fn begin_stretches(
        &self,
        archive: ArchiveId,
        stretches: Stretches,
    ) -> Result<CopyUpload, StoreError> {
        let what = what(archive);
        let ask = Ask::object(Method::POST, &self.reserved.bucket, &key(archive)).query("uploads", "");
        let response = self.ask(&what, ask.bare()).await?;
        let root = document(&what, response, "InitiateMultipartUploadResult", ANSWER_BYTES_MAX).await?;
        let upload = token(&what, &root, "UploadId")?.ok_or_else(|| nonsense(&what, "upload id"))?;
        Ok(CopyUpload { archive, upload, stretches })
    }

    pub(super) async fn write_stretch(
        &self,
        copy: &CopyUpload,
        index: u32,
        bytes: ByteStream,
    ) -> Result<Vec<CopyPart>, StoreError> {
        let what = what(copy.archive);
        let slices = Slices::new(bytes);
        let mut left = copy.stretches.parts(index).map(|(_, length)| length).sum::<u64>();
        let mut parts = Vec::new();
        for (number, length) in copy.stretches.parts(index) {
            let ask = self.of(copy, Method::PUT).query("partNumber", &number.to_string());
            left -= length;
            let body = if left == 0 { slices.last_body(length) } else { slices.next_body(length) };
            let response = self.ask(&what, ask.send(body, length)).await?;
            let etag = response.headers().get("etag").and_then(|value| value.to_str().ok());
            let etag = etag.and_then(|etag| ETag::parse(etag).ok()).ok_or_else(|| nonsense(&what, "ETag"))?;
            parts.push(CopyPart { number, etag });
        }
        Ok(parts)
    }

    pub(super) async fn complete_stretches(
        &self,
        copy: &CopyUpload,
        parts: Vec<CopyPart>,
    ) -> Result<(), StoreError> {
        let what = what(copy.archive);
        let mut list = Writer::root("CompleteMultipartUpload");
        for part in parts {
            list.open("Part");
            list.leaf("PartNumber", &part.number.to_string());
            list.leaf("ETag", &part.etag.quoted());
            list.close("Part");
        }
        let body = list.finish();
        let body_bytes = body.len() as u64;
        let ask = self.of(copy, Method::POST).send(model::body::full(body), body_bytes);
        let response = self.ask(&what, ask).await?;
        // A completion may answer 200 and tell of its failure in the document.
        document(&what, response, "CompleteMultipartUploadResult", ANSWER_BYTES_MAX).await?;
        Ok(())
    }

    pub(super) async fn abandon_stretches(&self, copy: &CopyUpload) -> Result<(), StoreError> {
        gone(self.ask(&what(copy.archive), self.of(copy, Method::DELETE).bare()).await)
    }

    /// A step of an upload.
    fn of(&self, copy: &CopyUpload, method: Method) -> Ask {
        Ask::object(method, &self.reserved.bucket, &key(copy.archive)).query("uploadId", &copy.upload)
    }
}

fn what(archive: ArchiveId) -> String {
    format!("restored copy of {archive}")
}
