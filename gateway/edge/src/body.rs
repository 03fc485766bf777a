//! Bodies read whole, and streams made bodies.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use dialect::checksum::{Algorithm, Hasher};
use dialect::{Code, S3Error};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use model::{Body, BodyError, ByteStream};

use crate::error::{Error, Result};

/// The whole of a body that must be short, to its end, so that every check of it has been made.
///
/// Errors: `MaxMessageLengthExceeded` above `bytes_max`, and what the body itself refuses.
pub(crate) async fn collect(body: Body, bytes_max: usize) -> Result<Bytes> {
    Ok(read(body, bytes_max).await?.0)
}

/// As [`collect`], and a body again, with its trailers: for what is not to be kept waiting by whoever sends it.
pub(crate) async fn gathered(body: Body, bytes_max: usize) -> Result<Body> {
    let (whole, trailers) = read(body, bytes_max).await?;
    let trailers = std::future::ready(trailers.map(Ok));
    Ok(Full::new(whole).map_err(|never| match never {}).with_trailers(trailers).boxed_unsync())
}

async fn read(mut body: Body, bytes_max: usize) -> Result<(Bytes, Option<HeaderMap>)> {
    let too_long = || {
        let error = S3Error::new(Code::MaxMessageLengthExceeded);
        Error::from(error.extra("MaxMessageLengthBytes", bytes_max.to_string()))
    };
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_long());
    }
    let (mut whole, mut trailers) = (BytesMut::new(), None);
    while let Some(frame) = body.frame().await {
        match frame.map_err(Error::ReadBody)?.into_data() {
            Ok(data) if whole.len() + data.len() > bytes_max => return Err(too_long()),
            Ok(data) => whole.extend_from_slice(&data),
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    Ok((whole.freeze(), trailers))
}

/// A body of exactly `length` bytes of a stream; one that ends early or goes on is broken.
pub(crate) fn sized(stream: ByteStream, length: u64) -> Body {
    Sized { stream, left: length }.boxed_unsync()
}

/// A body with its checksum after it.
pub(crate) fn summed(body: Body, algorithm: Algorithm) -> Body {
    Summed { body, hasher: Some(Hasher::new(algorithm)) }.boxed_unsync()
}

struct Summed {
    body: Body,
    /// None once the body ended or failed.
    hasher: Option<Hasher>,
}

impl http_body::Body for Summed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let Some(hasher) = &mut this.hasher else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => frame.data_ref().into_iter().for_each(|data| hasher.update(data)),
            Some(Err(_)) => this.hasher = None,
            None => {
                let sum = this.hasher.take().map(|hasher| Ok(Frame::trailers(trailer(hasher))));
                return Poll::Ready(sum);
            }
        }
        Poll::Ready(frame)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn trailer(hasher: Hasher) -> HeaderMap {
    let sum = hasher.finish();
    let value = HeaderValue::try_from(sum.to_base64()).expect("base64 is visible ASCII");
    HeaderMap::from_iter([(HeaderName::from_static(sum.algorithm().header()), value)])
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
