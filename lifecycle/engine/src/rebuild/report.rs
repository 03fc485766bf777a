//! What a rebuild found and did.

use serde::Serialize;

/// The outcome, for people and scripts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The catalog that was rebuilt.
    pub catalog: String,
    /// Cartridges of it that were read.
    pub cartridges: u64,
    /// Packs on them.
    pub packs: u64,
    /// Object versions in those packs, each counted once.
    pub objects: u64,
    /// Versions that live, and are archived now.
    pub archived: u64,
    /// Of these, versions whose stub was found on the store.
    pub found: u64,
    /// Of these, versions whose stub was signed anew.
    pub signed: u64,
    /// Of these, versions that were made anew on the store.
    pub planted: u64,
    /// Versions that tape tells to be deleted.
    pub deleted: u64,
    /// Versions given up because the store has no stub of them.
    pub missing: u64,
    /// Versions given up because another object stands under their key.
    pub replaced: u64,
    /// Versions taken over to tape and not yet replaced by a stub: their object is still whole on the store.
    pub hot: u64,
    /// Bytes of what lives.
    pub bytes: u64,
    /// Buckets whose rules and terms came back.
    pub buckets_kept: u64,
    /// Buckets made anew on the store.
    pub buckets_made: u64,
    /// Of these rules, those that delete objects, which were disabled.
    pub rules_disabled: u64,
    /// When those rules and terms were told to tape, where any were.
    pub buckets_told: Option<String>,
    /// What is on tape and was put nowhere, with the reason.
    pub unconfirmed: Vec<Unconfirmed>,
    /// Nothing was written.
    pub dry_run: bool,
}

/// Something on tape that was not put into the namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Unconfirmed {
    /// The cartridge, when it is about one.
    pub barcode: Option<String>,
    /// What it is.
    pub what: String,
    /// Why.
    pub reason: String,
    /// Whether something that was committed is missing for it.
    pub lost: bool,
}

// === impl Unconfirmed ===

impl Unconfirmed {
    /// About no cartridge in particular.
    pub(crate) fn of(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { barcode: None, what: what.into(), reason: reason.into(), lost: true }
    }
}
