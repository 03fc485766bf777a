//! The system calls: SG_IO and what prepares it. The only unsafe code of this transport.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_ulong, c_void};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr;
use std::time::Duration;

use crate::Data;
use crate::limits::SENSE_BYTES_MAX;

/// What the kernel says of a command, as it says it.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// SCSI status byte.
    pub status: u8,
    /// What the host adapter says (DID_*).
    pub host: u16,
    /// What the kernel's middle layer says (DRIVER_*).
    pub driver: u16,
    /// Sense data.
    pub sense: Vec<u8>,
    /// Bytes that moved.
    pub transferred: usize,
}

/// Sends one command and waits for its end. An error means that the kernel did not take it, or lost the unit.
pub(super) fn submit(file: &File, cdb: &[u8], data: Data<'_>, timeout: Duration) -> io::Result<Answer> {
    let mut sense = [0; SENSE_BYTES_MAX];
    let (direction, pointer, length) = match data {
        Data::None => (NO_DATA, ptr::null_mut(), 0),
        Data::In(buffer) => (FROM_DEVICE, buffer.as_mut_ptr(), buffer.len()),
        // The kernel only reads what goes to the device.
        Data::Out(bytes) => (TO_DEVICE, bytes.as_ptr().cast_mut(), bytes.len()),
    };
    let too_long = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let mut header = Header {
        interface: c_int::from(b'S'),
        direction,
        cdb_length: u8::try_from(cdb.len()).map_err(too_long)?,
        sense_room: u8::try_from(sense.len()).map_err(too_long)?,
        pieces: 0,
        data_length: u32::try_from(length).map_err(too_long)?,
        data: pointer.cast(),
        cdb: cdb.as_ptr(),
        sense: sense.as_mut_ptr(),
        timeout_ms: u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX),
        flags: 0,
        pack: 0,
        own: ptr::null_mut(),
        status: 0,
        masked_status: 0,
        message: 0,
        sense_written: 0,
        host: 0,
        driver: 0,
        left: 0,
        duration_ms: 0,
        info: 0,
    };
    let held = SignalsHeld::hold()?;
    // SAFETY: `header` is the structure that SG_IO takes; its pointers lead to `cdb`, to `sense` and to the caller's
    // buffer, with their lengths beside them, and all of them outlive the call, which returns when the command has
    // ended. The kernel writes to `header`, to `sense`, and to the buffer only with FROM_DEVICE, when it is a `&mut`.
    let result = unsafe { ioctl(file.as_raw_fd(), SG_IO, &raw mut header) };
    let error = io::Error::last_os_error();
    drop(held);
    if result < 0 {
        return Err(error);
    }
    let left = usize::try_from(header.left).unwrap_or(0);
    Ok(Answer {
        status: header.status,
        host: header.host,
        driver: header.driver,
        sense: sense[..usize::from(header.sense_written).min(sense.len())].to_vec(),
        transferred: length.saturating_sub(left),
    })
}

/// Version of the driver behind a node; an error when it is another driver.
pub(super) fn version(file: &File) -> io::Result<i32> {
    integer(file, SG_GET_VERSION_NUM, 0)
}

/// Has the kernel keep a buffer of so many bytes for this node, or less.
pub(super) fn reserve(file: &File, bytes: u32) -> io::Result<()> {
    integer(file, SG_SET_RESERVED_SIZE, c_int::try_from(bytes).unwrap_or(c_int::MAX)).map(drop)
}

fn integer(file: &File, request: c_ulong, mut value: c_int) -> io::Result<c_int> {
    // SAFETY: both requests take a pointer to one `int`, which they read or write before they return.
    let result = unsafe { ioctl(file.as_raw_fd(), request, &raw mut value) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(value) }
}

/// While it lives, signals for this thread wait. One that came in the midst of SG_IO would end the call before the
/// command, and where its handler asks for restarts the kernel would send the command again.
struct SignalsHeld {
    before: SignalSet,
}

impl SignalsHeld {
    fn hold() -> io::Result<Self> {
        let all = SignalSet([c_ulong::MAX; SIGNAL_WORDS]);
        let mut before = SignalSet([0; SIGNAL_WORDS]);
        // SAFETY: both point to sets of the size that the C library's `sigset_t` has on Linux; it reads one and writes
        // the other before it returns.
        let failed = unsafe { pthread_sigmask(SIG_SETMASK, &raw const all, &raw mut before) };
        if failed == 0 { Ok(Self { before }) } else { Err(io::Error::from_raw_os_error(failed)) }
    }
}

impl Drop for SignalsHeld {
    fn drop(&mut self) {
        // SAFETY: as above; the old set is not asked for. It cannot fail with a set that was in force before.
        unsafe { pthread_sigmask(SIG_SETMASK, &raw const self.before, ptr::null_mut()) };
    }
}

unsafe extern "C" {
    fn ioctl(fd: c_int, request: c_ulong, ...) -> c_int;
    fn pthread_sigmask(how: c_int, set: *const SignalSet, old: *mut SignalSet) -> c_int;
}

/// `struct sg_io_hdr`, version 3.
#[repr(C)]
struct Header {
    interface: c_int,
    direction: c_int,
    cdb_length: u8,
    sense_room: u8,
    pieces: u16,
    data_length: u32,
    data: *mut c_void,
    cdb: *const u8,
    sense: *mut u8,
    timeout_ms: u32,
    flags: u32,
    pack: c_int,
    own: *mut c_void,
    status: u8,
    masked_status: u8,
    message: u8,
    sense_written: u8,
    host: u16,
    driver: u16,
    left: c_int,
    duration_ms: u32,
    info: u32,
}

/// `sigset_t`: 1 024 bits.
#[repr(C)]
struct SignalSet([c_ulong; SIGNAL_WORDS]);

const SIGNAL_WORDS: usize = 128 / size_of::<c_ulong>();
const SIG_SETMASK: c_int = 2;

const SG_IO: c_ulong = 0x2285;
const SG_GET_VERSION_NUM: c_ulong = 0x2282;
const SG_SET_RESERVED_SIZE: c_ulong = 0x2275;

const NO_DATA: c_int = -1;
const TO_DEVICE: c_int = -2;
const FROM_DEVICE: c_int = -3;

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Header>() == 88);
