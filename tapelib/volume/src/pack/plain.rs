//! Random access to a pack's plaintext.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, ResetDirective};

use super::error::Error;
use super::limits::WINDOW_LOG_MAX;
use super::seek::FrameSizes;

/// Bytes that can be read at any place: a file on the spool, or an extent on tape.
pub trait ReadAt {
    /// Reads some bytes at `offset` into `buffer`; 0 only at the end of the source or for an empty buffer.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

impl<T: Read + Seek> ReadAt for T {
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.seek(SeekFrom::Start(offset))?;
        self.read(buffer)
    }
}

/// A source read from its start to its end.
pub struct InOrder<R> {
    source: R,
    offset: u64,
}

impl<R> InOrder<R> {
    /// Begins at the first byte.
    pub fn new(source: R) -> Self {
        Self { source, offset: 0 }
    }
}

impl<R: ReadAt> Read for InOrder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read_at(self.offset, buffer)?;
        self.offset += read as u64;
        Ok(read)
    }
}

/// Reads `buffer` full.
pub(crate) fn read_exact_at(source: &mut impl ReadAt, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
    let mut done = 0;
    while done < buffer.len() {
        done += read_some_at(source, offset + done as u64, &mut buffer[done..])?;
    }
    Ok(())
}

/// Reads at least one byte.
fn read_some_at(source: &mut impl ReadAt, offset: u64, buffer: &mut [u8]) -> Result<usize, Error> {
    loop {
        match source.read_at(offset, buffer) {
            Ok(0) => {
                return Err(Error::Read { offset, source: io::ErrorKind::UnexpectedEof.into() });
            }
            Ok(read) => return Ok(read.min(buffer.len())),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // What lies below may be a seal, which has errors of its own.
            Err(source) => return Err(Error::from_read(offset, source)),
        }
    }
}

/// Where each frame begins, in the pack and in the plaintext; the last entry is the end of both.
pub(super) struct FrameStarts(Vec<(u64, u64)>);

impl FrameStarts {
    pub fn new(frames: &[FrameSizes]) -> Self {
        let mut starts = Vec::with_capacity(frames.len() + 1);
        let (mut pack, mut plain) = (0, 0);
        starts.push((pack, plain));
        for frame in frames {
            pack += u64::from(frame.compressed);
            plain += u64::from(frame.plain);
            starts.push((pack, plain));
        }
        FrameStarts(starts)
    }

    /// End of the frames in the pack and in the plaintext.
    pub fn end(&self) -> (u64, u64) {
        *self.0.last().expect("there is always an end")
    }

    /// The frame that holds plaintext byte `plain`: its range in the pack and in the plaintext.
    pub fn frame_at(&self, plain: u64) -> Option<(Range<u64>, Range<u64>)> {
        let after = self.0.partition_point(|(_, start)| *start <= plain);
        let ((pack, plain), (pack_end, plain_end)) = (self.0[after - 1], *self.0.get(after)?);
        Some((pack..pack_end, plain..plain_end))
    }
}

/// Reads plaintext from any position on, expanding only the frames it meets.
///
/// Where a cursor stopped, the next one over the same reader goes on: members read in the order they lie in cost each
/// frame once.
pub struct Cursor<'a, R> {
    source: &'a mut R,
    starts: &'a FrameStarts,
    expander: &'a mut Expander,
    position: u64,
}

/// zstd in the middle of a frame, or before the first.
pub(super) struct Expander {
    context: DCtx<'static>,
    input: Vec<u8>,
    input_range: Range<usize>,
    frame: Option<OpenFrame>,
}

impl Expander {
    pub fn new() -> Self {
        Expander { context: DCtx::create(), input: vec![0; INPUT_BYTES], input_range: 0..0, frame: None }
    }
}

/// A frame being expanded: what is left of it in the pack and in the plaintext.
#[derive(Clone)]
struct OpenFrame {
    pack: Range<u64>,
    plain: Range<u64>,
}

impl<'a, R: ReadAt> Cursor<'a, R> {
    pub(super) fn new(
        source: &'a mut R,
        starts: &'a FrameStarts,
        expander: &'a mut Expander,
        position: u64,
    ) -> Self {
        Cursor { source, starts, expander, position }
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Moves on without expanding more than it must.
    pub(super) fn skip(&mut self, bytes: u64) {
        self.position = self.position.saturating_add(bytes);
    }

    /// Reads plaintext; 0 only at its end. Every frame read to its end has had its checksum verified.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let read = self.read_on(buffer);
        if read.is_err() {
            // What zstd holds is of no use any more; the next reader begins the frame anew.
            self.expander.frame = None;
        }
        read
    }

