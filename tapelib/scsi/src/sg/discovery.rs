//! Which units this machine has, as the kernel lists them in sysfs. Nothing is opened but units whose serial number
//! the kernel has not read.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::spc::{self, DeviceType};

/// A unit of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its node. The number in it changes from start to start, and says nothing.
    pub path: PathBuf,
    /// What it is.
    pub kind: DeviceType,
    /// Who made it.
    pub vendor: String,
    /// What they call it.
    pub product: String,
    /// Revision of its firmware.
    pub revision: String,
    /// What it is known by, when it tells.
    pub serial: Option<String>,
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let serial = self.serial.as_deref().unwrap_or("without a serial number");
        write!(f, "{serial} ({} {} at {})", self.vendor, self.product, self.path.display())
    }
}

/// No unit is the one that is wanted.
#[derive(Debug, thiserror::Error)]
#[error("this machine has no {kind} {wanted:?}; it has {}", list(present))]
pub struct Absent {
    /// `changer` or `tape drive`.
    pub kind: &'static str,
    /// Its serial number, or a path.
    pub wanted: String,
    /// What is there of that kind.
    pub present: Vec<Device>,
}

fn list(present: &[Device]) -> String {
    let names: Vec<String> = present.iter().map(Device::to_string).collect();
    if names.is_empty() { "none (is the kernel's module sg loaded?)".to_owned() } else { names.join(", ") }
}

/// Tape drives and changers of this machine, by number of their nodes.
pub fn discover() -> io::Result<Vec<Device>> {
    discover_in(Path::new(CLASS), Path::new(NODES))
}

/// The unit of that kind with a serial number, or behind a path (`/dev/sg3`, or a link to it).
pub fn find(devices: &[Device], kind: DeviceType, wanted: &str) -> Result<Device, Absent> {
    let node = wanted.starts_with('/').then(|| fs::canonicalize(wanted).unwrap_or_else(|_| wanted.into()));
    let fits = |device: &&Device| match &node {
        Some(node) => device.path == *node,
        None => device.serial.as_deref() == Some(wanted),
    };
    let of_kind = || devices.iter().filter(|device| device.kind == kind);
    of_kind().find(fits).cloned().ok_or_else(|| Absent {
        kind: if kind == DeviceType::Changer { "changer" } else { "tape drive" },
        wanted: wanted.to_owned(),
        present: of_kind().cloned().collect(),
    })
}

fn discover_in(class: &Path, nodes: &Path) -> io::Result<Vec<Device>> {
    let entries = match fs::read_dir(class) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut numbered = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(number) = name.strip_prefix("sg").and_then(|number| number.parse::<u32>().ok()) else {
            continue;
        };
        if let Some(device) = device(&entry.path().join("device"), nodes.join(name)) {
            numbered.push((number, device));
        }
    }
    numbered.sort_by_key(|(number, _)| *number);
    Ok(numbered.into_iter().map(|(_, device)| device).collect())
}

/// `None` for other kinds of units, and for one that went away meanwhile.
fn device(folder: &Path, path: PathBuf) -> Option<Device> {
    let text = |name: &str| fs::read_to_string(folder.join(name)).map(|text| text.trim().to_owned());
    let kind = DeviceType::from_byte(text("type").ok()?.parse().ok()?);
    if !matches!(kind, DeviceType::Drive | DeviceType::Changer) {
        return None;
    }
    let page = fs::read(folder.join("vpd_pg80")).ok();
    let known = page.and_then(|page| spc::parse_serial(&page).ok()).filter(|serial| !serial.is_empty());
    let serial = known.or_else(|| super::ask_serial(&path));
    let [vendor, product, revision] = ["vendor", "model", "rev"].map(|name| text(name).unwrap_or_default());
    Some(Device { path, kind, vendor, product, revision, serial })
}

const CLASS: &str = "/sys/class/scsi_generic";
const NODES: &str = "/dev";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// A class folder as the kernel makes it.
    fn class(units: &[(&str, &str, Option<&str>)]) -> tempfile::TempDir {
        let class = tempfile::tempdir().unwrap();
        for (name, kind, serial) in units {
            let folder = class.path().join(name).join("device");
            fs::create_dir_all(&folder).unwrap();
            for (file, text) in
                [("type", *kind), ("vendor", "IBM     "), ("model", "ULT3580-TD8     "), ("rev", "HB82")]
            {
                fs::write(folder.join(file), format!("{text}\n")).unwrap();
            }
            if let Some(serial) = serial {
                let page = spc::vpd_page(DeviceType::Drive, spc::vpd::SERIAL, serial.as_bytes());
                fs::write(folder.join("vpd_pg80"), page).unwrap();
            }
        }
        class
    }

    #[test]
    fn units_are_listed_by_kind_and_known_by_serial_number() {
        let class = class(&[
            ("sg10", "1", Some("DRIVE-B ")),
            ("sg2", "1", Some("DRIVE-A ")),
            ("sg0", "0", Some("DISK")),
            ("sg1", "8", Some("LIBRARY")),
            ("sg3", "1", None),
        ]);
        let devices = discover_in(class.path(), class.path()).unwrap();
        let serials: Vec<_> = devices.iter().map(|device| device.serial.as_deref()).collect();
        assert_eq!(serials, [Some("LIBRARY"), Some("DRIVE-A"), None, Some("DRIVE-B")]);
        let found = find(&devices, DeviceType::Drive, "DRIVE-B").unwrap();
        assert_eq!((found.path, found.product.as_str()), (class.path().join("sg10"), "ULT3580-TD8"));
        let node = class.path().join("sg1");
        assert_eq!(find(&devices, DeviceType::Changer, node.to_str().unwrap()).unwrap().path, node);
    }

    #[test]
    fn a_missing_unit_is_answered_with_those_that_are_there() {
        let class = class(&[("sg1", "8", Some("LIBRARY")), ("sg2", "1", Some("DRIVE"))]);
        let devices = discover_in(class.path(), class.path()).unwrap();
        let absent = find(&devices, DeviceType::Changer, "DRIVE").unwrap_err().to_string();
        assert!(absent.contains("no changer \"DRIVE\"") && absent.contains("LIBRARY (IBM"), "{absent}");
        let nothing = discover_in(&class.path().join("absent"), class.path()).unwrap();
        let absent = find(&nothing, DeviceType::Drive, "/dev/sg0").unwrap_err().to_string();
        assert!(absent.contains("module sg"), "{absent}");
    }
}
