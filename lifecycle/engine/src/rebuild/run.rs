//! The rebuild itself, from what was read to the rows of a new catalog.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use model::archive::ArchiveStage;
use model::catalog::{Bucket, Change};
use model::limits::TRANSACTION_ROWS_MAX;
use model::pack::Pack;
use model::{Archive, BucketName, PoolName, VersionId};
use volume::journal::Entry;

use super::merge::{Birth, Merge, Told, Verdict};
use super::packs::{PackAt, births, packs_on};
use super::place::{self, Seen};
use super::report::{Report, Unconfirmed};
use super::small::{self, Small};
use super::survey::{Cartridge, Manifests};
use super::{Found, Missing, Options, Parts, Progress, rows};
use crate::error::{Error, chain};
use crate::kept::Kept;

/// Objects looked at on the store together.
const LOOKS: usize = 32;

/// Makes the rows of an empty catalog from what was read, and what is missing on the store.
pub async fn rebuild(
    parts: &Parts,
    found: &Found,
    options: Options,
    progress: Progress<'_>,
) -> Result<Report, Error> {
    let none = Vec::new();
    let cartridges = found.cartridges.get(&options.catalog).unwrap_or(&none);
    let mut report = Report {
        catalog: options.catalog.to_string(),
        cartridges: cartridges.len() as u64,
        dry_run: options.dry_run,
        unconfirmed: found.unread.clone(),
        ..Report::default()
    };
    report.unconfirmed.extend(cartridges.iter().flat_map(|cartridge| cartridge.trouble.iter().cloned()));
    refuse_deaf(found, cartridges, options)?;
    let (told, kept) = told(cartridges, &found.manifests, &mut report);
    let packs = packs_on(cartridges, &mut report);
    let births = births(&packs, &found.manifests)?;
    let mut work = Work {
        parts,
        options,
        known: parts.store.buckets().await?.into_iter().collect(),
        made: BTreeSet::new(),
        report,
    };
    work.write_machines(cartridges, &packs, &found.manifests).await?;
    let mut merge = Merge::new(told, births);
    for (done, pack) in packs.iter().enumerate() {
        work.take(pack, &found.manifests, &mut merge).await?;
        progress("packs taken over", done as u64 + 1, packs.len() as u64);
    }
    work.refuse_losses()?;
    work.keep(kept).await?;
    let mut report = work.report;
    report.buckets_made = work.made.iter().map(|(bucket, _)| bucket).collect::<BTreeSet<_>>().len() as u64;
    report.unconfirmed.sort();
    report.unconfirmed.dedup();
    Ok(report)
}

/// Deaths may be told where nothing can be read.
fn refuse_deaf(found: &Found, cartridges: &[Cartridge], options: Options) -> Result<(), Error> {
    let unread = found.unread.iter().filter_map(|unread| unread.barcode.clone());
    let deaf =
        cartridges.iter().filter(|cartridge| cartridge.deaf).map(|cartridge| cartridge.barcode.to_string());
    let all: BTreeSet<String> = unread.chain(deaf).collect();
    if all.is_empty() || options.incomplete || options.dry_run {
        return Ok(());
    }
    let what = format!(
        "{} cannot be read, or not their journals, which may tell of deletions; mend them, or go on without what they \
         tell (--incomplete)",
        all.into_iter().collect::<Vec<_>>().join(", ")
    );
    Err(Error::Rebuild { what })
}

/// What journals tell of archives, and of buckets.
fn told(cartridges: &[Cartridge], manifests: &Manifests, report: &mut Report) -> (Told, Kept) {
    let (mut told, mut kept) = (Told::default(), Kept::default());
    for cartridge in cartridges {
        for entry in &cartridge.entries {
            let taken = match entry.clone() {
                Entry::RecordChanged { archive, at_ms, record } => manifests
                    .record(&archive, record)
                    .and_then(|record| told.take(Entry::RecordChanged { archive, at_ms, record })),
                Entry::BucketKept { at_ms, settings } => {
                    manifests.bucket(settings).and_then(|settings| kept.take(at_ms, &settings))
                }
                other => told.take(other),
            };
            if let Err(reason) = taken {
                let barcode = Some(cartridge.barcode.to_string());
                report.unconfirmed.push(Unconfirmed {
                    barcode,
                    what: "an entry of a journal".to_owned(),
                    reason,
                    lost: true,
                });
            }
        }
    }
    (told, kept)
}

