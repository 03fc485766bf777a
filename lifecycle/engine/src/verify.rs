//! Reads written packs back and compares them with their digests, before hot bytes are freed. Batched per volume.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use library::{Mounted, Reading, WorkEnd};
use model::catalog::{CatalogError, Change};
use model::pack::{Pack, PackCopy, PackCopyStage, PackCopyState};
use model::volume::{Volume, VolumeStage};
use model::{PackId, Timestamp, VolumeId};
use tokio::sync::{mpsc, oneshot};
use volume::ltfs::BLOCK_BYTES;

use crate::error::{Error, chain};
use crate::house::House;
use crate::mounts::{Begun, Mounting, drives_up, is_worth_a_mount};
use crate::stage::{Bells, Stage};
use crate::standing::is_trusted;
use crate::turns::{Purpose, Request, Turn};
use crate::{damage, volumes};

const PAGE: usize = 1_000;

/// Mounts for verification in a row that may fail before a volume is set aside.
const FAILURES_MAX: u32 = 3;

/// The mounts that written packs want now: a volume each, in another drive than the one that writes where there is one.
pub(crate) async fn begin(house: &Arc<House>, bells: &Arc<Bells>) -> Result<Begun, Error> {
    house.turns.begin_round(Purpose::Verify);
    if return_unreadable(house).await? > 0 {
        bells.ring(Stage::Write);
    }
    let mut begun = Begun::default();
    if house.pauses.pauses_migration() {
        return Ok(begun);
    }
    for (volume, copies) in written(house).await? {
        let found = begin_volume(house, bells, volume, &copies).await;
        begun.note(found.map(|mount| mount.into_iter().collect()))?;
    }
    Ok(begun)
}

async fn begin_volume(
    house: &Arc<House>,
    bells: &Arc<Bells>,
    volume: VolumeId,
    copies: &[PackCopy],
) -> Result<Option<Mounting>, Error> {
    let Some(row) = house.catalog.volume(volume).await? else { return Ok(None) };
    // What leaves its library is verified on its way (vault.rs).
    let away = !row.is_in_reach();
    let trusted = copies.iter().all(|copy| is_trusted(house, copy));
    if away || trusted || house.resting.rests(volume, house.now()) || !is_worth_it(house, &row, copies) {
        return Ok(None);
    }
    let Some(turn) = turn(house, &row) else { return Ok(None) };
    let (house, bells) = (house.clone(), bells.clone());
    let mount = async move {
        let good = verify(&house, volume, Arc::new(turn)).await?;
        if good > 0 {
            house.promotion.want();
            bells.ring(Stage::Flip);
        }
        Ok(good)
    };
    Ok(Some(mount.boxed()))
}

/// A drive for this volume.
fn turn(house: &House, volume: &Volume) -> Option<Turn> {
    house.turns.take(Request {
        library: &volume.library,
        drives_up: drives_up(house, &volume.library),
        volume: Some(volume.id),
        purpose: Purpose::Verify,
        urgency: None,
    })
}

/// Verifies what waits on this volume, when there is a drive for it now; counts the packs that are good.
pub(crate) async fn verify_now(house: &Arc<House>, volume: &Volume) -> Result<u64, Error> {
    match turn(house, volume) {
        Some(turn) => verify(house, volume.id, Arc::new(turn)).await,
        None => Ok(0),
    }
}

/// Whether these copies are worth a mount now. What a volume got in many small mounts is read back in one.
fn is_worth_it(house: &House, volume: &Volume, copies: &[PackCopy]) -> bool {
    let settings = volume.pool.as_ref().and_then(|pool| house.settings.pools.get(pool));
    let Some(settings) = settings else { return true };
    let blocks: u64 = copies.iter().filter_map(|copy| copy.state.place()).map(|(_, blocks)| blocks).sum();
    let oldest = copies.iter().map(|copy| copy.pack.milliseconds()).min().unwrap_or_default();
    let oldest = Timestamp::from_milliseconds(i64::try_from(oldest).unwrap_or(i64::MAX));
    is_worth_a_mount(house, settings, blocks.saturating_mul(BLOCK_BYTES), oldest)
}

/// Whether a pack on this volume waits for its verification.
pub(crate) async fn is_awaited(house: &House, volume: VolumeId) -> Result<bool, Error> {
    let written = written(house).await?.remove(&volume).unwrap_or_default();
    Ok(written.iter().any(|copy| !is_trusted(house, copy)))
}

/// Copies that were written to volumes not to be relied on any more return to the spool, to be written elsewhere, as
/// long as their packs are still there. Counts them.
async fn return_unreadable(house: &House) -> Result<u64, Error> {
    let mut returned = 0;
    for (volume, copies) in written(house).await? {
        let row = house.catalog.volume(volume).await?;
        let lost = row.is_none_or(|row| {
            matches!(row.state.stage(), VolumeStage::Suspect | VolumeStage::Offline | VolumeStage::Retired)
        });
        if !lost {
            continue;
        }
        for copy in copies {
            let Some(pack) = house.catalog.pack(copy.pack).await? else { continue };
            if house.spool.has(&pack) {
                tracing::warn!(pack = %pack.id, %volume, "a copy that cannot be verified is written again");
                returned += u64::from(return_to_spool(house, copy).await?);
            }
        }
    }
    Ok(returned)
}

/// Whether it returned: somebody else may have changed the copy meanwhile.
async fn return_to_spool(house: &House, mut copy: PackCopy) -> Result<bool, Error> {
    copy.volume = None;
    copy.advance(PackCopyState::Spooled);
    save(house, copy).await
}

