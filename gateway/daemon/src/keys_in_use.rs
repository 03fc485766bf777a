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
