//! Rebuild: a catalog made from what cartridges tell, and stubs made anew where the store lost them.
//!
//! 1. [`read`]: every cartridge is mounted once; its index, journals and manifests are read (survey)
//! 2. what was born, changed and died is put together (merge; pure)
//! 3. rows of volumes, packs and copies are written (rows)
//! 4. pack by pack, the store is looked at for each archive, and its stub or small object is made anew where that is
//!    wanted (place, small); its row is written
//! 5. buckets get the rules and terms back that the latest journal tells
//!
//! - Nothing is written to a cartridge, and nothing is put over what stands on the store.
//! - What no index lists, what cannot be read, and what is not whole is told as unconfirmed and put nowhere.
//! - A journal that cannot be read may hold deaths: the rebuild goes on only when that was accepted.
//! - It may be begun again at any time: the catalog it writes is new, and what it made on the store is found again.
//!
//! Not here: which catalog file and which store (daemon), and what is done with a catalog once it is there.

mod merge;
mod packs;
mod place;
mod report;
mod rows;
mod run;
mod small;
mod survey;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use library::{CatalogId, Library};
use model::PoolName;
use model::catalog::Catalog;
use model::clock::Clock;
use model::store::ObjectStore;
use volume::seal::KeySource;

use crate::error::{Error, chain};
use crate::settings::PoolSettings;
pub use report::{Report, Unconfirmed};
pub use run::rebuild;
use survey::{Cartridge, Manifests};

/// What was read of all cartridges.
pub struct Found {
    /// Those that carry a volume of ours, by the catalog that owns it.
    cartridges: BTreeMap<CatalogId, Vec<Cartridge>>,
    manifests: Arc<Manifests>,
    /// Cartridges that could not be read.
    unread: Vec<Unconfirmed>,
}

/// A catalog of which cartridges were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its id.
    pub catalog: CatalogId,
    /// How many cartridges it owns here.
    pub cartridges: usize,
    /// How many packs are on them.
    pub packs: usize,
}

/// What a rebuild works with.
#[allow(missing_docs)] // as in House
pub struct Parts {
    /// Empty.
    pub catalog: Arc<dyn Catalog>,
    pub store: Arc<dyn ObjectStore>,
    pub libraries: BTreeMap<String, Arc<Library>>,
    pub clock: Arc<dyn Clock>,
    pub pools: BTreeMap<PoolName, PoolSettings>,
}

/// What an operator decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Which catalog is rebuilt.
    pub catalog: CatalogId,
    /// What becomes of an archive of which the store has no stub.
    pub missing: Missing,
    /// Cartridges and journals that cannot be read are gone for good: go on without what they told.
    pub incomplete: bool,
    /// Write nothing, and only tell what would be.
    pub dry_run: bool,
}

/// What becomes of an archive of which the store has no stub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The store is a new one: its stub is made anew.
    Plant,
    /// The store was there all the time: the object was deleted, and no journal tells it. Refused when more are missing
    /// than found.
    End,
    /// The same, whatever their number.
    EndAll,
}

/// Told how far it is: what is being done, how much of it is done, and how much there is.
pub type Progress<'a> = &'a (dyn Fn(&str, u64, u64) + Sync);

/// Reads every cartridge of every library; of one catalog alone where it is known already. Manifests are kept in
/// `folder`, which is the rebuild's own; what is sealed is opened with `keys`.
pub async fn read(
    libraries: &BTreeMap<String, Arc<Library>>,
    folder: &Path,
    keys: Arc<dyn KeySource>,
    wanted: Option<CatalogId>,
    progress: Progress<'_>,
) -> Result<Found, Error> {
    let manifests = Arc::new(Manifests::new(folder, keys)?);
    let mut found = Found { cartridges: BTreeMap::new(), manifests, unread: Vec::new() };
    for (name, library) in libraries {
        let barcodes = library.inventory().barcodes();
        let barcodes: Vec<_> = barcodes.into_iter().filter(|barcode| !barcode.is_cleaning()).collect();
        let (all, mut done) = (barcodes.len() as u64, 0);
        // As many as there are drives: a job that waits for a drive would hold up nothing, but say so too early.
        let at_a_time = library.drives().len().max(1);
        let looks = barcodes.into_iter().map(|barcode| {
            let manifests = &found.manifests;
            async move { (barcode.clone(), survey::survey((name, library), barcode, wanted, manifests).await) }
        });
        let mut looks = stream::iter(looks).buffer_unordered(at_a_time);
        let (mut cartridges, mut unread) = (Vec::new(), Vec::new());
        while let Some((barcode, look)) = looks.next().await {
            done += 1;
            progress("cartridges read", done, all);
            match look {
                Ok(cartridge) => cartridges.extend(cartridge),
                Err(error) => unread.push(Unconfirmed {
                    barcode: Some(barcode.to_string()),
                    what: "the cartridge".to_owned(),
                    reason: chain(&error),
                    lost: true,
                }),
            }
        }
        drop(looks);
        found.unread.append(&mut unread);
        for cartridge in cartridges {
            if let Some(owner) = cartridge.catalog {
                found.cartridges.entry(owner).or_default().push(cartridge);
            }
        }
    }
    for cartridges in found.cartridges.values_mut() {
        cartridges.sort_by(|one, other| one.barcode.cmp(&other.barcode));
    }
    Ok(found)
}

// === impl Found ===

impl Found {
    /// The catalogs that own cartridges.
    pub fn owners(&self) -> Vec<Owner> {
        let owner = |(catalog, cartridges): (&CatalogId, &Vec<Cartridge>)| Owner {
            catalog: *catalog,
            cartridges: cartridges.len(),
            packs: cartridges.iter().map(|cartridge| cartridge.packs.len()).sum(),
        };
        self.cartridges.iter().map(owner).collect()
    }
}
