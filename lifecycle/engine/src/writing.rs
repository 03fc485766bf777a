//! Writes spooled packs to volumes: as many mounts at once as drives and pools allow, each taking packs one by one. A
//! pack counts as written only after the commit point of a group that holds it.

use std::sync::Arc;

use futures_util::FutureExt;
use library::{AppendError, Appending, Committed, MountReport, Mounted, PackWritten, WorkEnd};
use model::catalog::{CatalogError, Change};
use model::pack::{PackCopy, PackCopyStage, PackCopyState};
use model::volume::{Volume, VolumeStage};
use model::{PackId, PoolName, VolumeId};
use tokio::sync::{mpsc, oneshot};
use volume::journal::Entry;

use crate::appender::{Appender, News};
use crate::error::Error;
use crate::house::House;
use crate::mounts::{Begun, Mounting, drives_up, is_worth_a_mount};
use crate::outbox::{Next, Outgoing, Taker};
use crate::settings::{Compression, PoolSettings, Verify};
use crate::stage::{Bells, Stage};
use crate::turns::{Purpose, Request, Turn};
use crate::volumes::Wanted;
use crate::{kept, scratch, untold, verify, volumes};

/// Tries at rows that others change at the same time.
const TRIES_MAX: u32 = 5;
/// Bytes a pack takes on tape beside itself and its manifest, at most: what the last blocks leave empty.
const BESIDE_PACK_BYTES: u64 = 4 << 20;
const PAGE: usize = 1_000;

/// The mounts that spooled packs want now.
pub(crate) async fn begin(house: &Arc<House>, bells: &Arc<Bells>) -> Result<Begun, Error> {
    house.turns.begin_round(Purpose::Write);
    let mut begun = Begun::default();
    if house.pauses.pauses_migration() {
        return Ok(begun);
    }
    for (pool, settings) in &house.settings.pools {
        if house.pauses.holds(&settings.library) {
            continue;
        }
        begun.note(begin_pool(house, bells, pool, settings).await)?;
        begun.note(begin_news(house, pool, settings).await)?;
    }
    Ok(begun)
}

/// The mounts of one pool: a first one once that is worth its while, and another for every time as much is waiting.
async fn begin_pool(
    house: &Arc<House>,
    bells: &Arc<Bells>,
    pool: &PoolName,
    settings: &PoolSettings,
) -> Result<Vec<Mounting>, Error> {
    house.outbox.begin_refill(pool);
    let spooled = spooled(house, pool).await?;
    house.outbox.refill(pool, spooled);
    let mut mounts = Vec::new();
    let rows = usable(house).await?;
    while worth_a_mount(house, pool, settings, &rows) {
        let rooms = house.outbox.rooms(pool);
        // A pack that fits nowhere holds up none that do.
        let choice = |room: &u64| choose(house, pool, settings, &rows, *room).map(|volume| (volume, *room));
        let Some((volume, room)) = rooms.iter().find_map(choice) else {
            let Some(bytes) = rooms.first().copied() else { break };
            // One that is in use may have the room.
            let busy = rows.iter().any(|row| house.turns.uses(row.id) && row.pool.as_ref() == Some(pool));
            if busy || !mounts.is_empty() {
                break;
            }
            if scratch::is_coming(house, &settings.library, &rows, settings.generation)? {
                bells.ring(Stage::Prepare);
                break;
            }
            return Err(no_volume(pool, settings, &rows, bytes));
        };
        let Some(turn) = turn(house, settings, volume) else { break };
        let taker = house.outbox.taker(pool);
        let Next::Pack(first) = taker.next(room) else { break };
        let mount = Mount {
            house: house.clone(),
            pool: pool.clone(),
            turn: Arc::new(turn),
            taker: Some(Arc::new(taker)),
        };
        let (bells, volume, settings) = (bells.clone(), volume.clone(), settings.clone());
        let writing = async move {
            let house = mount.house.clone();
            let news = untold::news(&house, &settings).await?.news;
            let written = mount.write(volume, Some(*first), news).await?;
            if written > 0 {
                // Where nothing is read back, what is written is on tape.
                house.promotion.want();
                bells.ring(Stage::Flip);
                bells.ring(Stage::Verify);
            }
            Ok(written)
        };
        mounts.push(writing.boxed());
    }
    Ok(mounts)
}

