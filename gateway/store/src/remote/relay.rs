//! A request's body on its way to the store.
//!
//! The last piece is held back until the body has ended well: a body that breaks off, is refused by whoever checks
//! it, or has another length than announced, is a short body to the store, which then keeps nothing of it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use dialect::{Code, S3Error};
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use model::{Body, BodyError};
use tokio::time::Sleep;

use super::check::Check;
use super::gate::{Gate, Pass};
use super::trailed::Trailed;

/// How long a store is waited for that was told `Expect: 100-continue` and says nothing.
pub(super) const CONTINUE_PATIENCE: Duration = Duration::from_secs(1);

/// Why a body stopped; what failed stands in the gate.
#[derive(Debug, thiserror::Error)]
#[error("the body goes no further")]
pub(super) struct Halt;

/// How the bytes go over the wire.
pub(super) enum Framing {
    /// As they are.
    Plain,
    /// In chunks, with a checksum after them.
    Trailed(Trailed),
}

/// A body that is sent; the empty one when there is no source.
pub(super) struct Relay {
    source: Option<Source>,
    gate: Arc<Gate>,
    /// Runs from the first time the closed gate was asked.
    patience: Option<Pin<Box<Sleep>>>,
    /// Bytes still to be given to the wire.
    wire_bytes: u64,
}

struct Source {
    body: Body,
    check: Check,
    framing: Framing,
    held: Option<Bytes>,
    trailers: Option<HeaderMap>,
    /// Bytes still to come.
    left: u64,
}

// === impl Relay ===

impl Relay {
    /// No body.
    pub(super) fn empty(gate: Arc<Gate>) -> Self {
        Self { source: None, gate, patience: None, wire_bytes: 0 }
    }

    /// A body of exactly `length` bytes, more than none.
    pub(super) fn new(body: Body, length: u64, check: Check, framing: Framing, gate: Arc<Gate>) -> Self {
        let wire_bytes = match &framing {
            Framing::Plain => length,
            Framing::Trailed(trailed) => trailed.wire_bytes(),
        };
        let source = Source { body, check, framing, held: None, trailers: None, left: length };
        Self { source: Some(source), gate, patience: None, wire_bytes }
    }

    fn poll_pass(&mut self, context: &mut Context<'_>) -> Poll<Pass> {
        if let Poll::Ready(pass) = self.gate.poll(context) {
            return Poll::Ready(pass);
        }
        if self.gate.pass() == Pass::Closed {
            let patience =
                self.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(CONTINUE_PATIENCE)));
            ready!(patience.as_mut().poll(context));
            self.gate.open();
            return Poll::Ready(Pass::Open);
        }
        Poll::Pending
    }
}

impl http_body::Body for Relay {
    type Data = Bytes;
    type Error = Halt;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Halt>>> {
        let this = &mut *self;
        if this.source.is_none() {
            return Poll::Ready(None);
        }
        if ready!(this.poll_pass(context)) == Pass::Stopped {
            return Poll::Ready(Some(Err(Halt)));
        }
        let Some(source) = &mut this.source else { return Poll::Ready(None) };
        match source.poll_piece(context) {
            Poll::Pending => {
                this.gate.starves();
                Poll::Pending
            }
            Poll::Ready(Ok((piece, last))) => {
                this.wire_bytes -= piece.len() as u64;
                this.gate.moves(last);
                if last {
                    this.source = None;
                }
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            Poll::Ready(Err(why)) => {
                this.gate.fails(why);
                Poll::Ready(Some(Err(Halt)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.wire_bytes)
    }
}

// === impl Source ===

impl Source {
    /// The next piece for the wire, and whether it is the last.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<(Bytes, bool), S3Error>> {
        loop {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => {
                        if let Some(piece) = self.take(data)? {
                            return Poll::Ready(Ok((piece, false)));
                        }
                    }
                    Err(frame) => self.trailers = frame.into_trailers().ok(),
                },
                Some(Err(error)) => return Poll::Ready(Err(refusal(&error))),
                None => return Poll::Ready(self.end().map(|piece| (piece, true))),
            }
        }
    }

    /// Takes in a piece; gives out what is before it.
    fn take(&mut self, data: Bytes) -> Result<Option<Bytes>, S3Error> {
        if data.is_empty() {
            return Ok(None);
        }
        self.left = self.left.checked_sub(data.len() as u64).ok_or(Code::IncompleteBody)?;
        self.check.update(&data);
        Ok(match &mut self.framing {
            Framing::Plain => self.held.replace(data),
            Framing::Trailed(trailed) => trailed.take(&data),
        })
    }

    /// The end of a body that kept its promises.
    fn end(&mut self) -> Result<Bytes, S3Error> {
        if self.left > 0 {
            return Err(Code::IncompleteBody.into());
        }
        self.check.finish(self.trailers.as_ref())?;
        match &mut self.framing {
            Framing::Plain => Ok(self.held.take().unwrap_or_default()),
            Framing::Trailed(trailed) => trailed.finish(self.trailers.as_ref()),
        }
    }
}

/// What the client is told about a body of its own that did not end well.
pub(super) fn refusal(error: &BodyError) -> S3Error {
    match error {
        BodyError::Broken(source) if source.kind() == std::io::ErrorKind::TimedOut => {
            Code::RequestTimeout.into()
        }
        error => error.into(),
    }
}

#[cfg(test)]
mod tests;
