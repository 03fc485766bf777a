//! Reading sealed packs at any place.

use std::io;

use super::cipher::{Cipher, Provider};
use super::error::Error;
use super::header::{Header, START_BYTES, nonce};
use super::key::{KeyId, KeySource};
use super::{MAGIC, TAG_BYTES, is_sealed};
use crate::pack::{self, PackId, ReadAt};

/// A sealed pack as the pack inside: a read at some place costs the blocks it lies in.
pub struct Unsealed<R> {
    source: R,
    header: Header,
    key: KeyId,
    cipher: Box<dyn Cipher>,
    /// Blocks after the header.
    blocks: u64,
    /// Bytes of the last one, its tag included.
    last_bytes: usize,
    /// The block opened last: its number, and its plaintext as the first `plain` bytes.
    number: u64,
    plain: usize,
    block: Vec<u8>,
}

impl<R: ReadAt> Unsealed<R> {
    /// Opens a sealed pack of `bytes` bytes: reads its header and unwraps its data key.
    pub fn open(
        mut source: R,
        bytes: u64,
        keys: &dyn KeySource,
        provider: Provider,
    ) -> Result<Self, pack::Error> {
        let header = read_header(&mut source, bytes)?;
        let block_bytes = u64::from(header.block_bytes);
        let sealed = bytes - block_bytes;
        let (blocks, rest) = (sealed.div_ceil(block_bytes), sealed % block_bytes);
        let last_bytes = if rest == 0 { header.block_bytes as usize } else { to_index(rest) };
        if blocks == 0 || last_bytes <= TAG_BYTES {
            return Err(Error::NotSealed { why: "it ends early" }.into());
        }
        let key = header.key()?;
        let cipher = provider.cipher(&header.data_key(keys)?);
        Ok(Self { source, header, key, cipher, blocks, last_bytes, number: 0, plain: 0, block: Vec::new() })
    }

    /// The pack's identity, as its header says.
    pub fn pack(&self) -> PackId {
        self.header.pack
    }

    /// The key it is sealed with.
    pub fn key(&self) -> &KeyId {
        &self.key
    }

    /// Bytes of the pack inside.
    pub fn plain_bytes(&self) -> u64 {
        (self.blocks - 1) * self.header.plain_per_block() as u64 + (self.last_bytes - TAG_BYTES) as u64
    }

    /// Reads and opens a block.
    fn load(&mut self, number: u64) -> Result<(), pack::Error> {
        self.number = 0;
        let last = number == self.blocks;
        let bytes = if last { self.last_bytes } else { self.header.block_bytes as usize };
        self.block.resize(bytes, 0);
        let offset = number * u64::from(self.header.block_bytes);
        pack::read_exact_at(&mut self.source, offset, &mut self.block)?;
        let bound = self.header.bound(number, last);
        let opened = self.cipher.open(nonce(number), &bound, &mut self.block);
        self.plain = opened.map_err(|_| Error::Damaged { block: number })?.len();
        self.number = number;
        Ok(())
    }
}

impl<R: ReadAt> ReadAt for Unsealed<R> {
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if offset >= self.plain_bytes() || buffer.is_empty() {
            return Ok(0);
        }
        let per_block = self.header.plain_per_block() as u64;
        let number = offset / per_block + 1;
        if self.number != number {
            self.load(number).map_err(io::Error::from)?;
        }
        let part = &self.block[to_index(offset % per_block)..self.plain];
        let taken = part.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&part[..taken]);
        Ok(taken)
    }
}

fn read_header(source: &mut impl ReadAt, bytes: u64) -> Result<Header, pack::Error> {
    let cut = Error::NotSealed { why: "its header is cut" };
    if bytes < START_BYTES as u64 {
        return Err(cut.into());
    }
    let mut start = [0; START_BYTES];
    pack::read_exact_at(source, 0, &mut start)?;
    let block_bytes = Header::block_bytes(&start)?;
    if bytes < u64::from(block_bytes) {
        return Err(cut.into());
    }
    let mut block = vec![0; block_bytes as usize];
    pack::read_exact_at(source, 0, &mut block)?;
    Ok(Header::decode(&block)?)
}

/// A pack that may be sealed: its first bytes say.
pub enum MaybeSealed<R> {
    /// It is not.
    Plain(R, u64),
    /// It is.
    Sealed(Box<Unsealed<R>>),
}

impl<R: ReadAt> MaybeSealed<R> {
    /// Looks at a pack of `bytes` bytes, and opens its seal when it has one.
    pub fn open(
        mut source: R,
        bytes: u64,
        keys: &dyn KeySource,
        provider: Provider,
    ) -> Result<Self, pack::Error> {
        let mut start = [0; MAGIC.len()];
        if bytes >= start.len() as u64 {
            pack::read_exact_at(&mut source, 0, &mut start)?;
        }
        if is_sealed(&start) {
            Unsealed::open(source, bytes, keys, provider).map(Box::new).map(Self::Sealed)
        } else {
            Ok(Self::Plain(source, bytes))
        }
    }

    /// Bytes of the pack without its seal.
    pub fn plain_bytes(&self) -> u64 {
        match self {
            Self::Plain(_, bytes) => *bytes,
            Self::Sealed(unsealed) => unsealed.plain_bytes(),
        }
    }

    /// The pack's identity, as its seal says.
    pub fn pack(&self) -> Option<PackId> {
        match self {
            Self::Plain(..) => None,
            Self::Sealed(unsealed) => Some(unsealed.pack()),
        }
    }

    /// The key it is sealed with.
    pub fn key(&self) -> Option<&KeyId> {
        match self {
            Self::Plain(..) => None,
            Self::Sealed(unsealed) => Some(unsealed.key()),
        }
    }
}

impl<R: ReadAt> ReadAt for MaybeSealed<R> {
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(source, _) => source.read_at(offset, buffer),
            Self::Sealed(unsealed) => unsealed.read_at(offset, buffer),
        }
    }
}

/// An offset inside a block.
fn to_index(offset: u64) -> usize {
    usize::try_from(offset).expect("an offset inside a block fits")
}