/// A mount for a journal alone, when something has waited for one long enough. Nothing is told while no volume of the pool
/// has room.
async fn begin_news(
    house: &Arc<House>,
    pool: &PoolName,
    settings: &PoolSettings,
) -> Result<Vec<Mounting>, Error> {
    // The mounts under way tell it.
    let is_written = house.outbox.takers(pool) > 0;
    if is_written || !untold::waits_for(house, settings.journal_after).await? {
        return Ok(Vec::new());
    }
    let rows = usable(house).await?;
    let Some(volume) = choose(house, pool, settings, &rows, untold::ROOM_BYTES) else {
        let busy = rows.iter().any(|row| house.turns.uses(row.id) && row.pool.as_ref() == Some(pool));
        if busy || scratch::is_coming(house, &settings.library, &rows, settings.generation)? {
            return Ok(Vec::new());
        }
        return Err(no_volume(pool, settings, &rows, untold::ROOM_BYTES));
    };
    let Some(turn) = turn(house, settings, volume) else { return Ok(Vec::new()) };
    let found = untold::news(house, settings).await?;
    if found.news.is_empty() {
        // Nothing is mounted for what cannot be told now.
        return found.keyless.map_or(Ok(Vec::new()), Err);
    }
    let mount = Mount { house: house.clone(), pool: pool.clone(), turn: Arc::new(turn), taker: None };
    let (volume, news) = (volume.clone(), found.news);
    Ok(vec![async move { mount.write(volume, None, news).await }.boxed()])
}

/// Why nothing takes the pool's packs, and what would.
fn no_volume(pool: &PoolName, settings: &PoolSettings, rows: &[Volume], bytes: u64) -> Error {
    let others = scratch::at_hand(rows, &settings.library, None).len();
    let detail = match settings.generation {
        Some(generation) => {
            format!("no scratch cartridge of {generation}, which the pool is set to ({others} of others)")
        }
        None => "no scratch cartridge".to_owned(),
    };
    Error::NoVolume { pool: pool.clone(), bytes, library: settings.library.clone(), detail }
}

/// A drive for this volume.
fn turn(house: &House, settings: &PoolSettings, volume: &Volume) -> Option<Turn> {
    house.turns.take(Request {
        library: &settings.library,
        drives_up: drives_up(house, &settings.library),
        volume: Some(volume.id),
        purpose: Purpose::Write,
        urgency: None,
    })
}

/// Mounts a volume whose last mount for writing was cut off, so that it ends with an index again; counts the packs that
/// were found on it.
pub(crate) async fn close(house: &Arc<House>, volume: Volume) -> Result<u64, Error> {
    let known = volume.pool.clone().and_then(|name| house.settings.pools.get_key_value(&name));
    let Some((pool, settings)) = known else { return Ok(0) };
    let Some(turn) = turn(house, settings, &volume) else { return Ok(0) };
    let mount = Mount { house: house.clone(), pool: pool.clone(), turn: Arc::new(turn), taker: None };
    let news = untold::news(house, settings).await?.news;
    mount.write(volume, None, news).await.map(|written| written + 1)
}

/// The volumes that did not just fail.
async fn usable(house: &House) -> Result<Vec<Volume>, Error> {
    let mut rows = house.catalog.volumes().await?;
    let now = house.now();
    rows.retain(|volume| !house.resting.rests(volume.id, now));
    Ok(rows)
}

fn choose<'a>(
    house: &House,
    pool: &PoolName,
    settings: &PoolSettings,
    rows: &'a [Volume],
    room: u64,
) -> Option<&'a Volume> {
    let in_use = |volume: &Volume| house.turns.uses(volume.id);
    let wanted = Wanted {
        bytes: room,
        // No more volumes are opened than there are mounts.
        filling_max: house.outbox.takers(pool) + 1,
        generation: settings.generation,
    };
    volumes::choose(rows, in_use, &settings.library, pool, wanted)
}

