//! Buckets that are being drained: what is archived is restored and brought back, some at a time; what is not yet
//! archived is withdrawn, its bytes are where they were. The rows alone say how far it is, so it goes on after a
//! restart where it was.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};
use model::archive::ArchiveStage;
use model::bucket::{self, Mode};
use model::catalog::Change;
use model::clock::job_id;
use model::restore::{Tier, Visible};
use model::{Archive, ArchiveId, ArchiveState, BucketName, Remedy, RestoreJob, RestoreState, Timestamp};

use crate::bring_back::{Brought, How, bring_back, can_come_back, needs_copy};
use crate::error::{Error, chain, is_fatal};
use crate::flip::milliseconds;
use crate::flips::tell;
use crate::house::{House, current};
use crate::notice::Notice;
use crate::rest::Resting;
use crate::stuck::{Stuck, StuckObjects};

/// Objects being written back at a time.
const BACK_AT_A_TIME: usize = 16;
/// Most restores under way or waiting to be written back, and their bytes: what the store must have room for twice.
const AHEAD_MAX: usize = 1_000;
const AHEAD_BYTES_MAX: u64 = 64 << 30;
/// How long a copy lives that is waited for; written back, it goes at once.
const DAYS: u32 = 7;
/// How long an object is left alone that cannot be brought back as things are.
const STUCK_MILLISECONDS: i64 = 5 * 60_000;
const PAGE: usize = 1_000;
/// Stages in which hot bytes are still there, or may be.
const HOT: [ArchiveStage; 5] = [
    ArchiveStage::Due,
    ArchiveStage::Packed,
    ArchiveStage::Taped,
    ArchiveStage::Flipping,
    ArchiveStage::Failed,
];

/// What is known of draining beside the rows. All of it may be lost.
#[derive(Default)]
pub(crate) struct Backs {
    /// Archives that are left alone for a while.
    resting: Resting<ArchiveId>,
    /// Why archives cannot be brought back.
    stuck: StuckObjects,
}

/// How far the draining of a bucket is, counted from the rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DrainProgress {
    /// Archived objects that are still to be brought back.
    pub archived: u64,
    /// Their bytes.
    pub archived_bytes: u64,
    /// Other rows that still speak for keys: being flipped, in doubt, or written straight into a class.
    pub others: u64,
    /// How many of them cannot be brought back as things are.
    pub stuck_count: u64,
    /// Some of those, described.
    pub stuck: Vec<Stuck>,
}

// === impl DrainProgress ===

impl DrainProgress {
    /// Whether nothing of the bucket is left to be brought back.
    pub fn is_over(&self) -> bool {
        self.archived + self.others == 0
    }
}

// === impl Backs ===

impl Backs {
    fn note(&self, archive: &Archive, why: String, now: Timestamp) {
        self.resting.rest(archive.id, now.plus_milliseconds(STUCK_MILLISECONDS));
        self.stuck.note(archive, why, now);
    }

    /// What cannot be brought back, for people.
    pub(crate) fn notices(&self) -> Vec<Notice> {
        self.stuck.notices()
    }
}

/// One round; gives how many objects came back or were withdrawn, and how many restores were asked for.
pub(crate) async fn drain(house: &House) -> Result<(u64, u64), Error> {
    let draining = draining(house).await?;
    house.backs.stuck.retain(|bucket| draining.contains_key(bucket));
    if draining.is_empty() {
        return Ok((0, 0));
    }
    house.canary.begin_batch();
    look_at_uploads(house, &draining).await?;
    let mut done = 0;
    for stage in HOT {
        done += drain_hot(house, &draining, stage).await?;
    }
    let (back, asked) = drain_archived(house, &draining).await?;
    Ok((done + back, asked))
}

/// The buckets being drained that the store could be asked about.
async fn draining(house: &House) -> Result<BTreeMap<BucketName, How>, Error> {
    let mut draining = BTreeMap::new();
    let capabilities = house.store.capabilities();
    for row in house.catalog.buckets().await? {
        let terms = house.settings.buckets.terms(&row.name, Some(&row));
        if terms.mode != Mode::Draining {
            continue;
        }
        let switches = house.fence.switches(&row.name);
        match house.store.survey(&row.name).await {
            Ok(survey) => {
                // Where nobody writes past the gateway the key's gate is enough.
                let alone = capabilities.in_place || terms.exclusive;
                let conditional = !alone && bucket::conditional(&capabilities, survey.versioning);
                draining.insert(row.name, How { versioning: survey.versioning, switches, conditional });
            }
            Err(error) => tracing::warn!(bucket = %row.name, error = chain(&error), "not drained now"),
        }
    }
    Ok(draining)
}

