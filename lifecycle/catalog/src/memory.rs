//! The adapter for tests: ordered maps, nothing durable, one commit at a time.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock};

use model::BucketName;
use model::catalog::{Bucket, Change};

use crate::Error;
use crate::apply::{Refusal, apply};
use crate::book::{Book, Store};
use crate::kv::{Draft, Read, TABLES, Table, Visit, Writes};
use crate::latch::Latch;
use crate::query;

/// The book of record in memory, for tests: the rules of the file, none of its durability.
pub type MemoryCatalog = Book<MemoryStore>;

impl MemoryCatalog {
    /// An empty catalog.
    pub fn new() -> Self {
        Self { store: MemoryStore { tables: RwLock::default(), latch: Latch::new() } }
    }
}

impl Default for MemoryCatalog {
    fn default() -> Self {
        Self::new()
    }
}

/// Tables in memory.
#[derive(Debug)]
pub struct MemoryStore {
    // Nothing that can panic happens between the first and the last write of a commit, so that a poisoned lock
    // guards whole commits like any other.
    tables: RwLock<Tables>,
    latch: Latch,
}

#[derive(Debug, Default)]
struct Tables([BTreeMap<Vec<u8>, Vec<u8>>; TABLES]);

impl Read for Tables {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.0[table as usize].get(key).cloned())
    }

    fn scan(&self, table: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        for (key, value) in self.0[table as usize].range::<[u8], _>((Bound::Included(from), Bound::Unbounded))
        {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Tables {
    fn write(&mut self, table: Table, writes: Writes) {
        let entries = &mut self.0[table as usize];
        for (key, value) in writes {
            match value {
                Some(value) => entries.insert(key, value),
                None => entries.remove(&key),
            };
        }
    }
}

impl Store for MemoryStore {
    async fn commit(&self, changes: Vec<Change>) -> Result<(), Refusal> {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        let mut draft = Draft::new(&*tables);
        apply(&mut draft, changes)?;
        let writes: Vec<_> = draft.into_writes().collect();
        for (table, writes) in writes {
            tables.write(table, writes);
        }
        Ok(())
    }

    fn read<T>(&self, question: impl FnOnce(&dyn Read) -> Result<T, Error>) -> Result<T, Error> {
        question(&*self.tables.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn bucket(&self, name: &BucketName) -> Result<Option<Bucket>, Error> {
        self.read(|read| query::row(read, name.as_str().as_bytes()))
    }

    fn buckets(&self) -> Result<Vec<Bucket>, Error> {
        self.read(query::all)
    }

    fn latch(&self) -> &Latch {
        &self.latch
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::conformance::{self, naive};

    #[tokio::test]
    async fn conforms() {
        conformance::check(MemoryCatalog::new).await;
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(192))]
        #[test]
        fn answers_as_plain_rows_would(history in naive::history()) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(naive::replay(MemoryCatalog::new(), |same| same, &history));
        }
    }
}
