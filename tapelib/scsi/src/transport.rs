//! The one door to a device: a CDB goes in, data moves, a status comes out.

use std::time::Duration;

/// A command descriptor block of 6, 10, 12 or 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Cdb {
    bytes: [u8; 16],
    length: u8,
}

impl Cdb {
    /// A block of the length its operation code's group asks for (SPC-5, 4.2.5.1): 6, 10, 12 or 16 bytes.
    ///
    /// Panics when `bytes` has another length: builders are the only callers and a wrong length is a bug.
    pub fn new(bytes: &[u8]) -> Self {
        let length = match bytes.len() {
            6 => 6,
            10 => 10,
            12 => 12,
            16 => 16,
            other => panic!("a CDB of {other} bytes"),
        };
        let mut block = [0; 16];
        block[..bytes.len()].copy_from_slice(bytes);
        Self { bytes: block, length }
    }

    /// The bytes as they go to the device.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// The bytes with zeros up to 16, for fields read by offset.
    pub(crate) fn padded(&self) -> &[u8; 16] {
        &self.bytes
    }

    /// The operation code, byte 0.
    pub fn opcode(&self) -> u8 {
        self.bytes[0]
    }
}

impl std::fmt::Debug for Cdb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cdb(")?;
        for byte in self.as_bytes() {
            write!(f, "{byte:02x}")?;
        }
        write!(f, ")")
    }
}

/// Which way data moves with a command, and where it comes from or goes to.
#[derive(Debug)]
pub enum Data<'a> {
    /// No data phase.
    None,
    /// Device to host; the buffer's length is the allocation or transfer length of the CDB.
    In(&'a mut [u8]),
    /// Host to device.
    Out(&'a [u8]),
}

/// SCSI status byte (SAM-6, 5.3.1), for the codes a tape device or changer sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// 00h
    Good,
    /// 02h: the sense data says what happened.
    CheckCondition,
    /// 08h: ask again later.
    Busy,
    /// 18h: another host holds a reservation.
    ReservationConflict,
    /// Any other value, as sent.
    Other(u8),
}

impl Status {
    /// By its code.
    pub fn from_byte(byte: u8) -> Self {
        match byte {
            0x00 => Status::Good,
            0x02 => Status::CheckCondition,
            0x08 => Status::Busy,
            0x18 => Status::ReservationConflict,
            other => Status::Other(other),
        }
    }
}

/// What came back from a device that answered.
#[derive(Clone, Debug)]
pub struct Completion {
    /// The status byte.
    pub status: Status,
    /// Sense data as sent, fixed (70h/71h) or descriptor (72h/73h) format; empty when none came.
    pub sense: Vec<u8>,
    /// Bytes really moved in the data phase.
    pub transferred: usize,
}

impl Completion {
    /// GOOD, with `transferred` bytes moved.
    pub fn good(transferred: usize) -> Self {
        Self { status: Status::Good, sense: Vec::new(), transferred }
    }
}

/// The device did not answer. Whether the command took effect is unknown: look (READ POSITION, READ ELEMENT
/// STATUS) before doing anything else, and never send a WRITE again.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// No answer within the time allowed.
    #[error("no answer to operation {opcode:#04x} within {seconds} s")]
    Timeout {
        /// Operation code of the command.
        opcode: u8,
        /// How long was waited.
        seconds: u64,
    },
    /// The path to the device is gone (unplugged, connection closed, file vanished).
    #[error("the path to the device failed on operation {opcode:#04x}")]
    Disconnected {
        /// Operation code of the command.
        opcode: u8,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// Something on the way to the device came between: a reset, a lost frame, an overloaded adapter. Most pass.
    #[error("operation {opcode:#04x} was lost on the way: {what}")]
    Disrupted {
        /// Operation code of the command.
        opcode: u8,
        /// What it was.
        what: &'static str,
    },
}

/// A path to one logical unit. Commands to a unit are sent one at a time: the drivers own the transport.
pub trait Transport: Send {
    /// Sends one command and waits for its completion.
    ///
    /// An `Err` means that nothing is known about the device's state; a CHECK CONDITION is an `Ok`.
    fn execute(&mut self, cdb: &Cdb, data: Data<'_>, timeout: Duration)
    -> Result<Completion, TransportError>;

    /// The most bytes that one command can move over this path, when that is known: host adapters have limits of
    /// their own, below what the drive's blocks may be.
    fn transfer_max(&self) -> Option<u32> {
        None
    }
}
