//! What a response means: the one place where a status becomes a [`StoreError`].

use dialect::metadata::{SYSTEM, USER_PREFIX};
use dialect::reserved::{self, MarkerKey};
use dialect::xml::{self, Element};
use dialect::{checksum::Algorithm, date};
use http::{HeaderMap, Response, StatusCode};
use model::store::{ObjectHead, ObjectRef, StoreError};
use model::{Body, BucketName, ETag, ObjectKey, Timestamp, VersionId};

use super::request::unescape_key;
use crate::service::StoreFull;
use crate::stream::collect;

/// Longest error document read, in bytes.
const ERROR_BYTES_MAX: usize = 64 << 10;
/// Longest listing read, in bytes: 1 000 keys of 1 024 bytes, escaped.
pub(crate) const LISTING_BYTES_MAX: usize = 16 << 20;

/// Longest text sent back as it came, in bytes: escaped, it still has room in a URI.
const TOKEN_BYTES_MAX: usize = 8 << 10;

/// The response when it is a success, what it refuses otherwise.
pub(crate) async fn accepted(what: &str, response: Response<Body>) -> Result<Response<Body>, StoreError> {
    if response.status().is_success() { Ok(response) } else { Err(refusal(what, response).await) }
}

/// What a response that is no success means. `Changed`, `Missing` and `Refused` say that nothing was done; all that
/// proves nothing is doubt.
pub(crate) async fn refusal(what: &str, response: Response<Body>) -> StoreError {
    let (parts, body) = response.into_parts();
    let what = what.to_owned();
    if parts.extensions.get::<StoreFull>().is_some() || parts.status == StatusCode::INSUFFICIENT_STORAGE {
        return StoreError::Full { what };
    }
    let code = code(body).await;
    match (parts.status, code.as_str()) {
        // The object is there; it has no tags.
        (status @ StatusCode::NOT_FOUND, "NoSuchTagSet") => {
            StoreError::Refused { what, status: status.as_u16(), code }
        }
        (StatusCode::NOT_FOUND, _) => StoreError::Missing { what },
        // Ceph RGW, of a user's or a bucket's quota.
        (StatusCode::FORBIDDEN, "QuotaExceeded") => StoreError::Full { what },
        (StatusCode::PRECONDITION_FAILED, _) => StoreError::Changed { what },
        (status, "ConditionalRequestConflict" | "OperationAborted" | "RequestTimeout")
        | (status @ (StatusCode::CONFLICT | StatusCode::REQUEST_TIMEOUT), "") => unproven(what, status, code),
        (status, _) if status.is_client_error() || status == StatusCode::NOT_IMPLEMENTED => {
            StoreError::Refused { what, status: status.as_u16(), code }
        }
        (status, _) => unproven(what, status, code),
    }
}

/// Doubt because of what was answered.
fn unproven(what: String, status: StatusCode, code: String) -> StoreError {
    StoreError::Doubt { what, source: format!("the store answered {} {code}", status.as_u16()).into() }
}

/// Doubt because of an answer that cannot be understood.
pub(crate) fn nonsense(what: &str, missing: &str) -> StoreError {
    StoreError::Doubt { what: what.to_owned(), source: format!("the answer has no usable {missing}").into() }
}

/// A document of the answer.
pub(crate) async fn document(
    what: &str,
    response: Response<Body>,
    root: &str,
    bytes_max: usize,
) -> Result<Element, StoreError> {
    let body = collect(response.into_body(), bytes_max)
        .await
        .map_err(|source| StoreError::Doubt { what: what.to_owned(), source: Box::new(source) })?;
    xml::read(&body, root, bytes_max).map_err(|_| nonsense(what, root))
}

async fn code(body: Body) -> String {
    let Ok(body) = collect(body, ERROR_BYTES_MAX).await else {
        return String::new();
    };
    let Ok(error) = xml::read(&body, "Error", ERROR_BYTES_MAX) else {
        return String::new();
    };
    error.leaf("Code").ok().flatten().unwrap_or_default().to_owned()
}

/// The head of an object in the headers of an answer.
pub(crate) fn head(
    what: &str,
    target: &ObjectRef,
    headers: &HeaderMap,
    secret: &MarkerKey,
) -> Result<ObjectHead, StoreError> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let missing = |name: &str| nonsense(what, name);
    let etag = text("etag").and_then(|etag| ETag::parse(etag).ok()).ok_or_else(|| missing("ETag"))?;
    let size = text("content-length").and_then(|size| size.parse().ok()).ok_or_else(|| missing("length"))?;
    let modified =
        text("last-modified").and_then(date::parse_http).ok_or_else(|| missing("Last-Modified"))?;
    let record = text(reserved::HEADER);
    Ok(ObjectHead {
        etag,
        size,
        last_modified: modified,
        version: text("x-amz-version-id").and_then(|version| VersionId::parse(version).ok()),
        headers: pairs(headers, is_kept),
        checksums: pairs(headers, |name| {
            Algorithm::from_header(name).is_some() || name == "x-amz-checksum-type"
        }),
        protection: super::protection::of(headers),
        marker: record.and_then(|record| reserved::parse(record, &target.bucket, &target.key, secret).ok()),
    })
}

fn is_kept(name: &str) -> bool {
    let system = SYSTEM.contains(&name) || KEPT.contains(&name);
    system || name.starts_with(USER_PREFIX) && name != reserved::HEADER
}