/// A rebuild under way.
struct Work<'a> {
    parts: &'a Parts,
    options: Options,
    /// Buckets that were on the store.
    known: BTreeSet<BucketName>,
    /// Buckets made, and whether they keep versions.
    made: BTreeSet<(BucketName, bool)>,
    report: Report,
}

/// An archive that lives by what tape tells, and what was seen of it.
struct Living {
    birth: Birth,
    row: Archive,
    headers: Vec<(String, String)>,
    seen: Seen,
}

impl Work<'_> {
    async fn commit(&self, changes: Vec<Change>) -> Result<(), Error> {
        if self.options.dry_run {
            return Ok(());
        }
        let mut changes = changes.into_iter().peekable();
        while changes.peek().is_some() {
            self.parts.catalog.commit(changes.by_ref().take(TRANSACTION_ROWS_MAX).collect()).await?;
        }
        Ok(())
    }

    fn unconfirmed(&mut self, birth: &Birth, reason: String) {
        let what = format!("archive {}, s3://{}/{}", birth.id, birth.record.bucket, birth.record.key);
        self.report.unconfirmed.push(Unconfirmed::of(what, reason));
    }

    /// Rows of volumes, packs and copies.
    async fn write_machines(
        &self,
        cartridges: &[Cartridge],
        packs: &[PackAt<'_>],
        manifests: &Manifests,
    ) -> Result<(), Error> {
        let pools: Vec<PoolName> = self.parts.pools.keys().cloned().collect();
        let now = self.parts.clock.now();
        let mut volumes: BTreeMap<_, _> = BTreeMap::new();
        for cartridge in cartridges {
            volumes.entry(cartridge.volume).or_insert_with(|| rows::volume(cartridge, &pools, now));
        }
        self.commit(volumes.into_values().map(Change::Volume).collect()).await?;
        let mut changes = Vec::new();
        for pack in packs {
            let Some(pool) = pack.pool(&self.parts.pools) else { continue };
            let members = manifests.open(pack.id)?.map_or(0, Iterator::count);
            let members = u32::try_from(members).unwrap_or(u32::MAX);
            changes.push(Change::Pack(Pack {
                seal: manifests.seal_of(pack.id),
                ..rows::pack(pack.id, pool.clone(), (pack.bytes, pack.digest), members)
            }));
            for (number, pool, at) in &pack.copies {
                changes.push(Change::PackCopy(rows::copy(pack.id, *number, pool.clone(), *at)));
            }
            let siblings = self.parts.pools.get(&pool).map_or(&[][..], |settings| &settings.copies);
            for (number, pool) in (0_u8..).zip(std::iter::once(&pool).chain(siblings)) {
                if !pack.copies.iter().any(|(known, ..)| *known == number) {
                    changes.push(Change::PackCopy(rows::lost_copy(pack.id, number, pool.clone())));
                }
            }
        }
        self.commit(changes).await
    }

    /// Takes over the members of a pack.
    async fn take(
        &mut self,
        pack: &PackAt<'_>,
        manifests: &Manifests,
        merge: &mut Merge,
    ) -> Result<(), Error> {
        let Some(pool) = pack.pool(&self.parts.pools) else { return Ok(()) };
        let (now, in_place) = (self.parts.clock.now(), self.parts.store.capabilities().in_place);
        let (mut changes, mut living) = (Vec::new(), Vec::new());
        for entry in manifests.open(pack.id)?.into_iter().flatten() {
            let entry = entry.map_err(|error| Error::Pack { pack: pack.id, source: error.into() })?;
            let what = format!("archive {}, s3://{}/{}", entry.id, entry.record.bucket, entry.record.key);
            let (end, birth) = match merge.judge(pack.id, entry) {
                Verdict::Lives(birth) => (None, birth),
                Verdict::Dead(birth) => (Some(true), birth),
                Verdict::Overwritten(birth) => (Some(false), birth),
                Verdict::Waits | Verdict::Elsewhere => continue,
                Verdict::Incomplete => {
                    self.report.unconfirmed.push(Unconfirmed::of(what, "not all of its pieces are there"));
                    continue;
                }
                Verdict::Refused(why) => {
                    self.report.unconfirmed.push(Unconfirmed::of(what, why));
                    continue;
                }
            };
            self.report.objects += 1;
            match rows::archive(&birth, &pool, in_place, now) {
                Err(reason) => self.unconfirmed(&birth, reason),
                Ok((row, headers)) => match end {
                    None => living.push(Living { birth, row, headers, seen: Seen::Nothing }),
                    Some(told) => {
                        self.report.deleted += 1;
                        changes.push(Change::Archive(rows::dead(row, told)));
                    }
                },
            }
        }
        let living = self.look(living).await?;
        let small = self.small(pack, &living, manifests).await;
        let mut planted = Vec::new();
        for one in living {
            if matches!(one.seen, Seen::Nothing) && self.options.missing == Missing::Plant {
                planted.push(one);
            } else {
                changes.extend(self.settle(one).await?);
            }
        }
        changes.extend(self.plant(planted, small).await?);
        self.commit(changes).await
    }

    /// What stands on the store for each.
    async fn look(&self, living: Vec<Living>) -> Result<Vec<Living>, Error> {
        let store = &*self.parts.store;
        let looks = living.into_iter().map(|one| async move {
            let seen = place::look(store, &one.row).await?;
            Ok::<_, Error>(Living { seen, ..one })
        });
        stream::iter(looks).buffered(LOOKS).try_collect().await
    }

    /// Bytes of what is to be planted and too small for a stub.
    async fn small(&self, pack: &PackAt<'_>, living: &[Living], manifests: &Manifests) -> Small {
        let wanted = |one: &&Living| {
            matches!(one.seen, Seen::Nothing) && one.row.keeps_bytes() && one.row.extents.len() == 1
        };
        let wanted: Vec<_> =
            living.iter().filter(wanted).map(|one| (one.row.id, one.row.extents[0])).collect();
        let mut small = Small::new();
        if wanted.is_empty() || self.options.missing != Missing::Plant || self.options.dry_run {
            return small;
        }
        for (_, _, copy) in &pack.copies {
            let missing: Vec<_> =
                wanted.iter().filter(|(id, _)| !matches!(small.get(id), Some(Ok(_)))).copied().collect();
            let Some(machine) =
                self.parts.libraries.get(&copy.cartridge.library).filter(|_| !missing.is_empty())
            else {
                continue;
            };
            let keys = manifests.keys().clone();
            match small::read(machine, self.options.catalog, keys, *copy, missing.clone()).await {
                Ok(read) => small.extend(read),
                Err(error) => small.extend(missing.into_iter().map(|(id, _)| (id, Err(chain(&error))))),
            }
        }
        small
    }

    /// The row of an archive that is not planted.
    async fn settle(&mut self, one: Living) -> Result<Option<Change>, Error> {
        let Living { birth, mut row, seen, .. } = one;
        match seen {
            Seen::Stub(head) => {
                row.standing = Some(crate::flip::standing(&head));
                self.report.found += 1;
            }
            Seen::Claimed(head) => {
                if !self.options.dry_run {
                    match place::sign(&*self.parts.store, &row, head).await {
                        Ok(standing) => row.standing = Some(standing),
                        Err(error) => {
                            self.unconfirmed(&birth, format!("its stub cannot be signed: {}", chain(&error)));
                            return Ok(None);
                        }
                    }
                }
                self.report.signed += 1;
            }
            Seen::Unflipped(head) if head.marker.is_some() => {
                row.standing = Some(crate::flip::standing(&head));
                row.direct = true;
                row.state = model::ArchiveState::Taped;
                self.report.hot += 1;
                return Ok(Some(Change::Archive(row)));
            }
            Seen::Unflipped(_) => {
                let reason = "written straight into its class and whole on the store, under the signature of a lost key";
                self.unconfirmed(&birth, reason.to_owned());
                return Ok(None);
            }
            Seen::Hot => {
                self.report.hot += 1;
                return Ok(Some(Change::Archive(rows::ended(row, ArchiveStage::Withdrawn))));
            }
            Seen::Other | Seen::Sibling => {
                self.report.replaced += 1;
                return Ok(Some(Change::Archive(rows::ended(row, ArchiveStage::Dead))));
            }
            Seen::Nothing => {
                self.report.missing += 1;
                return Ok(Some(Change::Archive(rows::ended(row, ArchiveStage::Dead))));
            }
        }
        self.lives(&row);
        Ok(Some(Change::Archive(row)))
    }

    fn lives(&mut self, row: &Archive) {
        self.report.archived += 1;
        self.report.bytes += row.size;
    }

    /// Makes stubs and small objects anew; gives the rows of those that stand.
    async fn plant(&mut self, planted: Vec<Living>, mut small: Small) -> Result<Vec<Change>, Error> {
        self.make_buckets(&planted).await?;
        let (store, dry_run) = (&*self.parts.store, self.options.dry_run);
        let attempts = planted.into_iter().map(|Living { birth, mut row, headers, .. }| {
            let bytes = small.remove(&row.id);
            async move {
                let bytes: Option<Bytes> = match bytes {
                    Some(Err(reason)) => return (birth, Err(format!("its bytes cannot be read: {reason}"))),
                    Some(Ok(bytes)) => Some(bytes),
                    None => None,
                };
                if !dry_run {
                    match place::plant(store, &row, headers, birth.record.hidden, bytes).await {
                        Ok(standing) => row.standing = Some(standing),
                        Err(error) => {
                            return (birth, Err(format!("its stub cannot be made: {}", chain(&error))));
                        }
                    }
                }
                (birth, Ok(row))
            }
        });
        let attempts: Vec<_> = stream::iter(attempts).buffered(LOOKS).collect().await;
        let mut changes = Vec::new();
        for (birth, row) in attempts {
            match row {
                Err(reason) => self.unconfirmed(&birth, reason),
                Ok(row) => {
                    self.report.planted += 1;
                    self.lives(&row);
                    changes.push(Change::Archive(row));
                }
            }
        }
        Ok(changes)
    }

    async fn make_buckets(&mut self, planted: &[Living]) -> Result<(), Error> {
        for one in planted {
            let version = one.row.identity.as_ref().and_then(|identity| identity.version.as_ref());
            let versions = version.is_some_and(|version| *version != VersionId::null());
            let bucket = &one.row.bucket;
            let is_ready =
                self.made.contains(&(bucket.clone(), versions)) || (self.known.contains(bucket) && !versions);
            if !is_ready {
                if !self.options.dry_run {
                    self.parts.store.make_bucket(bucket, versions).await?;
                }
                self.made.insert((bucket.clone(), versions));
            }
        }
        Ok(())
    }

    /// Rules and terms of buckets. One that is not on the store is made where the store is a new one; on one that was there
    /// all the time it was deleted.
    async fn keep(&mut self, kept: Kept) -> Result<(), Error> {
        self.report.buckets_told = kept.told_at().map(|at| at.to_string());
        let mut rows = Vec::new();
        let (kept, disabled) = kept.into_rows();
        self.report.rules_disabled = disabled;
        for row in kept {
            let bucket = &row.name;
            let is_there = self.known.contains(bucket) || self.made.iter().any(|(made, _)| made == bucket);
            if !is_there && self.options.missing != Missing::Plant {
                continue;
            }
            if !is_there {
                if !self.options.dry_run {
                    self.parts.store.make_bucket(bucket, false).await?;
                }
                self.made.insert((bucket.clone(), false));
            }
            // The first archive of a bucket made a row for it.
            let revision = self.parts.catalog.bucket(bucket).await?.map_or(0, |row| row.revision);
            rows.push(Change::Bucket(Bucket { revision, ..row }));
        }
        self.report.buckets_kept = rows.len() as u64;
        self.commit(rows).await
    }

    /// A store that lacks most of what tape tells of is more likely the wrong one than one of which most was deleted.
    fn refuse_losses(&self) -> Result<(), Error> {
        let Report { missing, found, signed, .. } = self.report;
        if self.options.missing == Missing::End && missing > found + signed && !self.options.dry_run {
            let what = format!(
                "the store has {} stubs of this catalog and lacks {missing}: say that those were deleted (--missing dead), \
                 or that they are to be made anew (--missing plant)",
                found + signed
            );
            return Err(Error::Rebuild { what });
        }
        Ok(())
    }
}
