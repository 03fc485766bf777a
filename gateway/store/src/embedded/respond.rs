//! Answers: the one place where the embedded store's outcomes become responses.

use dialect::{Code, S3Error};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use model::Body;
use model::body::{empty, full};

use super::Ask;
use super::fault::{Failure, Outcome};
use super::record::StoredChecksum;
use crate::service::StoreFull;
use dialect::checksum::Algorithm;
use dialect::route::Operation;

/// A response of a document.
pub(crate) fn document(bytes: Vec<u8>) -> Response<Body> {
    let length = HeaderValue::from(bytes.len());
    let mut response = Response::new(full(bytes));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response.headers_mut().insert(CONTENT_LENGTH, length);
    response
}

/// A response of nothing but a status.
pub(crate) fn bare(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = status;
    response
}

/// Sets a header whose value is visible ASCII by construction.
pub(crate) fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    headers.insert(HeaderName::from_static(name), dialect::metadata::header_value(value));
}

/// The headers of a checksum: value and type.
pub(crate) fn set_checksum(headers: &mut HeaderMap, checksum: &StoredChecksum) {
    if let Ok(algorithm) = Algorithm::parse(&checksum.algorithm) {
        set(headers, algorithm.header(), &checksum.value);
        set(headers, "x-amz-checksum-type", &checksum.kind);
    }
}

/// The version id of what was written or read, where there is one to tell.
pub(crate) fn set_version(headers: &mut HeaderMap, id: Option<&str>) {
    if let Some(id) = id {
        set(headers, "x-amz-version-id", id);
    }
}

/// The element of a checksum in a document.
pub(crate) fn checksum_elements(checksum: &StoredChecksum) -> Vec<(&'static str, String)> {
    match Algorithm::parse(&checksum.algorithm) {
        Ok(algorithm) => {
            vec![(algorithm.element(), checksum.value.clone()), ("ChecksumType", checksum.kind.clone())]
        }
        Err(_) => Vec::new(),
    }
}

/// An operation the store does not offer.
pub(crate) fn not_offered() -> S3Error {
    S3Error::with_message(Code::NotImplemented, "The operation is not implemented")
}

/// A header of a write that asks for something the store does not offer.
pub(crate) fn header_not_offered(ask: &Ask) -> Option<&'static str> {
    use Operation::{
        CompleteMultipartUpload, CopyObject, CreateBucket, CreateMultipartUpload, PutObject, UploadPart,
        UploadPartCopy,
    };
    let writes = matches!(
        ask.route.operation,
        PutObject
            | CopyObject
            | CreateMultipartUpload
            | UploadPart
            | UploadPartCopy
            | CompleteMultipartUpload
            | CreateBucket
    );
    if !writes {
        return None;
    }
    let lock = ask.headers.get("x-amz-bucket-object-lock-enabled");
    if lock.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true")) {
        return Some("x-amz-bucket-object-lock-enabled");
    }
    NOT_OFFERED.into_iter().find(|name| ask.headers.contains_key(*name))
}

/// The response to a request, whatever came of it; errors are told in S3's words and faults are logged here.
pub(crate) fn finish(answer: Outcome<Response<Body>>, head: bool, request: u64) -> Response<Body> {
    let request = format!("{request:016X}");
    let mut response = match answer {
        Ok(response) => response,
        Err(Failure::Refused(error)) => refusal(&error, head, &request),
        Err(Failure::Fault(fault)) => {
            tracing::error!(
                error = &fault as &dyn std::error::Error,
                request,
                "a request of the store failed"
            );
            let mut response = refusal(&fault.answer(), head, &request);
            if fault.is_full() {
                response.extensions_mut().insert(StoreFull);
            }
            response
        }
    };
    set(response.headers_mut(), "x-amz-request-id", &request);
    response
}

fn refusal(error: &S3Error, head: bool, request: &str) -> Response<Body> {
    let mut response =
        if head { bare(StatusCode::OK) } else { document(error.document(request, "embedded")) };
    *response.status_mut() = error.status();
    for (name, value) in &error.headers {
        response.headers_mut().insert(name.clone(), value.clone());
    }
    response
}

/// Headers that ask for what is not offered.
const NOT_OFFERED: [&str; 10] = [
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-context",
    "x-amz-server-side-encryption-bucket-key-enabled",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-copy-source-server-side-encryption-customer-algorithm",
    "x-amz-object-lock-mode",
    "x-amz-object-lock-retain-until-date",
    "x-amz-object-lock-legal-hold",
    "x-amz-write-offset-bytes",
];
