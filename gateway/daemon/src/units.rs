//! What is behind a library: files, or units of this machine, found by serial number.

use std::collections::BTreeSet;
use std::path::Path;

use library::{Inventory, Library};
use scsi::Transport;
use scsi::sg::{self, Device, Sg};
use scsi::spc::DeviceType;
use serde_json::{Value, json};
use virtual_library::{Timing, VirtualLibrary};

use crate::config::{LibraryConfig, Machine, Machines, Units};
use crate::error::chain;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Opens a library; a virtual one lives in `folder` and behaves as `machines` says, and is given too. A drive that is missing is warned
/// about, a changer must be there.
pub fn open(
    folder: &Path,
    config: &LibraryConfig,
    machines: &Machines,
    reservation: Option<u64>,
) -> Result<(Library, Option<VirtualLibrary>), Failure> {
    let mut settings = library::Config::new(&config.name);
    match &config.machine {
        Machine::Virtual(geometry) => {
            let machine = VirtualLibrary::open_timed(folder, *geometry, Timing::scaled(machines.time_scale))?;
            let drives = (0..machine.drive_count()).map(|index| machine.drive_transport(index)).collect();
            let library = Library::open(settings, machine.changer_transport(), drives)?;
            // Counted from here: what finding the machines takes is not what a test wants to disturb.
            let faults = machine.faults();
            let ours = machines.faults.iter().filter(|(name, _)| *name == config.name);
            ours.for_each(|(_, fault)| faults.plan(fault));
            Ok((library, Some(machine)))
        }
        Machine::Sg(units) => {
            (settings.ours, settings.reservation) = (units.ours.clone(), reservation);
            let devices = sg::discover()?;
            let changer = sg::find(&devices, DeviceType::Changer, &units.changer)?.path;
            let drives = |named: &Inventory| -> Vec<Box<dyn Transport>> {
                let wanted = wanted_drives(units, named);
                wanted.iter().filter_map(|serial| open_drive(&config.name, &devices, serial)).collect()
            };
            Ok((Library::open_with(settings, Box::new(Sg::open(&changer)?), drives)?, None))
        }
    }
}

/// Serial numbers of the drives that the changer names and that are ours.
fn wanted_drives(units: &Units, named: &Inventory) -> BTreeSet<String> {
    let named: BTreeSet<String> = named.drives.iter().filter_map(|drive| drive.serial.clone()).collect();
    match &units.drives {
        None => named,
        Some(ours) => {
            for missing in ours.difference(&named) {
                tracing::warn!(drive = missing, "the changer names no drive of that serial number");
            }
            ours.intersection(&named).cloned().collect()
        }
    }
}

fn open_drive(library: &str, devices: &[Device], serial: &str) -> Option<Box<dyn Transport>> {
    let opened = sg::find(devices, DeviceType::Drive, serial)
        .map_err(Failure::from)
        .and_then(|device| Sg::open(&device.path).map_err(Failure::from));
    match opened {
        Ok(unit) => Some(Box::new(unit)),
        Err(error) => {
            tracing::warn!(library, drive = serial, error = chain(&*error), "a drive is left out");
            None
        }
    }
}

/// Which units of this machine real libraries are made of, as the kernel lists them; a unit is asked only for a serial
/// number that the kernel has not read. By library: its `changer` and the `drives` that the configuration names, each with
/// its node or with what is the `matter`.
pub fn survey(libraries: &[LibraryConfig]) -> Value {
    let real = libraries.iter().filter_map(|library| match &library.machine {
        Machine::Virtual(_) => None,
        Machine::Sg(units) => Some((&library.name, units)),
    });
    real.map(|(name, units)| {
        let mut found = found(units);
        found["name"] = json!(name);
        found
    })
    .collect()
}

/// What a library's units are, or what is the matter with them.
pub fn found(units: &Units) -> Value {
    let devices = match sg::discover() {
        Ok(devices) => devices,
        Err(error) => {
            return json!({"matter": format!("the units of this machine cannot be listed: {error}")});
        }
    };
    let one = |kind, wanted: &str| match sg::find(&devices, kind, wanted) {
        Ok(device) => json!({"wanted": wanted, "node": device.path, "unit": device.to_string()}),
        Err(absent) => json!({"wanted": wanted, "matter": absent.to_string()}),
    };
    let drives = units.drives.iter().flatten();
    json!({
        "changer": one(DeviceType::Changer, &units.changer),
        "drives": drives.map(|drive| one(DeviceType::Drive, drive)).collect::<Vec<_>>(),
    })
}

/// What is the matter with one of the libraries in a [`survey`], by name.
pub fn matters(library: &Value) -> Vec<String> {
    let name = library["name"].as_str().unwrap_or_default();
    let drives = library["drives"].as_array().into_iter().flatten();
    let parts = [library, &library["changer"]].into_iter().chain(drives);
    parts.filter_map(|part| Some(format!("library {name}: {}", part["matter"].as_str()?))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use library::Ours;

    #[test]
    fn a_missing_unit_is_named() {
        let changer = "/dev/no-such-changer".to_owned();
        let units = Units { changer, drives: Some(["NO-SUCH-DRIVE".to_owned()].into()), ours: Ours::All };
        let real = LibraryConfig { name: "main".to_owned(), machine: Machine::Sg(units), folder: None };
        let files = LibraryConfig {
            name: "files".to_owned(),
            machine: Machine::Virtual(Default::default()),
            folder: None,
        };
        let survey = survey(&[files, real.clone()]);
        assert_eq!(survey.as_array().unwrap().len(), 1);
        let matters = matters(&survey[0]);
        assert_eq!(matters.len(), 2, "{matters:?}");
        assert!(matters[0].starts_with("library main: this machine has no changer \"/dev/no-such-changer\""));
        assert!(matters[1].contains("no tape drive \"NO-SUCH-DRIVE\""));
        let refused = open(Path::new("/nowhere"), &real, &Machines::default(), None).map(drop).unwrap_err();
        assert!(refused.to_string().contains("no changer"), "{refused}");
    }
}
