//! The loops that carry the work on, each a stage of a flow: a hint or the poll interval starts a round, and a round
//! goes on while it makes progress. The only place where a [`Remedy`] becomes an action.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use model::archive::ArchiveStage;
use model::fence::{Wake, Work};
use model::{Archive, ArchiveId, PoolName, Remedy};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::error::{Error, chain};
use crate::flip::{self, Flipped};
use crate::house::House;
use crate::plan::{self, Bounds, Candidate};
use crate::scan::{Scanned, scan};
use crate::{lapse, packing, promote, queue, recall, resolve, set_aside, verify, volumes, writing};

/// How often a stage looks for work nobody hinted at.
const POLL: Duration = Duration::from_secs(1);
/// Pause after an error that only time or a person can mend.
const PAUSE: Duration = Duration::from_secs(5);
/// Scratch volumes kept at hand in each library.
const SCRATCH_LOW_WATER: usize = 2;
/// Flips under way at a time.
const FLIPS_AT_A_TIME: usize = 16;
/// Due archives looked at in one round.
const CANDIDATES_MAX: usize = 200_000;
const PAGE: usize = 1_000;

/// The stages, in the order of the flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Scan,
    Pack,
    Write,
    Verify,
    Flip,
    Resolve,
    Route,
    Recall,
    Lapse,
}

const STAGES: [Stage; 9] = [
    Stage::Scan,
    Stage::Pack,
    Stage::Write,
    Stage::Verify,
    Stage::Flip,
    Stage::Resolve,
    Stage::Route,
    Stage::Recall,
    Stage::Lapse,
];

/// One bell per stage.
#[derive(Default)]
pub(crate) struct Bells {
    bells: [Notify; STAGES.len()],
}

impl Bells {
    fn ring(&self, stage: Stage) {
        self.bells[stage as usize].notify_one();
    }
}

impl Wake for Bells {
    fn wake(&self, work: Work) {
        self.ring(match work {
            Work::Touched => Stage::Resolve,
            Work::Due => Stage::Pack,
            Work::Restore => Stage::Route,
            Work::Rules => Stage::Scan,
        });
    }
}

/// Whether a round should be followed by another at once.
enum Progress {
    Some,
    None,
}

impl From<bool> for Progress {
    fn from(some: bool) -> Self {
        if some { Self::Some } else { Self::None }
    }
}

/// The engine at work.
pub struct Engine {
    house: Arc<House>,
    bells: Arc<Bells>,
    stop: watch::Sender<bool>,
    failed: watch::Receiver<Option<String>>,
    tasks: tokio::sync::Mutex<JoinSet<()>>,
}

impl Engine {
    /// Puts right what the end of the last process left behind, closes the keys whose flip is in doubt, and starts
    /// the stages. The edge must not serve before this returns.
    pub async fn start(house: Arc<House>) -> Result<Self, Error> {
        hold_gates(&house).await?;
        let lost = promote::give_up_lost_packs(&house).await?;
        let returned = queue::requeue(&house).await?;
        if lost + returned > 0 {
            tracing::info!(packs_lost = lost, restores_requeued = returned, "recovered from the last run");
        }
        let bells = Arc::new(Bells::default());
        let (stop, stopped) = watch::channel(false);
        let (fail, failed) = watch::channel(None);
        let mut tasks = JoinSet::new();
        for stage in STAGES {
            let (house, bells) = (house.clone(), bells.clone());
            tasks.spawn(run(stage, house, bells, stopped.clone(), fail.clone()));
        }
        Ok(Self { house, bells, stop, failed, tasks: tokio::sync::Mutex::new(tasks) })
    }

    /// Where the edge leaves its hints.
    pub fn wake(&self) -> Arc<dyn Wake> {
        self.bells.clone()
    }

