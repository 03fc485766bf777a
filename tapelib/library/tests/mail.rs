//! Cartridges through the mail slots, by the robot and by hand.

#![allow(clippy::unwrap_used)]

mod host;

use std::time::Duration;

use host::{Host, attach, config, gate};
use library::{Barcode, Error, FenceMismatch, Medium, WorkEnd};
use scsi::opcode::MOVE_MEDIUM;
use virtual_library::{Effect, Fault, Place, Unit};

fn name(barcode: &Barcode) -> virtual_library::Barcode {
    virtual_library::Barcode::parse(barcode.as_str()).unwrap()
}

/// The barcodes in the mail slots.
fn mail(host: &Host) -> Vec<Barcode> {
    host.library.rescan().unwrap().mail_slots.into_iter().filter_map(|slot| slot.barcode).collect()
}

#[test]
fn out_and_in_again_it_is_the_volume_it_was() {
    let host = Host::new(1);
    let barcode = host.barcode(0);
    let mut row = host.label(&barcode, 1);
    host.append(&barcode, &mut row, &[1, 2]).unwrap();
    // From the drive it is mounted in.
    let slot = host.library.export(&barcode).unwrap();
    assert_eq!((host.library.export(&barcode).unwrap(), mail(&host)), (slot, vec![barcode.clone()]));
    assert!(matches!(host.packs(&barcode, &row), Err(Error::Missing { .. })), "a mail slot is not in reach");
    let outside = host.machine.remove(&name(&barcode)).unwrap();
    assert!(matches!(host.library.export(&barcode), Err(Error::Missing { .. })));
    assert!(matches!(host.library.import(&barcode), Err(Error::Missing { .. })));
    host.machine.insert(&outside, Place::MailSlot).unwrap();
    assert!(host.library.rescan().unwrap().mail_slots[0].by_hand);
    let slot = host.library.import(&barcode).unwrap();
    assert_eq!((host.library.import(&barcode).unwrap(), mail(&host)), (slot, vec![]));
    assert_eq!(host.library.load(&barcode, None).unwrap().medium, Medium::Volume(row.uuid));
    host.append(&barcode, &mut row, &[3]).unwrap();
    assert_eq!(host.packs(&barcode, &row).unwrap(), [1, 2, 3]);
}

#[test]
fn jobs_queued_before_end_and_later_ones_find_it_gone() {
    let host = Host::new(1);
    let barcode = host.barcode(0);
    let row = host.label(&barcode, 1);
    let (open, wait) = gate();
    let (begun, begins) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let early = scope.spawn(|| {
            host.read_with(&barcode, &row, move |_| {
                begun.send(()).unwrap();
                wait.recv().unwrap();
            })
        });
        begins.recv().unwrap();
        let export = scope.spawn(|| host.library.export(&barcode));
        while host.library.queued() == 0 {
            std::thread::yield_now();
        }
        assert!(matches!(host.library.export(&barcode), Err(Error::Leaving { .. })));
        let late = scope.spawn(|| host.packs(&barcode, &row));
        open.send(()).unwrap();
        early.join().unwrap().unwrap();
        export.join().unwrap().unwrap();
        assert!(matches!(late.join().unwrap(), Err(Error::Missing { .. })));
    });
}

#[test]
fn what_keeps_a_cartridge_in_is_told() {
    let host = Host::new(1);
    let (first, second) = (host.barcode(0), host.barcode(1));
    host.library.export(&first).unwrap();
    let Err(Error::NoMailSlot { why, .. }) = host.library.export(&second) else { panic!("it is full") };
    assert!(why.contains(first.as_str()), "{why}");
    host.machine.remove(&name(&first)).unwrap();
    // Moved, and nobody said so; then not moved, and nobody said so.
    let plan = |effect| {
        let unit = Unit::Changer;
        host.machine.faults().inject(Fault { unit, opcode: Some(MOVE_MEDIUM), skip: 0, times: 1, effect });
    };
    plan(Effect::SilenceAfter);
    host.library.export(&second).unwrap();
    plan(Effect::Silence);
    assert!(matches!(host.library.import(&second), Err(Error::Move { .. })));
    assert_eq!(mail(&host), std::slice::from_ref(&second), "looked at, not assumed");
    host.library.import(&second).unwrap();
    // The mail slots are not left shut.
    host.library.export(&second).unwrap();
    host.machine.remove(&name(&second)).unwrap();
}

