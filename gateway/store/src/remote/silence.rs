//! Why there was no answer.

use std::error::Error;
use std::io;
use std::time::Duration;

use http::StatusCode;

/// What was seen instead of an answer.
#[derive(Debug, thiserror::Error)]
pub enum Silence {
    /// No connection: the request was not sent.
    #[error("the store cannot be reached")]
    Connect(#[source] Box<dyn Error + Send + Sync>),
    /// No connection in time: the request was not sent.
    #[error("the store did not take a connection within {} s", .0.as_secs_f32())]
    ConnectTimeout(Duration),
    /// The request was on its way, and nothing came back in time.
    #[error("the store did not answer within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// The connection broke before an answer was there.
    #[error("the connection to the store broke before an answer was there")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
    /// A success before the body had ended: an answer, but not to this request.
    #[error("the store answered {0} before it had the whole body")]
    Premature(StatusCode),
    /// What came back is not HTTP.
    #[error("the store's answer cannot be read")]
    Nonsense(#[source] Box<dyn Error + Send + Sync>),
}

// === impl Silence ===

impl Silence {
    /// Of a connection that was there.
    pub(super) fn of(error: hyper::Error) -> Self {
        if error.is_parse() { Self::Nonsense(Box::new(error)) } else { Self::Broken(Box::new(error)) }
    }

    /// Of one that did not come about.
    pub(super) fn unconnected(error: Box<dyn Error + Send + Sync>, patience: Duration) -> Self {
        match find::<io::Error>(&*error) {
            Some(io) if io.kind() == io::ErrorKind::TimedOut => Self::ConnectTimeout(patience),
            _ => Self::Connect(error),
        }
    }

    /// Whether the connection went away before a byte of an answer, as a kept one does that the store has closed.
    pub(super) fn is_reset(&self) -> bool {
        let Self::Broken(source) = self else { return false };
        let hyper = find::<hyper::Error>(&**source);
        let reset = |io: &io::Error| {
            use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
            matches!(io.kind(), BrokenPipe | ConnectionAborted | ConnectionReset)
        };
        hyper.is_some_and(|hyper| hyper.is_incomplete_message() || hyper.is_canceled())
            || find::<io::Error>(&**source).is_some_and(reset)
    }
}

/// The first error of this type in a chain.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}
