//! What can go wrong below the port.

use std::path::PathBuf;
use std::sync::Arc;

use model::Remedy;

/// The cause of an error from the store below.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The book of record cannot be read, written or opened. But for [`Error::Snapshot`] every one of these is the end of
/// the catalog it came from: it answers nothing more until it is opened again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened: in use, not readable, or damaged.
    #[error("opening the catalog {path:?}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the store below said.
        #[source]
        source: Cause,
    },
    /// The file is none of ours, or of a version this program does not know.
    #[error("{path:?} has the catalog format {found}, this program knows {known}")]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// What the file says.
        found: String,
        /// What this program reads and writes.
        known: u32,
    },
    /// A read failed.
    #[error("reading {table}")]
    Read {
        /// The table.
        table: &'static str,
        /// What the store below said.
        #[source]
        source: Cause,
    },
    /// A write failed: it may or may not be durable.
    #[error("writing the catalog")]
    Write {
        /// What the store below said.
        #[source]
        source: Cause,
    },
    /// A row does not read as what was written.
    #[error("decoding {row}")]
    Decode {
        /// The row.
        row: String,
        /// What is wrong with it.
        #[source]
        source: Cause,
    },
    /// An index names a row that is not there.
    #[error("{table} names {row}, which is not there")]
    Dangling {
        /// The index.
        table: &'static str,
        /// The row.
        row: String,
    },
    /// A snapshot cannot be written or read; the catalog itself is as it was.
    #[error("the snapshot of a catalog")]
    Snapshot {
        /// What is wrong with the stream or its bytes.
        #[source]
        source: Cause,
    },
    /// The catalog had failed before.
    #[error("the catalog has failed: {reason}")]
    Stopped {
        /// The first failure, with all its causes.
        reason: Arc<str>,
    },
}

impl Error {
    /// What the caller should do.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Open { .. } => Remedy::Operator("CT-0102"),
            Self::UnknownFormat { .. } => Remedy::Operator("CT-0103"),
            Self::Snapshot { .. } => Remedy::Operator("CT-0104"),
            _ => Remedy::Operator("CT-0101"),
        }
    }

    /// The error and its causes in one line.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}
