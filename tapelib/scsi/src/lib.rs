//! SCSI as tape libraries speak it: command descriptor blocks, sense data, and two drivers over a [`Transport`].
//!
//! Words: *CDB* (a command as bytes, SPC), *sense* (what a device says went wrong), *changer* (SMC), *drive* (SSC).
//!
//! Both sides of the wire use the same types: a driver calls `cdb()` and `parse()`, a device in software calls
//! [`Command::decode`] and `encode()`.
//!
//! Invariant: no file in this room knows what a bucket, an object or a pool is.
//! Invariant: the drivers speak CDBs only; the driver that runs in a test is the driver that runs a robot.
//! Invariant: no thread and no async runtime lives here; every call blocks until the device has answered.

mod changer;
mod command;
pub mod condition;
#[cfg(feature = "conformance")]
pub mod conformance;
mod drive;
mod error;
pub mod generation;
#[cfg(feature = "iscsi")]
pub mod iscsi;
pub mod limits;
pub mod log;
pub mod mam;
pub mod mode;
pub mod opcode;
pub mod reservation;
pub mod sense;
mod session;
pub mod sg;
pub mod smc;
pub mod spc;
pub mod ssc;
mod transport;
mod wire;

pub use changer::Changer;
pub use command::{Command, DecodeError};
pub use condition::{Action, Class, Condition, Party};
pub use drive::{Drive, Medium, ReadOutcome, SpaceOutcome, WriteOutcome};
pub use error::{Blame, Error, Step, Unit};
pub use generation::Generation;
pub use sense::{Sense, SenseKey};
pub use session::{Identity, Waiting};
pub use smc::{Barcode, Element, ElementAddress, ElementKind};
pub use ssc::{BlockLimits, Buffered, Position, SpaceOver};
pub use transport::{Cdb, Completion, Data, Status, Transport, TransportError};
pub use wire::ParseError;
