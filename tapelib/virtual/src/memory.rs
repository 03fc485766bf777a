//! Cartridge memory (MAM, SPC-5 7.4): what a cartridge knows about itself besides its blocks, in `cartridge.json`.

use crate::{Error, atomic};
use scsi::Generation;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// One attribute as READ ATTRIBUTE gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attribute {
    pub id: u16,
    pub format: AttributeFormat,
    pub read_only: bool,
    pub value: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AttributeFormat {
    Binary = 0,
    Ascii = 1,
    Text = 2,
}

/// The durable part of a cartridge that is not on its tape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Memory {
    format: u32,
    pub serial: String,
    pub load_count: u64,
    pub volume_change_reference: u32,
    pub write_protected: bool,
    /// Written once, blocks stay: they can only be added.
    #[serde(default)]
    pub write_once: bool,
    /// Density code of the medium.
    #[serde(default = "density_of_old_files")]
    pub density: u8,
    /// It cleans drives and has no tape for data.
    #[serde(default)]
    pub cleaning: bool,
    pub cartridge_bytes: u64,
    pub index_partition_bytes: u64,
    /// Capacity of each partition; one or two.
    pub partition_bytes: Vec<u64>,
    volume_attributes: BTreeMap<u16, Stored>,
    partition_attributes: [BTreeMap<u16, Stored>; 2],
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    format: AttributeFormat,
    #[serde(with = "hex::serde")]
    value: Vec<u8>,
}

fn density_of_old_files() -> u8 {
    Generation::Lto9.density()
}

impl Memory {
    /// A new cartridge. What kind it is follows from its barcode, as for real ones: `CLN...` cleans, the last two
    /// characters name generation and write-once; without them it is LTO-9 for data.
    pub fn blank(serial: String, barcode: &str, cartridge_bytes: u64, index_partition_bytes: u64) -> Self {
        let (generation, write_once) = Generation::of_barcode(barcode).unwrap_or((Generation::Lto9, false));
        let mut memory = Self {
            format: FORMAT,
            serial,
            load_count: 0,
            volume_change_reference: 1,
            write_protected: false,
            write_once,
            density: generation.density(),
            cleaning: barcode.starts_with("CLN"),
            cartridge_bytes,
            index_partition_bytes,
            partition_bytes: vec![cartridge_bytes],
            volume_attributes: BTreeMap::new(),
            partition_attributes: Default::default(),
        };
        let value = crate::reply::padded(barcode, 32);
        memory.volume_attributes.insert(BARCODE, Stored { format: AttributeFormat::Ascii, value });
        memory
    }

    pub fn load(dir: &Path) -> Result<Self, Error> {
        let bytes = std::fs::read(dir.join(FILE))
            .map_err(|source| Error::OpenCartridge { dir: dir.to_owned(), source })?;
        let memory: Self = serde_json::from_slice(&bytes)
            .map_err(|source| Error::ParseMemory { dir: dir.to_owned(), source })?;
        if memory.format != FORMAT || !(1..=2).contains(&memory.partition_bytes.len()) {
            let source = serde::de::Error::custom("unknown format or partition count");
            return Err(Error::ParseMemory { dir: dir.to_owned(), source });
        }
        Ok(memory)
    }

    /// Durable when it returns.
    pub fn save(&self, dir: &Path) -> Result<(), Error> {
        let bytes = serde_json::to_vec_pretty(self).expect("plain data");
        atomic::replace(&dir.join(FILE), &bytes)
            .map_err(|source| Error::SaveMemory { dir: dir.to_owned(), source })
    }

    /// What the host wrote, for one partition, by rising id.
    pub fn host_attributes(&self, partition: usize) -> impl Iterator<Item = Attribute> + '_ {
        let of_partition = self.partition_attributes.get(partition).into_iter().flatten();
        self.volume_attributes.iter().chain(of_partition).map(|(&id, stored)| Attribute {
            id,
            format: stored.format,
            read_only: false,
            value: stored.value.clone(),
        })
    }

    /// Stores an attribute; an empty value removes it. Only the coherency information is kept per partition.
    pub fn set_host_attribute(&mut self, partition: usize, attribute: Attribute) {
        let map = if attribute.id == COHERENCY {
            &mut self.partition_attributes[partition]
        } else {
            &mut self.volume_attributes
        };
        if attribute.value.is_empty() {
            map.remove(&attribute.id);
        } else {
            map.insert(attribute.id, Stored { format: attribute.format, value: attribute.value });
        }
    }

    /// Formatting makes what was said about the old contents untrue.
    pub fn forget_coherency(&mut self) {
        self.partition_attributes = Default::default();
    }
}

/// May a host write this attribute? The host range (SPC-5 table 435) and the volume lock of LTFS.
pub(crate) fn is_host_attribute(id: u16) -> bool {
    (0x0800..=0x0BFF).contains(&id) || id == VOLUME_LOCK
}

/// Volume coherency information, per partition.
pub(crate) const COHERENCY: u16 = 0x080C;
const BARCODE: u16 = 0x0806;
const VOLUME_LOCK: u16 = 0x1623;
const FILE: &str = "cartridge.json";
const FORMAT: u32 = 1;
