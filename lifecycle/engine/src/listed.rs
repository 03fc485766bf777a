//! What listings tell of an object. A store may date it otherwise there than in its head, so that only a listing tells
//! whether it is still what a listing showed.

use model::store::{Listed, ObjectHead};
use model::{Archive, BucketName, ObjectKey};

use crate::error::Error;
use crate::house::House;

/// The line of the current object under a key.
pub(crate) async fn line(
    house: &House,
    bucket: &BucketName,
    key: &ObjectKey,
) -> Result<Option<Listed>, Error> {
    // Nothing that begins with a key sorts before it.
    let page = house.store.page(bucket, key.as_str(), None, 1).await?;
    Ok(page.entries.into_iter().next().filter(|entry| entry.key == *key))
}

/// The Last-Modified, in seconds, that listings tell of an archive's object, which was seen as `head` and once listed
/// with the date `known`. What is not current has its date for good.
pub(crate) async fn seconds(
    house: &House,
    archive: &Archive,
    head: &ObjectHead,
    known: i64,
) -> Result<i64, Error> {
    if head.last_modified.seconds() == known {
        return Ok(known);
    }
    let line = line(house, &archive.bucket, &archive.key).await?;
    let line = line.filter(|line| line.etag == head.etag);
    Ok(line.map_or(known, |line| line.last_modified.seconds()))
}
