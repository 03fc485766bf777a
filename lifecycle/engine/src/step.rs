//! One step of each stage. Every step may be repeated at any time: it finds its work in the rows of the catalog.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use model::archive::ArchiveStage;
use model::{Archive, ArchiveId, PoolName};

use crate::error::{self, Error, chain};
use crate::flip;
use crate::flips::{FLIPS_AT_A_TIME, flip_all, tell};
use crate::house::House;
use crate::plan::{self, Bounds, Candidate};
use crate::scan::{Scanned, scan};
use crate::stage::{Bells, Stage};
use crate::{
    buckets, checks, copies, drain, evacuate, forget, lapse, packing, queue, recall, remake, renew, resolve,
    scratch, set_aside, vault, verify, volumes, writing,
};

/// Scratch volumes kept at hand in each library.
const SCRATCH_LOW_WATER: usize = 2;
/// Due archives looked at in one round.
const CANDIDATES_MAX: usize = 200_000;
/// Most members of a pack: more would make the thread's books large and a spoiled pack dear.
const MEMBERS_MAX: usize = 20_000;
/// Pools packed at a time.
const POOLS_AT_A_TIME: usize = 4;
const PAGE: usize = 1_000;

/// One step of a stage; true when it made progress and should be followed by another at once.
pub(crate) async fn step(stage: Stage, house: &Arc<House>, bells: &Bells) -> Result<bool, Error> {
    let progressed = match stage {
        Stage::Scan => {
            let again = set_aside::retry_failed(house, house.now()).await?;
            let scanned = scan_all(house, None, false).await?;
            ring_if(scanned.due + again > 0, bells, Stage::Pack);
            ring_if(scanned.expired > 0, bells, Stage::Resolve);
            false
        }
        Stage::Pack => pack_all(house, bells).await?,
        Stage::Write => write_all(house, bells).await?,
        Stage::Verify => verify_all(house, bells).await?,
        Stage::Flip => flip_all(house).await?,
        Stage::Resolve => resolve_all(house, bells).await?,
        Stage::Route => {
            ring_if(queue::route(house).await? > 0, bells, Stage::Recall);
            false
        }
        Stage::Recall => recall::recall(house).await?.is_some_and(|progress| progress > 0),
        Stage::Lapse => {
            lapse_all(house).await?;
            false
        }
        Stage::Drain => {
            let (done, asked) = drain::drain(house).await?;
            ring_if(asked > 0, bells, Stage::Route);
            done > 0
        }
        Stage::Vault => {
            let steps = vault::carry_out(house).await?;
            ring_if(steps > 0, bells, Stage::Flip);
            steps > 0
        }
        Stage::Remake => {
            let emptied = evacuate::evacuate(house).await?;
            let made = remake::remake(house).await?;
            ring_if(made > 0, bells, Stage::Write);
            emptied + made > 0
        }
        Stage::Check => checks::check_all(house).await? > 0,
    };
    Ok(progressed)
}

fn ring_if(ring: bool, bells: &Bells, stage: Stage) {
    if ring {
        bells.ring(stage);
    }
}

/// Scans every bucket with rules, or the one named.
pub(crate) async fn scan_all(
    house: &House,
    only: Option<&model::BucketName>,
    dry_run: bool,
) -> Result<Scanned, Error> {
    let mut total = Scanned::default();
    let known = house.catalog.buckets().await?;
    house.buckets.retain(&known);
    for bucket in known {
        if only.is_some_and(|only| *only != bucket.name) || bucket.lifecycle.is_none() {
            continue;
        }
        match scan(house, &bucket.name, dry_run).await {
            Ok(scanned) => {
                total.listed += scanned.listed;
                total.due += scanned.due;
                total.expired += scanned.expired;
                total.skipped += scanned.skipped;
            }
            Err(error) if error::is_fatal(&error) => return Err(error),
            // One bucket's trouble holds up no other.
            Err(error) => tracing::warn!(bucket = %bucket.name, error = chain(&error), "scan broke off"),
        }
    }
    Ok(total)
}

