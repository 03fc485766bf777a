//! The tail of a pack: two zstd skippable frames, the trailer and the seek table.
//!
//! The seek table follows the zstd Seekable Format 0.1.0: per frame its compressed and its decompressed size, no checksums
//! (each frame carries its own). The trailer before it says what the format has no room for, and seals both with digests.
//! All integers are little-endian. `zstd -d` passes over both.

use super::id::{Digest, PackId};
use super::limits::{FRAMES_MAX, HUGE_FRAME_BYTES_MAX, MEMBERS_MAX, PLAIN_BYTES_MAX};
use ulid::Ulid;

/// The trailer's frame: 8 bytes of header and the payload.
pub(super) const TRAILER_BYTES: usize = 8 + 160;
/// The footer that ends a seek table, and so the pack.
pub(super) const FOOTER_BYTES: usize = 9;

const TRAILER_MAGIC: u32 = 0x184D_2A5B;
const TRAILER_NAME: &[u8; 8] = b"tapegate";
const VERSION: u16 = 1;
const TABLE_MAGIC: u32 = 0x184D_2A5E;
const FOOTER_MAGIC: u32 = 0x8F92_EAB1;
const ENTRY_BYTES: u64 = 8;

/// Sizes of one zstd frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameSizes {
    pub compressed: u32,
    pub plain: u32,
}

/// What the trailer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trailer {
    pub pack: PackId,
    pub members: u32,
    pub frames: u32,
    pub plain_bytes: u64,
    pub manifest_offset: u64,
    pub manifest_bytes: u64,
    pub manifest_digest: Digest,
    /// Of the whole seek table frame.
    pub table_digest: Digest,
}

/// The seek table as a skippable frame.
pub(super) fn encode_table(frames: &[FrameSizes]) -> Vec<u8> {
    let count = u32::try_from(frames.len()).expect("a pack has at most 2^20 frames");
    assert!(count <= FRAMES_MAX, "the writer ends a pack before this");
    let payload = u64::from(count) * ENTRY_BYTES + FOOTER_BYTES as u64;
    let mut out = Vec::new();
    out.extend(TABLE_MAGIC.to_le_bytes());
    out.extend(u32::try_from(payload).expect("2^20 entries of 8 bytes fit").to_le_bytes());
    for frame in frames {
        out.extend(frame.compressed.to_le_bytes());
        out.extend(frame.plain.to_le_bytes());
    }
    out.extend(count.to_le_bytes());
    out.push(0);
    out.extend(FOOTER_MAGIC.to_le_bytes());
    out
}

/// The bytes of the seek table frame that ends with this footer.
pub(super) fn table_bytes(footer: &[u8; FOOTER_BYTES]) -> Result<u64, &'static str> {
    if le32(footer, 5) != FOOTER_MAGIC {
        return Err("no seek table at the end");
    }
    if footer[4] != 0 {
        return Err("seek table of an unknown kind");
    }
    let count = le32(footer, 0);
    if count > FRAMES_MAX {
        return Err("too many frames");
    }
    Ok(8 + u64::from(count) * ENTRY_BYTES + FOOTER_BYTES as u64)
}

/// The frames of a seek table frame, given whole (its length is that of [`table_bytes`]).
pub(super) fn decode_table(table: &[u8]) -> Result<Vec<FrameSizes>, &'static str> {
    let header_and_footer = 8 + FOOTER_BYTES;
    let entries = table.len().checked_sub(header_and_footer).ok_or("seek table too short")?;
    if le32(table, 0) != TABLE_MAGIC || u64::from(le32(table, 4)) + 8 != table.len() as u64 {
        return Err("seek table without its header");
    }
    let frames: Vec<FrameSizes> = table[8..8 + entries]
        .chunks_exact(8)
        .map(|entry| FrameSizes { compressed: le32(entry, 0), plain: le32(entry, 4) })
        .collect();
    if frames.iter().any(|frame| u64::from(frame.plain) > HUGE_FRAME_BYTES_MAX || frame.plain == 0) {
        return Err("frame of an impossible size");
    }
    Ok(frames)
}

