//! Which due archives go into which pack. Pure; [`check`] is other code than [`plan`].
//!
//! Archives of one group are to be read together one day, so they go into as few packs as hold them: a group fills packs
//! of its own, and what is left of it goes whole into a pack that it shares with what is left of others. Packs of a group
//! are planned one after the other, so that they lie one after the other on tape.

use std::collections::{BTreeMap, BTreeSet};

use model::{ArchiveId, Timestamp};

/// A due archive, as the planner needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The archive.
    pub archive: ArchiveId,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it became due.
    pub since: Timestamp,
    /// What it is to lie together with: all that have this number.
    pub group: u32,
}

/// Bounds of a pack.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// A pack is full at this many bytes put in; larger objects are cut into segments of this size.
    pub bytes_target: u64,
    /// Most members of a pack.
    pub members_max: usize,
    /// A pack that is not full is made once nothing new has become due for this long, in milliseconds.
    pub quiet_milliseconds: i64,
}

/// A trickle that is never quiet does not keep a pack open for longer than so many times the quiet.
const QUIETS_MAX: i64 = 20;
/// Shared packs that a group's rest is tried in, the newest first: more of them would cost time and fill little better.
const SHARED_TRIED_MAX: usize = 16;

/// What one pack will hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Whole objects, in this order.
    Members(Vec<ArchiveId>),
    /// One object over so many packs, a segment each.
    Segments {
        /// The object.
        archive: ArchiveId,
        /// How many.
        count: u32,
    },
}

/// A pack being planned.
#[derive(Default)]
struct Open<'a> {
    members: Vec<&'a Candidate>,
    bytes: u64,
}

/// Plans packs for `candidates`, the group that has waited longest first, each group in the order given. What would make
/// a pack that is neither full nor quiet is left for later; `flush` takes it all.
pub fn plan(candidates: &[Candidate], bounds: Bounds, now: Timestamp, flush: bool) -> Vec<Plan> {
    let mut plans = Vec::new();
    let mut shared: Vec<Open<'_>> = Vec::new();
    for group in groups(candidates) {
        let mut open = Open::default();
        for candidate in group {
            if candidate.bytes > bounds.bytes_target {
                let count = segments(candidate.bytes, bounds);
                plans.push(Plan::Segments { archive: candidate.archive, count });
                continue;
            }
            if !open.takes(candidate.bytes, 1, bounds) {
                plans.push(std::mem::take(&mut open).plan());
            }
            open.bytes += candidate.bytes;
            open.members.push(candidate);
        }
        share(&mut shared, open, bounds);
    }
    let ripe = |open: &Open<'_>| flush || open.is_ripe(bounds, now);
    plans.extend(shared.into_iter().filter(ripe).map(Open::plan));
    plans
}

/// The candidates of each group, the group with the oldest first.
fn groups(candidates: &[Candidate]) -> Vec<Vec<&Candidate>> {
    let mut groups: BTreeMap<u32, Vec<&Candidate>> = BTreeMap::new();
    for candidate in candidates {
        groups.entry(candidate.group).or_default().push(candidate);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|group| group.iter().map(|candidate| (candidate.since, candidate.archive)).min());
    groups
}

/// Puts what is left of a group into the first shared pack that takes it whole, or begins another.
fn share<'a>(shared: &mut Vec<Open<'a>>, rest: Open<'a>, bounds: Bounds) {
    if rest.members.is_empty() {
        return;
    }
    let tried = shared.iter_mut().rev().take(SHARED_TRIED_MAX).rev();
    let found = tried.into_iter().find(|open| open.takes(rest.bytes, rest.members.len(), bounds));
    match found {
        Some(open) => {
            open.bytes += rest.bytes;
            open.members.extend(rest.members);
        }
        None => shared.push(rest),
    }
}

// === impl Open ===

impl Open<'_> {
    fn takes(&self, bytes: u64, members: usize, bounds: Bounds) -> bool {
        self.members.is_empty()
            || self.bytes + bytes <= bounds.bytes_target && self.members.len() + members <= bounds.members_max
    }

    /// Whether it is to be made though others would fit.
    fn is_ripe(&self, bounds: Bounds, now: Timestamp) -> bool {
        let since = |moment: Option<Timestamp>, wait: i64| {
            moment.is_some_and(|moment| now >= moment.plus_milliseconds(wait))
        };
        let moments = || self.members.iter().map(|candidate| candidate.since);
        let quiet = since(moments().max(), bounds.quiet_milliseconds);
        let patient = since(moments().min(), bounds.quiet_milliseconds.saturating_mul(QUIETS_MAX));
        let full = self.bytes >= bounds.bytes_target || self.members.len() >= bounds.members_max;
        quiet || patient || full
    }

    fn plan(self) -> Plan {
        Plan::Members(self.members.iter().map(|candidate| candidate.archive).collect())
    }
}

/// What is wrong with `plans`, if anything: every object at most once, no pack over its bounds.
pub fn check(plans: &[Plan], candidates: &[Candidate], bounds: Bounds) -> Result<(), String> {
    let sizes: BTreeMap<ArchiveId, u64> = candidates.iter().map(|c| (c.archive, c.bytes)).collect();
    let mut planned = BTreeSet::new();
    for plan in plans {
        let (archives, bytes_max) = match plan {
            Plan::Members(archives) => (archives.clone(), bounds.bytes_target),
            Plan::Segments { archive, count } => {
                (vec![*archive], bounds.bytes_target.saturating_mul(u64::from(*count)))
            }
        };
        if archives.is_empty() || archives.len() > bounds.members_max {
            return Err(format!("a pack of {} members", archives.len()));
        }
        let mut bytes = 0;
        for archive in archives {
            bytes += sizes.get(&archive).ok_or_else(|| format!("{archive} is planned but not due"))?;
            if !planned.insert(archive) {
                return Err(format!("{archive} is planned twice"));
            }
        }
        if bytes > bytes_max {
            return Err(format!("a pack of {bytes} bytes, {bytes_max} at most"));
        }
    }
    Ok(())
}

fn segments(bytes: u64, bounds: Bounds) -> u32 {
    u32::try_from(bytes.div_ceil(bounds.bytes_target)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
