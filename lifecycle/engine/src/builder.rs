//! A pack under construction: a thread of its own compresses and writes what it is fed. Only a pack that is told to
//! finish is kept; however else its building ends, its files are removed and its room is given back.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::StreamExt;
use model::clock::pack_id;
use model::store::StoreError;
use model::{ByteStream, PackId};
use tokio::sync::mpsc;
use volume::pack::limits::LEVEL_STORED;
use volume::pack::{Member, MemberId, Options, PackSummary, PackWriter};

use crate::error::{Error, chain};
use crate::house::House;
use crate::seals;
use crate::settings::{Compression, PoolSettings};
use crate::spool::Reservation;

/// A finished pack, and who is not in it.
pub(crate) struct Built {
    /// The pack.
    pub summary: PackSummary,
    /// Members that can go into no pack as they are, and why.
    pub refused: Vec<(MemberId, Error)>,
}

/// Why a member could not be added.
pub(crate) enum AddError {
    /// The member's own bytes failed or were not as many as announced; the pack is spoiled by the half of them.
    Object(Error),
    /// The thread is gone; [`Builder::abandon`] tells why.
    Pack,
}

/// What the thread is told.
enum Piece {
    Begin(Box<Member>),
    Bytes(Bytes),
    End,
    Finish,
}

/// A pack being built, fed from here.
pub(crate) struct Builder {
    id: PackId,
    feed: mpsc::Sender<Piece>,
    full: Arc<AtomicBool>,
    thread: tokio::task::JoinHandle<Result<Option<Built>, Error>>,
}

impl Builder {
    /// Starts a pack of a pool that takes at most `room` on the spool. It is sealed with the newest key of a sealed pool.
    pub(crate) fn start(
        house: &Arc<House>,
        settings: &PoolSettings,
        room: Reservation,
    ) -> Result<Self, Error> {
        let key = seals::key_for(house, settings)?;
        let level = match settings.compression {
            Compression::Zstd(level) => level,
            Compression::Drive | Compression::None => LEVEL_STORED,
        };
        let options = Options { level, key, ..Options::default() };
        let id = pack_id(&*house.clock, &*house.entropy);
        let (feed, pieces) = mpsc::channel(8);
        let full = Arc::new(AtomicBool::new(false));
        let thread = tokio::task::spawn_blocking({
            let (house, full) = (house.clone(), full.clone());
            move || run(&house, id, &options, &full, pieces, room)
        });
        Ok(Self { id, feed, full, thread })
    }

    /// Whether the pack takes no more; members added after that are not in it.
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    /// Adds a member and its bytes.
    pub(crate) async fn add(&mut self, member: Member, mut bytes: ByteStream) -> Result<(), AddError> {
        let what = format!("read of {}/{}", member.record.bucket, member.record.key);
        let wrong = |source: Box<dyn std::error::Error + Send + Sync>| {
            AddError::Object(StoreError::Doubt { what: what.clone(), source }.into())
        };
        let mut missing = member.length;
        self.send(Piece::Begin(Box::new(member))).await?;
        while let Some(piece) = bytes.next().await {
            let piece = piece.map_err(|source| wrong(source.into()))?;
            let rest = missing.checked_sub(piece.len() as u64);
            missing = rest.ok_or_else(|| wrong("the store sent more bytes than announced".into()))?;
            self.send(Piece::Bytes(piece)).await?;
        }
        if missing > 0 {
            return Err(wrong(format!("the store sent {missing} bytes less than announced").into()));
        }
        self.send(Piece::End).await
    }

    async fn send(&self, piece: Piece) -> Result<(), AddError> {
        self.feed.send(piece).await.map_err(|_| AddError::Pack)
    }

    /// Throws the pack away; gives the thread's error, if it ended with one of its own.
    pub(crate) async fn abandon(self) -> Option<Error> {
        let Self { feed, thread, .. } = self;
        drop(feed);
        joined(thread.await).err()
    }

    /// Throws the pack away after the thread was found gone: why it is.
    pub(crate) async fn cause(self) -> Error {
        let gone = Error::Bug { what: format!("the thread of pack {} is gone", self.id) };
        self.abandon().await.unwrap_or(gone)
    }