/// The trailer as a skippable frame.
pub(super) fn encode_trailer(trailer: &Trailer) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(TRAILER_MAGIC.to_le_bytes());
    out.extend(160_u32.to_le_bytes());
    out.extend(TRAILER_NAME);
    out.extend(VERSION.to_le_bytes());
    out.extend(0_u16.to_le_bytes());
    out.extend(trailer.members.to_le_bytes());
    out.extend(trailer.pack.0.0.to_be_bytes());
    out.extend(trailer.plain_bytes.to_le_bytes());
    out.extend(trailer.manifest_offset.to_le_bytes());
    out.extend(trailer.manifest_bytes.to_le_bytes());
    out.extend(trailer.frames.to_le_bytes());
    out.extend(0_u32.to_le_bytes());
    out.extend(trailer.manifest_digest.0);
    out.extend(trailer.table_digest.0);
    let seal = Digest::of(&out);
    out.extend(seal.0);
    assert_eq!(out.len(), TRAILER_BYTES);
    out
}

/// The trailer, its own digest and the bounds of its numbers checked.
pub(super) fn decode_trailer(bytes: &[u8; TRAILER_BYTES]) -> Result<Trailer, &'static str> {
    if le32(bytes, 0) != TRAILER_MAGIC || le32(bytes, 4) != 160 || &bytes[8..16] != TRAILER_NAME {
        return Err("no trailer before the seek table");
    }
    if bytes[16..18] != VERSION.to_le_bytes() {
        return Err("pack format of an unknown version");
    }
    if Digest::of(&bytes[..136]).0 != bytes[136..] {
        return Err("trailer damaged");
    }
    let pack: [u8; 16] = bytes[24..40].try_into().expect("sixteen bytes");
    let trailer = Trailer {
        pack: PackId(Ulid(u128::from_be_bytes(pack))),
        members: le32(bytes, 20),
        plain_bytes: le64(bytes, 40),
        manifest_offset: le64(bytes, 48),
        manifest_bytes: le64(bytes, 56),
        frames: le32(bytes, 64),
        manifest_digest: Digest(bytes[72..104].try_into().expect("32 bytes")),
        table_digest: Digest(bytes[104..136].try_into().expect("32 bytes")),
    };
    let end = trailer.manifest_offset.checked_add(trailer.manifest_bytes);
    let inside = end.is_some_and(|end| end <= trailer.plain_bytes) && trailer.plain_bytes <= PLAIN_BYTES_MAX;
    if !inside || trailer.members > MEMBERS_MAX {
        return Err("trailer with impossible numbers");
    }
    Ok(trailer)
}

fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn le64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_tail_round_trips_and_every_flipped_bit_of_the_trailer_is_seen() {
        let frames = [FrameSizes { compressed: 30, plain: 1_024 }, FrameSizes { compressed: 9, plain: 1 }];
        let table = encode_table(&frames);
        let footer = table[table.len() - 9..].try_into().unwrap();
        assert_eq!(table_bytes(&footer).unwrap(), table.len() as u64);
        assert_eq!(decode_table(&table).unwrap(), frames);
        let trailer = Trailer {
            pack: PackId(Ulid(77)),
            members: 5,
            frames: 2,
            plain_bytes: 1_025,
            manifest_offset: 512,
            manifest_bytes: 513,
            manifest_digest: Digest::of(b"m"),
            table_digest: Digest::of(&table),
        };
        let bytes: [u8; 168] = encode_trailer(&trailer).try_into().unwrap();
        assert_eq!(decode_trailer(&bytes).unwrap(), trailer);
        for bit in 0..bytes.len() * 8 {
            let mut wrong = bytes;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(decode_trailer(&wrong).is_err(), "bit {bit}");
        }
    }
}
