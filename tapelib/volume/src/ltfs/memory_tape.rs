//! A tape in memory for tests: exact about blocks and filemarks, loses what was buffered when it dies.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::collections::BTreeMap;

use super::memory::{MEDIUM_SERIAL_NUMBER, VOLUME_CHANGE_REFERENCE};
use super::{
    Attribute, AttributeFormat, BlockAddress, BlockTape, Capacity, Flush, Met, Partition, Room, TapeError,
    TapeErrorKind,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    Block(Vec<u8>),
    Filemark,
}

#[derive(Clone, Debug, Default)]
struct Side {
    records: Vec<Record>,
    /// How many records survive a power cut.
    durable: usize,
    changes: u32,
    attributes: BTreeMap<u16, Attribute>,
}

#[derive(Clone, Debug)]
pub struct MemoryTape {
    sides: [Side; 2],
    at: BlockAddress,
    pub capacity_bytes: u64,
    pub early_warning_bytes: u64,
    /// Mutating commands until the power goes; `None` for never.
    pub commands_left: Option<u32>,
    /// Synchronous filemarks until the power goes; `None` for never.
    pub closing_filemarks_left: Option<u32>,
    /// Questions for the capacity fail.
    pub capacity_unknown: bool,
    dead: bool,
    /// Blocks that cannot be read.
    pub bad_blocks: Vec<BlockAddress>,
    /// How often it was sent to a block.
    pub locates: u32,
}

impl MemoryTape {
    pub fn blank(capacity_bytes: u64) -> Self {
        let at = BlockAddress { partition: Partition::Index, block: 0 };
        Self {
            sides: Default::default(),
            at,
            capacity_bytes,
            early_warning_bytes: 0,
            commands_left: None,
            closing_filemarks_left: None,
            capacity_unknown: false,
            dead: false,
            bad_blocks: Vec::new(),
            locates: 0,
        }
    }

    /// The cartridge after a power cut, in a working drive: `keep` of the buffered records made it to tape.
    pub fn after_power_cut(&self, keep: usize) -> Self {
        let mut tape = self.clone();
        for side in &mut tape.sides {
            let kept = (side.durable + keep).min(side.records.len());
            side.records.truncate(kept);
            side.durable = kept;
        }
        tape.at = BlockAddress { partition: Partition::Index, block: 0 };
        tape.commands_left = None;
        tape.closing_filemarks_left = None;
        tape.dead = false;
        tape
    }

    pub fn buffered(&self) -> usize {
        self.sides.iter().map(|side| side.records.len() - side.durable).sum()
    }

    pub fn records(&self, partition: Partition) -> &[Record] {
        &self.sides[usize::from(partition.number())].records
    }

    fn side(&mut self) -> &mut Side {
        &mut self.sides[usize::from(self.at.partition.number())]
    }

    fn index(&self) -> usize {
        usize::try_from(self.at.block).unwrap()
    }

    fn used(&self) -> u64 {
        let bytes = |record: &Record| {
            if let Record::Block(block) = record { block.len() as u64 } else { 0 }
        };
        self.records(Partition::Data).iter().map(bytes).sum()
    }

    fn error(&self, operation: &'static str, kind: TapeErrorKind) -> TapeError {
        TapeError { operation, at: Some(self.at), kind, source: "memory tape".into() }
    }

    fn alive(&mut self, operation: &'static str) -> Result<(), TapeError> {
        if self.dead { Err(self.error(operation, TapeErrorKind::Silent)) } else { Ok(()) }
    }

    fn mutate(&mut self, operation: &'static str) -> Result<(), TapeError> {
        self.alive(operation)?;
        if let Some(left) = &mut self.commands_left {
            if *left == 0 {
                self.dead = true;
                return Err(self.error(operation, TapeErrorKind::Silent));
            }
            *left -= 1;
        }
        Ok(())
    }

    fn push(&mut self, record: Record) -> Room {
        let at = self.index();
        let side = self.side();
        side.records.truncate(at);
        side.durable = side.durable.min(at);
        side.records.push(record);
        side.changes += 1;
        self.at.block += 1;
        let ending = self.used() + self.early_warning_bytes > self.capacity_bytes;
        if ending { Room::Ending } else { Room::Plenty }
    }
}

