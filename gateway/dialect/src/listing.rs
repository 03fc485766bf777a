//! ListObjects, ListObjectsV2: parameters in, pages out.

use http::HeaderMap;
use model::limits::LIST_KEYS_MAX;
use model::restore::Visible;
use model::{BucketName, ETag, ObjectKey, StorageClass, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::{Code, Result, S3Error};
use crate::route::Query;
use crate::xml::Writer;

/// What a listing asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListRequest {
    /// Which of the two operations, with its own way to go on.
    pub form: Form,
    /// Only keys that begin with this.
    pub prefix: String,
    /// Keys that hold this after the prefix are rolled up into common prefixes; never empty.
    pub delimiter: Option<String>,
    /// Most keys and common prefixes together, 0 to 1 000.
    pub max_keys: usize,
    /// Keys and prefixes are written percent-encoded (`encoding-type=url`).
    pub url_encoded: bool,
    /// Entries say who owns them: always in the first form, on request in the second.
    pub owner: bool,
    /// Entries say how far their restore is (`x-amz-optional-object-attributes`).
    pub restore_status: bool,
}

/// The two operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// ListObjects.
    V1 {
        /// Keys after this one; may be empty.
        marker: String,
    },
    /// ListObjectsV2.
    V2 {
        /// The token of the page before; opaque here.
        continuation: Option<String>,
        /// Keys after this one, unless a token is there.
        start_after: Option<String>,
    },
}

/// A page of a listing, ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The objects, in key order.
    pub objects: Vec<Object>,
    /// The common prefixes, in order.
    pub common_prefixes: Vec<String>,
    /// What the client goes on with, when there is more: a continuation token in the second form, the last key or
    /// common prefix of the page in the first.
    pub next: Option<String>,
}

/// One object of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Key.
    pub key: ObjectKey,
    /// Last-Modified.
    pub last_modified: Timestamp,
    /// ETag.
    pub etag: ETag,
    /// Names of the checksums the object carries, such as `CRC32`.
    pub checksum_algorithms: Vec<&'static str>,
    /// Size in bytes.
    pub size: u64,
    /// Class.
    pub class: StorageClass,
    /// Its restore; written only when asked for.
    pub restore: Visible,
}

/// Whom objects belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Canonical id.
    pub id: String,
    /// Name for people.
    pub display_name: String,
}

// === impl ListRequest ===

impl ListRequest {
    /// Reads the parameters of either operation.
    ///
    /// Errors: `InvalidArgument`.
    pub fn parse(query: &Query, headers: &HeaderMap) -> Result<Self> {
        let text = |name: &str| query.value(name).unwrap_or_default().to_owned();
        let second = query.has("list-type");
        let form = if second {
            Form::V2 {
                continuation: continuation(query)?,
                start_after: query.filled("start-after").map(str::to_owned),
            }
        } else {
            Form::V1 { marker: text("marker") }
        };
        Ok(Self {
            form,
            prefix: text("prefix"),
            delimiter: query.filled("delimiter").map(str::to_owned),
            max_keys: count(query, "max-keys", LIST_KEYS_MAX)?,
            url_encoded: url_encoded(query)?,
            owner: !second || query.value("fetch-owner") == Some("true"),
            restore_status: restore_status(headers)?,
        })
    }

    /// The document of a page.
    pub fn document(&self, bucket: &BucketName, page: &Page, owner: &Owner) -> Vec<u8> {
        let mut out = Writer::root("ListBucketResult");
        out.leaf("Name", bucket.as_str());
        out.leaf("Prefix", &self.encoded(&self.prefix));
        self.write_position(&mut out, page);
        out.leaf("MaxKeys", &self.max_keys.to_string());
        if let Some(delimiter) = &self.delimiter {
            out.leaf("Delimiter", &self.encoded(delimiter));
        }
        if self.url_encoded {
            out.leaf("EncodingType", "url");
        }
        out.leaf("IsTruncated", if page.next.is_some() { "true" } else { "false" });
        for object in &page.objects {
            self.write_object(&mut out, object, owner);
        }
        for prefix in &page.common_prefixes {
            out.open("CommonPrefixes");
            out.leaf("Prefix", &self.encoded(prefix));
            out.close("CommonPrefixes");
        }
        out.finish()
    }

