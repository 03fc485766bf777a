//! A cartridge opened from its folder: its volume and the packs on it.

use std::io;
use std::path::Path;
use std::time::Duration;

use scsi::Drive;
use serde_json::{Value, json};
use volume::ltfs::{self, BLOCK_BYTES, Found, Partition, Volume};
use volume::pack::{self, PackReader, ReadAt};
use volume::seal::{Keyring, MaybeSealed, Provider};

use super::name_of;
use super::table_drive::TableDrive;
use crate::error::Error;

/// Directory of a volume that holds packs.
const PACKS: &str = "packs";
/// What their names end with: a pack, a sealed pack.
const PACK_SUFFIXES: [&str; 2] = [".tar.zst", ".sealed"];
const IN_USE: &str =
    "a drive of a running gateway has it; wait until it is back in its slot, or stop the gateway";

/// A volume being read.
pub struct Cartridge {
    name: String,
    tape: TableDrive,
    volume: Volume,
}

/// A pack as the volume's index lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackFile {
    /// File name without its suffix: the pack's id.
    pub id: String,
    /// First block in the data partition.
    pub start_block: u64,
    /// Length.
    pub bytes: u64,
}

/// The tape in a cartridge's folder.
pub fn tape(folder: &Path) -> Result<TableDrive, Error> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| Error::Tape {
        operation: "load",
        cartridge: name_of(folder),
        source,
    };
    let transport = virtual_library::open_cartridge(folder).map_err(|error| match error {
        virtual_library::Error::CartridgeInUse { .. } => failed(IN_USE.into()),
        error => failed(error.into()),
    })?;
    let mut drive = Drive::new(transport);
    drive.wait_ready(Duration::ZERO, &|_| {}).map_err(|error| failed(error.into()))?;
    drive.set_variable_blocks().map_err(|error| failed(error.into()))?;
    Ok(TableDrive::new(drive))
}

impl Cartridge {
    /// Opens the volume on a cartridge; `None` when the cartridge is blank.
    pub fn open(folder: &Path) -> Result<Option<Self>, Error> {
        let name = name_of(folder);
        let mut tape = tape(folder)?;
        let failed = |source: ltfs::Error| Error::Tape {
            operation: "open the volume on",
            cartridge: name.clone(),
            source: source.into(),
        };
        if ltfs::identify(&mut tape).map_err(failed)? == Found::Blank {
            return Ok(None);
        }
        let volume = ltfs::open(&mut tape).map_err(failed)?;
        Ok(Some(Self { name, tape, volume }))
    }

    /// The folder's name: the barcode.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The volume's UUID.
    pub fn uuid(&self) -> String {
        self.volume.uuid().to_string()
    }

    /// What the cartridge is, without its packs.
    pub fn describe(&self, packs: usize) -> Value {
        json!({
            "kind": "cartridge",
            "cartridge": self.name,
            "blank": false,
            "volume": self.uuid(),
            "catalog": self.volume.catalog_id().map(|id| id.to_string()),
            "creator": self.volume.index().creator,
            "generation": self.volume.index().generation,
            "packs": packs,
        })
    }

    /// The packs, in the order they lie on tape.
    pub fn packs(&self) -> Vec<PackFile> {
        let files = self.volume.index().root.directory(PACKS).map_or(&[][..], |directory| &directory.files);
        let packs = files.iter().filter_map(|file| {
            let id = PACK_SUFFIXES.iter().find_map(|suffix| file.name.strip_suffix(suffix))?.to_owned();
            // A file of ours is one extent that begins with its block; anything else is another program's.
            let [extent] = &file.extents[..] else { return None };
            let whole = extent.start.partition == Partition::Data
                && (extent.file_offset, extent.byte_offset, extent.bytes) == (0, 0, file.bytes);
            whole.then_some(PackFile { id, start_block: extent.start.block, bytes: file.bytes })
        });
        let mut packs: Vec<PackFile> = packs.collect();
        packs.sort_by_key(|pack| pack.start_block);
        packs
    }

    /// Opens a pack for reading members at their place. The pure-Rust implementation reads what is sealed.
    pub fn pack(&mut self, pack: &PackFile, keys: &Keyring) -> Result<OpenPack<'_>, pack::Error> {
        let bytes = pack.bytes;
        let source =
            PackSource { cartridge: self, pack: pack.clone(), block: Vec::new(), block_number: None };
        PackReader::open_any(source, bytes, keys, Provider::Portable)
    }
}

/// A pack on tape, sealed or not, opened for reading.
pub type OpenPack<'a> = PackReader<MaybeSealed<PackSource<'a>>>;

/// The bytes of one pack on tape, at any offset; quick while offsets go forward.
pub struct PackSource<'a> {
    cartridge: &'a mut Cartridge,
    pack: PackFile,
    /// The block read last.
    block: Vec<u8>,
    block_number: Option<u64>,
}

impl ReadAt for PackSource<'_> {
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.pack.bytes;
        if offset >= bytes || buffer.is_empty() {
            return Ok(0);
        }
        let number = offset / BLOCK_BYTES;
        if self.block_number != Some(number) {
            self.block.clear();
            self.block_number = None;
            let range = number * BLOCK_BYTES..((number + 1) * BLOCK_BYTES).min(bytes);
            let Cartridge { volume, tape, .. } = &mut *self.cartridge;
            let read = volume.read(tape, self.pack.start_block, range, &mut self.block);
            read.map_err(io::Error::other)?;
            self.block_number = Some(number);
        }
        let first = usize::try_from(offset % BLOCK_BYTES).expect("an offset inside a block fits");
        let part = &self.block[first..];
        let taken = part.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&part[..taken]);
        Ok(taken)
    }
}
