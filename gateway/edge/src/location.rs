//! Addresses of objects as clients reach them: a store knows only how it was reached itself.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use dialect::xml;
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderMap, Response};
use http_body::Frame;
use http_body_util::BodyExt;
use model::{Body, BodyError, BucketName};

/// Longest address looked at, in bytes: a key of 1 024 bytes, each of them escaped, and what stands before it.
const ADDRESS_BYTES_MAX: usize = 8 << 10;

const START: &[u8] = b"<Location>";

/// What the addresses begin with that are meant for whoever sent these headers; none when they name no host. Whoever
/// takes TLS off before the gateway says so in a header, which is believed: it is told to nobody else.
pub(crate) fn origin(headers: &HeaderMap) -> Option<String> {
    let host = headers.get(HOST)?.to_str().ok()?;
    let proto = headers.get("x-forwarded-proto").and_then(|proto| proto.to_str().ok()).unwrap_or_default();
    // Of several on the way the first was the client's.
    let is_tls = proto.split(',').next().is_some_and(|first| first.trim().eq_ignore_ascii_case("https"));
    Some(format!("{}://{host}", if is_tls { "https" } else { "http" }))
}

/// An answer whose `Location` element, the first of its document, names the gateway instead of the store. All else
/// stays and is handed on as it comes: stores send white space while they work, and may fail after all.
pub(crate) fn readdress(response: Response<Body>, origin: String, bucket: &BucketName) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    parts.headers.remove(CONTENT_LENGTH);
    let edit = Edit { origin, bucket: bucket.clone(), held: BytesMut::new(), over: false };
    Response::from_parts(parts, Readdressed { body: Some(body), edit, after: None }.boxed_unsync())
}

struct Readdressed {
    /// None once it has ended.
    body: Option<Body>,
    edit: Edit,
    /// What comes once all that was held is gone.
    after: Option<Frame<Bytes>>,
}

/// One change in a document that comes in pieces.
struct Edit {
    origin: String,
    bucket: BucketName,
    /// What may be the begin of the element.
    held: BytesMut,
    over: bool,
}

// === impl Readdressed ===

impl http_body::Body for Readdressed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        loop {
            if let Some(frame) = this.after.take() {
                return Poll::Ready(Some(Ok(frame)));
            }
            let Some(body) = &mut this.body else { return Poll::Ready(None) };
            let piece = match ready!(Pin::new(body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.edit.take(data),
                    Err(trailers) => {
                        this.after = Some(trailers);
                        this.edit.rest()
                    }
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    this.body = None;
                    this.edit.rest()
                }
            };
            if !piece.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let ended = self.body.as_ref().is_none_or(http_body::Body::is_end_stream);
        ended && self.after.is_none() && self.edit.held.is_empty()
    }
}

// === impl Edit ===

impl Edit {
    /// Takes in a piece; gives out what can go on.
    fn take(&mut self, data: Bytes) -> Bytes {
        if self.over {
            return data;
        }
        self.held.extend_from_slice(&data);
        let Some(at) = self.held.windows(START.len()).position(|window| window == START) else {
            let opens = self.held.iter().rposition(|byte| *byte == b'<');
            let begins = opens.filter(|at| START.starts_with(&self.held[*at..]));
            return self.held.split_to(begins.unwrap_or(self.held.len())).freeze();
        };
        let from = at + START.len();
        match self.held[from..].iter().position(|byte| *byte == b'<') {
            Some(length) => {
                if let Some(address) = self.address(&self.held[from..from + length]) {
                    let whole =
                        [&self.held[..from], address.as_bytes(), &self.held[from + length..]].concat();
                    self.held = BytesMut::from(&whole[..]);
                }
                self.rest()
            }
            None if self.held.len() - from > ADDRESS_BYTES_MAX => self.rest(),
            None => self.held.split_to(at).freeze(),
        }
    }

    /// All that is held; nothing is changed any more.
    fn rest(&mut self) -> Bytes {
        self.over = true;
        self.held.split().freeze()
    }