/// Whether another mount is worth its while: its pool has a drive left of those it may have, and for a first mount
/// enough waits, or has waited long enough, or the spool needs the room, or a volume of the pool is in a drive anyway.
fn worth_a_mount(house: &House, pool: &PoolName, settings: &PoolSettings, rows: &[Volume]) -> bool {
    let backlog = house.outbox.backlog(pool);
    let Some(oldest) = backlog.oldest else { return false };
    let fills = |row: &&Volume| row.pool.as_ref() == Some(pool) && row.state.stage() == VolumeStage::Filling;
    let mounts = house.outbox.takers(pool);
    if mounts >= settings.drives_max {
        return false;
    }
    if mounts > 0 {
        return backlog.bytes >= settings.mount_bytes.saturating_mul(mounts as u64 + 1);
    }
    let loaded = volumes::loaded(house, &settings.library);
    is_worth_a_mount(house, settings, backlog.bytes, oldest)
        || rows.iter().filter(fills).any(|volume| loaded.contains(&volume.id))
}

async fn spooled(house: &House, pool: &PoolName) -> Result<Vec<Outgoing>, Error> {
    let mut outgoing = Vec::new();
    let mut after: Option<PackId> = None;
    loop {
        let copies = house.catalog.copies_in(PackCopyStage::Spooled, after, PAGE).await?;
        let Some(last) = copies.last() else { return Ok(outgoing) };
        after = Some(last.pack);
        for copy in copies.into_iter().filter(|copy| copy.pool == *pool) {
            let missing = || Error::Bug { what: format!("pack {} has a copy but no row", copy.pack) };
            let pack = house.catalog.pack(copy.pack).await?.ok_or_else(missing)?;
            // A manifest that is not there is found out when the pack is appended.
            let manifest = std::fs::metadata(house.spool.manifest_path(pack.id)).map_or(0, |file| file.len());
            let room = pack.bytes + manifest + BESIDE_PACK_BYTES;
            outgoing.push(Outgoing { pack, copy, room });
        }
    }
}

/// A mount for writing.
struct Mount {
    house: Arc<House>,
    pool: PoolName,
    turn: Arc<Turn>,
    /// None when nothing is to be written.
    taker: Option<Arc<Taker>>,
}

impl Mount {
    /// Writes `first` and what else fits and waits to the volume, and the news to its journal; counts the packs that are
    /// durable there, and the news.
    async fn write(
        self,
        mut volume: Volume,
        first: Option<Outgoing>,
        untold: Vec<untold::News>,
    ) -> Result<u64, Error> {
        let kept = match self.house.settings.pools.get(&self.pool) {
            Some(pool) => kept::entries_if_sealable(&self.house, pool).await?,
            None => Vec::new(),
        };
        volumes::begin_append(&self.house, &mut volume, &self.pool).await?;
        let (news, mut heard) = mpsc::unbounded_channel();
        let ended = self.queue(&volume, first, (untold, kept), news)?;
        let mut told = Told::default();
        // The drive works on whatever an error of ours is: the turn is over when the library says so.
        let mut trouble = None;
        while let Some(news) = heard.recv().await {
            if let Err(error) = self.hear(volume.id, news, &mut told).await {
                trouble.get_or_insert(error);
            }
        }
        let report = ended
            .await
            .map_err(|_| Error::Bug { what: "a library job ended without a report".to_owned() })?;
        volumes::end_append(&self.house, volume.id, report, told.full).await?;
        if told.written > 0 && self.verify_mode() == Verify::Inline {
            // What is not read back now waits for the ordinary pass.
            if let Err(error) = verify::verify(&self.house, volume.id, self.turn.clone()).await {
                trouble.get_or_insert(error);
            }
        }
        match (trouble, told.broke) {
            (Some(error), _) => Err(error),
            (None, Some(source)) => Err(Error::Append { volume: volume.id, source }),
            (None, None) => Ok(told.written + told.journaled),
        }
    }

    fn verify_mode(&self) -> Verify {
        self.house.settings.pools.get(&self.pool).map_or(Verify::Deferred, |pool| pool.verify)
    }

