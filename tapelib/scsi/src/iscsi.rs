//! Units behind iSCSI, through Debian's libiscsi: how the tests reach a library that others wrote. A cargo feature, and
//! no part of the gateway.
//!
//! Invariant: a connection that broke stays broken; nothing is sent again by itself.

mod ffi;

use std::io;
use std::time::Duration;

use crate::{Cdb, Completion, Data, Status, Transport, TransportError};

/// A path to one logical unit of a target, over a session of its own.
#[derive(Debug)]
pub struct Iscsi {
    session: ffi::Session,
    unit: i32,
}

impl Iscsi {
    /// Logs in to a target at `portal` (`127.0.0.1:3260`), for its logical unit number `unit`.
    pub fn connect(portal: &str, target: &str, unit: i32) -> io::Result<Self> {
        Ok(Self { session: ffi::Session::login(INITIATOR, portal, target, unit)?, unit })
    }
}

impl Transport for Iscsi {
    fn execute(
        &mut self,
        cdb: &Cdb,
        data: Data<'_>,
        timeout: Duration,
    ) -> Result<Completion, TransportError> {
        let opcode = cdb.opcode();
        let answer = self
            .session
            .command(self.unit, cdb.as_bytes(), data, timeout)
            .map_err(|source| TransportError::Disconnected { opcode, source })?;
        match u8::try_from(answer.status) {
            Ok(status) => Ok(Completion {
                status: Status::from_byte(status),
                sense: answer.sense,
                transferred: answer.transferred,
            }),
            Err(_) if answer.status == ffi::TIMEOUT => {
                Err(TransportError::Timeout { opcode, seconds: timeout.as_secs() })
            }
            Err(_) => {
                Err(TransportError::Disconnected { opcode, source: io::ErrorKind::ConnectionAborted.into() })
            }
        }
    }
}

const INITIATOR: &str = "iqn.2026-01.test.tapegate:initiator";
