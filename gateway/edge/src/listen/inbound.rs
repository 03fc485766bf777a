//! The body as it comes from the connection, which the listener keeps a hand on: what an operation leaves unread
//! decides how the connection goes on.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use model::{Body, BodyError};
use tokio::time::{Instant, Sleep};

/// Most bytes of an unread body that are read before the answer.
const DRAIN_BYTES: usize = 1 << 20;
/// Longest that an unread body is read before the answer.
const DRAIN: Duration = Duration::from_secs(2);

/// The listener's hand on a body.
pub(super) struct Inbound(Arc<Mutex<Source>>);

struct Source {
    body: Incoming,
    /// Somebody has asked for bytes that there are: the client was told to go on.
    begun: bool,
    ended: bool,
    idle: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

/// The readers' side.
struct Reader(Arc<Mutex<Source>>);

// === impl Inbound ===

impl Inbound {
    pub(super) fn new(body: Incoming, idle: Duration) -> Self {
        let ended = body.is_end_stream();
        Self(Arc::new(Mutex::new(Source { body, begun: false, ended, idle, timer: None })))
    }

    /// The body for whoever answers the request.
    pub(super) fn body(&self) -> Body {
        Reader(Arc::clone(&self.0)).boxed_unsync()
    }

    /// Once the answer is there: whether the connection can be kept, which takes that the whole body has been read.
    /// A little of it is read and thrown away for that, unless the client still `waits` to be told to send it.
    ///
    /// A client that waited and was never told, even for a body of no bytes, has its connection closed: botocore
    /// (1.43) takes the next answer on it for this one.
    pub(super) async fn finish(self, waits: bool) -> bool {
        {
            let source = lock(&self.0);
            if waits && !source.begun {
                return false;
            }
            if source.ended {
                return true;
            }
        }
        let mut rest = Reader(self.0);
        let drain = async {
            let mut bytes = 0;
            while bytes <= DRAIN_BYTES {
                match rest.frame().await {
                    None => return true,
                    Some(Err(_)) => return false,
                    Some(Ok(frame)) => bytes += frame.data_ref().map_or(0, Bytes::len),
                }
            }
            false
        };
        tokio::time::timeout(DRAIN, drain).await.unwrap_or(false)
    }
}

// === impl Source ===

impl Source {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        self.begun = true;
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(frame) => {
                self.timer = None;
                self.ended = frame.is_none();
                let broken = |error| BodyError::Broken(std::io::Error::other(error));
                Poll::Ready(frame.map(|frame| frame.map_err(broken)))
            }
            Poll::Pending => {
                let until = Instant::now() + self.idle;
                let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
                ready!(timer.as_mut().poll(context));
                self.timer = None;
                Poll::Ready(Some(Err(BodyError::Broken(std::io::ErrorKind::TimedOut.into()))))
            }
        }
    }
}

impl http_body::Body for Reader {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        lock(&self.0).poll(context)
    }

    fn is_end_stream(&self) -> bool {
        lock(&self.0).ended
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.0).body.size_hint()
    }
}

fn lock(source: &Mutex<Source>) -> MutexGuard<'_, Source> {
    // A panic of a reader leaves a body that has been read so far, which is what it is.
    source.lock().unwrap_or_else(PoisonError::into_inner)
}