    /// Queues the work at the library; its report comes when all is over.
    fn queue(
        &self,
        volume: &Volume,
        first: Option<Outgoing>,
        (untold, kept): (Vec<untold::News>, Vec<Entry>),
        news: mpsc::UnboundedSender<News>,
    ) -> Result<oneshot::Receiver<Result<MountReport, library::Error>>, Error> {
        let machine = volumes::library_named(&self.house, &volume.library)?;
        let mount = volumes::mount(&self.house, volume)?;
        let (done, ended) = oneshot::channel();
        let appender = Appender {
            house: self.house.clone(),
            news,
            taker: self.taker.clone(),
            yields: self.turn.flag(),
            kept,
            compresses: self.house.settings.pools.get(&self.pool).map(|pool| pool.compression)
                == Some(Compression::Drive),
            // What is read back right away stays where it is.
            when_full: if self.verify_mode() == Verify::Inline { WorkEnd::Keep } else { WorkEnd::Unload },
        };
        let work = Box::new(move |mounted: &mut Mounted<Appending>| appender.run(mounted, first, untold));
        let turn = self.turn.clone();
        let report = Box::new(move |report| {
            drop(done.send(report));
            drop(turn);
        });
        machine.append(mount, work, report)?;
        Ok(ended)
    }

    async fn hear(&self, volume: VolumeId, news: News, told: &mut Told) -> Result<(), Error> {
        match news {
            News::Committed(packs, committed) => {
                told.written += packs.len() as u64;
                record_written(&self.house, volume, packs, committed).await
            }
            News::Unusable(outgoing, why) => unusable(&self.house, *outgoing, &why).await,
            News::Full => {
                told.full = true;
                Ok(())
            }
            News::Journaled(archives, journal) => {
                told.journaled += archives.len() as u64;
                untold::told(&self.house, volume, archives, journal).await
            }
            News::Broke(error) => {
                told.broke = Some(error);
                Ok(())
            }
        }
    }
}

/// What a mount has told so far.
#[derive(Default)]
struct Told {
    written: u64,
    journaled: u64,
    full: bool,
    broke: Option<AppendError>,
}

/// Writes down what a commit made durable, also when somebody changes one of these rows at the same time. A copy that
/// was given up meanwhile stays so.
async fn record_written(
    house: &House,
    volume: VolumeId,
    packs: Vec<(Outgoing, PackWritten)>,
    committed: Committed,
) -> Result<(), Error> {
    let mut copies: Vec<PackCopy> = packs.iter().map(|(outgoing, _)| outgoing.copy.clone()).collect();
    let mut tries = 0;
    loop {
        let mut row = volume_row(house, volume).await?;
        row.generation = committed.generation;
        row.end_of_data_block = committed.eod_block;
        row.remaining_bytes = committed.remaining_bytes;
        // One that was let go of meanwhile takes no copy any more: they are written elsewhere.
        let counts =
            matches!(row.state.stage(), VolumeStage::Filling | VolumeStage::Full | VolumeStage::Reclaiming);
        let mut changes = vec![Change::Volume(row)];
        for (copy, (_, written)) in copies.iter().zip(&packs) {
            if counts && copy.state.stage() == PackCopyStage::Spooled {
                let mut copy = PackCopy { volume: Some(volume), ..copy.clone() };
                copy.advance(PackCopyState::Written {
                    start_block: written.start_block,
                    blocks: written.blocks,
                });
                changes.push(Change::PackCopy(copy));
            }
        }
        tries += 1;
        match house.catalog.commit(changes).await {
            Err(CatalogError::Conflict { .. }) if tries < TRIES_MAX => {}
            other => return Ok(other?),
        }
        for copy in &mut copies {
            let latest = house.catalog.copies_of(copy.pack).await?;
            if let Some(latest) = latest.into_iter().find(|latest| latest.number == copy.number) {
                *copy = latest;
            }
        }
    }
}

async fn volume_row(house: &House, volume: VolumeId) -> Result<Volume, Error> {
    let missing = || Error::Bug { what: format!("volume {volume} is not in the catalog") };
    house.catalog.volume(volume).await?.ok_or_else(missing)
}

/// A pack whose file is not what it should be is read from tape again where it is there already, or built again.
async fn unusable(house: &House, outgoing: Outgoing, why: &str) -> Result<(), Error> {
    tracing::error!(code = "EN-0104", pack = %outgoing.pack.id, why, "a spooled pack is unusable and is made again");
    crate::promote::spool_lost(house, outgoing.pack.id).await
}
