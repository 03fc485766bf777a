//! `[[library]]`: machines in files, and machines that stand somewhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use library::Ours;
use virtual_library::Geometry;

use super::section::Section;

/// A library.
#[derive(Clone, Debug)]
pub struct LibraryConfig {
    /// Its name, also of its folder.
    pub name: String,
    /// What is behind it.
    pub machine: Machine,
    /// Where one in files is, when it is not in the data directory.
    pub folder: Option<PathBuf>,
}

/// What is behind a library.
#[derive(Clone, Debug)]
pub enum Machine {
    /// Files in the data directory; their size.
    Virtual(Geometry),
    /// Units of this machine's generic SCSI driver.
    Sg(Units),
}

/// Which units of this machine are a library, and what of it is ours.
#[derive(Clone, Debug)]
pub struct Units {
    /// Serial number of the changer, or a path to its node.
    pub changer: String,
    /// Serial numbers of the drives that are ours; all that the changer names when none.
    pub drives: Option<BTreeSet<String>>,
    /// Which cartridges are ours.
    pub ours: Ours,
}

impl LibraryConfig {
    /// What kind it is, in the configuration's word.
    pub fn kind(&self) -> &'static str {
        match &self.machine {
            Machine::Virtual(_) => "virtual",
            Machine::Sg(_) => "sg",
        }
    }

    /// Its size, when it is one in files.
    pub fn geometry(&self) -> Option<&Geometry> {
        match &self.machine {
            Machine::Virtual(geometry) => Some(geometry),
            Machine::Sg(_) => None,
        }
    }
}

/// Every library, in order; at least one.
pub(super) fn libraries(root: &mut Section<'_>, folder: &Path) -> Vec<LibraryConfig> {
    let Some(sections) = root.list("library") else {
        let machine = Machine::Virtual(Geometry::default());
        return vec![LibraryConfig { name: "main".to_owned(), machine, folder: None }];
    };
    let mut libraries: Vec<LibraryConfig> = Vec::new();
    for section in sections {
        let place = section.name("name");
        let Some(library) = library(section, folder) else { continue };
        if libraries.iter().any(|other| other.name == library.name) {
            root.fault(&place, format!("{} is there twice", library.name), "give every library its own name");
        }
        libraries.push(library);
    }
    libraries
}

fn library(mut section: Section<'_>, folder: &Path) -> Option<LibraryConfig> {
    let fix = "write 1 to 32 of a-z, 0-9, '-' and '_'";
    let named = section.has("name");
    let name = section.parsed("name", fix, library_name);
    if !named {
        section.fault("name", "is missing", fix);
    }
    let fix = "write \"virtual\" or \"sg\"";
    let kind = section.text("kind");
    let machine = match kind.as_deref() {
        Some("virtual") => Some(Machine::Virtual(geometry(&mut section))),
        Some("sg") => units(&mut section).map(Machine::Sg),
        Some(other) => {
            section.fault("kind", format!("{other:?} is no kind of library"), fix);
            None
        }
        None => {
            section.fault("kind", "is missing", fix);
            None
        }
    };
    let is_virtual = matches!(machine, Some(Machine::Virtual(_)));
    let folder = is_virtual.then(|| section.text("folder")).flatten().map(|own| folder.join(own));
    // Without a kind it is not known which keys belong here.
    if matches!(kind.as_deref(), Some("virtual" | "sg")) {
        section.end();
    }
    Some(LibraryConfig { name: name?, machine: machine?, folder })
}

fn geometry(section: &mut Section<'_>) -> Geometry {
    let standard = Geometry::default();
    let cartridge_bytes = section.number("cartridge_bytes", CARTRIDGE_BYTES_MIN..=CARTRIDGE_BYTES_MAX);
    let cartridge_bytes = cartridge_bytes.unwrap_or(standard.cartridge_bytes);
    Geometry {
        drives: section.small("drives", 1..=64).unwrap_or(standard.drives),
        slots: section.small("slots", 2..=10_000).unwrap_or(standard.slots),
        mail_slots: section.small("mail_slots", 0..=240).unwrap_or(standard.mail_slots),
        cartridge_bytes,
        index_partition_bytes: standard.index_partition_bytes.min(cartridge_bytes / INDEX_PART),
    }
}

fn units(section: &mut Section<'_>) -> Option<Units> {
    let fix = "write the changer's serial number, or the path of its /dev/sg*; `lsscsi -g` lists them";
    if !section.has("changer") {
        section.fault("changer", "is missing", fix);
    }
    let changer = section.parsed("changer", fix, unit);
    let drives = section.texts("drives").map(|drives| {
        if drives.is_empty() || drives.iter().any(|drive| unit(drive).is_err() || drive.starts_with('/')) {
            section.fault("drives", "does not name drives", "write serial numbers, or leave it out");
        }
        drives.into_iter().collect()
    });
    let ours = section.texts("barcodes").map_or(Ours::All, |prefixes| {
        let legal = |prefix: &String| {
            (1..=32).contains(&prefix.len()) && prefix.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if prefixes.is_empty() || !prefixes.iter().all(legal) {
            section.fault(
                "barcodes",
                "does not name cartridges",
                "write what their barcodes begin with, or leave it out",
            );
        }
        Ours::Prefixes(prefixes)
    });
    Some(Units { changer: changer?, drives, ours })
}

fn unit(text: &str) -> Result<String, &'static str> {
    let legal = (1..=255).contains(&text.len()) && text.chars().all(|c| !c.is_control());
    if legal { Ok(text.to_owned()) } else { Err("is neither a serial number nor a path") }
}

fn library_name(text: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    let legal = (1..=32).contains(&text.len()) && text.bytes().all(plain);
    if legal { Ok(text.to_owned()) } else { Err("is not the name of a library") }
}

const CARTRIDGE_BYTES_MIN: u64 = 64 << 20;
const CARTRIDGE_BYTES_MAX: u64 = 1 << 50;
/// Part of a cartridge its index partition takes at most.
const INDEX_PART: u64 = 20;
