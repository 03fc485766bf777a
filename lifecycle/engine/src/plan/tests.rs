#![allow(clippy::cast_possible_truncation)]
use super::*;
use proptest::prelude::*;

const BOUNDS: Bounds = Bounds { bytes_target: 100, members_max: 4, quiet_milliseconds: 1_000 };

fn candidates(sizes: &[u64], since: Timestamp) -> Vec<Candidate> {
    let grouped: Vec<(u64, u32)> = sizes.iter().map(|bytes| (*bytes, 0)).collect();
    in_groups(&grouped, since)
}

fn in_groups(sizes: &[(u64, u32)], since: Timestamp) -> Vec<Candidate> {
    let id = |number: usize| ArchiveId::new(1, number as u128);
    let candidate = |(n, (bytes, group)): (usize, &(u64, u32))| Candidate {
        archive: id(n),
        bytes: *bytes,
        since,
        group: *group,
    };
    sizes.iter().enumerate().map(candidate).collect()
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
            group: 0,
        })
        .collect();
    let bounds = Bounds { members_max: 100, ..BOUNDS };
    let planned = |now| plan(&due, bounds, Timestamp::from_milliseconds(now), false).len();
    assert_eq!(planned(18_500), 0, "the last one came 500 ms ago");
    let later = |now| plan(&due[..], Bounds { quiet_milliseconds: 925, ..bounds }, now, false).len();
    assert_eq!(later(Timestamp::from_milliseconds(18_500)), 1, "the first one waits for 20 times the quiet");
}

#[test]
fn large_objects_are_cut() {
    let due = candidates(&[250], Timestamp::from_seconds(0));
    let planned = plan(&due, BOUNDS, Timestamp::from_seconds(0), false);
    assert_eq!(planned, vec![Plan::Segments { archive: due[0].archive, count: 3 }]);
}

#[test]
fn groups_that_came_mixed_lie_together() {
    let mixed: Vec<(u64, u32)> = (0..8).map(|n| (40, n % 2)).collect();
    let due = in_groups(&mixed, Timestamp::from_seconds(0));
    let planned = plan(&due, BOUNDS, Timestamp::from_seconds(0), true);
    let group = |id: &ArchiveId| due.iter().find(|c| c.archive == *id).map(|c| c.group);
    for plan in &planned {
        let Plan::Members(members) = plan else { panic!("none is cut") };
        let groups: BTreeSet<_> = members.iter().map(group).collect();
        assert_eq!((members.len(), groups.len()), (2, 1));
    }
    assert_eq!(planned.len(), 4);
}

#[test]
fn rests_of_groups_share_a_pack() {
    let due = in_groups(&[(60, 0), (60, 0), (20, 1), (20, 2)], Timestamp::from_seconds(0));
    let planned = plan(&due, BOUNDS, Timestamp::from_seconds(0), true);
    let ids = |numbers: &[usize]| Plan::Members(numbers.iter().map(|n| due[*n].archive).collect());
    assert_eq!(planned, [ids(&[0]), ids(&[1, 2, 3])]);
}

#[test]
fn a_busy_group_holds_up_no_quiet_one_that_does_not_share_its_pack() {
    let mut due = in_groups(&[(60, 0), (60, 1)], Timestamp::from_seconds(0));
    due[1].since = Timestamp::from_milliseconds(900);
    let planned = plan(&due, BOUNDS, Timestamp::from_milliseconds(1_000), false);
    assert_eq!(planned, [Plan::Members(vec![due[0].archive])]);
}

/// The packs in which members of a group are.
fn packs_of(group: u32, plans: &[Plan], due: &[Candidate]) -> usize {
    let mine: BTreeSet<ArchiveId> = due.iter().filter(|c| c.group == group).map(|c| c.archive).collect();
    let has = |plan: &&Plan| matches!(plan, Plan::Members(m) if m.iter().any(|id| mine.contains(id)));
    plans.iter().filter(has).count()
}

proptest! {
    #[test]
    fn plans_pass_the_check_and_leave_nothing_when_flushed(
        sizes in proptest::collection::vec((0_u64..300, 0_u32..5), 0..60),
    ) {
        let due = in_groups(&sizes, Timestamp::from_seconds(0));
        let planned = plan(&due, BOUNDS, Timestamp::from_seconds(0), true);
        prop_assert_eq!(check(&planned, &due, BOUNDS), Ok(()));
        let count: usize = planned.iter().map(|p| match p { Plan::Members(m) => m.len(), Plan::Segments { .. } => 1 }).sum();
        prop_assert_eq!(count, due.len());
    }

    #[test]
    fn a_group_lies_in_no_more_packs_than_it_would_alone(
        sizes in proptest::collection::vec((0_u64..300, 0_u32..5), 0..60),
    ) {
        let due = in_groups(&sizes, Timestamp::from_seconds(0));
        let planned = plan(&due, BOUNDS, Timestamp::from_seconds(0), true);
        for group in 0..5 {
            let alone: Vec<Candidate> = due.iter().filter(|c| c.group == group).copied().collect();
            let packs = packs_of(group, &plan(&alone, BOUNDS, Timestamp::from_seconds(0), true), &alone);
            prop_assert_eq!(packs_of(group, &planned, &due), packs);
        }
    }

    #[test]
    fn nothing_waits_longer_than_quiet_or_twenty_times_that(
        sizes in proptest::collection::vec((0_u64..300, 0_u32..5, 0_i64..30_000), 0..60),
        now in 0_i64..60_000,
    ) {
        let grouped: Vec<(u64, u32)> = sizes.iter().map(|(bytes, group, _)| (*bytes, *group)).collect();
        let mut due = in_groups(&grouped, Timestamp::from_seconds(0));
        for (candidate, (_, _, since)) in due.iter_mut().zip(&sizes) {
            candidate.since = Timestamp::from_milliseconds(*since);
        }
        let planned = plan(&due, BOUNDS, Timestamp::from_milliseconds(now), false);
        let members: BTreeSet<ArchiveId> = planned.iter().flat_map(|plan| match plan {
            Plan::Members(members) => members.clone(),
            Plan::Segments { archive, .. } => vec![*archive],
        }).collect();
        let newest = due.iter().map(|c| c.since).max();
        for candidate in &due {
            let overdue = now - candidate.since.milliseconds() >= 20_000;
            let quiet = newest.is_some_and(|newest| now - newest.milliseconds() >= 1_000);
            prop_assert!(members.contains(&candidate.archive) || !(overdue || quiet));
        }
    }
}
