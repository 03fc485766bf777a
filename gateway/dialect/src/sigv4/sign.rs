//! Signing requests of our own: to a remote store, and in tests and benches.

use super::canonical::{Canonical, Query, SignedHeaders, encode, paths, string_to_sign};
use super::key::KeyCache;
use super::scope::Scope;
use super::{ALGORITHM, AmzDate, PRESIGN_SECONDS_MAX, PayloadToken, Secret, SignatureChain};
use std::borrow::Cow;

use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, EXPECT, HOST, HeaderName, HeaderValue, TE, TRANSFER_ENCODING,
    USER_AGENT,
};
use http::{HeaderMap, Uri};
use model::Timestamp;

/// A request that cannot be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// Neither a Host header nor an authority in the URI.
    #[error("signing a request without a host")]
    NoHost,
    /// The access key id or the region cannot stand in a header.
    #[error("signing with an access key id that cannot stand in a header")]
    Credential,
    /// A presigned URL must live from 1 second to 7 days.
    #[error("presigning for {seconds} seconds, outside 1 to {PRESIGN_SECONDS_MAX}")]
    Lifetime {
        /// What was asked for.
        seconds: i64,
    },
}

/// Signs requests with one key for one region.
#[derive(Debug)]
pub struct Signer {
    access_key_id: String,
    secret: Secret,
    region: String,
    service: String,
    keys: KeyCache,
}

// === impl Signer ===

impl Signer {
    /// A signer of S3 requests.
    pub fn new(access_key_id: impl Into<String>, secret: Secret, region: impl Into<String>) -> Self {
        let (access_key_id, region, service) = (access_key_id.into(), region.into(), "s3".to_owned());
        Self { access_key_id, secret, region, service, keys: KeyCache::default() }
    }

    /// Signs every header but those that change on the way, and sets `x-amz-date`, `x-amz-content-sha256`,
    /// Authorization, and Host when it is absent. Returns the chain for the chunks of a streaming body.
    ///
    /// Headers the transport adds later (Content-Length, Host) are only signed when they are already there. The path is
    /// put into its canonical spelling, which names the same object: some stores verify the path as they got it.
    ///
    /// # Errors
    /// [`SignError`] when there is no host, or the key id is unprintable.
    pub fn sign(
        &self,
        parts: &mut http::request::Parts,
        payload: &PayloadToken,
        now: Timestamp,
    ) -> Result<SignatureChain, SignError> {
        let date = AmzDate::from(now);
        let payload = payload.to_string();
        host(&mut parts.headers, &parts.uri)?;
        respell(&mut parts.uri);
        parts.headers.remove(AUTHORIZATION);
        parts.headers.insert(AMZ_DATE, text_value(date.spell().as_str())?);
        parts.headers.insert(CONTENT_SHA256, text_value(&payload)?);
        let signed = parts.headers.keys().filter(|name| !UNSIGNED.contains(name));
        let signed = SignedHeaders::of(signed.map(HeaderName::as_str));
        let scope = self.scope(date);
        let chain = self.chain(
            date,
            &scope,
            &Canonical {
                method: parts.method.as_str(),
                path: &paths(parts.uri.path()).0,
                query: &Query::parse(parts.uri.query().unwrap_or_default()).canonical(false),
                headers: &parts.headers,
                signed: &signed,
                payload: &payload,
            },
        );
        let (id, signed, signature) = (&self.access_key_id, signed.text(), chain.last());
        let authorization =
            format!("{ALGORITHM} Credential={id}/{scope}, SignedHeaders={signed}, Signature={signature}");
        parts.headers.insert(AUTHORIZATION, text_value(&authorization)?);
        Ok(chain)
    }

