//! Writes spooled packs to volumes. One mount for writing per pool at a time; a pack counts as written only after the
//! commit point of a group that holds it.

use std::sync::Arc;

use library::{AppendError, Appending, Committed, Mounted, PackFile, PackWritten, WorkEnd};
use model::archive::ArchiveStage;
use model::catalog::Change;
use model::pack::{Pack, PackCopy, PackCopyStage, PackCopyState};
use model::volume::Volume;
use model::{Archive, ArchiveId, PackId, PoolName, VolumeId};
use tokio::sync::{mpsc, oneshot};
use volume::journal::Entry;

use crate::error::{Error, chain};
use crate::house::House;
use crate::settings::PoolSettings;
use crate::volumes;

/// A commit group ends after this many bytes.
const COMMIT_GROUP_BYTES: u64 = 32_000_000_000;
/// Bytes a pack takes on tape beside itself and its manifest, at most: what the last blocks leave empty.
const BESIDE_PACK_BYTES: u64 = 4 << 20;
/// Deaths written into one journal.
const JOURNAL_DEATHS_MAX: usize = 10_000;
const PAGE: usize = 1_000;

/// Writes the spooled packs of one pool to one volume, as many as fit; counts them.
pub async fn write(house: &Arc<House>, pool: &PoolName, settings: &PoolSettings) -> Result<u64, Error> {
    let packs = spooled(house, pool).await?;
    let Some(first) = packs.first() else { return Ok(0) };
    // A manifest that is not there is found out when the pack is appended.
    let manifest_bytes =
        std::fs::metadata(house.spool.manifest_path(first.pack.id)).map_or(0, |file| file.len());
    let wanted = first.pack.bytes + manifest_bytes + BESIDE_PACK_BYTES;
    let rows = house.catalog.volumes().await?;
    let Some(volume) = volumes::choose(&rows, &settings.library, pool, wanted) else {
        let ours = house.settings.labels_blank.contains(&settings.library);
        let scratch = if ours { volumes::prepare_scratch(house, &settings.library, 1).await? } else { 0 };
        if scratch == 0 {
            return Err(Error::NoVolume { pool: pool.clone(), bytes: wanted });
        }
        // The next round finds it.
        return Ok(0);
    };
    let mut volume = volume.clone();
    volumes::begin_append(house, &mut volume, pool).await?;
    append(house, settings, volume, packs).await
}

/// A pack copy on its way to tape.
#[derive(Clone)]
struct Outgoing {
    pack: Pack,
    copy: PackCopy,
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
            outgoing.push(Outgoing { pack, copy });
        }
    }
}

/// What the drive's thread reports while it works.
enum News {
    /// These packs (and where they lie) are durable, with everything before them.
    Committed(Vec<(Outgoing, PackWritten)>, Committed),
    /// This pack's file on the spool is unusable.
    Unusable(Outgoing, String),
    /// The volume takes no more.
    Full,
    /// The deaths of these archives are on tape.
    Journaled(Vec<ArchiveId>, u64),
}

async fn append(
    house: &Arc<House>,
    settings: &PoolSettings,
    volume: Volume,
    packs: Vec<Outgoing>,
) -> Result<u64, Error> {
    let id = volume.id;
    let machine = volumes::library_named(house, &settings.library)?;
    let mount = volumes::mount(house, &volume)?;
    let deaths = unjournaled_deaths(house).await?;
    let (news, mut heard) = mpsc::unbounded_channel();
    let (done, ended) = oneshot::channel();
    let work = {
        let house = house.clone();
        Box::new(move |mounted: &mut Mounted<Appending>| Appender { house, news }.run(mounted, packs, deaths))
    };
    let report = Box::new(move |report| drop(done.send(report)));
    machine.append(mount, work, report)?;
    let mut written = 0;
    let mut full = false;
    while let Some(news) = heard.recv().await {
        match news {
            News::Committed(packs, committed) => {
                written += packs.len() as u64;
                record_written(house, id, packs, committed).await?;
            }
            News::Unusable(outgoing, why) => unusable(house, outgoing, &why).await?,
            News::Full => full = true,
            News::Journaled(archives, journal) => record_journaled(house, id, archives, journal).await?,
        }
    }
    let report =
        ended.await.map_err(|_| Error::Bug { what: "a library job ended without a report".to_owned() })?;
    volumes::end_append(house, id, report, full).await?;
    Ok(written)
}

/// The work on the drive's thread.
struct Appender {
    house: Arc<House>,
    news: mpsc::UnboundedSender<News>,
}

