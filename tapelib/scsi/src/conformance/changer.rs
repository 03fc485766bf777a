//! The robot: who is there, what is where, and what moves.

use std::collections::BTreeSet;

use super::{Difference, Stage, refusal};
use crate::{Changer, Condition, ElementAddress, ElementKind, Error};

pub(super) fn units_say_who_they_are(stage: &mut Stage<'_>) {
    let changer = stage.changer.identify().unwrap();
    assert_eq!(changer.serial, stage.setup.changer);
    for serial in stage.setup.drives.clone() {
        let mut drive = crate::Drive::new(stage.bench.drive(&serial));
        assert_eq!(drive.identify().unwrap().serial, serial);
    }
    let wrong = Changer::new(stage.bench.drive(&stage.setup.drives[0])).identify();
    assert!(matches!(wrong, Err(Error::WrongDevice { .. })), "{wrong:?}");
}

pub(super) fn the_inventory_is_complete(stage: &mut Stage<'_>) {
    let elements = stage.changer.inventory().unwrap();
    let count = |kind| elements.iter().filter(|element| element.kind == kind).count();
    let counts = ElementKind::ALL.map(count);
    assert_eq!(counts, [1, stage.setup.slots, stage.setup.mail_slots, stage.setup.drives.len()]);
    let addresses: BTreeSet<ElementAddress> = elements.iter().map(|element| element.address).collect();
    assert_eq!(addresses.len(), elements.len(), "an address is there twice");
    let found: BTreeSet<&str> = elements
        .iter()
        .filter_map(|element| element.barcode.as_ref())
        .map(|barcode| barcode.as_str())
        .collect();
    let expected: BTreeSet<&str> = stage.setup.barcodes.iter().map(String::as_str).collect();
    assert_eq!(found, expected);
    for element in &elements {
        assert_eq!(element.full, element.barcode.is_some(), "{element:?}");
    }
}

pub(super) fn drives_are_known_by_serial_number(stage: &mut Stage<'_>) {
    let drives = stage.elements(ElementKind::Drive);
    let told: Vec<String> = drives.iter().filter_map(|drive| drive.drive_serial()).collect();
    match stage.has(Difference::ShortNames) {
        false => assert_eq!(told, stage.setup.drives),
        true => {
            assert_ne!(told, stage.setup.drives, "the names are whole now: take the difference off the list")
        }
    }
}

/// From a slot to a drive and back to another slot; through a mail slot, and from there into a drive.
pub(super) fn cartridges_go_everywhere(stage: &mut Stage<'_>) {
    let (home, bay) = (stage.cartridge(0), stage.bay());
    let (other, mail) = (stage.empty(ElementKind::Storage), stage.empty(ElementKind::ImportExport));
    let barcode = barcode_at(stage, home).expect("a cartridge");
    let mut at = home;
    for to in [bay, other, mail, bay, mail, home] {
        if at == bay {
            let mut drive = stage.drive();
            drive.wait_ready(super::READY, &super::pause).unwrap();
            drive.unload().unwrap();
        }
        stage.changer.move_medium(at, to).unwrap();
        assert_eq!(barcode_at(stage, at), None, "{at} after the move");
        assert_eq!(barcode_at(stage, to).as_deref(), Some(barcode.as_str()), "{to} after the move");
        at = to;
    }
}

fn barcode_at(stage: &mut Stage<'_>, address: ElementAddress) -> Option<String> {
    let elements = stage.changer.inventory().unwrap();
    let element = elements.into_iter().find(|element| element.address == address).unwrap();
    element.barcode.map(|barcode| barcode.to_string())
}

pub(super) fn impossible_moves_are_told_apart(stage: &mut Stage<'_>) {
    let (full, next) = (stage.cartridge(0), stage.cartridge(1));
    let (empty, bay) = (stage.empty(ElementKind::Storage), stage.bay());
    let addresses: BTreeSet<u16> =
        stage.changer.inventory().unwrap().iter().map(|element| element.address.0).collect();
    let nowhere = ElementAddress((1..u16::MAX).find(|address| !addresses.contains(address)).unwrap());
    assert_eq!(refusal(stage.changer.move_medium(empty, bay)), Condition::SourceEmpty);
    assert_eq!(refusal(stage.changer.move_medium(full, next)), Condition::DestinationFull);
    let wrong = match stage.has(Difference::VagueElements) {
        false => Condition::InvalidElement,
        true => Condition::InvalidField,
    };
    assert_eq!(refusal(stage.changer.move_medium(full, nowhere)), wrong);
    assert_eq!(refusal(stage.changer.move_medium(nowhere, empty)), wrong);
}

pub(super) fn mail_slots_are_locked(stage: &mut Stage<'_>) {
    let locked = stage.changer.prevent_removal(true);
    if stage.has(Difference::NoMailLock) {
        assert_eq!(refusal(locked), Condition::UnknownOperation);
        return;
    }
    locked.unwrap();
    stage.changer.prevent_removal(false).unwrap();
}

pub(super) fn the_robot_looks_again(stage: &mut Stage<'_>) {
    let before = stage.changer.inventory().unwrap();
    stage.changer.initialize().unwrap();
    let slot = stage.cartridge(0);
    stage.changer.initialize_range(slot, 1).unwrap();
    stage.changer.wait_ready(super::READY, &super::pause).unwrap();
    assert_eq!(stage.changer.inventory().unwrap(), before);
}