fn pairs(headers: &HeaderMap, wanted: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = headers
        .iter()
        .filter(|(name, _)| wanted(name.as_str()))
        .map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    found.sort();
    found
}

/// One line of a page. Its ETag may be unusable: there are stores that list an empty one once the tags of the object
/// were deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) key: ObjectKey,
    pub(crate) etag: Option<ETag>,
    pub(crate) size: u64,
    pub(crate) last_modified: Timestamp,
}

/// A page of ListObjectsV2 asked for with `encoding-type=url`, and whether more follows.
pub(crate) fn page(what: &str, listing: &Element) -> Result<(Vec<Line>, bool), StoreError> {
    let lines = listing.all("Contents").map(|entry| line(entry).ok_or_else(|| nonsense(what, "entry")));
    Ok((lines.collect::<Result<_, _>>()?, leaf(listing, "IsTruncated") == Some("true")))
}

fn line(entry: &Element) -> Option<Line> {
    Some(Line {
        key: unescape_key(entry.child("Key")?.exact().ok()?)?,
        etag: leaf(entry, "ETag").and_then(|etag| ETag::parse(etag).ok()),
        size: leaf(entry, "Size")?.parse().ok()?,
        last_modified: date::parse_iso(leaf(entry, "LastModified")?)?,
    })
}

/// The names of a ListBuckets answer.
pub(crate) fn bucket_names(what: &str, listing: &Element) -> Result<Vec<BucketName>, StoreError> {
    let Some(buckets) = listing.child("Buckets") else {
        return Ok(Vec::new());
    };
    let name = |bucket: &Element| BucketName::parse(leaf(bucket, "Name")?).ok();
    buckets.all("Bucket").map(|bucket| name(bucket).ok_or_else(|| nonsense(what, "bucket name"))).collect()
}

/// The trimmed text of a child, if it is there.
pub(crate) fn leaf<'a>(element: &'a Element, name: &str) -> Option<&'a str> {
    element.leaf(name).ok().flatten()
}

/// A short text that is sent back as it came, such as the id of an upload; nothing when it is not there or empty.
pub(crate) fn token(what: &str, element: &Element, name: &str) -> Result<Option<String>, StoreError> {
    match leaf(element, name) {
        Some(text) if text.len() > TOKEN_BYTES_MAX => Err(nonsense(what, name)),
        text => Ok(text.filter(|text| !text.is_empty()).map(str::to_owned)),
    }
}

/// Headers kept beside the system headers.
const KEPT: [&str; 2] = ["x-amz-storage-class", "x-amz-website-redirect-location"];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_refusal_says_no_more_than_it_proves() {
        for (status, code, expected) in [
            (404, "NoSuchKey", "missing"),
            (412, "PreconditionFailed", "changed"),
            (403, "AccessDenied", "refused"),
            (404, "NoSuchTagSet", "refused"),
            (403, "QuotaExceeded", "full"),
            (409, "BucketAlreadyExists", "refused"),
            (501, "NotImplemented", "refused"),
            (507, "", "full"),
            (409, "ConditionalRequestConflict", "doubt"),
            (409, "", "doubt"),
            (408, "", "doubt"),
            (400, "RequestTimeout", "doubt"),
            (500, "InternalError", "doubt"),
            (302, "", "doubt"),
        ] {
            let body = if code.is_empty() {
                "cut".to_owned()
            } else {
                format!("<Error><Code>{code}</Code></Error>")
            };
            let response = Response::builder().status(status).body(model::body::full(body)).unwrap();
            let seen = match refusal("it", response).await {
                StoreError::Missing { .. } => "missing",
                StoreError::Changed { .. } => "changed",
                StoreError::Refused { .. } => "refused",
                StoreError::Doubt { .. } => "doubt",
                StoreError::Full { .. } => "full",
            };
            assert_eq!(seen, expected, "{status} {code}");
        }
    }

    #[test]
    fn an_entry_without_a_usable_etag_is_still_an_entry() {
        let page_of = |etag: &str| {
            let entry = format!(
                "<L><Contents><Key>a%20b</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>{etag}<Size>7</Size></Contents>\
                 <IsTruncated>true</IsTruncated></L>"
            );
            page("it", &xml::read(entry.as_bytes(), "L", 1 << 20).unwrap()).unwrap()
        };
        for blank in ["<ETag>&quot;&quot;</ETag>", "<ETag></ETag>", "<ETag/>", ""] {
            let (lines, more) = page_of(blank);
            let told: Vec<_> = lines.iter().map(|line| (line.key.as_str(), &line.etag, line.size)).collect();
            assert_eq!((told, more), (vec![("a b", &None, 7)], true), "{blank}");
        }
        assert_eq!(page_of("<ETag>&quot;e&quot;</ETag>").0[0].etag, ETag::parse("e").ok());
    }

    #[test]
    fn tokens_are_bounded() {
        let of = |text: &str| {
            let listing = xml::read(format!("<L><T>{text}</T></L>").as_bytes(), "L", 1 << 20).unwrap();
            token("it", &listing, "T").ok()
        };
        assert_eq!(of("a"), Some(Some("a".to_owned())));
        assert_eq!(of(""), Some(None));
        assert_eq!(of(&"a".repeat(70_000)), None, "its URI would be too long to exist");
    }
}
