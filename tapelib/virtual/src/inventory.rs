//! Which cartridge is where, durably: `library.json` in the library's folder.

use crate::geometry::{Barcode, ElementKind, Geometry};
use crate::{Error, atomic};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The elements that hold something. Every change is on stable storage when it returns, or did not happen.
#[derive(Debug)]
pub(crate) struct Inventory {
    path: PathBuf,
    state: State,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    format: u32,
    /// Makes the serial numbers of this library's devices differ from those of any other.
    id: String,
    elements: BTreeMap<u16, Held>,
}

/// What an element holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    pub barcode: Barcode,
    /// The slot it was last taken from.
    pub source: Option<u16>,
}

impl Inventory {
    pub fn create(path: PathBuf, id: String) -> Self {
        Self { path, state: State { format: FORMAT, id, elements: BTreeMap::new() } }
    }

    /// `None` when there is no file yet.
    pub fn load(path: &Path) -> Result<Option<Self>, Error> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(Error::OpenLibrary { dir: path.to_owned(), source });
            }
        };
        let parsed = serde_json::from_slice::<State>(&bytes).and_then(|state| match state.format {
            FORMAT => Ok(state),
            _ => Err(serde::de::Error::custom("unknown format")),
        });
        let state = parsed.map_err(|source| Error::ParseInventory { path: path.to_owned(), source })?;
        Ok(Some(Self { path: path.to_owned(), state }))
    }

    pub fn id(&self) -> &str {
        &self.state.id
    }

    pub fn at(&self, element: u16) -> Option<&Held> {
        self.state.elements.get(&element)
    }

    pub fn find(&self, barcode: &Barcode) -> Option<u16> {
        self.state.elements.iter().find(|(_, held)| held.barcode == *barcode).map(|(&element, _)| element)
    }

    pub fn first_empty(&self, geometry: &Geometry, kind: ElementKind) -> Option<u16> {
        geometry.addresses(kind).find(|element| self.at(*element).is_none())
    }

    /// Makes the inventory agree with the cartridges there are and with the geometry: those that vanished leave their
    /// elements; those that are new, or whose element is gone, take the first empty slots.
    pub fn reconcile(&mut self, geometry: &Geometry, present: &BTreeSet<Barcode>) -> Result<(), Error> {
        let mut homeless = present.clone();
        self.state.elements.retain(|&element, held| {
            geometry.kind(element).is_some()
                && present.contains(&held.barcode)
                && homeless.remove(&held.barcode)
        });
        for barcode in homeless {
            let slot = self
                .first_empty(geometry, ElementKind::Storage)
                .ok_or_else(|| Error::NoRoom { barcode: barcode.to_string() })?;
            self.state.elements.insert(slot, Held { barcode, source: None });
        }
        self.save(&self.state)
    }

    /// Puts something into an element, or takes out what it has.
    pub fn set(&mut self, element: u16, held: Option<Held>) -> Result<(), Error> {
        self.change(|elements| match held {
            Some(held) => drop(elements.insert(element, held)),
            None => drop(elements.remove(&element)),
        })
    }

    /// Changes several elements in one step.
    pub fn change(&mut self, change: impl FnOnce(&mut BTreeMap<u16, Held>)) -> Result<(), Error> {
        let mut state = self.state.clone();
        change(&mut state.elements);
        self.save(&state)?;
        self.state = state;
        Ok(())
    }

    fn save(&self, state: &State) -> Result<(), Error> {
        let bytes = serde_json::to_vec_pretty(state).expect("plain data");
        atomic::replace(&self.path, &bytes)
            .map_err(|source| Error::SaveInventory { path: self.path.clone(), source })
    }
}

const FORMAT: u32 = 1;
