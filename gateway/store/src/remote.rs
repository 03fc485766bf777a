//! A store behind a network: any endpoint that speaks S3.
//!
//! Words: the *head* is a request without its body; a *relay* carries a body to the store; a *reply* carries one
//! back; *silence* is an answer that did not come.
//!
//! Flow: the head is copied but for what concerns the connection or a signature, and signed with the key the request
//! names; an empty body is read to its end first, any other is relayed piece by piece with the last piece held back
//! until the body ended well; the reply is handed on as it comes.
//!
//! Invariant: a body that does not end well is never the whole of a body to the store.
//! Invariant: once the store has answered, no byte of a body follows, and that connection serves nobody else.
//! Invariant: nothing is sent twice but a GET or HEAD whose connection broke before an answer.
//! Invariant: late checksums are passed on or checked here, and a store never sees both framing and plain bytes.
//! Invariant: no request of the gateway's own waits for a client.
//! Invariant: secrets and signatures stand in no error and no log.

mod check;
mod connect;
mod gate;
mod head;
mod message;
mod pool;
mod relay;
mod reply;
mod settings;
mod sign;
mod silence;
mod trailed;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use async_trait::async_trait;
use dialect::sigv4::PayloadToken;
use dialect::{Code, S3Error};
use http::header::{CONTENT_LENGTH, EXPECT, HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use model::store::{Capabilities, Signer, StoreError};
use model::{Body, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Error;
use crate::service::{OwnRequest, S3Service, Swap, ToClient};
use check::Check;
use connect::Connector;
use gate::{Gate, Lifeline, Pass};
use pool::{Line, Pool};
use relay::{Framing, Relay};
use reply::Holds;
use sign::Keys;
use trailed::Trailed;

pub use settings::{
    Addressing, BucketOwner, ClientCertificate, Endpoint, OWNER_BYTES_MAX, RemoteSettings, StoreKey,
    Timeouts, TlsFiles, UNPROVEN,
};
pub use silence::Silence;

/// Bodies longer than this wait until the store says that it wants them, in bytes.
const EXPECT_BYTES: u64 = 1 << 20;
/// How often a GET or HEAD is sent once more: every kept connection may have been closed by the store.
const RETRIES_MAX: usize = 3;

/// A store behind a network. It is used within a tokio runtime.
pub struct RemoteStore {
    endpoint: Endpoint,
    addressing: Addressing,
    expected_owner: Option<BucketOwner>,
    timeouts: Timeouts,
    keys: Keys,
    pool: Arc<Pool>,
    /// For requests whose bodies clients send and read as slowly as they like.
    clients_room: Arc<Semaphore>,
    /// For the gateway's own, which never wait for clients.
    own_room: Arc<Semaphore>,
    capabilities: RwLock<Capabilities>,
}

/// Marks a request of a probe, which may use what is not proven yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trial;

/// Why there is no answer of the store's.
enum Failure {
    /// This is the answer.
    Refused(S3Error),
    /// There is none.
    Silent(Silence),
}

// === impl RemoteStore ===

impl RemoteStore {
    /// Prepares to speak to a store; connects to nothing yet.
    ///
    /// # Errors
    /// [`Error::OpenRemote`] when a file of TLS cannot be used or the system has no authorities.
    pub fn open(settings: RemoteSettings) -> Result<Self, Error> {
        let failed = |source| Error::OpenRemote { endpoint: settings.endpoint.to_string(), source };
        let connector = Connector::new(&settings).map_err(failed)?;
        Ok(Self {
            keys: Keys::new(&settings),
            pool: Pool::new(connector, &settings),
            clients_room: room_for(settings.connections_max),
            own_room: room_for(settings.own_connections_max),
            capabilities: RwLock::new(settings.capabilities),
            endpoint: settings.endpoint,
            addressing: settings.addressing,
            expected_owner: settings.expected_owner,
            timeouts: settings.timeouts,
        })
    }

    /// Takes what a probe has proven from now on.
    pub fn set_capabilities(&self, proven: Capabilities) {
        *self.capabilities.write().unwrap_or_else(PoisonError::into_inner) = proven;
    }

    /// Where the store is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    async fn forward(&self, mut head: Parts, body: Body) -> Result<Response<Body>, Failure> {
        let own = head.extensions.get::<OwnRequest>().is_some();
        let to_client = head.extensions.get::<ToClient>().is_some();
        let permit = self.permit(if own && !to_client { &self.own_room } else { &self.clients_room }).await?;
        if let Some(owner) = self.expected_owner.as_ref().filter(|_| own) {
            head::expect_owner(&mut head, owner);
        }
        let signer = if own { Signer::Service } else { signer(&head) };
        let trailers = self.capabilities().trailers || head.extensions.get::<Trial>().is_some();
        let late = Trailed::announced(&head.headers).filter(|_| trailers);
        // What is announced and cannot be passed on is checked here, whatever the store can do.
        let passes = trailers && (late.is_some() || !head.headers.contains_key(ANNOUNCEMENT));
        let check = if own || passes { Check::none() } else { Check::of(&head)? };
        let length = declared_bytes(&head, &body);
        let promised = head.headers.contains_key(CONTENT_LENGTH);
        let mut parts = head::forward(head, &self.endpoint, self.addressing)
            .map_err(|_| Failure::Refused(Code::InvalidURI.into()))?;
        match length? {
            0 => {
                let sums = drain(body, check, promised).await?;
                promote(&mut parts.headers, &sums);
                let writes = parts.method == Method::PUT || parts.method == Method::POST;
                if promised && !reads(&parts.method) || writes {
                    head::set_length(&mut parts.headers, 0);
                }
                self.sign(&mut parts, &signer, &NO_BYTES)?;
                self.exchange_bare(parts, permit).await
            }
            length => {
                let (framing, token) = match late {
                    Some(algorithm) => {
                        let trailed = Trailed::new(algorithm, length);
                        frame_head(&mut parts.headers, length);
                        head::set_length(&mut parts.headers, trailed.wire_bytes());
                        (Framing::Trailed(trailed), PayloadToken::StreamingUnsignedTrailer)
                    }
                    None => {
                        forget_trailers(&mut parts.headers);
                        head::set_length(&mut parts.headers, length);
                        (Framing::Plain, PayloadToken::Unsigned)
                    }
                };
                self.sign(&mut parts, &signer, &token)?;
                let gate = Gate::new(if length > EXPECT_BYTES { Pass::Closed } else { Pass::Open });
                let relay = Relay::new(body, length, check, framing, Arc::clone(&gate));
                self.exchange(parts, relay, gate, permit).await
            }
        }
    }

    fn sign(&self, parts: &mut Parts, signer: &Signer, payload: &PayloadToken) -> Result<(), S3Error> {
        self.keys.sign(parts, signer, payload, Timestamp::from(SystemTime::now()))
    }

    /// One of the connections allowed.
    async fn permit(&self, room: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Failure> {
        if let Ok(permit) = Arc::clone(room).try_acquire_owned() {
            return Ok(permit);
        }
        let waiting = Arc::clone(room).acquire_owned();
        match tokio::time::timeout(self.timeouts.connect, waiting).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Failure::Refused(Code::SlowDown.into())),
        }
    }

    /// A request without a body, sent again where that is harmless.
    async fn exchange_bare(
        &self,
        mut parts: Parts,
        permit: OwnedSemaphorePermit,
    ) -> Result<Response<Body>, Failure> {
        let to_head = parts.method == Method::HEAD;
        let mut left = if reads(&parts.method) { RETRIES_MAX } else { 0 };
        loop {
            let again = (left > 0).then(|| parts.clone());
            let gate = Gate::new(Pass::Open);
            gate.moves(true);
            let lifeline = Lifeline::new(&gate);
            let request = Request::from_parts(parts, Relay::empty(Arc::clone(&gate)));
            match self.answer(request, &gate).await {
                Ok((response, line)) => {
                    let holds = Holds::new(line, lifeline, permit);
                    return Ok(reply::relay(response, holds, self.timeouts.idle, to_head).await);
                }
                Err(silence) => match again.filter(|_| silence.is_reset()) {
                    Some(again) => (parts, left) = (again, left - 1),
                    None => return Err(Failure::Silent(silence)),
                },
            }
        }
    }

    /// A request with a body.
    async fn exchange(
        &self,
        mut parts: Parts,
        relay: Relay,
        gate: Arc<Gate>,
        permit: OwnedSemaphorePermit,
    ) -> Result<Response<Body>, Failure> {
        let lifeline = Lifeline::new(&gate);
        let expects = gate.pass() == Pass::Closed;
        let (to_head, writes) = (parts.method == Method::HEAD, !reads(&parts.method));
        if expects {
            parts.headers.insert(EXPECT, HeaderValue::from_static("100-continue"));
        }
        let mut request = Request::from_parts(parts, relay);
        if expects {
            let gate = Arc::clone(&gate);
            hyper::ext::on_informational(&mut request, move |informational| {
                if informational.status() == http::StatusCode::CONTINUE {
                    gate.open();
                }
            });
        }
        let answered = self.answer(request, &gate).await;
        if let Some(refused) = gate.take_failure() {
            return Err(Failure::Refused(refused));
        }
        let (response, line) = answered.map_err(Failure::Silent)?;
        let ended = gate.answered();
        // What was not there yet cannot have been checked or stored. The body of a read means nothing to a store.
        if !ended && writes && response.status().is_success() {
            return Err(Failure::Silent(Silence::Premature(response.status())));
        }
        let holds = Holds::new(line, lifeline, permit);
        Ok(reply::relay(response, holds, self.timeouts.idle, to_head).await)
    }

    /// Waits for an answer as long as something moves, or the body's own sender is what is waited for.
    async fn answer(
        &self,
        request: Request<Relay>,
        gate: &Gate,
    ) -> Result<(Response<Incoming>, Line), Silence> {
        let limit = self.timeouts.head;
        let mut answer = std::pin::pin!(self.pool.request(request));
        loop {
            let until = gate.silent_since() + limit;
            match tokio::time::timeout_at(until, &mut answer).await {
                Ok(answered) => return answered,
                Err(_) if gate.silent_since().elapsed() < limit => {}
                Err(_) => return Err(Silence::Timeout(limit)),
            }
        }
    }
}

