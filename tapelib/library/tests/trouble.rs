//! A machine that misbehaves, and a cartridge without a machine.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod host;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use host::{Host, content, remember};
use library::{Barcode, Config, DriveState, DriveTape, End, Error, Library, Ours, WorkEnd};
use virtual_library::{Effect, Fault, Sense, Unit};
use volume::{journal, ltfs};

fn plan(host: &Host, unit: Unit, opcode: u8, effect: Effect) {
    host.machine.faults().inject(Fault { unit, opcode: Some(opcode), skip: 0, times: 1, effect });
}

#[test]
fn a_move_without_an_answer_is_looked_at() {
    let host = Host::new(1);
    let (first, second) = (host.barcode(0), host.barcode(1));
    let mut row = host.label(&first, 1);
    let other = host.label(&second, 2);
    // Moved, but nobody said so: the work goes on.
    plan(&host, Unit::Changer, scsi::opcode::MOVE_MEDIUM, Effect::SilenceAfter);
    host.append(&first, &mut row, &[1]).unwrap();
    // Not moved, and nobody said so: the job fails, the next one works.
    host.packs(&second, &other).unwrap();
    host.library.quiesce(Duration::from_secs(30)).unwrap();
    host.machine.faults().inject(Fault {
        unit: Unit::Changer,
        opcode: Some(scsi::opcode::MOVE_MEDIUM),
        skip: 1,
        times: 1,
        effect: Effect::Silence,
    });
    assert!(matches!(host.packs(&first, &row), Err(Error::Move { .. })));
    host.library.quiesce(Duration::from_secs(30)).unwrap();
    assert_eq!(host.library.drives()[0].state, DriveState::Idle);
    assert_eq!(host.packs(&first, &row).unwrap(), [1]);
    // A move out of the drive that fails keeps the cartridge there, and the drive is set down with it.
    plan(&host, Unit::Changer, scsi::opcode::MOVE_MEDIUM, Effect::Silence);
    assert!(host.packs(&second, &other).is_err());
    assert!(matches!(host.packs(&first, &row), Err(Error::Stranded { .. })));
    let serial = host.library.drives()[0].serial.clone();
    host.library.drive_up(&serial).unwrap();
    assert_eq!(host.packs(&second, &other).unwrap(), [0; 0]);
    assert_eq!(host.packs(&first, &row).unwrap(), [1]);
}

#[test]
fn a_hand_in_the_library_moves_nothing_wrongly() {
    let host = Host::new(1);
    let barcodes = host.library.inventory().barcodes();
    let mut row = host.label(&barcodes[0], 1);
    let other = host.label(&barcodes[1], 2);
    let name = |barcode: &Barcode| virtual_library::Barcode::parse(barcode.as_str()).unwrap();
    host.machine.swap_places(&name(&barcodes[0]), &name(&barcodes[2])).unwrap();
    // The slot remembered holds another cartridge now; that one is not taken for it.
    match host.append(&barcodes[0], &mut row, &[1]) {
        Ok(_) => {}
        Err(Error::Missing { .. }) => drop(host.append(&barcodes[0], &mut row, &[1]).unwrap()),
        Err(error) => panic!("{error:?}"),
    }
    assert_eq!(host.packs(&barcodes[0], &row).unwrap(), [1]);
    assert_eq!(host.packs(&barcodes[1], &other).unwrap(), [0; 0]);
    let labelled = host.label(&barcodes[2], 3);
    assert_eq!(labelled.generation, 1, "still blank");
}

#[test]
fn a_slot_that_was_filled_by_hand_is_not_insisted_on() {
    let host = Host::new(1);
    let barcodes = host.library.inventory().barcodes();
    let row = host.label(&barcodes[0], 1);
    // Its slot, and every other empty one but one, get new cartridges while it is in the drive.
    let empty = host.library.inventory().slots.iter().filter(|slot| !slot.full).count();
    for n in 1..empty {
        let name = virtual_library::Barcode::parse(&format!("NEW00{n}L9")).unwrap();
        host.machine.insert_blank(&name, virtual_library::Place::Slot).unwrap();
    }
    let other = host.label(&barcodes[1], 2);
    assert_eq!(host.packs(&barcodes[0], &row).unwrap(), [0; 0]);
    assert_eq!(host.packs(&barcodes[1], &other).unwrap(), [0; 0]);
    host.library.shutdown(Duration::from_secs(30)).unwrap();
}

