//! The few functions of libiscsi that are used, and a safe face on them. The only unsafe code of this transport.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_uchar};
use std::io;
use std::ptr::{self, NonNull};
use std::slice;
use std::time::Duration;

use crate::Data;

/// What libiscsi answers when its own time is over.
pub(super) const TIMEOUT: c_int = 0x0F00_0002;

/// What became of a command.
#[derive(Debug)]
pub(super) struct Answer {
    /// SCSI status, or a number of libiscsi's own above 255.
    pub status: c_int,
    pub sense: Vec<u8>,
    /// Bytes that moved, by the residual count of the target.
    pub transferred: usize,
}

/// A session with a target.
#[derive(Debug)]
pub(super) struct Session {
    context: NonNull<Context>,
    /// The connection broke in the midst of a command, which libiscsi may still have: nothing is sent or freed then.
    broken: bool,
}

// SAFETY: a context belongs to whoever holds the session, and libiscsi keeps nothing about threads in it.
unsafe impl Send for Session {}

impl Session {
    pub fn login(initiator: &str, portal: &str, target: &str, unit: c_int) -> io::Result<Self> {
        let text = |text: &str| CString::new(text).map_err(io::Error::from);
        let (initiator, portal, target) = (text(initiator)?, text(portal)?, text(target)?);
        // SAFETY: the name is a C string, and is copied.
        let context = unsafe { iscsi_create_context(initiator.as_ptr()) };
        let context_held = NonNull::new(context).ok_or(io::ErrorKind::OutOfMemory)?;
        let session = Self { context: context_held, broken: false };
        // SAFETY: the context lives as long as `session`; the strings are copied, or used only until the calls return.
        let failed = unsafe {
            iscsi_set_noautoreconnect(context, 1);
            iscsi_set_targetname(context, target.as_ptr()) != 0
                || iscsi_set_session_type(context, NORMAL_SESSION) != 0
                || iscsi_full_connect_sync(context, portal.as_ptr(), unit) != 0
        };
        if failed { Err(session.error()) } else { Ok(session) }
    }

