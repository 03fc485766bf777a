//! Bytes going out: the segments of a version, read in pieces while garbage collection keeps its hands off them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use model::{BodyError, ByteStream};

use super::fault::Fault;
use super::files::Files;
use super::record::{ContentId, Place, Segment, Version};
use super::tables::Snapshot;

/// Bytes read from a file in one go.
const READ_BYTES: u64 = 512 << 10;

/// Which files are being read.
#[derive(Debug, Default)]
pub(crate) struct Pins(Mutex<BTreeMap<ContentId, u32>>);

/// Keeps files from being removed until it is dropped.
pub(crate) struct Pinned {
    pins: Arc<Pins>,
    ids: Vec<ContentId>,
}

// === impl Pins ===

impl Pins {
    /// Pins files. They are safe from then on if they are still pointed to afterwards.
    pub(crate) fn pin(self: &Arc<Self>, ids: Vec<ContentId>) -> Pinned {
        let mut pins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for id in &ids {
            *pins.entry(*id).or_insert(0) += 1;
        }
        Pinned { pins: Arc::clone(self), ids }
    }

    /// Whether the file is being read. Who pins it later sees that nothing points to it, if that was so before.
    pub(crate) fn is_pinned(&self, id: ContentId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&id)
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let mut pins = self.pins.0.lock().unwrap_or_else(PoisonError::into_inner);
        for id in &self.ids {
            if let Some(count) = pins.get_mut(id) {
                *count -= 1;
                if *count == 0 {
                    pins.remove(id);
                }
            }
        }
    }
}

/// The files of a version.
pub(crate) fn files_of(version: &Version) -> Vec<ContentId> {
    let file = |segment: &Segment| match segment.place {
        Place::File(id) => Some(id),
        Place::Inline(_) => None,
    };
    version.segments.iter().filter_map(file).collect()
}

/// A stretch of bytes to send.
enum Stretch {
    Bytes(Bytes),
    File { id: ContentId, range: Range<u64> },
}

/// The bytes of `version` in `range`. The snapshot must be the one the version was read from, or a later one in
/// which it was still there.
pub(crate) fn stream(
    snapshot: &Snapshot,
    files: Arc<Files>,
    version: &Version,
    range: Range<u64>,
    pinned: Pinned,
) -> Result<ByteStream, Fault> {
    let mut stretches = Vec::new();
    let mut start = 0_u64;
    for segment in &version.segments {
        let end = start + segment.length;
        let within = range.start.max(start)..range.end.min(end);
        if within.start < within.end {
            stretches.push(stretch(snapshot, segment, within.start - start..within.end - start)?);
        }
        start = end;
    }
    stretches.reverse();
    let state = Outgoing { files, stretches, open: None, _pinned: pinned };
    Ok(Box::pin(futures_util::stream::unfold(Some(state), |state| async {
        match state?.next().await {
            Ok(Some((piece, state))) => Some((Ok(piece), Some(state))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    })))
}

fn stretch(snapshot: &Snapshot, segment: &Segment, range: Range<u64>) -> Result<Stretch, Fault> {
    match segment.place {
        Place::File(id) => Ok(Stretch::File { id, range }),
        Place::Inline(id) => {
            let bytes = Bytes::from(snapshot.inline(id)?.unwrap_or_default());
            let bound = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
            Ok(Stretch::Bytes(bytes.slice(bound(range.start)..bound(range.end))))
        }
    }
}

struct Outgoing {
    files: Arc<Files>,
    /// The next one is the last.
    stretches: Vec<Stretch>,
    open: Option<(File, u64)>,
    _pinned: Pinned,
}

// === impl Outgoing ===

impl Outgoing {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, BodyError> {
        if self.open.is_none() {
            match self.stretches.pop() {
                None => return Ok(None),
                Some(Stretch::Bytes(bytes)) => return Ok(Some((bytes, self))),
                Some(Stretch::File { id, range }) => {
                    return blocking(move || {
                        self.open = Some(open(&self.files, id, &range)?);
                        self.read().map(|piece| Some((piece, self)))
                    })
                    .await;
                }
            }
        }
        blocking(move || self.read().map(|piece| Some((piece, self)))).await
    }

    /// The next piece of the open file. Blocks.
    fn read(&mut self) -> Result<Bytes, BodyError> {
        let Some((mut file, left)) = self.open.take() else {
            return Ok(Bytes::new());
        };
        let want = left.min(READ_BYTES);
        let mut piece = Vec::with_capacity(usize::try_from(want).unwrap_or_default());
        (&mut file).take(want).read_to_end(&mut piece).map_err(BodyError::Broken)?;
        if piece.len() as u64 != want {
            return Err(broken("a data file is shorter than its record"));
        }
        if left > want {
            self.open = Some((file, left - want));
        }
        Ok(piece.into())
    }
}

fn open(files: &Files, id: ContentId, range: &Range<u64>) -> Result<(File, u64), BodyError> {
    let opened = files.read(id).map_err(|fault| BodyError::Broken(std::io::Error::other(fault)))?;
    let Some(mut file) = opened else {
        tracing::error!(file = format!("{:032x}", id.0), "a data file is missing");
        return Err(broken("a data file is missing"));
    };
    if range.start > 0 {
        file.seek(SeekFrom::Start(range.start)).map_err(BodyError::Broken)?;
    }
    Ok((file, range.end - range.start))
}

fn broken(what: &'static str) -> BodyError {
    BodyError::Broken(std::io::Error::other(what))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BodyError> + Send + 'static,
) -> Result<T, BodyError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(BodyError::Broken(std::io::Error::other(error))),
    }
}
