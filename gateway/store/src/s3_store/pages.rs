//! Pages of a bucket's listing.
//!
//! A line whose ETag is unusable is looked up by its key: one such object must not keep a whole bucket from being
//! listed. One that is gone, or of which the store tells no ETag at all, is left out.

use futures_util::{StreamExt, TryStreamExt};
use http::Method;
use model::store::{Listed, ObjectRef, Page, StoreError};
use model::{BucketName, ObjectKey};

use super::answer::{self, LISTING_BYTES_MAX, Line, document};
use super::request::Ask;
use super::{S3Store, object};
use crate::service::S3Service;

/// Lines looked up at a time.
const LOOKS: usize = 8;

impl<S: S3Service> S3Store<S> {
    /// The next page with anything in it, or the last one.
    pub(super) async fn page_of(
        &self,
        bucket: &BucketName,
        prefix: &str,
        after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let mut after = after.cloned();
        loop {
            let (lines, more) = self.lines(bucket, prefix, after.as_ref(), limit).await?;
            let last = lines.last().map(|line| line.key.clone());
            let entries: Vec<Option<Listed>> = futures_util::stream::iter(lines)
                .map(|line| self.listed(bucket, line))
                .buffered(LOOKS)
                .try_collect()
                .await?;
            let entries: Vec<Listed> = entries.into_iter().flatten().collect();
            if last.is_none() || !entries.is_empty() || !more {
                return Ok(Page { entries, more });
            }
            after = last;
        }
    }

    async fn lines(
        &self,
        bucket: &BucketName,
        prefix: &str,
        after: Option<&ObjectKey>,
        limit: usize,
    ) -> Result<(Vec<Line>, bool), StoreError> {
        let what = format!("list of {bucket}");
        let mut ask = Ask::bucket(Method::GET, bucket)
            .query("list-type", "2")
            .query("encoding-type", "url")
            .query("max-keys", &limit.to_string())
            .query("prefix", prefix);
        if let Some(after) = after {
            ask = ask.query("start-after", after.as_str());
        }
        let response = self.ask(&what, ask.bare()).await?;
        answer::page(&what, &document(&what, response, "ListBucketResult", LISTING_BYTES_MAX).await?)
    }

    /// A line with its ETag, which the object is asked for where the line has none.
    async fn listed(&self, bucket: &BucketName, line: Line) -> Result<Option<Listed>, StoreError> {
        let Line { key, etag, size, last_modified } = line;
        if let Some(etag) = etag {
            return Ok(Some(Listed { key, etag, size, last_modified }));
        }
        let target = ObjectRef { bucket: bucket.clone(), key, version: None };
        let what = format!("head of {bucket}/{}", target.key);
        let response = match self.ask(&what, object(Method::HEAD, &target).bare()).await {
            Ok(response) => response,
            Err(StoreError::Missing { .. }) => return Ok(None),
            Err(error @ StoreError::Refused { .. }) => {
                tracing::warn!(%bucket, key = %target.key, %error, "an object listed without an ETag is left out");
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let Ok(head) = answer::head(&what, &target, response.headers(), &self.secret) else {
            tracing::warn!(%bucket, key = %target.key, "an object without an ETag is left out");
            return Ok(None);
        };
        // The listing tells the date to the millisecond.
        let unchanged = head.last_modified.seconds() == last_modified.seconds();
        let last_modified = if unchanged { last_modified } else { head.last_modified };
        Ok(Some(Listed { key: target.key, etag: head.etag, size: head.size, last_modified }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use async_trait::async_trait;
    use dialect::reserved::MarkerKey;
    use http::{Request, Response};
    use model::Body;
    use model::body::{empty, full};
    use model::store::{Capabilities, ObjectStore};

    use super::*;
    use crate::service::Swap;
    use crate::{EmbeddedStore, Options, Reserved};

    /// Lists two pages without any ETag, of which the first has gone since; what it tells of an object is in its key.
    struct Blank(EmbeddedStore);

    const PAGES: [&[&str]; 2] = [&["a-gone", "b-gone"], &["c-kept", "d-refused", "e-blank", "f-gone"]];

    #[async_trait]
    impl S3Service for Blank {
        async fn call(&self, request: Request<Body>) -> Result<Response<Body>, StoreError> {
            if request.method() == Method::HEAD {
                let path = request.uri().path();
                let (status, etag) = match path.rsplit_once('-').unwrap().1 {
                    "kept" => (200, "\"e\""),
                    "blank" => (200, "\"\""),
                    "refused" => (400, ""),
                    _ => (404, ""),
                };
                let head = Response::builder().status(status).header("etag", etag);
                let head = head.header("content-length", 7);
                let head = head.header("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT");
                return Ok(head.body(empty()).unwrap());
            }
            let second = request.uri().query().unwrap().contains("start-after=b-gone");
            let mut listing = format!("<ListBucketResult><IsTruncated>{}</IsTruncated>", !second);
            for key in PAGES[usize::from(second)] {
                listing.push_str(&format!(
                    "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.123Z</LastModified>\
                     <ETag>&quot;&quot;</ETag><Size>7</Size></Contents>"
                ));
            }
            Ok(Response::new(full(listing + "</ListBucketResult>")))
        }

        fn capabilities(&self) -> Capabilities {
            self.0.capabilities()
        }

        async fn swap_in_place(&self, swap: Swap) -> Result<(), StoreError> {
            self.0.swap_in_place(swap).await
        }
    }

    #[tokio::test]
    async fn lines_without_an_etag_are_looked_up_and_never_stop_a_page() {
        let directory = tempfile::tempdir().unwrap();
        let below =
            EmbeddedStore::open(directory.path(), Options { sync: false, ..Options::default() }).unwrap();
        let bucket = BucketName::parse("bkt").unwrap();
        let reserved = Reserved { bucket: bucket.clone(), catalog: "test".to_owned() };
        let store = S3Store::look(Blank(below), reserved, MarkerKey::new([7; 32]));
        let page = store.page(&bucket, "", None, 2).await.unwrap();
        let told: Vec<_> =
            page.entries.iter().map(|entry| (entry.key.as_str(), entry.etag.as_str())).collect();
        assert_eq!((told, page.more), (vec![("c-kept", "e")], false));
        assert_eq!(page.entries[0].last_modified.milliseconds() % 1000, 123, "as precise as the listing");
    }
}