    /// Finishes the pack: its file was read back, and its manifest is durable, when this returns.
    pub(crate) async fn finish(self) -> Result<Built, Error> {
        // A thread that is gone says itself why, below.
        drop(self.send(Piece::Finish).await);
        let id = self.id;
        drop(self.feed);
        let nothing = || Error::Bug { what: format!("pack {id} was not finished") };
        joined(self.thread.await)?.ok_or_else(nothing)
    }
}

fn joined(
    ended: Result<Result<Option<Built>, Error>, tokio::task::JoinError>,
) -> Result<Option<Built>, Error> {
    ended.unwrap_or_else(|panic| Err(Error::Bug { what: format!("packing panicked: {panic}") }))
}

/// Runs on a blocking thread. `None` when the feed ended without a word: nobody wants the pack.
fn run(
    house: &House,
    id: PackId,
    options: &Options,
    full: &AtomicBool,
    pieces: mpsc::Receiver<Piece>,
    room: Reservation,
) -> Result<Option<Built>, Error> {
    let built = write(house, id, options, full, pieces)
        .and_then(|written| written.map(|(file, built)| settle(house, id, file, built)).transpose());
    if let Ok(Some(built)) = &built {
        room.keep(id, built.summary.bytes);
    } else if let Err(error) = house.spool.discard(id) {
        tracing::warn!(pack = %id, error = chain(&error), "an abandoned pack stays on the spool");
    }
    built
}

/// Writes what is fed into the pack's file.
fn write(
    house: &House,
    id: PackId,
    options: &Options,
    full: &AtomicBool,
    mut pieces: mpsc::Receiver<Piece>,
) -> Result<Option<(File, Built)>, Error> {
    let failed = |source: volume::pack::Error| Error::Pack { pack: id, source: Box::new(source) };
    let path = house.spool.path(id);
    let file = File::create_new(&path).map_err(|source| Error::Spool { operation: "make a pack", source })?;
    let mut writer =
        PackWriter::new(file, volume::pack::PackId(id.as_u128().into()), options).map_err(failed)?;
    let mut refused = Vec::new();
    let mut skipping = false;
    while let Some(piece) = pieces.blocking_recv() {
        match piece {
            Piece::Begin(member) => {
                let member_id = member.id;
                skipping = full.load(Ordering::Acquire);
                if skipping {
                    continue;
                }
                match writer.begin_member(*member) {
                    Ok(()) => {}
                    Err(volume::pack::Error::Full { .. }) => {
                        full.store(true, Ordering::Release);
                        skipping = true;
                    }
                    Err(error @ volume::pack::Error::Refused { .. }) => {
                        refused.push((member_id, failed(error)));
                        skipping = true;
                    }
                    Err(error) => return Err(failed(error)),
                }
            }
            Piece::Bytes(_) | Piece::End if skipping => {}
            Piece::Bytes(bytes) => writer.write(&bytes).map_err(failed)?,
            Piece::End => {
                writer.end_member().map_err(failed)?;
            }
            Piece::Finish => {
                let (file, summary) = writer.finish().map_err(failed)?;
                return Ok(Some((file, Built { summary, refused })));
            }
        }
    }
    Ok(None)
}

/// Writes the manifest beside the pack, makes it durable, and reads the pack back.
///
/// The pack is not synced: a disk need not write what is on tape and gone within minutes. After a power cut it may be damaged;
/// its digest is compared on its way to tape, and what differs is built again.
fn settle(house: &House, id: PackId, file: File, built: Built) -> Result<Built, Error> {
    let manifest = |source| Error::Spool { operation: "write a manifest", source };
    let mut beside = File::create_new(house.spool.manifest_path(id)).map_err(manifest)?;
    beside.write_all(&built.summary.manifest).map_err(manifest)?;
    house.spool.sync(&beside)?;
    drop(file);
    match crate::spool_check::check(&house.spool.path(id), &built.summary, &*house.keys) {
        Ok(()) => Ok(built),
        // The key went away since the pack was begun; the pack is no worse for it.
        Err(volume::pack::Error::Seal(source)) if source.wants_key() => {
            Err(Error::Key { what: format!("pack {id} on the spool"), source })
        }
        Err(source) => Err(Error::Pack { pack: id, source: Box::new(source) }),
    }
}