impl Appender {
    fn run(&self, mounted: &mut Mounted<Appending>, packs: Vec<Outgoing>, deaths: Vec<ArchiveId>) -> WorkEnd {
        match self.append_all(mounted, packs, deaths) {
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
        deaths: Vec<ArchiveId>,
    ) -> Result<WorkEnd, AppendError> {
        let mut group = Vec::new();
        let mut group_bytes = 0;
        let mut end = WorkEnd::Keep;
        for outgoing in packs {
            if mounted.stopping() {
                break;
            }
            if let Some(written) = already_there(mounted, &outgoing.pack) {
                group.push((outgoing, written));
                continue;
            }
            match self.append_one(mounted, &outgoing.pack) {
                Ok(written) => {
                    group_bytes += outgoing.pack.bytes;
                    group.push((outgoing, written));
                }
                Err(AppendError::Full) => {
                    self.tell(News::Full);
                    end = WorkEnd::Unload;
                    break;
                }
                Err(AppendError::Spool { source, .. }) => self.tell(News::Unusable(outgoing, chain(&source))),
                Err(error) => return Err(error),
            }
            if group_bytes >= COMMIT_GROUP_BYTES {
                let committed = mounted.commit()?;
                self.tell(News::Committed(std::mem::take(&mut group), committed));
                group_bytes = 0;
            }
        }
        let journal = mounted.append_journal(&journal(&group, &deaths))?;
        let committed = mounted.commit()?;
        self.tell(News::Committed(group, committed));
        self.tell(News::Journaled(deaths, journal));
        Ok(end)
    }

    fn append_one(&self, mounted: &mut Mounted<Appending>, pack: &Pack) -> Result<PackWritten, AppendError> {
        let manifest = std::fs::read(self.house.spool.manifest_path(pack.id))
            .map_err(|source| AppendError::Spool { id: pack.id.to_string(), source })?;
        mounted.append_pack(&PackFile {
            id: pack.id.to_string(),
            path: self.house.spool.path(pack.id),
            bytes: pack.bytes,
            digest: pack.digest,
            manifest: &manifest,
        })
    }

    fn tell(&self, news: News) {
        // The listener is gone only when the process is ending; the next start finds what is on tape.
        drop(self.news.send(news));
    }
}

/// Where the pack lies on this volume already: a process died between the tape's commit and the catalog's.
fn already_there(mounted: &Mounted<Appending>, pack: &Pack) -> Option<PackWritten> {
    let name = pack.id.to_string();
    let found =
        mounted.packs().into_iter().find(|on_tape| on_tape.id == name && on_tape.bytes == pack.bytes)?;
    let blocks = found.bytes.div_ceil(volume::ltfs::BLOCK_BYTES);
    Some(PackWritten { start_block: found.start_block, blocks })
}

fn journal(packs: &[(Outgoing, PackWritten)], deaths: &[ArchiveId]) -> Vec<Entry> {
    let committed = packs.iter().map(|(outgoing, written)| Entry::PackCommitted {
        pack: outgoing.pack.id.to_string(),
        start_block: written.start_block,
        bytes: outgoing.pack.bytes,
        digest: blake3::Hash::from_bytes(outgoing.pack.digest).to_hex().to_string(),
    });
    let dead = deaths.iter().map(|archive| Entry::ArchiveDead { archive: archive.to_string() });
    committed.chain(dead).collect()
}

async fn record_written(
    house: &House,
    volume: VolumeId,
    packs: Vec<(Outgoing, PackWritten)>,
    committed: Committed,
) -> Result<(), Error> {
    let Some(mut row) = house.catalog.volume(volume).await? else {
        return Err(Error::Bug { what: format!("volume {volume} is not in the catalog") });
    };
    row.generation = committed.generation;
    row.end_of_data_block = committed.eod_block;
    row.remaining_bytes = committed.remaining_bytes;
    let mut changes = vec![Change::Volume(row)];
    for (Outgoing { mut copy, .. }, written) in packs {
        copy.volume = Some(volume);
        copy.advance(PackCopyState::Written { start_block: written.start_block, blocks: written.blocks });
        changes.push(Change::PackCopy(copy));
    }
    Ok(house.catalog.commit(changes).await?)
}

async fn record_journaled(
    house: &House,
    volume: VolumeId,
    archives: Vec<ArchiveId>,
    journal: u64,
) -> Result<(), Error> {
    let Some(mut row) = house.catalog.volume(volume).await? else {
        return Err(Error::Bug { what: format!("volume {volume} is not in the catalog") });
    };
    row.journal = journal;
    house.catalog.commit(vec![Change::Volume(row)]).await?;
    for id in archives {
        let mut archive = house.archive(id).await?;
        let next = Archive { death_journaled: true, ..archive.clone() };
        house.save(&mut archive, next).await?;
    }
    Ok(())
}

/// History whose bytes are on tape and whose end no journal tells yet.
async fn unjournaled_deaths(house: &House) -> Result<Vec<ArchiveId>, Error> {
    let mut deaths = Vec::new();
    for stage in [ArchiveStage::Dead, ArchiveStage::Withdrawn] {
        let mut after = None;
        while deaths.len() < JOURNAL_DEATHS_MAX {
            let page = house.catalog.archives_in(stage, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            deaths.extend(page.iter().filter(|a| !a.death_journaled && !a.extents.is_empty()).map(|a| a.id));
        }
    }
    deaths.truncate(JOURNAL_DEATHS_MAX);
    Ok(deaths)
}

/// A pack whose file is not what it should be is lost; the objects in it are packed again from their hot bytes.
async fn unusable(house: &House, outgoing: Outgoing, why: &str) -> Result<(), Error> {
    tracing::error!(code = "EN-0104", pack = %outgoing.pack.id, why, "a spooled pack is unusable and is built again");
    crate::promote::pack_lost(house, outgoing.pack.id).await
}
