//! Drives cleaned, set down and taken into use again.

#![allow(clippy::unwrap_used)]

mod host;

use std::time::{Duration, Instant};

use host::{Host, config, geometry};
use library::{DriveNews, DriveState, Error, Library};
use virtual_library::{Barcode, Place, VirtualLibrary};

const CLEAN_NOW: u8 = 20;
const USED_UP: u8 = 22;

fn cleaner(host: &Host, name: &str) {
    host.machine.insert_blank(&Barcode::parse(name).unwrap(), Place::Slot).unwrap();
    host.library.rescan().unwrap();
}

fn serials(library: &Library) -> Vec<String> {
    library.drives().into_iter().map(|drive| drive.serial).collect()
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_drive_that_asks_is_cleaned_by_itself_and_goes_on() {
    let host = Host::new(1);
    let barcode = host.barcode(0);
    let mut row = host.label(&barcode, 1);
    cleaner(&host, "CLN001L1");
    host.library.put_away(&barcode).unwrap();
    host.machine.faults().alert(0, CLEAN_NOW);
    host.append(&barcode, &mut row, &[1]).unwrap();
    let serial = serials(&host.library).remove(0);
    wait_for("the cleaning", || host.library.history(&serial).unwrap().cleanings == 1);
    assert_eq!(host.packs(&barcode, &row).unwrap(), [1]);
    let history = host.library.history(&serial).unwrap();
    assert_eq!(history.cleanings, 1, "once");
    let news: Vec<_> = history.events.iter().map(|event| &event.news).collect();
    assert!(news.iter().any(|news| matches!(news, DriveNews::Alert(text) if text.contains("cleaned now"))));
    let cleaned = DriveNews::Cleaned(library::Barcode::parse("CLN001L1").unwrap());
    assert!(news.contains(&&cleaned), "{news:?}");
    assert!(!host.library.drives()[0].wants_cleaning);
}

#[test]
fn a_cleaning_by_hand_wants_a_cartridge_that_cleans() {
    let host = Host::new(2);
    let serials = serials(&host.library);
    assert!(matches!(host.library.clean(&serials[1]), Err(Error::NoCleaner { .. })));
    cleaner(&host, "CLN001L1");
    host.library.clean(&serials[1]).unwrap();
    host.machine.faults().alert(1, USED_UP);
    let refused = host.library.clean(&serials[1]);
    assert!(matches!(refused, Err(Error::NotCleaned { .. })), "{refused:?}");
    host.library.quiesce(Duration::from_secs(60)).unwrap();
    assert_eq!(host.library.drives()[1].state, DriveState::Idle);
    // It is not tried again.
    assert!(matches!(host.library.clean(&serials[0]), Err(Error::NoCleaner { .. })));
    assert!(matches!(host.library.clean("x"), Err(Error::NoSuchDrive { .. })));
}

#[test]
fn a_drive_set_down_gives_its_cartridge_to_the_other() {
    let host = Host::new(2);
    let barcode = host.barcode(0);
    let mut row = host.label(&barcode, 1);
    let serials = serials(&host.library);
    let place = |barcode: &library::Barcode| {
        let drives = host.library.drives();
        drives.iter().position(|drive| drive.barcode.as_ref() == Some(barcode))
    };
    let there = place(&barcode).unwrap();
    host.library.drive_down(&serials[there], "noisy").unwrap();
    host.append(&barcode, &mut row, &[1]).unwrap();
    assert_eq!(place(&barcode), Some(1 - there));
    let down = DriveState::Down { why: "noisy".to_owned() };
    assert_eq!(host.library.drives()[there].state, down);
    assert!(matches!(host.library.clean(&serials[there]), Err(Error::DriveDown { .. })));
    assert!(matches!(host.library.load(&barcode, Some(&serials[there])), Err(Error::DriveDown { .. })));
    host.library.drive_up(&serials[there]).unwrap();
    host.library.load(&barcode, Some(&serials[there])).unwrap();
    assert_eq!(place(&barcode), Some(there));
}

#[test]
fn nobody_waits_for_a_cleaning_that_the_end_cuts_off() {
    let dir = tempfile::tempdir().unwrap();
    let machine = VirtualLibrary::open(&dir.path().join("library"), geometry(1)).unwrap();
    let library = host::attach(&machine, config());
    library.shutdown(Duration::from_secs(30)).unwrap();
    let serial = serials(&library).remove(0);
    assert!(matches!(library.clean(&serial), Err(Error::Stopping)));
}