async fn pack_all(house: &Arc<House>, bells: &Bells) -> Result<bool, Error> {
    let mut due: BTreeMap<PoolName, Vec<Candidate>> = BTreeMap::new();
    let mut after: Option<ArchiveId> = None;
    let mut seen = 0;
    while seen < CANDIDATES_MAX {
        let page = house.catalog.archives_in(ArchiveStage::Due, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        seen += page.len();
        let leaves = buckets::leaves(house, page.iter().map(|archive| &archive.bucket)).await?;
        let goes = |archive: &Archive| {
            !archive.touched && leaves.get(&archive.bucket).is_some_and(|leave| leave.migrates)
        };
        for archive in page.into_iter().filter(goes) {
            let candidate = Candidate { archive: archive.id, bytes: archive.size, since: archive.since };
            due.entry(archive.pool).or_default().push(candidate);
        }
    }
    let pools = due.into_iter().map(|(pool, candidates)| pack_pool(house, bells, pool, candidates));
    let mut packing = stream::iter(pools).buffer_unordered(POOLS_AT_A_TIME);
    let mut progress = Progress::default();
    while let Some(result) = packing.next().await {
        progress.note(result)?;
    }
    progress.end()
}

/// Packs what is due for one pool, as far as its plans are ripe.
async fn pack_pool(
    house: &Arc<House>,
    bells: &Bells,
    pool: PoolName,
    candidates: Vec<Candidate>,
) -> Result<u64, Error> {
    let Some(settings) = house.settings.pools.get(&pool) else {
        return Err(Error::Bug { what: format!("there is no pool named {pool}") });
    };
    let bounds = Bounds {
        bytes_target: settings.pack_bytes_target,
        members_max: MEMBERS_MAX,
        quiet_milliseconds: flip::milliseconds(settings.quiet),
    };
    let plans = plan::plan(&candidates, bounds, house.now(), false);
    plan::check(&plans, &candidates, bounds).map_err(|what| Error::Bug { what })?;
    let mut packed = 0;
    for plan in plans {
        packed += packing::pack(house, &pool, settings, plan).await?;
        bells.ring(Stage::Write);
        if house.spool.is_closed() {
            break;
        }
    }
    Ok(packed)
}

/// What several pieces of work came to: one's trouble holds up no other, and the last one is told.
#[derive(Default)]
struct Progress {
    done: u64,
    trouble: Option<Error>,
}

impl Progress {
    /// Takes down one piece of work; only an error that ends everything is given back.
    fn note(&mut self, result: Result<u64, Error>) -> Result<(), Error> {
        match result {
            Ok(done) => self.done += done,
            Err(error) if error::is_fatal(&error) => return Err(error),
            Err(error) => {
                if let Some(earlier) = self.trouble.replace(error) {
                    tracing::warn!(error = chain(&earlier), "one of several troubles");
                }
            }
        }
        Ok(())
    }

    /// Whether there was progress; the trouble otherwise.
    fn end(self) -> Result<bool, Error> {
        match self.trouble {
            Some(error) => Err(error),
            None => Ok(self.done > 0),
        }
    }
}

async fn write_all(house: &Arc<House>, bells: &Bells) -> Result<bool, Error> {
    let mut progress = Progress::default();
    for (pool, settings) in &house.settings.pools {
        progress.note(writing::write(house, pool, settings).await)?;
    }
    for (pool, settings) in &house.settings.pools {
        progress.note(writing::write_news(house, pool, settings).await)?;
    }
    if progress.done > 0 {
        // Where nothing is read back, what is written is on tape.
        house.promotion.want();
        bells.ring(Stage::Flip);
        bells.ring(Stage::Verify);
    }
    progress.end()
}

async fn verify_all(house: &Arc<House>, bells: &Bells) -> Result<bool, Error> {
    let returned = verify::return_unreadable(house).await?;
    ring_if(returned > 0, bells, Stage::Write);
    let mut progress = Progress::default();
    for volume in verify::waiting(house).await? {
        progress.note(verify::verify(house, volume).await)?;
    }
    if progress.done > 0 {
        house.promotion.want();
        bells.ring(Stage::Flip);
    }
    progress.end()
}

/// Looks after copies, volumes and scratch cartridges; one's trouble holds up none of the others, the first is told.
async fn lapse_all(house: &Arc<House>) -> Result<(), Error> {
    let mut result = lapse::lapse(house).await.map(drop);
    result = result.and(copies::sweep(house).await);
    result = result.and(volumes::reconcile(house).await.map(drop));
    result = result.and(renew::renew(house).await.map(drop));
    result = result.and(forget::sweep(house).await.map(drop));
    for name in house.libraries.keys().filter(|name| house.settings.labels_blank.contains(*name)) {
        result = result.and(scratch::prepare_scratch(house, name, SCRATCH_LOW_WATER).await.map(drop));
    }
    result
}

async fn resolve_all(house: &Arc<House>, bells: &Bells) -> Result<bool, Error> {
    let mut due = false;
    let mut after: Option<ArchiveId> = None;
    loop {
        let page = house.catalog.archives_touched(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        due |= resolve_page(house, page).await?;
    }
    after = None;
    loop {
        let page = house.catalog.archives_in(ArchiveStage::Declared, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        due |= resolve_page(house, page).await?;
    }
    ring_if(due, bells, Stage::Pack);
    Ok(false)
}

async fn resolve_page(house: &Arc<House>, page: Vec<Archive>) -> Result<bool, Error> {
    let mut holds = false;
    let mut looks = stream::iter(page)
        .map(|archive| {
            let id = archive.id;
            async move { (id, resolve::resolve(house, archive).await) }
        })
        .buffer_unordered(FLIPS_AT_A_TIME);
    while let Some((archive, result)) = looks.next().await {
        match result {
            Ok(resolved) => holds |= resolved == resolve::Resolved::Holds,
            Err(error) if error::is_fatal(&error) => return Err(error),
            Err(error) => tell(house, archive, "a second look put off", &error),
        }
    }
    Ok(holds)
}