#[async_trait]
impl S3Service for RemoteStore {
    async fn call(&self, request: Request<Body>) -> Result<Response<Body>, StoreError> {
        let (head, body) = request.into_parts();
        let (method, target) = (head.method.clone(), head.uri.clone());
        let to_head = method == Method::HEAD;
        match self.forward(head, body).await {
            Ok(response) => Ok(response),
            Err(Failure::Refused(error)) => Ok(reply::refusal(error, to_head)),
            Err(Failure::Silent(source)) => {
                let what = format!("{method} {}", target.path());
                Err(StoreError::Doubt { what, source: Box::new(source) })
            }
        }
    }

    fn capabilities(&self) -> Capabilities {
        *self.capabilities.read().unwrap_or_else(PoisonError::into_inner)
    }

    async fn swap_in_place(&self, swap: Swap) -> Result<(), StoreError> {
        let what = format!("a swap of {}/{}", swap.target.bucket, swap.target.key);
        let code = Code::NotImplemented;
        Err(StoreError::Refused { what, status: code.status().as_u16(), code: code.as_str().to_owned() })
    }
}

impl From<S3Error> for Failure {
    fn from(error: S3Error) -> Self {
        Self::Refused(error)
    }
}

fn room_for(connections: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(connections.clamp(1, Semaphore::MAX_PERMITS)))
}