#[test]
fn a_medium_error_while_writing_condemns_no_drive() {
    let host = Host::new(1);
    let barcode = host.barcode(0);
    let mut row = host.label(&barcode, 1);
    host.append(&barcode, &mut row, &[1]).unwrap();
    let write_error = Sense::new(0x3, 0x0c, 0x00);
    plan(&host, Unit::Drive(0), scsi::opcode::WRITE_6, Effect::Fail(write_error));
    let pack = host.spool(2);
    let failed = host.append_with(&barcode, &row, move |mounted| {
        assert!(pack.append(mounted).is_err());
        assert!(pack.append(mounted).is_err(), "the mount is over");
        assert!(mounted.commit().is_err());
        WorkEnd::Keep
    });
    assert_eq!(failed.unwrap_err().blame(), library::Blame::Medium);
    assert_eq!(host.packs(&barcode, &row).unwrap(), [1]);
    host.library.quiesce(Duration::from_secs(30)).unwrap();
    assert_eq!(host.library.drives()[0].state, DriveState::Idle);
    row.end = End::Unclean;
    host.append(&barcode, &mut row, &[3]).unwrap();
    assert_eq!(host.packs(&barcode, &row).unwrap(), [1, 3]);
}

#[test]
fn a_broken_drive_gives_its_cartridge_to_another() {
    let host = Host::new(2);
    let barcode = host.barcode(0);
    let mut row = host.label(&barcode, 1);
    host.append(&barcode, &mut row, &[1]).unwrap();
    host.library.quiesce(Duration::from_secs(30)).unwrap();
    let holds = |host: &Host| host.library.drives().iter().position(|drive| drive.barcode.is_some()).unwrap();
    let broken = holds(&host);
    plan(&host, Unit::Drive(broken), scsi::opcode::WRITE_6, Effect::Fail(Sense::new(0x4, 0x44, 0x00)));
    let pack = host.spool(2);
    let failed = host.append_with(&barcode, &row, move |mounted| {
        assert!(pack.append(mounted).is_err());
        WorkEnd::Keep
    });
    let error = failed.unwrap_err();
    assert_eq!((error.blame(), error.remedy()), (library::Blame::Drive, library::Remedy::Retry));
    row.end = End::Unclean;
    host.append(&barcode, &mut row, &[3]).unwrap();
    assert_eq!(host.packs(&barcode, &row).unwrap(), [1, 3]);
    assert_ne!(holds(&host), broken);
    assert!(matches!(host.library.drives()[broken].state, DriveState::Down { .. }));
}

#[test]
fn a_drive_that_breaks_while_it_closes_a_volume_gives_its_cartridge_to_another() {
    let host = Host::new(2);
    let barcode = host.barcode(0);
    let mut row = host.label(&barcode, 1);
    host.append(&barcode, &mut row, &[1]).unwrap();
    host.library.quiesce(Duration::from_secs(30)).unwrap();
    let broken = host.library.drives().iter().position(|drive| drive.barcode.is_some()).unwrap();
    // The index partition is written when the cartridge is put away.
    plan(&host, Unit::Drive(broken), scsi::opcode::WRITE_6, Effect::Fail(Sense::new(0x4, 0x44, 0x00)));
    host.append_with(&barcode, &row, |_| WorkEnd::Unload).unwrap();
    host.library.quiesce(Duration::from_secs(30)).unwrap();
    assert_eq!(host.machine.faults().pending(), 0);
    assert!(matches!(host.library.drives()[broken].state, DriveState::Down { .. }));
    host.append(&barcode, &mut row, &[2]).unwrap();
    assert_eq!(host.packs(&barcode, &row).unwrap(), [1, 2]);
    assert!(host.library.drives()[broken].barcode.is_none());
}

