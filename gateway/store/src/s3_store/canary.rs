//! The canary: whether conditional writes work at this moment, seen on an object of our own.

use bytes::Bytes;
use http::Method;
use model::ETag;
use model::body::full;
use model::store::StoreError;

use super::S3Store;
use super::answer::nonsense;
use super::request::Ask;
use crate::service::S3Service;
use crate::stream::collect;

/// The object in the reserved bucket.
const KEY: &str = "canary";
/// What it holds in turn: every write changes it.
const SONGS: [&str; 2] = ["tweet", "trill"];
/// An ETag no object has.
const WRONG: &str = "00000000000000000000000000000000";
/// What asking is called.
const WHAT: &str = "conditional write of the canary";
/// How often a write without an answer is repeated.
const TRIES: usize = 5;

impl<S: S3Service> S3Store<S> {
    /// Whether the right ETag is accepted and a wrong one refused.
    pub(super) async fn hear_canary(&self) -> Result<bool, StoreError> {
        let (song, etag) = match self.canary_song().await {
            Err(StoreError::Missing { .. }) => match self.sing(SONGS[0], None).await {
                Ok(()) | Err(StoreError::Changed { .. }) => self.canary_song().await?,
                Err(error) => return Err(error),
            },
            heard => heard?,
        };
        let next = if song == SONGS[0] { SONGS[1] } else { SONGS[0] };
        let accepted = match self.sing(next, Some(&etag)).await {
            Ok(()) => true,
            // It may have been carried out twice, the second time for nothing.
            Err(StoreError::Changed { .. }) => self.canary_song().await?.0 == next,
            Err(error) => return Err(error),
        };
        let wrong = ETag::parse(WRONG).expect("it is an ETag");
        let refused = match self.sing(&song, Some(&wrong)).await {
            Ok(()) => false,
            Err(StoreError::Changed { .. }) => self.canary_song().await?.0 == next,
            Err(error) => return Err(error),
        };
        Ok(accepted && refused)
    }

    async fn canary_song(&self) -> Result<(String, ETag), StoreError> {
        let ask = Ask::object(Method::GET, &self.reserved.bucket, KEY);
        let response = self.ask(WHAT, ask.bare()).await?;
        let etag = response.headers().get("etag").and_then(|value| value.to_str().ok());
        let etag = etag.and_then(|etag| ETag::parse(etag).ok()).ok_or_else(|| nonsense(WHAT, "ETag"))?;
        let song = collect(response.into_body(), 1024)
            .await
            .map_err(|source| StoreError::Doubt { what: WHAT.to_owned(), source: Box::new(source) })?;
        Ok((String::from_utf8_lossy(&song).into_owned(), etag))
    }

    /// Writes the object, over the one with this ETag or where there is none.
    async fn sing(&self, song: &str, expected: Option<&ETag>) -> Result<(), StoreError> {
        let mut tries = 0;
        loop {
            let ask = Ask::object(Method::PUT, &self.reserved.bucket, KEY);
            let ask = match expected {
                Some(etag) => self.expecting(ask, etag),
                None => ask.header("if-none-match", "*"),
            };
            let body = Bytes::copy_from_slice(song.as_bytes());
            let length = body.len() as u64;
            tries += 1;
            match self.ask(WHAT, ask.send(full(body), length)).await {
                Err(StoreError::Doubt { .. }) if tries < TRIES => {}
                answered => return answered.map(drop),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use dialect::reserved::MarkerKey;
    use model::BucketName;
    use model::store::ObjectStore;

    use super::S3Store;
    use crate::{EmbeddedStore, Options, Reserved};

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn several_that_listen_do_not_confuse_it() {
        let directory = tempfile::tempdir().unwrap();
        let options = Options { pretend_remote: true, sync: false, ..Options::default() };
        let service = EmbeddedStore::open(directory.path(), options).unwrap();
        let reserved = Reserved { bucket: BucketName::parse("kept-1").unwrap(), catalog: "c".to_owned() };
        let store = S3Store::open(service, reserved, MarkerKey::new([7; 32])).await.unwrap();
        let store = std::sync::Arc::new(store);
        let listeners = (0..4).map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..20 {
                    assert!(store.canary().await.unwrap());
                }
            })
        });
        for ended in futures_util::future::join_all(listeners).await {
            ended.unwrap();
        }
    }
}
