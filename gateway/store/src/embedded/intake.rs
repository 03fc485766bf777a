//! A body coming in: hashed, checked and kept, never whole in memory unless it is small.
//!
//! Pieces gather up to [`CHUNK_BYTES`]; while one batch is hashed and written on a blocking thread the next one
//! gathers, so an upload holds two of them. What stays below [`INLINE_BYTES_MAX`] never sees a file.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use dialect::checksum::{Algorithm, Checksum, ChecksumError, Demand, Demanded, Hasher, Md5, Md5Hasher};
use dialect::{Code, S3Error};
use http::HeaderMap;
use http_body_util::BodyExt;
use model::{Body, BodyError};
use tokio::task::JoinHandle;

use super::fault::{Failure, Fault, Outcome};
use super::files::{Files, Staged, StagedWriter};
use super::record::{ContentId, Segment};
use super::tables::Tables;

/// Largest content kept in the database, in bytes.
pub(crate) const INLINE_BYTES_MAX: usize = 16 << 10;
/// Bytes hashed and written in one go.
const CHUNK_BYTES: usize = 1 << 20;
/// Pieces in one go, when they are tiny.
const CHUNK_PIECES: usize = 4096;

/// What a body must be.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    /// Length announced, in bytes.
    pub(crate) length: Option<u64>,
    /// Longest allowed, in bytes.
    pub(crate) length_max: u64,
    /// Digests announced.
    pub(crate) demand: Demand,
    /// What is computed when no checksum was announced.
    pub(crate) algorithm: Algorithm,
    /// `algorithm` is what is kept even when another checksum was announced, which is then only checked.
    pub(crate) pinned: bool,
}

impl Expected {
    /// The algorithm kept, and the one announced where it is another.
    fn algorithms(&self) -> (Algorithm, Option<Algorithm>) {
        let announced = self.demand.checksum.map(|demanded| demanded.algorithm());
        let kept = announced.filter(|_| !self.pinned).unwrap_or(self.algorithm);
        (kept, announced.filter(|announced| *announced != kept))
    }
}

/// A body that was received whole and is what it should be; not visible yet.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) md5: Md5,
    pub(crate) checksum: Checksum,
    /// The checksum of the algorithm announced, where it is not the one kept.
    announced: Option<Checksum>,
    pub(crate) size: u64,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Nothing,
    Inline(ContentId, Bytes),
    File(Staged),
}

/// The part of [`Received`] the transaction needs once the staged file is in the writer's hands.
#[derive(Debug)]
pub(crate) enum Deposit {
    Nothing,
    Inline(ContentId, Bytes),
    File(ContentId, u64),
}

// === impl Received ===

impl Received {
    /// Splits off the file, which goes to the writer, and what the transaction writes down.
    pub(crate) fn into_deposit(self) -> (Option<Staged>, Deposit) {
        match self.content {
            Content::Nothing => (None, Deposit::Nothing),
            Content::Inline(id, bytes) => (None, Deposit::Inline(id, bytes)),
            Content::File(staged) => {
                let deposit = Deposit::File(staged.id(), staged.length());
                (Some(staged), deposit)
            }
        }
    }
}

impl Deposit {
    /// Takes the content into the books.
    pub(crate) fn keep(&self, tables: &mut Tables<'_>) -> Result<Option<Segment>, Fault> {
        match self {
            Self::Nothing => Ok(None),
            Self::Inline(id, bytes) => tables.keep_inline(*id, bytes).map(Some),
            Self::File(id, length) => tables.keep_file(*id, *length).map(Some),
        }
    }
}

/// Takes a body in.
///
/// Errors: what the body's sender refuses; `IncompleteBody` when it ends early or goes on too long, `EntityTooLarge`,
/// `BadDigest`. Whatever was staged is gone then, and also when the future is dropped.
pub(crate) async fn receive(files: &Arc<Files>, body: Body, expected: Expected) -> Outcome<Received> {
    files.check_reserve()?;
    let mut intake = Intake::new(Arc::clone(files), &expected);
    let trailers = match intake.gather(body, &expected).await {
        Ok(trailers) => trailers,
        Err(failure) => {
            // What is staged is gone before the refusal is told.
            drop(intake.idle_sink().await);
            return Err(failure);
        }
    };
    let received = intake.finish().await?;
    check(&received, &expected.demand, trailers.as_ref())?;
    Ok(received)
}

