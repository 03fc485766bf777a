//! The loops that carry the work on, each a stage of a flow: a hint or the poll interval starts a round, and a round
//! goes on while it makes progress. The only place where a [`Remedy`] becomes an action.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use library::Barcode;
use model::fence::Wake;
use model::{PoolName, Remedy, VolumeId};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::arrivals::{self, Arrived};
use crate::buckets::{self, BucketView};
use crate::drain::{self, DrainProgress};
use crate::error::{Error, chain, is_fatal};
use crate::health::Health;
use crate::house::House;
use crate::notice::{Notice, Notices};
use crate::orders::{Emptying, Refusal};
use crate::pauses::Standing;
use crate::pools::PoolView;
use crate::scan::Scanned;
use crate::stage::{Bells, STAGES, Stage};
use crate::step::{scan_all, step};
use crate::tasks::{self, Task};
use crate::vault::{self, Export, ExportOrder};
use crate::{checks, orders, pools, promote, queue, repair, scratch, start, vanished};

/// How often a stage looks for work nobody hinted at.
const POLL: Duration = Duration::from_secs(1);
/// Pause after an error that only time or a person can mend.
const PAUSE: Duration = Duration::from_secs(5);

/// The engine at work.
pub struct Engine {
    house: Arc<House>,
    bells: Arc<Bells>,
    stop: watch::Sender<bool>,
    failed: watch::Receiver<Option<String>>,
    notices: Arc<Notices>,
    tasks: tokio::sync::Mutex<JoinSet<()>>,
}

impl Engine {
    /// Puts right what the end of the last process left behind, closes the keys whose flip is in doubt, and starts
    /// the stages. The edge must not serve before this returns.
    pub async fn start(house: Arc<House>) -> Result<Self, Error> {
        start::close_keys(&house).await?;
        vanished::note(&house).await?;
        let lost = promote::give_up_lost_packs(&house).await?;
        let returned = queue::requeue(&house).await?;
        if lost + returned > 0 {
            tracing::info!(packs_lost = lost, restores_requeued = returned, "recovered from the last run");
        }
        let bells = Arc::new(Bells::default());
        bells.ring(Stage::Prepare);
        let notices = Arc::new(Notices::default());
        let (stop, stopped) = watch::channel(false);
        let (fail, failed) = watch::channel(None);
        let mut tasks = JoinSet::new();
        for stage in STAGES {
            let runner =
                Runner { stage, house: house.clone(), bells: bells.clone(), notices: notices.clone() };
            let (stopped, fail) = (stopped.clone(), fail.clone());
            tasks.spawn(async move {
                // A panic is a broken promise of ours, such as an illegal step of a state: the process must end, not
                // go on without one of its stages.
                let running = async {
                    match stage.mounts() {
                        true => runner.run_mounts(stopped, fail.clone()).await,
                        false => runner.run(stopped, fail.clone()).await,
                    }
                };
                let ended = AssertUnwindSafe(running).catch_unwind().await;
                if ended.is_err() {
                    fail.send_replace(Some(format!("the stage {} panicked", stage.name())));
                }
            });
        }
        Ok(Self { house, bells, stop, failed, notices, tasks: tokio::sync::Mutex::new(tasks) })
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

    /// What keeps stages from their work at this moment.
    pub fn notices(&self) -> Vec<Notice> {
        let mut notices = self.notices.all();
        notices.extend(self.house.pauses.notices());
        notices.extend(self.house.low_pools.notices());
        notices.extend(self.house.buckets.notices());
        notices.extend(self.house.backs.notices());
        notices.extend(self.house.refusals.notices(self.house.now()));
        notices
    }

    /// What people are told of what is short of copies.
    pub fn shortages(&self, health: &Health) -> Vec<Notice> {
        self.house.shortages.notices(health, self.house.now())
    }

    /// Every bucket with what holds for it and what keeps it from being migrated. Asks the store about managed ones
    /// that were not looked at lately.
    pub async fn buckets(&self) -> Result<Vec<BucketView>, Error> {
        buckets::view(&self.house).await
    }

    /// How the pools stand, counted from the rows.
    pub async fn pools(&self) -> Result<Vec<PoolView>, Error> {
        pools::view(&self.house).await
    }

    /// An operator changed what holds for a bucket: the store is asked anew before anything is taken over, and what is
    /// to be done is done soon.
    pub fn look_again(&self, bucket: &model::BucketName) {
        self.house.buckets.forget(bucket);
        for stage in [Stage::Scan, Stage::Pack, Stage::Flip, Stage::Drain] {
            self.bells.ring(stage);
        }
    }

    /// Has these orders stand, instead of those before.
    pub fn stand(&self, standing: Standing) {
        self.house.stand(standing);
        STAGES.into_iter().for_each(|stage| self.bells.ring(stage));
    }

    /// How far the draining of a bucket is, counted from the rows.
    pub async fn drain_progress(&self, bucket: &model::BucketName) -> Result<DrainProgress, Error> {
        drain::progress(&self.house, bucket).await
    }

    /// Orders a volume's cartridge out of its library, and tells how far that is. What keeps it in is refused.
    pub async fn export(&self, volume: model::VolumeId, order: &ExportOrder) -> Result<Export, Error> {
        let export = vault::order(&self.house, volume, order).await?;
        self.bells.ring(Stage::Vault);
        Ok(export)
    }

    /// Takes such an order back, as long as the cartridge is not out.
    pub async fn keep(&self, volume: model::VolumeId) -> Result<Export, Error> {
        vault::cancel(&self.house, volume).await
    }

    /// Takes in what hands put into the mail slots of one library or all, or one cartridge.
    pub async fn import(
        &self,
        library: Option<&str>,
        barcode: Option<&Barcode>,
    ) -> Result<Vec<Arrived>, Error> {
        let arrived = arrivals::import(&self.house, library, barcode).await;
        for stage in [Stage::Recall, Stage::Verify, Stage::Write] {
            self.bells.ring(stage);
        }
        arrived
    }

    /// Makes a volume of a cartridge, set aside for one pool if need be; `overwrite` names the volume on it that may go.
    pub async fn label(
        &self,
        library: &str,
        barcode: &Barcode,
        pool: Option<model::PoolName>,
        overwrite: Option<model::VolumeId>,
    ) -> Result<model::volume::Volume, Error> {
        let volume = scratch::label_one(&self.house, library, barcode, pool, overwrite).await?;
        self.bells.ring(Stage::Write);
        Ok(volume)
    }

    /// What only hands can do.
    pub async fn tasks(&self) -> Result<Vec<Task>, Error> {
        tasks::tasks(&self.house).await
    }

    /// The cartridges a restore of this archive waits for that are out of reach: barcodes, and where they are.
    pub async fn waited_for(&self, archive: model::ArchiveId) -> Result<Vec<(String, String)>, Error> {
        tasks::waited_for(&self.house, archive).await
    }

    /// Begins the copies that a pool is short of, all pools when none is named; gives what is left to be done. It may be
    /// asked for again at any time, and goes on whether or not somebody asks.
    pub async fn repair(&self, pool: Option<&PoolName>) -> Result<Health, Error> {
        if repair::repair(&self.house, pool).await? > 0 {
            self.bells.ring(Stage::Remake);
        }
        Ok(repair::left(&self.house, pool).await?)
    }

    /// Has a volume emptied, to be labelled anew.
    pub async fn reclaim(&self, volume: VolumeId) -> Result<(), Refusal> {
        let done = orders::reclaim(&self.house, volume).await;
        self.bells.ring(Stage::Remake);
        done
    }

    /// Has a volume emptied, never to be used again.
    pub async fn retire(&self, volume: VolumeId) -> Result<(), Refusal> {
        let done = orders::retire(&self.house, volume).await;
        self.bells.ring(Stage::Remake);
        done
    }

    /// The cartridge of a volume is destroyed. With `accept_loss` also when something living is only there.
    pub async fn give_up(&self, volume: VolumeId, accept_loss: bool) -> Result<(), Refusal> {
        orders::give_up(&self.house, volume, accept_loss).await
    }

    /// Has everything on a volume read back and compared; [`model::volume::Volume::check`] tells how far that is.
    pub async fn check(&self, volume: VolumeId) -> Result<(), Refusal> {
        let done = checks::order(&self.house, volume).await;
        self.bells.ring(Stage::Check);
        done
    }

    /// How far the emptying of a volume is, counted from the rows.
    pub async fn emptying(&self, volume: VolumeId) -> Result<Emptying, Error> {
        orders::emptying(&self.house, volume).await
    }

    /// Ends every stage after its current step, and mounts at the next pack; returns when all have ended.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        self.house.turns.close();
        self.house.spool.close();
        let mut tasks = self.tasks.lock().await;
        while tasks.join_next().await.is_some() {}
    }
}

