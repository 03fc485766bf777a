//! The work of a mount for writing, on the drive's thread: packs are appended one by one and committed in groups.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use library::{AppendError, Appending, Committed, CopyLabel, Mounted, PackFile, PackWritten, WorkEnd};
use model::limits::TRANSACTION_ROWS_MAX;
use model::pack::Pack;
use model::{Archive, Timestamp};
use tokio::sync::mpsc;
use volume::journal::Entry;

use crate::error::chain;
use crate::house::House;
use crate::outbox::{Next, Outgoing, Taker};
use crate::untold;

/// A commit group ends after this many bytes.
const COMMIT_GROUP_BYTES: u64 = 32_000_000_000;
/// Or after so many packs: each is a row of the catalog's commit.
const COMMIT_GROUP_PACKS: usize = 1_000;
const _: () = assert!(COMMIT_GROUP_PACKS < TRANSACTION_ROWS_MAX, "the volume's row goes with them");
/// Or when its first pack was appended so long ago.
const COMMIT_GROUP_MILLISECONDS: i64 = 5 * 60 * 1_000;

/// What the drive's thread reports while it works.
pub(crate) enum News {
    /// These packs (and where they lie) are durable, with everything before them.
    Committed(Vec<(Outgoing, PackWritten)>, Committed),
    /// This pack's file on the spool is unusable.
    Unusable(Box<Outgoing>, String),
    /// The volume takes no more.
    Full,
    /// What was to be told of these archives is on tape, in the journal of this number.
    Journaled(Vec<Archive>, u64),
    /// The library refused a step though the volume is well.
    Broke(AppendError),
}

/// The work on the drive's thread.
pub(crate) struct Appender {
    pub(crate) house: Arc<House>,
    pub(crate) news: mpsc::UnboundedSender<News>,
    /// None when only `first` is to be written.
    pub(crate) taker: Option<Arc<Taker>>,
    /// Set when the mount is to end at the next pack.
    pub(crate) yields: Arc<AtomicBool>,
    /// How buckets are kept, for the journal.
    pub(crate) kept: Vec<Entry>,
    /// Whether the drive is to compress.
    pub(crate) compresses: bool,
    /// What is done with a volume that takes no more.
    pub(crate) when_full: WorkEnd,
}

/// What is appended next.
enum Step {
    Append(Box<Outgoing>),
    Stop(WorkEnd),
}

impl Appender {
    /// Appends `first`, and what else waits and fits.
    pub(crate) fn run(
        &self,
        mounted: &mut Mounted<Appending>,
        first: Option<Outgoing>,
        untold: Vec<untold::News>,
    ) -> WorkEnd {
        match self.append_all(mounted, first, untold) {
            Ok(end) => end,
            Err(error) => {
                // The mount's own report carries it; what was committed before has been told already.
                tracing::warn!(volume = %mounted.uuid(), error = chain(&error), "a mount for writing ended early");
                WorkEnd::Unload
            }
        }
    }

    fn append_all(
        &self,
        mounted: &mut Mounted<Appending>,
        first: Option<Outgoing>,
        untold: Vec<untold::News>,
    ) -> Result<WorkEnd, AppendError> {
        if self.compresses {
            mounted.compress()?;
        }
        let there = packs_there(mounted);
        let mut entries = Vec::new();
        let mut group = Group::default();
        let mut first = first.map(Box::new);
        let mut end = loop {
            let outgoing = match self.next(mounted, &mut first) {
                Step::Append(outgoing) => outgoing,
                Step::Stop(end) => break end,
            };
            let appended = match already_there(&there, &outgoing.pack) {
                Some(written) => Ok(written),
                None => self.append_one(mounted, &outgoing),
            };
            match appended {
                Ok(written) => {
                    entries.push(committed_entry(&outgoing.pack, written));
                    group.push(*outgoing, written, self.house.now());
                }
                Err(AppendError::Full) => {
                    self.tell(News::Full);
                    break self.when_full;
                }
                Err(AppendError::Spool { source, .. }) => {
                    self.tell(News::Unusable(outgoing, chain(&source)));
                }
                // Nothing of it is on tape; the others need not suffer.
                Err(error @ AppendError::Refused(_)) => self.tell(News::Broke(error)),
                Err(error @ AppendError::Tape(_)) => return Err(error),
            }
            if group.is_full(self.house.now()) {
                let committed = mounted.commit()?;
                self.tell(News::Committed(std::mem::take(&mut group).packs, committed));
            }
        };
        let (rows, news): (Vec<Archive>, Vec<Entry>) = untold.into_iter().unzip();
        entries.extend(news);
        if !entries.is_empty() {
            entries.extend(self.kept.iter().cloned());
        }
        let journal = self.append_journal(mounted, &entries, &mut end)?;
        let committed = mounted.commit()?;
        self.tell(News::Committed(group.packs, committed));
        if let Some(journal) = journal {
            self.tell(News::Journaled(rows, journal));
        }
        Ok(end)
    }

    /// The pack the mount was made for, then what else waits and fits, as long as nobody more urgent wants the drive.
    fn next(&self, mounted: &Mounted<Appending>, first: &mut Option<Box<Outgoing>>) -> Step {
        if mounted.stopping() || self.yields.load(Ordering::Relaxed) {
            return Step::Stop(WorkEnd::Keep);
        }
        if let Some(first) = first.take() {
            return Step::Append(first);
        }
        let Some(taker) = &self.taker else { return Step::Stop(WorkEnd::Keep) };
        match taker.next(mounted.remaining_bytes()) {
            Next::Pack(outgoing) => Step::Append(outgoing),
            Next::Nothing => Step::Stop(WorkEnd::Keep),
            Next::TooLarge => {
                self.tell(News::Full);
                Step::Stop(self.when_full)
            }
        }
    }

