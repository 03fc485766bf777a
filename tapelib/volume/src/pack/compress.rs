//! Frames are compressed on worker threads and come back in order.
//!
//! A frame is announced with its size, then fed in chunks of at most 1 MiB. One worker takes a whole frame and answers
//! every chunk with one piece of output, perhaps empty. The caller limits how many chunks are unanswered; that bound is
//! what bounds memory, for frames of any size, and with it no wait can last for ever: the oldest unfinished frame always
//! has a worker, and a worker that has a chunk answers it.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use zstd::zstd_safe::zstd_sys::ZSTD_EndDirective;
use zstd::zstd_safe::{self, CCtx, CParameter, InBuffer, OutBuffer, ResetDirective};

use super::limits::{CHUNK_BYTES, LEVEL_STORED};
use super::seek::FrameSizes;
use super::stored::Storer;

/// A bounded set of compression threads.
pub(super) struct Pipeline {
    jobs: Option<Sender<Job>>,
    workers: Vec<JoinHandle<()>>,
    /// Input of the frame being fed.
    current: Option<Sender<Chunk>>,
    /// Frames whose output is not complete, oldest first.
    pending: VecDeque<Pending>,
    /// Chunks fed and not yet answered.
    unanswered: usize,
    window: usize,
    /// Chunk buffers that came back.
    spare: Vec<Vec<u8>>,
}

/// A piece of compressed output, in order.
pub(super) struct Output {
    pub bytes: Vec<u8>,
    /// Set with the last piece of a frame.
    pub frame: Option<FrameSizes>,
}

struct Pending {
    plain: u32,
    compressed: u64,
    pieces: Receiver<Piece>,
}

struct Job {
    plain: u32,
    input: Receiver<Chunk>,
    pieces: Sender<Piece>,
}

struct Chunk {
    bytes: Vec<u8>,
    last: bool,
}

struct Piece {
    compressed: Result<Vec<u8>, &'static str>,
    spent: Chunk,
}

// === impl Pipeline ===

impl Pipeline {
    /// `workers` threads (at least one), and room for one 8 MiB frame in each and one more being fed.
    pub fn new(level: i32, workers: usize) -> Self {
        let workers = workers.max(1);
        let (jobs, taken) = channel();
        let taken = Arc::new(Mutex::new(taken));
        let threads = (0..workers).map(|_| {
            let taken = Arc::clone(&taken);
            std::thread::spawn(move || work(&taken, level))
        });
        Pipeline {
            jobs: Some(jobs),
            workers: threads.collect(),
            current: None,
            pending: VecDeque::new(),
            unanswered: 0,
            window: 8 * (workers + 1),
            spare: Vec::new(),
        }
    }

    /// Frames whose output is not complete.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// An empty buffer of one chunk.
    pub fn buffer(&mut self) -> Vec<u8> {
        let mut buffer = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(CHUNK_BYTES));
        buffer.clear();
        buffer
    }

    /// Starts the next frame, of exactly `plain` bytes.
    pub fn begin(&mut self, plain: u32) -> Result<(), &'static str> {
        assert!(self.current.is_none(), "the frame before was fed whole");
        let (chunks, input) = channel();
        let (answers, pieces) = channel();
        let jobs = self.jobs.as_ref().ok_or(GONE)?;
        jobs.send(Job { plain, input, pieces: answers }).map_err(|_| GONE)?;
        self.current = Some(chunks);
        self.pending.push_back(Pending { plain, compressed: 0, pieces });
        Ok(())
    }

    /// Feeds the current frame.
    pub fn feed(&mut self, bytes: Vec<u8>, last: bool) -> Result<(), &'static str> {
        let chunks = self.current.take().ok_or(GONE)?;
        chunks.send(Chunk { bytes, last }).map_err(|_| GONE)?;
        self.unanswered += 1;
        if !last {
            self.current = Some(chunks);
        }
        Ok(())
    }

    /// The next output when more chunks are unanswered than the window allows, else nothing.
    pub fn overflow(&mut self) -> Result<Option<Output>, &'static str> {
        if self.unanswered <= self.window { Ok(None) } else { self.next_output() }
    }

    /// The next output, waiting for it; nothing when every chunk was answered.
    pub fn next_output(&mut self) -> Result<Option<Output>, &'static str> {
        if self.unanswered == 0 {
            return Ok(None);
        }
        let frame = self.pending.front_mut().expect("an unanswered chunk has a frame");
        let piece = frame.pieces.recv().map_err(|_| GONE)?;
        self.unanswered -= 1;
        let bytes = piece.compressed?;
        frame.compressed += bytes.len() as u64;
        let sizes = FrameSizes {
            compressed: u32::try_from(frame.compressed).map_err(|_| "frame too large")?,
            plain: frame.plain,
        };
        if piece.spent.last {
            self.pending.pop_front();
        }
        self.spare.push(piece.spent.bytes);
        Ok(Some(Output { bytes, frame: piece.spent.last.then_some(sizes) }))
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        // Both kinds of sender must be gone before a worker can see the end.
        self.current = None;
        self.jobs = None;
        for worker in self.workers.drain(..) {
            // A worker that panicked was already seen: its frame's answers ended.
            drop(worker.join());
        }
    }
}

