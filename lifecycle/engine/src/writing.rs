//! Writes spooled packs to volumes. One mount for writing per pool at a time; a pack counts as written only after the
//! commit point of a group that holds it.

use std::collections::BTreeMap;
use std::sync::Arc;

use library::{AppendError, Appending, Committed, CopyLabel, Mounted, PackFile, PackWritten, WorkEnd};
use model::catalog::{CatalogError, Change};
use model::limits::TRANSACTION_ROWS_MAX;
use model::pack::{Pack, PackCopy, PackCopyStage, PackCopyState};
use model::volume::{Volume, VolumeStage};
use model::{Archive, PackId, PoolName, VolumeId};
use tokio::sync::{mpsc, oneshot};
use volume::journal::Entry;

use crate::error::{Error, chain};
use crate::flip::milliseconds;
use crate::house::House;
use crate::settings::{PoolSettings, Verify};
use crate::{scratch, untold, verify, volumes};

/// A commit group ends after this many bytes.
const COMMIT_GROUP_BYTES: u64 = 32_000_000_000;
/// Or after so many packs: each is a row of the catalog's commit.
const COMMIT_GROUP_PACKS: usize = 1_000;
const _: () = assert!(COMMIT_GROUP_PACKS < TRANSACTION_ROWS_MAX, "the volume's row goes with them");
/// So many bytes are worth a mount at once.
const MOUNT_BYTES: u64 = 4 << 30;
/// Tries at rows that others change at the same time.
const TRIES_MAX: u32 = 5;
/// Bytes a pack takes on tape beside itself and its manifest, at most: what the last blocks leave empty.
const BESIDE_PACK_BYTES: u64 = 4 << 20;
const PAGE: usize = 1_000;

/// Writes the spooled packs of one pool to one volume, as many as fit; counts them. Waits until a mount is worth
/// its while.
pub async fn write(house: &Arc<House>, pool: &PoolName, settings: &PoolSettings) -> Result<u64, Error> {
    let packs = spooled(house, pool).await?;
    let Some(first) = packs.first() else { return Ok(0) };
    if !worth_a_mount(house, settings, &packs) {
        return Ok(0);
    }
    let mut rows = usable(house).await?;
    let choose = |rows: &[Volume], outgoing: &Outgoing| {
        volumes::choose(rows, &settings.library, pool, outgoing.room).cloned()
    };
    let mut chosen = choose(&rows, first);
    if chosen.is_none() && house.settings.labels_blank.contains(&settings.library) {
        scratch::prepare_scratch(house, &settings.library, 1).await?;
        rows = usable(house).await?;
        chosen = choose(&rows, first);
    }
    // A pack that fits nowhere holds up none that do.
    let chosen = chosen.or_else(|| packs.iter().find_map(|outgoing| choose(&rows, outgoing)));
    let Some(mut volume) = chosen else {
        return Err(Error::NoVolume { pool: pool.clone(), bytes: first.room });
    };
    let packs = packs.iter().filter(|outgoing| outgoing.room <= volume.remaining_bytes).cloned().collect();
    let news = untold::news(house).await?;
    volumes::begin_append(house, &mut volume, pool).await?;
    let id = volume.id;
    let written = append(house, settings, volume, packs, news).await?;
    if written > 0 && settings.verify == Verify::Inline {
        verify::verify(house, id).await?;
    }
    Ok(written)
}

/// Writes a journal alone, when something has waited for one long enough; counts what it tells. Nothing is told while
/// no volume of the pool has room.
pub async fn write_news(house: &Arc<House>, pool: &PoolName, settings: &PoolSettings) -> Result<u64, Error> {
    if !untold::waits_for(house, settings.journal_after).await? {
        return Ok(0);
    }
    let Some(mut volume) = untold::volume_for(house, &settings.library, pool).await? else {
        return Err(Error::NoVolume { pool: pool.clone(), bytes: untold::ROOM_BYTES });
    };
    let news = untold::news(house).await?;
    if news.is_empty() {
        return Ok(0);
    }
    volumes::begin_append(house, &mut volume, pool).await?;
    append(house, settings, volume, Vec::new(), news).await
}