async fn save(house: &House, copy: PackCopy) -> Result<bool, Error> {
    match house.catalog.commit(vec![Change::PackCopy(copy)]).await {
        Ok(()) => Ok(true),
        Err(CatalogError::Conflict { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn written(house: &House) -> Result<BTreeMap<VolumeId, Vec<PackCopy>>, Error> {
    let mut by_volume: BTreeMap<VolumeId, Vec<PackCopy>> = BTreeMap::new();
    let mut after: Option<PackId> = None;
    loop {
        let copies = house.catalog.copies_in(PackCopyStage::Written, after, PAGE).await?;
        let Some(last) = copies.last() else { return Ok(by_volume) };
        after = Some(last.pack);
        for copy in copies {
            if let Some(volume) = copy.volume {
                by_volume.entry(volume).or_default().push(copy);
            }
        }
    }
}

/// Verifies every written pack on one volume in one mount, in block order; counts those that are good. A volume that
/// cannot be mounted rests; it holds up no other.
///
/// A pack that differs returns to the spool to be written elsewhere, and its volume is set aside.
pub(crate) async fn verify(house: &Arc<House>, volume: VolumeId, turn: Arc<Turn>) -> Result<u64, Error> {
    let mut jobs = Vec::new();
    for copy in written(house).await?.remove(&volume).unwrap_or_default() {
        if is_trusted(house, &copy) {
            continue;
        }
        if let (Some(pack), Some((start_block, _))) =
            (house.catalog.pack(copy.pack).await?, copy.state.place())
        {
            jobs.push(Job { pack, copy, start_block });
        }
    }
    if jobs.is_empty() {
        return Ok(0);
    }
    jobs.sort_by_key(|job| job.start_block);
    let Some(row) = house.catalog.volume(volume).await? else { return Ok(0) };
    let machine = volumes::library_named(house, &row.library)?;
    let (verdicts, mut heard) = mpsc::unbounded_channel();
    let (done, ended) = oneshot::channel();
    let yields = turn.flag();
    let work = Box::new(move |mounted: &mut Mounted<Reading>| read_back(mounted, jobs, &yields, &verdicts));
    // The drive works on whatever an error of ours is: the turn is over when the library says so.
    let report = Box::new(move |report| {
        drop(done.send(report));
        drop(turn);
    });
    machine.read(volumes::mount(house, &row)?, work, report)?;
    let mut good = 0;
    while let Some((job, verdict)) = heard.recv().await {
        match verdict {
            Verdict::Good => {
                let Job { mut copy, .. } = job;
                if let Some((start_block, blocks)) = copy.state.place() {
                    copy.advance(PackCopyState::Verified { start_block, blocks });
                    good += u64::from(save(house, copy).await?);
                }
            }
            Verdict::Bad(why) => condemn(house, job, why).await?,
        }
    }
    match ended.await {
        Ok(Ok(_)) => {
            house.trouble.volume_was_read(volume);
            Ok(good)
        }
        Ok(Err(error)) => {
            let of_volume = volumes::concerns_volume(&error);
            let why = chain(&error);
            volumes::read_failed(house, volume, &error.into()).await?;
            if of_volume && house.trouble.volume_failed(volume) >= FAILURES_MAX {
                volumes::suspect(house, volume, format!("it could not be verified: {why}")).await?;
            }
            Ok(good)
        }
        Err(_) => Err(Error::Bug { what: "a library job ended without a report".to_owned() }),
    }
}

struct Job {
    pack: Pack,
    copy: PackCopy,
    start_block: u64,
}

/// What reading a copy back came to.
pub(crate) enum Verdict {
    /// It is what was written.
    Good,
    /// It is not, and how.
    Bad(String),
}

/// Runs on the drive's thread.
fn read_back(
    mounted: &mut Mounted<Reading>,
    jobs: Vec<Job>,
    yields: &AtomicBool,
    verdicts: &mpsc::UnboundedSender<(Job, Verdict)>,
) -> WorkEnd {
    let mut broken = 0;
    for job in jobs {
        if mounted.stopping() || yields.load(Ordering::Relaxed) {
            break;
        }
        // A pack that could not be read is read again later. What is wrong with this place alone should not hide the packs
        // behind it.
        let Some(verdict) = compare(mounted, &job.pack, job.start_block) else {
            broken += 1;
            if broken > 1 {
                break;
            }
            continue;
        };
        if verdicts.send((job, verdict)).is_err() {
            break;
        }
    }
    WorkEnd::Keep
}

/// Compares a pack on tape with its digest. None when the drive or the path failed, which says nothing about the tape.
pub(crate) fn compare(mounted: &mut Mounted<Reading>, pack: &Pack, start_block: u64) -> Option<Verdict> {
    let mut digest = Digesting(blake3::Hasher::new());
    match mounted.read_pack(start_block, 0..pack.bytes, &mut digest) {
        Ok(()) if *digest.0.finalize().as_bytes() == pack.digest => Some(Verdict::Good),
        Ok(()) => Some(Verdict::Bad("the bytes read back have another digest".to_owned())),
        Err(error) if error.remedy() == library::Remedy::Damage => Some(Verdict::Bad(chain(&error))),
        Err(error) => {
            tracing::warn!(pack = %pack.id, error = chain(&error), "reading back broke off");
            None
        }
    }
}

struct Digesting(blake3::Hasher);

impl Write for Digesting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn condemn(house: &House, job: Job, why: String) -> Result<(), Error> {
    let Job { pack, copy, .. } = job;
    let Some(volume) = copy.volume else { return Ok(()) };
    volumes::suspect(house, volume, format!("pack {}: {why}", pack.id)).await?;
    damage::found(house, pack.id, volume, &why).await
}