/// Withdraws what is not archived yet; what a client wrote straight into a class loses the reserved header first.
async fn drain_hot(
    house: &House,
    draining: &BTreeMap<BucketName, How>,
    stage: ArchiveStage,
) -> Result<u64, Error> {
    let mut done = 0;
    let mut after: Option<ArchiveId> = None;
    while !house.spool.is_closed() {
        let mut page = house.catalog.archives_in(stage, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        page.retain(|archive| draining.contains_key(&archive.bucket));
        let (direct, mut plain): (Vec<_>, Vec<_>) = page.into_iter().partition(|archive| archive.direct);
        // A flip is left on evidence only, which its own look finds.
        plain.retain(|archive| archive.state.stage() != ArchiveStage::Flipping);
        for archive in &mut plain {
            archive.advance(ArchiveState::Withdrawn, house.now());
        }
        done += house.save_each(plain).await?;
        done += bring_all_back(house, draining, direct).await?;
    }
    Ok(done)
}

/// Uploads straight into a class: as long as the store has one it can be completed, and nobody but its owner can say
/// that it is not wanted. The row of one that is gone is touched, and [`crate::resolve`] looks what became of it.
async fn look_at_uploads(house: &House, draining: &BTreeMap<BucketName, How>) -> Result<(), Error> {
    let mut after: Option<ArchiveId> = None;
    while !house.spool.is_closed() {
        let page = house.catalog.archives_in(ArchiveStage::Declared, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for archive in page.iter().filter(|archive| draining.contains_key(&archive.bucket)) {
            let Some(upload) = &archive.upload else { continue };
            if house.backs.resting.rests(archive.id, house.now()) {
                continue;
            }
            let again = milliseconds(house.settings.retry_after);
            house.backs.resting.rest(archive.id, house.now().plus_milliseconds(again));
            match house.store.has_upload(&current(archive), upload).await {
                Ok(true) => {
                    let why = format!("the upload {upload} into a tape class is open: complete or abort it");
                    house.backs.stuck.note(archive, why, house.now());
                }
                Ok(false) => {
                    house.backs.stuck.remove(archive);
                    if !archive.touched {
                        house.catalog.commit(vec![Change::Touch(archive.id)]).await?;
                    }
                }
                Err(error) => tell(house, archive.id, "an upload not looked at yet", &error.into()),
            }
        }
    }
    Ok(())
}

async fn drain_archived(house: &House, draining: &BTreeMap<BucketName, How>) -> Result<(u64, u64), Error> {
    let (mut back, mut asked) = (0, 0);
    let mut ahead = Ahead::default();
    let mut after: Option<ArchiveId> = None;
    while !house.spool.is_closed() && !ahead.is_full() {
        let mut page = house.catalog.archives_in(ArchiveStage::Archived, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        page.retain(|archive| {
            let rests = house.backs.resting.rests(archive.id, house.now());
            draining.contains_key(&archive.bucket) && !archive.touched && !rests
        });
        let ids: Vec<ArchiveId> = page.iter().map(|archive| archive.id).collect();
        let restores = house.catalog.restores_of_each(&ids).await?;
        let (mut ready, mut wanted) = (Vec::new(), Vec::new());
        for (archive, restore) in page.into_iter().zip(restores) {
            if !needs_copy(&archive) {
                ready.push(archive);
                continue;
            }
            if ahead.is_full() {
                break;
            }
            match restore.as_ref().map_or(Visible::Archived, |job| job.visible(house.now())) {
                Visible::Readable { .. } => {
                    ahead.count(&archive);
                    ready.push(archive);
                }
                Visible::Ongoing => ahead.count(&archive),
                Visible::Archived => {
                    if let Some(RestoreState::Failed { reason }) = restore.map(|job| job.state) {
                        house.backs.note(&archive, format!("its restore failed: {reason}"), house.now());
                    }
                    ahead.count(&archive);
                    wanted.push(archive);
                }
            }
        }
        asked += ask_for_copies(house, draining, wanted, &mut ready, &mut ahead).await?;
        back += bring_all_back(house, draining, ready).await?;
    }
    Ok((back, asked))
}

/// Asks for the restores of those that can come back as things are; the others are `ready`, to be told why not, before
/// a tape is read for them in vain. Counts the restores.
async fn ask_for_copies(
    house: &House,
    draining: &BTreeMap<BucketName, How>,
    wanted: Vec<Archive>,
    ready: &mut Vec<Archive>,
    ahead: &mut Ahead,
) -> Result<u64, Error> {
    let looks = wanted
        .into_iter()
        .filter_map(|archive| draining.get(&archive.bucket).map(|how| (archive, *how)))
        .map(|(archive, how)| async move {
            let comes = can_come_back(house, &archive, how).await;
            (archive, comes)
        });
    let mut looks = stream::iter(looks).buffer_unordered(BACK_AT_A_TIME);
    let mut restores = Vec::new();
    while let Some((archive, comes)) = looks.next().await {
        match comes {
            Ok(true) => {
                restores.push(restore_of(house, &archive));
                continue;
            }
            Ok(false) => {
                ahead.forget(&archive);
                ready.push(archive);
            }
            Err(error) if is_fatal(&error) => return Err(error),
            Err(error) => {
                ahead.forget(&archive);
                tell(house, archive.id, "an object not looked at yet", &error);
            }
        }
    }
    let asked = restores.len() as u64;
    if asked > 0 {
        house.catalog.commit(restores).await?;
    }
    Ok(asked)
}

/// What is under way to be brought back.
#[derive(Default)]
struct Ahead {
    count: usize,
    bytes: u64,
}

impl Ahead {
    fn count(&mut self, archive: &Archive) {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(archive.size);
    }

    fn forget(&mut self, archive: &Archive) {
        self.count -= 1;
        self.bytes = self.bytes.saturating_sub(archive.size);
    }

    fn is_full(&self) -> bool {
        self.count >= AHEAD_MAX || self.bytes >= AHEAD_BYTES_MAX
    }
}

/// A restore like a client's, of no hurry.
fn restore_of(house: &House, archive: &Archive) -> Change {
    Change::Restore(RestoreJob {
        id: job_id(&*house.clock, &*house.entropy),
        revision: 0,
        archive: archive.id,
        bucket: archive.bucket.clone(),
        key: archive.key.clone(),
        tier: Tier::Bulk,
        days: DAYS,
        created: house.now(),
        state: RestoreState::Accepted,
        failures: 0,
    })
}

/// Brings objects back, some at a time; one's trouble holds up no other. Counts those that came back.
async fn bring_all_back(
    house: &House,
    draining: &BTreeMap<BucketName, How>,
    archives: Vec<Archive>,
) -> Result<u64, Error> {
    let mut back = 0;
    let attempts = archives
        .into_iter()
        .filter(|archive| !archive.touched && !house.backs.resting.rests(archive.id, house.now()))
        .filter_map(|archive| draining.get(&archive.bucket).map(|how| (archive, *how)))
        .map(|(archive, how)| async move {
            let ended = bring_back(house, &archive, how).await;
            (archive, ended)
        });
    let mut attempts = stream::iter(attempts).buffer_unordered(BACK_AT_A_TIME);
    while let Some((archive, ended)) = attempts.next().await {
        match ended {
            Ok(Brought::Back) => {
                back += 1;
                house.backs.stuck.remove(&archive);
            }
            Ok(Brought::Waits) => {
                let again = milliseconds(house.settings.retry_after);
                house.backs.resting.rest(archive.id, house.now().plus_milliseconds(again));
            }
            Err(error) if is_fatal(&error) => return Err(error),
            Err(error) => {
                if matches!(error.remedy(), Remedy::Operator(_)) {
                    house.backs.note(&archive, chain(&error), house.now());
                }
                tell(house, archive.id, "an object not brought back yet", &error);
            }
        }
    }
    Ok(back)
}

/// How far a bucket's draining is.
pub(crate) async fn progress(house: &House, bucket: &BucketName) -> Result<DrainProgress, Error> {
    let mut progress = DrainProgress::default();
    let stuck = house.backs.stuck.of(bucket);
    for stage in ArchiveStage::ALL.into_iter().filter(|stage| stage.is_live()) {
        let mut after: Option<ArchiveId> = None;
        loop {
            let page = house.catalog.archives_in(stage, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            for archive in page.iter().filter(|archive| archive.bucket == *bucket) {
                progress.stuck_count += u64::from(stuck.has(archive.id));
                progress.stuck.extend(stuck.described(archive.id).cloned());
                if stage == ArchiveStage::Archived {
                    progress.archived += 1;
                    progress.archived_bytes += archive.size;
                } else {
                    progress.others += 1;
                }
            }
        }
    }
    Ok(progress)
}
