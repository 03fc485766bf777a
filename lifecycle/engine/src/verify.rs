//! Reads written packs back and compares them with their digests, before hot bytes are freed. Batched per volume.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

use library::{Mounted, Reading, WorkEnd};
use model::catalog::Change;
use model::pack::{Pack, PackCopy, PackCopyStage, PackCopyState};
use model::{PackId, VolumeId};
use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, chain};
use crate::house::House;
use crate::volumes;

const PAGE: usize = 1_000;

/// Volumes with packs that wait for their verification.
pub async fn waiting(house: &House) -> Result<Vec<VolumeId>, Error> {
    let volumes = written(house).await?.into_keys();
    Ok(volumes.filter(|volume| !house.resting.rests(*volume, house.now())).collect())
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
pub async fn verify(house: &Arc<House>, volume: VolumeId) -> Result<u64, Error> {
    let mut jobs = Vec::new();
    for copy in written(house).await?.remove(&volume).unwrap_or_default() {
        if let (Some(pack), Some((start_block, _))) =
            (house.catalog.pack(copy.pack).await?, copy.state.place())
        {
            jobs.push(Job { pack, copy, start_block });
        }
    }
    jobs.sort_by_key(|job| job.start_block);
    let Some(row) = house.catalog.volume(volume).await? else { return Ok(0) };
    let machine = volumes::library_named(house, &row.library)?;
    let (verdicts, mut heard) = mpsc::unbounded_channel();
    let (done, ended) = oneshot::channel();
    let work = Box::new(move |mounted: &mut Mounted<Reading>| read_back(mounted, jobs, &verdicts));
    machine.read(volumes::mount(house, &row)?, work, Box::new(move |report| drop(done.send(report))))?;
    let mut good = 0;
    while let Some((job, verdict)) = heard.recv().await {
        match verdict {
            Verdict::Good => {
                good += 1;
                let Job { mut copy, .. } = job;
                if let Some((start_block, blocks)) = copy.state.place() {
                    copy.advance(PackCopyState::Verified { start_block, blocks });
                    house.catalog.commit(vec![Change::PackCopy(copy)]).await?;
                }
            }
            Verdict::Bad(why) => condemn(house, job, why).await?,
        }
    }
    match ended.await {
        Ok(Ok(_)) => Ok(good),
        Ok(Err(error)) => {
            volumes::read_failed(house, volume, &error.into()).await?;
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

enum Verdict {
    Good,
    Bad(String),
}

/// Runs on the drive's thread.
fn read_back(
    mounted: &mut Mounted<Reading>,
    jobs: Vec<Job>,
    verdicts: &mpsc::UnboundedSender<(Job, Verdict)>,
) -> WorkEnd {
    for job in jobs {
        if mounted.stopping() {
            break;
        }
        let mut digest = Digesting(blake3::Hasher::new());
        let verdict = match mounted.read_pack(job.start_block, 0..job.pack.bytes, &mut digest) {
            Ok(()) if *digest.0.finalize().as_bytes() == job.pack.digest => Verdict::Good,
            Ok(()) => Verdict::Bad("the bytes read back have another digest".to_owned()),
            Err(error) => match error.remedy() {
                library::Remedy::Damage => Verdict::Bad(chain(&error)),
                // The drive or the path failed, which says nothing about the tape: the pack is read again later.
                _ => {
                    tracing::warn!(pack = %job.pack.id, error = chain(&error), "verification broke off");
                    break;
                }
            },
        };
        if verdicts.send((job, verdict)).is_err() {
            break;
        }
    }
    WorkEnd::Keep
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
    let Job { pack, mut copy, .. } = job;
    if let Some(volume) = copy.volume {
        volumes::suspect(house, volume, format!("pack {}: {why}", pack.id)).await?;
    }
    copy.volume = None;
    copy.advance(PackCopyState::Spooled);
    Ok(house.catalog.commit(vec![Change::PackCopy(copy)]).await?)
}