    pub fn command(
        &mut self,
        unit: c_int,
        cdb: &[u8],
        mut data: Data<'_>,
        timeout: Duration,
    ) -> io::Result<Answer> {
        if self.broken {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let (direction, length) = match &data {
            Data::None => (0, 0),
            Data::In(buffer) => (1, buffer.len()),
            Data::Out(bytes) => (2, bytes.len()),
        };
        let too_long = |_| io::Error::from(io::ErrorKind::InvalidInput);
        let (size, expected) =
            (c_int::try_from(cdb.len()).map_err(too_long)?, c_int::try_from(length).map_err(too_long)?);
        // Its clock counts whole seconds, and 0 would be for ever.
        let seconds = c_int::try_from(timeout.as_secs().max(1)).unwrap_or(c_int::MAX);
        // SAFETY: `cdb` is copied. The task is freed below when it has ended.
        let task = unsafe {
            iscsi_set_timeout(self.context.as_ptr(), seconds);
            scsi_create_task(size, cdb.as_ptr().cast_mut(), direction, expected)
        };
        let task = NonNull::new(task).ok_or(io::ErrorKind::OutOfMemory)?;
        let mut outgoing = Outgoing { size: 0, data: ptr::null_mut() };
        match &mut data {
            Data::None => {}
            // SAFETY: the buffer outlives the command: after one that has not ended nothing is sent any more.
            Data::In(buffer) => unsafe {
                scsi_task_add_data_in_buffer(task.as_ptr(), expected, buffer.as_mut_ptr());
            },
            Data::Out(bytes) => {
                outgoing = Outgoing { size: bytes.len(), data: bytes.as_ptr().cast_mut() };
            }
        }
        let out = if direction == 2 { &raw mut outgoing } else { ptr::null_mut() };
        // SAFETY: context and task are alive; what goes out is only read, and only until the call returns. The call
        // returns the same task, finished, or null when the connection broke.
        let finished = unsafe { iscsi_scsi_command_sync(self.context.as_ptr(), unit, task.as_ptr(), out) };
        let Some(finished) = NonNull::new(finished) else {
            self.broken = true;
            return Err(self.error());
        };
        // SAFETY: a finished task of libiscsi, which nobody else has.
        let answer = answer(unsafe { finished.as_ref() }, length);
        // SAFETY: made above, finished, and not used any more.
        unsafe { scsi_free_scsi_task(finished.as_ptr()) };
        Ok(answer)
    }

    fn error(&self) -> io::Error {
        // SAFETY: libiscsi gives a C string that lives until the next call.
        let text = unsafe {
            let text = iscsi_get_error(self.context.as_ptr());
            if text.is_null() { String::new() } else { CStr::from_ptr(text).to_string_lossy().into_owned() }
        };
        io::Error::other(text)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.broken {
            return;
        }
        // SAFETY: the context is alive and is not used any more. Logging out may fail; the target notices anyway.
        unsafe {
            iscsi_set_timeout(self.context.as_ptr(), LOGOUT_SECONDS);
            iscsi_logout_sync(self.context.as_ptr());
            iscsi_destroy_context(self.context.as_ptr());
        }
    }
}

fn answer(task: &Task, length: usize) -> Answer {
    let moved = match task.residual_kind {
        UNDERFLOW => length.saturating_sub(task.residual),
        _ => length,
    };
    let mut sense = Vec::new();
    if task.status == CHECK_CONDITION && !task.reply.is_null() {
        let size = usize::try_from(task.reply_size).unwrap_or(0);
        // SAFETY: libiscsi keeps so many bytes there until the task is freed.
        let reply = unsafe { slice::from_raw_parts(task.reply, size) };
        // The sense data stand behind their length in two bytes.
        sense = reply.get(2..).unwrap_or_default().to_vec();
    }
    Answer { status: task.status, sense, transferred: moved }
}

/// `struct iscsi_context`, which only libiscsi looks into.
#[repr(C)]
struct Context {
    _private: [u8; 0],
}

/// The beginning of `struct scsi_task`: what is read of a finished one.
#[repr(C)]
struct Task {
    status: c_int,
    _cdb_size: c_int,
    _direction: c_int,
    _expected: c_int,
    _cdb: [c_uchar; 16],
    residual_kind: c_int,
    residual: usize,
    /// Decoded by libiscsi; we decode the bytes ourselves.
    _sense: [c_int; 4],
    reply_size: c_int,
    reply: *const c_uchar,
}

const _: () =
    assert!(std::mem::offset_of!(Task, residual) == 40 && std::mem::offset_of!(Task, reply_size) == 64);

/// `struct iscsi_data`.
#[repr(C)]
struct Outgoing {
    size: usize,
    data: *mut c_uchar,
}

const NORMAL_SESSION: c_int = 2;
const UNDERFLOW: c_int = 1;
const CHECK_CONDITION: c_int = 2;
const LOGOUT_SECONDS: c_int = 5;

#[link(name = "iscsi")]
unsafe extern "C" {
    fn iscsi_create_context(initiator: *const c_char) -> *mut Context;
    fn iscsi_destroy_context(context: *mut Context) -> c_int;
    fn iscsi_set_noautoreconnect(context: *mut Context, state: c_int);
    fn iscsi_set_targetname(context: *mut Context, target: *const c_char) -> c_int;
    fn iscsi_set_session_type(context: *mut Context, kind: c_int) -> c_int;
    fn iscsi_set_timeout(context: *mut Context, seconds: c_int) -> c_int;
    fn iscsi_full_connect_sync(context: *mut Context, portal: *const c_char, unit: c_int) -> c_int;
    fn iscsi_logout_sync(context: *mut Context) -> c_int;
    fn iscsi_get_error(context: *mut Context) -> *const c_char;
    fn iscsi_scsi_command_sync(
        context: *mut Context,
        unit: c_int,
        task: *mut Task,
        out: *mut Outgoing,
    ) -> *mut Task;
    fn scsi_create_task(size: c_int, cdb: *mut c_uchar, direction: c_int, expected: c_int) -> *mut Task;
    fn scsi_task_add_data_in_buffer(task: *mut Task, length: c_int, buffer: *mut c_uchar) -> c_int;
    fn scsi_free_scsi_task(task: *mut Task);
}