/// A broken body as S3 words it.
pub(crate) fn body_refusal(error: BodyError) -> S3Error {
    match error {
        BodyError::Refused { code, message, extras } => {
            let code = Code::parse(code).unwrap_or(Code::InvalidRequest);
            let refusal = S3Error::with_message(code, message);
            extras.into_iter().fold(refusal, |refusal, (name, value)| refusal.extra(name, value))
        }
        BodyError::Broken(source) if source.kind() == std::io::ErrorKind::TimedOut => {
            Code::RequestTimeout.into()
        }
        BodyError::Broken(_) => Code::IncompleteBody.into(),
    }
}

fn check(received: &Received, demand: &Demand, trailers: Option<&HeaderMap>) -> Result<(), ChecksumError> {
    if let Some(expected) = demand.content_md5
        && expected != received.md5
    {
        let (expected, calculated) = (expected.to_base64(), received.md5.to_base64());
        return Err(ChecksumError::Md5Mismatch { expected, calculated });
    }
    let expected = match demand.checksum {
        None => return Ok(()),
        Some(Demanded::Value(value)) => value,
        Some(Demanded::Trailer(algorithm)) => {
            let value = trailers.and_then(|trailers| trailers.get(algorithm.header()));
            let text = value.and_then(|value| value.to_str().ok());
            Checksum::parse(algorithm, text.unwrap_or_default().trim_ascii())?
        }
    };
    if expected == received.announced.unwrap_or(received.checksum) {
        Ok(())
    } else {
        Err(ChecksumError::Mismatch { algorithm: expected.algorithm() })
    }
}

/// A body on its way in.
struct Intake {
    files: Arc<Files>,
    size: u64,
    held: Vec<Bytes>,
    held_bytes: usize,
    sink: Option<Sink>,
    busy: Option<JoinHandle<Result<Sink, Fault>>>,
}

/// Where bytes end: the digests and, beyond the first chunk, a file.
struct Sink {
    md5: Md5Hasher,
    hasher: Hasher,
    announced: Option<Hasher>,
    file: Option<StagedWriter>,
}

// === impl Intake ===

impl Intake {
    fn new(files: Arc<Files>, expected: &Expected) -> Self {
        let (kept, announced) = expected.algorithms();
        let hasher = Hasher::new(kept);
        let sink =
            Sink { md5: Md5Hasher::default(), hasher, announced: announced.map(Hasher::new), file: None };
        Self { files, size: 0, held: Vec::new(), held_bytes: 0, sink: Some(sink), busy: None }
    }

