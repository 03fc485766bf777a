//! Mounting, labelling, reading and appending on a virtual library.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod host;

use std::sync::mpsc;
use std::time::Duration;

use host::{Host, MIB, content, gate, identity, mount};
use library::{AppendError, DriveState, Error, Overwrite, QueueFull, WorkEnd};
use virtual_library::{Effect, Fault, Unit};
use volume::pack::ReadAt;

#[test]
fn what_is_appended_in_one_life_is_read_in_the_next() {
    let mut host = Host::new(2);
    let barcode = host.barcode(0);
    let mut row = host.label(&barcode, 1);
    assert_eq!((row.generation, row.eod_block), (1, 7));
    host.append(&barcode, &mut row, &[0, 1]).unwrap();
    let report = host.append(&barcode, &mut row, &[2]).unwrap();
    assert_eq!((report.generation, report.abandoned.len()), (3, 0));
    assert_eq!(host.packs(&barcode, &row).unwrap(), [0, 1, 2]);
    host.library.shutdown(Duration::from_secs(30)).unwrap();
    assert!(host.machine_is_parked());

    host.restart();
    assert_eq!(host.packs(&barcode, &row).unwrap(), [0, 1, 2]);
    host.append(&barcode, &mut row, &[3]).unwrap();
    assert_eq!(host.packs(&barcode, &row).unwrap(), [0, 1, 2, 3]);
    // The process dies with the cartridge in the drive; the next one takes it over.
    host.restart();
    assert_eq!(host.packs(&barcode, &row).unwrap(), [0, 1, 2, 3]);
    host.append(&barcode, &mut row, &[4]).unwrap();
    host.library.shutdown(Duration::from_secs(30)).unwrap();
}

#[test]
fn a_cartridge_left_in_a_drive_by_a_dead_process_makes_room_for_another() {
    let mut host = Host::new(1);
    let (left, other) = (host.barcode(0), host.barcode(1));
    let mut row = host.label(&left, 1);
    host.append(&left, &mut row, &[1]).unwrap();
    // The process died and the power went: the drive loads again by itself and has several attentions to tell.
    host.library.quiesce(Duration::from_secs(60)).unwrap();
    host.machine.cut_power().unwrap();
    host.restart();
    host.label(&other, 2);
    assert_eq!(host.packs(&left, &row).unwrap(), [1]);
    assert!(host.library.drives().iter().all(|drive| drive.last_error.is_none()));
    host.library.shutdown(Duration::from_secs(60)).unwrap();
}

#[test]
fn a_pack_is_read_at_any_offset() {
    let host = Host::new(1);
    let barcode = host.barcode(0);
    let mut row = host.label(&barcode, 1);
    host.append(&barcode, &mut row, &[1, 3]).unwrap();
    let expected = content(3);
    host.read_with(&barcode, &row, move |mounted| {
        let pack = mounted.packs().pop().unwrap();
        let mut source = mounted.pack_source(pack.start_block, pack.bytes);
        for (offset, bytes) in [(0, 10), (524_280, 20), (1_999_990, 10), (5, 5), (1_000_000, 600_000)] {
            let mut buffer = vec![0; bytes];
            let mut done = 0;
            while done < bytes {
                done += source.read_at(offset + done as u64, &mut buffer[done..]).unwrap();
            }
            assert!(buffer == expected[offset as usize..][..bytes]);
        }
        assert_eq!(source.read_at(2_000_000, &mut [0; 4]).unwrap(), 0);
        let mut middle = Vec::new();
        mounted.read_pack(pack.start_block, 600_000..600_010, &mut middle).unwrap();
        assert!(middle == expected[600_000..600_010]);
    })
    .unwrap();
}

#[test]
fn a_cartridge_that_is_not_blank_is_labelled_only_when_it_is_named() {
    let host = Host::new(1);
    let barcode = host.barcode(0);
    host.label(&barcode, 1);
    let again = host.library.label(&barcode, identity(2), Overwrite::Never);
    assert!(matches!(again, Err(Error::NotBlank { found: Some(uuid), .. }) if uuid == identity(1).uuid));
    let other = host.library.label(&barcode, identity(2), Overwrite::Volume(identity(3).uuid));
    assert!(matches!(other, Err(Error::NotBlank { .. })));
    let labelled = host.library.label(&barcode, identity(2), Overwrite::Volume(identity(1).uuid)).unwrap();
    assert_eq!((labelled.generation, labelled.uuid), (1, identity(2).uuid));
    assert!(labelled.capacity_bytes > 50 * MIB && labelled.remaining_bytes < labelled.capacity_bytes);
}