impl BlockTape for MemoryTape {
    fn read_block(&mut self, buffer: &mut [u8]) -> Result<Met, TapeError> {
        self.alive("read")?;
        if self.bad_blocks.contains(&self.at) {
            return Err(self.error("read", TapeErrorKind::Unreadable));
        }
        let at = self.index();
        let met = match self.side().records.get(at) {
            None => return Ok(Met::EndOfData),
            Some(Record::Filemark) => Met::Filemark,
            Some(Record::Block(block)) => {
                buffer[..block.len()].copy_from_slice(block);
                Met::Block(block.len())
            }
        };
        self.at.block += 1;
        Ok(met)
    }

    fn write_block(&mut self, block: &[u8]) -> Result<Room, TapeError> {
        self.mutate("write")?;
        if self.used() + block.len() as u64 > self.capacity_bytes {
            return Err(self.error("write", TapeErrorKind::Full));
        }
        Ok(self.push(Record::Block(block.to_vec())))
    }

    fn write_filemark(&mut self, flush: Flush) -> Result<Room, TapeError> {
        self.mutate("write filemark")?;
        if let (Flush::Synchronous, Some(left)) = (flush, &mut self.closing_filemarks_left) {
            self.dead = *left == 0;
            *left = left.saturating_sub(1);
            self.alive("write filemark")?;
        }
        let room = self.push(Record::Filemark);
        if flush == Flush::Synchronous {
            let side = self.side();
            side.durable = side.records.len();
        }
        Ok(room)
    }

    fn locate(&mut self, to: BlockAddress) -> Result<(), TapeError> {
        self.alive("locate")?;
        self.locates += 1;
        let end = self.records(to.partition).len() as u64;
        if to.block > end {
            return Err(self.error("locate", TapeErrorKind::Failed));
        }
        self.at = to;
        Ok(())
    }

    fn space_to_end(&mut self, partition: Partition) -> Result<BlockAddress, TapeError> {
        self.alive("space")?;
        self.at = BlockAddress { partition, block: self.records(partition).len() as u64 };
        Ok(self.at)
    }

    fn space_filemarks_back(&mut self, count: u32) -> Result<bool, TapeError> {
        self.alive("space")?;
        for _ in 0..count {
            let at = self.index();
            let mark = self.side().records[..at].iter().rposition(|record| *record == Record::Filemark);
            self.at.block = mark.unwrap_or(0) as u64;
            if mark.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn position(&mut self) -> Result<BlockAddress, TapeError> {
        self.alive("read position")?;
        Ok(self.at)
    }

    fn read_attribute(&mut self, partition: Partition, id: u16) -> Result<Option<Attribute>, TapeError> {
        self.alive("read attribute")?;
        let side = &self.sides[usize::from(partition.number())];
        let binary = |value: Vec<u8>| Some(Attribute { id, format: AttributeFormat::Binary, value });
        Ok(match id {
            VOLUME_CHANGE_REFERENCE => binary(side.changes.to_be_bytes().to_vec()),
            MEDIUM_SERIAL_NUMBER => {
                Some(Attribute { id, format: AttributeFormat::Ascii, value: b"MEM0001   ".to_vec() })
            }
            _ => side.attributes.get(&id).cloned(),
        })
    }

    fn write_attribute(&mut self, partition: Partition, attribute: &Attribute) -> Result<(), TapeError> {
        self.mutate("write attribute")?;
        self.sides[usize::from(partition.number())].attributes.insert(attribute.id, attribute.clone());
        Ok(())
    }

    fn capacity(&mut self, partition: Partition) -> Result<Capacity, TapeError> {
        self.alive("capacity")?;
        if self.capacity_unknown {
            return Err(self.error("capacity", TapeErrorKind::Failed));
        }
        let used = if partition == Partition::Data { self.used() } else { 0 };
        Ok(Capacity {
            total_bytes: self.capacity_bytes,
            remaining_bytes: self.capacity_bytes.saturating_sub(used),
        })
    }

    fn make_partitions(&mut self) -> Result<(), TapeError> {
        self.mutate("format")?;
        self.sides = Default::default();
        self.at = BlockAddress { partition: Partition::Index, block: 0 };
        Ok(())
    }
}
