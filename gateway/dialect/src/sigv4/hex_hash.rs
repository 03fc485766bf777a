//! SHA-256 as signatures write it.

use std::fmt;

/// 64 lower-case hex digits.
#[derive(Clone, Copy)]
pub(super) struct HexHash([u8; 64]);

// === impl HexHash ===

impl HexHash {
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hex digits are ASCII")
    }
}

impl From<[u8; 32]> for HexHash {
    fn from(hash: [u8; 32]) -> Self {
        let mut digits = [0; 64];
        hex::encode_to_slice(hash, &mut digits).expect("two digits a byte");
        Self(digits)
    }
}

impl fmt::Display for HexHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
