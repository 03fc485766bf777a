//! The request's body between the connection and whoever reads it: deframed and checked.
//!
//! The last piece is held back until everything that was promised of the body is known to be true, so that a reader
//! who counts bytes never sees the whole of a body that is a lie.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use dialect::aws_chunked::PayloadReader;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use model::{Body, BodyError};

/// A body being checked while it is read.
pub(crate) struct Payload {
    source: Body,
    /// None once the body has ended or failed.
    reader: Option<PayloadReader>,
    /// What came from the source and is not decoded yet.
    input: Bytes,
    /// The piece decoded last.
    held: Option<Bytes>,
    trailers: Option<HeaderMap>,
    /// Bytes still to be given out, when that is known.
    left: Option<u64>,
}

impl Payload {
    /// The decoded body of `source`, whose length is exact when it was declared.
    pub(crate) fn wrap(source: Body, reader: PayloadReader) -> Body {
        let left = reader.declared_bytes();
        let payload =
            Self { source, reader: Some(reader), input: Bytes::new(), held: None, trailers: None, left };
        payload.boxed_unsync()
    }

    /// Decodes until a piece can be given out. `Ok(None)` at the end of the body.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        loop {
            let Some(reader) = &mut self.reader else {
                return Poll::Ready(Ok(self.held.take()));
            };
            if let Some(piece) = reader.read(&mut self.input)? {
                if let Some(before) = self.held.replace(piece) {
                    return Poll::Ready(Ok(Some(before)));
                }
                continue;
            }
            match ready!(Pin::new(&mut self.source).poll_frame(context)) {
                Some(frame) => {
                    // Trailers of HTTP itself carry nothing that S3 knows.
                    if let Ok(data) = frame?.into_data() {
                        self.input = data;
                    }
                }
                None => {
                    let reader = self.reader.take().expect("looked at above");
                    let received = reader.finish()?;
                    self.trailers = Some(received.trailers).filter(|trailers| !trailers.is_empty());
                }
            }
        }
    }
}

impl http_body::Body for Payload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        match ready!(this.poll_piece(context)) {
            Ok(Some(piece)) => {
                let bytes = piece.len() as u64;
                this.left = this.left.map(|left| left.saturating_sub(bytes));
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            Ok(None) => Poll::Ready(this.trailers.take().map(|trailers| Ok(Frame::trailers(trailers)))),
            Err(error) => {
                this.reader = None;
                this.held = None;
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.reader.is_none() && self.held.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests;
