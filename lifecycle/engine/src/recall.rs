//! Recalls: one mount of a volume serves every queued restore that is known for it, in the order the bytes lie;
//! late arrivals join. Large objects go to the spool first, small ones through a bounded queue; a drive waits for the
//! store only where it has read two stretches of an object that the store has not taken.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc as blocking;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, FuturesUnordered};
use futures_util::{FutureExt, StreamExt};
use library::{MountReport, Mounted};
use model::limits::CHUNK_BYTES_MAX;
use model::store::StoreError;
use model::volume::Volume;
use model::{BodyError, ByteStream, JobId, Remedy, RestoreJob, Tier, VolumeId};
use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, chain, is_fatal};
use crate::flip::milliseconds;
use crate::house::House;
use crate::mounts::{Begun, drives_up};
use crate::queue::{self, Failure};
use crate::reader::{Content, News, Reader};
use crate::readings::Reading;
use crate::schedule::{self, Piece};
use crate::stretched::{Slot, Stretched};
use crate::turns::{Purpose, Request, Turn};
use crate::{copies, damage, sources, volumes};

/// Objects of one segment up to this size go to the store from memory; times what is under way, this bounds it.
const MEMORY_BYTES_MAX: u64 = 256 << 10;
/// Objects read but not yet handed over to the store; bounds the memory.
const READ_AHEAD: usize = 16;
/// Copies written to the store at a time: many, because small ones share the store's commits.
const COPIES_AT_A_TIME: usize = 128;

/// The mounts that queued restores want now: a volume each, the most urgent ones first, as far as there are drives and
/// room on the spool.
pub(crate) async fn begin(house: &Arc<House>) -> Result<Begun, Error> {
    house.turns.begin_round(Purpose::Recall);
    queue::requeue(house).await?;
    let _alone = house.readings.admission.lock().await;
    let queue::Waiting { pieces: waiting, archives, whole, keyless } = queue::waiting(house).await?;
    let read = |archive| house.readings.reads(archive);
    let mut begun = Begun::default();
    for object in house.assemblies.retain(read, |archive| archives.contains(&archive))? {
        begun.mounts.push(abandon(house.clone(), object).boxed());
    }
    for (job, object) in whole.into_iter().filter(|(_, object)| !read(object.archive())) {
        let mut reading = house.readings.begin();
        reading.note(job, object.archive());
        begun.mounts.push(finish(house.clone(), job, object, reading).boxed());
    }
    let in_reach: BTreeSet<_> = waiting.iter().map(|piece| piece.archive).collect();
    let mut no_room = None;
    for (volume, mut here) in schedule::by_urgency(waiting) {
        let missing = || Error::Bug { what: format!("volume {volume} is not in the catalog") };
        let row = house.catalog.volume(volume).await?.ok_or_else(missing)?;
        let Some(turn) = turn(house, &row, &here) else { continue };
        schedule::order(&mut here);
        let mut recall = Recall::new(house.clone(), row, turn);
        let admitted = recall.admit(here).await?;
        no_room = no_room.or(recall.no_room.take());
        if !admitted.is_empty() {
            begun.mounts.push(recall.carry_out(admitted).boxed());
        }
    }
    match no_room {
        Some(error) if begun.mounts.is_empty() => {
            // Begun objects whose other volumes are out of reach make room for those that can be finished.
            house.assemblies.make_room(read, |archive| in_reach.contains(&archive))?;
            begun.trouble = Some(error);
        }
        Some(error) => tracing::warn!(error = chain(&error), "restores wait for room on the spool"),
        // Restores whose key is missing wait for it; without any other work that is what keeps them.
        None if begun.mounts.is_empty() => begun.trouble = keyless,
        None => {}
    }
    Ok(begun)
}

