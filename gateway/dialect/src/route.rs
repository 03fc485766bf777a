//! Which operation a request names, and its parameters.
//!
//! One table (`table.rs`) says for each operation its method, whether it acts on the service, a bucket or an
//! object, the sub-resources that select it and the parameters it may carry. A row fits when the query names all its
//! sub-resources and nothing the row does not know: a request never falls back to a plainer operation because part
//! of its query was not understood. Path style only: `/bucket/key`, where the key is everything after the second slash, kept as
//! it is after percent-decoding (`//`, `.`, `..` included).

mod query;
mod table;

use http::{HeaderMap, HeaderValue, Method};
use model::{BucketName, ObjectKey};
use percent_encoding::percent_decode_str;

use crate::error::{Code, Result, S3Error};
pub use query::Query;
pub use table::Operation;
use table::{Level, ROWS, Row};

/// Longest path and query, in bytes each: a key of 1 024 bytes escaped threefold and then some.
const TARGET_BYTES_MAX: usize = 16 * 1024;
/// What makes a copy of a PUT.
const COPY_SOURCE: &str = "x-amz-copy-source";
/// Longest key, in bytes.
const KEY_BYTES_MAX: usize = 1024;

/// A request understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The bucket named by the path.
    pub bucket: Option<BucketName>,
    /// The key named by the path.
    pub key: Option<ObjectKey>,
    /// The operation.
    pub operation: Operation,
    /// The query, decoded, in the order sent.
    pub query: Query,
}

/// Finds the operation of a request from its method, its path and query as sent (still percent-encoded) and its
/// headers. Headers that a presigner put into the query are moved back before ([`Query::hoisted`]): those that still
/// stand there are nothing known, so that a store behind that reads them cannot be told what was not looked at here.
///
/// Errors: `InvalidURI` (escapes or UTF-8 broken), `InvalidBucketName`, `KeyTooLongError`, `InvalidArgument` (a name
/// stands twice in the query: a store behind may read the other one), `MethodNotAllowed` (the sub-resource exists,
/// with another method). What is not known is no error here but [`Operation::Unknown`].
pub fn route(method: &Method, path: &str, query: &str, headers: &HeaderMap) -> Result<Route> {
    if path.len() > TARGET_BYTES_MAX || query.len() > TARGET_BYTES_MAX {
        return Err(invalid_uri(path));
    }
    let (bucket, key) = split(path)?;
    let query = Query::parse(query)?;
    if let Some(name) = query.repeated() {
        return Err(S3Error::argument("A query parameter must not be specified more than once", name, ""));
    }
    let level = match (&bucket, &key) {
        (None, _) => Level::Service,
        (Some(_), None) => Level::Bucket,
        (Some(_), Some(_)) => Level::Object,
    };
    let operation = operation(method, level, &query, headers.contains_key(COPY_SOURCE))?;
    Ok(Route { bucket, key, operation, query })
}

// === impl Route ===

impl Route {
    /// The bucket of an operation on a bucket or an object.
    pub fn bucket(&self) -> Result<&BucketName> {
        self.bucket.as_ref().ok_or_else(|| Code::InvalidRequest.into())
    }

    /// The key of an operation on an object.
    pub fn key(&self) -> Result<&ObjectKey> {
        self.key.as_ref().ok_or_else(|| Code::InvalidRequest.into())
    }
}

fn split(path: &str) -> Result<(Option<BucketName>, Option<ObjectKey>)> {
    let Some(rest) = path.strip_prefix('/') else {
        return Err(invalid_uri(path));
    };
    if rest.is_empty() {
        return Ok((None, None));
    }
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    let bucket = decode(bucket).ok_or_else(|| invalid_uri(path))?;
    let key = decode(key).ok_or_else(|| invalid_uri(path))?;
    let name = BucketName::parse(&bucket)
        .map_err(|_| S3Error::new(Code::InvalidBucketName).extra("BucketName", bucket))?;
    if key.is_empty() {
        return Ok((Some(name), None));
    }
    let bytes = key.len();
    let key = ObjectKey::parse(&key).map_err(|_| {
        S3Error::new(Code::KeyTooLongError)
            .extra("Size", bytes.to_string())
            .extra("MaxSizeAllowed", KEY_BYTES_MAX.to_string())
    })?;
    Ok((Some(name), Some(key)))
}

