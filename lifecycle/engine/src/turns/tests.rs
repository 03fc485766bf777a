#![allow(clippy::unwrap_used)]
use super::*;

fn standard() -> Option<(Timestamp, bool)> {
    Some((Timestamp::from_seconds(100), false))
}

fn expedited() -> Option<(Timestamp, bool)> {
    Some((Timestamp::from_seconds(5), true))
}

fn take(
    turns: &Arc<Turns>,
    drives_up: usize,
    volume: u128,
    purpose: Purpose,
    urgency: Option<(Timestamp, bool)>,
) -> Option<Turn> {
    let volume = Some(VolumeId::from_u128(volume));
    turns.take(Request { library: "main", drives_up, volume, purpose, urgency })
}

fn background(turns: &Arc<Turns>, drives_up: usize, volume: u128, purpose: Purpose) -> Option<Turn> {
    take(turns, drives_up, volume, purpose, None)
}

#[test]
fn no_more_turns_than_drives_and_one_for_each_volume() {
    let turns = Arc::new(Turns::default());
    let first = background(&turns, 2, 1, Purpose::Write).unwrap();
    assert!(background(&turns, 2, 1, Purpose::Write).is_none(), "the volume is in use");
    let _second = background(&turns, 2, 2, Purpose::Write).unwrap();
    assert!(background(&turns, 2, 3, Purpose::Write).is_none(), "every drive is taken");
    let elsewhere = Request {
        library: "other",
        drives_up: 1,
        volume: Some(VolumeId::from_u128(4)),
        purpose: Purpose::Write,
        urgency: None,
    };
    assert!(turns.take(elsewhere).is_some());
    drop(first);
    assert!(background(&turns, 2, 1, Purpose::Write).is_some());
}

#[test]
fn with_three_drives_one_is_left_to_restores() {
    let turns = Arc::new(Turns::default());
    let _write = background(&turns, 3, 1, Purpose::Write).unwrap();
    let _verify = background(&turns, 3, 2, Purpose::Verify).unwrap();
    assert!(background(&turns, 3, 3, Purpose::Write).is_none());
    let recall = take(&turns, 3, 4, Purpose::Recall, standard()).unwrap();
    drop(recall);
    turns.begin_round(Purpose::Write);
    assert!(background(&turns, 3, 3, Purpose::Write).is_none(), "it stays theirs");
}

#[test]
fn a_restore_makes_verification_and_then_writing_end() {
    let turns = Arc::new(Turns::default());
    let write = background(&turns, 2, 1, Purpose::Write).unwrap();
    let verify = background(&turns, 2, 2, Purpose::Verify).unwrap();
    assert!(take(&turns, 2, 3, Purpose::Recall, standard()).is_none());
    assert!(verify.yields() && !write.yields());
    turns.begin_round(Purpose::Recall);
    assert!(take(&turns, 2, 3, Purpose::Recall, standard()).is_none());
    assert!(!write.yields(), "the same wish again asks nobody else");
    assert!(take(&turns, 2, 4, Purpose::Recall, standard()).is_none());
    assert!(write.yields());
    drop(verify);
    assert!(background(&turns, 2, 5, Purpose::Verify).is_none(), "the drive is for the restore");
    assert!(take(&turns, 2, 3, Purpose::Recall, standard()).is_some());
}

#[test]
fn a_restore_from_the_volume_being_written_makes_just_that_mount_end() {
    let turns = Arc::new(Turns::default());
    let write = background(&turns, 3, 1, Purpose::Write).unwrap();
    let other = background(&turns, 3, 2, Purpose::Verify).unwrap();
    assert!(take(&turns, 3, 1, Purpose::Recall, standard()).is_none());
    assert!(write.yields() && !other.yields());
}

#[test]
fn only_expedited_restores_make_restores_end() {
    let turns = Arc::new(Turns::default());
    let bulk = take(&turns, 1, 1, Purpose::Recall, standard()).unwrap();
    assert!(take(&turns, 1, 2, Purpose::Recall, standard()).is_none());
    assert!(!bulk.yields());
    assert_eq!(turns.restore_waits("main"), Some(Timestamp::from_seconds(100)));
    turns.begin_round(Purpose::Recall);
    assert!(take(&turns, 1, 3, Purpose::Recall, expedited()).is_none());
    assert!(bulk.yields());
    assert_eq!(turns.restore_waits("main"), Some(Timestamp::from_seconds(5)));
    drop(bulk);
    let _expedited = take(&turns, 1, 3, Purpose::Recall, expedited()).unwrap();
    turns.begin_round(Purpose::Recall);
    assert_eq!(turns.restore_waits("main"), None);
}

#[test]
fn background_work_takes_turns_at_the_last_drive() {
    let turns = Arc::new(Turns::default());
    let mut order = Vec::new();
    for _ in 0..2 {
        for purpose in [Purpose::Write, Purpose::Verify, Purpose::Prepare] {
            // Somebody else has the drive while all three want it.
            let held = background(&turns, 1, 9, purpose);
            if held.is_none() {
                continue;
            }
            order.push(purpose);
            for other in [Purpose::Write, Purpose::Verify, Purpose::Prepare] {
                turns.begin_round(other);
                assert!(background(&turns, 1, 8, other).is_none());
            }
        }
    }
    assert_eq!(
        order,
        [
            Purpose::Write,
            Purpose::Verify,
            Purpose::Prepare,
            Purpose::Write,
            Purpose::Verify,
            Purpose::Prepare
        ]
    );
    // Whoever had it last waits for the others.
    assert!(background(&turns, 1, 9, Purpose::Prepare).is_none());
    assert!(background(&turns, 1, 9, Purpose::Write).is_some());
}

#[test]
fn a_stopping_engine_ends_everything_at_the_next_pack() {
    let turns = Arc::new(Turns::default());
    let write = background(&turns, 2, 1, Purpose::Write).unwrap();
    turns.close();
    assert!(write.yields() && background(&turns, 2, 2, Purpose::Write).is_none());
}
