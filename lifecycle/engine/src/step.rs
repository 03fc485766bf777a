//! One step of each stage. Every step may be repeated at any time: it finds its work in the rows of the catalog.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{StreamExt, stream};
use model::archive::ArchiveStage;
use model::{Archive, ArchiveId, PoolName};

use crate::error::{self, Error, chain};
use crate::flip::{self, Flipped};
use crate::house::House;
use crate::plan::{self, Bounds, Candidate};
use crate::scan::{Scanned, scan};
use crate::stage::{Bells, Stage};
use crate::{lapse, packing, promote, queue, recall, resolve, scratch, set_aside, verify, volumes, writing};

/// Scratch volumes kept at hand in each library.
const SCRATCH_LOW_WATER: usize = 2;
/// Flips under way at a time: many, because each waits for three commits that it shares with the others.
const FLIPS_AT_A_TIME: usize = 128;
/// Due archives looked at in one round.
const CANDIDATES_MAX: usize = 200_000;
/// Most members of a pack: more would make the thread's books large and a spoiled pack dear.
const MEMBERS_MAX: usize = 20_000;
/// Pools packed at a time.
const POOLS_AT_A_TIME: usize = 4;
const PAGE: usize = 1_000;
/// How often people are told of the same archive's trouble.
const TOLD_EVERY_MILLISECONDS: i64 = 60_000;

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
    for bucket in house.catalog.buckets().await? {
        if only.is_some_and(|only| *only != bucket.name) || bucket.lifecycle.is_none() {
            continue;
        }
        match scan(house, &bucket, dry_run).await {
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
        for archive in page.into_iter().filter(|archive| !archive.touched) {
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
    ring_if(progress.done > 0, bells, Stage::Verify);
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
    result = result.and(volumes::reconcile(house).await.map(drop));
    for name in house.libraries.keys().filter(|name| house.settings.labels_blank.contains(*name)) {
        result = result.and(scratch::prepare_scratch(house, name, SCRATCH_LOW_WATER).await.map(drop));
    }
    result
}

async fn flip_all(house: &Arc<House>) -> Result<bool, Error> {
    if house.promotion.is_due() {
        promote::promote(house).await?;
    }
    let settle = |house: Arc<House>, archive: Archive| async move { flip::settle(&house, archive).await };
    let settled = each(house, ArchiveStage::Flipping, settle).await?;
    let now = house.now();
    let grace = house.settings.grace;
    if settled.refused || house.refusals.full(now) {
        return Ok(settled.ended > 0);
    }
    let ready = each(house, ArchiveStage::Taped, move |house: Arc<House>, archive: Archive| async move {
        if flip::grace_is_over(&archive, now, grace) {
            flip::flip(&house, archive).await
        } else {
            Ok(Flipped::Waits)
        }
    });
    let ready = ready.await?;
    Ok(settled.ended + ready.ended > 0)
}

/// What a round of flips came to.
#[derive(Default)]
struct Round {
    /// Flips that came to an end.
    ended: u64,
    /// The store refused one, which ended the round.
    refused: bool,
}

/// Does `action` with every archive of a stage, some at a time, until the store refuses one. One archive's trouble
/// holds up no other.
async fn each<F, R>(house: &Arc<House>, stage: ArchiveStage, action: F) -> Result<Round, Error>
where
    F: Fn(Arc<House>, Archive) -> R,
    R: Future<Output = Result<Flipped, Error>>,
{
    let mut round = Round::default();
    let mut after: Option<ArchiveId> = None;
    while !round.refused {
        let page = house.catalog.archives_in(stage, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        let refused = AtomicBool::new(false);
        let at_a_time = if house.refusals.careful() { 1 } else { FLIPS_AT_A_TIME };
        let mut actions = stream::iter(page)
            // Those under way are seen through.
            .take_while(|_| std::future::ready(!refused.load(Ordering::Relaxed)))
            .map(|archive| {
                let id = archive.id;
                let action = action(house.clone(), archive);
                async move { (id, action.await) }
            })
            .buffer_unordered(at_a_time);
        while let Some((archive, result)) = actions.next().await {
            match result {
                Ok(Flipped::Archived | Flipped::Withdrawn) => round.ended += 1,
                Ok(Flipped::Refused) => refused.store(true, Ordering::Relaxed),
                Ok(Flipped::Doubt | Flipped::Waits) => {}
                Err(error) if error::is_fatal(&error) => return Err(error),
                Err(error) => tell(house, archive, "flip put off", &error),
            }
        }
        round.refused = refused.load(Ordering::Relaxed);
    }
    Ok(round)
}

/// Trouble that goes on is told once in a while; a key in use is none.
fn tell(house: &House, archive: ArchiveId, what: &str, error: &Error) {
    let now = house.now();
    if matches!(error, Error::Fence(_)) || house.told.rests(archive, now) {
        tracing::debug!(%archive, error = chain(error), "{what}");
        return;
    }
    house.told.rest(archive, now.plus_milliseconds(TOLD_EVERY_MILLISECONDS));
    tracing::warn!(%archive, error = chain(error), "{what}");
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