#[test]
fn work_on_several_cartridges_shares_the_drives() {
    let host = Host::new(2);
    let (sender, receiver) = mpsc::channel();
    let rows: Vec<_> = (0..4).map(|n| (host.barcode(n), n)).collect();
    let rows: Vec<_> =
        rows.into_iter().map(|(barcode, n)| (host.label(&barcode, n as u128), barcode, n)).collect();
    for round in 0..3 {
        for (row, barcode, n) in &rows {
            let pack = host.spool(round * 4 + n);
            let mut row = row.clone();
            row.end = library::End::Unclean;
            let sender = sender.clone();
            let work = Box::new(move |mounted: &mut library::Mounted<library::Appending>| {
                pack.append(mounted).unwrap();
                mounted.commit().unwrap();
                WorkEnd::Keep
            });
            let n = *n;
            let done = Box::new(move |result: Result<_, Error>| sender.send((n, result)).unwrap());
            host.library.append(mount(barcode, &row), work, done).unwrap();
        }
    }
    for _ in 0..12 {
        receiver.recv_timeout(Duration::from_secs(60)).unwrap().1.unwrap();
    }
    for (row, barcode, n) in &rows {
        assert_eq!(host.packs(barcode, row).unwrap(), [*n, n + 4, n + 8]);
    }
    host.library.shutdown(Duration::from_secs(30)).unwrap();
    assert!(host.machine_is_parked());
}

#[test]
fn a_cartridge_that_is_not_there_is_missing_and_found_when_it_comes_back() {
    let host = Host::new(1);
    let barcode = host.barcode(0);
    let row = host.label(&barcode, 1);
    let other = host.barcode(1);
    host.label(&other, 2); // the first one goes back into its slot
    let outside = host.machine.remove(&virtual_library::Barcode::parse(barcode.as_str()).unwrap()).unwrap();
    assert!(matches!(host.packs(&barcode, &row), Err(Error::Missing { .. })));
    host.machine.insert(&outside, virtual_library::Place::Slot).unwrap();
    assert_eq!(host.packs(&barcode, &row).unwrap(), [0; 0]);
}

#[test]
fn a_drive_that_does_not_answer_is_down_and_the_other_goes_on() {
    let host = Host::new(2);
    let (first, second) = (host.barcode(0), host.barcode(1));
    let mut row = host.label(&first, 1);
    let mut other = host.label(&second, 2);
    let drive =
        host.library.drives().iter().position(|drive| drive.barcode.as_ref() == Some(&first)).unwrap();
    let silence = Fault {
        unit: Unit::Drive(drive),
        opcode: Some(scsi::opcode::WRITE_6),
        skip: 0,
        times: 1,
        effect: Effect::Silence,
    };
    host.machine.faults().inject(silence);
    let pack = host.spool(1);
    let failed = host.append_with(&first, &row, move |mounted| {
        assert!(matches!(pack.append(mounted), Err(AppendError::Tape(_))));
        assert!(mounted.commit().is_err());
        WorkEnd::Keep
    });
    let error = failed.unwrap_err();
    assert!(matches!(&error, Error::Drive { blame: library::Blame::Path, .. }), "{error:?}");
    host.append(&second, &mut other, &[2]).unwrap();
    assert!(matches!(host.packs(&first, &row), Err(Error::Stranded { .. })));
    let serial = host.library.drives()[drive].serial.clone();
    host.library.quiesce(Duration::from_secs(30)).unwrap();
    assert!(matches!(host.library.drives()[drive].state, DriveState::Down { .. }));

    // Somebody switched it off and on.
    host.machine.cut_power().unwrap();
    host.library.drive_up(&serial).unwrap();
    row.end = library::End::Unclean;
    host.append(&first, &mut row, &[3]).unwrap();
    assert_eq!(host.packs(&first, &row).unwrap(), [3]);
}

#[test]
fn a_bad_block_is_damage_of_that_pack_only() {
    let host = Host::new(1);
    let barcode = host.barcode(0);
    let mut row = host.label(&barcode, 1);
    host.append(&barcode, &mut row, &[1, 3]).unwrap();
    let bad = virtual_library::Barcode::parse(barcode.as_str()).unwrap();
    let faults = host.machine.faults();
    let (first, second) = host
        .read_with(&barcode, &row, move |mounted| {
            let packs = mounted.packs();
            faults.damage_block(&bad, 1, packs[0].start_block + 1);
            let mut sink = Vec::new();
            let first = mounted.read_pack(packs[0].start_block, 0..packs[0].bytes, &mut sink);
            sink.clear();
            let second = mounted.read_pack(packs[1].start_block, 0..packs[1].bytes, &mut sink);
            (first, second.map(|()| sink))
        })
        .unwrap();
    assert_eq!(first.unwrap_err().remedy(), library::Remedy::Damage);
    assert!(second.unwrap() == content(3));
    host.library.quiesce(Duration::from_secs(30)).unwrap();
    assert_eq!(host.library.drives()[0].state, DriveState::Idle);
}

