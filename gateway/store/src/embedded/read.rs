//! GetObject and HeadObject.

use std::ops::Range;
use std::sync::Arc;

use dialect::conditions::{Conditions, Outcome as Judged};
use dialect::metadata::{CONTENT_TYPE_DEFAULT, SYSTEM};
use dialect::multipart::part_number;
use dialect::range::{ByteRange, content_range};
use dialect::{S3Error, date, tagging};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use model::{Body, ETag, Timestamp};

use super::content;
use super::fault::Outcome;
use super::put::tag;
use super::record::Version;
use super::respond::{bare, set, set_checksum, set_version};
use super::{Ask, Found, Inner, Seen, Target, tags};
use crate::stream::sized_body;

/// Which bytes are asked for.
enum Selection {
    Whole,
    Range(Range<u64>),
    Part { range: Range<u64>, parts: Option<usize> },
}

impl Inner {
    /// GetObject
    pub(super) fn get_object(&self, ask: &Ask) -> Outcome<Response<Body>> {
        let Found { seen, pinned } = self.find_pinned(&Target::of(ask)?, &ask.method)?;
        let (mut response, range) = respond(ask, &seen)?;
        if let Some(range) = range {
            let length = range.end - range.start;
            let files = Arc::clone(&self.files);
            let stream = content::stream(&seen.snapshot, files, &seen.version, range, pinned)?;
            *response.body_mut() = sized_body(stream, length);
        }
        override_headers(ask, response.headers_mut())?;
        Ok(response)
    }

    /// HeadObject
    pub(super) fn head_object(&self, ask: &Ask) -> Outcome<Response<Body>> {
        let seen = self.find(&Target::of(ask)?, &ask.method)?;
        let (mut response, _) = respond(ask, &seen)?;
        override_headers(ask, response.headers_mut())?;
        Ok(response)
    }
}

/// The response without its body, and the bytes that belong into it.
fn respond(ask: &Ask, seen: &Seen) -> Outcome<(Response<Body>, Option<Range<u64>>)> {
    let version = &seen.version;
    let etag = tag(&version.etag).ok_or(dialect::Code::InternalError)?;
    let modified = Timestamp::from_milliseconds(version.last_modified);
    match Conditions::parse(&ask.headers).read(&etag, modified) {
        Judged::Proceed => {}
        Judged::Failed(header) => return Err(S3Error::precondition_failed(header).into()),
        Judged::NotModified => {
            let mut response = bare(StatusCode::NOT_MODIFIED);
            describe(response.headers_mut(), seen, &etag, modified);
            return Ok((response, None));
        }
    }
    let selection = select(ask, version)?;
    let mut response = bare(StatusCode::OK);
    let headers = response.headers_mut();
    describe(headers, seen, &etag, modified);
    headers.insert("accept-ranges", HeaderValue::from_static("bytes"));
    let (range, partial) = match selection {
        Selection::Whole => (0..version.size, false),
        Selection::Range(range) => (range, true),
        Selection::Part { range, parts } => {
            if let Some(parts) = parts {
                headers.insert("x-amz-mp-parts-count", HeaderValue::from(parts));
            }
            let partial = !range.is_empty();
            (range, partial)
        }
    };
    headers.insert("content-length", HeaderValue::from(range.end - range.start));
    if partial {
        set(headers, "content-range", &content_range(&range, version.size));
    }
    let asked = ask.headers.get("x-amz-checksum-mode").is_some_and(|mode| mode.as_bytes() == b"ENABLED");
    if let Some(checksum) = version.checksum.as_ref().filter(|_| asked && !partial) {
        set_checksum(headers, checksum);
    }
    if partial {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok((response, Some(range)))
}

fn select(ask: &Ask, version: &Version) -> Outcome<Selection> {
    let range = ByteRange::parse(&ask.headers);
    if !ask.route.query.has("partNumber") {
        return match range {
            None => Ok(Selection::Whole),
            Some(range) => Ok(Selection::Range(range.resolve(version.size)?)),
        };
    }
    if range.is_some() {
        let message = "Cannot specify both Range header and partNumber query parameter";
        return Err(S3Error::invalid_request(message).into());
    }
    let number = part_number(&ask.route.query)?;
    let count = version.part_bytes.len();
    if count == 0 {
        return match number {
            1 => Ok(Selection::Part { range: 0..version.size, parts: None }),
            _ => Err(S3Error::invalid_part_number(number, 1).into()),
        };
    }
    let before = usize::try_from(number - 1).unwrap_or(usize::MAX);
    let Some(bytes) = version.part_bytes.get(before) else {
        return Err(S3Error::invalid_part_number(number, u32::try_from(count).unwrap_or(u32::MAX)).into());
    };
    let start: u64 = version.part_bytes.iter().take(before).sum();
    Ok(Selection::Part { range: start..start + bytes, parts: Some(count) })
}

/// The headers that say what the object is.
fn describe(headers: &mut HeaderMap, seen: &Seen, etag: &ETag, modified: Timestamp) {
    let version = &seen.version;
    set(headers, "content-type", CONTENT_TYPE_DEFAULT);
    for (name, value) in &version.headers {
        if let Ok(name) = HeaderName::try_from(name) {
            headers.insert(name, dialect::metadata::header_value(value));
        }
    }
    set(headers, "etag", &etag.quoted());
    set(headers, "last-modified", &date::http(modified));
    if version.class != "STANDARD" {
        set(headers, "x-amz-storage-class", &version.class);
    }
    let tags = tags::count(&version.tags);
    if tags > 0 {
        headers.insert(tagging::COUNT_HEADER, HeaderValue::from(tags));
    }
    set_version(headers, seen.bucket.told(version).as_deref());
}

/// `response-content-type` and its like.
fn override_headers(ask: &Ask, headers: &mut HeaderMap) -> Outcome<()> {
    for name in SYSTEM {
        if let Some(value) = ask.route.query.filled(&format!("response-{name}")) {
            let value = HeaderValue::try_from(value)
                .map_err(|_| S3Error::argument("Header value cannot be represented", name, value))?;
            headers.insert(name, value);
        }
    }
    Ok(())
}
