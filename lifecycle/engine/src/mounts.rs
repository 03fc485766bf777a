//! The stages that keep drives busy: each looks for mounts worth making, and as many are under way at once as there are
//! drives for them. One that fails holds up none of the others.

use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use model::Timestamp;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Sleep, sleep};

use crate::error::{Error, chain, is_fatal};
use crate::flip::milliseconds;
use crate::house::House;
use crate::settings::PoolSettings;
use crate::stage::{Bells, MOUNTING, Stage};
use crate::worker::{Runner, interval, react};
use crate::{recall, scratch, verify, writing};

/// A mount from its beginning to its end; counts what it did.
pub(crate) type Mounting = BoxFuture<'static, Result<u64, Error>>;

/// The mounts that are to begin, and what kept others from it.
#[derive(Default)]
pub(crate) struct Begun {
    pub(crate) mounts: Vec<Mounting>,
    pub(crate) trouble: Option<Error>,
}

impl Begun {
    /// Takes down what looking for mounts came to; only an error that ends everything is given back.
    pub(crate) fn note(&mut self, found: Result<Vec<Mounting>, Error>) -> Result<(), Error> {
        match found {
            Ok(mounts) => self.mounts.extend(mounts),
            Err(error) if is_fatal(&error) => return Err(error),
            Err(error) => {
                if let Some(earlier) = self.trouble.replace(error) {
                    tracing::warn!(error = chain(&earlier), "one of several troubles");
                }
            }
        }
        Ok(())
    }
}

/// What a stage has to mount now.
async fn begin(stage: Stage, house: &Arc<House>, bells: &Arc<Bells>) -> Result<Begun, Error> {
    match stage {
        Stage::Write => writing::begin(house, bells).await,
        Stage::Verify => verify::begin(house, bells).await,
        Stage::Recall => recall::begin(house).await,
        Stage::Prepare => scratch::begin(house, bells).await,
        _ => Err(Error::Bug { what: format!("the stage {} mounts nothing", stage.name()) }),
    }
}

/// Drives that the library can use, as far as it knows.
pub(crate) fn drives_up(house: &House, library: &str) -> usize {
    let works = |drive: &&library::DriveStatus| {
        matches!(drive.state, library::DriveState::Idle | library::DriveState::Busy)
    };
    house.libraries.get(library).map_or(0, |library| library.drives().iter().filter(works).count())
}

/// Whether so much, the oldest of it there since then, is worth a mount: there is enough of it, or it has waited long
/// enough, or the spool needs the room.
pub(crate) fn is_worth_a_mount(
    house: &House,
    settings: &PoolSettings,
    bytes: u64,
    oldest: Timestamp,
) -> bool {
    let (taken, quota) = house.spool.usage();
    bytes >= settings.mount_bytes
        || house.now() >= oldest.plus_milliseconds(milliseconds(settings.mount_age))
        || taken >= quota / 2
}

/// When a stage looks again by itself.
struct Wake {
    timer: Pin<Box<Sleep>>,
    /// It pauses after an error until then, whatever hints come.
    pauses: bool,
}

// === impl Wake ===

impl Wake {
    fn after(interval: Duration) -> Self {
        Self { timer: Box::pin(sleep(interval)), pauses: false }
    }

    fn pause(interval: Duration, pause: Duration) -> Self {
        Self { timer: Box::pin(sleep(interval.max(pause))), pauses: !pause.is_zero() }
    }
}

/// The stage ends, and everything with it.
struct Over;

impl Runner {
    /// The loop of a stage that mounts. Ends when the mounts under way have ended after `stop` is set; whoever sets it
    /// has closed the turns.
    pub(crate) async fn run_mounts(self, stop: watch::Receiver<bool>, fail: watch::Sender<Option<String>>) {
        let mut running: JoinSet<Result<u64, Error>> = JoinSet::new();
        if self.look_and_mount(stop, &mut running, &fail).await.is_err() {
            return;
        }
        while let Some(ended) = running.join_next().await {
            if self.ended(ended, &fail).is_err() {
                return;
            }
        }
    }

    async fn look_and_mount(
        &self,
        mut stop: watch::Receiver<bool>,
        running: &mut JoinSet<Result<u64, Error>>,
        fail: &watch::Sender<Option<String>>,
    ) -> Result<(), Over> {
        let interval = || interval(self.stage, &self.house);
        let mut wake = Wake::after(interval());
        let mut failed = false;
        loop {
            let bell = self.bells.of(self.stage).notified();
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                Some(ended) = running.join_next(), if !running.is_empty() => match self.ended(ended, fail)? {
                    Ok(progress) if progress == 0 || wake.pauses => continue,
                    Ok(_) => {}
                    Err(pause) => {
                        failed = true;
                        wake = Wake::pause(interval(), pause);
                        continue;
                    }
                },
                () = wake.timer.as_mut() => {}
                () = bell, if !wake.pauses => {}
            }
            let trouble = match begin(self.stage, &self.house, &self.bells).await {
                Ok(Begun { mounts, trouble }) => {
                    mounts.into_iter().for_each(|mount| drop(running.spawn(mount)));
                    if trouble.is_none() && !failed {
                        self.notices.clear(self.stage);
                    }
                    failed = false;
                    trouble
                }
                Err(error) => Some(error),
            };
            wake = match trouble {
                Some(error) => Wake::pause(interval(), self.trouble(&error, fail)?),
                None => Wake::after(interval()),
            };
        }
    }

    /// A mount is over: its drive is free for whoever wants it. What it did, or how long the stage pauses.
    fn ended(
        &self,
        ended: Result<Result<u64, Error>, JoinError>,
        fail: &watch::Sender<Option<String>>,
    ) -> Result<Result<u64, Duration>, Over> {
        MOUNTING.into_iter().filter(|stage| *stage != self.stage).for_each(|stage| self.bells.ring(stage));
        match ended {
            Ok(Ok(progress)) => Ok(Ok(progress)),
            Ok(Err(error)) => self.trouble(&error, fail).map(Err),
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            Err(_) => Err(Over),
        }
    }

    /// Tells of an error; gives how long the stage pauses.
    fn trouble(&self, error: &Error, fail: &watch::Sender<Option<String>>) -> Result<Duration, Over> {
        if is_fatal(error) {
            fail.send_replace(Some(chain(error)));
            return Err(Over);
        }
        self.notices.put(self.stage, error, self.house.now());
        Ok(react(self.stage, error))
    }
}
