//! The leanest client: requests signed beforehand and written as they are, answers read for their length alone, so
//! that the load costs little beside what is measured.

use std::io;

use bytes::Bytes;
use dialect::checksum::{Algorithm, Hasher};
use dialect::sigv4::{PayloadToken, Signer};
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderValue, Method, Request, Uri};
use model::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::data::Content;

/// What is read at once, and the longest head of an answer.
const BUFFER_BYTES: usize = 256 << 10;
/// Bodies up to here are written together with their head.
const TOGETHER_BYTES: usize = 64 << 10;

/// What a client promises of the body of a PUT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// Nothing.
    Nothing,
    /// Its SHA-256, signed.
    Sha256,
    /// Its CRC-32 in a header.
    Crc32,
}

/// A request ready to be written.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The head, and a short body.
    first: Bytes,
    /// A long body.
    rest: Bytes,
    /// Bytes the answer must have.
    answer_bytes: usize,
}

/// One connection.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

type Trouble = Box<dyn std::error::Error + Send + Sync>;

// === impl Prepared ===

impl Prepared {
    /// A GET of an object of so many bytes, signed as of now.
    ///
    /// # Errors
    /// The path or the endpoint cannot stand in a request.
    pub fn get(
        signer: &Signer,
        host: &str,
        path: &str,
        bytes: usize,
        now: Timestamp,
    ) -> Result<Self, Trouble> {
        let head = head(signer, host, Method::GET, path, None, now)?;
        Ok(Self { first: head.into(), rest: Bytes::new(), answer_bytes: bytes })
    }

    /// A PUT of this body, signed as of now.
    ///
    /// # Errors
    /// The path or the endpoint cannot stand in a request.
    pub fn put(
        signer: &Signer,
        host: &str,
        path: &str,
        (content, promise): (&Content, Promise),
        now: Timestamp,
    ) -> Result<Self, Trouble> {
        let mut first = head(signer, host, Method::PUT, path, Some((content, promise)), now)?;
        let mut rest = content.bytes.clone();
        if rest.len() <= TOGETHER_BYTES {
            first.extend_from_slice(&rest);
            rest = Bytes::new();
        }
        Ok(Self { first: first.into(), rest, answer_bytes: 0 })
    }
}

fn head(
    signer: &Signer,
    host: &str,
    method: Method,
    path: &str,
    body: Option<(&Content, Promise)>,
    now: Timestamp,
) -> Result<Vec<u8>, Trouble> {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = method;
    parts.uri = path.parse::<Uri>()?;
    parts.headers.insert(HOST, HeaderValue::from_str(host)?);
    let mut token = PayloadToken::Unsigned;
    if let Some((content, promise)) = body {
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(content.bytes.len()));
        match promise {
            Promise::Nothing => {}
            Promise::Sha256 => token = PayloadToken::Hash(content.sha256),
            Promise::Crc32 => {
                let mut hasher = Hasher::new(Algorithm::Crc32);
                hasher.update(&content.bytes);
                let value = hasher.finish().to_base64();
                parts.headers.insert("x-amz-checksum-crc32", HeaderValue::from_str(&value)?);
            }
        }
    }
    signer.sign(&mut parts, &token, now)?;
    let mut text = format!("{} {} HTTP/1.1\r\n", parts.method, parts.uri).into_bytes();
    for (name, value) in &parts.headers {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    Ok(text)
}

// === impl Wire ===

impl Wire {
    /// Opens a connection.
    ///
    /// # Errors
    /// Nobody listens.
    pub async fn connect(endpoint: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(endpoint).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; BUFFER_BYTES] })
    }

    /// Sends a request and reads its answer to the end.
    ///
    /// # Errors
    /// The connection breaks, the answer is no success, or it has another length than it should have.
    pub async fn exchange(&mut self, request: &Prepared) -> io::Result<()> {
        self.stream.write_all(&request.first).await?;
        if !request.rest.is_empty() {
            self.stream.write_all(&request.rest).await?;
        }
        let mut have = 0;
        let (end, length) = loop {
            let more = self.stream.read(&mut self.buffer[have..]).await?;
            if more == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            have += more;
            if let Some(at) = self.buffer[..have].windows(4).position(|four| four == b"\r\n\r\n") {
                break (at + 4, answer_length(&self.buffer[..at])?);
            }
        };
        let mut left = (end + length).checked_sub(have).ok_or_else(|| wrong("more than it announced"))?;
        while left > 0 {
            let more = self.stream.read(&mut self.buffer).await?;
            left = left.checked_sub(more).ok_or_else(|| wrong("more than it announced"))?;
            if more == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        if length == request.answer_bytes { Ok(()) } else { Err(wrong("of another length")) }
    }
}

/// The length an answer announces.
fn answer_length(head: &[u8]) -> io::Result<usize> {
    let text = std::str::from_utf8(head).map_err(|_| wrong("not text"))?;
    let mut lines = text.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 2") {
        return Err(wrong(status));
    }
    let mut headers = lines.filter_map(|line| line.split_once(':'));
    let length = headers.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = length.map_or(Ok(0), |(_, value)| value.trim().parse());
    length.map_err(|_| wrong("without a length"))
}

fn wrong(what: &str) -> io::Error {
    io::Error::other(format!("the answer is {what}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn answers_tell_their_length() {
        assert_eq!(answer_length(b"HTTP/1.1 200 OK\r\nx: y\r\nContent-length: 12").unwrap(), 12);
        assert_eq!(answer_length(b"HTTP/1.1 204 No Content").unwrap(), 0);
        assert!(answer_length(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 1").is_err());
    }
}
