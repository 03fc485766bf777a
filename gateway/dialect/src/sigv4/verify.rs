//! From a request to its caller.

use super::canonical::{Canonical, Query, SignedHeaders, paths, string_to_sign};
use super::key::{KeyCache, SigningKey};
use super::scope::Credential;
use super::{
    AmzDate, AuthError, PRESIGN_SECONDS_MAX, Payload, PayloadToken, REQUEST_HEAD_BYTES_MAX,
    SKEW_MILLISECONDS_MAX, Secret, SignatureChain, authorization, presigned,
};
use http::HeaderMap;
use http::header::{AUTHORIZATION, HOST, HeaderValue};
use model::Timestamp;

/// What is signed of a request, as it came. For HTTP/2 the caller puts `:authority` into a Host header first.
#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    /// The method, as sent.
    pub method: &'a str,
    /// The path, undecoded.
    pub path: &'a str,
    /// What follows `?`, undecoded; empty without one.
    pub query: &'a str,
    /// The headers, none folded.
    pub headers: &'a HeaderMap,
}

// === impl RequestView ===

impl<'a> RequestView<'a> {
    /// The view of a request just parsed.
    pub fn of<B>(request: &'a http::Request<B>) -> Self {
        let (method, uri) = (request.method().as_str(), request.uri());
        Self { method, path: uri.path(), query: uri.query().unwrap_or_default(), headers: request.headers() }
    }

    /// The view of the head of a request.
    pub fn of_parts(parts: &'a http::request::Parts) -> Self {
        let (method, uri) = (parts.method.as_str(), &parts.uri);
        Self { method, path: uri.path(), query: uri.query().unwrap_or_default(), headers: &parts.headers }
    }

    fn bytes(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 2);
        self.path.len() + self.query.len() + headers.sum::<usize>()
    }
}

/// Who sent a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Nothing in the request says.
    Anonymous,
    /// The holder of this key.
    Key {
        /// The access key id.
        access_key_id: String,
        /// Whether it came by a presigned URL.
        presigned: bool,
    },
}

/// A request that may go on: who sent it and what its body must be.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Who sent it.
    pub caller: Caller,
    /// What [`crate::aws_chunked::PayloadReader`] checks the body against.
    pub payload: Payload,
}

/// What a POST form says about its own signature: the values of its fields.
#[derive(Clone, Copy, Debug)]
pub struct FormClaim<'a> {
    /// `policy`, in base64 as sent: that is what is signed.
    pub policy: &'a str,
    /// `x-amz-algorithm`.
    pub algorithm: &'a str,
    /// `x-amz-credential`.
    pub credential: &'a str,
    /// `x-amz-date`.
    pub date: &'a str,
    /// `x-amz-signature`.
    pub signature: &'a str,
}

/// Verifies requests for one region and service. Cheap to share; keeps derived signing keys.
#[derive(Debug)]
pub struct Verifier {
    region: String,
    service: String,
    keys: KeyCache,
}

/// What a request says about its own signature.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    pub credential: Credential<'a>,
    pub signed: SignedHeaders<'a>,
    pub signature: &'a str,
    pub date: AmzDate,
    pub payload: PayloadToken,
    /// The token as it was sent, which is what was signed.
    pub payload_text: &'a str,
    /// Of a presigned URL.
    pub lifetime_seconds: Option<i64>,
}

// === impl Verifier ===

impl Verifier {
    /// A verifier for S3 requests to this region.
    pub fn new(region: impl Into<String>) -> Self {
        Self { region: region.into(), service: "s3".to_owned(), keys: KeyCache::default() }
    }

