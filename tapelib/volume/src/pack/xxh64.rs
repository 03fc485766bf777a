//! XXH64 with seed 0, the checksum of zstd frames.

const PRIMES: [u64; 5] = [
    0x9E37_79B1_85EB_CA87,
    0xC2B2_AE3D_27D4_EB4F,
    0x1656_67B1_9E37_79F9,
    0x85EB_CA77_C2B2_AE63,
    0x27D4_EB2F_1656_67C5,
];
const STRIPE: usize = 32;

/// A checksum in the making.
pub(super) struct Xxh64 {
    lanes: [u64; 4],
    /// Bytes that do not fill a stripe yet.
    rest: Vec<u8>,
    length: u64,
}

impl Default for Xxh64 {
    fn default() -> Self {
        let lanes = [PRIMES[0].wrapping_add(PRIMES[1]), PRIMES[1], 0, 0_u64.wrapping_sub(PRIMES[0])];
        Self { lanes, rest: Vec::with_capacity(STRIPE), length: 0 }
    }
}

impl Xxh64 {
    pub fn update(&mut self, mut bytes: &[u8]) {
        self.length = self.length.wrapping_add(bytes.len() as u64);
        if !self.rest.is_empty() {
            let (head, tail) = bytes.split_at(bytes.len().min(STRIPE - self.rest.len()));
            self.rest.extend_from_slice(head);
            bytes = tail;
            if self.rest.len() < STRIPE {
                return;
            }
            stripe(&mut self.lanes, &self.rest);
            self.rest.clear();
        }
        let mut stripes = bytes.chunks_exact(STRIPE);
        let mut lanes = self.lanes;
        stripes.by_ref().for_each(|bytes| stripe(&mut lanes, bytes));
        self.lanes = lanes;
        self.rest.extend_from_slice(stripes.remainder());
    }

    pub fn finish(&self) -> u64 {
        let [a, b, c, d] = self.lanes;
        let mut hash = if self.length < STRIPE as u64 {
            PRIMES[4]
        } else {
            let sum = a.rotate_left(1).wrapping_add(b.rotate_left(7));
            let sum = sum.wrapping_add(c.rotate_left(12)).wrapping_add(d.rotate_left(18));
            [a, b, c, d].into_iter().fold(sum, |hash, lane| {
                (hash ^ round(0, lane)).wrapping_mul(PRIMES[0]).wrapping_add(PRIMES[3])
            })
        };
        hash = hash.wrapping_add(self.length);
        let mut words = self.rest.chunks_exact(8);
        for word in words.by_ref() {
            hash ^= round(0, number(word));
            hash = hash.rotate_left(27).wrapping_mul(PRIMES[0]).wrapping_add(PRIMES[3]);
        }
        let mut rest = words.remainder();
        if rest.len() >= 4 {
            hash ^= number(&rest[..4]).wrapping_mul(PRIMES[0]);
            hash = hash.rotate_left(23).wrapping_mul(PRIMES[1]).wrapping_add(PRIMES[2]);
            rest = &rest[4..];
        }
        for byte in rest {
            hash ^= u64::from(*byte).wrapping_mul(PRIMES[4]);
            hash = hash.rotate_left(11).wrapping_mul(PRIMES[0]);
        }
        hash = (hash ^ hash >> 33).wrapping_mul(PRIMES[1]);
        hash = (hash ^ hash >> 29).wrapping_mul(PRIMES[2]);
        hash ^ hash >> 32
    }
}

fn stripe(lanes: &mut [u64; 4], bytes: &[u8]) {
    for (lane, word) in lanes.iter_mut().zip(bytes.chunks_exact(8)) {
        *lane = round(*lane, number(word));
    }
}

fn round(lane: u64, word: u64) -> u64 {
    lane.wrapping_add(word.wrapping_mul(PRIMES[1])).rotate_left(31).wrapping_mul(PRIMES[0])
}

/// Up to eight bytes, the lowest first.
fn number(bytes: &[u8]) -> u64 {
    let mut all = [0; 8];
    all[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        for (text, expected) in [
            ("", 0xEF46_DB37_51D8_E999),
            ("a", 0xD24E_C4F1_A98C_6E5B),
            ("abc", 0x44BC_2CF5_AD77_0999),
            ("Nobody inspects the spammish repetition", 0xFBCE_A83C_8A37_8BF1),
        ] {
            for cut in 0..=text.len() {
                let mut hash = Xxh64::default();
                hash.update(&text.as_bytes()[..cut]);
                hash.update(&text.as_bytes()[cut..]);
                assert_eq!(hash.finish(), expected, "{text:?} cut at {cut}");
            }
        }
    }
}
