//! The store below, as small as it can be: tables of ordered keys, a way to read them, and a draft of writes.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use crate::Error;

/// A table. Keys are bytes in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
pub enum Table {
    /// Archive id -> row.
    Archives,
    /// Bucket, key, archive id -> nothing; live archives only.
    ArchivesByKey,
    /// Stage, archive id -> size in bytes, so that counting reads no rows.
    ArchivesByStage,
    /// Pack id, archive id -> one byte where the archive is not history, else nothing; one for each pack an archive has
    /// an extent in.
    ArchivesByPack,
    /// Archive id -> nothing; live and touched ones only.
    ArchivesTouched,
    /// Since when, archive id -> nothing; those with something no journal on tape tells.
    ArchivesUntold,
    /// Pack id -> row.
    Packs,
    /// Pack id -> nothing; those wanted on the spool.
    PacksSpooled,
    /// Pack id, number -> row.
    Copies,
    /// Stage, pack id, number -> nothing.
    CopiesByStage,
    /// Volume id, pack id, number -> nothing.
    CopiesByVolume,
    /// Volume id -> row.
    Volumes,
    /// Job id -> row.
    Restores,
    /// Stage, job id -> nothing.
    RestoresByStage,
    /// Archive id, job id with all bits turned (latest first) -> nothing.
    RestoresByArchive,
    /// Bucket name -> row.
    Buckets,
}

/// How many tables there are.
pub const TABLES: usize = Table::ALL.len();

impl Table {
    /// Every table, in the order of its number.
    pub const ALL: [Self; 16] = [
        Self::Archives,
        Self::ArchivesByKey,
        Self::ArchivesByStage,
        Self::ArchivesByPack,
        Self::ArchivesTouched,
        Self::ArchivesUntold,
        Self::Packs,
        Self::PacksSpooled,
        Self::Copies,
        Self::CopiesByStage,
        Self::CopiesByVolume,
        Self::Volumes,
        Self::Restores,
        Self::RestoresByStage,
        Self::RestoresByArchive,
        Self::Buckets,
    ];

    /// Its name in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Archives => "archives",
            Self::ArchivesByKey => "archives_by_key",
            Self::ArchivesByStage => "archives_by_stage",
            Self::ArchivesByPack => "archives_by_pack",
            Self::ArchivesTouched => "archives_touched",
            Self::ArchivesUntold => "archives_untold",
            Self::Packs => "packs",
            Self::PacksSpooled => "packs_spooled",
            Self::Copies => "copies",
            Self::CopiesByStage => "copies_by_stage",
            Self::CopiesByVolume => "copies_by_volume",
            Self::Volumes => "volumes",
            Self::Restores => "restores",
            Self::RestoresByStage => "restores_by_stage",
            Self::RestoresByArchive => "restores_by_archive",
            Self::Buckets => "buckets",
        }
    }
}

/// Looks at one entry of a scan and says whether to go on.
pub type Visit<'v> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'v;

/// A consistent view of the tables.
pub trait Read {
    /// The value of a key.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error>;

    /// Visits the entries from `from` (inclusive) on, in ascending order, until `visit` breaks off.
    fn scan(&self, table: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<(), Error>;
}

/// The writes to one table: a value, or `None` for a key to remove.
pub type Writes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Writes that are not made yet, over a view in which they already show. Dropping it makes none of them.
pub struct Draft<'b> {
    base: &'b dyn Read,
    writes: [Writes; TABLES],
}

impl<'b> Draft<'b> {
    /// A draft without writes.
    pub fn new(base: &'b dyn Read) -> Self {
        Self { base, writes: std::array::from_fn(|_| Writes::new()) }
    }

    /// Writes a value.
    pub fn put(&mut self, table: Table, key: Vec<u8>, value: Vec<u8>) {
        self.writes[table as usize].insert(key, Some(value));
    }

