//! The versions of one key.

use http::Method;
use model::store::{ListedVersion, StoreError};
use model::{BucketName, ObjectKey, VersionId};

use dialect::xml::Element;

use super::S3Store;
use super::answer::{LISTING_BYTES_MAX, document, leaf, nonsense};
use super::request::{Ask, unescape_key};
use crate::service::S3Service;

impl<S: S3Service> S3Store<S> {
    /// In the order of the listing, which shows the newest first.
    pub(super) async fn versions_of(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        limit: usize,
    ) -> Result<Vec<ListedVersion>, StoreError> {
        let what = format!("versions of {bucket}/{key}");
        let ask = Ask::bucket(Method::GET, bucket)
            .query("versions", "")
            .query("encoding-type", "url")
            .query("max-keys", &limit.to_string())
            .query("prefix", key.as_str());
        let response = self.ask(&what, ask.bare()).await?;
        let listing = document(&what, response, "ListVersionsResult", LISTING_BYTES_MAX).await?;
        let entries = listing.children.iter().filter(|entry| is_version(entry) && is_of(entry, key));
        entries.map(|entry| listed(entry).ok_or_else(|| nonsense(&what, "version"))).collect()
    }
}

fn is_version(entry: &Element) -> bool {
    matches!(entry.name.as_str(), "Version" | "DeleteMarker")
}

/// The prefix lets longer keys through.
fn is_of(entry: &Element, key: &ObjectKey) -> bool {
    let text = entry.child("Key").and_then(|text| text.exact().ok()).unwrap_or_default();
    // Not every store escapes when asked to.
    text == key.as_str() || unescape_key(text).is_some_and(|unescaped| unescaped == *key)
}

fn listed(entry: &Element) -> Option<ListedVersion> {
    let version = VersionId::parse(leaf(entry, "VersionId")?).ok()?;
    let size = match entry.name.as_str() {
        "DeleteMarker" => None,
        _ => Some(leaf(entry, "Size")?.parse().ok()?),
    };
    Some(ListedVersion { version, size })
}