/// A write that fails in the next pack in every drive, once in each.
fn fail_in_a_pack(host: &Host, barcode: &Barcode, row: &host::Row, n: usize) -> Error {
    for drive in 0..host.machine.drive_count() {
        let write_error = Effect::Fail(Sense::new(0x3, 0x0c, 0x00));
        plan(host, Unit::Drive(drive), scsi::opcode::WRITE_6, write_error);
    }
    let pack = host.spool(n);
    let failed = host.append_with(barcode, row, move |mounted| {
        assert!(pack.append(mounted).is_err());
        WorkEnd::Keep
    });
    host.machine.faults().clear();
    host.library.quiesce(Duration::from_secs(30)).unwrap();
    failed.unwrap_err()
}

#[test]
fn a_cartridge_that_fails_in_two_drives_is_at_fault_and_they_are_not() {
    let host = Host::new(2);
    let barcode = host.barcode(0);
    let mut row = host.label(&barcode, 1);
    host.append(&barcode, &mut row, &[1]).unwrap();
    row.end = End::Unclean;
    let first = fail_in_a_pack(&host, &barcode, &row, 2);
    assert!(matches!(first, Error::Drive { blame: library::Blame::Medium, .. }), "{first:?}");
    let second = fail_in_a_pack(&host, &barcode, &row, 3);
    let Error::Proven { blame: library::Blame::Medium, drive, .. } = &second else { panic!("{second:?}") };
    let Error::Drive { drive: other, .. } = &first else { panic!() };
    assert_ne!(drive, other, "tried elsewhere");
    assert_eq!(second.remedy(), library::Remedy::Damage);
    assert!(host.library.drives().iter().all(|drive| drive.state == DriveState::Idle));
    assert_eq!(host.packs(&barcode, &row).unwrap(), [1]);
}

#[test]
fn a_drive_that_fails_with_two_cartridges_is_at_fault_and_set_down() {
    let host = Host::new(1);
    let (one, other) = (host.barcode(0), host.barcode(1));
    let mut row = host.label(&one, 1);
    host.append(&one, &mut row, &[1]).unwrap();
    let mut second = host.label(&other, 2);
    (row.end, second.end) = (End::Unclean, End::Unclean);
    assert_eq!(fail_in_a_pack(&host, &one, &row, 2).blame(), library::Blame::Medium);
    let found = fail_in_a_pack(&host, &other, &second, 3);
    assert!(matches!(found, Error::Proven { blame: library::Blame::Drive, .. }), "{found:?}");
    let drive = host.library.drives()[0].clone();
    assert!(matches!(drive.state, DriveState::Down { .. }), "{drive:?}");
    // Somebody has cleaned it. Neither cartridge is held to blame.
    host.library.drive_up(&drive.serial).unwrap();
    host.append(&one, &mut row, &[4]).unwrap();
    host.append(&other, &mut second, &[5]).unwrap();
    assert_eq!(host.packs(&one, &row).unwrap(), [1, 4]);
}

#[test]
fn an_error_of_the_closing_filemark_leaves_the_last_commit() {
    let host = Host::new(1);
    let barcode = host.barcode(0);
    let mut row = host.label(&barcode, 1);
    host.append(&barcode, &mut row, &[1]).unwrap();
    let pack = host.spool(2);
    let faults = host.machine.faults();
    let failed = host.append_with(&barcode, &row, move |mounted| {
        pack.append(mounted).unwrap();
        faults.inject(Fault {
            unit: Unit::Drive(0),
            opcode: Some(scsi::opcode::WRITE_FILEMARKS_6),
            skip: 1, // the index construct's first filemark passes
            times: 1,
            effect: Effect::Fail(Sense::new(0x3, 0x0c, 0x00)),
        });
        assert!(mounted.commit().is_err());
        WorkEnd::Keep
    });
    assert!(failed.is_err());
    row.end = End::Unclean;
    let report = host
        .append_with(&barcode, &row, |mounted| {
            assert_eq!(mounted.packs().len(), 1);
            assert_eq!(mounted.recovered().unwrap().generation, 2);
            WorkEnd::Keep
        })
        .unwrap();
    remember(&mut row, &report);
    assert_eq!(host.packs(&barcode, &row).unwrap(), [1]);
}

