//! The answer, whatever came of the request. The only place where an error becomes an S3 error, and where the whole
//! chain of one is logged, once.

use dialect::{Code, Operation, S3Error, date, hop, metadata, reserved};
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, DATE, SERVER, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use model::body::{empty, full};
use model::catalog::CatalogError;
use model::store::StoreError;
use model::{Body, Timestamp};

use crate::error::{Error, Result};

/// What is known of a request when it is answered.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// Names the request in the answer and in the log.
    pub(crate) request_id: String,
    /// The second name S3 gives a request.
    pub(crate) host_id: String,
    /// HEAD: errors carry no body.
    pub(crate) is_head: bool,
    /// Path of the request, for the log; a query may carry a signature.
    pub(crate) path: String,
    /// The operation, once it is known.
    pub(crate) operation: Option<Operation>,
}

/// Headers that no client is ever shown.
static NEVER: [HeaderName; 3] = [HeaderName::from_static(reserved::HEADER), CONNECTION, TRANSFER_ENCODING];
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const HOST_ID: HeaderName = HeaderName::from_static("x-amz-id-2");

/// A response of a document.
pub(crate) fn document(bytes: Vec<u8>) -> Response<Body> {
    let length = HeaderValue::from(bytes.len());
    let mut response = Response::new(full(bytes));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    headers.insert(CONTENT_LENGTH, length);
    response
}

/// A response of nothing but a status.
pub(crate) fn bare(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(empty());
    *response.status_mut() = status;
    response
}

/// The answer to the client.
pub(crate) fn respond(context: &Context, now: Timestamp, outcome: Result<Response<Body>>) -> Response<Body> {
    let mut response = match outcome {
        // A refusal the store's adapter made itself: it did not know the request's names.
        Ok(mut response) => match response.extensions_mut().remove::<S3Error>() {
            Some(error) => refusal(context, &error),
            None => response,
        },
        Err(error) => {
            log(context, &error);
            refusal(context, &s3(&error))
        }
    };
    let Context { request_id, path, .. } = context;
    let operation = context.operation.map_or("-", Operation::as_str);
    tracing::debug!(request_id, operation, path, status = response.status().as_u16(), "answered");
    let headers = response.headers_mut();
    hop::remove(headers, &NEVER);
    headers.insert(REQUEST_ID, text(&context.request_id));
    headers.insert(HOST_ID, text(&context.host_id));
    headers.insert(DATE, text(&date::http(now)));
    headers.insert(SERVER, HeaderValue::from_static("tapegate"));
    response
}

/// What the client is told.
fn s3(error: &Error) -> S3Error {
    match error {
        Error::Refused(refusal) => refusal.clone(),
        Error::ReadBody(model::BodyError::Broken(source))
            if source.kind() == std::io::ErrorKind::TimedOut =>
        {
            Code::RequestTimeout.into()
        }
        Error::ReadBody(source) => source.into(),
        Error::EnterFence { .. } | Error::CloseBucket { .. } => Code::SlowDown.into(),
        Error::TrustMarker { .. } => Code::AccessDenied.into(),
        Error::AskStore { source, .. } | Error::ReadCopy { source, .. } => match source {
            StoreError::Full { .. } | StoreError::Doubt { .. } => Code::ServiceUnavailable.into(),
            StoreError::Missing { .. } | StoreError::Changed { .. } => Code::SlowDown.into(),
            StoreError::Refused { .. } => Code::InternalError.into(),
        },
        Error::AskCatalog { source, .. } => match source {
            CatalogError::Conflict { .. } => Code::SlowDown.into(),
            CatalogError::Failed { .. } => Code::ServiceUnavailable.into(),
            CatalogError::Missing { .. } => Code::InternalError.into(),
        },
        Error::EditListing { .. } | Error::ReadAnswer { .. } => Code::InternalError.into(),
    }
}

fn refusal(context: &Context, error: &S3Error) -> Response<Body> {
    let mut response = match context.is_head {
        true => bare(StatusCode::OK),
        false => document(error.document(&context.request_id, &context.host_id)),
    };
    *response.status_mut() = error.status();
    for (name, value) in &error.headers {
        response.headers_mut().insert(HeaderName::clone(name), value.clone());
    }
    response
}

fn log(context: &Context, error: &Error) {
    use model::Remedy;
    let Context { request_id, path, operation, .. } = context;
    let operation = operation.map_or("-", Operation::as_str);
    let chain = chain(error);
    match error.remedy() {
        Remedy::Refuse(code) => tracing::debug!(request_id, operation, path, code, "refused"),
        Remedy::Retry | Remedy::Wait => tracing::warn!(request_id, operation, path, error = chain, "put off"),
        Remedy::Operator(code) => {
            tracing::error!(code, request_id, operation, path, error = chain, "somebody must act");
        }
        Remedy::Damage | Remedy::Bug => {
            tracing::error!(request_id, operation, path, error = chain, "a promise of our own is broken");
        }
    }
}

/// An error and everything beneath it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

fn text(value: &str) -> HeaderValue {
    metadata::header_value(value)
}
