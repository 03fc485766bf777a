//! The small documents of buckets: which there are, where they are, versioning.

use http::HeaderMap;
use model::{BucketName, Timestamp};

use crate::error::{Code, Result, S3Error};
use crate::listing::{Owner, write_owner};
use crate::xml::{self, Writer};

/// Longest body of CreateBucket read, in bytes.
pub const CREATE_BYTES_MAX: usize = 64 << 10;

/// One line of ListBuckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketLine {
    /// Name.
    pub name: BucketName,
    /// When it was created.
    pub created: Timestamp,
}

/// The document of ListBuckets; `next` is the token to go on with, when there is more.
pub fn list_document(owner: &Owner, buckets: &[BucketLine], next: Option<&str>) -> Vec<u8> {
    let mut out = Writer::root("ListAllMyBucketsResult");
    write_owner(&mut out, owner);
    out.open("Buckets");
    for bucket in buckets {
        out.open("Bucket");
        out.leaf("Name", bucket.name.as_str());
        out.leaf("CreationDate", &bucket.created.to_string());
        out.close("Bucket");
    }
    out.close("Buckets");
    out.optional("ContinuationToken", next);
    out.finish()
}

/// Reads the body of CreateBucket: the location constraint, if one is given. Most clients send no body.
///
/// Errors: `MalformedXML`.
pub fn read_create(body: &[u8]) -> Result<Option<String>> {
    if body.is_empty() {
        return Ok(None);
    }
    let root = xml::read(body, "CreateBucketConfiguration", CREATE_BYTES_MAX)?;
    root.only(&["LocationConstraint", "Location", "Bucket", "Tags"])?;
    Ok(root.leaf("LocationConstraint")?.filter(|text| !text.is_empty()).map(str::to_owned))
}

/// The owner a client expects the bucket to have (`x-amz-expected-bucket-owner`), 12 digits.
///
/// Errors: `InvalidBucketOwnerAWSAccountID`. A right id of somebody else is the caller's `AccessDenied`.
pub fn expected_owner(headers: &HeaderMap) -> Result<Option<&str>> {
    let Some(value) = headers.get("x-amz-expected-bucket-owner") else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Some(text));
    }
    let message =
        format!("The value of the expected bucket owner parameter must be an AWS Account ID... [{text}]");
    Err(S3Error::with_message(Code::InvalidBucketOwnerAWSAccountID, message))
}

/// The document of GetBucketLocation; the region `us-east-1` is written as nothing, as S3 does.
pub fn location_document(region: &str) -> Vec<u8> {
    let mut out = Writer::root("LocationConstraint");
    out.text(if region == "us-east-1" { "" } else { region });
    out.finish()
}

/// The document of GetBucketVersioning for a bucket that never had versions.
pub fn unversioned_document() -> Vec<u8> {
    Writer::root("VersioningConfiguration").finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn bodies_of_create_bucket() {
        let with = |inner: &str| {
            read_create(format!("<CreateBucketConfiguration>{inner}</CreateBucketConfiguration>").as_bytes())
        };
        assert_eq!(read_create(b"").unwrap(), None);
        assert_eq!(with("").unwrap(), None);
        assert_eq!(
            with("<LocationConstraint>eu-west-1</LocationConstraint>").unwrap().as_deref(),
            Some("eu-west-1")
        );
        assert!(with("<Unheard/>").is_err());
        assert!(read_create(b"<x/>").is_err());
    }

    #[test]
    fn expected_owners() {
        let with = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-amz-expected-bucket-owner", text.parse().unwrap());
            expected_owner(&headers).map(|owner| owner.map(str::to_owned))
        };
        assert_eq!(with("123456789012"), Ok(Some("123456789012".to_owned())));
        assert_eq!(expected_owner(&HeaderMap::new()), Ok(None));
        assert_eq!(
            with("me").unwrap_err().message,
            "The value of the expected bucket owner parameter must be an AWS Account ID... [me]"
        );
    }

    #[test]
    fn documents_are_exact() {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
        let ns = "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";
        assert_eq!(
            text(location_document("eu-west-1")),
            format!("{head}<LocationConstraint {ns}>eu-west-1</LocationConstraint>")
        );
        assert_eq!(
            text(location_document("us-east-1")),
            format!("{head}<LocationConstraint {ns}></LocationConstraint>")
        );
        let owner = Owner { id: "i".into(), display_name: "n".into() };
        let line =
            BucketLine { name: BucketName::parse("bkt").unwrap(), created: Timestamp::from_seconds(0) };
        assert_eq!(
            text(list_document(&owner, &[line], None)),
            format!(
                "{head}<ListAllMyBucketsResult {ns}><Owner><ID>i</ID><DisplayName>n</DisplayName></Owner><Buckets>\
                 <Bucket><Name>bkt</Name><CreationDate>1970-01-01T00:00:00.000Z</CreationDate></Bucket></Buckets>\
                 </ListAllMyBucketsResult>"
            )
        );
    }
}
