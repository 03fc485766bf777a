//! Units of this machine, through Linux's generic SCSI driver (`/dev/sg*`).
//!
//! - `discovery.rs`: which units there are, by sysfs, and which of them bears a serial number
//! - `outcome.rs`: what kernel and host adapter say of a command, as a table
//! - `shim.rs`: the system call
//!
//! Invariant: one process has a unit, and nothing else sends commands through its node while it does (`O_EXCL`).
//! Invariant: no command is sent twice because a signal came: signals wait until it has been answered.
//! Invariant: a transfer that the path cannot carry is refused before anything is sent.

mod discovery;
mod outcome;
mod shim;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

pub use discovery::{Absent, Device, discover, find};

use crate::limits::{PATH_PROBE_MAX, PATH_PROBE_MIN, SG_VERSION_MIN, TIMEOUT_SMALL};
use crate::spc::{self, vpd};
use crate::{Cdb, Command, Completion, Data, Transport, TransportError};

/// A path to one unit through its node. The unit is this process's alone until it is dropped.
#[derive(Debug)]
pub struct Sg {
    file: File,
    transfer_max: u32,
}

/// Why a node cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Somebody else has it open for itself, or this process has it already.
    #[error("{} is in use by another program; a unit is one program's alone", path.display())]
    InUse {
        /// The node.
        path: PathBuf,
    },
    /// The operating system does not let us.
    #[error("cannot open {}", path.display())]
    Open {
        /// The node.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// Another kind of node, such as the tape driver's `/dev/st0`.
    #[error("{} is no node of the generic SCSI driver; name a /dev/sg* or the unit's serial number", path.display())]
    NotGeneric {
        /// The node.
        path: PathBuf,
    },
    /// The unit does not answer INQUIRY.
    #[error("the unit at {} does not answer", path.display())]
    Silent {
        /// The node.
        path: PathBuf,
        /// What the path said.
        #[source]
        source: TransportError,
    },
    /// Not even small transfers go.
    #[error("the path to {} carries less than {PATH_PROBE_MIN} bytes in one command", path.display())]
    Narrow {
        /// The node.
        path: PathBuf,
    },
}

impl Sg {
    /// Opens a node for this process alone and finds out how much its path carries. The unit is sent INQUIRY, nothing
    /// else.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        // Without NONBLOCK the kernel would wait until whoever has the unit closes it.
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::EXCL | OFlags::CLOEXEC;
        let file = open_node(path, flags)?;
        let mut unit = Self { file, transfer_max: 0 };
        unit.transfer_max = unit.probe(path)?;
        // The kernel keeps so much memory for us, so that no transfer fails for want of it later; as much as it likes.
        shim::reserve(&unit.file, unit.transfer_max).ok();
        Ok(unit)
    }

    /// The most bytes that go in one command, to a page: how large a buffer kernel and host adapter take with an
    /// INQUIRY, whose answer is short.
    fn probe(&self, path: &Path) -> Result<u32, OpenError> {
        let mut buffer = vec![0; usize::try_from(PATH_PROBE_MAX).expect("some MiB")];
        let mut goes = |pages: u32| {
            let room = &mut buffer[..usize::try_from(pages * PAGE).expect("some MiB")];
            self.takes(room).map_err(|source| OpenError::Silent { path: path.to_owned(), source })
        };
        let (mut carried, mut refused) = (PATH_PROBE_MIN / PAGE, PATH_PROBE_MAX / PAGE + 1);
        if !goes(carried)? {
            return Err(OpenError::Narrow { path: path.to_owned() });
        }
        if goes(refused - 1)? {
            return Ok(PATH_PROBE_MAX);
        }
        while refused - carried > 1 {
            let middle = u32::midpoint(carried, refused);
            if goes(middle)? { carried = middle } else { refused = middle }
        }
        Ok(carried * PAGE)
    }

    /// Whether the path takes a command with so much room for its answer.
    fn takes(&self, room: &mut [u8]) -> Result<bool, TransportError> {
        let command = spc::Command::Inquiry { page: None, allocation: 36 }.cdb();
        match shim::submit(&self.file, command.as_bytes(), Data::In(room), TIMEOUT_SMALL) {
            Ok(answer) => outcome::judge(command.opcode(), answer, TIMEOUT_SMALL).map(|_| true),
            Err(error) if is_too_large(&error) => Ok(false),
            Err(source) => Err(TransportError::Disconnected { opcode: command.opcode(), source }),
        }
    }
}

impl Transport for Sg {
    fn execute(
        &mut self,
        cdb: &Cdb,
        data: Data<'_>,
        timeout: Duration,
    ) -> Result<Completion, TransportError> {
        let opcode = cdb.opcode();
        let answer = shim::submit(&self.file, cdb.as_bytes(), data, timeout)
            .map_err(|source| TransportError::Disconnected { opcode, source })?;
        outcome::judge(opcode, answer, timeout)
    }

    fn transfer_max(&self) -> Option<u32> {
        Some(self.transfer_max)
    }
}

/// The serial number of a unit that may be in use: INQUIRY passes beside other commands.
fn ask_serial(path: &Path) -> Option<String> {
    let file = open_node(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC).ok()?;
    let command: Command = spc::Command::Inquiry { page: Some(vpd::SERIAL), allocation: 255 }.into();
    let mut buffer = [0; 255];
    let answer = shim::submit(&file, command.cdb().as_bytes(), Data::In(&mut buffer), TIMEOUT_SMALL).ok()?;
    let completion = outcome::judge(command.cdb().opcode(), answer, TIMEOUT_SMALL).ok()?;
    spc::parse_serial(&buffer[..completion.transferred]).ok().filter(|serial| !serial.is_empty())
}

fn open_node(path: &Path, flags: OFlags) -> Result<File, OpenError> {
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(node) => File::from(node),
        Err(Errno::BUSY) => return Err(OpenError::InUse { path: path.to_owned() }),
        Err(error) => return Err(OpenError::Open { path: path.to_owned(), source: error.into() }),
    };
    match shim::version(&file) {
        Ok(version) if version >= SG_VERSION_MIN => Ok(file),
        _ => Err(OpenError::NotGeneric { path: path.to_owned() }),
    }
}

/// The kernel has no memory or no room in one command for so much; nothing was sent.
fn is_too_large(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::NOMEM | Errno::INVAL | Errno::TOOBIG))
}

/// Limits of host adapters are whole pages.
const PAGE: u32 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_node_of_the_driver_is_refused_with_a_reason() {
        let refused = |path: &str| Sg::open(Path::new(path)).expect_err("no unit is there").to_string();
        assert!(refused("/dev/null").contains("no node of the generic SCSI driver"));
        assert!(refused("/dev/no-such-unit").starts_with("cannot open /dev/no-such-unit"));
    }
}
