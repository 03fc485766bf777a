//! Who may do what. One tenant for now: every known identity may do everything, nobody else anything.

use dialect::Code;
use dialect::sigv4::Caller;

use crate::error::Result;

/// Refuses a caller nobody knows.
pub(crate) fn authorise(caller: &Caller) -> Result<()> {
    match caller {
        Caller::Anonymous => Err(Code::AccessDenied.into()),
        Caller::Key { .. } => Ok(()),
    }
}
