//! Bytes on their way between bodies and streams, length known, never held whole.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::StreamExt;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use model::limits::CHUNK_BYTES_MAX;
use model::{Body, BodyError, ByteStream};

/// A body of exactly the `length` bytes of a stream: one that ends early or goes on is `Broken`.
pub(crate) fn sized_body(stream: ByteStream, length: u64) -> Body {
    Slices::new(stream).last_body(length)
}

/// The data of a body as a stream of pieces of at most [`CHUNK_BYTES_MAX`]; fails unless it is `length` bytes.
pub(crate) fn pieces(body: Body, length: u64) -> ByteStream {
    Box::pin(futures_util::stream::unfold(
        Some(Pieces { body, held: Bytes::new(), left: length }),
        |state| async {
            let mut state = state?;
            match state.next().await {
                Ok(Some(piece)) => Some((Ok(piece), Some(state))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        },
    ))
}

/// A stream cut into bodies that are read one after another.
pub(crate) struct Slices(Arc<Mutex<Source>>);

struct Source {
    stream: ByteStream,
    /// What a piece held beyond the end of the last body.
    rest: Bytes,
}

struct Slice {
    source: Arc<Mutex<Source>>,
    left: u64,
    last: bool,
}

struct Pieces {
    body: Body,
    held: Bytes,
    left: u64,
}

fn ended_early() -> BodyError {
    BodyError::Broken(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "fewer bytes than announced"))
}

fn went_on() -> BodyError {
    BodyError::Broken(std::io::Error::new(std::io::ErrorKind::InvalidData, "more bytes than announced"))
}

// === impl Slices ===

impl Slices {
    pub(crate) fn new(stream: ByteStream) -> Self {
        Self(Arc::new(Mutex::new(Source { stream, rest: Bytes::new() })))
    }

    /// The next `length` bytes as a body. The body before it must have been read to its end.
    pub(crate) fn next_body(&self, length: u64) -> Body {
        Slice { source: Arc::clone(&self.0), left: length, last: false }.boxed_unsync()
    }

    /// The last `length` bytes as a body, which fails when the stream goes on behind them.
    pub(crate) fn last_body(&self, length: u64) -> Body {
        Slice { source: Arc::clone(&self.0), left: length, last: true }.boxed_unsync()
    }
}

impl Source {
    /// Looks at the next bytes, which stay until they are taken out of `rest`.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<(), BodyError>>> {
        while self.rest.is_empty() {
            match std::task::ready!(self.stream.poll_next_unpin(context)) {
                Some(Ok(piece)) => self.rest = piece,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        Poll::Ready(Some(Ok(())))
    }
}

// === impl Slice ===

impl http_body::Body for Slice {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.left == 0 && !self.last {
            return Poll::Ready(None);
        }
        let source = Arc::clone(&self.source);
        let mut source = source.lock().unwrap_or_else(PoisonError::into_inner);
        match std::task::ready!(source.poll(context)) {
            None if self.left == 0 => {
                self.last = false;
                Poll::Ready(None)
            }
            Some(Ok(())) if self.left == 0 => Poll::Ready(Some(Err(went_on()))),
            None => Poll::Ready(Some(Err(ended_early()))),
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            Some(Ok(())) => {
                let room = usize::try_from(self.left).unwrap_or(usize::MAX);
                let take = source.rest.len().min(room).min(CHUNK_BYTES_MAX);
                let piece = source.rest.split_to(take);
                self.left -= piece.len() as u64;
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0 && !self.last
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

// === impl Pieces ===

impl Pieces {
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        while self.held.is_empty() {
            match self.body.frame().await {
                Some(frame) => self.held = frame?.into_data().unwrap_or_default(),
                None if self.left == 0 => return Ok(None),
                None => return Err(ended_early()),
            }
        }
        let piece = self.held.split_to(self.held.len().min(CHUNK_BYTES_MAX));
        self.left = self.left.checked_sub(piece.len() as u64).ok_or_else(went_on)?;
        Ok(Some(piece))
    }
}

/// The whole of a body that must be short: an error above `bytes_max`.
pub(crate) async fn collect(mut body: Body, bytes_max: usize) -> Result<Bytes, CollectError> {
    let mut whole = bytes::BytesMut::new();
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(CollectError::TooLong);
    }
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(CollectError::Body)?.into_data() {
            if whole.len() + data.len() > bytes_max {
                return Err(CollectError::TooLong);
            }
            whole.extend_from_slice(&data);
        }
    }
    Ok(whole.freeze())
}

/// Why a short body could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CollectError {
    #[error("the body is too long")]
    TooLong,
    #[error("the body could not be read")]
    Body(#[source] BodyError),
}