#[test]
fn a_drive_that_has_let_its_cartridge_go_already_is_emptied() {
    let host = Host::new(1);
    let (first, second) = (host.barcode(0), host.barcode(1));
    let row = host.label(&first, 1);
    let gone = Effect::FailAfter(Sense::new(0x2, 0x3a, 0x00));
    plan(&host, Unit::Drive(0), scsi::opcode::LOAD_UNLOAD, gone);
    host.label(&second, 2);
    assert_eq!(host.packs(&first, &row).unwrap(), [0; 0]);
}

/// A path that panics at the next LOCATE when armed, as a fault of this program would.
struct Faulty(Box<dyn scsi::Transport>, Arc<AtomicBool>);

impl scsi::Transport for Faulty {
    fn execute(
        &mut self,
        cdb: &scsi::Cdb,
        data: scsi::Data<'_>,
        timeout: Duration,
    ) -> Result<scsi::Completion, scsi::TransportError> {
        if cdb.opcode() == scsi::opcode::LOCATE_16 && self.1.swap(false, Ordering::Relaxed) {
            panic!("a fault of this program");
        }
        self.0.execute(cdb, data, timeout)
    }
}

#[test]
fn a_fault_of_the_program_answers_its_job_and_sets_the_drive_down() {
    let mut host = Host::new(1);
    let barcode = host.barcode(0);
    let mut row = host.label(&barcode, 1);
    host.library.shutdown(Duration::from_secs(30)).unwrap();
    let armed = Arc::new(AtomicBool::new(true));
    let drive = Box::new(Faulty(host.machine.drive_transport(0), armed));
    host.library = Library::open(host::config(), host.machine.changer_transport(), vec![drive]).unwrap();
    let failed = host.append_with(&barcode, &row, |_| panic!("not reached"));
    assert!(matches!(failed, Err(Error::Fault)), "{failed:?}");
    host.library.quiesce(Duration::from_secs(30)).unwrap();
    let DriveState::Down { .. } = host.library.drives()[0].state else { panic!() };
    assert!(matches!(host.packs(&barcode, &row), Err(Error::NoDriveUp)));
    let serial = host.library.drives()[0].serial.clone();
    host.library.drive_up(&serial).unwrap();
    host.append(&barcode, &mut row, &[1]).unwrap();
    assert_eq!(host.packs(&barcode, &row).unwrap(), [1]);
    host.library.shutdown(Duration::from_secs(30)).unwrap();
}

#[test]
fn a_cartridge_that_somebody_else_put_into_a_drive_is_put_back_or_left_alone() {
    let mut host = Host::new(1);
    let barcodes = host.library.inventory().barcodes();
    let row = host.label(&barcodes[0], 1);
    host.library.shutdown(Duration::from_secs(30)).unwrap();
    let ours = Ours::Prefixes(barcodes[..2].iter().map(Barcode::to_string).collect());
    let config = Config { ours, ..host::config() };
    host.library = host::attach(&host.machine, config);
    // Another host's changer path.
    let mut changer = scsi::Changer::new(host.machine.changer_transport());
    let mut put_into_the_drive = |name: &Barcode| {
        let elements = changer.inventory().unwrap();
        let holds = |element: &&scsi::Element| {
            element.barcode.as_ref().is_some_and(|barcode| barcode.as_str() == name.as_str())
        };
        let slot = elements.iter().find(holds).unwrap().address;
        let drive = elements.iter().find(|element| element.kind == scsi::ElementKind::Drive).unwrap();
        changer.move_medium(slot, drive.address).unwrap();
    };
    put_into_the_drive(&barcodes[1]);
    assert!(matches!(host.packs(&barcodes[0], &row), Err(Error::Move { .. })));
    assert_eq!(host.packs(&barcodes[0], &row).unwrap(), [0; 0], "the drive has room again");

    host.library.shutdown(Duration::from_secs(30)).unwrap();
    let ours = Ours::Prefixes(vec![barcodes[0].to_string()]);
    host.library = host::attach(&host.machine, Config { ours, ..host::config() });
    put_into_the_drive(&barcodes[1]);
    assert!(matches!(host.packs(&barcodes[0], &row), Err(Error::NoDriveUp)));
    let status = &host.library.drives()[0];
    assert!(matches!(status.state, DriveState::Down { .. }), "{status:?}");
    assert!(host.library.rescan().unwrap().drives[0].full, "it was not touched");
}