/// A drive for these pieces of a volume.
fn turn(house: &House, volume: &Volume, here: &[Piece]) -> Option<Turn> {
    let expedited = here.iter().any(|piece| piece.tier == Tier::Expedited);
    house.turns.take(Request {
        library: &volume.library,
        drives_up: drives_up(house, &volume.library),
        volume: Some(volume.id),
        purpose: Purpose::Recall,
        urgency: schedule::due(here).map(|due| (due, expedited)),
    })
}

/// One mount's worth of restores.
struct Recall {
    house: Arc<House>,
    volume: VolumeId,
    /// The volume's library.
    library: String,
    turn: Turn,
    /// What is known as this mount's own.
    reading: Reading,
    /// Restores begun and not yet over.
    jobs: BTreeMap<JobId, RestoreJob>,
    progress: u64,
    /// Whether a restore came to its end.
    delivered: bool,
    /// Whether the drive's thread ever said anything.
    heard: bool,
    /// Whether the volume was set aside in this mount.
    condemned: bool,
    /// Why some objects were not begun.
    no_room: Option<Error>,
    /// What ended reading early through no fault of any piece.
    broken: Option<library::Error>,
    /// The first trouble with the store or the spool, which will not be gone at once.
    trouble: Option<Error>,
}

/// What became of bytes that were handed to the store.
enum Handed {
    /// It has a stretch of an object, which still lacks others.
    Part,
    /// A restore is over.
    Copy(JobId),
    /// It was given up while these were on their way.
    Nothing,
    /// It did not take them; the restore goes back into the queue.
    Refused(JobId, Error),
}

type Copy = BoxFuture<'static, Result<Handed, Error>>;
type Copies = FuturesUnordered<Copy>;

impl Recall {
    fn new(house: Arc<House>, volume: Volume, turn: Turn) -> Self {
        let reading = house.readings.begin();
        Self {
            house,
            volume: volume.id,
            library: volume.library,
            turn,
            reading,
            jobs: BTreeMap::new(),
            progress: 0,
            delivered: false,
            heard: false,
            condemned: false,
            no_room: None,
            broken: None,
            trouble: None,
        }
    }

    /// Begins the restores of these pieces; drops the pieces that have no room on the spool or moved on meanwhile.
    async fn admit(&mut self, mut pieces: Vec<Piece>) -> Result<Vec<Piece>, Error> {
        for piece in &pieces {
            self.reading.note(piece.job, piece.archive);
        }
        let mut roomless = BTreeSet::new();
        for piece in pieces.iter().filter(|piece| !fits_memory(piece)) {
            if let Err(error) = self.house.assemblies.begin(piece) {
                roomless.insert(piece.job);
                self.no_room.get_or_insert(error);
            }
        }
        pieces.retain(|piece| !roomless.contains(&piece.job));
        let ids: BTreeSet<JobId> = pieces.iter().map(|piece| piece.job).collect();
        let ids: Vec<JobId> = ids.into_iter().collect();
        for job in queue::begin(&self.house, &ids).await? {
            self.jobs.insert(job.id, job);
        }
        pieces.retain(|piece| self.jobs.contains_key(&piece.job));
        Ok(pieces)
    }

    /// Mounts the volume, reads, and returns to the queue what was not read.
    async fn carry_out(mut self, pieces: Vec<Piece>) -> Result<u64, Error> {
        let (heard, report) = match self.mount(pieces).await {
            Ok(mount) => mount,
            Err(error) => {
                self.return_unread().await?;
                return Err(error);
            }
        };
        let mut copies = Copies::new();
        let mut result = self.listen(heard, &mut copies).await;
        while let Some(copied) = copies.next().await {
            let noted = self.note(copied).await;
            result = result.and(noted);
        }
        let report = match report.await {
            Ok(report) => report.map(drop).map_err(Error::from),
            Err(_) => Err(Error::Bug { what: "a library job ended without a report".to_owned() }),
        };
        let report = report.and(self.broken.take().map_or(Ok(()), |error| Err(error.into())));
        self.over(&report).await?;
        result?;
        match report {
            // One volume's trouble holds up no other: it rests, and the next round takes another.
            Err(error @ Error::Library(_)) => {
                volumes::read_failed(&self.house, self.volume, &error).await?;
            }
            other => other?,
        }
        match self.trouble {
            // A pause, and a notice: what is read meanwhile would meet the same trouble.
            Some(error) if !self.delivered => Err(error),
            _ => Ok(self.progress),
        }
    }