    /// The address as the client reaches it; none when it names no host.
    fn address(&self, theirs: &[u8]) -> Option<String> {
        let (_, theirs) = std::str::from_utf8(theirs).ok()?.split_once("://")?;
        let (host, path) = theirs.split_at(theirs.find('/').unwrap_or(theirs.len()));
        let mut address = String::new();
        xml::escape(&self.origin, &mut address);
        // Where the store is asked for a bucket by its host's name.
        if host.strip_prefix(self.bucket.as_str()).is_some_and(|rest| rest.starts_with('.')) {
            address.push_str(&format!("/{}", self.bucket));
        }
        address.push_str(path);
        Some(address)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures_util::{StreamExt, stream};
    use http::HeaderName;
    use http_body_util::StreamBody;

    /// What comes of these pieces, piece by piece.
    async fn pieces(pieces: &[&str]) -> Vec<String> {
        let frames: Vec<_> = pieces.iter().map(|piece| Ok(Frame::data(piece.to_string().into()))).collect();
        let body = StreamBody::new(stream::iter(frames)).boxed_unsync();
        let bucket = BucketName::parse("bkt").unwrap();
        let response = Response::builder().header("content-length", "1").body(body).unwrap();
        let response = readdress(response, "http://gate:9000".to_owned(), &bucket);
        assert!(!response.headers().contains_key("content-length"), "it may be another");
        let text = |data: Bytes| String::from_utf8(data.to_vec()).unwrap();
        response.into_body().into_data_stream().map(|data| text(data.unwrap())).collect().await
    }

    #[tokio::test]
    async fn the_host_is_the_gateways_and_all_else_stays() {
        for (theirs, ours) in [
            ("http://store:7480/bkt/a%20b", "http://gate:9000/bkt/a%20b"),
            ("https://bkt.store/a&amp;b", "http://gate:9000/bkt/a&amp;b"),
            ("http://bkt2.store/bkt/k", "http://gate:9000/bkt/k"),
            ("http://store", "http://gate:9000"),
            ("/bkt/k", "/bkt/k"),
            ("", ""),
        ] {
            let document =
                |address| format!("<?xml?>\n<R><Location>{address}</Location><Key>http://k</Key></R>");
            let (theirs, ours) = (document(theirs), document(ours));
            assert_eq!(pieces(&[&theirs]).await.concat(), ours);
            for at in 0..theirs.len() {
                let (head, tail) = theirs.split_at(at);
                assert_eq!(pieces(&[head, "", tail]).await.concat(), ours, "cut at {at}");
            }
        }
        for other in ["", " ", "<Error><Code>InternalError</Code></Error>", "<Loc", "<Location>http://a/b"] {
            assert_eq!(pieces(&[other]).await.concat(), other);
        }
        let endless = format!("<Location>http://{}", "x".repeat(2 * ADDRESS_BYTES_MAX));
        assert_eq!(pieces(&[&endless, "<"]).await, [endless.as_str(), "<"]);
    }

    #[test]
    fn an_address_begins_as_the_client_reached_the_gateway() {
        let told = |pairs: &[(&'static str, &str)]| {
            let header = |(name, value): &(&'static str, &str)| {
                (HeaderName::from_static(name), value.parse().unwrap())
            };
            origin(&pairs.iter().map(header).collect())
        };
        assert_eq!(told(&[]), None);
        for (proto, expected) in
            [("https", "https://gate:9"), ("HTTPS , http", "https://gate:9"), ("wss", "http://gate:9")]
        {
            assert_eq!(told(&[("host", "gate:9"), ("x-forwarded-proto", proto)]).as_deref(), Some(expected));
        }
        assert_eq!(told(&[("host", "gate:9")]).as_deref(), Some("http://gate:9"));
    }

    #[tokio::test]
    async fn signs_of_life_are_handed_on_at_once() {
        let seen = pieces(&["<?xml?>", " ", " ", "<R><Location>http://s/k</Location>", "</R>"]).await;
        assert_eq!(seen, ["<?xml?>", " ", " ", "<R><Location>http://gate:9000/k</Location>", "</R>"]);
    }
}
