//! Bodies read whole, and streams made bodies.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use dialect::{Code, S3Error};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use model::{Body, BodyError, ByteStream};

use crate::error::{Error, Result};

/// The whole of a body that must be short, to its end, so that every check of it has been made.
///
/// Errors: `MaxMessageLengthExceeded` above `bytes_max`, and what the body itself refuses.
pub(crate) async fn collect(mut body: Body, bytes_max: usize) -> Result<Bytes> {
    let too_long = || {
        let error = S3Error::new(Code::MaxMessageLengthExceeded);
        Error::from(error.extra("MaxMessageLengthBytes", bytes_max.to_string()))
    };
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_long());
    }
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(Error::ReadBody)?.into_data() {
            if whole.len() + data.len() > bytes_max {
                return Err(too_long());
            }
            whole.extend_from_slice(&data);
        }
    }
    Ok(whole.freeze())
}

/// A body of exactly `length` bytes of a stream; one that ends early or goes on is broken.
pub(crate) fn sized(stream: ByteStream, length: u64) -> Body {
    Sized { stream, left: length }.boxed_unsync()
}

struct Sized {
    stream: ByteStream,
    left: u64,
}

impl http_body::Body for Sized {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, BodyError>>> {
        let broken = |kind: std::io::ErrorKind| Poll::Ready(Some(Err(BodyError::Broken(kind.into()))));
        match ready!(self.stream.as_mut().poll_next(context)) {
            None if self.left == 0 => Poll::Ready(None),
            None => broken(std::io::ErrorKind::UnexpectedEof),
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            Some(Ok(piece)) => match self.left.checked_sub(piece.len() as u64) {
                None => broken(std::io::ErrorKind::InvalidData),
                Some(left) => {
                    self.left = left;
                    Poll::Ready(Some(Ok(Frame::data(piece))))
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