    async fn mount(&self, pieces: Vec<Piece>) -> Result<(mpsc::Receiver<News>, Report), Error> {
        let missing = || Error::Bug { what: format!("volume {} is not in the catalog", self.volume) };
        let row = self.house.catalog.volume(self.volume).await?.ok_or_else(missing)?;
        let machine = volumes::library_named(&self.house, &row.library)?.clone();
        let (news, heard) = mpsc::channel(READ_AHEAD);
        let (done, ended) = oneshot::channel();
        let reader = Reader { house: self.house.clone(), news, yields: self.turn.flag() };
        let work = Box::new(move |mounted: &mut Mounted<library::Reading>| reader.run(mounted, pieces));
        let mount = volumes::mount(&self.house, &row)?;
        machine.read(mount, work, Box::new(move |report| drop(done.send(report))))?;
        Ok((heard, ended))
    }

    /// Follows the drive's thread until it ends. After an error of ours it is no longer listened to, which ends it.
    async fn listen(&mut self, mut heard: mpsc::Receiver<News>, copies: &mut Copies) -> Result<(), Error> {
        loop {
            tokio::select! {
                Some(copied) = copies.next(), if !copies.is_empty() => self.note(copied).await?,
                said = heard.recv(), if copies.len() < COPIES_AT_A_TIME => match said {
                    Some(News::Read(piece, content)) => {
                        self.heard = true;
                        if let Some(copy) = self.take(*piece, content).await? {
                            copies.push(copy);
                        }
                    }
                    Some(News::Idle(answer)) => self.feed(&answer).await?,
                    Some(News::Broken(error)) => self.broken = Some(error),
                    None => return Ok(()),
                },
            }
        }
    }

    async fn note(&mut self, handed: Result<Handed, Error>) -> Result<(), Error> {
        match handed? {
            Handed::Part => self.progress += 1,
            Handed::Copy(job) => {
                self.jobs.remove(&job);
                self.delivered = true;
                self.progress += 1;
            }
            Handed::Nothing => {}
            Handed::Refused(job, error) => {
                if let Some(job) = self.jobs.remove(&job) {
                    queue::give_back(&self.house, job, Some(Failure::of(&error))).await?;
                }
                self.trouble.get_or_insert(error);
            }
        }
        Ok(())
    }

    /// Hands over what has been queued since, unless a volume that waits for a drive is more urgent by now.
    async fn feed(&mut self, answer: &blocking::SyncSender<Vec<Piece>>) -> Result<(), Error> {
        let house = self.house.clone();
        let _alone = house.readings.admission.lock().await;
        let mut late = queue::waiting(&house).await?.pieces;
        late.retain(|piece| piece.volume == self.volume);
        schedule::order(&mut late);
        let waits = house.turns.restore_waits(&self.library);
        let goes_on = schedule::due(&late).is_some_and(|due| waits.is_none_or(|other| due <= other));
        // What the store does not take now it does not take in the next minute either.
        let goes_on = goes_on && self.trouble.is_none();
        let admitted = if goes_on && !self.turn.yields() { self.admit(late).await? } else { Vec::new() };
        // The drive's thread waits for this answer; when it is gone, so is the mount, and its report tells why.
        drop(answer.send(admitted));
        Ok(())
    }

