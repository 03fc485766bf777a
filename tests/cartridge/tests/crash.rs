//! The process dies, or the power fails, at every commit boundary and at every write in between: a stranger finds what
//! was committed before the next mount, and that and what was added after it.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod support;

use std::sync::{Arc, Mutex};

use library::{AppendError, Appending, CopyLabel, Mounted, PackFile, WorkEnd};
use serde_json::{Value, json};
use support::packs::{Pack, data, member, spool};
use support::{Shelf, copy, export, judge, packs_in};
use virtual_library::{Effect, Fault, Sense, Unit};

const WRITE: u8 = 0x0A;
const WRITE_FILEMARKS: u8 = 0x10;
const WRITE_ATTRIBUTE: u8 = 0x8D;
/// Where the cartridge is kept as it was at the moment of death.
const IMAGE: &str = "image";
/// Commit groups of the mount that is cut short.
const GROUPS: usize = 3;

/// How the mount ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    /// The process dies: what the drive accepted is on tape.
    Process,
    /// The power fails: what no filemark or motion made durable is gone.
    Power,
}

/// Three packs for the groups and one for after the recovery; the second is several blocks long.
fn spooled(shelf: &Shelf) -> Arc<Vec<Pack>> {
    let lengths = [100, 1_100_000, 0, 700];
    let pack = |(n, length): (usize, usize)| {
        spool(shelf.dir.path(), n as u128, vec![member(n as u128, &format!("key {n}"), data(1, length))])
    };
    Arc::new(lengths.into_iter().enumerate().map(pack).collect())
}

fn group(pack: &Pack, mounted: &mut Mounted<Appending>) -> Result<(), AppendError> {
    pack.append(mounted)?;
    mounted.append_journal(&[pack.entry()])?;
    mounted.commit().map(|_| ())
}

/// Writes `deadly` groups and dies, or dies of a command that fails after the first. How many were acknowledged.
fn mount_and_die(
    shelf: &mut Shelf,
    packs: &Arc<Vec<Pack>>,
    deadly: usize,
    death: Death,
    fault: Option<Fault>,
) -> usize {
    let committed = Arc::new(Mutex::new(0));
    let (packs, acknowledged, machine) = (packs.clone(), committed.clone(), shelf.machine.clone());
    let (cartridge, image) = (shelf.cartridge(), shelf.dir.path().join(IMAGE));
    std::fs::create_dir(&image).unwrap();
    let result = shelf.append(move |mounted| {
        for pack in &packs[..deadly] {
            if group(pack, mounted).is_err() {
                break;
            }
            *acknowledged.lock().unwrap() += 1;
            fault.iter().for_each(|fault| machine.faults().inject(*fault));
        }
        machine.faults().clear();
        if death == Death::Power {
            machine.cut_power().unwrap();
        }
        copy(&cartridge, &image);
        panic!("the process dies here")
    });
    assert!(result.is_err());
    *committed.lock().unwrap()
}

/// The next mount recovers and appends one more pack.
fn recover(shelf: &mut Shelf, packs: &Arc<Vec<Pack>>) {
    let packs = packs.clone();
    shelf
        .append(move |mounted| {
            assert!(mounted.recovered().is_some());
            group(&packs[GROUPS], mounted).unwrap();
            WorkEnd::Unload
        })
        .unwrap();
}

fn ids(packs: &[Pack]) -> Vec<String> {
    packs.iter().map(|pack| pack.id.clone()).collect()
}

/// What no index lists must be what the journals call dead.
fn check_dead_blocks(report: &Value) {
    let journals =
        report["journals"].as_array().unwrap().iter().flat_map(|entries| entries.as_array().unwrap());
    let dead = journals.filter(|entry| entry["event"] == "dead_blocks");
    let dead: Vec<Value> = dead.map(|entry| json!([entry["first"], entry["end"]])).collect();
    assert_eq!(report["unlisted"], Value::from(dead));
}

/// Judges a cartridge before and after its recovery: `durable` groups must be found.
fn check(shelf: &mut Shelf, packs: &Arc<Vec<Pack>>, durable: usize, case: &str) {
    let before = shelf.dir.path().join("before");
    export(&shelf.dir.path().join(IMAGE), &before);
    let report = judge(&before, &["--after-crash", "--packs"]);
    let found = packs_in(&report);
    assert_eq!(found, ids(&packs[..durable]), "{case}");
    assert_eq!(report["generation"], 1 + durable as u64, "{case}");
    recover(shelf, packs);
    let report = judge(&shelf.export("after"), &["--packs"]);
    let mut expected = ids(&packs[..durable]);
    expected.push(packs[GROUPS].id.clone());
    assert_eq!(packs_in(&report), expected, "{case}");
    assert_eq!(report["tail"], 0, "{case}");
    check_dead_blocks(&report);
}

#[test]
fn at_every_commit_boundary_exactly_what_was_committed_is_found() {
    for death in [Death::Process, Death::Power] {
        for groups in 0..=GROUPS {
            let mut shelf = Shelf::new();
            let packs = spooled(&shelf);
            assert_eq!(mount_and_die(&mut shelf, &packs, groups, death, None), groups);
            check(&mut shelf, &packs, groups, &format!("{death:?} after group {groups}"));
        }
    }
}

