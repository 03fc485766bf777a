//! Copies: where from, what with, and the two result documents.

use http::HeaderMap;
use model::{BucketName, ETag, ObjectKey, Timestamp, VersionId};
use percent_encoding::percent_decode_str;

use crate::error::{Result, S3Error};
use crate::xml::Writer;

/// `x-amz-copy-source`, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopySource {
    /// Bucket of the source.
    pub bucket: BucketName,
    /// Key of the source.
    pub key: ObjectKey,
    /// Version of the source, when one is named.
    pub version: Option<VersionId>,
}

/// Where the metadata (or the tags) of a copy come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Directive {
    /// From the source.
    #[default]
    Copy,
    /// From the request.
    Replace,
}

/// Result of a copy: the new ETag and date, and the checksums the store keeps (element name and value).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyResult {
    /// ETag of what was written.
    pub etag: ETag,
    /// Last-Modified of what was written.
    pub last_modified: Timestamp,
    /// `ChecksumCRC32` and its like, with their values.
    pub checksums: Vec<(&'static str, String)>,
}

impl CopySource {
    /// Reads the header: `[/]bucket/key[?versionId=…]`, percent-encoded.
    ///
    /// Errors: `InvalidArgument`.
    pub fn parse(headers: &HeaderMap) -> Result<Self> {
        let refuse = |text: &str| {
            let message = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey";
            S3Error::argument(message, "x-amz-copy-source", text)
        };
        let value = headers.get("x-amz-copy-source").ok_or_else(|| refuse(""))?;
        let text = std::str::from_utf8(value.as_bytes()).map_err(|_| refuse(""))?;
        let (path, version) = match text.split_once("?versionId=") {
            Some((path, version)) => {
                (path, Some(VersionId::parse(version).map_err(|_| invalid_version(version))?))
            }
            None => (text, None),
        };
        let path = percent_decode_str(path).decode_utf8().map_err(|_| refuse(text))?;
        let (bucket, key) =
            path.strip_prefix('/').unwrap_or(&path).split_once('/').ok_or_else(|| refuse(text))?;
        Ok(Self {
            bucket: BucketName::parse(bucket).map_err(|_| refuse(text))?,
            key: ObjectKey::parse(key).map_err(|_| refuse(text))?,
            version,
        })
    }
}

impl Directive {
    /// Reads `x-amz-metadata-directive`.
    ///
    /// Errors: `InvalidArgument`.
    pub fn metadata(headers: &HeaderMap) -> Result<Self> {
        Self::read(headers, "x-amz-metadata-directive", "Unknown metadata directive.")
    }

    /// Reads `x-amz-tagging-directive`.
    ///
    /// Errors: `InvalidArgument`.
    pub fn tagging(headers: &HeaderMap) -> Result<Self> {
        Self::read(headers, "x-amz-tagging-directive", "Unknown tagging directive.")
    }

    fn read(headers: &HeaderMap, name: &str, message: &'static str) -> Result<Self> {
        match headers.get(name).map(http::HeaderValue::as_bytes) {
            None | Some(b"COPY") => Ok(Self::Copy),
            Some(b"REPLACE") => Ok(Self::Replace),
            Some(other) => Err(S3Error::argument(message, name, String::from_utf8_lossy(other))),
        }
    }
}

impl CopyResult {
    /// The document of CopyObject.
    pub fn object_document(&self) -> Vec<u8> {
        self.document("CopyObjectResult")
    }

    /// The document of UploadPartCopy.
    pub fn part_document(&self) -> Vec<u8> {
        self.document("CopyPartResult")
    }

    fn document(&self, root: &'static str) -> Vec<u8> {
        let mut out = Writer::root(root);
        out.leaf("LastModified", &self.last_modified.to_string());
        out.leaf("ETag", &self.etag.quoted());
        for (name, value) in &self.checksums {
            out.leaf(name, value);
        }
        out.finish()
    }
}

/// A copy of an object onto itself that changes nothing.
pub fn copy_onto_itself() -> S3Error {
    S3Error::invalid_request(
        "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
    )
}

/// A version id that cannot be one.
pub fn invalid_version(version: &str) -> S3Error {
    S3Error::argument("Invalid version id specified", "versionId", version)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn source(text: &str) -> Result<CopySource> {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-copy-source", text.parse().unwrap());
        CopySource::parse(&headers)
    }

    #[test]
    fn sources() {
        for (text, key, version) in [
            ("/bkt/a%20b", "a b", None),
            ("bkt/a//b/", "a//b/", None),
            ("bkt//a", "/a", None),
            ("bkt/a+b", "a+b", None),
            ("bkt/a%3FversionId=1", "a?versionId=1", None),
            ("bkt/a?versionId=v1", "a", Some("v1")),
        ] {
            let read = source(text).unwrap();
            assert_eq!((read.bucket.as_str(), read.key.as_str()), ("bkt", key), "{text}");
            assert_eq!(read.version.as_ref().map(VersionId::as_str), version, "{text}");
        }
        for text in ["", "bkt", "/bkt/", "B/k", "bkt/%FF", "bkt/k?versionId="] {
            assert_eq!(source(text).unwrap_err().code, crate::Code::InvalidArgument, "{text}");
        }
    }

    #[test]
    fn results_are_exact() {
        let result = CopyResult {
            etag: ETag::parse("abc").unwrap(),
            last_modified: Timestamp::from_seconds(1_356_048_000),
            checksums: vec![("ChecksumCRC32", "NSRBwg==".to_owned())],
        };
        assert_eq!(
            String::from_utf8(result.object_document()).unwrap(),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <CopyObjectResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <LastModified>2012-12-21T00:00:00.000Z</LastModified><ETag>&quot;abc&quot;</ETag>\
             <ChecksumCRC32>NSRBwg==</ChecksumCRC32></CopyObjectResult>"
        );
    }
}
