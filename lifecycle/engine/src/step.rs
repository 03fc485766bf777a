//! One step of each stage. Every step may be repeated at any time: it finds its work in the rows of the catalog.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use model::archive::ArchiveStage;
use model::{Archive, ArchiveId, PoolName};

use crate::error::{self, Error, chain};
use crate::flip::{self, Flipped};
use crate::house::House;
use crate::plan::{self, Bounds, Candidate};
use crate::scan::{Scanned, scan};
use crate::stage::{Bells, Stage};
use crate::{lapse, packing, promote, queue, recall, resolve, set_aside, verify, volumes, writing};

/// Scratch volumes kept at hand in each library.
const SCRATCH_LOW_WATER: usize = 2;
/// Flips under way at a time: many, because each waits for three commits that it shares with the others.
const FLIPS_AT_A_TIME: usize = 128;
/// Due archives looked at in one round.
const CANDIDATES_MAX: usize = 200_000;
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
        Stage::Recall => recall::recall(house).await?.is_some(),
        Stage::Lapse => {
            lapse::lapse(house).await?;
            volumes::reconcile(house).await?;
            for name in house.libraries.keys().filter(|name| house.settings.labels_blank.contains(*name)) {
                volumes::prepare_scratch(house, name, SCRATCH_LOW_WATER).await?;
            }
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
    let mut packed = 0;
    for (pool, candidates) in due {
        let Some(settings) = house.settings.pools.get(&pool) else {
            return Err(Error::Bug { what: format!("there is no pool named {pool}") });
        };
        let bounds = Bounds {
            bytes_target: settings.pack_bytes_target,
            members_max: volume::pack::limits::MEMBERS_MAX as usize,
            quiet_milliseconds: flip::milliseconds(settings.quiet),
        };
        let plans = plan::plan(&candidates, bounds, house.now(), false);
        plan::check(&plans, &candidates, bounds).map_err(|what| Error::Bug { what })?;
        for plan in plans {
            packed += packing::pack(house, &pool, settings, plan).await?;
            bells.ring(Stage::Write);
        }
    }
    Ok(packed > 0)
}

async fn write_all(house: &Arc<House>, bells: &Bells) -> Result<bool, Error> {
    let mut written = 0;
    let mut trouble = None;
    for (pool, settings) in &house.settings.pools {
        match writing::write(house, pool, settings).await {
            Ok(packs) => written += packs,
            Err(error) if error::is_fatal(&error) => return Err(error),
            // One pool's trouble holds up no other; the last one is told.
            Err(error) => trouble = Some(error),
        }
    }
    ring_if(written > 0, bells, Stage::Verify);
    match trouble {
        Some(error) => Err(error),
        None => Ok(written > 0),
    }
}

async fn verify_all(house: &Arc<House>, bells: &Bells) -> Result<bool, Error> {
    let mut good = 0;
    for volume in verify::waiting(house).await? {
        good += verify::verify(house, volume).await?;
    }
    ring_if(good > 0, bells, Stage::Flip);
    Ok(good > 0)
}

async fn flip_all(house: &Arc<House>) -> Result<bool, Error> {
    promote::promote(house).await?;
    let unsettled =
        each(
            house,
            ArchiveStage::Flipping,
            |house, archive| async move { flip::settle(&house, archive).await },
        );
    let settled = unsettled.await?;
    let now = house.now();
    let grace = house.settings.grace;
    let ready = each(house, ArchiveStage::Taped, move |house, archive| async move {
        if flip::grace_is_over(&archive, now, grace) {
            flip::flip(&house, archive).await
        } else {
            Ok(Flipped::Doubt)
        }
    });
    Ok(settled + ready.await? > 0)
}

/// Does `action` with every archive of a stage, some at a time; counts those that came to an end. One archive's
/// trouble holds up no other.
async fn each<F, R>(house: &Arc<House>, stage: ArchiveStage, action: F) -> Result<u64, Error>
where
    F: Fn(Arc<House>, Archive) -> R,
    R: Future<Output = Result<Flipped, Error>>,
{
    let mut ended = 0;
    let mut after: Option<ArchiveId> = None;
    loop {
        let page = house.catalog.archives_in(stage, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(ended) };
        after = Some(last.id);
        let mut actions = stream::iter(page)
            .map(|archive| {
                let id = archive.id;
                let action = action(house.clone(), archive);
                async move { (id, action.await) }
            })
            .buffer_unordered(FLIPS_AT_A_TIME);
        while let Some((archive, result)) = actions.next().await {
            match result {
                Ok(Flipped::Archived | Flipped::Withdrawn) => ended += 1,
                Ok(Flipped::Doubt) => {}
                Err(error) if error::is_fatal(&error) => return Err(error),
                Err(error) => tracing::debug!(%archive, error = chain(&error), "flip put off"),
            }
        }
    }
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
    let mut looks =
        stream::iter(page).map(|archive| resolve::resolve(house, archive)).buffer_unordered(FLIPS_AT_A_TIME);
    while let Some(result) = looks.next().await {
        match result {
            Ok(resolved) => holds |= resolved == resolve::Resolved::Holds,
            Err(error) if error::is_fatal(&error) => return Err(error),
            Err(error) => tracing::debug!(error = chain(&error), "a second look put off"),
        }
    }
    Ok(holds)
}