/// One stage's loop.
pub(crate) struct Runner {
    pub(crate) stage: Stage,
    pub(crate) house: Arc<House>,
    pub(crate) bells: Arc<Bells>,
    pub(crate) notices: Arc<Notices>,
}

impl Runner {
    async fn run(self, mut stop: watch::Receiver<bool>, fail: watch::Sender<Option<String>>) {
        let mut pause = Duration::ZERO;
        loop {
            let bell = self.bells.of(self.stage).notified();
            tokio::select! {
                // Ends also when the engine is dropped.
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(interval(self.stage, &self.house).max(pause)) => {}
                () = bell, if pause.is_zero() => {}
            }
            pause = match self.round(&stop).await {
                Ok(()) => Duration::ZERO,
                Err(error) if is_fatal(&error) => {
                    fail.send_replace(Some(chain(&error)));
                    return;
                }
                Err(error) => {
                    self.notices.put(self.stage, &error, self.house.now());
                    react(self.stage, &error)
                }
            };
        }
    }

    /// Steps until there is no progress.
    async fn round(&self, stop: &watch::Receiver<bool>) -> Result<(), Error> {
        while step(self.stage, &self.house, &self.bells).await? {
            if *stop.borrow() {
                break;
            }
        }
        self.notices.clear(self.stage);
        Ok(())
    }
}

pub(crate) fn interval(stage: Stage, house: &House) -> Duration {
    match stage {
        Stage::Scan => house.settings.scan_interval,
        Stage::Lapse | Stage::Prepare => house.settings.lapse_interval,
        _ => POLL,
    }
}

/// Tells whoever must know, and how long the stage pauses.
pub(crate) fn react(stage: Stage, error: &Error) -> Duration {
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
