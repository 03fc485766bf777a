//! Uploads by a form of a browser (PostObject): the fields, the policy they are signed under, the file.
//!
//! Flow: [`FormReader`] takes the body apart: first the [`Form`], which is everything before the file, then the bytes
//! of the file. [`Form::claim`] goes to [`crate::sigv4::Verifier::verify_form`]; of a signed form [`Policy::check`]
//! then says whether it may be, and how long the file may be; [`Form::headers`] is the PutObject it comes to.
//!
//! Field names know no case. What stands after the file is passed over, as S3 does.
//!
//! Invariant: no field of a signed form counts that its policy does not name.
//! Invariant: the fields are bounded together; the file is never held.

mod policy;
mod reader;

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use model::{BucketName, ETag, ObjectKey};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::{Code, Result, S3Error};
use crate::metadata::SYSTEM;
use crate::sigv4::{AuthError, FormClaim};
use crate::tagging::{self, TagSet};
use crate::xml::Writer;
pub use policy::{LengthRange, Policy};
pub use reader::{FormReader, Piece};

/// Most bytes before the file: fields, their headers and the boundaries between.
pub const FIELDS_BYTES_MAX: usize = 20 * 1024;

/// The fields of a form before its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// By name in lower case; of a name that stands more than once the values joined by commas.
    fields: BTreeMap<String, String>,
}

// === impl Form ===

impl Form {
    /// The form with `${filename}` replaced by the last component of the file's name.
    fn new(fields: BTreeMap<String, String>, file_name: &str) -> Self {
        let file_name = file_name.rsplit(['/', '\\']).next().unwrap_or_default();
        let named = |(name, value): (String, String)| (name, value.replace("${filename}", file_name));
        Self { fields: fields.into_iter().map(named).collect() }
    }

    /// The value of a field, whose name is given in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// The key the file is to have.
    ///
    /// Errors: `InvalidArgument` without one, `KeyTooLongError`.
    pub fn key(&self) -> Result<ObjectKey> {
        let key = self.required("key", "key")?;
        if key.is_empty() {
            let message = "User key must have a length greater than 0.";
            return Err(S3Error::argument(message, "key", ""));
        }
        ObjectKey::parse(key).map_err(|_| S3Error::new(Code::KeyTooLongError))
    }

    /// What the form says about its signature; nothing when it says nothing at all.
    ///
    /// Errors: `InvalidArgument` when a part of it is missing, `InvalidRequest` for Signature Version 2, `InvalidToken`
    /// for a session.
    pub fn claim(&self) -> Result<Option<FormClaim<'_>>> {
        if !self.fields.keys().any(|name| SIGNATURE.contains(&name.as_str())) {
            return Ok(None);
        }
        if self.field("awsaccesskeyid").is_some() || self.field("signature").is_some() {
            return Err(AuthError::MechanismNotSupported.into());
        }
        if self.field("x-amz-security-token").is_some() {
            return Err(AuthError::SessionToken.into());
        }
        Ok(Some(FormClaim {
            policy: self.required("policy", "Policy")?,
            algorithm: self.required("x-amz-algorithm", "X-Amz-Algorithm")?,
            credential: self.required("x-amz-credential", "X-Amz-Credential")?,
            date: self.required("x-amz-date", "X-Amz-Date")?,
            signature: self.required("x-amz-signature", "X-Amz-Signature")?,
        }))
    }

    /// The headers of the PutObject the form comes to: system headers, user metadata (the reserved header is not looked
    /// for here), class, encryption, checksums, locks, ACL and tags. Any other field says nothing.
    ///
    /// Errors: `InvalidArgument` for a value no header can carry; what [`TagSet::read`] says of the tags.
    pub fn headers(&self) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.fields {
            let tags;
            let (header, value) = match name.as_str() {
                "acl" => ("x-amz-acl", value),
                "tagging" => {
                    tags = TagSet::read(value.as_bytes())?.header().unwrap_or_default();
                    (tagging::HEADER, &tags)
                }
                name if SYSTEM.contains(&name) => (name, value),
                name if CARRIED.iter().any(|start| name.starts_with(start)) => (name, value),
                _ => continue,
            };
            let invalid = || S3Error::argument("Header value cannot be represented", header, value);
            let header = HeaderName::try_from(header).map_err(|_| invalid())?;
            headers.insert(header, HeaderValue::from_str(value).map_err(|_| invalid())?);
        }
        Ok(headers)
    }

    /// What to answer once the file is stored under `key` with `etag`; `location` is the URL of the object.
    pub fn success(&self, location: &str, bucket: &BucketName, key: &ObjectKey, etag: &ETag) -> Success {
        let redirect = self.field("success_action_redirect").or_else(|| self.field("redirect"));
        let redirect = redirect.filter(|url| url.starts_with("http://") || url.starts_with("https://"));
        if let Some(url) = redirect.filter(|url| url.parse::<Uri>().is_ok()) {
            let encode = |text: &str| utf8_percent_encode(text, ESCAPED).to_string();
            let join = if url.contains('?') { '&' } else { '?' };
            let (key, etag) = (encode(key.as_str()), encode(&etag.quoted()));
            return Success::Redirect(format!("{url}{join}bucket={bucket}&key={key}&etag={etag}"));
        }
        match self.field("success_action_status") {
            Some("200") => Success::Empty(StatusCode::OK),
            Some("201") => {
                let mut out = Writer::bare();
                out.open("PostResponse");
                out.leaf("Location", location);
                out.leaf("Bucket", bucket.as_str());
                out.leaf("Key", key.as_str());
                out.leaf("ETag", &etag.quoted());
                Success::Created(out.finish())
            }
            _ => Success::Empty(StatusCode::NO_CONTENT),
        }
    }

    fn required(&self, name: &str, written: &str) -> Result<&str> {
        self.field(name).ok_or_else(|| {
            let message = format!(
                "Bucket POST must contain a field named '{written}'.  If it is specified, please check the order of the fields."
            );
            S3Error::argument(message, written, "")
        })
    }
}

/// How an upload that worked is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Success {
    /// 303 to this URL.
    Redirect(String),
    /// 201 with this document.
    Created(Vec<u8>),
    /// This status without a body.
    Empty(StatusCode),
}

/// Beginnings of the fields that become headers as they are.
const CARRIED: [&str; 7] = [
    "x-amz-checksum-",
    "x-amz-grant-",
    "x-amz-meta-",
    "x-amz-object-lock-",
    "x-amz-server-side-encryption",
    "x-amz-storage-class",
    "x-amz-website-redirect-location",
];
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Fields about the signature, of either version: they say nothing about the object.
const SIGNATURE: [&str; 8] = [
    "awsaccesskeyid",
    "policy",
    "signature",
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-signature",
];

#[cfg(test)]
mod tests;
