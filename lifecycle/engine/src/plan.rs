//! Which due archives go into which pack. Pure; [`check`] is other code than [`plan`].

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

/// Plans packs for `candidates`, oldest first. What would make a pack that is neither full nor quiet is left for
/// later; `flush` takes it all.
pub fn plan(candidates: &[Candidate], bounds: Bounds, now: Timestamp, flush: bool) -> Vec<Plan> {
    let mut plans = Vec::new();
    let mut open: Vec<&Candidate> = Vec::new();
    let mut open_bytes = 0;
    for candidate in candidates {
        if candidate.bytes > bounds.bytes_target {
            plans.push(Plan::Segments {
                archive: candidate.archive,
                count: segments(candidate.bytes, bounds),
            });
            continue;
        }
        let full = open_bytes + candidate.bytes > bounds.bytes_target || open.len() == bounds.members_max;
        if full && !open.is_empty() {
            plans.push(members(&open));
            open.clear();
            open_bytes = 0;
        }
        open_bytes += candidate.bytes;
        open.push(candidate);
    }
    let since = |moment: Option<Timestamp>, wait: i64| {
        moment.is_some_and(|moment| now >= moment.plus_milliseconds(wait))
    };
    let newest = open.iter().map(|candidate| candidate.since).max();
    let oldest = open.iter().map(|candidate| candidate.since).min();
    let quiet = since(newest, bounds.quiet_milliseconds);
    let patient = since(oldest, bounds.quiet_milliseconds.saturating_mul(QUIETS_MAX));
    if !open.is_empty() && (quiet || patient || flush || open_bytes >= bounds.bytes_target) {
        plans.push(members(&open));
    }
    plans
}

/// What is wrong with `plans`, if anything: every object at most once, no pack over its bounds.
pub fn check(plans: &[Plan], candidates: &[Candidate], bounds: Bounds) -> Result<(), String> {
    let sizes: std::collections::BTreeMap<ArchiveId, u64> =
        candidates.iter().map(|c| (c.archive, c.bytes)).collect();
    let mut planned = std::collections::BTreeSet::new();
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

fn members(open: &[&Candidate]) -> Plan {
    Plan::Members(open.iter().map(|candidate| candidate.archive).collect())
}

fn segments(bytes: u64, bounds: Bounds) -> u32 {
    u32::try_from(bytes.div_ceil(bounds.bytes_target)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOUNDS: Bounds = Bounds { bytes_target: 100, members_max: 4, quiet_milliseconds: 1_000 };

    fn candidates(sizes: &[u64], since: Timestamp) -> Vec<Candidate> {
        let id = |number: usize| ArchiveId::new(1, number as u128);
        sizes
            .iter()
            .enumerate()
            .map(|(n, bytes)| Candidate { archive: id(n), bytes: *bytes, since })
            .collect()
    }

    #[test]
    fn a_small_rest_waits_for_quiet() {
        let since = Timestamp::from_seconds(10);
        let due = candidates(&[60, 50, 10], since);
        let planned = |now, flush| plan(&due, BOUNDS, Timestamp::from_milliseconds(now), flush).len();
        assert_eq!(planned(10_999, false), 1, "the second pack may still grow");
        assert_eq!(planned(11_000, false), 2);
        assert_eq!(planned(10_000, true), 2);
    }

    #[test]
    fn a_trickle_that_is_never_quiet_is_packed_in_the_end() {
        let due: Vec<Candidate> = (0..21)
            .map(|n: i64| Candidate {
                archive: ArchiveId::new(1, n.unsigned_abs().into()),
                bytes: 1,
                since: Timestamp::from_milliseconds(n * 900),
            })
            .collect();
        let bounds = Bounds { members_max: 100, ..BOUNDS };
        let planned = |now| plan(&due, bounds, Timestamp::from_milliseconds(now), false).len();
        assert_eq!(planned(18_500), 0, "the last one came 500 ms ago");
        let later = |now| plan(&due[..], Bounds { quiet_milliseconds: 925, ..bounds }, now, false).len();
        assert_eq!(
            later(Timestamp::from_milliseconds(18_500)),
            1,
            "the first one waits for 20 times the quiet"
        );
    }

    #[test]
    fn large_objects_are_cut() {
        let due = candidates(&[250], Timestamp::from_seconds(0));
        let planned = plan(&due, BOUNDS, Timestamp::from_seconds(0), false);
        assert_eq!(planned, vec![Plan::Segments { archive: due[0].archive, count: 3 }]);
    }

    proptest! {
        #[test]
        fn plans_pass_the_check_and_leave_nothing_when_flushed(sizes in proptest::collection::vec(0_u64..300, 0..60)) {
            let due = candidates(&sizes, Timestamp::from_seconds(0));
            let planned = plan(&due, BOUNDS, Timestamp::from_seconds(0), true);
            prop_assert_eq!(check(&planned, &due, BOUNDS), Ok(()));
            let count: usize = planned.iter().map(|p| match p { Plan::Members(m) => m.len(), Plan::Segments { .. } => 1 }).sum();
            prop_assert_eq!(count, due.len());
        }
    }
}
