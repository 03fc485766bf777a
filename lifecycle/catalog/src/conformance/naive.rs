//! The port as a reader of its documentation would write it: plain rows, every question a walk over all of them.
//! Random histories are replayed on it and on an adapter; both must say the same after every commit.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::collections::BTreeMap;

use model::archive::ArchiveStage;
use model::catalog::{Bucket, Catalog, Change};
use model::pack::{CopyEnd, Pack, PackCopy, PackCopyStage, PackCopyState};
use model::restore::RestoreStage;
use model::volume::Volume;
use model::{Archive, ArchiveId, ArchiveState, JobId, PackId, RestoreJob, RestoreState, Timestamp, VolumeId};
use proptest::prelude::*;

use super::samples;
use crate::apply::Refusal;
use crate::book::{Book, Store};

const BUCKETS: [&str; 2] = ["photos", "music"];
const KEYS: [&str; 3] = ["a", "a\0", "a\0\u{1}b"];
const SMALL: u64 = 4;

/// A change in terms of small numbers; revisions and the rest of the row follow from the rows at that moment.
#[derive(Clone, Debug)]
pub struct Step {
    kind: u8,
    number: u64,
    stage: u8,
    size: u64,
    packs: Vec<u64>,
    flag: bool,
    stale: bool,
}

/// Commits, each with whether the catalog is opened anew after it.
pub type History = Vec<(Vec<Step>, bool)>;

/// Random histories: mostly legal, never long.
pub fn history() -> impl Strategy<Value = History> {
    let step = (
        0..14_u8,
        0..SMALL,
        0..9_u8,
        0..100_u64,
        prop::collection::vec(0..SMALL, 0..3),
        any::<bool>(),
        prop::bool::weighted(0.05),
    );
    let step = step.prop_map(|(kind, number, stage, size, packs, flag, stale)| Step {
        kind,
        number,
        stage,
        size,
        packs,
        flag,
        stale,
    });
    let commit = (prop::collection::vec(step, 1..5), prop::bool::weighted(0.1));
    prop::collection::vec(commit, 1..14)
}

/// Replays a history on `book`, which `reopen` closes and opens again.
pub async fn replay<S: Store>(mut book: Book<S>, reopen: impl Fn(Book<S>) -> Book<S>, history: &History) {
    let mut rows = Rows::default();
    for (steps, again) in history {
        let (mut draft, mut changes, mut expected) = (rows.clone(), Vec::new(), Ok(()));
        for step in steps {
            let change = draft.change(step);
            changes.push(change.clone());
            expected = expected.and_then(|()| draft.apply(change));
        }
        let answer = match book.store.commit(changes.clone()).await {
            Ok(()) => Ok(()),
            Err(Refusal::Conflict(_)) => Err("conflict"),
            Err(Refusal::Missing(_)) => Err("missing"),
            Err(Refusal::Illegal(_)) => Err("illegal"),
            Err(Refusal::Fault(error)) => panic!("{error}"),
        };
        assert_eq!(answer, expected, "{changes:?} on {rows:?}");
        if expected.is_ok() {
            rows = draft;
        }
        if *again {
            book = reopen(book);
        }
        rows.compare(&book).await;
    }
    rows.compare(&reopen(book)).await;
}

#[derive(Clone, Debug, Default)]
struct Rows {
    archives: BTreeMap<ArchiveId, Archive>,
    packs: BTreeMap<PackId, Pack>,
    copies: BTreeMap<(PackId, u8), PackCopy>,
    volumes: BTreeMap<VolumeId, Volume>,
    restores: BTreeMap<JobId, RestoreJob>,
    buckets: BTreeMap<String, Bucket>,
}

fn cell<T: Copy>(values: &[T], number: u64) -> T {
    values[number as usize % values.len()]
}

fn archive_state(stage: u8) -> ArchiveState {
    match cell(&ArchiveStage::ALL, stage.into()) {
        ArchiveStage::Declared => ArchiveState::Declared,
        ArchiveStage::Due => ArchiveState::Due,
        ArchiveStage::Packed => ArchiveState::Packed,
        ArchiveStage::Taped => ArchiveState::Taped,
        ArchiveStage::Flipping => ArchiveState::Flipping { attempt: 1, deadline: Timestamp::from_seconds(1) },
        ArchiveStage::Archived => ArchiveState::Archived,
        ArchiveStage::Dead => ArchiveState::Dead,
        ArchiveStage::Withdrawn => ArchiveState::Withdrawn,
        ArchiveStage::Failed => {
            ArchiveState::Failed { reason: "because".into(), retry_at: Timestamp::from_seconds(1) }
        }
    }
}

