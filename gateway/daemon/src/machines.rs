//! Orders of an operator to libraries and drives, and the tasks they give to hands.

use std::collections::BTreeMap;
use std::sync::Arc;

use console::{AdminError, Hands, MachineAction, MachineOrder};
use engine::{Engine, ExportOrder};
use library::{Barcode, Library, Medium};
use model::volume::VolumeStage;
use model::{PoolName, Remedy, VolumeId};
use serde_json::{Value, json};
use virtual_library::{Place, VirtualLibrary};

use crate::chores::Chores;
use crate::data::DataDir;
use crate::error::chain;
use crate::view;

/// The machines, ordered about.
pub struct Machines {
    engine: Arc<Engine>,
    data: Arc<DataDir>,
    chores: Chores,
    /// The virtual libraries themselves, for the hands of a person.
    hands: BTreeMap<String, VirtualLibrary>,
}

/// An order names a volume, or a cartridge that no volume is on.
enum Named {
    Volume(VolumeId),
    Cartridge(String, Arc<Library>, Barcode),
}

// === impl Machines ===

impl Machines {
    /// The machines of this engine.
    pub fn new(engine: Arc<Engine>, data: Arc<DataDir>, hands: BTreeMap<String, VirtualLibrary>) -> Self {
        Self { engine, data, chores: Chores::default(), hands }
    }

    /// What only hands can do.
    pub async fn tasks(&self) -> Result<Value, AdminError> {
        let tasks = self.engine.tasks().await.map_err(|error| refusal(&error))?;
        Ok(json!({"tasks": tasks.iter().map(view::task).collect::<Vec<_>>()}))
    }

    /// Carries an order out as far as it goes now; it is given again until the answer says `done`.
    pub async fn order(&self, order: MachineOrder) -> Result<Value, AdminError> {
        let MachineOrder { action, ticket } = order;
        match action {
            MachineAction::Export { name, place, only_copy } => match self.named(&name).await? {
                Named::Volume(id) => {
                    let export = self.engine.export(id, &ExportOrder { place, only_copy }).await;
                    export.map(|export| view::export(&export)).map_err(|error| refusal(&error))
                }
                Named::Cartridge(library, machine, barcode) => {
                    self.export_cartridge(&ticket, library, machine, barcode, place).await
                }
            },
            MachineAction::Keep { name } => match self.named(&name).await? {
                Named::Volume(id) => {
                    let kept = self.engine.keep(id).await.map_err(|error| refusal(&error))?;
                    Ok(view::export(&kept))
                }
                Named::Cartridge(..) => Err(refused(format!("there is no volume {name}"))),
            },
            MachineAction::Import { library, barcode } => self.import(&ticket, library, barcode).await,
            MachineAction::Label { barcode, pool, overwrite } => {
                self.label(&ticket, &barcode, pool, overwrite).await
            }
            MachineAction::Load { barcode, drive } => self.load(&ticket, &barcode, drive).await,
            MachineAction::Unload { name } => self.unload(&ticket, &name).await,
            MachineAction::Clean { drive } => {
                let (_, machine) = self.with_drive(&drive)?;
                let said = json!({"done": true, "drive": drive});
                let clean = move |machine: &Library| machine.clean(&drive).map(|()| said);
                self.on_machine(&ticket, machine, clean).await
            }
            MachineAction::Rescan { library } => self.rescan(&ticket, library).await,
            MachineAction::DriveUp { drive } => self.switch_drive(&drive, None),
            MachineAction::DriveDown { drive, why } => self.switch_drive(&drive, Some(why)),
            MachineAction::Hands { barcode, hands } => self.lay_hands_on(&barcode, hands),
        }
    }

    /// What a drive has been through.
    pub fn history(&self, drive: &str) -> Result<Value, AdminError> {
        let (name, machine) = self.with_drive(drive)?;
        let history = machine.history(drive).map_err(|error| of_library(&error))?;
        Ok(view::history(&name, drive, &history))
    }

    async fn export_cartridge(
        &self,
        ticket: &str,
        library: String,
        machine: Arc<Library>,
        barcode: Barcode,
        place: String,
    ) -> Result<Value, AdminError> {
        let export = move |machine: &Library| {
            let element = machine.export(&barcode)?;
            Ok(json!({
                "done": true,
                "barcode": barcode.as_str(),
                "library": library,
                "element": element,
                "in_mail_slot": true,
                "place": place,
            }))
        };
        self.on_machine(ticket, machine, export).await
    }

    async fn import(
        &self,
        ticket: &str,
        library: Option<String>,
        barcode: Option<String>,
    ) -> Result<Value, AdminError> {
        if let Some(name) = &library {
            self.library(name)?;
        }
        let barcode = barcode.as_deref().map(label).transpose()?;
        let engine = self.engine.clone();
        let work = move || async move {
            let arrived = engine.import(library.as_deref(), barcode.as_ref()).await;
            let arrived = arrived.map_err(|error| refusal(&error))?;
            Ok(json!({"done": true, "arrived": arrived.iter().map(view::arrived).collect::<Vec<_>>()}))
        };
        self.answer(self.chores.ask(ticket, work).await)
    }

