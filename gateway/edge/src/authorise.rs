//! Who may do what, as far as it is decided here: every known identity may ask for everything. Whose key the request
//! goes on with says who decides the rest.

use dialect::sigv4::Caller;
use dialect::{Code, Operation};
use model::store::Signer;

use crate::error::Result;
use crate::settings::{Settings, Upstream};

/// Whose key signs the request to the store.
///
/// Errors: `AccessDenied` for a caller nobody knows.
pub(crate) fn authorise(settings: &Settings, caller: &Caller, operation: Operation) -> Result<Signer> {
    match caller {
        // A form is signed inside: its operation finds out.
        Caller::Anonymous if settings.anonymous || operation == Operation::PostObject => Ok(Signer::Nobody),
        Caller::Anonymous => Err(Code::AccessDenied.into()),
        Caller::Key { access_key_id, .. } => signer(settings, access_key_id),
    }
}

/// Whose key signs the requests of this identity.
pub(crate) fn signer(settings: &Settings, access_key_id: &str) -> Result<Signer> {
    match settings.identities.get(access_key_id).map(|identity| identity.upstream) {
        Some(Upstream::Service) => Ok(Signer::Service),
        Some(Upstream::Own) => Ok(Signer::Own(access_key_id.to_owned())),
        None => Err(Code::AccessDenied.into()),
    }
}
