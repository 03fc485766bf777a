//! Builds packs on the spool: objects are read from the store at their identity, compressed and digested, and the
//! finished file is checked before anything relies on it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use model::archive::ArchiveStage;
use model::catalog::Change;
use model::clock::pack_id;
use model::limits::TRANSACTION_ROWS_MAX;
use model::pack::{Pack, PackCopy, PackCopyState};
use model::store::{ObjectHead, StoreError};
use model::{Archive, ArchiveId, ArchiveState, ByteStream, Extent, Identity, PackId, PoolName};
use tokio::sync::mpsc;
use volume::pack::{Member, MemberId, Options, PackSummary, PackWriter, Segment};

use crate::error::Error;
use crate::flip::standing;
use crate::house::{House, current};
use crate::plan::Plan;
use crate::record::record;
use crate::set_aside::set_aside;
use crate::settings::PoolSettings;

/// Objects up to this size are read ahead of their turn, whole; larger ones are streamed.
const READ_AHEAD_BYTES_MAX: u64 = 1 << 20;
/// How many objects are opened ahead of their turn.
const READ_AHEAD: usize = 16;
/// Room a member takes beside its bytes, at most, for the reservation: headers, padding, its line of the manifest.
const MEMBER_OVERHEAD_BYTES: u64 = 8 << 10;
/// Room a pack takes beside its members, at most: tables and end marks.
const PACK_OVERHEAD_BYTES: u64 = 1 << 20;

/// Carries out one plan. Objects that changed meanwhile are withdrawn, those that cannot be read are set aside; the
/// others are `Packed` when this returns. Gives the number of objects packed.
pub async fn pack(
    house: &Arc<House>,
    pool: &PoolName,
    settings: &PoolSettings,
    plan: Plan,
) -> Result<u64, Error> {
    match plan {
        Plan::Members(archives) => pack_members(house, pool, settings, archives).await,
        Plan::Segments { archive, count } => pack_segments(house, pool, settings, archive, count).await,
    }
}

async fn pack_members(
    house: &Arc<House>,
    pool: &PoolName,
    settings: &PoolSettings,
    archives: Vec<ArchiveId>,
) -> Result<u64, Error> {
    let count = archives.len() as u64;
    let room = settings.pack_bytes_target + count * MEMBER_OVERHEAD_BYTES + PACK_OVERHEAD_BYTES;
    let mut builder = Builder::start(house, settings, room)?;
    let mut members: BTreeMap<ArchiveId, Archive> = BTreeMap::new();
    let mut opened = stream::iter(archives).map(|id| open(house, id)).buffered(READ_AHEAD);
    while let Some(object) = opened.next().await {
        let Some(object) = object? else { continue };
        let id = object.archive.id;
        if let Err(error) = builder.add(object.member(None), object.bytes).await {
            // The pack is lost with it; the others stay due, and this one must not spoil the next pack too.
            drop(opened);
            set_aside(house, object.archive, &error).await?;
            return Err(builder.cause(error).await);
        }
        members.insert(id, object.archive);
    }
    drop(opened);
    if members.is_empty() {
        builder.abandon().await;
        return Ok(0);
    }
    let summary = builder.finish().await?;
    for place in &summary.members {
        let id = ArchiveId::from_u128(place.id.0.0);
        let Some(archive) = members.get_mut(&id) else { continue };
        archive.extents = vec![extent(&summary, place.offset, place.length, place.digest.0)];
    }
    register(house, pool, settings, &summary).await?;
    become_packed(house, members.into_values().collect()).await
}

