//! A tape library in files that answers the CDBs of a real one: a medium changer, drives, cartridges.
//!
//! Words: *cartridge* (a folder named by its barcode), *record* (a block or a filemark, numbered from 0 in its
//! partition), *element* (a place a cartridge can be in), *fault* (something planned to go wrong).
//!
//! A command goes:
//! 1. `unit`: is a fault due? then it happens instead, or on top;
//! 2. `changer` or `drive`: unit attention, readiness, fields of the CDB; anything unknown is refused;
//! 3. `cartridge` and `partition`: records in a file, or `inventory`: who is where.
//!
//! Invariant: a command that is not offered is refused with ILLEGAL REQUEST, never mapped to another one.
//! Invariant: what was acknowledged by a filemark with Immed=0, a motion or an unload survives a power cut; what was
//! acknowledged at all survives the end of the process.
//! Invariant: no payload stays in memory.
//! Invariant: locks are taken changer first, then one drive; a drive never reaches for the changer.

mod atomic;
mod attention;
mod cartridge;
mod changer;
mod clock;
mod drive;
mod error;
mod faults;
mod geometry;
mod inquiry;
mod inventory;
mod library;
mod memory;
mod mode;
mod operator;
mod partition;
mod reply;
mod reservation;
mod sense;
mod standalone;
mod timing;
mod unit;

pub use clock::{Clock, ScaledClock, SimulatedClock};
pub use error::Error;
pub use faults::{Effect, Fault, Faults, Planned, Unit};
pub use geometry::{Barcode, Geometry};
pub use library::{VirtualLibrary, cartridge_dir};
pub use operator::Place;
pub use sense::Sense;
pub use standalone::{create_cartridge, open_cartridge, open_cartridge_writable};
pub use timing::Timing;
