//! What can go wrong in the engine, and what helps.

use model::catalog::CatalogError;
use model::fence::FenceBusy;
use model::store::StoreError;
use model::{PackId, Remedy};

/// Why a step of the engine did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The book of record refused or failed.
    #[error("the catalog")]
    Catalog(#[from] CatalogError),
    /// The object store refused or failed.
    #[error("the object store")]
    Store(#[from] StoreError),
    /// A key is in use.
    #[error("the fence")]
    Fence(#[from] FenceBusy),
    /// The spool could not be read or written.
    #[error("the spool: {operation}")]
    Spool {
        /// What was tried.
        operation: &'static str,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The spool holds as much as it may; intake waits until packs are on tape.
    #[error("the spool is full: {wanted} bytes wanted, {free} free")]
    SpoolFull {
        /// Bytes asked for.
        wanted: u64,
        /// Bytes left of the quota.
        free: u64,
    },
    /// A pack could not be built or does not hold what was put in.
    #[error("pack {pack}")]
    Pack {
        /// The pack.
        pack: PackId,
        /// What the pack format said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The library could not do its part.
    #[error("the library")]
    Library(#[from] library::Error),
    /// A mount for writing refused a pack or a journal; the tape is well.
    #[error("append to volume {volume}")]
    Append {
        /// The volume.
        volume: model::VolumeId,
        /// What was refused.
        #[source]
        source: library::AppendError,
    },
    /// The library has more work than it can queue.
    #[error("the library's queue")]
    Queue(#[from] library::QueueFull),
    /// No volume takes the pack: label or import cartridges.
    #[error("pool {pool} has no volume with {bytes} bytes left and library {library} has {detail}")]
    NoVolume {
        /// The pool.
        pool: model::PoolName,
        /// What has to fit.
        bytes: u64,
        /// The library.
        library: String,
        /// What it lacks.
        detail: String,
    },
    /// Bytes read back are not those written.
    #[error("{what} is damaged: {detail}")]
    Damaged {
        /// What was read.
        what: String,
        /// How it differs.
        detail: String,
    },
    /// No copy of the object can be read now.
    #[error("no readable copy of pack {pack}: {detail}")]
    NoCopy {
        /// The pack.
        pack: PackId,
        /// What is known of its copies.
        detail: String,
    },
    /// A key of a sealed pool is not in the keyring, or is another one there. Everything that needs it waits.
    #[error("{what} needs a key: import it with `tapegate keys import`")]
    Key {
        /// What cannot be done without it.
        what: String,
        /// Which key, and what is wrong with it.
        #[source]
        source: volume::seal::Error,
    },
    /// The store's conditional writes do not protect clients at this moment.
    #[error("the store no longer honours the conditions of writes: nothing is replaced until it does")]
    Canary,
    /// Whether they do could not be told.
    #[error("the conditions of writes could not be tried: {detail}")]
    CanaryUnheard {
        /// What the store said.
        detail: String,
    },
    /// An object cannot be taken over as it is.
    #[error("{reason}")]
    Unfit {
        /// Why, and what helps.
        reason: String,
    },
    /// An object cannot be brought back as things are.
    #[error("{reason}")]
    Stuck {
        /// Why, and what helps.
        reason: String,
    },
    /// A cartridge may not leave the library.
    #[error(
        "{barcode} holds the only verified copy in reach of {packs} packs with {bytes} bytes ({named}); have copies made or brought back first, or accept it with --only-copy"
    )]
    OnlyCopy {
        /// The cartridge.
        barcode: String,
        /// How many packs.
        packs: u64,
        /// Their bytes.
        bytes: u64,
        /// The first of them.
        named: String,
    },
    /// An operator ordered what cannot be.
    #[error("{reason}")]
    Order {
        /// Why, and what helps.
        reason: String,
    },
    /// A catalog is not made from what was read.
    #[error("{what}")]
    Rebuild {
        /// Why, and what helps.
        what: String,
    },
    /// A promise of our own is broken.
    #[error("{what}")]
    Bug {
        /// What was found.
        what: String,
    },
}

impl Error {
    /// What the worker does about it.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Catalog(error) => error.remedy(),
            Self::Store(error) => error.remedy(),
            Self::Fence(_) | Self::SpoolFull { .. } | Self::Queue(_) | Self::CanaryUnheard { .. } => {
                Remedy::Wait
            }
            Self::Spool { .. } => Remedy::Operator("EN-0101"),
            Self::NoVolume { .. } => Remedy::Operator("EN-0102"),
            Self::NoCopy { .. } => Remedy::Operator("EN-0103"),
            Self::Canary => Remedy::Operator("EN-0106"),
            Self::Unfit { .. } => Remedy::Operator("EN-0108"),
            Self::Stuck { .. } => Remedy::Operator("EN-0109"),
            Self::OnlyCopy { .. } => Remedy::Operator("EN-0122"),
            Self::Order { .. } => Remedy::Refuse("InvalidRequest"),
            Self::Rebuild { .. } => Remedy::Operator("EN-0130"),
            Self::Key { .. } => Remedy::Operator("EN-0140"),
            Self::Library(error) => match error.remedy() {
                library::Remedy::Retry => Remedy::Retry,
                library::Remedy::Wait => Remedy::Wait,
                library::Remedy::Operator(code) => Remedy::Operator(code),
                library::Remedy::Damage => Remedy::Damage,
                library::Remedy::Bug => Remedy::Bug,
            },
            Self::Pack { .. } | Self::Damaged { .. } => Remedy::Damage,
            Self::Bug { .. } | Self::Append { .. } => Remedy::Bug,
        }
    }
}

/// An error with everything behind it, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

/// The book of record has failed: nothing may be decided any more.
pub(crate) fn is_fatal(error: &Error) -> bool {
    matches!(error, Error::Catalog(CatalogError::Failed { .. }))
}
