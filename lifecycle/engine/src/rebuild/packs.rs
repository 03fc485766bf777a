//! The packs that cartridges list: each once, with all its copies.

use std::collections::{BTreeMap, BTreeSet};

use model::{PackId, PoolName};

use super::merge::Births;
use super::report::{Report, Unconfirmed};
use super::small::PackCopyAt;
use super::survey::{Cartridge, Manifests};
use crate::error::Error;
use crate::settings::PoolSettings;

/// A pack and where its copies are.
pub(crate) struct PackAt<'a> {
    pub(crate) id: PackId,
    pub(crate) digest: [u8; 32],
    pub(crate) bytes: u64,
    pub(crate) copies: Vec<(u8, PoolName, PackCopyAt<'a>)>,
}

impl PackAt<'_> {
    /// The pool of its first copy, which may be lost: of the pools whose copies these can be, else of the first there is.
    pub(crate) fn pool(&self, pools: &BTreeMap<PoolName, PoolSettings>) -> Option<PoolName> {
        let fits = |name: &PoolName, settings: &PoolSettings| {
            self.copies.iter().all(|(number, pool, _)| match number.checked_sub(1) {
                None => pool == name,
                Some(sibling) => settings.copies.get(usize::from(sibling)) == Some(pool),
            })
        };
        let fitting = pools.iter().find(|(name, settings)| fits(name, settings)).map(|(name, _)| name);
        let first = || self.copies.iter().min_by_key(|(number, ..)| *number).map(|(_, pool, _)| pool);
        fitting.or_else(first).cloned()
    }
}

/// The packs on all cartridges, in the order in which reading them moves least.
pub(crate) fn packs_on<'a>(cartridges: &'a [Cartridge], report: &mut Report) -> Vec<PackAt<'a>> {
    let mut packs: BTreeMap<PackId, PackAt<'a>> = BTreeMap::new();
    let mut volumes = BTreeSet::new();
    for cartridge in cartridges {
        let mut unconfirmed = |what: String, reason: &str| {
            let barcode = Some(cartridge.barcode.to_string());
            report.unconfirmed.push(Unconfirmed { barcode, what, reason: reason.to_owned(), lost: true });
        };
        if !volumes.insert(cartridge.volume) {
            unconfirmed("the cartridge".to_owned(), "another one carries the same volume");
            continue;
        }
        for pack in &cartridge.packs {
            let what = || format!("pack {}", pack.id);
            let label =
                pack.copy.as_ref().and_then(|copy| Some((copy.number, PoolName::parse(&copy.pool).ok()?)));
            let (Ok(id), Some(digest), Some((number, pool))) = (pack.id.parse(), pack.digest, label) else {
                unconfirmed(what(), "the index does not say whose copy it is");
                continue;
            };
            let (start_block, bytes) = (pack.start_block, pack.bytes);
            let known = packs.entry(id).or_insert(PackAt { id, digest, bytes, copies: Vec::new() });
            let taken = known.copies.iter().any(|(known, ..)| *known == number);
            if (known.digest, known.bytes) != (digest, bytes) {
                unconfirmed(what(), "another copy of it has other bytes");
            } else if taken {
                unconfirmed(what(), "there is this copy of it already");
            } else {
                known.copies.push((number, pool, PackCopyAt { cartridge, start_block, bytes }));
            }
        }
    }
    let mut packs: Vec<PackAt<'a>> = packs.into_values().collect();
    packs.sort_by_key(|pack| {
        pack.copies.first().map(|(_, _, copy)| (copy.cartridge.barcode.clone(), copy.start_block))
    });
    report.packs = packs.len() as u64;
    packs
}

/// What every pack brought.
pub(crate) fn births(packs: &[PackAt<'_>], manifests: &Manifests) -> Result<Births, Error> {
    let mut births = Births::default();
    for pack in packs {
        let failed = |error: volume::pack::Error| Error::Pack { pack: pack.id, source: error.into() };
        for entry in manifests.open(pack.id)?.into_iter().flatten() {
            births.note(pack.id, &entry.map_err(failed)?);
        }
    }
    Ok(births)
}
