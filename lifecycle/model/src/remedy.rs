//! What the reader of an error should do: the only thing other rooms decide on.

/// The way out of an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// Try again now, a bounded number of times.
    Retry,
    /// Somebody is busy: try again later.
    Wait,
    /// The caller asked for what cannot be: carries the S3 code, by name, that the edge answers with.
    Refuse(&'static str),
    /// A person must act; the code stands in the runbook.
    Operator(&'static str),
    /// Bytes are not what was written: set the copy aside and use another one.
    Damage,
    /// We broke a promise of our own.
    Bug,
}
