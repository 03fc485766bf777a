//! The medium changer (SMC-3): what is in which element, and the robot that moves it.

mod status;

use crate::attention::Attentions;
use crate::cartridge::Home;
use crate::drive::Drive;
use crate::geometry::{Barcode, ElementKind, Geometry};
use crate::inquiry::Identity;
use crate::inventory::{Held, Inventory};
use crate::mode::{self, Wanted};
use crate::reply::{Check, Outcome, completion, conflict, deliver, encode};
use crate::reservation::{Conflict, Nexus, Reservations};
use crate::sense::{
    DESTINATION_FULL, INTERNAL_FAILURE, INVALID_ELEMENT_ADDRESS, INVALID_FIELD_IN_PARAMETER_LIST,
    INVALID_OPERATION_CODE, NO_SENSE, REMOVAL_PREVENTED, SOURCE_EMPTY, Sense,
};
use crate::timing::{self, Timing};
use scsi::mode::{Control, ElementAddresses, ElementRange, ModeData};
use scsi::smc::Command as Smc;
use scsi::spc::{Command as Spc, ModeForm};
use scsi::{Cdb, Command, Completion, Data, ElementAddress, opcode};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Changer {
    pub(crate) geometry: Geometry,
    pub(crate) inventory: Inventory,
    pub(crate) attentions: Attentions,
    /// The host keeps operators from the mail slots.
    pub(crate) mail_slots_locked: bool,
    descriptor_sense: bool,
    reservations: Reservations,
    identity: Identity,
    timing: Timing,
    /// The robot is done with the last command.
    free_at: Duration,
    cartridges: PathBuf,
    /// Locked only while the changer is: never the other way round.
    drives: Vec<Arc<Mutex<Drive>>>,
}

