//! Builds packs on the spool: objects are read from the store at their identity, compressed and digested, and the
//! finished file is checked before anything relies on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use model::catalog::Change;
use model::limits::TRANSACTION_ROWS_MAX;
use model::pack::{Pack, PackCopy, PackCopyState};
use model::{Archive, ArchiveId, ArchiveState, Extent, PackId, PoolName};
use volume::pack::{Member, PackSummary, Segment};

use crate::builder::{AddError, Builder, Built};
use crate::due::{self, Object, Opened};
use crate::error::{Error, chain};
use crate::house::{House, held};
use crate::plan::Plan;
use crate::promote::pack_lost;
use crate::seals;
use crate::set_aside::set_aside;
use crate::settings::PoolSettings;
use crate::spool::Reservation;

/// How many objects are opened ahead of their turn.
const READ_AHEAD: usize = 16;
/// So many objects in a row that cannot be read are the store's trouble, not theirs: the others are left alone.
const ASIDE_IN_A_ROW_MAX: u32 = 16;
/// Room a member takes beside its bytes, at most, for the reservation: headers, padding, its line of the manifest.
const MEMBER_OVERHEAD_BYTES: u64 = 8 << 10;
/// Room a pack takes beside its members, at most: tables and end marks.
const PACK_OVERHEAD_BYTES: u64 = 1 << 20;

/// Carries out one plan. Objects that changed meanwhile are withdrawn, those that cannot be read are set aside; the
/// others are `Packed` when this returns, but for those a full pack had no room for. Gives the number of objects
/// that are due no more: 0 when there is no progress to speak of.
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
    let room = house.spool.reserve(room + seals::overhead(settings, room))?;
    let mut builder = Builder::start(house, settings, room)?;
    let mut filled = match fill(house, &mut builder, archives).await {
        Ok(filled) => filled,
        Err(error) => {
            builder.abandon().await;
            return Err(error);
        }
    };
    if filled.gone {
        return Err(builder.cause().await);
    }
    if filled.members.is_empty() {
        builder.abandon().await;
        return filled.outage.map_or(Ok(filled.aside), Err);
    }
    let Built { summary, refused } = builder.finish().await?;
    for (member, error) in refused {
        set_aside(house, ArchiveId::from_u128(member.0.0), &error).await?;
        filled.aside += 1;
    }
    let mut packed = Vec::with_capacity(summary.members.len());
    for place in &summary.members {
        let id = ArchiveId::from_u128(place.id.0.0);
        let Some(mut archive) = filled.members.remove(&id) else { continue };
        archive.extents = vec![extent(&summary, place.offset, place.length, place.digest.0)];
        packed.push(archive);
    }
    register(house, pool, settings, &summary).await?;
    let packed = become_packed(house, packed, &[PackId::from_u128(summary.id.0.0)]).await?;
    Ok(packed + filled.aside)
}

/// What went into a pack.
#[derive(Default)]
struct Filled {
    members: BTreeMap<ArchiveId, Archive>,
    /// Objects set aside.
    aside: u64,
    /// Why nothing more was opened, when that seems to be the store's trouble.
    outage: Option<Error>,
    /// The pack's thread is gone.
    gone: bool,
}

/// Feeds the objects into the pack. One whose bytes fail half way spoils the pack: it alone is set aside, and there
/// are no members then.
async fn fill(house: &Arc<House>, builder: &mut Builder, archives: Vec<ArchiveId>) -> Result<Filled, Error> {
    let mut filled = Filled::default();
    let mut in_a_row = 0;
    let mut opened = stream::iter(archives).map(|id| due::open(house, id)).buffered(READ_AHEAD);
    while let Some(object) = opened.next().await {
        let (object, bytes) = match object? {
            Opened::Ready(object) => *object,
            Opened::Gone => continue,
            Opened::Aside(error) => {
                filled.aside += 1;
                in_a_row += 1;
                if in_a_row >= ASIDE_IN_A_ROW_MAX {
                    filled.outage = Some(error);
                    return Ok(filled);
                }
                continue;
            }
        };
        in_a_row = 0;
        if builder.is_full() {
            break;
        }
        match builder.add(object.member(None), bytes).await {
            Ok(()) => {
                filled.members.insert(object.archive.id, object.archive);
            }
            Err(AddError::Object(error)) => {
                filled.members.clear();
                filled.aside += spoiled(house, object.archive.id, &error).await?;
                return Ok(filled);
            }
            Err(AddError::Pack) => {
                filled.gone = true;
                return Ok(filled);
            }
        }
    }
    Ok(filled)
}

/// Sets aside an object whose bytes failed half way, unless it just changed: the next look tells then.
async fn spoiled(house: &House, archive: ArchiveId, error: &Error) -> Result<u64, Error> {
    if due::is_change(error) {
        return Ok(0);
    }
    set_aside(house, archive, error).await?;
    Ok(1)
}

