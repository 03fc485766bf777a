//! A round of flips: first those in doubt, then those whose grace is over, some at a time. One archive's trouble holds
//! up no other, and one bucket's none of another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{StreamExt, stream};
use model::archive::ArchiveStage;
use model::catalog::CatalogError;
use model::{Archive, ArchiveId};

use crate::buckets::{self, Leave};
use crate::error::{self, Error, chain};
use crate::flip::{self, Flipped};
use crate::house::House;
use crate::{promote, standing};

/// Flips under way at a time: many, because each waits for three commits that it shares with the others.
pub(crate) const FLIPS_AT_A_TIME: usize = 128;
const PAGE: usize = 1_000;
/// How often people are told of the same archive's trouble.
const TOLD_EVERY_MILLISECONDS: i64 = 60_000;

/// One round; true when a flip came to an end.
pub(crate) async fn flip_all(house: &Arc<House>) -> Result<bool, Error> {
    if house.promotion.is_due() {
        promote::promote(house).await?;
    }
    house.canary.begin_batch();
    let settle =
        |house: Arc<House>, archive: Archive, _: Leave| async move { flip::settle(&house, archive).await };
    let settled = each(house, ArchiveStage::Flipping, settle).await?;
    if settled.halted.is_some() {
        return settled.end();
    }
    let flip = |house: Arc<House>, archive: Archive, leave: Leave| async move {
        let settings = &house.settings;
        let (now, pause) = (house.now(), flip::milliseconds(settings.retry_after));
        let waits = !leave.migrates
            || !flip::grace_is_over(&archive, now, settings.grace)
            || house.later.rests(archive.id, now)
            || !house.pace.take(settings.flips_per_second, now)
            || !house.refusals.may_begin(&archive.bucket, now, pause);
        // A copy may have been lost since the archive was taped.
        if waits || !standing::is_on_tape(&house, &archive).await? {
            return Ok(Flipped::Waits);
        }
        flip::flip(&house, archive).await
    };
    let ready = each(house, ArchiveStage::Taped, flip).await?;
    Round { ended: settled.ended + ready.ended, ..ready }.end()
}

/// What a round came to.
#[derive(Default)]
struct Round {
    /// Flips that came to an end.
    ended: u64,
    /// Why no flip may be begun, or some may not.
    halted: Option<Error>,
}

impl Round {
    fn end(self) -> Result<bool, Error> {
        match self.halted {
            Some(error) => Err(error),
            None => Ok(self.ended > 0),
        }
    }
}

/// Does `action` with every archive of a stage, some at a time.
async fn each<F, R>(house: &Arc<House>, stage: ArchiveStage, action: F) -> Result<Round, Error>
where
    F: Fn(Arc<House>, Archive, Leave) -> R,
    R: Future<Output = Result<Flipped, Error>>,
{
    let mut round = Round::default();
    let mut after: Option<ArchiveId> = None;
    let halted = AtomicBool::new(false);
    let over = || {
        let spent =
            stage == ArchiveStage::Taped && house.pace.is_spent(house.settings.flips_per_second, house.now());
        spent || house.spool.is_closed() || halted.load(Ordering::Relaxed)
    };
    while !over() {
        let page = house.catalog.archives_in(stage, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        // Who may not begin; and few have to ask the store with a key closed.
        let leaves = buckets::leaves(house, page.iter().map(|archive| &archive.bucket)).await?;
        let mut actions = stream::iter(page)
            // Those under way are seen through.
            .take_while(|_| std::future::ready(!halted.load(Ordering::Relaxed)))
            .filter_map(|archive| {
                let leave = leaves.get(&archive.bucket).copied();
                std::future::ready(leave.map(|leave| (archive, leave)))
            })
            .map(|(archive, leave)| {
                let id = archive.id;
                let action = action(house.clone(), archive, leave);
                async move { (id, action.await) }
            })
            .buffer_unordered(FLIPS_AT_A_TIME);
        while let Some((archive, result)) = actions.next().await {
            match result {
                Ok(Flipped::Archived | Flipped::Withdrawn) => round.ended += 1,
                Ok(Flipped::Doubt | Flipped::Waits) => {}
                Err(error) if error::is_fatal(&error) => return Err(error),
                Err(error @ (Error::Canary | Error::CanaryUnheard { .. })) => {
                    // Looks at flips in doubt go on; nothing new is begun.
                    halted.store(stage == ArchiveStage::Taped, Ordering::Relaxed);
                    round.halted = Some(error);
                }
                // Those whose keys are there go on.
                Err(error @ Error::Key { .. }) => round.halted = Some(error),
                Err(error) => tell(house, archive, "flip put off", &error),
            }
        }
    }
    Ok(round)
}

/// Trouble that goes on is told once in a while; a key in use is none, nor is a row that a client just touched.
pub(crate) fn tell(house: &House, archive: ArchiveId, what: &str, error: &Error) {
    let now = house.now();
    let in_use = matches!(error, Error::Fence(_) | Error::Catalog(CatalogError::Conflict { .. }));
    if in_use || house.told.rests(archive, now) {
        tracing::debug!(%archive, error = chain(error), "{what}");
        return;
    }
    house.told.rest(archive, now.plus_milliseconds(TOLD_EVERY_MILLISECONDS));
    tracing::warn!(%archive, error = chain(error), "{what}");
}