    /// The URL that lets anyone send this request for so many seconds from now. `headers` are those the sender must
    /// send too, Host apart, which comes from the URI. The body is unsigned.
    ///
    /// # Errors
    /// [`SignError`] when the URI names no host or the lifetime is out of range.
    pub fn presign(
        &self,
        method: &http::Method,
        uri: &Uri,
        headers: &HeaderMap,
        seconds: i64,
        now: Timestamp,
    ) -> Result<String, SignError> {
        if !(1..=PRESIGN_SECONDS_MAX).contains(&seconds) {
            return Err(SignError::Lifetime { seconds });
        }
        let date = AmzDate::from(now);
        let mut headers = headers.clone();
        headers.remove(HOST);
        host(&mut headers, uri)?;
        let signed = SignedHeaders::of(headers.keys().map(HeaderName::as_str));
        let asked = uri.query().map(|query| format!("{query}&")).unwrap_or_default();
        let scope = self.scope(date);
        let credential = encode(format!("{}/{scope}", self.access_key_id).as_bytes());
        let query = Query::parse(&format!(
            "{asked}X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={credential}&X-Amz-Date={date}&X-Amz-Expires={seconds}&X-Amz-SignedHeaders={}",
            encode(signed.text().as_bytes())
        ))
        .canonical(true);
        let path = paths(uri.path()).0;
        let canonical = Canonical {
            method: method.as_str(),
            path: &path,
            query: &query,
            headers: &headers,
            signed: &signed,
            payload: "UNSIGNED-PAYLOAD",
        };
        let chain = self.chain(date, &scope, &canonical);
        let (scheme, authority) =
            (uri.scheme_str().unwrap_or("http"), uri.authority().ok_or(SignError::NoHost)?);
        Ok(format!("{scheme}://{authority}{path}?{query}&X-Amz-Signature={}", chain.last()))
    }

    fn chain(&self, date: AmzDate, scope: &str, canonical: &Canonical<'_>) -> SignatureChain {
        let spelt = date.spell();
        let fields = Scope { day: spelt.day(), region: &self.region, service: &self.service, text: scope };
        let key = self.keys.key(&self.access_key_id, &self.secret, date, &fields);
        let seed = key.sign(&string_to_sign(date, &fields, &canonical.request()));
        SignatureChain::new(key, date, scope.to_owned(), seed)
    }

    fn scope(&self, date: AmzDate) -> String {
        Scope::spell(date.spell().day(), &self.region, &self.service)
    }
}

/// Gives a URI its canonical path.
fn respell(uri: &mut Uri) {
    let (Cow::Owned(path), _) = paths(uri.path()) else { return };
    if uri.path() != path && uri.path().starts_with('/') {
        let target = uri.query().map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
        let mut parts = uri.clone().into_parts();
        parts.path_and_query =
            Some(target.try_into().expect("an encoded path and a query from a URI are a target"));
        *uri = parts.try_into().expect("the other pieces of a URI are as they were");
    }
}

/// Sets the Host header of a request to this URI, unless there is one.
///
/// # Errors
/// [`SignError::NoHost`] when the URI names none.
pub fn host(headers: &mut HeaderMap, uri: &Uri) -> Result<(), SignError> {
    if headers.contains_key(HOST) {
        return Ok(());
    }
    let authority = uri.authority().ok_or(SignError::NoHost)?;
    // Clients leave out the port of the scheme, and so must what is signed.
    let standard = match uri.scheme_str() {
        Some("https") => Some(443),
        Some("http") => Some(80),
        _ => None,
    };
    let port = authority.port_u16().filter(|port| Some(*port) != standard);
    let host =
        port.map_or_else(|| authority.host().to_owned(), |port| format!("{}:{port}", authority.host()));
    headers.insert(HOST, text_value(&host)?);
    Ok(())
}

fn text_value(text: &str) -> Result<HeaderValue, SignError> {
    HeaderValue::from_str(text).map_err(|_| SignError::Credential)
}

/// Headers that transports and proxies add, drop or rewrite.
static UNSIGNED: [HeaderName; 8] = [
    ACCEPT_ENCODING,
    AUTHORIZATION,
    CONNECTION,
    EXPECT,
    TE,
    TRANSFER_ENCODING,
    USER_AGENT,
    HeaderName::from_static("x-amzn-trace-id"),
];

const AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
