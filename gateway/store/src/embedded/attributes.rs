//! GetObjectAttributes.

use dialect::attributes::{Attributes, AttributesRequest, Part};
use dialect::checksum::{Algorithm, Checksum, ObjectChecksum};
use dialect::{Code, S3Error, date};
use http::Response;
use model::{Body, Timestamp};

use super::fault::Outcome;
use super::put::tag;
use super::record::{StoredChecksum, Version};
use super::respond::{document, set, set_version};
use super::{Ask, Inner, Target};

impl Inner {
    /// GetObjectAttributes. Errors: those of [`AttributesRequest::parse`].
    pub(super) fn object_attributes(&self, ask: &Ask) -> Outcome<Response<Body>> {
        let request = AttributesRequest::parse(&ask.headers)?;
        let seen = self.find(&Target::of(ask)?, &ask.method)?;
        let version = &seen.version;
        let attributes = Attributes {
            etag: &tag(&version.etag).ok_or(Code::InternalError)?,
            checksum: version.checksum.as_ref().and_then(checksum),
            parts: &parts(version),
            class: version.class.parse().map_err(|_| S3Error::new(Code::InternalError))?,
            size: version.size,
        };
        let mut response = document(request.document(&attributes));
        let modified = Timestamp::from_milliseconds(version.last_modified);
        set(response.headers_mut(), "last-modified", &date::http(modified));
        set_version(response.headers_mut(), seen.bucket.told(version).as_deref());
        Ok(response)
    }
}

fn checksum(stored: &StoredChecksum) -> Option<ObjectChecksum> {
    ObjectChecksum::parse(Algorithm::parse(&stored.algorithm).ok()?, &stored.value).ok()
}

/// Numbered as GET takes them: one after another.
fn parts(version: &Version) -> Vec<Part> {
    let algorithm = version.checksum.as_ref().and_then(|stored| Algorithm::parse(&stored.algorithm).ok());
    let sums = version.part_checksums.iter().map(|value| Checksum::parse(algorithm?, value).ok());
    let sums = sums.chain(std::iter::repeat(None));
    let numbered = (1..).zip(&version.part_bytes).zip(sums);
    numbered.map(|((number, size), checksum)| Part { number, size: *size, checksum }).collect()
}
