//! Which sealing keys the packs of the catalog need.

use std::collections::{BTreeMap, BTreeSet};

use model::PackId;
use model::catalog::{Catalog, CatalogError};
use model::pack::PackCopyStage;
use serde_json::{Value, json};

const PAGE: usize = 1_000;

/// What is sealed with one key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InUse {
    /// Packs that have a copy.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The keys that packs with a copy are sealed with, by `name:version`. Reads every copy's row.
pub async fn keys_in_use(catalog: &dyn Catalog) -> Result<BTreeMap<String, InUse>, CatalogError> {
    let mut keys: BTreeMap<String, InUse> = BTreeMap::new();
    let mut counted = BTreeSet::new();
    // What is left of a damaged copy is still restored, and a wanted one is made from another.
    for stage in PackCopyStage::ALL.into_iter().filter(|stage| *stage != PackCopyStage::Dead) {
        let mut after: Option<PackId> = None;
        loop {
            let copies = catalog.copies_in(stage, after, PAGE).await?;
            let Some(last) = copies.last() else { break };
            after = Some(last.pack);
            for copy in copies.into_iter().filter(|copy| counted.insert(copy.pack)) {
                let Some(pack) = catalog.pack(copy.pack).await? else { continue };
                let Some(seal) = pack.seal else { continue };
                let key = keys.entry(seal.key).or_default();
                key.packs += 1;
                key.bytes += pack.bytes;
            }
        }
    }
    Ok(keys)
}

/// As an answer.
pub fn view(keys: &BTreeMap<String, InUse>) -> Value {
    let one = |(key, used): (&String, &InUse)| json!({"key": key, "packs": used.packs, "bytes": used.bytes});
    json!({"keys": keys.iter().map(one).collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use catalog::MemoryCatalog;
    use model::catalog::Change;
    use model::pack::{CopyEnd, Pack, PackCopy, PackCopyState, Seal};
    use model::{PoolName, Timestamp};

    #[tokio::test]
    async fn every_copy_that_may_be_read_again_needs_its_key() {
        let catalog = MemoryCatalog::default();
        let pool = PoolName::parse("vault").unwrap();
        let place = (5, 1);
        let states = [
            PackCopyState::Spooled,
            PackCopyState::Written { start_block: place.0, blocks: place.1 },
            PackCopyState::Verified { start_block: place.0, blocks: place.1 },
            PackCopyState::Damaged { start_block: place.0, blocks: place.1 },
            PackCopyState::Wanted,
            PackCopyState::Dead { why: CopyEnd::VolumeLost },
        ];
        for (number, state) in (1..).zip(states) {
            let id = PackId::new(number, 0);
            let seal = Some(Seal { key: format!("vault:{number}"), check: String::new() });
            let row = Pack {
                id,
                revision: 0,
                pool: pool.clone(),
                bytes: 10,
                digest: [0; 32],
                seal,
                members: 1,
                spooled: false,
                created: Timestamp::from_seconds(0),
            };
            let copy = PackCopy { pack: id, number: 0, revision: 0, pool: pool.clone(), volume: None, state };
            catalog.commit(vec![Change::Pack(row), Change::PackCopy(copy)]).await.unwrap();
        }
        let used = keys_in_use(&catalog).await.unwrap();
        assert_eq!(
            used.into_keys().collect::<Vec<_>>(),
            (1..=5).map(|n| format!("vault:{n}")).collect::<Vec<_>>()
        );
    }
}