// === the workers ===

fn work(jobs: &Mutex<Receiver<Job>>, level: i32) {
    let mut encoder = match level {
        LEVEL_STORED => Encoder::Stored(Storer::default()),
        _ => Encoder::Zstd(CCtx::create()),
    };
    loop {
        let taken = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = taken else { return };
        let mut ready = encoder.begin(level, job.plain);
        while let Ok(chunk) = job.input.recv() {
            let compressed = ready.and_then(|()| encoder.encode(&chunk));
            ready = compressed.as_ref().map(|_| ()).map_err(|reason| *reason);
            let last = chunk.last;
            if job.pieces.send(Piece { compressed, spent: chunk }).is_err() || last {
                break;
            }
        }
    }
}

/// What makes frames of bytes.
enum Encoder {
    Zstd(CCtx<'static>),
    Stored(Storer),
}

impl Encoder {
    fn begin(&mut self, level: i32, plain: u32) -> Result<(), &'static str> {
        match self {
            Self::Zstd(context) => prepare(context, level, plain),
            Self::Stored(storer) => {
                storer.begin(plain);
                Ok(())
            }
        }
    }

    fn encode(&mut self, chunk: &Chunk) -> Result<Vec<u8>, &'static str> {
        match self {
            Self::Zstd(context) => compress(context, chunk),
            Self::Stored(storer) => Ok(storer.store(&chunk.bytes, chunk.last)),
        }
    }
}

/// Sets the context up for one frame with content size and content checksum.
fn prepare(context: &mut CCtx<'_>, level: i32, plain: u32) -> Result<(), &'static str> {
    let reason = zstd_safe::get_error_name;
    context.reset(ResetDirective::SessionAndParameters).map_err(reason)?;
    context.set_parameter(CParameter::CompressionLevel(level)).map_err(reason)?;
    context.set_parameter(CParameter::ChecksumFlag(true)).map_err(reason)?;
    context.set_pledged_src_size(Some(u64::from(plain))).map_err(reason)?;
    Ok(())
}

fn compress(context: &mut CCtx<'_>, chunk: &Chunk) -> Result<Vec<u8>, &'static str> {
    let mut compressed: Vec<u8> = Vec::with_capacity(zstd_safe::compress_bound(chunk.bytes.len()));
    let end = if chunk.last { ZSTD_EndDirective::ZSTD_e_end } else { ZSTD_EndDirective::ZSTD_e_continue };
    let mut input = InBuffer::around(&chunk.bytes);
    loop {
        let filled = compressed.len();
        let mut output = OutBuffer::around_pos(&mut compressed, filled);
        let left = context.compress_stream2(&mut output, &mut input, end);
        let left = left.map_err(zstd_safe::get_error_name)?;
        let fed = input.pos() == chunk.bytes.len();
        if fed && (left == 0 || !chunk.last) {
            return Ok(compressed);
        }
        // What earlier chunks left inside the encoder may come out now.
        compressed.reserve(128 << 10);
    }
}

const GONE: &str = "a compression thread is gone";