    fn read_on(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        if buffer.is_empty() || !self.enter_frame()? {
            return Ok(0);
        }
        let mut discard = Vec::new();
        loop {
            let frame = self.expander.frame.as_ref().expect("a frame was entered");
            let (ahead, left) = (self.position - frame.plain.start, frame.plain.end - frame.plain.start);
            let wanted = if ahead == 0 { left } else { ahead };
            if ahead == 0 {
                let room = usize::try_from(wanted).unwrap_or(usize::MAX).min(buffer.len());
                let read = self.expand(&mut buffer[..room])?;
                self.position += read as u64;
                return Ok(read);
            }
            discard.resize(usize::try_from(wanted).unwrap_or(usize::MAX).min(INPUT_BYTES), 0);
            self.expand(&mut discard)?;
        }
    }

    /// Makes the frame of the current position the open one; false at the end of the plaintext.
    fn enter_frame(&mut self) -> Result<bool, Error> {
        let open = self.expander.frame.as_ref().is_some_and(|frame| frame.plain.contains(&self.position));
        if open {
            return Ok(true);
        }
        let Some((pack, plain)) = self.starts.frame_at(self.position) else {
            return Ok(false);
        };
        let set = |code| Error::Damaged { offset: plain.start, why: zstd::zstd_safe::get_error_name(code) };
        self.expander.context.reset(ResetDirective::SessionOnly).map_err(set)?;
        self.expander.context.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX)).map_err(set)?;
        self.expander.input_range = 0..0;
        self.expander.frame = Some(OpenFrame { pack, plain });
        Ok(true)
    }

    /// Expands at least one byte of the open frame into `buffer`, which is no longer than what is left of it.
    fn expand(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        loop {
            let (produced, over) = self.step(buffer)?;
            let frame = self.expander.frame.as_mut().expect("a frame is open");
            frame.plain.start += produced as u64;
            if frame.plain.is_empty() {
                return if over { self.check_end() } else { self.end_frame() }.map(|()| produced);
            }
            if over {
                return Err(self.damaged("a frame is shorter than the seek table says"));
            }
            if produced > 0 {
                return Ok(produced);
            }
        }
    }

    /// All plaintext of the frame is out: lets zstd see its end, which verifies the checksum.
    fn end_frame(&mut self) -> Result<(), Error> {
        loop {
            let (produced, over) = self.step(&mut [0])?;
            if produced > 0 {
                return Err(self.damaged("a frame is longer than the seek table says"));
            }
            if over {
                return self.check_end();
            }
        }
    }

    fn check_end(&self) -> Result<(), Error> {
        let used = self.expander.input_range.is_empty()
            && self.expander.frame.as_ref().is_some_and(|frame| frame.pack.is_empty());
        if used { Ok(()) } else { Err(self.damaged("bytes between two frames")) }
    }

    /// One call of zstd: bytes produced, and whether the frame is over.
    fn step(&mut self, buffer: &mut [u8]) -> Result<(usize, bool), Error> {
        if self.expander.input_range.is_empty() {
            self.fill()?;
        }
        let dry = self.expander.input_range.is_empty();
        let mut input = InBuffer::around(&self.expander.input[self.expander.input_range.clone()]);
        let mut output = OutBuffer::around(buffer);
        let hint = self.expander.context.decompress_stream(&mut output, &mut input);
        let (consumed, produced) = (input.pos(), output.pos());
        self.expander.input_range.start += consumed;
        let hint = hint.map_err(|code| self.damaged(zstd::zstd_safe::get_error_name(code)))?;
        if dry && produced == 0 && hint != 0 {
            return Err(self.damaged("a frame ends early"));
        }
        Ok((produced, hint == 0))
    }

    /// Reads more of the open frame. At its end the input stays empty, which zstd may still turn into output.
    fn fill(&mut self) -> Result<(), Error> {
        let frame = self.expander.frame.as_mut().expect("a frame is open");
        let left = frame.pack.end - frame.pack.start;
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(INPUT_BYTES);
        let read = if room == 0 {
            0
        } else {
            read_some_at(self.source, frame.pack.start, &mut self.expander.input[..room])?
        };
        frame.pack.start += read as u64;
        self.expander.input_range = 0..read;
        Ok(())
    }

    fn damaged(&self, why: &'static str) -> Error {
        Error::Damaged { offset: self.position, why }
    }
}

/// What is read from the source at a time: one block of the usual volume.
const INPUT_BYTES: usize = 524_288;
