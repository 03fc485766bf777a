//! A cartridge: a folder named by its barcode, with its memory and one file for each partition.

use crate::Error;
use crate::geometry::Barcode;
use crate::memory::Memory;
use crate::partition::Partition;
use crate::sense::{Sense, WRITE_ERROR};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Where a cartridge that is not loaded lies, and how a drive may treat it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Home {
    pub dir: PathBuf,
    pub barcode: Barcode,
    /// Nothing in the folder may change, not even the load count.
    pub read_only: bool,
}

/// A cartridge on whose tape a drive stands. Nobody else can load it meanwhile.
#[derive(Debug)]
pub(crate) struct Cartridge {
    home: Home,
    memory: Memory,
    partitions: Vec<Partition>,
    /// Held locked for as long as the cartridge is loaded.
    _lock: File,
}

impl Cartridge {
    /// Makes the folder of a blank cartridge. An existing folder is left alone: AlreadyExists.
    pub fn create(dir: &Path, memory: &Memory) -> Result<(), Error> {
        let failed = |source| Error::CreateCartridge { dir: dir.to_owned(), source };
        fs::create_dir(dir).map_err(failed)?;
        for partition in 0..2 {
            File::create(partition_path(dir, partition)).map_err(failed)?;
        }
        // The memory comes last: without it the folder is not a cartridge.
        memory.save(dir)
    }

    /// Takes the cartridge for one drive, counts the load and builds the index of its records.
    pub fn load(home: Home) -> Result<Self, Error> {
        let failed = |source| Error::OpenCartridge { dir: home.dir.clone(), source };
        let open = |partition| {
            OpenOptions::new().read(true).write(!home.read_only).open(partition_path(&home.dir, partition))
        };
        let lock = open(0).map_err(failed)?;
        let locked = if home.read_only { lock.try_lock_shared() } else { lock.try_lock() };
        match locked {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::CartridgeInUse { dir: home.dir }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let mut memory = Memory::load(&home.dir)?;
        let partitions = (0..memory.partition_bytes.len())
            .map(|partition| open(partition).and_then(Partition::open))
            .collect::<io::Result<Vec<_>>>()
            .map_err(failed)?;
        if home.read_only {
            memory.write_protected = true;
        } else {
            memory.load_count += 1;
            memory.save(&home.dir)?;
        }
        Ok(Self { home, memory, partitions, _lock: lock })
    }

    pub fn home(&self) -> &Home {
        &self.home
    }

    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Changes the memory; the change is durable or it did not happen.
    pub fn change_memory(&mut self, change: impl FnOnce(&mut Memory)) -> Result<(), Sense> {
        let mut changed = self.memory.clone();
        change(&mut changed);
        changed.save(&self.home.dir).map_err(|_| WRITE_ERROR)?;
        self.memory = changed;
        Ok(())
    }

    pub fn partition_count(&self) -> usize {
        self.partitions.len()
    }

    pub fn partition(&mut self, partition: usize) -> &mut Partition {
        &mut self.partitions[partition]
    }

    pub fn capacity(&self, partition: usize) -> u64 {
        self.memory.partition_bytes[partition]
    }

    pub fn bytes_left(&self, partition: usize) -> u64 {
        self.capacity(partition).saturating_sub(self.partitions[partition].bytes_used())
    }

    /// Bytes left to the end at which early warning begins: a twentieth of the partition, at most 1 GiB.
    pub fn early_warning_bytes(&self, partition: usize) -> u64 {
        (self.capacity(partition) / 20).min(EARLY_WARNING_BYTES_MAX)
    }

    pub fn sync(&mut self) -> Result<(), Sense> {
        if self.home.read_only {
            // What an ended process left unsynced is read as it is; nothing of ours is in flight.
            return Ok(());
        }
        self.partitions.iter_mut().try_for_each(Partition::sync)
    }

    /// Erases the tape and divides it anew. A crash in between leaves blank partitions of the old sizes.
    pub fn format(&mut self, partition_bytes: Vec<u64>) -> Result<(), Sense> {
        for partition in &mut self.partitions {
            partition.erase().map_err(|_| WRITE_ERROR)?;
        }
        let partitions = (0..partition_bytes.len())
            .map(|partition| {
                let path = partition_path(&self.home.dir, partition);
                let mut blank = Partition::open(OpenOptions::new().read(true).write(true).open(path)?)?;
                blank.erase()?;
                Ok(blank)
            })
            .collect::<io::Result<Vec<_>>>()
            .map_err(|_| WRITE_ERROR)?;
        self.change_memory(|memory| {
            memory.partition_bytes = partition_bytes;
            memory.forget_coherency();
        })?;
        self.partitions = partitions;
        Ok(())
    }

    /// What a power cut leaves: the records that were synced.
    pub fn cut_power(&self) -> io::Result<()> {
        self.partitions.iter().try_for_each(Partition::cut_power)
    }
}

fn partition_path(dir: &Path, partition: usize) -> PathBuf {
    dir.join(format!("partition-{partition}.data"))
}

const EARLY_WARNING_BYTES_MAX: u64 = 1 << 30;