    /// Finds out who sent the request. `secret_of` gives the secret of an access key id, `None` when nobody has it;
    /// it is asked at most once, after everything that can be refused without it.
    ///
    /// # Errors
    /// [`AuthError`] for a request that claims authentication and cannot prove it. One that claims none is
    /// [`Caller::Anonymous`].
    pub fn verify(
        &self,
        request: &RequestView<'_>,
        now: Timestamp,
        secret_of: impl FnOnce(&str) -> Option<Secret>,
    ) -> Result<Verdict, AuthError> {
        if request.bytes() > REQUEST_HEAD_BYTES_MAX {
            return Err(AuthError::HeadTooLarge);
        }
        if request.headers.get_all(HOST).iter().nth(1).is_some() {
            return Err(AuthError::NotOnce { name: "Host" });
        }
        let query = Query::parse(request.query);
        let claim = match Mechanism::of(request.headers, &query)? {
            Mechanism::None => return anonymous(request.headers),
            Mechanism::Header(value) => authorization::claim(request, value)?,
            Mechanism::Query => presigned::claim(request, &query)?,
        };
        let (credential, lifetime) = (&claim.credential, claim.lifetime_seconds);
        self.check_scope(credential, claim.date).map_err(|fault| match lifetime {
            None => AuthError::HeaderMalformed { reason: fault.reason, region: fault.region },
            Some(_) => fault.into_query(),
        })?;
        check_clock(&claim, now)?;
        if request.headers.contains_key("x-amz-security-token") || query.has("X-Amz-Security-Token") {
            return Err(AuthError::SessionToken);
        }
        claim.signed.cover(request.headers)?;
        let access_key_id = claim.credential.access_key_id;
        let secret = secret_of(access_key_id).ok_or_else(|| unknown(access_key_id))?;
        let key = self.keys.key(access_key_id, &secret, claim.date, &claim.credential.scope);
        check_signature(request, &query, claim, key)
    }

    /// Checks the signature of a POST form, which covers its policy and nothing else: what the form may say is for
    /// the policy to tell. `secret_of` as for [`Verifier::verify`].
    ///
    /// # Errors
    /// [`AuthError`] unless the holder of the key signed this policy within the last seven days.
    pub fn verify_form(
        &self,
        claim: &FormClaim<'_>,
        now: Timestamp,
        secret_of: impl FnOnce(&str) -> Option<Secret>,
    ) -> Result<Caller, AuthError> {
        let FormClaim { policy, algorithm, credential, date, signature } = *claim;
        presigned::algorithm(algorithm)?;
        let credential = presigned::credential(credential)?;
        let date = presigned::date(date)?;
        self.check_scope(&credential, date).map_err(ScopeFault::into_query)?;
        check_life(date, PRESIGN_SECONDS_MAX, now)?;
        let Credential { access_key_id, scope } = credential;
        let secret = secret_of(access_key_id).ok_or_else(|| unknown(access_key_id))?;
        let key = self.keys.key(access_key_id, &secret, date, &scope);
        let access_key_id = access_key_id.to_owned();
        if key.sign(policy).matches(signature) {
            return Ok(Caller::Key { access_key_id, presigned: false });
        }
        Err(AuthError::SignatureDoesNotMatch {
            access_key_id,
            string_to_sign: policy.to_owned(),
            signature_provided: signature.to_owned(),
            canonical_request: String::new(),
        })
    }

    /// The scope must be this endpoint's, on the day of the time stamp.
    fn check_scope(&self, credential: &Credential<'_>, date: AmzDate) -> Result<(), ScopeFault> {
        let scope = &credential.scope;
        let wrong = |reason, region: Option<&String>| ScopeFault { reason, region: region.cloned() };
        if scope.region != self.region {
            let reason = format!("the region '{}' is wrong; expecting '{}'", scope.region, self.region);
            return Err(wrong(reason, Some(&self.region)));
        }
        if scope.service != self.service {
            let (service, own) = (&scope.service, &self.service);
            let reason = format!("incorrect service \"{service}\". This endpoint belongs to \"{own}\".");
            return Err(wrong(reason, None));
        }
        let date = date.spell();
        if scope.day != date.day() {
            let (given, day) = (&scope.day, date.day());
            let reason = format!(
                "Invalid credential date \"{given}\". This date is not the same as X-Amz-Date: \"{day}\"."
            );
            return Err(wrong(reason, None));
        }
        Ok(())
    }
}

/// What is wrong with a scope.
struct ScopeFault {
    /// The clause S3 ends its text with.
    reason: String,
    /// The right region, when the wrong one was named.
    region: Option<String>,
}

// === impl ScopeFault ===

impl ScopeFault {
    fn into_query(self) -> AuthError {
        AuthError::QueryMalformed {
            message: format!("Error parsing the X-Amz-Credential parameter; {}", self.reason),
            region: self.region,
        }
    }
}

enum Mechanism<'a> {
    None,
    Header(&'a HeaderValue),
    Query,
}

