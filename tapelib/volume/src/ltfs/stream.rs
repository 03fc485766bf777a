//! Bytes over blocks: a writer that cuts into blocks, a reader that ends at a filemark.

use std::io::{self, Read, Write};

use super::limits::{BLOCK_BYTES, INDEX_BYTES_MAX};
use super::{BlockTape, Met, TapeError};

/// Cuts what is written to it into blocks; the last one may be shorter.
pub struct BlockWriter<'a, T: ?Sized> {
    tape: &'a mut T,
    buffer: Vec<u8>,
    blocks: u64,
    /// The error that an `io::Error` of this writer stands for.
    failure: Option<TapeError>,
}

impl<'a, T: BlockTape + ?Sized> BlockWriter<'a, T> {
    /// Writes from the tape's position on.
    pub fn new(tape: &'a mut T) -> Self {
        Self { tape, buffer: Vec::with_capacity(BLOCK_BYTES), blocks: 0, failure: None }
    }

    /// Writes what is left. Returns the number of blocks written, or the tape's error.
    pub fn finish(mut self, written: io::Result<()>) -> Result<u64, TapeError> {
        let written = written.and_then(|()| self.write_buffer());
        match (written, self.failure) {
            (Ok(()), _) => Ok(self.blocks),
            (Err(_), Some(failure)) => Err(failure),
            (Err(error), None) => unreachable!("only the tape fails here: {error}"),
        }
    }

    fn write_buffer(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        match self.tape.write_block(&self.buffer) {
            Ok(_) => {
                self.blocks += 1;
                self.buffer.clear();
                Ok(())
            }
            Err(failure) => {
                self.failure = Some(failure);
                Err(io::Error::other("the tape failed"))
            }
        }
    }
}

impl<T: BlockTape + ?Sized> Write for BlockWriter<'_, T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(BLOCK_BYTES - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() == BLOCK_BYTES {
            self.write_buffer()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // only `finish` may write a short block
    }
}

/// Reads blocks up to the next filemark, at most `INDEX_BYTES_MAX` bytes.
pub struct BlockReader<'a, T: ?Sized> {
    tape: &'a mut T,
    block: Vec<u8>,
    start: usize,
    end: usize,
    total: u64,
    /// What ended the bytes: the filemark, or an error.
    outcome: Option<Result<Met, TapeError>>,
}

impl<'a, T: BlockTape + ?Sized> BlockReader<'a, T> {
    /// Reads from the tape's position on.
    pub fn new(tape: &'a mut T) -> Self {
        Self { tape, block: vec![0; BLOCK_BYTES], start: 0, end: 0, total: 0, outcome: None }
    }

    /// The bytes of the first block, without taking them; empty when there is none.
    pub fn peek(&mut self) -> &[u8] {
        if self.start == self.end && self.outcome.is_none() {
            self.read_more();
        }
        &self.block[self.start..self.end]
    }

    /// Reads on to the end and tells what ended the bytes. `None` when there were too many.
    pub fn finish(mut self) -> Option<Result<Met, TapeError>> {
        while self.outcome.is_none() && self.total <= INDEX_BYTES_MAX {
            self.read_more();
        }
        self.outcome
    }

    /// Tells what ended the bytes so far, without reading on.
    pub fn finish_now(self) -> Option<Result<Met, TapeError>> {
        self.outcome
    }

    fn read_more(&mut self) {
        match self.tape.read_block(&mut self.block) {
            Ok(Met::Block(bytes)) => {
                (self.start, self.end) = (0, bytes);
                self.total += bytes as u64;
            }
            other => {
                (self.start, self.end) = (0, 0);
                self.outcome = Some(other);
            }
        }
    }
}

impl<T: BlockTape + ?Sized> Read for BlockReader<'_, T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.total > INDEX_BYTES_MAX {
            return Err(io::Error::other("the index is too long"));
        }
        if self.start == self.end && self.outcome.is_none() {
            self.read_more();
        }
        let taken = buffer.len().min(self.end - self.start);
        buffer[..taken].copy_from_slice(&self.block[self.start..self.start + taken]);
        self.start += taken;
        Ok(taken)
    }
}