async fn pack_segments(
    house: &Arc<House>,
    pool: &PoolName,
    settings: &PoolSettings,
    archive: ArchiveId,
    count: u32,
) -> Result<u64, Error> {
    let mut object = match due::look(house, archive).await? {
        Opened::Ready(object) => *object,
        Opened::Gone => return Ok(0),
        Opened::Aside(_) => return Ok(1),
    };
    let mut finished = Vec::new();
    let result = cut(house, pool, settings, &mut object, count, &mut finished).await;
    let error = match result {
        Ok(()) => return become_packed(house, vec![object.archive], &finished).await,
        Err(error) => error,
    };
    // The segments packed so far are of no use without the others.
    for pack in &finished {
        pack_lost(house, *pack).await?;
    }
    match error {
        SegmentError::Object(error) => spoiled(house, archive, &error).await,
        // Begun again at once it would burn tape for ever.
        SegmentError::Room(error) if !house.spool.is_closed() && !finished.is_empty() => {
            spoiled(house, archive, &error).await
        }
        SegmentError::Room(error) | SegmentError::Pack(error) => Err(error),
    }
}

/// Why an object could not be cut into segments.
enum SegmentError {
    /// Its own bytes failed.
    Object(Error),
    /// The spool has no room, and none became free in time.
    Room(Error),
    /// Anything else.
    Pack(Error),
}

/// Packs an object's segments, each in a pack of its own that is registered when done; `finished` names these packs.
async fn cut(
    house: &Arc<House>,
    pool: &PoolName,
    settings: &PoolSettings,
    object: &mut Object,
    count: u32,
    finished: &mut Vec<PackId>,
) -> Result<(), SegmentError> {
    let size = object.archive.size;
    for index in 1..=count {
        let start = u64::from(index - 1) * settings.pack_bytes_target;
        let range = start..size.min(start + settings.pack_bytes_target);
        let length = range.end - range.start;
        let room = length + length / 64 + MEMBER_OVERHEAD_BYTES + PACK_OVERHEAD_BYTES;
        let room = room + seals::overhead(settings, room);
        let room = match index {
            1 => house.spool.reserve(room),
            _ => house.spool.wait_for_room(room).await,
        };
        let room = room.map_err(SegmentError::Room)?;
        let bytes = house.store.read(&held(&object.archive), &object.head.etag, range).await;
        let bytes = bytes.map_err(|error| SegmentError::Object(error.into()))?;
        let member = Member { length, ..object.member(Some(Segment { index, count })) };
        let summary = pack_one(house, settings, room, member, bytes).await?;
        let place = summary
            .members
            .first()
            .ok_or_else(|| SegmentError::Pack(Error::Bug { what: "a pack without its segment".into() }))?;
        object.archive.extents.push(extent(&summary, place.offset, place.length, place.digest.0));
        register(house, pool, settings, &summary).await.map_err(SegmentError::Pack)?;
        finished.push(PackId::from_u128(summary.id.0.0));
    }
    Ok(())
}

/// A pack of one member.
async fn pack_one(
    house: &Arc<House>,
    settings: &PoolSettings,
    room: Reservation,
    member: Member,
    bytes: model::ByteStream,
) -> Result<PackSummary, SegmentError> {
    let mut builder = Builder::start(house, settings, room).map_err(SegmentError::Pack)?;
    match builder.add(member, bytes).await {
        Ok(()) => {}
        Err(AddError::Object(error)) => {
            builder.abandon().await;
            return Err(SegmentError::Object(error));
        }
        Err(AddError::Pack) => return Err(SegmentError::Pack(builder.cause().await)),
    }
    let Built { summary, mut refused } = builder.finish().await.map_err(SegmentError::Pack)?;
    match refused.pop() {
        None => Ok(summary),
        Some((_, error)) => {
            let pack = PackId::from_u128(summary.id.0.0);
            house.spool.remove(pack).map_err(SegmentError::Pack)?;
            Err(SegmentError::Object(error))
        }
    }
}

/// Makes the archives `Packed` and counts them; those touched meanwhile are left out, their bytes in the pack unused.
/// Packs that nobody points to then are given up.
async fn become_packed(house: &House, mut archives: Vec<Archive>, packs: &[PackId]) -> Result<u64, Error> {
    for archive in &mut archives {
        archive.advance(ArchiveState::Packed, house.now());
    }
    let packed = house.save_each(archives).await?;
    packs.iter().for_each(|pack| house.unclaimed.remove(*pack));
    // Its packs may be on tape already.
    house.promotion.want();
    if packed == 0 {
        for pack in packs {
            pack_lost(house, *pack).await?;
        }
    }
    Ok(packed)
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
        seal: summary.key.as_ref().map(seals::noted),
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
    house.unclaimed.add(id);
    let committed = house.catalog.commit(changes).await;
    if committed.is_err()
        && let Err(error) = house.spool.remove(id)
    {
        tracing::warn!(pack = %id, error = chain(&error), "an unregistered pack stays on the spool");
    }
    Ok(committed?)
}

fn extent(summary: &PackSummary, offset: u64, length: u64, digest: [u8; 32]) -> Extent {
    Extent { pack: PackId::from_u128(summary.id.0.0), offset, length, digest }
}
