//! Makes wanted copies: their packs are read from a copy that is left into the spool, checked, and queued for writing.
//! One mount at a time, as many packs as the spool has room for; what is written and read back then is the business of
//! the ordinary stages.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use library::{Library, MountReport, Mounted, Reading, WorkEnd};
use model::catalog::{CatalogError, Change};
use model::pack::{CopyEnd, Pack, PackCopy, PackCopyStage, PackCopyState};
use model::{PackId, VolumeId};
use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, chain};
use crate::house::House;
use crate::sources::{Place, Places};
use crate::spool::Reservation;
use crate::{damage, volumes};

const PAGE: usize = 1_000;
/// Packs read in one mount at most; the next mount follows at once.
const PACKS_MAX: usize = 1_000;
/// Room a pack's manifest takes beside it, at most, for the reservation.
const MANIFEST_BYTES: u64 = 1 << 20;

/// Brings packs of wanted copies to the spool, or gives the copies up where nobody needs them any more; counts the
/// packs that came a step further.
pub async fn remake(house: &Arc<House>) -> Result<u64, Error> {
    let mut found = look(house).await?;
    let Some(volume) = found.fullest() else { return Ok(found.settled) };
    let mut packs = found.on.remove(&volume).unwrap_or_default();
    packs.sort_by_key(|source| source.start_block);
    let mut jobs = Vec::new();
    for source in packs.into_iter().take(PACKS_MAX) {
        let bytes = source.pack.bytes + MANIFEST_BYTES;
        let (taken, quota) = house.spool.usage();
        // Half of the spool is left to what is due; a first pack is never held up for that.
        if !jobs.is_empty() && taken.saturating_add(bytes) > quota / 2 {
            break;
        }
        match house.spool.reserve(bytes) {
            Ok(room) => jobs.push(Job { source, room }),
            Err(error) if jobs.is_empty() => return Err(error),
            Err(_) => break,
        }
    }
    Ok(found.settled + read(house, volume, jobs).await?)
}

/// A pack and where it is read.
struct Source {
    pack: Pack,
    start_block: u64,
}

/// A pack to be read, and its room.
struct Job {
    source: Source,
    room: Reservation,
}

/// What there is to do.
#[derive(Default)]
struct Found {
    /// Packs that needed no reading.
    settled: u64,
    on: BTreeMap<VolumeId, Vec<Source>>,
}

// === impl Found ===

impl Found {
    /// The volume with most to read.
    fn fullest(&self) -> Option<VolumeId> {
        self.on.iter().max_by_key(|(_, packs)| packs.len()).map(|(volume, _)| *volume)
    }
}

async fn look(house: &House) -> Result<Found, Error> {
    let places = Places::begin(house);
    let mut found = Found::default();
    let mut after: Option<PackId> = None;
    loop {
        let copies = house.catalog.copies_in(PackCopyStage::Wanted, after, PAGE).await?;
        let Some(last) = copies.last() else { return Ok(found) };
        after = Some(last.pack);
        for copies in copies.chunk_by(|a, b| a.pack == b.pack) {
            let Some(first) = copies.first() else { continue };
            let Some(pack) = house.catalog.pack(first.pack).await? else {
                return Err(Error::Bug { what: format!("pack {} has a copy but no row", first.pack) });
            };
            if !house.is_alive(pack.id).await? {
                found.settled += u64::from(give_up(house, copies).await?);
            } else if house.spool.has(&pack) {
                found.settled += u64::from(spooled(house, pack.id).await?);
            } else if let Place::At { volume, start_block, .. } = places.of_whole(house, &pack).await? {
                found.on.entry(volume).or_default().push(Source { pack, start_block });
            }
        }
    }
}

/// Nothing in the pack lives any more.
async fn give_up(house: &House, copies: &[PackCopy]) -> Result<bool, Error> {
    let mut changes = Vec::with_capacity(copies.len());
    for copy in copies {
        let mut copy = copy.clone();
        copy.advance(PackCopyState::Dead { why: CopyEnd::Unused });
        changes.push(Change::PackCopy(copy));
    }
    commit(house, changes).await
}

/// The pack is on the spool: its wanted copies can be written.
async fn spooled(house: &House, pack: PackId) -> Result<bool, Error> {
    let Some(mut row) = house.catalog.pack(pack).await? else { return Ok(false) };
    row.spooled = true;
    let mut changes = vec![Change::Pack(row)];
    for mut copy in house.catalog.copies_of(pack).await? {
        if copy.state.stage() == PackCopyStage::Wanted {
            copy.advance(PackCopyState::Spooled);
            changes.push(Change::PackCopy(copy));
        }
    }
    commit(house, changes).await
}