    /// Takes note of a piece; gives the work of handing over to the store what is complete.
    async fn take(&mut self, piece: Piece, content: Result<Content, Error>) -> Result<Option<Copy>, Error> {
        let bytes: ByteStream = match content {
            Err(error) => {
                self.failed(&piece, error).await?;
                return Ok(None);
            }
            Ok(Content::Needless) => return Ok(None),
            Ok(Content::Stretch(slot)) => {
                return Ok(Some(hand_over_stretch(self.house.clone(), piece, slot).boxed()));
            }
            Ok(Content::Memory(bytes)) => Box::pin(stream::iter((!bytes.is_empty()).then_some(Ok(bytes)))),
            Ok(Content::Spooled) => {
                let Some(archive) = self.house.catalog.archive(piece.archive).await? else { return Ok(None) };
                if !self.house.assemblies.complete(piece.archive, piece.index, archive.extents.len()) {
                    self.progress += 1;
                    return Ok(None);
                }
                file_stream(self.house.assemblies.path(piece.archive))
            }
        };
        Ok(Some(hand_over(self.house.clone(), piece, bytes).boxed()))
    }

    /// A piece could not be read.
    async fn failed(&mut self, piece: &Piece, error: Error) -> Result<(), Error> {
        let (pack, house) = (piece.extent.pack, &self.house);
        if damage::is_damage(&error) {
            damage::found(house, pack, self.volume, &chain(&error)).await?;
        }
        // Another copy answers for it; only the last one can fail it.
        let spared = damage::is_damage(&error) && sources::is_elsewhere(house, pack, self.volume).await?;
        if let Some(job) = self.jobs.remove(&piece.job) {
            let failure = (!spared).then(|| Failure::of(&error));
            queue::give_back(house, job, failure).await?;
        }
        if matches!(error, Error::Key { .. }) {
            // The volume is well. It rests, so that it is not mounted for this again and again.
            self.rest();
            return Ok(());
        }
        if matches!(error, Error::Spool { .. }) {
            // What is there of it takes room that others can use.
            self.house.assemblies.give_way(piece.archive)?;
            self.trouble.get_or_insert(error);
            return Ok(());
        }
        self.condemn(&error).await
    }

    fn rest(&self) {
        let rest = milliseconds(self.house.settings.retry_after);
        self.house.resting.rest(self.volume, self.house.now().plus_milliseconds(rest));
    }

