//! How a large restored copy is cut, so that its stretches can be handed to a store in any order.
//!
//! S3 puts an upload together by the numbers of its parts: at most 10 000 of them, each of 5 MiB (but the last) to
//! 5 GiB. A stretch is as many parts as it needs, and its numbers are known before the others are there.

use std::ops::Range;

use crate::limits::{PART_BYTES_MIN, PARTS_MAX, PUT_BYTES_MAX};
use crate::{ArchiveId, ETag};

/// Size of a part unless there would be too many, in bytes.
const PART_BYTES: u64 = 64 << 20;

/// An object cut into stretches of the same length, the last of which may be shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretches {
    object_bytes: u64,
    stretch_bytes: u64,
    part_bytes: u64,
    /// Parts of a whole stretch.
    parts_each: u32,
}

/// A restored copy that is being written stretch by stretch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyUpload {
    /// Whose copy.
    pub archive: ArchiveId,
    /// The store's name for the upload.
    pub upload: String,
    /// How it is cut.
    pub stretches: Stretches,
}

/// A part of such a copy, as the store took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyPart {
    /// From 1.
    pub number: u32,
    /// What the store told for it.
    pub etag: ETag,
}

// === impl Stretches ===

impl Stretches {
    /// An object of `object_bytes` in stretches of `stretch_bytes`; `None` when no store takes it like this, because the
    /// stretches are too short or too many.
    pub fn new(object_bytes: u64, stretch_bytes: u64) -> Option<Self> {
        let stretch_bytes = stretch_bytes.min(object_bytes);
        if stretch_bytes == 0 {
            return None;
        }
        let count = object_bytes.div_ceil(stretch_bytes);
        let parts_each_max = u64::from(PARTS_MAX) / count;
        if parts_each_max == 0 {
            return None;
        }
        let parts_each = stretch_bytes.div_ceil(PART_BYTES).min(parts_each_max);
        let part_bytes = stretch_bytes.div_ceil(parts_each);
        let taken = part_bytes <= PUT_BYTES_MAX && (count == 1 || part_bytes >= PART_BYTES_MIN);
        let parts_each = u32::try_from(parts_each).ok()?;
        taken.then_some(Self { object_bytes, stretch_bytes, part_bytes, parts_each })
    }

    /// Size of the whole object, in bytes.
    pub fn object_bytes(&self) -> u64 {
        self.object_bytes
    }

    /// Length of the longest stretch, in bytes.
    pub fn stretch_bytes(&self) -> u64 {
        self.stretch_bytes
    }

    /// How many stretches there are.
    pub fn count(&self) -> u32 {
        // At most as many as parts.
        u32::try_from(self.object_bytes.div_ceil(self.stretch_bytes)).unwrap_or(PARTS_MAX)
    }

    /// Where a stretch lies in the object, in bytes; empty behind the last one.
    pub fn range(&self, index: u32) -> Range<u64> {
        let start = (u64::from(index) * self.stretch_bytes).min(self.object_bytes);
        start..self.object_bytes.min(start + self.stretch_bytes)
    }

    /// The parts of a stretch, in their order: number and length in bytes.
    pub fn parts(&self, index: u32) -> impl Iterator<Item = (u32, u64)> + Send + use<> {
        let Range { start, end } = self.range(index);
        let part_bytes = self.part_bytes;
        let first = index.saturating_mul(self.parts_each).saturating_add(1);
        let count = u32::try_from((end - start).div_ceil(part_bytes)).unwrap_or(self.parts_each);
        (0..count).map(move |part| {
            let begin = start + u64::from(part) * part_bytes;
            (first.saturating_add(part), part_bytes.min(end - begin))
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::limits::OBJECT_BYTES_MAX;

    /// What every store takes: rising numbers, no part but the last too short, none too long, each byte once.
    fn assert_taken(cut: Stretches) {
        let (mut numbers, mut bytes, mut at) = (0, 0, 0);
        let last = cut.count() - 1;
        for index in 0..=last {
            assert_eq!(cut.range(index).start, at, "{cut:?}");
            at = cut.range(index).end;
            let parts: Vec<_> = cut.parts(index).collect();
            for (place, (number, length)) in parts.iter().enumerate() {
                let is_last = index == last && place + 1 == parts.len();
                assert!(*number > numbers && *number <= PARTS_MAX, "{cut:?}");
                assert!(*length <= PUT_BYTES_MAX && (is_last || *length >= PART_BYTES_MIN), "{cut:?}");
                assert!(*length > 0, "{cut:?}");
                (numbers, bytes) = (*number, bytes + length);
            }
        }
        assert_eq!((at, bytes), (cut.object_bytes(), cut.object_bytes()), "{cut:?}");
        assert!(cut.range(last + 1).is_empty());
    }

    #[test]
    fn what_is_cut_is_taken_by_every_store() {
        const MIB: u64 = 1 << 20;
        let sizes = [1, 5 * MIB, 5 * MIB + 1, 64 * MIB, 64 * MIB + 1, 16 << 30, 32 << 30];
        for stretch in sizes {
            for object in [1, 5 * MIB, 64 * MIB + 5, 40 << 30, 5 << 40] {
                if let Some(cut) = Stretches::new(object, stretch) {
                    assert_taken(cut);
                }
            }
        }
        let whole = Stretches::new(OBJECT_BYTES_MAX, 16 << 30).unwrap();
        assert_eq!((whole.count(), whole.stretch_bytes()), (320, 16 << 30));
        let short = Stretches::new((64 << 20) + 5, u64::MAX).unwrap();
        assert_eq!(short.parts(0).count(), 2);
    }

    #[test]
    fn what_no_store_takes_is_not_cut() {
        assert_eq!(Stretches::new(0, 5), None);
        assert_eq!(Stretches::new(5, 0), None);
        assert_eq!(Stretches::new(10 << 20, (5 << 20) - 1), None, "too short");
        assert_eq!(Stretches::new(OBJECT_BYTES_MAX, 64 << 20), None, "too many");
    }
}
