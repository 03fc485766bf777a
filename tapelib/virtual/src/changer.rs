//! The medium changer (SMC-3): what is in which element, and the robot that moves it.

mod status;

use crate::attention::Attentions;
use crate::cartridge::Home;
use crate::drive::Drive;
use crate::geometry::{Barcode, ElementKind, Geometry};
use crate::inquiry::Identity;
use crate::inventory::{Held, Inventory};
use crate::mode::{self, Preamble};
use crate::reply::{Outcome, be16, check_length, completion, deliver};
use crate::sense::{
    DESTINATION_FULL, INTERNAL_FAILURE, INVALID_ELEMENT_ADDRESS, INVALID_FIELD_IN_CDB,
    INVALID_OPERATION_CODE, NO_SENSE, REMOVAL_PREVENTED, SOURCE_EMPTY, Sense,
};
use scsi::{Cdb, Completion, Data, opcode};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
pub(crate) struct Changer {
    pub(crate) geometry: Geometry,
    pub(crate) inventory: Inventory,
    pub(crate) attentions: Attentions,
    identity: Identity,
    cartridges: PathBuf,
    /// Locked only while the changer is: never the other way round.
    drives: Vec<Arc<Mutex<Drive>>>,
}

impl Changer {
    pub fn new(
        geometry: Geometry,
        inventory: Inventory,
        identity: Identity,
        cartridges: PathBuf,
        drives: Vec<Arc<Mutex<Drive>>>,
    ) -> Self {
        Self { geometry, inventory, attentions: Attentions::power_on(), identity, cartridges, drives }
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The folder that holds one folder for each cartridge.
    pub fn cartridges(&self) -> &Path {
        &self.cartridges
    }

    /// The drives load what the inventory says is in them, as they do when the power comes back.
    pub fn load_drives(&self) {
        for (index, element) in self.geometry.addresses(ElementKind::Drive).enumerate() {
            if let Some(held) = self.inventory.at(element) {
                self.drive(index).insert(self.home(&held.barcode));
            }
        }
    }

    pub fn cut_power(&mut self) -> std::io::Result<()> {
        self.attentions = Attentions::power_on();
        (0..self.drives.len()).try_for_each(|index| self.drive(index).cut_power())
    }

    pub fn execute(&mut self, cdb: &Cdb, mut data: Data<'_>) -> Completion {
        completion(self.dispatch(cdb, &mut data))
    }

    fn dispatch(&mut self, cdb: &Cdb, data: &mut Data<'_>) -> Outcome {
        self.attentions.admit(cdb.opcode())?;
        check_length(cdb)?;
        match cdb.opcode() {
            opcode::TEST_UNIT_READY => Ok(0),
            opcode::REQUEST_SENSE => {
                if cdb.as_bytes()[1] & 0x01 != 0 {
                    return Err(INVALID_FIELD_IN_CDB.into());
                }
                let sense = self.attentions.take().unwrap_or(NO_SENSE);
                deliver(data, usize::from(cdb.as_bytes()[4]), &sense.to_bytes())
            }
            opcode::INQUIRY => self.identity.inquiry(cdb, data),
            opcode::MODE_SENSE_6 | opcode::MODE_SENSE_10 => self.mode_sense(cdb, data),
            opcode::READ_ELEMENT_STATUS => self.read_element_status(cdb, data),
            opcode::MOVE_MEDIUM => self.move_medium(cdb),
            _ => Err(INVALID_OPERATION_CODE.into()),
        }
    }

    /// Pages 1Dh, element address assignment, and 1Fh, device capabilities.
    fn mode_sense(&self, cdb: &Cdb, data: &mut Data<'_>) -> Outcome {
        let mut addresses = vec![0x1D, 18];
        for kind in ElementKind::ALL {
            let range = self.geometry.addresses(kind);
            addresses.extend(range.start.to_be_bytes());
            addresses.extend((range.end - range.start).to_be_bytes());
        }
        addresses.extend([0, 0]);
        let mut capabilities = vec![0x1F, 18];
        // Drives, I/E elements and slots store media; moves go from each of them to each of them.
        let stores = ElementKind::ALL.into_iter().skip(1).fold(0, |bits, kind| bits | kind.capability());
        capabilities.extend([stores, 0, 0, stores, stores, stores]);
        capabilities.resize(20, 0);
        let preamble = Preamble { medium_type: 0, device_specific: 0, block_descriptor: Vec::new() };
        mode::sense(cdb, data, &preamble, &[addresses, capabilities])
    }

    fn move_medium(&mut self, cdb: &Cdb) -> Outcome {
        let block = cdb.as_bytes();
        let (transport, source, destination) = (be16(block, 2), be16(block, 4), be16(block, 6));
        let robots = self.geometry.addresses(ElementKind::Transport);
        if block[10] & 0x01 != 0 {
            return Err(INVALID_FIELD_IN_CDB.into());
        }
        if transport != 0 && !robots.contains(&transport) {
            return Err(INVALID_ELEMENT_ADDRESS.into());
        }
        for element in [source, destination] {
            match self.geometry.kind(element) {
                None | Some(ElementKind::Transport) => return Err(INVALID_ELEMENT_ADDRESS.into()),
                Some(_) => {}
            }
        }
        self.carry(source, destination)?;
        Ok(0)
    }

    fn carry(&mut self, source: u16, destination: u16) -> Result<(), Sense> {
        let held = self.inventory.at(source).ok_or(SOURCE_EMPTY)?.clone();
        if self.inventory.at(destination).is_some() {
            return Err(DESTINATION_FULL);
        }
        let home = self.home(&held.barcode);
        let from = self.geometry.drive_index(source);
        if from.is_some_and(|index| !self.drive(index).is_accessible()) {
            return Err(REMOVAL_PREVENTED);
        }
        let is_slot = self.geometry.kind(source) == Some(ElementKind::Storage);
        let moved = Held { barcode: held.barcode, source: if is_slot { Some(source) } else { held.source } };
        let change = self.inventory.change(|elements| {
            elements.remove(&source);
            elements.insert(destination, moved);
        });
        change.map_err(|_| INTERNAL_FAILURE)?;
        if let Some(index) = from {
            self.drive(index).take_out();
        }
        if let Some(index) = self.geometry.drive_index(destination) {
            self.drive(index).insert(home);
        }
        Ok(())
    }

    fn home(&self, barcode: &Barcode) -> Home {
        Home { dir: self.cartridges.join(barcode.as_str()), barcode: barcode.clone(), read_only: false }
    }

    fn drive(&self, index: usize) -> MutexGuard<'_, Drive> {
        self.drives[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ElementKind {
    /// Its bit in mode page 1Fh: MT, ST, I/E, DT from the lowest.
    const fn capability(self) -> u8 {
        1 << (self.code() - 1)
    }
}
