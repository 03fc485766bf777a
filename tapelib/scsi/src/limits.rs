//! Every bound of this room in one place: how long a command may take, how large a reply may be, how often something
//! is tried. The times are the largest that current LTO drives (LTO-5 to LTO-10) document, rounded up.

use std::time::Duration;

/// Commands that move nothing: INQUIRY, TEST UNIT READY, MODE and LOG pages, READ POSITION, attributes.
pub const TIMEOUT_SMALL: Duration = Duration::from_secs(60);
/// READ(6), with the drive's own error recovery.
pub const TIMEOUT_READ: Duration = Duration::from_secs(2400);
/// WRITE(6).
pub const TIMEOUT_WRITE: Duration = Duration::from_secs(1500);
/// WRITE FILEMARKS(6), which may have to empty the drive's whole buffer.
pub const TIMEOUT_FILEMARKS: Duration = Duration::from_secs(1620);
/// REWIND.
pub const TIMEOUT_REWIND: Duration = Duration::from_secs(600);
/// SPACE(16) and LOCATE(16) over a whole cartridge.
pub const TIMEOUT_LOCATE: Duration = Duration::from_secs(2940);
/// LOAD UNLOAD. A first load of new LTO-9 media takes up to two hours: it is started with the immediate bit and
/// waited for with a limit of the caller's.
pub const TIMEOUT_LOAD: Duration = Duration::from_secs(960);
/// FORMAT MEDIUM.
pub const TIMEOUT_FORMAT: Duration = Duration::from_secs(3180);
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
/// Bytes kept of a sense reply: the longest that SPC allows.
pub const SENSE_BYTES_MAX: usize = 252;

const _: () = assert!(TIMEOUT_SMALL.as_secs() < TIMEOUT_REWIND.as_secs());
const _: () = assert!(READY_POLL.as_nanos() > 0 && READY_POLL.as_nanos() <= NO_MEDIUM_GRACE.as_nanos());
