//! Objects on their way back under their keys. The ways differ in what ETag comes out, and in what a condition holds:
//!
//! - *parts*: an upload of the sizes the client's had, so that its ETag comes out; the store copies the ranges
//! - *server*: CopyObject, where nothing but the key's gate is needed and the copy has the object's own ETag
//! - *streamed*: one PUT of the bytes through here, which is what conditions were proven for

use std::ops::Range;

use dialect::tagging::HEADER as TAGGING;
use dialect::xml::Writer;
use http::Method;
use model::limits::{PARTS_MAX, PUT_BYTES_MAX};
use model::store::{BackFrom, BringBack, StoreError};
use model::{ByteStream, ETag};

use super::answer::{document, nonsense, token};
use super::request::{Ask, escape_key};
use super::{S3Store, copies, range_header};
use crate::service::S3Service;
use crate::stream::sized_body;

/// Ranges are copied by the store out of sources longer than this only (UploadPartCopy), in bytes.
const RANGED_BYTES_MIN: u64 = 5 << 20;
/// Size of a part where the client's are not known, unless there would be too many, in bytes.
const PART_BYTES: u64 = 512 << 20;
/// Longest answer to a step, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// How the bytes go.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    Parts(Vec<u64>),
    Server,
    Streamed,
}

/// Where they are read.
struct Source<'a> {
    back: &'a BringBack,
    /// As `x-amz-copy-source` names it.
    path: String,
    etag: ETag,
    size: u64,
}

impl<S: S3Service> S3Store<S> {
    /// Writes the object; gives its ETag as told.
    pub(super) async fn put_back(&self, back: &BringBack) -> Result<ETag, StoreError> {
        let what = format!("{}/{} on its way back", back.target.bucket, back.target.key);
        let source = self.source(&what, back).await?;
        if source.size != back.size {
            return Err(StoreError::Changed { what });
        }
        match way(back, &source.etag) {
            Way::Parts(sizes) => self.put_back_in_parts(&what, &source, &sizes).await,
            Way::Server => self.put_back_by_copy(&what, &source).await,
            Way::Streamed => self.put_back_streamed(&what, &source).await,
        }
    }

