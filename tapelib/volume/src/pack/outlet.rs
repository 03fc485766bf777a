//! Where a pack goes: sealed when a key is given, counted and digested as it comes out.

use std::io::{self, Write};

use super::id::{Digest, PackId};
use crate::seal::{SealWriter, SealingKey};

/// The last station of a pack before its sink.
pub(super) enum Outlet<W: Write> {
    Plain(Digesting<W>),
    Sealed(Box<SealWriter<Digesting<W>>>),
}

/// What a finished pack adds up to.
pub(super) struct Written<W> {
    pub sink: W,
    pub bytes: u64,
    pub digest: Digest,
}

impl<W: Write> Outlet<W> {
    pub fn new(sink: W, pack: PackId, key: Option<&SealingKey>) -> io::Result<Self> {
        let sink = Digesting { sink, bytes: 0, digest: Box::default() };
        match key {
            None => Ok(Self::Plain(sink)),
            Some(key) => SealWriter::new(sink, pack, key).map(Box::new).map(Self::Sealed),
        }
    }

    /// Bytes that reached the sink so far.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Plain(sink) => sink.bytes,
            Self::Sealed(seal) => seal.sink().bytes,
        }
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(sink) => sink.write_all(bytes),
            Self::Sealed(seal) => seal.write_all(bytes),
        }
    }

    /// Flushes, and gives the sink back with what went into it.
    pub fn finish(self) -> io::Result<Written<W>> {
        let Digesting { sink, bytes, digest } = match self {
            Self::Plain(mut sink) => {
                sink.flush()?;
                sink
            }
            Self::Sealed(seal) => seal.finish()?,
        };
        Ok(Written { sink, bytes, digest: digest.finalize().into() })
    }
}

/// Counts and digests what passes.
pub(super) struct Digesting<W> {
    sink: W,
    bytes: u64,
    digest: Box<blake3::Hasher>,
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.sink.write(bytes)?;
        self.digest.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}
