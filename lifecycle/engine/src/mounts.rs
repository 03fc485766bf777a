//! The stages that keep drives busy: each looks for mounts worth making, and as many are under way at once as there are
//! drives for them. One that fails holds up none of the others.

use std::panic::resume_unwind;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use model::Timestamp;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};

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

impl Runner {
    /// The loop of a stage that mounts. Ends when the mounts under way have ended after `stop` is set; whoever sets it
    /// has closed the turns.
    pub(crate) async fn run_mounts(
        self,
        mut stop: watch::Receiver<bool>,
        fail: watch::Sender<Option<String>>,
    ) {
        let mut running: JoinSet<Result<u64, Error>> = JoinSet::new();
        let mut pause_until = Instant::now();
        let mut failed = false;
        loop {
            let wake = pause_until.max(Instant::now() + interval(self.stage, &self.house));
            let bell = self.bells.of(self.stage).notified();
            let resting = pause_until > Instant::now();
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                Some(ended) = running.join_next(), if !running.is_empty() => {
                    let Some(progress) = self.ended(ended, &mut failed, &mut pause_until, &fail) else { return };
                    if progress == 0 || pause_until > Instant::now() {
                        continue;
                    }
                }
                () = sleep_until(wake) => {}
                () = bell, if !resting => {}
            }
            match begin(self.stage, &self.house, &self.bells).await {
                Ok(Begun { mounts, trouble }) => {
                    mounts.into_iter().for_each(|mount| drop(running.spawn(mount)));
                    match trouble {
                        Some(error) => {
                            let Some(()) = self.trouble(&error, &mut pause_until, &fail) else { return };
                        }
                        None if !failed => self.notices.clear(self.stage),
                        None => {}
                    }
                    failed = false;
                }
                Err(error) => {
                    let Some(()) = self.trouble(&error, &mut pause_until, &fail) else { return };
                }
            }
        }
        while let Some(ended) = running.join_next().await {
            if self.ended(ended, &mut failed, &mut pause_until, &fail).is_none() {
                return;
            }
        }
    }

    /// A mount is over: its drive is free for whoever wants it. What it did; nothing when everything ends.
    fn ended(
        &self,
        ended: Result<Result<u64, Error>, JoinError>,
        failed: &mut bool,
        pause_until: &mut Instant,
        fail: &watch::Sender<Option<String>>,
    ) -> Option<u64> {
        MOUNTING.into_iter().filter(|stage| *stage != self.stage).for_each(|stage| self.bells.ring(stage));
        let result = match ended {
            Ok(result) => result,
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            Err(_) => return None,
        };
        match result {
            Ok(progress) => Some(progress),
            Err(error) => {
                *failed = true;
                self.trouble(&error, pause_until, fail).map(|()| 0)
            }
        }
    }

    /// Tells of an error; nothing when everything ends.
    fn trouble(
        &self,
        error: &Error,
        pause_until: &mut Instant,
        fail: &watch::Sender<Option<String>>,
    ) -> Option<()> {
        if is_fatal(error) {
            fail.send_replace(Some(chain(error)));
            return None;
        }
        self.notices.put(self.stage, error, self.house.now());
        *pause_until = Instant::now() + react(self.stage, error);
        Some(())
    }
}
