//! The write fence, and what is found after a power cut.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod host;

use std::sync::{Arc, Mutex};

use host::{CATALOG, Host, Row, remember};
use library::{CatalogId, End, Error, FenceMismatch, VolumeUuid, WorkEnd};

/// What the fence says to an append that expects `row`; the work must not run.
fn refusal(host: &Host, barcode: &library::Barcode, row: &Row) -> FenceMismatch {
    match host.append_with(barcode, row, |_| panic!("the fence let it through")) {
        Err(Error::Fence { what, .. }) => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_difference_stops_the_first_write() {
    let host = Host::new(1);
    let barcode = host.barcode(0);
    let mut row = host.label(&barcode, 1);
    host.append(&barcode, &mut row, &[1]).unwrap();
    let before = host.packs(&barcode, &row).unwrap();
    type Change = fn(&mut Row);
    type Says = fn(&FenceMismatch) -> bool;
    let cases: [(Change, Says); 6] = [
        (|row| row.uuid = VolumeUuid::from_u128(9), |what| matches!(what, FenceMismatch::Uuid { .. })),
        (|row| row.mam_serial = "OTHER".to_owned(), |what| matches!(what, FenceMismatch::MamSerial { .. })),
        (
            |row| row.catalog_id = CatalogId::from_u128(9),
            |what| matches!(what, FenceMismatch::Catalog { .. }),
        ),
        (|row| row.generation += 1, |what| matches!(what, FenceMismatch::Generation { .. })),
        (|row| row.generation -= 1, |what| matches!(what, FenceMismatch::Generation { .. })),
        (|row| row.eod_block += 1, |what| matches!(what, FenceMismatch::EndOfData { .. })),
    ];
    for (change, says) in cases {
        let mut wrong = row.clone();
        change(&mut wrong);
        let what = refusal(&host, &barcode, &wrong);
        assert!(says(&what), "{what:?}");
    }
    assert_eq!(host.packs(&barcode, &row).unwrap(), before);
    host.append(&barcode, &mut row, &[2]).unwrap();
}

#[test]
fn a_swapped_cartridge_is_not_written() {
    let host = Host::new(1);
    let (one, other) = (host.barcode(0), host.barcode(1));
    let (first, second) = (host.label(&one, 1), host.label(&other, 2));
    host.label(&host.barcode(2), 3); // both are in their slots now
    let name = |barcode: &library::Barcode| virtual_library::Barcode::parse(barcode.as_str()).unwrap();
    host.machine.swap_barcodes(&name(&one), &name(&other)).unwrap();
    assert!(
        matches!(refusal(&host, &one, &first), FenceMismatch::Uuid { found, .. } if found == second.uuid)
    );
    assert!(
        matches!(host.packs(&one, &first), Err(Error::Fence { .. })),
        "nor is another volume read in its place"
    );
    // The caller's row for the other volume finds its cartridge under the wrong barcode.
    assert!(matches!(refusal(&host, &one, &second), FenceMismatch::Label { .. }));
}

#[test]
fn a_foreign_or_blank_cartridge_is_not_written() {
    let host = Host::new(1);
    let barcode = host.barcode(0);
    let row = host.label(&barcode, 1);
    assert!(matches!(refusal(&host, &host.barcode(3), &row), FenceMismatch::NotLabelled));
}

#[test]
fn an_older_generation_is_noticed() {
    let mut host = Host::new(1);
    let barcode = host.barcode(0);
    let mut row = host.label(&barcode, 1);
    host.append(&barcode, &mut row, &[1]).unwrap();
    let newer = row.clone();
    // The cartridge was replaced by an older copy of itself: what the catalog knows is ahead of what is on tape.
    let mut ahead = newer.clone();
    ahead.generation += 1;
    ahead.eod_block += 5;
    ahead.end = End::Unclean;
    assert!(matches!(refusal(&host, &barcode, &ahead), FenceMismatch::Generation { .. }));
    host.restart();
    assert!(matches!(refusal(&host, &barcode, &ahead), FenceMismatch::Generation { .. }));
}

#[test]
fn a_newest_index_that_cannot_be_read_is_noticed_by_cartridge_memory() {
    let mut host = Host::new(1);
    let barcode = host.barcode(0);
    let labelled = host.label(&barcode, 1);
    let mut row = labelled.clone();
    host.append(&barcode, &mut row, &[1]).unwrap();
    host.restart();
    let name = virtual_library::Barcode::parse(barcode.as_str()).unwrap();
    host.machine.faults().damage_block(&name, 1, row.eod_block - 2);
    // The process died before it could write down the commit: what it knows fits the index that is found.
    let behind = Row { end: End::Unclean, ..labelled };
    let what = refusal(&host, &barcode, &behind);
    assert_eq!(what, FenceMismatch::Memory { noted: 2, found: 1 });
}

#[test]
fn a_power_cut_at_every_boundary_leaves_exactly_what_was_committed() {
    // Steps of a mount: append 1, append 2, commit, append 3, commit, journal, commit, end.
    for cut_at in 0..7 {
        let mut host = Host::new(1);
        let barcode = host.barcode(0);
        let mut row = host.label(&barcode, 1);
        let packs = [host.spool(1), host.spool(2), host.spool(3)];
        let committed = Arc::new(Mutex::new((row.generation, row.eod_block, Vec::new())));
        let (told, machine) = (committed.clone(), host.machine.clone());
        let result = host.append_with(&barcode, &row, move |mounted| {
            for (step, name) in ["1", "2", "c", "3", "c", "j", "c"].into_iter().enumerate() {
                if step == cut_at {
                    machine.cut_power().unwrap();
                }
                let done = match name {
                    "c" => mounted.commit().map(|commit| {
                        let listed = if step == 2 { vec![1, 2] } else { vec![1, 2, 3] };
                        *told.lock().unwrap() = (commit.generation, commit.eod_block, listed);
                    }),
                    "j" => mounted.append_journal(&[]).map(|_| ()),
                    pack => packs[pack.parse::<usize>().unwrap() - 1].append(mounted).map(|_| ()),
                };
                if done.is_err() {
                    return WorkEnd::Keep;
                }
            }
            WorkEnd::Keep
        });
        assert!(result.is_err(), "cut at {cut_at}");
        let (generation, eod_block, listed) = committed.lock().unwrap().clone();
        (row.generation, row.eod_block, row.end) = (generation, eod_block, End::Unclean);
        host.restart();
        let recovering = row.clone();
        let report = host
            .append_with(&barcode, &recovering, move |mounted| {
                let found = mounted.recovered().unwrap();
                assert_eq!(found.generation, generation);
                WorkEnd::Keep
            })
            .unwrap();
        remember(&mut row, &report);
        assert_eq!(host.packs(&barcode, &row).unwrap(), listed, "cut at {cut_at}");
        host.append(&barcode, &mut row, &[4]).unwrap();
        assert_eq!(host.packs(&barcode, &row).unwrap(), [&listed[..], &[4]].concat());
    }
}

#[test]
fn a_process_that_dies_with_a_torn_end_goes_on_behind_it() {
    let mut host = Host::new(1);
    let barcode = host.barcode(0);
    let mut row = host.label(&barcode, 1);
    host.append(&barcode, &mut row, &[1]).unwrap();
    let (two, three) = (host.spool(2), host.spool(3));
    // The drive keeps its buffer when only the process dies: an uncommitted pack and half of another stand on tape.
    let torn = host.append_with(&barcode, &row, move |mounted| {
        two.append(mounted).unwrap();
        three.append(mounted).unwrap();
        panic!("kill -9");
    });
    assert!(torn.is_err());
    host.restart();
    assert!(
        matches!(refusal(&host, &barcode, &row), FenceMismatch::EndOfData { .. }),
        "a clean end was expected"
    );
    row.end = End::Unclean;
    let report = host
        .append_with(&barcode, &row, |mounted| {
            let found = mounted.recovered().unwrap().clone();
            assert!(found.dead_blocks.end - found.dead_blocks.start >= 7);
            WorkEnd::Keep
        })
        .unwrap();
    remember(&mut row, &report);
    assert_eq!(host.packs(&barcode, &row).unwrap(), [1]);
    assert_eq!(row.catalog_id, CatalogId::from_u128(CATALOG));
}

#[test]
fn work_without_a_commit_is_abandoned_and_the_volume_ends_with_an_index() {
    let host = Host::new(1);
    let barcode = host.barcode(0);
    let mut row = host.label(&barcode, 1);
    let pack = host.spool(3);
    let report = host
        .append_with(&barcode, &row, move |mounted| {
            pack.append(mounted).unwrap();
            WorkEnd::Keep
        })
        .unwrap();
    assert_eq!(report.abandoned, ["PACK-3"]);
    remember(&mut row, &report);
    assert_eq!(host.packs(&barcode, &row).unwrap(), [0; 0]);
    host.append(&barcode, &mut row, &[3]).unwrap();
    assert_eq!(host.packs(&barcode, &row).unwrap(), [3]);
}