// === impl Mechanism ===

impl<'a> Mechanism<'a> {
    fn of(headers: &'a HeaderMap, query: &Query) -> Result<Self, AuthError> {
        let authorizations = headers.get_all(AUTHORIZATION).iter().count();
        let in_query = PRESIGNED.iter().any(|name| query.has(name));
        // Version 2 URLs, which some SDKs still make unless told otherwise.
        let in_query_v2 = query.has("AWSAccessKeyId") || query.has("Signature");
        let ways = authorizations + usize::from(in_query) + usize::from(in_query_v2);
        if ways > 1 {
            return Err(AuthError::SeveralMechanisms);
        }
        match headers.get(AUTHORIZATION) {
            Some(value) => Ok(Self::Header(value)),
            None if in_query => Ok(Self::Query),
            None if in_query_v2 => Err(AuthError::MechanismNotSupported),
            None => Ok(Self::None),
        }
    }
}

/// Any of these in a query claims a presigned URL.
const PRESIGNED: [&str; 7] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
    "X-Amz-SignedHeaders",
];

fn anonymous(headers: &HeaderMap) -> Result<Verdict, AuthError> {
    let payload = Payload::of_anonymous(headers).ok_or_else(|| AuthError::PayloadTokenUnusable {
        given: headers
            .get("x-amz-content-sha256")
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .unwrap_or_default(),
    })?;
    Ok(Verdict { caller: Caller::Anonymous, payload })
}

fn unknown(access_key_id: &str) -> AuthError {
    AuthError::InvalidAccessKeyId { access_key_id: access_key_id.to_owned() }
}

fn check_clock(claim: &Claim<'_>, now: Timestamp) -> Result<(), AuthError> {
    match claim.lifetime_seconds {
        Some(seconds) => check_life(claim.date, seconds, now),
        None if ahead(claim.date, now).saturating_abs() <= SKEW_MILLISECONDS_MAX => Ok(()),
        None => {
            Err(AuthError::RequestTimeTooSkewed { request_time: claim.date.to_string(), server_time: now })
        }
    }
}

/// By how many milliseconds a time stamp is in the future.
fn ahead(date: AmzDate, now: Timestamp) -> i64 {
    date.timestamp().milliseconds().saturating_sub(now.milliseconds())
}

fn check_life(date: AmzDate, seconds: i64, now: Timestamp) -> Result<(), AuthError> {
    if ahead(date, now) > SKEW_MILLISECONDS_MAX {
        return Err(AuthError::NotYetValid { request_time: date.to_string(), server_time: now });
    }
    let at = date.timestamp().plus_milliseconds(seconds * 1000);
    if now > at { Err(AuthError::Expired { seconds, at, server_time: now }) } else { Ok(()) }
}

fn check_signature(
    request: &RequestView<'_>,
    query: &Query,
    claim: Claim<'_>,
    key: SigningKey,
) -> Result<Verdict, AuthError> {
    let scope = &claim.credential.scope;
    let presigned = claim.lifetime_seconds.is_some();
    let canonical_query = query.canonical(presigned);
    let (first, second) = paths(request.path);
    let attempt = |path: &str| {
        let canonical_request = Canonical {
            method: request.method,
            path,
            query: &canonical_query,
            headers: request.headers,
            signed: &claim.signed,
            payload: claim.payload_text,
        }
        .request();
        let text = string_to_sign(claim.date, scope, &canonical_request);
        let signature = key.sign(&text);
        let matches = signature.matches(claim.signature);
        (matches, signature, text, canonical_request)
    };
    let (mut matches, mut seed, text, canonical_request) = attempt(&first);
    if let Some(second) = second.filter(|_| !matches) {
        (matches, seed, ..) = attempt(second);
    }
    let access_key_id = claim.credential.access_key_id.to_owned();
    if !matches {
        return Err(AuthError::SignatureDoesNotMatch {
            access_key_id,
            string_to_sign: text,
            signature_provided: claim.signature.to_owned(),
            canonical_request: String::from_utf8_lossy(&canonical_request).into_owned(),
        });
    }
    let chain = || SignatureChain::new(key, claim.date, scope.text.to_owned(), seed);
    let payload = claim.payload.with_chain(chain);
    Ok(Verdict { caller: Caller::Key { access_key_id, presigned }, payload })
}
