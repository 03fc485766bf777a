//! Objects that cannot be taken over as they are.

use model::Archive;
use model::bucket::Versioning;
use model::store::{ObjectHead, StoreError};

use crate::error::Error;
use crate::house::House;
use crate::seals;

/// Why an archive's object, in a bucket with this versioning, cannot be taken over as it is.
pub(crate) async fn objection(
    house: &House,
    archive: &Archive,
    versioning: Versioning,
    head: &ObjectHead,
) -> Result<Option<Error>, Error> {
    let in_place = house.store.capabilities().in_place;
    let numbered = head.version.as_ref().is_some_and(|version| !version.is_null());
    let beside = (!in_place && versioning == Versioning::Suspended && numbered).then_some(
        "the bucket's versioning is suspended and this version was written before: a stub would not replace it; write \
         it again, or enable versioning",
    );
    let sealed = head.protection.encryption.is_some() && seals::covers(house, archive).await?;
    let reason = head.protection.objection(in_place, sealed).or(beside);
    Ok(reason.map(|reason| Error::Unfit { reason: reason.to_owned() }))
}

/// An error of looking at an object, in words that help.
pub(crate) fn explained(error: Error) -> Error {
    match error {
        Error::Store(StoreError::Refused { status: 400, code, .. }) => Error::Unfit {
            reason: format!(
                "the store does not show it (400 {code}): an object encrypted with its client's own key (SSE-C) stays \
                 where it is"
            ),
        },
        other => other,
    }
}
