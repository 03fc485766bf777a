//! Sealing a pack in one pass.

use std::io::{self, Write};

use super::BLOCK_BYTES;
use super::cipher::{Cipher, Provider};
use super::error::Error;
use super::header::{Header, nonce};
use super::key::SealingKey;
use crate::pack::PackId;

/// Takes the bytes of a pack and writes them sealed into `W`. [`SealWriter::finish`] makes the end; without it the
/// pack is unreadable.
///
/// After an error nothing more is written: what would follow could use a nonce a second time.
pub struct SealWriter<W: Write> {
    sink: W,
    header: Header,
    cipher: Box<dyn Cipher>,
    /// Plaintext of the block being filled. It is sealed once more follows, or as the last.
    block: Vec<u8>,
    number: u64,
    broken: bool,
}

impl<W: Write> SealWriter<W> {
    /// Draws a data key for `pack` and writes the header.
    pub fn new(sink: W, pack: PackId, key: &SealingKey) -> Result<Self, io::Error> {
        Self::with_blocks_of(BLOCK_BYTES, sink, pack, key)
    }

    pub(super) fn with_blocks_of(
        block_bytes: u32,
        mut sink: W,
        pack: PackId,
        key: &SealingKey,
    ) -> Result<Self, io::Error> {
        let (header, bytes, data_key) = Header::fresh(pack, block_bytes, key).map_err(io::Error::other)?;
        sink.write_all(&bytes)?;
        let cipher = Provider::Bulk.cipher(&data_key);
        let block = Vec::with_capacity(block_bytes as usize);
        Ok(Self { sink, header, cipher, block, number: 1, broken: false })
    }

    /// Where the sealed bytes go.
    pub fn sink(&self) -> &W {
        &self.sink
    }

    /// Seals the last block, flushes, and gives the sink back. A pack of no bytes at all is refused.
    pub fn finish(mut self) -> io::Result<W> {
        self.check()?;
        if self.block.is_empty() {
            return Err(io::Error::other(Error::NotSealed { why: "there is nothing in it" }));
        }
        self.put(true)?;
        self.sink.flush()?;
        Ok(self.sink)
    }

    fn check(&self) -> io::Result<()> {
        if self.broken { Err(io::Error::other("an earlier block could not be written")) } else { Ok(()) }
    }

    /// Seals the block and writes it.
    fn put(&mut self, last: bool) -> io::Result<()> {
        self.broken = true;
        let bound = self.header.bound(self.number, last);
        let tag = self.cipher.seal(nonce(self.number), &bound, &mut self.block);
        self.block.extend_from_slice(&tag);
        self.sink.write_all(&self.block)?;
        self.block.clear();
        self.number += 1;
        self.broken = false;
        Ok(())
    }
}

impl<W: Write> Write for SealWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.check()?;
        if self.block.len() == self.header.plain_per_block() && !bytes.is_empty() {
            self.put(false)?;
        }
        let room = (self.header.plain_per_block() - self.block.len()).min(bytes.len());
        self.block.extend_from_slice(&bytes[..room]);
        Ok(room)
    }

    /// A block is written when it is full, not before.
    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}