/// Mounts a volume whose last mount for writing was cut off, so that it ends with an index again; counts the packs that
/// were found on it.
pub(crate) async fn close(house: &Arc<House>, mut volume: Volume) -> Result<u64, Error> {
    let Some((pool, settings)) =
        volume.pool.clone().and_then(|name| house.settings.pools.get_key_value(&name))
    else {
        return Ok(0);
    };
    volumes::begin_append(house, &mut volume, pool).await?;
    let news = untold::news(house).await?;
    append(house, settings, volume, Vec::new(), news).await.map(|written| written + 1)
}

/// The volumes that did not just fail.
async fn usable(house: &House) -> Result<Vec<Volume>, Error> {
    let mut rows = house.catalog.volumes().await?;
    let now = house.now();
    rows.retain(|volume| !house.resting.rests(volume.id, now));
    Ok(rows)
}

/// Whether enough is waiting, or has waited long enough, or the spool needs the room.
fn worth_a_mount(house: &House, settings: &PoolSettings, packs: &[Outgoing]) -> bool {
    let bytes: u64 = packs.iter().map(|outgoing| outgoing.pack.bytes).sum();
    let Some(oldest) = packs.iter().map(|outgoing| outgoing.pack.created).min() else { return false };
    let quiet = milliseconds(settings.quiet);
    let (taken, quota) = house.spool.usage();
    bytes >= MOUNT_BYTES || house.now() >= oldest.plus_milliseconds(quiet) || taken >= quota / 2
}

/// A pack copy on its way to tape.
#[derive(Clone)]
struct Outgoing {
    pack: Pack,
    copy: PackCopy,
    /// What it takes on tape at most, in bytes.
    room: u64,
}

/// Packs appended and not yet committed.
#[derive(Default)]
struct Group {
    packs: Vec<(Outgoing, PackWritten)>,
    bytes: u64,
}

impl Group {
    fn push(&mut self, outgoing: Outgoing, written: PackWritten) {
        self.bytes += outgoing.pack.bytes;
        self.packs.push((outgoing, written));
    }

    /// Whether the group is to be committed: much would be lost with it, or the catalog takes no more at once.
    fn is_full(&self) -> bool {
        self.bytes >= COMMIT_GROUP_BYTES || self.packs.len() >= COMMIT_GROUP_PACKS
    }
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

/// What the drive's thread reports while it works.
enum News {
    /// These packs (and where they lie) are durable, with everything before them.
    Committed(Vec<(Outgoing, PackWritten)>, Committed),
    /// This pack's file on the spool is unusable.
    Unusable(Box<Outgoing>, String),
    /// The volume takes no more.
    Full,
    /// What was to be told of these archives is on tape, in the journal of this number.
    Journaled(Vec<Archive>, u64),
    /// The library refused a step though the volume is well.
    Broke(AppendError),
}

async fn append(
    house: &Arc<House>,
    settings: &PoolSettings,
    volume: Volume,
    packs: Vec<Outgoing>,
    untold: Vec<untold::News>,
) -> Result<u64, Error> {
    let id = volume.id;
    let machine = volumes::library_named(house, &settings.library)?;
    let mount = volumes::mount(house, &volume)?;
    let (news, mut heard) = mpsc::unbounded_channel();
    let (done, ended) = oneshot::channel();
    let work = {
        let house = house.clone();
        // What is read back right away stays where it is.
        let when_full = if settings.verify == Verify::Inline { WorkEnd::Keep } else { WorkEnd::Unload };
        let appender = Appender { house, news, when_full };
        Box::new(move |mounted: &mut Mounted<Appending>| appender.run(mounted, packs, untold))
    };
    let report = Box::new(move |report| drop(done.send(report)));
    machine.append(mount, work, report)?;
    let (mut written, mut told) = (0, 0);
    let mut full = false;
    let mut broke = None;
    while let Some(news) = heard.recv().await {
        match news {
            News::Committed(packs, committed) => {
                written += packs.len() as u64;
                record_written(house, id, packs, committed).await?;
            }
            News::Unusable(outgoing, why) => unusable(house, *outgoing, &why).await?,
            News::Full => full = true,
            News::Journaled(archives, journal) => {
                told += archives.len() as u64;
                untold::told(house, id, archives, journal).await?;
            }
            News::Broke(error) => broke = Some(error),
        }
    }
    let report =
        ended.await.map_err(|_| Error::Bug { what: "a library job ended without a report".to_owned() })?;
    volumes::end_append(house, id, report, full).await?;
    broke.map_or(Ok(written + told), |error| Err(Error::Append { volume: id, source: error }))
}

/// The work on the drive's thread.
struct Appender {
    house: Arc<House>,
    news: mpsc::UnboundedSender<News>,
    /// What is done with a volume that takes no more.
    when_full: WorkEnd,
}

impl Appender {
    fn run(
        &self,
        mounted: &mut Mounted<Appending>,
        packs: Vec<Outgoing>,
        untold: Vec<untold::News>,
    ) -> WorkEnd {
        match self.append_all(mounted, packs, untold) {
            Ok(end) => end,
            Err(error) => {
                // The mount's own report carries it; what was committed before has been told already.
                tracing::warn!(volume = %mounted.uuid(), error = chain(&error), "a mount for writing ended early");
                WorkEnd::Unload
            }
        }
    }

