//! What a drive does next, case by case.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::sync::mpsc;

use super::*;
use crate::{CatalogId, End, WorkEnd};

const IDLE: Duration = Duration::from_secs(60);

fn barcode(name: &str) -> Barcode {
    Barcode::parse(name).unwrap()
}

/// A drive from its cartridge (`-` for none) and how it stands: `i`dle, `b`usy, `d`own.
fn drive(text: &str) -> DriveRecord {
    let (holds, state) = text.split_once(' ').unwrap();
    let state = match state {
        "i" => DriveState::Idle,
        "b" => DriveState::Busy,
        _ => DriveState::Down { why: "broken".to_owned() },
    };
    DriveRecord {
        serial: format!("S{text}"),
        element: 1,
        state,
        holds: (holds != "-").then(|| barcode(holds)),
        returning: None,
        mounted: None,
        last_error: None,
        doing: None,
        wants_cleaning: false,
        clean: None,
        out_of_use: None,
        history: History::default(),
        idle_since: Instant::now(),
        ended: false,
    }
}

/// Jobs are named by their cartridge; `<A` has it put away, `A@S` wants the drive of that serial.
fn state(drives: &[&str], jobs: &[&str], results: &mpsc::Sender<Result<(), Error>>) -> State {
    let job = |(number, name): (usize, &&str)| {
        let results = results.clone();
        let expected = Expected {
            uuid: VolumeUuid::from_u128(1),
            mam_serial: String::new(),
            catalog_id: CatalogId::from_u128(1),
            generation: 1,
            eod_block: 7,
            end: End::Clean,
        };
        let done: Done = Box::new(move |result| results.send(result.map(|_| ())).unwrap());
        let (name, work) = match name.strip_prefix('<') {
            Some(name) => (name, Work::PutAway { done: Box::new(drop) }),
            None => (*name, Work::Read { expected, work: Box::new(|_| WorkEnd::Keep), done }),
        };
        let (name, drive) = name.split_once('@').map_or((name, None), |(name, drive)| (name, Some(drive)));
        let drive = drive.map(str::to_owned);
        Job { number: JobNumber(number as u64), barcode: barcode(name), drive, work }
    };
    State {
        jobs: jobs.iter().enumerate().map(job).collect(),
        next_number: 100,
        leaving: BTreeMap::new(),
        inventory: Inventory::default(),
        ours: Ours::All,
        spent: BTreeSet::new(),
        drives: drives.iter().map(|text| drive(text)).collect(),
        charges: Charges::default(),
        stopping: false,
        held: false,
        abandoned: false,
    }
}

/// What drive 0 does: `run <number>`, `fail <number>`, `unload`, `end`, `wait`, `wait a while`.
fn check(drives: &[&str], jobs: &[&str], expected: &str) {
    let (results, _) = mpsc::channel();
    let mut state = state(drives, jobs, &results);
    let action = describe(&state.select(0, Instant::now(), IDLE));
    assert_eq!(action, expected, "drives {drives:?}, jobs {jobs:?}");
}

fn describe(action: &Action) -> String {
    match action {
        Action::Run(job) => format!("run {}", job.number.0),
        Action::Fail(job, _) => format!("fail {}", job.number.0),
        Action::Tell(_, Ok(())) => "away".to_owned(),
        Action::Tell(_, Err(_)) => "refuse".to_owned(),
        Action::Clean(cleaner, _) => format!("clean with {cleaner}"),
        Action::Unload => "unload".to_owned(),
        Action::End => "end".to_owned(),
        Action::Wait(None) => "wait".to_owned(),
        Action::Wait(Some(_)) => "wait a while".to_owned(),
    }
}

#[test]
fn a_drive_takes_the_job_that_costs_least() {
    check(&["- i", "- i"], &[], "wait");
    check(&["- i", "- i"], &["A", "B"], "run 0");
    check(&["B i", "- i"], &["A", "B"], "run 1");
    check(&["- i", "B i"], &["B", "A"], "run 1");
    check(&["- i", "B b"], &["B"], "wait");
    check(&["C i", "- i"], &["A"], "wait a while");
    check(&["C i", "- b"], &["A"], "run 0");
    check(&["C i", "- d"], &["A"], "run 0");
    check(&["C i", "D i"], &[], "wait a while");
}

#[test]
fn a_job_that_no_drive_can_run_fails() {
    check(&["- i", "A d"], &["A"], "fail 0");
    check(&["- i", "A d"], &["B", "A"], "fail 1");
    check(&["- d", "- d"], &["B"], "fail 0");
    check(&["- d", "- i"], &["B"], "wait");
    check(&["- d", "- d"], &[], "wait");
}