#[test]
fn a_spool_file_that_changed_is_refused_and_the_rest_goes_on() {
    let host = Host::new(1);
    let barcode = host.barcode(0);
    let mut row = host.label(&barcode, 1);
    let (changed, short, good) = (host.spool(1), host.spool(2), host.spool(3));
    std::fs::write(&changed.path, vec![0; changed.bytes as usize]).unwrap();
    std::fs::write(&short.path, b"short").unwrap();
    let report = host
        .append_with(&barcode, &row, move |mounted| {
            assert!(matches!(changed.append(mounted), Err(AppendError::Spool { .. })));
            assert!(matches!(short.append(mounted), Err(AppendError::Spool { .. })));
            good.append(mounted).unwrap();
            assert!(matches!(good.append(mounted), Err(AppendError::Refused(_))));
            assert_eq!(mounted.append_journal(&[]).unwrap(), 1);
            assert_eq!(mounted.append_journal(&[]).unwrap(), 2);
            mounted.commit().unwrap();
            WorkEnd::Unload
        })
        .unwrap();
    host::remember(&mut row, &report);
    assert_eq!(host.packs(&barcode, &row).unwrap(), [3]);
}

#[test]
fn a_full_volume_says_so_before_the_pack_begins() {
    let host = Host::new(1);
    let barcode = host.barcode(0);
    let row = host.label(&barcode, 1);
    let mut pack = host.spool(0);
    let big = vec![9; 25 << 20];
    std::fs::write(&pack.path, &big).unwrap();
    (pack.bytes, pack.digest) = (big.len() as u64, *blake3::hash(&big).as_bytes());
    let report = host
        .append_with(&barcode, &row, move |mounted| {
            pack.n = 100;
            pack.append(mounted).unwrap();
            pack.n = 101;
            pack.append(mounted).unwrap();
            pack.n = 102;
            let before = mounted.remaining_bytes();
            assert!(matches!(pack.append(mounted), Err(AppendError::Full)));
            assert_eq!(mounted.remaining_bytes(), before);
            mounted.commit().unwrap();
            WorkEnd::Unload
        })
        .unwrap();
    assert!(report.remaining_bytes < 25 * MIB);
}

#[test]
fn shutdown_ends_the_current_work_and_fails_what_waits() {
    let host = Host::new(1);
    let barcode = host.barcode(0);
    let row = host.label(&barcode, 1);
    let (open, wait) = gate();
    let (sender, receiver) = mpsc::channel();
    let (begun, started) = mpsc::channel();
    let report = sender.clone();
    let work = Box::new(move |mounted: &mut library::Mounted<library::Reading>| {
        begun.send(()).unwrap();
        wait.recv().unwrap();
        assert!(mounted.stopping());
        WorkEnd::Keep
    });
    host.library
        .read(mount(&barcode, &row), work, Box::new(move |result| report.send(result.is_ok()).unwrap()))
        .unwrap();
    started.recv().unwrap();
    let done = Box::new(move |result: Result<_, Error>| {
        assert!(matches!(result, Err(Error::Stopping)));
        sender.send(false).unwrap();
    });
    host.library.read(mount(&barcode, &row), Box::new(|_| unreachable!()), done).unwrap();
    assert!(host.library.shutdown(Duration::ZERO).is_err());
    assert!(!receiver.recv().unwrap(), "the waiting job failed first");
    open.send(()).unwrap();
    host.library.shutdown(Duration::from_secs(30)).unwrap();
    assert!(receiver.recv().unwrap());
    let refused =
        host.library.read(mount(&barcode, &row), Box::new(|_| unreachable!()), Box::new(|_| unreachable!()));
    assert_eq!(refused, Err(QueueFull));
    assert!(host.machine_is_parked());
}

#[test]
fn a_panic_in_the_work_is_an_error_of_its_job_and_nothing_else() {
    let host = Host::new(1);
    let barcode = host.barcode(0);
    let mut row = host.label(&barcode, 1);
    let pack = host.spool(1);
    let panicked = host.append_with(&barcode, &row, move |mounted| {
        pack.append(mounted).unwrap();
        panic!("the caller's fault");
    });
    assert!(matches!(panicked, Err(Error::Panicked { .. })));
    row.end = library::End::Unclean;
    host.append(&barcode, &mut row, &[2]).unwrap();
    assert_eq!(host.packs(&barcode, &row).unwrap(), [2]);
}

impl Host {
    fn machine_is_parked(&self) -> bool {
        let mut changer = scsi::Changer::new(self.machine.changer_transport());
        let elements = changer.inventory().unwrap();
        elements.iter().all(|element| element.kind != scsi::ElementKind::Drive || !element.full)
    }
}
