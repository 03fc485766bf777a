//! The book of record: what `model::catalog::Catalog` promises, kept in one redb file or in memory.
//!
//! ```text
//!   Catalog methods (book.rs) ── questions ──> query.rs ─┐
//!            └── commit ──> redb/writer.rs ──> apply.rs ─┴─> kv.rs: Read, Draft ──> redb file | ordered maps
//! ```
//!
//! What a row means, which index entries it has (row.rs) and which changes are refused (apply.rs) is written once,
//! over ordered keys and values; an adapter only reads keys and makes a draft's writes durable.

mod apply;
mod book;
mod error;
mod kv;
mod latch;
mod memory;
mod query;
mod redb;
mod row;
mod snapshot;

#[cfg(test)]
mod conformance;

pub use error::Error;
pub use memory::MemoryCatalog;
pub use redb::{RedbCatalog, rebuild};