    /// Sets the volume aside, so that other copies are preferred, and lets it rest.
    async fn condemn(&mut self, error: &Error) -> Result<(), Error> {
        if std::mem::replace(&mut self.condemned, true) {
            return Ok(());
        }
        self.rest();
        match volumes::suspect(&self.house, self.volume, chain(error)).await {
            Err(error) if is_fatal(&error) => Err(error),
            Err(error) => {
                tracing::warn!(volume = %self.volume, error = chain(&error), "volume not set aside yet");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// The mount is over: what was begun and did not end is returned. It is charged only where the volume as a whole
    /// was found damaged before anything could be read.
    async fn over(&mut self, report: &Result<(), Error>) -> Result<(), Error> {
        match report {
            Err(error) if !self.heard && error.remedy() == Remedy::Damage => {
                self.condemn(error).await?;
                let jobs = std::mem::take(&mut self.jobs).into_values();
                for job in jobs {
                    let spared = self.is_elsewhere(&job).await?;
                    queue::give_back(&self.house, job, (!spared).then(|| Failure::of(error))).await?;
                }
                Ok(())
            }
            _ => self.return_unread().await,
        }
    }

    /// Whether a restore can do without this volume.
    async fn is_elsewhere(&self, job: &RestoreJob) -> Result<bool, Error> {
        let Some(archive) = self.house.catalog.archive(job.archive).await? else { return Ok(true) };
        for extent in &archive.extents {
            if !sources::is_elsewhere(&self.house, extent.pack, self.volume).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns what was begun and did not end: segments on other volumes are to come, or the mount broke off.
    async fn return_unread(&mut self) -> Result<(), Error> {
        let jobs = std::mem::take(&mut self.jobs).into_values();
        queue::return_unread(&self.house, jobs.collect()).await
    }
}

type Report = oneshot::Receiver<Result<MountReport, library::Error>>;

/// Writes the restored copy and ends the restore.
async fn hand_over(house: Arc<House>, piece: Piece, bytes: ByteStream) -> Result<Handed, Error> {
    let write = house.store.put_copy(piece.archive, piece.object_bytes, bytes);
    let delivered = copies::deliver(&house, piece.archive, write).await;
    if !fits_memory(&piece) {
        house.assemblies.forget(piece.archive)?;
    }
    handed(piece.job, delivered)
}

/// Writes a stretch of a restored copy; with the last one the copy is made and the restore ends.
async fn hand_over_stretch(house: Arc<House>, piece: Piece, slot: Slot) -> Result<Handed, Error> {
    let (object, store) = (slot.object().clone(), &*house.store);
    if !house.assemblies.is_current(&object) {
        return Ok(Handed::Nothing);
    }
    let stored = object.store(store, &slot, file_stream(slot.path().to_owned())).await;
    drop(slot);
    match stored {
        Ok(false) => Ok(Handed::Part),
        _ if !house.assemblies.is_current(&object) => Ok(Handed::Nothing),
        Ok(true) => make_copy(&house, piece.job, &object).await,
        Err(error) => {
            // An upload that is gone takes no more, and a store without room gets back what this object took.
            let over = matches!(error, StoreError::Missing { .. } | StoreError::Full { .. });
            if over && house.assemblies.close(&object) {
                object.abandon(store).await;
            }
            Ok(Handed::Refused(piece.job, error.into()))
        }
    }
}

/// Makes the copy of an object the store has every stretch of, and ends its restore. While there is no answer the
/// stretches stay, and [`finish`] asks again; what is refused is begun anew.
async fn make_copy(house: &House, job: JobId, object: &Arc<Stretched>) -> Result<Handed, Error> {
    let store = &*house.store;
    let delivered = copies::deliver(house, object.archive(), object.complete(store)).await;
    match &delivered {
        Ok(()) => drop(house.assemblies.close(object)),
        Err(Error::Store(StoreError::Doubt { .. })) => {}
        Err(_) => {
            if house.assemblies.close(object) {
                object.abandon(store).await;
            }
        }
    }
    handed(job, delivered)
}

/// Asks again for a copy whose making had no answer; nothing is mounted for it.
async fn finish(
    house: Arc<House>,
    job: JobId,
    object: Arc<Stretched>,
    _reading: Reading,
) -> Result<u64, Error> {
    match make_copy(&house, job, &object).await? {
        Handed::Refused(_, error) => Err(error),
        Handed::Copy(_) => Ok(1),
        Handed::Part | Handed::Nothing => Ok(0),
    }
}

/// Gives up what the store has of an object nobody waits for.
async fn abandon(house: Arc<House>, object: Arc<Stretched>) -> Result<u64, Error> {
    object.abandon(&*house.store).await;
    Ok(0)
}

fn handed(job: JobId, delivered: Result<(), Error>) -> Result<Handed, Error> {
    match delivered {
        Ok(()) => Ok(Handed::Copy(job)),
        Err(error @ Error::Store(_)) => Ok(Handed::Refused(job, error)),
        Err(error) => Err(error),
    }
}

/// Whether a piece goes to the store without a file on the spool.
pub(crate) fn fits_memory(piece: &Piece) -> bool {
    piece.object_bytes <= MEMORY_BYTES_MAX && piece.extent.length == piece.object_bytes
}

/// A file on the spool as a stream, read on blocking threads.
fn file_stream(path: PathBuf) -> ByteStream {
    let pieces =
        stream::try_unfold((None, path), |(file, path): (Option<std::fs::File>, PathBuf)| async move {
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
        });
    Box::pin(pieces)
}
