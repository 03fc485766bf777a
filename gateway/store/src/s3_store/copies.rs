//! Restored copies on their way into the store: one PUT when short, otherwise parts that pass through one after
//! another.

use dialect::xml::Writer;
use http::Method;
use model::limits::{LIST_KEYS_MAX, PARTS_MAX};
use model::store::StoreError;
use model::{ArchiveId, ByteStream, ETag, ObjectKey};

use super::S3Store;
use super::answer::{document, nonsense, token};
use super::request::Ask;
use crate::service::S3Service;
use crate::stream::Slices;

/// Longest copy written by one PUT, and the size of a part unless there would be too many, in bytes.
const PART_BYTES: u64 = 64 << 20;
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
        let what = format!("restored copy of {archive}");
        let slices = Slices::new(bytes);
        if length <= PART_BYTES {
            let ask = Ask::object(Method::PUT, &self.reserved.bucket, &key(archive));
            self.ask(&what, ask.send(slices.last_body(length), length)).await?;
            return Ok(());
        }
        let upload = self.begin(&what, archive).await?;
        match self.upload(&what, archive, &upload, length, &slices).await {
            Ok(()) => Ok(()),
            Err(error) => {
                let ask = Ask::object(Method::DELETE, &self.reserved.bucket, &key(archive))
                    .query("uploadId", &upload);
                if let Err(abort) = self.ask(&what, ask.bare()).await {
                    tracing::warn!(
                        error = &abort as &dyn std::error::Error,
                        "an upload stays until the next start"
                    );
                }
                Err(error)
            }
        }
    }

    async fn begin(&self, what: &str, archive: ArchiveId) -> Result<String, StoreError> {
        let ask = Ask::object(Method::POST, &self.reserved.bucket, &key(archive)).query("uploads", "");
        let response = self.ask(what, ask.bare()).await?;
        let root = document(what, response, "InitiateMultipartUploadResult", ANSWER_BYTES_MAX).await?;
        token(what, &root, "UploadId")?.ok_or_else(|| nonsense(what, "upload id"))
    }

    async fn upload(
        &self,
        what: &str,
        archive: ArchiveId,
        upload: &str,
        length: u64,
        slices: &Slices,
    ) -> Result<(), StoreError> {
        let part_bytes = PART_BYTES.max(length.div_ceil(u64::from(PARTS_MAX)));
        let mut list = Writer::root("CompleteMultipartUpload");
        let mut left = length;
        let mut number = 0_u32;
        while left > 0 {
            number += 1;
            let size = left.min(part_bytes);
            let ask = Ask::object(Method::PUT, &self.reserved.bucket, &key(archive))
                .query("partNumber", &number.to_string())
                .query("uploadId", upload);
            left -= size;
            let body = if left == 0 { slices.last_body(size) } else { slices.next_body(size) };
            let response = self.ask(what, ask.send(body, size)).await?;
            let etag = response.headers().get("etag").and_then(|value| value.to_str().ok());
            let etag = etag.and_then(|etag| ETag::parse(etag).ok()).ok_or_else(|| nonsense(what, "ETag"))?;
            list.open("Part");
            list.leaf("PartNumber", &number.to_string());
            list.leaf("ETag", &etag.quoted());
            list.close("Part");
        }
        let body = list.finish();
        let body_bytes = body.len() as u64;
        let ask = Ask::object(Method::POST, &self.reserved.bucket, &key(archive)).query("uploadId", upload);
        let response = self.ask(what, ask.send(model::body::full(body), body_bytes)).await?;
        // A completion may answer 200 and tell of its failure in the document.
        document(what, response, "CompleteMultipartUploadResult", ANSWER_BYTES_MAX).await?;
        Ok(())
    }
}