    fn append_all(
        &self,
        mounted: &mut Mounted<Appending>,
        packs: Vec<Outgoing>,
        untold: Vec<untold::News>,
    ) -> Result<WorkEnd, AppendError> {
        let there = packs_there(mounted);
        let mut entries = Vec::new();
        let mut group = Group::default();
        let mut end = WorkEnd::Keep;
        for outgoing in packs {
            if mounted.stopping() {
                break;
            }
            let appended = match already_there(&there, &outgoing.pack) {
                Some(written) => Ok(written),
                None => self.append_one(mounted, &outgoing),
            };
            match appended {
                Ok(written) => {
                    entries.push(committed_entry(&outgoing.pack, written));
                    group.push(outgoing, written);
                }
                Err(AppendError::Full) => {
                    self.tell(News::Full);
                    end = self.when_full;
                    break;
                }
                Err(AppendError::Spool { source, .. }) => {
                    self.tell(News::Unusable(Box::new(outgoing), chain(&source)));
                }
                // Nothing of it is on tape; the others need not suffer.
                Err(error @ AppendError::Refused(_)) => self.tell(News::Broke(error)),
                Err(error @ AppendError::Tape(_)) => return Err(error),
            }
            if group.is_full() {
                let committed = mounted.commit()?;
                self.tell(News::Committed(std::mem::take(&mut group).packs, committed));
            }
        }
        let (rows, news): (Vec<Archive>, Vec<Entry>) = untold.into_iter().unzip();
        entries.extend(news);
        let journal = self.append_journal(mounted, &entries, &mut end)?;
        let committed = mounted.commit()?;
        self.tell(News::Committed(group.packs, committed));
        if let Some(journal) = journal {
            self.tell(News::Journaled(rows, journal));
        }
        Ok(end)
    }

    /// The journal of the mount, where there is room for it. What it tells is in the catalog too: packs are not given
    /// up for its sake.
    fn append_journal(
        &self,
        mounted: &mut Mounted<Appending>,
        entries: &[Entry],
        end: &mut WorkEnd,
    ) -> Result<Option<u64>, AppendError> {
        if entries.is_empty() {
            return Ok(None);
        }
        match mounted.append_journal(entries) {
            Ok(journal) => Ok(Some(journal)),
            Err(AppendError::Full) => {
                self.tell(News::Full);
                *end = self.when_full;
                Ok(None)
            }
            Err(error @ (AppendError::Refused(_) | AppendError::Spool { .. })) => {
                self.tell(News::Broke(error));
                Ok(None)
            }
            Err(error @ AppendError::Tape(_)) => Err(error),
        }
    }