    /// The journal of the mount, where there is room for it. What it tells is in the catalog too: packs are not given
    /// up for its sake.
    fn append_journal(
        &self,
        mounted: &mut Mounted<Appending>,
        entries: &[Entry],
        end: &mut WorkEnd,
    ) -> Result<Option<u64>, AppendError> {
        if entries.is_empty() {
            return Ok(None);
        }
        match mounted.append_journal(entries) {
            Ok(journal) => Ok(Some(journal)),
            Err(AppendError::Full) => {
                self.tell(News::Full);
                *end = self.when_full;
                Ok(None)
            }
            Err(error @ (AppendError::Refused(_) | AppendError::Spool { .. })) => {
                self.tell(News::Broke(error));
                Ok(None)
            }
            Err(error @ AppendError::Tape(_)) => Err(error),
        }
    }

    fn append_one(
        &self,
        mounted: &mut Mounted<Appending>,
        Outgoing { pack, copy, .. }: &Outgoing,
    ) -> Result<PackWritten, AppendError> {
        let manifest = std::fs::read(self.house.spool.manifest_path(pack.id))
            .map_err(|source| AppendError::Spool { id: pack.id.to_string(), source })?;
        mounted.append_pack(&PackFile {
            id: pack.id.to_string(),
            path: self.house.spool.path(pack.id),
            bytes: pack.bytes,
            digest: pack.digest,
            sealed: pack.seal.is_some(),
            manifest: &manifest,
            copy: CopyLabel { pool: copy.pool.to_string(), number: copy.number },
        })
    }

    fn tell(&self, news: News) {
        // The listener is gone only when the process is ending; the next start finds what is on tape.
        drop(self.news.send(news));
    }
}

/// The packs on the volume when it was mounted, by name: start block and bytes.
fn packs_there(mounted: &Mounted<Appending>) -> BTreeMap<String, (u64, u64)> {
    mounted.packs().into_iter().map(|pack| (pack.id, (pack.start_block, pack.bytes))).collect()
}

/// Where the pack lies on this volume already: a process died between the tape's commit and the catalog's.
fn already_there(there: &BTreeMap<String, (u64, u64)>, pack: &Pack) -> Option<PackWritten> {
    let (start_block, bytes) = *there.get(&pack.id.to_string())?;
    let blocks = bytes.div_ceil(volume::ltfs::BLOCK_BYTES);
    (bytes == pack.bytes).then_some(PackWritten { start_block, blocks })
}

fn committed_entry(pack: &Pack, written: PackWritten) -> Entry {
    Entry::PackCommitted {
        pack: pack.id.to_string(),
        start_block: written.start_block,
        bytes: pack.bytes,
        digest: blake3::Hash::from_bytes(pack.digest).to_hex().to_string(),
    }
}

/// Packs appended and not yet committed.
#[derive(Default)]
struct Group {
    packs: Vec<(Outgoing, PackWritten)>,
    bytes: u64,
    /// When its first pack was appended.
    since: Option<Timestamp>,
}

impl Group {
    fn push(&mut self, outgoing: Outgoing, written: PackWritten, now: Timestamp) {
        self.bytes += outgoing.pack.bytes;
        self.since.get_or_insert(now);
        self.packs.push((outgoing, written));
    }

    /// Whether the group is to be committed: much or old work would be lost with it, or the catalog takes no more at
    /// once.
    fn is_full(&self, now: Timestamp) -> bool {
        let old = |since: Timestamp| now >= since.plus_milliseconds(COMMIT_GROUP_MILLISECONDS);
        self.bytes >= COMMIT_GROUP_BYTES
            || self.packs.len() >= COMMIT_GROUP_PACKS
            || self.since.is_some_and(old)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;
    use crate::outbox::outgoing;

    #[test]
    fn a_group_ends_after_so_many_bytes_or_packs_or_minutes() {
        let written = PackWritten { start_block: 5, blocks: 1 };
        let at = Timestamp::from_milliseconds;
        let packs_until_full = |bytes: u64, pause: i64| {
            let mut group = Group::default();
            let mut now = 0;
            while !group.is_full(at(now)) {
                group.push(outgoing(group.packs.len() as u128, bytes), written, at(now));
                now += pause;
            }
            group.packs.len()
        };
        assert_eq!(packs_until_full(1, 0), COMMIT_GROUP_PACKS);
        assert_eq!(packs_until_full(COMMIT_GROUP_BYTES / 2, 0), 2);
        assert_eq!(packs_until_full(2 * COMMIT_GROUP_BYTES, 0), 1);
        assert_eq!(packs_until_full(1, COMMIT_GROUP_MILLISECONDS / 3), 3);
    }

    #[test]
    fn a_pack_is_there_already_only_with_all_its_bytes() {
        let pack = outgoing(1, 3 * volume::ltfs::BLOCK_BYTES).pack;
        let there = |bytes| BTreeMap::from([(pack.id.to_string(), (9, bytes))]);
        let found = already_there(&there(pack.bytes), &pack);
        assert_eq!(found, Some(PackWritten { start_block: 9, blocks: 3 }));
        assert_eq!(already_there(&there(pack.bytes - 1), &pack), None);
    }
}
