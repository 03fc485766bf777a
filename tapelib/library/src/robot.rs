//! The changer: what is where, and moving it. One caller at a time; everything else waits at its lock.

use std::time::Duration;

use scsi::{Changer, Element, ElementAddress, ElementKind};

use crate::error::chain;
use crate::tape::{Cause, pause};
use crate::{Barcode, DriveSlot, Error, Inventory, Slot, reserve};

/// Most attentions a changer may have to tell of before it answers: a power-on, a door, mail slots, a reservation.
const ATTENTIONS_MAX: usize = 4;
/// How long a changer may take to become ready at start: it may be taking stock.
const READY_TIMEOUT: Duration = Duration::from_secs(3600);

#[derive(Debug)]
pub(crate) struct Robot {
    changer: Changer,
}

impl Robot {
    /// Identifies the changer, reserves it, and waits until it is ready. Returns its serial too.
    pub(crate) fn open(mut changer: Changer, reservation: Option<u64>) -> Result<(Self, String), Error> {
        let identify =
            |source: scsi::Error| Error::Identify { device: "changer".to_owned(), source: cause(source) };
        let identity = changer.identify().map_err(identify)?;
        reserve::take(&mut changer, reservation).map_err(identify)?;
        changer.wait_ready(READY_TIMEOUT, &|waiting| pause(waiting.pause)).map_err(identify)?;
        let mut robot = Self { changer };
        // A process that ended in the middle of a move may have left them shut.
        robot.shut_mail_slots(false);
        Ok((robot, identity.serial))
    }

    /// Lets other hosts use the changer.
    pub(crate) fn give_back(&mut self, reservation: Option<u64>) {
        reserve::give_back(&mut self.changer, reservation);
    }

    /// Asks the changer what is where.
    pub(crate) fn inventory(&mut self) -> Result<Inventory, Error> {
        let mut elements = self.changer.inventory();
        for _ in 1..ATTENTIONS_MAX {
            if !matches!(elements, Err(scsi::Error::Attention { .. })) {
                break;
            }
            elements = self.changer.inventory();
        }
        elements.map(inventory_of).map_err(|source| Error::Inventory { source: cause(source) })
    }

    /// Has the robot look at every element again: minutes in a large library.
    pub(crate) fn audit(&mut self) -> Result<Inventory, Error> {
        self.changer.initialize().map_err(|source| Error::Inventory { source: cause(source) })?;
        self.inventory()
    }

    /// Keeps hands out of the mail slots, or lets them in again. Libraries that cannot are used as they are.
    pub(crate) fn shut_mail_slots(&mut self, shut: bool) {
        if let Err(error) = self.changer.prevent_removal(shut) {
            tracing::debug!(shut, error = chain(&error), "the mail slots are as they were");
        }
    }

    /// Moves a cartridge and returns the inventory afterwards; the caller compares what arrived. A move that failed or
    /// was not answered is looked at: when the cartridge stands where it should, it went well.
    pub(crate) fn move_cartridge(
        &mut self,
        barcode: &Barcode,
        from: u16,
        to: u16,
    ) -> Result<Inventory, Error> {
        let moved = self.move_medium(from, to);
        let inventory = self.inventory()?;
        let Err(source) = moved else { return Ok(inventory) };
        if inventory.barcode_at(to) == Some(barcode) {
            tracing::warn!(%barcode, from, to, error = chain(&source), "a move ended well although it failed");
            return Ok(inventory);
        }
        Err(Error::Move { barcode: barcode.clone(), from, to, source })
    }

    /// Sends the move; once more when the changer said that something had happened and nothing was moved.
    fn move_medium(&mut self, from: u16, to: u16) -> Result<(), Cause> {
        match self.changer.move_medium(ElementAddress(from), ElementAddress(to)) {
            Err(scsi::Error::Attention { .. }) => {}
            result => return result.map_err(cause),
        }
        let elements = self.changer.inventory().map_err(cause)?;
        let full = |at: u16| elements.iter().any(|element| element.address.0 == at && element.full);
        if !full(from) || full(to) {
            return Err(Cause::from(Box::<dyn std::error::Error + Send + Sync>::from(
                "somebody was at the library, and cartridges are elsewhere now",
            )));
        }
        self.changer.move_medium(ElementAddress(from), ElementAddress(to)).map_err(cause)
    }
}

fn cause(error: scsi::Error) -> Cause {
    std::sync::Arc::new(error)
}

fn inventory_of(elements: Vec<Element>) -> Inventory {
    let mut inventory = Inventory::default();
    for element in elements {
        let barcode = element.barcode.as_ref().and_then(|barcode| Barcode::parse(barcode.as_str()));
        let slot = Slot {
            element: element.address.0,
            full: element.full,
            barcode,
            reachable: element.access,
            by_hand: element.placed_by_operator,
        };
        match element.kind {
            ElementKind::Storage => inventory.slots.push(slot),
            ElementKind::ImportExport => inventory.mail_slots.push(slot),
            ElementKind::Drive => inventory.drives.push(DriveSlot {
                element: slot.element,
                serial: element.drive_serial(),
                full: slot.full,
                barcode: slot.barcode,
            }),
            ElementKind::Transport => {}
        }
    }
    inventory
}

impl Inventory {
    /// The barcode at an element, when a readable one is there.
    pub(crate) fn barcode_at(&self, element: u16) -> Option<&Barcode> {
        let slots = self.slots.iter().chain(&self.mail_slots).map(|slot| (slot.element, &slot.barcode));
        let drives = self.drives.iter().map(|drive| (drive.element, &drive.barcode));
        slots.chain(drives).find(|(address, _)| *address == element)?.1.as_ref()
    }

    /// The drive at an element.
    pub(crate) fn drive_at(&self, element: u16) -> Option<&DriveSlot> {
        self.drives.iter().find(|drive| drive.element == element)
    }

    /// The storage slot that holds a cartridge.
    pub(crate) fn slot_of(&self, barcode: &Barcode) -> Option<u16> {
        self.slots.iter().find(|slot| slot.barcode.as_ref() == Some(barcode)).map(|slot| slot.element)
    }

    /// The mail slot that holds a cartridge.
    pub(crate) fn mail_slot_of(&self, barcode: &Barcode) -> Option<&Slot> {
        self.mail_slots.iter().find(|slot| slot.barcode.as_ref() == Some(barcode))
    }

    /// An empty storage slot: the wanted one when it is empty, else the first.
    pub(crate) fn empty_slot(&self, wanted: Option<u16>) -> Option<u16> {
        let mut empty = self.slots.iter().filter(|slot| !slot.full).map(|slot| slot.element);
        let first = empty.clone().next();
        empty.find(|element| Some(*element) == wanted).or(first)
    }
}