    async fn source<'a>(&self, what: &str, back: &'a BringBack) -> Result<Source<'a>, StoreError> {
        let BackFrom::Copy(archive) = back.source else {
            let path = format!("{}/{}", back.target.bucket, escape_key(back.target.key.as_str()));
            return Ok(Source { back, path, etag: back.etag.clone(), size: back.size });
        };
        let key = copies::key(archive);
        let ask = Ask::object(Method::HEAD, &self.reserved.bucket, &key);
        let response = self.ask(what, ask.bare()).await?;
        let text = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let etag = text("etag").and_then(|etag| ETag::parse(etag).ok());
        let size = text("content-length").and_then(|size| size.parse().ok());
        Ok(Source {
            back,
            path: format!("{}/{}", self.reserved.bucket, escape_key(&key)),
            etag: etag.ok_or_else(|| nonsense(what, "ETag"))?,
            size: size.ok_or_else(|| nonsense(what, "length"))?,
        })
    }

    async fn put_back_streamed(&self, what: &str, source: &Source<'_>) -> Result<ETag, StoreError> {
        let bytes = self.source_bytes(source, 0..source.size).await?;
        let ask = self.dressed(self.conditioned(source.back, to(Method::PUT, source.back)), source.back);
        let response = self.ask(what, ask.send(sized_body(bytes, source.size), source.size)).await?;
        told_etag(what, &response)
    }

    async fn put_back_by_copy(&self, what: &str, source: &Source<'_>) -> Result<ETag, StoreError> {
        let mut ask = self.dressed(to(Method::PUT, source.back), source.back);
        ask = self.copying(ask, source).header("x-amz-metadata-directive", "REPLACE");
        if self.service.capabilities().tags {
            ask = ask.header("x-amz-tagging-directive", "REPLACE");
        }
        let response = self.ask(what, ask.bare()).await?;
        // A copy may answer 200 and tell of its failure in the document.
        let result = document(what, response, "CopyObjectResult", ANSWER_BYTES_MAX).await?;
        let etag = token(what, &result, "ETag")?.and_then(|etag| ETag::parse(&etag).ok());
        etag.ok_or_else(|| nonsense(what, "ETag"))
    }

    async fn put_back_in_parts(
        &self,
        what: &str,
        source: &Source<'_>,
        sizes: &[u64],
    ) -> Result<ETag, StoreError> {
        let ask = self.dressed(to(Method::POST, source.back).query("uploads", ""), source.back);
        let response = self.ask(what, ask.bare()).await?;
        let root = document(what, response, "InitiateMultipartUploadResult", ANSWER_BYTES_MAX).await?;
        let upload = token(what, &root, "UploadId")?.ok_or_else(|| nonsense(what, "upload id"))?;
        let written = match self.put_parts(what, source, sizes, &upload).await {
            Ok(list) => self.complete(what, source, &upload, list).await,
            Err(error) => Err(error),
        };
        if written.is_err() {
            // An upload that is gone cannot be completed any more, should the message still be on its way.
            let ask = to(Method::DELETE, source.back).query("uploadId", &upload);
            if let Err(abort) = self.ask(what, ask.bare()).await {
                tracing::warn!(what, error = &abort as &dyn std::error::Error, "an unfinished upload stays");
            }
        }
        written
    }

    /// The parts of an upload, as its completion lists them.
    async fn put_parts(
        &self,
        what: &str,
        source: &Source<'_>,
        sizes: &[u64],
        upload: &str,
    ) -> Result<Vec<u8>, StoreError> {
        let mut list = Writer::root("CompleteMultipartUpload");
        let mut start = 0;
        for (number, size) in (1_u32..).zip(sizes) {
            let (number, range) = (number.to_string(), start..start + size);
            start = range.end;
            let ask = to(Method::PUT, source.back).query("partNumber", &number).query("uploadId", upload);
            let etag = if source.size <= RANGED_BYTES_MIN {
                let bytes = self.source_bytes(source, range).await?;
                told_etag(what, &self.ask(what, ask.send(sized_body(bytes, *size), *size)).await?)?
            } else {
                let ask = self.copying(ask, source).header("x-amz-copy-source-range", &range_header(&range));
                let response = self.ask(what, ask.bare()).await?;
                let result = document(what, response, "CopyPartResult", ANSWER_BYTES_MAX).await?;
                let etag = token(what, &result, "ETag")?.and_then(|etag| ETag::parse(&etag).ok());
                etag.ok_or_else(|| nonsense(what, "ETag of a part"))?
            };
            list.open("Part");
            list.leaf("PartNumber", &number);
            list.leaf("ETag", &etag.quoted());
            list.close("Part");
        }
        Ok(list.finish())
    }

    async fn complete(
        &self,
        what: &str,
        source: &Source<'_>,
        upload: &str,
        list: Vec<u8>,
    ) -> Result<ETag, StoreError> {
        let length = list.len() as u64;
        let ask = to(Method::POST, source.back).query("uploadId", upload);
        let ask = self.conditioned(source.back, ask).send(model::body::full(list), length);
        let response = self.ask(what, ask).await?;
        let result = document(what, response, "CompleteMultipartUploadResult", ANSWER_BYTES_MAX).await?;
        let etag = token(what, &result, "ETag")?.and_then(|etag| ETag::parse(&etag).ok());
        etag.ok_or_else(|| nonsense(what, "ETag"))
    }

    async fn source_bytes(&self, source: &Source<'_>, range: Range<u64>) -> Result<ByteStream, StoreError> {
        use model::store::ObjectStore;
        match source.back.source {
            BackFrom::Itself => self.read(&source.back.target, &source.etag, range).await,
            BackFrom::Copy(archive) => self.read_copy(archive, range).await,
        }
    }

    /// Names the source, provided that it is still the one looked at.
    fn copying(&self, ask: Ask, source: &Source<'_>) -> Ask {
        let ask = ask.header("x-amz-copy-source", &source.path);
        if self.service.capabilities().copy_if_match {
            ask.header("x-amz-copy-source-if-match", &source.etag.quoted())
        } else {
            ask
        }
    }

    fn conditioned(&self, back: &BringBack, ask: Ask) -> Ask {
        if back.conditional { self.expecting(ask, &back.etag) } else { ask }
    }

    /// Gives the object its headers, tags and ACL.
    fn dressed(&self, ask: Ask, back: &BringBack) -> Ask {
        back.headers.iter().fold(ask, |ask, (name, value)| ask.header(name, value))
    }
}

