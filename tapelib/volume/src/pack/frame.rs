//! Where the plaintext is cut into frames, and what comes out of it.
//!
//! Whole entries that together stay within 1 MiB share a frame; an entry larger than that has frames of its own.

use std::io::Write;

use super::compress::{Output, Pipeline};
use super::error::Error;
use super::id::PackId;
use super::limits::{CHUNK_BYTES, FRAMES_MAX, SMALL_FRAME_BYTES_MAX};
use super::outlet::{Outlet, Written};
use super::seek::FrameSizes;

/// Takes plaintext, writes frames to the outlet and remembers their sizes.
pub(super) struct Framer<W: Write> {
    pack: PackId,
    outlet: Outlet<W>,
    pipeline: Pipeline,
    buffer: Vec<u8>,
    large: Option<Large>,
    plain_bytes: u64,
    frames: Vec<FrameSizes>,
}

/// An entry with frames of its own.
struct Large {
    entry_left: u64,
    frame_left: u64,
    frame_max: u64,
}

impl<W: Write> Framer<W> {
    pub fn new(pack: PackId, outlet: Outlet<W>, mut pipeline: Pipeline) -> Self {
        let buffer = pipeline.buffer();
        Framer { pack, outlet, pipeline, buffer, large: None, plain_bytes: 0, frames: Vec::new() }
    }

    /// Plaintext taken so far.
    pub fn plain_bytes(&self) -> u64 {
        self.plain_bytes
    }

    /// Bytes written to the sink so far; what is being compressed is not among them.
    pub fn bytes(&self) -> u64 {
        self.outlet.bytes()
    }

    /// Frames begun so far.
    pub fn frames(&self) -> usize {
        self.frames.len() + self.pipeline.pending()
    }

    /// Announces an entry of exactly `bytes`, headers and padding included, whose frames hold at most `frame_max`.
    pub fn begin_entry(&mut self, bytes: u64, frame_max: u64) -> Result<(), Error> {
        assert!(self.large.is_none(), "the entry before was given whole");
        if self.buffer.len() as u64 + bytes > SMALL_FRAME_BYTES_MAX {
            self.cut()?;
        }
        if bytes > SMALL_FRAME_BYTES_MAX {
            self.large = Some(Large { entry_left: bytes, frame_left: 0, frame_max });
        }
        Ok(())
    }

    /// Takes plaintext of the announced entry.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        self.plain_bytes += bytes.len() as u64;
        while let Some(large) = self.large.as_mut().filter(|_| !bytes.is_empty()) {
            if large.frame_left == 0 {
                large.frame_left = large.entry_left.min(large.frame_max);
                let plain = u32::try_from(large.frame_left).expect("a frame has at most 64 MiB");
                self.pipeline.begin(plain).map_err(|reason| Error::Compress { pack: self.pack, reason })?;
            }
            let room = (CHUNK_BYTES - self.buffer.len()).min(bytes.len()) as u64;
            let take = room.min(large.frame_left);
            let (now, later) = bytes.split_at(usize::try_from(take).expect("bounded by a chunk"));
            self.buffer.extend_from_slice(now);
            bytes = later;
            large.frame_left -= take;
            large.entry_left -= take;
            let last = large.frame_left == 0;
            if large.entry_left == 0 {
                self.large = None;
            }
            if last || self.buffer.len() == CHUNK_BYTES {
                self.feed(last)?;
            }
        }
        assert!(self.buffer.len() + bytes.len() <= CHUNK_BYTES, "an entry keeps to its announced size");
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Ends the last frame and gives the sizes of all; nothing but the tail may follow.
    pub fn end_frames(&mut self) -> Result<&[FrameSizes], Error> {
        assert!(self.large.is_none(), "the last entry was given whole");
        self.cut()?;
        while let Some(output) = self.pipeline.next_output().map_err(|reason| self.failed(reason))? {
            self.emit(output)?;
        }
        Ok(&self.frames)
    }

    /// Writes the tail as it is, flushes, and gives the sink back.
    pub fn finish(mut self, tail: &[u8]) -> Result<Written<W>, Error> {
        self.put(tail)?;
        self.outlet.finish().map_err(|source| Error::Write { pack: self.pack, source })
    }

    /// Ends the frame of small entries, if it holds any.
    fn cut(&mut self) -> Result<(), Error> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let plain = u32::try_from(self.buffer.len()).expect("at most a chunk");
        self.pipeline.begin(plain).map_err(|reason| self.failed(reason))?;
        self.feed(true)
    }

    fn feed(&mut self, last: bool) -> Result<(), Error> {
        let fresh = self.pipeline.buffer();
        let chunk = std::mem::replace(&mut self.buffer, fresh);
        self.pipeline.feed(chunk, last).map_err(|reason| self.failed(reason))?;
        while let Some(output) = self.pipeline.overflow().map_err(|reason| self.failed(reason))? {
            self.emit(output)?;
        }
        Ok(())
    }

    fn emit(&mut self, output: Output) -> Result<(), Error> {
        self.put(&output.bytes)?;
        self.frames.extend(output.frame);
        assert!(self.frames.len() <= FRAMES_MAX as usize, "the writer ends a pack before this");
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.outlet.write(bytes).map_err(|source| Error::Write { pack: self.pack, source })
    }

    fn failed(&self, reason: &'static str) -> Error {
        Error::Compress { pack: self.pack, reason }
    }
}