#[test]
fn a_new_process_goes_on_where_the_last_one_ended() {
    let mut host = Host::new(1);
    let barcode = host.barcode(0);
    let mut row = host.label(&barcode, 1);
    host.append(&barcode, &mut row, &[1]).unwrap();
    host.restart();
    host.library.export(&barcode).unwrap();
    host.restart();
    assert_eq!(mail(&host), std::slice::from_ref(&barcode));
    host.library.export(&barcode).unwrap();
    host.library.import(&barcode).unwrap();
    assert_eq!(host.packs(&barcode, &row).unwrap(), [1]);
}

#[test]
fn only_our_cartridges_pass() {
    let host = Host::new(1);
    let (ours, other) = (host.barcode(0), host.barcode(1));
    let restricted = library::Config { ours: library::Ours::Prefixes(vec![ours.to_string()]), ..config() };
    let library = attach(&host.machine, restricted);
    assert!(matches!(library.export(&other), Err(Error::Missing { .. })));
    host.machine.carry(&name(&other), Place::MailSlot).unwrap();
    assert!(matches!(library.import(&other), Err(Error::Missing { .. })));
    assert_eq!(library.rescan().unwrap().mail_slots[0].barcode, None, "not shown");
    assert!(matches!(library.load(&other, None), Err(Error::Missing { .. })));
    library.shutdown(Duration::from_secs(30)).unwrap();
}

#[test]
fn a_stranger_under_a_known_barcode_is_seen() {
    let host = Host::new(1);
    let (known, stranger) = (host.barcode(0), host.barcode(1));
    let row = host.label(&known, 1);
    let blank = host.barcode(2);
    host.label(&stranger, 2);
    for barcode in [&known, &stranger] {
        host.library.put_away(barcode).unwrap();
    }
    host.machine.swap_barcodes(&name(&known), &name(&stranger)).unwrap();
    let outside = host.machine.remove(&name(&known)).unwrap();
    host.machine.insert(&outside, Place::MailSlot).unwrap();
    host.library.import(&known).unwrap();
    let seen = host.library.load(&known, None).unwrap();
    assert_ne!(seen.medium, Medium::Volume(row.uuid));
    let refused = host.read_with(&known, &row, |_| ());
    assert!(matches!(refused, Err(Error::Fence { what: FenceMismatch::Uuid { .. }, .. })), "{refused:?}");
    assert_eq!(host.library.load(&blank, None).unwrap().medium, Medium::Blank);
}

#[test]
fn a_cartridge_is_loaded_by_hand_where_it_is_wanted() {
    let host = Host::new(2);
    let barcode = host.barcode(0);
    let serials: Vec<String> = host.library.drives().into_iter().map(|drive| drive.serial).collect();
    for serial in serials.iter().chain(&serials) {
        assert_eq!(host.library.load(&barcode, Some(serial)).unwrap().drive, *serial);
    }
    assert!(matches!(host.library.load(&barcode, Some("x")), Err(Error::NoSuchDrive { .. })));
    let work = host.read_with(&barcode, &host::row(&labelled(&host, &barcode)), |_| WorkEnd::Keep);
    work.unwrap();
    host.library.put_away(&barcode).unwrap();
    assert!(host.library.drives().iter().all(|drive| drive.barcode.is_none()));
}

fn labelled(host: &Host, barcode: &Barcode) -> library::LabelledVolume {
    host.library.label(barcode, host::identity(1), library::Overwrite::Never).unwrap()
}
