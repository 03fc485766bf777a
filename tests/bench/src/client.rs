//! A signing S3 client on one connection: no pool and no retry, so that what is measured is the server.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use dialect::sigv4::{PayloadToken, Secret, Signer};
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use model::Timestamp;
use tokio::net::TcpStream;

use crate::error::{Error, Result};

/// Longest text kept of an answer that is not an object.
const TEXT_BYTES_MAX: usize = 8 << 20;
/// How much of a refusal is shown.
const REFUSAL_CHARACTERS: usize = 300;

/// The server that is measured, and who asks.
#[derive(Clone, Debug)]
pub struct Target {
    endpoint: String,
    signer: Arc<Signer>,
}

/// How the body of a request is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    /// By its SHA-256, as the aws cli does over plain HTTP.
    Hashed,
    /// Not at all.
    Unsigned,
}

/// A request before it is signed.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    /// Its method.
    pub method: Method,
    /// Path and query, encoded.
    pub path: String,
    /// Headers beside those of the signature.
    pub headers: Vec<(&'static str, String)>,
    /// Its body and the SHA-256 of it; `None` for an empty one.
    pub content: Option<&'a crate::data::Content>,
    /// How the body is signed.
    pub signing: Signing,
}

/// One connection to the server.
#[derive(Debug)]
pub struct Client {
    target: Target,
    sender: SendRequest<Full<Bytes>>,
}

// === impl Target ===

impl Target {
    /// The server at `host:port`, asked as this identity.
    pub fn new(endpoint: &str, access_key_id: &str, secret: &str, region: &str) -> Self {
        let signer = Signer::new(access_key_id, Secret::new(secret), region);
        Self { endpoint: endpoint.to_owned(), signer: Arc::new(signer) }
    }

    /// Opens a connection.
    pub async fn connect(&self) -> Result<Client> {
        let failed = |source| Error::Connect { endpoint: self.endpoint.clone(), source };
        let stream = TcpStream::connect(&self.endpoint).await.map_err(|error| failed(error.into()))?;
        stream.set_nodelay(true).map_err(|error| failed(error.into()))?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(error.into()))?;
        tokio::spawn(async move {
            // The request that was under way reports the same error.
            if let Err(error) = connection.await {
                eprintln!("a connection ended early: {error}");
            }
        });
        Ok(Client { target: self.clone(), sender })
    }

    fn sign(&self, ask: &Ask<'_>) -> Result<Request<Full<Bytes>>> {
        let failed = |source| Error::Build { what: ask.name(), source };
        let uri: Uri = ask.path.parse().map_err(|error| failed(Box::from(error)))?;
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = ask.method.clone();
        parts.uri = uri;
        parts.headers = ask.headers().map_err(failed)?;
        let host = HeaderValue::from_str(&self.endpoint).map_err(|error| failed(error.into()))?;
        parts.headers.insert(HOST, host);
        let token = match (ask.signing, ask.content) {
            (Signing::Unsigned, _) => PayloadToken::Unsigned,
            (Signing::Hashed, Some(content)) => PayloadToken::Hash(content.sha256),
            (Signing::Hashed, None) => PayloadToken::Hash(EMPTY_SHA256),
        };
        self.signer
            .sign(&mut parts, &token, Timestamp::from(SystemTime::now()))
            .map_err(|error| failed(error.into()))?;
        let body = ask.content.map(|content| content.bytes.clone());
        Ok(Request::from_parts(parts, Full::new(body.unwrap_or_default())))
    }
}

// === impl Ask ===

impl<'a> Ask<'a> {
    /// A request without a body.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: Vec::new(), content: None, signing: Signing::Hashed }
    }

    /// With this body.
    pub fn with(mut self, content: &'a crate::data::Content) -> Self {
        self.content = Some(content);
        self
    }

    /// With this header.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn headers(&self) -> std::result::Result<HeaderMap, Box<dyn std::error::Error + Send + Sync>> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value)?);
        }
        if let Some(content) = self.content {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(content.bytes.len()));
        }
        Ok(headers)
    }
}

// === impl Client ===

impl Client {
    /// Sends a request and returns the text of its answer.
    ///
    /// # Errors
    /// Anything but 2xx is [`Error::Refused`].
    pub async fn text(&mut self, ask: Ask<'_>) -> Result<String> {
        let what = ask.name();
        let (_, response) = self.send(ask).await?;
        collect(&what, response).await
    }

    /// Reads an object and compares it, piece by piece, with the bytes it should have.
    ///
    /// # Errors
    /// [`Error::WrongBytes`] when one byte differs or is missing.
    pub async fn compare(&mut self, ask: Ask<'_>, expected: &[u8]) -> Result<()> {
        let (what, response) = self.send(ask).await?;
        let mut body = response.into_body();
        let mut rest = expected;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|source| Error::Send { what: what.clone(), source })?;
            let Some(piece) = frame.data_ref() else { continue };
            rest = rest.strip_prefix(&piece[..]).ok_or_else(|| Error::WrongBytes { what: what.clone() })?;
        }
        if rest.is_empty() { Ok(()) } else { Err(Error::WrongBytes { what }) }
    }

    async fn send(&mut self, ask: Ask<'_>) -> Result<(String, Response<Incoming>)> {
        let what = ask.name();
        let request = self.target.sign(&ask)?;
        let lost = |source| Error::Send { what: what.clone(), source };
        self.sender.ready().await.map_err(lost)?;
        let response = self.sender.send_request(request).await.map_err(lost)?;
        let status = response.status();
        if status.is_success() {
            return Ok((what, response));
        }
        let text = collect(&what, response).await?;
        Err(Error::Refused {
            what,
            status: status.as_u16(),
            text: text.chars().take(REFUSAL_CHARACTERS).collect(),
        })
    }
}

async fn collect(what: &str, response: Response<Incoming>) -> Result<String> {
    let mut body = response.into_body();
    let mut text = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|source| Error::Send { what: what.to_owned(), source })?;
        let Some(piece) = frame.data_ref() else { continue };
        let room = TEXT_BYTES_MAX - text.len();
        text.extend_from_slice(&piece[..piece.len().min(room)]);
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

const EMPTY_SHA256: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
    0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];
