//! Poison goes aside, visibly: an archive that cannot go on is set aside for a while, so that it never holds up those
//! behind it.

use model::archive::ArchiveStage;
use model::catalog::CatalogError;
use model::{Archive, ArchiveId, ArchiveState, Timestamp};

use crate::error::{Error, chain};
use crate::flip::milliseconds;
use crate::house::House;

/// Longest time an archive is set aside.
const ASIDE_MILLISECONDS_MAX: i64 = 24 * 60 * 60 * 1000;
const PAGE: usize = 1_000;

/// Marks `archive` failed because of `error`, to be due again later; each failure doubles the wait.
pub(crate) async fn set_aside(house: &House, archive: Archive, error: &Error) -> Result<(), Error> {
    // The caller's row may be half changed; the one in the catalog counts.
    let mut archive = house.archive(archive.id).await?;
    if !archive.state.stage().may_become(ArchiveStage::Failed) {
        return Ok(());
    }
    // It waits as long again as it has lived: a first failure is tried soon, a stubborn one less and less often.
    let age = (house.now().milliseconds() - archive.created.milliseconds()).max(0);
    let wait = milliseconds(house.settings.retry_after).max(age).min(ASIDE_MILLISECONDS_MAX);
    let reason = chain(error);
    tracing::warn!(archive = %archive.id, bucket = %archive.bucket, key = %archive.key, reason, "archive set aside");
    let retry_at = house.now().plus_milliseconds(wait);
    match house.advance(&mut archive, ArchiveState::Failed { reason, retry_at }).await {
        Err(Error::Catalog(CatalogError::Conflict { .. })) => Ok(()),
        other => other,
    }
}

/// Makes failed archives due again whose time has come; counts them.
pub(crate) async fn retry_failed(house: &House, now: Timestamp) -> Result<u64, Error> {
    let mut again = 0;
    let mut after: Option<ArchiveId> = None;
    loop {
        let failed = house.catalog.archives_in(ArchiveStage::Failed, after, PAGE).await?;
        let Some(last) = failed.last() else { return Ok(again) };
        after = Some(last.id);
        for mut archive in failed {
            if matches!(archive.state, ArchiveState::Failed { retry_at, .. } if retry_at <= now) {
                house.advance(&mut archive, ArchiveState::Due).await?;
                again += 1;
            }
        }
    }
}
