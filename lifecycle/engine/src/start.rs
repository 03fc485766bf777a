//! What a message of the last process may still change is closed to clients before anything is served.

use std::collections::BTreeMap;
use std::time::Duration;

use model::archive::ArchiveStage;
use model::bucket::Mode;
use model::{Archive, ArchiveId, BucketName, ObjectKey};

use crate::bring_back::is_wanted;
use crate::error::Error;
use crate::flip;
use crate::house::House;
use crate::wait::{Wait, hold};

const PAGE: usize = 1_000;

/// Why a key is closed.
#[derive(Clone, Copy)]
struct Claim {
    /// A flip in doubt, which is looked at before the time is over; none for what is brought back.
    flip: Option<ArchiveId>,
    /// How long a message may still arrive.
    wait: Duration,
}

type Claims = BTreeMap<(BucketName, ObjectKey), Vec<Claim>>;

/// Closes each key once, for all its rows.
pub(crate) async fn close_keys(house: &House) -> Result<(), Error> {
    let mut claims = Claims::new();
    claim_flips(house, &mut claims).await?;
    claim_backs(house, &mut claims).await?;
    for ((bucket, key), claims) in claims {
        let gate = house.fence.close(&bucket, &key).await?;
        match claims.as_slice() {
            [Claim { flip: Some(archive), wait }] => house.gates.keep(*archive, gate, Wait::of(*wait)),
            // Which of them has a message under way is not known: evidence of one says nothing of the others.
            several => hold(gate, several.iter().map(|claim| claim.wait).max().unwrap_or_default()),
        }
    }
    Ok(())
}

/// Flips that were not over.
async fn claim_flips(house: &House, claims: &mut Claims) -> Result<(), Error> {
    let mut after: Option<ArchiveId> = None;
    loop {
        let page = house.catalog.archives_in(ArchiveStage::Flipping, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.id);
        for archive in page {
            // The connections of the last process ended with it.
            let wait = flip::remaining(house, &archive).min(house.settings.store_deadline);
            let claim = Claim { flip: Some(archive.id), wait };
            claims.entry((archive.bucket, archive.key)).or_default().push(claim);
        }
    }
}

/// Objects that were being brought back.
async fn claim_backs(house: &House, claims: &mut Claims) -> Result<(), Error> {
    let mut after: Option<ArchiveId> = None;
    loop {
        let page = house.catalog.archives_touched(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.id);
        let mine = |row: &Archive| is_wanted(row) && row.state.stage() != ArchiveStage::Flipping;
        for archive in page.into_iter().filter(mine) {
            if house.terms(&archive.bucket).await?.mode == Mode::Draining {
                let claim = Claim { flip: None, wait: house.settings.store_deadline };
                claims.entry((archive.bucket, archive.key)).or_default().push(claim);
            }
        }
    }
}
