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
