//! What is only on one volume, and how much of it lives: what an operator asks before it is given up, and what is asked
//! once more before a cartridge is overwritten. Deliberately other code than that which empties volumes: it goes by the
//! archives, and trusts nothing but rows of copies that lie elsewhere.

use std::collections::BTreeMap;

use model::catalog::{Catalog, CatalogError};
use model::pack::{PackCopy, PackCopyStage};
use model::volume::{Volume, VolumeStage};
use model::{Archive, ArchiveId, BucketName, PackId, VolumeId};

const PAGE: usize = 1_000;

/// What is whole nowhere but on one volume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exposure {
    /// Packs.
    pub packs: Vec<PackId>,
    /// Their bytes.
    pub pack_bytes: u64,
    /// Living objects in them: how many, and how many bytes, by bucket.
    pub buckets: BTreeMap<BucketName, (u64, u64)>,
}

/// How a volume is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Packs on it in which something lives.
    pub live_packs: u64,
    /// Their bytes.
    pub live_bytes: u64,
    /// Bytes of packs that are left behind when it is reclaimed.
    pub dead_bytes: u64,
}

// === impl Exposure ===

impl Exposure {
    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.packs.is_empty()
    }

    /// Living objects, and their bytes.
    pub fn objects(&self) -> (u64, u64) {
        self.buckets.values().fold((0, 0), |(count, bytes), (more, sizes)| (count + more, bytes + sizes))
    }
}

/// What would be lost with a volume if it broke now.
pub async fn exposure(catalog: &dyn Catalog, volume: VolumeId) -> Result<Exposure, CatalogError> {
    expose(catalog, volume, |copy| copy.state.stage() != PackCopyStage::Dead).await
}

/// What living packs that ever were on a volume are whole nowhere else: nothing, or it may not be overwritten.
pub(crate) async fn left_behind(catalog: &dyn Catalog, volume: VolumeId) -> Result<Exposure, CatalogError> {
    expose(catalog, volume, |_| true).await
}

async fn expose(
    catalog: &dyn Catalog,
    volume: VolumeId,
    counts: impl Fn(&PackCopy) -> bool,
) -> Result<Exposure, CatalogError> {
    let reliable: BTreeMap<VolumeId, bool> =
        catalog.volumes().await?.iter().map(|row| (row.id, row.id != volume && is_reliable(row))).collect();
    let mut exposure = Exposure::default();
    let mut after = None;
    loop {
        let page = catalog.copies_on(volume, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(exposure) };
        after = Some(last.pack);
        for copy in page.iter().filter(|copy| counts(copy)) {
            if exposure.packs.last() == Some(&copy.pack) || is_kept(catalog, copy.pack, &reliable).await? {
                continue;
            }
            let before = exposure.objects().0;
            add_archives(catalog, copy.pack, &mut exposure).await?;
            if exposure.objects().0 > before {
                exposure.packs.push(copy.pack);
                exposure.pack_bytes += catalog.pack(copy.pack).await?.map_or(0, |pack| pack.bytes);
            }
        }
    }
}

/// Whether a copy on the cartridges of others can be relied on.
fn is_reliable(volume: &Volume) -> bool {
    let stage = volume.state.in_place().stage();
    !volume.state.is_missing()
        && !matches!(stage, VolumeStage::Suspect | VolumeStage::Reclaiming | VolumeStage::Retired)
}

/// Whether a pack is whole elsewhere. What is only on the spool is nowhere.
async fn is_kept(
    catalog: &dyn Catalog,
    pack: PackId,
    reliable: &BTreeMap<VolumeId, bool>,
) -> Result<bool, CatalogError> {
    let copies = catalog.copies_of(pack).await?;
    Ok(copies.iter().any(|copy| {
        let whole = matches!(copy.state.stage(), PackCopyStage::Written | PackCopyStage::Verified);
        whole && copy.volume.is_some_and(|volume| reliable.get(&volume) == Some(&true))
    }))
}

async fn add_archives(
    catalog: &dyn Catalog,
    pack: PackId,
    exposure: &mut Exposure,
) -> Result<(), CatalogError> {
    let mut after: Option<ArchiveId> = None;
    loop {
        let page = catalog.archives_of_pack(pack, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.id);
        for Archive { bucket, size, .. } in page.into_iter().filter(|row| row.state.stage().is_live()) {
            let (count, bytes) = exposure.buckets.entry(bucket).or_default();
            *count += 1;
            *bytes += size;
        }
    }
}

/// How much of a volume lives, counted from its packs.
pub async fn usage(catalog: &dyn Catalog, volume: VolumeId) -> Result<Usage, CatalogError> {
    let mut usage = Usage::default();
    let mut after = None;
    loop {
        let page = catalog.copies_on(volume, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(usage) };
        after = Some(last.pack);
        for copy in page {
            let bytes = catalog.pack(copy.pack).await?.map_or(0, |pack| pack.bytes);
            if copy.state.stage() != PackCopyStage::Dead && catalog.is_alive(copy.pack).await? {
                usage.live_packs += 1;
                usage.live_bytes += bytes;
            } else {
                usage.dead_bytes += bytes;
            }
        }
    }
}
