//! SCSI as tape libraries speak it: command descriptor blocks, sense data, and two drivers over a [`Transport`].
//!
//! Words: *CDB* (a command as bytes, SPC), *sense* (what a device says went wrong), *changer* (SMC), *drive* (SSC).
//!
//! Invariant: no file in this room knows what a bucket, an object or a pool is.
//! Invariant: the drivers speak CDBs only; the driver that runs in a test is the driver that runs a robot.
//! Invariant: no thread and no async runtime lives here; every call blocks until the device has answered.

pub mod opcode;
mod transport;

pub use transport::{Cdb, Completion, Data, Status, Transport, TransportError};