    fn write_position(&self, out: &mut Writer, page: &Page) {
        match &self.form {
            Form::V1 { marker } => {
                out.leaf("Marker", &self.encoded(marker));
                if let Some(next) = page.next.as_ref().filter(|_| self.delimiter.is_some()) {
                    out.leaf("NextMarker", &self.encoded(next));
                }
            }
            Form::V2 { continuation, start_after } => {
                out.optional("ContinuationToken", continuation.as_deref());
                out.optional("NextContinuationToken", page.next.as_deref());
                if let Some(start) = start_after {
                    out.leaf("StartAfter", &self.encoded(start));
                }
                out.leaf("KeyCount", &(page.objects.len() + page.common_prefixes.len()).to_string());
            }
        }
    }

    fn write_object(&self, out: &mut Writer, object: &Object, owner: &Owner) {
        out.open("Contents");
        out.leaf("Key", &self.encoded(object.key.as_str()));
        out.leaf("LastModified", &object.last_modified.to_string());
        out.leaf("ETag", &object.etag.quoted());
        for algorithm in &object.checksum_algorithms {
            out.leaf("ChecksumAlgorithm", algorithm);
        }
        out.leaf("Size", &object.size.to_string());
        if self.owner {
            write_owner(out, owner);
        }
        out.leaf("StorageClass", object.class.as_str());
        if self.restore_status {
            write_restore_status(out, object.restore);
        }
        out.close("Contents");
    }

    fn encoded(&self, text: &str) -> String {
        if self.url_encoded { utf8_percent_encode(text, URL_ESCAPED).to_string() } else { text.to_owned() }
    }
}

/// `<Owner>`, as listings of objects, parts and buckets have it.
pub(crate) fn write_owner(out: &mut Writer, owner: &Owner) {
    out.open("Owner");
    out.leaf("ID", &owner.id);
    out.leaf("DisplayName", &owner.display_name);
    out.close("Owner");
}

/// `<RestoreStatus>` of an object with a running or live restore; nothing otherwise.
pub(crate) fn write_restore_status(out: &mut Writer, restore: Visible) {
    let (running, until) = match restore {
        Visible::Archived => return,
        Visible::Ongoing => ("true", None),
        Visible::Readable { until } => ("false", Some(until)),
    };
    out.open("RestoreStatus");
    out.leaf("IsRestoreInProgress", running);
    out.optional("RestoreExpiryDate", until.map(|until| until.to_string()).as_deref());
    out.close("RestoreStatus");
}

/// A count parameter: `default` when missing, cut at 1 000 (or what `default` is).
///
/// Errors: `InvalidArgument` unless it is an integer from 0 to 2^31-1.
pub fn count(query: &Query, name: &str, default: usize) -> Result<usize> {
    let Some(text) = query.filled(name) else {
        return Ok(default);
    };
    let number = text.parse::<i32>().ok().and_then(|number| usize::try_from(number).ok());
    number.map(|number| number.min(default)).ok_or_else(|| {
        S3Error::argument(format!("Provided {name} not an integer or within integer range"), name, text)
    })
}

/// Whether `encoding-type=url` is asked for.
///
/// Errors: `InvalidArgument` for any other encoding.
pub fn url_encoded(query: &Query) -> Result<bool> {
    match query.filled("encoding-type") {
        None => Ok(false),
        Some("url") => Ok(true),
        Some(other) => {
            Err(S3Error::argument("Invalid Encoding Method specified in Request", "encoding-type", other))
        }
    }
}

fn continuation(query: &Query) -> Result<Option<String>> {
    match query.value("continuation-token") {
        Some("") => Err(invalid_token("")),
        token => Ok(token.map(str::to_owned)),
    }
}

/// A continuation token that was not made by the store.
pub fn invalid_token(token: &str) -> S3Error {
    S3Error::argument("The continuation token provided is incorrect", "continuation-token", token)
}

/// Whether `x-amz-optional-object-attributes: RestoreStatus` is asked for.
///
/// Errors: `InvalidArgument` for any other attribute.
pub fn restore_status(headers: &HeaderMap) -> Result<bool> {
    match headers.get("x-amz-optional-object-attributes").map(http::HeaderValue::as_bytes) {
        None => Ok(false),
        Some(b"RestoreStatus") => Ok(true),
        Some(_) => Err(S3Error::with_message(Code::InvalidArgument, "Invalid attribute name specified")),
    }
}

/// All but unreserved characters and the slash.
const URL_ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

#[cfg(test)]
mod tests;
