//! One step of each stage. Every step may be repeated at any time: it finds its work in the rows of the catalog.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{StreamExt, stream};
use model::archive::ArchiveStage;
use model::{Archive, ArchiveId, PoolName};

use crate::error::{self, Error, chain};
use crate::flip;
use crate::flips::{FLIPS_AT_A_TIME, flip_all, tell};
use crate::house::House;
use crate::plan::{self, Bounds, Candidate, Plan};
use crate::scan::{Scanned, scan};
use crate::settings::Affinity;
use crate::stage::{Bells, Stage};
use crate::{
    buckets, checks, copies, drain, evacuate, forget, lapse, packing, queue, remake, renew, resolve,
    set_aside, vault, volumes,
};

/// Due archives looked at in one round.
const CANDIDATES_MAX: usize = 200_000;
/// Most members of a pack: more would make the thread's books large and a spoiled pack dear.
const MEMBERS_MAX: usize = 20_000;
/// Pools packed at a time.
const POOLS_AT_A_TIME: usize = 4;
/// Packs of a pool built at a time: while one is read back, the next is compressed.
const PACKS_AT_A_TIME: usize = 2;
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
        Stage::Flip => !house.pauses.pauses_migration() && flip_all(house).await?,
        Stage::Resolve => resolve_all(house, bells).await?,
        Stage::Route => {
            ring_if(queue::route(house).await? > 0, bells, Stage::Recall);
            false
        }
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
        Stage::Write | Stage::Verify | Stage::Recall | Stage::Prepare => {
            return Err(Error::Bug { what: format!("the stage {} has mounts, not steps", stage.name()) });
        }
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
    if house.pauses.pauses_migration() {
        return Ok(false);
    }
    let mut due: BTreeMap<PoolName, Vec<Candidate>> = BTreeMap::new();
    let mut groups = Groups::default();
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
            let group = groups.of(house, &archive);
            let candidate =
                Candidate { archive: archive.id, bytes: archive.size, since: archive.since, group };
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

/// Numbers of the groups of archives that are to lie together.
#[derive(Default)]
struct Groups {
    known: BTreeMap<String, u32>,
}

impl Groups {
    fn of(&mut self, house: &House, archive: &Archive) -> u32 {
        let affinity = house.settings.pools.get(&archive.pool).map_or(Affinity::None, |pool| pool.affinity);
        let next = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        *self.known.entry(affinity.group(&archive.bucket, &archive.key)).or_insert(next)
    }
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
    let mut progress = Progress::default();
    let halted = AtomicBool::new(false);
    let goes_on = |_: &Plan| {
        !halted.load(Ordering::Relaxed) && !house.spool.is_closed() && !house.pauses.pauses_migration()
    };
    let plans = plans.into_iter().take_while(goes_on);
    let packs = plans.map(|plan| packing::pack(house, &pool, settings, plan));
    let mut packing = stream::iter(packs).buffer_unordered(PACKS_AT_A_TIME);
    while let Some(result) = packing.next().await {
        // Those begun are finished all the same.
        halted.fetch_or(result.is_err(), Ordering::Relaxed);
        progress.note(result)?;
        bells.ring(Stage::Write);
    }
    match progress.trouble {
        Some(error) => Err(error),
        None => Ok(progress.done),
    }
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

/// Looks after copies and volumes; one's trouble holds up none of the others, the first is told.
async fn lapse_all(house: &Arc<House>) -> Result<(), Error> {
    let mut result = lapse::lapse(house).await.map(drop);
    result = result.and(copies::sweep(house).await);
    result = result.and(volumes::reconcile(house).await.map(drop));
    result = result.and(renew::renew(house).await.map(drop));
    result = result.and(forget::sweep(house).await.map(drop));
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