async fn pack_segments(
    house: &Arc<House>,
    pool: &PoolName,
    settings: &PoolSettings,
    archive: ArchiveId,
    count: u32,
) -> Result<u64, Error> {
    let Some(mut object) = open(house, archive).await? else { return Ok(0) };
    let size = object.archive.size;
    for index in 1..=count {
        let start = u64::from(index - 1) * settings.pack_bytes_target;
        let range = start..size.min(start + settings.pack_bytes_target);
        let length = range.end - range.start;
        let room = length + length / 64 + MEMBER_OVERHEAD_BYTES + PACK_OVERHEAD_BYTES;
        let mut builder = Builder::start(house, settings, room)?;
        let bytes = house.store.read(&current(&object.archive), &object.head.etag, range).await;
        let member = Member { length, ..object.member(Some(Segment { index, count })) };
        let added = match bytes {
            Ok(bytes) => builder.add(member, bytes).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = added {
            set_aside(house, object.archive, &error).await?;
            return Err(builder.cause(error).await);
        }
        let summary = builder.finish().await?;
        let place = summary
            .members
            .first()
            .ok_or_else(|| Error::Bug { what: "a pack without its segment".into() })?;
        object.archive.extents.push(extent(&summary, place.offset, place.length, place.digest.0));
        register(house, pool, settings, &summary).await?;
    }
    become_packed(house, vec![object.archive]).await
}

/// An object about to be packed.
struct Object {
    archive: Archive,
    head: ObjectHead,
    bytes: ByteStream,
}

impl Object {
    fn member(&self, segment: Option<Segment>) -> Member {
        Member {
            id: MemberId(self.archive.id.as_u128().into()),
            length: self.archive.size,
            segment,
            record: record(&self.archive, &self.head),
        }
    }
}

/// Opens a due archive's object, provided it is still the one that became due; withdraws it otherwise.
async fn open(house: &House, id: ArchiveId) -> Result<Option<Object>, Error> {
    let mut archive = house.archive(id).await?;
    if archive.state.stage() != ArchiveStage::Due || archive.touched {
        return Ok(None);
    }
    let target = current(&archive);
    let head = house.store.head(&target).await?;
    let same = |head: &ObjectHead| {
        let known = archive.standing.as_ref();
        known.is_some_and(|s| s.etag == head.etag && s.last_modified_seconds == head.last_modified.seconds())
            && head.marker.as_ref().is_none_or(|marker| marker.archive == archive.id)
    };
    let Some(head) = head.filter(same) else {
        house.advance(&mut archive, ArchiveState::Withdrawn).await?;
        return Ok(None);
    };
    archive.extents.clear();
    archive.identity = Some(Identity::of(&head));
    archive.standing = Some(standing(&head));
    archive.size = head.size;
    archive.last_modified = Some(head.last_modified);
    archive.checksums = head.checksums.clone();
    let read = read(house, &mut archive, &head).await;
    match read {
        Ok(bytes) => Ok(Some(Object { archive, head, bytes })),
        // It changed this very moment; the next look tells.
        Err(Error::Store(StoreError::Changed { .. } | StoreError::Missing { .. })) => Ok(None),
        Err(error @ Error::Store(StoreError::Doubt { .. })) => Err(error),
        Err(error) => {
            set_aside(house, archive, &error).await?;
            Ok(None)
        }
    }
}

async fn read(house: &House, archive: &mut Archive, head: &ObjectHead) -> Result<ByteStream, Error> {
    let target = current(archive);
    if head.etag.as_str().contains('-') {
        archive.part_bytes = house.store.part_bytes(&target, &head.etag).await?;
    }
    if head.size == 0 {
        return Ok(Box::pin(stream::empty()));
    }
    let bytes = house.store.read(&target, &head.etag, 0..head.size).await?;
    if head.size > READ_AHEAD_BYTES_MAX {
        return Ok(bytes);
    }
    let pieces: Vec<Bytes> = bytes.try_collect().await.map_err(|source| broken(archive, source))?;
    Ok(Box::pin(stream::iter(pieces.into_iter().map(Ok))))
}

fn broken(archive: &Archive, source: model::BodyError) -> StoreError {
    StoreError::Doubt { what: format!("read of {}/{}", archive.bucket, archive.key), source: source.into() }
}

/// Makes the archives `Packed` and counts them; those touched meanwhile are left out, their bytes in the pack unused.
async fn become_packed(house: &House, mut archives: Vec<Archive>) -> Result<u64, Error> {
    for archive in &mut archives {
        archive.advance(ArchiveState::Packed, house.now());
    }
    house.save_each(archives).await
}

/// Writes down a finished pack and the copies it is to have, before any archive points to it.
async fn register(
    house: &House,
    pool: &PoolName,
    settings: &PoolSettings,
    summary: &PackSummary,
) -> Result<(), Error> {
    let id = PackId::from_u128(summary.id.0.0);
    let pack = Pack {
        id,
        revision: 0,
        pool: pool.clone(),
        bytes: summary.bytes,
        digest: summary.digest.0,
        members: u32::try_from(summary.members.len()).unwrap_or(u32::MAX),
        spooled: true,
        created: house.now(),
    };
    let mut changes = vec![Change::Pack(pack)];
    let pools = std::iter::once(pool).chain(&settings.copies);
    for (number, pool) in (0_u8..).zip(pools) {
        changes.push(Change::PackCopy(PackCopy {
            pack: id,
            number,
            revision: 0,
            pool: pool.clone(),
            volume: None,
            state: PackCopyState::Spooled,
        }));
    }
    debug_assert!(changes.len() <= TRANSACTION_ROWS_MAX);
    Ok(house.catalog.commit(changes).await?)
}

fn extent(summary: &PackSummary, offset: u64, length: u64, digest: [u8; 32]) -> Extent {
    Extent { pack: PackId::from_u128(summary.id.0.0), offset, length, digest }
}

/// What the pack's thread is told.
enum Piece {
    Begin(Box<Member>),
    Bytes(Bytes),
    End,
}

/// A pack being built on a thread of its own, fed from here.
struct Builder {
    house: Arc<House>,
    id: PackId,
    feed: mpsc::Sender<Piece>,
    thread: tokio::task::JoinHandle<Result<PackSummary, Error>>,
    room: crate::spool::Reservation,
}

impl Builder {
    fn start(house: &Arc<House>, settings: &PoolSettings, room: u64) -> Result<Self, Error> {
        let room = house.spool.reserve(room)?;
        let id = pack_id(&*house.clock, &*house.entropy);
        let (feed, pieces) = mpsc::channel(8);
        let level = settings.compression_level;
        let thread = tokio::task::spawn_blocking({
            let house = house.clone();
            move || build(&house, id, level, pieces)
        });
        Ok(Self { house: house.clone(), id, feed, thread, room })
    }

    async fn add(&mut self, member: Member, mut bytes: ByteStream) -> Result<(), Error> {
        let what = format!("{}/{}", member.record.bucket, member.record.key);
        self.send(Piece::Begin(Box::new(member))).await?;
        while let Some(piece) = bytes.next().await {
            let piece = piece.map_err(|source| StoreError::Doubt {
                what: format!("read of {what}"),
                source: source.into(),
            })?;
            self.send(Piece::Bytes(piece)).await?;
        }
        self.send(Piece::End).await
    }

    async fn send(&self, piece: Piece) -> Result<(), Error> {
        let gone = |_| Error::Bug { what: format!("the thread of pack {} is gone", self.id) };
        self.feed.send(piece).await.map_err(gone)
    }

    /// The error behind `seen`: the thread's own when it has one. Throws the pack away.
    async fn cause(self, seen: Error) -> Error {
        match self.abandon().await {
            Some(error) => error,
            None => seen,
        }
    }

    /// Throws the pack away; gives the thread's error, if it ended with one of its own.
    async fn abandon(self) -> Option<Error> {
        drop(self.feed);
        let ended = self.thread.await;
        if let Err(error) = self.house.spool.discard(self.id) {
            tracing::warn!(pack = %self.id, error = crate::error::chain(&error), "an abandoned pack stays on the spool");
        }
        match ended {
            Ok(Err(error @ (Error::Spool { .. } | Error::Pack { .. }))) => Some(error),
            _ => None,
        }
    }

    async fn finish(self) -> Result<PackSummary, Error> {
        drop(self.feed);
        let ended = self.thread.await;
        let result =
            ended.unwrap_or_else(|panic| Err(Error::Bug { what: format!("packing panicked: {panic}") }));
        match &result {
            Ok(summary) => self.room.keep(summary.bytes),
            Err(_) => self.house.spool.discard(self.id)?,
        }
        result
    }
}

/// Runs on a blocking thread: writes what is fed into the pack's file, syncs it, and reads it all back.
fn build(
    house: &House,
    id: PackId,
    level: i32,
    mut pieces: mpsc::Receiver<Piece>,
) -> Result<PackSummary, Error> {
    let failed = |source: volume::pack::Error| Error::Pack { pack: id, source: Box::new(source) };
    let path = house.spool.path(id);
    let file = File::create_new(&path).map_err(|source| Error::Spool { operation: "make a pack", source })?;
    let options = Options { level, ..Options::default() };
    let mut writer =
        PackWriter::new(file, volume::pack::PackId(id.as_u128().into()), &options).map_err(failed)?;
    while let Some(piece) = pieces.blocking_recv() {
        match piece {
            Piece::Begin(member) => writer.begin_member(*member).map_err(failed)?,
            Piece::Bytes(bytes) => writer.write(&bytes).map_err(failed)?,
            Piece::End => {
                writer.end_member().map_err(failed)?;
            }
        }
    }
    let (file, summary) = writer.finish().map_err(failed)?;
    let manifest = |source| Error::Spool { operation: "write a manifest", source };
    let mut beside = File::create_new(house.spool.manifest_path(id)).map_err(manifest)?;
    beside.write_all(&summary.manifest).map_err(manifest)?;
    house.spool.sync(&beside)?;
    house.spool.sync(&file)?;
    drop(file);
    crate::spool_check::check(&path, &summary).map_err(failed)?;
    Ok(summary)
}
