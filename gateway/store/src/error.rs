//! What can go wrong when a store is opened; once open, stores answer with S3 errors or [`model::store::StoreError`].

use std::path::PathBuf;

use model::Remedy;
use model::store::StoreError;

/// A store could not be opened or checked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory or its database cannot be used.
    #[error("cannot open the store in {}", directory.display())]
    OpenStore {
        /// The store's directory.
        directory: PathBuf,
        /// What was seen.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The directory was written by another version.
    #[error("the store in {} has layout {found}, which this version does not know", directory.display())]
    Layout {
        /// The store's directory.
        directory: PathBuf,
        /// The layout found.
        found: u64,
    },
    /// The data files could not be looked at.
    #[error("cannot check the data files")]
    CheckStore {
        /// What was seen.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Not the URL of a store.
    #[error("{endpoint:?} is not the URL of a store (http or https, a host, a port, no path)")]
    ParseEndpoint {
        /// What was given.
        endpoint: String,
    },
    /// Not an owner of buckets.
    #[error("{owner:?} is no owner of buckets (an account of 12 digits, or an id as the store names it)")]
    ParseOwner {
        /// What was given.
        owner: String,
    },
    /// The way to a remote store could not be prepared.
    #[error("cannot prepare connections to {endpoint}")]
    OpenRemote {
        /// The store.
        endpoint: String,
        /// What was seen.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A probe could not be made or not be cleaned up after.
    #[error("cannot probe the store in bucket {bucket}: {step}")]
    Probe {
        /// The bucket probed in.
        bucket: String,
        /// What was being tried.
        step: &'static str,
        /// What was seen.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The reserved bucket could not be prepared.
    #[error("cannot prepare the reserved bucket {bucket}")]
    PrepareReserved {
        /// The bucket.
        bucket: String,
        /// What the store said.
        #[source]
        source: StoreError,
    },
    /// The reserved bucket belongs to another catalog.
    #[error("the reserved bucket {bucket} belongs to catalog {found:?}, not to {expected:?}")]
    ForeignReserved {
        /// The bucket.
        bucket: String,
        /// Our catalog.
        expected: String,
        /// The catalog its marker object names.
        found: String,
    },
}

impl Error {
    /// What the caller should do.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::OpenStore { .. } | Self::Layout { .. } | Self::CheckStore { .. } => {
                Remedy::Operator("ST-0103")
            }
            Self::ParseEndpoint { .. }
            | Self::ParseOwner { .. }
            | Self::OpenRemote { .. }
            | Self::Probe { .. } => Remedy::Operator("ST-0105"),
            Self::PrepareReserved { source, .. } => source.remedy(),
            Self::ForeignReserved { .. } => Remedy::Operator("ST-0104"),
        }
    }
}