    /// Removes a key; none there is none to remove.
    pub fn remove(&mut self, table: Table, key: Vec<u8>) {
        self.writes[table as usize].insert(key, None);
    }

    /// The writes to be made, table by table.
    pub fn into_writes(self) -> impl Iterator<Item = (Table, Writes)> {
        Table::ALL.into_iter().zip(self.writes).filter(|(_, writes)| !writes.is_empty())
    }
}

impl Read for Draft<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        match self.writes[table as usize].get(key) {
            Some(written) => Ok(written.clone()),
            None => self.base.get(table, key),
        }
    }

    fn scan(&self, table: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        let mut written = self.writes[table as usize]
            .range::<[u8], _>((Bound::Included(from), Bound::Unbounded))
            .peekable();
        let mut flow = ControlFlow::Continue(());
        self.base.scan(table, from, &mut |key, value| {
            while let Some((ours, put)) = written.next_if(|(ours, _)| ours.as_slice() < key) {
                flow = put.as_ref().map_or(flow, |put| visit(ours, put));
                if flow.is_break() {
                    return flow;
                }
            }
            flow = match written.next_if(|(ours, _)| ours.as_slice() == key) {
                Some((_, Some(put))) => visit(key, put),
                Some((_, None)) => flow,
                None => visit(key, value),
            };
            flow
        })?;
        for (key, put) in written {
            if flow.is_break() {
                break;
            }
            flow = put.as_ref().map_or(flow, |put| visit(key, put));
        }
        Ok(())
    }
}

/// Visits the entries whose key begins with `prefix` and, after it, sorts after `after`: what follows the prefix, and
/// the value.
pub fn scan_prefix(
    read: &dyn Read,
    table: Table,
    prefix: &[u8],
    after: Option<&[u8]>,
    visit: &mut Visit<'_>,
) -> Result<(), Error> {
    let mut from = prefix.to_vec();
    if let Some(after) = after {
        from.extend_from_slice(after);
        from.push(0); // the first key after that one
    }
    read.scan(table, &from, &mut |key, value| match key.strip_prefix(prefix) {
        Some(rest) => visit(rest, value),
        None => ControlFlow::Break(()),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    struct Plain(BTreeMap<Vec<u8>, Vec<u8>>);

    impl Read for Plain {
        fn get(&self, _: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
            Ok(self.0.get(key).cloned())
        }
        fn scan(&self, _: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
            for (key, value) in self.0.range(from.to_vec()..) {
                if visit(key, value).is_break() {
                    break;
                }
            }
            Ok(())
        }
    }

    proptest! {
        /// A draft reads as if its writes had been made.
        #[test]
        fn a_draft_shows_its_writes(
            base in prop::collection::btree_map(0..12_u8, any::<u8>(), 0..8),
            writes in prop::collection::vec((0..12_u8, prop::option::of(any::<u8>())), 0..10),
            from in 0..12_u8,
            most in 1..12_usize,
        ) {
            let mut plain = Plain(base.into_iter().map(|(key, value)| (vec![key], vec![value])).collect());
            let shown = Plain(plain.0.clone());
            let mut draft = Draft::new(&shown);
            for (key, value) in writes {
                match value {
                    Some(value) => {
                        plain.0.insert(vec![key], vec![value]);
                        draft.put(Table::Packs, vec![key], vec![value]);
                    }
                    None => {
                        plain.0.remove(&vec![key]);
                        draft.remove(Table::Packs, vec![key]);
                    }
                }
            }
            let walk = |read: &dyn Read| {
                let mut seen = Vec::new();
                read.scan(Table::Packs, &[from], &mut |key, value| {
                    seen.push((key.to_vec(), value.to_vec()));
                    if seen.len() == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                }).unwrap();
                seen
            };
            prop_assert_eq!(walk(&draft), walk(&plain));
            prop_assert_eq!(draft.get(Table::Packs, &[from]).unwrap(), plain.get(Table::Packs, &[from]).unwrap());
        }
    }
}
