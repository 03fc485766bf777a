//! Who may do what, as far as it is decided here: every known identity may ask for everything. Whose key the request
//! goes on with says who decides the rest.

use dialect::sigv4::Caller;
use dialect::{Code, Operation, Route, S3Error};
use http::Method;
use model::store::Signer;

use crate::error::Result;
use crate::settings::{Settings, Upstream};

/// Whose key signs the request to the store.
///
/// Errors: `AccessDenied` for a caller nobody knows, and where the gateway's key might do more than S3 lets anybody do.
pub(crate) fn authorise(
    settings: &Settings,
    caller: &Caller,
    route: &Route,
    method: &Method,
) -> Result<Signer> {
    let signer = match caller {
        // A form is signed inside: its operation finds out.
        Caller::Anonymous if settings.anonymous || route.operation == Operation::PostObject => Signer::Nobody,
        Caller::Anonymous => return Err(Code::AccessDenied.into()),
        Caller::Key { access_key_id, .. } => signer(settings, access_key_id)?,
    };
    if settings.forwards_unknown && signer == Signer::Service {
        refuse_administration(route, method)?;
    }
    Ok(signer)
}

/// Refuses what a store may take for its administration, or for that of its users: callers are not to borrow what the
/// gateway's own key may do there.
fn refuse_administration(route: &Route, method: &Method) -> Result<()> {
    match &route.bucket {
        Some(bucket) if ADMINISTRATION.contains(&bucket.as_str()) => Err(Code::AccessDenied.into()),
        None if !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) => {
            Err(S3Error::method_not_allowed(method.as_str(), "SERVICE").into())
        }
        _ => Ok(()),
    }
}

/// First names of paths that are no buckets: of Ceph's admin API and of its Swift, of MinIO's admin API.
const ADMINISTRATION: [&str; 4] = ["admin", "auth", "minio", "swift"];

/// Whose key signs the requests of this identity.
pub(crate) fn signer(settings: &Settings, access_key_id: &str) -> Result<Signer> {
    match settings.identities.get(access_key_id).map(|identity| identity.upstream) {
        Some(Upstream::Service) => Ok(Signer::Service),
        Some(Upstream::Own) => Ok(Signer::Own(access_key_id.to_owned())),
        None => Err(Code::AccessDenied.into()),
    }
}