fn restore_state(stage: u8) -> RestoreState {
    match cell(&RestoreStage::ALL, stage.into()) {
        RestoreStage::Accepted => RestoreState::Accepted,
        RestoreStage::Queued => RestoreState::Queued,
        RestoreStage::Reading => RestoreState::Reading,
        RestoreStage::Copied => RestoreState::Copied { until: Timestamp::from_seconds(1) },
        RestoreStage::Lapsed => RestoreState::Lapsed,
        RestoreStage::Failed => RestoreState::Failed { reason: "so".into() },
    }
}

fn copy_state(stage: u8) -> PackCopyState {
    let (start_block, blocks) = (5, 6);
    match cell(&PackCopyStage::ALL, stage.into()) {
        PackCopyStage::Spooled => PackCopyState::Spooled,
        PackCopyStage::Written => PackCopyState::Written { start_block, blocks },
        PackCopyStage::Verified => PackCopyState::Verified { start_block, blocks },
        PackCopyStage::Dead => PackCopyState::Dead { why: CopyEnd::GivenUp },
        PackCopyStage::Wanted => PackCopyState::Wanted,
        PackCopyStage::Damaged => PackCopyState::Damaged { start_block, blocks },
    }
}

fn settle(given: u64, stored: Option<u64>, legal: bool) -> Result<u64, &'static str> {
    match (given == stored.unwrap_or(0), legal) {
        (false, _) => Err("conflict"),
        (true, false) => Err("illegal"),
        (true, true) => Ok(given + 1),
    }
}

impl Rows {
    /// The change a step comes to on these rows. A new row or, once there is one, the next step of it.
    fn change(&self, step: &Step) -> Change {
        let (number, stale) = (step.number, u64::from(step.stale));
        let id = ArchiveId::new(number, 0);
        match step.kind {
            0..=3 => {
                let old = self.archives.get(&id);
                let bucket = cell(&BUCKETS, number);
                let mut row = samples::archive(number, bucket, cell(&KEYS, number / 2), step.size);
                let stages: Vec<_> =
                    (0..9_u8).map(|i| archive_state(step.stage.wrapping_add(i) % 9)).collect();
                let legal =
                    |next: &ArchiveState| old.is_none_or(|old| old.state.stage().may_become(next.stage()));
                let pick =
                    if step.kind == 0 { stages.first() } else { stages.iter().find(|next| legal(next)) };
                row.state = pick.unwrap().clone();
                row.revision = old.map_or(0, |old| old.revision) + stale;
                row.touched = step.flag;
                row.death_journaled = step.size.is_multiple_of(2);
                row.record_changed = step.flag.then(|| Timestamp::from_seconds(10 - number as i64));
                row.extents = step.packs.iter().map(|pack| samples::extent(PackId::new(*pack, 0))).collect();
                Change::Archive(row)
            }
            4 => Change::Touch(id),
            5 => {
                let mut row = samples::pack(number, step.flag);
                row.revision = self.packs.get(&row.id).map_or(0, |old| old.revision) + stale;
                Change::Pack(row)
            }
            6 => {
                let on = Some(u128::from(step.size % 3)).filter(|on| *on > 0);
                let mut row = samples::copy(number, u8::from(step.flag), on, copy_state(step.stage));
                row.revision = self.copies.get(&(row.pack, row.number)).map_or(0, |old| old.revision) + stale;
                Change::PackCopy(row)
            }
            7 => {
                let mut row = samples::volume(number.into());
                row.revision = self.volumes.get(&row.id).map_or(0, |old| old.revision) + stale;
                Change::Volume(row)
            }
            8 => {
                let archive = ArchiveId::new(step.size % 2, 0);
                let mut row = samples::restore(number, archive, restore_state(step.stage));
                let old = self.restores.get(&row.id);
                row.revision = old.map_or(0, |old| old.revision) + stale;
                row.archive = old.map_or(archive, |old| old.archive);
                Change::Restore(row)
            }
            9 => {
                let mut row = samples::bucket(cell(&BUCKETS, number));
                row.revision = self.buckets.get(row.name.as_str()).map_or(0, |old| old.revision) + stale;
                Change::Bucket(row)
            }
            10 => Change::ForgetBucket(samples::bucket_name(cell(&BUCKETS, number))),
            11 => Change::ForgetArchive(id),
            12 => Change::ForgetPack(PackId::new(number, 0)),
            _ => Change::ForgetVolume(VolumeId::from_u128(number.into())),
        }
    }

