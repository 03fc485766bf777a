//! Full read-backs that an operator asked for: every copy on a volume is compared with its digest, in the order they lie.
//! How far that is stands in the volume's row, so that it goes on after a restart.

use std::sync::Arc;

use library::{Library, Mounted, Reading, WorkEnd};
use model::catalog::{CatalogError, Change};
use model::pack::{Pack, PackCopy, PackCopyStage, PackCopyState};
use model::volume::{Volume, VolumeCheck, VolumeStage};
use model::{PackId, VolumeId};
use tokio::sync::{mpsc, oneshot};

use crate::error::Error;
use crate::house::House;
use crate::orders::Refusal;
use crate::verify::{Verdict, compare};
use crate::{damage, volumes};

const PAGE: usize = 1_000;
/// Packs read between two notes of how far it is.
const NOTE_EVERY: u64 = 16;
/// Tries at a row that others change at the same time.
const TRIES_MAX: u32 = 5;

/// Has everything on a volume read back. Asked again while that goes on it changes nothing.
pub(crate) async fn order(house: &House, id: VolumeId) -> Result<(), Refusal> {
    for _ in 0..TRIES_MAX {
        let mut volume = house.catalog.volume(id).await?.ok_or(Refusal::Unknown(id))?;
        if volume.check.is_some_and(|check| check.finished.is_none()) {
            return Ok(());
        }
        if !is_readable(&volume) {
            let (barcode, stage) = (&volume.barcode, volume.state.stage());
            return Err(Refusal::Unfit(format!(
                "{barcode} cannot be read back: it is {}",
                format!("{stage:?}").to_ascii_lowercase()
            )));
        }
        volume.check =
            Some(VolumeCheck { asked: house.now(), next_block: 0, good: 0, damaged: 0, finished: None });
        match volumes::save(house, &mut volume).await {
            Err(Error::Catalog(CatalogError::Conflict { .. })) => {}
            other => return Ok(other?),
        }
    }
    Err(Error::from(CatalogError::Conflict { row: format!("volume {id}") }).into())
}

fn is_readable(volume: &Volume) -> bool {
    let holds = matches!(
        volume.state.stage(),
        VolumeStage::Filling | VolumeStage::Full | VolumeStage::Reclaiming | VolumeStage::Suspect
    );
    holds && volume.leaving.is_none()
}

/// Carries the read-backs on, one mount each; counts the copies compared.
pub(crate) async fn check_all(house: &Arc<House>) -> Result<u64, Error> {
    let mut compared = 0;
    for volume in house.catalog.volumes().await? {
        let wanted = volume.check.is_some_and(|check| check.finished.is_none())
            && house.libraries.contains_key(&volume.library)
            && !house.pauses.holds(&volume.library);
        if wanted && is_readable(&volume) && !house.resting.rests(volume.id, house.now()) {
            compared += check(house, &volume).await?;
        }
    }
    Ok(compared)
}

/// A copy to be compared.
struct Job {
    pack: Pack,
    copy: PackCopy,
    start_block: u64,
}

async fn check(house: &Arc<House>, volume: &Volume) -> Result<u64, Error> {
    let Some(mut progress) = volume.check else { return Ok(0) };
    let jobs = jobs(house, volume.id, progress.next_block).await?;
    let all = jobs.len() as u64;
    let mut compared = 0_u64;
    if all > 0 {
        let machine = volumes::library_named(house, &volume.library)?.clone();
        let (verdicts, mut heard) = mpsc::unbounded_channel();
        let (done, ended) = oneshot::channel();
        let others = machine.clone();
        let work = Box::new(move |mounted: &mut Mounted<Reading>| read(mounted, &others, jobs, &verdicts));
        machine.read(
            volumes::mount(house, volume)?,
            work,
            Box::new(move |report| drop(done.send(report))),
        )?;
        while let Some((job, verdict)) = heard.recv().await {
            compared += 1;
            progress.next_block = job.start_block + 1;
            match verdict {
                Verdict::Good => {
                    progress.good += 1;
                    stands(house, job.copy).await?;
                }
                Verdict::Bad(why) => {
                    progress.damaged += 1;
                    damage::found(house, job.pack.id, volume.id, &why).await?;
                    volumes::suspect(house, volume.id, format!("pack {}: {why}", job.pack.id)).await?;
                }
            }
            if compared.is_multiple_of(NOTE_EVERY) {
                note(house, volume.id, progress).await?;
            }
        }
        match ended.await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => volumes::read_failed(house, volume.id, &error.into()).await?,
            Err(_) => {
                return Err(Error::Bug { what: "a library job ended without a report".to_owned() });
            }
        }
    }
    if compared == all {
        progress.finished = Some(house.now());
        tracing::info!(volume = %volume.id, good = progress.good, damaged = progress.damaged, "a volume was read back");
    }
    note(house, volume.id, progress).await?;
    Ok(compared)
}

/// The copies from a block on, in the order they lie.
async fn jobs(house: &House, volume: VolumeId, from: u64) -> Result<Vec<Job>, Error> {
    let mut jobs = Vec::new();
    let mut after: Option<PackId> = None;
    loop {
        let page = house.catalog.copies_on(volume, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.pack);
        for copy in page {
            let Some((start_block, _)) = copy.state.place().filter(|(start, _)| *start >= from) else {
                continue;
            };
            if let Some(pack) = house.catalog.pack(copy.pack).await? {
                jobs.push(Job { pack, copy, start_block });
            }
        }
    }
    jobs.sort_by_key(|job| job.start_block);
    Ok(jobs)
}

/// Runs on the drive's thread.
fn read(
    mounted: &mut Mounted<Reading>,
    machine: &Library,
    jobs: Vec<Job>,
    verdicts: &mpsc::UnboundedSender<(Job, Verdict)>,
) -> WorkEnd {
    for job in jobs {
        // Trouble of the drive says nothing of the copy: the rest is read in another mount.
        let Some(verdict) = compare(mounted, &job.pack, job.start_block) else { break };
        // So is what is left when somebody waits for a drive.
        if verdicts.send((job, verdict)).is_err() || mounted.stopping() || machine.queued() > 0 {
            break;
        }
    }
    WorkEnd::Keep
}

/// A copy was found to be what was written, whatever was thought of it.
async fn stands(house: &House, mut copy: PackCopy) -> Result<(), Error> {
    let Some((start_block, blocks)) = copy.state.place() else { return Ok(()) };
    if copy.state.stage() == PackCopyStage::Verified {
        return Ok(());
    }
    copy.advance(PackCopyState::Verified { start_block, blocks });
    house.promotion.want();
    match house.catalog.commit(vec![Change::PackCopy(copy)]).await {
        Err(CatalogError::Conflict { .. }) => Ok(()),
        other => Ok(other?),
    }
}

/// Writes down how far it is, also when somebody changes the row at the same time.
async fn note(house: &House, id: VolumeId, check: VolumeCheck) -> Result<(), Error> {
    for _ in 0..TRIES_MAX {
        let Some(mut volume) = house.catalog.volume(id).await? else { return Ok(()) };
        volume.check = Some(check);
        match volumes::save(house, &mut volume).await {
            Err(Error::Catalog(CatalogError::Conflict { .. })) => {}
            other => return other,
        }
    }
    // Only some copies are read once more.
    Ok(())
}
