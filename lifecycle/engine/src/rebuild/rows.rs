//! Rows of the catalog from what stands on tape. Pure; what is on a tape may be hostile and is refused in words.

use library::CopyLabel;
use model::archive::ArchiveStage;
use model::limits::{OBJECT_BYTES_MAX, PARTS_MAX};
use model::marker::{self, Marker, MarkerKind, Original};
use model::pack::{CopyEnd, Pack, PackCopy, PackCopyState};
use model::store::ObjectRef;
use model::volume::{Volume, VolumeState};
use model::{
    Archive, ArchiveState, BucketName, ETag, Identity, ObjectKey, PackId, PoolName, TapeClass, Timestamp,
    VersionId,
};

use super::merge::Birth;
use super::small::PackCopyAt;
use super::survey::Cartridge;
use crate::record;

/// The row of an archive, as archived, without what stands for it on the store; and its object's headers as a PUT takes
/// them. Errors say why it cannot be.
pub(crate) fn archive(
    birth: &Birth,
    pool: &PoolName,
    in_place: bool,
    now: Timestamp,
) -> Result<(Archive, Vec<(String, String)>), String> {
    let record = &birth.record;
    let said = |what: &'static str| move |error: model::name::NameError| format!("its {what}: {error}");
    let bucket = BucketName::parse(&record.bucket).map_err(said("bucket"))?;
    let key = ObjectKey::parse(&record.key).map_err(said("key"))?;
    let etag = ETag::parse(&record.etag).map_err(said("ETag"))?;
    let version = record.version_id.as_deref().map(VersionId::parse).transpose().map_err(said("version"))?;
    let class: TapeClass =
        record.class.parse().map_err(|error: model::class::UnknownClass| error.to_string())?;
    if record.size > OBJECT_BYTES_MAX || record.parts.len() > PARTS_MAX as usize {
        return Err("it is larger than an object may be".to_owned());
    }
    let headers = record::headers(record);
    let last_modified = Timestamp::from_milliseconds(record.last_modified_ms);
    let identity = Identity {
        etag,
        last_modified_seconds: last_modified.seconds(),
        version,
        attributes_digest: record::attributes_digest(&headers, record.hidden),
    };
    let object = ObjectRef { bucket, key, version: None };
    let row = Archive {
        size: record.size,
        last_modified: Some(last_modified),
        identity: Some(identity),
        part_bytes: record.parts.iter().map(|part| part.size).collect(),
        checksums: record::checksum_headers(record),
        displaced_metadata: if in_place { Vec::new() } else { marker::displaced(&headers) },
        extents: birth.extents.clone(),
        record_journaled: birth.journaled,
        ..Archive::new(birth.id, object, class, pool.clone(), ArchiveState::Archived, now)
    };
    Ok((row, headers))
}

/// What the reserved header of an archived object says.
pub(crate) fn marker(row: &Archive) -> Option<Marker> {
    let kind = if row.keeps_bytes() { MarkerKind::Whole } else { MarkerKind::Stub };
    let original = Original {
        size: row.size,
        etag: row.identity.as_ref()?.etag.clone(),
        last_modified: row.last_modified?,
    };
    Some(Marker { kind, archive: row.id, class: row.class, original: Some(original) })
}

/// The row of what is history; whether tape tells its end.
pub(crate) fn dead(row: Archive, told: bool) -> Archive {
    Archive { state: ArchiveState::Dead, death_journaled: told, ..row }
}

/// The row of what turned out to be history and of which tape does not know it.
pub(crate) fn ended(row: Archive, stage: ArchiveStage) -> Archive {
    let state = if stage == ArchiveStage::Dead { ArchiveState::Dead } else { ArchiveState::Withdrawn };
    Archive { state, ..row }
}

/// The row of a cartridge's volume.
pub(crate) fn volume(cartridge: &Cartridge, pools: &[PoolName], now: Timestamp) -> Volume {
    let pool = cartridge.packs.iter().find_map(|pack| pool_of(pack.copy.as_ref(), pools));
    let surveyed = &cartridge.surveyed;
    let state = match (&surveyed.tail, &pool) {
        (None, _) => VolumeState::Suspect { why: "the end of its data cannot be read".to_owned() },
        (Some(_), None) if cartridge.packs.is_empty() => VolumeState::Scratch,
        (Some(_), _) if surveyed.remaining_bytes == 0 => VolumeState::Full,
        (Some(_), Some(_)) => VolumeState::Filling,
        // Of a pool that is not configured any more: read, never written.
        (Some(_), None) => VolumeState::Full,
    };
    let end = surveyed.tail.map_or(0, |tail| tail.index_end);
    Volume {
        id: cartridge.volume,
        revision: 0,
        library: cartridge.library.clone(),
        barcode: cartridge.barcode.to_string(),
        medium_serial: surveyed.medium_serial.clone(),
        pool,
        state,
        generation: cartridge.generation,
        end_of_data_block: end,
        remaining_bytes: surveyed.remaining_bytes,
        capacity_bytes: surveyed.capacity_bytes,
        unclean: surveyed.tail.is_some_and(|tail| tail.end_of_data != tail.index_end),
        journal: cartridge.journals.last().copied().unwrap_or(0),
        leaving: None,
        check: None,
        created: now,
    }
}

/// The row of a copy of a pack that a volume's index lists. It counts as read back: what is wrong with it shows when it
/// is read, or when the volume is verified.
pub(crate) fn copy(pack: PackId, number: u8, pool: PoolName, at: PackCopyAt<'_>) -> PackCopy {
    let blocks = at.bytes.div_ceil(volume::ltfs::BLOCK_BYTES);
    let state = PackCopyState::Verified { start_block: at.start_block, blocks };
    PackCopy { pack, number, revision: 0, pool, volume: Some(at.cartridge.volume), state }
}

/// The row of a copy that is to be and was not found.
pub(crate) fn lost_copy(pack: PackId, number: u8, pool: PoolName) -> PackCopy {
    let state = PackCopyState::Dead { why: CopyEnd::VolumeLost };
    PackCopy { pack, number, revision: 0, pool, volume: None, state }
}

/// The row of a pack that is not sealed.
pub(crate) fn pack(id: PackId, pool: PoolName, (bytes, digest): (u64, [u8; 32]), members: u32) -> Pack {
    let created = i64::try_from(id.as_u128() >> 80).unwrap_or(0);
    let created = Timestamp::from_milliseconds(created);
    Pack { id, revision: 0, pool, bytes, digest, seal: None, members, spooled: false, created }
}

fn pool_of(label: Option<&CopyLabel>, pools: &[PoolName]) -> Option<PoolName> {
    let pool = PoolName::parse(&label?.pool).ok()?;
    pools.contains(&pool).then_some(pool)
}
