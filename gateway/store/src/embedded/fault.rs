//! What can go wrong inside the embedded store: a refusal is the client's business, a fault is ours.

use dialect::{Code, S3Error};

/// The disk or the database failed. After a fault in a commit its outcome is unknown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("the metadata database failed")]
    Database(#[source] Box<redb::Error>),
    #[error("a record of {table} cannot be read")]
    Record {
        table: &'static str,
        #[source]
        source: postcard::Error,
    },
    #[error("{operation} failed")]
    File {
        operation: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error("the metadata writer has stopped after an earlier fault")]
    Stopped,
    #[error("the transaction was given up after a fault in it")]
    Aborted { full: bool },
    #[error("a task of the store did not end")]
    Task(#[source] tokio::task::JoinError),
    #[error("less than {bytes_min} bytes are free on the store's disk")]
    Reserve { bytes_min: u64 },
}

/// Why an operation did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    Refused(S3Error),
    Fault(Fault),
}

/// What operations return.
pub(crate) type Outcome<T> = Result<T, Failure>;

impl Fault {
    pub(crate) fn file(operation: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::File { operation, source }
    }

    /// Whether the disk is full.
    pub(crate) fn is_full(&self) -> bool {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        match self {
            Self::File { source, .. } => matches!(source.kind(), StorageFull | QuotaExceeded),
            Self::Database(error) => {
                matches!(&**error, redb::Error::Io(source) if matches!(source.kind(), StorageFull | QuotaExceeded))
            }
            Self::Reserve { .. } => true,
            Self::Aborted { full } => *full,
            Self::Record { .. } | Self::Stopped | Self::Task(_) => false,
        }
    }

    /// Whether the database serves nobody any more until it is opened again.
    pub(crate) fn is_lasting(&self) -> bool {
        use redb::Error::{Io, LockPoisoned, PreviousIo};
        matches!(self, Self::Database(error) if matches!(&**error, Io(_) | PreviousIo | LockPoisoned(_)))
    }

    /// What the client is told.
    pub(crate) fn answer(&self) -> S3Error {
        if self.is_full() {
            S3Error::with_message(Code::ServiceUnavailable, "The store's disk is full. Nothing was written.")
        } else {
            Code::InternalError.into()
        }
    }
}

impl From<S3Error> for Failure {
    fn from(error: S3Error) -> Self {
        Self::Refused(error)
    }
}

impl From<Code> for Failure {
    fn from(code: Code) -> Self {
        Self::Refused(code.into())
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

macro_rules! database_fault {
    ($($error:ident),*) => {$(
        impl From<redb::$error> for Fault {
            fn from(error: redb::$error) -> Self {
                Self::Database(Box::new(error.into()))
            }
        }
        impl From<redb::$error> for Failure {
            fn from(error: redb::$error) -> Self {
                Self::Fault(error.into())
            }
        }
    )*};
}
database_fault!(StorageError, TableError, TransactionError, CommitError, SetDurabilityError);
