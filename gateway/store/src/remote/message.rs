//! Error documents without a text get one: clients that look for a message find none and fail on that, hiding the
//! code (Ceph RGW sends an empty `Message`).

use bytes::{Bytes, BytesMut};
use dialect::{Code, xml};
use futures_util::{StreamExt, stream};
use http::Response;
use http::header::{CONTENT_LENGTH, HeaderValue};
use http::response::Parts;
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, BodyStream, StreamBody};
use model::{Body, BodyError};

/// Longest error document looked at, in bytes; longer ones pass as they are.
const BYTES_MAX: usize = 64 << 10;

/// The answer with a text in its error document.
pub(super) async fn fill(mut parts: Parts, mut body: Body) -> Response<Body> {
    if body.size_hint().lower() > BYTES_MAX as u64 {
        return Response::from_parts(parts, body);
    }
    let mut read = BytesMut::new();
    while read.len() <= BYTES_MAX {
        match body.frame().await {
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    read.extend_from_slice(&data);
                }
            }
            Some(Err(error)) => {
                let rest = stream::iter([Err(error)]);
                return Response::from_parts(parts, after(read.freeze(), rest));
            }
            None => {
                let document = filled(&read).map_or_else(|| read.freeze(), Bytes::from);
                if parts.headers.contains_key(CONTENT_LENGTH) {
                    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(document.len()));
                }
                return Response::from_parts(parts, model::body::full(document));
            }
        }
    }
    Response::from_parts(parts, after(read.freeze(), BodyStream::new(body)))
}

/// What was read already, and the rest.
fn after(
    read: Bytes,
    rest: impl futures_util::Stream<Item = Result<Frame<Bytes>, BodyError>> + Send + 'static,
) -> Body {
    StreamBody::new(stream::iter([Ok(Frame::data(read))]).chain(rest)).boxed_unsync()
}

/// The document with a text where it had none; nothing when it has one, or is no error document.
fn filled(document: &[u8]) -> Option<Vec<u8>> {
    let error = xml::read(document, "Error", BYTES_MAX).ok()?;
    let code = error.leaf("Code").ok()??;
    let told = error.leaf("Message").ok()?;
    if told.is_some_and(|message| !message.is_empty()) {
        return None;
    }
    let mut element = String::from("<Message>");
    match Code::parse(code) {
        Some(code) => xml::escape(code.message(), &mut element),
        None => xml::escape(&format!("The store refused the request ({code})."), &mut element),
    }
    element.push_str("</Message>");
    let text = std::str::from_utf8(document).ok()?;
    let (from, to) = if told.is_some() {
        ["<Message></Message>", "<Message/>", "<Message />"]
            .iter()
            .find_map(|empty| text.find(empty).map(|at| (at, at + empty.len())))?
    } else {
        let at = text.find("</Code>")? + "</Code>".len();
        (at, at)
    };
    Some(format!("{}{element}{}", &text[..from], &text[to..]).into_bytes())
}

#[cfg(test)]
mod tests;
