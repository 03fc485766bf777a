//! What can end a run.

use std::io;

/// A bench that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection, or the server did not speak HTTP.
    #[error("connecting to {endpoint}")]
    Connect {
        /// `host:port`.
        endpoint: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A request could not be made.
    #[error("building {what}")]
    Build {
        /// Method and path.
        what: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The connection broke.
    #[error("sending {what}")]
    Send {
        /// Method and path.
        what: String,
        /// Why.
        #[source]
        source: hyper::Error,
    },
    /// A request of the bare client failed.
    #[error("running {what}")]
    Pass {
        /// The cell and the server.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The server refused.
    #[error("{what} was answered {status}: {text}")]
    Refused {
        /// Method and path.
        what: String,
        /// HTTP status.
        status: u16,
        /// Beginning of the body.
        text: String,
    },
    /// The bytes that came back are not those sent.
    #[error("{what} returned other bytes than were sent")]
    WrongBytes {
        /// Method and path.
        what: String,
    },
    /// Something did not come about in time.
    #[error("{what} did not come about within {seconds} s")]
    Overdue {
        /// What was waited for.
        what: String,
        /// How long.
        seconds: u64,
    },
    /// A worker of the load ended early.
    #[error("running a worker of the load")]
    Worker(#[source] tokio::task::JoinError),
    /// The disk of the limits, or the report.
    #[error("{what}")]
    File {
        /// What was done.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A part of the pipeline.
    #[error("{what}")]
    Part {
        /// Which.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database of the limits.
    #[error("committing to a bare database")]
    Database(#[source] Box<redb::Error>),
    /// An environment variable is missing.
    #[error("{name} is not set: it holds the root identity of the server")]
    Identity {
        /// Its name.
        name: &'static str,
    },
}

/// What everything here returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Names the file operation that failed.
pub fn file(what: &'static str) -> impl Fn(io::Error) -> Error {
    move |source| Error::File { what, source }
}

/// Names the part of the pipeline that failed.
pub fn part<E: Into<Box<dyn std::error::Error + Send + Sync>>>(what: &'static str) -> impl Fn(E) -> Error {
    move |source| Error::Part { what, source: source.into() }
}
