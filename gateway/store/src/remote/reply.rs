//! The store's answer as it goes on to the client: headers of the connection dropped, all else kept, the body under
//! a time.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use dialect::S3Error;
use http::Response;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use model::{Body, BodyError};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;

use super::gate::Lifeline;
use super::message;
use super::pool::Line;

/// What an answer keeps until it was read.
pub(super) struct Holds {
    line: Line,
    _lifeline: Lifeline,
    _permit: OwnedSemaphorePermit,
}

/// An answer's body.
struct Reply {
    /// None once it ended or failed, so that the connection is free at once.
    incoming: Option<(Incoming, Holds)>,
    idle: Duration,
    /// Runs while somebody waits.
    sleep: Option<Pin<Box<Sleep>>>,
}

/// The answer for the client.
pub(super) async fn relay(
    response: Response<Incoming>,
    holds: Holds,
    idle: Duration,
    to_head: bool,
) -> Response<Body> {
    let (mut parts, incoming) = response.into_parts();
    dialect::hop::strip(&mut parts.headers);
    parts.extensions.clear();
    let body = Reply { incoming: Some((incoming, holds)), idle, sleep: None }.boxed_unsync();
    let failed = parts.status.is_client_error() || parts.status.is_server_error();
    if failed && !to_head { message::fill(parts, body).await } else { Response::from_parts(parts, body) }
}

/// A refusal of our own. It carries its error, for whoever can name the request it is about.
pub(super) fn refusal(error: S3Error, to_head: bool) -> Response<Body> {
    let document = if to_head { Vec::new() } else { error.document("", "remote") };
    let mut response = Response::new(Body::default());
    *response.status_mut() = error.status();
    let headers = response.headers_mut();
    if !to_head {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(document.len()));
    }
    for (name, value) in &error.headers {
        headers.insert(name.clone(), value.clone());
    }
    response.extensions_mut().insert(error);
    response.map(|_: Body| model::body::full(document))
}

// === impl Holds ===

impl Holds {
    pub(super) fn new(line: Line, lifeline: Lifeline, permit: OwnedSemaphorePermit) -> Self {
        Self { line, _lifeline: lifeline, _permit: permit }
    }
}

// === impl Reply ===

impl Drop for Reply {
    /// Whoever knows the length of a body does not ask for its end.
    fn drop(&mut self) {
        if let Some((incoming, holds)) = self.incoming.take()
            && incoming.is_end_stream()
        {
            holds.line.give_back();
        }
    }
}

impl http_body::Body for Reply {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let Some((incoming, holds)) = &mut this.incoming else { return Poll::Ready(None) };
        let broken = match holds.line.poll_frame(incoming, context) {
            Poll::Ready(Some(Ok(frame))) => {
                this.sleep = None;
                return Poll::Ready(Some(Ok(frame)));
            }
            Poll::Ready(None) => {
                if let Some((_, holds)) = this.incoming.take() {
                    holds.line.give_back();
                }
                return Poll::Ready(None);
            }
            Poll::Ready(Some(Err(error))) => io::Error::other(error),
            Poll::Pending => {
                let idle = this.idle;
                let sleep = this.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(idle)));
                std::task::ready!(sleep.as_mut().poll(context));
                io::Error::from(io::ErrorKind::TimedOut)
            }
        };
        this.incoming = None;
        Poll::Ready(Some(Err(BodyError::Broken(broken))))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(|(incoming, _)| incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or(SizeHint::with_exact(0), |(incoming, _)| incoming.size_hint())
    }
}
