//! The versions of one key.

use dialect::Code;
use dialect::xml::Element;
use http::Method;
use model::limits::LIST_KEYS_MAX;
use model::store::{ListedVersion, StoreError};
use model::{BucketName, ObjectKey, VersionId};

use super::S3Store;
use super::answer::{LISTING_BYTES_MAX, document, leaf, nonsense, token};
use super::request::{Ask, unescape_key};
use crate::service::S3Service;

/// A page of the versions of a key.
struct Versions {
    listed: Vec<ListedVersion>,
    /// The version that the next page begins behind, where there may be more of this key.
    next: Option<String>,
}

impl<S: S3Service> S3Store<S> {
    /// In the order of the listing, which shows the newest first. All of them, or none: what is true of a part may be
    /// wrong.
    pub(super) async fn versions_of(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        limit: usize,
    ) -> Result<Vec<ListedVersion>, StoreError> {
        let what = format!("versions of {bucket}/{key}");
        let (mut versions, mut after) = (Vec::<ListedVersion>::new(), None);
        loop {
            let page = self.versions_page(&what, bucket, key, after.as_deref()).await?;
            // There are stores that begin a page with the marker they are given.
            let seen = page.listed.first().zip(versions.last()).is_some_and(|(first, last)| first == last);
            versions.extend(page.listed.into_iter().skip(usize::from(seen)));
            if versions.len() > limit {
                let what = format!("{what}, which are more than {limit}");
                let code = Code::NotImplemented;
                let (status, code) = (code.status().as_u16(), code.as_str().to_owned());
                return Err(StoreError::Refused { what, status, code });
            }
            match page.next {
                None => return Ok(versions),
                next if next == after => return Err(nonsense(&what, "next version")),
                next => after = next,
            }
        }
    }

    async fn versions_page(
        &self,
        what: &str,
        bucket: &BucketName,
        key: &ObjectKey,
        after: Option<&str>,
    ) -> Result<Versions, StoreError> {
        let mut ask = Ask::bucket(Method::GET, bucket)
            .query("versions", "")
            .query("encoding-type", "url")
            .query("max-keys", &LIST_KEYS_MAX.to_string())
            .query("prefix", key.as_str());
        if let Some(after) = after {
            ask = ask.query("key-marker", key.as_str()).query("version-id-marker", after);
        }
        let response = self.ask(what, ask.bare()).await?;
        let listing = document(what, response, "ListVersionsResult", LISTING_BYTES_MAX).await?;
        let entries = listing.children.iter().filter(|entry| is_version(entry));
        // Longer keys come after all versions of this one.
        let others = entries.clone().any(|entry| !is_of(entry, key));
        let listed = entries.filter(|entry| is_of(entry, key));
        let listed = listed.map(|entry| listed_of(entry).ok_or_else(|| nonsense(what, "version")));
        let listed: Vec<ListedVersion> = listed.collect::<Result<_, _>>()?;
        let more = leaf(&listing, "IsTruncated") == Some("true") && !others;
        let next = match more {
            true => token(what, &listing, "NextVersionIdMarker")?
                .or_else(|| listed.last().map(|last| last.version.as_str().to_owned())),
            false => None,
        };
        if more && next.is_none() {
            return Err(nonsense(what, "next version"));
        }
        Ok(Versions { listed, next })
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

fn listed_of(entry: &Element) -> Option<ListedVersion> {
    let version = VersionId::parse(leaf(entry, "VersionId")?).ok()?;
    let size = match entry.name.as_str() {
        "DeleteMarker" => None,
        _ => Some(leaf(entry, "Size")?.parse().ok()?),
    };
    Some(ListedVersion { version, size })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use async_trait::async_trait;
    use dialect::reserved::MarkerKey;
    use http::{Request, Response};
    use model::Body;
    use model::store::Capabilities;

    use super::*;
    use crate::conformance::client::Client;
    use crate::service::Swap;
    use crate::{EmbeddedStore, Options, Reserved};

    /// Lists two versions at a time.
    struct Small(EmbeddedStore);

    #[async_trait]
    impl S3Service for Small {
        async fn call(&self, mut request: Request<Body>) -> Result<Response<Body>, StoreError> {
            let target = request.uri().to_string().replace("max-keys=1000", "max-keys=2");
            *request.uri_mut() = target.parse().unwrap();
            self.0.call(request).await
        }

        fn capabilities(&self) -> Capabilities {
            self.0.capabilities()
        }

        async fn swap_in_place(&self, swap: Swap) -> Result<(), StoreError> {
            self.0.swap_in_place(swap).await
        }
    }

    #[tokio::test]
    async fn all_versions_of_a_key_are_listed_or_none() {
        let directory = tempfile::tempdir().unwrap();
        let below =
            EmbeddedStore::open(directory.path(), Options { sync: false, ..Options::default() }).unwrap();
        let reserved =
            Reserved { bucket: BucketName::parse("reserved").unwrap(), catalog: "test".to_owned() };
        let store = S3Store::look(Small(below), reserved, MarkerKey::new([7; 32]));
        let client = Client::new(Arc::new(store));
        let bucket = client.bucket("bkt").await;
        client.put("/bkt/key", &[], "null").await;
        client.set_versioning("bkt", "Enabled").await;
        for body in ["1", "22", "333"] {
            client.put("/bkt/key", &[], body).await;
            client.put("/bkt/key-longer", &[], body).await;
        }
        client.send(Method::DELETE, "/bkt/key", &[], "").await;
        let key = ObjectKey::parse("key").unwrap();
        let listed = client.store.versions(&bucket, &key, 5).await.unwrap();
        let sizes: Vec<_> = listed.iter().map(|listed| listed.size).collect();
        assert_eq!(sizes, [None, Some(3), Some(2), Some(1), Some(4)]);
        assert!(listed[4].version.is_null(), "{listed:?}");
        let refused = client.store.versions(&bucket, &key, 4).await;
        assert!(matches!(refused, Err(StoreError::Refused { status: 501, .. })), "{refused:?}");
    }
}