async fn commit(house: &House, changes: Vec<Change>) -> Result<bool, Error> {
    match house.catalog.commit(changes).await {
        Ok(()) => Ok(true),
        Err(CatalogError::Conflict { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Reads the packs in one mount.
async fn read(house: &Arc<House>, volume: VolumeId, jobs: Vec<Job>) -> Result<u64, Error> {
    let Some(row) = house.catalog.volume(volume).await? else { return Ok(0) };
    let machine = volumes::library_named(house, &row.library)?.clone();
    let (news, mut heard) = mpsc::unbounded_channel();
    let (done, ended) = oneshot::channel();
    let fetcher = Fetcher { house: house.clone(), machine: machine.clone(), news };
    let work = Box::new(move |mounted: &mut Mounted<Reading>| fetcher.run(mounted, jobs));
    machine.read(volumes::mount(house, &row)?, work, Box::new(move |report| drop(done.send(report))))?;
    let (mut fetched, mut trouble) = (0, None);
    while let Some((Job { source, room }, result)) = heard.recv().await {
        let pack = source.pack.id;
        match result {
            Ok(()) => {
                room.keep(pack, source.pack.bytes);
                fetched += 1;
                if !spooled(house, pack).await? {
                    house.spool.remove(pack)?;
                }
            }
            Err(error) => {
                house.spool.discard(pack)?;
                if damage::is_damage(&error) {
                    let why = chain(&error);
                    damage::found(house, pack, volume, &why).await?;
                    volumes::suspect(house, volume, format!("pack {pack}: {why}")).await?;
                }
                trouble.get_or_insert(error);
            }
        }
    }
    over(house, volume, ended).await?;
    match trouble {
        Some(error) if fetched == 0 => Err(error),
        _ => Ok(fetched),
    }
}

async fn over(
    house: &House,
    volume: VolumeId,
    ended: oneshot::Receiver<Result<MountReport, library::Error>>,
) -> Result<(), Error> {
    match ended.await {
        Ok(Ok(_)) => Ok(()),
        // One volume's trouble holds up no other: it rests, and the next round takes another.
        Ok(Err(error)) => volumes::read_failed(house, volume, &error.into()).await,
        Err(_) => Err(Error::Bug { what: "a library job ended without a report".to_owned() }),
    }
}

/// The work on the drive's thread.
struct Fetcher {
    house: Arc<House>,
    machine: Arc<Library>,
    news: mpsc::UnboundedSender<(Job, Result<(), Error>)>,
}

impl Fetcher {
    fn run(&self, mounted: &mut Mounted<Reading>, jobs: Vec<Job>) -> WorkEnd {
        for job in jobs {
            let result = self.fetch(mounted, &job.source);
            let goes_on = match &result {
                Ok(()) | Err(Error::Damaged { .. }) => true,
                Err(error) => damage::is_damage(error),
            };
            // Who waits for a drive goes first: what is left is read in another mount.
            let heard = self.news.send((job, result)).is_ok();
            if !heard || !goes_on || mounted.stopping() || self.machine.queued() > 0 {
                break;
            }
        }
        WorkEnd::Keep
    }

    /// Brings a pack and its manifest to the spool, checked; the manifest, which no digest speaks for, is durable.
    fn fetch(&self, mounted: &mut Mounted<Reading>, source: &Source) -> Result<(), Error> {
        let spool = &self.house.spool;
        let failed = |source| Error::Spool { operation: "write a pack read from tape", source };
        let Pack { id, bytes, digest, .. } = source.pack;
        let file = File::create(spool.path(id)).map_err(failed)?;
        let mut sink =
            Digesting { sink: BufWriter::with_capacity(1 << 20, file), digest: blake3::Hasher::new() };
        mounted.read_pack(source.start_block, 0..bytes, &mut sink)?;
        if *sink.digest.finalize().as_bytes() != digest {
            let detail = "its bytes have another digest".to_owned();
            return Err(Error::Damaged { what: format!("pack {id}"), detail });
        }
        drop(sink.sink.into_inner().map_err(|error| failed(error.into_error()))?);
        let mut manifest = File::create(spool.manifest_path(id)).map_err(failed)?;
        mounted.read_manifest(&id.to_string(), &mut manifest)?;
        spool.sync(&manifest)
    }
}

struct Digesting<W> {
    sink: W,
    digest: blake3::Hasher,
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.sink.write(bytes)?;
        self.digest.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}
