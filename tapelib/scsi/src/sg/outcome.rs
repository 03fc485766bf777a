//! What became of a command, from the three things the kernel says of it: the unit's status, the host adapter's word
//! and the middle layer's.

use std::io;
use std::time::Duration;

use super::shim::Answer;
use crate::{Completion, Status, TransportError};

/// What a word of the host adapter means, when the unit itself has said nothing.
#[derive(Clone, Copy)]
enum Word {
    /// The unit's status counts.
    Answered,
    /// The unit's status says why, and is none that says all is well.
    Refused(&'static str),
    /// No answer in time.
    Late,
    /// No unit is there any more.
    Gone(io::ErrorKind),
    /// Something came between; whether the command was carried out is not known.
    Disrupted(&'static str),
}

pub(super) fn judge(opcode: u8, answer: Answer, timeout: Duration) -> Result<Completion, TransportError> {
    let word =
        HOST_WORDS.get(usize::from(answer.host)).map_or(Word::Disrupted("an unknown fault"), |row| *row);
    // A unit that explains itself has been heard, whatever the adapter says beside it (of short transfers, some do).
    let explained = answer.status == CHECK_CONDITION && !answer.sense.is_empty();
    let word = match word {
        Word::Late => Word::Late,
        _ if explained => Word::Answered,
        Word::Refused(what) if answer.status == GOOD => Word::Disrupted(what),
        Word::Answered | Word::Refused(_) => driver_word(answer.driver),
        word => word,
    };
    match word {
        Word::Answered | Word::Refused(_) => Ok(Completion {
            status: Status::from_byte(answer.status),
            sense: answer.sense,
            transferred: answer.transferred,
        }),
        Word::Late => Err(TransportError::Timeout { opcode, seconds: timeout.as_secs() }),
        Word::Gone(kind) => Err(TransportError::Disconnected { opcode, source: kind.into() }),
        Word::Disrupted(what) => Err(TransportError::Disrupted { opcode, what }),
    }
}

/// The middle layer has a word of its own in old kernels only.
fn driver_word(driver: u16) -> Word {
    match driver & 0x0F {
        DRIVER_TIMEOUT => Word::Late,
        0 | DRIVER_SENSE => Word::Answered,
        _ => Word::Disrupted("a fault of the driver"),
    }
}

/// By the number of the word (DID_*, `scsi/scsi_status.h`).
const HOST_WORDS: [Word; 21] = [
    Word::Answered,                                             // 00h OK
    Word::Gone(io::ErrorKind::NotConnected),                    // 01h NO_CONNECT
    Word::Disrupted("the bus stayed busy"),                     // 02h BUS_BUSY
    Word::Late,                                                 // 03h TIME_OUT
    Word::Gone(io::ErrorKind::NotFound),                        // 04h BAD_TARGET
    Word::Disrupted("the command was aborted"),                 // 05h ABORT
    Word::Disrupted("a parity error"),                          // 06h PARITY
    Word::Disrupted("a fault of the host adapter"),             // 07h ERROR
    Word::Disrupted("a reset"),                                 // 08h RESET
    Word::Disrupted("an unexpected interrupt"),                 // 09h BAD_INTR
    Word::Answered,                                             // 0Ah PASSTHROUGH
    Word::Disrupted("a passing fault of the host adapter"),     // 0Bh SOFT_ERROR
    Word::Disrupted("a passing fault of the host adapter"),     // 0Ch IMM_RETRY
    Word::Disrupted("the command was put back into the queue"), // 0Dh REQUEUE
    Word::Disrupted("the transport was disrupted"),             // 0Eh TRANSPORT_DISRUPTED
    Word::Gone(io::ErrorKind::NotConnected),                    // 0Fh TRANSPORT_FAILFAST
    Word::Refused("the unit failed without a word"),            // 10h TARGET_FAILURE: a status says why
    Word::Refused("a reservation that the unit does not tell"), // 11h NEXUS_FAILURE: a reservation conflict
    Word::Disrupted("the host had no resources"),               // 12h ALLOC_FAILURE
    Word::Refused("an error of the medium without a word"),     // 13h MEDIUM_ERROR: sense data says why
    Word::Disrupted("the path is failing"),                     // 14h TRANSPORT_MARGINAL
];

const GOOD: u8 = 0x00;
const CHECK_CONDITION: u8 = 0x02;
const DRIVER_TIMEOUT: u16 = 0x06;
const DRIVER_SENSE: u16 = 0x08;

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u8, host: u16, driver: u16) -> Result<Completion, TransportError> {
        let sense = if status == CHECK_CONDITION { vec![0x70; 18] } else { Vec::new() };
        judge(0x0A, Answer { status, host, driver, sense, transferred: 7 }, Duration::from_secs(9))
    }

    #[test]
    fn a_unit_that_answered_is_heard() {
        for (status, host, driver, expected) in [
            (0x00, 0x00, 0x0, Status::Good),
            (0x02, 0x00, 0x8, Status::CheckCondition),
            (0x02, 0x07, 0x0, Status::CheckCondition),
            (0x08, 0x00, 0x0, Status::Busy),
            (0x18, 0x11, 0x0, Status::ReservationConflict),
            (0x28, 0x00, 0x0, Status::Other(0x28)),
        ] {
            let completion = judged(status, host, driver).expect("an answer");
            assert_eq!((completion.status, completion.transferred), (expected, 7), "{status:02x} {host:02x}");
        }
    }

    #[test]
    fn silence_is_told_apart_from_a_missing_unit_and_from_a_disturbed_path() {
        for (status, host, driver) in [(0x00, 0x03, 0x6), (0x02, 0x03, 0x0), (0x00, 0x00, 0x6)] {
            let late = judged(status, host, driver);
            assert!(matches!(late, Err(TransportError::Timeout { opcode: 0x0A, seconds: 9 })), "{late:?}");
        }
        for host in [0x01, 0x04, 0x0F] {
            assert!(matches!(judged(0, host, 0), Err(TransportError::Disconnected { .. })), "{host:02x}");
        }
        for host in [0x02, 0x05, 0x07, 0x08, 0x0B, 0x0C, 0x0D, 0x0E, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0xFF]
        {
            assert!(matches!(judged(0, host, 0), Err(TransportError::Disrupted { .. })), "{host:02x}");
        }
        assert!(matches!(judged(0, 0, 0x4), Err(TransportError::Disrupted { .. })));
    }
}
