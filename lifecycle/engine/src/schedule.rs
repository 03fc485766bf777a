//! Which volume is read next, and in which order. Pure.

use std::collections::BTreeMap;

use model::{ArchiveId, Extent, JobId, Stretches, Tier, Timestamp, VolumeId};

/// One segment of an object to be read from a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The restore it is for.
    pub job: JobId,
    /// The archive.
    pub archive: ArchiveId,
    /// Which of the archive's extents.
    pub index: usize,
    /// Where it lies in its pack.
    pub extent: Extent,
    /// Where in the object it goes, in bytes.
    pub position: u64,
    /// Size of the whole object.
    pub object_bytes: u64,
    /// How the object is cut, when it is in several segments that a store takes one by one.
    pub stretches: Option<Stretches>,
    /// The volume it is read from.
    pub volume: VolumeId,
    /// Where its pack begins on the volume.
    pub start_block: u64,
    /// Length of its pack.
    pub pack_bytes: u64,
    /// How soon it is wanted.
    pub tier: Tier,
    /// When it was asked for.
    pub created: Timestamp,
}

/// How long after the request a restore should be readable: what the tiers promise. Nothing waits behind later
/// requests of a faster tier for longer than its own span, so none starves.
pub fn deadline(tier: Tier, created: Timestamp) -> Timestamp {
    const MINUTE: i64 = 60_000;
    let span = match tier {
        Tier::Expedited => 5 * MINUTE,
        Tier::Standard => 4 * 60 * MINUTE,
        Tier::Bulk => 12 * 60 * MINUTE,
    };
    created.plus_milliseconds(span)
}

/// When the most urgent of these pieces is due.
pub fn due(pieces: &[Piece]) -> Option<Timestamp> {
    pieces.iter().map(|piece| deadline(piece.tier, piece.created)).min()
}

/// The volumes with their pieces, the one with the most urgent piece first: one mount serves all that is known.
pub fn by_urgency(pieces: Vec<Piece>) -> Vec<(VolumeId, Vec<Piece>)> {
    let mut volumes: BTreeMap<VolumeId, Vec<Piece>> = BTreeMap::new();
    for piece in pieces {
        volumes.entry(piece.volume).or_default().push(piece);
    }
    let mut volumes: Vec<_> = volumes.into_iter().collect();
    volumes.sort_by_key(|(_, pieces)| {
        pieces.iter().map(|piece| (deadline(piece.tier, piece.created), piece.job)).min()
    });
    volumes
}

/// Physical order: by pack, then by place in the pack.
pub fn order(pieces: &mut [Piece]) {
    pieces.sort_by_key(|piece| (piece.start_block, piece.extent.offset, piece.index));
}

#[cfg(test)]
impl Piece {
    /// The only piece of an object of so many bytes.
    pub(crate) fn of(number: u128, bytes: u64) -> Self {
        Self {
            job: JobId::new(1, number),
            archive: ArchiveId::new(1, number),
            index: 0,
            extent: Extent { pack: model::PackId::new(1, 1), offset: 0, length: bytes, digest: [0; 32] },
            position: 0,
            object_bytes: bytes,
            stretches: None,
            volume: VolumeId::from_u128(1),
            start_block: 0,
            pack_bytes: bytes,
            tier: Tier::Standard,
            created: Timestamp::from_seconds(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(number: u128, volume: u128, start_block: u64, tier: Tier, created: i64) -> Piece {
        let (volume, created) = (VolumeId::from_u128(volume), Timestamp::from_seconds(created));
        Piece { volume, start_block, tier, created, ..Piece::of(number, 1) }
    }

    #[test]
    fn one_mount_takes_all_of_a_volume_in_order() {
        let pieces = vec![
            piece(1, 7, 50, Tier::Standard, 0),
            piece(2, 8, 10, Tier::Standard, 1),
            piece(3, 7, 20, Tier::Bulk, 2),
        ];
        let (volume, mut chosen) = by_urgency(pieces).remove(0);
        order(&mut chosen);
        assert_eq!(volume, VolumeId::from_u128(7));
        assert_eq!(chosen.iter().map(|p| p.start_block).collect::<Vec<_>>(), [20, 50]);
    }

    #[test]
    fn a_faster_tier_goes_first_until_the_slower_is_due() {
        let bulk = |created| piece(1, 7, 0, Tier::Bulk, created);
        let expedited = |created| piece(2, 8, 0, Tier::Expedited, created);
        let first = |pieces| by_urgency(pieces)[0].0;
        assert_eq!(first(vec![bulk(0), expedited(60)]), VolumeId::from_u128(8));
        let half_a_day = 12 * 60 * 60;
        assert_eq!(first(vec![bulk(0), expedited(half_a_day)]), VolumeId::from_u128(7));
    }
}