impl Changer {
    pub fn new(
        geometry: Geometry,
        inventory: Inventory,
        identity: Identity,
        timing: Timing,
        cartridges: PathBuf,
        drives: Vec<Arc<Mutex<Drive>>>,
    ) -> Self {
        Self {
            geometry,
            inventory,
            attentions: Attentions::power_on(),
            mail_slots_locked: false,
            descriptor_sense: false,
            reservations: Reservations::default(),
            identity,
            timing,
            free_at: Duration::ZERO,
            cartridges,
            drives,
        }
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
                self.drive(index).insert(self.home(&held.barcode), Duration::ZERO);
            }
        }
    }

    pub fn cut_power(&mut self) -> std::io::Result<()> {
        self.attentions = Attentions::power_on();
        (self.mail_slots_locked, self.descriptor_sense) = (false, false);
        self.reservations = Reservations::default();
        (0..self.drives.len()).try_for_each(|index| self.drive(index).cut_power())
    }

    /// Carries out a command and tells when the robot is done with it.
    pub fn execute_timed(&mut self, nexus: Nexus, cdb: &Cdb, data: Data<'_>) -> (Completion, Duration) {
        if let Some(clock) = &self.timing.clock {
            self.free_at = clock.begin(self.free_at);
            if let Ok(Command::Smc(Smc::MoveMedium { source, .. })) = Command::decode(cdb)
                && let Some(index) = self.geometry.drive_index(source.0)
            {
                // Not before the drive has let go.
                let let_go = self.drive(index).free_at();
                self.free_at = self.free_at.max(let_go);
            }
            // The time of a motion passes before its end is seen: what arrives in a drive begins to load then.
            self.free_at += match Command::decode(cdb) {
                Ok(Command::Smc(Smc::MoveMedium { source, destination, .. }))
                    if self.is_possible(source.0, destination.0) =>
                {
                    timing::MOVE
                }
                Ok(Command::Smc(Smc::InitializeElementStatus)) => {
                    timing::LOOK * u32::from(self.geometry.slots)
                }
                Ok(Command::Smc(Smc::InitializeRange { count, .. })) => timing::LOOK * u32::from(count),
                _ => Duration::ZERO,
            };
        }
        (self.execute(nexus, cdb, data), self.free_at)
    }

    /// There is something to move, and a place for it.
    fn is_possible(&self, source: u16, destination: u16) -> bool {
        self.inventory.at(source).is_some() && self.inventory.at(destination).is_none()
    }

    fn execute(&mut self, nexus: Nexus, cdb: &Cdb, mut data: Data<'_>) -> Completion {
        // INQUIRY and REQUEST SENSE answer whatever happened.
        if !matches!(cdb.opcode(), opcode::INQUIRY | opcode::REQUEST_SENSE)
            && let Some(news) = self.reservations.news(nexus)
        {
            return self.check(news, 0);
        }
        if let Err(sense) = self.attentions.admit(cdb.opcode()) {
            return self.check(sense, 0);
        }
        let command = match Command::decode(cdb) {
            Ok(command) => command,
            Err(error) => return self.check(error.sense(), 0),
        };
        if self.reservations.keeps_out(nexus, &command) {
            return conflict();
        }
        let outcome = match command {
            Command::Spc(Spc::ReserveOut { action, kind, length }) => {
                match self.reservations.reserve_out(nexus, action, kind, length, &data) {
                    Ok(outcome) => outcome,
                    Err(Conflict) => return conflict(),
                }
            }
            command => self.dispatch(command, &mut data),
        };
        completion(outcome, self.descriptor_sense)
    }

    /// CHECK CONDITION with this sense, in the format the host has chosen.
    pub fn check(&self, sense: Sense, transferred: usize) -> Completion {
        completion(Err(Check { sense, transferred }), self.descriptor_sense)
    }

    fn dispatch(&mut self, command: Command, data: &mut Data<'_>) -> Outcome {
        match command {
            Command::Spc(Spc::TestUnitReady) => Ok(0),
            Command::Spc(Spc::RequestSense { descriptor, allocation }) => {
                let sense = self.attentions.take().unwrap_or(NO_SENSE);
                deliver(data, usize::from(allocation), &encode(&sense, descriptor))
            }
            Command::Spc(Spc::Inquiry { page, allocation }) => self.identity.inquiry(page, allocation, data),
            Command::Spc(Spc::ModeSense { form, no_block_descriptor, values, page, subpage, allocation }) => {
                let wanted = Wanted { form, no_block_descriptor, values, page, subpage, allocation };
                self.mode_sense(&wanted, data)
            }
            Command::Spc(Spc::ModeSelect { form, length }) => self.mode_select(form, length, data),
            Command::Spc(Spc::PreventAllow { prevent }) => {
                self.mail_slots_locked = prevent;
                Ok(0)
            }
            Command::Spc(Spc::ReserveIn { what, allocation }) => {
                self.reservations.reserve_in(what, allocation, data)
            }
            // The inventory is always right.
            Command::Smc(Smc::InitializeElementStatus | Smc::InitializeRange { .. }) => Ok(0),
            Command::Smc(Smc::ReadElementStatus(query)) => self.read_element_status(&query, data),
            Command::Smc(Smc::MoveMedium { transport, source, destination }) => {
                self.move_medium(transport.0, source.0, destination.0)
            }
            Command::Spc(_) | Command::Ssc(_) => Err(INVALID_OPERATION_CODE.into()),
        }
    }

    /// Pages 0Ah, control, 1Dh, element address assignment, and 1Fh, device capabilities.
    fn mode_sense(&self, wanted: &Wanted, data: &mut Data<'_>) -> Outcome {
        let range = |kind| {
            let addresses = self.geometry.addresses(kind);
            let count = addresses.end - addresses.start;
            ElementRange { first: ElementAddress(addresses.start), count }
        };
        let addresses = ElementAddresses {
            transport: range(ElementKind::Transport),
            storage: range(ElementKind::Storage),
            import_export: range(ElementKind::ImportExport),
            drive: range(ElementKind::Drive),
        };
        let mut capabilities = vec![0x1F, 18];
        // Drives, I/E elements and slots store media; moves go from each of them to each of them.
        let stores = ElementKind::ALL.into_iter().skip(1).fold(0, |bits, kind| bits | kind.capability());
        capabilities.extend([stores, 0, 0, stores, stores, stores]);
        capabilities.resize(20, 0);
        let control = Control { descriptor_sense: self.descriptor_sense }.encode();
        mode::sense(wanted, data, ModeData::default(), &[control, addresses.encode(), capabilities])
    }

    /// Only the format of sense data can be chosen.
    fn mode_select(&mut self, form: ModeForm, length: u16, data: &Data<'_>) -> Outcome {
        let selection = mode::select(form, length, data)?;
        let mut chosen = self.descriptor_sense;
        for page in mode::pages(&selection.pages)? {
            match Control::parse(page.bytes) {
                Ok(control) => chosen = control.descriptor_sense,
                Err(_) => return Err(INVALID_FIELD_IN_PARAMETER_LIST.into()),
            }
        }
        self.descriptor_sense = chosen;
        Ok(usize::from(length))
    }

    fn move_medium(&mut self, transport: u16, source: u16, destination: u16) -> Outcome {
        let robots = self.geometry.addresses(ElementKind::Transport);
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
            self.drive(index).insert(home, self.free_at);
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
