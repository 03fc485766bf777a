//! DeleteObjects: up to 1 000 keys in one request, each with its own outcome.

use model::{ETag, ObjectKey, VersionId};

use crate::copy::invalid_version;
use crate::error::{Code, Result, S3Error};
use crate::xml::{self, Element, Writer};

/// Longest body read, in bytes: 1 000 keys of 1 024 bytes, escaped.
pub const BYTES_MAX: usize = 8 << 20;
/// Most keys of one request.
const KEYS_MAX: usize = 1000;

/// The request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteRequest {
    /// What to delete, in order; at least one.
    pub targets: Vec<Target>,
    /// Only failures are told.
    pub quiet: bool,
}

/// One thing to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Key.
    pub key: ObjectKey,
    /// Version, when one is named.
    pub version: Option<VersionId>,
    /// Delete only while the object has this tag; `*` (any) reads as none.
    pub etag: Option<ETag>,
}

/// What came of one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is gone, or was not there.
    Deleted(Target),
    /// It was refused.
    Failed(Target, S3Error),
}

impl DeleteRequest {
    /// Reads the body.
    ///
    /// Errors: `MalformedXML` (no key, more than 1 000, a key of no bytes), `KeyTooLongError`, `InvalidArgument`
    /// (version id), `NotImplemented` (conditions S3 has for directory buckets only).
    pub fn read(body: &[u8]) -> Result<Self> {
        let root = xml::read(body, "Delete", BYTES_MAX)?;
        root.only(&["Object", "Quiet"])?;
        let quiet = root.at_most_one("Quiet")?.map(Element::boolean).transpose()?.unwrap_or(false);
        let targets = root.all("Object").map(target).collect::<Result<Vec<_>>>()?;
        if targets.is_empty() || targets.len() > KEYS_MAX {
            return Err(S3Error::malformed_xml());
        }
        Ok(Self { targets, quiet })
    }

    /// The document of the answer. Successes are left out of a quiet one.
    pub fn document(&self, outcomes: &[Outcome]) -> Vec<u8> {
        let mut out = Writer::root("DeleteResult");
        for outcome in outcomes {
            match outcome {
                Outcome::Deleted(_) if self.quiet => {}
                Outcome::Deleted(target) => {
                    out.open("Deleted");
                    write_target(&mut out, target);
                    out.close("Deleted");
                }
                Outcome::Failed(target, error) => {
                    out.open("Error");
                    write_target(&mut out, target);
                    out.leaf("Code", error.code.as_str());
                    out.leaf("Message", &error.message);
                    out.close("Error");
                }
            }
        }
        out.finish()
    }
}

fn target(object: &Element) -> Result<Target> {
    object.only(&["Key", "VersionId", "ETag", "LastModifiedTime", "Size"])?;
    if object.child("LastModifiedTime").is_some() || object.child("Size").is_some() {
        return Err(Code::NotImplemented.into());
    }
    let key = object.at_most_one("Key")?.ok_or_else(S3Error::malformed_xml)?.exact()?;
    let key = ObjectKey::parse(key).map_err(|_| match key {
        "" => S3Error::malformed_xml(),
        _ => S3Error::new(Code::KeyTooLongError),
    })?;
    let version = object.leaf("VersionId")?.filter(|text| !text.is_empty());
    let etag = object.leaf("ETag")?.filter(|text| !matches!(*text, "" | "*"));
    Ok(Target {
        key,
        version: version.map(|text| VersionId::parse(text).map_err(|_| invalid_version(text))).transpose()?,
        etag: etag.map(ETag::parse).transpose().map_err(|_| S3Error::malformed_xml())?,
    })
}

fn write_target(out: &mut Writer, target: &Target) {
    out.leaf("Key", target.key.as_str());
    out.optional("VersionId", target.version.as_ref().map(VersionId::as_str));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(inner: &str) -> Result<DeleteRequest> {
        DeleteRequest::read(format!("<Delete>{inner}</Delete>").as_bytes())
    }

    #[test]
    fn bodies() {
        let request = read(
            "<Quiet>true</Quiet>\n<Object><Key> a&amp;b </Key></Object><Object><VersionId>v</VersionId><Key>c</Key></Object>",
        );
        let request = request.unwrap();
        assert!(request.quiet);
        assert_eq!(request.targets[0].key.as_str(), " a&b ");
        assert_eq!(request.targets[1].version.as_ref().unwrap().as_str(), "v");
        let many = |count| "<Object><Key>k</Key></Object>".repeat(count);
        assert_eq!(read(&many(1000)).unwrap().targets.len(), 1000);
        for (inner, code) in [
            (String::new(), Code::MalformedXML),
            (many(1001), Code::MalformedXML),
            ("<Object/>".to_owned(), Code::MalformedXML),
            ("<Object><Key></Key></Object>".to_owned(), Code::MalformedXML),
            ("<Object><Key>k</Key><Key>k</Key></Object>".to_owned(), Code::MalformedXML),
            ("<Object><Key>k</Key><Unheard/></Object>".to_owned(), Code::MalformedXML),
            ("<Object><Key>k</Key><Size>1</Size></Object>".to_owned(), Code::NotImplemented),
            (format!("<Object><Key>{}</Key></Object>", "k".repeat(1025)), Code::KeyTooLongError),
        ] {
            assert_eq!(read(&inner).unwrap_err().code, code, "{inner:.80}");
        }
    }

    #[test]
    fn answers_are_exact() {
        let mut request = read("<Object><Key>a</Key></Object><Object><Key>b</Key></Object>").unwrap();
        let [a, b] = [request.targets[0].clone(), request.targets[1].clone()];
        let outcomes = [Outcome::Deleted(a), Outcome::Failed(b, Code::AccessDenied.into())];
        let text = |request: &DeleteRequest| String::from_utf8(request.document(&outcomes)).unwrap();
        let root = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<DeleteResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";
        let error = "<Error><Key>b</Key><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
        assert_eq!(text(&request), format!("{root}<Deleted><Key>a</Key></Deleted>{error}</DeleteResult>"));
        request.quiet = true;
        assert_eq!(text(&request), format!("{root}{error}</DeleteResult>"));
    }
}
