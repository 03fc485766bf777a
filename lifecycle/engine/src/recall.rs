//! Recalls: one mount of a volume serves every queued restore that is known for it, in the order the bytes lie;
//! late arrivals join. The drive never waits for the store: large objects go to the spool first, small ones through
//! a bounded queue.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::mpsc as blocking;

use bytes::Bytes;
use futures_util::stream::{self, FuturesUnordered};
use futures_util::{Stream, StreamExt};
use library::{Mounted, Reading, WorkEnd};
use model::limits::CHUNK_BYTES_MAX;
use model::{BodyError, ByteStream, JobId, RestoreJob, VolumeId};
use tokio::sync::{mpsc, oneshot};
use volume::pack::{Digest, Extent, PackReader};

use crate::error::Error;
use crate::house::House;
use crate::queue;
use crate::schedule::{self, Piece};
use crate::volumes;

/// Objects of one segment up to this size go to the store from memory; times what is under way, this bounds it.
const MEMORY_BYTES_MAX: u64 = 256 << 10;
/// Objects read but not yet handed over to the store; bounds the memory.
const READ_AHEAD: usize = 16;
/// Copies written to the store at a time: many, because small ones share the store's commits.
const COPIES_AT_A_TIME: usize = 128;

/// Reads what is queued for the most urgent volume, in one mount. Counts the restores that became readable; `None`
/// when nothing is queued.
pub async fn recall(house: &Arc<House>) -> Result<Option<u64>, Error> {
    let Some((volume, pieces)) = schedule::next(queue::pieces(house).await?) else { return Ok(None) };
    let mut recall = Recall::new(house.clone(), volume);
    let pieces = recall.admit(pieces).await?;
    if pieces.is_empty() {
        return Ok(None);
    }
    let result = recall.run(pieces).await;
    recall.return_unread(result.as_ref().err()).await?;
    match result {
        Ok(()) => Ok(Some(recall.readable)),
        // One volume's trouble holds up no other: it rests, and the next round takes another.
        Err(error @ Error::Library(_)) => {
            volumes::read_failed(house, volume, &error).await?;
            Ok(Some(recall.readable))
        }
        Err(error) => Err(error),
    }
}

/// One mount's worth of restores.
struct Recall {
    house: Arc<House>,
    volume: VolumeId,
    /// Restores begun and not yet over.
    jobs: BTreeMap<JobId, RestoreJob>,
    readable: u64,
}

/// What the drive's thread has to say.
enum News {
    Read(Box<Piece>, Result<Content, Error>),
    /// Everything handed over is read: is there more for this volume?
    Idle(blocking::SyncSender<Vec<Piece>>),
}

/// Where a piece's bytes are now.
enum Content {
    Memory(Bytes),
    Spooled,
}

impl Recall {
    fn new(house: Arc<House>, volume: VolumeId) -> Self {
        Self { house, volume, jobs: BTreeMap::new(), readable: 0 }
    }

    /// Begins the restores of these pieces; drops the pieces that have no room on the spool or moved on meanwhile.
    async fn admit(&mut self, mut pieces: Vec<Piece>) -> Result<Vec<Piece>, Error> {
        pieces.retain(|piece| {
            fits_memory(piece) || self.house.assemblies.begin(piece.archive, piece.object_bytes).is_ok()
        });
        let mut ids: Vec<JobId> = pieces.iter().map(|piece| piece.job).collect();
        ids.sort_unstable();
        ids.dedup();
        for job in queue::begin(&self.house, &ids).await? {
            self.jobs.insert(job.id, job);
        }
        pieces.retain(|piece| self.jobs.contains_key(&piece.job));
        Ok(pieces)
    }

