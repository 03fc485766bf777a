//! What shows that a caller may have an answer the gateway gives by itself, where the store is to decide what the
//! caller may do: its identity speaks to the store with a key of its own, or nobody has signed the request.
//!
//! Everything that is forwarded needs no proof: the store judges it by the caller's key, and what the gateway puts into
//! an answer is put into one that was the caller's. Operations it answers itself are in [`of`]; those whose proof is
//! none are denied.

use dialect::{Code, Operation};
use http::StatusCode;
use model::body::empty;
use model::store::Signer;

use crate::error::Result;
use crate::house::{Ask, House, trouble};

/// A proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The store answers the request itself, or the stub that stands in the object's place was read with the caller's
    /// key by the operation: HEAD, or the read itself.
    Read,
    /// The same, but not for nobody: what may be read is not for everybody to have read from tape.
    ReadByName,
    /// GetBucketLifecycleConfiguration is not denied to the caller.
    Rules,
    /// There is none.
    None,
}

/// What proves that a caller may have the gateway's own answer to an operation.
pub(crate) fn of(operation: Operation) -> Proof {
    use Operation as O;
    match operation {
        O::RestoreObject => Proof::ReadByName,
        O::GetBucketLifecycleConfiguration => Proof::Rules,
        O::PutBucketLifecycleConfiguration | O::DeleteBucketLifecycle => Proof::None,
        // They look at the stub by the caller's key.
        O::GetObject | O::HeadObject | O::GetObjectAttributes | O::CopyObject | O::UploadPartCopy => {
            Proof::Read
        }
        // They are refused here, or the store's to answer.
        O::DeleteObjects
        | O::PutBucketVersioning
        | O::CreateBucket
        | O::DeleteBucket
        | O::SelectObjectContent
        | O::RenameObject
        | O::UpdateObjectEncryption
        | O::Unknown => Proof::Read,
        _ => Proof::None,
    }
}

/// Asks for the proof, where it takes a request of its own.
///
/// Errors: `AccessDenied`.
pub(crate) async fn check(house: &House, ask: &Ask) -> Result<()> {
    let signer = ask.signer();
    if signer == Signer::Service {
        return Ok(());
    }
    let denied = || Err(Code::AccessDenied.into());
    match of(ask.route.operation) {
        Proof::Read => Ok(()),
        Proof::ReadByName if signer == Signer::Nobody => denied(),
        Proof::ReadByName => Ok(()),
        Proof::None => denied(),
        Proof::Rules => match house.call(&ask.head, empty()).await?.status() {
            // The store's own rules were taken over: it has none to show.
            StatusCode::OK | StatusCode::NOT_FOUND => Ok(()),
            StatusCode::NOT_IMPLEMENTED => denied(),
            status if status.is_server_error() => Err(trouble("GetBucketLifecycleConfiguration", status)),
            _ => denied(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_proven_is_denied() {
        use Operation as O;
        for (operation, proof) in [
            (O::GetObject, Proof::Read),
            (O::HeadObject, Proof::Read),
            (O::GetObjectAttributes, Proof::Read),
            (O::CopyObject, Proof::Read),
            (O::UploadPartCopy, Proof::Read),
            (O::DeleteObjects, Proof::Read),
            (O::Unknown, Proof::Read),
            (O::PutBucketPolicy, Proof::None),
            (O::RestoreObject, Proof::ReadByName),
            (O::GetBucketLifecycleConfiguration, Proof::Rules),
            (O::PutBucketLifecycleConfiguration, Proof::None),
            (O::DeleteBucketLifecycle, Proof::None),
        ] {
            assert_eq!(of(operation), proof, "{operation}");
        }
    }
}
