//! The checksum that travels with a block: CRC-32C, four bytes behind it, lowest byte first.

use crc_fast::{CrcAlgorithm, checksum};

use crate::mode::BlockProtection;

/// The block with its checksum behind it, in `buffer`.
pub(super) fn framed<'a>(block: &[u8], buffer: &'a mut Vec<u8>) -> &'a [u8] {
    buffer.clear();
    buffer.extend_from_slice(block);
    buffer.extend(trailer(block));
    buffer
}

/// The block without its checksum; `None` when that is not its own.
pub(super) fn checked(framed: &[u8]) -> Option<&[u8]> {
    let (block, sent) = framed.split_at_checked(framed.len().checked_sub(BlockProtection::TRAILER)?)?;
    (trailer(block) == sent).then_some(block)
}

fn trailer(block: &[u8]) -> [u8; BlockProtection::TRAILER] {
    let sum = u32::try_from(checksum(CrcAlgorithm::Crc32Iscsi, block)).expect("a checksum of 32 bits");
    sum.to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        let mut buffer = Vec::new();
        // The check value of CRC-32C is E3069283h.
        assert_eq!(framed(b"123456789", &mut buffer), b"123456789\x83\x92\x06\xE3");
        assert_eq!(checked(&buffer), Some(&b"123456789"[..]));
        buffer[3] ^= 1;
        assert_eq!(checked(&buffer), None);
        assert_eq!(checked(b"123"), None);
    }
}