/// Dies at the first, second, ... command of a kind in the second group, until all of that group's were tried. How many
/// that were.
fn die_at_every(opcode: u8, death: Death, effect: Effect) -> u32 {
    for skip in 0.. {
        let mut shelf = Shelf::new();
        let packs = spooled(&shelf);
        let fault = Fault { unit: Unit::Drive(0), opcode: Some(opcode), skip, times: 1, effect };
        let committed = mount_and_die(&mut shelf, &packs, 2, death, Some(fault));
        if committed == 2 {
            return skip;
        }
        assert_eq!(committed, 1);
        // Whether the index of the second group is on tape depends on which command failed, and the reader must know.
        let closing = opcode == WRITE_ATTRIBUTE
            || (opcode == WRITE_FILEMARKS && skip == 1 && effect == Effect::SilenceAfter);
        let found = if closing { 2 } else { 1 };
        check(&mut shelf, &packs, found, &format!("{death:?} at {opcode:02x}h number {skip}, {effect:?}"));
    }
    unreachable!("the loop ends when no command is left")
}

const REFUSED: Effect = Effect::Fail(Sense::new(4, 0x44, 0));

#[test]
fn at_every_block_written_the_committed_packs_are_found() {
    // Three blocks of the pack, its manifest, the journal, the index.
    assert_eq!(die_at_every(WRITE, Death::Process, REFUSED), 6);
}

#[test]
fn a_power_cut_at_every_block_costs_no_committed_pack() {
    assert_eq!(die_at_every(WRITE, Death::Power, Effect::SilenceAfter), 6);
}

#[test]
fn at_every_filemark_and_attribute_the_committed_packs_are_found() {
    assert_eq!(die_at_every(WRITE_FILEMARKS, Death::Process, REFUSED), 2);
    assert_eq!(die_at_every(WRITE_FILEMARKS, Death::Power, Effect::SilenceAfter), 2);
    assert_eq!(die_at_every(WRITE_ATTRIBUTE, Death::Process, REFUSED), 1);
}

#[test]
fn a_death_while_the_index_partition_is_written_costs_nothing() {
    for (opcode, skip) in [(WRITE_FILEMARKS, 0), (WRITE, 0), (WRITE_FILEMARKS, 1), (WRITE_ATTRIBUTE, 0)] {
        let mut shelf = Shelf::new();
        let packs = spooled(&shelf);
        let (of, machine) = (packs.clone(), shelf.machine.clone());
        let fault = Fault { unit: Unit::Drive(0), opcode: Some(opcode), skip, times: 1, effect: REFUSED };
        let report = shelf.append(move |mounted| {
            group(&of[0], mounted).unwrap();
            machine.faults().inject(fault);
            WorkEnd::Keep
        });
        report.unwrap();
        assert_eq!(shelf.machine.faults().pending(), 0, "the index partition is written after the work");
        let report = judge(&shelf.export("before"), &["--after-crash", "--packs"]);
        assert_eq!(packs_in(&report), ids(&packs[..1]), "{opcode:02x}h number {skip}");
        let of = packs.clone();
        let report = shelf.append(move |mounted| {
            group(&of[1], mounted).unwrap();
            WorkEnd::Unload
        });
        report.unwrap();
        let report = judge(&shelf.export("after"), &["--packs"]);
        assert_eq!(packs_in(&report), ids(&packs[..2]), "{opcode:02x}h number {skip}");
        assert_eq!(report["unlisted"], json!([]));
    }
}

#[test]
fn on_a_full_volume_a_torn_index_is_not_closed_by_the_next_one() {
    let mut shelf = Shelf::new();
    let packs = spooled(&shelf);
    let (of, machine, path) = (packs.clone(), shelf.machine.clone(), shelf.dir.path().join("filler"));
    let died = shelf.append(move |mounted| {
        group(&of[0], mounted).unwrap();
        // As much as fits, so that not even a journal does.
        let manifest = b"none";
        let bytes = mounted.remaining_bytes() - manifest.len() as u64;
        std::fs::write(&path, vec![0; bytes as usize]).unwrap();
        let digest = *blake3::hash(&std::fs::read(&path).unwrap()).as_bytes();
        let (id, path, sealed) = ("FILLER".to_owned(), path.clone(), false);
        let filler = PackFile { id, path, bytes, digest, sealed, manifest, copy: CopyLabel::default() };
        mounted.append_pack(&filler).unwrap();
        assert_eq!(mounted.remaining_bytes(), 0);
        // The closing filemark of its index.
        let opcode = Some(WRITE_FILEMARKS);
        machine.faults().inject(Fault { unit: Unit::Drive(0), opcode, skip: 1, times: 1, effect: REFUSED });
        assert!(mounted.commit().is_err());
        WorkEnd::Keep
    });
    assert!(died.is_err());
    let recovered = shelf.append(|mounted| {
        assert_eq!(mounted.recovered().unwrap().generation, 2);
        WorkEnd::Unload
    });
    assert_eq!(recovered.unwrap().generation, 3);
    let report = judge(&shelf.export("after"), &["--packs"]);
    assert_eq!(packs_in(&report), ids(&packs[..1]));
    assert_eq!((report["generation"].as_u64(), report["tail"].as_u64()), (Some(3), Some(0)));
}