fn signer(head: &Parts) -> Signer {
    head.extensions.get::<Signer>().cloned().unwrap_or(Signer::Service)
}

fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// The length of a body, as its head or the body itself says; none when neither knows, since a request that tells no
/// length has no body (RFC 9112 6.3).
fn declared_bytes(head: &Parts, body: &Body) -> Result<u64, S3Error> {
    match head.headers.get(CONTENT_LENGTH) {
        None => Ok(body.size_hint().exact().unwrap_or(0)),
        Some(value) => {
            let length = value.to_str().ok().and_then(|text| text.parse().ok());
            length.ok_or_else(|| S3Error::invalid_request("The Content-Length header cannot be read."))
        }
    }
}

/// Reads the end of a body of no bytes, which may still turn out to be refused. Returns its trailers.
async fn drain(mut body: Body, mut check: Check, promised: bool) -> Result<HeaderMap, S3Error> {
    let mut trailers = None;
    while let Some(frame) = body.frame().await {
        match frame.map_err(|error| relay::refusal(&error))?.into_data() {
            Ok(data) if data.is_empty() => {}
            Ok(_) if promised => return Err(Code::IncompleteBody.into()),
            Ok(_) => return Err(Code::MissingContentLength.into()),
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    check.finish(trailers.as_ref())?;
    Ok(trailers.unwrap_or_default())
}

/// Late checksums that came in time, since nothing stood before them.
fn promote(headers: &mut HeaderMap, late: &HeaderMap) {
    if !headers.contains_key(ANNOUNCEMENT) {
        return;
    }
    for (name, value) in late.iter().filter(|(name, _)| name.as_str().starts_with("x-amz-checksum-")) {
        headers.insert(name.clone(), value.clone());
    }
    headers.remove(ANNOUNCEMENT);
}

/// Makes the head announce a framed body.
fn frame_head(headers: &mut HeaderMap, length: u64) {
    headers.insert(DECODED_LENGTH, HeaderValue::from(length));
    let kept = headers.get(http::header::CONTENT_ENCODING).and_then(|value| value.to_str().ok());
    let encoding = kept.map_or_else(|| "aws-chunked".to_owned(), |kept| format!("aws-chunked,{kept}"));
    if let Ok(value) = HeaderValue::try_from(encoding) {
        headers.insert(http::header::CONTENT_ENCODING, value);
    }
}

/// Makes the head of a plain body say nothing of checksums that do not come; they were checked here.
fn forget_trailers(headers: &mut HeaderMap) {
    if headers.remove(ANNOUNCEMENT).is_some() {
        headers.remove("x-amz-sdk-checksum-algorithm");
    }
}

const ANNOUNCEMENT: HeaderName = HeaderName::from_static("x-amz-trailer");
const DECODED_LENGTH: HeaderName = HeaderName::from_static("x-amz-decoded-content-length");

/// SHA-256 of nothing.
const NO_BYTES: PayloadToken = PayloadToken::Hash([
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
    0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
]);

const _: () = assert!(EXPECT_BYTES >= model::limits::STUB_BYTES);
