//! Checksums of a body, for a store that was not seen to check them itself.

use dialect::S3Error;
use dialect::checksum::{Checksum, ChecksumError, Demand, Demanded, Hasher};
use dialect::route::Query;
use http::request::Parts;
use http::{HeaderMap, Method};

/// The check of one body, whichever was asked for.
pub(super) struct Check(Option<(Demanded, Hasher)>);

// === impl Check ===

impl Check {
    /// No check: the store makes it, or nobody asked.
    pub(super) const fn none() -> Self {
        Self(None)
    }

    /// The check a request asks for, by header or by trailer.
    ///
    /// # Errors
    /// A checksum that cannot be right, more than one, or an algorithm not known here.
    pub(super) fn of(head: &Parts) -> Result<Self, S3Error> {
        if completes_upload(head) {
            return Ok(Self::none());
        }
        let demanded = Demand::from_headers(&head.headers)?.checksum;
        Ok(Self(demanded.map(|demanded| (demanded, Hasher::new(demanded.algorithm())))))
    }

    /// Takes bytes of the body.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        if let Some((_, hasher)) = &mut self.0 {
            hasher.update(bytes);
        }
    }

    /// Compares, once all bytes were taken.
    ///
    /// # Errors
    /// `BadDigest`, or a trailer that is not there.
    pub(super) fn finish(&mut self, trailers: Option<&HeaderMap>) -> Result<(), S3Error> {
        let Some((demanded, hasher)) = self.0.take() else { return Ok(()) };
        let algorithm = demanded.algorithm();
        let expected = match demanded {
            Demanded::Value(value) => value,
            Demanded::Trailer(_) => {
                let value = trailers.and_then(|trailers| trailers.get(algorithm.header()));
                Checksum::parse(algorithm, value.and_then(|value| value.to_str().ok()).unwrap_or_default())?
            }
        };
        if expected == hasher.finish() { Ok(()) } else { Err(ChecksumError::Mismatch { algorithm }.into()) }
    }
}

/// The checksum of a completion is about the object, not about the list of parts in its body.
fn completes_upload(head: &Parts) -> bool {
    let query = head.uri.query().unwrap_or_default();
    head.method == Method::POST && Query::parse(query).is_ok_and(|query| query.value("uploadId").is_some())
}