    async fn run(&mut self, pieces: Vec<Piece>) -> Result<(), Error> {
        let missing = || Error::Bug { what: format!("volume {} is not in the catalog", self.volume) };
        let row = self.house.catalog.volume(self.volume).await?.ok_or_else(missing)?;
        let machine = volumes::library_named(&self.house, &row.library)?.clone();
        let (news, mut heard) = mpsc::channel(READ_AHEAD);
        let (done, mut ended) = oneshot::channel();
        let reader = Reader { house: self.house.clone(), news };
        let work = Box::new(move |mounted: &mut Mounted<Reading>| reader.run(mounted, pieces));
        machine.read(
            volumes::mount(&self.house, &row)?,
            work,
            Box::new(move |report| drop(done.send(report))),
        )?;
        let mut copies = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some(copied) = copies.next(), if !copies.is_empty() => self.readable += u64::from(copied?),
                said = heard.recv(), if copies.len() < COPIES_AT_A_TIME => match said {
                    Some(News::Read(piece, content)) => {
                        if let Some(copy) = self.take(*piece, content).await? {
                            copies.push(copy);
                        }
                    }
                    Some(News::Idle(answer)) => self.feed(&answer).await?,
                    None => break,
                },
            }
        }
        while let Some(copied) = copies.next().await {
            self.readable += u64::from(copied?);
        }
        match (&mut ended).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(Error::Bug { what: "a library job ended without a report".to_owned() }),
        }
    }

    /// Hands over what has been queued for this volume since.
    async fn feed(&mut self, answer: &blocking::SyncSender<Vec<Piece>>) -> Result<(), Error> {
        let late = queue::pieces(&self.house).await?;
        let mut here: Vec<Piece> = late.into_iter().filter(|piece| piece.volume == self.volume).collect();
        schedule::order(&mut here);
        let admitted = self.admit(here).await?;
        // The drive's thread waits for this answer; when it is gone, so is the mount, and its report tells why.
        drop(answer.send(admitted));
        Ok(())
    }

    /// Takes note of a piece; gives the work of making its object readable when the object is complete.
    async fn take(
        &mut self,
        piece: Piece,
        content: Result<Content, Error>,
    ) -> Result<Option<impl Future<Output = Result<bool, Error>> + Send + use<>>, Error> {
        let bytes: ByteStream = match content {
            Err(error) => {
                self.give_back(&piece, Some(&error)).await?;
                return Ok(None);
            }
            Ok(Content::Memory(bytes)) => Box::pin(stream::iter((!bytes.is_empty()).then_some(Ok(bytes)))),
            Ok(Content::Spooled) => {
                let archive = self.house.archive(piece.archive).await?;
                if !self.house.assemblies.complete(piece.archive, piece.index, archive.extents.len()) {
                    return Ok(None);
                }
                Box::pin(file_stream(self.house.assemblies.path(piece.archive)))
            }
        };
        let Some(job) = self.jobs.remove(&piece.job) else { return Ok(None) };
        Ok(Some(make_readable(self.house.clone(), piece, job, bytes)))
    }

    async fn give_back(&mut self, piece: &Piece, error: Option<&Error>) -> Result<(), Error> {
        match self.jobs.remove(&piece.job) {
            Some(job) => queue::give_back(&self.house, job, error).await,
            None => Ok(()),
        }
    }

    /// Returns what was begun and did not end: segments on other volumes are to come, or the mount broke off.
    async fn return_unread(&mut self, error: Option<&Error>) -> Result<(), Error> {
        for job in std::mem::take(&mut self.jobs).into_values() {
            queue::give_back(&self.house, job, error).await?;
        }
        Ok(())
    }
}

/// Writes the restored copy and ends the restore; false when the copy could not be written, which puts the restore
/// back into the queue.
async fn make_readable(
    house: Arc<House>,
    piece: Piece,
    job: RestoreJob,
    bytes: ByteStream,
) -> Result<bool, Error> {
    let copied = house.store.put_copy(piece.archive, piece.object_bytes, bytes).await;
    if !fits_memory(&piece) {
        house.assemblies.end(piece.archive)?;
    }
    match copied {
        Ok(()) => queue::copied(&house, job).await.map(|()| true),
        Err(error) => queue::give_back(&house, job, Some(&error.into())).await.map(|()| false),
    }
}

