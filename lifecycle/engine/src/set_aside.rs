//! Poison goes aside, visibly: an archive that cannot go on is set aside for a while, so that it never holds up those
//! behind it.

use model::archive::ArchiveStage;
use model::catalog::CatalogError;
use model::{ArchiveId, ArchiveState, Timestamp};

use crate::error::{Error, chain};
use crate::flip::milliseconds;
use crate::house::House;

/// Longest time an archive is set aside.
const ASIDE_MILLISECONDS_MAX: i64 = 24 * 60 * 60 * 1000;
const PAGE: usize = 1_000;

/// Marks an archive failed because of `error`, to be due again later; each failure doubles the wait.
pub(crate) async fn set_aside(house: &House, archive: ArchiveId, error: &Error) -> Result<(), Error> {
    let Some(mut archive) = house.catalog.archive(archive).await? else { return Ok(()) };
    if !archive.state.stage().may_become(ArchiveStage::Failed) {
        return Ok(());
    }
    let failures = house.trouble.archive_failed(archive.id);
    let wait = wait_milliseconds(milliseconds(house.settings.retry_after), failures);
    let reason = chain(error);
    tracing::warn!(archive = %archive.id, bucket = %archive.bucket, key = %archive.key, reason, "archive set aside");
    let retry_at = house.now().plus_milliseconds(wait);
    match house.advance(&mut archive, ArchiveState::Failed { reason, retry_at }).await {
        Err(Error::Catalog(CatalogError::Conflict { .. })) => Ok(()),
        other => other,
    }
}

/// How long an archive waits that has failed so often.
pub(crate) fn wait_milliseconds(first: i64, failures: u32) -> i64 {
    let doubled = 1_i64 << failures.saturating_sub(1).min(30);
    first.saturating_mul(doubled).min(ASIDE_MILLISECONDS_MAX)
}

/// Makes failed archives due again whose time has come; counts them.
pub(crate) async fn retry_failed(house: &House, now: Timestamp) -> Result<u64, Error> {
    let mut again = 0;
    let mut after: Option<ArchiveId> = None;
    loop {
        let mut failed = house.catalog.archives_in(ArchiveStage::Failed, after, PAGE).await?;
        let Some(last) = failed.last() else { return Ok(again) };
        after = Some(last.id);
        failed.retain(
            |archive| matches!(archive.state, ArchiveState::Failed { retry_at, .. } if retry_at <= now),
        );
        for archive in &mut failed {
            archive.advance(ArchiveState::Due, now);
        }
        again += house.save_each(failed).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_doubles_the_wait_up_to_a_day() {
        let waits: Vec<i64> = [1, 2, 3, 100].map(|failures| wait_milliseconds(300, failures)).to_vec();
        assert_eq!(waits, [300, 600, 1_200, ASIDE_MILLISECONDS_MAX]);
    }
}
