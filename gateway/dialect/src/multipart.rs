//! Multipart uploads: parameters, the list of parts a client completes with, the result documents.

use http::HeaderMap;
use model::limits::{LIST_KEYS_MAX, PARTS_MAX};
use model::{BucketName, ETag, ObjectKey, StorageClass, Timestamp};

use crate::error::{Code, Result, S3Error};
use crate::listing::{self, Owner, write_owner};
use crate::route::Query;
use crate::xml::{self, Element, Writer};

/// Longest body of CompleteMultipartUpload read, in bytes: 10 000 parts with their checksums.
pub const COMPLETE_BYTES_MAX: usize = 4 << 20;

/// One part as CompleteMultipartUpload names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletedPart {
    /// 1 to 10 000.
    pub number: u32,
    /// The ETag that UploadPart answered.
    pub etag: ETag,
    /// Checksums given for it: element name (`ChecksumCRC32`, ...) and base64 value.
    pub checksums: Vec<(String, String)>,
}

/// The page of parts a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartsRequest {
    /// Parts after this number.
    pub after: u32,
    /// Most parts, 0 to 1 000.
    pub max_parts: usize,
}

/// A page of parts, ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartsPage<'a> {
    /// Bucket of the upload.
    pub bucket: &'a BucketName,
    /// Key of the upload.
    pub key: &'a ObjectKey,
    /// The upload.
    pub upload: &'a str,
    /// Class the object will have.
    pub class: StorageClass,
    /// Who began it and will own the object.
    pub owner: &'a Owner,
    /// The upload's checksum algorithm and type (`CRC32`, `COMPOSITE`), where it has one.
    pub checksum: Option<(&'a str, &'a str)>,
    /// The parts in order.
    pub parts: Vec<PartLine>,
    /// More parts follow the last one.
    pub more: bool,
}

/// One uploaded part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartLine {
    /// Its number.
    pub number: u32,
    /// When it was uploaded.
    pub last_modified: Timestamp,
    /// Its ETag.
    pub etag: ETag,
    /// Its size in bytes.
    pub size: u64,
    /// Its checksums: element name and value.
    pub checksums: Vec<(&'static str, String)>,
}

/// The answer to CompleteMultipartUpload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompleteResult<'a> {
    /// URL of the object.
    pub location: &'a str,
    /// Bucket.
    pub bucket: &'a BucketName,
    /// Key.
    pub key: &'a ObjectKey,
    /// ETag of the object.
    pub etag: &'a ETag,
    /// Checksums of the object: element name and value, then `ChecksumType` where there is one.
    pub checksums: Vec<(&'static str, String)>,
}

/// The part number of UploadPart and UploadPartCopy, or of a read by part.
///
/// Errors: `InvalidArgument` unless it is 1 to 10 000.
pub fn part_number(query: &Query) -> Result<u32> {
    let text = query.value("partNumber").unwrap_or_default();
    let number = text.parse().ok().filter(|number| (1..=PARTS_MAX).contains(number));
    number.ok_or_else(|| {
        let message = format!("Part number must be an integer between 1 and {PARTS_MAX}, inclusive");
        S3Error::argument(message, "partNumber", text)
    })
}

/// Reads the body of CompleteMultipartUpload: at least one part, numbers ascending.
///
/// Errors: `MalformedXML`, `InvalidPartOrder`, `InvalidArgument`, `InvalidPart` (an ETag that can be none).
pub fn read_complete(body: &[u8]) -> Result<Vec<CompletedPart>> {
    let root = xml::read(body, "CompleteMultipartUpload", COMPLETE_BYTES_MAX)?;
    root.only(&["Part"])?;
    let parts = root.children.iter().map(completed_part).collect::<Result<Vec<_>>>()?;
    if parts.is_empty() {
        return Err(S3Error::malformed_xml());
    }
    if parts.windows(2).any(|pair| pair[0].number >= pair[1].number) {
        return Err(Code::InvalidPartOrder.into());
    }
    Ok(parts)
}

/// The document of CreateMultipartUpload.
pub fn initiate_document(bucket: &BucketName, key: &ObjectKey, upload: &str) -> Vec<u8> {
    let mut out = Writer::root("InitiateMultipartUploadResult");
    out.leaf("Bucket", bucket.as_str());
    out.leaf("Key", key.as_str());
    out.leaf("UploadId", upload);
    out.finish()
}