#[test]
fn a_drive_that_asks_for_it_is_cleaned_when_it_can_be() {
    let (results, _) = mpsc::channel();
    let mut state = state(&["A i", "B i"], &["A"], &results);
    state.drives[0].wants_cleaning = true;
    assert_eq!(describe(&state.select(0, Instant::now(), IDLE)), "run 0", "no cleaning cartridge");
    let barcode = Some(barcode("CLN001L1"));
    let slot = crate::Slot { element: 7, full: true, barcode, reachable: true, by_hand: false };
    state.inventory.slots.push(slot);
    let action = state.select(0, Instant::now(), IDLE);
    assert_eq!(describe(&action), "clean with CLN001L1");
    state.apply(0, &action);
    state.drives[1].wants_cleaning = true;
    assert_eq!(describe(&state.select(1, Instant::now(), IDLE)), "wait a while", "it is in use");
    state.drives[1].clean = Some(Box::new(drop));
    assert_eq!(describe(&state.select(1, Instant::now(), IDLE)), "refuse");
}

#[test]
fn a_drive_out_of_use_gives_its_cartridge_back() {
    let (results, _) = mpsc::channel();
    let mut state = state(&["A i", "- i"], &["A"], &results);
    state.drives[0].out_of_use = Some("noisy".to_owned());
    assert_eq!(describe(&state.select(0, Instant::now(), IDLE)), "unload");
    state.drives[0].holds = None;
    assert_eq!(describe(&state.select(0, Instant::now(), IDLE)), "wait");
    assert_eq!(describe(&state.select(1, Instant::now(), IDLE)), "run 0");
}

#[test]
fn a_cartridge_is_put_away_after_the_jobs_before() {
    check(&["- i", "- i"], &["<A"], "away");
    check(&["- d", "- d"], &["<A"], "away");
    check(&["A i", "- i"], &["<A"], "run 0");
    check(&["- i", "A i"], &["<A"], "wait");
    check(&["- i", "A d"], &["<A"], "fail 0");
    check(&["A i", "- i"], &["A", "<A"], "run 0");
    check(&["- i", "- i"], &["A", "<A"], "run 0");
}

#[test]
fn a_cartridge_that_leaves_is_used_by_older_jobs_alone() {
    let (results, _) = mpsc::channel();
    let mut state = state(&["A i", "- i"], &["<A", "A", "A"], &results);
    state.leaving.insert(barcode("A"), JobNumber(2));
    let described = |state: &mut State| describe(&state.select(0, Instant::now(), IDLE));
    assert_eq!([described(&mut state), described(&mut state)], ["run 0", "run 1"]);
    state.drives[0].holds = None;
    assert_eq!(described(&mut state), "wait");
    state.leaving.clear();
    assert_eq!(described(&mut state), "run 2");
}

#[test]
fn a_job_for_one_drive_waits_for_it() {
    check(&["- i", "- i"], &["A@S- i"], "run 0");
    check(&["- i", "B i"], &["A@SB i"], "wait");
    check(&["B i", "- i"], &["A@SB i"], "run 0");
    check(&["- i", "B d"], &["A@SB d"], "fail 0");
}

#[test]
fn a_cartridge_on_its_way_back_is_waited_for() {
    let (results, _) = mpsc::channel();
    let mut state = state(&["- i", "A i"], &["B", "A"], &results);
    state.drives[0].ended = true;
    let action = state.select(1, Instant::now(), IDLE);
    state.apply(1, &action);
    assert_eq!(describe(&action), "run 1", "its own cartridge first");
    state.drives[1].state = DriveState::Idle;
    let action = state.select(1, Instant::now(), IDLE);
    state.apply(1, &action);
    assert_eq!(state.drives[1].returning, Some(barcode("A")));
    assert!(state.drives[1].has(&barcode("A")) && state.drives[1].has(&barcode("B")));
}

#[test]
fn idle_cartridges_go_back_and_stopping_ends_all() {
    let (results, _) = mpsc::channel();
    let mut state = state(&["A i", "- i", "B d"], &[], &results);
    let later = Instant::now() + IDLE;
    assert_eq!(describe(&state.select(0, later, IDLE)), "unload");
    state.stopping = true;
    assert_eq!(describe(&state.select(0, Instant::now(), IDLE)), "unload");
    assert_eq!(describe(&state.select(1, Instant::now(), IDLE)), "end");
    assert_eq!(
        describe(&state.select(2, Instant::now(), IDLE)),
        "end",
        "a drive that is down keeps its cartridge"
    );
    state.abandoned = true;
    assert_eq!(describe(&state.select(0, Instant::now(), IDLE)), "end");
}

#[test]
fn while_a_library_is_held_cartridges_go_back_and_jobs_wait() {
    let (results, _) = mpsc::channel();
    let mut state = state(&["A i", "- i", "B d"], &["A", "C"], &results);
    state.held = true;
    let does = |state: &mut State, me| describe(&state.select(me, Instant::now(), IDLE));
    assert_eq!(does(&mut state, 0), "unload");
    assert_eq!((does(&mut state, 1), does(&mut state, 2)), ("wait".to_owned(), "wait".to_owned()));
    state.held = false;
    assert_eq!(does(&mut state, 0), "run 0");
}
