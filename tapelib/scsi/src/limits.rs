//! Every bound of this room in one place: how long a command may take, how large a reply may be, how often something
//! is tried. Times are those that LTO drives document, by generation where they differ much.

use std::time::Duration;

use crate::Generation;

/// How long a drive may take for what depends on the length of its tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// READ(6), with the drive's own error recovery.
    pub read: Duration,
    /// SPACE and LOCATE over a whole cartridge.
    pub locate: Duration,
    /// LOAD UNLOAD. A first load of new LTO-9 media takes up to two hours: it is started with the immediate bit and
    /// waited for with a limit of the caller's.
    pub load: Duration,
    /// FORMAT MEDIUM.
    pub format: Duration,
}

impl Timeouts {
    /// For a drive of unknown generation: the longest of all, rounded up.
    pub const LONGEST: Self = Self::seconds(2400, 2940, 960, 3180);

    /// For a drive of that generation.
    pub fn of(drive: Generation) -> Self {
        match drive {
            Generation::Lto5 => Self::seconds(1500, 2040, 780, 1560),
            Generation::Lto6 | Generation::Lto7 | Generation::Lto8 => Self::seconds(2280, 2880, 960, 3000),
            Generation::Lto9 => Self::seconds(2340, 2940, 960, 3000),
            Generation::Lto10 => Self::seconds(2340, 2940, 780, 3180),
            Generation::Lto3 | Generation::Lto4 | Generation::TypeM => Self::LONGEST,
        }
    }

    const fn seconds(read: u64, locate: u64, load: u64, format: u64) -> Self {
        Self {
            read: Duration::from_secs(read),
            locate: Duration::from_secs(locate),
            load: Duration::from_secs(load),
            format: Duration::from_secs(format),
        }
    }
}

/// Commands that move nothing: INQUIRY, TEST UNIT READY, MODE and LOG pages, READ POSITION, attributes.
pub const TIMEOUT_SMALL: Duration = Duration::from_secs(60);
/// WRITE(6).
pub const TIMEOUT_WRITE: Duration = Duration::from_secs(1500);
/// WRITE FILEMARKS(6), which may have to empty the drive's whole buffer.
pub const TIMEOUT_FILEMARKS: Duration = Duration::from_secs(1620);
/// REWIND.
pub const TIMEOUT_REWIND: Duration = Duration::from_secs(600);
/// MOVE MEDIUM in a library with several frames.
pub const TIMEOUT_MOVE: Duration = Duration::from_secs(600);
/// READ ELEMENT STATUS; a library may answer only after the robot has come to rest.
pub const TIMEOUT_ELEMENT_STATUS: Duration = Duration::from_secs(600);
/// INITIALIZE ELEMENT STATUS: the robot looks at every slot.
pub const TIMEOUT_INITIALIZE: Duration = Duration::from_secs(3600);

/// Between two TEST UNIT READY while a device becomes ready.
pub const READY_POLL: Duration = Duration::from_secs(1);
/// How long "no medium" is believed to be a cartridge still on its way into the drive, when the caller waits at all.
pub const NO_MEDIUM_GRACE: Duration = Duration::from_secs(5);
/// How long a command is asked again of a device that is busy, or becoming ready after a reset or an open door.
pub const PATIENCE: Duration = Duration::from_secs(300);
/// Unit attentions taken in a row while waiting for ready; a device that has more to say is broken.
pub const ATTENTIONS_MAX: u32 = 16;

/// Largest value of a 24-bit length field: READ(6), WRITE(6), READ ELEMENT STATUS.
pub const TRANSFER_MAX: u32 = 0x00FF_FFFF;
/// Buffer for a page of logs or of medium attributes.
pub const PAGE_BYTES_MAX: u16 = u16::MAX;
/// Elements asked for at once: the reply stays far below what old host adapters carry.
pub const ELEMENTS_MAX: u16 = 1000;
/// Wraps on one medium; LTO-9 has 280.
pub const WRAPS_MAX: u32 = 1024;
/// Largest count of SPACE(6): 24 bits with a sign.
pub const SPACE_SHORT_MAX: i64 = 0x007F_FFFF;
/// Partitions on one medium (LTO).
pub const PARTITIONS_MAX: usize = 4;
/// Largest transfer that a path is asked to carry: no drive takes larger blocks.
pub const PATH_PROBE_MAX: u32 = 8 << 20;
/// Smallest: a path that carries less is of no use.
pub const PATH_PROBE_MIN: u32 = 32 << 10;
/// Oldest version of Linux's generic SCSI driver with SG_IO as it is used here.
pub const SG_VERSION_MIN: i32 = 30_000;
/// Bytes kept of a sense reply: the longest that SPC allows.
pub const SENSE_BYTES_MAX: usize = 252;

const _: () = assert!(TIMEOUT_SMALL.as_secs() < TIMEOUT_REWIND.as_secs());
const _: () = assert!(READY_POLL.as_nanos() > 0 && READY_POLL.as_nanos() <= NO_MEDIUM_GRACE.as_nanos());