#[test]
fn a_write_protected_cartridge_is_read_and_not_written() {
    let host = Host::new(1);
    let barcode = host.barcode(0);
    let row = host.label(&barcode, 1);
    host.label(&host.barcode(1), 2);
    let name = virtual_library::Barcode::parse(barcode.as_str()).unwrap();
    host.machine.write_protect(&name, true).unwrap();
    let refused = host.append_with(&barcode, &row, |_| panic!("not writable"));
    assert!(matches!(refused, Err(Error::NotWritable { .. })));
    assert_eq!(host.packs(&barcode, &row).unwrap(), [0; 0]);
    let cleaning = Barcode::parse("CLN001L1").unwrap();
    let refused = host.append_with(&cleaning, &row, |_| panic!("a cleaning cartridge"));
    assert!(matches!(refused, Err(Error::NotWritable { .. })));
}

#[test]
fn a_write_once_cartridge_is_refused() {
    let host = Host::new(1);
    let name = virtual_library::Barcode::parse("WORM01LZ").unwrap();
    let other = virtual_library::Barcode::parse(host.barcode(0).as_str()).unwrap();
    host.machine.remove(&other).unwrap();
    host.machine.insert_blank(&name, virtual_library::Place::Slot).unwrap();
    let barcode = Barcode::parse("WORM01LZ").unwrap();
    let refused = host.library.label(&barcode, host::identity(1), library::Overwrite::Never);
    assert!(matches!(refused, Err(Error::NotWritable { why: "write-once", .. })), "{refused:?}");
}

#[test]
fn a_busy_drive_is_waited_for_and_its_wishes_are_told() {
    let host = Host::new(1);
    let barcode = host.barcode(0);
    let mut row = host.label(&barcode, 1);
    assert!(!host.library.drives()[0].wants_cleaning);
    plan(&host, Unit::Drive(0), scsi::opcode::WRITE_6, Effect::Busy);
    plan(&host, Unit::Changer, scsi::opcode::MOVE_MEDIUM, Effect::Fail(Sense::new(0x2, 0x04, 0x01)));
    host.append(&barcode, &mut row, &[1]).unwrap();
    host.machine.faults().alert(0, 20);
    // The door was open, and the library has to settle before it moves again.
    host.label(&host.barcode(1), 2);
    assert!(host.library.drives()[0].wants_cleaning);
    assert_eq!(host.packs(&barcode, &row).unwrap(), [1]);
    assert_eq!(host.machine.faults().pending(), 0);
}

