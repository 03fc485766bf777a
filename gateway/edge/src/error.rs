//! What can keep a request from its answer.

use dialect::S3Error;
use dialect::aws_chunked::PayloadError;
use dialect::overlay::OverlayError;
use dialect::sigv4::AuthError;
use dialect::{Code, checksum::ChecksumError};
use model::catalog::CatalogError;
use model::fence::FenceBusy;
use model::store::StoreError;
use model::{ArchiveId, BodyError, BucketName, ObjectKey, Remedy};

/// Why a request did not get the answer it asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client asked for what cannot be.
    #[error("refused: {0}")]
    Refused(S3Error),
    /// The request's body broke off or is not what it was announced to be.
    #[error("the request's body could not be read")]
    ReadBody(#[source] BodyError),
    /// The store did not answer, or not in a way that can be used.
    #[error("the store did not serve {operation}")]
    AskStore {
        /// What was asked of it.
        operation: &'static str,
        /// What it said.
        #[source]
        source: StoreError,
    },
    /// A restored copy the catalog tells of cannot be read.
    #[error("the restored copy of {archive} cannot be read")]
    ReadCopy {
        /// Whose copy.
        archive: ArchiveId,
        /// What the store said.
        #[source]
        source: StoreError,
    },
    /// The catalog did not answer.
    #[error("the catalog did not serve {operation}")]
    AskCatalog {
        /// What was asked of it.
        operation: &'static str,
        /// What it said.
        #[source]
        source: CatalogError,
    },
    /// A flip of the key is under way or in doubt.
    #[error("{bucket}/{key} is not open for mutations")]
    EnterFence {
        /// Bucket.
        bucket: BucketName,
        /// Key.
        key: ObjectKey,
        /// The fence's word.
        #[source]
        source: FenceBusy,
    },
    /// A flip in the bucket is under way or in doubt.
    #[error("{bucket} is not open for another versioning")]
    CloseBucket {
        /// Bucket.
        bucket: BucketName,
        /// The fence's word.
        #[source]
        source: FenceBusy,
    },
    /// The store has a reserved header under a key that the catalog knows nothing of, or something else of.
    #[error("the reserved header of {bucket}/{key} is not to be trusted: {reason}")]
    TrustMarker {
        /// Bucket.
        bucket: BucketName,
        /// Key.
        key: ObjectKey,
        /// What does not fit.
        reason: &'static str,
    },
    /// A listing of the store cannot be edited.
    #[error("the store's listing of {bucket} cannot be edited")]
    EditListing {
        /// Bucket.
        bucket: BucketName,
        /// What is wrong with it.
        #[source]
        source: OverlayError,
    },
    /// An answer of the store lacks what every such answer has.
    #[error("the store's answer to {operation} has no usable {missing}")]
    ReadAnswer {
        /// What was asked of it.
        operation: &'static str,
        /// What is missing.
        missing: &'static str,
    },
}

/// What most functions here return.
pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// What the caller should do.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Refused(error) => Remedy::Refuse(error.code.as_str()),
            Self::ReadBody(_) => Remedy::Refuse(Code::IncompleteBody.as_str()),
            Self::AskStore { source, .. } => source.remedy(),
            Self::ReadCopy { source, .. } => match source {
                StoreError::Missing { .. } => Remedy::Operator("ED-0103"),
                _ => source.remedy(),
            },
            Self::AskCatalog { source, .. } => source.remedy(),
            Self::EnterFence { .. } | Self::CloseBucket { .. } => Remedy::Wait,
            Self::TrustMarker { .. } => Remedy::Operator("ED-0101"),
            Self::EditListing { .. } | Self::ReadAnswer { .. } => Remedy::Operator("ED-0102"),
        }
    }
}

/// Names what was asked of the store.
pub(crate) fn store(operation: &'static str) -> impl FnOnce(StoreError) -> Error {
    move |source| Error::AskStore { operation, source }
}

/// Names what was asked of the catalog.
pub(crate) fn catalog(operation: &'static str) -> impl FnOnce(CatalogError) -> Error {
    move |source| Error::AskCatalog { operation, source }
}

macro_rules! refused {
    ($($error:ty),*) => {$(
        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::Refused(error.into())
            }
        }
    )*};
}
refused!(S3Error, Code, AuthError, PayloadError, ChecksumError);
