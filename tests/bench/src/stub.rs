//! The cheapest store there can be, so that what stands in front of it is what is measured.
//!
//! A key ending in `-4k` or `-64m` is an object of that many bytes which is always there; what is put under it is
//! thrown away. Any other key is kept in memory as it was put: the few small objects a gateway keeps on its store.
//! Buckets are all there, empty and without settings. Nothing is signed, checked or kept to disk.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What is read at once, and the longest head.
const BUFFER_BYTES: usize = 256 << 10;
/// The bytes objects are made of.
const PAGE_BYTES: usize = 1 << 20;
/// What is sent together with the head of an answer.
const FIRST_BYTES: usize = 64 << 10;
/// Longest object that is kept.
const KEPT_BYTES_MAX: usize = 1 << 20;
/// Most objects that are kept.
const KEPT_MAX: usize = 4096;

/// What all connections share.
struct Shelf {
    page: Vec<u8>,
    kept: Mutex<BTreeMap<String, Vec<u8>>>,
}

/// One connection: bytes that came and were not looked at yet are `buffer[..have]`.
struct Visitor {
    stream: TcpStream,
    shelf: Arc<Shelf>,
    buffer: Vec<u8>,
    have: usize,
}

/// What the stub looks at in a request.
struct Asked {
    method: String,
    path: String,
    query: String,
    length: usize,
    chunked: bool,
    expects: bool,
}

/// Answers on this address until the process ends.
///
/// # Errors
/// The address cannot be listened on.
pub async fn serve(address: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let page = (0..PAGE_BYTES).map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect();
    let shelf = Arc::new(Shelf { page, kept: Mutex::default() });
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let visitor = Visitor { stream, shelf: shelf.clone(), buffer: vec![0; BUFFER_BYTES], have: 0 };
        tokio::spawn(async move {
            // A client that hangs up ends its connection and nothing else.
            if let Err(error) = visitor.serve().await
                && error.kind() == io::ErrorKind::InvalidData
            {
                eprintln!("stub: {error}");
            }
        });
    }
}

/// The length a key names: `-4k`, `-64m`.
fn named_bytes(path: &str) -> Option<usize> {
    let (_, last) = path.rsplit_once('-')?;
    let (digits, unit) = match (last.strip_suffix('k'), last.strip_suffix('m')) {
        (Some(digits), _) => (digits, 1 << 10),
        (_, Some(digits)) => (digits, 1 << 20),
        _ => return None,
    };
    digits.parse::<usize>().ok().map(|count| count * unit)
}

// === impl Shelf ===

impl Shelf {
    fn kept(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Asked ===

impl Asked {
    fn parse(head: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(head).ok()?;
        let mut lines = text.split("\r\n");
        let mut words = lines.next()?.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (mut length, mut chunked, mut expects) = (0, false, false);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok()?;
            } else if name.eq_ignore_ascii_case("transfer-encoding") {
                chunked = true;
            } else if name.eq_ignore_ascii_case("expect") {
                expects = true;
            }
        }
        let (method, path, query) = (method.to_owned(), path.to_owned(), query.to_owned());
        Some(Self { method, path, query, length, chunked, expects })
    }

    fn names_object(&self) -> bool {
        self.path.trim_start_matches('/').split_once('/').is_some_and(|(_, key)| !key.is_empty())
    }
}

// === impl Visitor ===

impl Visitor {
    async fn serve(mut self) -> io::Result<()> {
        while let Some(asked) = self.head().await? {
            if asked.expects {
                self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
            }
            let body = match asked.chunked {
                true => self.chunks().await.map(|()| Vec::new())?,
                false => self.body(asked.length).await?,
            };
            self.answer(&asked, body).await?;
        }
        Ok(())
    }

    async fn read(&mut self) -> io::Result<usize> {
        let more = self.stream.read(&mut self.buffer[self.have..]).await?;
        self.have += more;
        Ok(more)
    }

