//! A host that speaks raw CDBs, written from the standards and not from the code under test.
#![allow(dead_code, clippy::unwrap_used, clippy::cast_possible_truncation)]

use scsi::{Cdb, Completion, Data, Status, Transport};
use std::time::Duration;
use virtual_library::{Geometry, VirtualLibrary};

pub const MIB: u64 = 1 << 20;
pub const ROBOT: u16 = 0;
pub const MAIL: u16 = 16;
pub const DRIVE: u16 = 256;
pub const SLOT: u16 = 1000;

pub fn geometry(cartridge_bytes: u64) -> Geometry {
    Geometry {
        drives: 2,
        slots: 6,
        mail_slots: 2,
        cartridge_bytes,
        index_partition_bytes: cartridge_bytes / 4,
    }
}

/// A folder where syncing costs nothing, where the machine has one: for tests that sync thousands of times.
pub fn folder_in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Sense key, code and qualifier, the flags FM/EOM/ILI (80h, 40h, 20h), and INFORMATION when it is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sensed {
    pub codes: (u8, u8, u8),
    pub flags: u8,
    pub information: Option<i32>,
}

pub type Answer<T> = Result<T, Sensed>;

pub struct Host(pub Box<dyn Transport>);

impl Host {
    pub fn raw(&mut self, cdb: &[u8], data: Data<'_>) -> Completion {
        self.0.execute(&Cdb::new(cdb), data, Duration::from_secs(1)).unwrap()
    }

    pub fn send(&mut self, cdb: &[u8], data: Data<'_>) -> Answer<usize> {
        let completion = self.raw(cdb, data);
        match completion.status {
            Status::Good => Ok(completion.transferred),
            _ => Err(sensed(&completion.sense)),
        }
    }

    pub fn ask(&mut self, cdb: &[u8], length: usize) -> Answer<Vec<u8>> {
        let mut bytes = vec![0xEE; length];
        let transferred = self.send(cdb, Data::In(&mut bytes))?;
        bytes.truncate(transferred);
        Ok(bytes)
    }

    /// TEST UNIT READY until no unit attention is left; what was said, and the last answer.
    pub fn settle(&mut self) -> (Vec<(u8, u8, u8)>, Answer<usize>) {
        let mut said = Vec::new();
        loop {
            match self.ready() {
                Err(sense) if sense.codes.0 == 6 => said.push(sense.codes),
                last => return (said, last),
            }
        }
    }

    pub fn ready(&mut self) -> Answer<usize> {
        self.send(&[0; 6], Data::None)
    }

    pub fn move_medium(&mut self, from: u16, to: u16) -> Answer<usize> {
        let ([a, b], [c, d]) = (from.to_be_bytes(), to.to_be_bytes());
        self.send(&[0xA5, 0, 0, 0, a, b, c, d, 0, 0, 0, 0], Data::None)
    }

    pub fn write(&mut self, payload: &[u8]) -> Answer<usize> {
        let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
        self.send(&[0x0A, 0, a, b, c, 0], Data::Out(payload))
    }

    pub fn filemarks(&mut self, count: u8, immediate: bool) -> Answer<usize> {
        self.send(&[0x10, u8::from(immediate), 0, 0, count, 0], Data::None)
    }

    /// The bytes that came and how the command ended.
    pub fn read(&mut self, length: usize, flags: u8) -> (Vec<u8>, Answer<()>) {
        let [_, a, b, c] = (length as u32).to_be_bytes();
        let mut bytes = vec![0xEE; length];
        let completion = self.raw(&[0x08, flags, a, b, c, 0], Data::In(&mut bytes));
        bytes.truncate(completion.transferred);
        let answer = match completion.status {
            Status::Good => Ok(()),
            _ => Err(sensed(&completion.sense)),
        };
        (bytes, answer)
    }

    pub fn block(&mut self) -> Answer<Vec<u8>> {
        let (bytes, answer) = self.read(1 << 16, 0x02);
        answer.map(|()| bytes)
    }

    pub fn locate(&mut self, partition: u8, record: u64) -> Answer<usize> {
        let mut cdb = [0; 16];
        (cdb[0], cdb[1], cdb[3]) = (0x92, 0x02, partition);
        cdb[4..12].copy_from_slice(&record.to_be_bytes());
        self.send(&cdb, Data::None)
    }