    async fn label(
        &self,
        ticket: &str,
        barcode: &str,
        pool: Option<String>,
        overwrite: Option<VolumeId>,
    ) -> Result<Value, AdminError> {
        let barcode = label(barcode)?;
        let (library, _) = self.with_cartridge(&barcode)?;
        let pool = pool.map(|name| PoolName::parse(&name)).transpose();
        let pool = pool.map_err(|error| refused(chain(&error)))?;
        let engine = self.engine.clone();
        let work = move || async move {
            let labelled = engine.label(&library, &barcode, pool, overwrite).await;
            let labelled = labelled.map_err(|error| refusal(&error))?;
            Ok(json!({"done": true, "volume": view::volume(&labelled, engine::Usage::default())}))
        };
        self.answer(self.chores.ask(ticket, work).await)
    }

    async fn load(&self, ticket: &str, barcode: &str, drive: Option<String>) -> Result<Value, AdminError> {
        let barcode = label(barcode)?;
        let (_, machine) = match &drive {
            Some(drive) => self.with_drive(drive)?,
            None => self.with_cartridge(&barcode)?,
        };
        let load = move |machine: &Library| {
            let seen = machine.load(&barcode, drive.as_deref())?;
            let (medium, volume) = match seen.medium {
                Medium::Blank => ("blank", None),
                Medium::Volume(uuid) => ("volume", Some(uuid.to_string())),
                Medium::Foreign => ("foreign", None),
            };
            Ok(json!({
                "done": true,
                "barcode": barcode.as_str(),
                "drive": seen.drive,
                "medium_serial": seen.mam_serial,
                "medium": medium,
                "volume": volume,
            }))
        };
        self.on_machine(ticket, machine, load).await
    }

    async fn unload(&self, ticket: &str, name: &str) -> Result<Value, AdminError> {
        let in_drive = self.with_drive(name).ok().map(|(_, machine)| {
            let drives = machine.drives();
            let drive = drives.into_iter().find(|drive| drive.serial == name);
            (machine, drive.and_then(|drive| drive.barcode))
        });
        let (machine, barcode) = match in_drive {
            Some((_, None)) => return Ok(json!({"done": true, "barcode": null})),
            Some((machine, Some(barcode))) => (machine, barcode),
            None => {
                let barcode = label(name)?;
                (self.with_cartridge(&barcode)?.1, barcode)
            }
        };
        let said = json!({"done": true, "barcode": barcode.as_str()});
        self.on_machine(ticket, machine, move |machine| machine.put_away(&barcode).map(|()| said)).await
    }

    async fn rescan(&self, ticket: &str, only: Option<String>) -> Result<Value, AdminError> {
        if let Some(name) = &only {
            self.library(name)?;
        }
        let all = self.libraries().clone();
        let volumes = self.engine.house().catalog.volumes().await;
        let volumes = volumes.map_err(|error| AdminError::failed(chain(&error)))?;
        let work = move || async move {
            let audit = tokio::task::spawn_blocking(move || {
                let mut elements = Vec::new();
                let wanted = |name: &String| only.as_ref().is_none_or(|only| only == name);
                for (name, machine) in all.iter().filter(|(name, _)| wanted(name)) {
                    let inventory = machine.audit().map_err(|error| of_library(&error))?;
                    let mut rows = view::inventory(name, &inventory);
                    rows.iter_mut().for_each(|row| view::add_volume(row, &volumes));
                    elements.extend(rows);
                }
                Ok(json!({"done": true, "elements": elements}))
            });
            audit.await.unwrap_or_else(|panic| Err(AdminError::failed(chain(&panic))))
        };
        self.answer(self.chores.ask(ticket, work).await)
    }

    /// Sets a drive down or up, now and after the next start. Down it is when the answer says `done`.
    fn switch_drive(&self, serial: &str, down: Option<String>) -> Result<Value, AdminError> {
        let (library, machine) = self.with_drive(serial)?;
        let known = self.data.drives_down().map_err(|error| AdminError::failed(chain(&error)))?;
        let mut all = known.clone();
        match &down {
            Some(why) => drop(all.insert(serial.to_owned(), why.clone())),
            None => drop(all.remove(serial)),
        }
        if all != known {
            self.data.note_drives_down(&all).map_err(|error| AdminError::failed(chain(&error)))?;
        }
        let switched = match &down {
            Some(why) => machine.drive_down(serial, why),
            None => machine.drive_up(serial),
        };
        switched.map_err(|error| of_library(&error))?;
        let drives = machine.drives();
        let drive = drives.iter().find(|drive| drive.serial == serial);
        let mut answer = drive.map_or(Value::Null, |drive| view::drive(&library, drive));
        // A drive goes down after the job it is at.
        answer["done"] = json!(down.is_none() || answer["state"] == "down");
        Ok(answer)
    }

