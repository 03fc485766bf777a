//! Cartridges in a drive: taken, ready, let go, changed, protected.

use super::{Difference, READY, Stage, pause, payload, refusal};
use crate::{Condition, Drive, Error, WriteOutcome};
use std::time::Duration;

pub(super) fn an_empty_drive_says_so(stage: &mut Stage<'_>) {
    let mut drive = stage.drive();
    assert_eq!(refusal(drive.wait_ready(Duration::ZERO, &pause)), Condition::NoMedium);
    assert_eq!(refusal(drive.rewind()), Condition::NoMedium);
    assert_eq!(refusal(drive.read_block(&mut [0; 512])), Condition::NoMedium);
}

pub(super) fn a_cartridge_is_loaded_and_let_go(stage: &mut Stage<'_>) {
    let (slot, bay) = (stage.cartridge(0), stage.bay());
    stage.changer.move_medium(slot, bay).unwrap();
    let mut drive = stage.drive();
    drive.wait_ready(READY, &pause).unwrap();
    let moved = stage.changer.move_medium(bay, slot);
    match stage.has(Difference::GivesLoaded) {
        false => {
            assert_eq!(refusal(moved), Condition::RemovalPrevented);
            drive.unload().unwrap();
        }
        true => {
            moved.unwrap();
            stage.changer.move_medium(slot, bay).unwrap();
            drive.wait_ready(READY, &pause).unwrap();
            drive.unload().unwrap();
        }
    }
    let ready = drive.wait_ready(Duration::ZERO, &pause);
    match stage.has(Difference::ReadyWhenUnloaded) {
        // Whether the cartridge counts as gone or as waiting to be loaded differs between makers.
        false => assert!(matches!(refusal(ready), Condition::NeedsLoad | Condition::NoMedium)),
        true => ready.unwrap(),
    }
    drive.load(READY, &pause).unwrap();
    drive.unload().unwrap();
    stage.changer.move_medium(bay, slot).unwrap();
    assert_eq!(refusal(drive.wait_ready(Duration::ZERO, &pause)), Condition::NoMedium);
}

pub(super) fn a_cartridge_is_kept_in(stage: &mut Stage<'_>) {
    stage.loaded(|stage, drive| {
        let (slot, bay) = (stage.empty(crate::ElementKind::Storage), stage.bay());
        drive.prevent_removal(true).unwrap();
        assert_eq!(refusal(stage.changer.move_medium(bay, slot)), Condition::RemovalPrevented);
        drive.prevent_removal(false).unwrap();
    });
}

/// A hand, or another host, puts another cartridge into a drive that somebody writes to.
pub(super) fn another_cartridge_stops_the_stream(stage: &mut Stage<'_>) {
    let (first, second, bay) = (stage.cartridge(0), stage.cartridge(1), stage.bay());
    stage.changer.move_medium(first, bay).unwrap();
    let mut drive = stage.drive();
    ready_at_the_beginning(&mut drive);
    drive.write_block(&payload(1, 4096)).unwrap();
    drive.unload().unwrap();
    stage.changer.move_medium(bay, first).unwrap();
    stage.changer.move_medium(second, bay).unwrap();
    let written = drive.write_block(&payload(2, 4096));
    match stage.has(Difference::SilentChange) {
        false => {
            assert!(matches!(written, Err(Error::Attention { .. })), "{written:?}");
            // And again, until somebody has looked where the tape stands.
            assert!(drive.write_block(&payload(2, 4096)).is_err());
            assert!(drive.position().unwrap().beginning);
        }
        true => assert_eq!(written.unwrap(), WriteOutcome::Written),
    }
    drive.unload().unwrap();
    stage.changer.move_medium(bay, second).unwrap();
}

pub(super) fn a_switch_forbids_writing(stage: &mut Stage<'_>) {
    if stage.has(Difference::NoSwitch) {
        return;
    }
    let slot = stage.cartridge(0);
    let places = stage.places();
    let barcode = places.iter().find(|(address, _)| *address == slot).unwrap().1.clone();
    stage.bench.write_protect(&barcode, true);
    stage.loaded(|_, drive| {
        assert!(drive.write_protected().unwrap());
        assert_eq!(refusal(drive.write_block(&payload(3, 512))), Condition::WriteProtected);
    });
    stage.bench.write_protect(&barcode, false);
    stage.loaded(|_, drive| {
        assert!(!drive.write_protected().unwrap());
        drive.write_block(&payload(3, 512)).unwrap();
    });
}

fn ready_at_the_beginning(drive: &mut Drive) {
    drive.wait_ready(READY, &pause).unwrap();
    drive.set_variable_blocks().unwrap();
    drive.rewind().unwrap();
}