    pub fn space(&mut self, code: u8, count: i64) -> Answer<usize> {
        let mut cdb = [0; 16];
        (cdb[0], cdb[1]) = (0x91, code);
        cdb[4..12].copy_from_slice(&count.to_be_bytes());
        self.send(&cdb, Data::None)
    }

    pub fn rewind(&mut self) -> Answer<usize> {
        self.send(&[0x01, 0, 0, 0, 0, 0], Data::None)
    }

    pub fn load(&mut self, load: bool) -> Answer<usize> {
        self.send(&[0x1B, 0, 0, 0, u8::from(load), 0], Data::None)
    }

    /// Flags byte, partition, logical object, logical file.
    pub fn position(&mut self) -> Answer<(u8, u32, u64, u64)> {
        let bytes = self.ask(&[0x34, 0x06, 0, 0, 0, 0, 0, 0, 0, 0], 32)?;
        let long = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap());
        Ok((bytes[0], u32::from_be_bytes(bytes[4..8].try_into().unwrap()), long(8), long(16)))
    }

    /// Two partitions of the sizes given, in decimal megabytes; FFFFh is the rest.
    pub fn format_two(&mut self, sizes: [u16; 2]) -> Answer<usize> {
        let mut list = vec![0, 0, 0x10, 0, 0x11, 10, 1, 1, 0x3C, 3, 6, 0];
        list.extend(sizes[0].to_be_bytes());
        list.extend(sizes[1].to_be_bytes());
        self.send(&[0x15, 0x10, 0, 0, list.len() as u8, 0], Data::Out(&list))?;
        self.send(&[0x04, 0, 2, 0, 0, 0], Data::None)
    }

    /// One attribute: format byte and value.
    pub fn attribute(&mut self, partition: u8, id: u16) -> Answer<(u8, Vec<u8>)> {
        let [a, b] = id.to_be_bytes();
        let bytes = self.ask(&[0x8C, 0, 0, 0, 0, 0, 0, partition, a, b, 0, 0, 16, 0, 0, 0], 4096)?;
        assert_eq!([bytes[4], bytes[5]], [a, b]);
        let length = usize::from(u16::from_be_bytes([bytes[7], bytes[8]]));
        Ok((bytes[6], bytes[9..9 + length].to_vec()))
    }

    pub fn set_attribute(&mut self, partition: u8, id: u16, value: &[u8]) -> Answer<usize> {
        let mut list = (value.len() as u32 + 5).to_be_bytes().to_vec();
        list.extend(id.to_be_bytes());
        list.push(0);
        list.extend((value.len() as u16).to_be_bytes());
        list.extend(value);
        let [a, b, c, d] = (list.len() as u32).to_be_bytes();
        self.send(&[0x8D, 1, 0, 0, 0, 0, 0, partition, 0, 0, a, b, c, d, 0, 0], Data::Out(&list))
    }
}

pub fn sensed(sense: &[u8]) -> Sensed {
    assert_eq!(sense[0] & 0x7F, 0x70, "fixed format");
    let information = i32::from_be_bytes(sense[3..7].try_into().unwrap());
    Sensed {
        codes: (sense[2] & 0x0F, sense[12], sense[13]),
        flags: sense[2] & 0xE0,
        information: (sense[0] & 0x80 != 0).then_some(information),
    }
}

pub fn codes<T>(answer: Answer<T>) -> (u8, u8, u8) {
    answer.map_or_else(|sense| sense.codes, |_| panic!("GOOD where a sense was expected"))
}

/// The changer and drive 0, settled, with the cartridge of the first slot loaded.
pub fn loaded(library: &VirtualLibrary) -> (Host, Host) {
    let (mut robot, mut drive) = (Host(library.changer_transport()), Host(library.drive_transport(0)));
    robot.settle().1.unwrap();
    assert_eq!(drive.settle().1.unwrap_err().codes, (2, 0x3A, 0));
    robot.move_medium(SLOT, DRIVE).unwrap();
    drive.settle().1.unwrap();
    (robot, drive)
}
