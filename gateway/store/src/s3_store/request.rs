//! Requests of our own: path style, keys escaped, nothing but S3.

use crate::service::OwnRequest;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use model::{Body, BucketName, ObjectKey};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// A request being put together. Header values and query values may be any text.
pub(crate) struct Ask {
    method: Method,
    target: String,
    query: String,
    headers: HeaderMap,
}

// === impl Ask ===

impl Ask {
    /// On the service.
    pub(crate) fn service(method: Method) -> Self {
        Self { method, target: "/".to_owned(), query: String::new(), headers: HeaderMap::new() }
    }

    /// On a bucket.
    pub(crate) fn bucket(method: Method, bucket: &BucketName) -> Self {
        Self { target: format!("/{bucket}"), ..Self::service(method) }
    }

    /// On an object.
    pub(crate) fn object(method: Method, bucket: &BucketName, key: &str) -> Self {
        Self { target: format!("/{bucket}/{}", escape_key(key)), ..Self::service(method) }
    }

    /// Adds a query parameter.
    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push(if self.query.is_empty() { '?' } else { '&' });
        self.query.push_str(name);
        self.query.push('=');
        self.query.extend(utf8_percent_encode(value, QUERY_ESCAPED));
        self
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        if let Ok(name) = HeaderName::try_from(name) {
            let value =
                HeaderValue::try_from(value).unwrap_or_else(|_| dialect::metadata::header_value(value));
            self.headers.append(name, value);
        }
        self
    }

    /// The request with a body of `length` bytes.
    pub(crate) fn send(self, body: Body, length: u64) -> Request<Body> {
        self.header("content-length", &length.to_string()).build(body)
    }

    /// The request without a body.
    pub(crate) fn bare(self) -> Request<Body> {
        self.build(model::body::empty())
    }

    fn build(self, body: Body) -> Request<Body> {
        let target = format!("{}{}", self.target, self.query);
        let mut request = Request::new(body);
        *request.method_mut() = self.method;
        *request.uri_mut() = Uri::try_from(target).expect("an escaped target is a URI");
        *request.headers_mut() = self.headers;
        request.extensions_mut().insert(OwnRequest);
        request
    }
}

/// A key as it stands in a path.
pub(crate) fn escape_key(key: &str) -> String {
    utf8_percent_encode(key, PATH_ESCAPED).to_string()
}

/// A name or value as it stands in a query.
pub(crate) fn escape_query(text: &str) -> String {
    utf8_percent_encode(text, QUERY_ESCAPED).to_string()
}

/// The key of an object as `encoding-type=url` writes it; `None` when it is not UTF-8.
pub(crate) fn unescape_key(text: &str) -> Option<ObjectKey> {
    let text = text.replace('+', " ");
    let key = percent_encoding::percent_decode_str(&text).decode_utf8().ok()?;
    ObjectKey::parse(&key).ok()
}

const QUERY_ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const PATH_ESCAPED: &AsciiSet = &QUERY_ESCAPED.remove(b'/');