/// The row whose sub-resources are all there and which knows every other name of the query; of several the one with
/// most sub-resources.
fn operation(method: &Method, level: Level, query: &Query, copies: bool) -> Result<Operation> {
    if *method == Method::OPTIONS {
        return Ok(Operation::Preflight);
    }
    let fits = |row: &&Row| {
        row.level == level
            && row.selectors.iter().all(|name| query.has(name))
            && row.method == method.as_str()
            && row.copies().is_none_or(|wanted| wanted == copies)
            && query.names().all(|name| ignored(name) || row.knows(name))
    };
    match ROWS.iter().filter(fits).max_by_key(|row| row.selectors.len()) {
        Some(row) => refine(row.operation, query),
        None => misfit(method, level, query).map_or(Ok(Operation::Unknown), Err),
    }
}

/// Why no row fits: `MethodNotAllowed` when the sub-resource exists with another method, otherwise nothing known.
fn misfit(method: &Method, level: Level, query: &Query) -> Option<S3Error> {
    let selected = |name: &str| ROWS.iter().any(|row| row.selectors.contains(&name));
    let known = |row: &&Row| row.level == level && query.names().all(|name| ignored(name) || row.knows(name));
    let named = |row: &&Row| {
        row.selectors.iter().all(|name| query.has(name))
            && query.names().filter(|name| selected(name)).all(|name| row.knows(name))
    };
    let other = ROWS.iter().filter(known).find(named)?;
    let same = |row: &Row| row.level == level && row.selectors == other.selectors;
    if ROWS.iter().any(|row| same(row) && row.method == method.as_str()) {
        return None;
    }
    let mut methods: Vec<&str> = ROWS.iter().filter(|row| same(row)).map(|row| row.method).collect();
    methods.dedup();
    let allow = HeaderValue::try_from(methods.join(", ")).expect("method names are a header value");
    Some(S3Error::method_not_allowed(method.as_str(), resource(level, other)).header("allow", allow))
}

/// Checks the value of the one sub-resource that selects by value.
fn refine(operation: Operation, query: &Query) -> Result<Operation> {
    match (operation, query.value("list-type")) {
        (Operation::ListObjectsV2, Some("2")) | (_, None) => Ok(operation),
        (_, Some(other)) => Err(S3Error::argument("Invalid List Type specified", "list-type", other)),
    }
}

/// Names S3 takes on any request: signatures in the query, the SDKs' operation name, response header overrides.
fn ignored(name: &str) -> bool {
    name == "x-id"
        || Query::is_of_signature(name)
        || Query::is_override(name)
        || matches!(name, "AWSAccessKeyId" | "Signature" | "Expires")
}

fn resource(level: Level, row: &Row) -> String {
    match (row.selectors.first(), level) {
        (Some(name), _) => name.to_ascii_uppercase(),
        (None, Level::Service) => "SERVICE".to_owned(),
        (None, Level::Bucket) => "BUCKET".to_owned(),
        (None, Level::Object) => "OBJECT".to_owned(),
    }
}

/// The text behind percent escapes; nothing when an escape or the UTF-8 is broken.
fn decode(text: &str) -> Option<String> {
    let whole = text.bytes().enumerate().filter(|(_, byte)| *byte == b'%').all(|(at, _)| {
        text.as_bytes().get(at + 1..at + 3).is_some_and(|pair| pair.iter().all(u8::is_ascii_hexdigit))
    });
    if !whole {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok().map(|text| text.into_owned())
}

fn invalid_uri(path: &str) -> S3Error {
    S3Error::new(Code::InvalidURI).extra("URI", path.chars().take(KEY_BYTES_MAX).collect::<String>())
}

#[cfg(test)]
mod tests;