    fn apply(&mut self, change: Change) -> Result<(), &'static str> {
        match change {
            Change::Archive(mut row) => {
                let old = self.archives.get(&row.id);
                let legal = old.is_none_or(|old| old.state.stage().may_become(row.state.stage()));
                row.revision = settle(row.revision, old.map(|old| old.revision), legal)?;
                if row.revision == 1 {
                    let name = row.bucket.as_str();
                    let bucket = self.buckets.entry(name.to_owned());
                    bucket.or_insert_with(|| samples::bucket(name)).has_archives = true;
                }
                self.archives.insert(row.id, row);
            }
            Change::Touch(id) => {
                if let Some(row) = self.archives.get_mut(&id).filter(|row| row.state.stage().is_live()) {
                    row.touched = true;
                    row.revision += 1;
                }
            }
            Change::Pack(mut row) => {
                row.revision = settle(row.revision, self.packs.get(&row.id).map(|old| old.revision), true)?;
                self.packs.insert(row.id, row);
            }
            Change::PackCopy(mut row) => {
                let old = self.copies.get(&(row.pack, row.number));
                let legal = old.is_none_or(|old| old.state.stage().may_become(row.state.stage()));
                row.revision = settle(row.revision, old.map(|old| old.revision), legal)?;
                self.copies.insert((row.pack, row.number), row);
            }
            Change::Volume(mut row) => {
                row.revision = settle(row.revision, self.volumes.get(&row.id).map(|old| old.revision), true)?;
                self.volumes.insert(row.id, row);
            }
            Change::Restore(mut row) => {
                let old = self.restores.get(&row.id);
                let legal = old.is_none_or(|old| old.state.stage().may_become(row.state.stage()));
                row.revision = settle(row.revision, old.map(|old| old.revision), legal)?;
                self.restores.insert(row.id, row);
            }
            Change::Bucket(mut row) => {
                let old = self.buckets.get(row.name.as_str());
                row.revision = settle(row.revision, old.map(|old| old.revision), true)?;
                row.has_archives |= old.is_some_and(|old| old.has_archives);
                self.buckets.insert(row.name.as_str().to_owned(), row);
            }
            Change::ForgetBucket(name) => {
                let live = |row: &&Archive| row.bucket == name && row.state.stage().is_live();
                let has_live = self.archives.values().any(|row| live(&row));
                match self.buckets.contains_key(name.as_str()) {
                    false => return Err("missing"),
                    true if has_live => return Err("illegal"),
                    true => self.buckets.remove(name.as_str()),
                };
            }
            Change::ForgetArchive(id) => self.forget_archive(id)?,
            Change::ForgetPack(id) => self.forget_pack(id)?,
            Change::ForgetVolume(id) => self.forget_volume(id)?,
        }
        Ok(())
    }

    fn forget_archive(&mut self, id: ArchiveId) -> Result<(), &'static str> {
        let row = self.archives.get(&id).ok_or("missing")?;
        let untaken = matches!(row.state, ArchiveState::Declared | ArchiveState::Due);
        let held = row.extents.iter().any(|extent| self.holds(extent.pack));
        if held || row.state.stage().is_live() && !(untaken && row.extents.is_empty()) {
            return Err("illegal");
        }
        let over =
            |job: &RestoreJob| matches!(job.state.stage(), RestoreStage::Lapsed | RestoreStage::Failed);
        self.restores.retain(|_, job| job.archive != id || !over(job));
        self.archives.remove(&id);
        Ok(())
    }

    fn forget_pack(&mut self, id: PackId) -> Result<(), &'static str> {
        let named = self.archives.values().flat_map(|row| &row.extents).any(|extent| extent.pack == id);
        match self.packs.contains_key(&id) {
            false => return Err("missing"),
            true if named || self.holds(id) => return Err("illegal"),
            true => self.packs.remove(&id),
        };
        self.copies.retain(|(pack, _), _| *pack != id);
        Ok(())
    }

    fn forget_volume(&mut self, id: VolumeId) -> Result<(), &'static str> {
        let counts = |copy: &&PackCopy| copy.volume == Some(id) && copy.state.stage() != PackCopyStage::Dead;
        match self.volumes.contains_key(&id) {
            false => return Err("missing"),
            true if self.copies.values().any(|copy| counts(&copy)) => return Err("illegal"),
            true => self.volumes.remove(&id),
        };
        self.copies.retain(|_, copy| copy.volume != Some(id));
        Ok(())
    }

    fn holds(&self, pack: PackId) -> bool {
        let copies = self.copies.values().filter(|copy| copy.pack == pack);
        self.packs.get(&pack).is_some_and(|pack| pack.spooled)
            || copies.into_iter().any(|copy| copy.state.stage() != PackCopyStage::Dead)
    }

    /// Asks the catalog everything and compares with the rows.
    async fn compare(&self, catalog: &dyn Catalog) {
        let archives = |keep: &dyn Fn(&&Archive) -> bool| -> Vec<Archive> {
            self.archives.values().filter(|row| keep(row)).cloned().collect()
        };
        for stage in ArchiveStage::ALL {
            let expected = archives(&|row| row.state.stage() == stage);
            assert_eq!(catalog.archives_in(stage, None, 100).await.unwrap(), expected);
        }
        for number in 0..SMALL {
            let (id, pack) = (ArchiveId::new(number, 0), PackId::new(number, 0));
            assert_eq!(catalog.archive(id).await.unwrap().as_ref(), self.archives.get(&id));
            let within = archives(&|row| row.extents.iter().any(|extent| extent.pack == pack));
            assert_eq!(catalog.archives_of_pack(pack, None, 100).await.unwrap(), within);
            let alive = within.iter().any(|row| row.state.stage().is_live());
            assert_eq!(catalog.is_alive(pack).await.unwrap(), alive);
            assert_eq!(catalog.pack(pack).await.unwrap().as_ref(), self.packs.get(&pack));
            let copies: Vec<_> = self.copies.values().filter(|copy| copy.pack == pack).cloned().collect();
            assert_eq!(catalog.copies_of(pack).await.unwrap(), copies);
            let latest = self.restores.values().rfind(|job| job.archive == id);
            assert_eq!(catalog.restore_of(id).await.unwrap().as_ref(), latest);
        }
        for bucket in BUCKETS.map(samples::bucket_name) {
            let keys = KEYS.map(samples::object_key);
            let each = catalog.archives_at_each(&bucket, &keys).await.unwrap();
            for (key, found) in keys.iter().zip(each) {
                let here =
                    |row: &&Archive| row.bucket == bucket && row.key == *key && row.state.stage().is_live();
                assert_eq!(found, archives(&here));
            }
            assert_eq!(catalog.bucket(&bucket).await.unwrap().as_ref(), self.buckets.get(bucket.as_str()));
        }
        let touched = archives(&|row| row.touched && row.state.stage().is_live());
        assert_eq!(catalog.archives_touched(None, 100).await.unwrap(), touched);
        let mut untold = archives(&|row| row.untold().is_some());
        untold.sort_by_key(|row| (row.untold(), row.id));
        assert_eq!(catalog.archives_untold(None, 100).await.unwrap(), untold);
        if let Some((first, rest)) = untold.split_first() {
            let after = first.untold().map(|since| (since, first.id));
            assert_eq!(catalog.archives_untold(None, 1).await.unwrap(), std::slice::from_ref(first));
            assert_eq!(catalog.archives_untold(after, 100).await.unwrap(), rest);
        }
        let spooled: Vec<_> = self.packs.values().filter(|pack| pack.spooled).cloned().collect();
        assert_eq!(catalog.packs_spooled(None, 100).await.unwrap(), spooled);
        let volumes: Vec<_> = self.volumes.values().cloned().collect();
        assert_eq!(catalog.volumes().await.unwrap(), volumes);
        for volume in [1, 2].map(VolumeId::from_u128) {
            let on: Vec<_> =
                self.copies.values().filter(|copy| copy.volume == Some(volume)).cloned().collect();
            assert_eq!(catalog.copies_on(volume, None, 100).await.unwrap(), on);
        }
        self.compare_counts(catalog).await;
    }

    async fn compare_counts(&self, catalog: &dyn Catalog) {
        let counts = catalog.counts().await.unwrap();
        for (stage, rows, bytes) in counts.archives {
            let sizes: Vec<u64> =
                self.archives.values().filter(|row| row.state.stage() == stage).map(|row| row.size).collect();
            assert_eq!((rows, bytes), (sizes.len() as u64, sizes.iter().sum()), "{stage:?}");
        }
        for (stage, rows) in counts.restores {
            let jobs: Vec<_> =
                self.restores.values().filter(|job| job.state.stage() == stage).cloned().collect();
            assert_eq!(rows, jobs.len() as u64);
            assert_eq!(catalog.restores_in(stage, None, 100).await.unwrap(), jobs);
        }
        for (stage, rows) in counts.copies {
            let copies: Vec<_> =
                self.copies.values().filter(|copy| copy.state.stage() == stage).cloned().collect();
            assert_eq!(rows, copies.len() as u64);
            assert_eq!(catalog.copies_in(stage, None, 100).await.unwrap(), copies);
        }
    }
}
