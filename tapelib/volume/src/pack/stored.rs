//! zstd frames that hold their bytes as they are (RFC 8878, raw blocks): for what is compressed elsewhere, or nowhere.
//! Every zstd decoder reads them, and the seek table treats them as any other.

use std::hash::Hasher;

use twox_hash::XxHash64;

/// Builds one frame after the other, each fed in chunks.
#[derive(Default)]
pub(super) struct Storer {
    /// XXH64 with seed 0 (RFC 8878, 3.1.1).
    checksum: XxHash64,
    begun: bool,
    plain: u32,
}

/// A decoder keeps no more than this of a frame, which is also the most that a block may hold.
const BLOCK_BYTES: usize = 128 << 10;
const MAGIC: u32 = 0xFD2F_B528;
/// Content size in four bytes, a window, a checksum.
const DESCRIPTOR: u8 = 0b1000_0100;
/// A window of 128 KiB.
const WINDOW: u8 = 7 << 3;
const HEADER_BYTES: usize = 10;

impl Storer {
    /// Starts a frame of `plain` bytes.
    pub fn begin(&mut self, plain: u32) {
        *self = Self { plain, ..Self::default() };
    }

    /// The frame's next piece.
    pub fn store(&mut self, chunk: &[u8], last: bool) -> Vec<u8> {
        let blocks = chunk.len().div_ceil(BLOCK_BYTES).max(1);
        let mut frame = Vec::with_capacity(HEADER_BYTES + chunk.len() + 3 * blocks + 4);
        if !std::mem::replace(&mut self.begun, true) {
            frame.extend(MAGIC.to_le_bytes());
            frame.extend([DESCRIPTOR, WINDOW]);
            frame.extend(self.plain.to_le_bytes());
        }
        self.checksum.write(chunk);
        let mut rest = chunk;
        for block in 1..=blocks {
            let (bytes, after) = rest.split_at(rest.len().min(BLOCK_BYTES));
            let size = u32::try_from(bytes.len()).expect("a block is small");
            let header = size << 3 | u32::from(last && block == blocks);
            frame.extend(&header.to_le_bytes()[..3]);
            frame.extend(bytes);
            rest = after;
        }
        if last {
            // The low half.
            frame.extend(&self.checksum.finish().to_le_bytes()[..4]);
        }
        frame
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;
    use proptest::prelude::*;

    fn frame(storer: &mut Storer, chunks: &[Vec<u8>]) -> Vec<u8> {
        storer.begin(chunks.iter().map(Vec::len).sum::<usize>() as u32);
        let count = chunks.len();
        chunks.iter().enumerate().flat_map(|(n, chunk)| storer.store(chunk, n + 1 == count)).collect()
    }

    proptest! {
        #[test]
        fn any_decoder_reads_it(
            lengths in proptest::collection::vec(prop_oneof![0_usize..200, 130_000..400_000_usize], 1..4),
            seed: u8,
        ) {
            let chunks: Vec<Vec<u8>> = lengths
                .iter()
                .map(|length| (0..*length).map(|n| (n % 251) as u8 ^ seed).collect())
                .collect();
            let mut storer = Storer::default();
            // One after the other.
            for _ in 0..2 {
                let frame = frame(&mut storer, &chunks);
                let plain = zstd::stream::decode_all(&frame[..]).unwrap();
                prop_assert_eq!(plain, chunks.concat());
            }
        }
    }

    #[test]
    fn a_decoder_notices_a_changed_byte() {
        let mut frame = frame(&mut Storer::default(), &[vec![7; 100_000]]);
        frame[5_000] ^= 1;
        assert!(zstd::stream::decode_all(&frame[..]).is_err());
    }
}