fn fits_memory(piece: &Piece) -> bool {
    piece.object_bytes <= MEMORY_BYTES_MAX && piece.extent.length == piece.object_bytes
}

/// The work on the drive's thread.
struct Reader {
    house: Arc<House>,
    news: mpsc::Sender<News>,
}

impl Reader {
    fn run(&self, mounted: &mut Mounted<Reading>, mut pieces: Vec<Piece>) -> WorkEnd {
        while !pieces.is_empty() && !mounted.stopping() {
            for pack in pieces.chunk_by(|a, b| a.start_block == b.start_block) {
                if !self.read_pack(mounted, pack) {
                    return WorkEnd::Keep;
                }
            }
            let (answer, more) = blocking::sync_channel(1);
            if self.news.blocking_send(News::Idle(answer)).is_err() {
                return WorkEnd::Keep;
            }
            pieces = more.recv().unwrap_or_default();
        }
        WorkEnd::Keep
    }

    /// Reads pieces of one pack in one forward pass; false when nobody listens any more.
    fn read_pack(&self, mounted: &mut Mounted<Reading>, pieces: &[Piece]) -> bool {
        let Some(first) = pieces.first() else { return true };
        let source = mounted.pack_source(first.start_block, first.pack_bytes);
        let mut pack = match PackReader::open(source, first.pack_bytes) {
            Ok(pack) => pack,
            Err(error) => {
                let detail = crate::error::chain(&error);
                let damaged =
                    || Error::Damaged { what: format!("pack {}", first.extent.pack), detail: detail.clone() };
                return pieces.iter().all(|piece| self.tell(piece, Err(damaged())));
            }
        };
        // Members read in the order of their offsets expand each frame once.
        pieces.iter().all(|piece| {
            let extent = Extent { offset: piece.extent.offset, length: piece.extent.length };
            let content = pack
                .member(extent, Some(Digest(piece.extent.digest)))
                .map_err(io::Error::from)
                .and_then(|mut member| self.keep(piece, &mut member));
            self.tell(piece, content.map_err(|error| broken(piece, &error)))
        })
    }

    fn keep(&self, piece: &Piece, member: &mut dyn Read) -> io::Result<Content> {
        if fits_memory(piece) {
            let mut bytes = Vec::with_capacity(usize::try_from(piece.extent.length).unwrap_or(0));
            member.read_to_end(&mut bytes)?;
            return Ok(Content::Memory(bytes.into()));
        }
        let mut file = self.house.assemblies.file(piece.archive, piece.position)?;
        let mut buffer = vec![0; CHUNK_BYTES_MAX];
        loop {
            match member.read(&mut buffer)? {
                0 => return Ok(Content::Spooled),
                read => file.write_all(&buffer[..read])?,
            }
        }
    }

    fn tell(&self, piece: &Piece, content: Result<Content, Error>) -> bool {
        self.news.blocking_send(News::Read(Box::new(piece.clone()), content)).is_ok()
    }
}

fn broken(piece: &Piece, error: &io::Error) -> Error {
    let what = format!("archive {} in pack {}", piece.archive, piece.extent.pack);
    Error::Damaged { what, detail: crate::error::chain(error) }
}

/// A spooled object as a stream, read on blocking threads.
fn file_stream(path: std::path::PathBuf) -> impl Stream<Item = Result<Bytes, BodyError>> + Send {
    stream::try_unfold((None, path), |(file, path): (Option<std::fs::File>, std::path::PathBuf)| async move {
        let read = tokio::task::spawn_blocking(move || {
            let mut file = match file {
                Some(file) => file,
                None => std::fs::File::open(&path)?,
            };
            let mut buffer = vec![0; CHUNK_BYTES_MAX];
            let read = file.read(&mut buffer)?;
            buffer.truncate(read);
            Ok::<_, io::Error>((buffer, file, path))
        });
        let (buffer, file, path) =
            read.await.map_err(io::Error::other).flatten().map_err(BodyError::Broken)?;
        Ok((!buffer.is_empty()).then(|| (Bytes::from(buffer), (Some(file), path))))
    })
}