    /// The next head; none when the client is done.
    async fn head(&mut self) -> io::Result<Option<Asked>> {
        let mut looked = 0;
        loop {
            if let Some(at) = self.buffer[looked..self.have].windows(4).position(|four| four == b"\r\n\r\n") {
                let end = looked + at + 4;
                let asked = Asked::parse(&self.buffer[..end]).ok_or_else(|| invalid("a head"))?;
                self.take(end);
                return Ok(Some(asked));
            }
            looked = self.have.saturating_sub(3);
            if self.have == self.buffer.len() {
                return Err(invalid("the length of a head"));
            }
            if self.read().await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Forgets the first `count` bytes.
    fn take(&mut self, count: usize) {
        self.buffer.copy_within(count..self.have, 0);
        self.have -= count;
    }

    /// Swallows a body, and returns a short one.
    async fn body(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut kept = Vec::new();
        let mut left = length;
        loop {
            let here = left.min(self.have);
            if length <= KEPT_BYTES_MAX {
                kept.extend_from_slice(&self.buffer[..here]);
            }
            self.take(here);
            left -= here;
            if left == 0 {
                return Ok(kept);
            }
            if self.read().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Swallows a chunked body, which is known by its end: nobody here sends the next request before the answer.
    async fn chunks(&mut self) -> io::Result<()> {
        while !self.buffer[..self.have].ends_with(b"0\r\n\r\n") {
            if self.have > BUFFER_BYTES / 2 {
                self.take(self.have - 8);
            }
            if self.read().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        self.have = 0;
        Ok(())
    }

    async fn answer(&mut self, asked: &Asked, body: Vec<u8>) -> io::Result<()> {
        let is_head = asked.method == "HEAD";
        match asked.method.as_str() {
            "GET" | "HEAD" if asked.names_object() => match named_bytes(&asked.path) {
                Some(bytes) => self.object(bytes, is_head).await,
                None => self.kept(&asked.path, is_head).await,
            },
            "GET" | "HEAD" => {
                let document = match asked.path.as_str() {
                    "/" => Some("<ListAllMyBucketsResult></ListAllMyBucketsResult>"),
                    _ => bucket_document(&asked.query),
                };
                let status = if document.is_some() { "200 OK" } else { "404 Not Found" };
                self.send(status, document.unwrap_or_default().as_bytes(), is_head).await
            }
            "DELETE" => {
                self.shelf.kept().remove(&asked.path);
                self.send("204 No Content", b"", true).await
            }
            _ => {
                if asked.names_object() && named_bytes(&asked.path).is_none() {
                    let mut kept = self.shelf.kept();
                    if kept.len() < KEPT_MAX {
                        kept.insert(asked.path.clone(), body);
                    }
                }
                self.send("200 OK", b"", false).await
            }
        }
    }

    async fn kept(&mut self, path: &str, is_head: bool) -> io::Result<()> {
        let kept = self.shelf.kept().get(path).cloned();
        let status = if kept.is_some() { "200 OK" } else { "404 Not Found" };
        let body = kept.unwrap_or_else(|| NO_SUCH_KEY.into());
        self.send(status, &body, is_head).await
    }

    async fn object(&mut self, bytes: usize, is_head: bool) -> io::Result<()> {
        let mut first = head("200 OK", bytes);
        let with_head = if is_head { 0 } else { bytes.min(FIRST_BYTES) };
        first.extend_from_slice(&self.shelf.page[..with_head]);
        self.stream.write_all(&first).await?;
        let mut left = if is_head { 0 } else { bytes - with_head };
        while left > 0 {
            let piece = left.min(PAGE_BYTES);
            self.stream.write_all(&self.shelf.page[..piece]).await?;
            left -= piece;
        }
        Ok(())
    }

    async fn send(&mut self, status: &str, body: &[u8], is_head: bool) -> io::Result<()> {
        let mut answer = head(status, body.len());
        if !is_head {
            answer.extend_from_slice(body);
        }
        self.stream.write_all(&answer).await
    }
}

/// The head of an answer with this length.
fn head(status: &str, bytes: usize) -> Vec<u8> {
    let mut head = String::with_capacity(256);
    // Writing to a string cannot fail.
    write!(head, "HTTP/1.1 {status}\r\n{COMMON}Content-Length: {bytes}\r\n\r\n").unwrap_or_default();
    head.into_bytes()
}

/// What a bucket says of itself; none for a setting it does not have.
fn bucket_document(query: &str) -> Option<&'static str> {
    let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
    match () {
        () if query.is_empty() => Some(""),
        () if has("uploads") => Some("<ListMultipartUploadsResult></ListMultipartUploadsResult>"),
        () if has("versions") => Some("<ListVersionsResult></ListVersionsResult>"),
        () if has("versioning") => Some("<VersioningConfiguration></VersioningConfiguration>"),
        () if has("notification") => Some("<NotificationConfiguration></NotificationConfiguration>"),
        () if has("list-type") || has("prefix") || has("max-keys") => {
            Some("<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
        }
        () => None,
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} is not understood"))
}

const COMMON: &str = "Content-Type: application/octet-stream\r\n\
    ETag: \"d41d8cd98f00b204e9800998ecf8427e\"\r\n\
    Last-Modified: Tue, 01 Jan 2030 00:00:00 GMT\r\n\
    Accept-Ranges: bytes\r\n";
const NO_SUCH_KEY: &str = "<Error><Code>NoSuchKey</Code></Error>";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn keys_name_their_length() {
        assert_eq!(named_bytes("/bucket/o-4k"), Some(4096));
        assert_eq!(named_bytes("/bucket/o-64m"), Some(64 << 20));
        assert_eq!(named_bytes("/bucket-4/k"), None);
        assert_eq!(named_bytes("/tapegate-copies/catalog"), None);
    }

    #[test]
    fn heads_are_understood_whatever_their_case() {
        let head = b"PUT /b/o-4k?x=1 HTTP/1.1\r\ncontent-LENGTH: 12\r\nExpect: 100-continue\r\n\r\n";
        let asked = Asked::parse(head).unwrap();
        assert_eq!(
            (asked.method.as_str(), asked.path.as_str(), asked.query.as_str()),
            ("PUT", "/b/o-4k", "x=1")
        );
        assert!(asked.length == 12 && asked.expects && !asked.chunked && asked.names_object());
    }
}