#[test]
fn an_older_process_is_kept_out_by_a_newer_one() {
    let mut host = Host::new(1);
    let keyed = |key| Config { reservation: Some(key), ..host::config() };
    host.library = host::attach(&host.machine, keyed(1));
    let barcode = host.barcode(0);
    let mut row = host.label(&barcode, 1);
    host.append(&barcode, &mut row, &[1]).unwrap();
    // Another process takes over; the older one still has work to do, and cannot.
    let newer = host::attach(&host.machine, keyed(2));
    let older = std::mem::replace(&mut host.library, newer);
    assert_eq!(host.packs(&barcode, &row).unwrap(), [1]);
    let newer = std::mem::replace(&mut host.library, older);
    let pack = host.spool(2);
    let kept_out = host.append_with(&barcode, &row, move |mounted| {
        assert!(pack.append(mounted).is_err());
        WorkEnd::Keep
    });
    assert!(kept_out.is_err());
    assert!(host.library.rescan().is_err());
    assert!(Library::open(keyed(1), host.machine.changer_transport(), Vec::new()).is_err());
    host.library = newer;
    host.append(&barcode, &mut row, &[3]).unwrap();
    assert_eq!(host.packs(&barcode, &row).unwrap(), [1, 3]);
    host.library.shutdown(Duration::from_secs(30)).unwrap();
    // Given back: an older key is as good as any.
    host.library = host::attach(&host.machine, keyed(1));
    assert_eq!(host.packs(&barcode, &row).unwrap(), [1, 3]);
}

#[test]
fn a_cartridge_in_use_stays_in_its_drive() {
    let host = Host::new(1);
    let barcode = host.barcode(0);
    let row = host.label(&barcode, 1);
    let mut drive = scsi::Drive::new(host.machine.drive_transport(0));
    // Another host's wish to let it go.
    let refused = drive.unload().unwrap_err();
    assert_eq!(refused.sense().unwrap().condition(), scsi::Condition::RemovalPrevented);
    assert_eq!(host.packs(&barcode, &row).unwrap(), [0; 0]);
    host.library.shutdown(Duration::from_secs(30)).unwrap();
}

#[test]
fn a_cartridge_on_a_table_is_read_with_no_library_and_no_catalog() {
    let host = Host::new(1);
    let barcode = host.barcode(0);
    let mut row = host.label(&barcode, 1);
    host.append(&barcode, &mut row, &[1, 3]).unwrap();
    let torn = host.spool(2);
    let died = host.append_with(&barcode, &row, move |mounted| {
        torn.append(mounted).unwrap();
        panic!("kill -9");
    });
    assert!(died.is_err());
    let torn_from = row.eod_block;
    row.end = End::Unclean;
    host.append(&barcode, &mut row, &[4]).unwrap();
    host.library.shutdown(Duration::from_secs(30)).unwrap();
    let Host { dir, machine, library } = host;
    drop((library, machine));

    let name = virtual_library::Barcode::parse(barcode.as_str()).unwrap();
    let cartridge = virtual_library::cartridge_dir(&dir.path().join("library"), &name);
    let transport = virtual_library::open_cartridge(&cartridge).unwrap();
    let mut tape = DriveTape::ready(transport, Duration::ZERO).unwrap();
    let mut volume = ltfs::open(&mut tape).unwrap();
    let files: Vec<String> = volume.index().files().into_iter().map(|(path, _)| path).collect();
    for n in [1, 3, 4] {
        let path = format!("/packs/PACK-{n}.tar.zst");
        assert!(files.contains(&path) && files.contains(&format!("/packs/PACK-{n}.manifest")));
        let mut bytes = Vec::new();
        volume.read_file(&mut tape, &path, &mut bytes).unwrap();
        assert!(bytes == content(n));
    }
    let mut bytes = Vec::new();
    volume.read_file(&mut tape, "/.tapegate/journal-1.zst", &mut bytes).unwrap();
    let mut entries = Vec::new();
    let header = journal::decode(&bytes[..], |entry| {
        entries.push(entry);
        Ok(())
    })
    .unwrap();
    assert_eq!((header.volume, header.catalog, header.seq), (row.uuid, row.catalog_id, 1));
    let [journal::Entry::DeadBlocks { first, end }] = entries[..] else { panic!("{entries:?}") };
    assert!(first == torn_from && end > first);

    let export = tempfile::tempdir().unwrap();
    ltfs::export_ltfs_dir(&mut tape, export.path()).unwrap();
    let end = export.path().join(format!("1_{}_E", row.eod_block));
    assert!(end.exists());
}