    /// Ends with the reason once the engine can no longer be relied on: the process must then end.
    pub async fn failed(&self) -> String {
        let mut failed = self.failed.clone();
        loop {
            if let Some(reason) = failed.borrow_and_update().clone() {
                return reason;
            }
            if failed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Scans the buckets named (all with rules when none is) at once. With `dry_run` it only counts.
    pub async fn migrate(&self, bucket: Option<&model::BucketName>, dry_run: bool) -> Result<Scanned, Error> {
        let scanned = scan_all(&self.house, bucket, dry_run).await?;
        if !dry_run {
            self.bells.ring(Stage::Pack);
        }
        Ok(scanned)
    }

    /// The house, for those who show it.
    pub fn house(&self) -> &Arc<House> {
        &self.house
    }

    /// Ends every stage after its current step; returns when all have ended.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        let mut tasks = self.tasks.lock().await;
        while tasks.join_next().await.is_some() {}
    }
}

/// Keys in doubt stay closed from the first moment on.
async fn hold_gates(house: &House) -> Result<(), Error> {
    let mut after: Option<ArchiveId> = None;
    loop {
        let page = house.catalog.archives_in(ArchiveStage::Flipping, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.id);
        for archive in page {
            let gate = house.fence.close(&archive.bucket, &archive.key).await?;
            house.gates.keep(archive.id, gate);
        }
    }
}

async fn run(
    stage: Stage,
    house: Arc<House>,
    bells: Arc<Bells>,
    mut stop: watch::Receiver<bool>,
    fail: watch::Sender<Option<String>>,
) {
    let mut pause = Duration::ZERO;
    loop {
        let bell = bells.bells[stage as usize].notified();
        tokio::select! {
            // Ends also when the engine is dropped.
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(interval(stage, &house).max(pause)) => {}
            () = bell, if pause.is_zero() => {}
        }
        pause = Duration::ZERO;
        loop {
            match step(stage, &house, &bells).await {
                Ok(Progress::None) => break,
                Ok(Progress::Some) if *stop.borrow() => return,
                Ok(Progress::Some) => {}
                Err(error) => {
                    pause = react(stage, &error);
                    if is_fatal(&error) {
                        fail.send_replace(Some(chain(&error)));
                        return;
                    }
                    break;
                }
            }
        }
    }
}

fn interval(stage: Stage, house: &House) -> Duration {
    match stage {
        Stage::Scan => house.settings.scan_interval,
        Stage::Lapse => house.settings.lapse_interval,
        _ => POLL,
    }
}

/// The book of record has failed: nothing may be decided any more.
fn is_fatal(error: &Error) -> bool {
    matches!(error, Error::Catalog(model::catalog::CatalogError::Failed { .. }))
}

/// Tells whoever must know, and how long the stage pauses.
fn react(stage: Stage, error: &Error) -> Duration {
    let text = chain(error);
    match error.remedy() {
        Remedy::Retry => Duration::ZERO,
        Remedy::Wait => {
            tracing::debug!(?stage, error = text, "waiting");
            POLL
        }
        Remedy::Refuse(_) | Remedy::Damage => {
            tracing::warn!(?stage, error = text, "a step failed");
            POLL
        }
        Remedy::Operator(code) => {
            tracing::error!(?stage, code, error = text, "somebody must act");
            PAUSE
        }
        Remedy::Bug => {
            tracing::error!(?stage, error = text, "a promise of our own is broken");
            PAUSE
        }
    }
}

async fn step(stage: Stage, house: &Arc<House>, bells: &Bells) -> Result<Progress, Error> {
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
    Ok(progressed.into())
}

fn ring_if(ring: bool, bells: &Bells, stage: Stage) {
    if ring {
        bells.ring(stage);
    }
}

async fn scan_all(house: &House, only: Option<&model::BucketName>, dry_run: bool) -> Result<Scanned, Error> {
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
            Err(error) if is_fatal(&error) => return Err(error),
            // One bucket's trouble holds up no other.
            Err(error) => tracing::warn!(bucket = %bucket.name, error = chain(&error), "scan broke off"),
        }
    }
    Ok(total)
}

async fn pack_all(house: &Arc<House>, bells: &Bells) -> Result<bool, Error> {
    let mut due: std::collections::BTreeMap<PoolName, Vec<Candidate>> = std::collections::BTreeMap::new();
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
    for (pool, settings) in &house.settings.pools {
        written += writing::write(house, pool, settings).await?;
    }
    ring_if(written > 0, bells, Stage::Verify);
    Ok(written > 0)
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
                Err(error) if is_fatal(&error) => return Err(error),
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
            Err(error) if is_fatal(&error) => return Err(error),
            Err(error) => tracing::debug!(error = chain(&error), "a second look put off"),
        }
    }
    Ok(holds)
}