    fn append_one(
        &self,
        mounted: &mut Mounted<Appending>,
        Outgoing { pack, copy, .. }: &Outgoing,
    ) -> Result<PackWritten, AppendError> {
        let manifest = std::fs::read(self.house.spool.manifest_path(pack.id))
            .map_err(|source| AppendError::Spool { id: pack.id.to_string(), source })?;
        mounted.append_pack(&PackFile {
            id: pack.id.to_string(),
            path: self.house.spool.path(pack.id),
            bytes: pack.bytes,
            digest: pack.digest,
            sealed: pack.seal.is_some(),
            manifest: &manifest,
            copy: CopyLabel { pool: copy.pool.to_string(), number: copy.number },
        })
    }

    fn tell(&self, news: News) {
        // The listener is gone only when the process is ending; the next start finds what is on tape.
        drop(self.news.send(news));
    }
}

/// The packs on the volume when it was mounted, by name: start block and bytes.
fn packs_there(mounted: &Mounted<Appending>) -> BTreeMap<String, (u64, u64)> {
    mounted.packs().into_iter().map(|pack| (pack.id, (pack.start_block, pack.bytes))).collect()
}

/// Where the pack lies on this volume already: a process died between the tape's commit and the catalog's.
fn already_there(there: &BTreeMap<String, (u64, u64)>, pack: &Pack) -> Option<PackWritten> {
    let (start_block, bytes) = *there.get(&pack.id.to_string())?;
    let blocks = bytes.div_ceil(volume::ltfs::BLOCK_BYTES);
    (bytes == pack.bytes).then_some(PackWritten { start_block, blocks })
}

fn committed_entry(pack: &Pack, written: PackWritten) -> Entry {
    Entry::PackCommitted {
        pack: pack.id.to_string(),
        start_block: written.start_block,
        bytes: pack.bytes,
        digest: blake3::Hash::from_bytes(pack.digest).to_hex().to_string(),
    }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;
    use model::Timestamp;

    fn outgoing(number: u128, bytes: u64) -> Outgoing {
        let (id, pool) = (PackId::new(1, number), PoolName::parse("pool").unwrap());
        let created = Timestamp::from_seconds(0);
        let digest = [0; 32];
        Outgoing {
            pack: Pack {
                id,
                revision: 1,
                pool: pool.clone(),
                bytes,
                digest,
                seal: None,
                members: 1,
                spooled: true,
                created,
            },
            copy: PackCopy {
                pack: id,
                number: 0,
                revision: 1,
                pool,
                volume: None,
                state: PackCopyState::Spooled,
            },
            room: bytes,
        }
    }

    #[test]
    fn a_group_ends_after_so_many_bytes_or_packs() {
        let written = PackWritten { start_block: 5, blocks: 1 };
        let packs_until_full = |bytes: u64| {
            let mut group = Group::default();
            while !group.is_full() {
                group.push(outgoing(group.packs.len() as u128, bytes), written);
            }
            group.packs.len()
        };
        assert_eq!(packs_until_full(1), COMMIT_GROUP_PACKS);
        assert_eq!(packs_until_full(COMMIT_GROUP_BYTES / 2), 2);
        assert_eq!(packs_until_full(2 * COMMIT_GROUP_BYTES), 1);
    }

    #[test]
    fn a_pack_is_there_already_only_with_all_its_bytes() {
        let pack = outgoing(1, 3 * volume::ltfs::BLOCK_BYTES).pack;
        let there = |bytes| BTreeMap::from([(pack.id.to_string(), (9, bytes))]);
        let found = already_there(&there(pack.bytes), &pack);
        assert_eq!(found, Some(PackWritten { start_block: 9, blocks: 3 }));
        assert_eq!(already_there(&there(pack.bytes - 1), &pack), None);
    }
}