// === impl PartsRequest, PartsPage, CompleteResult ===

impl PartsRequest {
    /// Reads the parameters of ListParts.
    ///
    /// Errors: `InvalidArgument`.
    pub fn parse(query: &Query) -> Result<Self> {
        let after = match query.filled("part-number-marker") {
            None => 0,
            Some(text) => text.parse::<i32>().ok().and_then(|n| u32::try_from(n).ok()).ok_or_else(|| {
                let message = "Provided part-number-marker not an integer or within integer range";
                S3Error::argument(message, "part-number-marker", text)
            })?,
        };
        Ok(Self { after, max_parts: listing::count(query, "max-parts", LIST_KEYS_MAX)? })
    }
}

impl PartsPage<'_> {
    /// The document of ListParts.
    pub fn document(&self, request: PartsRequest) -> Vec<u8> {
        let mut out = Writer::root("ListPartsResult");
        out.leaf("Bucket", self.bucket.as_str());
        out.leaf("Key", self.key.as_str());
        out.leaf("UploadId", self.upload);
        out.open("Initiator");
        out.leaf("ID", &self.owner.id);
        out.leaf("DisplayName", &self.owner.display_name);
        out.close("Initiator");
        write_owner(&mut out, self.owner);
        out.leaf("StorageClass", self.class.as_str());
        out.leaf("PartNumberMarker", &request.after.to_string());
        let last = self.parts.last().map_or(0, |part| part.number);
        out.leaf("NextPartNumberMarker", &last.to_string());
        out.leaf("MaxParts", &request.max_parts.to_string());
        out.leaf("IsTruncated", if self.more { "true" } else { "false" });
        if let Some((algorithm, kind)) = self.checksum {
            out.leaf("ChecksumAlgorithm", algorithm);
            out.leaf("ChecksumType", kind);
        }
        for part in &self.parts {
            out.open("Part");
            out.leaf("PartNumber", &part.number.to_string());
            out.leaf("LastModified", &part.last_modified.to_string());
            out.leaf("ETag", &part.etag.quoted());
            out.leaf("Size", &part.size.to_string());
            for (name, value) in &part.checksums {
                out.leaf(name, value);
            }
            out.close("Part");
        }
        out.finish()
    }
}

impl CompleteResult<'_> {
    /// The document.
    pub fn document(&self) -> Vec<u8> {
        let mut out = Writer::root("CompleteMultipartUploadResult");
        out.leaf("Location", self.location);
        out.leaf("Bucket", self.bucket.as_str());
        out.leaf("Key", self.key.as_str());
        out.leaf("ETag", &self.etag.quoted());
        for (name, value) in &self.checksums {
            out.leaf(name, value);
        }
        out.finish()
    }
}

fn completed_part(part: &Element) -> Result<CompletedPart> {
    let mut checksums = Vec::new();
    for child in &part.children {
        match child.name.as_str() {
            "PartNumber" | "ETag" => {}
            name if name.starts_with("Checksum") => {
                checksums.push((name.to_owned(), child.trimmed()?.to_owned()))
            }
            _ => return Err(S3Error::malformed_xml()),
        }
    }
    let number = part.at_most_one("PartNumber")?.ok_or_else(S3Error::malformed_xml)?.integer()?;
    let number =
        u32::try_from(number).ok().filter(|number| (1..=PARTS_MAX).contains(number)).ok_or_else(|| {
            let message = format!("PartNumber must be an integer between 1 and {PARTS_MAX}, inclusive");
            S3Error::argument(message, "PartNumber", number.to_string())
        })?;
    let etag = part.leaf("ETag")?.ok_or_else(S3Error::malformed_xml)?;
    let etag = ETag::parse(etag)
        .map_err(|_| S3Error::new(Code::InvalidPart).extra("PartNumber", number.to_string()))?;
    Ok(CompletedPart { number, etag, checksums })
}

/// The size a client says the completed object must have (`x-amz-mp-object-size`).
///
/// Errors: `InvalidRequest` when it is no number.
pub fn declared_size(headers: &HeaderMap) -> Result<Option<u64>> {
    let Some(value) = headers.get("x-amz-mp-object-size") else {
        return Ok(None);
    };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    number
        .map(Some)
        .ok_or_else(|| S3Error::invalid_request("Value for x-amz-mp-object-size header is invalid."))
}

#[cfg(test)]
mod tests;