    /// What a person does at a virtual library.
    fn lay_hands_on(&self, barcode: &str, hands: Hands) -> Result<Value, AdminError> {
        let name = virtual_library::Barcode::parse(barcode).map_err(|error| refused(chain(&error)))?;
        let mut last = refused(format!("no virtual library has {barcode} inside or in its folder `outside`"));
        for (library, machine) in &self.hands {
            let outside = self.data.library(library).join("outside").join(barcode);
            let done = match hands {
                Hands::Take => machine.remove(&name).map(drop),
                Hands::Mail if outside.exists() => machine.insert(&outside, Place::MailSlot).map(drop),
                Hands::Slot if outside.exists() => machine.insert(&outside, Place::Slot).map(drop),
                Hands::Mail | Hands::Slot => continue,
            };
            match done {
                Ok(()) => return Ok(json!({"done": true, "barcode": barcode, "library": library})),
                Err(error) => last = refused(chain(&error)),
            }
        }
        Err(last)
    }

    /// A volume by UUID or barcode; a cartridge that no living volume is on by its barcode.
    async fn named(&self, name: &str) -> Result<Named, AdminError> {
        if let Ok(id) = name.parse() {
            return Ok(Named::Volume(id));
        }
        let rows = self.engine.house().catalog.volumes().await;
        let mut rows = rows.map_err(|error| AdminError::failed(chain(&error)))?;
        let gone = |stage| matches!(stage, VolumeStage::Preparing | VolumeStage::Retired);
        rows.retain(|row| row.barcode == name && !gone(row.state.stage()));
        match rows.as_slice() {
            [row] => Ok(Named::Volume(row.id)),
            [] => {
                let barcode = label(name)?;
                let (library, machine) = self.with_cartridge(&barcode)?;
                Ok(Named::Cartridge(library, machine, barcode))
            }
            several => {
                let ids: Vec<String> = several.iter().map(|row| row.id.to_string()).collect();
                let ids = ids.join(", ");
                Err(refused(format!("barcode {name} is on several volumes; name one by UUID: {ids}")))
            }
        }
    }

    fn libraries(&self) -> &BTreeMap<String, Arc<Library>> {
        &self.engine.house().libraries
    }

    fn library(&self, name: &str) -> Result<&Arc<Library>, AdminError> {
        let unknown =
            || AdminError::not_found(format!("there is no library {name}; see `tapegate library list`"));
        self.libraries().get(name).ok_or_else(unknown)
    }

    fn with_drive(&self, serial: &str) -> Result<(String, Arc<Library>), AdminError> {
        let has = |library: &Library| library.drives().iter().any(|drive| drive.serial == serial);
        let mut found = self.libraries().iter().filter(|(_, library)| has(library));
        let (name, machine) = found.next().ok_or_else(|| {
            AdminError::not_found(format!("there is no drive {serial}; see `tapegate drive list`"))
        })?;
        Ok((name.clone(), machine.clone()))
    }

    fn with_cartridge(&self, barcode: &Barcode) -> Result<(String, Arc<Library>), AdminError> {
        let has = |library: &Library| library.inventory().barcodes().contains(barcode);
        let mut found = self.libraries().iter().filter(|(_, library)| has(library));
        let (name, machine) = found.next().ok_or_else(|| {
            AdminError::not_found(format!("no library has {barcode}; see `tapegate library inventory`"))
        })?;
        Ok((name.clone(), machine.clone()))
    }

    async fn on_machine(
        &self,
        ticket: &str,
        machine: Arc<Library>,
        work: impl FnOnce(&Library) -> Result<Value, library::Error> + Send + 'static,
    ) -> Result<Value, AdminError> {
        let chore = move || async move {
            let done = tokio::task::spawn_blocking(move || work(&machine)).await;
            let done = done.map_err(|panic| AdminError::failed(chain(&panic)))?;
            done.map_err(|error| of_library(&error))
        };
        self.answer(self.chores.ask(ticket, chore).await)
    }

    /// The answer, or that it is to come, and what the drives are at.
    fn answer(&self, asked: Result<Option<Value>, AdminError>) -> Result<Value, AdminError> {
        if let Some(answer) = asked? {
            return Ok(answer);
        }
        let of = |(name, library): (&String, &Arc<Library>)| -> Vec<Value> {
            library.drives().iter().map(|drive| view::drive(name, drive)).collect()
        };
        let drives: Vec<Value> = self.libraries().iter().flat_map(of).collect();
        Ok(json!({"done": false, "drives": drives}))
    }
}

fn label(text: &str) -> Result<Barcode, AdminError> {
    Barcode::parse(text).ok_or_else(|| refused(format!("{text:?} is no barcode")))
}

/// The engine's error as an administrator is told it.
fn refusal(error: &engine::Error) -> AdminError {
    match error.remedy() {
        Remedy::Operator(code) => refused(format!("{code}: {}", chain(error))),
        Remedy::Refuse(_) => refused(chain(error)),
        _ => AdminError::failed(chain(error)),
    }
}

fn of_library(error: &library::Error) -> AdminError {
    match error.remedy() {
        library::Remedy::Operator(code) => refused(format!("{code}: {}", chain(error))),
        _ => AdminError::failed(chain(error)),
    }
}

fn refused(message: String) -> AdminError {
    AdminError { status: 409, code: "Refused".to_owned(), message }
}