fn to(method: Method, back: &BringBack) -> Ask {
    Ask::object(method, &back.target.bucket, back.target.key.as_str())
}

fn told_etag(what: &str, response: &http::Response<model::Body>) -> Result<ETag, StoreError> {
    let etag = response.headers().get("etag").and_then(|value| value.to_str().ok());
    etag.and_then(|etag| ETag::parse(etag).ok()).ok_or_else(|| nonsense(what, "ETag"))
}

fn way(back: &BringBack, source: &ETag) -> Way {
    let known = !back.part_bytes.is_empty() && back.part_bytes.iter().sum::<u64>() == back.size;
    if known {
        return Way::Parts(back.part_bytes.clone());
    }
    if back.size > PUT_BYTES_MAX {
        let part = PART_BYTES.max(back.size.div_ceil(u64::from(PARTS_MAX)));
        let starts = (0..back.size.div_ceil(part)).map(|index| index * part);
        return Way::Parts(starts.map(|start| part.min(back.size - start)).collect());
    }
    // Not every store takes tags with a copy; each that has any takes them with a PUT.
    let tagged = back.headers.iter().any(|(name, _)| name == TAGGING);
    if !back.conditional && !tagged && *source == back.original { Way::Server } else { Way::Streamed }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use model::store::ObjectRef;
    use model::{ArchiveId, BucketName, ObjectKey};

    fn back(size: u64, part_bytes: &[u64], conditional: bool) -> BringBack {
        BringBack {
            target: ObjectRef {
                bucket: BucketName::parse("bucket").unwrap(),
                key: ObjectKey::parse("key").unwrap(),
                version: None,
            },
            etag: ETag::parse("stub").unwrap(),
            conditional,
            headers: Vec::new(),
            size,
            original: ETag::parse("original").unwrap(),
            part_bytes: part_bytes.to_vec(),
            source: BackFrom::Copy(ArchiveId::new(1, 1)),
        }
    }

    #[test]
    fn the_way_is_chosen_by_the_etag_that_must_come_out() {
        let (same, other) = (ETag::parse("original").unwrap(), ETag::parse("other-2").unwrap());
        assert_eq!(way(&back(10, &[], false), &same), Way::Server);
        assert_eq!(way(&back(10, &[], false), &other), Way::Streamed, "its copy was written in parts");
        assert_eq!(way(&back(10, &[], true), &same), Way::Streamed, "conditions are proven for a PUT");
        let tags = vec![(TAGGING.to_owned(), "a=b".to_owned())];
        let tagged = BringBack { headers: tags, ..back(10, &[], false) };
        assert_eq!(way(&tagged, &same), Way::Streamed, "tags are sure to come with a PUT");
        assert_eq!(way(&back(10, &[6, 4], true), &same), Way::Parts(vec![6, 4]));
        assert_eq!(way(&back(10, &[6, 3], false), &same), Way::Server, "sizes that cannot be its own");
        let huge = PUT_BYTES_MAX + 1;
        let Way::Parts(parts) = way(&back(huge, &[], false), &same) else { panic!("more than a PUT takes") };
        assert_eq!((parts.len(), parts.iter().sum::<u64>()), (11, huge));
        let Way::Parts(parts) = way(&back(model::limits::OBJECT_BYTES_MAX, &[], false), &same) else {
            panic!("more than a PUT takes")
        };
        assert!(parts.len() <= 10_000 && parts.iter().sum::<u64>() == model::limits::OBJECT_BYTES_MAX);
    }
}