    /// Reads the body to its end and returns its trailers.
    async fn gather(&mut self, mut body: Body, expected: &Expected) -> Outcome<Option<HeaderMap>> {
        let mut trailers: Option<HeaderMap> = None;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(body_refusal)?;
            match frame.into_data() {
                Ok(data) => self.hold(data, expected).await?,
                Err(frame) => {
                    if let Ok(more) = frame.into_trailers() {
                        trailers.get_or_insert_default().extend(more);
                    }
                }
            }
        }
        if expected.length.is_some_and(|length| length != self.size) {
            return Err(Code::IncompleteBody.into());
        }
        Ok(trailers)
    }

    async fn hold(&mut self, data: Bytes, expected: &Expected) -> Outcome<()> {
        if data.is_empty() {
            return Ok(());
        }
        self.size += data.len() as u64;
        if self.size > expected.length_max {
            return Err(too_large(self.size, expected.length_max).into());
        }
        if expected.length.is_some_and(|length| self.size > length) {
            return Err(Code::IncompleteBody.into());
        }
        self.held_bytes += data.len();
        self.held.push(data);
        if self.held_bytes >= CHUNK_BYTES
            || self.held.len() >= CHUNK_PIECES && self.held_bytes > INLINE_BYTES_MAX
        {
            self.flush().await?;
        }
        Ok(())
    }

    /// Hands what is held to a blocking thread, once the batch before it is done.
    async fn flush(&mut self) -> Result<(), Fault> {
        let mut sink = self.idle_sink().await?;
        let pieces = std::mem::take(&mut self.held);
        self.held_bytes = 0;
        let files = Arc::clone(&self.files);
        self.busy = Some(tokio::task::spawn_blocking(move || {
            sink.absorb(&files, &pieces)?;
            Ok(sink)
        }));
        Ok(())
    }

    async fn idle_sink(&mut self) -> Result<Sink, Fault> {
        match self.busy.take() {
            Some(task) => task.await.map_err(Fault::Task)?,
            None => self.sink.take().ok_or(Fault::Stopped),
        }
    }

    async fn finish(mut self) -> Result<Received, Fault> {
        let mut sink = self.idle_sink().await?;
        let size = self.size;
        if sink.file.is_none() && self.held_bytes <= INLINE_BYTES_MAX {
            let whole = joined(&self.held, self.held_bytes);
            sink.hash(&whole);
            let content = if whole.is_empty() {
                Content::Nothing
            } else {
                Content::Inline(self.files.fresh_id(), whole)
            };
            return Ok(sink.received(size, content));
        }
        let (files, pieces) = (self.files, self.held);
        let task = tokio::task::spawn_blocking(move || {
            sink.absorb(&files, &pieces)?;
            let content = match sink.file.take() {
                Some(file) => Content::File(file.finish()?),
                None => Content::Nothing,
            };
            Ok(sink.received(size, content))
        });
        task.await.map_err(Fault::Task)?
    }
}

// === impl Sink ===

impl Sink {
    fn hash(&mut self, piece: &[u8]) {
        self.md5.update(piece);
        self.hasher.update(piece);
        if let Some(announced) = &mut self.announced {
            announced.update(piece);
        }
    }

    fn absorb(&mut self, files: &Arc<Files>, pieces: &[Bytes]) -> Result<(), Fault> {
        pieces.iter().for_each(|piece| self.hash(piece));
        let mut file = match self.file.take() {
            Some(file) => file,
            None => files.stage()?,
        };
        file.append(pieces)?;
        self.file = Some(file);
        Ok(())
    }

    fn received(self, size: u64, content: Content) -> Received {
        let (checksum, announced) = (self.hasher.finish(), self.announced.map(Hasher::finish));
        Received { md5: self.md5.finish(), checksum, announced, size, content }
    }
}

/// `EntityTooLarge` with its elements.
pub(crate) fn too_large(size: u64, size_max: u64) -> S3Error {
    S3Error::new(Code::EntityTooLarge)
        .extra("ProposedSize", size.to_string())
        .extra("MaxSizeAllowed", size_max.to_string())
}

fn joined(pieces: &[Bytes], length: usize) -> Bytes {
    match pieces {
        // A copy: a piece is often a small window into a large network buffer.
        [only] => Bytes::copy_from_slice(only),
        _ => pieces
            .iter()
            .fold(BytesMut::with_capacity(length), |mut whole, piece| {
                whole.extend_from_slice(piece);
                whole
            })
            .freeze(),
    }
}

impl From<ChecksumError> for Failure {
    fn from(error: ChecksumError) -> Self {
        Self::Refused(error.into())
    }
}

/// Checks the digests announced for a body that is held whole.
pub(crate) fn check_short(headers: &HeaderMap, body: &[u8]) -> Outcome<()> {
    let demand = Demand::from_headers(headers)?;
    if let Some(expected) = demand.content_md5 {
        let received = Md5::of(body);
        if expected != received {
            let (expected, calculated) = (expected.to_base64(), received.to_base64());
            return Err(ChecksumError::Md5Mismatch { expected, calculated }.into());
        }
    }
    match demand.checksum {
        Some(Demanded::Value(value)) if Checksum::of(value.algorithm(), body) != value => {
            Err(ChecksumError::Mismatch { algorithm: value.algorithm() }.into())
        }
        _ => Ok(()),
    }
}
